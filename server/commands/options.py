"""The options by which commands take settings, and how an error of the settings ends a command."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from server.settings import TABLE, SettingError, Settings, load

F = TypeVar("F", bound=Callable[..., Any])

#: Option -> the setting it sets. `--config` and `--set` come with every use.
OPTIONS: dict[str, str] = {
    "data": "store.data",
    "host": "server.host",
    "port": "server.port",
    "database": "store.database",
    "workers": "server.workers",
    "role": "role.role",
    "registry": "role.registry_url",
    "patients": "domain.patients",
    "mllp_port": "mllp.port",
    "socket": "server.socket",
    "pki": "security.pki",
    "secure": "security.secure",
}
_METAVAR = {
    "data": "DIR", "host": "ADDRESS", "port": "PORT", "database": "URL", "workers": "N", "registry": "URL", "mllp_port": "PORT",
    "socket": "PATH", "pki": "DIR",
}  # fmt: skip


class UsageError(click.ClickException):
    """What is wrong stands in the command line, the environment or the settings file: exit status 2."""

    exit_code = 2


def takes_settings(*names: str) -> Callable[[F], F]:
    """Gives a command the options `names`, `--config FILE` and `--set group.key=value`; `settings_of` reads them."""

    def decorate(function: F) -> F:
        about = "Set any setting that `carnet config` shows; repeatable."
        function = click.option("--set", "changes", multiple=True, metavar="GROUP.KEY=VALUE", help=about)(function)
        function = click.option("--config", metavar="FILE", help="Settings file (default: carnet.toml here, when there is one).")(
            function
        )
        for name in reversed(names):
            row = TABLE[OPTIONS[name]]
            if row.type is bool:
                about = f"{row.meaning} ({row.key})."
                function = click.option(f"--{name}", is_flag=True, default=None, flag_value=True, help=about)(function)
                continue
            shown = _METAVAR.get(name) or "|".join(row.choices)
            function = click.option(f"--{name.replace('_', '-')}", metavar=shown, help=f"{row.meaning} ({row.key}).")(function)
        return function

    return decorate


def settings_of(given: Mapping[str, Any]) -> Settings:
    """The settings in force for the keyword arguments of a command decorated by `takes_settings`."""
    options: dict[str, Any] = {OPTIONS[name]: value for name, value in given.items() if name in OPTIONS}
    for change in given.get("changes", ()):
        key, equals, value = change.partition("=")
        if not equals:
            raise UsageError(f"--set {change}: expected group.key=value, for example --set server.port=8081")
        options[key.strip()] = value
    try:
        return load(given.get("config"), options)
    except SettingError as error:
        raise UsageError(str(error)) from None
