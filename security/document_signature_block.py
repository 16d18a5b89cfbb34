"""A detached signature as it is written: what the XAdES block says, read before anything is computed (ITI TF-3: 5.5.2).

Nothing is ever opened that a Reference names: `#id` is looked up in the block, a uniqueId is compared with what was submitted,
and anything else is refused here. What is canonicalised is a part of this block, found once.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from lxml import etree

from schemas.namespaces import DS, XADES, XML, q
from schemas.parse import Limits, ParseError, parse
from security import rules_document_signature as rules
from security.canonical import MOST_PREFIXES
from security.refusal import Denied

#: A block of some thousand documents, with the certificates and revocation values of XAdES-X-L.
LARGEST = 2 * 1024 * 1024
MOST_REFERENCES = 10_000
MOST_CERTIFICATES = 16
#: Parts of the block that SignedInfo names: SignedProperties, a Manifest, perhaps an Object or two.
MOST_PARTS = 16
XADES_FRENCH = "http://uri.etsi.org/01903/v1.1.1#"
MANIFEST_TYPE = DS + "Manifest"
C14N = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
C14N11 = "http://www.w3.org/2006/12/xml-c14n11"
EXC = "http://www.w3.org/2001/10/xml-exc-c14n#"
COMMENTS = "#WithComments"
#: Canonicalisations by URI: exclusive?, with comments? 1.1 differs from 1.0 in inherited xml: attributes only, which are refused.
CANONICALIZATIONS = {
    C14N: (False, False),
    C14N + COMMENTS: (False, True),
    C14N11: (False, False),
    C14N11 + COMMENTS: (False, True),
    EXC: (True, False),
    EXC + "WithComments": (True, True),
}
_OBJECT_URI = re.compile(r"#[A-Za-z_][\w.\-]{0,127}", re.ASCII)
_UNIQUE_ID = re.compile(r"(?:urn:oid:)?([0-2](?:\.(?:0|[1-9][0-9]*))+(?:\^[\x21-\x7e]{1,16})?)")
_UUID = re.compile(r"urn:uuid:[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


@dataclass(frozen=True, slots=True)
class Reference:
    """One ds:Reference. `digest` is the text of DigestValue without blanks, `canonicalization` the URI of its only Transform."""

    uri: str
    type: str
    canonicalization: str
    digest_method: str
    digest: str

    @property
    def value(self) -> bytes | None:
        """The digest's octets; None where the text is no base64."""
        return decode(self.digest)

    @property
    def unique_id(self) -> str:
        """The uniqueId that the URI names, as metadata write it; empty for a part of the block."""
        if _UUID.fullmatch(self.uri):
            return self.uri
        found = _UNIQUE_ID.fullmatch(self.uri)
        return found[1] if found else ""


@dataclass(frozen=True, slots=True)
class CertificateDigest:
    """One xades:Cert: digest method (URI) and value."""

    method: str
    digest: str


@dataclass(frozen=True, slots=True)
class Block:
    """What a signature says, not yet believed.

    `parts` are the references of SignedInfo to parts of the block, each with its part; `listed` the references to the outside, of
    SignedInfo and of the manifests that it references. `policy` is the policy's identifier, empty when implied, None when absent.
    """

    signed_info: etree._Element
    canonicalization: str
    method: str
    value: bytes
    certificates: tuple[x509.Certificate, ...]
    parts: tuple[tuple[Reference, etree._Element], ...]
    listed: tuple[Reference, ...]
    properties: etree._Element
    signing_time: str
    certificate_digests: tuple[CertificateDigest, ...]
    policy: str | None


def read_block(content: bytes) -> Block:
    """The block in `content`. Raises Denied DSG-002 to 007 and 010."""
    try:
        root = parse(content, limits=Limits(max_bytes=LARGEST), what="signature")
    except ParseError as error:
        raise rules.UNREADABLE.denied(problem=str(error)) from None
    if root.tag != q(DS, "Signature"):
        raise rules.UNREADABLE.denied(problem=f"its root is {etree.QName(root).localname}, not ds:Signature")
    if any(str(name).startswith(f"{{{XML}}}") for element in root.iter(etree.Element) for name in element.attrib):
        raise _form("it carries xml: attributes, which change canonical forms")
    # A comment inside a text would end it for whoever reads it, and is not in the canonical form.
    around = {comment.getparent() for comment in root.iter(etree.Comment)}
    if any(parent is not None and not any(isinstance(node.tag, str) for node in parent) for parent in around):
        raise _form("a comment stands inside a value")
    if len({prefix for _, (prefix, _) in etree.iterwalk(root, events=("start-ns",))}) > MOST_PREFIXES:
        raise _form(f"it declares more than {MOST_PREFIXES} prefixes of namespaces")
    if any(element is not root for element in root.iter(q(DS, "Signature"))):
        raise _form("it holds a second ds:Signature")
    children = _elements(root)
    names = [child.tag for child in children]
    if names[:3] != [q(DS, "SignedInfo"), q(DS, "SignatureValue"), q(DS, "KeyInfo")] or any(
        name != q(DS, "Object") for name in names[3:]
    ):
        raise _form(f"its children are {', '.join(etree.QName(name).localname for name in names)}")
    return _read(root, children)


