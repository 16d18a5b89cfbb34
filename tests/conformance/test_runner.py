"""The suite against servers of our own, and the runner against servers that are at fault."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from conformance.case import Case, read_file, read_suite
from conformance.exchange import Connections, ExchangeError, Unreachable, mllp
from conformance.phrases import french
from conformance.report_words import verdict
from conformance.result import CaseResult, Run, Status
from conformance.runner import JOURNAL, Runner, chosen, read_journal
from conformance.target import Target, TargetError, read_target
from tests.nist.target import add_patients
from tests.ports import deaf_port, free_port
from tests.server_process import ROOT, ServerProcess

SUITE = read_suite()
HERE = Path(__file__).parent
#: What the schemas refuse before any rule is asked, and what the repository finds before the registry does.
NAMED_OTHERWISE = {
    "de-426-long": "XSD-001", "obj-007-long": "XSD-001", "obj-009-long": "XSD-001", "obj-010-long": "XSD-001",
    "iti41-reg-003-other": "STORE-003",
}  # fmt: skip


@contextmanager
def served(data: Path, *arguments: str, environ: dict[str, str] | None = None) -> Iterator[Target]:
    """A server of our own with both identity feeds."""
    port = free_port()
    with ServerProcess(data, "--mllp-port", str(port), *arguments, environ=environ) as server:
        yield read_target(server.url, feed=f"mllp://127.0.0.1:{port}")


def run(target: Target, cases: list[Case] | None = None, journal: Path | None = None) -> Run:
    return Runner(target, SUITE, journal=journal).run(chosen(SUITE, ["integrated"]) if cases is None else cases, "integrated")


def bad(result: Run) -> list[str]:
    return [f"{c.id}: {c.reason.en}{[f.text.en for _, f in c.findings]}" for c in result.cases if c.bad]


def not_named(case: CaseResult) -> list[str]:
    """Rules that the case proves and no refusal of it names: our own server names them in codeContext and in its faults."""
    refused = [s for s in case.steps if s.expected.startswith(("Failure", "Fault")) or s.name == "wrong"]
    told = " ".join(told.context for step in refused for told in step.told)
    if not refused or case.status is not Status.PASSED or NAMED_OTHERWISE.get(case.id, "-") in told:
        return []
    return [] if any(rule in told for rule in case.proves) or not case.proves else [f"{case.id}: {case.proves} not in {told}"]


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Run:
    with served(tmp_path_factory.mktemp("suite") / "data") as target:
        return run(target)


def test_our_server_passes_its_own_suite(everything: Run) -> None:
    assert not bad(everything)
    assert everything.counts["passed"] > 560
    skipped = {case.id: case.reason.en for case in everything.cases if case.status is Status.SKIPPED}
    assert all(reason.startswith(("it is for targets with", "it is for the affinity domain")) for reason in skipped.values())


def test_a_refusal_names_the_rule_that_its_case_proves(everything: Run) -> None:
    assert [text for case in everything.cases for text in not_named(case)] == []


def test_the_french_domain_and_a_closed_one_pass_what_is_left(everything: Run, tmp_path: Path) -> None:
    """Between the three domains no case is skipped; in the French one nothing fails of all that is asked of it."""
    left = [SUITE[case.id] for case in everything.cases if case.status is Status.SKIPPED and "secure" not in case.profiles]
    with served(tmp_path / "french", environ={"CARNET_DOMAIN_PROFILE": "dmp-fr"}) as target:
        french = run(read_target(target.name, feed=target.feed, options=("ci-sis", "archive", "dmp-services")))
    (tmp_path / "closed.toml").write_text((HERE / "closed_domain.toml").read_text())
    environ = {"CARNET_DOMAIN_PROFILE": "closed", "CARNET_DOMAIN_FOLDER": str(tmp_path)}
    environ |= {"CARNET_DOMAIN_LINK_CHANGE": "LINK^Link change^1.2.3", "CARNET_LIMITS_QUERY_RESULTS": "10"}
    with served(tmp_path / "shut", environ=environ) as target:
        options = target.options | {"limits", "code-lists", "limited-metadata", "no-removal", "link-change", "few-results"}
        closed = run(replace(target, options=options), left)
    assert not bad(french) and not bad(closed)
    passed = {case.id for result in (french, closed) for case in result.cases if case.status is Status.PASSED}
    assert {case.id for case in left} - passed == set()
    assert [text for result in (french, closed) for case in result.cases for text in not_named(case)] == []


@pytest.mark.postgres
def test_our_server_on_postgresql_passes_its_own_suite(postgres_url: str, long: bool, tmp_path: Path) -> None:
    """Those whose answers SQL decides, or all of them with --long."""
    patterns = [] if long else ["iti18-*", "iti51-*", "reg-*", "pat-*", "upd-*", "rm-*"]
    with served(tmp_path / "data", "--database", postgres_url) as target:
        result = run(target, chosen(SUITE, ["integrated"], patterns))
    assert not bad(result) and result.counts["passed"] > 200


def test_what_cases_register_is_taken_out_again(everything: Run) -> None:
    cleaned = [step for case in everything.cases for step in case.steps if step.cleans]
    assert len(cleaned) > 300
    ends = [[step for step in case.steps if step.cleans and step.transaction == "ITI-62"][-1:] for case in everything.cases]
    assert [(step.outcome, step.told) for end in ends for step in end if step.outcome != "Success"] == []


def test_a_run_survives_as_json(everything: Run) -> None:
    text = json.dumps(everything.to_json())
    assert Run.of_json(json.loads(text)) == everything


def test_a_run_is_taken_up_again_and_what_failed_is_performed_again(tmp_path: Path) -> None:
    cases = chosen(SUITE, ["registry"], ["de-103-*", "de-105-*", "reg-001-*"])
    with served(tmp_path / "data") as target:
        first = run(target, cases, tmp_path / JOURNAL)
        assert len(first.cases) == 4 and not bad(first)
        with (tmp_path / JOURNAL).open("a") as file:
            file.write('{"id": "cut')
        head, known = read_journal(tmp_path / JOURNAL)
        assert head["target"] == target.name and set(known) == {case.id for case in cases}
        del known["de-103-absent"]
        again = Runner(target, SUITE).run(cases, "registry", known=known)
    kept = {case.id: case for case in first.cases}
    assert [case.started == kept[case.id].started and case == kept[case.id] for case in again.cases].count(False) == 1


def test_patients_named_by_the_user_keep_what_they_had(tmp_path: Path) -> None:
    """Cases work for the patients of the user: what is not theirs does not disturb them, and stays."""
    names = [f"NAMED{n}^^^&1.2.250.1.999.9&ISO" for n in (1, 2)]
    with served(tmp_path / "data") as target:
        add_patients(tmp_path / "data")(names)
        named = replace(target, patients=tuple(names))
        own = Runner(named, SUITE, clean=False).run([SUITE["upd-new-version"]], "registry")
        cases = chosen(SUITE, ["registry"], ["iti18-fd-re*", "iti18-fd-c*", "iti18-gall", "pat-00*", "as-valid-rplc"])
        result = run(named, cases)
        left = run(named, [SUITE["iti18-gd-uuid"]])
        one = run(replace(named, patients=(names[0],)), [SUITE["pat-001-entry"]])
    assert not bad(own) and not bad(result) and not bad(left)
    assert {case.patients[0] for case in result.cases if case.patients} == {names[0]}
    assert one.cases[0].status is Status.SKIPPED and "second" in one.cases[0].reason.en


def test_a_wsdl_names_the_endpoints(tmp_path: Path) -> None:
    with served(tmp_path / "data") as target:
        described = read_target(target.url("ITI-18") + "?wsdl")
    assert {name: described.url(name) for name in ("ITI-18", "ITI-42")} == {
        name: target.url(name) for name in ("ITI-18", "ITI-42")
    }


def test_an_interrupted_run_ends_at_once_and_is_taken_up(tmp_path: Path) -> None:
    cases = chosen(SUITE, ["registry"], ["de-1*", "ss-1*", "obj-*"])
    seen: list[str] = []

    def interrupt(result: CaseResult, done: int, total: int) -> None:
        seen.append(result.id)
        if len(seen) == 3:
            raise KeyboardInterrupt

    with served(tmp_path / "data") as target:
        with pytest.raises(KeyboardInterrupt):
            Runner(target, SUITE, 1, tmp_path / JOURNAL, progress=interrupt).run(cases, "registry")
        _, known = read_journal(tmp_path / JOURNAL)
        assert 3 <= len(known) < len(cases)
        result = Runner(target, SUITE, journal=tmp_path / JOURNAL).run(cases, "registry", known=known)
    assert len(result.cases) == len(cases) and not bad(result)
    assert {case.id for case in result.cases if case == known.get(case.id)} == set(known)


class Wrong(BaseHTTPRequestHandler):
    """Answers everything with Success and nothing else, to no request in particular."""

    protocol_version = "HTTP/1.1"
    BODY = (
        b'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://www.w3.org/2005/08/addressing"><s:Header>'
        b"<a:Action>urn:ihe:iti:2007:RegisterDocumentSet-bResponse</a:Action><a:RelatesTo>urn:uuid:1</a:RelatesTo></s:Header>"
        b'<s:Body><r:RegistryResponse xmlns:r="urn:oasis:names:tc:ebxml-regrep:xsd:rs:3.0" '
        b'status="urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Success"/></s:Body></s:Envelope>'
    )

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "application/soap+xml; charset=UTF-8")
        self.send_header("Content-Length", str(len(self.BODY)))
        self.end_headers()
        self.wfile.write(self.BODY)

    def log_message(self, format: str, *args: object) -> None:
        """Silence."""


class Flooding(Wrong):
    """Answers without end: by a length that it states, in chunks, or until the connection is closed, as the address says."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "application/soap+xml; charset=UTF-8")
        piece = b" " * 65_536
        if self.path == "/stated":
            self.send_header("Content-Length", "1000000000000")
        elif self.path == "/chunks":
            self.send_header("Transfer-Encoding", "chunked")
            piece = b"10000\r\n" + piece + b"\r\n"
        self.close_connection = True
        self.end_headers()
        with suppress(OSError):
            while True:
                self.wfile.write(piece)


