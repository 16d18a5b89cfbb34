"""Who may do what with a record: the policy that every transaction, feed and command asks.

`Ihe` lets every caller who came this far do everything (the default). `MatrixPolicy` decides by a `Matrix`: the assertion gives
the column, the record's own rights (`RecordRights`, read by the registry) say whether it is open, and the row is the transaction
or the change. What comes out is a `Grant`, which judges rows and documents and holds the `Sight`: what of the record is hidden.

Nothing here knows how rights or documents are stored. Where the sources leave two readings the stricter one holds, unless the
setting opens that note (`Reading`). Source: DMP integration guide, M526, M606 and the chapters on rights and masking.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from metadata.datatypes import canonical_cx
from metadata.ins import AUTHORITIES as INS_AUTHORITIES
from security import rules_access as rules
from security import saml_names as names
from security.access_matrix import Cell, Matrix, load_matrix, shipped
from security.identity import Assertion, Mode
from security.refusal import TrustRule

MASKED = "MASQUE_PS"
INVISIBLE = "INVISIBLE_PATIENT"
SECRET = "INVISIBLE_REPRESENTANTS_LEGAUX"
#: The confidentiality codes that decide (code system 1.2.250.1.213.1.1.4.13); others of it are stored and mean nothing here.
MASKS = (MASKED, INVISIBLE, SECRET)
#: classCode of what patients write.
PATIENT_CLASS = "90"


class Reading(Enum):
    """A place where the sources can be read in two ways; named in the setting, the milder way holds."""

    MASKED_EMERGENCY = "masked-emergency"  # masked documents in an emergency: unless opposed, and not only when allowed
    PATIENT_WRITTEN = "patient-written"  # the treating physician deletes what the patient wrote, and not only own documents
    BLOCKED_FEEDS = "blocked-feeds"  # a blocked professional may still feed
    REPRESENTATIVE = "invisible-representative"  # what is invisible to the patient is visible to the representatives
    XUA_PROFESSION = "xua-profession"  # an assertion without a mode counts as a card, and not as a structure's
    REFERENCES = "reference-queries"  # references come from every stored query, and not from GetDocuments alone
    IMPUTATION = "imputation"  # the structure need not be named as an author of what it feeds
    OTHER_CHANGES = "other-changes"  # changes without a row are open for own documents
    STRUCTURE = "structure-authorisation"  # the authorisation of a structure opens the record to its professionals
    PLAIN_FEED = "plain-feed"  # identities are taken from senders that have shown no certificate
    PATIENT_BY_STRUCTURE = "patient-by-structure"  # a structure states a patient or representative, and not only his own card


class Authorisation(Enum):
    """The state of a professional with a patient (TD0.2)."""

    VALID = "VALIDE"
    EXPIRED = "EXPIRE"
    BLOCKED = "INTERDIT"
    NONE = "NON_EXISTE"


@dataclass(frozen=True, slots=True)
class RecordRights:
    """What a record says of one caller. An unknown patient has no rows and the rest at its default.

    `rows` are the registry's names of the patient, `identifiers` all canonical CX of the person. `opposed` are purposes of use.
    """

    rows: tuple[int, ...] = ()
    identifiers: frozenset[str] = frozenset()
    authorisation: Authorisation = Authorisation.NONE
    structure: Authorisation = Authorisation.NONE
    treating: bool = False
    represents: bool = False
    opposed: frozenset[str] = frozenset()
    masked_allowed: bool = False


#: Reads the rights: patient (canonical CX), the caller's id, the structure's id.
AskRights = Callable[[str, str, str], RecordRights]


@dataclass(frozen=True, slots=True)
class EntryState:
    """What of one version of a document decides. `masks` are the masking codes of it and of its later versions; `persons` and
    `structures` are the ids of its writers and authors; `status` is the name of the availabilityStatus."""

    patient: int
    masks: frozenset[str] = frozenset()
    signature: bool = False
    status: str = "APPROVED"
    persons: frozenset[str] = frozenset()
    structures: frozenset[str] = frozenset()
    by_patient: bool = False


@dataclass(frozen=True, slots=True)
class Sight:
    """What is hidden from a caller. `patients` are the registry's rows of the only person seen, None for anybody. `invisible` are
    masking codes that hide from everybody like him; `masked` tells that MASQUE_PS hides what is not his own."""

    patients: tuple[int, ...] | None
    masked: bool = False
    invisible: frozenset[str] = frozenset()
    person: str = ""
    structure: str = ""
    patient_writes: bool = False
    signatures: bool = True

    def owns(self, entry: EntryState) -> bool:
        """Whether the document is the caller's: by his id, his structure's, or as the patient's side."""
        return bool(
            (self.person and self.person in entry.persons)
            or (self.structure and self.structure in entry.structures)
            or (self.patient_writes and entry.by_patient)
        )

    def hides(self, entry: EntryState) -> bool:
        """Whether the caller must not learn of this version."""
        elsewhere = self.patients is not None and entry.patient not in self.patients
        if elsewhere or (self.signatures and entry.signature) or entry.masks & self.invisible:
            return True
        return self.masked and MASKED in entry.masks and not self.owns(entry)


