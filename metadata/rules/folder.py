"""Folder: the rows of the attribute table, and the precision of its time (ITI TF-3: 4.2.3.4)."""

from __future__ import annotations

from collections.abc import Iterator

from metadata.model import Folder
from metadata.rules.attribute_rows import AttributeRules
from metadata.rules.declare import rule
from metadata.rules.rule import Context, Fault
from metadata.vocabulary import ObjectKind, Severity

_SECONDS = len("20240131101500")

FAMILY = AttributeRules(ObjectKind.FOLDER, Folder).family


@rule(
    "FD-001",
    "ITI TF-3: 4.2.3.4.6",
    Folder,
    severity=Severity.WARNING,
    remedy="Leave the slot out: the registry sets it.",
)
def last_update_time_has_seconds(context: Context, folder: Folder) -> Iterator[Fault]:
    """The lastUpdateTime of a Folder says the second."""
    sent = folder.lastUpdateTime
    if sent and len(sent) < _SECONDS and sent.isdigit():  # anything else is FD-406
        yield Fault("the lastUpdateTime is less precise than a second", "lastUpdateTime", sent, line=folder.raw.line)


RULES = (last_update_time_has_seconds, *FAMILY.rules)
FAMILIES = (FAMILY,)
