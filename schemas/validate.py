"""Validation of a message body against our XSDs, with findings a person can act on.

The schemas are compiled once in each thread (about 2 ms) from the files beside this module. What is validated is the
child of the SOAP Body, in the tree the parser built; no `xsi:schemaLocation` of a message is followed.

Two deliberate leniencies, listed in `docs/schemas.md`: an `xop:Include` may stand where the schema wants
base64, and with `lenient` a missing `id` is not reported where no one ever refers to it (Classification,
ExternalIdentifier, Association).
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from lxml import etree

from schemas.namespaces import GDP, HABILITATIONS, HL7V3, LCM, PREFIXES, QUERY, RIM, RMD, RS, XDS, XML, XOP, XSI, q

__all__ = ["DMP_ROOTS", "MOST_FINDINGS", "ROOTS", "XSD_FOLDER", "SchemaFinding", "compile_schema", "validate"]

XSD_FOLDER = Path(__file__).parent / "xsd"

#: The bodies that are validated: local name -> the element's full name.
ROOTS: dict[str, str] = {
    "SubmitObjectsRequest": q(LCM, "SubmitObjectsRequest"),
    "RemoveObjectsRequest": q(LCM, "RemoveObjectsRequest"),
    "AdhocQueryRequest": q(QUERY, "AdhocQueryRequest"),
    "AdhocQueryResponse": q(QUERY, "AdhocQueryResponse"),
    "RegistryResponse": q(RS, "RegistryResponse"),
    "ProvideAndRegisterDocumentSetRequest": q(XDS, "ProvideAndRegisterDocumentSetRequest"),
    "RetrieveDocumentSetRequest": q(XDS, "RetrieveDocumentSetRequest"),
    "RetrieveDocumentSetResponse": q(XDS, "RetrieveDocumentSetResponse"),
    "RemoveDocumentsRequest": q(RMD, "RemoveDocumentsRequest"),
}
#: Bodies of the services of the DMP, which have a schema of their own: their handlers ask it, and answer in their own words.
DMP_ROOTS: dict[str, str] = {
    **{name: q(HL7V3, name) for name in (f"PRPA_IN2013{n}UV02" for n in ("07", "08", "11", "14"))},
    **{name: q(GDP, name) for name in ("PRPA_IN201311UV02_Response", "PRPA_IN201314UV02_Response")},
    **{name: q(HABILITATIONS, name) for name in ("setAuthorization", "setAuthorizationResponse")},
    **{name: q(HABILITATIONS, name) for name in ("listAuthorizationByPatient", "listAuthorizationByPatientResponse")},
}


@dataclass(frozen=True, slots=True)
class SchemaFinding:
    """One place where a body breaks the schema.

    `line` counts from 1 in the message as received (0: unknown); `path` leads from the body element to the place
    (`SubmitObjectsRequest/RegistryObjectList/ExtrinsicObject[2]/Slot[1]`); `element` is the name with the prefix used
    throughout this project (`rim:Slot`); `message` says what was found and what is allowed; `type` is libxml2's name of
    the broken constraint.
    """

    line: int
    path: str
    element: str
    message: str
    type: str


def validate(element: etree._Element, root: str, *, lenient: bool = False) -> list[SchemaFinding]:
    """What is wrong with `element`, the body named `root` (a key of ROOTS or DMP_ROOTS); an empty list means valid.

    At most MOST_FINDINGS are returned; where there are more, the last one says how many. `lenient` leaves out missing ids of
    Classification, ExternalIdentifier and Association. An `xop:Include` inside an xds:Document stands for valid base64. Raises
    KeyError for an unknown `root`.
    """
    expected = ROOTS.get(root) or DMP_ROOTS[root]
    if element.tag != expected:
        message = f"The body is {_pretty(str(element.tag))}, expected is {_pretty(expected)}"
        return [SchemaFinding(_line(element), _local(element), _pretty(str(element.tag)), message, "BODY")]
    schema = _schema("bodies.xsd" if root in ROOTS else "dmp.xsd")
    with _without_includes(element):
        if _is_large(element):
            entries = _entries_without_places(element, schema)
            if len(entries) > _PLACED:
                return _findings(element, entries, lenient)
        if schema.validate(element):
            return []
        return _findings(element, schema.error_log, lenient)


# ---- large bodies ----

#: More findings are counted, not told.
MOST_FINDINGS = 100
#: libxml2 counts the siblings before each element that it reports: a body full of faults costs the square of its length. Above
#: this many elements and attributes the faults are counted first, by a parser that asks for no places.
_LARGE = 16_000
#: Up to this many faults of a large body are placed all the same.
_PLACED = 1_000
_COUNT = etree.XPath("count(descendant::*) + count(descendant::*/@*)")
#: Fewer elements than this are counted one by one, which is sooner done than asking libxml2.
_FEW = 32


def _is_large(element: etree._Element) -> bool:
    few = list(islice(element.iter(), _FEW))
    if len(few) < _FEW:
        return sum([len(one.attrib) for one in few]) + len(few) > _LARGE
    return float(str(_COUNT(element))) > _LARGE


def _entries_without_places(element: etree._Element, schema: etree.XMLSchema) -> list[Any]:
    """The schema's entries about a copy of `element`, found while it is parsed: in a time that grows with its length only."""
    parser = etree.XMLParser(
        schema=schema, resolve_entities=False, no_network=True, load_dtd=False, attribute_defaults=False, huge_tree=True
    )
    try:
        etree.fromstring(etree.tostring(element, with_tail=False), parser)
    except etree.XMLSyntaxError:
        return list(parser.error_log)
    return []


