"""The messages of the French DMP about authorisations: setAuthorization and listAuthorizationByPatient.

The patient stands in the assertion alone, so they are asked of secured targets. A step has the operation as `feed` (`set`,
`list`) and its words as `prior`: AJOUT or SUPPRESSION, with a role behind it or not; or a mode of the list.

Source: DMP integration kit, TD0.3 and TD1.6.
"""

from __future__ import annotations

from lxml import etree

TRANSACTION = "DMP-habilitations"
_SPACE = "urn:si-dmp-habilitations"
_OPERATIONS = {"set": ("setAuthorization", ("action", "role")), "list": ("listAuthorizationByPatient", ("mode",))}
_ACTION = f"{_SPACE}:HabilitationsEndPoint:"
#: wsa:Action of the answers.
ANSWERS = tuple(f"{_ACTION}{name}Response" for name, _ in _OPERATIONS.values())
#: The status of what was done.
DONE = "DMPOk"


def action_of(operation: str) -> str:
    """wsa:Action of a request."""
    return _ACTION + _OPERATIONS[operation][0]


def request(operation: str, words: str) -> bytes:
    """The body of a request. Raises KeyError for another operation."""
    name, children = _OPERATIONS[operation]
    inner = "".join(f"<{child}>{word}</{child}>" for child, word in zip(children, words.split(), strict=False))
    return f'<{name} xmlns="{_SPACE}">{inner}</{name}>'.encode()


def read_status(body: etree._Element) -> tuple[str, str]:
    """Status and context of an answer; empty where it has none."""

    def text(name: str) -> str:
        return next((element.text or "" for element in body.iter(f"{{{_SPACE}}}{name}")), "").strip()

    return text("status"), text("context")
