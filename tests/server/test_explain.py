"""`carnet explain` and the page that every refusal names."""

from __future__ import annotations

import functools
import http.server
import json
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from lxml import html as lxml_html

from conformance.explanations.catalogue import explanations
from server.__main__ import program
from server.explain_page import explain_page, language_of
from tests.ports import free_port
from tests.server.exchange import PATIENT, announce
from tests.server_process import ServerProcess
from tests.soap.raw_http import ask, request

_SOAP = "http://www.w3.org/2003/05/soap-envelope"


def run(*words: str, **environment: str) -> tuple[int, str]:
    clean = dict.fromkeys(("LC_ALL", "LC_MESSAGES", "LANG"))
    result = CliRunner().invoke(program, ["explain", *words], env={**clean, **environment})
    return result.exit_code, result.output


@pytest.mark.parametrize(("language", "word"), [("en", "creationTime of a DocumentEntry"), ("fr", "L'attribut creationTime")])
def test_a_rule_is_explained(language: str, word: str) -> None:
    status, text = run("DE-406", "--lang", language)
    assert status == 0
    assert text.startswith(f"DE-406: {word}")
    assert "<rim:Value>20240131101500</rim:Value>" in text and "31/01/2024" in text


def test_the_language_is_that_of_the_environment() -> None:
    assert "Cause habituelle" in run("WIRE-014", LC_ALL="fr_FR.UTF-8")[1]
    assert "Usual cause" in run("WIRE-014", LANG="de_DE.UTF-8")[1]


def test_json_has_both_languages() -> None:
    told = json.loads(run("XDSUnknownPatientId", "--json")[1])
    assert told["kind"] == "code" and set(told["fix"]) == {"en", "fr"} and "PAT-003" in told["related"]


def test_an_unknown_id_suggests_and_ends_with_2() -> None:
    status, text = run("WIRE-14")
    assert status == 2 and "WIRE-014" in text
    assert run("qqqqqqqqqqqq")[0] == 2


