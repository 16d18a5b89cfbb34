"""The body of a message, judged: schema, rules of the metadata, stored query, removal; and the documents that came with it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import cast

from lxml import etree

from conformance.check_answer import check_answer
from conformance.check_cda import check_document
from conformance.check_lint import Lint
from conformance.check_places import Passage, Place, Tree
from conformance.check_record import check_record
from conformance.check_result import Level
from metadata.cda_header import is_cda
from metadata.ebrim import (
    SUBMIT_OBJECTS_REQUEST,
    parse_registry_object,
    parse_response_objects,
    parse_submission,
    submission_of,
)
from metadata.model import DocumentEntry, Submission
from metadata.queries import read_query
from metadata.rules.advice import ADVICE
from metadata.rules.attribute_rows import TYPED_PATIENT_ID
from metadata.rules.french import CI_SIS
from metadata.rules.removal import RULES as REMOVAL_RULES
from metadata.rules.removal import Removal, RemovalFacts, RemovalPolicy
from metadata.rules.repository import DOCUMENTS
from metadata.rules.rule import Context, Finding, ReceivedDocument, Refused
from metadata.rules.table import RULES, check, under
from metadata.vocabulary import Actor, Transaction
from schemas.namespaces import LCM, QUERY, RIM, RMD, XDS, q
from schemas.validate import DMP_ROOTS, ROOTS, validate
from soap.addressing import BODY
from soap.body.adhoc_query import parse_adhoc_query
from soap.body.remove import parse_remove_objects

_PROVIDE, _SUBMIT = q(XDS, "ProvideAndRegisterDocumentSetRequest"), SUBMIT_OBJECTS_REQUEST
_QUERY, _REMOVE = q(QUERY, "AdhocQueryRequest"), q(LCM, "RemoveObjectsRequest")
_LIST = q(RIM, "RegistryObjectList")
_ROOT_BY_TAG = {tag: name for name, tag in (*ROOTS.items(), *DMP_ROOTS.items())}
#: The transaction that a body means where nothing else says it.
TRANSACTIONS = {
    _PROVIDE: Transaction.ITI_41, _SUBMIT: Transaction.ITI_42, _QUERY: Transaction.ITI_18, _REMOVE: Transaction.ITI_62,
    q(XDS, "RetrieveDocumentSetRequest"): Transaction.ITI_43, q(RMD, "RemoveDocumentsRequest"): Transaction.ITI_86,
    **{tag: one for one in (Transaction.DMP_PATIENTS, Transaction.DMP_HABILITATIONS) for tag in BODY[one]},
}  # fmt: skip
_WITH_REQUESTS = (q(XDS, "RetrieveDocumentSetRequest"), q(RMD, "RemoveDocumentsRequest"))
#: Elements that vendors write by hand, and the namespace that each belongs to.
_NAMESPACES = {
    **dict.fromkeys(
        "RegistryObjectList ExtrinsicObject RegistryPackage Association Classification ExternalIdentifier Slot ValueList Value "
        "Name Description LocalizedString VersionInfo AdhocQuery ObjectRefList ObjectRef".split(), RIM,
    ),
    "SubmitObjectsRequest": LCM, "ResponseOption": QUERY, "Document": XDS, "DocumentRequest": XDS,
}  # fmt: skip
_KNOWN = frozenset(_NAMESPACES.values())
#: Elements of ebRIM that are looked at alone.
FRAGMENTS = ("RegistryObjectList", "ExtrinsicObject", "RegistryPackage", "Association")
#: Rules that compare an object with others of its submission: they say nothing of one that stands alone.
_TOGETHER = frozenset("PAT-001 PAT-002 LM-002 AS-004 AS-005 AS-010 AS-011 AS-012 AS-015 AS-016 AS-017 AS-018 AS-019".split())
_HEADER_RULES = [row for row in RULES if row.tags >= DOCUMENTS and CI_SIS in row.tags]
#: The three rules of removal that are applied ask the registry nothing.
_NOTHING_KNOWN = cast(RemovalFacts, None)
_STEP = re.compile(r"([^\[\]/]+)(?:\[([0-9]+)\])?")

Documents = Mapping[etree._Element, Passage]


def check_body(
    lint: Lint, tree: Tree, body: etree._Element, transaction: Transaction | None, documents: Documents | None
) -> None:
    """Everything that can be said of the body element of a message, or of the same element alone in a file.

    `documents` are the contents by xds:Document; None where they did not come with the file.
    """
    name = _ROOT_BY_TAG.get(str(body.tag))
    if name is not None:
        check_schema(lint, tree, body, name)
    transaction = transaction or lint.options.transaction or TRANSACTIONS.get(str(body.tag))
    if transaction is not None:
        lint.checked.says.append(f"transaction {transaction.code}")
    if body.tag == _PROVIDE:
        _check_provide(lint, tree, body, documents)
    elif body.tag == _SUBMIT:
        check_submission(lint, tree, parse_submission(body), transaction or Transaction.ITI_42, None)
    elif body.tag == _QUERY:
        _check_query(lint, tree, body, transaction or Transaction.ITI_18)
    elif body.tag == _REMOVE:
        _check_removal(lint, tree, body)
    elif body.tag in _WITH_REQUESTS:
        _check_prefixes(lint, tree, body)
    elif name in DMP_ROOTS:
        check_record(lint, tree, body)
    else:
        check_answer(lint, tree, body, documents)


def check_schema(lint: Lint, tree: Tree, body: etree._Element, name: str) -> None:
    """What the XSD has against the body."""
    for found in validate(body, name, lenient=True):
        element = _at_path(body, found.path)
        message, remedy = found.message, "Write it as the schemas demand; order and namespace are the usual culprits."
        right = _NAMESPACES.get(etree.QName(element).localname)
        sent = etree.QName(element).namespace or ""
        if right is not None and sent != right and sent not in _KNOWN:
            message = f"{etree.QName(element).localname} is in the namespace '{sent}', which is none of IHE's"
            remedy = f"Declare the namespace {right} for it and what it holds, letter by letter."
        lint.add("XSD-001", Level.ERROR, message, tree.place(element), remedy=remedy, part=tree.part, subject=found.path)


def _at_path(body: etree._Element, path: str) -> etree._Element:
    """The element at the path of a schema finding, as far as it goes."""
    element = body
    for step in path.split("/")[1:]:
        match = _STEP.fullmatch(step)
        if match is None:
            break
        alike = [e for e in element if isinstance(e.tag, str) and etree.QName(e).localname == match[1]]
        number = int(match[2] or 1) - 1
        if number >= len(alike):
            break
        element = alike[number]
    return element


# ---------------------------------------------------------------------------------------------------------- submissions


def _check_provide(lint: Lint, tree: Tree, body: etree._Element, documents: Documents | None) -> None:
    submit = body.find(_SUBMIT)
    elements = list(body.iterchildren(q(XDS, "Document")))
    ids = [element.get("id", "") for element in elements]
    for position, element in enumerate(elements):
        if ids[position] in ids[:position]:
            remedy = "Give each xds:Document the id of its own ExtrinsicObject."
            lint.add("STORE-010", Level.ERROR, "two xds:Document have this id", tree.place(element, "id"), remedy=remedy,
                     section="ITI TF-2: 3.41.4.1.2", part=tree.part, value=ids[position])  # fmt: skip
    if submit is None:
        return
    submission = parse_submission(submit)
    contents = {element.get("id", ""): passage for element, passage in (documents or {}).items()}
    unread = frozenset(ids) - contents.keys()
    check_submission(lint, tree, submission, Transaction.ITI_41, contents if documents is not None else None, unread=unread)
    for element, passage in (documents or {}).items():
        if is_cda(passage.text):
            passage = passage if not passage.name else Passage(lint.source, passage.text, (), f"document {element.get('id', '')}")
            check_document(lint, passage)


def check_submission(
    lint: Lint, tree: Tree, submission: Submission, transaction: Transaction, documents: Mapping[str, Passage] | None,
    alone: bool = False, unread: frozenset[str] = frozenset(),
) -> None:  # fmt: skip
    """The rules that need no registry, advice included; with documents those that compare entries with them."""
    context = _context(lint, submission, transaction, documents)
    policies = lint.options.domain.policies if lint.options.domain is not None else None
    found = check(context, policies)
    if CI_SIS not in context.options and documents is not None:
        french = [row for row in _HEADER_RULES if any(_is_french(one.text) for one in documents.values())]
        found += under(policies, [finding for row in french for finding in row.check(context)])
    found = [one for one in found if one.rule != "REP-001" or one.object not in unread]  # it came, and has its own finding
    if alone:
        found = [one for one in found if _says_something_alone(one, submission)]
    lint.findings(found, tree)
    for entry in submission.documentEntries if documents is not None else ():
        _media_type(lint, tree, entry, documents or {})


def _context(lint: Lint, submission: Submission, transaction: Transaction, documents: Mapping[str, Passage] | None) -> Context:
    domain = lint.options.domain
    received = None
    if documents is not None:
        received = {id: ReceivedDocument(len(p.text), hashlib.sha1(p.text, usedforsecurity=False).hexdigest(), p.text)
                    for id, p in documents.items()}  # fmt: skip
    return Context(
        transaction,
        submission,
        Actor.REPOSITORY if transaction is Transaction.ITI_41 else Actor.REGISTRY,
        codes=domain if domain is not None and domain.judges else None,
        options=frozenset({ADVICE}) | (domain.options if domain is not None else frozenset()),
        documents=received,
    )


def _is_french(content: bytes) -> bool:
    """A document that declares the realm France, as CI-SIS has every one do."""
    return re.search(rb"<(?:\w+:)?realmCode\s[^>]*code=[\"']FR[\"']", content[:4096]) is not None and is_cda(content)


def _says_something_alone(finding: Finding, submission: Submission) -> bool:
    row = next((row for row in RULES if row.id == finding.rule), None)
    if row is None or row.id in _TOGETHER:
        return False
    return row.of is not Submission


def _media_type(lint: Lint, tree: Tree, entry: DocumentEntry, documents: Mapping[str, Passage]) -> None:
    """A document whose octets contradict its mimeType: no rule of the standard, but a wrong type is found late."""
    passage = documents.get(entry.entryUUID)
    if passage is None or not entry.mimeType:
        return
    begins = {b"%PDF-": "application/pdf", b"\xff\xd8\xff": "image/jpeg", b"\x89PNG": "image/png"}
    real = next((kind for mark, kind in begins.items() if passage.text.startswith(mark)), "")
    real = "text/xml" if not real and is_cda(passage.text) else real
    if real and entry.mimeType not in (real, "application/xslt+xml"):
        element = next((e for e in tree.elements if e.get("id") == entry.entryUUID), None)
        message = f"the document begins as {real}, its mimeType is {entry.mimeType}"
        lint.add("InvalidDocumentContent", Level.WARNING, message, tree.place(element, "mimeType"),
                 remedy=f"Write mimeType='{real}'.", section="ITI TF-3: 4.2.3.2.15", part=tree.part,
                 subject=f"{entry.entryUUID} mimeType", value=entry.mimeType)  # fmt: skip


# ------------------------------------------------------------------------------------------------------------ fragments


def check_fragment(lint: Lint, tree: Tree) -> None:
    """A RegistryObjectList, or one object of ebRIM alone: judged as far as it can be without its submission."""
    root = tree.root
    whole = root.tag == _LIST
    submission = parse_response_objects(root) if whole else submission_of([parse_registry_object(root)])
    transaction = lint.options.transaction or _meant(submission)
    lint.checked.says.append(f"{etree.QName(root).localname}, judged as in {transaction.code}")
    check_submission(lint, tree, submission, transaction, None, alone=not whole)


def _meant(submission: Submission) -> Transaction:
    """ITI-42 where the entries have what a repository adds, else ITI-41: what a Document Source writes."""
    stored = any(entry.repositoryUniqueId for entry in submission.documentEntries)
    return Transaction.ITI_42 if stored else Transaction.ITI_41


# --------------------------------------------------------------------------------------------------- queries and removals


def _check_query(lint: Lint, tree: Tree, body: etree._Element, transaction: Transaction) -> None:
    request = parse_adhoc_query(body)
    domain = lint.options.domain
    typed = domain is None or TYPED_PATIENT_ID in domain.options
    try:
        query = read_query(request.id, request.slots, transaction, return_type=request.returnType, typed_patient_ids=typed)
        lint.checked.says.append(f"query {query.definition.name}")
    except Refused as refused:
        for finding in refused.findings:
            lint.add(finding.rule, Level.ERROR, finding.message, _of_query(finding, tree, body), remedy=finding.remedy,
                     section=finding.section, part=tree.part, subject=f"{finding.object} {finding.attribute}".strip(),
                     value=finding.value)  # fmt: skip


def _of_query(finding: Finding, tree: Tree, body: etree._Element) -> Place:
    """The slot of the parameter, of several the one of the line; the query or its option where there is none."""
    slots = [e for e in body.iter(q(RIM, "Slot")) if e.get("name") == finding.attribute]
    if slots:
        valued = [v for e in slots for v in e.iter(q(RIM, "Value")) if finding.value and finding.value in (v.text or "")]
        return tree.place(valued[0] if valued else slots[-1])
    if finding.attribute == "returnType":
        return tree.place(body.find(q(QUERY, "ResponseOption")), "returnType")
    query = body.find(q(RIM, "AdhocQuery"))
    return tree.place(query if query is not None else body, "id" if finding.attribute == "id" else "")


def _check_prefixes(lint: Lint, tree: Tree, body: etree._Element) -> None:
    """WIRE-061: homeCommunityId is the one identifier that carries urn:oid:."""
    for request in body.iterchildren(q(XDS, "DocumentRequest")):
        for child in request:
            if not isinstance(child.tag, str):
                continue
            name, text = etree.QName(child).localname, (child.text or "").strip().lower()
            if text and text.startswith("urn:oid:") != (name == "HomeCommunityId"):
                lint.wire.meet("WIRE-061", lint.notes, name)
                lint.tell(lambda id, detail, child=child: tree.place(child), tree.part)  # type: ignore[misc]


def _check_removal(lint: Lint, tree: Tree, body: etree._Element) -> None:
    asked = parse_remove_objects(body)
    removal = Removal(asked.ids, asked.adhocQuery, asked.deletionScope)
    for row in REMOVAL_RULES:
        if row.id in ("RM-001", "RM-002", "RM-003"):  # the others ask the registry
            for fault in row.judge(removal, _NOTHING_KNOWN, RemovalPolicy.DELETE):
                one = row.finding(fault)
                place = tree.place(body, "deletionScope" if row.id == "RM-002" else "")
                lint.add(one.rule, Level.ERROR, one.message, place, remedy=one.remedy, section=one.section, part=tree.part)
