"""A signed set to be damaged: real certificates, real signatures, one submission of two documents."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from lxml import etree

from schemas.namespaces import DS, q
from security.document_signature import (
    DIGESTS,
    FRENCH_FORM,
    IHE_FORM,
    SignatureForm,
    SignedSet,
    Verdict,
    canonical_part,
    verify_signed_set,
)
from security.document_signature_block import C14N
from security.document_signature_making import SetToSign, sign_octets, sign_set
from security.pki import TestAuthority, signing_files
from security.trust import TrustStore

SET, FIRST, SECOND, SIGNATURE = "2.25.100", "2.25.101", "2.25.102", "2.25.109"
CDA = b'<?xml version="1.0"?>\n<?xml-stylesheet href="cda.xsl"?>\n<ClinicalDocument xmlns="urn:hl7-org:v3" b="2"\n a="1"/>'
PDF = b"%PDF-1.4 not really\r\n\x00\xff"
FORMS = {"ihe": IHE_FORM, "dmp-fr": FRENCH_FORM}


@dataclass(frozen=True)
class Octets:
    """Bytes as a received document."""

    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)

    @cached_property
    def sha1(self) -> str:
        return hashlib.sha1(self.data, usedforsecurity=False).hexdigest()

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    def chunks(self) -> Iterator[bytes]:
        yield self.data[: len(self.data) // 2]
        yield self.data[len(self.data) // 2 :]


class Unread(Octets):
    """A document whose octets nobody may ask for."""

    def chunks(self) -> Iterator[bytes]:
        raise AssertionError("the octets were read")


class Stored(dict[str, Octets]):
    """What is stored and may be known; it keeps what it was asked."""

    def __init__(self, documents: Mapping[str, Octets]) -> None:
        super().__init__(documents)
        self.asked: list[str] = []

    def __call__(self, unique_ids: Sequence[str]) -> dict[str, Octets]:
        self.asked += unique_ids
        return {id: self[id] for id in unique_ids if id in self}


DOCUMENTS = {FIRST: Octets(CDA), SECOND: Octets(PDF)}


@dataclass
class Cards:
    """An authority in a folder with a doctor, a colleague, a hospital, an expired and a revoked card."""

    folder: Path
    authority: TestAuthority = field(init=False)

    def __post_init__(self) -> None:
        self.authority = TestAuthority.create(self.folder)
        for name in ("doctor", "colleague", "revoked"):
            self.authority.issue("person", name, key_type="ec" if name == "colleague" else "rsa")
        self.authority.issue("structure", "hospital")
        self.authority.revoke("revoked")

    def pem(self, name: str) -> tuple[bytes, bytes]:
        certificate, key = signing_files(self.folder, name)
        return certificate.read_bytes(), key.read_bytes()

    def certificate(self, name: str) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.pem(name)[0])

    def identifier(self, name: str) -> str:
        return next(row.identifier for row in self.authority.issued() if row.name == name)

    @cached_property
    def trust(self) -> TrustStore:
        trust = TrustStore()
        crl = x509.load_pem_x509_crl((self.folder / "ca.crl").read_bytes())
        trust.replace([self.authority.certificate], [crl])
        return trust

    def sign(self, name: str = "doctor", form: SignatureForm = IHE_FORM, time: datetime | None = None, **changes: Any) -> bytes:
        """A signature over the set; `changes` are fields of `SetToSign`."""
        whole = SetToSign(SET, DOCUMENTS, frozenset({FIRST}) if form.signs_set else frozenset())
        return sign_set(replace(whole, **changes), *self.pem(name), form, time)

    def expected(self, form: SignatureForm = IHE_FORM, **changes: Any) -> SignedSet:
        """The submission as received; `changes` are fields of `SignedSet`."""
        french = form.signs_set
        signed = SignedSet(
            SET,
            datetime.now(UTC),
            DOCUMENTS,
            signs_set=french,
            targets=frozenset() if french else frozenset(DOCUMENTS),
            people=frozenset({self.identifier(name) for name in ("doctor", "colleague", "revoked")}),
            structures=frozenset({self.identifier("hospital")}),
        )
        return replace(signed, **changes)

    def verdict(self, content: bytes, form: SignatureForm = IHE_FORM, trust: TrustStore | None = None, **changes: Any) -> Verdict:
        return verify_signed_set(content, self.expected(form, **changes), form, trust or self.trust)

    def broken(
        self, content: bytes, form: SignatureForm = IHE_FORM, trust: TrustStore | None = None, **changes: Any
    ) -> list[str]:
        """The rules that the signature breaks."""
        return [denied.rule for denied in self.verdict(content, form, trust, **changes).findings]


def resigned(cards: Cards, content: bytes, name: str = "doctor") -> bytes:
    """`content` with right inner digests and value again, after it was changed: only the change itself is wrong then."""
    root = etree.fromstring(content)
    info = root.find(q(DS, "SignedInfo"))
    assert info is not None
    ids = {e.get("Id"): e for e in root.iter(etree.Element) if e.get("Id")}
    for reference in info.iterfind(q(DS, "Reference")):
        part = ids.get((reference.get("URI") or "#")[1:])
        method = reference.find(q(DS, "DigestMethod"))
        value = reference.find(q(DS, "DigestValue"))
        if part is not None and method is not None and value is not None:
            name_of = DIGESTS.get(method.get("Algorithm") or "", "sha256")
            value.text = base64.b64encode(hashlib.new(name_of, canonical_part(part, C14N)).digest()).decode()
    key = serialization.load_pem_private_key(cards.pem(name)[1], None)
    method = info.find(q(DS, "SignatureMethod"))
    c14n = info.find(q(DS, "CanonicalizationMethod"))
    value = root.find(q(DS, "SignatureValue"))
    assert method is not None and c14n is not None and value is not None
    octets = canonical_part(info, c14n.get("Algorithm") or "")
    value.text = base64.b64encode(sign_octets(key, method.get("Algorithm") or "", octets)).decode()
    return etree.tostring(root)
