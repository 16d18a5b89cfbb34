"""What others have written reaches a terminal as text: it moves no cursor, begins no line, turns no order."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from server.__main__ import program
from server.commands.connection import Failed, print_errors, size_of
from server.commands.table import print_table, printable
from soap.body.registry_response import RegistryError, RegistryResponse

#: An escape sequence, its form in one character, a line of its own, and letters that are read from right to left.
HOSTILE = "a\x1b[2Jb\x9b2Jc\r\nd\u202ee\u2028f\tg\x07"
TAME = "a [2Jb 2Jc  d e f g "


def harmless(shown: str) -> bool:
    return all(character.isprintable() or character == "\n" for character in shown)


def test_nothing_but_text_is_left() -> None:
    assert printable(HOSTILE) == TAME
    assert printable("Émile \u5149 ok") == "Émile \u5149 ok"


def test_tables_and_messages_of_servers(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["who"], [[HOSTILE]])
    print_errors(RegistryResponse(None, "urn:x:Failure", (RegistryError(HOSTILE, HOSTILE, "urn:x:Error", HOSTILE),)))
    captured = capsys.readouterr()
    shown = captured.out + captured.err
    assert harmless(shown) and len(shown.splitlines()) == 4, shown
    assert Failed(f"one\n{HOSTILE}").message == "one\na [2Jb 2Jc \nd e f g "


def test_a_checked_file_cannot_paint_the_screen(tmp_path: Path) -> None:
    file = tmp_path / "capture.http"
    file.write_bytes(b"GET /\x1b[2J\x9b2J HTTP/1.1\r\nX-Y: \x1b]0;title\x07\r\nContent-Type: \x1b[31m\r\n\r\n<a\x1b[2J/>")
    shown = CliRunner().invoke(program, ["conformance", "check", str(file)]).output
    assert harmless(shown) and "GET /" in shown


@pytest.mark.parametrize(
    ("text", "size"), [("12", 12), ("\xb2", None), ("9" * 5000, None), ("-1", None), ("", None), (None, None)]
)
def test_a_size_is_a_number_or_none(text: str | None, size: int | None) -> None:
    assert size_of(text) == size
