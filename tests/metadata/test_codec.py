"""ebRIM to model and back: nothing that was sent is lost, wherever it stands (ITI TF-3: 4.2.1, 4.2.3.1)."""

from __future__ import annotations

import string
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from metadata import fragments, schemes
from metadata.attributes import ATTRIBUTES, OF_KIND, Carrier
from metadata.ebrim import parse_object_refs, parse_response_objects, parse_submission, without_lines
from metadata.model import (
    Association,
    Author,
    Classification,
    Code,
    DocumentEntry,
    Entity,
    ExternalIdentifier,
    Folder,
    LocalizedString,
    RegistryObject,
    Slot,
    Submission,
    SubmissionSet,
)
from metadata.vocabulary import ObjectKind
from schemas.namespaces import LCM, RIM, RS
from schemas.parse import Limits, parse
from schemas.validate import validate

NAMESPACES = f'xmlns:lcm="{LCM}" xmlns:rim="{RIM}" xmlns:rs="{RS}"'
LIMITS = Limits(max_bytes=8 * 1024 * 1024)
APPROVED = "urn:oasis:names:tc:ebxml-regrep:StatusType:Approved"
DEPRECATED = "urn:oasis:names:tc:ebxml-regrep:StatusType:Deprecated"
UUID = "urn:uuid:00000000-0000-4000-8000-000000000001"


def read(objects: str, before: str = "") -> Submission:
    """A submission of these objects, through the parser a message comes by."""
    listed = f"<rim:RegistryObjectList>{objects}</rim:RegistryObjectList>"
    data = f"<lcm:SubmitObjectsRequest {NAMESPACES}>{before}{listed}</lcm:SubmitObjectsRequest>"
    return parse_submission(parse(data.encode(), limits=LIMITS))


def written(submission: Submission) -> etree._Element:
    return parse(fragments.build_submit_objects_request(submission))


def bare(submission: Submission) -> dict[str, Any]:
    """The raw layer without line numbers, in a form that compares."""
    return {
        "objects": [without_lines(e.raw) for e in submission.entities()] + [without_lines(o) for o in submission.others],
        "loose": [_without_lines(c) for c in submission.looseClassifications],
        "slots": [(s.name, s.values) for s in submission.requestSlots],
    }


def _without_lines(item: Classification) -> Classification:
    return replace(item, line=None, slots=tuple(replace(s, line=None) for s in item.slots))


# ----------------------------------------------------------------------------------------------------- strategies

# Everything XML 1.0 can hold, with what hurts: quotes, markup, line ends, tabs, Arabic, four-byte characters.
_ILLEGAL = "".join(map(chr, [*range(9), 11, 12, *range(14, 32), 0xFFFE, 0xFFFF]))
CHARACTERS = st.characters(exclude_categories=("Cs",), exclude_characters=_ILLEGAL)
TEXT = st.text(CHARACTERS, max_size=12) | st.sampled_from(["", "a&b<c>\"'", "\r\n\t x ", "تقرير", "\U0001f600", "]]>", "&amp;"])
OPTIONAL = st.none() | TEXT
IDS = st.text(string.ascii_letters, min_size=1, max_size=6)
LANGUAGES = st.none() | st.sampled_from(["fr", "en-US"])
STRINGS = st.lists(st.builds(LocalizedString, TEXT, LANGUAGES, st.none() | st.just("UTF-8")), max_size=2).map(tuple)
SLOTS = st.lists(st.builds(Slot, TEXT, st.lists(TEXT, max_size=3).map(tuple)), max_size=3).map(tuple)
SCHEMES = st.none() | st.sampled_from([a.key for a in ATTRIBUTES if a.carrier is Carrier.CLASSIFICATION]) | TEXT
NODES = st.none() | st.sampled_from([schemes.SUBMISSION_SET_NODE, schemes.FOLDER_NODE, *schemes.LIMITED_METADATA_NODES]) | TEXT
EXTERNAL = st.none() | st.sampled_from([a.key for a in ATTRIBUTES if a.carrier is Carrier.EXTERNAL_IDENTIFIER])
CLASSIFICATIONS = st.builds(Classification, OPTIONAL, SCHEMES, NODES, OPTIONAL, OPTIONAL, STRINGS, SLOTS)
IDENTIFIERS = st.builds(ExternalIdentifier, OPTIONAL, EXTERNAL, OPTIONAL, OPTIONAL, STRINGS)
ELEMENTS = st.sampled_from(["ExtrinsicObject", "RegistryPackage", "Association", "ClassificationScheme"])
OBJECTS = st.builds(
    RegistryObject,
    ELEMENTS,
    TEXT,
    *[OPTIONAL] * 8,
    versionName=OPTIONAL,
    name=STRINGS,
    description=STRINGS,
    slots=SLOTS,
    classifications=st.lists(CLASSIFICATIONS, max_size=3).map(tuple),
    externalIdentifiers=st.lists(IDENTIFIERS, max_size=2).map(tuple),
)


