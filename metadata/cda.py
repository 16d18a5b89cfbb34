"""A CDA R2 document judged by its header: what the standard and the French profile (CI-SIS) ask of every document.

`check_cda` gives every finding at once and touches nothing outside its argument. What goes beyond the model is no finding, since
CDA may be extended (CI-SIS: structuration minimale, 3.4.2); the body is judged as far as its order and its references go.

Source: HL7 CDA R2; CI-SIS "Structuration minimale de documents de santé" (header constants, required elements, nullFlavors, INS).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from lxml import etree

from metadata.cda_grammar import model_of, order_problem
from metadata.ins import AUTHORITIES, InsError
from metadata.ins import check as check_ins
from metadata.scalars import is_oid, problem_with_language
from schemas.namespaces import HL7V3, q

CLINICAL_DOCUMENT = q(HL7V3, "ClinicalDocument")
_NS = {"c": HL7V3}

HL7_FRANCE = "2.16.840.1.113883.2.8.2.1"
CI_SIS = "1.2.250.1.213.1.1.1.1"
XDS_SD = "1.3.6.1.4.1.19376.1.2.20"
CONFIDENTIALITY = "2.16.840.1.113883.5.25"
#: Media types of a body that is no XML (CI-SIS).
BODY_TYPES = ("application/pdf", "text/plain", "text/rtf", "image/jpeg", "image/tiff")
NULL_FLAVORS = ("UNK", "NASK", "ASKU", "NAV", "MSK")
_TIME = re.compile(r"[0-9]{4}(?:[0-9]{2}(?:[0-9]{2}(?:[0-9]{2}(?:[0-9]{2}(?:[0-9]{2}(?:\.[0-9]+)?)?)?[+-][0-9]{4})?)?)?")
_STAMP = re.compile(r"[0-9]{14}(?:\.[0-9]+)?[+-][0-9]{4}")


@dataclass(frozen=True, slots=True)
class CdaFinding:
    """One thing that is wrong with a document: rule id, where (path of element names), what, and how to mend it."""

    rule: str
    path: str
    message: str
    remedy: str = ""
    line: int | None = None
    element: etree._Element | None = field(default=None, repr=False, compare=False)

    def text(self) -> str:
        """One line for a person."""
        where = f"line {self.line}, {self.path}" if self.line else self.path
        return f"{where}: {self.message}. {self.remedy + ' ' if self.remedy else ''}[{self.rule}]"


Check = Callable[[etree._Element], Iterator[CdaFinding]]
_CHECKS: list[Check] = []


def _check(function: Check) -> Check:
    _CHECKS.append(function)
    return function


def check_cda(root: etree._Element) -> list[CdaFinding]:
    """Every finding of every check. An element of another name is one finding and nothing else is judged."""
    if root.tag != CLINICAL_DOCUMENT:
        return [_at("CDA-001", root, "the root element is no ClinicalDocument of urn:hl7-org:v3")]
    return [finding for check in _CHECKS for finding in check(root)]


def _local(element: etree._Element) -> str:
    return etree.QName(element).localname


def _path(element: etree._Element) -> str:
    names = [_local(element), *(_local(e) for e in element.iterancestors())]
    return "/".join(reversed(names))


def _at(rule: str, element: etree._Element, message: str, remedy: str = "") -> CdaFinding:
    line = element.sourceline
    return CdaFinding(rule, _path(element), message, remedy, line if isinstance(line, int) else None, element)


def _find(root: etree._Element, path: str) -> list[etree._Element]:
    """`a/b` with every step in the namespace of CDA."""
    return root.findall("/".join(f"c:{step}" for step in path.split("/")), _NS)


# ---------------------------------------------------------------------------------------------------------------- the checks


@_check
def _order(root: etree._Element) -> Iterator[CdaFinding]:
    """CDA-002: children stand in the order of the CDA schema, required ones are present."""
    waiting = [(root, "")]
    while waiting:
        element, parent = waiting.pop()
        name = _local(element)
        children = [child for child in element if isinstance(child.tag, str) and child.tag.startswith(f"{{{HL7V3}}}")]
        model = model_of(parent, name)
        if model and element.get("nullFlavor") is None:
            problem = order_problem(model, [_local(child) for child in children])
            if problem:
                yield _at("CDA-002", element, problem, "CDA R2 orders the elements of each class.")
        if name != "text":
            waiting.extend((child, name) for child in reversed(children))


_REQUIRED = (
    "id", "code", "title", "effectiveTime", "confidentialityCode", "languageCode", "setId", "versionNumber",
    "recordTarget/patientRole/id", "recordTarget/patientRole/patient", "author/assignedAuthor/id",
    "custodian/assignedCustodian/representedCustodianOrganization/id", "legalAuthenticator/time",
    "legalAuthenticator/assignedEntity/id", "documentationOf/serviceEvent/effectiveTime/low",
    "documentationOf/serviceEvent/performer/assignedEntity/representedOrganization/standardIndustryClassCode",
    "componentOf/encompassingEncounter/location/healthCareFacility/code", "component",
)  # fmt: skip


@_check
def _required(root: etree._Element) -> Iterator[CdaFinding]:
    """CDA-003: what CI-SIS requires without nullFlavor is present and has its value."""
    for path in _REQUIRED:
        found = _find(root, path)
        if not found:
            yield _at("CDA-003", root, f"{path} is missing", "CI-SIS requires it of every document.")
        elif all(element.get("nullFlavor") is not None for element in found):
            yield _at("CDA-003", found[0], "a nullFlavor stands where CI-SIS demands the value")


@_check
def _constants(root: etree._Element) -> Iterator[CdaFinding]:
    """CDA-004: realmCode, typeId and the templateIds of HL7 France and CI-SIS."""
    if [e.get("code") for e in _find(root, "realmCode")] != ["FR"]:
        yield _at("CDA-004", root, "realmCode is not FR", 'Write <realmCode code="FR"/>.')
    for type_id in _find(root, "typeId") or [root]:
        if (type_id.get("root"), type_id.get("extension")) != ("2.16.840.1.113883.1.3", "POCD_HD000040"):
            yield _at("CDA-004", type_id, "typeId is not 2.16.840.1.113883.1.3 / POCD_HD000040", "It names CDA R2.")
    present = {e.get("root") for e in _find(root, "templateId")}
    expected = [HL7_FRANCE, CI_SIS] + ([XDS_SD] if _find(root, "component/nonXMLBody") else [])
    for oid in expected:
        if oid not in present:
            yield _at("CDA-004", root, f"templateId {oid} is missing", "The document declares what it conforms to.")


@_check
def _null_flavors(root: etree._Element) -> Iterator[CdaFinding]:
    """CDA-005: nullFlavor is one of those that CI-SIS leaves."""
    for element in root.iter():
        flavor = element.get("nullFlavor") if isinstance(element.tag, str) else None
        if flavor is not None and flavor not in NULL_FLAVORS:
            yield _at("CDA-005", element, f"nullFlavor '{flavor}'", f"CI-SIS allows {', '.join(NULL_FLAVORS)}.")


@_check
def _ids(root: etree._Element) -> Iterator[CdaFinding]:
    """CDA-006: roots are OIDs or UUIDs; the document's id and setId are OIDs without extension."""
    for element in root.iter(*(q(HL7V3, name) for name in ("id", "setId", "templateId"))):
        value = element.get("root")
        if value is not None and not (is_oid(value) or re.fullmatch(r"[0-9A-Fa-f-]{36}", value)):
            yield _at("CDA-006", element, f"root '{value}' is neither an OID nor a UUID")
        if value is None and element.get("nullFlavor") is None:
            yield _at("CDA-006", element, "root is missing", "An id has a root, or a nullFlavor.")
    for name in ("id", "setId"):
        for element in _find(root, name):
            if element.get("extension") is not None:
                yield _at("CDA-006", element, "an extension stands beside the OID", "The uniqueId in XDS is the OID alone.")


