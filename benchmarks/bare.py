"""W: the same HTTP server with nothing behind it. `python -m benchmarks.bare --port P` is started by `processes.py`.

`/?size=N` answers N constant octets after reading the request; `/file?name` streams a file as it is.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from typing import Any

from server.http import HttpOptions, listen, serve

CHUNK = 256 * 1024


def _drain(environ: dict[str, Any]) -> None:
    read = environ["wsgi.input"].read
    left = int(environ.get("CONTENT_LENGTH") or 0)
    while left > 0:
        data = read(min(CHUNK, left))
        if not data:
            return
        left -= len(data)


def _file(path: str) -> Iterator[bytes]:
    with open(path, "rb", buffering=0) as file:
        while chunk := file.read(CHUNK):
            yield chunk


class Bare:
    """The WSGI application. Answers are made once for each size."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._made: dict[str, tuple[list[tuple[str, str]], list[bytes]]] = {}

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        _drain(environ)
        query = environ["QUERY_STRING"]
        if environ["PATH_INFO"] == "/file":
            path = f"{self._folder}/{query}"
            with open(path, "rb") as file:
                size = file.seek(0, 2)
            start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(size))])
            return _file(path)
        if query not in self._made:
            size = int(query.removeprefix("size=") or 0)
            headers = [("Content-Type", "application/soap+xml; charset=UTF-8"), ("Content-Length", str(size))]
            self._made[query] = headers, [b"x" * size]
        headers, body = self._made[query]
        start_response("200 OK", headers)
        return body


def main() -> None:
    """Serve until SIGTERM; prints the port."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--threads", type=int, default=48)
    parser.add_argument("--folder", default=".")
    options = parser.parse_args()
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    http = HttpOptions(workers=options.workers, threads=options.threads, busy=options.threads - 2)
    serve(listener, lambda: Bare(options.folder), http, lambda: print(f"port {port}", flush=True))


if __name__ == "__main__":
    main()