def test_every_id_can_be_shown_and_is_listed() -> None:
    status, text = run("--list")
    listed = [line.split()[0] for line in text.splitlines()]
    assert status == 0 and listed == list(explanations())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages as files."""
    folder = tmp_path_factory.mktemp("site").resolve() / "pages"
    status, text = run("--site", str(folder))
    assert status == 0 and text.startswith(f"{2 * len(explanations()) + 2} pages")
    return folder


def test_pages_are_written_as_files_that_link_to_one_another(site: Path, tmp_path: Path) -> None:
    pages = set(site.rglob("index.html"))
    assert len(pages) == 2 * len(explanations()) + 2
    for path in (site / "index.html", site / "DE-406/index.html", site / "DE-406/fr/index.html"):
        for link in lxml_html.fromstring(path.read_text("utf-8")).xpath("//a/@href"):
            assert (path.parent / link).resolve() in pages, link
    french = lxml_html.fromstring((site / "DE-406/fr/index.html").read_text("utf-8"))
    assert french.get("lang") == "fr" and "L'attribut creationTime" in french.text_content()
    (tmp_path / "file").write_text("")
    assert run("--site", str(tmp_path / "file" / "pages"))[0] == 2


# ------------------------------------------------------------------------------------------------------------------ the page


def test_the_page_says_what_the_catalogue_says_in_both_languages() -> None:
    for one in explanations().values():
        for language in ("en", "fr"):
            status, text, _ = explain_page(one.id, f"lang={language}")
            shown = " ".join(lxml_html.fromstring(text).text_content().split())
            assert status.startswith("200")
            assert " ".join(one.fix.of(language).split()) in shown, one.id


def test_what_came_from_outside_is_escaped() -> None:
    status, text, headers = explain_page('<script>alert(1)</script>"', "lang=<x>", "<y>")
    assert status.startswith("404") and "<script" not in text
    policy = dict(headers)["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy


@pytest.mark.parametrize(
    ("query", "accept", "language"),
    [("", "", "en"), ("lang=fr", "en", "fr"), ("", "fr-FR,fr;q=0.9,en;q=0.8", "fr"), ("", "de, en;q=0.5, fr;q=0.7", "fr"),
     ("lang=xx", "fr;q=0", "en"), ("", "fr;q=zz, en", "en")],
)  # fmt: skip
def test_the_page_speaks_the_reader_s_language(query: str, accept: str, language: str) -> None:
    assert language_of(query, accept) == language


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    data = tmp_path_factory.mktemp("explain") / "data"
    announce(data)
    with ServerProcess(data) as running:
        yield running


def fetched(url: str, language: str = "fr") -> tuple[int, str]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept-Language": language})) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def envelope(action: str, body: str) -> bytes:
    return (
        f'<s:Envelope xmlns:s="{_SOAP}" xmlns:wsa="http://www.w3.org/2005/08/addressing"><s:Header><wsa:Action '
        f's:mustUnderstand="1">{action}</wsa:Action></s:Header><s:Body>{body}</s:Body></s:Envelope>'
    ).encode()


_QUERY = (
    '<query:AdhocQueryRequest xmlns:query="urn:oasis:names:tc:ebxml-regrep:xsd:query:3.0" '
    'xmlns:rim="urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0"><query:ResponseOption returnType="LeafClass"/>'
    '<rim:AdhocQuery id="urn:uuid:14d4debf-8f97-4251-9a74-a90016b0af0d"/></query:AdhocQueryRequest>'
)
_RETRIEVE = (
    '<xds:RetrieveDocumentSetRequest xmlns:xds="urn:ihe:iti:xds-b:2007"><xds:DocumentRequest><xds:RepositoryUniqueId>1.2.3'
    "</xds:RepositoryUniqueId><xds:DocumentUniqueId>1.2</xds:DocumentUniqueId></xds:DocumentRequest></xds:RetrieveDocumentSetRequest>"
)


@pytest.mark.parametrize(
    ("path", "action", "body"),
    [("/xds/registry", "urn:ihe:iti:2007:RegistryStoredQuery", _QUERY),
     ("/xds/repository", "urn:ihe:iti:2007:RetrieveDocumentSet", _RETRIEVE),
     ("/xds/registry", "urn:ihe:iti:2007:RegistryStoredQuery", "<a/>"),
     ("/xds/registry", "urn:nobody", "<a/>"), ("/nowhere", "urn:nobody", "<a/>"),
     ("/xds/registry", "urn:ihe:iti:2007:RegistryStoredQuery", "<a>" * 97 + "</a>" * 97)],
)  # fmt: skip
def test_every_refusal_carries_a_link_that_leads_to_its_page(server: ServerProcess, path: str, action: str, body: str) -> None:
    answer = ask(server.url, request(path, "application/soap+xml", envelope(action, body)))
    links = re.findall(r"http://xds\.example\.org(/explain/[\w-]+)", answer.text)
    assert links, answer.text
    for link in links:
        status, page = fetched(server.url + link)
        assert status == 200 and link.rpartition("/")[2] in page and 'lang="fr"' in page


def test_the_public_address_stands_in_the_links(tmp_path: Path) -> None:
    announce(tmp_path / "data")
    port = free_port()
    public = ("--set", "server.public_url=https://dmp.example.fr/")
    server = ServerProcess(tmp_path / "data", "--port", str(port), *public).start(healthy=False)
    try:
        sent = request("/xds/registry", "application/soap+xml", envelope("urn:ihe:iti:2007:RegistryStoredQuery", _QUERY))
        assert "https://dmp.example.fr/explain/SQ-MISSING" in ask(f"http://127.0.0.1:{port}", sent).text
    finally:
        server.stop()


def test_links_lead_where_the_operator_has_put_the_pages(site: Path, tmp_path: Path) -> None:
    """A reader without a card: the pages stand on a plain web server, and the link of a refusal finds its page there."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=site)
    announce(tmp_path / "data")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as plain:
        threading.Thread(target=plain.serve_forever, daemon=True).start()
        try:
            address = f"http://127.0.0.1:{plain.server_address[1]}"
            with ServerProcess(tmp_path / "data", "--set", f"server.explain_url={address}") as running:
                sent = request("/xds/registry", "application/soap+xml", envelope("urn:ihe:iti:2007:RegistryStoredQuery", _QUERY))
                told = ask(running.url, sent).text
            link = re.search(rf"{address}/SQ-MISSING", told)
            assert link, told
            status, page = fetched(link[0])
        finally:
            plain.shutdown()
    assert status == 200 and "SQ-MISSING" in page


def test_an_address_of_the_pages_that_is_none_is_refused_at_start() -> None:
    result = CliRunner().invoke(program, ["config", "--set", "server.explain_url=pages"])
    assert result.exit_code == 2 and "server.explain_url = 'pages' is not accepted; accepted: https://host/path" in result.output


def test_the_server_lists_all_and_says_404(server: ServerProcess) -> None:
    status, text = fetched(server.url + "/explain/")
    assert status == 200 and text.count("<li>") == len(explanations())
    status, text = fetched(server.url + "/explain/DE-999", "en")
    assert status == 404 and "DE-" in text
    assert PATIENT not in text
