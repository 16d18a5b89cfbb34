"""GET at an address: its WSDL, its schemas, or a word to whoever looks with a browser."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from metadata.vocabulary import Actor, Transaction
from schemas.wsdl import SERVED_XSD, wsdl, xsd
from soap.addressing import Address
from soap.reply import Reply

#: Characters of an absolute URL; the host of a request is not ours to trust (RFC 3986: 2).
_URL = re.compile(r"https?://[\w.:\[\]-]+[\w./%~-]*")
_NAME = {Actor.REGISTRY: "DocumentRegistry", Actor.REPOSITORY: "DocumentRepository"}
#: Services that are described whole, and not among the operations of an actor.
_SERVICE = {Transaction.DMP_PATIENTS: "GestionDossierPatientPartage", Transaction.DMP_HABILITATIONS: "Habilitations"}


def describe(environ: Mapping[str, Any], method: str, address: Address, url: str) -> Reply:
    """The answer to a request that is no POST; `url` is the absolute URL of the address."""
    if method not in ("GET", "HEAD"):
        return _text(405, f"{method[:20]} is not served here: send SOAP 1.2 by POST, or GET {address.path}?wsdl.\n")
    if not _URL.fullmatch(url):
        return _text(400, "The Host header of the request is no host name.\n")
    query = {name.lower(): value for name, value in parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True)}
    if "wsdl" in query:
        if address.own in _SERVICE:
            return _reply(200, "text/xml; charset=UTF-8", wsdl(_SERVICE[address.own], url))
        actor = next(iter(address.transactions)).actor
        return _reply(200, "text/xml; charset=UTF-8", wsdl(_NAME[actor], url, {t.action for t in address.transactions}))
    if "xsd" in query:
        if query["xsd"] not in SERVED_XSD:
            return _text(404, f"There is no such schema here. There are {', '.join(SERVED_XSD)}.\n")
        return _reply(200, "text/xml; charset=UTF-8", xsd(query["xsd"], url))
    served = ", ".join(sorted(f"{t.code} ({t.action})" for t in address.transactions))
    return _text(200, f"IHE XDS.b: {served}.\nSend SOAP 1.2 by POST. The description is at {url}?wsdl.\n")


def _text(status: int, text: str) -> Reply:
    return _reply(status, "text/plain; charset=utf-8", text.encode())


def _reply(status: int, content_type: str, content: bytes) -> Reply:
    return Reply(status, content_type, len(content), (content,))
