"""Every phrase of the reports, in English and French."""

from __future__ import annotations

import re

from conformance.result import Finding, Run

LANGUAGES = ("en", "fr")

_WORDS: dict[str, tuple[str, str]] = {
    "report": ("Conformance report", "Rapport de conformité"),
    "verdict": ("Verdict", "Verdict"),
    "passes": ("Nothing failed.", "Aucun échec."),
    "resume": ("What is left was not asked.", "Le reste n'a pas été examiné."),
    "nothing": ("No case was performed: all were skipped.", "Aucun cas n'a été exécuté : tous ont été sautés."),
    "fails_one": ("1 case failed or could not be judged.", "1 cas a échoué ou n'a pas pu être jugé."),
    "fails": ("{count} cases failed or could not be judged.", "{count} cas ont échoué ou n'ont pas pu être jugés."),
    "target": ("Target", "Cible"),
    "profile": ("Profile", "Profil"),
    "suite": ("Suite", "Suite"),
    "started": ("Started (UTC)", "Début (UTC)"),
    "took": ("Took", "Durée"),
    "within": ("in", "en"),
    "kit": ("Kit", "Kit"),
    "options": ("Options of the target", "Options de la cible"),
    "endpoints": ("Addresses", "Adresses"),
    "cases": ("Cases", "Cas"),
    "rules": ("Rules", "Règles"),
    "rules_said": (
        "What this run says of each rule: proved, broken, or not asked.",
        "Ce que ce passage dit de chaque règle : prouvée, enfreinte, ou non examinée.",
    ),
    "passed": ("passed", "réussi"),
    "failed": ("failed", "échoué"),
    "error": ("error", "erreur"),
    "skipped": ("skipped", "sauté"),
    "unasked": ("not asked", "non examinée"),
    "all": ("all", "tous"),
    "search": ("Search", "Chercher"),
    "transaction": ("Transaction", "Transaction"),
    "case": ("Case", "Cas"),
    "section": ("Standard", "Norme"),
    "proves": ("Proves", "Prouve"),
    "requirements": ("Requirements", "Exigences"),
    "requirements_said": (
        "What this run says of each requirement code of the homologation.",
        "Ce que ce passage dit de chaque code d'exigence de l'homologation.",
    ),
    "code": ("Requirement", "Exigence"),
    "status": ("In this run", "Dans ce passage"),
    "covered_by": ("Cases, or why there is none", "Cas, ou pourquoi il n'y en a pas"),
    "not_covered": ("no case", "aucun cas"),
    "partly": ("passed, not all asked", "réussi, non tout examiné"),
    "why": ("Why", "Pourquoi"),
    "mend": ("How to mend", "Comment corriger"),
    "right": ("A right example", "Un exemple juste"),
    "wrong": ("A wrong example", "Un exemple faux"),
    "reason": ("Reason", "Raison"),
    "expected": ("Expected", "Attendu"),
    "got": ("Came", "Reçu"),
    "request": ("Request", "Requête"),
    "response": ("Answer", "Réponse"),
    "told": ("The target said", "La cible a dit"),
    "prepares": ("prepares", "prépare"),
    "cleans": ("tidies up", "range"),
    "line": ("line", "ligne"),
    "timeline": ("The exchange", "L'échange"),
    "here": ("kit", "kit"),
    "there": ("target", "cible"),
    "trend": ("Compared with earlier runs", "Par rapport aux passages précédents"),
    "newly_failed": ("Failing since the last run", "En échec depuis le dernier passage"),
    "newly_passed": ("Mended since the last run", "Corrigés depuis le dernier passage"),
    "unchanged": ("The same cases fail as in the last run.", "Les mêmes cas échouent qu'au dernier passage."),
    "cut": ("Not shown whole; the evidence archive has it.", "Pas montré en entier ; l'archive de preuves l'a."),
    "opens": ("The messages of this case", "Les messages de ce cas"),
    "none_failed": ("No case failed.", "Aucun cas n'a échoué."),
    "failures": ("What to mend", "À corriger"),
    "by_transaction": ("By transaction", "Par transaction"),
    "uncovered": ("Rules that no case of the suite proves", "Règles qu'aucun cas de la suite ne prouve"),
    "page": ("page", "page"),
    "open_error": ("This browser cannot unpack the messages.", "Ce navigateur ne peut pas déplier les messages."),
}


def word(name: str, language: str, **values: object) -> str:
    """The phrase in `en` or `fr`; KeyError for one that does not exist."""
    return _WORDS[name][LANGUAGES.index(language)].format(**values)


def label(name: str, language: str) -> str:
    """The phrase before what it introduces, with its colon, which in French has a blank before it that no line breaks at."""
    return word(name, language) + ("\u00a0:" if language == "fr" else ":")


def verdict(run: Run, language: str) -> str:
    """The sentence on the cover."""
    if run.stopped:
        return f"{run.stopped.in_(language)}. {word('resume', language)}"
    bad = sum(1 for case in run.cases if case.bad)
    if bad:
        return word("fails_one" if bad == 1 else "fails", language, count=bad)
    return word("passes" if run.passed else "nothing", language)


def told_already(finding: Finding) -> bool:
    """Whether the sentence of a finding holds what was expected and what came, which then need not be said again."""
    text = finding.text.en
    return finding.got[:200] in text and all(part in text for part in re.split(r"[ ,/]+", finding.expected) if part != "or")


def alternatives(expected: str) -> str:
    """What was expected (`Failure A or B`), so that it reads the same in both languages."""
    return expected.replace(" or ", " / ")
