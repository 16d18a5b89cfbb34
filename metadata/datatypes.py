"""Every data type of the metadata in one table (ITI TF-3: 4.2.3.1, Table 4.2.3.1.7-2).

The grammars stand in `metadata.scalars` (types of one piece) and `metadata.hl7` (types of components); this is the door to
both. `TYPES` gives the check and the remedy for each type, so that the rules need not know any of them by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from metadata import hl7, scalars
from metadata.hl7 import (
    CX,
    XCN,
    XON,
    XTN,
    AssigningAuthority,
    CodedString,
    CXi,
    Field,
    Recipient,
    canonical_cx,
    escape,
    parse_coded_string,
    parse_cx,
    parse_cxi,
    parse_field,
    parse_recipient,
    parse_xcn,
    parse_xon,
    parse_xtn,
    problem_with_coded_string,
    problem_with_cx,
    problem_with_cxi,
    problem_with_field,
    problem_with_recipient,
    problem_with_xcn,
    problem_with_xon,
    problem_with_xtn,
    unescape,
)
from metadata.scalars import (
    DTM,
    OID,
    SHA1,
    URI,
    UUID,
    DataTypeError,
    Identifier,
    MIMEType,
    dtm_bounds,
    is_oid,
    is_uuid,
    pad_dtm,
    parse_dtm,
    parse_home_community_id,
    parse_identifier,
    parse_integer,
    parse_language,
    parse_mime_type,
    parse_oid,
    parse_sha1,
    parse_uri,
    parse_uuid,
    problem_with_association_type,
    problem_with_document_availability,
    problem_with_dtm,
    problem_with_home_community_id,
    problem_with_identifier,
    problem_with_integer,
    problem_with_language,
    problem_with_mime_type,
    problem_with_oid,
    problem_with_sha1,
    problem_with_status,
    problem_with_uri,
    problem_with_uuid,
)

__all__ = [
    "CX",
    "DTM",
    "OID",
    "SHA1",
    "TYPES",
    "URI",
    "UUID",
    "XCN",
    "XON",
    "XTN",
    "AssigningAuthority",
    "CXi",
    "CodedString",
    "DataType",
    "DataTypeError",
    "Field",
    "Grammar",
    "Identifier",
    "MIMEType",
    "Recipient",
    "canonical_cx",
    "dtm_bounds",
    "escape",
    "is_oid",
    "is_uuid",
    "pad_dtm",
    "parse_coded_string",
    "parse_cx",
    "parse_cxi",
    "parse_dtm",
    "parse_field",
    "parse_home_community_id",
    "parse_identifier",
    "parse_integer",
    "parse_language",
    "parse_mime_type",
    "parse_oid",
    "parse_recipient",
    "parse_sha1",
    "parse_uri",
    "parse_uuid",
    "parse_xcn",
    "parse_xon",
    "parse_xtn",
    "problem_with",
    "problem_with_association_type",
    "problem_with_coded_string",
    "problem_with_cx",
    "problem_with_cxi",
    "problem_with_document_availability",
    "problem_with_dtm",
    "problem_with_field",
    "problem_with_home_community_id",
    "problem_with_identifier",
    "problem_with_integer",
    "problem_with_language",
    "problem_with_mime_type",
    "problem_with_oid",
    "problem_with_recipient",
    "problem_with_sha1",
    "problem_with_status",
    "problem_with_uri",
    "problem_with_uuid",
    "problem_with_xcn",
    "problem_with_xon",
    "problem_with_xtn",
    "unescape",
]


class DataType(Enum):
    """Every data type an attribute can have, by the name the standard uses."""

    AUTHOR = "Author"
    ASSOCIATION_TYPE = "Association type URN"
    CODE = "Code"
    CODED_STRING = "Coded String"
    CX = "CX"
    CXI = "CXi"
    DOCUMENT_AVAILABILITY = "Document availability URN"
    DTM = "DTM"
    FIELD = "Field"
    FLAG = "Flag"
    HOME_COMMUNITY_ID = "Home community id"
    IDENTIFIER = "Identifier"
    INTEGER = "Integer"
    LANGUAGE = "Language tag"
    MIME_TYPE = "MIME type"
    OID = "OID"
    RECIPIENT = "Recipient"
    SHA1 = "SHA1"
    STATUS = "Status URN"
    STRING = "String"
    URI = "URI"
    UUID = "UUID"
    XCN = "XCN"
    XON = "XON"
    XTN = "XTN"


@dataclass(frozen=True, slots=True)
class Grammar:
    """How one data type is judged: `problem` answers None or what is wrong, `remedy` shows a right value."""

    problem: Callable[[str], str | None]
    remedy: str
    section: str = "ITI TF-3: Table 4.2.3.1.7-2"


#: The types whose values are texts with a grammar. Author, Code and Flag are structures of ebRIM, a String is any text.
TYPES: dict[DataType, Grammar] = {
    DataType.ASSOCIATION_TYPE: Grammar(problem_with_association_type, scalars.ASSOCIATION_TYPE_REMEDY, "ITI TF-3: 4.2.2"),
    DataType.CODED_STRING: Grammar(problem_with_coded_string, hl7.CODED_STRING_REMEDY, "ITI TF-3: 4.2.3.1.4"),
    DataType.CX: Grammar(problem_with_cx, hl7.CX_REMEDY),
    DataType.CXI: Grammar(problem_with_cxi, hl7.CXI_REMEDY),
    DataType.DOCUMENT_AVAILABILITY: Grammar(
        problem_with_document_availability, scalars.DOCUMENT_AVAILABILITY_REMEDY, "ITI TF-3: 4.2.3.2.30"
    ),
    DataType.DTM: Grammar(problem_with_dtm, scalars.DTM_REMEDY),
    DataType.FIELD: Grammar(problem_with_field, hl7.FIELD_REMEDY),
    DataType.HOME_COMMUNITY_ID: Grammar(
        problem_with_home_community_id, scalars.HOME_COMMUNITY_ID_REMEDY, "ITI TF-3: 4.2.3.2.12"
    ),
    DataType.IDENTIFIER: Grammar(problem_with_identifier, scalars.IDENTIFIER_REMEDY),
    DataType.INTEGER: Grammar(problem_with_integer, scalars.INTEGER_REMEDY),
    DataType.LANGUAGE: Grammar(problem_with_language, scalars.LANGUAGE_REMEDY),
    DataType.MIME_TYPE: Grammar(problem_with_mime_type, scalars.MIME_TYPE_REMEDY),
    DataType.OID: Grammar(problem_with_oid, scalars.OID_REMEDY),
    DataType.RECIPIENT: Grammar(problem_with_recipient, hl7.RECIPIENT_REMEDY, "ITI TF-3: 4.2.3.3.7"),
    DataType.SHA1: Grammar(problem_with_sha1, scalars.SHA1_REMEDY),
    DataType.STATUS: Grammar(problem_with_status, scalars.STATUS_REMEDY, "ITI TF-3: 4.2.3.2.2"),
    DataType.URI: Grammar(problem_with_uri, scalars.URI_REMEDY),
    DataType.UUID: Grammar(problem_with_uuid, scalars.UUID_REMEDY, "ITI TF-3: 4.2.3.1.5"),
    DataType.XCN: Grammar(problem_with_xcn, hl7.XCN_REMEDY),
    DataType.XON: Grammar(problem_with_xon, hl7.XON_REMEDY),
    DataType.XTN: Grammar(problem_with_xtn, hl7.XTN_REMEDY),
}


def problem_with(data_type: DataType, text: str) -> str | None:
    """What is wrong with `text` as a `data_type`; None when nothing is, or when the type has no grammar of text."""
    grammar = TYPES.get(data_type)
    return grammar.problem(text) if grammar is not None else None