def as_raw(objects: list[RegistryObject], loose: list[Classification], slots: list[Slot]) -> bytes:
    """The raw layer as a request, whatever kind its objects turn out to be."""
    submission = Submission(others=tuple(objects), looseClassifications=tuple(loose), requestSlots=tuple(slots))
    return fragments.build_submit_objects_request(submission)


@given(st.lists(OBJECTS, max_size=4), st.lists(CLASSIFICATIONS, max_size=2), SLOTS)
def test_what_is_written_is_read_whole(
    objects: list[RegistryObject], loose: list[Classification], slots: tuple[Slot, ...]
) -> None:
    """Raw layer -> XML -> model: the same objects, right or wrong; and once more."""
    once = parse_submission(parse(as_raw(objects, loose, list(slots))))
    got = bare(once)
    key = repr
    assert sorted(got["objects"], key=key) == sorted(objects, key=key)
    assert got["loose"] == loose and got["slots"] == [(s.name, s.values) for s in slots]
    assert bare(parse_submission(written(once))) == got


@given(OBJECTS, TEXT)
def test_a_fragment_is_read_back(raw: RegistryObject, cx: str) -> None:
    """The registry's own form: canonical ids, one marker, the patient id exchanged."""
    for entity in _entities(raw):
        fragment = fragments.build_fragment(entity, id=UUID, status=APPROVED, patient_marker=True)
        back = fragments.parse_fragment(fragments.with_status(fragment, DEPRECATED), cx)
        assert type(back) is type(entity)
        assert (back.entryUUID, back.availabilityStatus, back.raw.lid, back.raw.versionName) == (UUID, DEPRECATED, UUID, "1")
        patients = [e for e in back.raw.externalIdentifiers if e.identificationScheme in fragments.PATIENT_ID_SCHEMES]
        assert all(e.value == cx for e in patients)
        assert without_lines(back.raw).slots == without_lines(entity.raw).slots
        assert back.raw.name == entity.raw.name and back.raw.description == entity.raw.description
        nested = (*back.raw.classifications, *back.raw.externalIdentifiers)
        assert all(n.id and n.id.startswith("urn:uuid:") for n in nested)
        assert {c.classifiedObject for c in back.raw.classifications} <= {UUID}
        assert {e.registryObject for e in back.raw.externalIdentifiers} <= {UUID}
        again = fragments.build_fragment(entity, id=UUID, status=APPROVED, patient_marker=True)
        assert fragment == again, "nothing is random"


def _entities(raw: RegistryObject) -> list[Entity]:
    return list(parse_submission(parse(as_raw([raw], [], []))).entities())


# ------------------------------------------------------------------------------------------------- markers, slots, lines


PACKAGE = '<rim:RegistryPackage id="p">{}</rim:RegistryPackage>'


