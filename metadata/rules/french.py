"""What the French interoperability framework (CI-SIS) and the DMP ask of metadata beyond IHE.

Judged only where the affinity domain has the option `CI_SIS`; `schemas/codes/dmp-fr.toml` says which of the rules refuse and
which warn, with the quality of each source. Codes are judged by the CODE rules, out of the domain's lists. The entry that holds
the signature of a submission has rules of its own and is excepted where a statement says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

from metadata.french import (
    CONFIDENTIALITY_OID,
    INVISIBLE_PATIENT,
    MASKING_OID,
    MASQUE_PS,
    PS_OID,
    PS_TYPE,
    SIGNATURE_TYPE,
    STRUCTURE_OID,
    STRUCTURE_TYPE,
    problem_with_ps_id,
    problem_with_structure_id,
)
from metadata.ins import AUTHORITIES, INS_A, INS_C, INS_NIA, InsError
from metadata.ins import check as check_ins
from metadata.model import DocumentEntry, Folder, Submission, SubmissionSet
from metadata.rules.declare import identified, rule
from metadata.rules.domain import authority_of
from metadata.rules.rule import Context, Fault
from metadata.scalars import is_oid
from metadata.vocabulary import Transaction

#: Put into `Context.options` by a French domain; also the tag of these rules.
CI_SIS = "ci-sis"
TAGS = frozenset({CI_SIS})

_GUIDE = "DMP: SEL-MP-037"
_HEADER = "CI-SIS: Structuration minimale 1.16"
_TRANSMISSION = "CI-SIS: Transmission d'un document CDA en HL7 v2"
_SECONDS = re.compile(r"[0-9]{14}")

#: On-Demand entries describe what nobody has done or signed yet.
_STABLE = frozenset({Transaction.ITI_41, Transaction.ITI_42})
_entry = partial(rule, of=DocumentEntry, tags=TAGS)
_message = partial(rule, of=Submission, tags=TAGS)


def is_signature(entry: DocumentEntry) -> bool:
    """True for the DocumentEntry of the signature of a submission."""
    return entry.typeCode is not None and (entry.typeCode.code, entry.typeCode.scheme) == SIGNATURE_TYPE


def _authored(submission: Submission) -> Iterator[SubmissionSet | DocumentEntry]:
    yield from submission.submissionSets
    yield from submission.documentEntries


def _component(text: str, number: int) -> str:
    components = text.split("^")
    return components[number - 1] if number <= len(components) else ""


# ----------------------------------------------------------------------------------------------------------------- patient


@_message("FR-001", _GUIDE, remedy="Write INS^^^&OID&ISO^NH.")
def patient_id_has_its_type(context: Context, submission: Submission) -> Iterator[Fault]:
    """A patientId has the type NH in component 5; an INS-C may have the older INS-C."""
    for entity in identified(submission):
        sent = entity.patientId or ""
        kind = _component(sent, 5)
        if sent and kind != "NH" and not (kind == "INS-C" and authority_of(sent) == INS_C):
            message = f"component 5 of the patientId is '{kind}'" if kind else "the patientId has no type in component 5"
            yield Fault(message, "patientId", sent, object=entity.entryUUID, line=entity.raw.line)


@_message("FR-002", _HEADER)
def patient_id_is_an_ins(context: Context, submission: Submission) -> Iterator[Fault]:
    """An INS has the form and the key of its kind; the key of an INS-NIA and an INS-A are not judged."""
    for entity in identified(submission):
        problem = _ins_problem(entity.patientId or "")
        if problem:
            remedy = "Take the INS as the INSi service gives it; never make one up."
            yield Fault(problem, "patientId", entity.patientId or "", remedy, entity.entryUUID, entity.raw.line)


def _ins_problem(cx: str) -> str | None:
    oid, value = authority_of(cx), _component(cx, 1)
    if oid not in AUTHORITIES or oid in (INS_A, INS_NIA):
        return None
    try:
        found = check_ins(value)
    except InsError as error:
        return str(error)
    if (found.kind == "INS-C") != (oid == INS_C):
        return f"the value is an {found.kind}, the assigning authority is that of {AUTHORITIES[oid]}"
    return None


@_entry("FR-003", _GUIDE, remedy="Write the hospital's number as ID^^^&OID&ISO^PI, or repeat the INS with NH.")
def source_patient_id_has_its_type(context: Context, entry: DocumentEntry) -> Iterator[Fault]:
    """A sourcePatientId has the type PI, or repeats an INS with its type."""
    sent = entry.sourcePatientId
    if not sent:
        return
    kind, national = _component(sent, 5), authority_of(sent) in AUTHORITIES
    if not (kind in ("NH", "INS-C") if national else kind == "PI"):
        yield Fault(f"component 5 of the sourcePatientId is '{kind}'", "sourcePatientId", sent, line=entry.raw.line)


@_entry("FR-004", _GUIDE, remedy="Add the field to the slot sourcePatientInfo: PID-5|NOM^Prenom^^^^^L, PID-7|19560527, PID-8|F.")
def source_patient_is_described(context: Context, entry: DocumentEntry) -> Iterator[Fault]:
    """sourcePatientInfo holds name (PID-5), birth date (PID-7) and sex (PID-8); the signature is excepted."""
    if is_signature(entry):
        return
    sent = {value.partition("|")[0] for value in entry.sourcePatientInfo}
    for name in ("PID-5", "PID-7", "PID-8"):
        if name not in sent:
            yield Fault(f"{name} is not sent", "sourcePatientInfo", line=entry.raw.line)


# -------------------------------------------------------------------------------------------------- people and structures

_PERSON = f"Write PS_IdNat^NOM^Prenom^^^^^^&{PS_OID}&ISO^D^^^{PS_TYPE}; a patient: INS and its authority with D and NH."


def _person_problem(xcn: str) -> str | None:
    """None for the id of a professional, of a patient or of a device, each in its form."""
    oid = _component(xcn, 9).split("&")[1:2]
    value, kind, name = _component(xcn, 1), _component(xcn, 13), _component(xcn, 10)
    if oid == [PS_OID] and kind == PS_TYPE:
        return problem_with_ps_id(value)
    if oid and oid[0] in AUTHORITIES:
        wrong = kind not in ("NH", "INS-C") or name != "D"
        return "the id of a patient has the name type D and the id type NH" if wrong else _ins_problem(f"{value}^^^&{oid[0]}&ISO")
    if kind == "RI" and name == "U" and value:
        return None
    return "the person is named by no national id of a professional, INS of a patient or id of a device"


@_message("FR-005", _HEADER, remedy=_PERSON)
def authors_have_national_ids(context: Context, submission: Submission) -> Iterator[Fault]:
    """An authorPerson is identified by PS_IdNat (IDNPS), by an INS (NH) or, for a device, by an id of type RI."""
    for entity in _authored(submission):
        for author in entity.author:
            for person in author.authorPerson:
                problem = _person_problem(person)
                if problem:
                    yield Fault(problem, "authorPerson", person, object=entity.entryUUID, line=entity.raw.line)


@_message("FR-006", "DMP: PDT-INF-617", remedy="Fill components 2 and 3; on a card without a name take the organization's.")
def authors_have_names(context: Context, submission: Submission) -> Iterator[Fault]:
    """An authorPerson has a family name and a given name."""
    for entity in _authored(submission):
        for author in entity.author:
            for person in author.authorPerson:
                if not (_component(person, 2) and _component(person, 3)):
                    message = "family name or given name is empty"
                    yield Fault(message, "authorPerson", person, object=entity.entryUUID, line=entity.raw.line)


@_message("FR-007", _HEADER, remedy=f"Write NAME^^^^^&{STRUCTURE_OID}&ISO^{STRUCTURE_TYPE}^^^Struct_IdNat.")
def institutions_have_national_ids(context: Context, submission: Submission) -> Iterator[Fault]:
    """An authorInstitution with an id has authority (6), type (7) and id (10), the id a Struct_IdNat under its authority."""
    for entity in _authored(submission):
        for author in entity.author:
            for institution in author.authorInstitution:
                problem = _institution_problem(context, institution)
                if problem:
                    yield Fault(problem, "authorInstitution", institution, object=entity.entryUUID, line=entity.raw.line)


def _institution_problem(context: Context, xon: str) -> str | None:
    oid = (_component(xon, 6).split("&")[1:2] or [""])[0]
    kind, value = _component(xon, 7), _component(xon, 10)
    if not (oid or kind or value):
        return None  # the structure's id is not known (CDA: nullFlavor)
    if not (oid and kind and value):
        return "authority, type and id of the structure are not sent together"
    if oid == STRUCTURE_OID:
        return problem_with_structure_id(value) if kind == STRUCTURE_TYPE else f"the type of a Struct_IdNat is '{kind}'"
    others = context.codes.authorities("structure") if context.codes else {}
    if others and oid not in others:
        return f"the assigning authority {oid} of the structure is none of this affinity domain"
    return None


@_entry("FR-008", _HEADER, transactions=_STABLE, remedy=_PERSON)
def legal_authenticator_sent(context: Context, entry: DocumentEntry) -> Iterator[Fault]:
    """A legalAuthenticator is sent and identified like an author; the signature is excepted."""
    sent = entry.legalAuthenticator
    if is_signature(entry) and not sent:
        return
    problem = _person_problem(sent) if sent else "the legalAuthenticator is missing"
    if problem:
        yield Fault(problem, "legalAuthenticator", sent or "", line=entry.raw.line)


@_message("FR-009", _HEADER)
def specialties_are_listed(context: Context, submission: Submission) -> Iterator[Fault]:
    """An authorSpecialty is code^label^OID, its code system and code in the affinity domain's list."""
    for entity in _authored(submission):
        for author in entity.author:
            for specialty in author.authorSpecialty:
                code, scheme = specialty.partition("^")[0], specialty.rpartition("^")[2]
                if specialty.count("^") == 2 and (not context.codes or context.codes.allows("authorSpecialty", code, scheme)):
                    continue
                near = context.codes.nearest("authorSpecialty", code, scheme) if context.codes else ()
                remedy = f"Nearest in the list: {', '.join(near)}." if near else "Write code^label^OID."
                message = "the specialty is not code^label^OID of the affinity domain's list"
                yield Fault(message, "authorSpecialty", specialty, remedy, entity.entryUUID, entity.raw.line)


