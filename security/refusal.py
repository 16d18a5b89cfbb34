"""A refusal of trust: one exception for certificates, signatures, assertions and rights, and the row that describes its rule.

It becomes a SOAP fault at the border (never a RegistryError): `rule` is its stable id, `text_en` and `text_fr` its reasons,
`subcode` the local name of the WS-Security fault code that everybody knows; the rule id travels below it as a code of its own.
The rows stand in one table per subject (`rules_*.py`), collected by `security/rules.py`: server, audit, `explain` and tests read
the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from schemas.sentences.french import french


class Denied(Exception):
    """`remedy` tells the caller how to mend it and never says more than the caller may know; `log` is for the operator only.

    `caller` is what was proved of the caller before (`soap.call.Caller`), for the audit trail; None: nothing.
    """

    caller: object = None

    def __init__(
        self,
        rule: str,
        text_en: str,
        text_fr: str,
        remedy: str = "",
        *,
        remedy_fr: str = "",
        subcode: str = "FailedAuthentication",
        log: str = "",
    ) -> None:
        self.rule = rule
        self.text_en = text_en
        self.text_fr = text_fr
        self.remedy = remedy
        self.remedy_fr = remedy_fr
        self.subcode = subcode
        self.log = log
        super().__init__(f"{text_en} [{rule}]" + (f" ({log})" if log else ""))


@dataclass(frozen=True, slots=True)
class TrustRule:
    """One way in which trust is refused.

    `id` is stable (`SAM-007`). `statement_*` say the rule ("An assertion holds only until NotOnOrAfter"); `text_*` what the
    caller reads when it is broken, a `str.format` pattern over the values given to `denied`; `remedy_*` how to mend it. `section`
    is the place in the standard. `subcode` is a fault code of WS-Security (FailedAuthentication, InvalidSecurity,
    InvalidSecurityToken, UnsupportedAlgorithm, UnsupportedSecurityToken, MessageExpired, FailedCheck, SecurityTokenUnavailable).
    """

    id: str
    statement_en: str
    statement_fr: str
    text_en: str
    text_fr: str
    remedy_en: str = ""
    remedy_fr: str = ""
    section: str = ""
    subcode: str = "FailedAuthentication"

    def denied(self, *, log: str = "", **values: Any) -> Denied:
        """The exception to raise. Values are shortened to 120 characters; one that is a sentence is French in the French text."""
        shown = {name: _short(value) for name, value in values.items()}
        in_french = {name: _short(french(str(value))) for name, value in values.items()}
        return Denied(
            self.id,
            self.text_en.format(**shown),
            self.text_fr.format(**in_french),
            self.remedy_en.format(**shown),
            remedy_fr=self.remedy_fr.format(**in_french),
            subcode=self.subcode,
            log=log,
        )


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 120 else text[:117] + "..."
