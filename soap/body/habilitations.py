"""The messages of the service Habilitations of the French DMP: setAuthorization (TD0.3), listAuthorizationByPatient (TD1.6).

The patient stands in no message: it is the one of the assertion. Names and words are those of the integration kit; the schema is
`schemas/xsd/habilitations.xsd`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from lxml import etree

from schemas.namespaces import HABILITATIONS, q

SET, LIST = "setAuthorization", "listAuthorizationByPatient"
ADD, REMOVE = "AJOUT", "SUPPRESSION"
TREATING = "MEDECIN_TRAITANT"
ACTIVE, FORBIDDEN, ALL = "ACTIVE", "INTERDITE", "TOUTE"
#: `status` of an answer to what was done.
OK = "DMPOk"

_ACTION = f"{HABILITATIONS}:HabilitationsEndPoint:"


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """One request: `name` is SET or LIST, `action` ADD or REMOVE, `role` TREATING or empty, `mode` which rows are asked for."""

    name: str
    action: str = ""
    role: str = ""
    mode: str = ALL

    @property
    def row(self) -> str:
        """The row of the matrix of rights that it asks; empty for what is no request of the service."""
        if self.name == LIST:
            return "TD1.6"
        return {ADD: "TD0.3-add", REMOVE: "TD0.3-removeMT" if self.role else "TD0.3-remove"}.get(self.action, "")

    @property
    def response_action(self) -> str:
        """wsa:Action of the answer."""
        return f"{_ACTION}{self.name}Response"

    @property
    def action_uri(self) -> str:
        """wsa:Action of the request."""
        return f"{_ACTION}{self.name}"


@dataclass(frozen=True, slots=True)
class ListedAuthorization:
    """One row of a list. `at` is UTC, YYYYMMDDhhmmss; `id_type` the OID of the id, empty where the id does not tell."""

    id: str
    mode: str
    id_type: str = ""
    at: str = ""
    treating: bool = False


def parse_authorization_request(element: etree._Element) -> AuthorizationRequest:
    """Of a body that is one of the two; nothing is raised."""

    def text(name: str) -> str:
        return (element.findtext(q(HABILITATIONS, name)) or "").strip()

    return AuthorizationRequest(etree.QName(element).localname, text("action"), text("role"), text("mode") or ALL)


def build_authorization_answer(
    request: AuthorizationRequest, status: str, context: str = "", listed: Sequence[ListedAuthorization] = ()
) -> bytes:
    """The answer: `status` is OK or the code of what is wrong, `context` says it in words."""
    rows = "".join(map(_row, listed))
    name = f"{request.name}Response"
    return (
        f'<{name} xmlns="{HABILITATIONS}"><output>{rows}<status>{escape(status)}</status><context>{escape(context)}</context>'
        f"</output></{name}>"
    ).encode()


def _row(one: ListedAuthorization) -> str:
    kind = f"<nationalIdType>{one.id_type}</nationalIdType>" if one.id_type else ""
    start = f"<startOfAuthorization>{one.at}</startOfAuthorization>" if one.at else ""
    role = f"<specificRight>{TREATING}</specificRight>" if one.treating else ""
    name = "listOfAuthorizationByPatient"
    return f"<{name}><nationalId>{escape(one.id)}</nationalId>{kind}{start}<mode>{one.mode}</mode>{role}</{name}>"
