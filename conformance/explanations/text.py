"""A text in both languages."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Text:
    """The same said in English and in French."""

    en: str
    fr: str

    def of(self, language: str) -> str:
        """French for `fr`, else English."""
        return self.fr if language == "fr" else self.en