class Breaking(Wrong):
    """Ends in the middle of what it has stated."""

    def do_POST(self) -> None:
        self.close_connection = True
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.BODY)))
        self.end_headers()
        self.wfile.write(self.BODY[:-10])


@pytest.mark.parametrize("path", ["/stated", "/chunks", "/closed"])
def test_an_answer_without_end_is_not_read_to_the_end(path: str) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Flooding) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}{path}"
        with pytest.raises(ExchangeError) as refused:
            Connections(most=1_000_000).post(address, {}, b"x")
        server.shutdown()
    assert str(refused.value) == f"{address}: the answer is longer than 1,000,000 bytes; the rest was not read"
    assert french(str(refused.value)) == f"{address} : la réponse dépasse 1,000,000 octets ; le reste n'a pas été lu"


def test_an_acknowledgement_without_end_is_not_read_to_the_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def flood() -> None:
            connection, _ = server.accept()
            with connection, suppress(OSError):
                while True:
                    connection.sendall(b"x" * 65_536)

        threading.Thread(target=flood, daemon=True).start()
        address = f"mllp://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(ExchangeError, match="the answer is longer than 1,048,576 bytes"):
            mllp(address, "MSH|")


def test_an_answer_of_as_many_octets_as_are_read_is_one_and_a_broken_one_is_none() -> None:
    for handler in (Wrong, Breaking):
        with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            connections = Connections(most=len(Wrong.BODY))
            address = f"http://127.0.0.1:{server.server_address[1]}/"
            if handler is Wrong:
                assert [connections.post(address, {}, b"x").response.body for _ in range(2)] == [Wrong.BODY] * 2
            else:
                with pytest.raises(ExchangeError, match="IncompleteRead"):
                    connections.post(address, {}, b"x")
            server.shutdown()


