"""Makes a preset dictionary for stored fragments, and tells what it gains (`registry/fragments.py`).

    python -m benchmarks.fragment_dictionary          measures the current dictionary on sample objects
    python -m benchmarks.fragment_dictionary NUMBER   writes registry/dictionary_NUMBER.dict

A dictionary is the phrases that fragments share, each value that is one object's own left out: rare phrases first, whole
objects last, because deflate finds cheapest what stands near the end.
"""

from __future__ import annotations

import re
import sys
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from metadata.fragments import build_fragment
from metadata.model import DocumentEntry, SubmissionSet
from registry.fragments import pack
from registry.identifiers import new_uuid
from server.description import build_submission
from server.sample import make_documents
from server.sample_people import make_patients

REGISTRY = Path(__file__).resolve().parent.parent / "registry"
#: With a fragment of 7 kB behind it, all of this is still within the 32 kB that deflate looks back.
SIZE = 24_000

_APPROVED = "urn:oasis:names:tc:ebxml-regrep:StatusType:Approved"
_OWN = (
    (re.compile(r' (id|lid|registryObject|classifiedObject)="urn:uuid:[0-9a-f-]{36}"'), r' \1="urn:uuid:"'),
    (re.compile(r"<rim:Value>(?:[0-9]{14}|[0-9a-f]{40}|[0-9]{1,9})</rim:Value>"), "<rim:Value></rim:Value>"),
    (re.compile(r"<rim:Value>PID-[0-9]+\|[^<]*</rim:Value>"), "<rim:Value>PID-|</rim:Value>"),
    (re.compile(r'value="[0-9.]{20,}"'), 'value="1.2.250.1."'),
    (re.compile(r"<rim:Value>[^<^]{2,}\^\^\^&amp;"), "<rim:Value>^^^&amp;"),
    (re.compile(r"<rim:Value>[^<^]+\^{5}(&amp;[0-9.]+&amp;ISO\^IDNST\^{3})[^<]*"), r"<rim:Value>^^^^^\1"),
    (re.compile(r"<rim:Value>[0-9]{6,}\^[^<^]*\^[^<^]*\^"), "<rim:Value>801234567897^^^"),
)
_PHRASE = re.compile(
    r"<rim:Classification .*?</rim:Classification>|<rim:Slot .*?</rim:Slot>|<rim:Name>.*?</rim:Name>"
    r"|<rim:ExternalIdentifier .*?</rim:ExternalIdentifier>"
)

#: What a source of another country or kind writes and the sample set does not: Folders, addenda, codes of LOINC and IHE.
_MORE = (
    '<rim:Slot name="lastUpdateTime"><rim:ValueList><rim:Value></rim:Value></rim:ValueList></rim:Slot>',
    '<rim:Slot name="URI"><rim:ValueList><rim:Value></rim:Value></rim:ValueList></rim:Slot>',
    '<rim:Slot name="urn:ihe:iti:xds:2013:referenceIdList"><rim:ValueList><rim:Value>^^^&amp;'
    "&amp;ISO^urn:ihe:iti:xds:2013:accession</rim:Value><rim:Value>urn:ihe:iti:xds:2013:order</rim:Value></rim:ValueList></rim:Slot>",
    '<rim:Slot name="intendedRecipient"><rim:ValueList><rim:Value></rim:Value></rim:ValueList></rim:Slot>',
    '<rim:Slot name="authorTelecommunication"><rim:ValueList><rim:Value>^^Internet^</rim:Value></rim:ValueList></rim:Slot>',
    '<rim:Slot name="documentAvailability"><rim:ValueList><rim:Value>urn:ihe:iti:2010:DocumentAvailability:Online</rim:Value>'
    "</rim:ValueList></rim:Slot>",
    '<rim:Value>2.16.840.1.113883.6.1</rim:Value><rim:Value>2.16.840.1.113883.6.96</rim:Value><rim:Value>2.16.840.1.113883.5.25'
    "</rim:Value><rim:Value>1.3.6.1.4.1.19376.1.2.3</rim:Value>",
    '<rim:Value>en-US</rim:Value><rim:Value>de-DE</rim:Value><rim:Value>it-IT</rim:Value>'
    '" xml:lang="en-US"></rim:LocalizedString>',
    'mimeType="application/pdf" mimeType="text/plain" mimeType="image/jpeg" mimeType="application/dicom" objectType='
    '"urn:uuid:34268e47-fdf5-41a6-ba33-82133c465248"',
    "<rim:Description><rim:LocalizedString value=",
    'status="urn:oasis:names:tc:ebxml-regrep:StatusType:Deprecated"',
    '<rim:Classification classificationNode="urn:uuid:d9d542f3-6cc4-48b6-8870-ea235fbc94c2" classifiedObject="urn:uuid:" '
    'id="urn:uuid:" objectType="urn:oasis:names:tc:ebxml-regrep:ObjectType:RegistryObject:Classification"></rim:Classification>',
    '<rim:Classification classificationScheme="urn:uuid:1ba97051-7806-41a8-a48b-8fce7af683c5" classifiedObject="urn:uuid:" '
    'id="urn:uuid:" nodeRepresentation="',
    'identificationScheme="urn:uuid:75df8f67-9973-4fbe-a900-df66cefecc5a" objectType="'
    'urn:oasis:names:tc:ebxml-regrep:ObjectType:RegistryObject:ExternalIdentifier" registryObject="urn:uuid:" value="\x01">'
    '<rim:Name><rim:LocalizedString value="XDSFolder.uniqueId"></rim:LocalizedString></rim:Name></rim:ExternalIdentifier>',
    'identificationScheme="urn:uuid:f64ffdf0-4b97-4e06-b79f-a52b38ec2f8a" objectType="'
    'urn:oasis:names:tc:ebxml-regrep:ObjectType:RegistryObject:ExternalIdentifier" registryObject="urn:uuid:" value="\x01">'
    '<rim:Name><rim:LocalizedString value="XDSFolder.patientId"></rim:LocalizedString></rim:Name></rim:ExternalIdentifier>',
)


