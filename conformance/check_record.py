"""The messages of the DMP about a record as a whole, in the lint: what a request lacks beyond its schema, what an answer says."""

from __future__ import annotations

from lxml import etree

from conformance.check_lint import Lint
from conformance.check_places import Tree
from conformance.check_result import Level
from conformance.records import read_acknowledgement
from metadata.vocabulary import Transaction
from schemas.namespaces import HL7V3
from soap.addressing import BODY
from soap.body.gdp import parse_record_request
from soap.body.gdp_form import addressed, form_of


def check_record(lint: Lint, tree: Tree, body: etree._Element) -> None:
    """The body of a message of `/dmp/patients`; of one of `/dmp/habilitations` the schema says all."""
    if body.tag not in BODY[Transaction.DMP_PATIENTS]:
        type_code, details = read_acknowledgement(body)
        if type_code:
            lint.checked.says.append(f"acknowledgement {type_code}")
        lint.checked.says += [f"{code}: {text}" for code, text in details]
        return
    request = parse_record_request(body)
    lint.checked.says.append(f"{request.transaction or 'no known reason'}")
    for found in (*addressed(request, ""), *form_of(request)):
        place = tree.place(_named(body, found.attribute))
        lint.add(found.rule, Level.ERROR, found.message, place, remedy=found.remedy, section=found.section,
                 part=tree.part, subject=found.attribute, value=found.value)  # fmt: skip


def _named(body: etree._Element, name: str) -> etree._Element:
    """The first element of that name, `child` or `parent/child`; the body where there is none."""
    parent, _, child = name.rpartition("/")
    for one in body.iter(f"{{{HL7V3}}}{child}"):
        above = one.getparent()
        if not parent or (above is not None and etree.QName(above).localname == parent):
            return one
    return body
