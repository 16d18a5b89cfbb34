"""A SAML assertion, alone or in wsse:Security: form, signature, times and what it says, each judged by the rules of trust.

The readers of `security` stop at the first thing that is wrong, as they must; here each stage is tried on its own, so that one
mistake does not hide the next. Whether the certificate is trusted only a server knows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from lxml import etree

from conformance.check_lint import Lint
from conformance.check_places import Tree
from conformance.check_result import Level
from schemas.namespaces import DS, SAML, q
from security import saml_names as names
from security.refusal import Denied
from security.rules import TRUST_RULES
from security.rules_vihf import MISSING
from security.saml_content import Content, read_content
from security.saml_issuers import Issuer
from security.saml_signature import Found, Signed, read_signed, verify
from security.saml_vihf import judge_statements, mode_of

ASSERTION = q(SAML, "Assertion")
T = TypeVar("T")

#: Where a rule of trust is broken: the first of these elements that the assertion has.
_PLACES = {
    "SAM-003": "", "SAM-005": q(DS, "Signature"), "SAM-006": q(DS, "Signature"), "SAM-007": q(DS, "Reference"),
    "SAM-008": q(DS, "SignatureMethod"), "SAM-009": q(DS, "KeyInfo"), "SAM-010": q(DS, "DigestValue"),
}  # fmt: skip
_SECTIONS = {row.id: row.section for row in TRUST_RULES}
#: An assertion that is older than this would be refused by most servers.
_OLD = timedelta(hours=1)


def check_assertion(lint: Lint, tree: Tree, assertion: etree._Element, now: datetime | None = None) -> None:
    """Every finding about one assertion in a parsed text."""
    octets = etree.tostring(assertion, with_tail=False)
    found = Found(octets, hashlib.sha256(octets).digest())
    signed = _tried(lint, tree, assertion, lambda: read_signed(found))
    if signed is not None:
        _tried(lint, tree, assertion, lambda: verify(signed, sha1=True))
        if signed.sha1:
            place = tree.place(next(assertion.iter(q(DS, "SignatureMethod")), assertion))
            lint.add("WIRE-062", Level.ERROR, "the signature relies on SHA-1", place, part=tree.part,
                     remedy="Sign with SHA-256.", section="NIST SP 800-131A")  # fmt: skip
        content = _tried(lint, tree, assertion, lambda: read_content(signed))
        if content is not None:
            _say(lint, content, signed)
            _judge_times(lint, tree, assertion, content, now or datetime.now(UTC))
            _statements(lint, tree, assertion, content)
    _blanks(lint, tree, assertion)


def _tried(lint: Lint, tree: Tree, assertion: etree._Element, stage: Callable[[], T]) -> T | None:
    """The result of a stage; a refusal becomes a finding at the element that its rule is about."""
    try:
        return stage()
    except Denied as denied:
        tag = _PLACES.get(denied.rule, "")
        element = next(assertion.iter(tag), assertion) if tag else assertion
        lint.add(denied.rule, Level.ERROR, denied.text_en, tree.place(element), remedy=denied.remedy,
                 section=_SECTIONS.get(denied.rule, ""), part=tree.part)  # fmt: skip
        return None


def _say(lint: Lint, content: Content, signed: Signed) -> None:
    issued = content.issued.isoformat()
    lint.checked.says.append(f"assertion {content.id} of {content.issuer}, issued {issued}, about {content.subject}")
    lint.checked.says.append(
        f"signed with {'SHA-1' if signed.sha1 else 'SHA-2'} by {signed.certificate.subject.rfc4514_string()}"
    )


def _judge_times(lint: Lint, tree: Tree, assertion: etree._Element, content: Content, now: datetime) -> None:
    end = content.not_on_or_after
    conditions = assertion.find(q(SAML, "Conditions"))
    if end is not None and end <= now and conditions is not None:
        message = f"the assertion holds until {end.isoformat()}, which is over"
        lint.add("SAM-016", Level.WARNING, message, tree.place(conditions, "NotOnOrAfter"), part=tree.part,
                 remedy="Make a fresh assertion for each message.", section="OASIS SAML 2.0 Core: 2.5.1")  # fmt: skip
    elif end is None and now - content.issued > _OLD:
        message = f"the assertion is of {content.issued.isoformat()} and has no end of its own"
        lint.add("SAM-017", Level.WARNING, message, tree.place(assertion, "IssueInstant"), part=tree.part,
                 remedy="Make a fresh assertion for each message.", section="OASIS SAML 2.0 Core: 2.5.1")  # fmt: skip
    if content.authenticated > content.issued:
        statement = assertion.find(q(SAML, "AuthnStatement"))
        lint.add("SAM-018", Level.WARNING, "AuthnInstant is later than IssueInstant", tree.place(statement, "AuthnInstant"),
                 part=tree.part, remedy="Nobody is authenticated after the assertion that says so; set the clocks by NTP.",
                 section="OASIS SAML 2.0 Core: 2.7.2")  # fmt: skip


def _statements(lint: Lint, tree: Tree, assertion: etree._Element, content: Content) -> None:
    """What its profile demands: VIHF where the assertion says its version, else XUA."""
    issuer = Issuer("vihf" if names.VIHF_VERSION in content.texts else "xua")
    given = {name for name, values in (*content.texts.items(), *content.coded.items()) if any(values)}
    missing = [name for name in names.VIHF_ALWAYS if name not in given] if issuer.profile == "vihf" else []
    statement = next(assertion.iter(q(SAML, "AttributeStatement")), assertion)
    for name in missing:
        denied = MISSING.denied(name=name)
        lint.add(denied.rule, Level.ERROR, denied.text_en, tree.place(statement), remedy=denied.remedy,
                 section=_SECTIONS.get(denied.rule, ""), part=tree.part)  # fmt: skip
    if not missing:
        _tried(lint, tree, assertion, lambda: judge_statements(content, issuer, mode_of(content, issuer), lambda warning: None))


def _blanks(lint: Lint, tree: Tree, assertion: etree._Element) -> None:
    """Values are compared letter by letter: blanks around them are the commonest reason for a refusal that says little."""
    for value in assertion.iter(q(SAML, "AttributeValue"), q(SAML, "NameID"), q(SAML, "Issuer")):
        text = value.text or ""
        if not len(value) and text and text != text.strip():
            message = f"blanks stand around the value '{text.strip()[:60]}'"
            lint.add("SAM-033", Level.WARNING, message, tree.place(value), part=tree.part, section="OASIS SAML 2.0 Core: 2.7.3.1",
                     remedy="Write the value without blanks, before the assertion is signed.")  # fmt: skip
