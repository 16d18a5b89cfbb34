"""`carnet pki` as it is typed, and settings of trust that cannot be used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from security.pki import TestAuthority
from server import trust
from server.__main__ import program
from server.settings import SettingError, load


def carnet(*words: str) -> Result:
    return CliRunner().invoke(program, list(words))


def told(*words: str) -> str:
    """What a refused command says; its exit status is that of wrong usage."""
    done = carnet(*words)
    assert done.exit_code == 2 and "Traceback" not in done.output, done.output
    return done.output


def test_an_authority_is_made_and_cards_are_issued_revoked_and_listed(tmp_path: Path) -> None:
    folder = str(tmp_path / "pki")
    assert carnet("pki", "init", folder).output.startswith(f"{folder}/ca.crt")
    options = ("--key-type", "ec", "--kind")
    assert carnet("pki", "issue", folder, *options, "structure", "clinic", "--organisation", "Clinique du Lac").exit_code == 0
    issued = carnet(
        "pki", "issue", folder, *options, "person", "dr-martin", "--profession", "21", "--know-how", "", "--structure", "clinic",
        "--transaction", "ITI-18", "--transaction", "ITI-43",
    )  # fmt: skip
    assert issued.output.startswith(f"{folder}/dr-martin.crt") and "Pharmacien" in issued.output
    assert carnet("pki", "issue", folder, *options, "server", "web", "--host", "xds.example").exit_code == 0
    assert carnet("pki", "revoke", folder, "web").output.startswith("web  revoked")
    rows = json.loads(carnet("pki", "list", folder, "--json").output)
    assert [(row["name"], row["kind"], bool(row["revoked"])) for row in rows] == [
        ("clinic", "structure", False), ("dr-martin", "person", False), ("web", "server", True),
    ]  # fmt: skip
    assert rows[1]["structure"] == rows[0]["identifier"] and rows[1]["organisation"] == "Clinique du Lac"
    assert (rows[1]["profession"], rows[1]["know_how"], rows[1]["transactions"]) == ("21", "", ["ITI-18", "ITI-43"])
    table = carnet("pki", "list", folder).output
    assert "ITI-18 ITI-43" in table and rows[2]["revoked"] in table


def test_wrong_usage_is_told_with_the_remedy(tmp_path: Path) -> None:
    folder = str(tmp_path / "pki")
    for words in (("issue", folder, "--kind", "person", "a"), ("revoke", folder, "a"), ("list", folder)):
        assert "carnet pki init" in told("pki", *words)
    carnet("pki", "init", folder)
    assert "already holds an authority" in told("pki", "init", folder)
    assert "person" in told("pki", "issue", folder, "--kind", "robot", "a")
    assert ", ITI-18, ITI-41" in told("pki", "issue", folder, "--kind", "person", "a", "--transaction", "ITI-99")
    assert "cannot be a file name" in told("pki", "issue", folder, "--kind", "person", "../a")
    assert "in force: none" in told("pki", "revoke", folder, "a")
    assert json.loads(carnet("pki", "list", folder, "--json").output) == []


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"security.secure": True}, "needs security.pki (option --pki DIR"),
        ({"security.certificate": "a.crt"}, "given together"),
        ({"security.front": "nginx"}, "needs security.secure = true and server.socket"),
        ({"security.secure": True, "security.pki": "p", "server.socket": "s"}, "needs security.front = nginx"),
    ],
)
def test_settings_that_do_not_go_together_are_told(settings: dict[str, object], words: str) -> None:
    with pytest.raises(SettingError) as caught:
        load(options=settings, environ={})
    assert words in str(caught.value)


def test_files_and_addresses_that_cannot_be_used_are_told_before_the_start(tmp_path: Path) -> None:
    authority = TestAuthority.create(tmp_path / "pki")
    authority.issue("server", "server", key_type="ec")
    (tmp_path / "wrong.toml").write_text("[[partner]]\n")
    pki = str(authority.folder)
    cases: list[tuple[dict[str, object], str]] = [
        ({"security.crl_urls": "https://lists.example/ca.crl"}, "security.crl_urls"),
        ({"security.ocsp_url": "ocsp.example"}, "security.ocsp_url"),
        ({"security.pki": str(tmp_path / "nowhere")}, "carnet pki init"),
        ({"security.pki": pki, "security.partners": str(tmp_path / "wrong.toml")}, "organisation is missing"),
        ({"security.pki": pki, "security.authorities": str(tmp_path / "none.crt")}, "none.crt"),
        ({"security.pki": pki, "security.crl_files": f"{pki}/ca.crt"}, "is no revocation list"),
        ({"security.pki": pki, "security.certificate": f"{pki}/ca.crt", "security.key": f"{pki}/server.key"}, "ca.crt with key"),
    ]
    for options, words in cases:
        settings = load(options={"security.secure": "security.pki" in options, **options}, environ={})
        with pytest.raises(SettingError) as caught:
            trust.check(settings)
        assert words in str(caught.value)


def test_a_listener_without_certificate_is_given_one_and_keeps_it(tmp_path: Path) -> None:
    authority = TestAuthority.create(tmp_path / "pki")
    options = {"security.secure": True, "security.pki": str(authority.folder), "server.public_url": "https://xds.example"}
    settings = load(options=options, environ={})
    first = trust.listener_files(settings)
    assert first.certificate.name == "server.crt" and trust.listener_files(settings) == first
    assert [row.name for row in authority.issued()] == ["server"]
    authority.revoke("server")
    authority.issue("structure", "server", key_type="ec")
    assert trust.listener_files(settings).certificate.name == "server-2.crt"


def test_the_commands_of_clients_want_folder_and_name(tmp_path: Path) -> None:
    authority = TestAuthority.create(tmp_path / "pki")
    authority.issue("person", "card", key_type="ec")
    pki, cx = str(authority.folder), "4711^^^&1.2.3.4.5&ISO"
    assert "given together" in told("query", "--patient", cx, "--pki", pki)
    assert "--pki DIR and --as NAME too" in told("query", "--patient", cx, "--purpose", "normal")
    assert "it holds: card" in told("query", "--patient", cx, "--pki", pki, "--as", "nobody")
    assert "names the patient" in told("get", "1.2.3", "--pki", pki, "--as", "card", "--url", "https://localhost:1")


def test_partners_are_enrolled_and_listed(tmp_path: Path) -> None:
    authority = TestAuthority.create(tmp_path / "pki")
    rows = [authority.issue("structure", who, key_type="ec") for who in ("clinic", "lab")]
    file, folder = tmp_path / "partners.toml", authority.folder
    first = carnet(
        "partner", "add", str(file), f"{folder}/clinic.crt", "--organisation", 'Clinique "du Lac"', "--identifier", "312",
        "--transaction", "ITI-41", "--transaction", "ITI-18",
    )  # fmt: skip
    assert first.exit_code == 0 and rows[0].sha256 in first.output
    words = ("--organisation", "Laboratoire", "--relays", "--transaction", "DMP-patients")
    assert carnet("partner", "add", str(file), f"{folder}/lab.crt", *words).exit_code == 0
    options = ("--set", f"security.partners={file}")
    assert json.loads(carnet("partner", "list", *options, "--json").output) == [
        {"organisation": 'Clinique "du Lac"', "name": "", "kind": "", "identifier": "312", "transactions": ["ITI-18", "ITI-41"],
         "relays": False, "sha256": rows[0].sha256},
        {"organisation": "Laboratoire", "name": "", "kind": "", "identifier": "", "transactions": ["DMP-patients"],
         "relays": True, "sha256": rows[1].sha256},
    ]  # fmt: skip
    assert "ITI-18 ITI-41" in carnet("partner", "list", *options).output
    before = file.read_text()
    assert "enrolled twice" in told("partner", "add", str(file), f"{folder}/lab.crt", "--organisation", "Again")
    assert ", ITI-18, ITI-41" in told(
        "partner", "add", str(file), f"{folder}/lab.crt", "--organisation", "A", "--transaction", "x"
    )
    assert "no certificates in PEM form" in told("partner", "add", str(file), f"{folder}/lab.key", "--organisation", "A")
    assert file.read_text() == before and sorted(p.name for p in tmp_path.iterdir()) == ["partners.toml", "pki"]
    assert [row["name"] for row in json.loads(carnet("partner", "list", "--pki", str(folder), "--json").output)] == [
        "clinic",
        "lab",
    ]
    assert "set security.partners" in told("partner", "list")
    file.write_text("[[partner]]\n")
    assert "organisation is missing" in told("partner", "list", *options)
    assert "organisation is missing" in told("partner", "add", str(file), f"{folder}/lab.crt", "--organisation", "A")
