"""From a request to the stored query it means (ITI TF-2: 3.18.4.1.2.3, 3.18.4.1.3).

`read_query` judges the whole request against the row of `metadata.query_table` and reports every fault at once. Parameters
that the table does not know are passed over, as the standard demands, but a misspelt one is named where its absence is a fault.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from metadata.model import Slot
from metadata.query_table import (
    AT_LEAST_ONE,
    EXACTLY_ONE,
    QUERIES,
    QUERY_BY_ID,
    Parameter,
    ParameterType,
    QueryDefinition,
)
from metadata.query_values import READERS, TYPED_READERS, CodeValue, QueryValueError, Value, split_value
from metadata.rules.rule import Finding, Refused
from metadata.vocabulary import ErrorCode, Transaction

__all__ = ["LEAF_CLASS", "OBJECT_REF", "CodeValue", "StoredQuery", "Value", "read_query"]

#: The two values of ResponseOption/@returnType that IHE knows (ITI TF-2: 3.18.4.1.2.4).
LEAF_CLASS = "LeafClass"
OBJECT_REF = "ObjectRef"

_LEVEL = "$MetadataLevel"


@dataclass(frozen=True, slots=True)
class StoredQuery:
    """A request that was understood.

    `parameters` maps the parameter's name (with `$`) to its clauses: the clauses are joined by AND, the values within one
    by OR. A single-valued parameter has one clause of one value. Parameters that were not sent are absent.
    """

    definition: QueryDefinition
    parameters: dict[str, tuple[tuple[Value, ...], ...]]

    def all_of(self, name: str) -> tuple[tuple[Value, ...], ...]:
        """Every clause of a parameter; empty when it was not sent."""
        return self.parameters.get(name, ())

    def any_of(self, name: str) -> tuple[Value, ...]:
        """The values of a parameter that cannot be repeated; empty when it was not sent."""
        clauses = self.parameters.get(name)
        return clauses[0] if clauses else ()

    def text(self, name: str) -> str | None:
        """The value of a single-valued text parameter."""
        values = self.any_of(name)
        return str(values[0]) if values else None

    def texts(self, name: str) -> tuple[str, ...]:
        """The values of a multi-valued text parameter."""
        return tuple(str(v) for v in self.any_of(name))

    def number(self, name: str) -> int | None:
        """The value of a number or a time (YYYYMMDDhhmmss as an int, missing digits filled with the lowest)."""
        values = self.any_of(name)
        return values[0] if values and isinstance(values[0], int) else None

    @property
    def metadata_level(self) -> int:
        """$MetadataLevel, 1 when not sent (ITI TF-2: 3.18.4.1.2.3.5.1.1)."""
        return self.number(_LEVEL) or 1

    @property
    def patient_ids(self) -> tuple[str, ...]:
        """The patient ids that the query names, whatever its parameter is called."""
        return tuple(
            str(value)
            for parameter in self.definition.parameters
            if parameter.type is ParameterType.PATIENT_ID
            for clause in self.parameters.get(parameter.name, ())
            for value in clause
        )


def read_query(
    query_id: str,
    slots: Sequence[Slot],
    transaction: Transaction,
    *,
    return_type: str = LEAF_CLASS,
    extensions: bool = True,
    typed_patient_ids: bool = False,
) -> StoredQuery:
    """The stored query of a request in `transaction`; raises Refused with every finding.

    `query_id` is AdhocQuery/@id, `return_type` ResponseOption/@returnType as sent. The schema's default for an absent
    returnType is a value that IHE does not support, so its absence is refused like any other value. Without `extensions` only
    the queries of the Technical Framework are known. With `typed_patient_ids` a patient id may carry its type, component 5.
    """
    findings = [] if return_type in (LEAF_CLASS, OBJECT_REF) else [_wrong_return_type(return_type)]
    definition = QUERY_BY_ID.get(query_id.strip())
    if definition is None or transaction not in definition.transactions:
        raise Refused([*findings, _unknown_query(query_id, definition, transaction, extensions)])
    if definition.extension and not extensions:
        raise Refused([*findings, _extension(definition)])
    reading = _Reading(definition, TYPED_READERS if typed_patient_ids else READERS)
    for slot in slots:
        reading.take(slot)
    reading.judge({slot.name for slot in slots})
    findings += reading.findings
    if findings:
        raise Refused(findings)
    return StoredQuery(definition, {name: tuple(clauses) for name, clauses in reading.clauses.items()})


@dataclass(slots=True)
class _Reading:
    """One request under way: what has been read, and what is wrong with it."""

    definition: QueryDefinition
    readers: Mapping[ParameterType, Callable[[str], Value | None]]
    clauses: dict[str, list[tuple[Value, ...]]] = field(default_factory=dict)
    sent: dict[str, list[str]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def take(self, slot: Slot) -> None:
        """Read one Slot. A parameter whose values are all ignored counts as not sent."""
        parameter = self.definition.by_name.get(slot.name)
        if parameter is None:
            return
        if slot.name in self.sent and not parameter.conjunctive:
            self._repeated(parameter, slot)
            return
        texts = self.sent[slot.name] = list(self._split(parameter, slot))
        if not parameter.many and len(texts) > 1:
            self._several(parameter, texts, slot)
            return
        values = tuple(value for text in texts if (value := self._read(parameter, text, slot)) is not None)
        if values:
            self.clauses.setdefault(slot.name, []).append(values)

    def _split(self, parameter: Parameter, slot: Slot) -> Iterator[str]:
        if not slot.values and not parameter.required:
            remedy = "Give it a value, or leave the Slot out."
            self._add("SQ-SYNTAX", "the parameter has no value", parameter, slot, remedy=remedy)
        for text in slot.values:
            try:
                yield from split_value(text)
            except QueryValueError as error:
                self._add("SQ-SYNTAX", error.message, parameter, slot, value=text, remedy=error.remedy)

    def _read(self, parameter: Parameter, text: str, slot: Slot) -> Value | None:
        try:
            value = self.readers[parameter.type](text)
        except QueryValueError as error:
            self._add("SQ-VALUE", error.message, parameter, slot, value=text, remedy=error.remedy)
            return None
        if parameter.name == _LEVEL and value not in (1, 2):
            remedy = "Write 1 or 2, or leave the parameter out (1)."
            self._add("SQ-VALUE", "the metadata level is not one of the standard", parameter, slot, value=text, remedy=remedy)
        return value

    def judge(self, slots: Iterable[str]) -> None:
        """What must be there, and what must not be there together."""
        unknown = sorted(set(slots) - self.definition.by_name.keys())
        faulty = {finding.attribute for finding in self.findings}
        for parameter in self.definition.required:
            if parameter.name not in self.clauses and parameter.name not in faulty:
                self._missing((parameter,), unknown)
        alternatives = self.definition.group(EXACTLY_ONE)
        given = [p for p in alternatives if p.name in self.sent]
        if len(given) > 1:
            self._exclusive(given)
        for group in (alternatives, self.definition.group(AT_LEAST_ONE)):
            if group and not any(p.name in self.sent for p in group):
                self._missing(group, unknown)

    # ------------------------------------------------------------------------------------------------------- findings

    def _add(
        self,
        rule: str,
        message: str,
        parameter: Parameter,
        slot: Slot | None = None,
        *,
        code: ErrorCode = ErrorCode.XDSRegistryError,
        value: str = "",
        remedy: str = "",
    ) -> None:
        self.findings.append(
            Finding(
                rule=rule,
                code=code,
                message=message,
                remedy=remedy,
                object=self.definition.name,
                attribute=parameter.name,
                value=value,
                section=_SECTIONS[rule] or self.definition.section,
                line=slot.line if slot else None,
            )
        )

    def _missing(self, parameters: Sequence[Parameter], unknown: Sequence[str]) -> None:
        names = [p.name for p in parameters]
        message = "the required parameter is missing" if len(names) == 1 else f"none of {', '.join(names)} is given"
        remedy, value = "Send the parameter." if len(names) == 1 else "Send one of them.", ""
        if len(names) == 1 and names[0] in self.sent:
            message = "the required parameter has no value that this registry knows"
            if parameters[0].type is ParameterType.STATUS:
                remedy = "A status is a whole URN: 'urn:oasis:names:tc:ebxml-regrep:StatusType:Approved'."
            value = ", ".join(self.sent[names[0]])
        close = difflib.get_close_matches(names[0], unknown, n=1, cutoff=0.8)
        if close:
            remedy += f" The request holds {close[0]}, which this query does not know."
        self._add("SQ-MISSING", message, parameters[0], code=ErrorCode.XDSStoredQueryMissingParam, value=value, remedy=remedy)

    def _exclusive(self, given: Sequence[Parameter]) -> None:
        names = " and ".join(p.name for p in given)
        message, remedy = f"{names} exclude each other", "Send exactly one of them."
        self._add("SQ-EXCLUSIVE", message, given[0], code=ErrorCode.XDSStoredQueryParamNumber, remedy=remedy)

    def _several(self, parameter: Parameter, texts: Sequence[str], slot: Slot) -> None:
        message, value = f"the parameter takes one value and has {len(texts)}", ", ".join(texts)
        remedy = "Send one value; ask once for each of several."
        self._add(
            "SQ-SINGLE", message, parameter, slot, code=ErrorCode.XDSStoredQueryParamNumber, value=value, remedy=remedy
        )

    def _repeated(self, parameter: Parameter, slot: Slot) -> None:
        single = not parameter.many
        remedy = "Send one Slot of this name" + ("." if single else " with all values in it: they are joined by OR.")
        code = ErrorCode.XDSStoredQueryParamNumber if single else ErrorCode.XDSRegistryError
        self._add("SQ-REPEATED", "the Slot is repeated", parameter, slot, code=code, remedy=remedy)


_SECTIONS: Mapping[str, str] = {
    "SQ-SYNTAX": "ITI TF-2: 3.18.4.1.2.3.5",
    "SQ-VALUE": "ITI TF-2: 3.18.4.1.2.3.5",
    "SQ-SINGLE": "ITI TF-2: 3.18.4.1.2.3.5",
    "SQ-REPEATED": "ITI TF-2: 3.18.4.1.2.3.5",
    "SQ-MISSING": "",
    "SQ-EXCLUSIVE": "",
}


def _wrong_return_type(return_type: str) -> Finding:
    return Finding(
        rule="SQ-RETURN-TYPE",
        code=ErrorCode.XDSRegistryError,
        message="the returnType is not supported" if return_type else "the returnType is missing",
        remedy="Write returnType='LeafClass' for whole objects or returnType='ObjectRef' for their ids.",
        object="ResponseOption",
        attribute="returnType",
        value=return_type,
        section="ITI TF-2: 3.18.4.1.2.4",
    )


def _extension(definition: QueryDefinition) -> Finding:
    return Finding(
        rule="SQ-EXTENSION",
        code=ErrorCode.XDSUnknownStoredQuery,
        message=f"{definition.name} is no query of the Technical Framework, and this registry does not offer the extension",
        remedy="Use FindDocuments, or ask the operator for the setting domain.title_query.",
        object="AdhocQuery",
        attribute="id",
        value=definition.id,
        section="ITI TF-2: 3.18.4.1.3",
    )


def _unknown_query(
    query_id: str, elsewhere: QueryDefinition | None, transaction: Transaction, extensions: bool
) -> Finding:
    if elsewhere is not None:
        right = min(elsewhere.transactions, key=lambda t: t.code)
        message = f"{elsewhere.name} is not a query of {transaction.code}"
        remedy = f"Send it with {right.code}, action {right.action}."
    else:
        names = ", ".join(sorted(q.name for q in QUERIES if transaction in q.transactions and (extensions or not q.extension)))
        message = "no stored query has this id" if query_id else "the query has no id"
        remedy = f"AdhocQuery/@id is the UUID (urn:uuid:...) of one of {names}."
    return Finding(
        rule="SQ-UNKNOWN-QUERY",
        code=ErrorCode.XDSUnknownStoredQuery,
        message=message,
        remedy=remedy,
        object="AdhocQuery",
        attribute="id",
        value=query_id,
        section="ITI TF-2: 3.18.4.1.3",
    )
