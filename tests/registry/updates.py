"""Updates for the registry's tests, as ebRIM text read by the real codec (ITI TF-2: 3.57.4.1.2)."""

from __future__ import annotations

from metadata.model import Submission
from tests.registry.submissions import (
    APPROVED,
    DEPRECATED,
    HAS_MEMBER,
    entry,
    folder,
    new_uuid,
    slot,
    submission,
    submission_set,
)

IHE_2010 = "urn:ihe:iti:2010:AssociationType:"
STATUS, SUBMIT = IHE_2010 + "UpdateAvailabilityStatus", IHE_2010 + "SubmitAssociation"


def trigger(kind: str, target: str, **slots: str) -> str:
    """An association from SubmissionSet01, with annotations."""
    inner = "".join(slot(name, value) for name, value in slots.items())
    return (
        f'<rim:Association id="{new_uuid()}" associationType="{kind}" sourceObject="SubmissionSet01" targetObject="{target}">'
        f"{inner}</rim:Association>"
    )


def new_entry(
    patient: str, lid: str, unique_id: str, previous: int = 1, id: str = "", title: str = "", propagation: str = ""
) -> str:
    """A new version of a DocumentEntry and its trigger."""
    own = id or new_uuid()
    xml = entry(patient, own, unique_id=unique_id, title=title or "Version")
    return xml.replace(f' id="{own}"', f' lid="{lid}" id="{own}"', 1) + trigger(
        HAS_MEMBER, own, SubmissionSetStatus="Original", PreviousVersion=str(previous), **_propagation(propagation)
    )


def new_folder(patient: str, lid: str, unique_id: str, previous: int = 1, id: str = "", propagation: str = "") -> str:
    """A new version of a Folder and its trigger."""
    own = id or new_uuid()
    xml = folder(patient, own, unique_id=unique_id)
    return xml.replace(f' id="{own}"', f' lid="{lid}" id="{own}"', 1) + trigger(
        HAS_MEMBER, own, PreviousVersion=str(previous), **_propagation(propagation)
    )


def _propagation(word: str) -> dict[str, str]:
    return {"AssociationPropagation": word} if word else {}


def status(target: str, original: str = APPROVED, new: str = DEPRECATED) -> str:
    return trigger(STATUS, target, OriginalStatus=original, NewStatus=new)


def submit(kind: str, source: str, target: str, id: str = "") -> str:
    """SubmitAssociation with the association that it submits."""
    own = id or new_uuid()
    return trigger(SUBMIT, own) + (
        f'<rim:Association id="{own}" associationType="{kind}" sourceObject="{source}" targetObject="{target}"/>'
    )


def update(patient: str, *parts: str) -> Submission:
    return submission(submission_set(patient), *parts)
