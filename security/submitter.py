"""Who submits, as far as it is proved and as the rights of documents know it: a person, a structure, or the patient's side.

It is asked whatever policy is in force, so that a matrix of rights finds whose a document is when it is switched on later.
"""

from __future__ import annotations

from dataclasses import dataclass

from security import saml_names as names
from security.access import Reading
from security.identity import Assertion, Mode
from security.trust import Partner


@dataclass(frozen=True, slots=True)
class Submitter:
    """`person` and `structure` are national ids, each empty where the document is not theirs; `patient`: the patient's side."""

    person: str = ""
    structure: str = ""
    patient: bool = False


def submitter_of(
    assertion: Assertion | None, partner: Partner | None, opened: frozenset[Reading] = frozenset()
) -> Submitter | None:
    """The person of the assertion, the structure in whose name he acts, or both where the structure vouches for him; without an
    assertion the enrolled partner. None where nobody is proved. `opened` are the notes of the matrix in force: what an assertion
    without a mode counts as, and whether a structure may call somebody the patient."""
    if assertion is None:
        if partner is None or partner.relays:
            return None  # a repository that passes something on without its caller wrote nothing
        person = partner.kind == "person"
        return Submitter(partner.identifier if person else "", "" if person else partner.identifier)
    role = assertion.roles[0] if assertion.roles else None
    own = assertion.mode is Mode.DIRECT or Reading.PATIENT_BY_STRUCTURE in opened
    if own and role is not None and (role.code, role.system) == (names.PATIENT_ROLE, names.OTHER_ROLES):
        return Submitter(patient=True)
    if assertion.mode is Mode.INDIRECT or (assertion.mode is Mode.XUA and Reading.XUA_PROFESSION not in opened):
        return Submitter(assertion.subject, assertion.structure)
    if role is not None and role.system == names.OTHER_ROLES:
        return Submitter(structure=assertion.structure)  # staff feeds for its structure
    return Submitter(assertion.subject)
