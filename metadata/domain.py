"""An affinity domain: its lists of codes, its assigning authorities, its limits, and what it makes of the rules.

A `Domain` is data (`metadata.domain_reading` makes it of a file's content) and answers what the rules ask of it
(`metadata.rules.rule.CodeSets`). A code check is one look-up in a dictionary; only a refused code costs more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from functools import lru_cache

from metadata.rules.table import Policy

#: A code and its scheme; the scheme of a mimeType and of a language is "".
CodeKey = tuple[str, str]

#: How many codes a refusal names.
_NEAREST = 3
#: Of a longer code no more is compared.
_COMPARED = 64


class Listing(Enum):
    """What the domain's list of one code system is: what stands in it, and no more (`complete`); what is known of it, so that
    another code is warned of (`partial`); or nothing, so that any code is taken (`any`)."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class ListedCode:
    """One code. `valid_from` and `valid_until` (first day, last day) are dates YYYY-MM-DD or empty; `replaced_by` is a code
    of the same system."""

    code: str
    scheme: str
    display: str = ""
    valid_from: str = ""
    valid_until: str = ""
    replaced_by: str = ""

    @property
    def text(self) -> str:
        return f"{self.code}^{self.display}^{self.scheme}" if self.scheme else self.code

    def is_valid(self, day: str) -> bool:
        return (not self.valid_from or self.valid_from <= day) and (not self.valid_until or day <= self.valid_until)


@dataclass(frozen=True, slots=True)
class CodeSet:
    """What one attribute may hold: the code systems with the nature of their lists, and the codes."""

    schemes: Mapping[str, Listing]
    codes: Mapping[CodeKey, ListedCode]


def _today() -> str:
    return date.today().isoformat()


@dataclass(frozen=True)
class Domain:
    """One affinity domain. `sets` are by attribute; `classes` tells the class of a type of document; `assigning` is by role.

    `policies` and `options` are those of the rules; `settings` are values of the settings group `domain` that hold where the
    operator has set none. `today` gives the day (YYYY-MM-DD) on which codes are judged.
    """

    name: str
    title: str = ""
    sets: Mapping[str, CodeSet] = field(default_factory=dict)
    classes: Mapping[CodeKey, CodeKey] = field(default_factory=dict)
    assigning: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    limits: Mapping[str, int] = field(default_factory=dict)
    policies: Mapping[str, Policy] = field(default_factory=dict)
    options: frozenset[str] = frozenset()
    settings: Mapping[str, object] = field(default_factory=dict)
    today: Callable[[], str] = _today

    def __post_init__(self) -> None:
        object.__setattr__(self, "_ranked", lru_cache(maxsize=1024)(self._rank))

    @property
    def judges(self) -> bool:
        """False for a domain without lists, authorities and limits: nothing of it need be asked."""
        return bool(self.sets or self.classes or self.assigning or self.limits)

    # ------------------------------------------------------------------------------------------------- what rules ask

    def allows(self, attribute: str, code: str, scheme: str) -> bool:
        """True where the attribute has no list, the code is in it and valid today, or its code system is open."""
        listed = self.sets.get(attribute)
        if listed is None:
            return True
        found = listed.codes.get((code, scheme))
        if found is None:
            return listed.schemes.get(scheme, Listing.COMPLETE) is not Listing.COMPLETE
        return not (found.valid_from or found.valid_until) or found.is_valid(self.today())

    def knows(self, attribute: str, code: str, scheme: str) -> bool:
        """False where the list is partial and does not hold the code, and for a code that another one has replaced."""
        listed = self.sets.get(attribute)
        if listed is None:
            return True
        found = listed.codes.get((code, scheme))
        if found is None:
            return listed.schemes.get(scheme) is not Listing.PARTIAL
        return not found.replaced_by or found.valid_until != ""

    def nearest(self, attribute: str, code: str, scheme: str) -> tuple[str, ...]:
        """The successor of a replaced code, then the valid codes that share most with it; three at most."""
        ranked: Callable[[str, str, str, str], tuple[str, ...]] = getattr(self, "_ranked")  # noqa: B009  # set for a frozen object
        return ranked(attribute, code[:_COMPARED], scheme, self.today())

    def class_of(self, code: str, scheme: str) -> CodeKey | None:
        """The class that goes with a type."""
        return self.classes.get((code, scheme))

    def authorities(self, role: str) -> Mapping[str, str]:
        """OID to HL7 type of the id."""
        return self.assigning.get(role, {})

    def limit(self, name: str) -> int | None:
        """The limit of this name."""
        return self.limits.get(name)

    def _rank(self, attribute: str, code: str, scheme: str, day: str) -> tuple[str, ...]:
        listed = self.sets.get(attribute)
        if listed is None:
            return ()
        valid = [one for one in listed.codes.values() if one.is_valid(day) and (one.code, one.scheme) != (code, scheme)]
        sent = listed.codes.get((code, scheme))
        wanted, successor = _pairs(code), (sent.replaced_by, scheme) if sent and sent.replaced_by else None

        def distance(one: ListedCode) -> tuple[bool, float, bool, str]:
            return (one.code, one.scheme) != successor, -_likeness(wanted, _pairs(one.code)), one.scheme != scheme, one.code

        return tuple(one.text for one in sorted(valid, key=distance)[:_NEAREST])


def _pairs(text: str) -> frozenset[str]:
    """The pairs of neighbouring characters, ends included."""
    framed = f"\x02{text.lower()}\x03"
    return frozenset(framed[i : i + 2] for i in range(len(framed) - 1))


def _likeness(a: frozenset[str], b: frozenset[str]) -> float:
    return len(a & b) / len(a | b)
