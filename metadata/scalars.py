"""Data types of one piece: OID, UUID, URI, Identifier, DTM, Integer, SHA1, MIME type, language, URNs.

Source: ITI TF-3: Table 4.2.3.1.7-2.

`problem_with_x` is what a rule calls: None when the text is right, else a sentence without a full stop that says what is
wrong. The right text costs one regular expression; only a wrong one is looked at more closely. `parse_x` raises
`DataTypeError` for exactly the texts with which there is a problem.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from metadata import schemes
from metadata.vocabulary import ASSOCIATION_BY_URN, STATUS_BY_URN

#: ebRIM 3.0 `LongName`: the longest ExternalIdentifier/@value and Slot Value.
LONG_NAME = 256


class DataTypeError(ValueError):
    """A text is not of its data type. `message` says what is wrong, `remedy` what a right one looks like."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(f"{message}. {remedy}")
        self.message = message
        self.remedy = remedy


def checked(text: str, problem: Callable[[str], str | None], remedy: str) -> None:
    """Raise DataTypeError when `problem` finds one."""
    message = problem(text)
    if message is not None:
        raise DataTypeError(message, remedy)


_CONTROL = re.compile("[\x00-\x1f\x7f]")


def blank_problem(text: str) -> str | None:
    """What every type refuses alike: nothing at all, blanks at the ends, control characters."""
    if not text:
        return "the value is empty"
    if text.isprintable() and text[0] != " " and text[-1] != " ":
        return None  # the usual case, at the speed of C
    if text != text.strip():
        return "the value begins or ends with a blank"
    control = _CONTROL.search(text)
    if control:
        return f"the value holds the control character U+{ord(control[0]):04X} at position {control.start() + 1}"
    return None


# ----------------------------------------------------------------------------------------------------------------- OID

#: Digits and dots, at least two arcs, no leading zero, at most 64 characters (ITI TF-2: Appendix B). The range of the first
#: two arcs (X.660) is not checked: ids such as 3.4.5 are in wide use and harm nobody.
OID_REMEDY = "An OID is digits and dots without leading zeros, at most 64 characters: 1.2.250.1.213.1.4.8."
_OID = re.compile(r"(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))+")
_OID_LENGTH = 64


@dataclass(frozen=True, slots=True)
class OID:
    value: str

    @property
    def urn(self) -> str:
        return "urn:oid:" + self.value


def is_oid(text: str) -> bool:
    return len(text) <= _OID_LENGTH and _OID.fullmatch(text) is not None


def problem_with_oid(text: str) -> str | None:
    if is_oid(text):
        return None
    blank = blank_problem(text)
    if blank:
        return blank
    if text.startswith("urn:oid:"):
        return "the OID carries the prefix urn:oid:, which does not belong here"
    if _OID.fullmatch(text):
        return f"the OID has {len(text)} characters, more than {_OID_LENGTH}"
    if re.search(r"(?:^|\.)0[0-9]", text):
        return "an arc of the OID has a leading zero"
    if re.fullmatch(r"[0-9]+", text):
        return "the OID has only one arc"
    if re.fullmatch(r"[0-9.]+", text):
        return "an arc of the OID is empty"
    return "the value is not an OID"


def parse_oid(text: str) -> OID:
    checked(text, problem_with_oid, OID_REMEDY)
    return OID(text)


# ------------------------------------------------------------------------------------------------- home community id

HOME_COMMUNITY_ID_REMEDY = "A homeCommunityId is an OID in URN form: urn:oid:1.2.250.1.213.1.4."


def problem_with_home_community_id(text: str) -> str | None:
    """ITI TF-3: 4.2.3.2.12."""
    if text.startswith("urn:oid:"):
        return problem_with_oid(text[8:])
    if is_oid(text):
        return "the OID lacks the prefix urn:oid:"
    return blank_problem(text) or "the value is not an OID in URN form"


def parse_home_community_id(text: str) -> OID:
    checked(text, problem_with_home_community_id, HOME_COMMUNITY_ID_REMEDY)
    return OID(text[8:])


# ---------------------------------------------------------------------------------------------------------------- UUID

