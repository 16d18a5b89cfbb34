"""One vendor's sandbox: a real server on a store of its own, every message kept, checked, and held against what is expected.

    DATA/NAME/store       the store of the server
    DATA/NAME/messages    the messages (`server/capture.py`)
    DATA/NAME/patients    the patients that were made known, one CX a line
"""

from __future__ import annotations

import hashlib
import io
import json
import queue
import threading
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from conformance.check import CheckOptions, check_octets
from conformance.check_result import Checked
from conformance.expectations import Progress, expectations, facts_of
from metadata.hl7 import canonical_cx, problem_with_cx
from server import wiring
from server.admission import Environ
from server.capture import Capturing, Message, Messages
from server.domain import load_domain
from server.preparation import prepare
from server.sample_people import make_patients
from server.settings import Settings, load
from soap.endpoint import Exchange

#: `domain.profile` and `domain.folder`; None where the settings are to say it.
Domain = tuple[str | None, str | None]
OWN: Domain = (None, None)
#: Messages above this are answered and kept, but not checked.
MOST_CHECKED = 16 * 1024 * 1024
#: So many verdicts are remembered.
_KEPT = 500
_STAMP = (1980, 1, 1, 0, 0, 0)


class Sandbox:
    """`base` is the path under which it is reached (`/v/acme`), `public_url` the address of the listener; `domain` is the
    affinity domain that its messages are judged by. Raises DomainError."""

    def __init__(self, folder: Path, base: str, public_url: str, domain: Domain = OWN) -> None:
        self.name = folder.name
        self.base = base
        self.url = public_url.rstrip("/") + base
        self.settings = _settings(folder, public_url, domain)
        judged_by = self.settings.domain.profile, self.settings.domain.folder
        self._judging = CheckOptions() if judged_by == ("ihe", "") else CheckOptions(load_domain(*judged_by))
        prepare(self.settings)
        self.messages = Messages(folder / "messages")
        self.progress = Progress()
        self._patients = folder / "patients"
        self._streams: set[queue.SimpleQueue[Message | None]] = set()
        self._lock = threading.Lock()
        self._checked: dict[int, Checked] = {}
        for message in self.messages:
            self._take(message)
        capturing = Capturing(self.messages, self._arrived, _facts)
        self._application = wiring.build(self.settings, observer=capturing.observe)
        self._wsgi = capturing.around(self._application.wsgi)
        if not self._patients.exists():
            for patient in make_patients(3, seed=_seed(self.name)):
                self.add_patient(patient.cx())

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        """The services of the sandbox; PATH_INFO begins with /xds, /dmp or /explain."""
        return self._wsgi(environ, start_response)

    def close(self) -> None:
        with self._lock:
            for stream in self._streams:
                stream.put(None)
        self._application.close()

    # ------------------------------------------------------------------------------------------------------ patients

    @property
    def patients(self) -> list[str]:
        return self._patients.read_text(encoding="utf-8").split("\n")[:-1]

    def add_patient(self, cx: str) -> None:
        """Make a patient known. Raises ValueError for what is no CX."""
        from registry import patients

        known = canonical_cx(cx.strip())
        problem = problem_with_cx(known)
        if problem is not None:
            raise ValueError(problem)
        patients.add(self._application.kit.database, known)
        with self._lock, self._patients.open("a", encoding="utf-8") as file:
            file.write(known + "\n")

    # ------------------------------------------------------------------------------------------------------ messages

    def _arrived(self, message: Message) -> None:
        """A message is whole on disk: check it, hold it against what is expected, tell whoever looks."""
        self.checked(message.number)
        with self._lock:
            self._take(message)
            for stream in self._streams:
                stream.put(message)

    def _take(self, message: Message) -> None:
        facts = {"entries": (), **message.facts, "transaction": message.transaction, "status": message.status}
        self.progress.take(message.number, facts | {"notes": message.notes})

    def checked(self, number: int) -> Checked:
        """What the lint finds in the request; nothing is said of one that is too large for it."""
        found = self._checked.get(number)
        if found is None:
            octets = self.messages.request(number)
            name = f"message {number}"
            found = check_octets(octets, name, self._judging) if len(octets) <= MOST_CHECKED else Checked(name)
            if len(self._checked) >= _KEPT:
                self._checked.clear()
            self._checked[number] = found
        return found

    def stream(self) -> queue.SimpleQueue[Message | None]:
        """Messages as they arrive, until None; to be given back by `leave`."""
        stream: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        with self._lock:
            self._streams.add(stream)
        return stream

    def leave(self, stream: queue.SimpleQueue[Message | None]) -> None:
        with self._lock:
            self._streams.discard(stream)

    def evidence(self) -> bytes:
        """A zip: one folder per expectation that is met and one per message, raw octets and verdicts, with SHA-256 of each."""
        files = dict(self._evidence())
        manifest = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())}
        files["manifest.json"] = json.dumps({"sandbox": self.name, "sha256": manifest}, indent=1).encode()
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in sorted(files.items()):
                archive.writestr(zipfile.ZipInfo(name, _STAMP), content, zipfile.ZIP_DEFLATED)
        return made.getvalue()

    def _evidence(self) -> Iterator[tuple[str, bytes]]:
        for one in expectations():
            number = self.progress.met.get(one.id)
            verdict = {"id": one.id, "en": one.en, "fr": one.fr, "section": one.section, "message": number}
            verdict["met"] = number is not None
            yield f"expectations/{one.id}/verdict.json", json.dumps(verdict, ensure_ascii=False, indent=1).encode()
            if number is not None:
                yield f"expectations/{one.id}/request.http", self.messages.request(number)
                yield f"expectations/{one.id}/response.http", self.messages.response(number)
        for message in self.messages:
            folder = f"messages/{message.number:06}"
            yield f"{folder}/request.http", self.messages.request(message.number)
            yield f"{folder}/response.http", self.messages.response(message.number)
            yield f"{folder}/message.json", (self.messages.folder(message.number) / "message.json").read_bytes()
            found = [
                {"rule": one.rule, "level": one.level.value, "line": one.line, "column": one.column, "message": one.message}
                for one in self.checked(message.number).found
            ]
            yield f"{folder}/findings.json", json.dumps(found, ensure_ascii=False, indent=1).encode()


def _settings(folder: Path, public_url: str, domain: Domain) -> Settings:
    """Those of carnet.toml, with a store of its own. The path of the sandbox comes with every request (SCRIPT_NAME)."""
    options: dict[str, str | None] = {"store.data": str(folder / "store"), "server.public_url": public_url}
    options |= {"domain.profile": domain[0], "domain.folder": domain[1]}
    return load(options=options, environ={})


def _seed(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")


def _facts(exchange: Exchange) -> dict[str, Any]:
    """What expectations ask of a message that was understood."""
    call = exchange.call
    if call is None:
        return {"mtom": exchange.mtom}
    return facts_of(call.body, (part.size for part in call.parts.values())) | {"mtom": exchange.mtom}
