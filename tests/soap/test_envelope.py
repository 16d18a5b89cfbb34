"""Envelope, addressing and faults, apart from any transport."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from metadata.vocabulary import Transaction
from soap.addressing import BODY, OWN_ADDRESS_ONLY, Address, choose, find_message_id, read_addressing
from soap.body.registry_response import attribute
from soap.call import Note
from soap.endpoint import addresses_of
from soap.envelope import ANSWER_TAIL, answer_head, check_headers, open_envelope
from soap.fault import Fault, FaultCode, build_fault
from soap.wire import Wire

S = "http://www.w3.org/2003/05/soap-envelope"
WSA = "http://www.w3.org/2005/08/addressing"
WIRE = Wire()


def parsed(text: str) -> etree._Element:
    return etree.fromstring(text.replace("<s:Envelope", f'<s:Envelope xmlns:s="{S}" xmlns:a="{WSA}"'))


@pytest.mark.parametrize(
    "text",
    [
        "<s:Envelope/>",
        "<s:Envelope><s:Header/></s:Envelope>",
        "<s:Envelope><s:Body/></s:Envelope>",
        "<s:Envelope><s:Body><x/><y/></s:Body></s:Envelope>",
        "<s:Envelope><s:Body><x/></s:Body><s:Header/></s:Envelope>",
        "<s:Envelope><s:Header/><s:Header/><s:Body><x/></s:Body></s:Envelope>",
        "<s:Envelope><s:Body><x/></s:Body><s:Body><x/></s:Body></s:Envelope>",
        "<s:Envelope><Body><x/></Body></s:Envelope>",
    ],
)
def test_no_envelope(text: str) -> None:
    with pytest.raises(Fault) as caught:
        open_envelope(parsed(text), WIRE, [])
    assert (caught.value.rule, caught.value.status) == ("SOAP-ENVELOPE", 400)


def test_an_envelope_with_comments() -> None:
    text = "<s:Envelope><!-- a --><s:Header><!-- b --><h/></s:Header><s:Body><!-- c --><x/></s:Body><!-- d --></s:Envelope>"
    envelope = open_envelope(parsed(text), WIRE, [])
    assert (envelope.body.tag, [h.tag for h in envelope.headers], envelope.soap11) == ("x", ["h"], False)


@pytest.mark.parametrize(
    ("attributes", "refused"),
    [
        ("", False),
        ('s:mustUnderstand="0"', False),
        ('s:mustUnderstand="false"', False),
        ('s:mustUnderstand="1"', True),
        ('s:mustUnderstand=" true "', True),
        ('mustUnderstand="1"', False),
        (f's:mustUnderstand="1" s:role="{S}/role/next"', True),
        (f's:mustUnderstand="1" s:role="{S}/role/ultimateReceiver"', True),
        (f's:mustUnderstand="1" s:role="{S}/role/none"', False),
        ('s:mustUnderstand="1" s:role="urn:somebody-else"', False),
    ],
)
def test_must_understand(attributes: str, refused: bool) -> None:
    text = f"<s:Envelope><s:Header><h {attributes}/></s:Header><s:Body><x/></s:Body></s:Envelope>"
    envelope = open_envelope(parsed(text), WIRE, [])
    if not refused:
        check_headers(envelope, frozenset(), WIRE)
        return
    with pytest.raises(Fault) as caught:
        check_headers(envelope, frozenset(), WIRE)
    assert (caught.value.code, caught.value.not_understood) == (FaultCode.MUST_UNDERSTAND, ("h",))
    check_headers(envelope, frozenset({"h"}), WIRE)


def test_must_understand_that_is_no_boolean() -> None:
    text = '<s:Envelope><s:Header><h s:mustUnderstand="yes"/></s:Header><s:Body><x/></s:Body></s:Envelope>'
    with pytest.raises(Fault, match="mustUnderstand='yes'"):
        check_headers(open_envelope(parsed(text), WIRE, []), frozenset(), WIRE)


def headers(text: str) -> list[etree._Element]:
    return list(parsed(f"<s:Envelope><s:Header>{text}</s:Header></s:Envelope>")[0])


def test_addressing_headers() -> None:
    anonymous = f"<a:ReplyTo><a:Address> {WSA}/anonymous </a:Address></a:ReplyTo>"
    found = read_addressing(
        headers(f'<a:Action s:mustUnderstand="1">urn:a</a:Action><a:MessageID> m </a:MessageID>{anonymous}'), WIRE, []
    )
    assert (found.action, found.message_id, found.reply_to) == ("urn:a", "m", f"{WSA}/anonymous")
    assert read_addressing([], WIRE, []).action == ""
    assert find_message_id(headers("<a:MessageID/>")) == ""


@pytest.mark.parametrize("name", ["Action", "MessageID", "ReplyTo", "FaultTo", "To"])
def test_an_addressing_header_twice(name: str) -> None:
    with pytest.raises(Fault, match=f"wsa:{name} occurs twice") as caught:
        read_addressing(headers(f"<a:{name}/><a:{name}/>"), WIRE, [])
    assert caught.value.subcode == (WSA, "InvalidAddressingHeader")


# ----------------------------------------------------------------------------------------------- which transaction

SERVED = {t: (lambda call: pytest.fail("called")) for t in Transaction if t.action}
ADDRESSES = addresses_of(SERVED)


def chosen(path: str, action: str, body: str, http: str = "") -> tuple[Transaction, list[str]]:
    notes: list[Note] = []
    return choose(ADDRESSES[path], action, etree.Element(body), http, WIRE, notes), [note.id for note in notes]


def test_every_action_finds_its_transaction_at_both_addresses() -> None:
    for transaction in SERVED:
        body = BODY[transaction][0]
        assert chosen(transaction.path, transaction.action, body) == (transaction, [])
        actor = "/xds/registry" if transaction.actor.value == "Document Registry" else "/xds/repository"
        if transaction not in OWN_ADDRESS_ONLY:
            assert chosen(actor, transaction.action, body) == (transaction, [])


def test_without_action_the_body_decides_for_the_basic_transaction() -> None:
    assert chosen("/xds/registry", "", BODY[Transaction.ITI_42][0]) == (Transaction.ITI_42, ["WIRE-053"])
    assert chosen("/xds/registry", "", BODY[Transaction.ITI_18][0]) == (Transaction.ITI_18, ["WIRE-053"])
    assert chosen("/xds/iti57", "", BODY[Transaction.ITI_57][0]) == (Transaction.ITI_57, ["WIRE-053"])


def test_an_update_is_never_taken_for_a_registration() -> None:
    with pytest.raises(Fault, match=r"means ITI-42, but the HTTP action names ITI-57"):
        chosen("/xds/registry", "", BODY[Transaction.ITI_42][0], Transaction.ITI_57.action)


@pytest.mark.parametrize(
    ("path", "action", "body", "rule"),
    [
        ("/xds/registry", "urn:unknown", BODY[Transaction.ITI_18][0], "WSA-ACTION"),
        ("/xds/iti18", Transaction.ITI_42.action, BODY[Transaction.ITI_42][0], "WSA-ACTION"),
        ("/xds/repository", Transaction.ITI_18.action, BODY[Transaction.ITI_18][0], "WSA-ACTION"),
        ("/xds/registry", Transaction.ITI_18.action, BODY[Transaction.ITI_42][0], "SOAP-BODY"),
        ("/xds/registry", "", BODY[Transaction.ITI_41][0], "SOAP-BODY"),
        ("/xds/iti18", "", BODY[Transaction.ITI_42][0], "SOAP-BODY"),
        ("/xds/registry", "", "x", "SOAP-BODY"),
    ],
)
def test_what_does_not_belong_together(path: str, action: str, body: str, rule: str) -> None:
    with pytest.raises(Fault) as caught:
        chosen(path, action, body)
    assert (caught.value.rule, caught.value.status) == (rule, 400)
    assert caught.value.remedy


def test_only_what_is_served_is_offered() -> None:
    address = Address("/xds/registry", {Transaction.ITI_18})
    with pytest.raises(Fault) as caught:
        choose(address, "urn:unknown", etree.Element("x"), "", WIRE, [])
    assert caught.value.remedy == f"Actions served here: {Transaction.ITI_18.action}."


@pytest.mark.parametrize("action", [Transaction.ITI_57.action, ""])
def test_nobody_is_sent_to_an_address_that_does_not_exist(action: str) -> None:
    """A transaction that no address of this server takes: the remedy names what is served, not where it would be."""
    here = frozenset({Transaction.ITI_18, Transaction.ITI_61})
    address = Address("/xds/registry", {Transaction.ITI_18}, server=here)
    with pytest.raises(Fault) as caught:
        choose(address, action, etree.Element(BODY[Transaction.ITI_57][0]), "", WIRE, [])
    assert caught.value.remedy == "No address of this server takes it; served here: ITI-18, ITI-61."


# ----------------------------------------------------------------------------------------------------------- writing


@given(st.text(max_size=50))
def test_whatever_a_sender_wrote_may_be_quoted(text: str) -> None:
    fault = Fault(FaultCode.SENDER, f"wrong: {text}", rule="A-1", remedy=text, reason_fr=text)
    for soap11 in (False, True):
        fault.soap11 = soap11
        root = etree.fromstring(build_fault(fault, relates_to="" if soap11 else "m", explain_base="https://x/?a=1&b="))
        assert root.xpath("//@rule") == ["A-1"]
        assert root.xpath("//@href") == ["https://x/?a=1&b=A-1"]
    element = etree.fromstring(f"<a b={attribute(text)}/>".encode())
    assert len(element.get("b", "")) == len(text)


@pytest.mark.parametrize("code", FaultCode)
def test_fault_codes(code: FaultCode) -> None:
    root = etree.fromstring(build_fault(Fault(code, "x", subcode=("urn:s", "Sub")), relates_to="<m&>"))
    assert root.findtext(f".//{{{S}}}Code/{{{S}}}Value") == f"s:{code.local}"
    assert root.findtext(f".//{{{WSA}}}RelatesTo") == "<m&>"
    assert root.find(f".//{{{S}}}Subcode/{{{S}}}Value").nsmap["sub"] == "urn:s"  # type: ignore[union-attr]
    assert code.status == (400 if code is FaultCode.SENDER else 500)


def test_answer_frame() -> None:
    root = etree.fromstring(answer_head("urn:a&b", "<m>") + b"<x/>" + ANSWER_TAIL)
    assert root.findtext(f".//{{{WSA}}}Action") == "urn:a&b"
    assert root.findtext(f".//{{{WSA}}}RelatesTo") == "<m>"
    assert etree.fromstring(answer_head("urn:a", "") + b"<x/>" + ANSWER_TAIL).find(f".//{{{WSA}}}RelatesTo") is None
