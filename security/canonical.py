"""Exclusive canonical XML and the digests over it, with documents streamed instead of held (Exclusive XML Canonicalization 1.0).

A document that came as a MIME part is signed in its base64 form (XOP 1.0: 4). It is never put into the tree: a random mark
stands in its place while the part is canonicalised, and where the mark comes out the base64 is fed to the hash.

libxml2 keeps of a PrefixList only the words that its dictionary already has, so `#default` would be dropped without a word.
`self_test` proves at the start of a server that the forms come out right; without that nothing is verified.
"""

from __future__ import annotations

import hashlib
import queue
import re
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from lxml import etree

from schemas.namespaces import EXC_C14N, q
from security import rules_signature as rules

#: Digest methods by URI, with hashlib's name (XML Encryption 1.1: 5.7; RFC 6931: 2.1).
DIGESTS = {
    "http://www.w3.org/2001/04/xmlenc#sha256": "sha256",
    "http://www.w3.org/2001/04/xmldsig-more#sha384": "sha384",
    "http://www.w3.org/2001/04/xmlenc#sha512": "sha512",
}

#: Elements whose content is elsewhere, each with a function that gives its base64 text in pieces, from the start at each call.
Contents = Mapping[etree._Element, Callable[[], Iterable[bytes]]]

#: Prefixes of one PrefixList. Toolkits write a dozen; libxml2 takes their square for each element, so that some hundreds in a
#: message of some kilobytes would keep a server busy for minutes, before anything of it is believed.
MOST_PREFIXES = 32

_DEFAULT = "#default"
_SECOND_THREAD_FROM = 1024 * 1024
_WAITING = 4
_INCLUSIVE = q(EXC_C14N, "InclusiveNamespaces")


def canonical(element: etree._Element, prefixes: Sequence[str] = ()) -> bytes:
    """The exclusive canonical form of `element` where it stands, without comments. Raises Denied SIG-030."""
    if _DEFAULT in prefixes:
        # A namespace name is interned: now the dictionary of this thread, which is that of the tree, has the word.
        etree.fromstring(f'<a xmlns:x="{_DEFAULT}"/>')
    try:
        form: bytes = etree.tostring(
            element,
            method="c14n",
            exclusive=True,
            with_comments=False,
            inclusive_ns_prefixes=list(prefixes) or None,
            with_tail=False,
        )
    except etree.C14NError as error:
        raise _not_canonical(element, str(error)) from None
    if not form.startswith(b"<"):
        raise _not_canonical(element, "the canonical form is empty")
    return form


def _not_canonical(element: etree._Element, why: str) -> Exception:
    return rules.NOT_CANONICAL.denied(part=etree.QName(element).localname, log=why)


def prefix_list(method: etree._Element) -> tuple[str, ...]:
    """The words of the InclusiveNamespaces below a Transform or CanonicalizationMethod, in any order and spacing (BSP: R5414)."""
    inclusive = method.find(_INCLUSIVE)
    return tuple((inclusive.get("PrefixList") or "").split()) if inclusive is not None else ()


def digest(element: etree._Element, prefixes: Sequence[str], algorithm: str, contents: Contents) -> bytes:
    """The digest of `element` in canonical form, with the base64 of `contents` in their elements.

    `algorithm` is hashlib's name. The tree is changed meanwhile and is afterwards as it was.
    """
    inside = [holder for holder in contents if any(ancestor is element for ancestor in holder.iterancestors())]
    if not inside:
        return hashlib.new(algorithm, canonical(element, prefixes)).digest()
    marks = {secrets.token_hex(24).encode(): contents[holder] for holder in inside}
    with _marked(zip(inside, marks, strict=True)):
        form = canonical(element, prefixes)
    return _hash(_split(form, marks), algorithm)


def _hash(pieces: Iterable[bytes], algorithm: str) -> bytes:
    """Their digest. What is long is hashed by a second thread while this one makes the next base64: hashing releases the
    interpreter lock."""
    state, size = hashlib.new(algorithm), 0
    waiting: queue.Queue[bytes | None] = queue.Queue(_WAITING)
    second: threading.Thread | None = None

    def run() -> None:
        while (piece := waiting.get()) is not None:
            state.update(piece)

    try:
        for piece in pieces:
            size += len(piece)
            if second is None and size > _SECOND_THREAD_FROM:
                second = threading.Thread(target=run, name="digest", daemon=True)
                second.start()
            if second is not None:
                waiting.put(piece)
            else:
                state.update(piece)
    finally:
        if second is not None:
            waiting.put(None)
            second.join()
    return state.digest()


def _split(form: bytes, marks: Mapping[bytes, Callable[[], Iterable[bytes]]]) -> Iterator[bytes]:
    position, met = 0, 0
    view = memoryview(form)
    for match in re.finditer(b"|".join(marks), form):
        yield view[position : match.start()].tobytes()
        yield from marks[match[0]]()
        position, met = match.end(), met + 1
    if met != len(marks):
        raise ValueError(f"{met} of {len(marks)} marks came out of the canonical form")
    yield view[position:].tobytes()


@contextmanager
def _marked(holders: Iterable[tuple[etree._Element, bytes]]) -> Iterator[None]:
    """Each element holds its mark as its only content; at the end it holds what it held."""
    held: list[tuple[etree._Element, str | None, list[etree._Element]]] = []
    try:
        for holder, mark in holders:
            children = list(holder)
            held.append((holder, holder.text, children))
            for child in children:
                holder.remove(child)
            holder.text = mark.decode()
        yield
    finally:
        for holder, text, children in held:
            holder.text = text
            holder.extend(children)


# -------------------------------------------------------------------------------------------------------------- self-test

_DOCUMENT = (
    b'<r xmlns:a="urn:a" xmlns:u="urn:u" xmlns="urn:d"><!-- no --><a:b z="&#9;1" a:y="2" b="&lt;">'
    b'<x xmlns="" t="u:v"/>\xc3\xa9&gt;<![CDATA[&]]></a:b></r>'
)
#: Prefix list -> canonical form of a:b.
_FORMS = {
    (): b'<a:b xmlns:a="urn:a" b="&lt;" z="&#x9;1" a:y="2"><x t="u:v"></x>\xc3\xa9&gt;&amp;</a:b>',
    ("u",): b'<a:b xmlns:a="urn:a" xmlns:u="urn:u" b="&lt;" z="&#x9;1" a:y="2"><x t="u:v"></x>\xc3\xa9&gt;&amp;</a:b>',
    ("#default", "u"): (
        b'<a:b xmlns="urn:d" xmlns:a="urn:a" xmlns:u="urn:u" b="&lt;" z="&#x9;1" a:y="2">'
        b'<x xmlns="" t="u:v"></x>\xc3\xa9&gt;&amp;</a:b>'
    ),
}


def self_test() -> None:
    """Raises RuntimeError when this machine's libxml2 gives another canonical form than the standard: no signature can be trusted
    then, and the server must not start."""
    root = etree.fromstring(_DOCUMENT)
    element = root[-1]
    for prefixes, form in _FORMS.items():
        if canonical(element, prefixes) != form:
            raise RuntimeError(
                f"exclusive canonicalisation with PrefixList '{' '.join(prefixes)}' does not work with lxml {etree.__version__}, "
                f"libxml2 {'.'.join(map(str, etree.LIBXML_VERSION))}: signatures cannot be verified. Install the versions of "
                "requirements.lock"
            )
