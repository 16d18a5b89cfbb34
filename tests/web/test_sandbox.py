"""The sandbox as a vendor meets it: real clients send, the real server answers, the page shows it in a real browser."""

from __future__ import annotations

import hashlib
import html
import io
import json
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.sandboxes import Sandboxes, TooMany
from soap.client import Client
from tests.server.exchange import package
from tests.server_process import ROOT
from tests.web.listener import Listener, browsing, listening

#: What a browser would run if a page let it through.
_CROSS_SITE = '"><script>document.title="run"</script><img src=x onerror="document.title=\'run\'">'


@pytest.fixture(scope="module")
def listener(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listener]:
    with listening(tmp_path_factory.mktemp("listener") / "sandboxes", "acme", "other") as running:
        yield running


def _send(listener: Listener, name: str, content: bytes = b"note", patient_id: str = "") -> None:
    one = package(content, patient_id=patient_id or listener.patient(name))
    with Client(repository=f"{listener.url}/v/{name}/xds/repository") as client:
        client.provide(one.metadata, one.documents)


@pytest.fixture
def name(listener: Listener, request: pytest.FixtureRequest) -> str:
    """A new sandbox."""
    made = re.sub(r"[^A-Za-z0-9]+", "-", request.node.name)[5:45].strip("-")
    _post(listener, "/open", {"name": made})
    return made


def _post(listener: Listener, path: str, form: dict[str, str], headers: dict[str, str] | None = None) -> str:
    data = urllib.parse.urlencode(form).encode()
    with urllib.request.urlopen(urllib.request.Request(listener.url + path, data, headers or {}), timeout=60) as answer:
        return str(answer.geturl())


