"""The cases that need a card: who is calling, signed messages, signed sets, rights; each against a server that asks for it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from conformance.acting import Card
from conformance.case import REFUSED, Case, read_suite
from conformance.nist.suite import run_plans
from conformance.result import CaseResult, Run, Status
from conformance.runner import Runner, chosen
from conformance.target import Target, TargetError, read_target
from conformance.wire import read_answer
from registry.rights import Right, Rights
from security.pki import TestAuthority
from security.rules import TRUST_RULES
from storage.database import open_database
from tests.conformance.test_runner import bad, not_named
from tests.nist.target import add_patients
from tests.proof.rights_callers import DOMAIN, ISSUERS
from tests.server_process import ROOT, ServerProcess

SUITE = read_suite()
PEOPLE = ("dr-martin", "dr-petit")


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With every card that a case may ask for: a workplace, one that was lost, one that may send ITI-8 alone."""
    folder = tmp_path_factory.mktemp("cards") / "pki"
    authority = TestAuthority.create(folder)
    authority.issue("structure", "hospital", key_type="ec")
    for name in PEOPLE:
        authority.issue("person", name, structure="hospital")
    authority.issue("person", "lost", key_type="ec")
    authority.revoke("lost")
    authority.issue("person", "limited", key_type="ec", transactions=("ITI-8",))
    authority.issue("server", "localhost", key_type="ec")
    return folder


def asking(options: set[str]) -> list[Case]:
    """The cases of `secure` that a target with these options performs."""
    cases = chosen(SUITE, ["secure"])
    return [case for case in cases if all((name.removeprefix("!") in options) != name.startswith("!") for name in case.options)]


def acting(target: Target, pki: Path, options: set[str], **more: str) -> Target:
    card = Card(pki, PEOPLE[0])
    return replace(target, card=card, context=card.context(), options=target.options | options, **more)  # type: ignore[arg-type]


def over_tls(server: ServerProcess, pki: Path, options: set[str]) -> Target:
    return acting(read_target(server.url.replace("127.0.0.1", "localhost")), pki, options)


def secured(data: Path, pki: Path, *settings: str) -> ServerProcess:
    """Settings of `security`, or with their group."""
    told = [w for one in settings for w in ("--set", one if "." in one.partition("=")[0] else f"security.{one}")]
    return ServerProcess(data, "--secure", "--pki", str(pki), *told).start(healthy=False)


def run(target: Target, cases: list[Case]) -> Run:
    return Runner(target, SUITE, clean=False).run(cases, "secure")


def ended(case: CaseResult) -> bool:
    """Whether the server ended the connection instead of an answer: then there is no text to name a rule."""
    return any(step.outcome.startswith(REFUSED) for step in case.steps)


def passes(result: Run) -> set[str]:
    assert not bad(result)
    assert [text for case in result.cases if not ended(case) for text in not_named(case)] == []
    assert all(case.status is Status.PASSED for case in result.cases)
    return {case.id for case in result.cases}


def test_who_is_calling_and_a_server_that_knows_no_signatures(pki: Path, tmp_path: Path) -> None:
    """With cases of other profiles, which have an assertion in each message then; and none about signatures passes."""
    others = chosen(SUITE, ["repository"], ["iti41-completed", "iti41-pat-003-unknown", "iti43-one"])
    about = [SUITE[id] for id in ("signed-query", "signed-none", "signed-tampered", "set-changed")]
    with secured(tmp_path / "data", pki, "signed_messages=off", "sign_answers=never") as server:
        result = run(over_tls(server, pki, {"secure"}), asking({"secure"}) + others)
        assert len(passes(result)) > 50
        assert {case.id for case in result.cases if ended(case)} == {"card-foreign", "card-use", "card-expired", "card-none"}
        result = run(over_tls(server, pki, {"signed", "signed-sets"}), about)
    assert [case.status for case in result.cases] == [Status.FAILED] * 4
    unsigned = [finding for case in result.cases for _, finding in case.findings if finding.check == "signature"]
    assert unsigned and all(f.rules == ("SIG-001",) and f.text.fr.startswith("La signature") for f in unsigned)


