"""Writes signed assertions: the VIHF of the DMP in its three modes, and the SAML 2.0 assertion of IHE XUA.

`assertion_of_card` is for commands and tests on a folder of `carnet pki`; `write_assertion` takes any key. What they write is
what `security/saml.py` verifies, and every part of it can be asked for otherwise, to show how it is refused.

Source: ITI TF-2: 3.40.4.1.2; CI-SIS couche transport (VIHF 3.0).
"""

from __future__ import annotations

import uuid
from base64 import b64encode
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from lxml import etree

from schemas.namespaces import DS, HL7V3, SAML, XSI, q
from security import saml_names as names
from security.identity import Coded, Mode
from security.pki import Issued, PkiError, TestAuthority, signing_files
from security.signature import sign_enveloped

#: VIHF default of a structure that a card does not name: a FINESS number for tests.
_NO_STRUCTURE = "1750000001"
_CODED: Any = {None: HL7V3, "xsi": XSI}  # the stubs know no default namespace
_SURGERY = Coded("SA07", names.SECTORS)
_NORMAL = Coded(names.NORMAL, names.PURPOSES, names.PURPOSE_NAMES[names.NORMAL][1])


@dataclass(frozen=True, slots=True)
class Statement:
    """What an assertion is to say. Empty values are left out.

    `profile` is `vihf` or `xua`. `subject` is the NameID, `patient` an HL7 CX, `structure` a Struct_IdNat (XUA: an OID URN),
    `sector` and `session` are coded. `purpose` None: none. `valid` is the time to NotOnOrAfter, `age` how long ago it was issued
    (negative: in the future), `authenticated` how long before that the person was authenticated. `audience` empty and
    `conditions` false: a VIHF as the DMP's samples have it. `confirmation` is bearer, holder-of-key or sender-vouches; `holder`
    the certificate (DER) of holder-of-key. `attributes` are further plain ones by name; they replace those of the same name, and
    an empty value removes one.
    """

    patient: str
    subject: str
    profile: str = "vihf"
    mode: Mode = Mode.DIRECT
    version: str = "3.0"
    issuer: str = ""
    name: str = ""
    alias: str = ""
    roles: tuple[Coded, ...] = ()
    structure: str = ""
    organisation: str = ""
    sector: Coded | None = _SURGERY
    purpose: Coded | None = _NORMAL
    reason: str = ""
    session: tuple[Coded, ...] = ()
    consents: tuple[str, ...] = ()
    audience: tuple[str, ...] = ()
    conditions: bool = True
    one_time: bool = False
    valid: timedelta = timedelta(minutes=30)
    age: timedelta = timedelta(0)
    authenticated: timedelta = timedelta(minutes=1)
    context: str = names.CONTEXT + "SmartcardPKI"
    confirmation: str = "bearer"
    holder: bytes = b""
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SigningCard:
    """Who signs: certificate and key, PEM."""

    certificate_pem: bytes
    key_pem: bytes

    @property
    def subject(self) -> str:
        """The name in the certificate, RFC 4514."""
        return x509.load_pem_x509_certificate(self.certificate_pem).subject.rfc4514_string()


def write_assertion(card: SigningCard, statement: Statement) -> bytes:
    """The signed saml:Assertion, UTF-8 without XML declaration, ready for wsse:Security."""
    return sign_enveloped(build_assertion(statement, card.subject), card.key_pem, card.certificate_pem)


def assertion_of_card(
    folder: Path | str,
    name: str,
    *,
    patient: str,
    purpose: str = names.NORMAL,
    mode: Mode | None = None,
    reason: str = "",
    structure: str = "",
    person: str = "",
    audience: str = "",
    profile: str = "vihf",
) -> bytes:
    """An assertion of `name`, who has a card in the test authority's `folder`.

    A person signs for himself (DIRECTE) unless `mode` says otherwise: then `structure` (one of the folder) signs and states him.
    A structure signs for `person` (of the folder; a made-up doctor when empty). Raises PkiError.
    """
    card, statement = card_statement(
        folder, name, patient=patient, mode=mode, structure=structure, person=person, profile=profile
    )
    spoken = replace(
        statement,
        purpose=Coded(purpose, names.PURPOSES, names.PURPOSE_NAMES.get(purpose, ("", ""))[1])
        if profile == "vihf"
        else Coded(purpose, names.XUA_PURPOSES),
        reason=reason,
        audience=(audience,) if audience else (),
    )
    return write_assertion(card, spoken)


