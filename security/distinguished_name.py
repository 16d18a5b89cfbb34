"""Distinguished names as text, compared as what they mean (RFC 4514, with the older spellings of RFC 2253 and of OpenSSL).

Assertions and signatures name an issuer in text, a certificate in ASN.1; the same name has many spellings: `SN` or `2.5.4.4`,
`#1404...` or plain, blanks behind commas, the parts of a multi-valued RDN in any order. Two names are equal when their RDNs are,
one by one, as sets. A `?` in the text stands for one character outside ASCII of the certificate: the DMP's own samples lost their
accents so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from cryptography import x509

#: Keywords of attribute types, upper case (RFC 4519, and what OpenSSL and Java print).
_TYPES = {
    "CN": "2.5.4.3", "SN": "2.5.4.4", "SURNAME": "2.5.4.4", "SERIALNUMBER": "2.5.4.5", "C": "2.5.4.6", "L": "2.5.4.7",
    "ST": "2.5.4.8", "S": "2.5.4.8", "STREET": "2.5.4.9", "O": "2.5.4.10", "OU": "2.5.4.11", "T": "2.5.4.12", "TITLE": "2.5.4.12",
    "GN": "2.5.4.42", "G": "2.5.4.42", "GIVENNAME": "2.5.4.42", "DC": "0.9.2342.19200300.100.1.25",
    "UID": "0.9.2342.19200300.100.1.1", "E": "1.2.840.113549.1.9.1", "EMAILADDRESS": "1.2.840.113549.1.9.1",
    "DNQUALIFIER": "2.5.4.46", "PSEUDONYM": "2.5.4.65", "ORGANIZATIONIDENTIFIER": "2.5.4.97",
}  # fmt: skip
_OID = re.compile(r"(?:OID\.)?([0-9]+(?:\.[0-9]+)+)", re.IGNORECASE)
_PIECE = re.compile(r'(?:\\.|"(?:\\.|[^"\\])*"|[^\\",;+])+', re.DOTALL)
#: DER string types whose content is UTF-8, one octet a character, or two.
_CODINGS = {0x0C: "utf-8", 0x13: "ascii", 0x14: "latin-1", 0x16: "ascii", 0x1E: "utf-16-be"}
_LONGEST = 2048

#: One RDN: attribute type (dotted) and value, case and runs of blanks folded.
Rdn = frozenset[tuple[str, str]]


def parse_name(text: str) -> tuple[Rdn, ...]:
    """The RDNs in the order of the text. Raises ValueError."""
    if len(text) > _LONGEST:
        raise ValueError("the name is too long")
    rdns: list[Rdn] = []
    parts: list[tuple[str, str]] = []
    position, rest = 0, text.strip()
    while position < len(rest):
        piece = _PIECE.match(rest, position)
        if piece is None:
            raise ValueError(f"nothing can be read at '{rest[position : position + 20]}'")
        parts.append(_attribute(piece.group()))
        position = piece.end()
        if rest[position : position + 1] != "+":
            rdns.append(frozenset(parts))
            parts = []
        if position == len(rest) - 1:
            raise ValueError("the name ends with a separator")
        position += 1
    return tuple(rdns)


def name_of(name: x509.Name) -> tuple[Rdn, ...]:
    """The RDNs of a certificate's name in the order of RFC 4514, the last first."""
    return tuple(
        frozenset((attribute.oid.dotted_string, _folded(str(attribute.value))) for attribute in rdn)
        for rdn in reversed(name.rdns)
    )


def same_name(text: str, name: x509.Name) -> bool:
    """Whether `text` is a spelling of `name`, in the order of RFC 4514 or the other way round."""
    try:
        stated = parse_name(text)
    except ValueError:
        return False
    actual = name_of(name)
    return _equal(stated, actual) or _equal(stated[::-1], actual)


def _equal(stated: Sequence[Rdn], actual: Sequence[Rdn]) -> bool:
    return len(stated) == len(actual) > 0 and all(_same_rdn(s, a) for s, a in zip(stated, actual, strict=True))


def _same_rdn(stated: Rdn, actual: Rdn) -> bool:
    if stated == actual:
        return True
    if len(stated) != len(actual):
        return False
    left, right = sorted(stated), sorted(actual)
    return all(s[0] == a[0] and _same_value(s[1], a[1]) for s, a in zip(left, right, strict=True))


def _same_value(stated: str, actual: str) -> bool:
    return len(stated) == len(actual) and all(s == a or (s == "?" and ord(a) > 127) for s, a in zip(stated, actual, strict=True))


def _attribute(piece: str) -> tuple[str, str]:
    keyword, equals, value = piece.partition("=")
    keyword = keyword.strip()
    oid = _OID.fullmatch(keyword)
    type = oid.group(1) if oid else _TYPES.get(keyword.upper(), "")
    if not equals or not type:
        raise ValueError(f"'{piece[:40]}' is no attribute of a name")
    return type, _folded(_value(value.strip()))


def _value(text: str) -> str:
    if text.startswith("#"):
        return _der(bytes.fromhex(text[1:]))
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1]
    octets = bytearray()
    position = 0
    while position < len(text):
        if text[position] != "\\":
            octets += text[position].encode()
            position += 1
        elif re.fullmatch(r"[0-9A-Fa-f]{2}", text[position + 1 : position + 3]):
            octets.append(int(text[position + 1 : position + 3], 16))
            position += 3
        else:
            octets += text[position + 1 : position + 2].encode()
            position += 2
    return octets.decode("utf-8")


def _der(octets: bytes) -> str:
    """A string in DER, of short length."""
    if len(octets) < 2 or octets[0] not in _CODINGS or octets[1] != len(octets) - 2 or octets[1] > 127:
        raise ValueError("the value is no DER string")
    return octets[2:].decode(_CODINGS[octets[0]])


def _folded(value: str) -> str:
    return " ".join(value.split()).casefold()
