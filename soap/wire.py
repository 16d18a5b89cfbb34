"""The quirks of real clients: one row each, with what is done about it. The code asks this table and holds no opinion of its own.

`ACCEPT` is silence, `NOTE` acceptance with a `Note` on the call, `REFUSE` a fault that says what is wrong and how to mend it.
The default profile takes what can be understood in one way only. The strict profile refuses what the standard does not allow;
settings may change single rows (`Wire.overrides`), but never a row marked `fixed`: what can be read in two ways, and what would
make the server fetch or overwrite something, is refused always. `docs/wire.md` is this table in prose.
"""

# ruff: noqa: E501 - a row of the table is read as a row

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from soap.call import Note
from soap.fault import Fault, FaultCode


class Do(Enum):
    ACCEPT = "accept"
    NOTE = "note"
    REFUSE = "refuse"


class Seat(Enum):
    """Who meets the quirk: the HTTP server, this package, the query table, or the signature check."""

    SERVER = "server"
    SOAP = "soap"
    QUERY = "query"
    SECURITY = "security"


@dataclass(frozen=True, slots=True)
class Quirk:
    """One row. `refusal` and `remedy` are the fault's words when the action is REFUSE, in French out of `schemas/sentences`; `status` is
    its HTTP status when not that of the code."""

    id: str
    text: str
    default: Do
    strict: Do
    source: str
    refusal: str = ""
    remedy: str = ""
    code: FaultCode = FaultCode.SENDER
    status: int | None = None
    seat: Seat = Seat.SOAP
    fixed: bool = False


A, W, R = Do.ACCEPT, Do.NOTE, Do.REFUSE

_MIME = "RFC 2046: 5.1.1"
_RELATED = "RFC 2387: 3"
_XOP = "XOP 1.0: 3, 4"
_HTTP = "SOAP 1.2 Part 2: 7"
_ENVELOPE = "SOAP 1.2 Part 1: 5"
_V3 = "ITI TF-2: V.3"
_V8 = "ITI TF-2: V.8"

