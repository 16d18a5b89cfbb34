"""What one check of one file knows: options, the lenient profile of the wire, and how findings of all kinds get their place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from lxml import etree

from conformance.check_places import NOWHERE, Passage, Place, Source, Tree, line_of
from conformance.check_result import Checked, Found, Level
from conformance.schematron import RuleSet
from metadata.attributes import BY_NAME, OF_KIND, Attribute, Carrier
from metadata.domain import Domain
from metadata.rules.advice import ADVICE
from metadata.rules.rule import Finding
from metadata.rules.table import RULES
from metadata.vocabulary import ObjectKind, Severity, Transaction
from schemas.namespaces import RIM, q
from schemas.parse import Limits as ParseLimits
from schemas.parse import ParseError, ParseNote, parse
from soap.call import Note
from soap.fault import Fault
from soap.limits import GB, MB, Limits
from soap.root import fault_of
from soap.wire import QUIRKS, Do, Wire

#: What a file may hold: a capture is looked at by its sender, so there is room.
LIMITS = Limits(root=64 * MB, memory=256 * MB, memory_total=4 * GB, inline=256 * MB, depth=256)
PARSE_LIMITS = ParseLimits(max_bytes=LIMITS.root, max_depth=LIMITS.depth)
#: Of one kind of break in XML so many are told.
_BREAKS = 20
_ADVICE = frozenset(row.id for row in RULES if ADVICE in row.tags)
_NOTE_ROWS = {"XML-101": "WIRE-049", "XML-102": "WIRE-048-name"}

_LOCAL_NAME = re.compile(r"[^\W\d][\w.-]*")
_ATTRIBUTE_NAME = re.compile(r"(?:\{[^{}]*\})?(?:[^\W\d][\w.-]*:)?[^\W\d][\w.-]*")

Locate = Callable[[str, str], Place]


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """How files are judged. `domain`: codes, limits and options of an affinity domain; `transaction`: what a fragment belongs to;
    `rule_sets`: the user's own Schematron sets for CDA documents."""

    domain: Domain | None = None
    transaction: Transaction | None = None
    rule_sets: Sequence[RuleSet] = ()


def lenient() -> Wire:
    """The profile of the lint: everything that can be read in one way is read, and what the strict profile refuses is noted."""
    return Wire(overrides={id: Do.NOTE for id, row in QUIRKS.items() if not row.fixed and row.strict is Do.REFUSE})


@dataclass(slots=True)
class Lint:
    """The check of one file under way."""

    source: Source
    checked: Checked
    options: CheckOptions
    wire: Wire = field(default_factory=lenient)
    notes: list[Note] = field(default_factory=list)

    # ------------------------------------------------------------------------------------------------------------ adding

    def add(self, rule: str, level: Level, message: str, place: Place = NOWHERE, *, remedy: str = "", section: str = "",
            part: str = "", subject: str = "", value: str = "") -> None:  # fmt: skip
        line, column = place
        self.checked.add(Found(rule, level, message, remedy, section, line, column, part, subject, value))

    def fault(self, fault: Fault, place: Place, part: str = "") -> None:
        """A fault that a server would answer with."""
        section = QUIRKS[fault.rule].source if fault.rule in QUIRKS else ""
        rule = fault.rule or (fault.subcode[1] if fault.subcode else fault.code.local)
        self.add(rule, Level.ERROR, fault.reason, place, remedy=fault.remedy, section=section, part=part)

    def tell(self, locate: Locate, part: str = "") -> None:
        """The quirks that were met since the last time; `locate` knows where a row with this detail stands."""
        for note in self.notes:
            row = QUIRKS[note.id]
            level = Level.ERROR if row.default is Do.REFUSE else Level.TOLERATED
            detail = note.text[len(row.text) :].removeprefix(": ")
            said = row.refusal or row.text
            said = f"{said}: {detail}" if detail else said
            self.add(note.id, level, said, locate(note.id, detail), remedy=row.remedy, section=row.source, part=part)
        self.notes.clear()

    # -------------------------------------------------------------------------------------------------------------- XML

    def parse(
        self, passage: Passage, charset: str | None = None, what: str = "envelope", instructions: bool = False
    ) -> Tree | None:
        """The tree of a text; one that is broken is mended as far as it goes, and every break is a finding."""
        met: list[ParseNote] = []
        try:
            root = parse(passage.text, limits=PARSE_LIMITS, what=what, charset=charset, notes=met, instructions=instructions)
        except ParseError as error:
            place = _in(passage, error.line, error.column) if error.line else passage.place(0)
            self.fault(fault_of(_placeless(error), self.wire), place, passage.name)
            return self._mended(passage, error)
        for note in met:
            self.wire.meet(_NOTE_ROWS[note.rule], self.notes, note.message)
        self.tell(lambda id, detail: passage.place(0), passage.name)
        return Tree(root, _in_utf8(passage))

    def _mended(self, passage: Passage, first: ParseError) -> Tree | None:
        parser = etree.XMLParser(recover=True, resolve_entities=False, no_network=True, load_dtd=False, collect_ids=False)
        try:
            root = etree.fromstring(passage.text.lstrip(b"\r\n\t "), parser)
        except (etree.XMLSyntaxError, ValueError):
            return None
        if root is None:
            return None
        _rename(root)
        skipped = passage.text[: len(passage.text) - len(passage.text.lstrip(b"\r\n\t "))].count(b"\n")
        seen = {first.line}
        for entry in list(parser.error_log)[:_BREAKS]:
            line = entry.line + skipped
            if line not in seen:
                seen.add(line)
                message = f"not well-formed XML: {entry.message}"
                self.add("XML-001", Level.ERROR, message, _in(passage, line, entry.column), part=passage.name)
        return Tree(root, passage)

    # --------------------------------------------------------------------------------------------------------- findings

    def findings(self, found: Iterable[Finding], tree: Tree) -> None:
        """Findings of rules about a tree, each at its attribute."""
        for one in found:
            level = Level.WARNING if one.severity is Severity.WARNING else Level.ERROR
            if one.rule in _ADVICE:
                level = Level.ADVICE
            place = locate(one, tree)
            subject = " ".join(filter(None, (one.object, one.attribute)))
            self.add(one.rule, level, one.message, place, remedy=one.remedy, section=one.section, part=tree.part, subject=subject,
                     value=one.value)  # fmt: skip


