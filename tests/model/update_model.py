"""ITI-57 on plain lists: what an update may say, and what it changes (ITI TF-2: 3.57.4.1.3; ITI TF-3: 4.1.5).

It shares no line with `metadata/update.py`, `metadata/rules/` and `registry/`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.model.registry_model import (
    APND,
    DUPLICATE,
    METADATA,
    REPLACING,
    UNRESOLVED,
    Document,
    Held,
    RegistryModel,
    Verdict,
    unassigned,
)
from tests.registry.search_model import APPROVED, DEPRECATED, HAS_MEMBER, ModelAssociation, ModelEntry, ModelFolder, ModelSet

IDENTIFIER = "XDSMetadataIdentifierError"
OPERATION = "XDSMetadataUpdateOperationError"
RECONCILIATION = "XDSPatientIDReconciliationError"
UPDATE = "XDSMetadataUpdateError"
VERSION = "XDSMetadataVersionError"

Versioned = ModelEntry | ModelFolder


@dataclass
class NewVersion:
    """A complete object with the lid of what it follows."""

    object: Document | ModelFolder
    previous: int
    propagates: bool = True


@dataclass
class StatusChange:
    target: str
    original: str
    new: str


@dataclass
class Update:
    """The operations of one message."""

    set: ModelSet
    versions: list[NewVersion] = field(default_factory=list)
    statuses: list[StatusChange] = field(default_factory=list)
    links: list[ModelAssociation] = field(default_factory=list)


class UpdateModel:
    """One update against one state."""

    def __init__(self, model: RegistryModel, update: Update) -> None:
        self.model, self.update = model, update
        self.before = {v.object.uuid: self.newest(v.object.lid) for v in update.versions}
        self.next = {old.uuid: v for v in update.versions if (old := self.before[v.object.uuid]) is not None}

    def newest(self, lid: str) -> Versioned | None:
        same = [one for one in self.model.versioned() if one.lid == lid]
        return max(same, key=lambda one: one.version, default=None)

    def _is_newest(self, one: Versioned) -> bool:
        return self.newest(one.lid) is one

    def links_of(self, uuid: str) -> Iterator[tuple[ModelAssociation, Versioned]]:
        """The Approved associations with a Folder or another document, and what is at their other end."""
        for link in self.model.world.associations:
            if link.status == APPROVED and uuid in (link.source, link.target):
                other = self.model.find(link.target if link.source == uuid else link.source)
                if isinstance(other, ModelEntry | ModelFolder):
                    yield link, other

    def _successor(self, uuid: str) -> str:
        return self.next[uuid].object.uuid if uuid in self.next else uuid

    def _status_after(self, one: Versioned) -> str:
        uuid = self._successor(one.uuid)
        return next((s.new for s in self.update.statuses if self._successor(s.target) == uuid), one.status)

    def _cluster_after(self, one: Versioned) -> int:
        update = self.next.get(one.uuid)
        return self.model.cluster(update.object.patient if update else one.patient)

    # ---------------------------------------------------------------------------------------------------------- judging

    def judge(self) -> Verdict:
        """What the message shows, then what the state shows; a wrong version only where all else is right (3.57.4.1.3)."""
        message, state = set(self._message_faults()), set(self._faults())
        return Verdict(message, state) if message else Verdict(state or set(self._version_faults()))

    def _message_faults(self) -> Iterator[str]:
        if any(v.object.patient != self.update.set.patient for v in self.update.versions):
            yield RECONCILIATION
        unique_ids = [self.update.set.uniqueId, *(v.object.uniqueId for v in self.update.versions)]
        if len(set(unique_ids)) < len(unique_ids):
            yield "XDSRegistryDuplicateUniqueIdInMessage"
        if any(s.original == s.new for s in self.update.statuses):
            yield OPERATION
        if any(link.type in REPLACING for link in self.update.links):
            yield OPERATION

    def _faults(self) -> Iterator[str]:
        if not self.model.world.patients[self.update.set.patient].alive:
            yield "XDSUnknownPatientId"
        if self.model.with_unique_id(self.update.set.uniqueId):
            yield DUPLICATE
        for version in self.update.versions:
            yield from self._identity_faults(version)
        yield from self._propagation_faults()
        for change in self.update.statuses:
            yield from self._status_faults(change)
        for link in self.update.links:
            yield from self._link_faults(link)

    def _version_faults(self) -> Iterator[str]:
        for version in self.update.versions:
            old = self.before[version.object.uuid]
            if old is not None and version.previous != old.version:
                yield VERSION

    def _identity_faults(self, version: NewVersion) -> Iterator[str]:
        old, new = self.before[version.object.uuid], version.object
        if old is None:
            yield UNRESOLVED
            return
        if isinstance(old, ModelFolder) != isinstance(new, ModelFolder):
            yield IDENTIFIER
            return
        if old.uniqueId != new.uniqueId or getattr(old, "type", "") != getattr(new, "type", ""):
            yield IDENTIFIER
        if isinstance(old, ModelFolder) and old.status != APPROVED:
            yield UPDATE
        if version.propagates and self._status_after(old) == APPROVED:
            for _, other in self.links_of(old.uuid):
                approved = self._is_newest(other) and self._status_after(other) == APPROVED
                if approved and self._cluster_after(other) != self._cluster_after(old):
                    yield RECONCILIATION

    def _propagation_faults(self) -> Iterator[str]:
        for uuid, version in self.next.items():
            for _, other in self.links_of(uuid):
                if other.uuid in self.next and self.next[other.uuid].propagates != version.propagates:
                    yield UPDATE

    def _status_faults(self, change: StatusChange) -> Iterator[str]:
        new = self.before.get(change.target)
        found: Held | None = new or self.model.find(change.target)
        if found is None:
            yield UNRESOLVED
            return
        source = self.model.find(found.source) if isinstance(found, ModelAssociation) else None
        if isinstance(found, ModelSet) or isinstance(source, ModelSet):
            yield OPERATION
        if isinstance(found, ModelEntry | ModelFolder) and not self._is_newest(found):
            yield UPDATE
        if change.original != found.status:
            yield UPDATE
        if change.new == APPROVED and new is None:
            yield from self._approval_faults(found)

    def _approval_faults(self, found: Held) -> Iterator[str]:
        """What comes back has the patient of what it is joined to."""
        pairs: list[tuple[Held | None, Held | None]] = []
        if isinstance(found, ModelAssociation):
            ends = self.model.find(found.source), self.model.find(found.target)
            both = [e for e in ends if isinstance(e, ModelEntry | ModelFolder) and self._status_after(e) == APPROVED]
            pairs = [ends] if len(both) == 2 else []
        elif isinstance(found, ModelEntry | ModelFolder):
            pairs = [(found, other) for _, other in self.links_of(found.uuid) if self._status_after(other) == APPROVED]
        for one, other in pairs:
            assert isinstance(one, ModelEntry | ModelFolder) and isinstance(other, ModelEntry | ModelFolder)
            if self._cluster_after(one) != self._cluster_after(other):
                yield RECONCILIATION

    def _link_faults(self, link: ModelAssociation) -> Iterator[str]:
        ends = [(link.source, ModelFolder if link.type == HAS_MEMBER else ModelEntry), (link.target, ModelEntry)]
        found = [self.model.find(uuid) for uuid, _ in ends]
        for (_, kind), one in zip(ends, found, strict=True):
            if one is None:
                yield UNRESOLVED
                continue
            if not isinstance(one, kind):
                yield UPDATE
            if isinstance(one, ModelEntry) and one.status != APPROVED:
                yield "XDSRegistryDeprecatedDocumentError"
            if isinstance(one, ModelFolder) and one.status != APPROVED:
                yield UPDATE
        if link.type == APND and self.model.is_transformation(link.target):
            yield METADATA
        source, target = found
        versioned = isinstance(source, ModelEntry | ModelFolder) and isinstance(target, ModelEntry | ModelFolder)
        if versioned and self._cluster_after(source) != self._cluster_after(target):  # type: ignore[arg-type]  # narrowed above
            yield RECONCILIATION

    # --------------------------------------------------------------------------------------------------------- applying

    def apply(self) -> None:
        """All new versions first, then what they inherit, so that two of them end up linked new to new."""
        world, update = self.model.world, self.update
        inherited = list(self._inherited())
        after = {v.object.uuid: self._status_after(old) for old in self.before.values() if old for v in [self.next[old.uuid]]}
        world.sets.append(update.set)
        for version in update.versions:
            self._install(version, after[version.object.uuid])
        for change in update.statuses:
            target = self.model.find(self._successor(change.target))
            assert target is not None
            target.status = change.new
        for link in (*inherited, *update.links):
            world.associations.append(link)
            if link.type == HAS_MEMBER:
                world.associations.append(ModelAssociation(unassigned(), HAS_MEMBER, update.set.uuid, link.uuid))
                self.model.touched.add(link.source)

    def _install(self, version: NewVersion, status: str) -> None:
        new, old = version.object, self.before[version.object.uuid]
        assert old is not None
        new.version, new.status, old.status = old.version + 1, status, DEPRECATED
        label = "" if isinstance(new, ModelFolder) else "Original"
        trigger = ModelAssociation(unassigned(), HAS_MEMBER, self.update.set.uuid, new.uuid, label=label)
        self.model.world.associations.append(trigger)
        if isinstance(new, ModelFolder):
            self.model.world.folders.append(new)
            self.model.touched.add(new.uuid)
        else:
            self.model.world.entries.append(new)

    def _inherited(self) -> Iterator[ModelAssociation]:
        """Association Propagation. A superseded version at the other end passes nothing on: its successor has the association.
        Nothing joins two patients: where an update may, since an end is Deprecated, the association stays behind (our choice)."""
        done: set[str] = set()
        for uuid, version in self.next.items():
            for link, other in self.links_of(uuid) if version.propagates else ():
                is_kept = link.type != HAS_MEMBER or self._status_after(other) == APPROVED
                is_theirs = self._cluster_after(other) == self.model.cluster(version.object.patient)
                if link.uuid not in done and self._is_newest(other) and is_kept and is_theirs:
                    done.add(link.uuid)
                    ends = self._successor(link.source), self._successor(link.target)
                    yield ModelAssociation(unassigned(), link.type, *ends)
