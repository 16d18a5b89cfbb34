"""What only the HTTP server can show: interim answers, HTTP/1.0, header spellings, a connection that breaks."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from tests.server_process import ServerProcess
from tests.soap.messages import mtom, plain
from tests.soap.raw_http import SECONDS, ask, kept, receive, request


def test_expect_continue(server: ServerProcess) -> None:
    """WIRE-001: 100 before the body, then the answer."""
    sent = plain()
    octets = request(sent.path, sent.content_type, sent.body, Expect="100-continue")
    head, body = octets[: -len(sent.body)], sent.body
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname or "", address.port or 80), SECONDS) as connection:
        connection.sendall(head)
        connection.settimeout(SECONDS)
        interim = connection.recv(100)
        assert interim.startswith(b"HTTP/1.1 100 ")
        connection.sendall(body)
        answer = receive(connection)
    assert (answer.status, answer.outcome) == (200, "Success")


def test_a_body_that_is_not_wanted_is_not_asked_for(server: ServerProcess) -> None:
    """WIRE-001: 413 at once, without 100, and the connection is closed; the same for an address where nothing is served."""
    address = urlsplit(server.url)
    for path, length, status in (("/xds/iti41", 10**13, 413), ("/xds/nothing", 10**7, 404)):
        head = (
            f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/soap+xml\r\n"
            f"Content-Length: {length}\r\nExpect: 100-continue\r\n\r\n"
        )
        with socket.create_connection((address.hostname or "", address.port or 80), SECONDS) as connection:
            connection.settimeout(SECONDS)
            connection.sendall(head.encode())
            octets = b""
            while piece := connection.recv(65536):
                octets += piece
        assert octets.startswith(f"HTTP/1.1 {status} ".encode()), octets[:200]
        assert b" 100 " not in octets[:100]


def test_http_1_0(server: ServerProcess) -> None:
    """WIRE-003: HTTP/1.0, and Connection: close."""
    sent = plain()
    octets = request(sent.path, sent.content_type, sent.body).replace(b"HTTP/1.1", b"HTTP/1.0", 1)
    assert ask(server.url, octets).outcome == "Success"
    answer = ask(server.url, request(sent.path, sent.content_type, sent.body, Connection="close"))
    assert (answer.outcome, answer.headers["connection"]) == ("Success", "close")


def test_header_names_in_any_case(server: ServerProcess) -> None:
    """WIRE-007, on the HTTP header."""
    sent = plain()
    octets = request(sent.path, sent.content_type, sent.body).replace(b"Content-", b"cONTENT-")
    assert ask(server.url, octets).outcome == "Success"


def test_cut_at_every_part_of_its_length(server: ServerProcess) -> None:
    """An upload cut anywhere stores nothing and leaves no staging file."""
    sent = mtom(document=bytes(range(256)) * 1024)
    octets = request(sent.path, sent.content_type, sent.body)
    head = len(octets) - len(sent.body)
    before = kept(server.data)
    for twentieth in range(20):
        cut = head + len(sent.body) * twentieth // 20
        answer = ask(server.url, octets[:cut], close_after=True)
        assert answer.status in (0, 400)
        if answer.status:
            assert answer.outcome == "WIRE-027"
    assert kept(server.data) == before
    assert ask(server.url, request(plain().path, plain().content_type, plain().body)).outcome == "Success"


def test_many_messages_on_one_connection(server: ServerProcess) -> None:
    """A refused message does not spoil the next one on its connection."""
    address = urlsplit(server.url)
    good = request(plain().path, plain().content_type, plain().body)
    bad = request(plain().path, "application/json", b"{" * 100_000)
    with socket.create_connection((address.hostname or "", address.port or 80), SECONDS) as connection:
        connection.settimeout(SECONDS)
        outcomes = []
        for octets in (good, bad, good):
            connection.sendall(octets)
            outcomes.append(receive(connection).outcome)
    assert outcomes == ["Success", "WIRE-022-type", "Success"]
