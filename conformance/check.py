"""Lint of a file: says what it is, and lists every finding with line and column (`carnet conformance check FILE`).

A file is a raw HTTP message, a MIME package, a SOAP envelope, the body of one, a fragment of ebRIM, a CDA document or a SAML
assertion. It is recognised by its first octets and its root element, never by its name. Nothing is fetched or written.
"""

from __future__ import annotations

import re

from lxml import etree

from conformance.check_body import FRAGMENTS, TRANSACTIONS, check_body, check_fragment
from conformance.check_capture import read_capture
from conformance.check_cda import check_cda_tree
from conformance.check_lint import CheckOptions, Lint
from conformance.check_message import check_envelope, check_http, check_package
from conformance.check_parts import Transport
from conformance.check_places import Passage, Source, Tree, whole
from conformance.check_result import Checked, Level
from conformance.check_saml import ASSERTION, check_assertion
from metadata.cda import CLINICAL_DOCUMENT
from schemas.namespaces import HL7V3, LCM, QUERY, RIM, RS, SOAP11, SOAP12, XDS

__all__ = ["CheckOptions", "check_octets"]

_MIME_HEAD = re.compile(rb"(?:[\r\n]*)(?:MIME-Version:|Content-Type:\s*multipart/)", re.IGNORECASE)
_TYPE_LINE = re.compile(rb"^Content-Type:[ \t]*+([^\r\n]*+(?:\r?\n[ \t]++[^\r\n]*+)*)\r?\n", re.IGNORECASE | re.MULTILINE)
_ROOT = re.compile(rb"<(?![?!])(?:[\w.-]+:)?([\w.-]+)")
#: Judged by the standard alone.
_PLAIN = CheckOptions()
_BODIES = (LCM, QUERY, RS, XDS, "urn:ihe:iti:rmd:2017")


def check_octets(data: bytes, name: str = "message", options: CheckOptions = _PLAIN) -> Checked:
    """Everything that is found in these octets. `Checked.readable` is False for a file that is nothing that is known."""
    source = Source(data)
    checked = Checked(name)
    lint = Lint(source, checked, options)
    capture = read_capture(source)
    if capture is not None:
        checked.kind = "http-response" if capture.status else "http-request"
        checked.says.append(f"HTTP {capture.status}" if capture.status else f"{capture.method} {capture.target}")
        check_http(lint, capture)
    elif _MIME_HEAD.match(data) or (data.lstrip(b"\r\n").startswith(b"--") and b"Content-" in data[:2000]):
        checked.kind = "mime"
        _check_mime(lint, data)
    elif _looks_like_xml(data):
        _check_xml(lint, whole(source))
    else:
        _unknown(lint, "the file is neither an HTTP message, nor a MIME package, nor XML")
    return checked.finish()


def _unknown(lint: Lint, message: str) -> None:
    lint.checked.readable = False
    lint.add("HTTP-002", Level.ERROR, message, (1, 1), section="docs/conformance-check.md",
             remedy="Give a raw HTTP capture, a SOAP envelope, ebRIM, a CDA document or a SAML assertion.")  # fmt: skip


def _looks_like_xml(data: bytes) -> bool:
    text = data[:4096]
    if text[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in text[:4]:
        return True
    return text.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<")


def _check_mime(lint: Lint, data: bytes) -> None:
    package = whole(lint.source)
    stated = ""
    if _MIME_HEAD.match(data):
        found = _TYPE_LINE.search(data)
        stated = " ".join(found[1].decode("latin-1").split()) if found else ""
        boundary = re.search(rb"^--", data, re.MULTILINE)
        start = boundary.start() if boundary else len(data)
        package = package.part(start, len(data) - start)
    check_package(lint, package, stated)


def _check_xml(lint: Lint, passage: Passage) -> None:
    """XML alone: the root element says what it is."""
    named = _ROOT.search(passage.text.replace(b"\0", b""))
    root = named[1].decode("ascii", "replace") if named else ""
    if root == "Envelope":
        lint.checked.kind = "envelope"
        check_envelope(lint, passage, Transport())
        return
    tree = lint.parse(passage, what="file", instructions=root == "ClinicalDocument")
    if tree is None:
        lint.checked.readable = bool(lint.checked.found) and bool(root)
        return
    _check_root(lint, tree)


def _check_root(lint: Lint, tree: Tree) -> None:
    root, name = tree.root, etree.QName(tree.root)
    checked = lint.checked
    if root.tag == CLINICAL_DOCUMENT or name.localname == "ClinicalDocument":
        checked.kind = "cda"
        check_cda_tree(lint, tree)
    elif root.tag == ASSERTION:
        checked.kind = "saml"
        check_assertion(lint, tree, root)
    elif name.namespace == RIM and name.localname in FRAGMENTS:
        checked.kind = "fragment"
        check_fragment(lint, tree)
    elif root.tag in TRANSACTIONS or name.namespace in _BODIES:
        checked.kind = "body"
        check_body(lint, tree, root, None, None)
    elif name.namespace == HL7V3:
        checked.kind = "hl7v3"
        checked.says.append(name.localname)
    elif name.namespace in (SOAP11, SOAP12):
        checked.kind = "envelope"
        check_envelope(lint, tree.passage, Transport())
    else:
        _unknown(lint, f"the root element {name.localname} of namespace '{name.namespace or ''}' is not known")
