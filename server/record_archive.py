"""The archive of a record: written by `carnet patient export`, read by `carnet patient import`. Format: docs/record-archive.md.

A zip of `record.json`, `documents/SHA256` for every content, and `manifest.json` with the SHA-256 of each of them. Nothing is
written into a store before every hash has been compared; then documents are made durable, and one transaction writes the rest.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from registry.codes import CodeBook
from registry.record import Event, expect, of, refusal, tell
from registry.record_rows import read_rows, write_rows
from registry.tables import PatientState
from repository.delivery import Delivery
from repository.index import Deposit, StoredDocument
from repository.tables import DocumentState
from server.audit_traces import exported
from server.version import version
from server.wiring import Kit
from soap.staging import Part, PartWriter
from storage.database import Connection
from storage.errors import UniqueViolation

FORMAT = "carnet-record-archive"
FORMAT_VERSION = 1
_CHUNK = 1024 * 1024


class ArchiveError(Exception):
    """The archive cannot be read, or is not what its manifest says; the text names the part."""


@dataclass(frozen=True, slots=True)
class Done:
    """What went through: counts, and the archive's SHA-256 in hex."""

    identifiers: int
    objects: int
    documents: int
    sha256: str

    def __str__(self) -> str:
        return f"{self.identifiers} identifiers  {self.objects} objects  {self.documents} documents  sha256 {self.sha256}"


# ------------------------------------------------------------------------------------------------------------------ export


def export_record(kit: Kit, cx: str, path: Path) -> Done:
    """Write the whole record of the patient to a new file. Raises Refused and OSError; a file half written is removed.

    A closed record can be exported: that is how it leaves. The export is told as an event, in the archive and here.
    """

    def told(connection: Connection) -> None:
        one = of(connection, cx)
        if one.cluster_state is PatientState.DESTROYED:
            expect(connection, cx, PatientState.ACTIVE)
        tell(connection, one, Event.EXPORTED, to=path.name)

    kit.database.write(told)
    with kit.database.snapshot() as connection:
        record = read_rows(connection, CodeBook(), of(connection, cx, lock=False))
    unique_ids = [o["unique_id"] for o in record["objects"] if o["object"] == "document_entry" and o.get("unique_id")]
    stored = [d for d in kit.index.find(unique_ids).values() if d.state is DocumentState.REGISTERED]
    record["documents"] = [_document(d) for d in stored]
    record["traces"] = exported(kit.settings, kit.database, [item["cx"] for item in record["identifiers"]])
    try:
        with open(path, "xb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            _write(kit, archive, record, stored)
    except BaseException as error:
        if not isinstance(error, FileExistsError):
            path.unlink(missing_ok=True)
        raise
    return Done(len(record["identifiers"]), len(record["objects"]), len(stored), _digest(path))


def _write(kit: Kit, archive: zipfile.ZipFile, record: dict[str, Any], stored: list[StoredDocument]) -> None:
    hashes: dict[str, str] = {}
    content = json.dumps(record, indent=1, ensure_ascii=False).encode()
    archive.writestr("record.json", content)
    hashes["record.json"] = hashlib.sha256(content).hexdigest()
    contents = {d.sha256: d for d in stored}
    delivery = Delivery(kit.store, kit.index, list(contents.values()), 0)
    for sha256, document in contents.items():
        name = f"documents/{sha256.hex()}"
        with archive.open(name, "w", force_zip64=True) as member:
            for chunk in delivery.chunks(document):
                member.write(chunk)
        hashes[name] = sha256.hex()
    manifest = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "program": f"carnet {version()}",
        "repositoryUniqueId": kit.repository_unique_id,
        "sha256": hashes,
    }
    archive.writestr("manifest.json", json.dumps(manifest, indent=1))


def _document(d: StoredDocument) -> dict[str, Any]:
    return {
        "uniqueId": d.uniqueId, "sha256": d.sha256.hex(), "sha1": d.sha1.hex(), "size": d.size, "mimeType": d.mimeType,
        "patientId": d.patientId, "storedAt": d.stored_at,
    }  # fmt: skip


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# ------------------------------------------------------------------------------------------------------------------ import