def test_signed_messages_and_signed_sets(pki: Path, tmp_path: Path) -> None:
    """Every message signed, those about assertions too."""
    options = {"secure", "signed", "signed-sets"}
    with secured(tmp_path / "data", pki, "signed_messages=require", "document_signatures=refuse") as server:
        result = run(over_tls(server, pki, options), asking(options))
    passed = passes(result)
    assert len([id for id in passed if id.startswith("signed-")]) == 38
    assert len([id for id in passed if id.startswith("signer-")]) == 6
    assert len([id for id in passed if id.startswith("set-")]) == 19
    octets = next(case.steps[-1].response.body for case in result.cases if case.id == "signed-query")
    assert problems(pki, octets) == ["", "SIG-033", "SIG-033"]
    assert problems(pki, octets.replace(b"ResponseStatusType:Success", b"ResponseStatusType:Failure")) == ["SIG-019"] * 3


def problems(pki: Path, octets: bytes) -> list[str]:
    """The rules that an answer breaks: to its own request, to another message, to another signature."""
    answer, signing = read_answer(200, "application/soap+xml", octets), Card(pki, PEOPLE[0]).signing
    found = [signing.problem(answer, id, value) for id, value in (("", None), ("urn:uuid:other", None), ("", b"other"))]
    return [problem[0] if problem else "" for problem in found]


def test_assertions_of_configured_issuers(pki: Path, tmp_path: Path) -> None:
    """By the file of issuers that the page shows, with the identifiers of this folder in it."""
    known = {row.name: row.identifier for row in TestAuthority(pki).issued()}
    blocks = re.findall(r"```toml\n# (\w+\.toml)\n(.*?)```", (ROOT / "docs" / "conformance-cases.md").read_text(), re.DOTALL)
    for name, text in blocks:
        text = text.replace("STRUCTURE", known["hospital"]).replace("PERSON", known[PEOPLE[0]])
        (tmp_path / name).write_text(text)
    options = {"secure", "issuers"}
    cases = [case for case in asking(options) if "issuers" in case.options]
    with secured(tmp_path / "data", pki, f"assertion_issuers={tmp_path / 'issuers.toml'}") as server:
        passed = passes(run(over_tls(server, pki, options), [*cases, SUITE["secure-valid"]]))
    assert passed == {case.id for case in cases} | {"secure-valid"} and len(cases) == 5


def test_sets_that_have_to_be_signed(pki: Path, tmp_path: Path) -> None:
    options = {"secure", "signed-sets", "signed-sets-only"}
    with secured(tmp_path / "data", pki, "document_signatures=refuse", "signed_sets=true") as server:
        assert passes(run(over_tls(server, pki, options), [SUITE["set-unsigned"]])) == {"set-unsigned"}


def test_rights_masking_and_sets_with_a_warning(pki: Path, tmp_path: Path) -> None:
    (tmp_path / "domains").mkdir()
    (tmp_path / "domains" / "rights.toml").write_text(DOMAIN)
    (tmp_path / "issuers.toml").write_text(ISSUERS)
    environ = {
        "CARNET_SECURITY_PKI": str(pki),
        "CARNET_SECURITY_POLICY": "dmp-fr",
        "CARNET_SECURITY_ASSERTION_ISSUERS": str(tmp_path / "issuers.toml"),
        "CARNET_SECURITY_DOCUMENT_SIGNATURES": "warn",
        "CARNET_DOMAIN_FOLDER": str(tmp_path / "domains"),
        "CARNET_DOMAIN_PROFILE": "rights",
        "CARNET_DOMAIN_DMP_SERVICES": "true",
    }
    names = tuple(f"NAMED{number}^^^&1.2.250.1.999.9&ISO" for number in (1, 2))
    people = {row.name: row.identifier for row in TestAuthority(pki).issued()}
    options = {"dmp-rights", "signed-sets-warned", "dmp-services"}
    with ServerProcess(tmp_path / "data", environ=environ) as server:
        add_patients(tmp_path / "data")(names)
        database = open_database(f"sqlite:///{tmp_path / 'data' / 'carnet.sqlite'}")
        for name in PEOPLE:
            Rights(database).give(names[0], Right.AUTHORISED, people[name])
        database.close()
        passed = passes(run(acting(read_target(server.url, patients=names), pki, options), asking(options)))
    assert len(passed) == 22 and "rights-masked" in passed and "set-changed-warned" in passed
    environ["CARNET_SECURITY_CONSENT_POLICIES"] = "SHARING"
    with ServerProcess(tmp_path / "data", environ=environ) as server:
        target = acting(read_target(server.url, patients=names), pki, options | {"consent"})
        assert passes(run(target, [SUITE["rights-no-consent"]])) == {"rights-no-consent"}


