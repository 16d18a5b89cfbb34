"""The audit trail of a store as its receiver would see it: AuditMessages, and a plain reading of them."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from lxml import etree

from schemas.validate import XSD_FOLDER
from security.audit_chain import Checked, read_key, verify
from security.audit_forward import told
from security.audit_message import build_audit_message
from security.audit_store import AuditStore, Stored
from server import audit_setup
from server.settings import Settings, load
from storage.database import open_database

SCHEMA = etree.XMLSchema(etree.parse(str(XSD_FOLDER / "audit.xsd")))
KINDS = {1: "done", 2: "begun", 3: "end"}


@dataclass(frozen=True)
class Message:
    """One record: how it stands in the trail, and its message."""

    stored: Stored
    root: etree._Element = field(repr=False)

    @property
    def kind(self) -> str:
        return KINDS[self.stored.kind]

    @property
    def event(self) -> dict[str, str]:
        found = self.root.find("EventIdentification")
        assert found is not None
        return _attributes(found)

    @property
    def id(self) -> tuple[str, str, str]:
        return code(self.root.find("EventIdentification/EventID"))

    @property
    def types(self) -> list[tuple[str, str, str]]:
        return [code(one) for one in self.root.iterfind("EventIdentification/EventTypeCode")]

    @property
    def purposes(self) -> list[tuple[str, str, str]]:
        return [code(one) for one in self.root.iterfind("EventIdentification/PurposeOfUse")]

    @property
    def description(self) -> str:
        return self.root.findtext("EventIdentification/EventOutcomeDescription", "")

    @property
    def participants(self) -> list[tuple[dict[str, str], list[tuple[str, str, str]]]]:
        found = self.root.iterfind("ActiveParticipant")
        return [(_attributes(one), [code(role) for role in one.iterfind("RoleIDCode")]) for one in found]

    @property
    def objects(self) -> list[Thing]:
        return [
            Thing(
                one.get("ParticipantObjectID", ""),
                one.get("ParticipantObjectTypeCode", ""),
                one.get("ParticipantObjectTypeCodeRole", ""),
                code(one.find("ParticipantObjectIDTypeCode")),
                one.get("ParticipantObjectDataLifeCycle", ""),
                _plain(one.findtext("ParticipantObjectQuery", "")),
                {d.get("type", ""): _plain(d.get("value", "")) for d in one.iterfind("ParticipantObjectDetail")},
            )
            for one in self.root.iterfind("ParticipantObjectIdentification")
        ]


@dataclass(frozen=True)
class Thing:
    """A ParticipantObjectIdentification."""

    id: str
    type: str
    role: str
    idType: tuple[str, str, str]
    cycle: str = ""
    query: str = ""
    details: dict[str, str] = field(default_factory=dict)


def _attributes(element: etree._Element) -> dict[str, str]:
    return {str(name): str(value) for name, value in element.attrib.items()}


def _plain(base64_text: str) -> str:
    return base64.b64decode(base64_text).decode()


def code(element: etree._Element | None) -> tuple[str, str, str]:
    assert element is not None
    return element.get("csd-code", ""), element.get("codeSystemName", ""), element.get("originalText", "")


def settings_for(data: Path, database: str = "") -> Settings:
    return load(options={"store.data": str(data), "store.database": database or None}, environ={})


@contextmanager
def opened(data: Path, database: str = "") -> Iterator[tuple[AuditStore, bytes]]:
    settings = settings_for(data, database)
    key = read_key(audit_setup.key_path(settings))
    connected = open_database(settings.database_url())
    try:
        yield AuditStore(connected, key), key
    finally:
        connected.close()


def messages(data: Path, database: str = "", since: int = 0) -> list[Message]:
    """Every record from the one numbered `since` on, in the order of their times; each is valid against the schema."""
    settings = settings_for(data, database)
    found: list[Message] = []
    with opened(data, database) as (store, _):
        for lane in store.lanes():
            for record in store.all(lane):
                root = etree.fromstring(build_audit_message(told(store, record), audit_setup.source_of(settings)))
                SCHEMA.assertValid(root)
                found.append(Message(record, root))
    return sorted(found, key=lambda one: (one.stored.at, one.stored.place))[since:]


def checked(data: Path, database: str = "") -> Checked:
    """What `carnet audit verify` finds."""
    settings = settings_for(data, database)
    with opened(data, database) as (store, key):
        return verify(store, key, audit_setup.anchors_of(settings, key))