def marker_xml(of: str, node: str) -> str:
    return f'<rim:Classification id="c-{of}" classifiedObject="{of}" classificationNode="{node}" nodeRepresentation=""/>'


@pytest.mark.parametrize(("node", "kind"), [(schemes.SUBMISSION_SET_NODE, SubmissionSet), (schemes.FOLDER_NODE, Folder)])
@pytest.mark.parametrize("place", ["nested", "before", "behind"])
def test_a_marker_is_read_nested_or_beside(node: str, kind: type, place: str) -> None:
    marker = marker_xml("p", node)
    forms = {
        "nested": PACKAGE.format(marker),
        "before": marker + PACKAGE.format(""),
        "behind": PACKAGE.format("") + marker,
    }
    submission = read(forms[place])
    (entity,) = submission.entities()
    assert isinstance(entity, kind) and entity.entryUUID == "p" and submission.others == ()
    answered = fragments.canonical(entity)
    assert [c.classificationNode for c in answered.classifications] == [node], "an answer nests it, once"


@pytest.mark.parametrize(
    ("element", "mark", "node"),
    [
        ("RegistryPackage", schemes.SUBMISSION_SET_NODE, schemes.SS_LIMITED_METADATA),
        ("RegistryPackage", schemes.FOLDER_NODE, schemes.FOLDER_LIMITED_METADATA),
        ("ExtrinsicObject", "", schemes.DE_LIMITED_METADATA),
    ],
)
@pytest.mark.parametrize("nested", [True, False])
def test_limited_metadata_is_read_nested_or_beside(element: str, mark: str, node: str, nested: bool) -> None:
    own = marker_xml("p", mark) if mark else ""
    limited = marker_xml("p", node)
    inside, beside = (own + limited, "") if nested else (own, limited)
    (entity,) = read(f'<rim:{element} id="p">{inside}</rim:{element}>{beside}').entities()
    assert not isinstance(entity, Association) and entity.limitedMetadata
    assert node in [c.classificationNode for c in fragments.canonical(entity).classifications]


def test_many_packages_and_many_markers_beside_them_find_one_another() -> None:
    """Thousands of each: not every package is held against every Classification."""
    count = 5_000
    markers = "".join(marker_xml(f"p{n}", node_of(n)) for n in range(count))
    packages = "".join(f'<rim:RegistryPackage id="p{n}"/>' for n in range(count))
    submission = read(markers + packages)
    assert len(submission.submissionSets) == len(submission.folders) == count // 2


def node_of(number: int) -> str:
    return schemes.FOLDER_NODE if number % 2 else schemes.SUBMISSION_SET_NODE


def test_a_package_without_marker_is_kept_as_it_is() -> None:
    submission = read(PACKAGE.format(marker_xml("p", schemes.FOLDER_LIMITED_METADATA)))
    assert list(submission.entities()) == [] and [o.id for o in submission.others] == ["p"]


def test_a_marker_beside_marks_the_object_it_names_and_no_other() -> None:
    submission = read(PACKAGE.format("") + '<rim:RegistryPackage id="q"/>' + marker_xml("q", schemes.FOLDER_NODE))
    assert [f.entryUUID for f in submission.folders] == ["q"] and [o.id for o in submission.others] == ["p"]


def test_object_refs_and_comments_are_dropped() -> None:
    submission = read('<!-- c --><rim:ObjectRef id="urn:uuid:x"/><rim:ExtrinsicObject id="d"><!-- c --></rim:ExtrinsicObject>')
    assert [e.entryUUID for e in submission.entities()] == ["d"] and submission.others == ()


def test_a_package_that_holds_its_members_loses_none() -> None:
    inner = '<rim:RegistryObjectList><rim:ExtrinsicObject id="d"/></rim:RegistryObjectList>'
    submission = read(PACKAGE.format(marker_xml("p", schemes.FOLDER_NODE) + inner))
    assert [e.entryUUID for e in submission.entities()] == ["d", "p"]


