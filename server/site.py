"""What stands at which path: the services under /xds/, /health and /metrics for those who watch, / for a person who looks."""

from __future__ import annotations

import html
import ipaddress
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from server.explain_page import EXPLAIN_PATH, explain_page
from server.health import HealthCheck
from server.metrics import CONTENT_TYPE, Metrics
from server.settings import Settings
from server.version import version
from soap.endpoint import Endpoint

Environ = dict[str, Any]
StartResponse = Callable[..., Any]


class Site:
    """The WSGI application."""

    def __init__(self, endpoint: Endpoint, health: HealthCheck, metrics: Metrics, settings: Settings) -> None:
        self._endpoint = endpoint
        self._health = health
        self._metrics = metrics
        self._settings = settings
        self._paths = frozenset(endpoint.paths)
        self._pages: dict[str, Callable[[Environ], _Page]] = {
            "/": self._front, "/health": self._health_page, "/metrics": self._metrics_page,
        }  # fmt: skip
        self._version = version()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        page = self._pages.get(path)
        if path.startswith(EXPLAIN_PATH):
            path, page = EXPLAIN_PATH, self._explain_page
        if page is None:
            known = path.rstrip("/")
            return self._endpoint(environ, self._counted(known if known in self._paths else "other", start_response))
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            answer = _Page("405 Method Not Allowed", "text/plain; charset=utf-8", b"This address is read by GET.\n")
        else:
            answer = page(environ)
        headers = [
            ("Content-Type", answer.kind),
            ("Content-Length", str(len(answer.body))),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
        ]
        if answer.status.startswith("405"):
            headers.append(("Allow", "GET, HEAD"))
        headers += answer.headers
        self._counted(path, start_response)(answer.status, headers)
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else answer.body]

    def _counted(self, path: str, start_response: StartResponse) -> StartResponse:
        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            self._metrics.http(path, status[:3])
            return start_response(status, headers, *rest)

        return start

    def _health_page(self, environ: Environ) -> _Page:
        """200 when both stores have just been written to, else 503 with the reason."""
        health = self._health()
        content = {
            "status": "ok" if health.ok else "unavailable",
            "version": self._version,
            "role": self._settings.role.role,
            "database": health.database,
            "documents": health.documents,
        }
        status = "200 OK" if health.ok else "503 Service Unavailable"
        return _Page(status, "application/json", json.dumps(content, indent=2).encode() + b"\n")

    def _metrics_page(self, environ: Environ) -> _Page:
        readers = self._settings.server.metrics
        if readers == "everyone" or (readers == "local" and _is_local(environ.get("REMOTE_ADDR", ""))):
            return _Page("200 OK", CONTENT_TYPE, self._metrics.render())
        text = b"Metrics are given to local callers only (setting server.metrics).\n"
        return _Page("403 Forbidden", "text/plain; charset=utf-8", text)

    def _explain_page(self, environ: Environ) -> _Page:
        """What a rule or an error code means: the link that refusals carry leads here."""
        rule = environ.get("PATH_INFO", "")[len(EXPLAIN_PATH) :]
        status, text, headers = explain_page(rule, environ.get("QUERY_STRING", ""), environ.get("HTTP_ACCEPT_LANGUAGE", ""))
        return _Page(status, "text/html; charset=utf-8", text.encode("utf-8", "replace"), headers)

    def _front(self, environ: Environ) -> _Page:
        base = self._settings.server.public_url.rstrip("/") or f"http://{environ.get('HTTP_HOST', 'localhost')}"
        rows = "".join(
            f'<li><a href="{html.escape(base + path)}?wsdl">{html.escape(base + path)}</a></li>' for path in self._endpoint.paths
        )
        text = (
            '<!doctype html><html lang="en"><meta charset="utf-8"><title>Carnet</title>'
            f"<h1>Carnet {html.escape(self._version)}</h1>"
            f"<p>IHE XDS.b document registry and repository. SOAP 1.2 services (each link is the WSDL):</p><ul>{rows}</ul>"
            '<p><a href="/health">Health</a> - <a href="/explain/">What rules and error codes mean</a></p></html>\n'
        )
        return _Page("200 OK", "text/html; charset=utf-8", text.encode())


class _Page:
    """A finished answer."""

    __slots__ = ("body", "headers", "kind", "status")

    def __init__(self, status: str, kind: str, body: bytes, headers: Sequence[tuple[str, str]] = ()) -> None:
        self.status = status
        self.kind = kind
        self.body = body
        self.headers = headers


def _is_local(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_loopback
