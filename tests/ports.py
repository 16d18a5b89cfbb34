"""Ports of this machine, for programs that cannot be told to take any that is free (port 0)."""

from __future__ import annotations

import functools
import random
import socket

#: Below the ports that the kernel gives to connections and to who asks for any (net.ipv4.ip_local_port_range): what is looked at
#: here and taken a moment later is not taken by another test's connection meanwhile.
_PORTS = range(12_000, 32_000)
_draw = random.SystemRandom()


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens and that nobody is given by chance."""
    while True:
        port = _draw.choice(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


@functools.cache
def deaf_port() -> int:
    """A port of 127.0.0.1 on which nobody listens as long as the tests run: it is taken, and refuses whoever comes."""
    _taken.bind(("127.0.0.1", 0))
    return int(_taken.getsockname()[1])


_taken = socket.socket()