_ROWS = (
    Quirk("WIRE-001", "Expect: 100-continue", A, A, "RFC 9110: 10.1.1", seat=Seat.SERVER),
    Quirk("WIRE-002", "chunked transfer without a length", A, A, "RFC 9112: 7.1"),
    Quirk("WIRE-002-two", "two lengths, or a length beside chunked transfer", R, R, "RFC 9112: 6.3", fixed=True,
          refusal="The request states its length in two ways", remedy="Send either one Content-Length or chunked transfer."),
    Quirk("WIRE-003", "HTTP/1.0, or Connection: close", A, A, "RFC 9112: 9.6"),
    Quirk("WIRE-004", "gzip or deflate request body", A, R, "RFC 9110: 8.4", status=415,
          refusal="The request body is compressed", remedy="Send it without Content-Encoding."),
    Quirk("WIRE-004-coding", "a Content-Encoding that is not read here, or several", R, R, "RFC 9110: 8.4", fixed=True, status=415,
          refusal="This Content-Encoding is not read here", remedy="Send gzip, deflate, or no Content-Encoding."),
    Quirk("WIRE-004-bomb", "a compressed body that grows beyond measure or is damaged", R, R, "RFC 9110: 8.4", fixed=True,
          refusal="The compressed body cannot be unpacked within the limits", remedy="Send the body uncompressed."),
    Quirk("WIRE-005", "Accept-Encoding with none, identity or an unknown word", A, A, "RFC 9110: 12.5.3"),
    Quirk("WIRE-006", "Accept without a SOAP media type", A, A, _HTTP),
    Quirk("WIRE-007", "HTTP and MIME header names in any case", A, A, "RFC 9110: 5.1"),
    Quirk("WIRE-008", "SOAPAction header beside SOAP 1.2, even empty", A, A, _HTTP),
    Quirk("WIRE-009", "SOAPAction or the action parameter differs from wsa:Action", W, R, _V3,
          refusal="The HTTP action and wsa:Action name different transactions",
          remedy="Give both the value of wsa:Action, or leave the HTTP action out."),
    Quirk("WIRE-010", "media type in any case", A, A, "RFC 9110: 8.3.1"),
    Quirk("WIRE-011", "parameter order, missing blanks, a charset on multipart/related", A, A, _RELATED),
    Quirk("WIRE-011-broken", "a Content-Type that cannot be parsed, or a parameter given twice", R, R, "RFC 2045: 5.1", fixed=True,
          refusal="The Content-Type cannot be read, or only in two ways",
          remedy='Write media/type; name="value"; name="value", each name once.'),
    Quirk("WIRE-012", "boundary unquoted, even with characters that need quotes", A, A, _MIME),
    Quirk("WIRE-013", "boundary with + : / = or leading hyphens", A, A, _MIME),
    Quirk("WIRE-013-illegal", "boundary longer than 70 characters or with characters MIME does not allow", R, R, _MIME, fixed=True,
          refusal="The boundary is not a legal MIME boundary",
          remedy="Use 1 to 70 letters, digits and '()+_,-./:=? characters."),
    Quirk("WIRE-014", "boundary absent from the HTTP header, present in MIME headers at the start of the body", W, R, _MIME,
          refusal="The Content-Type header names no boundary",
          remedy='Write Content-Type: multipart/related; boundary="..." in the HTTP header.'),
    Quirk("WIRE-014-nowhere", "no boundary anywhere", R, R, _MIME, fixed=True,
          refusal="No boundary is named, neither in the Content-Type header nor at the start of the body",
          remedy='Write Content-Type: multipart/related; boundary="..." in the HTTP header.'),
    Quirk("WIRE-015", "boundary of the header differs from that of the body", R, R, _MIME, fixed=True,
          refusal="The boundary of the Content-Type header does not occur in the body",
          remedy="Use one boundary in both places; check what rewrote the header on the way."),
    Quirk("WIRE-016", "action inside start-info or the root part's type", A, A, _V8),
    Quirk("WIRE-017", "start-info or the part's type says text/xml, the envelope is SOAP 1.2", W, R, _V8,
          refusal="The content type announces SOAP 1.1 (text/xml), the envelope is SOAP 1.2",
          remedy='Write start-info="application/soap+xml".'),
    Quirk("WIRE-018", "type parameter is not application/xop+xml", W, R, _XOP,
          refusal="The type parameter of multipart/related is not application/xop+xml",
          remedy='Write type="application/xop+xml".'),
    Quirk("WIRE-019", "type or start absent, start without <>, start names no part", W, R, _RELATED,
          refusal="The type or start parameter of multipart/related is missing or names no part",
          remedy='Write type="application/xop+xml"; start="<Content-ID of the root part>".'),
    Quirk("WIRE-019-empty", "a package without any part", R, R, _RELATED, fixed=True,
          refusal="The MIME package has no root part", remedy="Send the SOAP envelope as the first part."),
    Quirk("WIRE-020", "root part is text/xml, application/soap+xml or of an empty type", W, R, _XOP,
          refusal="The root part is not of type application/xop+xml",
          remedy='Write Content-Type: application/xop+xml; charset=UTF-8; type="application/soap+xml" in the root part.'),
    Quirk("WIRE-021", "part header over several lines, or with a trailing semicolon", A, A, "RFC 5322: 2.2.3"),
    Quirk("WIRE-022", "application/xop+xml without multipart/related around it", R, R, _XOP, fixed=True, status=415,
          refusal="An XOP document was sent without its MIME package",
          remedy="Send multipart/related with this document as root part, or plain SOAP as application/soap+xml."),
    Quirk("WIRE-022-type", "a media type that is neither SOAP 1.2 nor MTOM", R, R, _HTTP, fixed=True, status=415,
          refusal="This media type is not read here",
          remedy="Send application/soap+xml, or multipart/related with type application/xop+xml."),
    Quirk("WIRE-023", "SOAP 1.1 envelope", R, R, "SOAP 1.2 Part 1: A", code=FaultCode.VERSION_MISMATCH,
          refusal="The envelope is SOAP 1.1; IHE XDS.b is SOAP 1.2",
          remedy='Use the namespace http://www.w3.org/2003/05/soap-envelope and Content-Type application/soap+xml.'),
    Quirk("WIRE-023-other", "an envelope of no known SOAP version", R, R, _ENVELOPE, code=FaultCode.VERSION_MISMATCH, fixed=True,
          refusal="The message is not a SOAP 1.2 envelope",
          remedy="Send an Envelope of namespace http://www.w3.org/2003/05/soap-envelope."),
    Quirk("WIRE-024", "line ends or blank lines before the first boundary", A, A, _MIME),
    Quirk("WIRE-025", "preamble text, epilogue, blanks after a boundary", A, A, _MIME),
    Quirk("WIRE-026", "closing boundary without a line end", A, A, _MIME),
    Quirk("WIRE-027", "the closing boundary is missing, or the body ends before its length", R, R, _MIME, fixed=True,
          refusal="The upload was cut short",
          remedy="End the package with --BOUNDARY-- on a line of its own; where it was sent so, send it again. Nothing was stored."),
    Quirk("WIRE-028", "line ends of MIME headers and boundaries are LF alone", W, R, _MIME,
          refusal="The MIME lines end with LF instead of CRLF", remedy="End MIME header lines and boundaries with CRLF."),
    Quirk("WIRE-028-mixed", "some MIME lines end with CRLF and some with LF", R, R, _MIME, fixed=True,
          refusal="The MIME lines end partly with CRLF and partly with LF, so the package can be read in two ways",
          remedy="End every MIME header line and boundary with CRLF."),
    Quirk("WIRE-029", "content lines that begin with hyphens or look like a boundary", A, A, _MIME),
    Quirk("WIRE-030", "root part without Content-ID or Content-Transfer-Encoding", A, A, "RFC 2045: 6.1"),
    Quirk("WIRE-031", "Content-ID without @, with *, : or a URL inside", A, A, "RFC 2392"),
    Quirk("WIRE-032", "percent-encoding in href and not in Content-ID", A, A, "RFC 2392: 2"),
    Quirk("WIRE-033", "Content-ID itself percent-encoded", A, A, "RFC 2392: 2"),
    Quirk("WIRE-034", "'+' in ids stays '+'", A, A, "RFC 2392: 2"),
    Quirk("WIRE-035", "blanks or non-ASCII characters in Content-ID", W, R, "RFC 5322: 3.6.4",
          refusal="A Content-ID holds blanks or non-ASCII characters", remedy="Use letters, digits, '.', '-' and one '@'."),
    Quirk("WIRE-035-double", "a header field that occurs twice in one MIME part, or a line that is no field", R, R, _MIME, fixed=True,
          refusal="The header of a MIME part cannot be read, or only in two ways", remedy="Send every field once, as Name: value."),
    Quirk("WIRE-036", "xop:Include href that is not cid:", R, R, _XOP, fixed=True,
          refusal="An xop:Include points outside the message", remedy='Use href="cid:..." of a part of this very package; nothing is fetched.'),
    Quirk("WIRE-036-place", "xop:Include with company, or where no binary content belongs", R, R, _XOP, fixed=True,
          refusal="An xop:Include stands where it is not allowed",
          remedy="Let it be the only child of xds:Document (or of a binary value in wsse:Security)."),
    Quirk("WIRE-037", "a part in base64, quoted-printable or 7bit", W, R, "RFC 2045: 6",
          refusal="A MIME part uses a Content-Transfer-Encoding other than binary or 8bit", remedy="Send the part as binary."),
    Quirk("WIRE-037-bad", "an unknown Content-Transfer-Encoding, or content that does not decode", R, R, "RFC 2045: 6", fixed=True,
          refusal="A MIME part cannot be decoded", remedy="Send the part with Content-Transfer-Encoding: binary."),
    Quirk("WIRE-038", "8bit on the root part", A, A, "RFC 2045: 6"),
    Quirk("WIRE-039", "Content-Disposition with a file name (ignored, never a path)", A, A, "RFC 2183: 2.3"),
    Quirk("WIRE-040", "media type of the part differs from mimeType of the DocumentEntry", W, R, "ITI TF-2: 3.41.4.1.2",
          refusal="The media type of a part differs from the mimeType of its DocumentEntry",
          remedy="Send the part with the Content-Type that the metadata names."),
    Quirk("WIRE-041", "a part that nothing refers to", W, R, _XOP,
          refusal="A MIME part is referred to by nothing", remedy="Add the xds:Document with its xop:Include, or leave the part out."),
    Quirk("WIRE-041-twice", "one part referred to twice", A, R, _XOP,
          refusal="One MIME part is referred to twice", remedy="Send one part for each xop:Include."),
    Quirk("WIRE-041-missing", "xop:Include of a part that was not sent", R, R, _XOP, fixed=True,
          refusal="An xop:Include names a part that is not in the package", remedy="Send a part with that Content-ID."),
    Quirk("WIRE-041-double", "two parts answer to one Content-ID that is referred to", R, R, _XOP, fixed=True,
          refusal="Two parts answer to one Content-ID, so the package can be read in two ways",
          remedy="Give every part a Content-ID of its own."),
    Quirk("WIRE-042", "inline base64 inside an MTOM package", A, A, _V8),
    Quirk("WIRE-043", "ITI-41 as plain SOAP", R, R, _V8,
          refusal="ITI-41 came as plain SOAP; it is sent as MTOM",
          remedy='Send multipart/related; type="application/xop+xml" (documents may be inline in it), or have the server allow plain '
                 "SOAP: domain.wire_rows = WIRE-043=note."),
    Quirk("WIRE-043-retrieve", "ITI-43 as plain SOAP, answered in plain SOAP", A, R, _V8,
          refusal="ITI-43 came as plain SOAP; it is sent as MTOM", remedy='Send multipart/related; type="application/xop+xml".'),
    Quirk("WIRE-044", "XOP inside WS-Security (certificates, signature values): put back before verification", A, A, _XOP),
    Quirk("WIRE-045", "SOAP with Attachments: <Document href='cid:...'/>", R, R, _V8, fixed=True,
          refusal="A document is referred to by an href attribute (SOAP with Attachments)",
          remedy='Write <xds:Document id="..."><xop:Include xmlns:xop="http://www.w3.org/2004/08/xop/include" href="cid:..."/></xds:Document>.'),
    Quirk("WIRE-046", "base64 with line breaks", A, A, "XML Schema Part 2: 3.2.16"),
    Quirk("WIRE-046-raw", "XML or text where base64 is due", R, R, "XML Schema Part 2: 3.2.16", fixed=True,
          refusal="The content of an xds:Document is not base64", remedy="Encode the document, or send it as a MIME part with xop:Include."),
    Quirk("WIRE-047", "UTF-8 byte order mark", A, A, "XML 1.0: F"),
    Quirk("WIRE-048", "UTF-16, with or without an XML declaration", A, A, "RFC 7303: 3"),
    Quirk("WIRE-048-name", "a charset named wrongly, without effect on these bytes", A, R, "RFC 7303: 3",
          refusal="The charset is named differently in different places", remedy="Send UTF-8 and say so everywhere."),
    Quirk("WIRE-048-two", "charsets that contradict one another in these bytes, or one that is not read", R, R, "RFC 7303: 3", fixed=True,
          refusal="The charset of the message cannot be told or is not read here", remedy="Send UTF-8 and say so everywhere."),
    Quirk("WIRE-049", "blank lines before the XML declaration", W, R, "XML 1.0: 2.8",
          refusal="Blank characters stand before the XML declaration", remedy="Begin the part with <?xml or with the envelope."),
    Quirk("WIRE-050", "DOCTYPE, processing instruction or XInclude", R, R, _ENVELOPE, fixed=True,
          refusal="The message carries a construct that SOAP 1.2 forbids", remedy="Remove DOCTYPE, processing instructions and XInclude."),
    Quirk("WIRE-051", "two prefixes for one namespace, indentation, standalone", A, A, "XML Namespaces 1.0"),
    Quirk("WIRE-052", "a prefix that is not declared", R, R, "XML Namespaces 1.0: 5", fixed=True,
          refusal="A namespace prefix is not declared", remedy="Declare it with xmlns:prefix on the element or above it."),
    Quirk("WIRE-053", "no SOAP Header, or no wsa:Action: the body element decides", W, R, "WS-Addressing 1.0 SOAP Binding: 3",
          refusal="The message has no wsa:Action", remedy='Send <wsa:Action s:mustUnderstand="1"> with the action of the transaction.'),
    Quirk("WIRE-054", "blanks around wsa:Action", W, R, "WS-Addressing 1.0: 3",
          refusal="wsa:Action has blanks around its value", remedy="Write the URI alone."),
    Quirk("WIRE-055", "mustUnderstand spelled 1, true or True", A, A, "SOAP 1.2 Part 1: 5.2.3"),
    Quirk("WIRE-055-absent", "wsa:Action without mustUnderstand", W, R, "ITI TF-2: V.3.2.2 (IHE-WSA101)",
          refusal="wsa:Action is not marked mustUnderstand", remedy='Write <wsa:Action s:mustUnderstand="1">.'),
    Quirk("WIRE-056", "WS-Addressing of 2004", R, R, "WS-Addressing 1.0", fixed=True,
          refusal="The WS-Addressing headers are of the draft http://schemas.xmlsoap.org/ws/2004/08/addressing",
          remedy="Use the namespace http://www.w3.org/2005/08/addressing."),
    Quirk("WIRE-057", "MessageID that is no urn:uuid:, echoed as it came", A, A, "WS-Addressing 1.0: 3"),
    Quirk("WIRE-058", "wsa:ReplyTo or wsa:FaultTo that is not anonymous", R, R, "WS-Addressing 1.0 SOAP Binding: 5.1",
          refusal="wsa:ReplyTo or wsa:FaultTo asks for an answer at another address",
          remedy="Use http://www.w3.org/2005/08/addressing/anonymous, or leave the header out."),
    Quirk("WIRE-059", "wsse:Security with mustUnderstand while no assertion is asked for", A, A, "WSS SOAP Message Security 1.1"),
    Quirk("WIRE-060", "another header with mustUnderstand", R, R, "SOAP 1.2 Part 1: 5.4.8", fixed=True, code=FaultCode.MUST_UNDERSTAND,
          refusal="A header marked mustUnderstand is not understood", remedy="Leave the header out, or send it without mustUnderstand."),
    Quirk("WIRE-061", "homeCommunityId, repositoryUniqueId or uniqueId with or without urn:oid: or urn:uuid:", W, R, "ITI TF-2: 3.43.4.1.2",
          refusal="An identifier has a urn: prefix too many or too few",
          remedy="Write homeCommunityId as urn:oid:..., repositoryUniqueId and uniqueId without a prefix."),
    Quirk("WIRE-062", "SHA-1 in signatures or certificates", R, R, "NIST SP 800-131A", seat=Seat.SECURITY,
          refusal="The signature relies on SHA-1", remedy="Sign with SHA-256, or have the server allow SHA-1: domain.wire_rows = WIRE-062=note."),
    Quirk("WIRE-063", "assertion changed after it was signed", R, R, "XML Signature 1.1: 3.2", seat=Seat.SECURITY, fixed=True,
          refusal="The assertion was changed after it was signed", remedy="Send it byte for byte as it was issued, without re-indenting."),
    Quirk("WIRE-064", "bodies over 2 GB, single long documents", A, A, _HTTP),
    Quirk("WIRE-065", "any number of documents in one retrieve", A, A, "ITI TF-2: 3.43.4.1.2"),
    Quirk("WIRE-066", "a single-valued query parameter given twice", R, R, "ITI TF-2: 3.18.4.1.2.3", seat=Seat.QUERY, fixed=True,
          refusal="A single-valued query parameter occurs twice", remedy="Send the slot once."),
)  # fmt: skip