@_check
def _codes(root: etree._Element) -> Iterator[CdaFinding]:
    """CDA-007: codes name their system and how they are displayed; the header's confidentialityCode is N, R or V."""
    for path in ("code", "confidentialityCode", *(p for p in _REQUIRED if p.endswith(("Code", "/code")))):
        for element in _find(root, path) if path != "languageCode" else ():
            for attribute in ("code", "codeSystem", "displayName"):
                if element.get(attribute) is None and element.get("nullFlavor") is None:
                    yield _at("CDA-007", element, f"@{attribute} is missing")
    for element in _find(root, "confidentialityCode"):
        if element.get("code") not in ("N", "R", "V") or element.get("codeSystem") != CONFIDENTIALITY:
            yield _at("CDA-007", element, f"'{element.get('code')}' is none of N, R, V of {CONFIDENTIALITY}")
    for element in _find(root, "languageCode"):
        problem = problem_with_language(element.get("code", ""))
        if problem:
            yield _at("CDA-007", element, problem, "Write fr-FR.")
    for element in root.iter(q(HL7V3, "code"), q(HL7V3, "value")):
        if element.get("code") is not None and element.get("codeSystem") is None:
            yield _at("CDA-007", element, f"code '{element.get('code')}' has no codeSystem")


@_check
def _times(root: etree._Element) -> Iterator[CdaFinding]:
    """CDA-008: times are HL7 TS; those of the header that carry a clock time carry its offset; intervals are not reversed."""
    for element in root.iter(*(q(HL7V3, name) for name in ("effectiveTime", "time", "low", "high", "birthTime"))):
        value = element.get("value")
        if value is not None and element.get(q("http://www.w3.org/2001/XMLSchema-instance", "type")) in (None, "TS", "IVL_TS") \
                and not _TIME.fullmatch(value) and _is_time(element):  # fmt: skip
            yield _at("CDA-008", element, f"'{value}' is no time", "Write YYYYMMDDhhmmss+zzzz: 20240131101500+0100.")
    for path in ("effectiveTime", "author/time", "legalAuthenticator/time"):
        for element in _find(root, path):
            if element.get("nullFlavor") is None and not _STAMP.fullmatch(element.get("value", "")):
                yield _at("CDA-008", element, f"'{element.get('value', '')}' has no seconds or no offset")
    for element in root.iter(q(HL7V3, "effectiveTime")):
        low, high = (element.find(q(HL7V3, name)) for name in ("low", "high"))
        if low is not None and high is not None and low.get("value", "")[:14] > high.get("value", "~")[:14]:
            yield _at("CDA-008", element, "the interval ends before it begins")


