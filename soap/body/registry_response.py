"""rs:RegistryResponse, and the rs:RegistryErrorList inside every response (ITI TF-3: 4.2.4)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from lxml import etree

from metadata.rules.rule import Finding
from metadata.vocabulary import ResponseStatus, Severity
from schemas.namespaces import RS, q

_QUOTES = {'"': "&quot;", "\n": "&#10;", "\r": "&#13;", "\t": "&#9;"}
_STATUS = {status.value: status for status in ResponseStatus}
_LIST, _ERROR = q(RS, "RegistryErrorList"), q(RS, "RegistryError")


def attribute(value: str) -> str:
    """`value` between quotes, for an attribute; characters that XML forbids become U+FFFD."""
    if not value.isprintable():
        value = "".join(
            c if (c >= " " and not "\ud800" <= c <= "\udfff" and c not in "\ufffe\uffff") or c in "\t\n\r" else "\ufffd"
            for c in value
        )
    return f'"{escape(value, _QUOTES)}"'


def build_error_list(findings: Iterable[Finding], explain_base: str = "") -> bytes:
    """rs:RegistryErrorList (namespace prefix `rs` declared on it), b"" without findings.

    @codeContext is `Finding.text()`; with `explain_base` it ends with the address of the page that explains the rule.
    @highestSeverity is the highest present.
    """
    errors = []
    highest = Severity.WARNING
    for finding in findings:
        if finding.severity is Severity.ERROR:
            highest = Severity.ERROR
        context = finding.linked(explain_base)
        location = f" location={attribute(finding.location)}" if finding.location else ""
        errors.append(
            f'<rs:RegistryError errorCode="{finding.code.value}" codeContext={attribute(context)}'
            f' severity="{finding.severity.value}"{location}/>'
        )
    if not errors:
        return b""
    head = f'<rs:RegistryErrorList xmlns:rs="{RS}" highestSeverity="{highest.value}">'
    return (head + "".join(errors) + "</rs:RegistryErrorList>").encode()


def build_registry_response(status: ResponseStatus, findings: Iterable[Finding] = (), explain_base: str = "") -> bytes:
    """The finished rs:RegistryResponse."""
    errors = build_error_list(findings, explain_base)
    head = f'<rs:RegistryResponse xmlns:rs="{RS}" status="{status.value}"'.encode()
    return head + b">" + errors + b"</rs:RegistryResponse>" if errors else head + b"/>"


@dataclass(frozen=True, slots=True)
class RegistryError:
    """One rs:RegistryError as another server sent it, untouched."""

    error_code: str
    code_context: str
    severity: str = Severity.ERROR.value
    location: str = ""


@dataclass(frozen=True, slots=True)
class RegistryResponse:
    """What any response says of its outcome. `status` is None for a value that the standard does not know (see `status_text`)."""

    status: ResponseStatus | None
    status_text: str
    errors: tuple[RegistryError, ...] = field(default=())


def parse_registry_response(element: etree._Element) -> RegistryResponse:
    """Of rs:RegistryResponse, query:AdhocQueryResponse, or the rs:RegistryResponse within xds:RetrieveDocumentSetResponse."""
    inner = element if element.get("status") is not None else element.find(q(RS, "RegistryResponse"))
    if inner is None:
        return RegistryResponse(None, "")
    errors = tuple(
        RegistryError(
            e.get("errorCode", ""), e.get("codeContext", ""), e.get("severity", Severity.ERROR.value), e.get("location", "")
        )
        for e in inner.iterfind(f"{_LIST}/{_ERROR}")
    )
    status = inner.get("status", "")
    return RegistryResponse(_STATUS.get(status), status, errors)
