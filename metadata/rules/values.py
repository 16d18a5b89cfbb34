"""Which check judges a value of which data type, and how to mend a wrong one (ITI TF-3: Table 4.2.3.1.7-2)."""

from __future__ import annotations

from collections.abc import Callable

from metadata import datatypes
from metadata.datatypes import DataType

PROBLEMS: dict[DataType, Callable[[str], str | None]] = {
    t: getattr(datatypes, f"problem_with_{t.name.lower()}") for t in DataType if hasattr(datatypes, f"problem_with_{t.name.lower()}")
}

#: One right example for each data type.
REMEDIES: dict[DataType, str] = {
    DataType.CODED_STRING: "Write plain text, or a code as 'Code^^^&1.2.3&ISO'.",
    DataType.CX: "Write 'id^^^&1.2.3&ISO': the id, and the OID of its assigning authority.",
    DataType.CXI: "Write 'id^^^&1.2.3&ISO^urn:ihe:iti:xds:2013:accession': id, assigning authority, type of the id.",
    DataType.DOCUMENT_AVAILABILITY: "Write urn:ihe:iti:2010:DocumentAvailability:Online or :Offline.",
    DataType.DTM: "Write YYYY, YYYYMM, YYYYMMDD, YYYYMMDDhh, YYYYMMDDhhmm or YYYYMMDDhhmmss in UTC, without zone or fraction.",
    DataType.FIELD: "Write 'PID-n|value', one field of the HL7 PID segment in each Value.",
    DataType.HOME_COMMUNITY_ID: "Write urn:oid: and the OID of the community.",
    DataType.IDENTIFIER: "Write an OID, for a CDA document 'root^extension', or a UUID as URN.",
    DataType.INTEGER: "Write the number in decimal digits.",
    DataType.LANGUAGE: "Write a language tag of RFC 5646, for example fr-FR.",
    DataType.MIME_TYPE: "Write type/subtype, for example text/xml.",
    DataType.OID: "Write digits and dots, for example 1.2.250.1.213, without urn:oid: and without leading zeros.",
    DataType.RECIPIENT: "Write 'XON|XCN|XTN' with at least one part, for example '|9.9^Dupont^Anne' for a person.",
    DataType.SHA1: "Write the SHA-1 of the document as 40 hexadecimal digits.",
    DataType.URI: "Write a URI of RFC 3986.",
    DataType.XCN: "Write at least an id or a family name, for example '123^Dupont^Anne^^^^^^&1.2.3&ISO'.",
    DataType.XON: "Write the name of the institution, and its id in XON-10: 'Hospital^^^^^&1.2.3&ISO^^^^45'.",
    DataType.XTN: "Write '^^Internet^name@example.org' for mail, or '^^PH^^33^1^23456789' for a telephone.",
}


def problem_with(data_type: DataType, text: str) -> str | None:
    """What is wrong with `text` as a value of `data_type`; None when it is right or the type has no form."""
    check = PROBLEMS.get(data_type)
    return check(text) if check else None