# ------------------------------------------------------------------------------------------------------- codes and masking


@_entry("FR-010", "CI-SIS: ASS_X04")
def class_follows_type(context: Context, entry: DocumentEntry) -> Iterator[Fault]:
    """The classCode is the one that goes with the typeCode."""
    if not context.codes or entry.typeCode is None or entry.classCode is None:
        return
    expected = context.codes.class_of(entry.typeCode.code, entry.typeCode.scheme)
    if expected and (entry.classCode.code, entry.classCode.scheme) != expected:
        shown, right = f"{entry.classCode.code}^^{entry.classCode.scheme}", f"{expected[0]}^^{expected[1]}"
        message = f"a document of the type {entry.typeCode.code} has another class"
        yield Fault(message, "classCode", shown, f"Send {right}, or correct the typeCode.", line=entry.raw.line)


@_entry("FR-011", _GUIDE, remedy="Choose one: hidden from professionals, or not yet visible to the patient.")
def masking_not_combined(context: Context, entry: DocumentEntry) -> Iterator[Fault]:
    """MASQUE_PS and INVISIBLE_PATIENT are not combined; the signature is excepted."""
    masks = {code.code for code in entry.confidentialityCode if code.scheme == MASKING_OID}
    if {MASQUE_PS, INVISIBLE_PATIENT} <= masks and not is_signature(entry):
        message = f"{MASQUE_PS} and {INVISIBLE_PATIENT} are sent together"
        yield Fault(message, "confidentialityCode", f"{MASQUE_PS}, {INVISIBLE_PATIENT}", line=entry.raw.line)


