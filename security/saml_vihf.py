"""What an assertion says about person, structure, patient and purpose, judged: the rules of the VIHF and of XUA.

Nothing here is about time, keys or senders (`saml_judging.py`). Order of the checks: CI-SIS couche transport (VIHF), as the DMP
is known to make them; ITI TF-2: 3.40.4.1.2.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from cryptography import x509
from cryptography.x509.oid import NameOID

from metadata.french import problem_with_ps_id, problem_with_structure_id
from metadata.hl7 import problem_with_cx
from metadata.ins import problem_with_ins
from metadata.scalars import is_oid
from security import rules_assertion
from security import rules_vihf as rules
from security import saml_names as names
from security.identity import Assertion, Coded, Mode
from security.pki import KNOW_HOW_OID, PROFESSION_OID, read_private_extension
from security.saml_content import Content
from security.saml_issuers import Issuer

_KNOW_HOW = re.compile(names.KNOW_HOW_FORM)
_ROLE_TABLES = {names.PROFESSIONS: names.PROFESSION_NAMES, names.OTHER_ROLES: names.OTHER_ROLE_NAMES}
_CE = "<{} xmlns='urn:hl7-org:v3' xsi:type='CE' code='...' codeSystem='OID'/>"

Warn = Callable[[str], None]


def mode_of(content: Content, issuer: Issuer) -> Mode:
    """How the person was authenticated. Raises Denied SAM-034 and 035."""
    if issuer.profile == "xua":
        return Mode.XUA
    version = content.one(names.VIHF_VERSION)
    if version not in issuer.versions:
        raise rules_assertion.VIHF.denied(version=version, accepted=", ".join(issuer.versions))
    stated = content.one(names.MODE)
    for mode in issuer.modes:
        if mode.value == stated:
            return mode
    raise rules_assertion.MODE.denied(mode=stated, accepted=", ".join(mode.value for mode in issuer.modes))


def judge_statements(content: Content, issuer: Issuer, mode: Mode, warn: Warn) -> Assertion:
    """What the assertion proves. Raises Denied SAM-028 to 047."""
    _demand(content, issuer)
    said = _read(content, mode)
    if mode is not Mode.XUA:
        said = replace(said, sector=_sector(content), version=content.one(names.VIHF_VERSION))
        _judge_names(said)
        if mode is Mode.DIRECT:
            _judge_card(said, content.certificate)
        else:
            _judge_unit(said, content.certificate)
        _judge_roles(said)
        _judge_resource(content, issuer)
        _judge_software(content, issuer, warn)
    _judge_structure(said, issuer)
    _judge_patient(said, issuer)
    _judge_purpose(said, issuer)
    return said


def _demand(content: Content, issuer: Issuer) -> None:
    wanted = (*(names.VIHF_ALWAYS if issuer.profile == "vihf" else ()), *issuer.require)
    for name in wanted:
        values = (*content.texts.get(name, ()), *content.coded.get(name, ()))
        if not any(values):
            raise rules.MISSING.denied(name=name)
    if issuer.profile == "vihf" and content.one(names.MODE) != Mode.DIRECT.value and not content.one(names.SUBJECT_ID):
        raise rules.MISSING.denied(name=names.SUBJECT_ID)


def _read(content: Content, mode: Mode) -> Assertion:
    vihf = mode is not Mode.XUA
    return Assertion(
        id=content.id,
        issuer=content.issuer,
        subject=content.subject,
        mode=mode,
        name=content.one(names.SUBJECT_ID),
        alias=content.alias,
        structure=content.one(names.STRUCTURE) if vihf else content.one(names.ORGANIZATION_ID).removeprefix("urn:oid:"),
        organisation=content.one(names.ORGANIZATION),
        roles=_all_coded(content, names.ROLE, "Role"),
        patient=content.one(names.RESOURCE_ID),
        purpose=_purpose(content),
        reason=content.one(names.REASON).strip(),
        session=tuple(_caret_code(names.CONFIDENTIALITY, value).code for value in content.texts.get(names.CONFIDENTIALITY, ())),
        consents=(*content.texts.get(names.CONSENT, ()), *content.texts.get(names.POLICY, ())),
        issued_at=content.issued,
        authenticated_at=content.authenticated,
        not_on_or_after=content.not_on_or_after,
        attributes=content.texts,
    )


def _all_coded(content: Content, name: str, tag: str) -> tuple[Coded, ...]:
    """The coded values of an attribute. A text is no coded value."""
    if content.texts.get(name):
        raise _wrong(name, content.texts[name][0], "a coded value is expected", _CE.format(tag))
    for value in content.coded.get(name, ()):
        if not value.code or not is_oid(value.system):
            raise _wrong(name, f"{value.code}^{value.system}", "code and codeSystem (an OID) are expected", _CE.format(tag))
    return tuple(dict.fromkeys(content.coded.get(name, ())))


def _purpose(content: Content) -> Coded | None:
    values = _all_coded(content, names.PURPOSE, "PurposeOfUse")
    if len({(value.code, value.system) for value in values}) > 1:
        raise rules.REPEATED.denied(name=names.PURPOSE, count=len(values))
    return values[0] if values else None


def _sector(content: Content) -> Coded:
    return _caret_code(names.SECTOR, content.one(names.SECTOR))


def _caret_code(name: str, value: str) -> Coded:
    code, _, system = value.partition("^")
    if not code or not is_oid(system):
        raise _wrong(name, value, "a code and the OID of its system are expected", "SA07^1.2.250.1.71.4.2.4")
    return Coded(code, system)


def _judge_names(said: Assertion) -> None:
    patient = bool(said.roles) and said.roles[0].code == names.PATIENT_ROLE
    problem = None if patient else problem_with_ps_id(said.subject)
    if problem:
        raise _wrong("NameID", said.subject, problem, "899900063480")
    problem = problem_with_structure_id(said.structure)
    if problem:
        raise _wrong(names.STRUCTURE, said.structure, problem, "339172288100052")


def _judge_card(said: Assertion, certificate: x509.Certificate) -> None:
    """Direct mode: the card speaks for its holder only."""
    common = [str(one.value) for one in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if common != [said.subject]:
        raise rules.NAME_ID.denied(subject=said.subject, common=", ".join(common) or "(none)")
    stated = {role.system: role.code for role in reversed(said.roles)}
    for kind, system, oid in (
        ("profession", names.PROFESSIONS, PROFESSION_OID),
        ("know-how", names.KNOW_HOWS, KNOW_HOW_OID),
    ):
        actual = read_private_extension(certificate, oid)
        if system == names.KNOW_HOWS and system not in stated:
            continue  # whether it has to be stated is asked of the profession
        if stated.get(system, "") != actual:
            raise rules.CARD_ROLES.denied(kind=kind, stated=stated.get(system, ""), actual=actual)


def _judge_unit(said: Assertion, certificate: x509.Certificate) -> None:
    """Indirect modes: a structure speaks for its own people only."""
    units = [str(one.value) for one in certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)]
    if said.structure not in units:
        raise rules.UNIT.denied(structure=said.structure, unit=", ".join(units) or "it names none")


def _judge_roles(said: Assertion) -> None:
    first, others = said.roles[0], said.roles[1:]
    table = _ROLE_TABLES.get(first.system)
    if table is None or first.code not in table:
        raise rules.ROLE.denied(code=first.code, system=first.system, problem="it is in no table of professions")
    for other in others:
        if other.system != names.KNOW_HOWS or not _KNOW_HOW.fullmatch(other.code):
            raise rules.ROLE.denied(code=other.code, system=other.system, problem="it is no know-how")
    if first.system == names.PROFESSIONS and first.code in names.WITH_KNOW_HOW and not others:
        raise rules.NO_KNOW_HOW.denied(code=first.code)


def _judge_resource(content: Content, issuer: Issuer) -> None:
    urn = content.one(names.RESOURCE_URN)
    if urn not in issuer.resources:
        raise rules.RESOURCE.denied(urn=urn, accepted=", ".join(issuer.resources))


def _judge_software(content: Content, issuer: Issuer, warn: Warn) -> None:
    number = content.one(names.LPS_HOMOLOGATION)
    if not issuer.software or number in issuer.software:
        return
    refusal = rules.SOFTWARE.denied(number=number)
    if issuer.software_refused:
        raise refusal
    warn(str(refusal))


def _judge_structure(said: Assertion, issuer: Issuer) -> None:
    if issuer.structures is None:
        return
    people = issuer.structures.active.get(said.structure)
    if people is None:
        raise rules.NO_STRUCTURE.denied(structure=said.structure)
    if people and said.subject not in people:
        raise rules.NOT_LINKED.denied(subject=said.subject, structure=said.structure)


def _judge_patient(said: Assertion, issuer: Issuer) -> None:
    if not said.patient:
        return
    problem = problem_with_cx(said.patient, type_code=True) or problem_with_ins(said.patient)
    if problem is None and issuer.patients:
        authority = said.patient.split("^")[3].split("&")[1]
        if authority not in issuer.patients:
            problem = f"the authority {authority} is not known here; known: {', '.join(sorted(issuer.patients))}"
    if problem:
        raise rules.PATIENT.denied(value=said.patient, problem=problem)


def _judge_purpose(said: Assertion, issuer: Issuer) -> None:
    purpose = said.purpose
    if purpose is None:
        return
    if issuer.profile == "vihf":
        if purpose.system != names.PURPOSES or purpose.code not in names.VIHF_PURPOSES:
            raise rules.PURPOSE.denied(
                code=purpose.code, system=purpose.system, accepted=f"{', '.join(names.VIHF_PURPOSES)} of {names.PURPOSES}"
            )
    elif issuer.purposes and purpose.code not in issuer.purposes:
        raise rules.PURPOSE.denied(code=purpose.code, system=purpose.system, accepted=", ".join(issuer.purposes))
    if purpose.system != names.PURPOSES or purpose.code == names.NORMAL:
        return
    profession = said.roles[0].code if said.roles else ""
    if profession not in issuer.emergency:
        raise rules.EMERGENCY.denied(code=profession or "(none)", purpose=purpose.code)
    if purpose.code == names.EMERGENCY and not said.reason:
        raise rules.REASON.denied()


def _wrong(name: str, value: str, problem: str, form: str) -> Exception:
    return rules.ATTRIBUTE.denied(name=name, value=value, problem=problem, form=form)
