"""The listener as a process, and a browser without a window, driven by the WebDriver protocol (W3C) over plain HTTP."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server_process import PATIENCE_SECONDS, ROOT, _die_with_parent

_PATIENT = re.compile(r"<code>([^<]*\^\^\^[^<]*)</code>")
START_SECONDS = 60


class Listener:
    """A running `carnet conformance listen`; `url` is its address."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process = process
        self.url = url

    def get(self, path: str, headers: dict[str, str] | None = None) -> str:
        with urllib.request.urlopen(urllib.request.Request(self.url + path, headers=headers or {}), timeout=60) as answer:
            return str(answer.read().decode())

    def wait_for(self, name: str, number: int) -> str:
        """The page of a message in English, once it and those before it are there: they are kept after their answers."""
        return [self._kept(name, one) for one in range(1, number + 1)][-1]

    def until(self, path: str, *texts: str) -> str:
        """A page, once it holds these: a message is looked at when it is kept."""
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            page = self.get(path)
            if all(text in page for text in texts):
                return page
            assert time.monotonic() < until, ([text for text in texts if text not in page], page)
            time.sleep(0.05)

    def _kept(self, name: str, number: int) -> str:
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            try:
                return self.get(f"/v/{name}/messages/{number}?lang=en")
            except urllib.error.HTTPError as missing:
                assert missing.code == 404
                time.sleep(0.05)
        raise AssertionError(f"message {number} never came:\n{self.get(f'/v/{name}/')}")

    def patient(self, name: str) -> str:
        """The first patient of a sandbox."""
        found = _PATIENT.search(self.get(f"/v/{name}/"))
        assert found
        return found[1].replace("&amp;", "&")


@contextlib.contextmanager
def listening(data: Path, *vendors: str, domain: str = "ihe") -> Iterator[Listener]:
    """Sandboxes for `vendors` in the folder `data`; SIGTERM must end it with 0."""
    named = [word for vendor in vendors for word in ("--vendor", vendor)] + ["--domain", domain]
    process = subprocess.Popen(
        [sys.executable, "-m", "server", "conformance", "listen", "--data", str(data), "--port", "0", *named],
        cwd=data.parent,
        env={"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "PATH": "/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=(data.parent / "listener.log").open("w"),
        text=True,
        preexec_fn=_die_with_parent,
    )
    try:
        assert process.stdout is not None
        found = None
        for line in process.stdout:
            found = re.search(r"all\s+(http://\S+?)/$", line.rstrip())
            if found:
                break
        assert found, (data.parent / "listener.log").read_text()
        yield Listener(process, found[1])
        process.terminate()
        assert process.wait(START_SECONDS) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


class Browser:
    """One window of Chromium."""

    def __init__(self, driver: str, session: str) -> None:
        self._base = f"{driver}/session/{session}"

    def go(self, url: str) -> None:
        _call(self._base + "/url", {"url": url})

    def run(self, script: str) -> Any:
        """What a script returns."""
        return _call(self._base + "/execute/sync", {"script": script, "args": []})

    def until(self, script: str) -> Any:
        """Wait until a script returns something true."""
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            found = self.run(script)
            if found:
                return found
            time.sleep(0.05)
        raise AssertionError(f"the page never did: {script}\n{self.run('return document.body.innerText')}")

    def log(self) -> list[dict[str, Any]]:
        """What the browser's console has said since the last call."""
        return list(_call(self._base + "/se/log", {"type": "browser"}))


def _call(url: str, content: dict[str, Any] | None = None, method: str = "") -> Any:
    data = None if content is None else json.dumps(content).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method or None)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())["value"]


@contextlib.contextmanager
def browsing(folder: Path) -> Iterator[Browser]:
    """A browser with an empty profile in `folder`. Skips where Chromium or its driver is not installed."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    chromedriver = shutil.which("chromedriver")
    if not chromium or not chromedriver:
        pytest.skip("chromium and chromedriver are not installed (Debian: chromium chromium-driver)")
    flags = [
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", "--window-size=1280,1000", f"--user-data-dir={folder / 'profile'}",
    ]  # fmt: skip
    process = subprocess.Popen(
        [chromedriver, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, preexec_fn=_die_with_parent
    )
    try:
        assert process.stdout is not None
        found = None
        while found is None:
            line = process.stdout.readline()
            assert line, "chromedriver has not started"
            found = re.search(r"successfully on port (\d+)", line)
        driver = f"http://127.0.0.1:{found[1]}"
        capabilities = {
            "browserName": "chrome",
            "goog:chromeOptions": {"binary": chromium, "args": flags},
            "goog:loggingPrefs": {"browser": "ALL"},
        }
        session = _call(driver + "/session", {"capabilities": {"alwaysMatch": capabilities}})["sessionId"]
        yield Browser(driver, session)
        _call(f"{driver}/session/{session}", method="DELETE")
    finally:
        process.terminate()
        process.wait()
