"""The few codes that a Document Source deduces: class and format from the type of document, format from the media type.

Taken from the sample set's own table of kinds, so that both say the same; a type that is not there deduces nothing.
"""

from __future__ import annotations

from metadata.model import Code
from server.sample import CLASS_OID, FORMAT_OID, KINDS

#: Nothing but the media type is needed to show the document (IHE: mimeTypeSufficient).
SUFFICIENT = Code("urn:ihe:iti:xds:2017:mimeTypeSufficient", FORMAT_OID, "Type MIME suffisant")
#: An unstructured CDA by what is inside it (ITI TF-3: 5.2, XDS-SD).
FORMAT_BY_MEDIA_TYPE = {
    "application/pdf": Code("urn:ihe:iti:xds-sd:pdf:2008", FORMAT_OID, "PDF en CDA"),
    "text/plain": Code("urn:ihe:iti:xds-sd:text:2008", FORMAT_OID, "Texte en CDA"),
}

_CLASSES = {(kind.type_code[0], kind.type_code[1]): Code(kind.class_code[0], CLASS_OID, kind.class_code[1]) for kind in KINDS}
_FORMATS = {(kind.type_code[0], kind.type_code[1]): Code(kind.format_code[0], FORMAT_OID, kind.format_code[1]) for kind in KINDS}


def class_of(type_code: Code | None) -> Code | None:
    """The classCode that goes with a typeCode (CI-SIS: ASS_X04), for the types known here."""
    return _CLASSES.get((type_code.code, type_code.scheme)) if type_code else None


def format_of(type_code: Code | None) -> Code:
    """The formatCode of a structured document of this type; mimeTypeSufficient for types not known here."""
    return _FORMATS.get((type_code.code, type_code.scheme), SUFFICIENT) if type_code else SUFFICIENT
