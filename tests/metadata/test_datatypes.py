"""Each grammar of the metadata: right values, and wrong ones with what is said about them (ITI TF-3: Table 4.2.3.1.7-2)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from metadata import datatypes
from metadata.datatypes import (
    CX,
    OID,
    TYPES,
    XCN,
    XON,
    XTN,
    AssigningAuthority,
    CodedString,
    CXi,
    DataType,
    DataTypeError,
    Field,
    Recipient,
    canonical_cx,
    dtm_bounds,
    escape,
    pad_dtm,
    problem_with,
    unescape,
)

T = DataType
UUID_URN = "urn:uuid:7edca82f-054d-47f2-a032-9b2a5b5186c1"
ISO = "&1.2.250.1.71.4.2.1&ISO"

RIGHT: dict[DataType, list[str]] = {
    T.OID: ["1.2", "0.9.2342", "2.16.840.1.113883.6.1", "1." + "2" * 62, "2.25.329800735698586629295641978511506172918"],
    T.HOME_COMMUNITY_ID: ["urn:oid:1.2.250.1.213.1.4", "urn:oid:0.1"],
    T.UUID: [UUID_URN, "urn:uuid:00000000-0000-0000-0000-000000000000"],
    T.URI: ["DOC0001.XML", "IHE_XDM/SUBSET01/DOCUM-01.XML", "http://example.org/a?b=c#d", "a%20b", "x" * 256],
    T.IDENTIFIER: ["1.2.3", "1.2.3^x-17", UUID_URN, "http://example.org/doc/1", "Document 01", "é", "x" * 256],
    T.DTM: ["2024", "202402", "20240229", "2024022923", "202402292359", "20240229235959", "00010101"],
    T.INTEGER: ["0", "1", "0004096", "+7", "9223372036854775807"],
    T.SHA1: ["da39a3ee5e6b4b0d3255bfef95601890afd80709", "DA39A3EE5E6B4B0D3255BFEF95601890AFD80709"],
    T.MIME_TYPE: ["text/xml", "application/pdf", "application/fhir+json", "x-foo/bar", "multipart/related", "image/svg+xml"],
    T.LANGUAGE: ["fr", "fr-FR", "EN-us", "zh-Hans-CN", "sl-rozaj-biske", "es-419", "de-CH-1996", "x-whatever", "i-klingon"],
    T.STATUS: ["urn:oasis:names:tc:ebxml-regrep:StatusType:Approved", "urn:oasis:names:tc:ebxml-regrep:StatusType:Deprecated"],
    T.ASSOCIATION_TYPE: ["urn:ihe:iti:2007:AssociationType:signs", "urn:oasis:names:tc:ebxml-regrep:AssociationType:HasMember"],
    T.DOCUMENT_AVAILABILITY: ["urn:ihe:iti:2010:DocumentAvailability:Online", "urn:ihe:iti:2010:DocumentAvailability:Offline"],
    T.CX: ["IPP1001^^^&1.2.250.1.71.4.2.7&ISO", "a b^^^&1.2&ISO", "O\\T\\1^^^&1.2&ISO", "é'%_^^^&1.2&ISO"],
    T.CXI: [
        "2013001^^^&1.2.3.4&ISO^urn:ihe:iti:xds:2013:accession",
        "1.2.3^^^^urn:ihe:iti:xds:2016:studyInstanceUID",
        "7^^^NAMESPACE^urn:ihe:iti:xds:2013:order",
        "7^^^&example.org&DNS^urn:ihe:iti:xds:2013:referral",
        "7^^^&1.2.3&ISO^urn:example:mine",
        "ext^^^&1.2.3&ISO^urn:ihe:iti:xds:2013:uniqueId",
    ],
    T.XCN: ["^Martin", "899900063480", f"899900063480^MARTIN^ANNE^^^^^^{ISO}", "^O\\S\\Neil^Anne^^^Dr", "^Smith&Van", "1^Welby^"],
    T.XON: ["Hospital", f"Hospital^^^^^{ISO}^^^^1101", "Hospital^^^^^^^^^1.2.250.1.71.4.2.2.1101", f"H^^^^^{ISO}^IDNST^^^1"],
    T.XTN: ["^^Internet^anne@example.org", "^NET^Internet^anne@example.org", "^PRN^PH^^33^1^23456789", "^^CP^^^^0612345678^12"],
    T.CODED_STRING: ["surgeon", "a ^ b & c", "G15_10^^^&1.2.250.1.213.1.1.4.5&ISO", "10^Médecin^1.2.250"],
    T.FIELD: ["PID-5|DUPONT^Marie^^^", "PID-3|1^^^&1.2&ISO~2^^^&1.2&ISO", "PID-7|19560527", "PID-39|x"],
    T.RECIPIENT: ["Hospital", "|^Welby^Marcus", "||^^Internet^a@b.c", "Hospital|^Welby|^^Internet^a@b.c", "Hospital|"],
}

#: Type, wrong value, a piece of what is said about it.
WRONG: list[tuple[DataType, str, str]] = [
    (T.OID, "1", "only one arc"),
    (T.OID, "1.02.3", "leading zero"),
    (T.OID, "1..2", "arc of the OID is empty"),
    (T.OID, "1.2.", "arc of the OID is empty"),
    (T.OID, "urn:oid:1.2.3", "prefix urn:oid:"),
    (T.OID, "1." + "2" * 63, "65 characters"),
    (T.OID, "hospital", "not an OID"),
    (T.OID, "1.2.٣", "not an OID"),
    (T.HOME_COMMUNITY_ID, "1.2.3", "lacks the prefix"),
    (T.HOME_COMMUNITY_ID, "urn:oid:1.02", "leading zero"),
    (T.HOME_COMMUNITY_ID, "urn:oid:", "empty"),
    (T.HOME_COMMUNITY_ID, "home", "not an OID in URN form"),
    (T.UUID, UUID_URN.upper(), "lower case"),
    (T.UUID, UUID_URN[9:], "lacks the prefix"),
    (T.UUID, "urn:uuid:7edca82f", "not a UUID"),
    (T.UUID, "urn:uuid:7edca82f-054d-47f2-a032-9b2a5b5186c1a", "not a UUID"),
    (T.UUID, "Document01", "not a UUID in URN form"),
    (T.URI, "my file.xml", "cannot hold ' '"),
    (T.URI, "a%2", "percent sign"),
    (T.URI, "1|http://example.org/", "numbered pieces"),
    (T.URI, "x" * 257, "257 characters"),
    (T.URI, "é.xml", "cannot hold 'é'"),
    (T.IDENTIFIER, " 1.2.3", "begins or ends with a blank"),
    (T.IDENTIFIER, "1.2\n.3", "control character U+000A at position 4"),
    (T.IDENTIFIER, "x" * 257, "257 characters"),
    (T.DTM, "20240230", "2024-02 has no day 30"),
    (T.DTM, "20230229", "2023-02 has no day 29"),
    (T.DTM, "19000229", "1900-02 has no day 29"),
    (T.DTM, "20241301", "no month 13"),
    (T.DTM, "20240132", "no day 32"),
    (T.DTM, "2024010124", "no hour 24"),
    (T.DTM, "202401012360", "no minute 60"),
    (T.DTM, "20240101235960", "no second 60"),
    (T.DTM, "20240131101500.123", "fraction"),
    (T.DTM, "20240131101500+0100", "zone"),
    (T.DTM, "202401311", "9 digits"),
    (T.DTM, "2024-01-31", "other than digits"),
    (T.DTM, "0000", "year 0000"),
    (T.DTM, "٢٠٢٤", "other than digits"),
    (T.INTEGER, "-1", "negative"),
    (T.INTEGER, "1.5", "not a whole number"),
    (T.INTEGER, "9223372036854775808", "greater than"),
    (T.INTEGER, "1" * 5000, "greater than"),
    (T.INTEGER, "0x10", "not a whole number"),
    (T.SHA1, "da39a3ee", "8 hex digits"),
    (T.SHA1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "SHA-256"),
    (T.SHA1, "g" * 40, "not hexadecimal"),
    (T.MIME_TYPE, "text/xml; charset=UTF-8", "parameters"),
    (T.MIME_TYPE, "xml", "slash"),
    (T.MIME_TYPE, "text/", "not a MIME type"),
    (T.MIME_TYPE, "te xt/xml", "not a MIME type"),
    (T.LANGUAGE, "fr_FR", "'_'"),
    (T.LANGUAGE, "french language", "not a language tag"),
    (T.LANGUAGE, "f", "not a language tag"),
    (T.LANGUAGE, "fr-", "not a language tag"),
    (T.STATUS, "Approved", "not a status"),
    (T.STATUS, "urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Approved", "ResponseStatusType"),
    (T.ASSOCIATION_TYPE, "RPLC", "whole URN"),
    (T.ASSOCIATION_TYPE, "urn:ihe:iti:2007:AssociationType:Signs", "not an association type"),
    (T.DOCUMENT_AVAILABILITY, "Online", "not a document availability"),
    (T.CX, "^^^&1.2&ISO", "no id in component 1"),
    (T.CX, "1", "no assigning authority"),
    (T.CX, "1^^^Hospital&1.2&ISO", "namespace 'Hospital'"),
    (T.CX, "1^^^Hospital", "not of the form &OID&ISO"),
    (T.CX, "1^^^&1.2&DNS", "'DNS', not ISO"),
    (T.CX, "1^^^&hospital&ISO", "'hospital' in the assigning authority is not an OID"),
    (T.CX, "1^2^^&1.2&ISO", "component 2 of the CX must be empty"),
    (T.CX, "1^^^&1.2&ISO^PI", "component 5 of the CX must be empty"),
    (T.CX, "1^^^&1.2&ISO^", "separators after its last component"),
    (T.CX, "1&2^^^&1.2&ISO", "cannot hold '&'"),
    (T.CX, "1|2^^^&1.2&ISO", "cannot hold '|'"),
    (T.CX, "1~2^^^&1.2&ISO", "cannot hold '~'"),
    (T.CX, "1^^^&amp;1.2&amp;ISO", "escaped twice"),
    (T.CX, "1\\H\\^^^&1.2&ISO", "backslash"),
    (T.CX, "1^^^&1.2&ISO ", "blank"),
    (T.CXI, "1^^^&1.2&ISO", "no identifier type"),
    (T.CXI, "^^^&1.2&ISO^urn:x", "no id"),
    (T.CXI, "1^2^^&1.2&ISO^urn:x", "component 2"),
    (T.CXI, "1^^^^urn:ihe:iti:xds:2013:order", "needs an assigning authority"),
    (T.CXI, "1^^^^urn:ihe:iti:xds:2013:referral", "needs an assigning authority"),
    (T.CXI, "1^^^^urn:ihe:iti:xds:2015:encounterId", "needs an assigning authority"),
    (T.CXI, "1^^^&hospital&ISO^urn:x", "not an OID"),
    (T.CXI, "1^^^&1.2^urn:x", "no type"),
    (T.CXI, "1^^^&&ISO^urn:x", "neither namespace nor universal id"),
    (T.CXI, "1^^^a&b&c&d^urn:x", "more than three parts"),
    (T.CXI, "1^^^&1.2&ISO^urn:x^home", "component 6"),
    (T.XCN, "^^Anne", "neither an id"),
    (T.XCN, f"^Martin^^^^^^^{ISO}", "no id"),
    (T.XCN, "1^Martin^^^^^^^Hospital", "not of the form &OID&ISO"),
    (T.XCN, "^" * 23 + "x", "24 components"),
    (T.XCN, "^A|B", "cannot hold '|'"),
    (T.XON, "^^^^^^^^^1", "no name"),
    (T.XON, "Hospital^^^^^^^^^1101", "not an OID and has no assigning authority"),
    (T.XON, "Hospital^L", "component 2"),
    (T.XON, "Hospital^^^^^&x&ISO^^^^1", "not an OID"),
    (T.XON, "Hospital^^^^^^IDNST", "component 7"),
    (T.XON, "Hospital^^^^^^^^^1.2^x", "component 11"),
    (T.XTN, "0123456789", "no equipment type"),
    (T.XTN, "^NET^Internet^anne", "not an e-mail address"),
    (T.XTN, "^PRN^Internet^a@b.c", "NET or empty"),
    (T.XTN, "^NET^Internet^a@b.c^33", "component 5"),
    (T.XTN, "^PRN^PH^^33^1", "no local number"),
    (T.XTN, "^PRN^PH^a@b.c^^^1", "component 4"),
    (T.XTN, "^PRN^Pigeon^^^^1", "'Pigeon'"),
    (T.CODED_STRING, "^^^&1.2&ISO", "no code"),
    (T.CODED_STRING, "a^b^^&1.2&ISO", "code^^^&OID&ISO"),
    (T.CODED_STRING, "a^^^&x&ISO", "not an OID"),
    (T.FIELD, "DUPONT^Marie", "does not begin with PID-"),
    (T.FIELD, "PID-0|x", "does not begin with PID-"),
    (T.FIELD, "PID-40|x", "no field 40"),
    (T.FIELD, "PID-7|", "no value"),
    (T.FIELD, "PID-7|1956|F", "second '|'"),
    (T.FIELD, "PV1-2|I", "does not begin with PID-"),
    (T.RECIPIENT, "||", "names neither"),
    (T.RECIPIENT, "a|^b|^^Internet^c@d.e|f", "4 parts"),
    (T.RECIPIENT, "|^^Anne", "in the person of the recipient"),
    (T.RECIPIENT, "^x", "in the organization of the recipient"),
    (T.RECIPIENT, "||0123", "in the telecommunication of the recipient"),
]

#: The types that have a function which reads them.
PARSERS = {
    T.OID: datatypes.parse_oid,
    T.HOME_COMMUNITY_ID: datatypes.parse_home_community_id,
    T.UUID: datatypes.parse_uuid,
    T.URI: datatypes.parse_uri,
    T.IDENTIFIER: datatypes.parse_identifier,
    T.DTM: datatypes.parse_dtm,
    T.INTEGER: datatypes.parse_integer,
    T.SHA1: datatypes.parse_sha1,
    T.MIME_TYPE: datatypes.parse_mime_type,
    T.LANGUAGE: datatypes.parse_language,
    T.CX: datatypes.parse_cx,
    T.CXI: datatypes.parse_cxi,
    T.XCN: datatypes.parse_xcn,
    T.XON: datatypes.parse_xon,
    T.XTN: datatypes.parse_xtn,
    T.CODED_STRING: datatypes.parse_coded_string,
    T.FIELD: datatypes.parse_field,
    T.RECIPIENT: datatypes.parse_recipient,
}


def test_every_grammar_has_right_and_wrong_values() -> None:
    assert set(RIGHT) == set(TYPES) == {t for t, _, _ in WRONG}
    assert set(DataType) - set(TYPES) == {T.AUTHOR, T.CODE, T.FLAG, T.STRING}, "structures of ebRIM and any text"


@pytest.mark.parametrize(("data_type", "text"), [(t, v) for t, values in RIGHT.items() for v in values])
def test_right(data_type: DataType, text: str) -> None:
    assert problem_with(data_type, text) is None
    if data_type in PARSERS:
        PARSERS[data_type](text)


@pytest.mark.parametrize(("data_type", "text", "said"), WRONG)
def test_wrong(data_type: DataType, text: str, said: str) -> None:
    problem = problem_with(data_type, text)
    assert problem is not None and said in problem
    assert not problem.endswith("."), "a rule adds the full stop"
    if data_type in PARSERS:
        with pytest.raises(DataTypeError) as caught:
            PARSERS[data_type](text)
        assert caught.value.message == problem
        assert caught.value.remedy == TYPES[data_type].remedy
        assert str(caught.value) == f"{problem}. {TYPES[data_type].remedy}"


@pytest.mark.parametrize("data_type", TYPES, ids=lambda t: t.name)
@pytest.mark.parametrize("text", ["", " ", "\t", "\x00", "a\x7fb", "\n"])
def test_nothing_and_control_characters_are_refused_by_all(data_type: DataType, text: str) -> None:
    assert problem_with(data_type, text)


@pytest.mark.parametrize("data_type", [T.AUTHOR, T.CODE, T.FLAG, T.STRING], ids=lambda t: t.name)
def test_types_without_a_grammar_of_text_find_no_fault(data_type: DataType) -> None:
    assert problem_with(data_type, "anything") is None


@pytest.mark.parametrize("data_type", TYPES, ids=lambda t: t.name)
@given(text=st.text(max_size=40) | st.text("^&|~\\.12 urnoiduISO@", max_size=40))
def test_no_text_breaks_a_grammar_and_parser_and_problem_agree(data_type: DataType, text: str) -> None:
    problem = problem_with(data_type, text)
    assert problem is None or problem
    if data_type in PARSERS:
        try:
            PARSERS[data_type](text)
        except DataTypeError:
            assert problem is not None
        else:
            assert problem is None


# ------------------------------------------------------------------------------------------------------- values read


def test_the_parts_of_what_is_read() -> None:
    authority = AssigningAuthority("", "1.2.3", "ISO")
    assert datatypes.parse_oid("1.2.3") == OID("1.2.3") and OID("1.2.3").urn == "urn:oid:1.2.3"
    assert datatypes.parse_home_community_id("urn:oid:1.2.3") == OID("1.2.3")
    assert datatypes.parse_cx("a\\T\\b^^^&1.2.3&ISO") == CX("a&b", "1.2.3")
    assert CX("a&b", "1.2.3").text == "a\\T\\b^^^&1.2.3&ISO"
    assert datatypes.parse_cxi("7^^^&1.2.3&ISO^urn:x") == CXi("7", authority, "urn:x")
    assert datatypes.parse_xcn("7^Smith&Van^Anne^M^Jr^Dr^MD^^&1.2.3&ISO") == XCN(
        "7", "Smith", "Anne", "M", "Jr", "Dr", "MD", authority
    )
    assert datatypes.parse_xon("Hospital^^^^^&1.2.3&ISO^^^^7") == XON("Hospital", "7", authority)
    assert datatypes.parse_xtn("^NET^Internet^a@b.c") == XTN("NET", "Internet", "a@b.c")
    assert datatypes.parse_xtn("^PRN^PH^^33^1^23^4") == XTN("PRN", "PH", "", "33", "1", "23", "4")
    assert datatypes.parse_coded_string("x^^^&1.2.3&ISO") == CodedString("x", "1.2.3")
    assert datatypes.parse_coded_string("plain ^ text") == CodedString("plain ^ text")
    assert datatypes.parse_field("PID-3|a~b") == Field(3, ("a", "b"))
    assert datatypes.parse_recipient("|^Welby") == Recipient(None, XCN(family="Welby"), None)
    assert datatypes.parse_sha1("AB" * 20).value == "ab" * 20
    assert datatypes.parse_integer("+0042") == 42


def test_a_type_code_of_a_cx_passes_where_national_rules_have_it() -> None:
    text = "1^^^&1.2.3&ISO^PI"
    assert datatypes.problem_with_cx(text, type_code=True) is None
    assert datatypes.parse_cx(text, type_code=True).type == "PI"
    assert canonical_cx(text) == canonical_cx("1^^^&1.2.3&ISO") == "1^^^&1.2.3&ISO"


@given(st.text(max_size=30))
def test_escaping_is_undone(text: str) -> None:
    assert unescape(escape(text)) == text
    assert not set(escape(text)) & set("|^~&")


@given(st.text(min_size=1, max_size=30), st.lists(st.integers(0, 10**6), min_size=2, max_size=6))
def test_what_a_cx_writes_it_reads(id: str, arcs: list[int]) -> None:
    cx = CX(id, ".".join(map(str, arcs)))
    assume(problem_with(T.CX, cx.text) is None)
    assert datatypes.parse_cx(cx.text) == cx


@given(st.datetimes(min_value=datetime(1, 1, 1), max_value=datetime(9998, 12, 31)), st.sampled_from([4, 6, 8, 10, 12, 14]))
def test_the_bounds_of_a_time_are_its_first_and_last_second(moment: datetime, digits: int) -> None:
    """Against the calendar of the Python library: the second after the last one belongs to another value."""
    stamp = f"{moment.year:04d}{moment:%m%d%H%M%S}"
    text = stamp[:digits]
    assert problem_with(T.DTM, text) is None
    first, last = dtm_bounds(text)
    assert first <= int(stamp) <= last and pad_dtm(text) == first

    def at(number: int) -> datetime:
        return datetime.strptime(f"{number:014d}", "%Y%m%d%H%M%S").replace(tzinfo=UTC)

    following = at(last) + timedelta(seconds=1)
    assert not f"{following.year:04d}{following:%m%d%H%M%S}".startswith(text)
    assert f"{at(first).year:04d}{at(first):%m%d%H%M%S}".startswith(text)
    assert (datatypes.parse_dtm(text).first, datatypes.parse_dtm(text).last) == (first, last)
    names = {4: "year", 6: "month", 8: "day", 10: "hour", 12: "minute", 14: "second"}
    assert datatypes.parse_dtm(text).precision == names[digits]


@given(st.from_regex(r"[0-9]{1,15}", fullmatch=True))
def test_a_time_is_right_exactly_when_the_calendar_knows_it(text: str) -> None:
    padded = text + "00000101000000"[len(text) :] if len(text) in (4, 6, 8, 10, 12, 14) else "x"
    try:
        datetime.strptime(padded, "%Y%m%d%H%M%S")
        known = not padded.endswith("60") and not padded.endswith("61")  # strptime reads leap seconds
    except ValueError:
        known = False
    assert (problem_with(T.DTM, text) is None) == known