# ---- the compiled schema ----


class _Local(threading.local):
    def __init__(self) -> None:
        self.schemas: dict[str, etree.XMLSchema] = {}


_local_schema = _Local()
_compiling = threading.Lock()


def compile_schema(path: Path) -> etree.XMLSchema:
    """The schema in a file of ours. For one thread: lxml keeps the error log on the object.

    One at a time: libxml2 makes its table of built-in types at the first compilation, without a lock and with lxml's
    interpreter lock released; a second thread that compiles meanwhile finds half a table ('anyURI' is not a built-in type).
    """
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    with _compiling:
        return etree.XMLSchema(etree.parse(str(path), parser))


def _schema(file: str) -> etree.XMLSchema:
    """The schema in this file, for this thread."""
    schema = _local_schema.schemas.get(file)
    if schema is None:
        schema = _local_schema.schemas[file] = compile_schema(XSD_FOLDER / file)
    return schema


# ---- xop:Include ----

_DOCUMENT = q(XDS, "Document")
_RESPONSE = q(XDS, "DocumentResponse")
_INCLUDE = q(XOP, "Include")


@contextmanager
def _without_includes(element: etree._Element) -> Iterator[None]:
    """Takes the Include out of every Document while the schema looks, and puts it back: an empty Document is valid base64.

    Only a Document whose whole content is one Include is touched; text beside it, or a second one, is left for the
    schema to find.
    """
    taken: list[tuple[etree._Element, etree._Element, str | None]] = []
    for document in _documents(element):
        if len(document) == 1 and document[0].tag == _INCLUDE and not _text_beside(document):
            include = document[0]
            taken.append((document, include, document.text))
            document.remove(include)
    try:
        yield
    finally:
        for document, include, text in taken:
            document.append(include)
            document.text = text


def _documents(element: etree._Element) -> Iterator[etree._Element]:
    if element.tag == ROOTS["ProvideAndRegisterDocumentSetRequest"]:
        yield from element.iterchildren(_DOCUMENT)
    elif element.tag == ROOTS["RetrieveDocumentSetResponse"]:
        for response in element.iterchildren(_RESPONSE):
            yield from response.iterchildren(_DOCUMENT)


def _text_beside(document: etree._Element) -> bool:
    return bool((document.text or "").strip() or (document[0].tail or "").strip())


# ---- findings ----