def _read(root: etree._Element, children: list[etree._Element]) -> Block:
    info, value, key_info = children[:3]
    ids = _ids(root)
    canonicalization, method, references = _signed_info(info)
    parts, listed = _split(references, ids)
    properties = _signed_properties(root, parts)
    for reference, part in parts:
        if reference.type == MANIFEST_TYPE or part.tag == q(DS, "Manifest"):
            listed += _manifest(part)
    if not listed:
        raise _form("it signs no document")
    seen: set[str] = set()
    for reference in listed:
        if reference.unique_id in seen:
            raise _form(f"{reference.uri} is referenced twice")
        seen.add(reference.unique_id)
    space = f"{{{etree.QName(properties).namespace}}}"
    decoded = decode(_text(value))
    if not decoded:
        raise _form("SignatureValue is no base64")
    return Block(
        info,
        canonicalization,
        method,
        decoded,
        _certificates(key_info),
        tuple(parts),
        tuple(listed),
        properties,
        (properties.findtext(f"{space}SignedSignatureProperties/{space}SigningTime") or "").strip(),
        tuple(_certificate_digests(properties, space)),
        _policy(properties, space),
    )


def _ids(root: etree._Element) -> dict[str, etree._Element]:
    found: dict[str, etree._Element] = {}
    for element in root.iter(etree.Element):
        for name in ("Id", "ID", "id"):
            id = element.get(name)
            if id is not None and found.setdefault(id, element) is not element:
                raise _form(f"the Id {id} occurs twice")
    return found


def _signed_info(info: etree._Element) -> tuple[str, str, list[Reference]]:
    children = _elements(info)
    names = [etree.QName(child).localname for child in children]
    if names[:2] != ["CanonicalizationMethod", "SignatureMethod"] or len(names) < 3 or set(names[2:]) != {"Reference"}:
        raise _form(f"the children of SignedInfo are {', '.join(names)}")
    if any(_elements(method) for method in children[:2]):
        raise _form("a method has parameters")
    canonicalization, method = (child.get("Algorithm") or "" for child in children[:2])
    return canonicalization, method, [_reference(child) for child in children[2:]]


def _reference(element: etree._Element) -> Reference:
    uri = element.get("URI")
    if uri is None or not (_OBJECT_URI.fullmatch(uri) or _UNIQUE_ID.fullmatch(uri) or _UUID.fullmatch(uri)):
        raise rules.URI.denied(uri="without URI" if uri is None else f"'{uri}'")
    children = {etree.QName(child).localname: child for child in _elements(element)}
    if set(children) - {"Transforms"} != {"DigestMethod", "DigestValue"} or len(children) != len(_elements(element)):
        raise _form(f"the Reference {uri} holds {', '.join(children) or 'nothing'}")
    transforms = _elements(children["Transforms"]) if "Transforms" in children else []
    algorithms = [transform.get("Algorithm") or "" for transform in transforms]
    if len(algorithms) > 1 or any(a not in CANONICALIZATIONS for a in algorithms):
        raise rules.TRANSFORM.denied(uri=uri, transforms=", ".join(algorithms))
    if any(_elements(transform) for transform in transforms):
        raise rules.TRANSFORM.denied(uri=uri, transforms=f"{algorithms[0]} with parameters")
    return Reference(
        uri,
        element.get("Type") or "",
        algorithms[0] if algorithms else "",
        children["DigestMethod"].get("Algorithm") or "",
        _text(children["DigestValue"]),
    )


def _split(
    references: list[Reference], ids: dict[str, etree._Element]
) -> tuple[list[tuple[Reference, etree._Element]], list[Reference]]:
    """Those to parts of the block, each with its part, and those to the outside."""
    parts: list[tuple[Reference, etree._Element]] = []
    listed: list[Reference] = []
    for reference in references:
        if reference.unique_id:
            listed.append(reference)
            continue
        part = ids.get(reference.uri[1:])
        if part is None or not any(ancestor.tag == q(DS, "Object") for ancestor in (part, *part.iterancestors())):
            raise rules.URI.denied(uri=f"'{reference.uri}'")
        if reference.type == MANIFEST_TYPE and part.tag != q(DS, "Manifest"):
            raise _form(f"{reference.uri} is no ds:Manifest")
        if any(part is known for _, known in parts) or len(parts) == MOST_PARTS:
            raise _form(f"{reference.uri} is referenced twice, or more than {MOST_PARTS} parts are")
        parts.append((reference, part))
    if len(references) > MOST_REFERENCES:
        raise _form(f"SignedInfo has {len(references)} references")
    return parts, listed


