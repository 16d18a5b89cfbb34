"""The table of settings: precedence, refusals, the page made from it, and that every setting reaches what it governs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from server import audit_setup, identify, identity_feed, room_options, signed_sets, signing, trust
from server.commands.serve import greeting, is_local, options_of
from server.settings import GROUPS, TABLE, Row, SettingError, Settings, load
from server.settings_page import settings_page
from tests.server_process import ROOT


def test_the_defaults_are_accepted_and_come_from_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load(environ={}) == Settings()
    for row in TABLE.values():
        assert load(options={row.key: row.default}, environ={}).value(row.key) == row.default


def test_options_over_environment_over_file_over_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "carnet.toml").write_text("[server]\nport = 1\nthreads = 101\nconnections = 102\n")
    environ = {"CARNET_SERVER_PORT": "2", "CARNET_SERVER_THREADS": "202"}
    settings = load(options={"server.port": "3", "server.host": None}, environ=environ)
    server = settings.server
    assert (server.port, server.threads, server.connections, server.host) == (3, 202, 102, "127.0.0.1")
    assert settings.origins == {
        "server.port": "command line",
        "server.threads": "environment CARNET_SERVER_THREADS",
        "server.connections": "carnet.toml",
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[serv]\nport = 1", ("serv", "did you mean server")),
        ("[server]\nprot = 1", ("server.prot", "did you mean server.port")),
        ("server = 1", ("[server]",)),
        ('[server]\nport = "x"', ("server.port", "'x'", "whole number 0 to 65535")),
        ("[server]\nport = 1.5", ("server.port", "1.5")),
        ("[server]\nport = true", ("server.port", "True")),
        ("[server]\nport = 65536", ("server.port", "65536", "0 to 65535")),
        ("[server]\naccess_log = 2", ("server.access_log", "true | false")),
        ("[store]\ndata = 7", ("store.data", "text")),
        ("[domain]\nwire = 'loose'", ("domain.wire", "tolerant | strict")),
        ("[server", ("cannot be read",)),
        ("[server]\nbusy = 60", ("server.busy", "below server.threads")),
        ("[role]\nregistry_url = 'http://x'", ("role.registry_url", "repository")),
    ],
)
def test_a_wrong_file_is_refused_with_its_name_the_key_and_what_is_accepted(
    tmp_path: Path, text: str, words: tuple[str, ...]
) -> None:
    file = tmp_path / "site.toml"
    file.write_text(text)
    with pytest.raises(SettingError) as caught:
        load(str(file), environ={})
    told = str(caught.value)
    assert all(word in told for word in words), told
    assert "site.toml" in told or "must be below" in told or "is only used with" in told


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "site.toml"
    file.write_text('strore = 1\nlimits = 2\n[server]\nport = "abc"\nprot = 3\n[domain]\npatients = "maybe"\n')
    with pytest.raises(SettingError) as caught:
        load(str(file), {"limits.depth": "x"}, {"CARNET_SERVER_HOSTT": "a", "CARNET_STORE_HEADROOM": "-1"})
    told = str(caught.value).splitlines()
    names = (
        "strore", "limits must be a table", "server.port", "server.prot", "domain.patients", "CARNET_SERVER_HOSTT",
        "store.headroom", "limits.depth",
    )  # fmt: skip
    assert len(told) == len(names)
    assert all(name in line for name, line in zip(names, told, strict=True)), told


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"absent\.toml: cannot be read"):
        load(str(tmp_path / "absent.toml"), environ={})


def test_a_wrong_variable_is_told_and_those_of_others_are_left_alone() -> None:
    with pytest.raises(SettingError, match="CARNET_SERVER_PROT names no setting; did you mean CARNET_SERVER_PORT"):
        load(environ={"CARNET_SERVER_PROT": "1"})
    assert load(environ={"CARNET_PYTHON": "x", "CARNET_TEST_POSTGRES": "x", "CARNET_CRASH_AT": ""}) == Settings()


def test_a_password_is_not_shown() -> None:
    settings = load(options={"store.database": "postgresql+psycopg://user:se:cret@host/db"}, environ={})
    assert settings.value("store.database", secret=False) == "postgresql+psycopg://user:***@host/db"
    assert "se:cret" in settings.database_url()
    assert "se:cret" not in greeting(settings, 1)


def test_the_page_is_that_of_the_table() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert page == settings_page(), "make it again: ./carnet config --markdown > docs/settings.md"
    assert all(f"`{key}`" in page for key in TABLE)


# ---------------------------------------------------------------------------------------------- every setting has an effect

#: Where a value of the table's own kind is not enough to tell.
OTHER: dict[str, Any] = {
    "domain.authorities": "CARNET&1.2.3",
    "domain.link_change": "LINK^Link change^1.2.3",
    "domain.profile": "dmp-fr",
    "domain.rules": "DE-416=warn",
    "domain.wire_rows": "WIRE-058=accept",
    "security.assertions": "accept",
    "security.crl_urls": "http://lists.example/ca.crl",
    "security.message_addresses": "https://xds.example",
    "security.ocsp_url": "http://ocsp.example/",
    "store.database": "sqlite:////other/store.sqlite",
    "audit.syslog": "log.example:6514",
}
#: Read where the thing itself is made; each has a test of its own: in test_serve.py, test_secure.py, test_mllp.py,
#: test_two_servers.py, test_patient_record.py, test_audit_trail.py, test_assertion_wire.py, test_signed_wire.py, test_explain.py,
#: proof/test_rights_matrix.py, proof/test_dmp_services.py or here.
ELSEWHERE = {
    "domain.folder",
    "server.host", "server.port", "server.metrics", "server.workers", "store.data", "store.collect_hours", "role.role",
    "role.registry_url", "role.registry_seconds", "role.ask_closed", "role.relay", "domain.multi_patient",
    "domain.iti61_response", "domain.on_demand", "domain.retention_years", "domain.dmp_services", "server.explain_url",
    "mllp.port", "mllp.certificate", "mllp.key", "mllp.authorities",
    "server.socket", "security.secure", "security.front", "security.certificate", "security.key", "security.ocsp",
    "audit.enabled", "audit.syslog_authorities", "audit.syslog_certificate", "audit.syslog_key", "audit.syslog_end",
    "security.signed_messages", "security.sign_answers", "security.signing_certificate", "security.signing_key",
    "security.policy", "security.rights_reading", "security.consent_policies", "security.assertion_issuers",
    "security.enumeration", "security.patients_per_hour", "limits.source_documents", "limits.source_bytes",
    "limits.patient_documents", "limits.patient_bytes",
}  # fmt: skip


def other_value(row: Row) -> Any:
    if row.key in OTHER:
        return OTHER[row.key]
    if row.choices:
        return next(choice for choice in row.choices if choice != row.default)
    if row.type is bool:
        return not row.default
    if row.type is str:
        return "urn:oid:1.2.3"
    assert row.low is not None and row.high is not None
    return row.default - 1 if row.default - 1 >= row.low else row.default + 1


def governed(settings: Settings) -> list[object]:
    """Everything that the rooms are given."""
    named = settings.role.repository_unique_id or "made"
    return [
        options_of(settings),
        room_options.limits_of(settings),
        identity_feed.authorities(settings),
        identity_feed.link_change_code(settings),
        identity_feed.mllp_options(settings),
        room_options.wire_of(settings),
        room_options.store_options(settings),
        room_options.search_options(settings),
        room_options.query_options(settings),
        room_options.removal_options(settings),
        room_options.remove_options(settings),
        room_options.register_options(settings),
        room_options.repository_options(settings, named),
        identify.assertions(settings),
        identify.verifier_options(settings),
        trust.sources_of(settings),
        trust.trust_options(settings),
        trust.ocsp_options(settings),
        trust.fetch_interval(settings),
        signing.window_of(settings),
        signing.addresses_of(settings),
        signed_sets.signed_set_options(settings),
        audit_setup.key_path(settings),
        audit_setup.source_of(settings),
        audit_setup.receiver_of(settings),
        audit_setup.keeper_options(settings),
        settings.base_url(),
        settings.database_url(),
    ]


@pytest.mark.parametrize("key", [key for key in TABLE if key not in ELSEWHERE])
def test_each_setting_reaches_what_it_governs(key: str) -> None:
    changed = load(options={key: other_value(TABLE[key])}, environ={})
    assert governed(changed) != governed(load(environ={}))


@pytest.mark.parametrize("value", ["LINK", "LINK^^", "^Link change^1.2.3", "a^b^c^d"])
def test_the_code_of_link_changes_is_a_coded_value(value: str) -> None:
    with pytest.raises(SettingError, match=r"domain\.link_change: '.*' is not accepted; accepted: CODE\^DISPLAY\^SCHEME"):
        identity_feed.link_change_code(load(options={"domain.link_change": value}, environ={}))


def test_the_defaults_are_those_of_the_rooms() -> None:
    """A room used without the server behaves as the documentation says."""
    from registry.search import SearchOptions
    from repository.content import StoreOptions
    from server.http import HttpOptions
    from soap.limits import Limits
    from soap.wire import Wire

    settings = load(environ={})
    assert room_options.limits_of(settings) == Limits()
    assert room_options.store_options(settings) == StoreOptions()
    assert room_options.search_options(settings) == SearchOptions()
    assert room_options.wire_of(settings) == Wire()
    assert options_of(settings).header_line == HttpOptions().header_line


def test_groups_are_documented() -> None:
    assert all(group.__doc__ for group in GROUPS.values())


@pytest.mark.parametrize(
    ("host", "local"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("192.0.2.1", False)]
)
def test_which_address_is_local(host: str, local: bool) -> None:
    assert is_local(host) is local