_UNREFERENCED = {q(RIM, "Classification"), q(RIM, "ExternalIdentifier"), q(RIM, "Association")}
_MISSING_ID = "The attribute 'id' is required but missing."
_HEAD = re.compile(r"Element '(?P<element>[^']*)'(?:, attribute '(?P<attribute>[^']*)')?: (?P<text>.*)", re.DOTALL)
_NAME = re.compile(r"\{([^{}]*)\}([\w.\-]+)")
_STEP = re.compile(r"(?:(?P<prefix>[^:\[\]]+):)?(?P<name>[^:\[\]]+)(?:\[(?P<index>\d+)\])?")
_LENGTH = re.compile(r"has a length of '(\d+)'; this exceeds the allowed maximum length of '(\d+)'")
_INVALID = re.compile(r"is not a valid value of the (?:local )?(?:atomic|union|list) type(?: '(?P<type>[^']*)')?")
_EXPECTED = re.compile(r"Expected is (?:one of )?\( (?P<names>.*) \)", re.DOTALL)
#: A value is quoted in a finding up to this many characters.
_QUOTED = 80
#: What each simple type wants, in words.
_TYPES = {
    "xs:boolean": "true, false, 1 or 0",
    "xs:integer": "a whole number",
    "xs:base64Binary": "base64",
    "xs:dateTime": "a dateTime such as 2025-03-01T12:00:00Z",
    "xs:duration": "a duration such as P1D",
    "xs:anyURI": "a URI",
    "rim:referenceURI": "a URI",
    "query:ReturnType": "LeafClass or ObjectRef (RegistryObject and LeafClassWithRepositoryItem are known to the schema)",
}
_XSI_NAMES = {"xs": "http://www.w3.org/2001/XMLSchema", "xsi": XSI, "xml": XML}
_DMP_NAMES = {"v3": HL7V3, "gdp": GDP, "hab": HABILITATIONS}
_BY_URI = {uri: prefix for prefix, uri in {**PREFIXES, **_XSI_NAMES, **_DMP_NAMES}.items()}


def _findings(root: etree._Element, log: Any, lenient: bool) -> list[SchemaFinding]:
    """libxml2's entries as findings: leniencies left out, the second entry about one attribute or text dropped."""
    findings: list[SchemaFinding] = []
    seen: set[tuple[str, str | None, str]] = set()
    entries = list(log)
    for number, entry in enumerate(entries):
        if len(findings) == MOST_FINDINGS - 1 and number < len(entries) - 1:
            message = f"The schema has up to {len(entries) - number} further findings in this body"
            findings.append(SchemaFinding(0, _local(root), _pretty(str(root.tag)), message, "MORE"))
            break
        head = _HEAD.match(entry.message)
        if head is None:
            findings.append(SchemaFinding(entry.line, _local(root), _pretty(str(root.tag)), entry.message, entry.type_name))
            continue
        if lenient and head["element"] in _UNREFERENCED and head["text"].startswith(_MISSING_ID):
            continue
        place = _walk(root, entry.path) if entry.path else None
        path = _readable(root, place) if place is not None else entry.path or _local(root)
        what = "value" if "_VALID" in entry.type_name else entry.type_name + head["text"]
        key = (path if entry.path else head["element"], head["attribute"], what)
        if key in seen:
            continue
        seen.add(key)
        line = entry.line if entry.path else 0  # of the copy, where nothing was placed
        line = line or (_line(place) if place is not None else 0)
        message = _message(head, place, entry.type_name)
        findings.append(SchemaFinding(line, path, _pretty(head["element"]), message, entry.type_name))
    if findings and entries and not entries[0].path:
        message = f"The schema has some {len(entries)} findings in this body; each sort of fault is named once, without places"
        findings.append(SchemaFinding(0, _local(root), _pretty(str(root.tag)), message, "MORE"))
    return findings


