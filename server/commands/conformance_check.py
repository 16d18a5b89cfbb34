"""`carnet conformance check`: what a file is, and everything that is wrong with it, by line and column."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from server.commands.explain import environment_language
from server.commands.options import UsageError
from server.commands.table import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from conformance.check_lint import CheckOptions
    from conformance.check_result import Checked, Found
    from conformance.schematron import RuleSet

_LEVELS = {"en": {}, "fr": {"error": "erreur", "warning": "avertissement", "tolerated": "toléré", "advice": "conseil"}}
_FILE = click.Path(path_type=Path)


@click.command("check")
@click.argument("files", nargs=-1, required=True, type=_FILE, metavar="FILE...")
@click.option("--lang", type=click.Choice(["en", "fr"]), help="Language of the explanations (default: the environment's).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--domain", metavar="NAME", help="Judge by an affinity domain (ihe, dmp-fr, or a file of --domain-folder).")
@click.option("--domain-folder", metavar="DIR", default="", help="Folder of affinity domains of your own.")
@click.option("--transaction", metavar="ITI-n", help="The transaction that a body or a fragment belongs to.")
@click.option("--schematron", multiple=True, type=_FILE, metavar="FILE", help="Schematron set (.sch, .xsl) for CDA; repeatable.")
@click.option("--value-sets", type=_FILE, metavar="DIR", help="Folder of the value sets that the Schematron sets read.")
def command(
    files: Sequence[Path], lang: str | None, as_json: bool, domain: str | None, domain_folder: str, transaction: str | None,
    schematron: Sequence[Path], value_sets: Path | None,
) -> None:  # fmt: skip
    """Check files: raw HTTP captures, SOAP envelopes, ebRIM fragments, CDA documents, SAML assertions; - is standard input.

    Says what each file is and lists every finding with line and column, rule id and remedy. Levels: error (refused), warning,
    tolerated (accepted here, refused elsewhere), advice. Exit status: 0 nothing found, 1 findings, 2 a file that cannot be read.
    """
    from conformance.check import check_octets
    from conformance.check_result import worst

    language = lang or environment_language()
    options = _options(domain, domain_folder, transaction, schematron, value_sets)
    checked, unread = [], []
    for path in files:
        try:
            data = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
        except OSError as error:
            unread.append(f"{path}: cannot be read: {error.strerror}")
            continue
        checked.append(check_octets(data, str(path), options))
    if as_json:
        click.echo(json.dumps([as_dict(one) for one in checked], indent=2, ensure_ascii=False))
    else:
        for one in checked:
            click.echo(as_text(one, language))
    if unread:
        raise UsageError("\n".join(unread))
    sys.exit(worst(checked))


def _options(
    domain: str | None, folder: str, transaction: str | None, schematron: Sequence[Path], value_sets: Path | None
) -> CheckOptions:
    from conformance.check_lint import CheckOptions
    from metadata.domain_reading import DomainError
    from metadata.vocabulary import Transaction
    from server.domain import load_domain

    known = {one.code: one for one in Transaction}
    if transaction and transaction.upper() not in known:
        raise UsageError(f"--transaction {transaction}: accepted are {', '.join(known)}")
    try:
        chosen = load_domain(domain, folder) if domain else None
    except DomainError as error:
        raise UsageError(str(error)) from None
    meant = known[transaction.upper()] if transaction else None
    return CheckOptions(chosen, meant, [_rule_set(path, value_sets) for path in schematron])


def _rule_set(path: Path, value_sets: Path | None) -> RuleSet:
    from conformance.schematron import RuleSet
    from conformance.schematron_compiler import SchematronError

    try:
        return RuleSet(path, value_sets)
    except SchematronError as error:
        raise UsageError(str(error)) from None


# ----------------------------------------------------------------------------------------------------------------- output


def as_text(checked: Checked, language: str) -> str:
    """For a person: what the file is, then one block per finding, in the order of the file."""
    from conformance.check_result import KINDS
    from conformance.phrases import french

    kind = KINDS[checked.kind][language == "fr"]
    lines = [f"{checked.name}: {kind}", *(f"  {french(fact) if language == 'fr' else fact}" for fact in checked.says)]
    for found in checked.found:
        lines += _block(found, language)
    if not checked.found:
        lines.append("  aucun constat" if language == "fr" else "  nothing found")
    else:
        word = "constat(s)" if language == "fr" else "finding(s)"
        lines.append(f"  {len(checked.found)} {word}; carnet explain {checked.found[0].rule}")
    return "\n".join(map(printable, lines))


def _block(found: Found, language: str) -> list[str]:
    from conformance.phrases import french

    place = f"{found.line}:{found.column}" if found.line else "-"
    where = f" [{french(found.part) if language == 'fr' else found.part}]" if found.part else ""
    message = found.said(language)
    level = _LEVELS[language].get(found.level.value, found.level.value)
    about = f"{found.subject}: " if found.subject and found.subject not in found.message else ""
    value = f" ('{found.value[:120]}')" if found.value and found.value not in found.message else ""
    lines = [f"  {place}{where} {level} {found.rule}: {about}{message}{value}"]
    statement = found.explained(language)[0] if language == "fr" else ""
    lines += [f"      {said}" for said in (statement, found.hint(language)) if said]
    if found.section:
        lines.append(f"      {found.section}")
    return lines


def as_dict(checked: Checked) -> dict[str, object]:
    """For a program: findings with their statement and remedy in both languages; `message_fr` is `message` in French."""
    return {
        "file": checked.name, "kind": checked.kind, "readable": checked.readable, "says": checked.says,
        "findings": [_finding(found) for found in checked.found],
    }  # fmt: skip


def _finding(found: Found) -> dict[str, object]:
    texts = {language: found.explained(language) for language in ("en", "fr")}
    return {
        "rule": found.rule, "level": found.level.value, "line": found.line, "column": found.column, "part": found.part,
        "subject": found.subject, "value": found.value, "message": found.message, "remedy": found.remedy,
        "message_fr": found.said("fr"),
        "section": found.section, "statement": {name: text[0] for name, text in texts.items()},
        "fix": {name: text[1] for name, text in texts.items()},
    }  # fmt: skip
