"""The files of cases are read, and what is wrong with one is told by file, case and key."""

from __future__ import annotations

import re

import pytest

from conformance.case import PROFILES, CaseError, read_file, read_suite
from conformance.performer import TITLES
from conformance.target import OPTIONS

SUITE = read_suite()
SOURCES = (
    "ITI ", "CI-SIS", "DMP", "SOAP", "WS-Addressing", "RFC", "XOP", "OASIS", "gematik", "ANSSI", "WSS", "WS-I BSP",
    "XML Signature", "Canonical XML", "ETSI TS", "SAML", "CVE-",
)  # fmt: skip
RIGHT = """
[file]
transaction = "ITI-42"
profiles = ["registry"]
section = "ITI TF-3: 4.2"
mend = { en = "Mend it.", fr = "Corriger." }

[[case]]
id = "a"
title = { en = "One", fr = "Un" }
before = ["ITI-61: demand0", "entry0"]
wrong = [["entry", "slot:creationTime"]]
codes = ["XDSRegistryMetadataError"]
"""


def test_the_short_form_is_a_refusal_and_its_mend() -> None:
    (case,) = read_file(RIGHT, "x.toml")
    assert [(s.send, s.name, s.expect.statuses, s.prepares) for s in case.steps] == [
        ("ITI-61", "before-1", ("Success",), True),
        ("ITI-42", "before-2", ("Success",), True),
        ("ITI-42", "wrong", ("Failure",), False),
        ("ITI-42", "right", ("Success",), False),
    ]
    assert case.steps[2].expect.codes == ("XDSRegistryMetadataError",)
    assert (case.steps[3].again, case.steps[3].change) == ("wrong", ())


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("[file]", "[file", "x.toml: "),
        ('id = "a"', 'id = "a"\ncolour = "blue"', "x.toml: a: colour is not known here"),
        ('title = { en = "One", fr = "Un" }', "", "x.toml: a: title is missing"),
        ('fr = "Un"', 'de = "Eins"', "a text has en and fr"),
        ('["registry"]', '["rejistry"]', "expected one of registry"),
        ('codes = ["XDSRegistryMetadataError"]', "", "a: codes is missing"),
        ('wrong = [["entry", "slot:creationTime"]]', 'wrong = ["entry"]', "expected a list of strings"),
        ("before = ", '[[case.step]]\nstatus = "Well"\n#', "expected one of Success"),
    ],
)
def test_what_is_wrong_is_named(old: str, new: str, told: str) -> None:
    assert old in RIGHT
    text = RIGHT.replace(old, new)
    if "case.step" in new:
        text = re.sub(r"(?m)^(wrong|codes) = .*$", "", text)
    with pytest.raises(CaseError, match=re.escape(told)):
        read_file(text, "x.toml")


def test_every_case_says_what_it_is_and_how_to_mend_it_in_both_languages() -> None:
    for case in SUITE.values():
        for text in (case.title, case.mend):
            assert text.en and text.fr and text.en != "" and text.fr.strip(), case.id
        assert case.section.startswith(SOURCES), case.id
        assert re.fullmatch(r"[a-z0-9-]+", case.id), case.id
        assert set(case.profiles) <= set(PROFILES)
        assert {option.removeprefix("!") for option in case.options} <= set(OPTIONS), case.id
        assert case.transactions <= set(TITLES), case.id


def test_titles_differ() -> None:
    titles: dict[str, str] = {}
    for case in SUITE.values():
        assert case.title.en not in titles or case.transaction != SUITE[titles[case.title.en]].transaction, case.id
        titles[case.title.en] = case.id


def test_a_case_of_a_refusal_says_what_the_server_must_do() -> None:
    case = read_suite()["de-103-absent"]
    assert case.mend.en.startswith("Refuse such a message with XDSRegistryMetadataError, and accept it once it is mended.")
    assert case.mend.fr.endswith("À corriger chez l'émetteur : Envoyer classCode dans chaque DocumentEntry.")
