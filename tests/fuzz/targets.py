"""What is fuzzed: each target takes any octets and either understands them or raises what it documents, and nothing else.

Beside crashes each target watches what must hold whatever comes: no staging file is left over, no part is larger than was sent,
nothing is believed that no signature covers.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from metadata.model import Slot
from metadata.queries import LEAF_CLASS, OBJECT_REF, read_query
from metadata.query_table import QUERIES
from metadata.rules.rule import Refused
from metadata.vocabulary import Transaction
from schemas.parse import ParseError, parse
from security.document_signature import IHE_FORM, SignedSet, verify_signed_set
from security.refusal import Denied
from security.signed_info import ids_of, read_signature
from soap.addressing import Address
from soap.call import Call, Caller
from soap.fault import Fault
from soap.limits import Limits
from soap.request import Request
from soap.staging import FolderStaging
from soap.wire import Wire

Target = Callable[[bytes], object]

LIMITS = Limits(root=256 * 1024, memory=1024, memory_total=8 * 1024, part=1024 * 1024, total=2 * 1024 * 1024, parts=32)
_ADDRESSES = {
    "registry": Address("/xds/registry", {Transaction.ITI_18, Transaction.ITI_42, Transaction.ITI_57}),
    "repository": Address("/xds/repository", {Transaction.ITI_41, Transaction.ITI_43}),
}
_PACKAGE = 'multipart/related; type="application/xop+xml"; start="<r>"; start-info="application/soap+xml"; boundary="b"'
_FOLDER = Path(tempfile.mkdtemp(prefix="carnet-fuzz-"))
_SIGNATURE = "{http://www.w3.org/2000/09/xmldsig#}Signature"


def _request(octets: bytes, content_type: str, where: str) -> Call | None:
    """The call that the octets are, None when they are refused as documented."""
    environ = {
        "REQUEST_METHOD": "POST",
        "CONTENT_TYPE": content_type,
        "CONTENT_LENGTH": str(len(octets)),
        "wsgi.input": io.BytesIO(octets),
    }
    request = Request(environ, _ADDRESSES[where], Wire(), LIMITS, FolderStaging(_FOLDER))
    try:
        call = request.read(lambda environ, headers: Caller(), frozenset(), "http://localhost/", "")
        assert all(part.size <= len(octets) for part in call.parts.values())
        assert all(sum(map(len, part.chunks())) == part.size for part in call.parts.values())
        return call
    except (Fault, Denied, Refused):
        return None
    finally:
        request.remove_staged()
        assert next(_FOLDER.iterdir(), None) is None, "a staging file was left"


def mtom(octets: bytes) -> object:
    """A package as ITI-41 sends it. A first line that begins with `multipart/` replaces the Content-Type."""
    content_type = _PACKAGE
    if octets.startswith(b"multipart/"):
        first, _, octets = octets.partition(b"\n")
        content_type = first.decode("latin-1")
    return _request(octets, content_type, "repository")


def envelope(octets: bytes) -> object:
    """A plain SOAP message, and the gate in front of every signature in it."""
    call = _request(octets, "application/soap+xml", "registry")
    try:
        root = parse(octets)
        ids = ids_of(root)
        for signature in root.iter(_SIGNATURE):
            read = read_signature(signature, ids)
            parts = set(ids.values())
            assert read.references and all(part.via_token or part.element in parts for part in read.references)
    except (ParseError, Denied):
        pass
    return call


def query(octets: bytes) -> object:
    """A stored query: the first line is its number and the returnType, the others are `name TAB value`."""
    first, _, rest = octets.partition(b"\n")
    definition = QUERIES[first[0] % len(QUERIES)] if first else QUERIES[0]
    slots: dict[str, list[str]] = {}
    for line in rest.decode("utf-8", "replace").split("\n"):
        name, _, value = line.partition("\t")
        slots.setdefault(name, []).append(value)
    transaction = sorted(definition.transactions, key=lambda t: t.code)[0]
    try:
        read = read_query(
            definition.id,
            [Slot(name, tuple(values)) for name, values in slots.items()],
            transaction,
            return_type=OBJECT_REF if first[1:2] == b"o" else LEAF_CLASS,
            typed_patient_ids=first[2:3] == b"t",
        )
    except Refused as refused:
        assert refused.findings and all(finding.text() for finding in refused.findings)
        return None
    known = {parameter.name for parameter in definition.parameters}
    assert set(read.parameters) <= known and all(values for clauses in read.parameters.values() for values in clauses)
    return read


def signed_set(octets: bytes) -> object:
    """A signature document: never good, since no certificate is trusted here."""
    verdict = verify_signed_set(octets, SignedSet("1.2.3", None, {}), IHE_FORM, None, datetime(2026, 1, 1, tzinfo=UTC))
    assert not verdict.good and all(finding.rule.startswith("DSG-") for finding in verdict.findings)
    return verdict if verdict.signer else None


TARGETS: Mapping[str, Target] = {"mtom": mtom, "envelope": envelope, "query": query, "signed_set": signed_set}
#: Those whose octets are XML.
XML = frozenset({"envelope", "signed_set"})