def test_a_server_that_says_success_to_everything_fails() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Wrong) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/"
        target = Target("wrong", {"ITI-42": url, "ITI-18": url}, frozenset({"any-code"}))
        result = run(target, [SUITE["de-103-absent"], SUITE["sub-valid-whole"], SUITE["iti41-completed"]])
        server.shutdown()
    absent, whole, provided = result.cases
    assert (absent.status, whole.status, provided.status) == (Status.FAILED, Status.FAILED, Status.SKIPPED)
    ((step, finding),) = absent.findings
    assert (step.name, finding.check, finding.rules) == ("wrong", "status", ("DE-103",))
    assert "accepted a message that it must refuse (Failure" in finding.text.en and "doit refuser" in finding.text.fr
    assert finding.anchor is not None and step.response.octets.splitlines()[finding.anchor.line - 1].find(b"status=") >= 0
    assert [f.check for _, f in whole.findings] == ["header"] and next(whole.findings)[1].section == "WS-Addressing 1.0 Core: 3.4"
    assert "ITI-41" in provided.reason.en
    assert not result.passed and result.rule_status()["DE-103"] is Status.FAILED


def test_nobody_answers() -> None:
    url = f"http://127.0.0.1:{deaf_port()}/"
    (case,) = run(Target("gone", {"ITI-42": url}), [SUITE["de-103-absent"]]).cases
    assert (
        case.status is Status.ERROR and "nothing listens there" in case.reason.en and case.reason.fr.startswith("Pas de réponse")
    )