def test_a_clients_messages_are_kept_answered_checked_and_ticked_off(listener: Listener, name: str, tmp_path: Path) -> None:
    document = tmp_path / "note.txt"
    document.write_text("Blood pressure 120/80.\n")
    client = [sys.executable, "client.py", f"{listener.url}/v/{name}", listener.patient(name), str(document)]
    done = subprocess.run(client, cwd=ROOT / "examples" / "python", capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    refused = listener.wait_for(name, 4)
    met = [f'class="expectation met" id="{row}"' for row in ("EXP-01", "EXP-22", "EXP-28", "EXP-30")]
    page = listener.until(f"/v/{name}/?lang=en", *met)
    assert 'class="expectation" id="EXP-13"' in page
    message = listener.get(f"/v/{name}/messages/1?lang=en")
    assert "WIRE-040" in message  # zeep's documents went out as application/octet-stream
    assert re.search(r'<a href="#q\d+">line \d+:\d+</a>', message)
    raw = listener.get(f"/v/{name}/messages/1/request")
    assert raw.startswith(f"POST /v/{name}/xds/repository HTTP/1.1\r\n")
    assert "Blood pressure 120/80." in raw
    assert "XDSNonIdenticalSize" in refused
    assert "/explain/STORE-003" in refused


def test_what_is_kept_is_what_came(listener: Listener, name: str) -> None:
    body = b'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body/>'
    request = urllib.request.Request(
        f"{listener.url}/v/{name}/xds/registry", body, {"Content-Type": "application/soap+xml; charset=utf-8", "X-Vendor": "9.1"}
    )
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(request, timeout=60)
    listener.wait_for(name, 1)
    head, _, kept = listener.get(f"/v/{name}/messages/1/request").partition("\r\n\r\n")
    assert kept.encode() == body
    assert "X-Vendor: 9.1" in head.split("\r\n")
    assert listener.get(f"/v/{name}/messages/1/response").startswith("HTTP/1.1 400 ")


def test_sandboxes_know_nothing_of_each_other(listener: Listener, name: str) -> None:
    """A patient of one is unknown in the other."""
    _send(listener, name, patient_id=listener.patient("acme"))
    assert "XDSUnknownPatientId" in listener.wait_for(name, 1)
    assert listener.patient("acme") != listener.patient(name)


def test_a_message_is_sent_again_and_compared(listener: Listener, name: str) -> None:
    _send(listener, name, b"again")
    listener.wait_for(name, 1)
    assert _post(listener, f"/v/{name}/messages/1/replay?lang=en", {}).endswith(f"/v/{name}/messages/2?lang=en")
    assert "The two requests are the same" in listener.get(f"/v/{name}/compare?a=1&b=2&lang=en")
    _send(listener, name, b"other")
    listener.wait_for(name, 3)
    assert '<tr class="changed">' in listener.get(f"/v/{name}/compare?a=1&b=3&lang=en")


def test_curl_sends_the_same_octets(listener: Listener, name: str, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    _send(listener, name, b"by curl")
    shown = re.search(r'<pre id="curl">(.*?)</pre>', listener.wait_for(name, 1), re.DOTALL)
    assert shown
    done = subprocess.run(["sh", "-e", "-c", html.unescape(shown[1])], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert "[REG-001" in done.stdout, done.stdout + done.stderr  # this very submission is registered already
    listener.wait_for(name, 2)
    bodies = [listener.get(f"/v/{name}/messages/{one}/request").partition("\r\n\r\n")[2] for one in (1, 2)]
    assert bodies[0] == bodies[1]


def test_the_evidence_holds_every_message_with_its_hash(listener: Listener, name: str) -> None:
    _send(listener, name, b"evidence")
    listener.until(f"/v/{name}/?lang=en", 'class="expectation met" id="EXP-01"')
    with urllib.request.urlopen(f"{listener.url}/v/{name}/evidence.zip", timeout=60) as answer:
        archive = zipfile.ZipFile(io.BytesIO(answer.read()))
    manifest = json.loads(archive.read("manifest.json"))["sha256"]
    assert set(manifest) == set(archive.namelist()) - {"manifest.json"}
    for file, digest in manifest.items():
        assert hashlib.sha256(archive.read(file)).hexdigest() == digest
    verdict = json.loads(archive.read("expectations/EXP-01/verdict.json"))
    assert verdict["met"] is True
    assert verdict["fr"].startswith("Déposer")
    assert b"ResponseStatusType:Success" in archive.read("expectations/EXP-01/response.http")


def test_forms_are_taken_from_our_own_pages_only(listener: Listener) -> None:
    for headers in ({"Origin": "https://elsewhere.example"}, {"Sec-Fetch-Site": "cross-site"}):
        with pytest.raises(urllib.error.HTTPError) as refused:
            _post(listener, "/open", {"name": "stolen"}, headers)
        assert refused.value.code == 403
    assert "stolen" not in listener.get("/")


@pytest.mark.parametrize("name", ["", "../up", "a/b", "x" * 41, "-a", "é"])
def test_a_name_that_cannot_be_used_is_refused(listener: Listener, name: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        _post(listener, "/open?lang=en", {"name": name})
    assert refused.value.code == 400
    assert "1 to 40 letters" in refused.value.read().decode()


@pytest.mark.parametrize("patient", ["", "4711", "4711^^^&1.2.3", "4711\n5^^^&1.2.3&ISO", "4711^^^&1.2.3&ISO\n6^^^&1.2.3&ISO"])
def test_what_is_no_patient_is_refused(listener: Listener, patient: str) -> None:
    before = listener.get("/v/acme/?lang=en").count("&amp;ISO")
    with pytest.raises(urllib.error.HTTPError) as refused:
        _post(listener, "/v/acme/patients?lang=en", {"patient": patient})
    assert refused.value.code == 400 and "no patient id" in refused.value.read().decode()
    assert listener.get("/v/acme/?lang=en").count("&amp;ISO") == before


@pytest.mark.parametrize("number", ["9" * 300, "9" * 5000, "-1", "0", "\u0661", "1_0", ""])
def test_a_number_of_no_message_is_answered_404(listener: Listener, number: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        listener.get(f"/v/acme/compare?a={urllib.parse.quote(number)[:3000]}&b=1")
    assert refused.value.code == 404


def _asked(listener: Listener, path: str, host: str, form: bytes | None = None, **headers: str) -> tuple[int, str]:
    """Status and text under this name."""
    request = urllib.request.Request(listener.url + path, form, {"Host": host, **headers})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


_FOREIGN = ("attacker.example:8090", "127.0.0.1.attacker.example", "localhost.attacker.example", "[", "@", "")


@pytest.mark.parametrize("host", _FOREIGN)
def test_a_browser_under_a_name_that_nobody_gave_us_sees_and_changes_nothing(listener: Listener, host: str) -> None:
    """DNS rebinding: to the browser the site and its Origin are the same."""
    for path in ("/", "/health", "/v/acme/", "/v/acme/events", "/v/acme/evidence.zip", "/static/site.css"):
        status, said = _asked(listener, path + "?lang=en", host)
        assert status == 421 and "--public-url" in said, (path, status, said)
    own = {"Origin": f"http://{host}"}
    for path in ("/open", "/v/acme/patients", "/v/acme/messages/1/replay", "/v/acme/xds/registry", "/v/acme/dmp/patients"):
        assert _asked(listener, path, host, b"name=rebound", **own)[0] == 421
    assert "rebound" not in listener.get("/")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:8090", "192.0.2.7", "[::1]:8090", "localhost."])
def test_an_address_is_nobodys_to_point_elsewhere(listener: Listener, host: str) -> None:
    assert _asked(listener, "/v/acme/", host)[0] == 200
    assert _asked(listener, "/v/acme/messages/999999/replay", host, b"", Origin=f"http://{host}")[0] == 404


def test_software_reaches_the_services_by_whatever_name(listener: Listener) -> None:
    status, said = _asked(listener, "/v/acme/xds/registry", "registry.vendor.example", b"<a/>", **{"Content-Type": "text/xml"})
    assert status != 421 and "Fault" in said
    assert _asked(listener, "/v/acme/xds/registry?wsdl", "registry.vendor.example")[0] == 200


def test_the_names_that_the_operator_gave_are_ours(tmp_path: Path) -> None:
    sandboxes = Sandboxes(tmp_path, "https://Kit.Example.org/", hosts=("carnet.lan",))

    def asked(host: str) -> str:
        told: list[str] = []
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "HTTP_HOST": host}
        assert b"".join(sandboxes(environ, lambda status, headers, *rest: told.append(status)))
        return told[0][:3]

    names = ("kit.example.org", "KIT.example.org:443", "carnet.lan:8090", "kit.example.org.", "example.org", "lan")
    assert [asked(name) for name in names] == ["200"] * 4 + ["421"] * 2


def test_there_is_an_end_to_sandboxes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.sandboxes.MOST_SANDBOXES", 2)
    for known in ("one", "two"):
        (tmp_path / known).mkdir()
    with pytest.raises(TooMany):
        Sandboxes(tmp_path, "http://127.0.0.1").open("three")
    assert not (tmp_path / "three").exists()


def test_a_sandbox_is_there_again_after_a_restart(tmp_path: Path) -> None:
    data = tmp_path / "sandboxes"
    with listening(data, "acme") as first:
        _send(first, "acme", b"kept")
        first.wait_for("acme", 1)
        patient = first.patient("acme")
        _post(first, "/v/acme/patients", {"patient": "4711^^^&1.2.3.4.5&ISO"})
    with listening(data) as again:
        assert again.patient("acme") == patient
        page = again.get("/v/acme/?lang=en")
        assert "4711^^^&amp;1.2.3.4.5&amp;ISO" in page
        assert 'class="expectation met" id="EXP-01"' in page
        _send(again, "acme", b"more", "4711^^^&1.2.3.4.5&ISO")
        assert "Success" in again.wait_for("acme", 2)


def test_a_browser_sees_messages_arrive_and_runs_nothing_that_came_with_them(
    listener: Listener, name: str, tmp_path: Path
) -> None:
    with browsing(tmp_path) as browser:
        browser.go(f"{listener.url}/v/{name}/?lang=en")
        browser.run("window.kept = true")
        _send(listener, name, b"live")
        browser.until("return document.getElementById('message-1')")
        assert browser.run("return window.kept") is True  # the page was not loaded again
        _send_hostile(listener, name)
        browser.until("return document.getElementById('message-2')")
        for path in ("messages/2", "compare?a=1&b=2", ""):
            browser.go(f"{listener.url}/v/{name}/{path}")
            assert browser.until("return document.title.includes('Carnet')")
            assert browser.run("return document.scripts.length") == 1
            assert browser.run("return document.images.length") == 0
        browser.go(f"{listener.url}/v/{name}/messages/2?lang=fr")
        assert "onerror=" in browser.run("return document.body.innerText")  # it is there, as text
        browser.run("document.querySelector('form button').click()")
        browser.until("return location.pathname.endsWith('/messages/3')")
        assert [one for one in browser.log() if one["level"] == "SEVERE" and "favicon" not in one["message"]] == []


def _send_hostile(listener: Listener, name: str) -> None:
    """A submission whose display names, title and author hold scripts."""
    one = package(b"x", patient_id=listener.patient(name))
    escaped = _CROSS_SITE.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;").encode()
    metadata = re.sub(rb'(<rim:LocalizedString[^>]*value=")[^"]*"', lambda found: found[1] + escaped + b'"', one.metadata)
    metadata = re.sub(rb'(nodeRepresentation=")[^"]+"', lambda found: found[1] + escaped[:60] + b'"', metadata)
    assert metadata.count(b"document.title") > 3
    with Client(repository=f"{listener.url}/v/{name}/xds/repository") as client:
        client.provide(metadata, one.documents)
