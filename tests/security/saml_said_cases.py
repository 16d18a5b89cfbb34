"""Cases of what assertions say, and of when and by whom they are sent, each with the one rule that it trips."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import timedelta

from lxml import etree

from schemas.namespaces import SAML, q
from security import saml_names as names
from security.assertion_writer import SigningCard, write_assertion
from security.identity import Coded, Mode
from security.saml import Sender
from security.saml_issuers import Issuer, Structures
from tests.security.assertions import (
    OTHER_PATIENT,
    World,
    attribute,
    child,
    headers_of,
)
from tests.security.saml_cases import CASES, Headers, case, changed, only, put, removed, roles, said

# --------------------------------------------------------------------------------------------- issuer and certificate

said("SAM-012", "the name of another", issuer="CN=somebody,C=FR")
said("SAM-012", "a name that is none", issuer="somebody")
said("SAM-013", "an issuer that is not configured", options=only(Issuer("vihf", name="urn:idp")))
said("SAM-013", "a VIHF where only XUA is taken", options=only(Issuer("xua")))
said(
    "SAM-014",
    "a certificate that is not the issuer's",
    options=lambda w: {"issuers": (Issuer("vihf", certificates=frozenset({"00"})),)},
)


@case("SAM-014", "the authentication certificate of a card signs")
def _(world: World) -> Headers:
    folder = world.authority.folder
    card = SigningCard((folder / "apart.crt").read_bytes(), (folder / "apart.key").read_bytes())
    return headers_of(etree.fromstring(write_assertion(card, world.statement("apart"))))


said("PKI-001", "a stranger's card", "attacker")
said("PKI-003", "an expired card", "expired")
said("PKI-004", "a revoked card", "gone")

# ---------------------------------------------------------------------------------------------------- times and audience

said("SAM-015", "made for two hours from now", age=timedelta(hours=-2))
said("SAM-016", "two hours old", age=timedelta(hours=2))
said("SAM-017", "without Conditions, two hours old", age=timedelta(hours=2), conditions=False, confirmation="")
said("SAM-017", "without Conditions, from the future", age=timedelta(minutes=-10), conditions=False, confirmation="")
said("SAM-017", "valid for a day, older than the issuer may be", age=timedelta(hours=2), valid=timedelta(days=1))
said("SAM-018", "authenticated after it was issued", authenticated=timedelta(minutes=-5))
said("SAM-018", "authenticated the day before", authenticated=timedelta(hours=30))
for moment in ("2026-01-31T12:00:00+01:00", "2026-01-31T12:00:00", "2026-02-30T12:00:00Z", "yesterday", ""):
    changed("SAM-019", f"IssueInstant '{moment}'", lambda a, moment=moment: a.set("IssueInstant", moment))
changed("SAM-019", "no AuthnInstant", lambda a: child(a, "AuthnStatement").attrib.pop("AuthnInstant"))
said("SAM-020", "for another server", audience=("urn:other",))
said("SAM-020", "XUA without an audience", "clinic", profile="xua", audience=())
changed(
    "SAM-020",
    "two restrictions, one without us",
    lambda a: child(a, "Conditions").append(etree.fromstring(f'<a:AudienceRestriction xmlns:a="{SAML}"/>')),
    "clinic",
    profile="xua",
)
changed("SAM-021", "an unknown condition", lambda a: etree.SubElement(child(a, "Conditions"), "{urn:x}OnlyOnMondays"))
changed("SAM-021", "a condition of a type", lambda a: etree.SubElement(child(a, "Conditions"), q(SAML, "Condition")))


def confirmation(**attributes: str) -> Callable[[etree._Element], None]:
    def change(a: etree._Element) -> None:
        child(a, "Subject", "SubjectConfirmation", "SubjectConfirmationData").attrib.update(attributes)

    return change


changed("SAM-023", "a confirmation that has ended", confirmation(NotOnOrAfter="2020-01-01T00:00:00Z"))
changed("SAM-023", "a confirmation that has not begun", confirmation(NotBefore="2099-01-01T00:00:00Z"))
said("SAM-023", "an unknown method", confirmation="somehow")
case("SAM-024", "holder-of-key of another", sender=lambda w: w.sender("doctor"))(
    lambda w: headers_of(w.signed(w.statement(confirmation="holder-of-key", holder=w.tls("colleague"))))
)
case("SAM-024", "holder-of-key without a key", sender=lambda w: w.sender("doctor"))(
    lambda w: headers_of(w.signed(w.statement(confirmation="holder-of-key")))
)
case("SAM-024", "holder-of-key, sent without any certificate")(
    lambda w: headers_of(w.signed(w.statement(confirmation="holder-of-key", holder=w.tls("doctor"))))
)
said("SAM-025", "sender-vouches in an unsigned message", confirmation="sender-vouches")
case("SAM-025", "sender-vouches that the message's signature leaves out", sender=lambda w: Sender(signer_der=w.tls("clinic")))(
    lambda w: headers_of(w.signed(w.statement(confirmation="sender-vouches")))
)
case("SAM-027", "over a connection of another structure", sender=lambda w: w.sender("hospital"))(lambda w: headers_of(w.signed()))
case("SAM-027", "XUA of another organisation", sender=lambda w: w.sender("hospital"))(
    lambda w: headers_of(w.signed(w.statement("clinic", profile="xua"), "clinic"))
)
case("SAM-048", "without a client certificate on a secured server", options=lambda w: {"secured": True})(
    lambda w: headers_of(w.signed())
)

# ------------------------------------------------------------------------------------------------------ what is said

said("SAM-028", "the person is not the holder of the card", subject="899912345678")
said("SAM-029", "another profession than the card's", roles=roles("21", "SM26"))
said("SAM-029", "another know-how than the card's", roles=roles("10", "SM54"))
said("SAM-029", "a know-how that the card has not", "nurse", roles=roles("60", "SM26"))
said("SAM-029", "no professional, says a doctor's card", roles=(Coded("SECRETARIAT_MEDICAL", names.OTHER_ROLES),))
said("SAM-030", "a structure speaks for another", "clinic", structure="1750000001")
case("SAM-030", "a person's card speaks for others")(
    lambda w: headers_of(w.signed(w.statement("doctor", mode=Mode.INDIRECT, subject="899912345678")))
)
for name in (*names.VIHF_ALWAYS,):
    if name not in (names.VIHF_VERSION, names.MODE):
        changed("SAM-031", f"without {name[-16:]}", lambda a, name=name: removed(attribute(a, name)))
changed("SAM-031", "indirect without the person's name", lambda a: removed(attribute(a, names.SUBJECT_ID)), "clinic")
said("SAM-031", "what the issuer's row demands", options=only(Issuer("vihf", require=("urn:more",))))


def twice(name: str, value: str) -> Callable[[etree._Element], None]:
    """A second attribute of the same name with another value: none may win."""

    def change(a: etree._Element) -> None:
        second = copy.deepcopy(attribute(a, name))
        second[0].text = value
        child(a, "AttributeStatement").append(second)

    return change


changed("SAM-032", "two patients", twice(names.RESOURCE_ID, OTHER_PATIENT))
changed("SAM-032", "two structures", twice(names.STRUCTURE, "1750000001"))
changed(
    "SAM-032",
    "two purposes",
    lambda a: (lambda second: (second[0][0].set("code", "centre_15"), child(a, "AttributeStatement").append(second)))(
        copy.deepcopy(attribute(a, names.PURPOSE))
    ),
)
said("SAM-033", "a sector without its system", sector=Coded("SA07", ""))
said("SAM-033", "a person's id of no kind", "clinic", subject="7123")
said("SAM-033", "an RPPS number too short", "clinic", subject="8999")
said("SAM-033", "a structure's id of no kind", structure="9339172288100052")
said("SAM-033", "a role without its system", roles=(Coded("10", ""),))
said("SAM-033", "a session code without its system", session=(Coded("INVISIBLE_REPRESENTANTS_LEGAUX", ""),))
changed("SAM-033", "a role as text", lambda a: (removed(attribute(a, names.ROLE)[0][0]), put(attribute(a, names.ROLE)[0], "10")))
changed(
    "SAM-033",
    "a role of another namespace",
    lambda a: attribute(a, names.ROLE)[0].replace(attribute(a, names.ROLE)[0][0], etree.Element("Role", code="10")),
)
said("SAM-034", "a version to come", version="9.0")
said("SAM-034", "a version that the issuer may not use", options=only(Issuer("vihf", versions=("4.0",))))
changed("SAM-035", "an unknown mode", lambda a: put(attribute(a, names.MODE)[0], "PAR_TELEPHONE"))
changed("SAM-035", "a mode with a blank behind it", lambda a: put(attribute(a, names.MODE)[0], "DIRECTE "))
said("SAM-035", "a mode that the issuer may not use", options=only(Issuer("vihf", modes=(Mode.INDIRECT,))))
said(
    "SAM-036",
    "a context that the issuer may not use",
    options=lambda w: {"issuers": (Issuer("vihf", contexts=frozenset({"urn:x"})),)},
)
said("SAM-037", "a profession of no table", "clinic", roles=roles("99", "SM26"))
said("SAM-037", "the know-how first", "clinic", roles=(Coded("SM26", names.KNOW_HOWS), Coded("10", names.PROFESSIONS)))
said("SAM-037", "a know-how that is none", "clinic", roles=roles("10", "cardio"))
said("SAM-038", "a doctor without know-how", "clinic", roles=(Coded("10", names.PROFESSIONS),))
said("SAM-038", "a pharmacist without know-how", "clinic", roles=(Coded("21", names.PROFESSIONS),))
said("SAM-039", "an INS with a wrong key", patient="279035121518988^^^&1.2.250.1.213.1.4.10&ISO^NH")
said("SAM-039", "a patient that is no CX", patient="279035121518989")
said("SAM-039", "an authority that is not known", options=only(Issuer("vihf", patients=frozenset({"1.2.3"}))))
said("SAM-039", "XUA: a patient that is no CX", "clinic", profile="xua", patient="4711")
said("SAM-041", "for another service", attributes={names.RESOURCE_URN: "urn:mssante"})
said("SAM-042", "an unknown purpose", purpose=Coded("curiosite", names.PURPOSES))
said("SAM-042", "a purpose of another system", purpose=Coded("normal", "1.2.3"))
said(
    "SAM-042",
    "XUA: a purpose that the issuer may not use",
    "clinic",
    profile="xua",
    purpose=Coded("MARKETING", names.XUA_PURPOSES),
    options=only(Issuer("xua", purposes=("TREATMENT",))),
)
said("SAM-043", "the glass broken without a reason", purpose=Coded(names.EMERGENCY, names.PURPOSES))
said("SAM-043", "the glass broken with blanks for a reason", purpose=Coded(names.EMERGENCY, names.PURPOSES), reason="  ")
said("SAM-044", "the glass broken by a nurse", "nurse", purpose=Coded(names.EMERGENCY, names.PURPOSES), reason="coma")
said("SAM-044", "a nurse as dispatcher", "nurse", purpose=Coded(names.CENTRE_15, names.PURPOSES))
said(
    "SAM-045",
    "software that is not homologated",
    options=only(Issuer("vihf", software=frozenset({"DMP-1"}), software_refused=True)),
)
said("SAM-046", "a structure that is not listed", options=only(Issuer("vihf", structures=Structures({}))))
case(
    "SAM-047",
    "a professional who works elsewhere",
    options=lambda w: {
        "issuers": (Issuer("vihf", structures=Structures({w.statement().structure: frozenset({"899900000001"})})),)
    },
)(lambda w: headers_of(w.signed()))
case("SAM-049", "XUA signed with a person's card")(lambda w: headers_of(w.signed(w.statement("clinic", profile="xua"), "doctor")))
case("SAM-049", "XUA signed with the certificate of a machine")(
    lambda w: headers_of(w.signed(w.statement("clinic", profile="xua"), "machine"))
)

#: Those of the form and the signature, and those of this file.
ALL_CASES = tuple(CASES)