def test_extra_slots_are_kept_in_their_order_and_come_back() -> None:
    sent = (("urn:example:b", "23"), ("creationTime", "4"), ("urn:example:a", "1"), ("urn:example:empty", ""))
    values = {name: "".join(f"<rim:Value>{v}</rim:Value>" for v in value) for name, value in sent}
    slots = "".join(f'<rim:Slot name="{n}"><rim:ValueList>{v}</rim:ValueList></rim:Slot>' for n, v in values.items())
    (entry,) = read(f'<rim:ExtrinsicObject id="d">{slots}</rim:ExtrinsicObject>').documentEntries
    expected = [("urn:example:b", ("2", "3")), ("creationTime", ("4",)), ("urn:example:a", ("1",)), ("urn:example:empty", ())]
    assert [(s.name, s.values) for s in entry.raw.slots] == expected
    back = fragments.parse_fragment(fragments.build_fragment(entry, status=APPROVED))
    assert [(s.name, s.values) for s in back.raw.slots] == expected


def test_lines_are_those_of_the_message() -> None:
    objects = (
        '\n<rim:ExtrinsicObject id="d">\n<rim:Slot name="hash"><rim:ValueList><rim:Value>x</rim:Value></rim:ValueList></rim:Slot>'
        '\n\n<rim:Classification id="c" classifiedObject="d"\n classificationScheme="x">'
        '\n<rim:Slot name="codingScheme"><rim:ValueList/></rim:Slot></rim:Classification>'
        '\n<rim:ExternalIdentifier id="e" registryObject="d" identificationScheme="y" value="z"/>'
        "\n</rim:ExtrinsicObject>"
    )
    (entry,) = read(objects).documentEntries
    raw = entry.raw
    assert (raw.line, raw.slots[0].line) == (2, 3)
    # libxml2 gives the line on which a start tag ends
    assert raw.classifications[0].line in (5, 6) and raw.classifications[0].slots[0].line == 7
    assert raw.externalIdentifiers[0].line == 8


def test_comments_within_a_value_do_not_cut_it() -> None:
    slot = '<rim:Slot name="hash"><rim:ValueList><rim:Value>ab<!-- c -->cd</rim:Value></rim:ValueList></rim:Slot>'
    (entry,) = read(f'<rim:ExtrinsicObject id="d">{slot}</rim:ExtrinsicObject>').documentEntries
    assert entry.hash == "abcd"


def test_several_value_lists_and_slots_of_one_name_are_all_read() -> None:
    lists = "".join(f"<rim:ValueList><rim:Value>{v}</rim:Value></rim:ValueList>" for v in ("PID-7|1", "PID-8|F"))
    slot = f'<rim:Slot name="sourcePatientInfo">{lists}</rim:Slot>'
    (entry,) = read(f'<rim:ExtrinsicObject id="d">{slot}{slot}</rim:ExtrinsicObject>').documentEntries
    assert entry.sourcePatientInfo == ("PID-7|1", "PID-8|F") * 2 and len(entry.raw.slots) == 2


def test_request_slots_are_read() -> None:
    before = (
        '<rs:RequestSlotList><rim:Slot name="homeCommunityId"><rim:ValueList><rim:Value>urn:oid:1.2</rim:Value></rim:ValueList>'
        "</rim:Slot></rs:RequestSlotList>"
    )
    assert [(s.name, s.values) for s in read("", before).requestSlots] == [("homeCommunityId", ("urn:oid:1.2",))]


# -------------------------------------------------------------------------------------------------- the typed layer


