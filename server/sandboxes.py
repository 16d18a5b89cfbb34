"""All sandboxes of a listener, one WSGI application: `/` lists them, `/v/NAME/` is one, `/v/NAME/xds/...` its services.

Forms are taken from our own pages only (Origin, or Sec-Fetch-Site), and browsers under names that the operator gave: a site
elsewhere may let its own name stand for this machine, and then a browser takes it for ours (DNS rebinding). The streams that
tell of new messages end by themselves after a while, so that a server that stops need not wait for browsers; a browser comes
back at once.
"""

from __future__ import annotations

import io
import ipaddress
import json
import queue
import re
import shlex
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from conformance.expectations import expectations
from conformance.message_rows import rows_of
from server.admission import Environ, StartResponse
from server.capture import Message
from server.explain_page import EXPLAIN_PATH, explain_page
from server.sandbox import OWN, Domain, Sandbox
from web.layout import SAFE_HEADERS, Headers, static
from web.sandbox_pages import (
    Answered,
    Arrived,
    MessageView,
    SandboxView,
    compare_page,
    front_page,
    message_page,
    sandbox_page,
    unknown_page,
)
from web.words import language_of, word

#: Streams of events at once, how long one lives and how long it is silent at most, in seconds.
STREAMS = 8
STREAM_SECONDS = 20.0
SILENT_SECONDS = 5.0
#: Each sandbox is a server of its own: so many there may be at most, since whoever reaches the listener may open one.
MOST_SANDBOXES = 200
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
_NUMBER = re.compile(r"[0-9]{1,6}")
_FORM_OCTETS = 4_096
_SHOWN = 500
_HTML = "text/html; charset=utf-8"


class _Answer(Exception):
    """An answer that is ready: raised where going on makes no sense."""

    def __init__(self, status: HTTPStatus, body: bytes, kind: str = _HTML, headers: Headers | None = None) -> None:
        super().__init__(status.phrase)
        self.status = status
        self.body = body
        self.kind = kind
        self.headers = headers or []


class TooMany(Exception):
    """No further sandbox is made."""


def _elsewhere(address: str) -> _Answer:
    return _Answer(HTTPStatus.SEE_OTHER, b"", headers=[("Location", address)])


