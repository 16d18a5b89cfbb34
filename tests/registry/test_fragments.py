"""Packed fragments: what goes in comes out, by a dictionary that is shipped, used and never changes."""

from __future__ import annotations

import configparser
import hashlib
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata.fragments import PATIENT_MARKER, build_fragment
from metadata.vocabulary import AvailabilityStatus
from registry import fragments
from registry.fragments import CURRENT, pack, unpack
from tests.registry.submissions import HAS_MEMBER, documents, folder, link, submission, submission_set

REGISTRY = Path(fragments.__file__).parent
CX = "1^^^&1.2.3&ISO"

#: Rows in use were packed with these bytes: a dictionary is added, never changed.
DIGESTS = {
    1: "f4c9a09f6e97a5115d7898068e2595432aa88f2cc93534b15c4a13a38aac047a",
    2: "e3951d524bc85e55c3b97c1f243430e6cb196dce5c2e65dd0427b4ac46376332",
}


@given(st.binary(max_size=40_000))
def test_what_is_packed_comes_back(fragment: bytes) -> None:
    assert unpack(pack(fragment)) == fragment


def test_each_dictionary_is_what_it_was() -> None:
    shipped = {int(path.stem.split("_")[1]): path for path in REGISTRY.glob("dictionary_*.dict")}
    assert {number: hashlib.sha256(path.read_bytes()).hexdigest() for number, path in shipped.items()} == DIGESTS
    assert CURRENT in shipped


def test_the_dictionaries_travel_with_the_package() -> None:
    setup = configparser.ConfigParser()
    setup.read(REGISTRY.parent / "setup.cfg")
    assert "*.dict" in setup["options.package_data"]["registry"].split()


def test_the_first_byte_names_the_dictionary_and_it_is_used() -> None:
    (sent,) = documents(CX, "Document01").documentEntries
    plain = build_fragment(sent, id="urn:uuid:7edca82f-054d-47f2-a032-9b2a5b5186c1", status=AvailabilityStatus.APPROVED.urn)
    packed = pack(plain)
    assert packed[0] == CURRENT
    assert len(packed) * 10 < len(plain)
    assert len(packed) * 2 < len(zlib.compress(plain, 9))
    with pytest.raises(zlib.error):
        zlib.decompress(packed[1:], -15)
    with pytest.raises(FileNotFoundError):
        unpack(bytes((99,)) + packed[1:])


def test_a_damaged_row_is_not_taken_for_a_fragment() -> None:
    packed = pack(b"<rim:ExtrinsicObject/>" * 50)
    with pytest.raises(zlib.error):
        unpack(packed[:-4])


def test_a_changed_status_and_time_change_nothing_else() -> None:
    sent = submission(submission_set(CX), folder(CX), link(HAS_MEMBER, "SubmissionSet01", "Folder01"))
    packed = fragments.folder_fragment(sent.folders[0], "urn:uuid:7edca82f-054d-47f2-a032-9b2a5b5186c1", "20240101000000")
    later = unpack(fragments.with_last_update_time(packed, "20250101000000"))
    assert later == unpack(packed).replace(b"20240101000000", b"20250101000000")
    deprecated = unpack(fragments.with_status(packed, AvailabilityStatus.DEPRECATED))
    assert deprecated == unpack(packed).replace(b"StatusType:Approved", b"StatusType:Deprecated")
    assert unpack(packed).count(PATIENT_MARKER) == 1
