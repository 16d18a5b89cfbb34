"""The rules that follow from the attribute table alone: required, forbidden, once, and the data type of the value.

Ids are built from the standard's own numbering, so that they stay when rows are added: kind, a digit for the aspect, and the
number of the attribute within ITI TF-3: 4.2.3.2 (DocumentEntry), 4.2.3.3 (SubmissionSet), 4.2.3.4 (Folder). `DE-106`:
creationTime (4.2.3.2.6) is required; `DE-2xx` forbidden, `DE-3xx` at most once, `DE-4xx` the form of the value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from metadata.attributes import OF_KIND, Attribute, Carrier, Optionality, Sender
from metadata.datatypes import TYPES, DataType, problem_with_cx
from metadata.model import DocumentEntry, Folder, SubmissionSet
from metadata.rules.declare import UPDATES, Family
from metadata.rules.limited import is_accepted
from metadata.rules.rule import Context, Fault, Rule
from metadata.schemes import ON_DEMAND
from metadata.vocabulary import ObjectKind, Transaction

#: Put into `Context.options` by a domain whose patient ids carry their type: component 5 of CX, which IHE leaves empty.
TYPED_PATIENT_ID = "typedPatientId"
#: Put into `Context.options` by a domain where the title of a DocumentEntry may have 128 characters (CI-SIS), not 127 (IHE).
LONG_TITLE = "longTitle"
_PLAIN: frozenset[str] = frozenset()
_VARYING = frozenset({TYPED_PATIENT_ID, LONG_TITLE})
_VARIANTS = (_PLAIN, frozenset({TYPED_PATIENT_ID}), frozenset({LONG_TITLE}), _VARYING)

#: Whose column of Table 4.3.1-3 a transaction follows.
SENDERS = {
    Transaction.ITI_41: Sender.DOCUMENT_SOURCE,
    Transaction.ITI_42: Sender.DOCUMENT_REPOSITORY,
    Transaction.ITI_61: Sender.ON_DEMAND_SOURCE,
    # A new version is a complete object (ITI TF-2: 3.57.4.1.2): it owes what was owed when the first one was registered.
    Transaction.ITI_57: Sender.DOCUMENT_REPOSITORY,
    Transaction.ITI_92: Sender.DOCUMENT_REPOSITORY,
}

_PREFIX = {ObjectKind.DOCUMENT_ENTRY: "DE", ObjectKind.SUBMISSION_SET: "SS", ObjectKind.FOLDER: "FD"}
_REPEATABLE = (Carrier.SLOT, Carrier.CLASSIFICATION, Carrier.EXTERNAL_IDENTIFIER)
# Judged elsewhere: ids (OBJ-001 to 004), objectType (DE-001), limitedMetadata (LM-...), values that a registry ignores.
_ELSEWHERE = frozenset({"entryUUID", "objectType", "limitedMetadata", "logicalID", "version", "availabilityStatus"})
# Longest title: "shorter than 128" (4.2.3.2.24), "shorter than 256" (4.2.3.3.11), "at most 256" (4.2.3.4.8).
_TITLE_LENGTH = {ObjectKind.DOCUMENT_ENTRY: 127, ObjectKind.SUBMISSION_SET: 255, ObjectKind.FOLDER: 256}

Problem = Callable[[str], str | None]
Faults = Iterator[tuple[Rule, Fault]]


@dataclass(slots=True)
class _Column:
    """The rules about one attribute in one transaction; None where there is none."""

    attribute: Attribute
    required: Rule | None = None
    forbidden: Rule | None = None
    once: Rule | None = None
    form: Rule | None = None
    problem: Problem | None = None


@dataclass(slots=True)
class _Plan:
    """What one walk over one kind of object needs, in one transaction."""

    slots: dict[str, _Column] = field(default_factory=dict)
    classifications: dict[str, _Column] = field(default_factory=dict)
    identifiers: dict[str, _Column] = field(default_factory=dict)
    others: list[_Column] = field(default_factory=list)
    required: dict[str, _Column] = field(default_factory=dict)
    required_names: frozenset[str] = frozenset()
    required_if_limited: frozenset[str] = frozenset()


def rule_id(attribute: Attribute, aspect: int) -> str:
    """`DE-106` for aspect 1 (required) of creationTime, ITI TF-3: 4.2.3.2.6."""
    return f"{_PREFIX[attribute.kind]}-{aspect}{int(attribute.section.rpartition('.')[2]):02d}"


class AttributeRules:
    """The family of rows about the attributes of one kind of object."""

    def __init__(self, kind: ObjectKind, of: type) -> None:
        self.family = Family(of)
        self._plans = {(options, transaction): _Plan() for options in _VARIANTS for transaction in SENDERS}
        for attribute in OF_KIND[kind]:
            if attribute.name not in _ELSEWHERE:
                self._declare(attribute)
        for plan in self._plans.values():
            plan.required_names = frozenset(plan.required)
            limited = Sender.METADATA_LIMITED_SOURCE
            plan.required_if_limited = frozenset(
                name for name, column in plan.required.items() if column.attribute.sent[limited] is Optionality.REQUIRED
            )
        self.family.scan(self.walk)

    def _declare(self, attribute: Attribute) -> None:
        required = self._presence(attribute, Optionality.REQUIRED)
        forbidden = self._presence(attribute, Optionality.FORBIDDEN)
        once = self._once(attribute) if attribute.most == 1 and attribute.carrier in _REPEATABLE else None
        form, problem = self._form(attribute)
        for (options, transaction), plan in self._plans.items():
            column = _Column(attribute, required, forbidden, once, form, _under(options, attribute, problem))
            if required and transaction not in required.transactions:
                column.required = None
            if forbidden and transaction not in forbidden.transactions:
                column.forbidden = None
            if column.required:
                plan.required[attribute.name] = column
            if attribute.carrier is Carrier.SLOT:
                plan.slots[attribute.key] = column
            elif attribute.carrier is Carrier.CLASSIFICATION:
                plan.classifications[attribute.key] = column
            elif attribute.carrier is Carrier.EXTERNAL_IDENTIFIER:
                plan.identifiers[attribute.key] = column
            elif form or column.required:
                plan.others.append(column)

    def _presence(self, attribute: Attribute, which: Optionality) -> Rule | None:
        transactions = frozenset(t for t, sender in SENDERS.items() if attribute.sent[sender] is which)
        if not transactions:
            return None
        named = ", ".join(sorted(t.code for t in transactions))
        subject = f"{attribute.name} of a {attribute.kind.value}"
        section = f"{attribute.section}, Table 4.3.1-3"
        if which is Optionality.FORBIDDEN:
            return self.family.row(
                rule_id(attribute, 2),
                section,
                f"{subject} is not sent in {named}.",
                transactions=transactions,
                remedy="Leave it out: the On-Demand Document Source knows it only when the document is made.",
            )
        return self.family.row(
            rule_id(attribute, 1),
            section,
            f"{subject} is required in {named}.",
            transactions=transactions,
            remedy=f"Send it as {attribute.place}.",
        )

    def _once(self, attribute: Attribute) -> Rule:
        of = {Carrier.SLOT: "one slot value", Carrier.CLASSIFICATION: "one Classification"}
        one = of.get(attribute.carrier, "one ExternalIdentifier")
        return self.family.row(
            rule_id(attribute, 3),
            attribute.section,
            f"{attribute.name} of a {attribute.kind.value} has a single value: {one}.",
            remedy=f"Send {one}, or leave {attribute.name} out." if attribute.least == 0 else f"Send exactly {one}.",
        )

    def _form(self, attribute: Attribute) -> tuple[Rule | None, Problem | None]:
        grammar = TYPES.get(attribute.type)
        problem, remedy = (grammar.problem, grammar.remedy) if grammar else (None, "")
        statement = f"{attribute.name} of a {attribute.kind.value} is a well-formed {attribute.type.value}."
        if attribute.name == "title":
            most = _TITLE_LENGTH[attribute.kind]
            problem, remedy = _at_most(most), "Shorten the title; longer text belongs in comments."
            statement = f"title of a {attribute.kind.value} has at most {most} characters."
        if problem is None:
            return None, None
        row = self.family.row(rule_id(attribute, 4), attribute.section, statement, remedy=remedy)
        return row, problem

    def walk(self, context: Context, entity: DocumentEntry | SubmissionSet | Folder) -> Faults:
        """Every row about the attributes of one object."""
        plan = self._plans[context.options & _VARYING if context.options else _PLAIN, context.transaction]
        raw = entity.raw
        seen: set[str] = set()
        for slot in raw.slots:
            column = plan.slots.get(slot.name)
            if column is not None:
                yield from _values(column, slot.values, seen, slot.line)
        for classification in raw.classifications:
            column = plan.classifications.get(classification.classificationScheme or "")
            if column is not None:
                name = column.attribute.name
                if column.once and name in seen:
                    sent = classification.nodeRepresentation or ""
                    yield column.once, Fault(f"{name} is sent more than once", name, sent, line=classification.line)
                seen.add(name)
        for identifier in raw.externalIdentifiers:
            column = plan.identifiers.get(identifier.identificationScheme or "")
            if column is not None:
                values = (identifier.value,) if identifier.value else ()  # an empty one is OBJ-020
                if column.once and column.attribute.name in seen:
                    name = column.attribute.name
                    yield column.once, Fault(f"{name} is sent more than once", name, identifier.value or "", line=identifier.line)
                else:
                    yield from _forms(column, values, identifier.line)
                seen.add(column.attribute.name)
        for column in plan.others:
            value = getattr(entity, column.attribute.name)
            if value:
                yield from _values(column, (value,), seen, raw.line)
        if not plan.required_names <= seen:
            yield from _missing(plan, context, entity, seen)


def _values(column: _Column, values: tuple[str, ...], seen: set[str], line: int | None) -> Faults:
    """Values of one slot, or the value of an XML attribute or a Name."""
    name = column.attribute.name
    if values:
        seen.add(name)
        if column.forbidden:
            yield column.forbidden, Fault(f"{name} must not be sent here", name, values[0], line=line)
        if column.once and len(values) > 1:
            yield column.once, Fault(f"{name} has {len(values)} values, one is allowed", name, values[1], line=line)
        elif column.form:
            yield from _forms(column, values, line)
    elif column.once and not column.required:
        yield column.once, Fault(f"the slot {name} has no value", name, line=line)


def _forms(column: _Column, values: tuple[str, ...], line: int | None) -> Faults:
    if column.form and column.problem:
        for value in values:
            problem = column.problem(value)
            if problem:
                yield column.form, Fault(problem, column.attribute.name, value, line=line)


def _missing(plan: _Plan, context: Context, entity: DocumentEntry | SubmissionSet | Folder, seen: set[str]) -> Faults:
    required = plan.required_names
    if entity.limitedMetadata and is_accepted(context):
        required = plan.required_if_limited
    elif context.transaction in UPDATES and isinstance(entity, DocumentEntry) and entity.objectType == ON_DEMAND:
        source = Sender.ON_DEMAND_SOURCE
        required = frozenset(n for n in required if plan.required[n].attribute.sent[source] is Optionality.REQUIRED)
    for name in sorted(required - seen):
        row = plan.required[name].required
        if row:
            yield row, Fault(f"{name} is missing", name, line=entity.raw.line)


def _under(options: frozenset[str], attribute: Attribute, problem: Problem | None) -> Problem | None:
    """How the form of an attribute is judged where a domain has these options."""
    if attribute.type is DataType.CX and TYPED_PATIENT_ID in options:
        return _typed_cx
    if attribute.name == "title" and attribute.kind is ObjectKind.DOCUMENT_ENTRY and LONG_TITLE in options:
        return _at_most(_TITLE_LENGTH[attribute.kind] + 1)
    return problem


def _typed_cx(text: str) -> str | None:
    return problem_with_cx(text, type_code=True)


def _at_most(length: int) -> Problem:
    def problem(text: str) -> str | None:
        return f"the title has {len(text)} characters, {length} are allowed" if len(text) > length else None

    return problem
