"""What a server answered: status against errors, codes that the standard knows, documents that came back."""

from __future__ import annotations

from collections.abc import Mapping

from lxml import etree

from conformance.check_cda import check_document
from conformance.check_lint import Lint
from conformance.check_places import Passage, Tree
from conformance.check_result import Level
from metadata.cda_header import is_cda
from metadata.vocabulary import ErrorCode, ResponseStatus, Severity
from schemas.namespaces import RS, SOAP11, SOAP12, XDS, q
from soap.body.registry_response import parse_registry_response

_RESPONSES = ("RegistryResponse", "AdhocQueryResponse", "RetrieveDocumentSetResponse")
_ERRORS = q(RS, "RegistryError")
_SECTION = "ITI TF-3: 4.2.4"


def check_answer(lint: Lint, tree: Tree, body: etree._Element, documents: Mapping[etree._Element, Passage] | None) -> None:
    """The body of a response; any other body is left alone."""
    local = etree.QName(body).localname
    if body.tag in (q(SOAP12, "Fault"), q(SOAP11, "Fault")):
        _say_fault(lint, body)
    elif local in _RESPONSES:
        _check_status(lint, tree, body)
    for element, passage in (documents or {}).items():
        if is_cda(passage.text):
            check_document(lint, passage if not passage.name else Passage(lint.source, passage.text, (), passage.name))
        response = element.getparent()
        identifier = response.findtext(q(XDS, "DocumentUniqueId"), "") if response is not None else ""
        lint.checked.says.append(f"document {identifier}: {len(passage.text)} octets")


def _say_fault(lint: Lint, body: etree._Element) -> None:
    named = [(etree.QName(e).localname, (e.text or "").strip()) for e in body.iter() if isinstance(e.tag, str)]
    texts = [text for name, text in named if name in ("Text", "faultstring")]
    codes = [text for name, text in named if name in ("Value", "faultcode")]
    lint.checked.says.append(f"SOAP fault {' / '.join(codes)}: {' - '.join(texts)}")


def _check_status(lint: Lint, tree: Tree, body: etree._Element) -> None:
    answer = parse_registry_response(body)
    lint.checked.says.append(f"answer {answer.status_text.rpartition(':')[2] or 'without status'}, {len(answer.errors)} error(s)")
    elements = list(body.iter(_ERRORS))
    holder = body if body.get("status") is not None else body.find(q(RS, "RegistryResponse"))
    place = tree.place(holder if holder is not None else body, "status")
    if answer.status is None:
        lint.add("ANS-002", Level.ERROR, f"the standard has no status '{answer.status_text}'", place, section=_SECTION,
                 remedy="Success, PartialSuccess or Failure, as URN.", part=tree.part)  # fmt: skip
    failed = [error for error in answer.errors if error.severity == Severity.ERROR.value]
    if answer.status is ResponseStatus.SUCCESS and failed:
        message = f"the status is Success beside {len(failed)} error(s) of severity Error"
        lint.add("ANS-002", Level.ERROR, message, place, section=_SECTION, part=tree.part,
                 remedy="Answer Failure (or PartialSuccess), or give the errors the severity Warning.")  # fmt: skip
    if answer.status is ResponseStatus.FAILURE and not failed:
        lint.add("ANS-002", Level.ERROR, "the status is Failure and no error says why", place, section=_SECTION, part=tree.part,
                 remedy="Send an rs:RegistryErrorList with at least one error.")  # fmt: skip
    for element, error in zip(elements, answer.errors, strict=False):
        lint.checked.says.append(f"{error.error_code}: {error.code_context}")
        if error.error_code not in ErrorCode.__members__:
            lint.add("ANS-001", Level.WARNING, f"the standard has no code '{error.error_code}'",
                     tree.place(element, "errorCode"), section="ITI TF-3: Table 4.2.4.1-2", part=tree.part,
                     remedy="Use a code of the table; your own words belong in codeContext.", value=error.error_code)  # fmt: skip
