"""The French identifiers and codes that the metadata of the CI-SIS name: people, structures, confidentiality, signature.

Sources: CI-SIS "Structuration minimale de documents de santé" 1.16 (identifiers, code systems of the header); DMP integration
guide SEL-MP-037 and its sample messages (national ids, masking codes, entry of the signature).
"""

from __future__ import annotations

import re

#: National id of a professional (PS_IdNat) and of a structure (Struct_IdNat), with the HL7 type of each.
PS_OID = "1.2.250.1.71.4.2.1"
STRUCTURE_OID = "1.2.250.1.71.4.2.2"
PS_TYPE = "IDNPS"
STRUCTURE_TYPE = "IDNST"

#: First digit of a PS_IdNat: ADELI, ADELI practice, FINESS, SIREN, SIRET, RPPS practice, RPPS.
_PS = re.compile(r"[0134568].+")
#: 8 and the eleven digits of an RPPS number.
_RPPS = re.compile(r"8[0-9]{11}")
#: First digit of a Struct_IdNat: ADELI practice, FINESS, SIREN, SIRET, RPPS and rank of the practice.
_STRUCTURE = re.compile(r"[0-4].+")

#: HL7 Confidentiality: N, R, V stand in the header of a CDA; masking never does.
CONFIDENTIALITY_OID = "2.16.840.1.113883.5.25"
MASKING_OID = "1.2.250.1.213.1.1.4.13"
MASQUE_PS = "MASQUE_PS"
INVISIBLE_PATIENT = "INVISIBLE_PATIENT"
#: typeCode of the DocumentEntry that holds the signature of the submission.
SIGNATURE_TYPE = ("E1762", "ASTM")


def problem_with_ps_id(value: str) -> str | None:
    """None for a right PS_IdNat, else what is wrong."""
    if not _PS.fullmatch(value):
        return "a national professional id is a digit for its kind (0, 1, 3, 4, 5, 6 or 8) and the number"
    if value[0] == "8" and not _RPPS.fullmatch(value):
        return "after the digit 8 a national professional id has the 11 digits of the RPPS number"
    return None


def is_rpps(value: str) -> bool:
    """Whether an id is a professional's RPPS with its kind: no other national id looks like it."""
    return bool(_RPPS.fullmatch(value))


def problem_with_structure_id(value: str) -> str | None:
    """None for a right Struct_IdNat, else what is wrong."""
    if not _STRUCTURE.fullmatch(value):
        return "a national structure id is a digit for its kind (0 to 4) and the number"
    return None