@dataclass(frozen=True, slots=True)
class Grant:
    """What one caller may do with one record. `column` is a column of `sheet`, `base` its name without the purpose."""

    matrix: Matrix
    sheet: str
    column: str
    base: str
    assertion: Assertion
    patient: str
    rights: RecordRights
    opened: frozenset[Reading]
    sight: Sight

    @property
    def feeding_row(self) -> str:
        return "TD2.2" if self.base in ("CPE", "PE") else "TD2.1"

    def cell(self, row: str) -> Cell:
        return self.matrix.cell(self.sheet, row, self.column)

    def demand(self, *some: str) -> Cell:
        """The cell of the first of these rows that is open, where the record is open too. Raises Denied.

        The row is judged first: it is the same for every record. Then a refusal says only that this one is not open.
        """
        open_ones = [row for row in some if self.cell(row) is not Cell.NO]
        if not open_ones:
            raise rules.NOT_IN_MATRIX.denied(row=some[0], column=self.column)
        if not self._record_open(open_ones[0]):
            raise rules.NOT_AUTHORISED.denied(log=f"{self.assertion.subject}: {self.rights.authorisation.value}")
        return self.cell(open_ones[0])

    def _record_open(self, row: str) -> bool:
        if row in _WHOEVER:
            return True
        if self.base in ("PA", "RL"):
            return bool(self.rights.rows)
        blocked = Authorisation.BLOCKED in (self.rights.authorisation, self.rights.structure)
        if row in ("TD2.1", "TD2.2"):
            return not blocked or Reading.BLOCKED_FEEDS in self.opened
        if blocked:
            return False
        if self.base in ("ES", "CPE", "PE") or not row.startswith("TD3"):
            return True  # an authorisation is needed to consult, and these consult nothing
        purpose = self.assertion.purpose.code if self.assertion.purpose else ""
        if purpose != names.NORMAL:
            return bool(self.rights.rows) and purpose not in self.rights.opposed
        valid = self.rights.authorisation is Authorisation.VALID
        return valid or (Reading.STRUCTURE in self.opened and self.rights.structure is Authorisation.VALID)

    # ------------------------------------------------------------------------------------------------------ documents

    def reads(self, entry: EntryState) -> bool:
        """Whether the document may be retrieved; if not, it is answered like one that is unknown."""
        return not self.sight.hides(entry) and all(self._broken(row, entry) is None for row in rows_of_reading(entry))

    def judge(self, row: str, entry: EntryState) -> None:
        """Raises Denied where the caller may not do this to a document that he sees."""
        broken = self._broken(row, entry)
        if broken is not None:
            raise broken.denied(row=row, column=self.column, whose=self.cell(row).value)

    def _broken(self, row: str, entry: EntryState) -> TrustRule | None:
        cell = self.cell(row)
        treating = self.base == "MT"
        if cell is Cell.NO:
            return rules.NOT_IN_MATRIX
        if entry.by_patient and row in _PUT_AWAY and self.base not in ("MT", "PA", "RL"):
            return rules.PATIENT_WRITTEN
        if cell is Cell.OWN and not self.sight.owns(entry):
            opened = treating and entry.by_patient and row in _PUT_AWAY and Reading.PATIENT_WRITTEN in self.opened
            return None if opened else rules.NOT_OWN
        if cell is Cell.STRUCTURE and not (self.sight.structure and self.sight.structure in entry.structures):
            return rules.NOT_OWN
        if cell is Cell.PATIENT_OK and not (self.sight.owns(entry) or not self.sight.masked):
            return rules.NOT_OWN
        return None

    def judge_unlisted(self, what: str, entries: Iterable[EntryState]) -> None:
        """A change that no row is for: of the caller's own documents only, and only where that note is opened. Raises Denied."""
        if Reading.OTHER_CHANGES not in self.opened or not all(map(self.sight.owns, entries)):
            raise rules.OTHER_CHANGE.denied(what=what)

    # ------------------------------------------------------------------------------------------------------- messages

    def same_patient(self, cx: str) -> bool:
        """Whether a message about `cx` is about the patient of the assertion, under any identifier of the person."""
        one = canonical_cx(cx)
        return one == self.patient or (self.patient in self.rights.identifiers and one in self.rights.identifiers)

    def demand_references(self, query: str, leaf: bool) -> None:
        """What a search asks for, judged by its row. Raises Denied."""
        cell = self.demand("TD3.1-meta" if leaf else "TD3.1-ref", "TD3.1-ref")
        if cell is Cell.REFERENCE_ONLY and (leaf or (query != "GetDocuments" and Reading.REFERENCES not in self.opened)):
            raise rules.REFERENCE_ONLY.denied(column=self.column)

    def demand_feeding(self, institutions: Iterable[str], masks: Iterable[frozenset[str]]) -> None:
        """A submission: `institutions` are the XON of the SubmissionSet's authors, `masks` the masking codes of each new
        document. Raises Denied."""
        cell = self.demand(self.feeding_row)
        if SECRET in self.assertion.session and any(SECRET not in codes for codes in masks):
            raise rules.SECRET_SESSION.denied()
        structure = self.assertion.structure
        named = {_xon_id(xon) for xon in institutions} - {""}
        if cell is Cell.STRUCTURE and Reading.IMPUTATION not in self.opened and structure not in named:
            raise rules.NOT_IMPUTED.denied(structure=structure or "(none)")


