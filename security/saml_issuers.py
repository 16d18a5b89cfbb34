"""Whose assertions are believed, and for how long: one row per issuer, from a TOML file or by default.

Without a file two rows hold: a VIHF that is signed by a card or a structure of the trusted authorities (its Issuer is the subject
of that certificate), and an XUA assertion signed by an enrolled structure. A file replaces both:

    [[issuer]]
    name = "https://idp.example.org"      # the text of Issuer; left out: the subject of the signing certificate
    profile = "xua"                       # or "vihf"
    certificates = ["idp.crt"]            # the only ones that may sign; relative to the file
    authorities = ["idp-ca.crt"]          # left out: those of the server, or none where `certificates` are pinned
    lists = ["idp-ca.crl"]
    audience = ["urn:oid:1.2.3"]          # left out: `security.audience`
    modes = ["DIRECTE", "INDIRECTE"]      # of a VIHF
    versions = ["3.0"]
    minutes = 60                          # between IssueInstant and use
    authenticated_minutes = 720           # between AuthnInstant and IssueInstant
    contexts = ["urn:oasis:names:tc:SAML:2.0:ac:classes:SmartcardPKI"]      # left out: any
    key_usage = { DIRECTE = "non-repudiation" }                             # or "signature"
    sha1_until = 2027-01-01               # SHA-1 is accepted until then; left out: never
    resources = ["urn:dmp"]
    purposes = ["TREATMENT"]              # of XUA; left out: any
    emergency = ["10"]                    # professions that may use bris_de_glace and centre_15
    authorities_of_patients = ["1.2.250.1.213.1.4.10"]                      # left out: any
    software = ["CARNET-TEST"]            # homologation numbers; left out: any
    software_mode = "warn"                # or "refuse"
    structures = "structures.toml"        # see `Structures`; left out: none is looked up
    require = ["urn:oasis:names:tc:xspa:1.0:subject:organization"]          # further attributes

Source: ITI TF-2: 3.40.4.1; CI-SIS couche transport (VIHF).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from security import saml_names as names
from security.identity import Mode
from security.trust import TrustOptions, TrustStore, Use

PROFILES = ("vihf", "xua")
_USES = {"non-repudiation": Use.NON_REPUDIATION, "signature": Use.SIGNATURE}
_DEFAULT_USE = {
    Mode.DIRECT: Use.NON_REPUDIATION,
    Mode.INDIRECT: Use.SIGNATURE,
    Mode.REINFORCED: Use.SIGNATURE,
    Mode.XUA: Use.SIGNATURE,
}


class IssuerFileError(Exception):
    """A file of issuers that cannot be used; the text names file, row, key and what is accepted."""


@dataclass(frozen=True, slots=True)
class Structures:
    """The structures in force, by Struct_IdNat, each with the professionals who work there (empty: any).

    In TOML: `[structures."1750000001"]`, `active = true`, `professionals = ["899900000001"]`.
    """

    active: Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Issuer:
    """One row; the meaning of its fields is that of the file, above. `store` None: the authorities of the server."""

    profile: str
    name: str = ""
    certificates: frozenset[str] = frozenset()
    store: TrustStore | None = None
    audience: tuple[str, ...] = ()
    modes: tuple[Mode, ...] = (Mode.DIRECT, Mode.INDIRECT, Mode.REINFORCED)
    versions: tuple[str, ...] = ("1.0", "2.0", "3.0", "4.0")
    life: timedelta = timedelta(minutes=60)
    session: timedelta = timedelta(hours=12)
    contexts: frozenset[str] = frozenset()
    uses: Mapping[Mode, Use] = field(default_factory=lambda: _DEFAULT_USE)
    sha1_until: date | None = None
    resources: tuple[str, ...] = ("urn:dmp",)
    purposes: tuple[str, ...] = ()
    emergency: frozenset[str] = frozenset({"10"})
    patients: frozenset[str] = frozenset()
    software: frozenset[str] = frozenset()
    software_refused: bool = False
    structures: Structures | None = None
    require: tuple[str, ...] = ()

    @property
    def pinned(self) -> bool:
        """Whether the certificate itself is the trust: no path is built and no list is asked."""
        return bool(self.certificates) and self.store is None

    def accepts_sha1(self, today: date) -> bool:
        """Whether the dated exemption still holds."""
        return self.sha1_until is not None and today <= self.sha1_until


DEFAULT_ISSUERS = (Issuer("vihf"), Issuer("xua"))


def read_issuers(path: Path) -> tuple[Issuer, ...]:
    """The rows of a file. Raises IssuerFileError."""
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise IssuerFileError(f"{path}: {error}") from None
    rows = content.pop("issuer", None)
    if content or not isinstance(rows, list) or not rows:
        raise IssuerFileError(f"{path}: expected are one or more [[issuer]]" + (f", not {', '.join(content)}" if content else ""))
    return tuple(_Row(path, number, row).issuer() for number, row in enumerate(rows, 1))


class _Row:
    """One [[issuer]] on its way to an `Issuer`: every key is taken out once, what is left over is unknown."""

    def __init__(self, path: Path, number: int, row: Any) -> None:
        self.path, self.place = path, f"{path}: issuer {number}"
        if not isinstance(row, dict):
            raise IssuerFileError(f"{self.place}: expected is a table [[issuer]]")
        self.row: dict[str, Any] = dict(row)

    def issuer(self) -> Issuer:
        profile = self._word("profile", PROFILES, "vihf")
        certificates = frozenset(c.fingerprint(hashes.SHA256()).hex() for c in self._certificates("certificates"))
        modes = self._words("modes", tuple(m.value for m in Mode if m is not Mode.XUA))
        name = self._text("name")
        if profile == "xua" and name and not certificates and "authorities" not in self.row:
            raise IssuerFileError(f"{self.place}: an issuer with a name of its own needs 'certificates' or 'authorities'")
        made = Issuer(
            profile=profile,
            name=name,
            certificates=certificates,
            store=self._store(),
            audience=self._words("audience"),
            modes=tuple(Mode(word) for word in modes) or Issuer("vihf").modes,
            versions=self._words("versions") or Issuer("vihf").versions,
            life=self._minutes("minutes", 60),
            session=self._minutes("authenticated_minutes", 720),
            contexts=frozenset(self._words("contexts")),
            uses=self._uses(),
            sha1_until=self._date("sha1_until"),
            resources=self._words("resources") or ("urn:dmp",),
            purposes=self._words("purposes"),
            emergency=frozenset(self._words("emergency", tuple(names.PROFESSION_NAMES)) or ("10",)),
            patients=frozenset(self._words("authorities_of_patients")),
            software=frozenset(self._words("software")),
            software_refused=self._word("software_mode", ("warn", "refuse"), "warn") == "refuse",
            structures=self._structures(),
            require=self._words("require"),
        )
        if self.row:
            raise IssuerFileError(f"{self.place}: unknown: {', '.join(sorted(self.row))}")
        return made

    def _text(self, key: str, default: str = "") -> str:
        value = self.row.pop(key, default)
        if not isinstance(value, str):
            raise IssuerFileError(f"{self.place}: {key} = {value!r}: a text is expected")
        return value

    def _word(self, key: str, accepted: tuple[str, ...], default: str) -> str:
        value = self._text(key, default)
        if value not in accepted:
            raise IssuerFileError(f"{self.place}: {key} = '{value}'; accepted: {', '.join(accepted)}")
        return value

    def _words(self, key: str, accepted: tuple[str, ...] = ()) -> tuple[str, ...]:
        value = self.row.pop(key, [])
        if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
            raise IssuerFileError(f"{self.place}: {key} = {value!r}: a list of texts is expected")
        for one in value:
            if accepted and one not in accepted:
                raise IssuerFileError(f"{self.place}: {key}: '{one}' is not accepted; accepted: {', '.join(accepted)}")
        return tuple(value)

    def _minutes(self, key: str, default: int) -> timedelta:
        value = self.row.pop(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 10_080:
            raise IssuerFileError(f"{self.place}: {key} = {value!r}: a number of minutes from 1 to 10080 is expected")
        return timedelta(minutes=value)

    def _date(self, key: str) -> date | None:
        value = self.row.pop(key, None)
        if value is not None and type(value) is not date:
            raise IssuerFileError(f"{self.place}: {key} = {value!r}: a date is expected, as 2027-01-01")
        return value

    def _uses(self) -> Mapping[Mode, Use]:
        table = self.row.pop("key_usage", {})
        if not isinstance(table, dict):
            raise IssuerFileError(f"{self.place}: key_usage: a table of modes is expected")
        uses = dict(_DEFAULT_USE)
        accepted = {mode.value or "XUA": mode for mode in Mode}
        for mode, use in table.items():
            if mode not in accepted or use not in _USES:
                raise IssuerFileError(
                    f"{self.place}: key_usage: {mode} = {use!r}; accepted: {', '.join(accepted)} = {' or '.join(_USES)}"
                )
            uses[accepted[mode]] = _USES[use]
        return uses

    def _certificates(self, key: str) -> list[x509.Certificate]:
        found: list[x509.Certificate] = []
        for name in self._words(key):
            try:
                found += x509.load_pem_x509_certificates((self.path.parent / name).read_bytes())
            except (OSError, ValueError) as error:
                raise IssuerFileError(f"{self.place}: {key}: {name}: {error}") from None
        return found

    def _store(self) -> TrustStore | None:
        """The authorities of this issuer alone, with their lists; read once."""
        authorities = self._certificates("authorities")
        lists: list[x509.CertificateRevocationList] = []
        for name in self._words("lists"):
            try:
                lists.append(x509.load_pem_x509_crl((self.path.parent / name).read_bytes()))
            except (OSError, ValueError) as error:
                raise IssuerFileError(f"{self.place}: lists: {name}: {error}") from None
        if not authorities:
            return None
        store = TrustStore(options=TrustOptions(crl_required=bool(lists)))
        store.replace(authorities, lists)
        return store

    def _structures(self) -> Structures | None:
        name = self._text("structures")
        if not name:
            return None
        path = self.path.parent / name
        try:
            table = tomllib.loads(path.read_text("utf-8")).get("structures", {})
            return Structures(
                {id: frozenset(row.get("professionals", ())) for id, row in table.items() if row.get("active", True) is True}
            )
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise IssuerFileError(f"{self.place}: structures: {path}: {error}") from None
