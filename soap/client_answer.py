"""An HTTP answer becomes a SOAP body and the parts beside it, or one of the errors of `soap.client_errors`.

The readers are those that the server uses for requests: the same limits, the same tolerance, the same hardened parser.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import cast

from lxml import etree

from schemas.namespaces import SOAP11, SOAP12, XML, q
from security.refusal import Denied
from soap.body.provide import Contents
from soap.call import Note, StagedPart
from soap.client_errors import BadAnswer, ClientError, HttpError, SoapFault
from soap.client_http import Response
from soap.fault import DIAGNOSIS, Fault
from soap.inline import DOCUMENT, MARK
from soap.limits import GB, MB, Limits
from soap.mime import parse_content_type
from soap.mtom import Parts, read_package
from soap.receive import CHUNK, Body
from soap.root import RootSink
from soap.signing import included
from soap.staging import Part, Staging
from soap.wire import Do, Wire

#: What an answer may cost the client. Documents of any size go to files; the XML is that of a query with many results.
ANSWER_LIMITS = Limits(root=128 * MB, inline=1 * GB, part=1024 * GB, total=1024 * GB, parts=100_000, receive_seconds=86_400.0)
#: The same for documents: larger XML has them inline, and then they go to files as well.
DOCUMENT_LIMITS = replace(ANSWER_LIMITS, root=2 * MB)

_XOP = "application/xop+xml"
_SOAP_TYPES = ("application/soap+xml", "text/xml", "application/xml", _XOP)
_EXCERPT = 300
#: Another server's package is read as generously as it can be read in one way only.
_WIRE = Wire(overrides={"WIRE-019": Do.ACCEPT, "WIRE-020": Do.ACCEPT})


@dataclass(frozen=True, slots=True)
class SoapAnswer:
    """The one child of the SOAP body, and the parts of the package. `staged` are all parts, so that none is left behind."""

    url: str
    body: etree._Element
    contents: Contents
    staged: list[Part]

    def content(self, holder: etree._Element) -> StagedPart:
        """What the xds:Document within `holder` holds: the part that it includes, or its inline base64. Raises BadAnswer."""
        document = holder.find(DOCUMENT)
        if document is None:
            raise BadAnswer(self.url, f"its {etree.QName(holder).localname} holds no Document")
        try:
            self.contents.resolve(holder, [])
        except Fault as fault:
            raise BadAnswer(self.url, fault.reason) from None
        return self.contents.of(document)

    def remove(self) -> None:
        """Deletes the files of all parts that nobody has renamed."""
        for part in self.staged:
            part.remove()


Check = Callable[[etree._Element, Mapping[etree._Element, StagedPart]], object]


def read_answer(response: Response, staging: Staging, limits: Limits = ANSWER_LIMITS, check: Check | None = None) -> SoapAnswer:
    """Reads the whole answer. Raises HttpError, SoapFault, BadAnswer and Unreachable; leaves no file behind then.

    `check` verifies the signature of the envelope, given the documents that are not in its tree; what it raises as Denied
    becomes BadAnswer.
    """
    staged: list[Part] = []
    try:
        notes: list[Note] = []
        sink = RootSink(limits, _WIRE, notes, staging, staged)
        root, parts = _read(response, sink, staging, limits, notes, staged)
        # An answer larger than limits.root had its inline documents decoded while it came; the mark says which is which.
        marked = [element for element in root.iter(DOCUMENT) if sink.streamed and MARK in element.attrib]
        inline = {element: staged[int(element.attrib.pop(MARK))] for element in marked}
        if check is not None:
            _check(check, root, parts, inline, response)
        return SoapAnswer(response.url, _body(root, response), Contents(parts, inline, staging, staged, limits, _WIRE), staged)
    except BaseException:
        for part in staged:
            part.remove()
        raise


def _check(check: Check, root: etree._Element, parts: Parts, inline: Mapping[etree._Element, Part], response: Response) -> None:
    try:
        check(root, {**included(root, parts, _WIRE), **inline})
    except Denied as denied:
        raise BadAnswer(response.url, f"its signature is not accepted: {denied.text_en} [{denied.rule}]") from None
    except Fault as fault:
        raise BadAnswer(response.url, fault.reason) from None


def _read(
    response: Response, sink: RootSink, staging: Staging, limits: Limits, notes: list[Note], staged: list[Part]
) -> tuple[etree._Element, Parts]:
    content_type = response.header("Content-Type")
    started = _Start(response)
    try:
        media, parameters = parse_content_type(content_type, _WIRE) if content_type else ("", {})
        if media != "multipart/related" and media not in _SOAP_TYPES:
            raise _http_error(response, content_type)
        body = Body({**response.environ(), "wsgi.input": started}, _WIRE, limits, notes)
        if media == "multipart/related":
            package = read_package(body, parameters, sink, staging, _WIRE, limits, notes, staged)
            root, parts = sink.close(package.root_charset), package.parts
        else:
            while chunk := body.read(CHUNK):
                sink.write(chunk)
            root, parts = sink.close(parameters.get("charset")), Parts()
        while body.read(CHUNK):
            pass
        return root, parts
    except Fault as fault:
        if response.status != 200:
            raise _without_soap(response, started.excerpt()) from None
        raise BadAnswer(response.url, _as_answer(fault), started.excerpt()) from None
    except (OSError, EOFError) as error:
        raise BadAnswer(response.url, f"it ends too early ({error})", started.excerpt()) from None


class _Start:
    """Passes the answer on and keeps its first octets, to show them when they are of no use otherwise."""

    def __init__(self, response: Response) -> None:
        self._response = response
        self._kept = b""

    def read(self, n: int) -> bytes:
        data = self._response.read(n)
        if len(self._kept) < _EXCERPT * 4:
            self._kept += data[: _EXCERPT * 4]
        return data

    def excerpt(self) -> str:
        return _excerpt(self._kept)


def _excerpt(data: bytes) -> str:
    text = " ".join("".join(c if c.isprintable() else " " for c in data.decode("utf-8", "replace")).split())
    return text if len(text) <= _EXCERPT else text[:_EXCERPT] + "..."


def _http_error(response: Response, content_type: str) -> ClientError:
    try:
        data = response.read(_EXCERPT * 4)
    except (OSError, EOFError):
        data = b""
    if response.status == 200:
        return BadAnswer(response.url, f"it is of type '{content_type[:80]}', not SOAP", _excerpt(data))
    return _without_soap(response, _excerpt(data))


def _without_soap(response: Response, excerpt: str) -> HttpError:
    return HttpError(response.url, response.status, response.reason, response.header("Content-Type"), excerpt)


def _as_answer(fault: Fault) -> str:
    """The readers speak to a sender; here the answer is meant, and the remedy is not for us."""
    return fault.reason.replace("The upload was cut short", "it was cut short").replace("The request", "it").rstrip(".")


def _body(root: etree._Element, response: Response) -> etree._Element:
    for namespace in (SOAP12, SOAP11):
        if root.tag == q(namespace, "Envelope"):
            body = root.find(q(namespace, "Body"))
            children = [] if body is None else [child for child in body if isinstance(child.tag, str)]
            if len(children) != 1:
                raise BadAnswer(response.url, f"its SOAP body has {len(children)} child elements, not one")
            if children[0].tag == q(namespace, "Fault"):
                raise _fault12(children[0], response) if namespace == SOAP12 else _fault11(children[0], response)
            if response.status >= 300:
                raise _without_soap(response, _excerpt(etree.tostring(root)))
            return children[0]
    if response.status >= 300:
        raise _without_soap(response, _excerpt(etree.tostring(root)))
    raise BadAnswer(response.url, f"its root element is {str(root.tag)[:120]}, not a SOAP envelope")


def _fault12(fault: etree._Element, response: Response) -> SoapFault:
    texts = fault.findall(f"{q(SOAP12, 'Reason')}/{q(SOAP12, 'Text')}")
    said = {(text.get(q(XML, "lang")) or "").lower()[:2]: (text.text or "").strip() for text in reversed(texts)}
    reason = said.get("en") or " ".join((text.text or "").strip() for text in texts[:1])
    code = fault.findtext(f"{q(SOAP12, 'Code')}/{q(SOAP12, 'Value')}") or ""
    subcode = fault.findtext(f"{q(SOAP12, 'Code')}/{q(SOAP12, 'Subcode')}/{q(SOAP12, 'Value')}") or ""
    return _fault(response, code, reason, subcode, fault.find(q(SOAP12, "Detail")), said.get("fr", ""))


def _fault11(fault: etree._Element, response: Response) -> SoapFault:
    reason = (fault.findtext("faultstring") or "").strip()
    return _fault(response, fault.findtext("faultcode") or "", reason, "", fault.find("detail"))


def _fault(
    response: Response, code: str, reason: str, subcode: str, detail: etree._Element | None, french: str = ""
) -> SoapFault:
    diagnosis = detail.find(q(DIAGNOSIS, "Diagnosis")) if detail is not None else None
    said = ""
    if detail is not None and diagnosis is None:
        said = _excerpt(" ".join(cast(list[str], detail.xpath(".//text()"))).encode())
    return SoapFault(
        response.url,
        response.status,
        code.strip().rpartition(":")[2] or "no code",
        reason or "no reason given",
        subcode=subcode.strip().rpartition(":")[2],
        rule=diagnosis.get("rule", "") if diagnosis is not None else "",
        remedy=(diagnosis.findtext(q(DIAGNOSIS, "Remedy")) or "") if diagnosis is not None else "",
        detail=said,
        reason_fr=french,
    )
