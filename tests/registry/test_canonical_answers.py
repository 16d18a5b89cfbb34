"""Answers that are in exclusive canonical form as they are joined, so that their signature needs no parse (XML-EXC-C14N 1.0).

The judge is libxml2's canonicalisation of the whole envelope; what an older store holds takes the general path and verifies too.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from metadata.ebrim import parse_submission
from metadata.fragments import build_association, build_fragment, is_canonical, with_patient
from metadata.model import RegistryObject
from metadata.vocabulary import AvailabilityStatus, ResponseStatus
from registry import fragments, tables
from registry.codes import CodeBook
from registry.fragments import CURRENT, OTHER_FORM, pack, pack_foreign, unpack
from registry.iti18 import RegistryStoredQuery
from registry.iti42 import RegisterDocumentSet
from registry.search import Search
from schemas.namespaces import RIM
from schemas.parse import parse
from security.message_writer import MessageSigner
from soap.body.adhoc_query import build_adhoc_query_response, build_object_ref
from soap.call import Answer
from soap.signing import Signature, sign_answer
from storage.database import Connection, Database
from tests.metadata.test_codec import DEPRECATED, OBJECTS, TEXT, UUID, as_raw
from tests.registry.asking import BOTH, request
from tests.registry.submissions import entry, new_patient, original, submission, submission_set
from tests.security import foreign_signing as peer
from tests.security.foreign_signing import Pki, make_pki

ACTION = "urn:ihe:iti:2007:RegistryStoredQueryResponse"
HURTS = 'a"b<c>&d\'\t\u062a\u0642\u0631\u064a\u0631 \U0001f600 \x85\u2028 ]]> &amp;'
NESTED_UUID = "urn:uuid:00000000-0000-4000-8000-000000000002"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return make_pki(tmp_path_factory.mktemp("pki"))


def envelope_around(payload: Sequence[bytes]) -> tuple[bytes, bytes]:
    """An envelope with the prefixes of ours and others in scope, and the Body in it as it was joined."""
    body = b"".join((f'<s:Body xmlns:s="{peer.S12}" xmlns:wsu="{peer.WSU}" wsu:Id="b">'.encode(), *payload, b"</s:Body>"))
    start = f'<s:Envelope xmlns:s="{peer.S12}" xmlns:wsa="{peer.WSA}" xmlns:rim="{RIM}" xmlns="urn:none" xmlns:xsi="urn:xsi">'
    return start.encode() + b"<s:Header/>" + body + b"</s:Envelope>", body


def canonical_body(envelope: bytes) -> bytes:
    return etree.tostring(etree.fromstring(envelope)[1], method="c14n", exclusive=True)


@given(st.lists(OBJECTS, max_size=3), TEXT, st.sampled_from([HURTS, "", "x\r\ny"]))
def test_what_is_joined_is_what_canonicalisation_makes(objects: list[RegistryObject], cx: str, more: str) -> None:
    """Stored, changed and answered: byte for byte the canonical form of the Body where it stands."""
    entities = parse_submission(parse(as_raw(objects, [], []))).entities()
    written = []
    for entity in entities:
        packed = pack(build_fragment(entity, id=UUID, slots={f"urn:x:{more}": (more, cx)}, status="s", patient_marker=True))
        for one in (packed, fragments.with_status(packed, AvailabilityStatus.DEPRECATED)):
            one = fragments.with_last_update_time(one, "20250101000000")
            assert fragments.canonical(one)
            written.append(with_patient(unpack(one), cx + more))
    label = {"SubmissionSetStatus": (more,), cx: (cx,)}
    written += [
        build_association(UUID, more, cx, more, status=DEPRECATED, slots=label),
        build_association(UUID, cx, more, cx, status=DEPRECATED, home=more),
        build_object_ref(UUID, more),
        build_object_ref(more),
    ]
    envelope, body = envelope_around(build_adhoc_query_response(ResponseStatus.SUCCESS, written))
    assert canonical_body(envelope) == body
    assert all(map(is_canonical, written))


def test_an_answer_without_objects_is_canonical_too() -> None:
    envelope, body = envelope_around(build_adhoc_query_response(ResponseStatus.SUCCESS))
    assert canonical_body(envelope) == body


def test_the_changed_object_is_the_right_one_whatever_its_values_hold() -> None:
    """A value with `>` or the word status in it is not taken for the end of the tag or for the attribute."""
    raw = RegistryObject("ExtrinsicObject", "x", home='> status="no"', objectType="> <", slots=())
    (entity,) = parse_submission(parse(as_raw([raw], [], []))).documentEntries
    packed = pack(build_fragment(entity, id=NESTED_UUID, status="> old"))
    changed = fragments.with_last_update_time(fragments.with_status(packed, AvailabilityStatus.DEPRECATED), "20250101")
    root = etree.fromstring(b'<r xmlns:rim="%s">%s</r>' % (RIM.encode(), unpack(changed)))[0]
    assert (root.get("status"), root.get("home"), root.get("objectType")) == (DEPRECATED, '> status="no"', "> <")
    assert [slot.get("name") for slot in root] [:1] == ["lastUpdateTime"]


# ------------------------------------------------------------------------------------------------------- an older store

OLD = (
    b'<rim:RegistryPackage status="urn:oasis:names:tc:ebxml-regrep:StatusType:Approved" id="urn:uuid:a" lid="urn:uuid:a">'
    b'<rim:Slot name="lastUpdateTime"><rim:ValueList><rim:Value>20240101</rim:Value></rim:ValueList></rim:Slot>'
    b'<rim:Name><rim:LocalizedString value="a &gt; b"/></rim:Name><rim:VersionInfo versionName="1"/>'
    b'<rim:ExternalIdentifier id="urn:uuid:b" registryObject="urn:uuid:a" value="\x01"></rim:ExternalIdentifier>'
    b"</rim:RegistryPackage>"
)


def test_a_fragment_of_an_older_store_keeps_its_form_and_its_mark() -> None:
    packed = pack(OLD, OTHER_FORM)
    assert unpack(packed) == OLD and not fragments.canonical(packed) and not is_canonical(OLD)
    deprecated = fragments.with_status(packed, AvailabilityStatus.DEPRECATED)
    assert unpack(deprecated) == OLD.replace(b"Approved", b"Deprecated") and not fragments.canonical(deprecated)
    later = fragments.with_last_update_time(packed, "20250101")
    assert unpack(later) == OLD.replace(b"20240101", b"20250101") and not fragments.canonical(later)


NEW = build_association(UUID, HURTS, "a", "b", status=DEPRECATED)


@pytest.mark.parametrize(
    ("fragment", "number"),
    [(OLD, OTHER_FORM), (b"<no XML", OTHER_FORM), (NEW, CURRENT), (NEW.replace(b'"a"', b'"\x01"'), CURRENT)],
    ids=["older", "no XML", "written here", "with the place of a patient"],
)
def test_what_comes_from_another_store_is_marked_by_its_form(fragment: bytes, number: int) -> None:
    packed = pack_foreign(fragment)
    assert (packed[0], unpack(packed)) == (number, fragment)


def test_signed_answers_verify_whatever_the_store_holds(database: Database, pki: Pki) -> None:
    """All new, one of an older store among them, references: judged by whole xmlsec."""
    patient = new_patient(database)
    extra = {"urn:x:extra": (HURTS, "x\r\ny")}
    names = ("Document01", "Document02")
    entries = [entry(patient, name, title=HURTS, slots=extra) for name in names]
    ids = RegisterDocumentSet(database, CodeBook()).register(
        submission(submission_set(patient), *entries, *map(original, names))
    ).ids
    queries = RegistryStoredQuery(database, Search(database, CodeBook()))
    server = pki.peer("server")
    signature = Signature(MessageSigner(server.certificate, server.key), ())

    def ask(leaf: bool = True) -> Answer:
        parameters = {"$XDSDocumentEntryPatientId": f"'{patient}'", "$XDSDocumentEntryStatus": BOTH}
        answer = queries(request("FindDocuments", parameters, "LeafClass" if leaf else "ObjectRef"))
        head = sign_answer(signature, ACTION, "urn:uuid:1", answer.payload, canonical=answer.canonical)
        pieces = [piece for piece in answer.payload if isinstance(piece, bytes)]
        envelope = parse(b"".join((head, *pieces, b"</s:Body></s:Envelope>")))
        peer.verify(envelope, server.x509)
        found = {e.get("id") for e in envelope.iter(f"{{{RIM}}}ExtrinsicObject", f"{{{RIM}}}ObjectRef")}
        assert found == {ids[name] for name in names}
        return answer

    assert ask().canonical and ask(leaf=False).canonical
    _age_one(database, ids[names[0]])
    assert not ask().canonical and ask(leaf=False).canonical


def _age_one(database: Database, entry_uuid: str) -> None:
    """Writes the object in a form of its own, as an earlier version did."""
    table = tables.document_entry
    this = table.c.uuid == sa.bindparam("this")
    wanted = {"this": uuid.UUID(entry_uuid).bytes}

    def work(connection: Connection) -> None:
        ((packed,),) = connection.execute(sa.select(table.c.fragment).where(this), wanted)
        holder = b'<r xmlns:rim="%s">%s</r>' % (RIM.encode(), unpack(packed).replace(b"\x01", b"MARK"))
        old = etree.tostring(etree.fromstring(holder)[0]).replace(b' xmlns:rim="%s"' % RIM.encode(), b"")
        changed = pack(old.replace(b"MARK", b"\x01"), OTHER_FORM)
        connection.execute(sa.update(table).where(this).values(fragment=sa.bindparam("changed")), {**wanted, "changed": changed})

    database.write(work)