def full_entry() -> DocumentEntry:
    """Every attribute of a DocumentEntry, each with a value of its own."""
    slots, classified, identified = [], [], []
    for a in OF_KIND[ObjectKind.DOCUMENT_ENTRY]:
        values = (f"{a.name}-1", f"{a.name}-2") if a.many else (f"{a.name}-1",)
        if a.carrier is Carrier.SLOT:
            slots.append(Slot(a.key, values))
        elif a.carrier is Carrier.CLASSIFICATION:
            for value in values:
                inner = (Slot("authorPerson", (value,)),) if a.name == "author" else (Slot("codingScheme", ("1.2.3",)),)
                classified.append(Classification(value, a.key, None, "d", value, (LocalizedString(f"the {value}"),), inner))
        elif a.carrier is Carrier.CLASSIFICATION_NODE:
            classified.append(Classification("n", None, a.key, "d", None))
        elif a.carrier is Carrier.EXTERNAL_IDENTIFIER:
            identified.append(ExternalIdentifier(a.name, a.key, "d", f"{a.name}-1"))
    raw = RegistryObject(
        "ExtrinsicObject", "entryUUID-1", "logicalID-1", "homeCommunityId-1", "availabilityStatus-1", "objectType-1",
        mimeType="mimeType-1", versionName="version-1", name=(LocalizedString("title-1"), LocalizedString("other")),
        description=(LocalizedString("comments-1"),), slots=tuple(slots), classifications=tuple(classified),
        externalIdentifiers=tuple(identified),
    )  # fmt: skip
    (entry,) = parse_submission(parse(as_raw([raw], [], []))).documentEntries
    return entry


@pytest.mark.parametrize("attribute", OF_KIND[ObjectKind.DOCUMENT_ENTRY], ids=lambda a: a.name)
def test_every_attribute_is_read_from_its_place(attribute: Any) -> None:
    name = attribute.name
    value = getattr(full_entry(), name)
    if name == "limitedMetadata":
        assert value is True
    elif name == "author":
        assert value == (Author(authorPerson=("author-1",)), Author(authorPerson=("author-2",)))
    elif attribute.carrier is Carrier.CLASSIFICATION:
        expected = [Code(f"{name}-{n}", "1.2.3", f"the {name}-{n}") for n in (1, 2)]
        assert value == (tuple(expected) if attribute.many else expected[0])
    else:
        assert value == ((f"{name}-1", f"{name}-2") if attribute.many else f"{name}-1")


def test_an_attribute_sent_twice_keeps_its_first_value_and_the_raw_layer_keeps_both() -> None:
    raw = RegistryObject("ExtrinsicObject", "d", slots=(Slot("hash", ("a", "b")), Slot("hash", ("c",))))
    (entry,) = parse_submission(parse(as_raw([raw], [], []))).documentEntries
    assert entry.hash == "a" and entry.raw.values("hash") == ("a", "b", "c") and entry.raw.value("hash") == "a"
    assert entry.raw.slot("size") is None and entry.raw.value("size") is None


def test_an_association_is_read() -> None:
    slots = tuple(
        Slot(n, (v,))
        for n, v in (("SubmissionSetStatus", "Original"), ("PreviousVersion", "1"), ("OriginalStatus", "o"), ("NewStatus", "n"),
                     ("AssociationPropagation", "no"))
    )  # fmt: skip
    system = (Slot("codingScheme", ("1.2",)),)
    why = Classification("c", schemes.ASSOCIATION_DOCUMENTATION, None, "a", "code", (LocalizedString("name"),), system)
    raw = RegistryObject(
        "Association", "a", status="s", associationType="t", sourceObject="x", targetObject="y", slots=slots,
        classifications=(why,),
    )  # fmt: skip
    (got,) = parse_submission(parse(as_raw([raw], [], []))).associations
    assert got == Association(got.raw, "a", "t", "x", "y", "s", "Original", "1", "o", "n", "no", (Code("code", "1.2", "name"),))
    (empty,) = read('<rim:Association id="a"/>').associations
    assert (empty.associationType, empty.sourceObject, empty.targetObject) == ("", "", "")


# --------------------------------------------------------------------------------------------------------- fragments


