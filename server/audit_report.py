"""What the audit trail tells a patient: who read or changed what, when, in which role, for which purpose (DMP: the traces).

One `Trace` is one event with its end. An event that has only begun, and of which nobody has told the end, is shown as that.
"""

from __future__ import annotations

import getpass
import os
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from security.audit import (
    ROLE_PATIENT,
    ROLE_SECURITY_RESOURCE,
    SUCCESS,
    AuditEvent,
    AuditObject,
    AuditSource,
    End,
    Participant,
    patient_object,
)
from security.audit_codes import APPLICATION, AUDIT_LOG_USED, DESTINATION, EMERGENCY_OVERRIDE, SOURCE, URI, AuditCode
from security.audit_message import instant
from security.audit_store import AuditStore, Kind, Place
from security.saml_names import PURPOSE_NAMES, PURPOSES
from server.audit_events import ANONYMOUS, EMERGENCY
from storage.errors import StorageError

#: What each event is called for a person: by EventTypeCode, else by EventID. English, French.
ACTIONS: Mapping[str, tuple[str, str]] = {
    "ITI-8": ("identity changed", "identité modifiée"),
    "ITI-18": ("searched", "recherche"),
    "ITI-41": ("documents submitted", "documents déposés"),
    "ITI-42": ("documents registered", "documents enregistrés"),
    "ITI-43": ("documents read", "documents consultés"),
    "ITI-44": ("identity changed", "identité modifiée"),
    "ITI-51": ("searched", "recherche"),
    "ITI-57": ("metadata changed", "métadonnées modifiées"),
    "ITI-61": ("on-demand document registered", "document à la demande enregistré"),
    "ITI-62": ("metadata removed", "métadonnées supprimées"),
    "ITI-64": ("documents moved", "documents déplacés"),
    "ITI-86": ("documents removed", "documents supprimés"),
    "ITI-92": ("metadata changed", "métadonnées modifiées"),
    "DMP-patients": ("the record as a whole", "le dossier dans son ensemble"),
    "DMP-habilitations": ("authorisations", "habilitations"),
    "110101": ("the trail was read", "traces consultées"),
    "110113": ("security alert", "alerte de sécurité"),
    "110127": ("EMERGENCY ACCESS", "ACCÈS EN URGENCE"),
    "113031": ("signature made", "signature apposée"),
    "110007": ("signature verified", "signature vérifiée"),
}
OUTCOMES: Mapping[int, tuple[str, str]] = {
    0: ("done", "fait"),
    4: ("partly done", "fait en partie"),
    8: ("refused", "refusé"),
    12: ("failed", "échec"),
}
NOBODY = ("not proved who", "identité non prouvée")
UNKNOWN = ("begun, end unknown", "commencé, fin inconnue")
LANGUAGES = ("en", "fr")


@dataclass(frozen=True, slots=True)
class Trace:
    """One line for a patient. `end` is False while nobody has told how it ended; `documents` are what it concerned."""

    place: Place
    event: AuditEvent
    end: bool
    octets: int = 0

    @property
    def emergency(self) -> bool:
        """Whether the glass was broken."""
        return any(one == EMERGENCY_OVERRIDE for one in self.event.types) or any(
            one.code in EMERGENCY for one in self.event.purposes
        )

    @property
    def who(self) -> Participant:
        """The person who acted, else the system that asked."""
        people = self.event.participants
        return next((one for one in people if one.requestor), people[0] if people else Participant(""))

    @property
    def documents(self) -> tuple[str, ...]:
        return tuple(one.id for one in self.event.objects if one.role != ROLE_PATIENT)

    def words(self, language: str) -> dict[str, str]:
        """The line in words of a language."""
        turn = LANGUAGES.index(language)
        who = self.who
        keys = [code.code for code in self.event.types] + [self.event.event.code]
        action = next((ACTIONS[key][turn] for key in keys if key in ACTIONS), self.event.event.text)
        outcome = OUTCOMES[self.event.outcome][turn] if self.end else UNKNOWN[turn]
        detail = f" ({self.event.description})" if self.event.description else ""
        return {
            "when": instant(self.event.at),
            "who": who.person or who.name or (NOBODY[turn] if who.userID == ANONYMOUS else who.userID),
            "identifier": who.userID,
            "role": ", ".join(role.text for role in who.roles if role not in (SOURCE, DESTINATION, APPLICATION)),
            "organisation": who.organisation or who.address,
            "purpose": ", ".join(_purpose(one, turn) for one in self.event.purposes),
            "action": action,
            "documents": ", ".join(self.documents),
            "outcome": outcome + detail,
        }

    def fields(self, language: str) -> dict[str, Any]:
        """The line as JSON: words, and what programs look at."""
        codes = [{"code": one.code, "system": one.system, "text": one.text} for one in self.event.types]
        return {
            "record": str(self.place),
            **self.words(language),
            "emergency": self.emergency,
            "reason": self.event.reason,
            "event": {"code": self.event.event.code, "system": self.event.event.system, "text": self.event.event.text},
            "types": codes,
            "actionCode": self.event.action,
            "outcomeCode": self.event.outcome if self.end else None,
            "octets": self.octets,
            "documents": list(self.documents),
        }


def _purpose(code: AuditCode, turn: int) -> str:
    """In our words where the code is one of ours: what a sender calls it is his word, and might call an emergency normal."""
    known = PURPOSE_NAMES.get(code.code) if code.system == PURPOSES else None
    return known[turn] if known else code.text


def traces(store: AuditStore, cxs: Sequence[str], since: int = 0) -> list[Trace]:
    """What is recorded of a patient under any of these identifiers since `since` (milliseconds since 1970), oldest first. Raises
    StorageError for a record that cannot be read."""
    found: dict[Place, Trace] = {}
    ends: list[tuple[Place, End]] = []
    for record in store.of_patients(cxs, since):
        try:
            content = record.content
        except ValueError as error:
            raise StorageError(
                f"audit record {record.place} is not as it was written ({error}); carnet audit verify names all such records"
            ) from None
        if isinstance(content, End):
            ends.append((record.place, content))
        else:
            found[record.place] = Trace(record.place, content, record.kind != Kind.BEGUN)
    for _, end in ends:
        begun = found.get(Place(*end.of))
        if begun is not None:
            event = begun.event.ended(end.outcome, end.description, end.objects)
            found[begun.place] = replace(begun, event=event, end=True, octets=end.octets)
    return sorted(found.values(), key=lambda one: (one.event.at, one.place))


def log_used(patients: Iterable[str], what: str, resource: str, source: AuditSource) -> list[AuditEvent]:
    """The trail was read by a command (DICOM PS3.15 A.5.3.2): one event for each patient, or one without."""
    user = getpass.getuser()
    people = (
        Participant(f"{user}@{socket.gethostname()}", True, alternative=str(os.getpid()), name=user),
        Participant("carnet", False, (APPLICATION,), alternative=str(os.getpid())),
    )
    log = AuditObject(resource, URI, role=ROLE_SECURITY_RESOURCE, name="Security Audit Log")
    basis = AuditEvent(AUDIT_LOG_USED, "R", time.time_ns() // 1_000_000, SUCCESS, participants=people, source=source)
    told = [replace(basis, objects=(patient_object(cx), replace(log, details=(("command", what),)))) for cx in patients]
    return told or [replace(basis, objects=(replace(log, details=(("command", what),)),))]
