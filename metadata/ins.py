"""INS, the French national health identifier: arithmetic of the NIR key and of the INS-C.

Sources: ANSSI/GIP-CPS "Identifiant National de Santé", calculation of the INS-C (22 digits); CI-SIS, structuration minimale
de documents (OIDs of the assigning authorities); INSEE, NIR (13 characters and a key of two digits; 2A and 2B for Corsica).
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass

INS_A = "1.2.250.1.213.1.4.1"
INS_C = "1.2.250.1.213.1.4.2"
INS_NIR = "1.2.250.1.213.1.4.8"
INS_NIA = "1.2.250.1.213.1.4.9"
INS_NIR_TEST = "1.2.250.1.213.1.4.10"
INS_NIR_DEMO = "1.2.250.1.213.1.4.11"

#: Name of each assigning authority, by OID.
AUTHORITIES = {
    INS_A: "INS-A",
    INS_C: "INS-C",
    INS_NIR: "INS-NIR",
    INS_NIA: "INS-NIA",
    INS_NIR_TEST: "INS-NIR (test)",
    INS_NIR_DEMO: "INS-NIR (demonstration)",
}

# Sex (1-2; 3-4 foreigners being registered; 7-8 provisional), year, month (01-12, or 20-99 where it is not known), department
# (two digits, 2A, 2B), commune, order.
_NIR = re.compile(r"[1-478][0-9]{2}(?:0[1-9]|1[0-2]|[2-9][0-9])(?:[0-9]{2}|2[AB])[0-9]{3}[0-9]{3}")
_DIGITS_22 = re.compile(r"[0-9]{22}")
_BIRTH = re.compile(r"[0-9]{2}(?:0[0-9]|1[0-2])(?:[0-2][0-9]|3[01])")


class InsError(ValueError):
    """A value that is no identifier of the kind asked for; the text says why."""


@dataclass(frozen=True, slots=True)
class Identifier:
    """What a value is: `kind` is `INS-C` or `INS-NIR`, `value` the normalised identifier with its key."""

    kind: str
    value: str


def nir_key(nir: str) -> str:
    """The two-digit key of a 13-character NIR (or NIA). 2A counts as 19 and 2B as 18. Raises `InsError`."""
    if not _NIR.fullmatch(nir):
        raise InsError(f"'{nir}' is not a NIR: 13 characters are expected (sex, year, month, department, commune, order)")
    number = int(nir.replace("2A", "19", 1) if nir[5:7] == "2A" else nir.replace("2B", "18", 1) if nir[5:7] == "2B" else nir)
    return f"{97 - number % 97:02d}"


def compute_ins_c(first_name: str, birth: str, nir: str) -> str:
    """The INS-C, 22 digits, of a person.

    `first_name` is the first given name as on the insurance card, `birth` the six digits YYMMDD as printed there (00 where a
    part is unknown), `nir` the 13 characters of the person's own NIR. Raises `InsError`.
    """
    letters = "".join(
        c for c in unicodedata.normalize("NFD", first_name.upper().replace("Œ", "OE").replace("Æ", "AE")) if "A" <= c <= "Z"
    )
    if not letters:
        raise InsError(f"the given name '{first_name}' has no letter")
    if not _BIRTH.fullmatch(birth):
        raise InsError(f"the birth date '{birth}' is not of the form YYMMDD")
    nir_key(nir)
    seed = f"{letters[:10]:<10}{birth}{nir}".encode("ascii")
    number = f"{int.from_bytes(hashlib.sha256(seed).digest()[:8], 'big'):020d}"
    return number + ins_c_key(number)


def ins_c_key(number: str) -> str:
    """The two-digit key of the first 20 digits of an INS-C."""
    return f"{97 - int(number) % 97:02d}"


def check(value: str) -> Identifier:
    """What `value` is, blanks ignored: an INS-C of 22 digits, or a NIR/NIA of 13 characters with its key. Raises `InsError`."""
    compact = re.sub(r"\s", "", value).upper()
    if len(compact) == 22:
        if not _DIGITS_22.fullmatch(compact):
            raise InsError(f"'{value}' has 22 characters but not only digits: no INS-C")
        if int(compact[:20]) >= 2**64:
            raise InsError(f"'{value}': the first 20 digits of an INS-C are below 2 to the power of 64")
        return Identifier("INS-C", _with_key(compact[:20], compact[20:], ins_c_key(compact[:20]), "INS-C"))
    if len(compact) == 15:
        return Identifier("INS-NIR", _with_key(compact[:13], compact[13:], nir_key(compact[:13]), "NIR"))
    if len(compact) == 13:
        raise InsError(f"'{value}' has 13 characters: an INS is the NIR with its key, {compact}{nir_key(compact)}")
    raise InsError(f"'{value}' has {len(compact)} characters: an INS-C has 22 digits, an INS-NIR or INS-NIA has 15")


def check_cx(text: str) -> Identifier:
    """What an HL7 CX under one of the INS authorities is: kind as its authority says, value with its key. Raises `InsError`.

    An INS-A has no key that is known here and is taken as it stands.
    """
    value, _, rest = text.partition("^^^&")
    authority = rest.split("&", 1)[0]
    name = AUTHORITIES.get(authority)
    if name is None:
        known = ", ".join(f"{oid} ({kind})" for oid, kind in AUTHORITIES.items())
        raise InsError(f"'{authority}' is no assigning authority of an INS; they are {known}")
    if authority == INS_A:
        return Identifier(name, value)
    found = check(value)
    if (found.kind == "INS-C") != (authority == INS_C):
        raise InsError(f"'{value}' is an {found.kind}, its assigning authority {authority} is that of {name}")
    return Identifier(name, found.value)


def problem_with_ins(cx: str) -> str | None:
    """Why a CX under an INS authority cannot be one; None for a right one, and for every other authority."""
    authority = cx.partition("^^^&")[2].split("&", 1)[0]
    if authority not in AUTHORITIES:
        return None
    try:
        check_cx(cx)
    except InsError as error:
        return str(error)
    return None


def _with_key(number: str, key: str, right: str, kind: str) -> str:
    if key != right:
        raise InsError(f"the key of {kind} {number} is {right}, not {key}")
    return number + key


def cx(value: str, authority: str) -> str:
    """The identifier as HL7 CX, `value^^^&OID&ISO^TYPE` (NH; INS-C under its own authority)."""
    return f"{value}^^^&{authority}&ISO^{'INS-C' if authority == INS_C else 'NH'}"
