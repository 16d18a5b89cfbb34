"""The door of a server that stops: whom the kernel has let in is served, nobody else is let in."""

from __future__ import annotations

import contextlib
import ctypes
import socket
import struct
import sys
import time

#: A packet filter: a TCP segment with SYN (flags are octet 13 of its header) is dropped, everything else passes.
_NO_SYN = struct.pack("HBBI" * 4, *(0x30, 0, 0, 13), *(0x45, 0, 1, 0x02), *(0x06, 0, 0, 0), *(0x06, 0, 0, 0xFFFFFFFF))
_SO_ATTACH_FILTER = 26
#: How long a handshake that had begun is waited for.
_HANDSHAKE_SECONDS = 0.02


def let_nobody_in(listener: socket.socket) -> None:
    """From now on the kernel begins no connection, while those that it has begun are finished and may be accepted.

    Without it a client that comes between the last accept() and close() is let in, and reset.
    """
    if sys.platform != "linux" or listener.family not in (socket.AF_INET, socket.AF_INET6):
        return
    code = ctypes.create_string_buffer(_NO_SYN)
    with contextlib.suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(_NO_SYN) // 8, ctypes.addressof(code)))
        time.sleep(_HANDSHAKE_SECONDS)