def test_french_signed_sets(pki: Path, tmp_path: Path) -> None:
    environ = {
        "CARNET_SECURITY_PKI": str(pki),
        "CARNET_DOMAIN_PROFILE": "dmp-fr",
        "CARNET_SECURITY_DOCUMENT_SIGNATURES": "refuse",
    }
    options = {"signed-sets", "ci-sis"}
    with ServerProcess(tmp_path / "data", environ=environ) as server:
        target = acting(read_target(server.url, options=("ci-sis",)), pki, options)
        assert len(passes(run(target, asking(options)))) == 4


def test_the_servers_here_have_every_option_and_rules_exist() -> None:
    cases = chosen(SUITE, ["secure"])
    sets = (
        {"secure"}, {"secure", "signed", "signed-sets"}, {"dmp-rights", "signed-sets-warned", "consent", "dmp-services"},
        {"signed-sets", "ci-sis"}, {"secure", "issuers"}, {"signed-sets-only"},
    )  # fmt: skip
    assert {case.id for case in cases} == {case.id for options in sets for case in asking(options)}
    known = {rule.id for rule in TRUST_RULES}
    assert [(case.id, rule) for case in cases for rule in case.proves if rule not in known] == []


def test_without_a_second_professional_or_named_patients_the_reason_is_told(tmp_path: Path) -> None:
    TestAuthority.create(tmp_path / "pki").issue("person", PEOPLE[0])
    target = Target("t", dict.fromkeys(("ITI-18", "ITI-41", "ITI-62"), "http://127.0.0.1:9/"), patients=("1^^^&1.2.3&ISO",))
    target = acting(target, tmp_path / "pki", {"dmp-rights"})
    case = replace(SUITE["rights-others-document"], steps=SUITE["rights-others-document"].steps[1:2])
    case = replace(case, steps=(replace(case.steps[0], remove=("urn:uuid:1",)),))
    (result,) = run(target, [case]).cases
    assert result.status is Status.SKIPPED
    (unnamed,) = run(replace(target, patients=()), [case]).cases
    assert unnamed.status is Status.SKIPPED and "--patient" in unnamed.reason.en and "--patient" in unnamed.reason.fr
    assert "no second professional" in result.reason.en and "second professionnel" in result.reason.fr


def test_nist_plans_with_an_assertion_in_each_message(shared: Path, tmp_path: Path) -> None:
    """A structure signs them, since a plan speaks of many patients; a folder without one is told what is missing."""
    authority = TestAuthority.create(tmp_path / "pki")
    authority.issue("person", PEOPLE[0])
    authority.issue("server", "localhost")
    with secured(tmp_path / "data", tmp_path / "pki") as server:
        target = over_tls(server, tmp_path / "pki", {"secure"})
        with pytest.raises(TargetError, match="structures here: none"):
            run_plans(shared / "data" / "nist", target, "en", ["11990"])
        authority.issue("structure", "hospital")
        result = run_plans(shared / "data" / "nist", over_tls(server, tmp_path / "pki", {"secure"}), "en", ["11990", "12364"])
    assert not bad(result) and result.counts["passed"] == 2
    sent = [step.request.body for case in result.cases for step in case.steps if step.request.body]
    assert len(sent) > 2 and all(b"Assertion" in body for body in sent)