def card_statement(
    folder: Path | str,
    name: str,
    *,
    patient: str,
    mode: Mode | None = None,
    structure: str = "",
    person: str = "",
    profile: str = "vihf",
) -> tuple[SigningCard, Statement]:
    """Who signs and what is to be said, out of the folder's index: the parts of `assertion_of_card`. Raises PkiError."""
    rows = {row.name: row for row in TestAuthority(folder).issued()}
    own = _row(folder, rows, name, "person", "structure")
    acting = own if own.kind == "person" else (_row(folder, rows, person, "person") if person else None)
    mode = mode or (Mode.DIRECT if own.kind == "person" else Mode.INDIRECT)
    if mode is Mode.DIRECT and own.kind != "person":
        raise PkiError(
            f"'{name}' is a {own.kind}: a person's card signs in the mode {mode.value}; give --as PERSON or --mode INDIRECTE"
        )
    if mode is Mode.DIRECT and profile == "vihf":
        signer, place = own, structure or own.structure
        place = rows[place].identifier if place in rows else place
        organisation = next((r.organisation for r in rows.values() if r.identifier == place), own.organisation)
    else:
        signer = own if own.kind == "structure" else _structure_of(folder, rows, own, structure)
        place, organisation = signer.identifier, signer.organisation
    certificate, key = signing_files(folder, signer.name)
    roles = _roles(acting)
    statement = Statement(
        patient=patient,
        subject=acting.identifier if acting else "899900000001",
        profile=profile,
        mode=mode if profile == "vihf" else Mode.XUA,
        name=acting.name if acting else "Dr Test",
        roles=roles,
        structure=place or _NO_STRUCTURE,
        organisation=organisation,
    )
    return SigningCard(certificate.read_bytes(), key.read_bytes()), statement


def _row(folder: Path | str, rows: dict[str, Issued], name: str, *kinds: str) -> Issued:
    row = rows.get(name)
    if row is None or row.kind not in kinds:
        known = ", ".join(r.name for r in rows.values() if r.kind in kinds) or "none"
        raise PkiError(f"{folder} holds no {' or '.join(kinds)} '{name}'; it holds: {known}")
    return row


def _structure_of(folder: Path | str, rows: dict[str, Issued], person: Issued, asked: str) -> Issued:
    """The structure that speaks for a person: the one asked for by name or id, his workplace, or the only one there is."""
    structures = [row for row in rows.values() if row.kind == "structure"]
    wanted = asked or person.structure
    found = [r for r in structures if wanted in (r.name, r.identifier)] if wanted else structures
    if len(found) != 1:
        known = (
            ", ".join(r.name for r in structures) or f"none; make one with './carnet pki issue {folder} --kind structure NAME'"
        )
        raise PkiError(f"which structure speaks for '{person.name}'? Give --structure NAME; structures here: {known}")
    return found[0]


def _roles(person: Issued | None) -> tuple[Coded, ...]:
    profession, know_how = (person.profession, person.know_how) if person else ("10", "SM26")
    label = names.PROFESSION_NAMES.get(profession, "")
    first = (Coded(profession, names.PROFESSIONS, label),) if profession else ()
    return (*first, Coded(know_how, names.KNOW_HOWS)) if know_how else first


# --------------------------------------------------------------------------------------------------------------- the XML


def build_assertion(statement: Statement, signer_subject: str) -> etree._Element:
    """The unsigned saml:Assertion. `signer_subject` is its Issuer where the statement names none."""
    now = datetime.now(UTC) - statement.age
    root = etree.Element(
        q(SAML, "Assertion"), nsmap={"saml2": SAML}, ID=f"_{uuid.uuid4().hex}", IssueInstant=instant(now), Version="2.0"
    )
    issuer = _add(root, "Issuer", statement.issuer or signer_subject)
    if not statement.issuer:
        issuer.set("Format", names.X509_SUBJECT)
    _subject(root, statement, now)
    if statement.conditions:
        _conditions(root, statement, now)
    authn = _add(root, "AuthnStatement")
    authn.set("AuthnInstant", instant(now - statement.authenticated))
    _add(_add(authn, "AuthnContext"), "AuthnContextClassRef", statement.context)
    attributes = _add(root, "AttributeStatement")
    for name, values in _plain(statement).items():
        for value in values:
            _add(_attribute(attributes, name), "AttributeValue", value)
    _coded(attributes, names.ROLE, "Role", statement.roles)
    _coded(attributes, names.PURPOSE, "PurposeOfUse", (statement.purpose,) if statement.purpose else ())
    return root


