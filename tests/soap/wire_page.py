"""docs/wire.md, written from the tables: `python -m tests.soap.wire_page > docs/wire.md`."""

from __future__ import annotations

import inspect
from itertools import pairwise

from soap.limits import GB, KB, MB, STRICT, Limits
from soap.wire import QUIRKS, Do, Seat, Wire
from tests.soap.test_captures import OUTCOMES

_HEAD = """# The wire

What Carnet does with what arrives: SOAP 1.2 with WS-Addressing, plain or as MTOM/XOP. This page is written from the code's own
tables (`python -m tests.soap.wire_page > docs/wire.md`), and a test compares the two.

## How a request is answered

| what happened | HTTP | body |
|---|---|---|
| understood and done, or understood and refused | 200 | the response of the transaction; a refusal carries every finding |
| the message is at fault | 400 | SOAP fault, code Sender |
| an action that is unknown or not served at this address | 400 | SOAP fault, Sender, subcode wsa:ActionNotSupported |
| SOAP 1.1, or no SOAP | 500 | SOAP fault, VersionMismatch, with the Upgrade header; in SOAP 1.1 to a SOAP 1.1 sender |
| a header with mustUnderstand that is not understood | 500 | SOAP fault, MustUnderstand, one NotUnderstood header for each |
| nothing is served at this path | 404 | SOAP fault, Sender, with the paths that are |
| neither GET nor POST | 405 | text |
| the body takes too long to arrive | 408 | SOAP fault, Sender |
| larger than a limit allows | 413 | SOAP fault, Sender, naming the limit |
| a media type or coding that is not read | 415 | SOAP fault, Sender |
| the server failed | 500 | SOAP fault, Receiver, with a reference number for the log |
| too many requests, or no memory | 503 | Retry-After |

A fault names the rule in its detail (`Diagnosis/@rule`) and in its text, says what was met, and how to mend it. The answer comes
in the form of the request: MTOM for MTOM, plain for plain (ITI TF-2: V.8.1); a package that could not be read is answered in
plain SOAP. wsa:RelatesTo repeats the request's MessageID as it came. A body that breaks the XSD, but is the right element, is
answered by the transaction's own response with every finding (rule XSD-001). A store that is busy, full or failing is answered
XDSRegistryBusy, XDSRegistryOutOfResources or XDSRegistryError, or the XDSRepository form of them.

wsa:Action decides which transaction is meant; it must agree with the body element and with the path. Without it the body element
decides, at the path of an actor for the basic transaction of that body only. The HTTP action never decides.

Documents are read and sent in chunks of at most 256 kB, and those of more than 64 kB wait in files: no large one is whole in
memory at any moment. (Inline base64 in an envelope that keeps within the limit for XML is part of it.) An answer that fails while
it is sent breaks the connection before the closing boundary, so that nobody takes it for a whole one.

## Quirks

`accept` is silence; `note` is counted in the metrics, and told in the log when first met; `refuse` is a fault that carries the
id. The strict profile (`domain.wire = strict`) refuses what the standards do not allow. Single rows can be changed
(`domain.wire_rows`), but for those marked fixed: what can be read in two ways, and what would make the server fetch something,
is refused always. Rows of another seat than the SOAP layer are met by the HTTP server, by the query table or by the signature
check.

| id | quirk | default | strict | fixed | seat | source |
|---|---|---|---|---|---|---|
"""

_CAPTURES = """
## Real clients

Each capture of a real client's request, its framing untouched, around a valid body, against the server as it is started
(`tests/soap/test_captures.py`): what comes of it in the default profile, and the rows that are noted.

| client | transaction | outcome | notes |
|---|---|---|---|
"""

_LIMITS = """
## Limits

Defaults of one request; the settings of the group `limits` change them (docs/settings.md).

| limit | default | meaning |
|---|---|---|
"""

_STRICT = """
## Strict, and stricter

In the strict profile these limits are narrower, unless the settings name another value than the default:
{}.
"""


def page() -> str:
    """The whole page."""
    rows = [
        f"| {row.id} | {row.text} | {Wire().action(row.id).value} | {Wire(strict=True).action(row.id).value} | "
        f"{'yes' if row.fixed else ''} | {'' if row.seat is Seat.SOAP else row.seat.value} | {row.source} |\n"
        for row in QUIRKS.values()
    ]
    captures = []
    for name, (transaction, outcome, notes) in OUTCOMES.items():
        said = "accepted" if outcome == "Success" else f"refused: {outcome}"
        captures.append(f"| {name} | {transaction} | {said} | {', '.join(sorted(notes)) or '-'} |\n")
    remedies = [f"- {row.id}: {row.remedy}\n" for row in QUIRKS.values() if row.remedy and Do.REFUSE in (row.default, row.strict)]
    return "".join(
        [
            *(_HEAD, *rows, "\n### What to send instead\n\n", *remedies, _CAPTURES, *captures),
            *(_LIMITS, *_limits(), _STRICT.format(_strict())),
        ]
    )


def _limits() -> list[str]:
    meanings = dict(_pairs(inspect.getsource(Limits)))
    lines = []
    for name, meaning in meanings.items():
        lines.append(f"| {name} | {_shown(getattr(Limits(), name), '(count)' in meaning)} | {meaning} |\n")
    return lines


def _strict() -> str:
    limits = Limits().strict()
    return ", ".join(f"{name} {_shown(getattr(limits, name), name in ('parts', 'part_header_lines'))}" for name in STRICT)


def _pairs(source: str) -> list[tuple[str, str]]:
    """Name and docstring of each field, as they stand in the class."""
    lines = [line.strip() for line in source.splitlines()]
    return [
        (line.split(":")[0], following.strip('"'))
        for line, following in pairwise(lines)
        if ": " in line and following.startswith('"""')
    ]


def _shown(value: float, count: bool) -> str:
    if count:
        return f"{value:,}"
    for unit, size in (("GB", GB), ("MB", MB), ("kB", KB)):
        if value >= size and value % size == 0:
            return f"{value // size} {unit}"
    return f"{value:g}"


if __name__ == "__main__":
    print(page(), end="")
