"""SubmissionSet (ITI TF-3: 4.2.3.3): all its rules follow from the attribute table."""

from __future__ import annotations

from metadata.model import SubmissionSet
from metadata.rules.attribute_rows import AttributeRules
from metadata.vocabulary import ObjectKind

FAMILY = AttributeRules(ObjectKind.SUBMISSION_SET, SubmissionSet).family
RULES = tuple(FAMILY.rules)
FAMILIES = (FAMILY,)
