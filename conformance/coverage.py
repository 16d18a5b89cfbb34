"""Which rules the cases prove, and which none does.

A rule of the table that no message over the wire can break, or only one that the standard's schemas refuse before any rule is
asked, stands in `OUT_OF_REACH` with the reason; so does a rule of trust that no client can break from outside.
"""

from __future__ import annotations

from collections.abc import Iterable

from conformance.case import Case
from conformance.result import Text
from metadata.rules.removal import RULES as REMOVAL_RULES
from metadata.rules.table import RULES
from security.rules import TRUST_RULES

_KEEPER = Text(
    "a record is closed and destroyed by its keeper's own means, for which the standard has no message",
    "un dossier est fermé et détruit par les moyens de son gardien, pour lesquels la norme n'a pas de message",
)
_ADVICE = Text(
    "advice is given by `carnet conformance check` and by the sandbox, never in an answer",
    "un conseil est donné par `carnet conformance check` et par le bac à sable, jamais dans une réponse",
)
#: Rule to the reason.
OUT_OF_REACH: dict[str, Text] = {
    "PAT-009": _KEEPER,
    "RM-010": _KEEPER,
    **{f"ADV-00{number}": _ADVICE for number in range(1, 6)},
    "PKI-005": Text(
        "revocation lists are files of the operator, which no client can take away or let grow old",
        "les listes de révocation sont des fichiers de l'exploitant, qu'aucun client ne peut retirer ni laisser vieillir",
    ),
    "PKI-006": Text(
        "which policies a certificate must carry is set by the operator, and a test authority puts none into its cards",
        "les politiques exigées sont un réglage de l'exploitant, et une autorité de test n'en met aucune dans ses cartes",
    ),
    "PKI-013": Text(
        "an OCSP responder is set by the operator, and a test authority has none",
        "un répondeur OCSP est un réglage de l'exploitant, et une autorité de test n'en a pas",
    ),
    "PKI-014": Text(
        "it is about the proxy in front, for which no client can stand",
        "elle porte sur le proxy placé devant, dont aucun client ne peut tenir lieu",
    ),
    "SIG-034": Text(
        "only assertions have an enveloped signature, and its form has rules of its own (SAM-006, SAM-007)",
        "seules les assertions ont une signature enveloppée, dont la forme a ses propres règles (SAM-006, SAM-007)",
    ),
    "SAM-048": Text(
        "a connection without a card ends before any message is read (PKI-010)",
        "une connexion sans carte se termine avant la lecture de tout message (PKI-010)",
    ),
    "ACC-014": Text(
        "it is asked of the operator's commands, which send no message",
        "elle est posée aux commandes de l'exploitant, qui n'envoient aucun message",
    ),
    "ACC-017": Text(
        "the bound is set by the operator, off by default, and counts what a caller did within an hour",
        "la limite est un réglage de l'exploitant, désactivé par défaut, qui compte ce qu'un appelant a fait en une heure",
    ),
    "ACC-016": Text(
        "it is asked between a repository and its registry elsewhere, for which no client can stand",
        "elle est posée entre un entrepôt et son registre distant, dont aucun client ne peut tenir lieu",
    ),
}


def rule_ids() -> tuple[str, ...]:
    """Every rule of the shared tables: of submissions, of removals, of trust."""
    return tuple(sorted({rule.id for table in (RULES, REMOVAL_RULES, TRUST_RULES) for rule in table}))


def coverage_of(cases: Iterable[Case], rules: Iterable[str] = ()) -> dict[str, tuple[str, ...]]:
    """Rule id to the ids of the cases that prove it, by id. Of `rules` even those of which no case speaks are there."""
    found: dict[str, list[str]] = {rule: [] for rule in rules}
    for case in cases:
        for rule in case.proves:
            found.setdefault(rule, []).append(case.id)
    return {rule: tuple(found[rule]) for rule in sorted(found)}
