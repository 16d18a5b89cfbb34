"""Data types of HL7 V2.5 as IHE narrows them: CX, CXi, XCN, XON, XTN, Coded String, Field, Recipient.

ITI TF-3: Table 4.2.3.1.7-2. The separators are fixed, `|` `^` `&` `~` and the escape character `\\`; HL7's length limits
are not to be enforced. As in `metadata.scalars`, `problem_with_x` answers None for a right text, and `parse_x` raises for
exactly the wrong ones. Fields of the dataclasses are unescaped.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from metadata.scalars import blank_problem, checked, is_oid

# ------------------------------------------------------------------------------------------------------------- escaping

_TO_ESCAPE = {"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "~": "\\R\\", "&": "\\T\\"}
_FROM_ESCAPE = {"E": "\\", "F": "|", "S": "^", "R": "~", "T": "&"}
_ESCAPE = re.compile(r"\\([EFSRT])\\")
_SEPARATORS = re.compile(r"[\\|^~&]")


def escape(text: str) -> str:
    """Write separators as \\F\\ \\S\\ \\R\\ \\T\\ \\E\\."""
    return _SEPARATORS.sub(lambda m: _TO_ESCAPE[m[0]], text)


def unescape(text: str) -> str:
    """The inverse of `escape`; a backslash that is no escape stays."""
    return _ESCAPE.sub(lambda m: _FROM_ESCAPE[m[1]], text) if "\\" in text else text


def _text_problem(text: str) -> str | None:
    """Blanks, control characters, wrong escapes, and `&amp;` that was escaped twice on its way into XML."""
    problem = blank_problem(text)
    if problem:
        return problem
    if "&amp;" in text:
        return "the value holds '&amp;' as text: the ampersand was escaped twice"
    if "\\" in text and "\\" in _ESCAPE.sub("", text):
        return "a backslash is not part of one of the escapes \\F\\ \\S\\ \\R\\ \\T\\ \\E\\"
    return None


def _separator_problem(text: str, separators: str, what: str) -> str | None:
    for separator in separators:
        if separator in text:
            return f"{what} cannot hold '{separator}'"
    return None


def _extra_problem(components: Sequence[str], allowed: Sequence[int], name: str) -> str | None:
    """Name the first component that is filled and must not be."""
    for number, component in enumerate(components, 1):
        if component and number not in allowed:
            return f"component {number} of {name} must be empty, it holds '{component}'"
    return None


def _component(components: Sequence[str], number: int) -> str:
    return components[number - 1] if number <= len(components) else ""


# -------------------------------------------------------------------------------------------------- assigning authority


@dataclass(frozen=True, slots=True)
class AssigningAuthority:
    """HD: namespace id, universal id, type of the universal id."""

    namespace: str = ""
    oid: str = ""
    type: str = ""


def _authority(text: str) -> AssigningAuthority:
    parts = [unescape(p) for p in text.split("&")]
    return AssigningAuthority(*[*parts, "", "", ""][:3])


def _iso_authority_problem(text: str, where: str) -> str | None:
    """`&OID&ISO`, nothing else."""
    parts = text.split("&")
    if len(parts) != 3:
        return f"{where} is not of the form &OID&ISO"
    if parts[0]:
        return f"{where} carries the namespace '{parts[0]}' before the OID"
    if parts[2] != "ISO":
        return f"the type of {where} is '{parts[2]}', not ISO"
    if not is_oid(parts[1]):
        return f"'{parts[1]}' in {where} is not an OID"
    return None


# ------------------------------------------------------------------------------------------------------------------ CX

CX_REMEDY = "A patient identifier is id^^^&OID&ISO: IPP123^^^&1.2.250.1.71.4.2.7&ISO."
_CX = re.compile(r"[^\x00-\x20^&|~\\\x7f](?:[^\x00-\x1f^&|~\\\x7f]*[^\x00-\x20^&|~\\\x7f])?\^\^\^&([0-9.]+)&ISO")


@dataclass(frozen=True, slots=True)
class CX:
    """`type` is component 5, which IHE leaves empty and some countries fill (NH, PI)."""

    id: str
    oid: str
    type: str = ""

    @property
    def text(self) -> str:
        """The form of IHE, by which ids are compared: `id^^^&OID&ISO`."""
        return f"{escape(self.id)}^^^&{self.oid}&ISO"


def problem_with_cx(text: str, type_code: bool = False) -> str | None:
    """With `type_code` component 5 may be filled, as national rules have it."""
    match = _CX.fullmatch(text)
    if match is not None and is_oid(match[1]) and text == text.strip():
        return None
    problem = _text_problem(text) or _separator_problem(text, "|~", "a CX")
    if problem:
        return problem
    components = text.split("^")
    if not components[0].strip():
        return "the CX has no id in component 1"
    if "&" in components[0]:
        return "component 1 of the CX cannot hold '&'"
    allowed = (1, 4, 5) if type_code else (1, 4)
    problem = _extra_problem(components, allowed, "the CX")
    if problem:
        return problem
    if not _component(components, 4):
        return "the CX has no assigning authority in component 4"
    problem = _iso_authority_problem(components[3], "the assigning authority")
    if problem:
        return problem
    if len(components) > (5 if type_code else 4) or not components[-1]:
        return "the CX has separators after its last component"
    return None


def parse_cx(text: str, type_code: bool = False) -> CX:
    checked(text, lambda t: problem_with_cx(t, type_code), CX_REMEDY)
    components = text.split("^")
    return CX(unescape(components[0]), components[3].split("&")[1], unescape(_component(components, 5)))


def canonical_cx(text: str) -> str:
    """`id^^^&OID&ISO` without a type code and without trailing separators: the form in which ids are compared."""
    return "^".join(text.split("^")[:4])


# ----------------------------------------------------------------------------------------------------------------- CXi

CXI_REMEDY = "A reference id is id^^^[&OID&ISO]^type: 2013001^^^&1.2.3.4&ISO^urn:ihe:iti:xds:2013:accession."

#: Types of ids for which the standard demands an assigning authority. Where it says that only components 1 and 5 are
#: used (workflowInstanceId, studyInstanceUID) an authority is let pass: it is superfluous, not ambiguous, and it is sent.
CXI_WITH_AUTHORITY = frozenset(
    {"urn:ihe:iti:xds:2013:referral", "urn:ihe:iti:xds:2013:order", "urn:ihe:iti:xds:2015:encounterId"}
)


@dataclass(frozen=True, slots=True)
class CXi:
    id: str
    authority: AssigningAuthority
    type: str


def problem_with_cxi(text: str) -> str | None:
    """ITI TF-3: 4.2.3.2.28."""
    problem = _text_problem(text) or _separator_problem(text, "|~", "a CXi")
    if problem:
        return problem
    components = text.split("^")
    if not components[0]:
        return "the CXi has no id in component 1"
    if not _component(components, 5):
        return "the CXi has no identifier type in component 5"
    problem = _extra_problem(components, (1, 4, 5), "the CXi") or _separator_problem(components[0], "&", "component 1 of the CXi")
    if problem:
        return problem
    authority = components[3]
    if not authority:
        wanted = components[4] in CXI_WITH_AUTHORITY
        return f"a reference id of type {components[4]} needs an assigning authority in component 4" if wanted else None
    parts = authority.split("&")
    if len(parts) > 3:
        return "the assigning authority has more than three parts"
    namespace, universal, kind = [*parts, "", ""][:3]
    if not universal:
        return None if namespace and not kind else "the assigning authority has neither namespace nor universal id"
    if not kind:
        return "the universal id of the assigning authority has no type"
    if kind == "ISO" and not is_oid(universal):
        return f"'{universal}' in the assigning authority is not an OID"
    return None


def parse_cxi(text: str) -> CXi:
    checked(text, problem_with_cxi, CXI_REMEDY)
    components = text.split("^")
    return CXi(unescape(components[0]), _authority(components[3]), unescape(components[4]))


# ----------------------------------------------------------------------------------------------------------------- XCN

XCN_REMEDY = "A person is id^family^given^^^^^^&OID&ISO: ^Martin^Anne or 899900063480^MARTIN^ANNE^^^^^^&1.2.250.1.71.4.2.1&ISO."
_XCN_COMPONENTS = 23


@dataclass(frozen=True, slots=True)
class XCN:
    id: str = ""
    family: str = ""
    given: str = ""
    middle: str = ""
    suffix: str = ""
    prefix: str = ""
    degree: str = ""
    authority: AssigningAuthority = AssigningAuthority()


def problem_with_xcn(text: str) -> str | None:
    problem = _text_problem(text) or _separator_problem(text, "|~", "an XCN")
    if problem:
        return problem
    components = text.split("^")
    if len(components) > _XCN_COMPONENTS:
        return f"the XCN has {len(components)} components, more than {_XCN_COMPONENTS}"
    identifier, family, authority = components[0], _component(components, 2), _component(components, 9)
    if not identifier and not family.strip("&"):
        return "the XCN has neither an id (component 1) nor a family name (component 2)"
    if authority and not identifier:
        return "the XCN has an assigning authority (component 9) but no id (component 1)"
    return _iso_authority_problem(authority, "the assigning authority (component 9)") if authority else None


def parse_xcn(text: str) -> XCN:
    checked(text, problem_with_xcn, XCN_REMEDY)
    components = text.split("^")
    family = unescape(_component(components, 2).partition("&")[0])
    given, middle, suffix, prefix, degree = (unescape(_component(components, n)) for n in range(3, 8))
    authority = _authority(_component(components, 9))
    return XCN(unescape(components[0]), family, given, middle, suffix, prefix, degree, authority)


# ----------------------------------------------------------------------------------------------------------------- XON

XON_REMEDY = "An organization is its name, with an id name^^^^^&OID&ISO^^^^id, or name^^^^^^^^^OID when the id is an OID."


@dataclass(frozen=True, slots=True)
class XON:
    name: str
    id: str = ""
    authority: AssigningAuthority = AssigningAuthority()


def problem_with_xon(text: str) -> str | None:
    """Component 7, the type of the id, is empty in IHE's text; national rules fill it, so it passes where an id stands."""
    problem = _text_problem(text) or _separator_problem(text, "|~", "an XON")
    if problem:
        return problem
    components = text.split("^")
    if not components[0]:
        return "the XON has no name in component 1"
    authority, identifier = _component(components, 6), _component(components, 10)
    problem = _extra_problem(components, (1, 6, 7, 10) if identifier else (1, 6, 10), "the XON")
    if problem:
        return problem
    if authority:
        return _iso_authority_problem(authority, "the assigning authority (component 6)")
    if identifier and not is_oid(identifier):
        return "the id of the XON (component 10) is not an OID and has no assigning authority (component 6)"
    return None


