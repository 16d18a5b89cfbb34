"""Cards by a word: those of a test authority's folder, and wrong ones that the kit makes with the authority's key.

    other         a second professional of the same profession        workplace   the structure in which the acting person works
    revoked       one that was revoked                                 limited     one that may not send the transaction
    expired  unenrolled  authentication  signature  weak  authority  damaged    made here for the acting person, enrolled nowhere
    foreign       of another authority of the same name                nobody      no card at all

What is made (`security.wrong_cards`) lies in a folder of its own, which goes with the process.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from security.pki import Issued, PkiError, TestAuthority
from security.wrong_cards import WRONG, make_wrong_card

FOUND = ("other", "workplace", "revoked", "limited")
NOBODY = "nobody"
WORDS = (*FOUND, *WRONG, NOBODY)


@dataclass(slots=True)
class Cards:
    """Finds and makes the cards of whoever acts as `name` of `folder`. Raises PkiError with the command that is missing."""

    folder: Path
    name: str
    _made: tempfile.TemporaryDirectory[str] | None = None
    _names: dict[str, tuple[Path, str]] = field(default_factory=dict)

    def find(self, word: str, transaction: str) -> tuple[Path, str]:
        """Folder and name of the card. `transaction` is the one that `limited` must not send."""
        if word in FOUND:
            row = self._found(word, transaction)
            return self.folder, row.name
        if word not in self._names:
            self._names[word] = self._make(word)
        return self._names[word]

    def _found(self, word: str, transaction: str) -> Issued:
        rows = [row for row in TestAuthority(self.folder).issued() if not row.name.endswith(".sign")]
        own = self._own(rows)

        def good(row: Issued) -> bool:
            return not row.revoked and row.not_after > datetime.now(UTC).isoformat()

        tests: dict[str, Callable[[Issued], bool]] = {
            "other": lambda row: (
                good(row) and row.kind == "person" and row.identifier != own.identifier and row.profession == own.profession
                and not row.transactions
            ),
            "workplace": lambda row: good(row) and row.kind == "structure" and row.identifier == own.structure,
            "revoked": lambda row: bool(row.revoked) and row.kind != "server" and (self.folder / f"{row.name}.key").is_file(),
            "limited": lambda row: good(row) and bool(row.transactions) and transaction not in row.transactions,
        }  # fmt: skip
        found = [row for row in rows if tests[word](row)]
        if not found:
            raise PkiError(f"{self.folder} holds {_MISSING[word].format(name=self.name, folder=self.folder)}")
        return found[0]

    def _own(self, rows: list[Issued]) -> Issued:
        own = [row for row in rows if row.name == self.name and not row.revoked]
        if not own:
            raise PkiError(f"{self.folder} holds no card '{self.name}' in force")
        return own[-1]

    def _make(self, word: str) -> tuple[Path, str]:
        own = self._own(TestAuthority(self.folder).issued())
        if self._made is None:
            self._made = tempfile.TemporaryDirectory(prefix="carnet-cards-")
        folder = Path(self._made.name) / word
        make_wrong_card(word, self.folder, folder, own)
        return folder, own.name


_MISSING = {
    "other": "no second professional of the profession of '{name}': ./carnet pki issue {folder} NAME --kind person",
    "workplace": "no structure in which '{name}' works: issue one (--kind structure), then '{name}' with --structure",
    "revoked": "no revoked card: ./carnet pki issue {folder} lost --kind person, then ./carnet pki revoke {folder} lost",
    "limited": "no card that is kept to other transactions: ./carnet pki issue {folder} NAME --kind person --transaction ITI-8",
}
