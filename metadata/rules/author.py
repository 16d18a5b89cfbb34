"""Author of a DocumentEntry or SubmissionSet (ITI TF-3: 4.2.3.1.4)."""

from __future__ import annotations

from collections.abc import Iterator

from metadata.attributes import AUTHOR_SLOTS
from metadata.datatypes import TYPES
from metadata.model import Classification, DocumentEntry, SubmissionSet
from metadata.rules.declare import Family
from metadata.rules.rule import Context, Fault, Rule
from metadata.schemes import DE_AUTHOR, SS_AUTHOR
from metadata.vocabulary import Severity

_SECTION = "ITI TF-3: 4.2.3.1.4"
_AUTHOR_SCHEMES = (DE_AUTHOR, SS_AUTHOR)
_ONE_OF = ("authorPerson", "authorTelecommunication", "authorInstitution")

FAMILY = Family(SubmissionSet, DocumentEntry)

NODE_EMPTY = FAMILY.row(
    "AU-001",
    _SECTION,
    "The Classification of an author has an empty nodeRepresentation.",
    severity=Severity.WARNING,
    remedy='Write nodeRepresentation="" and put the author into slots.',
)
ONE_PERSON = FAMILY.row(
    "AU-002",
    _SECTION,
    "An author has at most one authorPerson.",
    remedy="Send one author Classification for each person.",
)
SOMEBODY = FAMILY.row(
    "AU-003",
    _SECTION,
    "An author has an authorPerson, an authorInstitution or an authorTelecommunication.",
    remedy="Add the slot authorPerson (for a device: its name), or leave the author out.",
)
SLOT_KNOWN = FAMILY.row(
    "AU-004",
    _SECTION,
    "The Classification of an author has only the slots that the standard defines.",
    severity=Severity.WARNING,
    remedy="Check the spelling: " + ", ".join(AUTHOR_SLOTS) + ".",
)
#: The form of the values, by slot: AU-101 to AU-105.
FORMS: dict[str, Rule] = {
    name: FAMILY.row(
        f"AU-{number}",
        _SECTION,
        f"Each {name} is a well-formed {data_type.value}.",
        remedy=TYPES[data_type].remedy,
    )
    for number, (name, (data_type, _)) in enumerate(AUTHOR_SLOTS.items(), start=101)
}
_PROBLEMS = {name: TYPES[data_type].problem for name, (data_type, _) in AUTHOR_SLOTS.items()}


@FAMILY.scan
def walk(context: Context, entity: SubmissionSet | DocumentEntry) -> Iterator[tuple[Rule, Fault]]:
    """Every author of one object."""
    for classification in entity.raw.classifications:
        if classification.classificationScheme in _AUTHOR_SCHEMES:
            yield from _author(classification)


def _author(item: Classification) -> Iterator[tuple[Rule, Fault]]:
    if item.nodeRepresentation != "":
        state = "is missing" if item.nodeRepresentation is None else "is not empty"
        yield NODE_EMPTY, Fault(f"the nodeRepresentation {state}", "author", item.nodeRepresentation or "", line=item.line)
    filled = False
    persons = 0
    for slot in item.slots:
        name = slot.name
        problem = _PROBLEMS.get(name)
        if problem is None:
            if name:
                yield SLOT_KNOWN, Fault(f"an author has no slot {name}", "author", name, line=slot.line)
            continue
        if name == "authorPerson":
            persons += len(slot.values)
        filled = filled or (name in _ONE_OF and bool(slot.values))
        for value in slot.values:
            wrong = problem(value)
            if wrong:
                yield FORMS[name], Fault(wrong, name, value, line=slot.line)
    if persons > 1:
        yield ONE_PERSON, Fault(f"the author has {persons} values of authorPerson", "authorPerson", line=item.line)
    if not filled:
        yield SOMEBODY, Fault("the author names no person, institution or telecommunication", "author", line=item.line)


RULES = tuple(FAMILY.rules)
FAMILIES = (FAMILY,)
