"""Data types of the metadata (ITI TF-3: 4.2.3.1, Table 4.2.3.1.7-2)."""

from __future__ import annotations

from enum import Enum


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
