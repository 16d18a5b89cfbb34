"""Signed submission sets: the signature that a source adds to a set as one more document (ITI TF-3: 5.5; the French signed set).

What a case makes wrong is the set (a document changed, one more, another SubmissionSet), or the signature as a document.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from conformance.values import Style
from metadata.french import PS_OID, PS_TYPE, STRUCTURE_OID, STRUCTURE_TYPE
from metadata.model import Code
from metadata.signature_entry import FRENCH, IHE, LANGUAGE
from security.document_signature import FRENCH_FORM, IHE_FORM
from security.document_signature_making import SetToSign, resign, sign_set
from security.pki import Issued, PkiError, TestAuthority, signing_files

MIME_TYPE = "text/xml"


@dataclass(frozen=True, slots=True)
class _Octets:
    """A document to be signed."""

    content: bytes

    @property
    def size(self) -> int:
        return len(self.content)

    @property
    def sha1(self) -> str:
        return hashlib.sha1(self.content, usedforsecurity=False).hexdigest()

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    def chunks(self) -> Iterator[bytes]:
        yield self.content


@dataclass(slots=True)
class SetSigner:
    """Signs sets as `name` of a test authority's `folder`, in the form of IHE or in the French one. Raises PkiError."""

    folder: Path
    name: str
    french: bool = False
    _card: Issued = field(init=False)
    _files: tuple[bytes, bytes] = field(init=False)

    def __post_init__(self) -> None:
        certificate, key = signing_files(self.folder, self.name)
        self._files = certificate.read_bytes(), key.read_bytes()
        found = [row for row in TestAuthority(self.folder).issued() if row.name == self.name]
        if not found:
            raise PkiError(f"{self.folder} has not issued '{self.name}'")
        self._card = found[-1]

    def sign(self, set_id: str, documents: Mapping[str, tuple[str, bytes]]) -> bytes:
        """The signature over the set and its documents: uniqueId to media type and octets."""
        contents = {id: _Octets(content) for id, (_, content) in documents.items()}
        canonical = frozenset(id for id, (kind, _) in documents.items() if self.french and kind == MIME_TYPE)
        return sign_set(SetToSign(set_id, contents, canonical), *self._files, FRENCH_FORM if self.french else IHE_FORM)

    def resigned(self, octets: bytes, pattern: str, text: str) -> bytes:
        """The signature with the first match of `pattern` made `text`, and signed again: nothing is wrong but that.

        Raises ValueError where the pattern does not occur.
        """
        changed, count = re.subn(pattern.encode(), text.encode(), octets, count=1, flags=re.DOTALL)
        if not count:
            raise ValueError(f"{pattern} does not occur in the signature")
        return resign(changed, self._files[1])

    @property
    def author(self) -> dict[str, str]:
        """The holder of the card as an author: a person by the national id, a structure by its own."""
        card = self._card
        institution = f"{card.organisation}^^^^^&{STRUCTURE_OID}&ISO^{STRUCTURE_TYPE}^^^"
        if card.kind != "person":
            return {"authorInstitution": institution + card.identifier}
        person = f"{card.identifier}^{card.name.upper()}^Test^^^^^^&{PS_OID}&ISO^D^^^{PS_TYPE}"
        return {"authorPerson": person, **({"authorInstitution": institution + card.structure} if card.structure else {})}

    def style(self, style: Style) -> Style:
        """What the entry of the signature says, in a domain of this style."""
        words = FRENCH if self.french else IHE
        codes = {
            "classCode": [_coded(words.classCode)],
            "typeCode": [_coded(words.typeCode)],
            "formatCode": [_coded(words.formatCode)],
            "eventCodeList": [_coded(words.purpose)],
            "confidentialityCode": [_coded(code) for code in words.confidentialityCode],
        }
        author = self.author
        made = {name: values for name, values in style.made.items() if name != "URI"}
        if "authorPerson" in author:
            made["legalAuthenticator"] = [author["authorPerson"]]
        return replace(
            style, mime_type=MIME_TYPE, title=words.title, author=author, entry_codes={**style.entry_codes, **codes},
            slots={**style.slots, "languageCode": [LANGUAGE]}, made=made,
        )  # fmt: skip


def _coded(code: Code) -> str:
    return f"{code.code}^{code.display or code.code}^{code.scheme}"