def test_where_nobody_answers_the_run_stops_and_is_taken_up(tmp_path: Path) -> None:
    """One case tells why; the others are skipped with the reason, and are not noted as done."""
    cases = chosen(SUITE, ["registry"], ["de-1*"])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        target = read_target(f"http://127.0.0.1:{probe.getsockname()[1]}")
        result = Runner(target, SUITE, 1, tmp_path / JOURNAL).run(cases, "registry")
    assert [case.status for case in result.cases] == [Status.ERROR] + [Status.SKIPPED] * (len(cases) - 1)
    assert "The run was stopped: http://127.0.0.1:" in result.cases[-1].reason.en and not result.passed
    assert result.stopped.fr.startswith("Le passage a été arrêté") and result.stopped.fr.endswith("rien n'écoute à cette adresse")
    assert "not asked" in verdict(result, "en") and "pas été examiné" in verdict(result, "fr")
    assert Run.of_json(json.loads(json.dumps(result.to_json()))) == result
    _, known = read_journal(tmp_path / JOURNAL)
    assert known == {}


@pytest.mark.parametrize("scheme", ["http", "https", "mllp"])
def test_where_nothing_listens_is_unreachable(scheme: str) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url, connections = f"{scheme}://127.0.0.1:{probe.getsockname()[1]}", Connections()
        with pytest.raises(Unreachable, match="nothing listens there"):
            mllp(url, "MSH|") if scheme == "mllp" else connections.post(url, {}, b"")
    assert bool(connections.unreachable) == (scheme != "mllp")