@_entry("FR-012", _HEADER, remedy=f"Send N, R or V of {CONFIDENTIALITY_OID}, and masking codes beside it: four codes at most.")
def one_confidentiality_beside_masks(context: Context, entry: DocumentEntry) -> Iterator[Fault]:
    """confidentialityCode is one of HL7's codes, and up to three masking codes beside it."""
    sent = entry.confidentialityCode
    count = sum(code.scheme == CONFIDENTIALITY_OID for code in sent)
    if sent and (count != 1 or len(sent) > 4):
        message = f"{len(sent)} codes are sent, {count} of them from {CONFIDENTIALITY_OID}"
        yield Fault(message, "confidentialityCode", ", ".join(code.code for code in sent), line=entry.raw.line)


@_entry("FR-013", _HEADER)
def language_is_listed(context: Context, entry: DocumentEntry) -> Iterator[Fault]:
    """languageCode is one of the affinity domain's."""
    sent = entry.languageCode
    if sent and context.codes and not context.codes.allows("languageCode", sent, ""):
        near = ", ".join(context.codes.nearest("languageCode", sent, ""))
        yield Fault("the language is not in the list", "languageCode", sent, f"In the list: {near}.", line=entry.raw.line)


# -------------------------------------------------------------------------------------------------------- other attributes


