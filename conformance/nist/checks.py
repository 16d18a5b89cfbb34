"""What a step's answer must be: status, error code and text, contents, documents, XPath assertions."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lxml import etree

from conformance.nist import contents
from conformance.nist.message import replace
from conformance.nist.plan import Step
from conformance.nist.state import Record
from conformance.wire import RIM, Answer, RetrievedDocument


@dataclass
class Context:
    """What the checks of one step may look at. `described`: answers whose entries describe the documents to come back."""

    values: Mapping[str, str]
    submitted: Mapping[str, bytes]
    described: list[etree._Element]
    uuid_of: Callable[[etree._Element], str]
    folder: Path


def check_step(step: Step, record: Record, log: etree._Element, context: Context) -> Iterator[str]:
    """Everything that is wrong, a sentence each."""
    answer = record.answer
    if answer is not None:
        yield from check_status(step, answer)
        expected = step.expected_contents
        if expected is not None and not answer.fault:
            yield from contents.check(expected, answer.body, context.uuid_of)
        if step.kind == "Retrieve" and not answer.fault:
            yield from check_documents(step, answer, context)
    for name, xpath, process in step.assertions:
        yield from check_assertion(name, replace(xpath, context.values), process, log)


def check_status(step: Step, answer: Answer) -> Iterator[str]:
    told = "; ".join(f"{e.code}: {e.context}" for e in answer.errors[:4]) or answer.fault or "no errors"
    if step.statuses and answer.status not in step.statuses:
        yield f"status {answer.status}, expected {' or '.join(step.statuses)} ({told})"
        return
    if answer.status == "Fault":
        return
    if step.error_code and not set(re.split(r"[,|\s]+", step.error_code)) & set(answer.codes):
        yield f"no error {step.error_code} ({told})"
    if step.error_message and not any(step.error_message in f"{e.code} {e.context}" for e in answer.errors):
        yield f"no error with the text {step.error_message!r} ({told})"
    if answer.status == "Success" and any(e.severity.endswith(":Error") for e in answer.errors):
        yield f"Success with errors ({told})"
    if answer.status == "Failure" and not answer.errors:
        yield "Failure without a RegistryErrorList"


def check_documents(step: Step, answer: Answer, context: Context) -> Iterator[str]:
    """Bytes against what this run submitted and against the reference file, where the plan's file is there."""
    retrieved, submitted = answer.documents(), context.submitted
    if "Success" in step.statuses and not retrieved:
        yield "no document came back"
    for uid, document in retrieved.items():
        if uid in submitted and document.content != submitted[uid]:
            yield f"{uid}: {len(document.content)} bytes came back that differ from the {len(submitted[uid])} submitted"
    if "Success" not in step.statuses:
        return
    for symbol, file in step.reference_documents:
        uid = replace(symbol, context.values)
        places = (context.folder.parent / file, context.folder / file)
        reference = next((place for place in places if place.is_file()), None)
        if uid not in retrieved:
            yield f"{uid}: not among the documents that came back"
        elif reference and retrieved[uid].content != reference.read_bytes():
            yield f"{uid}: the bytes are not those of {file}"
        elif not reference and uid not in submitted:
            yield f"{uid}: neither {file} nor a submission tells what it should be"
    mime_type = step.text("ExpectedMimeType")
    for uid, document in retrieved.items():
        if mime_type and document.mime_type != mime_type:
            yield f"{uid}: mimeType {document.mime_type}, expected {mime_type}"
    for described in context.described:
        yield from check_described(retrieved, described)


def check_described(retrieved: Mapping[str, RetrievedDocument], described: etree._Element) -> Iterator[str]:
    """mimeType, size and SHA-1 of the bytes against what the entries say."""
    for entry in described.iter(f"{{{RIM}}}ExtrinsicObject"):
        uid = str(entry.xpath("string(r:ExternalIdentifier[@identificationScheme=$s]/@value)", namespaces={"r": RIM}, s=UID))
        if uid in retrieved:
            document = retrieved[uid]
            digest = hashlib.sha1(document.content, usedforsecurity=False).hexdigest()
            said = entry.get("mimeType"), _slot(entry, "size"), _slot(entry, "hash").lower()
            if said != (document.mime_type, str(len(document.content)), digest):
                yield f"{uid}: the entry says {said}, the document is {document.mime_type}, {len(document.content)}, {digest}"


UID = "urn:uuid:2e82c1f6-a085-4c72-9da3-8640a32e42ab"


def _slot(entry: etree._Element, name: str) -> str:
    return str(entry.xpath("string(r:Slot[@name=$name]/r:ValueList/r:Value)", namespaces={"r": RIM}, name=name))


def check_assertion(name: str, xpath: str, process: str, log: etree._Element) -> Iterator[str]:
    """One XPath over the section's log; it must be true. Times are compared as the numbers that they are in XPath 1.0."""
    try:
        found = log.xpath(xpath)
    except etree.XPathError as error:
        yield f"assertion {name}: {error}: {xpath}"
        return
    if process == "equalsIgnoreCase":
        yield f"assertion {name}: the process equalsIgnoreCase is not known to this runner"
    elif not found:
        yield f"assertion {name} does not hold: {' '.join(xpath.split())}"