def test_a_connection_that_ends_without_an_answer_does_not_stop_the_run() -> None:
    """The next case may well get one."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            for _ in range(2):
                listener.accept()[0].close()

        thread = threading.Thread(target=hang_up, daemon=True)
        thread.start()
        target = Target("silent", {"ITI-42": f"http://127.0.0.1:{listener.getsockname()[1]}/"}, frozenset({"any-code"}))
        result = Runner(target, SUITE, 1).run([SUITE["de-103-absent"], SUITE["de-105-absent"]], "registry")
        thread.join()
    assert [case.status for case in result.cases] == [Status.ERROR] * 2 and not result.stopped


def test_a_case_that_changes_what_is_not_there_is_named() -> None:
    text = (
        '[file]\ntransaction = "ITI-42"\nprofiles = ["registry"]\nsection = "ITI"\nmend = { en = "a", fr = "b" }\n[[case]]\n'
        'id = "x"\ntitle = { en = "a", fr = "b" }\nwrong = [["folder", "Name"]]\ncodes = ["XDSRegistryMetadataError"]\n'
    )
    suite = {case.id: case for case in read_file(text, "x.toml")}
    (result,) = Runner(Target("t", {"ITI-42": "http://127.0.0.1:9/"}), suite).run(list(suite.values()), "registry").cases
    assert result.status is Status.ERROR and result.reason.fr.startswith("Le cas ne peut être construit")
    assert re.search(r"x\.toml: x: .*no object folder", result.reason.en)


def nobody() -> Target:
    return read_target(f"http://127.0.0.1:{deaf_port()}")


def test_where_no_patient_can_be_announced_nothing_was_judged() -> None:
    """Skipped cases would be told as a run in which nothing failed."""
    result = run(nobody(), chosen(SUITE, ["repository"], ["iti43-one"]))
    assert {case.status for case in result.cases} == {Status.ERROR} and not result.passed
    assert all("ITI-44: No answer" in case.reason.en and "annoncé" in case.reason.fr for case in result.cases)


def test_a_case_that_others_need_is_in_the_report() -> None:
    result = run(nobody(), chosen(SUITE, ["registry"], ["iti18-fd-status"]))
    assert {case.id: case.status for case in result.cases} == {"iti18-fd-status": Status.SKIPPED, "iti18-world": Status.ERROR}
    assert not result.passed


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("colour = 1", "colour: known are"),
        ('options = ["fast"]\n[endpoints]\nregistry = "http://h/"', "fast: known are"),
        ("[endpoints]", "names no address"),
        ('[endpoints]\n"ITI-99" = "http://h/"', "ITI-99: known are"),
        ('[endpoints]\nregistry = "h:80"', "h:80: expected an http or https address"),
        ('options = "merge"\n[endpoints]\nregistry = "http://h/"', "options: expected a list of texts, not 'merge'"),
        ('patients = ["4711"]\n[endpoints]\nregistry = "http://h/"', "4711: the CX has no assigning authority"),
        ('feed = "h:2575"\n[endpoints]\nregistry = "http://h/"', "feed h:2575: expected mllp://"),
        ('domain = "fr"\n[endpoints]\nregistry = "http://h/"', "domain fr: known is ci-sis"),
        ("[endpoints]\nregistry = 80", "endpoints: expected a table of texts"),
        ("=", "Invalid statement"),
    ],
)
def test_a_target_file_that_cannot_be_used_is_told_why(content: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "target.toml").write_text(content)
    with pytest.raises(TargetError, match=told):
        read_target(str(tmp_path / "target.toml"))


def test_the_french_option_is_the_french_domain() -> None:
    target = read_target("http://h:1", options=("ci-sis",))
    assert target.domain == "ci-sis" and "any-code" not in target.options


@pytest.mark.parametrize("page", ["conformance.md", "conformance-cases.md"])
def test_the_target_files_of_the_pages_are_read(page: str, tmp_path: Path) -> None:
    blocks = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL)
    (block,) = [block for block in blocks if "[endpoints]" in block]
    (tmp_path / "target.toml").write_text(block)
    target = read_target(str(tmp_path / "target.toml"))
    assert target.url("ITI-18") and target.url("ITI-41") and target.url("ITI-8").startswith("mllp://")


def test_a_target_file_names_endpoints(tmp_path: Path) -> None:
    file = tmp_path / "peer.toml"
    file.write_text(
        'options = ["patient-feed"]\npatients = ["1^^^&1.2.3&ISO"]\n[endpoints]\nregistry = "http://r/"\n"ITI-18" = "http://q/"\n'
    )
    target = read_target(str(file))
    assert (target.name, target.url("ITI-42"), target.url("ITI-18"), target.url("ITI-41")) == (
        "peer",
        "http://r/",
        "http://q/",
        "",
    )
    assert target.patients == ("1^^^&1.2.3&ISO",) and target.feed_transaction == ""
