"""What would cost memory, open files or connect somewhere: tried in a process of its own, under a limit and under strace."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from lxml import etree

from schemas.namespaces import LCM, XSD, XSI
from schemas.parse import ParseError, parse
from schemas.validate import validate

ROOT = Path(__file__).resolve().parents[2]

#: Runs in its own process. Data memory is limited to 160 MB above what the imports took; every bomb must be refused or read
#: within it, and an ordinary message afterwards.
BOMBS = '''
import resource
from schemas.parse import Limits, ParseError, parse

MB = 1024 * 1024
before = int(next(l for l in open("/proc/self/status") if l.startswith("VmData")).split()[1]) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (before + 160 * MB, resource.RLIM_INFINITY))
laughs = "<!DOCTYPE a [<!ENTITY l0 'ha'>" + "".join(
    f"<!ENTITY l{i} '{f'&l{i - 1};' * 10}'>" for i in range(1, 12)) + "]><a>&l11;</a>"
fill = 2 * MB - 100
bombs = {
    "laughs": laughs.encode(),
    "laughs utf-16": laughs.encode("utf-16"),
    "quadratic": b"<!DOCTYPE a [<!ENTITY x '" + b"x" * MB + b"'>]><a>" + b"&x;" * (MB // 4) + b"</a>",
    "depth": b"<a>" * (fill // 7) + b"</a>" * (fill // 7),
    "unclosed": b"<a>" * (fill // 3),
    "elements": b"<a>" + b"<b/>" * (fill // 4) + b"</a>",
    "attributes": b"<a " + b" ".join(b'a%d=""' % n for n in range(fill // 12)) + b"/>",
    "namespaces": b"<a " + b" ".join(b'xmlns:a%d="x"' % n for n in range(fill // 18)) + b"/>",
    "one attribute": b'<a b="' + b"x" * fill + b'"/>',
    "one text": b"<a>" + b"x" * fill + b"</a>",
    "one comment": b"<a><!--" + b"x" * fill + b"--></a>",
    "one CDATA": b"<a><![CDATA[" + b"x" * fill + b"]]></a>",
    "one name": b"<" + b"a" * fill + b"/>",
    "instructions": b"<a>" + b"<?x y?>" * (fill // 7) + b"</a>",
    "comments": b"<a>" + b"<!--x-->" * (fill // 16) + b"</a>",
    "references": b"<a>" + b"&#65;" * (fill // 5) + b"</a>",
    "too large": b"<a>" + b"x" * (3 * MB) + b"</a>",
}
for name, data in bombs.items():
    try:
        parse(data)
        said = "read"
    except ParseError as error:
        said = error.rule
    assert parse(b"<a>1</a>").text == "1"
    print(name, said, sep="=")
'''

EXPECTED = {
    "laughs": "XML-003",
    "laughs utf-16": "XML-003",
    "quadratic": "XML-003",
    "depth": "XML-008",
    "unclosed": "XML-009",
    "elements": "XML-009",
    "attributes": "XML-010",
    "namespaces": "XML-010",
    "one attribute": "read",
    "one text": "read",
    "one comment": "read",
    "one CDATA": "read",
    "one name": "XML-001",
    "instructions": "XML-004",
    "comments": "read",
    "references": "read",
    "too large": "XML-007",
}


def run(program: str, *arguments: str, wrapper: tuple[str, ...] = ()) -> str:
    command = [*wrapper, sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the limit is measured in /proc, which is not here")
def test_bombs_stay_within_their_memory_and_the_worker_goes_on() -> None:
    said = dict(line.split("=") for line in run(BOMBS).splitlines())
    assert said == EXPECTED


READER = '''
import sys
from pathlib import Path
from schemas.parse import ParseError, parse
print("READY", flush=True)
for path in sorted(Path(sys.argv[1]).iterdir()):
    data = path.read_bytes()
    try:
        parse(data)
        print(path.name, "read")
    except ParseError as error:
        print(path.name, error.rule)
'''


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_nothing_is_opened_and_nobody_is_called(tmp_path: Path) -> None:
    """The system calls of a parser that is shown every way to ask for a file or a connection."""
    canary, inbox, trace = tmp_path / "canary.txt", tmp_path / "inbox", tmp_path / "trace"
    canary.write_text("CANARY")
    inbox.mkdir()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/x"
        forms = {
            "a-external-entity": f'<!DOCTYPE a [<!ENTITY x SYSTEM "file://{canary}">]><a>&x;</a>',
            "b-external-http": f'<!DOCTYPE a [<!ENTITY x SYSTEM "{url}">]><a>&x;</a>',
            "c-external-dtd": f'<!DOCTYPE a SYSTEM "{url}"><a/>',
            "d-local-dtd": f'<!DOCTYPE a SYSTEM "file://{canary}"><a/>',
            "e-parameter-entity": f'<!DOCTYPE a [<!ENTITY % p SYSTEM "file://{canary}"> %p;]><a/>',
            "f-xinclude": f'<a xmlns:i="http://www.w3.org/2001/XInclude"><i:include href="file://{canary}" parse="text"/></a>',
            "g-schema-location": f'<a xmlns:s="http://www.w3.org/2001/XMLSchema-instance" s:schemaLocation="urn:x file://{canary}"/>',
            "h-stylesheet": f'<?xml-stylesheet href="file://{canary}"?><a/>',
            "i-xml-base": f'<a xml:base="file://{canary}"/>',
            "j-catalog": f'<?oasis-xml-catalog catalog="file://{canary}"?><a/>',
        }
        for name, text in forms.items():
            (inbox / name).write_text(text)
            (inbox / f"{name}-16").write_bytes(text.encode("utf-16"))
        watched = ("strace", "-f", "-qq", "-e", "trace=open,openat,connect,stat,newfstatat", "-o", str(trace))
        lines = run(READER, str(inbox), wrapper=watched).splitlines()[1:]
        with pytest.raises(BlockingIOError):
            listener.accept()
    calls = trace.read_text(errors="replace")
    assert "a-external-entity" in calls, "the trace shows the files that the program itself reads"
    assert str(canary) not in calls and not re.search(r"connect\(.*AF_INET", calls)
    said = dict(line.split() for line in lines)
    assert len(said) == 2 * len(forms)
    assert {name[0] for name, rule in said.items() if rule == "read"} == {"g", "i"}


def test_a_message_cannot_name_its_own_schema(tmp_path: Path) -> None:
    """xsi:schemaLocation of a message is not followed: what it would allow stays refused."""
    lax = tmp_path / "lax.xsd"
    lax.write_text(f'<xs:schema xmlns:xs="{XSD}" targetNamespace="urn:x"><xs:element name="y"/></xs:schema>')
    data = (
        f'<lcm:SubmitObjectsRequest xmlns:lcm="{LCM}" xmlns:x="urn:x" '
        f'xmlns:xsi="{XSI}" xsi:schemaLocation="urn:x file://{lax}"><x:y/></lcm:SubmitObjectsRequest>'
    )
    (finding,) = validate(parse(data.encode()), "SubmitObjectsRequest")
    assert finding.path == "SubmitObjectsRequest/y" and "rim:RegistryObjectList" in finding.message


@pytest.mark.parametrize("text", ["<a>&#0;</a>", "<a>&#x1F;</a>", "<a>&#xD800;</a>", "<a>&#x110000;</a>", "<a>&#xFFFE;</a>"])
def test_references_to_characters_that_xml_has_not(text: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse(text.encode())
    assert caught.value.rule == "XML-001"


@pytest.mark.parametrize(
    "data", [b"<a>\xc0\xbc/a>", b"<a>\xed\xa0\x80</a>", b"<a>\xf4\x90\x80\x80</a>", b"<a>\x80</a>", b"<a>\xe2\x82</a>"]
)
def test_utf_8_that_is_none(data: bytes) -> None:
    """Overlong forms, surrogates, beyond U+10FFFF, cut sequences: never another reading of the bytes."""
    with pytest.raises(ParseError) as caught:
        parse(data)
    assert caught.value.rule == "XML-001"


def test_attributes_are_not_defaulted_and_ids_not_collected() -> None:
    root = parse(b'<a xml:id="x"><b xml:id="x"/></a>')
    assert etree.tostring(root) == b'<a xml:id="x"><b xml:id="x"/></a>'
