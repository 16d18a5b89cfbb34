"""Folder (ITI TF-3: 4.2.3.4): all its rules follow from the attribute table."""

from __future__ import annotations

from metadata.model import Folder
from metadata.rules.attribute_rows import AttributeRules
from metadata.vocabulary import ObjectKind

FAMILY = AttributeRules(ObjectKind.FOLDER, Folder).family
RULES = tuple(FAMILY.rules)
FAMILIES = (FAMILY,)