UUID_REMEDY = "A UUID is urn:uuid: and 32 lower-case hex digits in groups of 8-4-4-4-12."
_UUID = re.compile(r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class UUID:
    """`value` is the URN form, as everywhere in the metadata."""

    value: str


def is_uuid(text: str) -> bool:
    return _UUID.fullmatch(text) is not None


def problem_with_uuid(text: str) -> str | None:
    """ITI TF-3: 4.2.3.1.5."""
    if is_uuid(text):
        return None
    blank = blank_problem(text)
    if blank:
        return blank
    if is_uuid(text.lower()):
        return "the UUID is not in lower case"
    if is_uuid("urn:uuid:" + text.lower()):
        return "the UUID lacks the prefix urn:uuid:"
    if text.lower().startswith("urn:uuid:"):
        return "what follows urn:uuid: is not a UUID"
    return "the value is not a UUID in URN form"


def parse_uuid(text: str) -> UUID:
    checked(text, problem_with_uuid, UUID_REMEDY)
    return UUID(text)


# ----------------------------------------------------------------------------------------------------------------- URI

URI_REMEDY = "A URI has the characters of RFC 3986 only; all others are percent-encoded; at most 256 characters."
_URI = re.compile(r"(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})+")


@dataclass(frozen=True, slots=True)
class URI:
    value: str


def problem_with_uri(text: str) -> str | None:
    """ITI TF-3: 4.2.3.2.27, RFC 3986. A relative reference is a URI here (XDM names files by it)."""
    if _URI.fullmatch(text):
        return None if len(text) <= LONG_NAME else f"the URI has {len(text)} characters, more than {LONG_NAME}"
    blank = blank_problem(text)
    if blank:
        return blank
    if re.match(r"[0-9]+\|", text):
        return "the URI is cut into numbered pieces, a form that went with XDS.a"
    for position, character in enumerate(text, 1):
        if not _URI.fullmatch(character) and character != "%":
            return f"a URI cannot hold '{character}' (position {position})"
    return "a percent sign is not followed by two hex digits"


def parse_uri(text: str) -> URI:
    checked(text, problem_with_uri, URI_REMEDY)
    return URI(text)


# ---------------------------------------------------------------------------------------------------------- Identifier

IDENTIFIER_REMEDY = "An Identifier is a globally unique string, at most 256 characters: an OID, OID^extension, urn:uuid:..."
_IDENTIFIER = re.compile(r"[^\x00-\x20\x7f](?:[^\x00-\x1f\x7f]*[^\x00-\x20\x7f])?")


@dataclass(frozen=True, slots=True)
class Identifier:
    value: str


def problem_with_identifier(text: str) -> str | None:
    """ITI TF-3: 4.2.3.2.26: opaque for all but its creator, so only emptiness, blanks at the ends and length are judged."""
    if _IDENTIFIER.fullmatch(text) and text == text.strip():
        return None if len(text) <= LONG_NAME else f"the identifier has {len(text)} characters, more than {LONG_NAME}"
    return blank_problem(text)


def parse_identifier(text: str) -> Identifier:
    checked(text, problem_with_identifier, IDENTIFIER_REMEDY)
    return Identifier(text)


# ----------------------------------------------------------------------------------------------------------------- DTM

DTM_REMEDY = "A time is YYYY[MM[DD[hh[mm[ss]]]]] in UTC, without fraction and without zone: 20240131101500."
_DTM = re.compile(
    r"(?P<year>[0-9]{4})(?:(?P<month>0[1-9]|1[0-2])(?:(?P<day>0[1-9]|[12][0-9]|3[01])"
    r"(?:(?P<hour>[01][0-9]|2[0-3])(?:(?P<minute>[0-5][0-9])(?P<second>[0-5][0-9])?)?)?)?)?"
)
_LOWEST = "00000101000000"
_HIGHEST = "99991231235959"
_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def _days_of(year: int, month: int) -> int:
    leap = month == 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return _DAYS[month - 1] + leap


@dataclass(frozen=True, slots=True)
class DTM:
    """A time with its precision. `first` and `last` are the seconds it spans, as ints YYYYMMDDhhmmss."""

    text: str
    first: int
    last: int

    @property
    def precision(self) -> str:
        return {4: "year", 6: "month", 8: "day", 10: "hour", 12: "minute", 14: "second"}[len(self.text)]


def problem_with_dtm(text: str) -> str | None:
    """ITI TF-3: Table 4.2.3.1.7-2. The date must exist in the calendar."""
    if _DTM.fullmatch(text):
        if len(text) >= 8 and int(text[6:8]) > _days_of(int(text[:4]), int(text[4:6])):
            return f"{text[:4]}-{text[4:6]} has no day {text[6:8]}"
        return "year 0000 does not exist" if text.startswith("0000") else None
    blank = blank_problem(text)
    if blank:
        return blank
    if re.fullmatch(r"[0-9]{4,14}(?:\.[0-9]+)?[+-][0-9]{4}", text):
        return "the time carries a zone offset; times are UTC without one"
    if re.fullmatch(r"[0-9]{14}\.[0-9]+", text):
        return "the time carries a fraction of a second"
    if not re.fullmatch(r"[0-9]+", text):
        return "the time holds something other than digits"
    if len(text) not in (4, 6, 8, 10, 12, 14):
        return f"the time has {len(text)} digits, not 4, 6, 8, 10, 12 or 14"
    for start, name, low, high in ((4, "month", 1, 12), (6, "day", 1, 31), (8, "hour", 0, 23), (10, "minute", 0, 59)):
        part = text[start : start + 2]
        if part and not low <= int(part) <= high:
            return f"there is no {name} {part}"
    return f"there is no second {text[12:]}"


def dtm_bounds(text: str) -> tuple[int, int]:
    """First and last second of a right DTM as ints: `2005` is (20050101000000, 20051231235959)."""
    length = len(text)
    last = text + _HIGHEST[length:]
    if length == 6:
        last = f"{text}{_days_of(int(text[:4]), int(text[4:]))}235959"
    return int(text + _LOWEST[length:]), int(last)


def pad_dtm(text: str) -> int:
    """First second of a right DTM as an int, the value in which times are compared (2005 is 20050101000000)."""
    return int(text + _LOWEST[len(text) :])


def parse_dtm(text: str) -> DTM:
    checked(text, problem_with_dtm, DTM_REMEDY)
    return DTM(text, *dtm_bounds(text))


# ------------------------------------------------------------------------------------------------------------- Integer

INTEGER_REMEDY = "The value is a whole number, not negative, in digits: 4096."
_INTEGER = re.compile(r"\+?[0-9]+")
_INTEGER_MAX = 2**63 - 1


def problem_with_integer(text: str) -> str | None:
    """XML Schema integer; every attribute of this type counts something, so none is negative."""
    if _INTEGER.fullmatch(text):
        digits = text.lstrip("+0")
        return None if len(digits) <= 19 and int(digits or "0") <= _INTEGER_MAX else f"the number is greater than {_INTEGER_MAX}"
    if re.fullmatch(r"-[0-9]+", text):
        return "the number is negative"
    return blank_problem(text) or "the value is not a whole number"


def parse_integer(text: str) -> int:
    checked(text, problem_with_integer, INTEGER_REMEDY)
    return int(text)


# ---------------------------------------------------------------------------------------------------------------- SHA1

SHA1_REMEDY = "The hash is the SHA-1 of the document's bytes in 40 hex digits."
_SHA1 = re.compile(r"[0-9A-Fa-f]{40}")


@dataclass(frozen=True, slots=True)
class SHA1:
    """`value` in lower case: hashes compare without regard to case (ITI TF-3: 4.2.3.2.10)."""

    value: str


def problem_with_sha1(text: str) -> str | None:
    if _SHA1.fullmatch(text):
        return None
    blank = blank_problem(text)
    if blank:
        return blank
    if re.fullmatch(r"[0-9A-Fa-f]{64}", text):
        return "the value has 64 hex digits as a SHA-256 has, not the 40 of a SHA-1"
    if re.fullmatch(r"[0-9A-Fa-f]+", text):
        return f"the value has {len(text)} hex digits, not 40"
    return "the value is not hexadecimal"


def parse_sha1(text: str) -> SHA1:
    checked(text, problem_with_sha1, SHA1_REMEDY)
    return SHA1(text.lower())


# ----------------------------------------------------------------------------------------------------------- MIME type

MIME_TYPE_REMEDY = "A MIME type is type/subtype without parameters: text/xml, application/pdf."
_MIME_NAME = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+\-]{0,126}"
_MIME_TYPE = re.compile(f"{_MIME_NAME}/{_MIME_NAME}")


