"""Issuers from a file, distinguished names in their spellings, and the memory of uses in both databases."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID

from security.distinguished_name import parse_name, same_name
from security.identity import Mode
from security.saml_issuers import DEFAULT_ISSUERS, IssuerFileError, read_issuers
from security.saml_uses import StoredUses
from security.trust import Use
from storage.database import open_database
from storage.migrate import prepare
from tests.security.assertions import World, headers_of, make_world
from tests.security.certificates import certificate, name, new_key

# ---------------------------------------------------------------------------------------------------------------- names

_CARD = x509.Name(
    [
        x509.NameAttribute(NameOID.COUNTRY_NAME, "FR"),
        x509.NameAttribute(NameOID.TITLE, "Médecin"),
    ]
)


def _card() -> x509.Name:
    """As a card has it: the last RDN has three values."""
    person = x509.RelativeDistinguishedName(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, "899900063480"),
            x509.NameAttribute(NameOID.SURNAME, "DE LA TOUR"),
            x509.NameAttribute(NameOID.GIVEN_NAME, "Anaïs"),
        ]
    )
    return x509.Name([*_CARD.rdns, person])


@pytest.mark.parametrize(
    "text",
    [
        "CN=899900063480+SN=DE LA TOUR+GN=Anaïs,T=Médecin,C=FR",
        "cn=899900063480 + sn=De  la Tour + givenName=Anaïs, title=Médecin, c=fr",
        "2.5.4.42=Anaïs+2.5.4.3=899900063480+2.5.4.4=DE LA TOUR,2.5.4.12=Médecin,2.5.4.6=FR",
        "OID.2.5.4.42=Anaïs+CN=899900063480+SURNAME=DE LA TOUR;TITLE=Médecin;C=FR",
        'CN=899900063480+SN="DE LA TOUR"+GN=Anaïs,T=Médecin,C=FR',
        "CN=899900063480+SN=#140a4445204c4120544f5552+GN=#1405416e61ef73,T=Médecin,C=FR",
        "CN=899900063480+SN=#0c0a4445204c4120544f5552+GN=Ana\\C3\\AFs,T=M\\C3\\A9decin,C=FR",
        "CN=899900063480+SN=DE LA TOUR+GN=Ana?s,T=M?decin,C=FR",
        "C=FR,T=Médecin,CN=899900063480+SN=DE LA TOUR+GN=Anaïs",
    ],
)
def test_spellings_of_one_name(text: str) -> None:
    assert same_name(text, _card())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "899900063480",
        "CN=899900063480,SN=DE LA TOUR,GN=Anaïs,T=Médecin,C=FR",
        "CN=899900063480+SN=DE LA TOUR,T=Médecin,C=FR",
        "CN=899900063481+SN=DE LA TOUR+GN=Anaïs,T=Médecin,C=FR",
        "CN=899900063480+SN=DE LA TOUR+GN=Anaïs,T=Médecin,C=FR,O=more",
        "CN=????????????+SN=DE LA TOUR+GN=Anaïs,T=Médecin,C=FR",
        "CN=899900063480+SN=DE LA TOUR+GN=Anaïs,T=Médecin,C=FR,",
        "CN=899900063480+SN=#14ff44+GN=Anaïs,T=Médecin,C=FR",
        "CN=899900063480+SN=#zz+GN=Anaïs,T=Médecin,C=FR",
        "XX=899900063480+SN=DE LA TOUR+GN=Anaïs,T=Médecin,C=FR",
        "CN=" + "8" * 3000,
    ],
)
def test_other_names_and_no_names(text: str) -> None:
    assert not same_name(text, _card())


def test_special_characters_are_values() -> None:
    assert parse_name('O="a, b+c",OU=d\\,e') == (frozenset({("2.5.4.10", "a, b+c")}), frozenset({("2.5.4.11", "d,e")}))


def test_what_the_library_writes_is_read_back() -> None:
    assert same_name(_card().rfc4514_string(), _card())


# ------------------------------------------------------------------------------------------------------------- the file


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    yield make_world(tmp_path_factory.mktemp("world"))


def _written(folder: Path, text: str) -> Path:
    path = folder / "issuers.toml"
    path.write_text(text, "utf-8")
    return path


def test_a_row_with_everything(tmp_path: Path, world: World) -> None:
    key = new_key()
    made = certificate(name("idp"), key.public_key(), name("idp"), key)
    (tmp_path / "idp.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    for file in ("ca.crt", "ca.crl"):
        (tmp_path / file).write_bytes((world.authority.folder / file).read_bytes())
    (tmp_path / "structures.toml").write_text(
        '[structures."1750000001"]\nprofessionals = ["899900000001"]\n[structures."1750000002"]\nactive = false\n', "utf-8"
    )
    path = _written(
        tmp_path,
        '[[issuer]]\nname = "https://idp"\nprofile = "xua"\ncertificates = ["idp.crt"]\naudience = ["urn:a"]\n'
        'purposes = ["TREATMENT"]\nrequire = ["urn:b"]\n'
        '[[issuer]]\nauthorities = ["ca.crt"]\nlists = ["ca.crl"]\nmodes = ["DIRECTE"]\nversions = ["3.0"]\nminutes = 5\n'
        'authenticated_minutes = 60\ncontexts = ["urn:c"]\nkey_usage = { DIRECTE = "signature" }\nsha1_until = 2027-01-01\n'
        'resources = ["urn:d"]\nemergency = ["10", "60"]\nauthorities_of_patients = ["1.2.3"]\nsoftware = ["X"]\n'
        'software_mode = "refuse"\nstructures = "structures.toml"\n',
    )
    provider, french = read_issuers(path)
    assert (provider.profile, provider.name, provider.audience, provider.purposes) == (
        "xua", "https://idp", ("urn:a",), ("TREATMENT",),
    )  # fmt: skip
    assert provider.pinned and provider.require == ("urn:b",)
    assert french.store is not None and len(french.store.authorities) == 1 and not french.pinned
    assert french.modes == (Mode.DIRECT,) and french.life == timedelta(minutes=5) and french.session == timedelta(hours=1)
    assert french.uses[Mode.DIRECT] is Use.SIGNATURE and french.uses[Mode.INDIRECT] is Use.SIGNATURE
    assert french.sha1_until == date(2027, 1, 1) and french.accepts_sha1(date(2027, 1, 1))
    assert not french.accepts_sha1(date(2027, 1, 2)) and french.software_refused
    assert french.structures is not None and french.structures.active == {"1750000001": frozenset({"899900000001"})}
    assert world.verify(
        headers_of(world.signed()),
        issuers=read_issuers(_written(tmp_path, '[[issuer]]\nauthorities = ["ca.crt"]\nlists = ["ca.crl"]\n')),
    )


def test_a_row_without_anything_is_the_default(tmp_path: Path) -> None:
    assert read_issuers(_written(tmp_path, "[[issuer]]\n")) == (DEFAULT_ISSUERS[0],)
    assert read_issuers(_written(tmp_path, '[[issuer]]\nprofile = "xua"\n')) == (DEFAULT_ISSUERS[1],)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "one or more"),
        ("issuer = 1", "one or more"),
        ("issuer = [1]", "issuer 1: expected is a table"),
        ("other = 1\n[[issuer]]\n", "not other"),
        ("[[issuer]\n", "issuers.toml"),
        ('[[issuer]]\nprofil = "xua"', "unknown: profil"),
        ('[[issuer]]\nprofile = "oauth"', "'oauth'; accepted: vihf, xua"),
        ("[[issuer]]\nname = 1", "a text is expected"),
        ('[[issuer]]\nname = "x"\nprofile = "xua"', "needs 'certificates' or 'authorities'"),
        ('[[issuer]]\ncertificates = ["absent.crt"]', "absent.crt"),
        ('[[issuer]]\nauthorities = ["absent.crt"]', "absent.crt"),
        ('[[issuer]]\nlists = ["absent.crl"]', "absent.crl"),
        ('[[issuer]]\nmodes = ["PAR_TELEPHONE"]', "accepted: DIRECTE, INDIRECTE"),
        ('[[issuer]]\nversions = "3.0"', "a list of texts"),
        ("[[issuer]]\nminutes = 0", "from 1 to 10080"),
        ("[[issuer]]\nminutes = true", "from 1 to 10080"),
        ('[[issuer]]\nsha1_until = "soon"', "a date is expected"),
        ("[[issuer]]\nkey_usage = 1", "a table of modes"),
        ('[[issuer]]\nkey_usage = { DIRECTE = "anything" }', "non-repudiation or signature"),
        ('[[issuer]]\nemergency = ["999"]', "accepted: 10, 21"),
        ('[[issuer]]\nsoftware_mode = "maybe"', "accepted: warn, refuse"),
        ('[[issuer]]\nstructures = "absent.toml"', "absent.toml"),
        ("[[issuer]]\n[[issuer]]\nminutes = 0", "issuer 2"),
    ],
)
def test_a_wrong_file_is_told_with_row_key_and_what_is_accepted(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(IssuerFileError) as caught:
        read_issuers(_written(tmp_path, text))
    assert words in str(caught.value) and "issuers.toml" in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(IssuerFileError, match=r"nowhere\.toml"):
        read_issuers(tmp_path / "nowhere.toml")


# ------------------------------------------------------------------------------------------------- the memory of uses

#: Later than any of these tests ends: modules are read long before they run.
_SOON = datetime.now(UTC) + timedelta(days=1)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _at_once(ask: Callable[[int], object]) -> list[object]:
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(ask, range(8)))


def test_of_eight_at_once_over_two_workers_one_is_first(store_url: str) -> None:
    prepare(store_url)
    with closing(open_database(store_url)) as one, closing(open_database(store_url)) as other:
        workers = (StoredUses(one), StoredUses(other))
        assert _at_once(lambda number: workers[number % 2].once(_digest("a"), _SOON)).count(True) == 1
        holders = _at_once(lambda number: workers[number % 2].holder(_digest("b"), _digest(f"certificate {number}"), _SOON))
        assert len(set(holders)) == 1
        assert workers[0].holder(_digest("b"), _digest("late"), _SOON) == holders[0]


def test_a_use_outlives_the_process(store_url: str) -> None:
    prepare(store_url)
    with closing(open_database(store_url)) as database:
        assert StoredUses(database).once(_digest("a"), _SOON)
        StoredUses(database).holder(_digest("b"), _digest("first"), _SOON)
    with closing(open_database(store_url)) as database:
        assert not StoredUses(database).once(_digest("a"), _SOON)
        assert StoredUses(database).holder(_digest("b"), _digest("second"), _SOON) == _digest("first")


def test_what_has_expired_is_forgotten(store_url: str) -> None:
    prepare(store_url)
    past = datetime.now(UTC) - timedelta(minutes=5)
    with closing(open_database(store_url)) as database:
        StoredUses(database).holder(_digest("old"), _digest("first"), past)
        StoredUses(database).holder(_digest("new"), _digest("first"), _SOON)
        assert StoredUses(database).holder(_digest("old"), _digest("second"), _SOON) == _digest("second")
