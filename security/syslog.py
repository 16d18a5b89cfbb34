"""ITI-20 as syslog over TLS: RFC 5424 messages, counted octets (RFC 5425), and batches whose arrival is certain.

(ITI TF-2: 3.20.4.1.) Syslog has no acknowledgement: what a send call has taken may be lost with the receiver. So a batch
travels on a connection of its own; when all is written our side says that it ends (close_notify of TLS) and waits for the
receiver to say the same. A receiver says so when it has read everything, and one that was killed cannot say it any more, while
the end of its TCP connection (FIN) looks the same for both. Whatever else happens leaves the batch in doubt, and it is sent
again, the same octets under the same PROCID. A receiver that never says close_notify can be taken by its FIN (`Receiver.fin`),
which is less certain.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass

from security.audit_message import instant

MESSAGE_ID = "IHE+RFC-3881"
#: Facility 10 (security), severity 5 (notice); 4 (warning) for what has failed.
NOTICE, WARNING = 85, 84
#: What a header field must not hold; the brackets of a priority neither.
_UNPRINTABLE = re.compile(r"[^\x21-\x7e]|[<>]")
_HEADER = re.compile(rb"<(8[45])>1 (\S{1,40}) (\S{1,255}) (\S{1,48}) (\S{1,128}) (\S{1,32}) - ")


class NotDelivered(Exception):
    """It is not certain that the receiver has read the batch; the text says why."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """An Audit Record Repository. `authorities` is a file of PEM certificates; `certificate` and `key` are ours, where it asks.

    `seconds`: longest wait for the connection, for each write, and for the receiver's end. `fin`: the end of the TCP connection
    is enough.
    """

    host: str
    port: int
    authorities: str
    certificate: str = ""
    key: str = ""
    seconds: float = 10.0
    fin: bool = False

    def context(self) -> ssl.SSLContext:
        """TLS 1.2 or later, the receiver's name checked. OSError (ssl.SSLError) for files that cannot be used."""
        context = ssl.create_default_context(cafile=self.authorities or None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.certificate:
            context.load_cert_chain(self.certificate, self.key or None)
        return context


def build_syslog(message: bytes, *, at: int, host: str, id: str, severity: int = NOTICE) -> bytes:
    """One RFC 5424 message. `at` is milliseconds since 1970; `id`, the stable name of the record, stands as PROCID."""
    head = f"<{severity}>1 {instant(at)} {_field(host, 255)} carnet {_field(id, 128)} {MESSAGE_ID} - "
    return head.encode("ascii") + message


def header(octets: bytes) -> tuple[int, str, str]:
    """Priority, PROCID and MSGID of a message of ours. ValueError when it is none."""
    match = _HEADER.match(octets)
    if match is None:
        raise ValueError(f"no syslog message of ours: {octets[:80]!r}")
    return int(match[1]), match[5].decode(), match[6].decode()


def framed(messages: Iterable[bytes]) -> bytes:
    """RFC 5425: each message behind its length and a blank."""
    return b"".join(b"%d %s" % (len(one), one) for one in messages)


def deliver(receiver: Receiver, context: ssl.SSLContext, messages: Iterable[bytes]) -> None:
    """Send a batch and return when the receiver has read all of it. Raises NotDelivered."""
    try:
        with socket.create_connection((receiver.host, receiver.port), receiver.seconds) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with context.wrap_socket(connection, server_hostname=receiver.host) as secure:
                secure.settimeout(receiver.seconds)
                secure.sendall(framed(messages))
                _end(secure, receiver.fin)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise NotDelivered(f"{receiver.host}:{receiver.port}: {error or type(error).__name__}") from error


def _end(secure: ssl.SSLSocket, fin: bool) -> None:
    """Say that we end, and see the receiver end. OSError when it does so in another way, or not in time."""
    try:
        secure.unwrap().close()  # sends close_notify, and waits for the receiver's
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
        if not fin:
            raise ConnectionError(
                "the receiver ended without close_notify: it may have died before it read everything; where it always ends so, "
                "set audit.syslog_end = fin"
            ) from None


def _field(value: str, longest: int) -> str:
    """A header field of RFC 5424: printable ASCII without blanks, `-` for none."""
    return _UNPRINTABLE.sub("_", value)[:longest] or "-"