@dataclass(frozen=True, slots=True)
class MIMEType:
    type: str
    subtype: str


def problem_with_mime_type(text: str) -> str | None:
    """RFC 2046, names as in RFC 6838 4.2."""
    if _MIME_TYPE.fullmatch(text):
        return None
    blank = blank_problem(text)
    if blank:
        return blank
    if ";" in text:
        return "the MIME type carries parameters"
    if "/" not in text:
        return "the MIME type lacks the slash between type and subtype"
    return "the value is not a MIME type"


def parse_mime_type(text: str) -> MIMEType:
    checked(text, problem_with_mime_type, MIME_TYPE_REMEDY)
    main, _, sub = text.partition("/")
    return MIMEType(main, sub)


# ------------------------------------------------------------------------------------------------------------ language

LANGUAGE_REMEDY = "A language is a tag of RFC 5646: fr, fr-FR, en-us."
_LANGUAGE = re.compile(
    r"(?:(?:[a-z]{2,3}(?:-[a-z]{3}){0,3}|[a-z]{4}|[a-z]{5,8})"  # language, extended language
    r"(?:-[a-z]{4})?"  # script
    r"(?:-(?:[a-z]{2}|[0-9]{3}))?"  # region
    r"(?:-(?:[a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*"  # variants
    r"(?:-[0-9a-wy-z](?:-[a-z0-9]{2,8})+)*"  # extensions
    r"(?:-x(?:-[a-z0-9]{1,8})+)?"  # private use
    r"|x(?:-[a-z0-9]{1,8})+"
    # irregular grandfathered tags; the regular ones match the grammar above
    r"|en-gb-oed|i-(?:ami|bnn|default|enochian|hak|klingon|lux|mingo|navajo|pwn|tao|tay|tsu)|sgn-(?:be-fr|be-nl|ch-de))",
    re.IGNORECASE,
)


