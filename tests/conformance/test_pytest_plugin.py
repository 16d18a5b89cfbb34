"""The plugin as a Python vendor uses it: a test file of theirs, run by pytest in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.server_process import ROOT

_VENDOR = '''
import sys
import urllib.request

sys.path.insert(0, EXAMPLES)
import client


def test_submits(carnet_server, carnet_patient, carnet_documents, carnet_messages, tmp_path):
    document = tmp_path / carnet_documents[0].name
    document.write_bytes(carnet_documents[0].content)
    assert client.main(carnet_server.url, carnet_patient.cx, str(document)) == 0
    submitted, found, retrieved, refused = carnet_messages.wait(4)
    assert [one.transaction for one in (submitted, found, retrieved)] == ["ITI-41", "ITI-18", "ITI-43"]
    assert submitted.accepted, submitted.explain()
    assert carnet_documents[0].content in submitted.request
    assert not refused.accepted
    assert "XDSNonIdentical" in refused.explain()
    assert "WIRE-040" in [one.rule for one in submitted.found]


def test_has_a_patient_and_messages_of_its_own(carnet_server, carnet_patient, carnet_messages):
    assert carnet_messages.all() == []
    assert carnet_patient.cx.endswith("^^^&1.2.250.1.213.1.4.10&ISO")
    assert len(carnet_patient.born) == 8
    request = urllib.request.Request(carnet_server.registry, b"<broken", {"Content-Type": "application/soap+xml"})
    try:
        urllib.request.urlopen(request)
    except urllib.error.HTTPError as error:
        assert error.code == 400
    message = carnet_messages.wait(1)[0]
    assert message.status == ""
    assert message.found


def test_that_fails_says_why(carnet_server, carnet_patient, carnet_documents, carnet_messages, tmp_path):
    document = tmp_path / "note.txt"
    document.write_text("x")
    client.main(carnet_server.url, "999^^^&1.2&ISO", str(document))
    message = carnet_messages.wait(1)[0]
    assert message.accepted, message.explain()
'''


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # Where Carnet is installed as well, its entry point would register the plugin a second time.
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "server.pytest_plugin", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=200, env=environ)


def test_a_vendor_writes_tests_in_minutes(tmp_path: Path) -> None:
    (tmp_path / "test_vendor.py").write_text(_VENDOR.replace("EXAMPLES", repr(str(ROOT / "examples" / "python"))))
    done = _run(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "2 passed" in done.stdout, done.stdout
    assert "1 failed" in done.stdout
    assert "XDSUnknownPatientId" in done.stdout  # the failed test says what to mend
    assert "PAT-003" in done.stdout


def test_a_server_elsewhere_needs_a_patient_that_it_knows(tmp_path: Path) -> None:
    (tmp_path / "test_vendor.py").write_text(
        "def test_patient(carnet_server, carnet_patient):\n    assert carnet_patient.cx == '1^^^&1.2&ISO'\n"
        "    assert carnet_server.registry == 'http://192.0.2.1/xds/registry'\n"
        "def test_messages(carnet_messages):\n    pass\n"
    )
    alone = _run(tmp_path, "--carnet-url", "http://192.0.2.1/", "-rs")
    assert "2 skipped" in alone.stdout
    assert "needs --carnet-patient CX" in alone.stdout
    named = _run(tmp_path, "--carnet-url", "http://192.0.2.1/", "--carnet-patient", "1^^^&1.2&ISO")
    assert "1 passed, 1 skipped" in named.stdout, named.stdout