def _is_time(element: etree._Element) -> bool:
    """low and high bound quantities too."""
    parent = element.getparent()
    return _local(element) not in ("low", "high") or parent is None or _local(parent) in ("effectiveTime", "time")


@_check
def _patient(root: etree._Element) -> Iterator[CdaFinding]:
    """CDA-009: an INS is right, and the five traits that make it stand with it (CI-SIS: identité INS)."""
    for role in _find(root, "recordTarget/patientRole"):
        ins = [e for e in _find(role, "id") if e.get("root") in AUTHORITIES]
        for element in ins:
            try:
                check_ins(element.get("extension", ""))
            except InsError as error:
                yield _at("CDA-009", element, str(error))
        if ins:
            yield from _traits(role)


def _traits(role: etree._Element) -> Iterator[CdaFinding]:
    family = role.findall("c:patient/c:name/c:family", _NS)
    given = role.findall("c:patient/c:name/c:given", _NS)
    traits = {
        "birth name (family qualifier BR)": any(e.get("qualifier") == "BR" for e in family),
        "birth given names (given without qualifier)": any(e.get("qualifier") is None for e in given),
        "first birth given name (given qualifier BR)": any(e.get("qualifier") == "BR" for e in given),
        "sex": role.find("c:patient/c:administrativeGenderCode", _NS) is not None,
        "birth date": role.find("c:patient/c:birthTime", _NS) is not None,
        "INSEE code of the birth place": role.find("c:patient/c:birthplace/c:place/c:addr/c:county", _NS) is not None,
    }
    for trait, present in traits.items():
        if not present:
            yield _at("CDA-009", role, f"{trait} is missing beside an INS")


@_check
def _body(root: etree._Element) -> Iterator[CdaFinding]:
    """CDA-010: sections say what they are and have text; references lead to it; an unstructured body is of a known type."""
    for text in _find(root, "component/nonXMLBody/text"):
        if text.get("mediaType") not in BODY_TYPES or text.get("representation") != "B64":
            yield _at("CDA-010", text, f"mediaType '{text.get('mediaType')}'", f"Base64 (B64) of {', '.join(BODY_TYPES)}.")
    marks = [str(mark) for mark in root.xpath(".//@ID")]  # type: ignore[union-attr]
    for mark in sorted({mark for mark in marks if marks.count(mark) > 1}):
        yield _at("CDA-010", root, f"ID '{mark}' occurs twice")
    for section in root.iter(q(HL7V3, "section")):
        for name in ("code", "title", "text"):
            if section.find(q(HL7V3, name)) is None and not (name == "text" and section.find(q(HL7V3, "component")) is not None):
                yield _at("CDA-010", section, f"a section has no {name}")
    for reference in root.iter(q(HL7V3, "reference")):
        target = reference.get("value", "")
        if target.startswith("#") and target[1:] not in marks:
            yield _at("CDA-010", reference, f"'{target}' leads to nothing in the narrative")


@_check
def _replacement(root: etree._Element) -> Iterator[CdaFinding]:
    """CDA-011: versionNumber is a number; relatedDocument is RPLC, APND or XFRM and does not name the document itself."""
    for version in _find(root, "versionNumber"):
        if not version.get("value", "").isdigit():
            yield _at("CDA-011", version, f"'{version.get('value', '')}' is no number")
    own = {e.get("root") for e in _find(root, "id")}
    for related in _find(root, "relatedDocument"):
        if related.get("typeCode") not in ("RPLC", "APND", "XFRM"):
            yield _at("CDA-011", related, f"typeCode '{related.get('typeCode')}' is none of RPLC, APND, XFRM")
        for parent in related.findall("c:parentDocument/c:id", _NS):
            if parent.get("root") in own:
                yield _at("CDA-011", parent, "the document relates to itself")