def _message(head: re.Match[str], place: etree._Element | None, type_name: str) -> str:
    """One sentence: the element, what was found, what is allowed."""
    element, attribute, text = _pretty(head["element"]), head["attribute"], head["text"].strip()
    subject = f"{element}/@{_pretty(attribute)}" if attribute else element
    if type_name == "SCHEMAV_ELEMENT_CONTENT":
        return _content_message(element, text, place)
    if type_name == "SCHEMAV_CVC_COMPLEX_TYPE_4":
        return f"{element} has no attribute {_quoted_name(text)}, which is required"
    if type_name == "SCHEMAV_CVC_COMPLEX_TYPE_3_2_1":
        return f"{element} carries the attribute {_pretty(attribute or '')}, which is not allowed there"
    if type_name == "SCHEMAV_CVC_COMPLEX_TYPE_2_3":
        return f"{element} contains text; only elements are allowed there"
    if type_name in {"SCHEMAV_CVC_TYPE_3_1_2", "SCHEMAV_CVC_COMPLEX_TYPE_2_2"}:
        return f"{element} contains elements; only text is allowed there"
    length = _LENGTH.search(text)
    if length:
        return f"{subject} has {length[1]} characters, allowed are at most {length[2]}: {_value(place, attribute)}"
    if type_name == "SCHEMAV_CVC_ENUMERATION_VALID":
        allowed = re.search(r"set \{(.*)\}", text)
        return f"{subject} is {_value(place, attribute)}, allowed are {allowed[1] if allowed else 'other values'}"
    invalid = _INVALID.search(text)
    if invalid:
        kind = _pretty(invalid["type"] or "")
        return f"{subject} is {_value(place, attribute)}, allowed is {_TYPES.get(kind, kind or 'another value')}"
    return f"{subject}: {_pretty(text)}"


def _content_message(element: str, text: str, place: etree._Element | None) -> str:
    expected = _EXPECTED.search(text)
    names = _pretty(expected["names"]).replace(" ", "").split(",") if expected else []
    allowed = names[0] if len(names) == 1 else "one of " + ", ".join(names)
    if text.startswith("Missing child"):
        return f"{element} ends too early: expected is {allowed}" if names else f"{element} ends too early"
    parent = place.getparent() if place is not None else None
    inside = f" in {_pretty(str(parent.tag))}" if parent is not None else ""
    return f"{element} is not allowed here{inside}: expected is {allowed if names else 'its end'}"


def _value(place: etree._Element | None, attribute: str | None) -> str:
    if place is None:
        return "a value"
    value = place.get(attribute) if attribute else place.text
    value = value or ""
    return repr(value if len(value) <= _QUOTED else value[:_QUOTED] + "...")


def _walk(root: etree._Element, path: str) -> etree._Element | None:
    """The element libxml2's `path` names; it starts at `root`, whatever stands above."""
    element = root
    for step in path.split("/")[2:]:
        match = _STEP.fullmatch(step)
        if match is None:
            return None
        name, prefix = match["name"], match["prefix"]
        children = element.iterchildren("*" if name == "*" else f"{{*}}{name}")
        alike = (child for child in children if name == "*" or child.prefix == prefix)
        found = next(islice(alike, int(match["index"] or 1) - 1, None), None)
        if found is None:
            return None
        element = found
    return element


def _readable(root: etree._Element, place: etree._Element) -> str:
    """Local names from the body element down; an index where several siblings share the name."""
    steps: list[str] = []
    element: etree._Element | None = place
    while element is not None and element is not root:
        alike = sum(1 for _ in element.itersiblings(str(element.tag), preceding=True))
        several = alike or next(element.itersiblings(str(element.tag)), None) is not None
        steps.append(f"{_local(element)}[{alike + 1}]" if several else _local(element))
        element = element.getparent()
    steps.append(_local(root))
    return "/".join(reversed(steps))


def _pretty(text: str) -> str:
    """`{namespace}Name` as `prefix:Name`, everywhere in `text`."""

    def short(match: re.Match[str]) -> str:
        prefix = _BY_URI.get(match[1])
        return f"{prefix}:{match[2]}" if prefix else match[0]

    return _NAME.sub(short, text)


def _quoted_name(text: str) -> str:
    match = re.search(r"'([^']*)'", text)
    return _pretty(match[1]) if match else ""


def _local(element: etree._Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _line(element: etree._Element) -> int:
    line: Any = element.sourceline
    return int(line or 0)
