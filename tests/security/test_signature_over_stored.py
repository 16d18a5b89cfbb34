"""A signature over documents that are stored already: when they are looked for, and how many (ITI TF-3: 5.5.3)."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest
from lxml import etree
from signed_sets import CDA, DOCUMENTS, FIRST, PDF, SECOND, Cards, Octets, Stored, Unread, resigned

from schemas.namespaces import DS, q
from security.document_signature import Allowance
from security.trust import TrustStore

APART: dict[str, Any] = {"documents": {}, "targets": frozenset(), "elsewhere": 1}
SHA512 = "http://www.w3.org/2001/04/xmlenc#sha512"


@pytest.fixture(scope="module")
def cards(tmp_path_factory: pytest.TempPathFactory) -> Cards:
    return Cards(tmp_path_factory.mktemp("pki"))


def single(cards: Cards, name: str = "doctor", **documents: Octets) -> bytes:
    """A signature over single documents, with SHA-512."""
    root = etree.fromstring(cards.sign(name, uniqueId="", documents=documents or {FIRST: DOCUMENTS[FIRST]}))
    for reference in root.iter(q(DS, "Reference")):
        id = (reference.get("URI") or "").removeprefix("urn:oid:")
        if id in (documents or DOCUMENTS):
            for transforms in reference.findall(q(DS, "Transforms")):
                reference.remove(transforms)
            reference[0].set("Algorithm", SHA512)
            octets = (documents or DOCUMENTS)[id].data
            reference[1].text = base64.b64encode(hashlib.sha512(octets).digest()).decode()
    return resigned(cards, etree.tostring(root), name)


def test_nothing_is_looked_for_by_a_signature_that_is_not_good(cards: Cards) -> None:
    """Whether a document is stored, and is that one, is not told where a signature proves nothing: the answers are the same."""
    good = single(cards)
    at = good.index(b"<ds:SignatureValue>") + len(b"<ds:SignatureValue>")
    another = base64.b64encode(hashlib.sha512(b"other").digest())
    mine = base64.b64encode(hashlib.sha512(CDA).digest())
    cases: list[tuple[str, bytes, TrustStore]] = [
        ("DSG-012", good, TrustStore()),
        ("DSG-012", single(cards, "revoked"), cards.trust),
        ("DSG-008", good[:at] + (b"A" if good[at : at + 1] != b"A" else b"B") + good[at + 1 :], cards.trust),
        ("DSG-009", good.replace(mine, another), cards.trust),
    ]
    for rule, content, trust in cases:
        told = []
        for documents in ({}, {FIRST: Unread(CDA)}, {FIRST: Unread(b"other")}):
            stored = Stored(documents)
            findings = cards.verdict(content, trust=trust, stored=stored, **APART).findings
            assert stored.asked == [], rule
            told.append([(f.rule, f.text_en, f.text_fr, f.remedy) for f in findings])
        assert [one[0] for one in told[0]] == [rule] and told[0] == told[1] == told[2]


def test_documents_stored_before_are_bounded_in_number_and_octets(cards: Cards) -> None:
    both = single(cards, **DOCUMENTS)
    assert cards.broken(both, stored=Stored(DOCUMENTS), allowance=Allowance(2, len(CDA + PDF)), **APART) == []
    few = Stored({id: Unread(one.data) for id, one in DOCUMENTS.items()})
    assert cards.broken(both, stored=few, allowance=Allowance(documents=1), **APART) == ["DSG-003"]
    assert few.asked == [], "what is too many is refused before anything is looked for"
    large = {FIRST: Octets(CDA), SECOND: Unread(PDF)}
    denied = cards.verdict(both, stored=Stored(large), allowance=Allowance(octets=len(CDA + PDF) - 1), **APART).findings
    assert [one.rule for one in denied] == ["DSG-004"] and SECOND in denied[0].text_en
    known = cards.sign(uniqueId="", documents=DOCUMENTS)
    unread = Stored({id: Unread(one.data) for id, one in DOCUMENTS.items()})
    assert cards.broken(known, stored=unread, allowance=Allowance(octets=0), **APART) == [], "SHA-256 reads nothing"


def test_the_signatures_of_a_submission_share_what_may_be_looked_for(cards: Cards) -> None:
    content, allowance = single(cards), Allowance(documents=2, octets=2 * len(CDA))
    for broken in ([], [], ["DSG-003"]):
        assert cards.broken(content, stored=Stored(DOCUMENTS), allowance=allowance, **APART) == broken
    assert (allowance.documents, allowance.octets) == (0, 0)
