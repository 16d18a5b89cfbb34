"""DocumentEntry: the rows of the attribute table, and what holds between its attributes (ITI TF-3: 4.2.3.2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from metadata.model import DocumentEntry, Submission
from metadata.rules.attribute_rows import AttributeRules
from metadata.rules.declare import rule
from metadata.rules.rule import Context, Fault
from metadata.schemes import ON_DEMAND, STABLE
from metadata.vocabulary import ObjectKind, Severity, Transaction

_STABLE_ONLY = frozenset({Transaction.ITI_41, Transaction.ITI_42})
_ON_DEMAND_ONLY = frozenset({Transaction.ITI_61})
_DISCOURAGED_FIELDS = ("PID-2", "PID-4", "PID-12", "PID-19")

FAMILY = AttributeRules(ObjectKind.DOCUMENT_ENTRY, DocumentEntry).family


@rule("DE-001", "ITI TF-3: 4.2.5.2", DocumentEntry, remedy=f"Write {STABLE} (Stable) or {ON_DEMAND} (On-Demand).")
def object_type_known(context: Context, entry: DocumentEntry) -> Iterator[Fault]:
    """The objectType of a DocumentEntry says Stable or On-Demand."""
    if entry.objectType not in (STABLE, ON_DEMAND):
        message = "the objectType is neither Stable nor On-Demand" if entry.objectType else "the objectType is missing"
        yield Fault(message, "objectType", entry.objectType or "", line=entry.raw.line)


@rule(
    "DE-002",
    "ITI TF-2: 3.41.4.1.2, 3.42.4.1.2",
    DocumentEntry,
    transactions=_STABLE_ONLY,
    remedy="Register On-Demand DocumentEntries with ITI-61 (Register On-Demand Document Entry).",
)
def stable_documents(context: Context, entry: DocumentEntry) -> Iterator[Fault]:
    """ITI-41 and ITI-42 bring Stable DocumentEntries only."""
    if entry.objectType == ON_DEMAND:
        message = f"an On-Demand DocumentEntry cannot be registered with {context.transaction.code}"
        yield Fault(message, "objectType", entry.objectType, line=entry.raw.line)


@rule(
    "DE-003",
    "ITI TF-2: 3.61.4.1.2",
    DocumentEntry,
    transactions=_ON_DEMAND_ONLY,
    remedy="Submit Stable documents with ITI-41 (Provide and Register Document Set-b).",
)
def on_demand_documents(context: Context, entry: DocumentEntry) -> Iterator[Fault]:
    """ITI-61 brings On-Demand DocumentEntries only."""
    if entry.objectType == STABLE:
        yield Fault("a Stable DocumentEntry cannot be registered with ITI-61", "objectType", STABLE, line=entry.raw.line)


@rule(
    "DE-004",
    "ITI TF-2: 3.61.4.1.2",
    Submission,
    transactions=_ON_DEMAND_ONLY,
    remedy="Add the On-Demand DocumentEntry that is to be registered.",
)
def an_on_demand_document(context: Context, submission: Submission) -> Iterator[Fault]:
    """ITI-61 brings at least one DocumentEntry."""
    if not submission.documentEntries:
        yield Fault("the submission holds no DocumentEntry")


@rule(
    "DE-005",
    "ITI TF-2: 3.42.4.1.3.3.6",
    DocumentEntry,
    remedy="Exchange the two times, or send the same time twice for a point in time.",
)
def service_times_ordered(context: Context, entry: DocumentEntry) -> Iterator[Fault]:
    """serviceStartTime is not later than serviceStopTime."""
    start, stop = entry.serviceStartTime, entry.serviceStopTime
    if not start or not stop:
        return
    # 2024 and 20240115 do not contradict each other: only the precision that both have is compared.
    shared = min(len(start), len(stop))
    if start[:shared] > stop[:shared] and start.isdigit() and stop.isdigit():
        message = f"the service starts at {start}, after it stops at {stop}"
        yield Fault(message, "serviceStartTime", start, line=entry.raw.line)


@rule("DE-006", "ITI TF-3: 4.2.3.2.23", DocumentEntry, remedy="Send PID-7 (birth date) and PID-8 (sex) once each.")
def one_birth_date_and_sex(context: Context, entry: DocumentEntry) -> Iterator[Fault]:
    """sourcePatientInfo holds PID-7 and PID-8 at most once each."""
    if len(entry.sourcePatientInfo) < 2:
        return
    fields = Counter(value.partition("|")[0] for value in entry.sourcePatientInfo)
    for name in ("PID-7", "PID-8"):
        if fields[name] > 1:
            yield Fault(f"{name} is sent {fields[name]} times", "sourcePatientInfo", name, line=entry.raw.line)


@rule(
    "DE-007",
    "ITI TF-3: 4.2.3.2.23",
    DocumentEntry,
    severity=Severity.WARNING,
    remedy="Send identifiers in PID-3 and leave the field out.",
)
def discouraged_patient_fields(context: Context, entry: DocumentEntry) -> Iterator[Fault]:
    """sourcePatientInfo should not hold PID-2, PID-4, PID-12 or PID-19."""
    for value in entry.sourcePatientInfo:
        name = value.partition("|")[0]
        if name in _DISCOURAGED_FIELDS:
            yield Fault(f"{name} should not be sent", "sourcePatientInfo", name, line=entry.raw.line)


RULES = (
    object_type_known,
    stable_documents,
    on_demand_documents,
    an_on_demand_document,
    service_times_ordered,
    one_birth_date_and_sex,
    discouraged_patient_fields,
    *FAMILY.rules,
)
FAMILIES = (FAMILY,)