def _rename(root: etree._Element) -> None:
    """libxml2 mends what has no right name as it stands; whoever looks at the tree relies on names that are right. Prefixes that
    are declared nowhere go, and entities."""
    etree.strip_elements(root, etree.Entity, with_tail=False)
    for element in root.iter(etree.Element):
        space, brace, local = element.tag.rpartition("}")
        local = local.rpartition(":")[2]
        right = local if _LOCAL_NAME.fullmatch(local) else "nameless"
        named = f"{space}{brace}{right}" if not set("{}") & set(space[1:]) else right
        if named != element.tag:
            element.tag = named
        for name in [name for name in map(str, element.attrib) if not _ATTRIBUTE_NAME.fullmatch(name)]:
            del element.attrib[name]


def _in_utf8(passage: Passage) -> Passage:
    """A text of UTF-16 as octets of UTF-8: its lines and columns are those that an editor shows."""
    start = passage.text[:2]
    codec = "utf-16" if start in (b"\xff\xfe", b"\xfe\xff") else {b"<\0": "utf-16-le", b"\0<": "utf-16-be"}.get(start)
    if codec is None:
        return passage
    text = passage.text.decode(codec, "replace").encode()
    name = "" if len(passage.text) == len(passage.source.data) else "text of UTF-16"
    return Passage(passage.source, text, (), passage.name or name)


def _placeless(error: ParseError) -> ParseError:
    return ParseError(error.rule, error.message, remedy=error.remedy)


def _in(passage: Passage, line: int, column: int) -> Place:
    """Line and column within a text as a place in the file."""
    start = 0
    for _ in range(line - 1):
        start = passage.text.find(b"\n", start) + 1
        if not start:
            return passage.place(len(passage.text))
    return passage.place(start + max(column - 1, 0))


# ------------------------------------------------------------------------------------------------- the place of a finding

_SLOT, _CLASSIFICATION, _IDENTIFIER = q(RIM, "Slot"), q(RIM, "Classification"), q(RIM, "ExternalIdentifier")
_VALUE, _NAME, _DESCRIPTION = q(RIM, "Value"), q(RIM, "Name"), q(RIM, "Description")
_BY_CARRIER = {Carrier.SLOT: (_SLOT, "name"), Carrier.CLASSIFICATION: (_CLASSIFICATION, "classificationScheme"),
               Carrier.EXTERNAL_IDENTIFIER: (_IDENTIFIER, "identificationScheme")}  # fmt: skip
