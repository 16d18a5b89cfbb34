"""What a target has answered against what a case expects of it: every departure a `Finding`, in English and French."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from lxml import etree

from conformance import authorisations, records
from conformance.case import Expect
from conformance.exchange import Exchanged
from conformance.phrases import french, french_context
from conformance.result import Anchor, Finding, Text, Told
from conformance.submission import Thing
from conformance.wire import ACTIONS, QUERY, RIM, RS, SOAP, WSA, XDSB, Answer, WireError, read_answer

SOAP11 = "http://schemas.xmlsoap.org/soap/envelope/"
V3 = "urn:hl7-org:v3"
_NS = {"rim": RIM, "rs": RS, "query": QUERY, "xdsb": XDSB, "v3": V3, "soap": SOAP}
_ERROR = "urn:oasis:names:tc:ebxml-regrep:ErrorSeverityType:Error"
_PARSER = etree.XMLParser(resolve_entities=False, no_network=True)
#: wsa:Action of an answer where it is not that of the request with "Response" behind it. The standard has two for ITI-61.
_ANSWERS = {
    "ITI-44": ("urn:hl7-org:v3:MCCI_IN000002UV01",),
    records.TRANSACTION: records.ANSWERS,
    authorisations.TRANSACTION: authorisations.ANSWERS,
    "ITI-61": (
        "urn:ihe:iti:2010:RegisterOnDemandDocumentEntryResponse",
        "urn:ihe:iti:2010:RegisterOnDemandDocumentResponse",
    ),
}


@dataclass(slots=True)
class Reply:
    """An answer as the checks see it. `status` is Success, PartialSuccess, Failure, Fault, or an acknowledgement code."""

    exchanged: Exchanged
    status: str = ""
    codes: list[str] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    answer: Answer | None = None
    unreadable: str = ""

    @property
    def outcome(self) -> str:
        """As a person reads it."""
        return self.unreadable or " ".join([self.status, *dict.fromkeys(self.codes)])


def read_reply(transaction: str, exchanged: Exchanged) -> Reply:
    """Never raises: what cannot be read is told in `unreadable`."""
    reply = Reply(exchanged)
    if transaction in ("ITI-8", "ITI-64"):
        _read_v2(reply)
        return reply
    try:
        if exchanged.content_type.lower().startswith("text/xml"):
            _read_soap11(reply)
            return reply
        answer = reply.answer = read_answer(exchanged.status, exchanged.content_type, exchanged.response.body)
        if answer.fault:
            _read_fault(reply, answer.body)
        elif transaction == "ITI-44":
            _read_v3(reply, answer.body)
        elif transaction == records.TRANSACTION:
            _read_record(reply, answer.body)
        elif transaction == authorisations.TRANSACTION:
            _read_authorisation(reply, answer.body)
        else:
            reply.status = answer.status
            reply.told = [Told(e.code, e.context, e.severity, e.location) for e in answer.errors]
            reply.codes = answer.codes
    except (WireError, etree.XMLSyntaxError) as error:
        reply.unreadable = str(error)[:400]
    return reply


def _read_v2(reply: Reply) -> None:
    segments = reply.exchanged.response.body.decode("utf-8", "replace").split("\r")
    msa = next((segment.split("|") for segment in segments if segment.startswith("MSA|")), [])
    reply.status = msa[1] if len(msa) > 1 else ""
    reply.told = [Told(reply.status, "|".join(segment.split("|")[1:])) for segment in segments if segment.startswith("ERR|")]
    if not reply.status:
        reply.unreadable = "no MSA segment"


def _read_v3(reply: Reply, body: etree._Element) -> None:
    code = body.find("v3:acknowledgement/v3:typeCode", _NS)
    reply.status = "" if code is None else code.get("code", "")
    details = body.findall("v3:acknowledgement/v3:acknowledgementDetail/v3:text", _NS)
    reply.told = [Told(reply.status, detail.text or "") for detail in details]
    if not reply.status:
        reply.unreadable = "no acknowledgement"


def _read_record(reply: Reply, body: etree._Element) -> None:
    reply.status, details = records.read_acknowledgement(body)
    reply.told = [Told(code, text) for code, text in details]
    reply.codes = [code for code, _ in details]
    if not reply.status:
        reply.unreadable = "no acknowledgement"


def _read_authorisation(reply: Reply, body: etree._Element) -> None:
    status, context = authorisations.read_status(body)
    if not status:
        reply.unreadable = "no acknowledgement"
        return
    reply.status = "Success" if status == authorisations.DONE else "Failure"
    if reply.status == "Failure":
        reply.codes, reply.told = [status], [Told(status, context, _ERROR)]


def _read_fault(reply: Reply, body: etree._Element) -> None:
    values = [(value.text or "").strip().rpartition(":")[2] for value in body.iterfind(".//soap:Value", _NS)]
    reason = body.findtext("soap:Reason/soap:Text", "", _NS)
    reply.status, reply.codes = "Fault", values
    reply.told = [Told("/".join(values), reason)]


def _read_soap11(reply: Reply) -> None:
    root = etree.fromstring(reply.exchanged.response.body, _PARSER)
    fault = root.find(f"{{{SOAP11}}}Body/{{{SOAP11}}}Fault")
    if fault is None and root.tag == f"{{{SOAP11}}}Envelope":
        reply.status = "SOAP 1.1"
        return
    if fault is None:
        reply.unreadable = f"HTTP {reply.exchanged.status} with Content-Type {reply.exchanged.content_type} and no SOAP 1.1 fault"
        return
    code = (fault.findtext("faultcode") or "").strip().rpartition(":")[2]
    reply.status, reply.codes = "Fault", [code]
    reply.told = [Told(code, fault.findtext("faultstring") or "")]


# -------------------------------------------------------------------------------------------------------------- judging


@dataclass(slots=True)
class Judge:
    """Judges one answer. `things` are all objects of the case; `strangers` may be in an answer without being asked for."""

    transaction: str
    expect: Expect
    reply: Reply
    things: Mapping[str, Thing]
    message_id: str = ""
    strangers: bool = False

    def findings(self) -> Iterator[Finding]:
        """Everything that is not as it must be; after a wrong status nothing further is looked at."""
        if self.reply.unreadable:
            yield self._finding("answer", self.expect.words(), self.reply.unreadable, _unreadable(self.reply.unreadable))
            return
        wrong = list(self._status())
        yield from wrong
        if wrong:
            return
        yield from self._codes()
        yield from self._addressing()
        if self.reply.answer is not None and self.reply.status != "Fault":
            yield from self._consistent()
            yield from self._returned(self.reply.answer)
            yield from self._holding(self.reply.answer)
            yield from self._documents(self.reply.answer)

    def _status(self) -> Iterator[Finding]:
        status = self.reply.status
        if status not in self.expect.statuses:
            got = self.reply.outcome + "".join(f"; {told.code}: {told.context}" for told in self.reply.told[:3])
            contexts = [(told.code, french_context(told.context) or told.context) for told in self.reply.told[:3]]
            in_french = self.reply.outcome + "".join(f" ; {code} : {context}" for code, context in contexts)
            wanted = " / ".join(self.expect.statuses)
            text = Text(_STATUS.en.format(wanted, got[:600]), _STATUS.fr.format(wanted, in_french[:600]))
            if status == "Success" and set(self.expect.statuses) <= {"Failure", "Fault"}:
                text = _ACCEPTED.format_(self.expect.words())
            yield self._finding("status", self.expect.words(), got, text, "status=" if status != "Fault" else "Fault")
        elif self.expect.http and self.reply.exchanged.status not in self.expect.http:
            wanted, got = "/".join(map(str, self.expect.http)), str(self.reply.exchanged.status)
            yield self._finding("http", wanted, got, _HTTP.format_(wanted, got), "HTTP/1.1")

    def _codes(self) -> Iterator[Finding]:
        errors = [told.code for told in self.reply.told if told.severity in ("", _ERROR)]
        warnings = [told.code for told in self.reply.told if told.severity not in ("", _ERROR)]
        for check, wanted, got in (
            ("code", self.expect.codes, errors),
            ("warning", self.expect.warns, warnings),
            ("fault", self.expect.fault, self.reply.codes),
        ):
            if check == "code" and self.reply.status == "Fault" and not self.expect.fault:
                continue  # a fault is among the statuses: it has no error code
            if wanted and not set(wanted) & set(got):
                told = ", ".join(dict.fromkeys(got)) or "-"
                anchor = "errorCode=" if check != "fault" else "Value"
                yield self._finding(check, " / ".join(wanted), told, _CODE.format_(" / ".join(wanted), told), anchor)

    def _addressing(self) -> Iterator[Finding]:
        """WS-Addressing of an answer: it relates to the request, and its action is that of the transaction."""
        answer = self.reply.answer
        if answer is None:
            return
        relates = answer.envelope.findtext(f"{{{SOAP}}}Header/{{{WSA}}}RelatesTo", "").strip()
        if self.message_id and relates != self.message_id and (relates or self.reply.status != "Fault"):
            text = _RELATES.format_(self.message_id, relates or "-")
            yield self._finding("header", self.message_id, relates, text, "RelatesTo", "WS-Addressing 1.0 Core: 3.4")
        if self.reply.status == "Fault":
            return
        wanted = _ANSWERS.get(self.transaction) or (ACTIONS[self.transaction] + "Response",)
        if answer.action not in wanted:
            text = _ACTION.format_(" / ".join(wanted), answer.action or "-")
            yield self._finding("header", wanted[0], answer.action, text, "Action", "ITI TF-2: V.3.2.2")

    def _consistent(self) -> Iterator[Finding]:
        """Status and RegistryErrorList agree (ITI TF-3: 4.2.4.1)."""
        severities = [told.severity for told in self.reply.told]
        if self.reply.status == "Success" and _ERROR in severities:
            yield self._finding("status", "Success", "Success with errors", _AGREE, "severity=", "ITI TF-3: 4.2.4.1")
        if self.reply.status == "Failure" and _ERROR not in severities:
            yield self._finding("status", "Failure", "Failure without an error", _AGREE, "status=", "ITI TF-3: 4.2.4.1")

    def _returned(self, answer: Answer) -> Iterator[Finding]:
        if self.expect.returns is None:
            return
        found = answer.body.find("rim:RegistryObjectList", _NS)
        names = {thing.id: name for name, thing in self.things.items()}
        # A Classification beside its RegistryPackage is a part of it, as one inside is (ITI TF-3: 4.2.1.2.1, 4.2.1.3.1).
        objects = [] if found is None else [e for e in found if isinstance(e.tag, str) and e.tag != f"{{{RIM}}}Classification"]
        got = [names.get(e.get("id", ""), "?") for e in objects]
        if self.strangers:
            got = [name for name in got if name != "?"]
        wanted = Counter(self.expect.returns)
        missing, extra = wanted - Counter(got), Counter(got) - wanted
        if missing or extra:
            told = ", ".join(sorted(got)) or "-"
            text = _RETURNED.format_(", ".join(sorted(missing.elements())) or "-", ", ".join(sorted(extra.elements())) or "-")
            yield self._finding("content", ", ".join(sorted(wanted.elements())) or "-", told, text, "RegistryObjectList")

    def _holding(self, answer: Answer) -> Iterator[Finding]:
        for expression in self.expect.holds:
            if not answer.body.xpath(expression, namespaces=_NS):
                yield self._finding("content", expression, "false", _HOLDS.format_(expression), "Body")

    def _documents(self, answer: Answer) -> Iterator[Finding]:
        if self.expect.documents is None:
            return
        try:
            retrieved = answer.documents()
        except (WireError, ValueError) as error:
            yield self._finding("document", "XOP", str(error), _unreadable(str(error)), "DocumentResponse")
            return
        for name in self.expect.documents:
            thing = self.things[name]
            document = retrieved.pop(thing.uid, None)
            if document is None:
                yield self._finding("document", thing.uid, "-", _MISSING.format_(thing.uid), "DocumentResponse")
            elif document.content != thing.content:
                got = f"{len(document.content)} octets"
                yield self._finding("document", f"{thing.size} octets", got, _BYTES.format_(thing.uid), "DocumentResponse")
            elif document.mime_type != thing.mime_type:
                text = _MIME.format_(thing.uid, thing.mime_type, document.mime_type)
                yield self._finding("document", thing.mime_type, document.mime_type, text, "mimeType")
        for uid in retrieved:
            yield self._finding("document", "-", uid, _UNASKED.format_(uid), uid)

    def _finding(self, check: str, expected: str, got: str, text: Text, excerpt: str = "", section: str = "") -> Finding:
        anchor = anchor_of(self.reply.exchanged.response.octets, excerpt) if excerpt else None
        return Finding(check, expected, got, text, anchor, (), section)


def anchor_of(octets: bytes, excerpt: str) -> Anchor | None:
    """The first line of a response that holds `excerpt`."""
    place = octets.find(excerpt.encode())
    return None if place < 0 else Anchor("response", octets.count(b"\n", 0, place) + 1, excerpt)


class _Template(Text):
    """Two sentences with places to fill."""

    def format_(self, *values: object) -> Text:
        return Text(self.en.format(*values), self.fr.format(*values))


def _unreadable(why: str) -> Text:
    return Text(f"The answer cannot be read: {why}", f"La réponse est illisible : {french(why)}")


_STATUS = _Template("The answer must be {0}; it is {1}", "La réponse doit être {0} ; elle est {1}")
_ACCEPTED = _Template(
    "The server has accepted a message that it must refuse ({0}): it has to check this rule before it stores or answers",
    "Le serveur a accepté un message qu'il doit refuser ({0}) : il doit vérifier cette règle avant d'enregistrer ou de répondre",
)
_HTTP = _Template("The HTTP status must be {0}; it is {1}", "Le statut HTTP doit être {0} ; c'est {1}")
_CODE = _Template("The answer must carry the code {0}; it carries {1}", "La réponse doit porter le code {0} ; elle porte {1}")
_RELATES = _Template(
    "wsa:RelatesTo must be the request's MessageID, {0}; it is {1}",
    "wsa:RelatesTo doit reprendre le MessageID de la requête, {0} ; c'est {1}",
)
_ACTION = _Template("wsa:Action of the answer must be {0}; it is {1}", "wsa:Action de la réponse doit être {0} ; c'est {1}")
_AGREE = Text(
    "The status and the severities of the RegistryErrorList contradict each other",
    "Le statut et les sévérités de la RegistryErrorList se contredisent",
)
_RETURNED = _Template(
    "The answer lacks: {0}; it holds without being asked for: {1}",
    "Il manque à la réponse : {0} ; elle contient sans raison : {1}",
)
_HOLDS = _Template("This must be true of the answer and is not: {0}", "Ceci doit être vrai de la réponse et ne l'est pas : {0}")
_MISSING = _Template("The document {0} has not come back", "Le document {0} n'est pas revenu")
_BYTES = _Template(
    "The octets of document {0} are not those that were submitted",
    "Les octets du document {0} ne sont pas ceux qui ont été déposés",
)
_MIME = _Template("mimeType of document {0} must be {1}; it is {2}", "Le mimeType du document {0} doit être {1} ; c'est {2}")
_UNASKED = _Template("The document {0} was not asked for", "Le document {0} n'était pas demandé")