#: Rows that tell a caller what he may do: open also to whom the record is closed to: TD0.2 answers INTERDIT to who is blocked.
_WHOEVER = frozenset({"TD0.1", "TD0.2"})
_PUT_AWAY = frozenset({"TD3.3d-archive", "TD3.3d-unarchive", "TD3.3c-delete"})
_STATUS_ROWS = {"ARCHIVED": "TD3.2-archived", "DEPRECATED": "TD3.2-obsolete", "DELETED": "TD3.2-deleted"}


def _xon_id(xon: str) -> str:
    parts = xon.split("^")
    return parts[9] if len(parts) > 9 else ""


def rows_of_reading(entry: EntryState) -> list[str]:
    """The rows of TD3.2 that a document in this state asks: all that hold, or the plain one."""
    rows = ["TD3.2-masked"] if MASKED in entry.masks else []
    rows += ["TD3.2-invisible"] if entry.masks & {INVISIBLE, SECRET} else []
    rows += [_STATUS_ROWS[entry.status]] if entry.status in _STATUS_ROWS else []
    return rows or ["TD3.2-plain"]


# ------------------------------------------------------------------------------------------------------------- the policies


@dataclass(frozen=True, slots=True)
class Ihe:
    """Everything is allowed to whom the endpoint has let in."""

    name: str = "ihe"


