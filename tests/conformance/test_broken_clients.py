"""Broken clients: what vendors' software gets wrong most often, and whether the finding is enough to mend it.

Each client sends a right ITI-41 with one mistake, to `carnet conformance listen` and, as a file, to `carnet conformance check`.
The finding must name the cause. Then somebody who has read nothing but the finding and `carnet explain` mends the message:
`mends` takes every value that it writes from those texts, or from the message at the place that they name.
"""

from __future__ import annotations

import html
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from conformance.check import CheckOptions, check_octets
from conformance.check_result import Found, Level
from conformance.explanations.catalogue import explain
from server.domain import load_domain
from tests.conformance import files
from tests.web.listener import Listener, listening

_LANGUAGE = '  <rim:Slot name="languageCode"><rim:ValueList><rim:Value>fr-FR</rim:Value></rim:ValueList></rim:Slot>\n'
_STATUS = '<rim:Slot name="SubmissionSetStatus"><rim:ValueList><rim:Value>Original</rim:Value></rim:ValueList></rim:Slot>'
_INFO = _LANGUAGE.replace("languageCode", "sourcePatientInfo").replace("fr-FR", "PID-5:DUPONT^Marie")

Findings = Mapping[str, Found]


@dataclass(frozen=True, slots=True)
class Client:
    """`breaks` makes its mistake; the finding `rule` holds each of `says`; `mends` undoes it by the findings alone."""

    name: str
    breaks: Callable[[str], str]
    rule: str
    says: tuple[str, ...]
    mends: Callable[[str, Findings], str]
    domain: str = ""


def _swap(old: str, new: str, count: int = -1) -> Callable[[str], str]:
    def breaks(message: str) -> str:
        assert old in message
        return message.replace(old, new, count)

    return breaks


def _said(pattern: str, text: str) -> str:
    """What a text says where this pattern has its group."""
    found = re.search(pattern, text)
    assert found, f"{pattern} is not said in: {text}"
    return found[1]


def _at(message: str, found: Found, pattern: str, new: str) -> str:
    """The message with the first match from the place of the finding on replaced."""
    lines = message.split("\n")
    start = sum(len(line) + 1 for line in lines[: found.line - 1]) + found.column - 1
    changed, count = re.subn(pattern, lambda _: new, message[start:], count=1, flags=re.DOTALL)
    assert count, f"{pattern} does not stand at {found.line}:{found.column}"
    return message[:start] + changed


def _wrong_action(message: str, found: Findings) -> str:
    one = found["WSA-ACTION"]
    return _at(message, one, r"(?<=>)[^<]+(?=</wsa:Action>)", _said(r"Write (\S+)\.$", one.remedy))


def _missing_slot(message: str, found: Findings) -> str:
    one = found["DE-113"]
    assert _said(r"Slot '(\w+)'", one.remedy) in explain("DE-113").right
    tag = re.compile(r"<rim:ExtrinsicObject[^>]*>")
    whole = tag.search(message)
    assert whole and f'id="{one.subject.split()[0]}"' in whole[0]
    return message.replace(whole[0], whole[0] + explain("DE-113").right, 1)


def _wrong_hash(message: str, found: Findings) -> str:
    one = found["REP-003"]
    return _at(message, one, re.escape(one.value), _said(r"has the hash ([0-9a-f]{40})", one.message))


def _wrong_scheme(message: str, found: Findings) -> str:
    """The one finding says which attribute is missing and its scheme, the other which scheme means nothing."""
    return _at(message, found["OBJ-014"], re.escape(found["OBJ-014"].value), _said(r"'(urn:uuid:\S+)'", found["DE-103"].remedy))


def _lost_namespace(message: str, found: Findings) -> str:
    one = found["XSD-001"]
    element = _said(r"(\w+) is in the namespace ''", one.message)
    namespace = _said(r"namespace (\S+) for it", one.remedy)
    return _at(message, one, f"<{element}", f'<{element} xmlns="{namespace}"')


def _soap_11(message: str, found: Findings) -> str:
    one = found["WIRE-023"]
    return _at(message, one, r'(?<=xmlns:s=")[^"]+', _said(r"the namespace (\S+) and", one.remedy))


def _no_start(message: str, found: Findings) -> str:
    assert 'start="<Content-ID of the root part>"' in found["WIRE-019"].remedy
    root = _said(r"Content-ID: (<[^>]+>)", message)
    return _at(message, found["WIRE-019"], r"(?=\r\n)", f'; start="{root}"')


def _not_closed(message: str, found: Findings) -> str:
    closing = _said(r"no closing boundary (--\S+--)", found["WIRE-027"].message)
    return f"{message}\r\n{closing}\r\n"


def _root_and_extension(message: str, found: Findings) -> str:
    assert "behind the root as a further arc" in explain("FR-014").fix.en
    return _at(message, found["FR-014"], re.escape(found["FR-014"].value), found["FR-014"].value.replace("^", "."))


def _local_time(message: str, found: Findings) -> str:
    one = found["DE-406"]
    assert "Convert to UTC and print yyyyMMddHHmmss" in explain("DE-406").fix.en
    there = datetime.strptime(one.value, "%Y%m%d%H%M%S%z")
    return _at(message, one, re.escape(one.value), there.astimezone(UTC).strftime("%Y%m%d%H%M%S"))


