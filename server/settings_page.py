"""`docs/settings.md`, made from the table of settings (`carnet config --markdown`)."""

from __future__ import annotations

import inspect
import json

from server.settings import GROUPS, TABLE, Row

_HEAD = """# Settings

This page is made from the table in `server/settings.py`: `./carnet config --markdown > docs/settings.md`.

A value comes from, in rising order of precedence:

1. the default;
2. the file `carnet.toml` of the working folder, or the one named by `--config FILE`: a group in brackets, its keys below it;
3. the environment: `CARNET_` + group + `_` + key in capitals, for example `CARNET_SERVER_PORT=8081`;
4. the command line: `--set server.port=8081`, or the option that a command has for it (`--port 8081`).

```toml
[server]
port = 8081

[store]
data = "/var/lib/carnet"
```

A key that does not exist or a value that is not accepted stops the program at its start, with the place, the key and what is
accepted. `./carnet config` prints every setting, its value and where it came from.
"""


def settings_page() -> str:
    """The whole page, in Markdown."""
    return "\n".join([_HEAD, *(_group(name, group) for name, group in GROUPS.items())]).rstrip() + "\n"


def _group(name: str, group: type) -> str:
    rows = [row for row in TABLE.values() if row.key.startswith(f"{name}.")]
    lines = [f"## {name}", "", inspect.getdoc(group) or "", "", "| key | default | accepted | meaning |", "|---|---|---|---|"]
    lines += [f"| `{row.key}` | {_value(row)} | {_accepted(row)} | {_cell(row.meaning)} |" for row in rows]
    return "\n".join([*lines, ""])


def _value(row: Row) -> str:
    shown = json.dumps(row.default)
    readable = _bytes(row.default) if row.unit.startswith("bytes") else ""
    return f"`{shown}` ({readable})" if readable else f"`{shown}`"


def _bytes(count: int) -> str:
    """A whole number of a larger unit, where it is one."""
    for unit, size in (("GB", 1 << 30), ("MB", 1 << 20), ("kB", 1 << 10)):
        if count and count % size == 0:
            return f"{count // size} {unit}"
    return ""


def _accepted(row: Row) -> str:
    return _cell(row.accepted())


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
