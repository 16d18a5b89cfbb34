"""Every sentence that findings, faults and refusals can say has a French one; places agree; looking one up is bounded."""

# ruff: noqa: E501 - a sentence is read as a whole

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from metadata.vocabulary import ObjectKind
from schemas.sentences.french import Sentences, french, known_french, read_rows
from soap.wire import QUIRKS

ROOT = Path(__file__).resolve().parents[2]
ROWS = read_rows()
#: Whose sentences are said to somebody.
SOURCES = (
    *(f"metadata/rules/{name}" for name in (
        "advice", "association", "attribute_rows", "author", "carriers", "codes", "document_entry", "domain", "folder", "french",
        "french_cda", "lifecycle", "limited", "patient", "reference_id", "removal", "repository", "structure", "update",
        "update_linked", "update_registered", "update_restricted",
    )),
    *(f"metadata/{name}" for name in (
        "scalars", "hl7", "ins", "french", "cda", "cda_grammar", "cda_header", "queries", "query_values",
    )),
    *(f"schemas/{name}" for name in ("parse", "charset", "validate")),
    *(f"soap/{name}" for name in (
        "addressing", "body/provide", "body/gdp_form", "endpoint", "envelope", "inline", "mime", "mtom", "outcome", "receive", "request", "root",
    )),
    *(f"registry/{name}" for name in ("iti18", "iti42", "iti64", "patient_identity", "record", "search", "search_run", "patient_feed_v3",
                                      "dmp_patients", "dmp_habilitations")),
    *(f"repository/{name}" for name in ("refusals", "iti86")),
    "server/hourly",
)  # fmt: skip
#: Names of parameters, and of functions, whose strings nobody reads, or that have their French elsewhere: a rule's statement and
#: remedy in `conformance/explanations`.
_SILENT_WORDS = {"section", "statement", "log", "tags", "form"}
_SILENT_CALLS = {"compile", "row", "rule", "_entry", "_message", "_only", "partial", "text", "bindparam", "debug", "info", "warning",
                 "exception", "error", "KeyError", "ValueError", "RuntimeError", "LookupError", "TypeError", "XPath"}  # fmt: skip
#: Parts of sentences that stand whole in the tables.
_PARTS = {
    " and the slot SubmissionSetStatus = Original", "is reserved for IHE and not defined", "is no attribute and no URN",
    "The SubmissionSet refers to", "The association needs", "x0x a registered DocumentEntry.", " Other statuses need the domain's option x0x.",
    " The request holds x0x, which this query does not know.", " with all values in it: they are joined by OR.",
    "with values that this registry does not know", " (line x0x, column x1x)", " in x0x", "one of ", " (Content-Length is x0x)",
    ", the body begins a part with 'x0x'", ", nothing like it stands in the first x0x octets", "header 'x0x'x1x", " absent",
    "octets or more behind the closing boundary", "the end of the body at octet x0xx1x", " and Transfer-Encoding: chunked",
    "the coded value has x0x codingSchemex1x", "the slot name 'x0x' x1x", "Add an Association of type x0x from the SubmissionSet to itx1x.",
    "x0x x1x cannot be x2x", "there is no x0x x1x", "x0x is not allowed herex1x: expected is x2x", "no closing boundary x0x up to x1x",
    "Actions served here: ", "this repository holds another document under this uniqueId, with another x0x", "x0x of x1x",
    " (reference x0x)", "the store failed", "the store has no room left",
}  # fmt: skip
#: What is looked for, written into a message or a database, or says the value of a rule's row; INS-NIR (test) is a name.
_NO_SENTENCES = {
    "one Classification", "one ExternalIdentifier", "one slot value", "title of a x0x has at most x1x characters.", "x0x of a x1x",
    "x0x of a x1x is a well-formed x2x.", "x0x, Table 4.3.1-3", "CDA header", "INS-NIR (demonstration)", "INS-NIR (test)",
    "Shorten the title; longer text belongs in comments.", "The x0x of a CDA document is that of its header: x1x.",
    "The x0x of x1x x2x is in the affinity domain's list, by code and scheme.",
    "Take the attribute from the header of the document that is sent, or correct the document.", "x0x (line x1x)", "GET, POST",
    "Excessive depth", "syntax error", "is full",
    "Missing child", "The attribute 'id' is required but missing.", "amespace prefix", "destruction asked", "contained links",
    "members by target", "I/O error", "disk full", "no space left", "could not extend", '; action="x0x"',
    "Erreur interne du serveur, référence x0x", "line x0x, x1x", "x0x: x1x. x2x[x3x]", "time signatureCode assignedEntity",
    "it was found in this transaction", "the marker makes it one",
}
_NOBODY = re.compile(r"\w[?*+]( |$)|\) \)|^(ITI |ITI$|CI-SIS|DMP|HL7 |RFC |SOAP 1.2 Part|XML 1|WS-|PRAGMA|SELECT|XOP|carnet patient$)|[<>]{1}[a-z]+:|%[sd]|\{\d|^--|\r\n|^multipart/|\\[d{]")


@pytest.mark.parametrize("source", SOURCES)
def test_each_sentence_has_a_french_one(source: str) -> None:
    said = sorted(set(sentences(ROOT / f"{source}.py")))
    assert [text for text in said if known_french(text) is None] == []


