"""The signature that `carnet submit --sign` adds: a document of the set, signed with a card of a test authority's folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from metadata.french import PS_OID, PS_TYPE, STRUCTURE_OID, STRUCTURE_TYPE
from metadata.model import Author
from metadata.signature_entry import FRENCH, IHE, LANGUAGE
from schemas.problems import ParseError
from security.document_signature import FRENCH_FORM, IHE_FORM
from security.document_signature_making import SetToSign, sign_set
from security.pki import Issued, PkiError, TestAuthority, signing_files
from server.commands.options import UsageError
from server.description import Description, document_id, new_oid, utc_time

CHUNK = 1024 * 1024


@dataclass(frozen=True)
class FileContent:
    """A file to be signed: read in pieces, once for both digests."""

    path: Path

    @property
    def size(self) -> int:
        return self.path.stat().st_size

    @property
    def sha1(self) -> str:
        return self._digests[0]

    @property
    def sha256(self) -> str:
        return self._digests[1]

    @cached_property
    def _digests(self) -> tuple[str, str]:
        one, other = hashlib.sha1(usedforsecurity=False), hashlib.sha256()
        for chunk in self.chunks():
            one.update(chunk)
            other.update(chunk)
        return one.hexdigest(), other.hexdigest()

    def chunks(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk


@dataclass(frozen=True, slots=True)
class SetSignature:
    """The signature document, what is said of it, who made it, and where `signs` ends: ids of the submission."""

    description: Description
    content: bytes
    author: Author
    targets: tuple[str, ...]


def signature_over(
    described: Sequence[tuple[Description, Path]], set_id: str, folder: Path, name: str, french: bool
) -> SetSignature:
    """Signs the set `set_id` of these documents with the card `name`. Raises UsageError for a card that cannot sign."""
    form, words = (FRENCH_FORM, FRENCH) if french else (IHE_FORM, IHE)
    try:
        certificate, key = signing_files(folder, name)
        card = next(row for row in reversed(TestAuthority(folder).issued()) if row.name == name)
        documents = {description.uniqueId: FileContent(path) for description, path in described}
        # What the French form digests in canonical form: XML, such as CDA.
        canonical = frozenset(d.uniqueId for d, _ in described if french and d.mimeType == "text/xml")
        content = sign_set(SetToSign(set_id, documents, canonical), certificate.read_bytes(), key.read_bytes(), form)
    except (PkiError, ParseError, ValueError) as error:
        raise UsageError(f"the set cannot be signed: {error}") from None
    except StopIteration:
        raise UsageError(f"the set cannot be signed: {folder} has not issued '{name}'") from None
    first, author = described[0][0], _author(card)
    now = utc_time(datetime.now(UTC))
    description = Description(
        uniqueId=new_oid(),
        patientId=first.patientId,
        sourcePatientId=first.sourcePatientId,
        sourcePatientInfo=first.sourcePatientInfo,
        mimeType="text/xml",
        creationTime=now,
        title=words.title,
        languageCode=LANGUAGE,
        classCode=words.classCode,
        typeCode=words.typeCode,
        formatCode=words.formatCode,
        confidentialityCode=words.confidentialityCode,
        eventCodeList=(words.purpose,),
        healthcareFacilityTypeCode=first.healthcareFacilityTypeCode,
        practiceSettingCode=first.practiceSettingCode,
        serviceStartTime=now,
        author=(author,),
        legalAuthenticator=author.authorPerson[0] if author.authorPerson else None,
    )
    targets = ("SubmissionSet01",) if french else tuple(document_id(n) for n in range(len(described)))
    return SetSignature(description, content, author, targets)


def _author(card: Issued) -> Author:
    """The holder of a card as an author: a person by the national id, a structure by its own."""
    institution = f"{card.organisation}^^^^^&{STRUCTURE_OID}&ISO^{STRUCTURE_TYPE}^^^"
    if card.kind == "person":
        person = f"{card.identifier}^{card.name.upper()}^Test^^^^^^&{PS_OID}&ISO^D^^^{PS_TYPE}"
        return Author((person,), (institution + card.structure,) if card.structure else ())
    return Author((), (institution + card.identifier,))
