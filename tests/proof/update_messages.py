"""Messages of ITI-57 and ITI-92 as text, typed from ITI TF-2 3.57.4.1.2: new versions, triggers, annotations."""

from __future__ import annotations

from dataclasses import replace

from tests.proof.messages import APPROVED, DEPRECATED, HAS_MEMBER, RIM, Entry, Folder, Submission, new_uuid, slot

IHE_2010 = "urn:ihe:iti:2010:AssociationType:"
STATUS, SUBMIT = IHE_2010 + "UpdateAvailabilityStatus", IHE_2010 + "SubmitAssociation"
ARCHIVED, DELETED = (f"urn:asip:ci-sis:2010:StatusType:{name}" for name in ("Archived", "Deleted"))


class Update:
    """A message under construction, for one patient. `unique_id` is that of its SubmissionSet."""

    def __init__(self, patient: str, unique_id: str = "") -> None:
        self._set = Submission(patient) if not unique_id else Submission(patient, uid=unique_id)
        self._parts = [self._set.set_xml()]

    def entry(self, entry: Entry, lid: str | None, previous: str | None = "1", **annotations: str) -> Update:
        """A new version of the DocumentEntry `lid`; its id is that of `entry`."""
        return self._version(entry.xml(), entry.id, lid, previous, {"SubmissionSetStatus": "Original", **annotations})

    def folder(self, folder: Folder, lid: str | None, previous: str | None = "1", **annotations: str) -> Update:
        """A new version of the Folder `lid`."""
        return self._version(folder.xml(), folder.id, lid, previous, annotations)

    def _version(self, xml: str, id: str, lid: str | None, previous: str | None, annotations: dict[str, str]) -> Update:
        self._parts.append(xml if lid is None else xml.replace(f' id="{id}"', f' lid="{lid}" id="{id}"', 1))
        version = {} if previous is None else {"PreviousVersion": previous}
        return self.link(HAS_MEMBER, self._set.id, id, **version, **annotations)

    def status(self, target: str, original: str = APPROVED, new: str = DEPRECATED, **annotations: str) -> Update:
        return self.link(STATUS, self._set.id, target, OriginalStatus=original, NewStatus=new, **annotations)

    def submit(self, type: str, source: str, target: str, id: str = "") -> Update:
        """SubmitAssociation and the association that it submits, under `id`."""
        own = id or new_uuid()
        return self.link(type, source, target, own).link(SUBMIT, self._set.id, own)

    def link(self, type: str, source: str, target: str, id: str = "", /, **slots: str) -> Update:
        inner = "".join(slot(name, value) for name, value in slots.items())
        self._parts.append(
            f'<rim:Association id="{id or new_uuid()}" associationType="{type}" sourceObject="{source}" '
            f'targetObject="{target}">{inner}</rim:Association>'
        )
        return self

    def xml(self) -> bytes:
        return (
            f'<lcm:SubmitObjectsRequest xmlns:lcm="urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0" xmlns:rim="{RIM}">'
            f"<rim:RegistryObjectList>{''.join(self._parts)}</rim:RegistryObjectList></lcm:SubmitObjectsRequest>"
        ).encode()


def again(entry: Entry, **changes: object) -> Entry:
    """The same document under a new id."""
    return replace(entry, id=new_uuid(), **changes)  # type: ignore[arg-type]
