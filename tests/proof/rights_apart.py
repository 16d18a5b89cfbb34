"""A registry that asks a matrix of rights and a repository elsewhere, both over mutual TLS: callers connect with their own cards.

    with open_apart(tmp_path) as world:      # as `rights_callers.open_rights`, in two processes
"""

from __future__ import annotations

import contextlib
import http.client
import re
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from registry.rights import Rights
from security.tls import client_context
from storage.database import open_database
from tests.nist.target import add_patients
from tests.nist.wire import Answer, Client, read_answer
from tests.proof.conftest import Proof, unknown_patient
from tests.proof.messages import REPOSITORY
from tests.proof.rights_callers import Cards, RightsWorld, rights_settings
from tests.server_process import ServerProcess

_CERTIFICATE = re.compile(rb"<(?:\w+:)?X509Certificate>([^<]+)<")


@dataclass
class ApartWorld(RightsWorld):
    """`proof.server` is the repository, `registry` the registry whose store `data` is."""

    registry: ServerProcess
    settings: Mapping[str, str]
    connections: dict[tuple[str, str], http.client.HTTPSConnection] = field(default_factory=dict)

    def post(self, assertion: bytes, url: str, content_type: str, body: bytes) -> Answer:
        """Over TLS with the card that signed the assertion; with that of the hospital where there is none."""
        return self.post_as(self._card_of(assertion) if assertion else "hospital", url, content_type, body)

    def post_as(self, card: str, url: str, content_type: str, body: bytes) -> Answer:
        """Over TLS with this card."""
        parts = urlsplit(url)
        connection = self.connections.get((card, parts.netloc))
        if connection is None:
            connection = http.client.HTTPSConnection("localhost", parts.port, timeout=60, context=self.tls(card))
            self.connections[card, parts.netloc] = connection
        connection.request("POST", parts.path, body, {"Content-Type": content_type})
        response = connection.getresponse()
        return read_answer(response.status, response.getheader("Content-Type", ""), response.read())

    def tls(self, card: str) -> ssl.SSLContext:
        folder = self.cards.folder
        return client_context(str(folder / "ca.crt"), str(folder / f"{card}.crt"), str(folder / f"{card}.key"))

    def _card_of(self, assertion: bytes) -> str:
        """The name of the card whose certificate stands in the assertion."""
        found = _CERTIFICATE.search(assertion)
        assert found
        wanted = "".join(found[1].decode().split())
        files = self.cards.folder.glob("*.crt")
        return next(file.stem for file in files if wanted in "".join(file.read_text("ascii").split()))

    @contextlib.contextmanager
    def another_repository(self, data: Path, card: str) -> Iterator[str]:
        """The address of a repository of the same registry that shows this certificate."""
        address = self.registry.registry.replace("127.0.0.1", "localhost")
        with repository_of(data, address, {**self.settings, **secured(self.cards, card)}).start(healthy=False) as server:
            yield server.repository

    def close(self) -> None:
        for connection in self.connections.values():
            connection.close()


def secured(cards: Cards, name: str) -> dict[str, str]:
    """Settings of a server that shows the certificate `name`."""
    return {
        "CARNET_SECURITY_SECURE": "true",
        "CARNET_SECURITY_CERTIFICATE": str(cards.folder / f"{name}.crt"),
        "CARNET_SECURITY_KEY": str(cards.folder / f"{name}.key"),
        "CARNET_SERVER_KEEPALIVE": "3600",  # each card keeps its connection, however long the others take
    }


def repository_of(data: Path, registry: str, environ: Mapping[str, str]) -> ServerProcess:
    """A repository whose registry is at this address."""
    settings = {**environ, "CARNET_ROLE_REPOSITORY_UNIQUE_ID": REPOSITORY}
    return ServerProcess(data, "--role", "repository", "--registry", registry, environ=settings)


@contextlib.contextmanager
def open_apart(
    folder: Path,
    registry_environ: Mapping[str, str] | None = None,
) -> Iterator[ApartWorld]:
    """Two servers under the matrix of the DMP."""
    cards = Cards(folder / "pki")
    cards.authority.issue("server", "registry", key_type="ec")
    cards.authority.issue("server", "repository", key_type="ec", relays=True)
    settings = rights_settings(folder)
    of_registry = {**settings, **secured(cards, "registry"), **(registry_environ or {})}
    registry = ServerProcess(folder / "registry", "--role", "registry", environ=of_registry).start(healthy=False)
    with contextlib.ExitStack() as ending:
        ending.push(registry.__exit__)
        address = registry.registry.replace("127.0.0.1", "localhost")
        repository = repository_of(folder / "repository", address, {**settings, **secured(cards, "repository")})
        ending.push(repository.start(healthy=False).__exit__)
        add = add_patients(folder / "registry")

        ready: list[str] = []

        def patient() -> str:
            if not ready:
                ready.extend(unknown_patient() for _ in range(40))
                add(ready)
            return ready.pop()

        database = open_database(f"sqlite:///{folder / 'registry' / 'carnet.sqlite'}")
        ending.callback(database.close)
        proof = Proof(repository, Client(registry.registry, repository.repository), patient)
        world = ApartWorld(proof, cards, Rights(database), folder / "registry", registry, settings)
        ending.callback(world.close)
        yield world
