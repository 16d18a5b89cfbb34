"""The lint of messages of the DMP about a record: what the server would refuse, each at its place; answers; the schema."""

from __future__ import annotations

import pytest
from lxml import etree

from conformance.check import check_octets
from conformance.check_result import Checked
from schemas.validate import DMP_ROOTS, XSD_FOLDER, validate
from soap.body.gdp import Attention, Found, build_accepted, build_found, build_refused, parse_record_request
from tests.conformance import files
from tests.proof import dmp_messages as m
from tests.registry.test_dmp_patients import FRESH, WRONG


def checked(text: str, action: str = "") -> Checked:
    name = etree.QName(etree.fromstring(text)).localname
    return check_octets(files.envelope(text, action or f"{m.V3}:{name}").encode())


@pytest.mark.parametrize("text", [m.opening(FRESH), m.closing(FRESH), m.reactivating(FRESH), m.modifying(FRESH),
                                  m.question("TEST_EXST", FRESH)])  # fmt: skip
def test_a_right_message_is_found_right(text: str) -> None:
    found = checked(text)
    assert [one for one in found.found if one.rule.startswith(("DMP", "XSD", "ANS", "SOAP"))] == []
    assert "transaction DMP-patients" in found.says and any(one.startswith("TD") for one in found.says)


@pytest.mark.parametrize(("text", "codes", "word"), [one[1:] for one in WRONG], ids=[one[0] for one in WRONG])
def test_the_lint_finds_what_the_server_refuses(text: str, codes: list[str], word: str) -> None:
    """But for what only a domain knows: whether an identifier's authority and key are right."""
    found = checked(text)
    wanted = [code for code in codes if code.startswith("DMP")]
    if word in ("1.2.3^1", "empty"):
        wanted = []
    got = [one for one in found.found if one.rule.startswith("DMP")]
    assert sorted(one.rule for one in got) == sorted(wanted)
    assert all(one.line and one.remedy for one in got)


def test_a_finding_stands_at_its_element() -> None:
    text = m.closing(FRESH).replace('code="terminated"', 'code="active"').replace("<patient ", "\n<patient ")
    (one,) = (one for one in checked(text).found if one.rule == "DMP-006")
    data = files.envelope(text, f"{m.V3}:{m.REVISE}")
    assert one.line == data[: data.index("<patient ")].count("\n") + 1, "it is the patient's statusCode"


def test_the_schema_is_asked() -> None:
    text = m.opening(FRESH).replace("<given>LAURENCE</given>", "<first>LAURENCE</first>")
    assert any(one.rule == "XSD-001" and "v3:first" in one.message for one in checked(text).found)
    (one,) = (o for o in checked(f'<setAuthorization xmlns="{m.HAB}"><action>TOUT</action></setAuthorization>',
                                 f"{m.HAB}:HabilitationsEndPoint:setAuthorization").found if o.rule == "XSD-001")  # fmt: skip
    assert "AJOUT" in one.message


def test_answers_are_read_and_right_by_the_schema() -> None:
    """Every sort of answer, to a request that is right and to one that holds next to nothing."""
    for text in (m.opening(FRESH), m.closing(FRESH), f'<{m.ADD} xmlns="{m.V3}"/>'):
        request = parse_record_request(etree.fromstring(text))
        answers = [build_refused(request, "AE", [("DMPFound", "the record exists <and> is open")])]
        answers += [build_accepted(request)] if request.status else []
        for answer in answers:
            body = etree.fromstring(answer)
            assert validate(body, etree.QName(body).localname) == []
    request = parse_record_request(etree.fromstring(m.question("TEST_EXST", FRESH)))
    person = parse_record_request(etree.fromstring(m.opening(FRESH))).person
    for answer in (
        build_found(request, None), build_found(request, Found((), person, "20240101000000", "X"), Attention("VALIDE", True)),
        build_refused(request, "AR", [("DMP-001", "x")]),
    ):  # fmt: skip
        assert validate(etree.fromstring(answer), "PRPA_IN201308UV02") == []
    refused = files.envelope(answers[0].decode(), f"{m.V3}:PRPA_IN201311ResponseUV02")
    found = check_octets(refused.encode())
    assert "acknowledgement AE" in found.says and any(one.startswith("DMPFound: ") for one in found.says)


def test_what_real_clients_send_is_right_by_the_schema() -> None:
    """xsi:nil where HL7 allows it, times beside an observation, the data of a card, a name whose type is told."""
    xsi = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
    line = f'<attentionLine {xsi} xsi:nil="true"/>'
    text = m.question("TEST_EXST", FRESH).replace("<controlActProcess", f"{line}<controlActProcess")
    text = text.replace("<parameterList>", f'<parameterList><dataSource {xsi} xsi:nil="true"/>')
    assert validate(etree.fromstring(text), m.QUERY) == []
    card = (
        '<contactParty classCode="CON"><code code="CARTE_SESAM_VITALE" codeSystem="1.2.250.1.213.4.1.2.5"/>'
        '<telecom value="tel:1"/><contactPerson classCode="PSN" determinerCode="INSTANCE"><name><family>DURAND</family></name>'
        '<birthTime value="780801"/></contactPerson></contactParty><birthPlace classCode="BIRTHPL"><addr/></birthPlace>'
    )
    text = m.opening(FRESH, person=m.PERSON + card).replace("<value xmlns", '<effectiveTime value="20240101"/><value xmlns')
    organisation = f'<providerOrganization {xsi} xsi:nil="true" classCode="ORG" determinerCode="INSTANCE"/><subjectOf'
    text = text.replace("<subjectOf", organisation, 1).replace("<name><family>LIBRE", f'<name {xsi} xsi:type="PN"><family>LIBRE')
    assert validate(etree.fromstring(text), m.ADD) == []
    assert [one.rule for one in checked(text).found if one.rule.startswith(("DMP", "XSD"))] == []


def test_every_root_is_declared() -> None:
    declared = {
        f"{{{schema.get('targetNamespace')}}}{one.get('name')}"
        for schema in (etree.parse(str(XSD_FOLDER / f"{name}.xsd")).getroot() for name in ("hl7v3", "gdp", "habilitations"))
        for one in schema.iterchildren("{http://www.w3.org/2001/XMLSchema}element")
    }
    assert set(DMP_ROOTS.values()) <= declared
