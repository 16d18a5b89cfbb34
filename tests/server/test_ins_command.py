"""`carnet ins` as a user types it."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from server.__main__ import program

TRAITS = ("--first", "LAURENCE", "--birth", "070525")


def ins(*arguments: str) -> Result:
    return CliRunner().invoke(program, ["ins", *arguments])


@pytest.mark.parametrize("nir", ["2070585756270", "207058575627097", "2 07 05 85756270"])
def test_an_ins_c_is_computed(nir: str) -> None:
    result = ins("compute", *TRAITS, "--nir", nir)
    assert (result.exit_code, result.output) == (0, "1197854176879056415520\n")


def test_as_a_cx() -> None:
    result = ins("compute", *TRAITS, "--nir", "2070585756270", "--cx")
    assert result.output == "1197854176879056415520^^^&1.2.250.1.213.1.4.2&ISO^INS-C\n"


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("1197854176879056415520", "INS-C"),
        ("265112A57131579", "INS-NIR"),
        ("1197854176879056415520^^^&1.2.250.1.213.1.4.2&ISO^INS-C", "INS-C"),
        ("207058575627097^^^&1.2.250.1.213.1.4.9&ISO^NH", "INS-NIA"),
        ("207058575627097^^^&1.2.250.1.213.1.4.10&ISO", "INS-NIR (test)"),
    ],
)
def test_a_right_value_is_told_for_what_it_is(value: str, kind: str) -> None:
    result = ins("check", value, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.output) == {"kind": kind, "value": value.partition("^")[0]}
    assert kind in ins("check", value).output


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("check", "207058575627098"), "is 97, not 98"),
        (("check", "1197854176879056415521"), "is 20, not 21"),
        (("check", "207058575627097^^^&1.2.250.1.213.1.4.2&ISO"), "is that of INS-C"),
        (("check", "1197854176879056415520^^^&1.2.250.1.213.1.4.8&ISO"), "is that of INS-NIR"),
        (("check", "207058575627097^^^&1.2.3&ISO"), "no assigning authority of an INS"),
        (("compute", *TRAITS, "--nir", "207058575627098"), "is 97, not 98"),
        (("compute", *TRAITS, "--nir", "279"), "is not a NIR"),
        (("compute", "--first", "?", "--birth", "070525", "--nir", "2070585756270"), "has no letter"),
    ],
)
def test_a_wrong_one_ends_with_1_and_the_reason(arguments: tuple[str, ...], reason: str) -> None:
    result = ins(*arguments)
    assert result.exit_code == 1
    assert reason in result.output