def parse_xon(text: str) -> XON:
    checked(text, problem_with_xon, XON_REMEDY)
    components = text.split("^")
    return XON(unescape(components[0]), unescape(_component(components, 10)), _authority(_component(components, 6)))


# ----------------------------------------------------------------------------------------------------------------- XTN

XTN_REMEDY = "A telecommunication is ^PRN^PH^^33^1^23456789 or ^NET^Internet^anne@example.org."
#: HL7 table 0202 without the types that carry an address of their own kind.
_XTN_PHONES = frozenset({"PH", "FX", "MD", "CP", "SAT", "BP", "TDD"})


@dataclass(frozen=True, slots=True)
class XTN:
    """A phone (`equipment` PH, CP, ...: `number` and its parts) or an e-mail address (`equipment` Internet)."""

    use: str
    equipment: str
    address: str = ""
    country: str = ""
    area: str = ""
    number: str = ""
    extension: str = ""


def problem_with_xtn(text: str) -> str | None:
    problem = _text_problem(text) or _separator_problem(text, "|~&", "an XTN")
    if problem:
        return problem
    components = text.split("^")
    equipment = _component(components, 3)
    if not equipment:
        return "the XTN has no equipment type in component 3"
    if equipment == "Internet":
        use, address = _component(components, 2), _component(components, 4)
        if use not in ("", "NET"):
            return f"component 2 of an e-mail address is NET or empty, not '{use}'"
        if not re.fullmatch(r"[^@\s]+@[^@\s]+", address):
            return f"component 4 of the XTN is not an e-mail address: '{address}'"
        return _extra_problem(components, (2, 3, 4), "an e-mail address")
    if equipment not in _XTN_PHONES:
        return f"component 3 of the XTN is '{equipment}', neither Internet nor a type of phone such as PH or CP"
    if not _component(components, 7):
        return "the phone number has no local number in component 7"
    return _extra_problem(components, (2, 3, 5, 6, 7, 8), "a phone number")