def test_a_stored_fragment_takes_another_slot_value() -> None:
    raw = RegistryObject("RegistryPackage", "f", classifications=(Classification("c", None, schemes.FOLDER_NODE, "f", None),))
    (folder,) = parse_submission(parse(as_raw([raw], [], []))).folders
    fragment = fragments.build_fragment(folder, status=APPROVED)
    once = fragments.with_slot_value(fragment, "lastUpdateTime", "20240101000000")
    twice = fragments.with_slot_value(once, "lastUpdateTime", "20250101000000")
    for changed, value in ((once, "20240101000000"), (twice, "20250101000000")):
        back = fragments.parse_fragment(changed)
        assert isinstance(back, Folder) and back.lastUpdateTime == value and len(back.raw.slots) == 1


def test_a_slot_of_a_nested_classification_is_not_the_objects_own() -> None:
    inner = Classification("c", schemes.DE_CLASS_CODE, None, "d", "x", (), (Slot("lastUpdateTime", ("inner",)),))
    raw = RegistryObject("ExtrinsicObject", "d", classifications=(inner,))
    (entry,) = parse_submission(parse(as_raw([raw], [], []))).documentEntries
    fragment = fragments.build_fragment(entry, status="s")
    back = fragments.parse_fragment(fragments.with_slot_value(fragment, "lastUpdateTime", "own"))
    assert back.raw.value("lastUpdateTime") == "own" and back.raw.classifications[0].values("lastUpdateTime") == ("inner",)


def test_a_fragment_without_status_is_not_one_of_ours() -> None:
    with pytest.raises(ValueError, match="status"):
        fragments.with_status(b'<rim:Association id="a"/>', APPROVED)


@pytest.mark.parametrize("character", ["\x00", "\x01", "\x0b", "\ud800", "\ufffe", "\uffff"])
def test_what_xml_cannot_hold_is_not_written(character: str) -> None:
    raw = RegistryObject("ExtrinsicObject", "d", slots=(Slot("x", (f"ab{character}",)),))
    with pytest.raises(ValueError, match="position 3"):
        fragments.build_submit_objects_request(Submission(others=(raw,)))
    with pytest.raises(ValueError, match="position 1"):
        fragments.attribute_text(character)


def test_an_answer_is_valid_by_the_schema() -> None:
    """Fragments inside a list, as ITI-18 returns them, in the order ebRIM wants."""
    entry = full_entry()
    link = fragments.build_association("urn:uuid:a", "t", "x", "y", status=APPROVED, slots={"SubmissionSetStatus": ("Original",)})
    reference = fragments.build_object_ref("urn:uuid:b", "urn:oid:1.2")
    body = b"".join((fragments.build_fragment(entry, id=UUID, status=APPROVED), link, reference))
    data = b'<lcm:SubmitObjectsRequest %s><rim:RegistryObjectList>%s</rim:RegistryObjectList></lcm:SubmitObjectsRequest>'
    root = parse(data % (NAMESPACES.encode(), body))
    assert validate(root, "SubmitObjectsRequest") == []
    answered = parse_response_objects(root[0])
    assert [e.entryUUID for e in answered.entities()] == [UUID, "urn:uuid:a"]
    assert parse_object_refs(root[0]) == (("urn:uuid:b", "urn:oid:1.2"),)
    assert answered.associations[0].submissionSetStatus == "Original"


@given(st.dictionaries(TEXT, st.lists(TEXT, max_size=2), max_size=3), SLOTS)
def test_slots_set_over_those_sent(changes: dict[str, list[str]], slots: tuple[Slot, ...]) -> None:
    """Against the obvious model: a name that is set has the new values once, every other slot stays."""
    raw = fragments.with_slots(RegistryObject("ExtrinsicObject", "d", slots=slots), changes)
    for name, values in changes.items():
        assert [s.values for s in raw.slots if s.name == name] == ([tuple(values)] if values else [])
    assert [s for s in raw.slots if s.name not in changes] == [s for s in slots if s.name not in changes]
