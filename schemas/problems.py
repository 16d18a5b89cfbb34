"""What the hardened parser says: one exception for what cannot be understood, one note for what was tolerated."""

from __future__ import annotations

from dataclasses import dataclass

#: Rule ids of the parser and what each stands for: XML-0xx refuse, XML-1xx are tolerated with a note.
RULES: dict[str, str] = {
    "XML-001": "A message is well-formed XML 1.0 with namespaces",
    "XML-002": "A message is not empty",
    "XML-003": "A message carries no document type declaration (SOAP 1.2 part 1: 5)",
    "XML-004": "A message carries no processing instruction (SOAP 1.2 part 1: 5)",
    "XML-005": "A message is in UTF-8 or UTF-16",
    "XML-006": "The byte order mark, the Content-Type and the XML declaration do not contradict one another in the bytes at hand",
    "XML-007": "A message has no more bytes than the limit",
    "XML-008": "Elements are nested no deeper than the limit",
    "XML-009": "A message has no more elements than the limit",
    "XML-010": "An element has no more attributes than the limit",
    "XML-011": "A message asks for no XInclude",
    "XML-101": "Blank lines before the XML declaration are dropped",
    "XML-102": "A charset named wrongly is overruled by the bytes",
}


class ParseError(Exception):
    """Bytes that are not read as a message.

    `rule` is a key of RULES; `message` names the finding; `line` and `column` count from 1 and are 0 when the finding has no one
    place; `remedy` says what the sender should do instead.
    """

    def __init__(self, rule: str, message: str, *, line: int = 0, column: int = 0, remedy: str = "") -> None:
        place = f" (line {line}, column {column})" if line else ""
        super().__init__(f"{rule}: {message}{place}. {remedy}".rstrip())
        self.rule = rule
        self.message = message
        self.line = line
        self.column = column
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class ParseNote:
    """Something tolerated on the way: the rule id and what was found."""

    rule: str
    message: str
