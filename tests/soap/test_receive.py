"""The octets of a request: lengths, times and compressed bodies."""

from __future__ import annotations

import gzip
import io
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soap.call import Note
from soap.fault import Fault
from soap.limits import Limits
from soap.receive import Body
from soap.wire import Wire


def body(data: bytes, limits: Limits | None = None, **environ: str | None) -> Body:
    values: dict[str, Any] = {"wsgi.input": io.BytesIO(data), "CONTENT_LENGTH": str(len(data)), **environ}
    return Body({k: v for k, v in values.items() if v is not None}, Wire(), limits or Limits(), [])


def whole(body: Body, size: int = 7) -> bytes:
    pieces = []
    while piece := body.read(size):
        assert len(piece) <= size
        pieces.append(piece)
    return b"".join(pieces)


def refused(*args: Any, **environ: Any) -> Fault:
    with pytest.raises(Fault) as caught:
        whole(body(*args, **environ), 65536)
    return caught.value


def test_length() -> None:
    assert whole(body(b"x" * 100)) == b"x" * 100
    assert whole(body(b"x" * 100, CONTENT_LENGTH="30")) == b"x" * 30
    assert whole(body(b"ignored", CONTENT_LENGTH=None)) == b""
    assert whole(body(b"chunks", CONTENT_LENGTH=None, HTTP_TRANSFER_ENCODING="Chunked")) == b"chunks"
    assert "100 octets came, Content-Length is 101" in refused(b"x" * 100, CONTENT_LENGTH="101").reason


@pytest.mark.parametrize("length", ["-1", "+1", "1_0", "0x1", "1 1", "1,1", "٣", "9" * 19])
def test_a_length_that_is_no_number(length: str) -> None:
    assert refused(b"x", CONTENT_LENGTH=length).rule == "WIRE-002-two"


def test_too_large_is_refused_before_anything_is_read() -> None:
    class Untouched:
        def read(self, n: int) -> bytes:
            raise AssertionError("read")

    with pytest.raises(Fault) as caught:
        Body({"wsgi.input": Untouched(), "CONTENT_LENGTH": "11"}, Wire(), Limits(total=10), [])
    assert caught.value.status == 413
    assert refused(b"x" * 11, Limits(total=10), CONTENT_LENGTH=None, HTTP_TRANSFER_ENCODING="chunked").status == 413


def test_too_slow() -> None:
    assert refused(b"x", Limits(receive_seconds=-1)).status == 408


@pytest.mark.parametrize("error", [ConnectionResetError(), EOFError(), TimeoutError()])
def test_a_connection_that_dies(error: Exception) -> None:
    class Dying:
        def read(self, n: int) -> bytes:
            raise error

    with pytest.raises(Fault) as caught:
        Body({"wsgi.input": Dying(), "CONTENT_LENGTH": "11"}, Wire(), Limits(), []).read(5)
    assert caught.value.rule == "WIRE-027"


@given(data=st.binary(max_size=3000), size=st.integers(1, 5000), coding=st.sampled_from(["gzip", "x-gzip", "deflate", "bare"]))
def test_compressed(data: bytes, size: int, coding: str) -> None:
    packed = gzip.compress(data) if "gzip" in coding else zlib.compress(data)[2:-4] if coding == "bare" else zlib.compress(data)
    one = body(packed, HTTP_CONTENT_ENCODING="deflate" if coding == "bare" else coding)
    assert whole(one, size) == data
    assert one.received == len(packed)


@pytest.mark.parametrize("cut", [1, 5, 9, 20])
def test_compressed_and_cut(cut: int) -> None:
    assert refused(gzip.compress(b"hello" * 100)[:-cut], HTTP_CONTENT_ENCODING="gzip").rule == "WIRE-027"


def test_a_bomb_stops_early() -> None:
    packed = gzip.compress(bytes(100_000_000), 9)
    one = body(packed, HTTP_CONTENT_ENCODING="gzip")
    out = 0
    with pytest.raises(Fault) as caught:
        while piece := one.read(65536):
            out += len(piece)
    assert caught.value.rule == "WIRE-004-bomb"
    assert out <= 100 * 65536 * 2


def test_what_is_left_is_drained_when_it_is_little() -> None:
    for size, drained in ((1000, True), (1024 * 1024, True), (3 * 1024 * 1024, False)):
        stream = io.BytesIO(bytes(size))
        one = Body({"wsgi.input": stream, "CONTENT_LENGTH": str(size)}, Wire(), Limits(), [Note("a", "b")])
        one.read(10)
        one.drain()
        assert (stream.tell() == size) == drained