def instant(moment: datetime) -> str:
    """UTC with milliseconds and Z, as SAML 2.0 Core: 1.3.3 has it."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def _subject(root: etree._Element, statement: Statement, now: datetime) -> None:
    subject = _add(root, "Subject")
    name = _add(subject, "NameID", statement.subject)
    if statement.alias:
        name.set("SPProvidedID", statement.alias)
    if not statement.confirmation:
        return
    confirmation = _add(subject, "SubjectConfirmation")
    confirmation.set("Method", names.CONFIRMATION + statement.confirmation)
    data = _add(confirmation, "SubjectConfirmationData")
    data.set("NotOnOrAfter", instant(now + statement.valid))
    if statement.holder:
        key_info = etree.SubElement(data, q(DS, "KeyInfo"), nsmap={"ds": DS})
        holder = etree.SubElement(etree.SubElement(key_info, q(DS, "X509Data")), q(DS, "X509Certificate"))
        holder.text = b64encode(statement.holder).decode()


def _conditions(root: etree._Element, statement: Statement, now: datetime) -> None:
    conditions = _add(root, "Conditions")
    conditions.set("NotBefore", instant(now))
    conditions.set("NotOnOrAfter", instant(now + statement.valid))
    if statement.audience:
        restriction = _add(conditions, "AudienceRestriction")
        for audience in statement.audience:
            _add(restriction, "Audience", audience)
    if statement.one_time:
        _add(conditions, "OneTimeUse")


def _plain(statement: Statement) -> dict[str, list[str]]:
    """Attributes with text values, by name."""
    vihf = statement.profile == "vihf"
    sector = f"{statement.sector.code}^{statement.sector.system}" if statement.sector else ""
    wanted: dict[str, str] = {
        names.SUBJECT_ID: statement.name,
        names.RESOURCE_ID: statement.patient,
        names.REASON: statement.reason,
    }
    if vihf:
        wanted |= {
            names.STRUCTURE: statement.structure,
            names.SECTOR: sector,
            names.VIHF_VERSION: statement.version,
            names.MODE: statement.mode.value,
            names.RESOURCE_URN: "urn:dmp",
            names.LPS_ID: "CARNET",
            names.LPS_NAME: "Carnet",
            names.LPS_VERSION: "1",
            names.LPS_HOMOLOGATION: "CARNET-TEST",
        }
    else:
        wanted |= {names.ORGANIZATION: statement.organisation, names.ORGANIZATION_ID: statement.structure}
    wanted |= statement.attributes
    plain = {name: [value] for name, value in wanted.items() if value}
    if statement.session:
        plain[names.CONFIDENTIALITY] = [f"{code.code}^{code.system}" for code in statement.session]
    if statement.consents:
        plain[names.CONSENT] = list(statement.consents)
    return plain


def _coded(parent: etree._Element, name: str, tag: str, values: tuple[Coded, ...]) -> None:
    if not values:
        return
    attribute = _attribute(parent, name)
    for value in values:
        coded = etree.SubElement(
            _add(attribute, "AttributeValue"),
            q(HL7V3, tag),
            nsmap=_CODED,
            code=value.code,
            codeSystem=value.system,
        )
        coded.set(q(XSI, "type"), "CE")
        if value.label:
            coded.set("displayName", value.label)


def _attribute(parent: etree._Element, name: str) -> etree._Element:
    attribute = _add(parent, "Attribute")
    attribute.set("Name", name)
    attribute.set(
        "NameFormat",
        "urn:oasis:names:tc:SAML:2.0:attrname-format:uri" if ":" in name else "urn:oasis:names:tc:SAML:2.0:attrname-format:basic",
    )
    return attribute


def _add(parent: etree._Element, tag: str, text: str = "") -> etree._Element:
    child = etree.SubElement(parent, q(SAML, tag))
    if text:
        child.text = text
    return child