@dataclass(frozen=True, slots=True)
class MatrixPolicy:
    """A matrix and the notes that are opened."""

    matrix: Matrix
    opened: frozenset[Reading] = field(default=frozenset())

    @property
    def name(self) -> str:
        return self.matrix.name

    def grant(self, assertion: Assertion | None, ask: AskRights) -> Grant:
        """What the caller may do with the record that the assertion names. Raises Denied where no column is for him.

        The rights are read before anything depends on them, whether the patient is known or not.
        """
        if assertion is None:
            raise rules.NO_ASSERTION.denied()
        if not assertion.patient:
            raise rules.NO_PATIENT.denied()
        patient = canonical_cx(assertion.patient)
        rights = ask(patient, assertion.subject, assertion.structure)
        letter = self._letter(assertion)
        sheet, base = self._place(assertion, rights)
        if base == "MT" and letter == "r":
            base = "MD"  # no column is for a treating physician in regulation: he acts like any doctor
        columns = {f"{base}{letter}", base if letter == "n" else ""} & self._columns(sheet)
        if not columns:
            raise rules.NO_COLUMN.denied(what=f"{base} with the purpose {assertion.purpose.code if assertion.purpose else ''}")
        column = columns.pop()
        sight = self._sight(sheet, column, base, assertion, rights)
        return Grant(self.matrix, sheet, column, base, assertion, patient, rights, self.opened, sight)

    def _columns(self, sheet: str) -> set[str]:
        return {column for row in self.matrix.cells[sheet].values() for column in row}

    def _letter(self, assertion: Assertion) -> str:
        said = assertion.purpose
        code = said.code if said else ""
        if said is None or code not in _LETTERS or said.system != names.PURPOSES:
            named = f"{code!r} of {said.system}" if said else "''"
            raise rules.NO_COLUMN.denied(what=f"the purpose {named}; accepted: {', '.join(_LETTERS)} of {names.PURPOSES}")
        if code == names.EMERGENCY and not assertion.reason.strip():
            raise rules.NO_REASON.denied()
        return _LETTERS[code]

    def _place(self, assertion: Assertion, rights: RecordRights) -> tuple[str, str]:
        """Sheet and column without its purpose."""
        role = assertion.roles[0] if assertion.roles else None
        mode = assertion.mode
        # Structures sign what they say of people themselves: one that no patient has let in could call itself any of them.
        proved = mode is Mode.DIRECT or Reading.PATIENT_BY_STRUCTURE in self.opened
        if proved and role is not None and (role.code, role.system) == (names.PATIENT_ROLE, names.OTHER_ROLES):
            return "own", self._patient_side(assertion, rights)
        if mode is Mode.INDIRECT or (mode is Mode.XUA and Reading.XUA_PROFESSION not in self.opened):
            return "m526", "ES"
        sheet, staff = ("air", "PE") if mode is Mode.REINFORCED else ("m526", "CPE")
        if role is None:
            raise rules.NO_COLUMN.denied(what="an assertion without a role")
        if role.system == names.OTHER_ROLES:
            return sheet, staff
        if role.system != names.PROFESSIONS:
            raise rules.NO_COLUMN.denied(what=f"the role {role.code} of {role.system}")
        if role.code != DOCTOR:
            return sheet, "NM"
        if any((one.code, one.system) == (OCCUPATIONAL, names.KNOW_HOWS) for one in assertion.roles):
            return sheet, "OP"
        return sheet, "MT" if rights.treating else "MD"

    def _patient_side(self, assertion: Assertion, rights: RecordRights) -> str:
        if is_the_patient(assertion, rights.identifiers):
            return "PA"
        if rights.represents:
            return "RL"
        raise rules.NOT_AUTHORISED.denied(log=f"{assertion.subject} is neither the patient nor a representative")

    def _sight(self, sheet: str, column: str, base: str, assertion: Assertion, rights: RecordRights) -> Sight:
        invisible: set[str] = set()
        if base == "PA":
            invisible = {INVISIBLE}
        elif base == "RL":
            invisible = {SECRET} if Reading.REPRESENTATIVE in self.opened else {INVISIBLE, SECRET}
        cell = self.matrix.cell(sheet, "TD3.2-masked", column)
        allowed = rights.masked_allowed or Reading.MASKED_EMERGENCY in self.opened
        staff = base in ("ES", "CPE", "PE")
        return Sight(
            patients=rights.rows,
            masked=not (cell is Cell.YES or (cell is Cell.PATIENT_OK and allowed)),
            invisible=frozenset(invisible),
            person="" if staff or base in ("PA", "RL") else assertion.subject,
            structure=assertion.structure if staff else "",
            patient_writes=base in ("PA", "RL"),
        )

    def demand_feed(self, transaction: str, assertion: Assertion | None, proved: bool) -> None:
        """A message of patient identities; `proved`: an enrolled system has shown its certificate. Raises Denied.

        Where every message needs an assertion, that of a system states an automaton.
        """
        word = self.matrix.feeds.get(transaction, "nobody")
        proved = proved or Reading.PLAIN_FEED in self.opened
        role = assertion.roles[0] if assertion is not None and assertion.roles else None
        automaton = role is not None and role.system == names.OTHER_ROLES and role.code in AUTOMATA
        if word == "nobody" or (word == "partner" and not (proved and (assertion is None or automaton))):
            raise rules.FEED.denied(transaction=transaction)

    def demand_command(self, command: str) -> None:
        """A command of the operator (`patient close`). Raises Denied."""
        if not self.matrix.operator.get(command, True):
            raise rules.OPERATOR.denied(command=command)


