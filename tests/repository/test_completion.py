"""What the repository writes into the message, and what it leaves alone (ITI TF-2: 3.41.4.1.3.2)."""

from __future__ import annotations

from lxml import etree

from metadata.ebrim import parse_submission
from metadata.fragments import build_submit_objects_request
from repository.completion import complete
from repository.content import FileStore
from schemas.namespaces import RIM, q
from server.description import build_submission, document_id
from tests.repository.received import staged
from tests.repository.submissions import describe

OWN = "1.2.250.1.999.7"


def message(count: int = 1) -> etree._Element:
    submission = build_submission([describe(f"1.2.3.{n}") for n in range(count)], source_id="1.2.3")
    return etree.fromstring(build_submit_objects_request(submission))


def entry_of(request: etree._Element, number: int = 0) -> etree._Element:
    return next(e for e in request.iter(q(RIM, "ExtrinsicObject")) if e.get("id") == document_id(number))


def add(entry: etree._Element, name: str, *values: str) -> None:
    slot = etree.Element(q(RIM, "Slot"), name=name)
    values_list = etree.SubElement(slot, q(RIM, "ValueList"))
    for value in values:
        etree.SubElement(values_list, q(RIM, "Value")).text = value
    entry.insert(0, slot)


def test_hash_size_and_repository_are_added_where_missing(store: FileStore) -> None:
    request = message(2)
    parts = {document_id(0): staged(store, b"first"), document_id(1): staged(store, b"the second")}
    complete(request, parts, OWN)
    entries = parse_submission(request).documentEntries
    assert [(e.hash, e.size, e.repositoryUniqueId) for e in entries] == [
        (parts[document_id(0)].sha1, "5", OWN),
        (parts[document_id(1)].sha1, "10", OWN),
    ]


def test_slots_stand_before_every_other_child(store: FileStore) -> None:
    request = message()
    complete(request, {document_id(0): staged(store, b"first")}, OWN)
    tags = [etree.QName(child).localname for child in entry_of(request)]
    assert tags == sorted(tags, key=lambda tag: tag != "Slot")


def test_what_was_sent_stays_but_for_the_repository(store: FileStore) -> None:
    request = message()
    for name, value in (("hash", "0" * 40), ("size", "99"), ("repositoryUniqueId", "9.9.9")):
        add(entry_of(request), name, value)
    complete(request, {document_id(0): staged(store, b"first")}, OWN)
    (entry,) = parse_submission(request).documentEntries
    assert (entry.hash, entry.size, entry.repositoryUniqueId) == ("0" * 40, "99", OWN)
    assert [slot.values for slot in entry.raw.slots if slot.name == "repositoryUniqueId"] == [(OWN,)]


def test_an_entry_without_a_document_is_left_alone(store: FileStore) -> None:
    request = message(2)
    before = etree.tostring(entry_of(request, 1))
    complete(request, {document_id(0): staged(store, b"first"), "nobody": staged(store, b"x")}, OWN)
    assert etree.tostring(entry_of(request, 1)) == before


def test_an_empty_hash_is_not_replaced(store: FileStore) -> None:
    """What was sent is the registry's to judge, even when it is nothing."""
    request = message()
    add(entry_of(request), "hash")
    complete(request, {document_id(0): staged(store, b"first")}, OWN)
    hashes = [slot for slot in entry_of(request).iter(q(RIM, "Slot")) if slot.get("name") == "hash"]
    assert len(hashes) == 1
