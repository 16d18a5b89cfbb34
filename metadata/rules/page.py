"""`docs/rules.md`, made from the rule table: `python -m metadata.rules.page > docs/rules.md`."""

from __future__ import annotations

import sys

from metadata.rules.advice import ADVICE
from metadata.rules.removal import RULES as REMOVAL_RULES
from metadata.rules.rule import Rule
from metadata.rules.table import RULES
from metadata.vocabulary import Actor, Severity
from schemas.problems import RULES as PARSER_RULES

_HEAD = """# Rules

This page is made from the rule table in `metadata/rules`: `python -m metadata.rules.page > docs/rules.md`.

Every rule has a stable id. A submission is answered with all findings at once: each is an `rs:RegistryError` whose
`codeContext` names the object, the attribute, the value, the remedy, and id and section of the rule. The severity is the
table's; an affinity domain may refuse, warn of, or switch off single rules by their ids.

- *Judged by*: `message` rules need the submission alone, `registry` rules ask what is registered (inside the write
  transaction), `documents` rules compare entries with what arrived (the repository), `advice` is given on request only.
  `CODE` and `DOM` rules judge only where the [affinity domain](affinity-domain.md) has lists, `FR` rules only where it has the
  option `ci-sis` (the domain `dmp-fr`).
- Codes: where the two actors spell a code differently, the registry's stands first.
"""

_PARSER = """## The XML itself

Found by the hardened parser before any schema or rule looks; answered with a SOAP Fault (XML-0xx) or tolerated with a note
(XML-1xx). What the schemas demand beyond that is in [schemas.md](schemas.md).

| Id | Rule |
|---|---|
"""

_REMOVAL = """## Removal of metadata

Judged together inside the transaction that removes: one finding refuses the whole request.

| Id | Rule | Section | Transactions | Code |
|---|---|---|---|---|
"""

_COLUMNS = "| Id | Rule | Section | Transactions | Judged by | Severity | Code |\n|---|---|---|---|---|---|---|"

#: The titles of the groups, by what stands before the dash in an id.
GROUPS = {
    "SUB": "Submission",
    "OBJ": "Any object",
    "SS": "SubmissionSet",
    "DE": "DocumentEntry",
    "FD": "Folder",
    "AU": "Author",
    "RID": "Reference ids",
    "LM": "Limited metadata",
    "AS": "Association",
    "PAT": "Patient",
    "CODE": "Codes of the affinity domain",
    "DOM": "Limits and authorities of the affinity domain",
    "REG": "Against what is registered",
    "UPD": "Update",
    "RMU": "Restricted update",
    "REP": "Documents received",
    "ADV": "Advice",
    "FR": "French rules (CI-SIS)",
}


def rules_page() -> str:
    """The whole page, in Markdown."""
    parts = [_HEAD]
    for prefix, title in GROUPS.items():
        rows = [row for row in RULES if row.id.partition("-")[0] == prefix]
        parts.append(f"## {title}\n\n{_COLUMNS}")
        parts += [_row(row) for row in rows]
        parts.append("")
    parts.append(_REMOVAL + "\n".join(f"| {r.id} | {r.statement} | {r.section} | ITI-62 | `{r.code}` |" for r in REMOVAL_RULES))
    parts.append("")
    parts.append(_PARSER + "\n".join(f"| {id} | {text} |" for id, text in PARSER_RULES.items()))
    return "\n".join(parts).rstrip() + "\n"


def _row(row: Rule) -> str:
    transactions = ", ".join(sorted(t.code for t in row.transactions))
    severity = "error" if row.severity is Severity.ERROR else "warning"
    cells = (row.id, row.statement, row.section, transactions, _judged_by(row), severity, _codes(row))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _judged_by(row: Rule) -> str:
    if row.needs_facts:
        return "registry"
    if "documents" in row.tags:
        return "documents"
    return "advice" if ADVICE in row.tags else "message"


def _codes(row: Rule) -> str:
    codes = [row.code(actor).value for actor in (Actor.REGISTRY, Actor.REPOSITORY)]
    return " / ".join(f"`{code}`" for code in dict.fromkeys(codes))


if __name__ == "__main__":
    sys.stdout.write(rules_page())
