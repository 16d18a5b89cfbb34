"""The listener of ITI-8: `serve --mllp-port`, plain and with TLS, and peers that behave badly."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from security.pki import TestAuthority
from security.tls import client_context
from server.__main__ import program
from server.mllp import END, START, MllpListener, MllpOptions
from tests.ports import free_port
from tests.server_process import ServerProcess

CX = "4711^^^&1.2.3.4.5&ISO"
OTHER = "4712^^^&1.2.3.4.5&ISO"


def adt(event: str, pid3: str, mrg1: str = "", control: str = "1") -> bytes:
    tail = f"MRG|{mrg1}\r" if mrg1 else ""
    return f"MSH|^~\\&|A|B|C|D|20240102||ADT^{event}|{control}|P|2.3.1\rPID|||{pid3}\r{tail}".encode()


def frame(message: bytes) -> bytes:
    return START + message + END


class Sender:
    """One connection of an identity source."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        plain = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket = tls.wrap_socket(plain, server_hostname="localhost") if tls else plain
        self._waiting = b""

    def send(self, octets: bytes) -> None:
        self.socket.sendall(octets)

    def answer(self) -> str:
        """The next acknowledgement without its frame; empty when the connection has ended."""
        while END not in self._waiting:
            try:
                chunk = self.socket.recv(65536)
            except ConnectionError:
                chunk = b""
            if not chunk:
                return ""
            self._waiting += chunk
        answer, _, self._waiting = self._waiting.partition(END)
        assert answer.startswith(START)
        return answer[1:].decode()

    def ask(self, message: bytes) -> str:
        """MSA-1 of the answer."""
        self.send(frame(message))
        return code(self.answer())

    def close(self) -> None:
        self.socket.close()


def code(answer: str) -> str:
    return answer.partition("MSA|")[2][:2]


# ------------------------------------------------------------------------------------------------------------ the program


def test_serve_takes_identities_on_its_mllp_port(tmp_path: Path) -> None:
    port = free_port()
    with ServerProcess(tmp_path / "data", "--mllp-port", str(port)) as server:
        assert f"{port}   ITI-8 over MLLP" in server.log()
        with contextlib.closing(Sender(port)) as sender:
            assert sender.ask(adt("A04", CX)) == "AA"
            assert sender.ask(adt("A40", OTHER, CX)) == "AE"
            assert sender.ask(adt("A01", OTHER)) == "AA"
            assert sender.ask(adt("A40", OTHER, CX)) == "AA"
            assert sender.ask(adt("A02", OTHER)) == "AR"
        listed = CliRunner().invoke(program, ["patient", "show", CX, "--data", str(tmp_path / "data")]).output
        assert listed.startswith(OTHER) and "subsumed" in listed
        assert server.counted('carnet_transactions_total{outcome="AA",transaction="ITI-8"}', 3) == 3


@pytest.mark.postgres
def test_several_processes_share_the_port(tmp_path: Path, postgres_url: str) -> None:
    port = free_port()
    with ServerProcess(tmp_path / "data", "--mllp-port", str(port), "--workers", "2", database=postgres_url):
        senders = [Sender(port) for _ in range(8)]
        assert [s.ask(adt("A04", CX)) for s in senders] == ["AA"] * 8
        for sender in senders:
            sender.close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> TestAuthority:
    made = TestAuthority.create(tmp_path_factory.mktemp("pki"))
    made.issue("server", "server", key_type="ec")
    made.issue("structure", "client", key_type="ec")
    return made


def test_with_tls_and_certificates_of_senders(tmp_path: Path, authority: TestAuthority) -> None:
    port, folder = free_port(), authority.folder
    environ = {
        "CARNET_MLLP_CERTIFICATE": str(folder / "server.crt"),
        "CARNET_MLLP_KEY": str(folder / "server.key"),
        "CARNET_MLLP_AUTHORITIES": str(folder / "ca.crt"),
    }
    with ServerProcess(tmp_path / "data", "--mllp-port", str(port), environ=environ):
        known = ssl.create_default_context(cafile=str(folder / "ca.crt"))
        known.load_cert_chain(folder / "client.crt", folder / "client.key")
        with contextlib.closing(Sender(port, known)) as sender:
            assert sender.ask(adt("A04", CX)) == "AA"
        with contextlib.closing(Sender(port)) as plain:
            plain.send(frame(adt("A04", CX)))
            assert code(plain.answer()) == ""
        unknown = ssl.create_default_context(cafile=str(folder / "ca.crt"))
        with contextlib.closing(Sender(port, unknown)) as nobody, contextlib.suppress(OSError):
            # TLS 1.3: the refusal comes after the client's handshake.
            assert nobody.ask(adt("A04", CX)) == ""
        with contextlib.closing(Sender(port, known)) as sender:
            assert sender.ask(adt("A04", CX)) == "AA", "the others do no harm"