_KINDS = {"ExtrinsicObject": (ObjectKind.DOCUMENT_ENTRY,), "Association": (ObjectKind.ASSOCIATION,),
          "RegistryPackage": (ObjectKind.SUBMISSION_SET, ObjectKind.FOLDER)}  # fmt: skip
_XML_ATTRIBUTE = {Carrier.MIME_TYPE: "mimeType", Carrier.HOME: "home", Carrier.LID: "lid", Carrier.STATUS: "status",
                  Carrier.OBJECT_TYPE: "objectType", Carrier.ASSOCIATION_TYPE: "associationType",
                  Carrier.SOURCE_OBJECT: "sourceObject", Carrier.TARGET_OBJECT: "targetObject", Carrier.ID: "id"}  # fmt: skip


def locate(finding: Finding, tree: Tree) -> Place:
    """The element or attribute that a finding is about: the value where it is found, else the carrier, else the object."""
    scope = _scope(finding, tree)
    if scope is None:
        near = tree.at_line(finding.line) if finding.line else []
        return tree.place(_by_value(near, finding.value, near[0] if near else tree.root))
    for attribute in _attributes(scope, finding.attribute):
        place = _carried(scope, attribute, finding, tree)
        if place is not None:
            return place
    own = finding.attribute.rpartition("@")[2]
    if own and scope.get(own) is not None:
        return tree.place(scope, own)
    inside = [element for element in scope.iter() if isinstance(element.tag, str)]
    if finding.line and finding.line != line_of(scope):
        inside = [element for element in inside if line_of(element) == finding.line] or inside
        return tree.place(_by_value(inside, finding.value, inside[0]))
    return tree.place(_by_value(inside[1:], finding.value, scope))


def _scope(finding: Finding, tree: Tree) -> etree._Element | None:
    """The object of the finding, of several with one id that of its line."""
    if not finding.object:
        return None
    named = [e for e in tree.elements if e.get("id") == finding.object and etree.QName(e).localname in _KINDS]
    named = named or [e for e in tree.elements if e.get("id") == finding.object]
    return next((e for e in named if finding.line and line_of(e) == finding.line), named[-1] if named else None)


def _attributes(scope: etree._Element, name: str) -> list[Attribute]:
    kinds = _KINDS.get(etree.QName(scope).localname, ())
    found = [BY_NAME[kind, name] for kind in kinds if (kind, name) in BY_NAME]
    if name.startswith("author") and not found:
        found = [row for kind in kinds for row in OF_KIND[kind] if row.name == "author"]
    return found


def _carried(scope: etree._Element, attribute: Attribute, finding: Finding, tree: Tree) -> Place | None:
    if attribute.carrier in _XML_ATTRIBUTE:
        return tree.place(scope, _XML_ATTRIBUTE[attribute.carrier])
    if attribute.carrier in (Carrier.NAME, Carrier.DESCRIPTION):
        tag = _NAME if attribute.carrier is Carrier.NAME else _DESCRIPTION
        return tree.place(next(scope.iterchildren(tag), None)) if scope.find(tag) is not None else None
    if attribute.carrier not in _BY_CARRIER:
        return None
    tag, key = _BY_CARRIER[attribute.carrier]
    carriers = [child for child in scope.iterchildren(tag) if child.get(key) == attribute.key]
    if not carriers:
        return None
    lined = [child for child in carriers if finding.line and line_of(child) == finding.line] or carriers
    twice = len(lined) > 1 and "more than once" in finding.message
    inside = [element for child in lined for element in child.iter() if isinstance(element.tag, str)]
    valued = [element for element in inside if _has(element, finding.value)] if finding.value else []
    repeated = re.search(r"has [0-9]+ values", finding.message) is not None
    if valued and not twice:
        return tree.place(valued[-1 if repeated else 0], "value" if valued[0].tag == _IDENTIFIER else "")
    return tree.place(lined[-1] if twice else lined[0])


def _has(element: etree._Element, value: str) -> bool:
    return (element.tag == _VALUE and (element.text or "") == value) or value in (
        element.get("value"), element.get("nodeRepresentation"),
    )  # fmt: skip


def _by_value(elements: Sequence[etree._Element], value: str, otherwise: etree._Element) -> etree._Element:
    """The element that holds this value, as its text or as an attribute."""
    if not value:
        return otherwise
    holding = (e for e in elements if (e.text or "").strip() == value or value in map(str, e.attrib.values()))
    return next(holding, otherwise)
