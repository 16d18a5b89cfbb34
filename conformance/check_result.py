"""What the lint of a file says: what the file is, and every finding with its line and column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from conformance.explanations.catalogue import explanations
from conformance.phrases import french, known_french


class Level(Enum):
    """How bad a finding is: refused here; answered with a warning; tolerated here and refused elsewhere; a recommendation."""

    ERROR = "error"
    WARNING = "warning"
    TOLERATED = "tolerated"
    ADVICE = "advice"


@dataclass(frozen=True, slots=True)
class Found:
    """One finding. `line` and `column` count from 1, the column in characters; 0 where the finding has no one place.

    `part` says in which text line and column count where that is not the file itself (`document doc, decoded`).
    """

    rule: str
    level: Level
    message: str
    remedy: str = ""
    section: str = ""
    line: int = 0
    column: int = 0
    part: str = ""
    subject: str = ""
    value: str = ""

    def said(self, language: str) -> str:
        """What is wrong, with the values of the message; English where it is said by a library or a user's own rule."""
        return french(self.message) if language == "fr" else self.message

    def hint(self, language: str) -> str:
        """How to mend it: what the finding says itself, else what its rule says."""
        if language != "fr":
            return self.remedy
        return known_french(self.remedy) or self.explained(language)[1] or self.remedy

    def explained(self, language: str) -> tuple[str, str]:
        """The rule's statement and what to change, in this language; empty where the rule is a user's own (Schematron)."""
        one = explanations().get(self.rule)
        return (one.statement.of(language), one.remedy.of(language)) if one is not None else ("", "")


@dataclass(slots=True)
class Checked:
    """What was found in one file. `kind` is a word of `KINDS`; `says` are facts about it (transaction, patient, answer)."""

    name: str
    kind: str = "unknown"
    says: list[str] = field(default_factory=list)
    found: list[Found] = field(default_factory=list)
    readable: bool = True

    def add(self, found: Found) -> None:
        if found not in self.found:
            self.found.append(found)

    def finish(self) -> Checked:
        """In the order of the file; what has no place stands first."""
        self.found.sort(key=lambda one: (bool(one.part), one.part, one.line, one.column))
        return self


#: Kind -> what it is called, in English and French.
KINDS: dict[str, tuple[str, str]] = {
    "http-request": ("HTTP request", "requête HTTP"),
    "http-response": ("HTTP response", "réponse HTTP"),
    "mime": ("MIME package without HTTP header", "paquet MIME sans en-tête HTTP"),
    "envelope": ("SOAP envelope", "enveloppe SOAP"),
    "body": ("body of a message", "corps d'un message"),
    "fragment": ("ebRIM fragment", "fragment ebRIM"),
    "cda": ("CDA document", "document CDA"),
    "saml": ("SAML assertion", "assertion SAML"),
    "hl7v3": ("HL7 v3 message", "message HL7 v3"),
    "unknown": ("unknown", "inconnu"),
}


def worst(checked: Sequence[Checked]) -> int:
    """Exit status of a check: 0 nothing found, 1 findings, 2 a file that is nothing that can be read."""
    if any(not one.readable for one in checked):
        return 2
    return int(any(one.found for one in checked))