def fragments(patients: int, documents: int, seed: int) -> Iterator[tuple[type, bytes]]:
    """Kind and bytes of the objects of sample submissions, as the registry would store them."""
    for patient in make_patients(patients, seed):
        for number, document in enumerate(make_documents(patient, documents, seed)):
            told = replace(document.description, comments="") if number % 3 else document.description
            submission = build_submission([told], source_id="1.2.250.1.999.1.1")
            entities: list[SubmissionSet | DocumentEntry] = [*submission.submissionSets, *submission.documentEntries]
            for entity in entities:
                slots = {"hash": (f"{number:040x}",), "size": ("20480",), "repositoryUniqueId": ("1.2.250.1.999.1.2",)}
                more = slots if isinstance(entity, DocumentEntry) else None
                yield type(entity), build_fragment(entity, id=new_uuid(), status=_APPROVED, slots=more, patient_marker=True)


def make() -> bytes:
    """The dictionary: the sample set's phrases by rising frequency, then one SubmissionSet and one DocumentEntry whole."""
    counts: Counter[str] = Counter()
    whole: dict[type, str] = {}
    for kind, fragment in fragments(40, 20, 1):
        text = fragment.decode()
        for own, neutral in _OWN:
            text = own.sub(neutral, text)
        whole[kind] = text
        counts.update(_PHRASE.findall(text))
    ends = "".join(whole.values())
    phrases = [phrase for phrase, count in counts.most_common() if count >= 12 and phrase not in ends]
    kept: list[str] = []
    room = SIZE - len((ends + "".join(_MORE)).encode())
    for phrase in phrases:
        room -= len(phrase.encode())
        if room < 0:
            break
        kept.append(phrase)
    return "".join((*_MORE, *reversed(kept), ends)).encode()


def measure() -> None:
    """Bytes of sample objects that the dictionary has not seen: as they are, deflated, packed."""
    for wanted in dict.fromkeys(kind for kind, _ in fragments(1, 1, 77)):
        objects = [fragment for kind, fragment in fragments(30, 20, 77) if kind is wanted]
        plain, deflated, packed = (sum(map(len, map(f, objects))) // len(objects) for f in (bytes, zlib.compress, pack))
        print(f"{wanted.__name__:16} {plain:6} bytes, deflated {deflated:5}, packed {packed:5}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        path = REGISTRY / f"dictionary_{int(sys.argv[1])}.dict"
        if path.exists():
            sys.exit(f"{path.name} exists: stores have been packed with it, it never changes. Take the next number")
        path.write_bytes(make())
    measure()
