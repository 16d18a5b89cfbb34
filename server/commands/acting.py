"""As whom a client command acts: a card of a test authority's folder, for TLS, for assertions, for signed messages.

`--pki DIR --as NAME` is enough: the card connects, and each message carries an assertion that it has signed.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from metadata.vocabulary import Transaction
from schemas.namespaces import SOAP12, WSSE
from security.identity import Mode
from security.pki import PkiError, signing_files, tls_files
from security.tls import TlsError, client_context
from server.commands.options import UsageError

if TYPE_CHECKING:
    from security.message_writer import MessageSigner

F = TypeVar("F", bound=Callable[..., Any])

_MODES = {mode.value: mode for mode in Mode if mode.value}
#: An assertion is used again for this long, far shorter than it is valid.
_USED_AGAIN_SECONDS = 120.0
_OPTIONS = (
    "as_name", "purpose", "reason", "mode", "structure_card", "person_card", "assert_patient", "no_assertion", "sign_message",
)  # fmt: skip


def takes_acting(function: F) -> F:
    """Gives a command the options that `Acting.of` reads."""
    options = (
        click.option("--pki", metavar="DIR", type=click.Path(exists=True, file_okay=False), help="Folder of `carnet pki`."),
        click.option("--as", "as_name", metavar="NAME", help="Whose card there connects and signs the assertion."),
        click.option("--purpose", default="", metavar="CODE", help="Purpose of the access: normal, bris_de_glace, centre_15."),
        click.option("--reason", default="", metavar="TEXT", help="Why, with --purpose bris_de_glace."),
        click.option("--mode", type=click.Choice(list(_MODES)), help="How the person was authenticated (VIHF)."),
        click.option(
            "--structure", "structure_card", default="", metavar="NAME", help="Structure that asserts a person, or his workplace."
        ),
        click.option("--person", "person_card", default="", metavar="NAME", help="Person whom the structure --as asserts."),
        click.option("--assert-patient", default="", metavar="CX", help="Patient of the assertion (default: the command's own)."),
        click.option("--no-assertion", is_flag=True, help="Connect with the card, and say nothing of who acts."),
        click.option("--sign-message", is_flag=True, help="Sign each message with the card (WS-Security)."),
    )
    for option in reversed(options):
        function = option(function)
    return function


@dataclass(slots=True)
class Acting:
    """The card `name` of `folder`, and what its assertions say. `patient` may be set until a message is sent."""

    folder: Path
    name: str
    purpose: str = ""
    reason: str = ""
    mode: Mode | None = None
    structure: str = ""
    person: str = ""
    patient: str = ""
    asserts: bool = True
    signs: bool = False
    _written: dict[str, tuple[float, bytes]] = field(default_factory=dict)

    @classmethod
    def of(cls, given: dict[str, Any], patient: str = "") -> Acting | None:
        """Takes the options of `takes_acting` out of `given`; None when nobody acts. Raises UsageError."""
        folder = given.pop("pki")
        name, purpose, reason, mode, structure, person, asserted, silent, signs = (given.pop(option) for option in _OPTIONS)
        if not folder and not name:
            if any((purpose, reason, mode, structure, person, asserted, silent, signs)):
                raise UsageError("an assertion and a signature are made with a card: give --pki DIR and --as NAME too")
            return None
        if not (folder and name):
            raise UsageError("--pki DIR and --as NAME are given together: the folder of `carnet pki`, and whose card there acts")
        try:
            tls_files(folder, name)
            signing_files(folder, name)
        except PkiError as error:
            raise UsageError(str(error)) from None
        how = _MODES[mode] if mode else None
        return cls(Path(folder), name, purpose, reason, how, structure, person, asserted or patient, not silent, signs)

    def tls(self) -> ssl.SSLContext:
        """Believes the folder's authority and shows the card. Raises UsageError."""
        certificate, key = tls_files(self.folder, self.name)
        try:
            return client_context(str(self.folder / "ca.crt"), str(certificate), str(key))
        except TlsError as error:
            raise UsageError(str(error)) from None

    def security(self, transaction: Transaction) -> bytes:
        """wsse:Security with the assertion, for the header of a message."""
        start = f'<wsse:Security xmlns:wsse="{WSSE}" xmlns:s="{SOAP12}" s:mustUnderstand="1">'
        return start.encode() + self.assertion() + b"</wsse:Security>"

    def signer(self) -> MessageSigner | None:
        """Who signs the messages; None: nobody. Raises UsageError."""
        if not self.signs:
            return None
        from security.message_writer import MessageSigner

        certificate, key = signing_files(self.folder, self.name)
        try:
            return MessageSigner(certificate.read_bytes(), key.read_bytes())
        except (OSError, ValueError, TypeError) as error:
            raise UsageError(f"{certificate} and {key} sign no message: {error}") from None

    def assertion(self) -> bytes:
        """A signed assertion, written anew every two minutes. Raises UsageError for what the card cannot say."""
        from security.assertion_writer import assertion_of_card

        if not self.patient:
            raise UsageError("the assertion of a card names the patient: give --assert-patient CX, or --no-assertion")
        moment, written = self._written.get(self.patient, (0.0, b""))
        if written and time.monotonic() - moment < _USED_AGAIN_SECONDS:
            return written
        said: dict[str, Any] = {"purpose": self.purpose} if self.purpose else {}
        try:
            written = assertion_of_card(
                self.folder,
                self.name,
                patient=self.patient,
                mode=self.mode,
                reason=self.reason,
                structure=self.structure,
                person=self.person,
                **said,
            )
        except (PkiError, ValueError) as error:
            raise UsageError(f"no assertion: {error}") from None
        self._written[self.patient] = (time.monotonic(), written)
        return written