def import_record(kit: Kit, path: Path) -> Done:
    """Bring a record into this store. Raises ArchiveError, Refused and OSError; nothing of it can be found then.

    The objects keep everything, their repositoryUniqueId included: documents are retrieved under the name that the archive's
    server had, so this one has to have it (`role.repository_unique_id`).
    """
    with ExitStack() as ending:
        try:
            archive = ending.enter_context(zipfile.ZipFile(path))
            manifest, record = _read(archive)
        except (zipfile.BadZipFile, KeyError, ValueError, TypeError, EOFError) as error:
            raise ArchiveError(f"{path.name} is no archive of a record: {error}") from None
        documents = [_stored(item) for item in record["documents"]]
        conflicts = kit.index.conflicts(documents)
        if conflicts:
            raise refusal("REC-008", conflicts[0].message, "A document cannot have two contents.", conflicts[0].object)
        parts = [ending.enter_context(_removed(part)) for part in _contents(kit, archive, manifest)]
        blobs = {bytes.fromhex(p.sha256): p.bytes() or b"" for p in parts if p.path() is None}
        kit.store.admit(sum(map(len, blobs.values())))
        # As a submission does: no removal may take a file between its arrival and the row that speaks of it.
        with kit.store.lock(exclusive=False):
            for part in parts:
                if part.path() is not None:
                    kit.store.keep(part)
            _register(kit, record, Deposit(documents, blobs), path.name)
    return Done(len(record["identifiers"]), len(record["objects"]), len(documents), _digest(path))


def _register(kit: Kit, record: dict[str, Any], deposit: Deposit, name: str) -> None:
    codes = CodeBook()
    cx = next(item["cx"] for item in record["identifiers"] if item.get("stands"))

    def work(connection: Connection) -> None:
        write_rows(connection, codes, record)
        deposit.store(connection)
        tell(connection, of(connection, cx), Event.IMPORTED, of=name)

    try:
        kit.database.write(work)
    except UniqueViolation as violation:
        what = "an object of the record, or its uniqueId, is registered here already"
        raise refusal("REC-008", what, "Import into a server that does not have it.", violation.table) from violation


def _read(archive: zipfile.ZipFile) -> tuple[dict[str, Any], dict[str, Any]]:
    manifest = json.loads(archive.read("manifest.json"))
    if manifest["format"] != FORMAT or manifest["version"] != FORMAT_VERSION:
        raise ArchiveError(f"format {manifest['format']} {manifest['version']}: {FORMAT} {FORMAT_VERSION} is read here")
    names = {*archive.namelist()} - {"manifest.json"}
    if names != {*manifest["sha256"]}:
        raise ArchiveError(f"the manifest does not list what is there: {', '.join(sorted(names ^ {*manifest['sha256']})[:3])}")
    content = archive.read("record.json")
    if hashlib.sha256(content).hexdigest() != manifest["sha256"]["record.json"]:
        raise ArchiveError("record.json does not agree with its hash in the manifest")
    record: dict[str, Any] = json.loads(content)
    missing = {f"documents/{d['sha256']}" for d in record["documents"]} - names
    if missing:
        raise ArchiveError(f"{min(missing)} is missing")
    return manifest, record


def _contents(kit: Kit, archive: zipfile.ZipFile, manifest: dict[str, Any]) -> Iterator[Part]:
    """The contents, hashed while they are staged as a submission's are."""
    for name, digest in manifest["sha256"].items():
        if name == "record.json":
            continue
        writer = PartWriter(kit.store.staging, kit.store.options.inline_limit, name, "application/octet-stream")
        with archive.open(name) as member:
            while chunk := member.read(_CHUNK):
                writer.write(chunk)
        part = writer.finish()
        if part.sha256 != digest or name != f"documents/{digest}":
            part.remove()
            raise ArchiveError(f"{name} does not agree with its hash in the manifest")
        yield part


class _removed:
    """A staged part whose file goes at the end, unless the store has taken it."""

    def __init__(self, part: Part) -> None:
        self._part = part

    def __enter__(self) -> Part:
        return self._part

    def __exit__(self, *_: object) -> None:
        self._part.remove()


def _stored(item: dict[str, Any]) -> StoredDocument:
    return StoredDocument(
        item["uniqueId"], bytes.fromhex(item["sha256"]), bytes.fromhex(item["sha1"]), item["size"], item["mimeType"],
        item["patientId"], DocumentState.REGISTERED, item["storedAt"],
    )  # fmt: skip