def problem_with_language(text: str) -> str | None:
    if _LANGUAGE.fullmatch(text):
        return None
    if "_" in text:
        return "the language tag uses '_' where '-' belongs"
    return blank_problem(text) or "the value is not a language tag"


def parse_language(text: str) -> str:
    checked(text, problem_with_language, LANGUAGE_REMEDY)
    return text


# ---------------------------------------------------------------------------------------------------------------- URNs

STATUS_REMEDY = "A status is urn:oasis:names:tc:ebxml-regrep:StatusType:Approved or ...:Deprecated."
ASSOCIATION_TYPE_REMEDY = "The types are the URNs of ITI TF-3: Table 4.2.2-1, such as urn:ihe:iti:2007:AssociationType:RPLC."
DOCUMENT_AVAILABILITY_REMEDY = "It is urn:ihe:iti:2010:DocumentAvailability:Online or ...:Offline."
_AVAILABILITIES = frozenset({schemes.DOCUMENT_AVAILABILITY_ONLINE, schemes.DOCUMENT_AVAILABILITY_OFFLINE})


def problem_with_status(text: str) -> str | None:
    if text in STATUS_BY_URN:
        return None
    if text.startswith("urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:"):
        return "the status is taken from ResponseStatusType, the statuses of answers, not from StatusType"
    return blank_problem(text) or "the value is not a status"


def problem_with_association_type(text: str) -> str | None:
    if text in ASSOCIATION_BY_URN:
        return None
    if any(urn.rpartition(":")[2] == text for urn in ASSOCIATION_BY_URN):
        return "the association type is not written as a whole URN"
    return blank_problem(text) or "the value is not an association type"


def problem_with_document_availability(text: str) -> str | None:
    """ITI TF-3: 4.2.3.2.30."""
    if text in _AVAILABILITIES:
        return None
    return blank_problem(text) or "the value is not a document availability"
