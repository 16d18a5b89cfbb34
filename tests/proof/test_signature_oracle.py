"""A signature over a document that is hidden is answered like one over a document that was never stored (a matrix of rights).

Signers, callers and assertions are real; the documents signed are of other submissions, so that the server has to look for them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from metadata.signature_entry import DETACHED
from registry.rights import Right
from security.document_signature import IHE_FORM
from security.document_signature_making import SetToSign, sign_set
from tests.proof.messages import SIGNS, Association, Entry, Submission, new_oid
from tests.proof.rights_callers import MASKED, NORMAL, Caller, RightsWorld, content_of, open_rights, person_xcn
from tests.security.signed_sets import Octets

CHECKED: Mapping[str, str] = {"CARNET_SECURITY_DOCUMENT_SIGNATURES": "refuse"}


@dataclass
class Signers:
    """A masked document of `author`, whom `reader` treats the same patient with."""

    world: RightsWorld
    author: Caller
    reader: Caller
    masked: Entry

    def told(self, who: Caller, uid: str, content: bytes, forged: bool = False) -> list[tuple[str, str]]:
        """The errors that answer a signature of `who` over a document: code and text, without the ids that it names."""
        signed = sign_set(SetToSign("", {uid: Octets(content)}), who.card.certificate_pem, who.card.key_pem, IHE_FORM)
        if forged:
            signed = re.sub(rb"(<ds:SignatureValue>)....", rb"\1AAAA", signed)
        entry = Entry(
            self.masked.patient, mime_type="text/xml", authors=[person_xcn(who.subject)],
            format_code=f"{DETACHED}^^1.3.6.1.4.1.19376.1.2.3",
        )  # fmt: skip
        made = Submission(self.masked.patient, [entry], associations=[Association(SIGNS, entry.id, self.masked.id)])
        answer = self.world.provide(who.says(self.masked.patient), made, content=signed)
        assert not answer.fault, answer.fault
        return [(e.code, e.context.replace(uid, "UID").replace(entry.id, "ENTRY")) for e in answer.errors]


@pytest.fixture(scope="module")
def signers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signers]:
    with open_rights(tmp_path_factory.mktemp("signers"), CHECKED) as world:
        author, reader = world.cards.person("author", 31), world.cards.person("reader", 32)
        masked = Entry(world.patient(), confidentiality=(NORMAL, MASKED))
        for one in (author, reader):
            world.rights.give(masked.patient, Right.AUTHORISED, one.subject)
        answer = world.provide(author.says(masked.patient), Submission(masked.patient, [masked]))
        assert answer.status == "Success", (answer.fault, answer.errors)
        yield Signers(world, author, reader, masked)


def test_a_hidden_document_is_an_unknown_one_to_a_signer(signers: Signers) -> None:
    """Whether the content is the stored one or another."""
    reader, uid, content = signers.reader, signers.masked.uid, content_of(signers.masked)
    unknown = signers.told(reader, new_oid(), content)
    assert any("DSG-016" in text for _, text in unknown), unknown
    assert signers.told(reader, uid, content) == signers.told(reader, uid, b"other") == unknown


def test_to_its_author_it_is_compared(signers: Signers) -> None:
    author, uid = signers.author, signers.masked.uid
    assert not [text for _, text in signers.told(author, uid, content_of(signers.masked)) if "DSG-" in text]
    assert [text for _, text in signers.told(author, uid, b"other") if "DSG-014" in text]


def test_not_even_to_its_author_where_the_signature_proves_nothing(signers: Signers) -> None:
    author, uid, content = signers.author, signers.masked.uid, content_of(signers.masked)
    unknown = signers.told(author, new_oid(), content, forged=True)
    assert any("DSG-008" in text for _, text in unknown) and not any("DSG-01" in text for _, text in unknown), unknown
    assert signers.told(author, uid, content, forged=True) == signers.told(author, uid, b"other", forged=True) == unknown