def _manifest(manifest: etree._Element) -> list[Reference]:
    elements = _elements(manifest)
    if not elements or len(elements) > MOST_REFERENCES or any(e.tag != q(DS, "Reference") for e in elements):
        raise _form(f"the Manifest holds {len(elements)} elements, not only References or too many of them")
    references = [_reference(element) for element in elements]
    for reference in references:
        if not reference.unique_id:
            raise rules.URI.denied(uri=f"'{reference.uri}'")
    return references


def _signed_properties(root: etree._Element, parts: list[tuple[Reference, etree._Element]]) -> etree._Element:
    """The one SignedProperties of the block, which a Reference with its Type must name."""
    found = [e for space in (XADES, XADES_FRENCH) for e in root.iter(q(space, "SignedProperties"))]
    wanted = f"{XADES}SignedProperties"
    if len(found) != 1:
        raise rules.PROPERTIES.denied(problem=f"there are {len(found)} of them", type=wanted.replace("v1.3.2#", ""))
    type = f"{etree.QName(found[0]).namespace}SignedProperties"
    # XAdES 1.3.2 (6.3.1) names the type without version; the French form and many signers keep it.
    accepted = {type, "http://uri.etsi.org/01903#SignedProperties"}
    naming = [reference for reference, part in parts if part is found[0]]
    if len(naming) != 1 or naming[0].type not in accepted:
        problem = f"the Type is '{naming[0].type}'" if naming else "no Reference names them"
        raise rules.PROPERTIES.denied(problem=problem, type="http://uri.etsi.org/01903#SignedProperties")
    typed = [reference for reference, part in parts if reference.type in accepted and part is not found[0]]
    if typed:
        raise rules.PROPERTIES.denied(problem=f"{typed[0].uri} has their Type and is none", type=type)
    return found[0]


def _certificates(key_info: etree._Element) -> tuple[x509.Certificate, ...]:
    found = []
    for element in key_info.iterfind(f"{q(DS, 'X509Data')}/{q(DS, 'X509Certificate')}"):
        try:
            certificate = x509.load_der_x509_certificate(decode(_text(element)) or b"")
            certificate.subject.rfc4514_string()  # names and key are read only when they are asked for: damage shows now
            certificate.public_key()
            found.append(certificate)
        except (ValueError, TypeError, x509.InvalidVersion, UnsupportedAlgorithm):
            raise rules.CERTIFICATE.denied(problem="an X509Certificate cannot be read") from None
    if not 1 <= len(found) <= MOST_CERTIFICATES:
        raise rules.CERTIFICATE.denied(problem=f"KeyInfo holds {len(found)} certificates, 1 to {MOST_CERTIFICATES} are expected")
    return tuple(found)


def _certificate_digests(properties: etree._Element, space: str) -> Iterator[CertificateDigest]:
    """Of SigningCertificate and SigningCertificateV2; the digest stands in the namespace of XAdES 1.1.1 or of XML Signature."""
    for name in ("SigningCertificate", "SigningCertificateV2"):
        for digest in properties.iterfind(f"{space}SignedSignatureProperties/{space}{name}/{space}Cert/{space}CertDigest"):
            children = {etree.QName(child).localname: child for child in _elements(digest)}
            if set(children) == {"DigestMethod", "DigestValue"}:
                yield CertificateDigest(children["DigestMethod"].get("Algorithm") or "", _text(children["DigestValue"]))


def _policy(properties: etree._Element, space: str) -> str | None:
    identifier = properties.find(f"{space}SignedSignatureProperties/{space}SignaturePolicyIdentifier")
    if identifier is None:
        return None
    return (identifier.findtext(f"{space}SignaturePolicyId/{space}SigPolicyId/{space}Identifier") or "").strip()


def decode(text: str) -> bytes | None:
    """Base64 without blanks; None where it is none."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _text(element: etree._Element) -> str:
    """The text without blanks, of an element without children."""
    if len(element):
        raise _form(f"{etree.QName(element).localname} holds more than text")
    return "".join((element.text or "").split())


def _elements(element: etree._Element) -> list[etree._Element]:
    return [child for child in element if isinstance(child.tag, str)]


def _form(problem: str) -> Denied:
    return rules.FORM.denied(problem=problem)
