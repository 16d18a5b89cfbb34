"""Every rule by which trust is refused, by id. The tables stand beside the code that applies them."""

from __future__ import annotations

from security.refusal import TrustRule
from security.rules_access import ACCESS_RULES
from security.rules_assertion import ASSERTION_RULES
from security.rules_document_signature import RULES as DOCUMENT_SIGNATURE_RULES
from security.rules_pki import PKI_RULES
from security.rules_signature import SIGNATURE_RULES
from security.rules_vihf import VIHF_RULES

#: All rows, in the order of the request: certificate, signature, assertion, rights, signed sets.
TRUST_RULES: tuple[TrustRule, ...] = (
    *PKI_RULES,
    *SIGNATURE_RULES,
    *ASSERTION_RULES,
    *VIHF_RULES,
    *ACCESS_RULES,
    *DOCUMENT_SIGNATURE_RULES,
)


def trust_rule(id: str) -> TrustRule:
    """The row of this id. Raises KeyError."""
    for row in TRUST_RULES:
        if row.id == id:
            return row
    raise KeyError(id)