def parse_xtn(text: str) -> XTN:
    checked(text, problem_with_xtn, XTN_REMEDY)
    components = text.split("^")
    return XTN(*(unescape(_component(components, n)) for n in range(2, 9)))


# -------------------------------------------------------------------------------------------------------- Coded String

CODED_STRING_REMEDY = "A role or specialty is plain text, or a code with its system: code^^^&OID&ISO."


@dataclass(frozen=True, slots=True)
class CodedString:
    """`oid` is empty when the value is plain text."""

    code: str
    oid: str = ""


def problem_with_coded_string(text: str) -> str | None:
    """String or Coded String (ITI TF-3: 4.2.3.1.4): text that does not try to be coded is any text."""
    problem = blank_problem(text)
    if problem:
        return problem
    if not text.endswith("&ISO"):
        return None
    components = text.split("^")
    if not components[0]:
        return "the coded string has no code in component 1"
    if len(components) != 4 or components[1] or components[2]:
        return "the coded string is not of the form code^^^&OID&ISO"
    return _text_problem(text) or _iso_authority_problem(components[3], "the code system")


def parse_coded_string(text: str) -> CodedString:
    checked(text, problem_with_coded_string, CODED_STRING_REMEDY)
    if not text.endswith("&ISO"):
        return CodedString(text)
    components = text.split("^")
    return CodedString(unescape(components[0]), components[3].split("&")[1])


