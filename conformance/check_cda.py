"""A CDA document, alone or out of a message: our own rules of its header and structure, and the user's Schematron sets."""

from __future__ import annotations

import re

from lxml import etree

from conformance.check_lint import Lint
from conformance.check_places import NOWHERE, Passage, Place, Tree
from conformance.check_result import Level
from conformance.schematron_compiler import SchematronError
from metadata.cda import CdaFinding, check_cda
from metadata.rules.french import CI_SIS
from schemas.namespaces import HL7V3, q

#: Checks that hold for a CDA document of any country; the others are of the French guide (CI-SIS).
_EVERYWHERE = frozenset({"CDA-001", "CDA-002", "CDA-010", "CDA-011"})
_SECTION = "CI-SIS: Structuration minimale 1.16"
_STEP = re.compile(r"/(?:\*:|[\w.-]+:|)([\w.-]+)(?:\[([0-9]+)\])?")


def check_document(lint: Lint, passage: Passage) -> None:
    """Every finding about a CDA document."""
    tree = lint.parse(passage, what="document", instructions=True)
    if tree is not None:
        check_cda_tree(lint, tree)


def check_cda_tree(lint: Lint, tree: Tree) -> None:
    """The same for a document that is parsed already."""
    root = tree.root
    realm = root.find(q(HL7V3, "realmCode"))
    domain = lint.options.domain
    french = realm is None or realm.get("code") == "FR" or (domain is not None and CI_SIS in domain.options)
    title = " ".join((root.findtext(q(HL7V3, "title")) or "").split())[:80]
    where = f" of the realm {realm.get('code', '')}" if realm is not None else ""
    lint.checked.says.append(f"CDA document{where}: {title}" if title else f"CDA document{where}")
    for found in check_cda(root):
        if french or found.rule in _EVERYWHERE:
            _add(lint, tree, found)
    for rule_set in lint.options.rule_sets:
        try:
            for failed in rule_set.run(tree.passage.text):
                rule = f"{rule_set.name}:{failed.id}" if failed.id else rule_set.name
                level = Level.WARNING if failed.is_warning else Level.ERROR
                lint.add(rule, level, failed.text, at_path(tree, failed.location), part=tree.part, section=failed.test)
        except SchematronError as error:
            lint.add(rule_set.name, Level.ERROR, str(error), NOWHERE, part=tree.part)


def _add(lint: Lint, tree: Tree, found: CdaFinding) -> None:
    place = tree.place(found.element) if found.element is not None else NOWHERE
    lint.add(
        found.rule, Level.ERROR, found.message, place, remedy=found.remedy, section=_SECTION, part=tree.part, subject=found.path
    )


def at_path(tree: Tree, location: str) -> Place:
    """The element at a location of SVRL: steps of local names with positions; other XPaths are asked as they are."""
    element: etree._Element | None = None
    position = 0
    while match := _STEP.match(location, position):
        number = int(match[2] or 1) - 1
        candidates = [tree.root] if element is None else [e for e in element if isinstance(e.tag, str)]
        alike = [e for e in candidates if etree.QName(e).localname == match[1]]
        if number >= len(alike):
            return NOWHERE
        element, position = alike[number], match.end()
    return tree.place(element) if element is not None else NOWHERE
