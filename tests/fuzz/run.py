"""`python -m tests.fuzz.run TARGET [libFuzzer options] [CORPUS...]`: fuzzes one target with atheris until it is told to stop.

Octets changed at random seldom stay XML: for targets that read XML half of the changes are made in the tree.
"""

from __future__ import annotations

import copy
import random
import sys

import atheris
from lxml import etree

#: The modules whose branches guide the search; to instrument all of them takes longer than the search of a test.
_GUIDES = [
    *("schemas.parse", "schemas.charset", "metadata.queries", "metadata.query_values", "security.signed_info"),
    *("security.document_signature", "security.document_signature_block"),
    *(f"soap.{name}" for name in ("mtom", "mime", "root", "inline", "envelope", "addressing", "request", "receive")),
]
with atheris.instrument_imports(include=_GUIDES):
    from tests.fuzz.targets import TARGETS, XML

_PARSER = etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=False)
_TEXTS = ("", "#a", "0", "MA==", "urn:oid:1.2.3", "cid:r", "file:///etc/passwd", "\u00e9", "1", "true", " ", "&<>")


def mutate(octets: bytes, max_size: int, seed: int) -> bytes:
    """libFuzzer's custom mutator."""
    draw = random.Random(seed)
    if draw.random() < 0.5:
        return bytes(atheris.Mutate(octets, max_size))
    try:
        root = etree.fromstring(octets, _PARSER)
    except etree.XMLSyntaxError:
        return bytes(atheris.Mutate(octets, max_size))
    for _ in range(draw.randint(1, 3)):
        _change(root, draw)
    changed = etree.tostring(root)
    return changed if len(changed) <= max_size else octets


def _change(root: etree._Element, draw: random.Random) -> None:
    elements = list(root.iter(etree.Element))
    one, other = draw.choice(elements), draw.choice(elements)
    kind = draw.randrange(6)
    if kind == 0 and one is not root:
        parent = one.getparent()
        assert parent is not None
        parent.remove(one)
    elif kind == 1:
        other.append(copy.deepcopy(one))
    elif kind == 2:
        one.text = draw.choice(_TEXTS)
    elif kind == 3:
        one.set(draw.choice(list(map(str, one.attrib)) or ["Id"]), draw.choice(_TEXTS))
    elif kind == 4:
        one.tag = other.tag
    else:
        one.insert(0, etree.Comment("c"))


def main() -> None:
    name = sys.argv.pop(1)
    target = TARGETS[name]

    def one(octets: bytes) -> None:
        target(octets)

    atheris.Setup(sys.argv, one, custom_mutator=mutate if name in XML else None)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