def sentences(path: Path) -> Iterator[str]:
    """The strings with a blank in them that a module says, with a word in each place."""
    tree = ast.parse(path.read_text("utf-8"))
    silent = set(_silent(tree))
    for node in ast.walk(tree):
        if node in silent:
            continue
        text = _text(node)
        if " " in text.strip() and text not in _PARTS | _NO_SENTENCES and not _NOBODY.search(text) and re.sub(r"x\dx", "", text).strip(" :.,()'-"):
            yield text


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        numbers = iter(range(10))
        return "".join(str(part.value) if isinstance(part, ast.Constant) else f"x{next(numbers)}x" for part in node.values)
    return ""


def _silent(tree: ast.Module) -> Iterator[ast.AST]:
    """Docstrings, the pieces of f-strings, and what is said to nobody."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and isinstance(node.body[0], ast.Expr):
            yield node.body[0].value
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield from (part for part in node.values if isinstance(part, ast.Constant))
            yield from (inner for part in node.values if isinstance(part, ast.FormattedValue) and part.format_spec
                        for inner in ast.walk(part.format_spec))  # fmt: skip
        elif isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in _SILENT_CALLS or name == "Rule":
                yield from (inner for part in (*node.args, *node.keywords) for inner in ast.walk(part))
            else:
                yield from (inner for part in node.keywords if part.arg in _SILENT_WORDS for inner in ast.walk(part))
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            names = [target.id for target in getattr(node, "targets", [getattr(node, "target", None)]) if isinstance(target, ast.Name)]
            if any((name.isupper() and name.endswith(("_REMEDY", "_SECTION"))) or name.startswith("_SQL") for name in names):
                yield from ast.walk(node)


@pytest.mark.parametrize("id", [id for id, row in QUIRKS.items() if row.refusal])
def test_what_the_wire_refuses_has_a_french_sentence_and_remedy(id: str) -> None:
    assert known_french(QUIRKS[id].refusal) and known_french(QUIRKS[id].remedy)


def test_the_places_of_a_row_are_those_of_its_french_sentence() -> None:
    for english, sentence in ROWS.items():
        places = set(re.findall(r"\{(\d)\}", english))
        assert set(re.findall(r"\{(\d)~?\}", sentence)) == places, english


def test_each_row_is_reached() -> None:
    """No longer sentence takes a shorter one's values for its own words."""
    for english, sentence in ROWS.items():
        said = re.sub(r"\{(\d)\}", r"v\1", english)
        assert french(said) == re.sub(r"\{(\d)~?\}", r"v\1", sentence), english


def test_sentences_stand_in_one_another() -> None:
    assert french("a Folder cannot hold an Association") == "un Folder ne peut pas contenir une Association"
    told = "The upload was cut short: 12 octets came, Content-Length is 40"
    assert french(told) == "L'envoi est incomplet : 12 octets sont arrivés, Content-Length vaut 40"
    assert french("rim:Slot is 'x', allowed is a whole number") == "rim:Slot vaut 'x', permis : un nombre entier"


def test_a_verb_and_a_value_are_no_pattern_for_other_sentences() -> None:
    """What has no row is left to the explanation of its rule: nothing is said half in English."""
    assert known_french("Send urn:ihe:iti:2007:RegistryStoredQuery.") == "Envoyez urn:ihe:iti:2007:RegistryStoredQuery."
    assert [known_french(f"{verb} one of the things of the list.") for verb in ("Name", "Send", "Write")] == [None, None, None]


def test_values_stay_as_they_are() -> None:
    assert french("the record of the patient {0} is closed") == "le dossier du patient {0} est clos"
    assert french("title has 3 values, one is allowed") == "title a 3 valeurs, une seule est permise"
    assert known_french("Quelque chose d'autre") is None and french("") == ""


def test_a_place_holds_anything() -> None:
    table = Sentences([("a {0} b {1} c", "{1~}/{0}"), ("x", "y")])
    assert table.french("a 1 b x c") == "y/1"
    assert table.french("a  b  b  c") == " b /" or table.french("a  b  b  c") == " b/"
    assert table.french("a 1 b 2") is None and table.french("a b c") is None
    assert table.french("a " + " b " * 20_000) is None, "found by its pieces, in one pass"


def test_kinds_are_words_of_the_standard() -> None:
    assert all(known_french(kind.value) is None for kind in ObjectKind)


#: Values of the refusals of trust that are names and identifiers, or that only one language has.
_VALUES = {"log", "reason_en", "reason_fr", "subject", "uri", "part", "algorithm", "name", "document"}


def denied_values(path: Path) -> Iterator[str]:
    """The sentences that refusals of trust take as values: what stands in `denied(...)`, or is named `problem` before it."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        values: list[ast.expr] = []
        if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in ("denied", "_form", "_wrong"):
            values = [part.value for part in node.keywords if part.arg not in _VALUES] + list(node.args)
        elif isinstance(node, ast.Assign) and any(isinstance(name, ast.Name) and name.id == "problem" for name in node.targets):
            values = [node.value]
        for value in values:
            branches = [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]
            yield from (text for text in map(_text, branches) if " " in re.sub(r"x\dx", "", text).strip(" ';,"))


@pytest.mark.parametrize("path", [*sorted((ROOT / "security").glob("*.py")), ROOT / "soap/signing.py", ROOT / "repository/signed_sets.py"],
                         ids=lambda path: path.name)  # fmt: skip
def test_what_a_refusal_of_trust_takes_as_a_value_has_a_french_one(path: Path) -> None:
    assert [text for text in sorted(set(denied_values(path))) if known_french(text) is None] == []
