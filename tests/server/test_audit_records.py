"""Each transaction's audit record over the wire, compared field by field with a table typed from the standard."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.proof.conftest import Proof, open_proof
from tests.proof.messages import APPROVED, DEPRECATED, REPOSITORY, Entry, Submission, query, quoted, retrieval, single
from tests.proof.test_identity_wire import World
from tests.proof.test_on_demand import on_demand
from tests.proof.test_removal import removal
from tests.proof.test_remove_documents import removal as document_removal
from tests.proof.update_messages import Update
from tests.server.audit_reader import Message, Thing, checked, messages
from tests.server.audit_table import DESTINATION, OBJECTS, PATIENT_NUMBER, SOURCE, TABLE

ANONYMOUS = "http://www.w3.org/2005/08/addressing/anonymous"
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@dataclass
class Site:
    proof: Proof
    world: World

    def after(self, act: Callable[[], object]) -> list[Message]:
        """The records that an act leaves, when those that follow its answer are there as well."""
        before = len(messages(self.proof.server.data))
        act()
        found = messages(self.proof.server.data, since=before)
        deadline = time.monotonic() + 60
        while sum(one.kind == "begun" for one in found) > sum(one.kind == "end" for one in found):
            assert time.monotonic() < deadline, found
            time.sleep(0.05)
            found = messages(self.proof.server.data, since=before)
        return found

    def submitted(self, content: bytes = b"a document", patient: str = "") -> Entry:
        entry = Entry(patient or self.proof.patient())
        answer = self.proof.client.provide(Submission(entry.patient, [entry]).xml(), {entry.id: content})
        assert answer.status == "Success", answer.errors
        return entry


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    port = free_port()
    audit = {"CARNET_AUDIT_SITE": "site 7", "CARNET_AUDIT_SOURCE": "node 3"}
    environ = {"CARNET_DOMAIN_LINK_CHANGE": "LC^link change^1.2.3", **audit}
    folder = tmp_path_factory.mktemp("audit") / "data"
    with open_proof(folder, "--mllp-port", str(port), environ=environ) as proof:
        yield Site(proof, World(proof.server, proof.client, port))


def fields(site: Site, name: str, message: Message, patient: str, ids: Sequence[str], outcome: str = "0") -> None:
    """Everything that the table says of `name`."""
    expected = TABLE[name]
    code = name.partition(" ")[0]
    assert message.id == expected.event
    assert message.types == [(code, "IHE Transactions", expected.name)]
    assert (message.event["EventActionCode"], message.event["EventOutcomeIndicator"]) == (expected.action, outcome)
    assert _INSTANT.fullmatch(message.event["EventDateTime"])
    assert bool(message.description) is (outcome != "0")
    assert message.purposes == []
    _participants(site, code, message, expected.ours)
    source = message.root.find("AuditSourceIdentification")
    assert source is not None
    assert (source.get("AuditSourceID"), source.get("AuditEnterpriseSiteID")) == ("node 3", "site 7")
    first, *others = message.objects
    assert (first.id, first.type, first.role, first.idType, first.cycle) == (patient, "1", "1", PATIENT_NUMBER, "")
    assert [one.id for one in others] == list(ids)
    for one in others:
        same_object(one, code, expected.object, expected.name)
        assert {*expected.details} <= {*one.details}
    if not others:
        assert {*first.details} == {*expected.details}


def _participants(site: Site, code: str, message: Message, ours: tuple[str, str, str]) -> None:
    """Source first. This server: its URL, its process, its host; the other: wsa:ReplyTo, its address, and it asked."""
    assert [roles for _, roles in message.participants] == [[SOURCE], [DESTINATION]]
    (source, _), (destination, _) = message.participants
    own, other = (source, destination) if ours == SOURCE else (destination, source)
    assert (own["UserIsRequestor"], other["UserIsRequestor"]) == ("false", "true")
    assert own["AlternativeUserID"] in {str(pid) for pid in site.proof.server.workers}
    assert (other["NetworkAccessPointID"], other["NetworkAccessPointTypeCode"]) == ("127.0.0.1", "2")
    if code in ("ITI-8", "ITI-64"):
        assert (other["UserID"], own["UserID"]) == ("B|A", "D|C")
    else:
        assert other["UserID"] == ANONYMOUS and own["UserID"].startswith(f"{site.proof.server.url}/xds/")
        assert (own["NetworkAccessPointID"], own["NetworkAccessPointTypeCode"]) == ("127.0.0.1", "2")


def same_object(one: Thing, code: str, kind: str, name: str) -> None:
    type, role, id_type, cycle = OBJECTS[kind]
    assert (one.type, one.role, one.cycle) == (type, role, cycle)
    assert one.idType == (id_type or (code, "IHE Transactions", name))
    assert bool(one.query) is (kind == "query")


def only(found: list[Message], kinds: Sequence[str] = ("done",)) -> Message:
    """The last of the records, whose kinds are these and no others."""
    assert [one.kind for one in found] == list(kinds), found
    return found[-1]


# ------------------------------------------------------------------------------------------------------- transactions


@pytest.mark.parametrize("name", ["ITI-41", "ITI-42", "ITI-61"])
def test_submissions(site: Site, name: str) -> None:
    patient = site.proof.patient()
    entry = on_demand(patient) if name == "ITI-61" else Entry(patient)
    submission = Submission(patient, [entry if name != "ITI-42" else entry.registered()])
    client = site.proof.client
    acts: dict[str, Callable[[], object]] = {
        "ITI-41": lambda: client.provide(submission.xml(), {entry.id: b"some text"}),
        "ITI-42": lambda: client.register(submission.xml()),
        "ITI-61": lambda: client.soap("ITI-61", submission.xml()),
    }
    fields(site, name, only(site.after(acts[name])), patient, [submission.uid])
    refused = only(site.after(acts[name]))
    fields(site, name, refused, patient, [submission.uid], "8")
    assert re.fullmatch(r"XDS\w+ \[[A-Z]+-\d+\](, XDS\w+ \[[A-Z]+-\d+\])*", refused.description)


@pytest.mark.parametrize("name", ["ITI-57", "ITI-92"])
def test_updates(site: Site, name: str) -> None:
    entry = site.submitted()
    update = Update(entry.patient)
    wanted = Entry(entry.patient, uid=entry.uid, title="another title")
    body = update.entry(wanted, entry.id) if name == "ITI-92" else update.status(entry.id, APPROVED, DEPRECATED)
    found = only(site.after(lambda: site.proof.client.soap(name, body.xml())))
    outcome = found.event["EventOutcomeIndicator"]
    assert name == "ITI-92" or outcome == "0", found.description
    fields(site, name, found, entry.patient, [update._set.uid], outcome)


def test_query(site: Site) -> None:
    patient = site.proof.patient()
    asked = query("FindDocuments", {"$XDSDocumentEntryPatientId": single(patient), "$XDSDocumentEntryStatus": quoted(APPROVED)})
    found = only(site.after(lambda: site.proof.client.query(asked)))
    fields(site, "ITI-18", found, patient, ["urn:uuid:14d4debf-8f97-4251-9a74-a90016b0af0d"])
    said = found.objects[1]
    assert said.details == {"QueryEncoding": "UTF-8"}
    assert "$XDSDocumentEntryPatientId" in said.query and patient.replace("&", "&amp;") in said.query
    wrong = only(site.after(lambda: site.proof.client.query(query("FindDocuments", {}))))
    assert (wrong.event["EventOutcomeIndicator"], [one.role for one in wrong.objects]) == ("8", ["24"])


def test_query_of_several_patients_leaves_a_record_for_each(site: Site) -> None:
    patients = [site.proof.patient() for _ in range(3)]
    asked = query(
        "FindDocumentsForMultiplePatients",
        {
            "$XDSDocumentEntryPatientId": quoted(*patients), "$XDSDocumentEntryStatus": quoted(APPROVED),
            "$XDSDocumentEntryClassCode": quoted("CLASS^^1.2.3"),
        },
    )  # fmt: skip
    found = site.after(lambda: site.proof.client.soap("ITI-51", asked, f"{site.proof.server.url}/xds/iti51"))
    assert [one.objects[0].id for one in found] == patients
    for message, patient in zip(found, patients, strict=True):
        fields(site, "ITI-51", message, patient, ["urn:uuid:3d1bdb10-39a2-11de-89c2-2f44d94eaa9f"])


def test_retrieve(site: Site) -> None:
    entry = site.submitted()
    end = only(site.after(lambda: site.proof.client.retrieve(retrieval([entry.uid]))), ("begun", "end"))
    fields(site, "ITI-43", end, entry.patient, [entry.uid])
    assert end.objects[1].details == {"Repository Unique Id": REPOSITORY}


def test_retrieve_of_several_patients_and_of_what_is_not_there(site: Site) -> None:
    one, other = site.submitted(), site.submitted(b"another")
    missing = "1.2.3.4.5.6.7"
    found = site.after(lambda: site.proof.client.retrieve(retrieval([one.uid, missing, other.uid])))
    assert sorted(m.kind for m in found) == ["begun", "begun", "done", "end", "end"]
    ends = {m.objects[0].id: m for m in found if m.kind == "end"}
    for entry in (one, other):
        fields(site, "ITI-43", ends[entry.patient], entry.patient, [entry.uid])
    (failed,) = (m for m in found if m.kind == "done")
    assert [o.id for o in failed.objects] == [missing]
    assert (failed.event["EventOutcomeIndicator"], failed.description.split()[0]) == ("8", "XDSDocumentUniqueIdError")


def test_removals(site: Site) -> None:
    entry = site.submitted()
    found = site.after(lambda: site.proof.client.soap("ITI-86", document_removal(entry.uid), site.proof.client.repository))
    fields(site, "ITI-86", only(found, ("begun", "end")), entry.patient, [entry.uid])
    patient = site.proof.patient()
    submission = Submission(patient, [Entry(patient).registered()])
    assert site.proof.client.register(submission.xml()).status == "Success"
    link = submission.members()[0]
    answer = site.proof.client.query(query("GetAssociations", {"$uuid": quoted(submission.id)}))
    (link_id,) = (e.get("id", "") for e in answer.body.iter("{*}Association"))
    ids = [submission.id, submission.entries[0].id, link_id]
    assert link.source == submission.id
    fields(site, "ITI-62", only(site.after(lambda: site.proof.client.soap("ITI-62", removal(*ids)))), patient, ids)
    refused = only(site.after(lambda: site.proof.client.soap("ITI-62", removal(*ids))))
    assert (refused.event["EventOutcomeIndicator"], [o.id for o in refused.objects]) == ("8", ids)


def test_partial_removal_leaves_two_records(site: Site) -> None:
    entry, missing = site.submitted(), "1.2.3.4.5.6.8"
    request = document_removal(entry.uid, missing)
    found = site.after(lambda: site.proof.client.soap("ITI-86", request, site.proof.client.repository))
    told = [m for m in found if m.kind != "begun"]
    said = {(m.event["EventOutcomeIndicator"], tuple(o.id for o in m.objects if o.role == "3")) for m in told}
    assert said == {("0", (entry.uid,)), ("8", (missing,))}


def test_identities_by_hl7_v2(site: Site) -> None:
    world, (old, new) = site.world, (f"{name}{time.time_ns()}^^^&1.2.250.1.999.44&ISO" for name in "AB")
    for event, cx in (("A04", old), ("A04", new), ("A08", old)):
        fields(site, f"ITI-8 {event}", only(site.after(partial(world.adt, event, cx))), cx, [])
    gone, stays = site.after(lambda: world.adt("A40", new, old))
    assert [(m.event["EventActionCode"], m.objects[0].id) for m in (gone, stays)] == [("D", old), ("U", new)]
    assert gone.objects[0].details == {"MSH-10": "1"}
    refused = site.after(lambda: world.adt("A40", new, old))
    assert {m.event["EventOutcomeIndicator"] for m in refused} == {"8"}


def test_link_change(site: Site) -> None:
    before, after = (site.proof.patient() for _ in range(2))
    local = "L1^^^&1.2.250.1.999.45&ISO"
    message = (
        f"MSH|^~\\&|1.2.3|B|C|D|20240102||ADT^A43^ADT_A43|77|P|2.5\rPID|||{after}~{local}\rMRG|{before}\r"
    )
    found = site.after(lambda: _mllp(site.world.mllp, message))
    assert [m.objects[0].id for m in found] == [before, after]
    for m, cx in zip(found, (before, after), strict=True):
        assert (m.objects[0].details, m.event["EventActionCode"], m.types[0][0]) == ({"MSH-10": "77"}, "U", "ITI-64")
        assert m.id == TABLE["ITI-64"].event and m.objects[0].id == cx


def _mllp(port: int, message: str) -> str:
    from tests.server.test_mllp import Sender

    sender = Sender(port)
    try:
        return sender.ask(message.encode())
    finally:
        sender.close()


def test_identities_by_hl7_v3(site: Site) -> None:
    world, (old, new) = site.world, (f"{name}{time.time_ns()}^^^&1.2.250.1.999.44&ISO" for name in "CD")
    for work, number, cx in (("add", 1, old), ("add", 1, new), ("revise", 2, old)):
        found = site.after(partial(world.v3, f"PRPA_IN20130{number}UV02", cx))
        fields(site, f"ITI-44 {work}", only(found), cx, [])
    gone, stays = site.after(lambda: world.v3("PRPA_IN201304UV02", new, old))
    assert [(m.event["EventActionCode"], m.objects[0].id) for m in (gone, stays)] == [("D", old), ("U", new)]
    assert gone.objects[0].details == {"II": "1.2.3"}


def test_every_transaction_is_in_the_table() -> None:
    from metadata.vocabulary import Transaction

    assert {name.partition(" ")[0] for name in TABLE} == {one.code for one in Transaction}


def test_start_and_stop_and_the_trail_is_whole(tmp_path: Path) -> None:
    with open_proof(tmp_path / "data") as proof:
        worker = str(proof.server.workers[0])
    start, stop = messages(proof.server.data)
    for message, kind in ((start, ("110120", "DCM", "Application Start")), (stop, ("110121", "DCM", "Application Stop"))):
        assert (message.id, message.types) == (("110100", "DCM", "Application Activity"), [kind])
        ((attributes, roles),) = message.participants
        assert (attributes["AlternativeUserID"], roles) == (worker, [("110150", "DCM", "Application")])
    found = checked(proof.server.data)
    assert (found.wrong, found.records) == ((), 2) and found.anchors