Policy = Ihe | MatrixPolicy


def is_the_patient(assertion: Assertion, identifiers: Collection[str]) -> bool:
    """Whether the subject is the person of these identifiers (canonical CX): number and assigning authority.

    A NameID may be a CX. A number alone is an INS where the person has one, which is what the cards of patients bear; else it is
    one of the authority under which resource-id names the record. A local number says nothing beside an INS: others give it too.
    """
    number = assertion.subject
    if not number:
        return False
    if "^" in number:
        return canonical_cx(number) in identifiers
    by_authority = [(_authority(cx), cx.partition("^")[0]) for cx in identifiers]
    of_ins = [value for authority, value in by_authority if authority in INS_AUTHORITIES]
    return number in of_ins if of_ins else (_authority(canonical_cx(assertion.patient)), number) in by_authority


def _authority(cx: str) -> str:
    return cx.partition("^^^&")[2].partition("&")[0]


DOCTOR = "10"
#: TRE_R38: médecine du travail (from memory).
OCCUPATIONAL = "SM25"
#: Roles of systems that act for nobody in particular.
AUTOMATA = frozenset({"AUTOMATE", "DISPOSITIF", "LOGICIEL_DUI"})
_LETTERS: Mapping[str, str] = {names.NORMAL: "n", names.CENTRE_15: "r", names.EMERGENCY: "b"}


def opened_by(setting: str) -> frozenset[Reading]:
    """`strict`, `open`, or names of notes separated by commas. Raises ValueError with the accepted words."""
    if setting in ("", "strict"):
        return frozenset()
    if setting == "open":
        return frozenset(Reading)
    by_word = {one.value: one for one in Reading}
    said = [word.strip() for word in setting.split(",")]
    wrong = [word for word in said if word not in by_word]
    if wrong:
        raise ValueError(f"{', '.join(wrong)}: accepted: strict, open, or of {', '.join(by_word)}")
    return frozenset(by_word[word] for word in said)


def policy_of(setting: str, reading: str = "strict") -> Policy:
    """`ihe`, the name of a shipped matrix, or the path of a file. Raises ValueError (MatrixError) with what is wrong."""
    if setting == "ihe":
        return Ihe()
    matrix = shipped(setting) if setting.isidentifier() or setting.replace("-", "").isalnum() else None
    return MatrixPolicy(matrix or load_matrix(setting), opened_by(reading))
