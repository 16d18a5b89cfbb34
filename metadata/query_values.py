"""How a parameter's values are written in a stored query, and how each type of parameter is read (ITI TF-2: 3.18.4.1.2.3.5).

A number is bare, a string stands in single quotes with a quote inside doubled, a list of either stands in parentheses; a list
may go on in further Value elements. Beyond the letter, what can be read in one way only is read: a single value without its
quotes or within parentheses, a quoted number, blanks around any token.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from metadata import hl7, scalars
from metadata.datatypes import canonical_cx, pad_dtm, problem_with_cx, problem_with_dtm
from metadata.query_table import ParameterType
from metadata.vocabulary import STATUS_BY_URN


@dataclass(frozen=True, slots=True)
class CodeValue:
    """`code^^scheme` of a query: both parts always present."""

    code: str
    scheme: str


#: One value as the registry uses it: text, patient id, pattern, UUID, URN; a code; a number; a time is an int of 14 digits.
Value = str | int | CodeValue


class QueryValueError(ValueError):
    """A value cannot be read. `message` says what is wrong, `remedy` what a right one looks like."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(f"{message}. {remedy}")
        self.message = message
        self.remedy = remedy


# ------------------------------------------------------------------------------------------------------------ the list

_LIST_REMEDY = "Write a list as ('first','second'), a quote within a value as two quotes."

#: A quoted string, or anything without quotes, commas and parentheses. Neither ends with a blank, so that blanks between
#: items are matched in one way only and a wrong list costs no more than a right one.
_QUOTED = r"'(?:[^']|'')*'"
_ITEM = rf"(?:{_QUOTED}|[^'(),\s](?:[^'(),]*[^'(),\s])?)"
_LIST = re.compile(rf"\(\s*({_ITEM}\s*(?:,\s*{_ITEM}\s*)*)\)")
_SPLIT = re.compile(_ITEM)
_ONE = re.compile(_QUOTED)


def split_value(text: str) -> list[str]:
    """The values in one Value element, their quotes removed. Raises QueryValueError."""
    text = text.strip()
    if text.startswith("("):
        if not _LIST.fullmatch(text):
            raise QueryValueError(_problem_with_list(text), _LIST_REMEDY)
        return [_unquoted(item) for item in _SPLIT.findall(text[1:-1])]
    if text.startswith("'"):
        if not _ONE.fullmatch(text):
            raise QueryValueError(_problem_with_string(text), _LIST_REMEDY)
        return [_unquoted(text)]
    if not text:
        raise QueryValueError("the value is empty", _LIST_REMEDY)
    return [text]


def _unquoted(item: str) -> str:
    item = item.strip()
    return item[1:-1].replace("''", "'") if item.startswith("'") else item


def _problem_with_list(text: str) -> str:
    if re.fullmatch(r"\(\s*\)", text):
        return "the list is empty"
    if text.count("'") % 2:
        return "a quote is not closed, or a quote within a value is not doubled"
    if not text.endswith(")"):
        return "the list does not end with its closing parenthesis"
    return "the list is not values separated by commas"


def _problem_with_string(text: str) -> str:
    if text.count("'") % 2:
        return "the string does not end with its closing quote, or a quote within it is not doubled"
    if re.fullmatch(rf"{_QUOTED}(?:\s*,\s*{_QUOTED})+", text):
        return "several values are given without the parentheses of a list"
    return "something follows the closing quote"


# ----------------------------------------------------------------------------------------------------------- the types


def _patient_id(text: str, type_code: bool = False) -> Value:
    problem = problem_with_cx(text, type_code)
    if problem:
        raise QueryValueError(problem, hl7.CX_REMEDY)
    return canonical_cx(text)


_CODE_REMEDY = "Write the code and its codingScheme, both: '11488-4^^2.16.840.1.113883.6.1'."


def _code(text: str) -> Value:
    parts = text.split("^")
    if len(parts) != 3 or not parts[0] or not parts[2]:
        raise QueryValueError("the coded value is not code^^codingScheme", _CODE_REMEDY)
    return CodeValue(parts[0], parts[2])


def _time(text: str) -> Value:
    problem = problem_with_dtm(text)
    if problem:
        raise QueryValueError(problem, scalars.DTM_REMEDY)
    return pad_dtm(text)


def _number(text: str) -> Value:
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise QueryValueError("the value is not a whole number", "Write digits only, without quotes.")
    return int(text)


def _association_type(text: str) -> Value:
    if ":" not in text:
        remedy = f"Write the whole URN: 'urn:ihe:iti:2007:AssociationType:{text}'."
        raise QueryValueError("the association type is not a URN", remedy)
    return text


def _status(text: str) -> Value | None:
    """Words that are no status are ignored, not refused (ITI TF-2: 3.18.4.1.2.3.6)."""
    return text if text in STATUS_BY_URN else None


def _text(text: str) -> Value:
    return text


#: From the text of one value to what the registry uses; None is a value to be ignored. Raises QueryValueError.
READERS: Mapping[ParameterType, Callable[[str], Value | None]] = {
    ParameterType.PATIENT_ID: _patient_id,
    ParameterType.STRING: _text,
    ParameterType.CODE: _code,
    ParameterType.TIME: _time,
    ParameterType.STATUS: _status,
    ParameterType.UUID: _text,
    ParameterType.NUMBER: _number,
    ParameterType.LIKE: _text,
    ParameterType.DOCUMENT_TYPE: _text,
    ParameterType.ASSOCIATION_TYPE: _association_type,
}
#: The same where patient ids carry their type (CX-5), as French ones do.
TYPED_READERS = {**READERS, ParameterType.PATIENT_ID: lambda text: _patient_id(text, True)}
