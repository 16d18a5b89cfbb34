"""`carnet patient authorise | block | treating | rights ...`, the operator's own row, and who may feed identities."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from lxml import etree

from metadata.vocabulary import ResponseStatus, Transaction
from registry.codes import CodeBook
from registry.patient_feed import PatientIdentityFeed
from registry.patient_identity import IdentityFeed
from security.identity import Assertion, Coded
from security.refusal import Denied
from security.saml_names import OTHER_ROLES
from security.trust import Partner
from server.__main__ import program
from server.access import Guard, access_of, check
from server.identity_feed import feed_allowed
from server.settings import SettingError, Settings, load
from soap.call import Answer, Call, Caller
from storage.database import open_database
from storage.migrate import prepare
from tests.server_process import ROOT

PATIENT = "4711^^^&1.2.3.4.5&ISO"
MATRIX = (ROOT / "security" / "rights" / "dmp-fr.toml").read_text(encoding="utf-8")


def patient(data: Path, *arguments: str, **environ: str) -> Result:
    return CliRunner(env={**environ}).invoke(program, ["patient", *arguments, "--data", str(data)])


def test_rights_are_given_listed_and_taken_back(tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert patient(data, "add", PATIENT).exit_code == 0
    for words in (
        ("authorise", PATIENT, "899900000001"), ("treating", PATIENT, "899900000002"), ("block", PATIENT, "10B0000001"),
        ("represent", PATIENT, "mother"), ("oppose", PATIENT, "centre_15"), ("masked-in-emergency", PATIENT),
    ):  # fmt: skip
        done = patient(data, *words)
        assert done.exit_code == 0, done.output
    told = json.loads(patient(data, "rights", PATIENT, "--json").output)
    assert {(one["right"], one["holder"], one["state"]) for one in told["rights"]} == {
        ("authorised", "899900000001", "VALIDE"), ("authorised", "899900000002", "VALIDE"), ("blocked", "10B0000001", ""),
        ("treating physician", "899900000002", ""), ("legal representative", "mother", ""), ("opposed", "centre_15", ""),
        ("masked documents in an emergency", "", ""),
    }  # fmt: skip
    assert told["consents"] == []
    assert "already; its time begins again" in patient(data, "authorise", PATIENT, "899900000001").output
    assert "no longer authorised" in patient(data, "authorise", PATIENT, "899900000001", "--remove").output
    assert "was not authorised" in patient(data, "authorise", PATIENT, "899900000001", "--remove").output
    assert "899900000001" not in patient(data, "rights", PATIENT).output


def test_what_cannot_be_done_says_why(tmp_path: Path) -> None:
    data = tmp_path / "data"
    patient(data, "add", PATIENT)
    wrong = patient(data, "authorise", PATIENT, "a b")
    assert wrong.exit_code == 2 and "'a b' is no identifier. Accepted: NameID" in wrong.output
    assert "bris_de_glace" in patient(data, "oppose", PATIENT, "always").output
    unknown = patient(data, "authorise", "nobody^^^&1.2.3.4.5&ISO", "899900000001")
    assert unknown.exit_code == 1 and "REC-002" in unknown.output


def test_the_operator_has_a_row_of_his_own(tmp_path: Path) -> None:
    data, file = tmp_path / "data", tmp_path / "mine.toml"
    patient(data, "add", PATIENT)
    file.write_text(MATRIX.replace('"patient show" = "Y"', '"patient show" = "N"'), encoding="utf-8")
    refused = patient(data, "show", PATIENT, CARNET_SECURITY_POLICY=str(file))
    assert refused.exit_code == 1 and "ACC-014" in refused.output and PATIENT not in refused.output
    assert patient(data, "rights", PATIENT, CARNET_SECURITY_POLICY=str(file)).exit_code == 0
    assert patient(data, "show", PATIENT).exit_code == 0
    file.write_text(MATRIX.replace("[feeds]", "[feed]"), encoding="utf-8")
    assert "feed is no table of a matrix" in patient(data, "show", PATIENT, CARNET_SECURITY_POLICY=str(file)).output


#: A repository under a matrix that its registry asks.
APART: dict[str, object] = {
    "security.policy": "dmp-fr", "role.role": "repository", "role.registry_url": "https://registry.example/xds/registry",
    "security.secure": True, "security.pki": "pki",
}  # fmt: skip


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"security.policy": "dmp-de"}, ("security.policy = 'dmp-de'", "accepted: ihe, dmp-fr or the path")),
        ({"security.policy": "dmp-fr", "security.rights_reading": "mild"}, ("mild: accepted: strict, open",)),
        ({**APART, "role.registry_url": "http://x/y"}, ("believes about who is calling only", "an https address")),
        ({**APART, "domain.on_demand": "persist"}, ("domain.on_demand = persist is not possible", "in nobody's name")),
        ({**APART, "security.policy": "ihe", "role.relay": True, "security.secure": False}, ("role.relay with role.role",)),
        ({"security.policy": "dmp-fr"}, ("assertions are not looked at",)),
        ({"security.consent_policies": "1.2.3"}, ("set security.policy as well",)),
    ],
)
def test_a_policy_that_cannot_be_asked_is_refused_at_start(options: dict[str, object], words: tuple[str, ...]) -> None:
    with pytest.raises(SettingError) as refused:
        check(load(options=options, environ={}))
    for word in words:
        assert word in str(refused.value)


# ------------------------------------------------------------------------------------------------------------------ feeds


def settings_of(tmp_path: Path, **options: str) -> Settings:
    given = {"store.data": str(tmp_path), "security.policy": "dmp-fr", **options}
    return load(options=given, environ={})


ADT = (
    b"MSH|^~\\&|A|B|C|D|20240101||ADT^A01^ADT_A01|1|P|2.3.1\rEVN||20240101\r"
    b"PID|||4712^^^&1.2.3.4.5&ISO||Durand^Zoe\rPV1||O\r"
)


def test_identities_over_mllp_are_taken_from_senders_with_a_certificate(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x.sqlite'}"
    prepare(url)
    database = open_database(url)
    try:
        plain = PatientIdentityFeed(IdentityFeed(database), None, feed_allowed(settings_of(tmp_path)))
        reply = plain(ADT)
        assert reply.code == "AR" and "[ACC-011]" in reply.text
        files = {"mllp.certificate": "a.crt", "mllp.key": "a.key", "mllp.authorities": "ca.crt"}
        for allowed in (
            feed_allowed(settings_of(tmp_path, **files)),
            feed_allowed(settings_of(tmp_path, **{"security.rights_reading": "plain-feed"})),
            feed_allowed(load(environ={})),
        ):
            assert PatientIdentityFeed(IdentityFeed(database), None, allowed)(ADT).code == "AA"
    finally:
        database.close()


def test_iti_44_is_taken_from_enrolled_systems_and_not_from_persons(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x.sqlite'}"
    prepare(url)
    database = open_database(url)
    taken: list[Caller] = []

    def handler(call: Call) -> Answer:
        taken.append(call.caller)
        return Answer([], ResponseStatus.SUCCESS)

    access = access_of(settings_of(tmp_path), database, CodeBook())
    assert access is not None
    guard, partner = Guard(access, handler), Partner("00", "Hospital")
    try:
        for caller in (Caller(), Caller(partner=partner, assertion=Assertion("_1", "CN=x", "899900000001"))):
            with pytest.raises(Denied) as refused:
                guard(Call(Transaction.ITI_44, etree.Element("x"), caller=caller))
            assert refused.value.rule == "ACC-011"
        automaton = Assertion("_2", "CN=x", "899900000001", roles=(Coded("AUTOMATE", OTHER_ROLES),))
        for caller in (Caller(partner=partner), Caller(partner=partner, assertion=automaton)):
            guard(Call(Transaction.ITI_44, etree.Element("x"), caller=caller))
        assert [one.partner for one in taken] == [partner, partner]
    finally:
        database.close()
