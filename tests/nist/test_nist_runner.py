"""The runner itself: that it reads every plan as the separate listing does, and that it finds what is wrong."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from lxml import etree

from conformance.nist import contents, message
from conformance.nist.checks import check_assertion, check_described, check_status
from conformance.nist.exceptions import read_exceptions
from conformance.nist.plan import Link, PlanError, Step, Test, read_folder
from conformance.nist.report import summary
from conformance.nist.runner import Outcome, Result
from conformance.nist.state import Memory, Record, Unresolved, first_text
from conformance.wire import QUERY, RIM, RS, SOAP, Answer, RetrievedDocument, WireError, read_answer, read_package

LIST = f"""<q:AdhocQueryResponse xmlns:q="{QUERY}" xmlns:rim="{RIM}" xmlns:rs="{RS}" status="x:Success"><rim:RegistryObjectList>
<rim:RegistryPackage id="ss" status="urn:oasis:names:tc:ebxml-regrep:StatusType:Approved">
  <rim:Classification classificationNode="{contents.SUBMISSION_SET}"/></rim:RegistryPackage>
<rim:ExtrinsicObject id="de" objectType="stable" status="urn:oasis:names:tc:ebxml-regrep:StatusType:Approved"/>
<rim:Association sourceObject="ss" targetObject="de" associationType="{contents.HAS_MEMBER}"/>
</rim:RegistryObjectList></q:AdhocQueryResponse>"""


@pytest.fixture(scope="module")
def tests(shared: Path) -> dict[str, Test]:
    return read_folder(shared / "data" / "nist")


def test_every_plan_is_read_as_the_listing_has_it(tests: dict[str, Test], shared: Path) -> None:
    """`expected.tsv` was made by other hands: the same steps, with the same kind, status and error code."""
    with (shared / "data" / "nist" / "expected.tsv").open(encoding="utf-8", newline="") as file:
        listed = [
            (r["test"], r["section"] or ".", r["step"], r["transaction"], r["expected_status"], r["expected_error_code"])
            for r in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        ]
    kinds = {"None": "None"}
    read = [
        (t.name, s.name, p.id, kinds.get(p.kind, f"{p.kind}Transaction"), ",".join(p.statuses), p.error_code)
        for t in tests.values()
        for s in t.sections
        for p in s.steps
    ]
    assert sorted(read) == sorted(listed)


def test_every_listed_exception_is_a_step(tests: dict[str, Test]) -> None:
    steps = {f"{t.name}/{s.name}/{p.id}" for t in tests.values() for s in t.sections for p in s.steps}
    assert set(read_exceptions().steps) <= steps


def test_no_section_comes_before_what_it_asks_for(tests: dict[str, Test]) -> None:
    for test in tests.values():
        order = [section.name for section in test.sections]
        for section, _, link in test.all_links:
            if not link.test and link.section in order:
                assert order.index(link.section) <= order.index(section), f"{test.name}/{section}: {link}"


def test_without_a_listing_sections_are_ordered_by_what_they_ask(tmp_path: Path) -> None:
    """Alphabetical order would be wrong here."""
    ask = '<UseId testdir="../{}" id="D" symbol="$x" step="s" section="AssignedUids"/>'
    feed = "<PatientIdentityFeedTransaction/>"
    for name, inner in {
        "a": f"<RegisterTransaction>{ask.format('z')}</RegisterTransaction>",
        "m": feed,
        "z": "<RegisterTransaction/>",
    }.items():
        folder = tmp_path / "T" / name
        folder.mkdir(parents=True)
        plan = f'<TestPlan><TestStep id="s"><ExpectedStatus>Success, Failure</ExpectedStatus>{inner}</TestStep></TestPlan>'
        (folder / "testplan.xml").write_text(plan, encoding="utf-8")
    test = read_folder(tmp_path)["T"]
    assert [s.name for s in test.sections] == ["m", "z", "a"]
    assert test.sections[0].steps[0].statuses == ("Success", "Failure")
    assert [link.symbol for _, _, link in test.all_links] == ["$x$"]
    assert list(read_folder(tmp_path / "T")) == ["T"]


def test_the_order_of_a_listing_or_a_description_is_kept(tmp_path: Path) -> None:
    """`index.idx` of the test before `expected.tsv` of the folder before its `INDEX.md`."""
    for name in "abc":
        (tmp_path / "T" / name).mkdir(parents=True)
        (tmp_path / "T" / name / "testplan.xml").write_text('<TestPlan><TestStep id="s"/></TestPlan>', encoding="utf-8")
    for file, content, order in (
        ("INDEX.md", "### tests/T\n\nWords.\n\n- `c` s\n- `c` t\n- `a` s\n- `b` s\n## Other\n- `x` y\n", "cab"),
        ("expected.tsv", "test\tsection\nT\tb\nT\tb\nT\ta\nT\tc\n", "bac"),
        ("T/index.idx", "c\nb\na\n", "cba"),
    ):
        (tmp_path / file).write_text(content, encoding="utf-8")
        assert "".join(section.name for section in read_folder(tmp_path)["T"].sections) == order


def test_an_unreadable_plan_is_named(tmp_path: Path) -> None:
    (tmp_path / "T").mkdir()
    (tmp_path / "T" / "testplan.xml").write_text("<TestPlan>", encoding="utf-8")
    with pytest.raises(PlanError, match=r"testplan\.xml"):
        read_folder(tmp_path)


def words(text: str, body: str = LIST) -> list[str]:
    expected = etree.fromstring(f"<ExpectedContents>{text}</ExpectedContents>")
    return list(contents.check(expected, etree.fromstring(body), lambda e: e.get("named", "")))


@pytest.mark.parametrize(
    "text",
    [
        "<SSwithOneDoc/><DocApp/><SSApproved/><OneDocApp/>",
        "<SSwithOneDocOnly/>",
        '<Documents count="1"/><Folders count="0"/><Associations count="1"/><SubmissionSets count="1"/><ObjectRefs count="0"/>',
        '<DocumentEntries><MustOnlyInclude><DocumentEntry named="de"/></MustOnlyInclude></DocumentEntries>',
    ],
)
def test_contents_that_hold(text: str) -> None:
    assert words(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "<SSwithTwoDoc/>",
        "<SSwithOneDocOneFol/>",
        "<DocDep/>",
        "<OneDocDep/>",
        "<HasRPLC/>",
        "<DocRplcDoc/>",
        "<None/>",
        "<NoDocument/>",
        "<NoSubmissionSet/>",
        '<Documents count="2"/>',
        '<ObjectRefs count="1"/>',
        "<WordOfTomorrow/>",
        '<DocumentEntries><Include><DocumentEntry named="other"/></Include></DocumentEntries>',
        "<DocumentEntries><MustOnlyInclude/></DocumentEntries>",
        '<DocumentEntries><Include><DocumentEntry named="de"><DocumentEntryType>x</DocumentEntryType></DocumentEntry></Include>'
        "</DocumentEntries>",
    ],
)
def test_contents_that_do_not_hold(text: str) -> None:
    assert words(text)


def test_a_link_that_is_missing_is_seen() -> None:
    assert words("<SSwithOneDoc/>", LIST.replace('targetObject="de"', 'targetObject="other"'))


FAULT = f'<s:Envelope xmlns:s="{SOAP}"><s:Body><s:Fault/></s:Body></s:Envelope>'.encode()


def answer(status: str, *errors: str) -> Answer:
    found = "".join(f'<rs:RegistryError errorCode="{e}" codeContext="told" severity="x:Error"/>' for e in errors)
    text = f'<s:Envelope xmlns:s="{SOAP}"><s:Body><rs:RegistryResponse xmlns:rs="{RS}" status="x:{status}">{found}'
    return read_answer(200, "application/soap+xml", (text + "</rs:RegistryResponse></s:Body></s:Envelope>").encode())


def step(status: str, code: str = "", text: str = "") -> Step:
    return Step("s", tuple(status.split()), code, text, False, False, None)


@pytest.mark.parametrize(
    ("wanted", "given", "right"),
    [
        (step("Success"), answer("Success"), True),
        (step("Success"), answer("Failure", "X"), False),
        (step("Success PartialSuccess"), answer("PartialSuccess", "X"), True),
        (step("Failure"), answer("Failure"), False),
        (step("Failure", "X"), answer("Failure", "Y", "X"), True),
        (step("Failure", "X"), answer("Failure", "Y"), False),
        (step("Failure", "X or Z"), answer("Failure", "Z"), True),
        (step("Failure", "", "tol"), answer("Failure", "Y"), True),
        (step("Failure", "", "untold"), answer("Failure", "Y"), False),
        (step("Success"), answer("Success", "X"), False),
        (step("Failure"), read_answer(500, "application/soap+xml", FAULT), False),
        (step("Fault"), read_answer(500, "application/soap+xml", FAULT), True),
    ],
)
def test_status_codes_and_texts(wanted: Step, given: Answer, right: bool) -> None:
    assert (not list(check_status(wanted, given))) is right


def test_assertions_see_the_log() -> None:
    log = etree.fromstring('<TestResults><TestStep id="q"><T><Result><x/></Result></T></TestStep></TestResults>')
    assert list(check_assertion("a", "count(//TestStep[@id='q']//x) = 1", "", log)) == []
    for xpath, process in (("count(//x) = 2", ""), ("count(", ""), ("true()", "equalsIgnoreCase")):
        assert list(check_assertion("a", xpath, process, log))


def test_documents_are_compared_with_what_describes_them() -> None:
    entry = (
        f'<l xmlns:rim="{RIM}"><rim:ExtrinsicObject mimeType="text/plain"><rim:Slot name="hash"><rim:ValueList><rim:Value>'
        "AAF4C61DDCC5E8A2DABEDE0F3B482CD9AEA9434D</rim:Value></rim:ValueList></rim:Slot><rim:Slot name='size'><rim:ValueList>"
        "<rim:Value>5</rim:Value></rim:ValueList></rim:Slot><rim:ExternalIdentifier value='1.2' identificationScheme="
        "'urn:uuid:2e82c1f6-a085-4c72-9da3-8640a32e42ab'/></rim:ExtrinsicObject></l>"
    )
    described = etree.fromstring(entry)
    assert list(check_described({"1.2": RetrievedDocument("r", "text/plain", b"hello")}, described)) == []
    assert list(check_described({"1.2": RetrievedDocument("r", "text/plain", b"hallo")}, described))
    assert list(check_described({"1.2": RetrievedDocument("r", "text/xml", b"hello")}, described))


SUBMISSION = f"""<l:SubmitObjectsRequest xmlns:l="urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0" xmlns:rim="{RIM}">
<rim:RegistryObjectList><rim:ExtrinsicObject id="D"><rim:Slot name="a"><rim:ValueList><rim:Value>$x$</rim:Value></rim:ValueList>
</rim:Slot><rim:Slot name="b"><rim:ValueList><rim:Value>$open$</rim:Value></rim:ValueList></rim:Slot>
<rim:ExternalIdentifier registryObject="D" value="D" identificationScheme="urn:uuid:2e82c1f6-a085-4c72-9da3-8640a32e42ab"/>
<rim:ExternalIdentifier registryObject="D" value="$p$" identificationScheme="urn:uuid:58a6f841-87b3-4a3e-92fd-a8ffeff98427"/>
</rim:ExtrinsicObject><rim:Association id="A" sourceObject="D" targetObject="$x$"/></rim:RegistryObjectList>
</l:SubmitObjectsRequest>"""


def test_a_submission_is_prepared() -> None:
    prepared = message.Prepared(message.payload_of(message.parse(SUBMISSION.encode())))
    message.assign_unique_ids(prepared, message.Oids(), set(), False)
    message.substitute(prepared.payload, {"$x$": "urn:uuid:1", "$p$": "P"})
    message.assign_patients(prepared, None)
    message.assign_uuids(prepared, True)
    message.drop_unresolved_slots(prepared.payload)
    assert prepared.uids["D"].startswith("1.2.42.") and prepared.patients == {"D": "P"}
    association = prepared.payload.find(f".//{{{RIM}}}Association")
    assert association is not None
    assert association.get("sourceObject") == prepared.uuids["D"] and association.get("targetObject") == "urn:uuid:1"
    assert [slot.get("name") for slot in prepared.payload.iter(f"{{{RIM}}}Slot")] == ["a"]
    other = message.Prepared(message.parse(SUBMISSION.encode()))
    message.assign_patients(other, "Q")
    assert other.patients == {"D": "Q"}


def test_a_kept_unique_id_stays() -> None:
    prepared = message.Prepared(message.parse(SUBMISSION.encode()))
    message.assign_unique_ids(prepared, message.Oids(), {"D"}, False)
    assert prepared.uids == {"D": "D"}


def test_a_raw_body_changes_in_its_identifiers_only() -> None:
    before = SUBMISSION.encode() + b"\r\n--b--\r\n"
    after = message.renew_raw(before, message.Oids(), "7^^^&1.2&ISO")
    assert b'value="7^^^&amp;1.2&amp;ISO"' in after and b'value="D"' not in after
    assert message.renew_raw(b"<x value='D'/>", message.Oids(), "p") == b"<x value='D'/>"
    own, scheme = b"urn:uuid:05ae92ff-4b5a-443c-832d-eb15ea538020", b"urn:uuid:a54d6aa5-d40d-43f9-88c5-b4633d873bdd"
    raw = b"<a id='%s'/><b registryObject='%s' classificationNode='%s'/>" % (own, own, scheme)
    renewed = message.renew_raw(raw, message.Oids(), "p")
    assert len(renewed) == len(raw) and own not in renewed and renewed.count(renewed[7:52]) == 2 and scheme in renewed


def test_values_of_earlier_steps() -> None:
    memory = Memory()
    record = Record(uids={"D": "1.2"}, uuids={"D": "urn:uuid:1"}, patients={"D": "P"}, log=etree.fromstring("<s><t a='v'/></s>"))
    record.answer = answer("Success")
    memory.keep("T", "s", step("Success"), record)

    def ask(table: str, name: str, test: str = "") -> str:
        return memory.value("T", Link("$x$", test, "s", "s", table, name))

    assert (ask("AssignedUids", "D"), ask("AssignedUuids", "D"), ask("AssignedPatientId", "D")) == ("1.2", "urn:uuid:1", "P")
    assert (ask("Report", "D_uid"), ask("Report", "$patientid$")) == ("1.2", "P")
    assert (ask("XPath", "t/@a"), ask("Value", "w")) == ("v", "w")
    for table, name in (("AssignedUids", "E"), ("Report", "no"), ("Odd", "D"), ("ObjectRef", "0")):
        with pytest.raises(Unresolved):
            ask(table, name)
    with pytest.raises(Unresolved):
        ask("AssignedUids", "D", "other")
    assert first_text(etree.fromstring("<a><b> x </b><b>y</b></a>"), "//b") == "x"
    assert first_text(etree.fromstring("<a/>"), "//b") is None


XOP_TYPE = 'multipart/related; boundary=b; type="application/xop+xml"'
ROOT_PART = b"--b\r\nContent-ID: <r>\r\n\r\nx\r\n"


def test_a_package_is_read() -> None:
    content = b"\r\n" + ROOT_PART + b"--b\r\nContent-ID: <q>\r\n\r\n\r\n--x\r\n\r\n--b--\r\n"
    assert read_package(XOP_TYPE, content) == (b"x", {"q": b"\r\n--x\r\n"})


@pytest.mark.parametrize(
    ("content_type", "content"),
    [
        ('multipart/related; type="application/xop+xml"', ROOT_PART + b"--b--"),
        (XOP_TYPE, ROOT_PART),
        (XOP_TYPE, b"--b\r\n\r\nx\r\n--b--"),
        (XOP_TYPE, ROOT_PART + ROOT_PART + b"--b--"),
        ('multipart/related; boundary=b; type="text/xml"', ROOT_PART + b"--b--"),
        (XOP_TYPE + '; start="<q>"', ROOT_PART + b"--b--"),
    ],
)
def test_a_package_that_departs_from_the_standard_is_refused(content_type: str, content: bytes) -> None:
    with pytest.raises(WireError):
        read_package(content_type, content)


NO_FRENCH = 'step = "a/b/c"\nreason = "x"\nsection = "ITI TF-3: 4.2"'


def test_the_departures_are_listed_with_their_sections(tmp_path: Path) -> None:
    exceptions = read_exceptions()
    assert exceptions.not_yet
    for reason in (*(reason for _, reason in exceptions.steps.values()), exceptions.not_yet["XCQ"], exceptions.not_yet["Gather"]):
        assert exceptions.in_french(reason) not in ("", reason)
    assert exceptions.in_french("a/b/c: follows ITI-38, the XCA gateways") == "a/b/c : suit ITI-38, les passerelles XCA"
    for entry in (
        'step = "a/b"',
        'step = "a/b/c"\nreason = "x"',
        'step = "a/b/c"\nreason = "x"\nsection = "somewhere"',
        NO_FRENCH,
    ):
        bad = tmp_path / "bad.toml"
        bad.write_text(f"[[exception]]\n{entry}\n", encoding="utf-8")
        with pytest.raises(ValueError, match="needs step"):
            read_exceptions(bad)


def test_the_summary_counts() -> None:
    outcomes = [Outcome.PASSED, Outcome.FAILED, Outcome.STALE, Outcome.EXCEPTED, Outcome.NOT_YET]
    results = [Result(f"T/s/{o.name}", "Register", o, [], o is not Outcome.NOT_YET) for o in outcomes]
    lines = list(summary(results))
    assert lines[-2].startswith("4 steps need ITI-41, ITI-42, ITI-18 or ITI-43 alone: 1 pass, 1 are listed exceptions, 2 fail")
    assert lines[-1].startswith("1 passed, 2 failed, 1 exceptions, 1 not yet")
