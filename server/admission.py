"""How many requests are worked on at once, and what the others are told."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
WSGIApp = Callable[[Environ, StartResponse], Iterable[bytes]]

#: A body of a known length up to this is small: it is collected in the event loop before a thread is taken.
SMALL_BODY = 64 * 1024


class Admission:
    """WSGI: at most `busy` requests at once, at most `uploads` of them with a large body; others get 503 and Retry-After.

    /health and /metrics are always let in: whoever watches a busy server must see that it is busy.
    """

    def __init__(self, app: WSGIApp, busy: int, uploads: int) -> None:
        self._app = app
        self._slots = threading.BoundedSemaphore(busy)
        self._upload_slots = threading.BoundedSemaphore(uploads)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] in ("/health", "/metrics"):
            return self._app(environ, start_response)
        held = [self._slots]
        length = environ.get("CONTENT_LENGTH")
        if environ.get("HTTP_TRANSFER_ENCODING") or (length and int(length) > SMALL_BODY):
            held.append(self._upload_slots)
        taken: list[threading.BoundedSemaphore] = []
        for slot in held:
            if not slot.acquire(blocking=False):
                _release(taken)
                return _busy(start_response)
            taken.append(slot)
        try:
            return _Admitted(self._app(environ, start_response), taken)
        except BaseException:
            _release(taken)
            raise


class _Admitted:
    """An answer that gives its places back when it is closed (PEP 3333: close() is always called)."""

    __slots__ = ("_answer", "_taken")

    def __init__(self, answer: Iterable[bytes], taken: list[threading.BoundedSemaphore]) -> None:
        self._answer = answer
        self._taken = taken

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._answer)

    def close(self) -> None:
        try:
            close = getattr(self._answer, "close", None)
            if close:
                close()
        finally:
            _release(self._taken)


def _release(taken: list[threading.BoundedSemaphore]) -> None:
    for slot in taken:
        slot.release()
    taken.clear()


def _busy(start_response: StartResponse) -> list[bytes]:
    text = b"The server is working on as many requests as it takes on at once. Send this request again in a moment.\n"
    headers = [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", str(len(text))),
        ("Retry-After", str(random.randint(1, 3))),
        ("Connection", "close"),
    ]
    start_response("503 Service Unavailable", headers)
    return [text]