def _wrong_cx(message: str, found: Findings) -> str:
    one = found["DE-416"]
    assert "id^^^&OID&ISO" in one.remedy and "is written &amp;, once" in explain("DE-416").fix.en
    number, _, authority = one.value.partition("^^^")
    return message.replace(one.value, f"{number}^^^&amp;{authority}&amp;ISO")


def _no_label(message: str, found: Findings) -> str:
    one = found["AS-008"]
    word = _said(r"the slot (\w+) is missing", one.message), _said(r"the value (\w+)", one.remedy)
    slot = _said(r"(?s)(<rim:Slot.*</rim:Slot>)", explain("AS-008").right)
    assert all(part in slot for part in word)
    return _at(message, one, r"(?=</rim:Association>)", slot)


def _wrong_patient_info(message: str, found: Findings) -> str:
    one = found["DE-423"]
    assert "PID-n|value" in one.remedy
    return _at(message, one, re.escape(one.value), one.value.replace(":", "|", 1))


def _escaped_twice(message: str, found: Findings) -> str:
    assert "the ampersand was escaped twice" in found["DE-416"].message
    return message.replace("&amp;amp;", "&amp;")


def _other_content_id(message: str, found: Findings) -> str:
    one = found["WIRE-041-missing"]
    wrong, right = _said(r"href='(cid:[^']+)'", one.message), _said(r"parts are <([^>]+)>", one.message)
    return message.replace(wrong, f"cid:{right}")


#: Root and last arc of the uniqueId of the document.
_OF_DOCUMENT = r'(?<=value=")([\d.]+)\.(\d+)(?="\s+identificationScheme="urn:uuid:2e82c1f6)'
_HASH = _said(r'name="hash"><rim:ValueList><rim:Value>(\w+)', files.entry())
_SCHEME = "41a5887f-8865-4c09-adf7-e362475b143a"
CLIENTS = (
    Client(
        "wrong-action", _swap("ProvideAndRegisterDocumentSet-b</wsa", "ProvideAndRegisterDocumentSet</wsa"), "WSA-ACTION",
        ("wsa:Action", "ProvideAndRegisterDocumentSet-b"), _wrong_action,
    ),
    Client("missing-slot", _swap(_LANGUAGE, ""), "DE-113", ("languageCode is missing", "Slot"), _missing_slot),
    Client("wrong-hash", _swap(_HASH, _HASH[::-1]), "REP-003", ("the document received has the hash", _HASH), _wrong_hash),
    Client(
        "wrong-scheme", _swap(_SCHEME, _SCHEME[:-1] + "b"), "OBJ-014", ("scheme", "is not defined", "digit by digit"),
        _wrong_scheme,
    ),
    Client(
        "namespace-lost", lambda m: m.replace("<xds:Document id", "<Document id").replace("</xds:Document>", "</Document>"),
        "XSD-001", ("Document is in the namespace ''", "urn:ihe:iti:xds-b:2007"), _lost_namespace,
    ),
    Client(
        "soap-1.1", _swap("http://www.w3.org/2003/05/soap-envelope", "http://schemas.xmlsoap.org/soap/envelope/"), "WIRE-023",
        ("SOAP 1.1", "SOAP 1.2", "http://www.w3.org/2003/05/soap-envelope"), _soap_11,
    ),
    Client("no-start", _swap('start="<root@example.org>"; ', "", 1), "WIRE-019", ("start", "is missing"), _no_start),
    Client("not-closed", _swap("\r\n--MIME_a1--\r\n", ""), "WIRE-027", ("no closing boundary --MIME_a1--",), _not_closed),
    Client(
        "root-and-extension", lambda m: re.sub(_OF_DOCUMENT, r"\1^\2", m), "FR-014",
        ("uniqueId is no OID", "root^extension is not supported"), _root_and_extension, "dmp-fr",
    ),
    Client(
        "local-time", _swap("20240131101500<", "20240131111500+0100<", 1), "DE-406", ("zone offset", "times are UTC"), _local_time
    ),
    Client(
        "wrong-cx", lambda m: re.sub(r"\^\^\^&amp;([\d.]+)&amp;ISO(?=\")", r"^^^\1", m), "DE-416",
        ("assigning authority is not of the form &OID&ISO",), _wrong_cx,
    ),
    Client("no-label", _swap(_STATUS, ""), "AS-008", ("SubmissionSetStatus is missing", "Original"), _no_label),
    Client(
        "wrong-patient-info", _swap(_LANGUAGE, _LANGUAGE + _INFO), "DE-423", ("does not begin with PID-", "PID-n|value"),
        _wrong_patient_info,
    ),
    Client(
        "escaped-twice", lambda m: re.sub(r"\^\^\^&amp;([\d.]+)&amp;ISO(?=\")", r"^^^&amp;amp;\1&amp;amp;ISO", m), "DE-416",
        ("escaped twice",), _escaped_twice,
    ),
    Client(
        "other-content-id", _swap("cid:doc@example.org", "cid:document-1"), "WIRE-041-missing",
        ("xop:Include names a part that is not in the package", "<doc@example.org>"), _other_content_id,
    ),
)  # fmt: skip
BY_NAME = pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)


