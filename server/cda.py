"""A CDA document as a Document Source reads it: its header becomes attributes, class and format are deduced, findings told.

What a header says is read in `metadata.cda_header`; what it does not say stays out of the result: the caller takes it from
options, or refuses.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from lxml import etree

from metadata.cda import CdaFinding, check_cda
from metadata.cda_header import HeaderError, attributes_of, check_root, is_cda, open_header, replaced_by_header
from server.codes import FORMAT_BY_MEDIA_TYPE, class_of, format_of

__all__ = ["Header", "HeaderError", "is_cda", "judge", "read_header"]


@dataclass(frozen=True, slots=True)
class Header:
    """What a header says: `attributes` of `server.description.Description`, and the uniqueIds that it `replaces` (RPLC)."""

    attributes: dict[str, Any] = field(default_factory=dict)
    replaces: tuple[str, ...] = ()


def read_header(source: BinaryIO | bytes, dmp: bool = False) -> Header:
    """The header of a CDA document. With `dmp` the patient ids carry their type (CX-5), which IHE leaves empty.

    Raises HeaderError for what is not well-formed, has a DOCTYPE or another root element.
    """
    root, body_type = open_header(io.BytesIO(source) if isinstance(source, bytes) else source)
    attributes = dict(attributes_of(root, dmp))
    type_code = attributes["typeCode"]
    attributes["classCode"] = class_of(type_code)
    attributes["formatCode"] = FORMAT_BY_MEDIA_TYPE.get(body_type) or format_of(type_code)
    return Header({name: value for name, value in attributes.items() if value}, tuple(replaced_by_header(root)))


def judge(source: BinaryIO) -> list[CdaFinding]:
    """Every finding of `metadata.cda` in a whole document. Raises HeaderError like `read_header`."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_pis=True, huge_tree=True)
    try:
        root = etree.parse(source, parser).getroot()
    except etree.XMLSyntaxError as error:
        raise HeaderError(f"the file is not well-formed XML: {error.msg}") from None
    check_root(root)
    return check_cda(root)
