"""Asking the outside for revocation lists and OCSP answers: small, bounded, and never further than the address of the settings.

No redirect is followed, no proxy of the environment is used, the name is resolved once and that address is connected to; a
connection gets 5 s, the whole exchange `seconds`, the answer `limit` bytes. Addresses come from the settings, never from a
certificate.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import threading
from urllib.parse import urlsplit

CONNECT_SECONDS = 5.0
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252})|[0-9a-fA-F:.]{2,45}")


class Unanswered(Exception):
    """No usable answer; the text says why, for the operator."""


def check_address(url: str) -> tuple[str, int, str]:
    """Host, port and path of an http address. Raises ValueError for everything else.

    Lists and OCSP answers are signed, and TLS to fetch them would need them first (RFC 5280: 8): http is what they use.
    """
    message = f"'{url}' is not accepted; accepted: http://host/path or http://host:port/path"
    parts = urlsplit(url)
    try:
        port = parts.port or 80
    except ValueError:
        raise ValueError(message) from None
    host = parts.hostname or ""
    unclear = (
        parts.username is not None or parts.password is not None or bool(parts.fragment) or any(c in url for c in " \\\r\n\t")
    )
    if parts.scheme != "http" or unclear or not _HOST.fullmatch(host):
        raise ValueError(message)
    return host, port, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def ask(url: str, *, body: bytes | None = None, media_type: str = "", seconds: float = 30.0, limit: int = 1024 * 1024) -> bytes:
    """The body of the answer to GET, or to POST when there is a `body` of `media_type`. Raises Unanswered, and ValueError for a
    `url` that `check_address` refuses."""
    host, port, path = check_address(url)
    connection = http.client.HTTPConnection(host, port, timeout=min(CONNECT_SECONDS, seconds))
    watch = None
    try:
        connection.connect()
        # A timeout of the socket counts from the last octet; this one ends a sender that trickles, too.
        watch = threading.Timer(seconds, _end, [connection.sock])
        watch.daemon = True
        watch.start()
        connection.sock.settimeout(seconds)
        headers = {"User-Agent": "carnet", "Accept-Encoding": "identity", "Connection": "close"}
        if body is not None:
            headers["Content-Type"] = media_type
        connection.request("GET" if body is None else "POST", path, body, headers)
        response = connection.getresponse()
        if response.status != 200:
            raise Unanswered(f"{url} answered {response.status}, and 200 is expected; redirections are not followed")
        pieces, size = [], 0
        while piece := response.read1(64 * 1024):
            size += len(piece)
            if size > limit:
                raise Unanswered(f"{url} sends more than {limit} bytes")
            pieces.append(piece)
        if response.length or not watch.is_alive():
            raise Unanswered(f"{url} ended its answer too early, or took more than {seconds:g} s for it")
        return b"".join(pieces)
    except (OSError, http.client.HTTPException) as error:
        raise Unanswered(f"{url}: {error or type(error).__name__}") from None
    finally:
        if watch is not None:
            watch.cancel()
        connection.close()


def _end(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
