"""How much of everything one request may bring (docs/wire.md).

The server's settings fill this; the defaults are those of the documentation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

KB = 1024
MB = 1024 * KB
GB = 1024 * MB


@dataclass(frozen=True, slots=True)
class Limits:
    """Octets unless another unit is named. A request over one of them ends in a Sender fault that names it."""

    root: int = 2 * MB
    """XML of the envelope, inline documents not counted."""
    depth: int = 96
    """Levels of elements (count); a submission has 10."""
    elements: int = 400_000
    """Elements of the envelope (count)."""
    attributes: int = 64
    """Attributes of one element (count)."""
    inline: int = 32 * MB
    """All documents of one message that came as inline base64 together, decoded."""
    memory: int = 64 * KB
    """A part up to this size stays in memory; a larger one goes to a staging file."""
    memory_total: int = 16 * MB
    """All parts of one message that are held in memory together; beyond it small parts go to files too."""
    part: int = 4 * GB
    """One MIME part."""
    total: int = 8 * GB
    """The whole request body."""
    parts: int = 1024
    """MIME parts of one package, the root part included (count)."""
    part_header: int = 8 * KB
    """All header lines of one MIME part."""
    part_header_lines: int = 32
    """Header fields of one MIME part (count)."""
    preamble: int = 16 * KB
    """What stands before the first boundary."""
    epilogue: int = 64 * KB
    """What stands after the closing boundary."""
    expansion: int = 100
    """A compressed body may grow by this factor (ratio), and never over `root` + 4/3 of `inline` or `total`."""
    receive_seconds: float = 600.0
    """From the first octet to the last."""
    working: int = 32
    """Understood requests whose transaction runs at once (count); over it XDSRegistryBusy or XDSRepositoryBusy."""
    working_wait: float = 2.0
    """Seconds that an understood request waits for its turn."""
    retry_after: int = 5
    """Seconds named in Retry-After."""

    def strict(self) -> Limits:
        """Those of the strict profile: narrower wherever nobody has chosen another value."""
        chosen = {name: value for name, value in STRICT.items() if getattr(self, name) == getattr(_DEFAULT, name)}
        return replace(self, **chosen)


_DEFAULT = Limits()
#: Limits of the strict profile, by field.
STRICT = {"parts": 64, "part_header": 4 * KB, "part_header_lines": 16, "preamble": 1 * KB}
