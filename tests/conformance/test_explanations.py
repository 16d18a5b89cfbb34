"""Every id has its explanation, in both languages; an example that can be judged trips its rule, and its right form does not."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from conformance.explanations.catalogue import (
    LANGUAGES,
    TRUST_FAMILIES,
    Explanation,
    _entries,
    explain,
    explanations,
    ids,
    nearest,
)
from metadata.rules.removal import RULES as REMOVAL_RULES
from metadata.rules.rule import Context
from metadata.rules.table import RULES, rule
from metadata.vocabulary import ErrorCode
from schemas.problems import RULES as PARSER_RULES
from schemas.sentences.french import known_french
from security.rules import TRUST_RULES
from server.commands.explain import as_text
from soap.wire import QUIRKS, Do
from tests.conformance.placing import Message, fragment, message_of, placed
from tests.conformance.test_explained_examples import JUDGED_FILES
from tests.conformance.test_explained_trust import ASSERTIONS, MESSAGES, SETS
from tests.conformance.test_explained_wire import JUDGED_WIRE
from tests.registry.test_explained_feeds import JUDGED_FEEDS

ROOT = Path(__file__).resolve().parents[2]
BOOK = explanations()
#: Rules whose example is no part of a submission's metadata: `test_explained_examples.py` judges these as files.
_BY_CASE = ("RM-", "REP-001", "REP-002")
EXAMPLES = [one for one in BOOK.values() if one.kind == "rule" and not one.unjudged and not one.id.startswith(_BY_CASE)]


def test_every_id_of_every_table_is_explained() -> None:
    tabled = {row.id for row in RULES} | {row.id for row in REMOVAL_RULES} | set(QUIRKS) | set(PARSER_RULES)
    tabled |= {row.id for row in TRUST_RULES} | {code.value for code in ErrorCode}
    assert tabled - set(BOOK) == set()


def test_nothing_is_explained_that_is_not_there() -> None:
    assert set(_entries()) - set(BOOK) == set(TRUST_FAMILIES)


def test_every_rule_of_trust_has_its_own_cause() -> None:
    families = {_entries()[family]["fix"] for family in TRUST_FAMILIES}
    assert [one.id for one in BOOK.values() if one.kind == "trust" and one.fix.en in families] == []


def test_every_rule_id_that_stands_in_the_code_is_explained() -> None:
    """Faults and refusals are no table: their ids are read in the source."""
    families = "SRV|LIM|STORE|SQ|PIF|XPC|REC|DMP|RET|CDA|SOAP|WSA|XSD|XML|ANS|HTTP|SAML"
    written_ids = re.compile(rf'"((?:{families})-(?:\d{{3}}|[A-Z][A-Z-]+))"')
    floors = ("metadata", "schemas", "soap", "registry", "repository", "server", "security", "conformance")
    written: dict[str, str] = {}
    for floor in floors:
        for path in (ROOT / floor).rglob("*.py"):
            written |= dict.fromkeys(written_ids.findall(path.read_text("utf-8")), path.name)
    assert len(written) > 60
    assert {id: written[id] for id in set(written) - set(BOOK)} == {}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_is_there_in_both_languages(language: str) -> None:
    for one in BOOK.values():
        for text in (one.statement, one.why, one.fix, one.remedy):
            assert text.of(language).strip() or text is one.remedy, one.id
        assert one.statement.of(language)[-1] in ".!?", one.id
        if one.kind != "trust":
            assert one.remedy.of(language).strip(), one.id
        assert one.section, one.id


def test_the_languages_are_not_one() -> None:
    for one in BOOK.values():
        assert one.statement.en != one.statement.fr, one.id
        assert one.why.en != one.why.fr and one.fix.en != one.fix.fr, one.id


def test_every_id_has_a_wrong_and_a_right_example() -> None:
    assert [one.id for one in BOOK.values() if not (one.wrong and one.right)] == []
    assert [one.id for one in BOOK.values() if one.wrong == one.right] == []


def test_every_example_is_judged_or_says_why_not() -> None:
    """By a test of examples; of what the wire accepts in silence nothing can be found; a code has that of a rule."""
    silent = {row.id for row in QUIRKS.values() if row.default is row.strict is Do.ACCEPT}
    judged = {one.id for one in EXAMPLES} | {*ASSERTIONS, *MESSAGES, *SETS} | JUDGED_WIRE | JUDGED_FILES | JUDGED_FEEDS
    told = {one.id for one in BOOK.values() if one.unjudged or one.example}
    assert set(BOOK) - judged - silent - told == set()
    assert judged & told == set(), "judged, and said not to be"


def test_where_an_unjudged_rule_is_judged_is_there() -> None:
    for one in BOOK.values():
        for path in re.findall(r"tests/[\w/]+(?:\.py)?", one.unjudged):
            assert (ROOT / path).exists(), (one.id, path)


def test_a_code_has_the_example_of_a_rule_behind_it() -> None:
    codes = [one for one in BOOK.values() if one.kind == "code"]
    assert all(one.example in one.related and one.wrong == BOOK[one.example].wrong for one in codes if not one.unjudged)
    text = as_text(BOOK["XDSUnknownPatientId"], "fr")
    assert "Faux (PAT-003)" in text and "Juste (PAT-003)" in text


def test_comments_in_examples_have_a_french_form() -> None:
    comments = {said for one in BOOK.values() for said in re.findall(r"<!-- (.*?) -->", one.wrong + one.right)}
    words = re.compile(r"\b(?:no|is|in|of|the|and|has|alone)\b")
    assert [said for said in comments if words.search(re.sub(r"<.*>", "", said)) and known_french(said) is None] == []
    one = next(one for one in BOOK.values() if "is not there -->" in one.wrong)
    assert "n'y est pas -->" in as_text(one, "fr") and "is not there -->" in as_text(one, "en")


def test_related_ids_exist() -> None:
    assert {(one.id, id) for one in BOOK.values() for id in one.related if id not in BOOK} == set()


def _tripped(one: Explanation, text: str, take_away: bool) -> bool:
    message = placed(one, text, take_away)
    return bool(list(rule(one.id).check(_context(message))))


def _context(message: Message) -> Context:
    return message.context()


@pytest.mark.parametrize("one", EXAMPLES, ids=lambda one: one.id)
def test_an_example_is_what_it_says(one: Explanation) -> None:
    assert not list(rule(one.id).check(_context(message_of(one)))), "the message that is bent breaks the rule already"
    assert _tripped(one, one.wrong, True), "the wrong example does not trip the rule"
    assert not _tripped(one, one.right, False), "the right example trips the rule"


@pytest.mark.parametrize("one", [o for o in BOOK.values() if o.kind == "rule" and not o.unjudged], ids=lambda one: one.id)
def test_an_example_is_xml(one: Explanation) -> None:
    for text in (one.wrong, one.right):
        assert fragment(text) is not None


def test_words_find_ids() -> None:
    assert explain("de-106").id == "DE-106"
    assert nearest("DE-1O6")[0].startswith("DE-")
    assert "XDSUnknownPatientId" in nearest("XDSUnknownPatientID")
    assert "SUB-001" in nearest("SUB-1")
    assert nearest("qqqqqqqq") == []
    with pytest.raises(KeyError):
        explain("DE-999")
    assert len(ids(("wire",))) == len(QUIRKS)


def test_every_fault_has_a_rule() -> None:
    """Without one a fault has no page that explains it."""
    without = []
    for floor in ("soap", "registry", "repository", "server", "security"):
        for path in (ROOT / floor).rglob("*.py"):
            for call in ast.walk(ast.parse(path.read_text("utf-8"))):
                named = isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in ("sender", "Fault")
                if named and not any(keyword.arg == "rule" for keyword in call.keywords):  # type: ignore[attr-defined]
                    without.append(f"{path.name}:{call.lineno}")  # type: ignore[attr-defined]
    assert without == []
