"""Which server a client command speaks to, and how its answers and errors end the command.

Exit status of every client command: 0 the server accepted or answered, 1 it refused or could not be reached, 2 wrong usage.
"""

from __future__ import annotations

import re
import shlex
import ssl
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from metadata.vocabulary import ResponseStatus, Severity, Transaction
from security.tls import TlsError, client_context
from server.commands.acting import Acting, takes_acting
from server.commands.options import UsageError
from server.commands.table import printable
from soap.body.registry_response import RegistryError, RegistryResponse
from soap.client import Client, addresses, addresses_of_wsdl
from soap.client_errors import ClientError

F = TypeVar("F", bound=Callable[..., Any])
#: Options of `takes_server` and `takes_acting` that say where the server is and who asks.
_REACHING = ("url", "repository", "registry", "ca", "cert", "key", "pki", "as_name")

DEFAULT_URL = "http://127.0.0.1:8080"
#: With a card (--pki, --as).
SECURE_URL = "https://localhost:8080"


class Failed(click.ClickException):
    """The server refused, or gave no usable answer: exit status 1. Its words may stand in the message."""

    exit_code = 1

    def __init__(self, message: str) -> None:
        super().__init__("\n".join(map(printable, message.split("\n"))))


def takes_server(function: F) -> F:
    """Gives a command the options that `client_of` reads. `?wsdl` behind an address: the address is read from the WSDL."""
    function = takes_acting(function)
    file = click.Path(exists=True, dir_okay=False)
    options = (
        click.option("--url", envvar="CARNET_URL", metavar="URL", help=f"Base URL (default {DEFAULT_URL}; https with --pki)."),
        click.option("--repository", envvar="CARNET_REPOSITORY", metavar="URL", help="XDS.b repository, or its WSDL (?wsdl)."),
        click.option("--registry", envvar="CARNET_REGISTRY", metavar="URL", help="XDS.b registry, or its WSDL (?wsdl)."),
        click.option("--timeout", type=float, default=300.0, show_default=True, help="Seconds of silence to bear."),
        click.option("--ca", type=file, help="Certificates to trust (PEM) instead of the system's."),
        click.option("--cert", type=file, help="Our certificate (PEM)."),
        click.option("--key", type=file, help="Its private key (PEM), unless it is in --cert."),
    )
    for option in reversed(options):
        function = option(function)
    return function


def same_server(patient: str) -> str:
    """The options of this command line that another command needs to reach the same server as the same person, each with a blank
    before it; `patient` (CX) for the assertion, where a card acts."""
    context = click.get_current_context()
    said = {
        one.name: (one.opts[0], str(context.params[one.name]))
        for one in context.command.params
        if one.name in _REACHING and context.get_parameter_source(one.name) is ParameterSource.COMMANDLINE
    }
    words = [word for name in _REACHING if name in said for word in said[name]]
    acting = ["--patient", patient] if "pki" in said else []
    return "".join(f" {shlex.quote(word)}" for word in (*acting, *words))


def client_of(given: dict[str, Any], patient: str = "") -> Client:
    """Takes the options of `takes_server` out of the keyword arguments of a command. Raises UsageError and Failed.

    `patient` (CX) is whom the assertion is about, where there is one and --assert-patient does not say otherwise.
    """
    url, repository, registry = (given.pop(name) for name in ("url", "repository", "registry"))
    timeout, ca, cert, key = (given.pop(name) for name in ("timeout", "ca", "cert", "key"))
    acting = Acting.of(given, patient)
    if timeout <= 0:
        raise UsageError("--timeout must be above 0 seconds")
    if key and not cert:
        raise UsageError("--key is the private key of a certificate: give --cert too")
    context = _tls(ca, cert, key) or (acting.tls() if acting else None)
    try:
        if url or not (repository or registry):
            base = addresses(url or (SECURE_URL if acting else DEFAULT_URL))
            repository, registry = repository or base[0], registry or base[1]
        repository = _resolved(repository, Transaction.ITI_41, Transaction.ITI_43, timeout)
        registry = _resolved(registry, Transaction.ITI_18, Transaction.ITI_42, timeout)
        security = acting.security if acting and acting.asserts else None
        return Client(repository, registry, timeout, context, security, acting.signer() if acting else None)
    except ClientError as error:
        raise UsageError(str(error)) from None


def _resolved(address: str | None, first: Transaction, second: Transaction, timeout: float) -> str:
    if not address or not address.lower().endswith(("?wsdl", "?singlewsdl", ".wsdl")):
        return address or ""
    try:
        found = addresses_of_wsdl(address, timeout)
    except ClientError as error:
        raise Failed(str(error)) from None
    for transaction in (first, second):
        if transaction.action in found:
            return found[transaction.action]
    raise Failed(f"The WSDL at {address} declares neither {first.code} nor {second.code}: {', '.join(found) or 'nothing'}")


def _tls(ca: str | None, cert: str | None, key: str | None) -> ssl.SSLContext | None:
    if not (ca or cert):
        return None
    try:
        return client_context(ca or "", cert or "", key or "")
    except TlsError as error:
        raise UsageError(str(error)) from None


# ---------------------------------------------------------------------------------------------------------------- answers


def error_rows(errors: Sequence[RegistryError]) -> list[dict[str, str]]:
    """Errors and warnings as JSON shows them, under the names of rs:RegistryError."""
    rows = [
        {
            "errorCode": error.error_code,
            "codeContext": error.code_context,
            "severity": error.severity.rpartition(":")[2],
            "location": error.location,
        }
        for error in errors
    ]
    return [{name: value for name, value in row.items() if value} for row in rows]


def print_errors(response: RegistryResponse) -> None:
    """Every error and warning of the server, on the error stream, in its own words."""
    for error in response.errors:
        kind, colour = ("warning", "yellow") if error.severity == Severity.WARNING.value else ("error", "red")
        location = f" ({error.location})" if error.location else ""
        click.secho(printable(f"{kind} {error.error_code}{location}"), fg=colour, err=True)
        click.echo(printable(f"  {error.code_context}"), err=True)


def status_word(response: RegistryResponse) -> str:
    """`Success`, `PartialSuccess`, `Failure`, or what a server said instead."""
    return (response.status.value if isinstance(response.status, ResponseStatus) else response.status_text).rpartition(":")[2]


def size_of(text: str | None) -> int | None:
    """The size of a document as metadata have it, in octets; None for what is no number: a server may have written anything."""
    return int(text) if text and re.fullmatch(r"[0-9]{1,18}", text) else None


def size_text(size: int) -> str:
    """Octets for a person: 812 B, 20.1 kB, 1.0 GB."""
    amount, unit = float(size), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{size} B" if unit == "B" else f"{amount:.1f} {unit}"
