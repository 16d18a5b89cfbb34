"""A refusal of trust: one exception for certificates, signatures, assertions and rights.

It becomes a SOAP fault at the border (never a RegistryError): `rule` is its stable id, `text_en` and `text_fr` its reasons,
`subcode` the QName local part of the fault's subcode (WS-Security names where there is one).
"""

from __future__ import annotations


class Denied(Exception):
    """`remedy` tells the caller how to mend it and never says more than the caller may know."""

    def __init__(self, rule: str, text_en: str, text_fr: str, remedy: str = "", *, subcode: str = "FailedAuthentication") -> None:
        self.rule = rule
        self.text_en = text_en
        self.text_fr = text_fr
        self.remedy = remedy
        self.subcode = subcode
        super().__init__(f"{text_en} [{rule}]")
