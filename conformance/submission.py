"""Submissions as text, made from a short notation, typed from ITI TF-3: 4.2 and ITI TF-2: 3.57.4.1.2.

The notation is a list of words; each brings an object, under a name that the case uses afterwards:

    entry entry2        DocumentEntries (any name that starts so)         demand   an On-Demand DocumentEntry
    signature           a signature over the set and the entries before it (with a card only)
    folder              a Folder                                          set2     names the SubmissionSet (else: set)
    folder>entry        the Folder holds the entry                        set~entry   the SubmissionSet refers to an older entry
    entry2-RPLC>entry   a relationship (RPLC APND XFRM XFRM_RPLC signs IsSnapshotOf)
    entry2^entry        a DocumentEntry for the same document as another
    entry2=entry        a later version of a registered entry or Folder (ITI-57, ITI-92)
    entry:Approved>Deprecated   UpdateAvailabilityStatus               +folder>entry   SubmitAssociation with its association

The SubmissionSet has HasMember to all that it must hold; these are named `set>entry`, `set>folder`, `set>(folder>entry)`.
Every object has a UUID, so that later steps can speak of it.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from html import escape

from conformance.set_signature import SetSigner
from conformance.values import IHE, Style
from metadata import schemes
from schemas.namespaces import LCM, RIM

HAS_MEMBER = "urn:oasis:names:tc:ebxml-regrep:AssociationType:HasMember"
STATUS = "urn:oasis:names:tc:ebxml-regrep:StatusType:"
IHE_2007, IHE_2010 = "urn:ihe:iti:2007:AssociationType:", "urn:ihe:iti:2010:AssociationType:"
_LINK = re.compile(r"(?P<plus>\+?)(?P<source>[\w.]+)(?:-(?P<type>\w+))?>(?P<target>[\w.]+)")
_STATUS_CHANGE = re.compile(r"(?P<target>.+?):(?P<old>[A-Z]\w+)>(?P<new>[A-Z]\w+)")
_FRENCH_STATUS = {"Archived", "Deleted"}


@dataclass(slots=True)
class Thing:
    """An object of a case: what later steps and the checks ask of it."""

    name: str
    kind: str
    id: str
    uid: str = ""
    patient: str = ""
    content: bytes = b""
    lid: str = ""
    mime_type: str = "text/plain"

    @property
    def hash(self) -> str:
        return hashlib.sha1(self.content, usedforsecurity=False).hexdigest()

    @property
    def size(self) -> str:
        return str(len(self.content))


@dataclass(slots=True)
class Made:
    """A submission: its text, the objects that it brings by name, and the documents of its entries by id."""

    xml: str
    things: dict[str, Thing]
    transaction: str

    @property
    def documents(self) -> dict[str, Thing]:
        """DocumentEntry id to the entry whose document goes with it (ITI-41)."""
        return {thing.id: thing for thing in self.things.values() if thing.kind == "entry"}


@dataclass(slots=True)
class Maker:
    """Makes the submissions of one case. `scope` holds what earlier steps brought; `oid` gives an OID never used before.

    `signer` signs sets; without it none can be signed.
    """

    patient: str
    repository: str
    oids: Iterator[str]
    scope: Mapping[str, Thing]
    style: Style = IHE
    signer: SetSigner | None = None
    _things: dict[str, Thing] = field(default_factory=dict)
    _parts: list[str] = field(default_factory=list)
    _ids: int = 0

    def make(self, notation: str, transaction: str) -> Made:
        """Raises KeyError for a name that neither this submission nor an earlier step has brought."""
        self._things, self._parts = {}, []
        words = notation.split()
        top = next((w for w in words if re.fullmatch(r"set\d*", w)), "set")
        self._things[top] = Thing(top, "set", _uuid(), next(self.oids), self.patient)
        signed = any(word.startswith("signature") for word in words)
        self._parts.append(self._set(self._things[top], self._style_of_signed_set() if signed else self.style))
        for word in words:
            if word != top:
                self._word(word, top, transaction)
        objects = f"<rim:RegistryObjectList>{''.join(self._parts)}</rim:RegistryObjectList>"
        xml = f'<lcm:SubmitObjectsRequest xmlns:lcm="{LCM}" xmlns:rim="{RIM}">{objects}</lcm:SubmitObjectsRequest>'
        return Made(xml, self._things, transaction)

    # ---------------------------------------------------------------------------------------------------------- words

    def _word(self, word: str, top: str, transaction: str) -> None:
        if change := _STATUS_CHANGE.fullmatch(word):
            self._change_status(word, change, top)
        elif word.startswith("set") and "~" in word:
            self._link(f"{top}~{word.partition('~')[2]}", top, word.partition("~")[2], SubmissionSetStatus="Reference")
        elif link := _LINK.fullmatch(word):
            self._relate(word, link, top)
        elif "=" in word:
            self._version(word, top, transaction)
        else:
            name, _, same = word.partition("^")
            kind = re.match(r"entry|demand|folder|signature", name)
            if kind is None:
                raise KeyError(f"{word}: no word of the notation")
            self._new(name, kind[0], same, top, transaction)

    def _new(self, name: str, kind: str, same: str, top: str, transaction: str) -> None:
        thing = Thing(name, kind, _uuid(), next(self.oids), self.patient)
        if kind == "entry":
            thing.mime_type, thing.content = self.style.mime_type, self.style.document(thing.uid, self.patient)
        style = self.style
        if kind == "signature":
            style = self._sign(thing, top)
        if same:
            thing.uid, thing.content = self._known(same).uid, self._known(same).content
        thing.lid = thing.id
        self._things[name] = thing
        self._parts.append(self._folder(thing) if kind == "folder" else self._entry(thing, transaction, style))
        status = {} if kind == "folder" else {"SubmissionSetStatus": "Original"}
        self._link(f"{top}>{name}", top, name, **status)

    def _style_of_signed_set(self) -> Style:
        """The signer is its author, and SigningTime lies near submissionTime, as the French signed set wants both."""
        author = self.signer.author if self.signer is not None else {}
        return replace(
            self.style, submitted=f"{datetime.now(UTC):%Y%m%d%H%M%S}", author={**self.style.author, **author}
        )

    def _sign(self, thing: Thing, top: str) -> Style:
        """Makes of `thing` the signature over the set as it is so far; what its entry says."""
        if self.signer is None:
            raise KeyError("signature: sets are signed with a card only")
        documents = {one.uid: (one.mime_type, one.content) for one in self._things.values() if one.kind == "entry"}
        thing.kind, style = "entry", self.signer.style(self.style)
        thing.mime_type, thing.content = style.mime_type, self.signer.sign(self._things[top].uid, documents)
        return style

    def _version(self, word: str, top: str, transaction: str) -> None:
        name, _, old = word.partition("=")
        before = self._known(old)
        thing = Thing(name, before.kind, _uuid(), before.uid, self.patient, before.content, before.lid, before.mime_type)
        self._things[name] = thing
        xml = self._folder(thing) if thing.kind == "folder" else self._entry(thing, transaction, self.style)
        self._parts.append(xml.replace(f' id="{thing.id}"', f' lid="{thing.lid}" id="{thing.id}"', 1))
        status = {} if thing.kind == "folder" else {"SubmissionSetStatus": "Original"}
        self._link(f"{top}>{name}", top, name, **status, PreviousVersion="1")

    def _change_status(self, word: str, change: re.Match[str], top: str) -> None:
        statuses = {"OriginalStatus": _status(change["old"]), "NewStatus": _status(change["new"])}
        self._association(word, IHE_2010 + "UpdateAvailabilityStatus", top, change["target"], statuses)

    def _relate(self, word: str, link: re.Match[str], top: str) -> None:
        name, kind = word.removeprefix("+"), link["type"] or ""
        family = IHE_2010 if kind == "IsSnapshotOf" else IHE_2007
        self._association(name, family + kind if kind else HAS_MEMBER, link["source"], link["target"], {})
        if link["plus"]:
            self._association(f"{top}+({name})", IHE_2010 + "SubmitAssociation", top, name, {})
        elif not kind:
            self._link(f"{top}>({name})", top, name)

    def _link(self, name: str, source: str, target: str, **slots: str) -> None:
        self._association(name, HAS_MEMBER, source, target, slots)

    def _association(self, name: str, kind: str, source: str, target: str, slots: Mapping[str, str]) -> None:
        thing = self._things[name] = Thing(name, "association", _uuid(), patient=self.patient)
        ends = self._known(source).id, self._known(target).id
        inner = "".join(_slot(slot, value) for slot, value in slots.items())
        self._parts.append(
            f'<rim:Association id="{thing.id}" associationType="{kind}" sourceObject="{ends[0]}" targetObject="{ends[1]}">{inner}'
            "</rim:Association>"
        )

    def _known(self, name: str) -> Thing:
        if name in self._things:
            return self._things[name]
        return self.scope[name]

    # -------------------------------------------------------------------------------------------------------- objects

    def _entry(self, thing: Thing, transaction: str, style: Style) -> str:
        demand = thing.kind == "demand"
        slots = style.entry_slots(self.patient, demand)
        if transaction != "ITI-41":
            slots["repositoryUniqueId"] = [self.repository]
            if not demand:
                slots |= {"hash": [thing.hash], "size": [thing.size]}
        codes = "".join(self._code(thing.id, CODES[name], code) for name, found in style.entry_codes.items() for code in found)
        kind = schemes.ON_DEMAND if demand else schemes.STABLE
        return (
            f'<rim:ExtrinsicObject id="{thing.id}" objectType="{kind}" mimeType="{thing.mime_type}">'
            f"{''.join(_slot(name, *values) for name, values in slots.items())}{_text('Name', style.title)}"
            f"{self._author(thing.id, schemes.DE_AUTHOR, style)}{codes}"
            f"{self._identifier(thing.id, schemes.DE_PATIENT_ID, self.patient, 'XDSDocumentEntry.patientId')}"
            f"{self._identifier(thing.id, schemes.DE_UNIQUE_ID, thing.uid, 'XDSDocumentEntry.uniqueId')}</rim:ExtrinsicObject>"
        )

    def _set(self, thing: Thing, style: Style) -> str:
        return (
            f'<rim:RegistryPackage id="{thing.id}">{_slot("submissionTime", style.submitted)}{_text("Name", style.set_title)}'
            f"{self._author(thing.id, schemes.SS_AUTHOR, style)}"
            f"{self._code(thing.id, schemes.SS_CONTENT_TYPE_CODE, style.content_type)}"
            f"{self._marker(thing.id, schemes.SUBMISSION_SET_NODE)}"
            f"{self._identifier(thing.id, schemes.SS_PATIENT_ID, self.patient, 'XDSSubmissionSet.patientId')}"
            f"{self._identifier(thing.id, schemes.SS_UNIQUE_ID, thing.uid, 'XDSSubmissionSet.uniqueId')}"
            f"{self._identifier(thing.id, schemes.SS_SOURCE_ID, style.source, 'XDSSubmissionSet.sourceId')}</rim:RegistryPackage>"
        )

    def _folder(self, thing: Thing) -> str:
        return (
            f'<rim:RegistryPackage id="{thing.id}">{_text("Name", "Episode")}'
            f"{self._code(thing.id, schemes.FOLDER_CODE_LIST, self.style.folder_code)}"
            f"{self._marker(thing.id, schemes.FOLDER_NODE)}"
            f"{self._identifier(thing.id, schemes.FOLDER_PATIENT_ID, self.patient, 'XDSFolder.patientId')}"
            f"{self._identifier(thing.id, schemes.FOLDER_UNIQUE_ID, thing.uid, 'XDSFolder.uniqueId')}</rim:RegistryPackage>"
        )

    def _code(self, parent: str, scheme: str, code: str) -> str:
        return code_xml(f"c{self._next()}", parent, scheme, code)

    def _author(self, parent: str, scheme: str, style: Style) -> str:
        slots = "".join(_slot(name, value) for name, value in style.author.items())
        return (
            f'<rim:Classification id="c{self._next()}" classificationScheme="{scheme}" classifiedObject="{parent}" '
            f'nodeRepresentation="">{slots}</rim:Classification>'
        )

    def _marker(self, parent: str, node: str) -> str:
        return f'<rim:Classification id="c{self._next()}" classifiedObject="{parent}" classificationNode="{node}"/>'

    def _identifier(self, parent: str, scheme: str, value: str, name: str) -> str:
        return identifier_xml(f"e{self._next()}", parent, scheme, value, name)

    def _next(self) -> int:
        self._ids += 1
        return self._ids


#: Attribute to classificationScheme (ITI TF-3: 4.2.5).
CODES = {
    "classCode": schemes.DE_CLASS_CODE,
    "typeCode": schemes.DE_TYPE_CODE,
    "formatCode": schemes.DE_FORMAT_CODE,
    "healthcareFacilityTypeCode": schemes.DE_HEALTHCARE_FACILITY_TYPE_CODE,
    "practiceSettingCode": schemes.DE_PRACTICE_SETTING_CODE,
    "confidentialityCode": schemes.DE_CONFIDENTIALITY_CODE,
    "eventCodeList": schemes.DE_EVENT_CODE,
    "contentTypeCode": schemes.SS_CONTENT_TYPE_CODE,
    "codeList": schemes.FOLDER_CODE_LIST,
    "documentation": schemes.ASSOCIATION_DOCUMENTATION,
}


def code_xml(id: str, parent: str, scheme: str, code: str) -> str:
    """A coded value as a Classification; `code` is code^display^codingScheme."""
    word, display, system = [*code.split("^"), "", ""][:3]
    inner = _slot("codingScheme", system) + _text("Name", display or word)
    return (
        f'<rim:Classification id="{id}" classificationScheme="{scheme}" classifiedObject="{escape(parent)}" '
        f'nodeRepresentation="{escape(word)}">{inner}</rim:Classification>'
    )


def identifier_xml(id: str, parent: str, scheme: str, value: str, name: str) -> str:
    """An ExternalIdentifier."""
    return (
        f'<rim:ExternalIdentifier id="{id}" registryObject="{escape(parent)}" identificationScheme="{scheme}" '
        f'value="{escape(value)}">{_text("Name", name)}</rim:ExternalIdentifier>'
    )


def _slot(name: str, *values: str) -> str:
    inner = "".join(f"<rim:Value>{escape(value)}</rim:Value>" for value in values)
    return f'<rim:Slot name="{escape(name)}"><rim:ValueList>{inner}</rim:ValueList></rim:Slot>'


def _text(element: str, value: str) -> str:
    return f'<rim:{element}><rim:LocalizedString value="{escape(value)}"/></rim:{element}>' if value else ""


def _status(word: str) -> str:
    return f"urn:asip:ci-sis:2010:StatusType:{word}" if word in _FRENCH_STATUS else STATUS + word


def _uuid() -> str:
    return f"urn:uuid:{uuid.uuid4()}"
