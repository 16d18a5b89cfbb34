"""`carnet conformance`: the homologation kit. Each of its commands is a module of its own, loaded when it is used."""

from __future__ import annotations

import importlib
import importlib.util

import click

#: Name -> module beside this one, one line of help.
_COMMANDS = {
    "run": ("conformance_run", "Perform the cases of the suite against a server."),
    "listen": ("conformance_listen", "Open sandboxes to which a vendor's software sends."),
    "check": ("conformance_check", "Say what is wrong in a captured message, a CDA or an assertion."),
    "cases": ("conformance_cases", "List the cases of the suite and what they prove."),
}


class _Lazy(click.Group):
    """Prints its help without loading its commands; one that is not installed is not listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name in _COMMANDS if _module(name) is not None]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        name = _module(cmd_name)
        if name is None:
            return None
        command = importlib.import_module(name).command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, _COMMANDS[name][1]) for name in self.list_commands(ctx)])


def _module(name: str) -> str | None:
    if name not in _COMMANDS:
        return None
    full = f"server.commands.{_COMMANDS[name][0]}"
    return full if importlib.util.find_spec(full) is not None else None


@click.command("conformance", cls=_Lazy)
def command() -> None:
    """Prove that a server or a client does what the standard asks, and see what to mend."""