def whole(message: str, path: str = "/xds/repository") -> bytes:
    """The message as a client's HTTP stack sends it: its length is right, whatever its content."""
    head, _, body = message.partition("\r\n\r\n")
    head = re.sub(r"Content-Length: \d+", f"Content-Length: {len(body.encode())}", head)
    return re.sub(r"^POST \S+", f"POST {path}", head).encode() + b"\r\n\r\n" + body.encode()


def judged(data: bytes, client: Client) -> list[Found]:
    options = CheckOptions(load_domain(client.domain, "")) if client.domain else CheckOptions()
    return list(check_octets(data, client.name, options).found)


def broken(client: Client, patient: str = "", number: int = 1) -> str:
    """Its message; with `patient` (escaped) and uniqueIds of its own."""
    message = files.iti41().decode()
    message = re.sub(r'(value="1\.2\.250\.1\.213)\.([12])"', rf'\g<1>.9.{number}.\2"', message)
    return client.breaks(message.replace(files.PATIENT, patient) if patient else message)


def test_at_least_ten_kinds() -> None:
    assert len({client.name for client in CLIENTS}) == len(CLIENTS) >= 10


@BY_NAME
def test_the_finding_names_the_cause(client: Client) -> None:
    found = {one.rule: one for one in judged(whole(broken(client)), client)}
    assert client.rule in found, sorted(found)
    text = f"{found[client.rule].message} {found[client.rule].remedy}"
    for word in client.says:
        assert word in text
    one = explain(client.rule)
    for words in (one.statement, one.why, one.fix):
        assert words.en and words.fr


@BY_NAME
def test_the_message_is_mended_by_the_texts_alone(client: Client) -> None:
    message = broken(client)
    found = judged(whole(message), client)
    mended = client.mends(message, {one.rule: one for one in reversed(found)})
    left = judged(whole(mended), client)
    assert client.rule not in {one.rule for one in left}
    worse = {one.rule for one in left if one.level is Level.ERROR} - {one.rule for one in found}
    assert worse == set()
    if not client.domain:  # the sample's codes are no codes of the French domain
        assert [(one.rule, one.message) for one in left if one.level not in (Level.ADVICE,)] == []


# ------------------------------------------------------------------------------------------------------------ the listener


@pytest.fixture(scope="module")
def listener(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listener]:
    with listening(tmp_path_factory.mktemp("broken-clients") / "sandboxes", "vendor") as running:
        yield running


def _send(listener: Listener, octets: bytes) -> str:
    head, _, body = octets.partition(b"\r\n\r\n")
    content_type = _said(r"Content-Type: (.*?)\r\n", head.decode())
    request = urllib.request.Request(f"{listener.url}/v/vendor/xds/repository", body, {"Content-Type": content_type})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as fault:
        return fault.read().decode()


def test_the_listener_says_the_same_and_takes_the_mended_message(listener: Listener) -> None:
    patient = html.escape(listener.patient("vendor"), quote=False)
    number = 0
    for client in (one for one in CLIENTS if not one.domain):
        message = broken(client, patient, number + 1)
        answer = _send(listener, whole(message))
        number += 1
        page = " ".join(html.unescape(re.sub(r"<[^>]+>", " ", listener.wait_for("vendor", number))).split())
        found = judged(whole(message, "/v/vendor/xds/repository"), client)
        named = next(one for one in found if one.rule == client.rule)
        assert client.rule in page, client.name
        assert " ".join(re.sub(r"<[^>]+>", " ", named.message).split())[:60] in page, client.name
        if "ResponseStatusType:Success" in answer:
            assert named.level in (Level.TOLERATED, Level.WARNING), client.name
            continue
        refusing = [one.rule for one in found if one.level is Level.ERROR]
        assert any(rule in answer for rule in refusing), (client.name, answer)
        mended = client.mends(message, {one.rule: one for one in reversed(found)})
        number += 1
        assert "ResponseStatusType:Success" in _send(listener, whole(mended)), client.name
        listener.wait_for("vendor", number)


def test_a_listener_for_the_french_domain_judges_by_it(tmp_path: Path) -> None:
    (client,) = (one for one in CLIENTS if one.domain)
    with listening(tmp_path / "sandboxes", "vendor", domain=client.domain) as french:
        answer = _send(french, whole(broken(client, html.escape(french.patient("vendor"), quote=False))))
        assert client.rule in answer and client.rule in french.wait_for("vendor", 1)


def test_the_page_of_explanations_is_where_the_answer_points(listener: Listener, tmp_path: Path) -> None:
    answer = _send(listener, whole(broken(CLIENTS[0])))
    (tmp_path / "answer").write_text(answer)
    address = html.unescape(_said(r"(http://[^\s<\"&]+/explain/WSA-ACTION)", answer))
    with urllib.request.urlopen(address, timeout=60) as page:
        assert "ProvideAndRegisterDocumentSet-b" in page.read().decode()