def test_on_a_secured_server_senders_are_enrolled_partners(tmp_path: Path) -> None:
    pki = TestAuthority.create(tmp_path / "pki")
    pki.issue("structure", "source", key_type="ec", transactions=("ITI-8",))
    pki.issue("structure", "reader", key_type="ec", transactions=("ITI-18",))
    port = free_port()
    server = ServerProcess(tmp_path / "data", "--mllp-port", str(port), "--secure", "--pki", str(pki.folder))

    def sender(who: str) -> Sender:
        return Sender(port, client_context(*(str(pki.folder / name) for name in ("ca.crt", f"{who}.crt", f"{who}.key"))))

    with server.start(healthy=False):
        with contextlib.closing(sender("source")) as source:
            assert source.ask(adt("A04", CX)) == "AA"
            with contextlib.closing(sender("reader")) as reader:
                assert reader.ask(adt("A04", OTHER)) == ""
            assert source.ask(adt("A04", OTHER)) == "AA"
            pki.revoke("source")
            assert source.ask(adt("A04", CX)) == "", "what is revoked ends at once, on the open connection too"
        log = server.told("no TLS connection with 127.0.0.1: ", times=2)
        assert "[PKI-011]" in log and "[PKI-004]" in log


# ------------------------------------------------------------------------------------------------------------ bad peers


@dataclass
class Echo:
    """Answers with what came; the message `slow` sets `begun` and waits for `go`, `fail` raises."""

    go: threading.Event
    begun: threading.Event

    def __call__(self, message: bytes) -> Echoed:
        if message == b"slow":
            self.begun.set()
            self.go.wait(60)
        if message == b"fail":
            raise ZeroDivisionError
        return Echoed(message)


@dataclass
class Echoed:
    message: bytes


#: Nobody is given up whom a busy machine keeps from speaking; `BRIEF` gives up soon.
OPTIONS = MllpOptions(message=10_000, connections=4, idle=60, seconds=60, drain=60)
BRIEF = MllpOptions(message=10_000, connections=4, idle=0.5, seconds=0.5, drain=60)
Served = tuple[int, MllpListener, Echo]


@contextlib.contextmanager
def served(options: MllpOptions) -> Iterator[Served]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        handler = Echo(threading.Event(), threading.Event())
        mllp = MllpListener(listener, handler, options)
        mllp.start()
        yield listener.getsockname()[1], mllp, handler
        handler.go.set()
        mllp.close()


@pytest.fixture
def echo() -> Iterator[Served]:
    with served(OPTIONS) as made:
        yield made


@pytest.fixture
def brief() -> Iterator[Served]:
    with served(BRIEF) as made:
        yield made


def test_many_messages_in_one_write_and_one_in_many(echo: Served) -> None:
    sender = Sender(echo[0])
    sender.send(b"".join(frame(b"%d" % n) for n in range(50)))
    assert [sender.answer() for _ in range(50)] == [str(n) for n in range(50)]
    for octet in frame(b"piece by piece"):
        sender.send(bytes((octet,)))
    assert sender.answer() == "piece by piece"
    sender.send(b"\r\n" + frame(b"after line ends"))
    assert sender.answer() == "after line ends"


@pytest.mark.parametrize(
    "octets", [b"x" * 5000, START + b"x" * 20_000, START + b"never ends", b"", b"x" * 5000 + frame(b"late")]
)
def test_a_peer_that_is_of_no_use_is_given_up(brief: Served, octets: bytes) -> None:
    sender = Sender(brief[0])
    with contextlib.suppress(ConnectionError):
        sender.send(octets)
    assert sender.answer() == ""
    assert talks(brief[0])


def test_a_peer_that_goes_in_the_middle_does_no_harm(echo: Served) -> None:
    for octets in (START, START + b"half", frame(b"whole, answer not read") * 20):
        sender = Sender(echo[0])
        sender.send(octets)
        sender.close()
    assert talks(echo[0])


def test_those_who_open_connections_and_stay_silent_lose_their_place(brief: Served) -> None:
    silent = [Sender(brief[0]) for _ in range(12)]
    assert talks(brief[0])
    assert all(sender.answer() == "" for sender in silent)


def test_a_handler_that_fails_is_answered_ar(echo: Served) -> None:
    sender = Sender(echo[0])
    sender.send(frame(b"fail"))
    assert code(sender.answer()) == "AR"
    sender.send(frame(b"go on"))
    assert sender.answer() == "go on"


def test_close_lets_what_was_begun_be_answered(echo: Served) -> None:
    port, mllp, handler = echo
    sender, idle = Sender(port), Sender(port)
    idle.send(frame(b"hello"))
    assert idle.answer() == "hello"
    sender.send(frame(b"slow") + frame(b"not begun"))
    assert handler.begun.wait(60)
    closing = threading.Thread(target=mllp.close)
    closing.start()
    assert idle.answer() == ""
    handler.go.set()
    closing.join(60)
    assert (sender.answer(), sender.answer()) == ("slow", "")


def talks(port: int) -> bool:
    """Whether the listener answers, in one of ten times: on a busy machine this one may be too slow for it itself."""
    for _ in range(10):
        sender = Sender(port)
        with contextlib.suppress(ConnectionError):
            sender.send(frame(b"hello"))
        if sender.answer() == "hello":
            return True
    return False
