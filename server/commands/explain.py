"""`carnet explain`: what a rule, a wire quirk, a fault or an error code means, and how to mend a message that it refused."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from conformance.explanations.catalogue import Explanation

_HEADS = {
    "en": (
        "What it means", "Usual cause, and what to change", "In one line", "Wrong", "Right",
        "Standard", "Answered as", "See also",
    ),
    "fr": (
        "Ce que cela veut dire", "Cause habituelle, et que changer", "En une ligne", "Faux", "Juste",
        "Norme", "Code rendu", "Voir aussi",
    ),
}  # fmt: skip


@click.command("explain")
@click.argument("id", metavar="CODE|RULE", required=False)
@click.option("--lang", type=click.Choice(["en", "fr"]), help="Language (default: that of the environment, else English).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--list", "as_list", is_flag=True, help="List every id with its statement.")
@click.option("--site", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
              help="Write the pages of all ids into DIR, for any web server (setting server.explain_url).")  # fmt: skip
def command(id: str | None, lang: str | None, as_json: bool, as_list: bool, site: Path | None) -> None:
    """Explain an error code (XDSUnknownPatientId) or a rule (DE-106, WIRE-014): meaning, section, usual cause, wrong and right.

    Exit status 2 for an id that does not exist, with those that resemble it.
    """
    from conformance.explanations.catalogue import explain, explanations, nearest

    if site is not None:
        click.echo(f"{write_site(site)} pages in {site}: set server.explain_url to the address under which they stand")
        return

    language = lang or environment_language()
    if as_list or not id:
        for one in explanations().values():
            click.echo(f"{one.id:<24} {one.statement.of(language)}")
        return
    try:
        found = explain(id)
    except KeyError:
        near = ", ".join(nearest(id))
        french = language == "fr"
        unknown = f"aucune règle ni aucun code ne s'appelle {id}" if french else f"there is no rule and no code called {id}"
        hint = (f" ; proches : {near}" if french else f"; near: {near}") if near else ""
        click.echo(f"Error: {unknown}{hint} (carnet explain --list)", err=True)
        sys.exit(2)
    click.echo(json.dumps(as_dict(found), indent=2, ensure_ascii=False) if as_json else as_text(found, language))


def write_site(folder: Path) -> int:
    """The pages of `/explain/` as files; how many. Raises UsageError where the folder cannot be written."""
    from server.explain_page import site_pages

    count = 0
    try:
        for name, page in site_pages():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(page, encoding="utf-8")
            count += 1
    except OSError as error:
        raise click.UsageError(f"{folder}: cannot be written: {error.strerror}") from None
    return count


def environment_language() -> str:
    """French where the environment is French (LC_ALL, LC_MESSAGES, LANG), else English."""
    chosen = next((os.environ[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if os.environ.get(name)), "")
    return "fr" if chosen.lower().startswith("fr") else "en"


def as_dict(one: Explanation) -> dict[str, object]:
    """For a program, in both languages."""
    texts = {name: {"en": text.en, "fr": text.fr} for name, text in
             (("statement", one.statement), ("why", one.why), ("fix", one.fix), ("remedy", one.remedy))}  # fmt: skip
    return {
        "id": one.id, "kind": one.kind, **texts, "section": one.section, "codes": list(one.codes),
        "transactions": list(one.transactions), "wrong": one.wrong, "right": one.right,
        "example": one.example, "related": list(one.related),
    }  # fmt: skip


def as_text(one: Explanation, language: str) -> str:
    """For a person."""
    why, fix, remedy, wrong, right, section, codes, related = _HEADS[language]
    parts = [f"{one.id}: {one.statement.of(language)}", f"{section}: {one.section}"]
    if one.codes:
        parts[-1] += f"\n{codes}: {', '.join(one.codes)}" + (f" ({', '.join(one.transactions)})" if one.transactions else "")
    parts.append(f"{why}\n  {one.why.of(language)}")
    parts.append(f"{fix}\n  {one.fix.of(language)}")
    if one.remedy.of(language) not in ("", one.fix.of(language)):
        parts.append(f"{remedy}\n  {one.remedy.of(language)}")
    of = f" ({one.example})" if one.example else ""
    for name, example in one.examples(language):
        parts.append({"wrong": wrong, "right": right}[name] + of + "\n" + "\n".join(f"  {line}" for line in example.splitlines()))
    if one.related:
        parts.append(f"{related}: {', '.join(one.related)}")
    return "\n\n".join(parts)
