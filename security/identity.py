"""Who acts, as far as it is proved: what `security/saml.py` reads from an assertion and everybody else relies on.

Values stand here as the assertion wrote them, already checked; nothing here is believed that a signature does not cover.
Source: ITI TF-2: 3.40.4.1.2 and the French VIHF.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum


class Mode(Enum):
    """How the person was authenticated (`Authentification_mode` of a VIHF); XUA: an assertion that does not say."""

    DIRECT = "DIRECTE"
    INDIRECT = "INDIRECTE"
    REINFORCED = "INDIRECTE_RENFORCEE"
    XUA = ""


@dataclass(frozen=True, slots=True)
class Coded:
    """One coded value (hl7:CE): code, OID of the code system, display name."""

    code: str
    system: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class Assertion:
    """One verified assertion.

    `subject` is the NameID (a professional's national id, a patient's INS), `name` the display name, `alias` the
    SPProvidedID. `structure` is the national id of the organisation and `sector` its kind; `roles` are profession first, then
    know-how. `patient` is the CX of resource-id. `purpose` is the purpose of use, `reason` what was typed
    to justify an emergency. `session` holds confidentiality codes of the session (a minor's secret care).
    `certificate_der` is the signer's.
    `attributes` holds every attribute that has plain text values, by name.
    """

    id: str
    issuer: str
    subject: str
    mode: Mode = Mode.XUA
    version: str = ""
    name: str = ""
    alias: str = ""
    structure: str = ""
    organisation: str = ""
    sector: Coded | None = None
    roles: tuple[Coded, ...] = ()
    patient: str = ""
    purpose: Coded | None = None
    reason: str = ""
    session: tuple[str, ...] = ()
    consents: tuple[str, ...] = ()
    issued_at: datetime | None = None
    authenticated_at: datetime | None = None
    not_on_or_after: datetime | None = None
    certificate_der: bytes = b""
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def user_name(self) -> str:
        """How the audit record names the person: `alias<user@issuer>` (ITI TF-2: 3.40.4.2)."""
        return f"{self.alias}<{self.subject}@{self.issuer}>"
