"""INS arithmetic against official values and an independent computation."""

from __future__ import annotations

import hashlib
import random
import string

import pytest

from metadata.ins import INS_C, INS_NIR_TEST, InsError, check, compute_ins_c, cx, nir_key


@pytest.mark.parametrize(
    ("first", "birth", "nir", "expected"),
    [
        ("DOMINIQUE", "790328", "2790351215188", "0529782301522593359679"),
        ("MARIE ODILE", "651112", "265112A571315", "0941155967950413759315"),
        ("LAURENCE", "070525", "2070585756270", "1197854176879056415520"),
    ],
)
def test_official_ins_c(first: str, birth: str, nir: str, expected: str) -> None:
    assert compute_ins_c(first, birth, nir) == expected
    assert compute_ins_c(first.title().replace(" ", "-"), birth, nir) == expected
    assert check(expected).kind == "INS-C"


@pytest.mark.parametrize("value", ["207058575627097", "279035121518989", "153078987658513", "265112A57131579"])
def test_official_nir_with_key(value: str) -> None:
    assert nir_key(value[:13]) == value[13:]
    assert check(value).value == value
    assert check(" ".join([value[0], value[1:3], value[3:5], value[5:13], value[13:]])).kind == "INS-NIR"


def test_accents_and_long_names() -> None:
    assert compute_ins_c("Élise", "790328", "2790351215188") == compute_ins_c("ELISE", "790328", "2790351215188")
    assert compute_ins_c("Œdipe", "790328", "2790351215188") == compute_ins_c("OEDIPE", "790328", "2790351215188")
    assert compute_ins_c("Abcdefghijkl", "790328", "2790351215188") == compute_ins_c("Abcdefghij", "790328", "2790351215188")


def _random_person(draw: random.Random) -> tuple[str, str, str]:
    first = "".join(draw.choice(string.ascii_uppercase) for _ in range(draw.randint(1, 14)))
    birth = f"{draw.randrange(100):02d}{draw.randint(1, 12):02d}{draw.randint(1, 28):02d}"
    department = draw.choice(["2A", "2B", *(f"{d:02d}" for d in range(1, 96) if d != 20)])
    nir = f"{draw.choice('12')}{birth[:4]}{department}{draw.randint(1, 990):03d}{draw.randint(1, 999):03d}"
    return first, birth, nir


def test_ten_thousand_against_another_computation() -> None:
    """The same definitions, computed another way: subtraction of millions for Corsica, hex digits for the hash."""
    draw = random.Random(20120927)
    for _ in range(10_000):
        first, birth, nir = _random_person(draw)
        offset = {"2A": 1_000_000, "2B": 2_000_000}.get(nir[5:7], 0)
        number = int(nir.replace("A", "0").replace("B", "0")) - offset
        assert (number + int(nir_key(nir))) % 97 == 0
        digest = int(hashlib.sha256((first + " " * 10)[:10].encode() + birth.encode() + nir.encode()).hexdigest()[:16], 16)
        expected = str(digest).rjust(20, "0")
        value = compute_ins_c(first, birth, nir)
        assert value[:20] == expected and (digest + int(value[20:])) % 97 == 0 and 1 <= int(value[20:]) <= 97
        assert check(value).value == value
        assert check(nir + nir_key(nir)).value == nir + nir_key(nir)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("207058575627098", "is 97, not 98"),
        ("1197854176879056415521", "is 20, not 21"),
        ("2070585756270", "2070585756270" + "97"),
        ("9999999999999999999911", "2 to the power of 64"),
        ("119785417687905641552X", "not only digits"),
        ("2070585X5627097", "is not a NIR"),
        ("", "0 characters"),
        ("207138575627097", "is not a NIR"),
    ],
)
def test_wrong_values_are_refused_with_the_reason(value: str, reason: str) -> None:
    with pytest.raises(InsError, match=reason):
        check(value)


@pytest.mark.parametrize(
    ("first", "birth", "nir"), [("", "790328", "2790351215188"), ("A", "791328", "2790351215188"), ("A", "790328", "279")]
)
def test_wrong_traits_are_refused(first: str, birth: str, nir: str) -> None:
    with pytest.raises(InsError):
        compute_ins_c(first, birth, nir)


def test_cx() -> None:
    assert cx("207058575627097", INS_NIR_TEST) == "207058575627097^^^&1.2.250.1.213.1.4.10&ISO^NH"
    assert cx("1197854176879056415520", INS_C).endswith("&ISO^INS-C")