# --------------------------------------------------------------------------------------------------------------- Field

FIELD_REMEDY = "A value of sourcePatientInfo is PID-n|value: PID-5|MARTIN^Anne^^^, PID-7|19560527, PID-8|F."
_FIELD = re.compile(r"PID-([1-9][0-9]?)\|(.*)", re.DOTALL)
_PID_FIELDS = 39


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the PID segment; `values` are its repetitions, still in HL7 coding."""

    number: int
    values: tuple[str, ...]


def problem_with_field(text: str) -> str | None:
    """ITI TF-3: 4.2.3.2.23."""
    problem = blank_problem(text)
    if problem:
        return problem
    match = _FIELD.fullmatch(text)
    if match is None:
        return "the value does not begin with PID-, the number of the field and '|'"
    if int(match[1]) > _PID_FIELDS:
        return f"the segment PID has no field {match[1]}"
    if "|" in match[2]:
        return f"the value of PID-{match[1]} holds a second '|': one field stands in one Value"
    return None if match[2] else f"PID-{match[1]} has no value"


def parse_field(text: str) -> Field:
    checked(text, problem_with_field, FIELD_REMEDY)
    number, _, value = text[4:].partition("|")
    return Field(int(number), tuple(value.split("~")))


# ----------------------------------------------------------------------------------------------------------- Recipient

RECIPIENT_REMEDY = "An intendedRecipient is organization|person|telecommunication, at least one of them: Clinic|^Martin^Anne."


@dataclass(frozen=True, slots=True)
class Recipient:
    organization: XON | None = None
    person: XCN | None = None
    telecommunication: XTN | None = None


def problem_with_recipient(text: str) -> str | None:
    """ITI TF-3: 4.2.3.3.7."""
    if not text.strip("| "):
        return "the recipient names neither organization nor person nor telecommunication"
    parts = text.split("|")
    if len(parts) > 3:
        return f"the recipient has {len(parts)} parts, more than three"
    for part, (name, problem_with) in zip(parts, _RECIPIENT_PARTS, strict=False):
        problem = problem_with(part) if part else None
        if problem:
            return f"in the {name} of the recipient, {problem}"
    return None


_RECIPIENT_PARTS = (
    ("organization", problem_with_xon),
    ("person", problem_with_xcn),
    ("telecommunication", problem_with_xtn),
)


def parse_recipient(text: str) -> Recipient:
    checked(text, problem_with_recipient, RECIPIENT_REMEDY)
    organization, person, telecommunication = [*text.split("|"), "", ""][:3]
    return Recipient(
        parse_xon(organization) if organization else None,
        parse_xcn(person) if person else None,
        parse_xtn(telecommunication) if telecommunication else None,
    )