class Sandboxes:
    """The WSGI application. `folder` holds one folder per sandbox; `public_url` is where vendors reach the listener;
    `domain` is the affinity domain of all of them; `hosts` are further names of the listener than that in `public_url`."""

    def __init__(self, folder: Path, public_url: str, domain: Domain = OWN, hosts: Collection[str] = ()) -> None:
        self._folder = folder
        self._public_url = public_url
        self._hosts = {"localhost", (urlsplit(public_url).hostname or "").rstrip("."), *(host.lower() for host in hosts)} - {""}
        self._domain = domain
        self._opening = threading.Lock()
        self._open: dict[str, Sandbox] = {}
        self._streams = threading.BoundedSemaphore(STREAMS)

    @property
    def names(self) -> list[str]:
        """Every sandbox, whether it has been used since the start or not."""
        return sorted(one.name for one in self._folder.iterdir() if one.is_dir() and NAME.fullmatch(one.name))

    def open(self, name: str) -> Sandbox:
        """The sandbox of this name, made where there is none. Raises ValueError for a name that cannot be used, TooMany where
        there are as many as there may be."""
        if not NAME.fullmatch(name):
            raise ValueError(name)
        with self._opening:
            if name not in self._open:
                names = self.names
                if name not in names and len(names) >= MOST_SANDBOXES:
                    raise TooMany(name)
                self._open[name] = Sandbox(self._folder / name, f"/v/{name}", self._public_url, self._domain)
            return self._open[name]

    def close(self) -> None:
        for sandbox in self._open.values():
            sandbox.close()

    # -------------------------------------------------------------------------------------------------------- routes

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        under = re.fullmatch(r"/v/([^/]+)((?:/xds|/dmp|/explain)(?:/.*)?)", path)
        # A program that is no browser says no Origin: vendors reach the services by whatever name.
        services = under is not None and not {"HTTP_ORIGIN", "HTTP_SEC_FETCH_SITE"} & environ.keys()
        if not services and not self._is_known(environ.get("HTTP_HOST")):
            return _misdirected(environ, start_response)
        if under and under[1] in self.names:
            shifted = {**environ, "SCRIPT_NAME": f"/v/{under[1]}", "PATH_INFO": under[2]}
            return self.open(under[1])(shifted, start_response)
        try:
            return self._page(environ, path, start_response)
        except _Answer as answer:
            headers = [("Content-Type", answer.kind), ("Content-Length", str(len(answer.body))), *SAFE_HEADERS, *answer.headers]
            if any(name == "Content-Security-Policy" for name, _ in answer.headers):
                headers = [one for one in headers if one not in SAFE_HEADERS or one[0] != "Content-Security-Policy"]
            start_response(f"{answer.status.value} {answer.status.phrase}", headers)
            return [] if environ["REQUEST_METHOD"] == "HEAD" else [answer.body]

    def _is_known(self, host: str | None) -> bool:
        """Whether nobody but the operator can have given us this name. Addresses are nobody's to point elsewhere."""
        if host is None:
            return True
        try:
            name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        except ValueError:
            return False
        return name in self._hosts or _is_address(name)

    def _page(self, environ: Environ, path: str, start_response: StartResponse) -> Iterable[bytes]:
        query = parse_qs(environ.get("QUERY_STRING", ""))
        language = language_of(query, environ.get("HTTP_ACCEPT_LANGUAGE", ""))
        if environ["REQUEST_METHOD"] == "POST":
            raise self._form(environ, path, language)
        if path == "/health":
            raise _Answer(HTTPStatus.OK, json.dumps({"status": "ok", "sandboxes": self.names}).encode(), "application/json")
        if path == "/":
            raise _Answer(HTTPStatus.OK, front_page(self.names, language).encode())
        if path.startswith("/static/"):
            found = static(path[len("/static/") :])
            if found:
                raise _Answer(HTTPStatus.OK, found[1], found[0])
        if path.startswith(EXPLAIN_PATH):
            status, page, headers = explain_page(path[len(EXPLAIN_PATH) :], environ.get("QUERY_STRING", ""), language)
            raise _Answer(HTTPStatus(int(status[:3])), page.encode(), _HTML, headers)
        sandbox, rest = self._sandbox(path, language)
        if rest == "/":
            raise _Answer(HTTPStatus.OK, sandbox_page(_view(sandbox), language).encode())
        if rest == "/events":
            return self._events(sandbox, environ, start_response)
        if rest == "/evidence.zip":
            raise _download(sandbox.evidence(), "application/zip", f"{sandbox.name}-evidence.zip")
        if rest == "/compare":
            raise _Answer(HTTPStatus.OK, _compare(sandbox, query, language).encode())
        raise _message(sandbox, rest, language)

    def _sandbox(self, path: str, language: str) -> tuple[Sandbox, str]:
        under = re.fullmatch(r"/v/([^/]+)(/.*)?", path)
        if under is None or under[1] not in self.names:
            raise _unknown(language)
        if not under[2]:
            raise _elsewhere(f"/v/{under[1]}/")
        return self.open(under[1]), under[2]

    # --------------------------------------------------------------------------------------------------------- forms

    def _form(self, environ: Environ, path: str, language: str) -> _Answer:
        if not _from_here(environ):
            return _Answer(HTTPStatus.FORBIDDEN, word("foreign", language).encode(), "text/plain; charset=utf-8")
        length = environ.get("CONTENT_LENGTH") or "0"
        form = parse_qs(environ["wsgi.input"].read(min(int(length), _FORM_OCTETS)).decode("utf-8", "replace"))
        if path == "/open":
            try:
                return _elsewhere(f"{self.open(form.get('name', [''])[0]).base}/?lang={language}")
            except ValueError:
                page = front_page(self.names, language, word("refused", language))
                return _Answer(HTTPStatus.BAD_REQUEST, page.encode())
            except TooMany:
                page = front_page(self.names, language, word("too_many", language))
                return _Answer(HTTPStatus.SERVICE_UNAVAILABLE, page.encode())
        sandbox, rest = self._sandbox(path, language)
        if rest == "/patients":
            try:
                sandbox.add_patient(form.get("patient", [""])[0])
            except ValueError:
                page = sandbox_page(_view(sandbox, word("bad_patient", language)), language)
                return _Answer(HTTPStatus.BAD_REQUEST, page.encode())
            return _elsewhere(f"{sandbox.base}/?lang={language}")
        again = re.fullmatch(r"/messages/([0-9]{1,6})/replay", rest)
        if again:
            return _elsewhere(f"{sandbox.base}/messages/{_replay(sandbox, int(again[1]), language)}?lang={language}")
        return _unknown(language)

    # -------------------------------------------------------------------------------------------------------- events

    def _events(self, sandbox: Sandbox, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Server-sent events: one for each message."""
        if not self._streams.acquire(blocking=False):
            raise _Answer(HTTPStatus.SERVICE_UNAVAILABLE, b"", headers=[("Retry-After", "10")])
        start_response("200 OK", [("Content-Type", "text/event-stream"), ("X-Accel-Buffering", "no"), *SAFE_HEADERS])
        return _Stream(sandbox, self._streams.release, resumed=bool(environ.get("HTTP_LAST_EVENT_ID")))


class _Stream:
    """The events of one browser. PEP 3333: `close` is called whatever happens."""

    def __init__(self, sandbox: Sandbox, done: Callable[[], None], resumed: bool) -> None:
        self._sandbox = sandbox
        self._done = done
        self._resumed = resumed
        self._queue = sandbox.stream()

    def __iter__(self) -> Iterator[bytes]:
        yield b"retry: 300\nid: 0\nevent: resumed\ndata: {}\n\n" if self._resumed else b"retry: 300\nid: 0\n: here\n\n"
        for _ in range(int(STREAM_SECONDS / SILENT_SECONDS)):
            try:
                message = self._queue.get(timeout=SILENT_SECONDS)
            except queue.Empty:
                yield b": still here\n\n"
                continue
            if message is None:
                return
            yield f"id: {message.number}\ndata: {json.dumps({'number': message.number})}\n\n".encode()

    def close(self) -> None:
        self._sandbox.leave(self._queue)
        self._done()


# --------------------------------------------------------------------------------------------------------- what is shown


def _arrived(sandbox: Sandbox, one: Message) -> Arrived:
    return Arrived(
        number=one.number, at=one.at, sender=one.sender, transaction=one.transaction, outcome=one.status, fault=one.fault,
        http_status=one.http_status, findings=len(sandbox.checked(one.number).found), tolerated=len(one.notes),
        received=one.received, sent=one.sent, seconds=one.seconds,
    )  # fmt: skip


def _view(sandbox: Sandbox, said: str = "") -> SandboxView:
    messages = [_arrived(sandbox, one) for one in list(sandbox.messages)[-_SHOWN:]]
    return SandboxView(
        sandbox.name, sandbox.base, sandbox.url, sandbox.patients, messages, expectations(), dict(sandbox.progress.met), said,
        sandbox.settings.domain.dmp_services,
    )


def _known(sandbox: Sandbox, number: str, language: str) -> Message:
    try:
        return sandbox.messages.get(int(number) if _NUMBER.fullmatch(number) else 0)
    except KeyError:
        raise _unknown(language) from None


def _message(sandbox: Sandbox, rest: str, language: str) -> _Answer:
    """A page, or the octets, of one message."""
    asked = re.fullmatch(r"/messages/([0-9]{1,6})(/request|/response|/body)?", rest)
    if asked is None:
        return _unknown(language)
    one = _known(sandbox, asked[1], language)
    if asked[2] == "/body":
        return _download(_body(sandbox.messages.request(one.number)), "application/octet-stream", f"{one.number}-body")
    if asked[2]:
        octets = sandbox.messages.request(one.number) if asked[2] == "/request" else sandbox.messages.response(one.number)
        return _download(octets, "application/octet-stream", f"{one.number}{asked[2].replace('/', '-')}.http")
    answered = [Answered(each["severity"].lower(), each["rule"], each["code"], each["text"]) for each in one.findings]
    if one.fault:
        answered.insert(0, Answered("error", one.fault, "", one.fault_text))
    answered += [Answered("tolerated", each["id"], "", each["text"]) for each in one.notes]
    request = sandbox.messages.request(one.number)
    others = [each.number for each in sandbox.messages if each.number != one.number]
    response = rows_of(sandbox.messages.response(one.number))
    view = MessageView(
        sandbox.name, sandbox.base, _arrived(sandbox, one), one.whole, rows_of(request), response, sandbox.checked(one.number),
        answered, _curl(sandbox, one, request), others[-_SHOWN:],
    )  # fmt: skip
    return _Answer(HTTPStatus.OK, message_page(view, language).encode())


def _compare(sandbox: Sandbox, query: dict[str, list[str]], language: str) -> str:
    both = [_known(sandbox, query.get(name, [""])[0], language) for name in ("a", "b")]
    a, b = ((_arrived(sandbox, one), rows_of(sandbox.messages.request(one.number))) for one in both)
    return compare_page(sandbox.name, sandbox.base, a, b, language)


def _curl(sandbox: Sandbox, one: Message, request: bytes) -> str:
    """Commands that send the same message again from anywhere."""
    kind = re.search(rb"(?im)^content-type: ([^\r\n]*)", request.split(b"\r\n\r\n", 1)[0])
    shown = kind[1].decode("latin-1") if kind else "application/soap+xml"
    address = sandbox.url + one.path.removeprefix(sandbox.base)
    file = f"message-{one.number}"
    return (
        f"curl -sS -o {file} {shlex.quote(f'{sandbox.url}/messages/{one.number}/body')}\n"
        f"curl -sS -H {shlex.quote('Content-Type: ' + shown)} --data-binary @{file} {shlex.quote(address)}"
    )


def _body(message: bytes) -> bytes:
    return message.partition(b"\r\n\r\n")[2]


def _replay(sandbox: Sandbox, number: int, language: str) -> int:
    """Send a kept request to the sandbox again; the number of the new message."""
    one = _known(sandbox, str(number), language)
    head, _, body = sandbox.messages.request(number).partition(b"\r\n\r\n")
    fields = dict(line.split(": ", 1) for line in head.decode("latin-1").split("\r\n")[1:] if ": " in line)
    environ: Environ = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in fields.items()}
    environ |= {
        "REQUEST_METHOD": "POST", "SCRIPT_NAME": sandbox.base, "PATH_INFO": one.path.removeprefix(sandbox.base),
        "QUERY_STRING": "",
        "CONTENT_TYPE": fields.get("Content-Type", ""), "CONTENT_LENGTH": str(len(body)), "REMOTE_ADDR": one.sender,
        "SERVER_NAME": "localhost", "SERVER_PORT": "0", "SERVER_PROTOCOL": "HTTP/1.1", "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
    }  # fmt: skip
    before = {each.number for each in sandbox.messages}
    answer = sandbox(environ, lambda status, headers, *rest: None)
    try:
        for _ in answer:
            pass
    finally:
        close: Any = getattr(answer, "close", None)
        if close is not None:
            close()
    return max({each.number for each in sandbox.messages} - before, default=number)


def _download(content: bytes, kind: str, name: str) -> _Answer:
    return _Answer(HTTPStatus.OK, content, kind, [("Content-Disposition", f'attachment; filename="{quote(name)}"')])


def _unknown(language: str) -> _Answer:
    return _Answer(HTTPStatus.NOT_FOUND, unknown_page(language).encode())


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _misdirected(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """421 for a name that is not ours."""
    language = language_of(parse_qs(environ.get("QUERY_STRING", "")), environ.get("HTTP_ACCEPT_LANGUAGE", ""))
    text = word("misdirected", language).encode()
    kind, length = ("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(text)))
    start_response("421 Misdirected Request", [kind, length, *SAFE_HEADERS])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [text]


def _from_here(environ: Environ) -> bool:
    """Whether a form comes from a page of ours, as far as a browser tells; a program that is no browser says neither."""
    site = environ.get("HTTP_SEC_FETCH_SITE")
    if site is not None:
        return bool(site in ("same-origin", "none"))
    origin = environ.get("HTTP_ORIGIN")
    return origin is None or urlsplit(origin).netloc == environ.get("HTTP_HOST")