QUIRKS: dict[str, Quirk] = {row.id: row for row in _ROWS}


@dataclass(frozen=True, slots=True)
class Wire:
    """The profile in force: default or strict, with single rows changed by the settings.

    Raises ValueError for an override of an unknown or fixed row.
    """

    strict: bool = False
    overrides: Mapping[str, Do] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for quirk_id in self.overrides:
            if quirk_id not in QUIRKS:
                raise ValueError(f"'{quirk_id}' is no row of the wire table; rows are {', '.join(QUIRKS)}")
            if QUIRKS[quirk_id].fixed:
                raise ValueError(f"'{quirk_id}' ({QUIRKS[quirk_id].text}) is refused always and cannot be changed")

    def action(self, quirk_id: str) -> Do:
        row = QUIRKS[quirk_id]
        return self.overrides.get(quirk_id) or (row.strict if self.strict else row.default)

    def meet(self, quirk_id: str, notes: list[Note], detail: str = "") -> None:
        """A quirk was met: nothing, a note, or the row's fault. `detail` names what was met, never a patient."""
        action = self.action(quirk_id)
        if action is Do.ACCEPT:
            return
        if action is Do.REFUSE:
            raise self.refuse(quirk_id, detail)
        text = QUIRKS[quirk_id].text
        notes.append(Note(quirk_id, f"{text}: {detail}" if detail else text))

    def refuse(self, quirk_id: str, detail: str = "", *, soap11: bool = False, not_understood: Sequence[str] = ()) -> Fault:
        """The row's fault, for `raise wire.refuse(...)` where no profile tolerates the quirk."""
        row = QUIRKS[quirk_id]
        reason = f"{row.refusal or row.text}: {detail}" if detail else row.refusal or row.text
        return Fault(
            row.code, reason, rule=row.id, remedy=row.remedy, status=row.status, soap11=soap11, not_understood=not_understood
        )