@_entry("FR-014", _HEADER, remedy="Take id/@root of the CDA document; the form root^extension is not supported.")
def unique_id_is_an_oid(context: Context, entry: DocumentEntry) -> Iterator[Fault]:
    """The uniqueId of a document is an OID alone."""
    if entry.uniqueId and not is_oid(entry.uniqueId):
        yield Fault("the uniqueId is no OID", "uniqueId", entry.uniqueId, line=entry.raw.line)


@_entry("FR-015", _HEADER, transactions=_STABLE, remedy="Send serviceStartTime: the begin of the main act that is reported.")
def service_start_sent(context: Context, entry: DocumentEntry) -> Iterator[Fault]:
    """A serviceStartTime is sent; the signature is excepted."""
    if not entry.serviceStartTime and not is_signature(entry):
        yield Fault("the serviceStartTime is missing", "serviceStartTime", line=entry.raw.line)


@_message("FR-016", _GUIDE, remedy="Write YYYYMMDDhhmmss in UTC.")
def times_have_seconds(context: Context, submission: Submission) -> Iterator[Fault]:
    """creationTime, serviceStartTime, serviceStopTime and submissionTime go down to the second."""
    for subject in submission.submissionSets:
        yield from _coarse(subject, "submissionTime")
    for entry in submission.documentEntries:
        for name in ("creationTime", "serviceStartTime", "serviceStopTime"):
            yield from _coarse(entry, name)


def _coarse(entity: SubmissionSet | DocumentEntry, name: str) -> Iterator[Fault]:
    sent = getattr(entity, name)
    if sent and sent.isdecimal() and not _SECONDS.fullmatch(sent):
        yield Fault("the time has no seconds", name, sent, object=entity.entryUUID, line=entity.raw.line)


@_message("FR-017", _GUIDE, remedy="Set the clocks by NTP.")
def created_before_submitted(context: Context, submission: Submission) -> Iterator[Fault]:
    """No document was created after it was submitted."""
    one = submission.submissionSet
    submitted = (one.submissionTime if one else None) or ""
    for entry in submission.documentEntries:
        created = entry.creationTime or ""
        if _SECONDS.fullmatch(created) and _SECONDS.fullmatch(submitted) and created > submitted:
            message = f"the document was created after its submission, {submitted}"
            yield Fault(message, "creationTime", created, object=entry.entryUUID, line=entry.raw.line)


@rule("FR-018", _GUIDE, Folder, tags=TAGS, remedy="Leave the Folder out.")
def folders_unused(context: Context, folder: Folder) -> Iterator[Fault]:
    """The DMP uses no Folders."""
    yield Fault("a Folder is sent", "Folder", folder.title or "", line=folder.raw.line)


@_message("FR-019", _TRANSMISSION, remedy="Leave @home out.")
def communities_unused(context: Context, submission: Submission) -> Iterator[Fault]:
    """No homeCommunityId is sent."""
    for entity in identified(submission):
        if entity.homeCommunityId:
            message = "a homeCommunityId is sent"
            yield Fault(message, "homeCommunityId", entity.homeCommunityId, object=entity.entryUUID, line=entity.raw.line)


RULES = (
    patient_id_has_its_type,
    patient_id_is_an_ins,
    source_patient_id_has_its_type,
    source_patient_is_described,
    authors_have_national_ids,
    authors_have_names,
    institutions_have_national_ids,
    legal_authenticator_sent,
    specialties_are_listed,
    class_follows_type,
    masking_not_combined,
    one_confidentiality_beside_masks,
    language_is_listed,
    unique_id_is_an_oid,
    service_start_sent,
    times_have_seconds,
    created_before_submitted,
    folders_unused,
    communities_unused,
)
