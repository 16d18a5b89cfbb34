"""The program: `carnet COMMAND`. Commands are loaded when they are used, so that help and completion come at once."""

from __future__ import annotations

import importlib
import importlib.util

import click

from server.commands import COMMANDS


class Program(click.Group):
    """The commands of `server.commands.COMMANDS`, by name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name, (module, _) in COMMANDS.items() if importlib.util.find_spec(f"server.commands.{module}")]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        command = importlib.import_module(f"server.commands.{COMMANDS[cmd_name][0]}").command
        assert isinstance(command, click.Command), f"server.commands.{COMMANDS[cmd_name][0]}.command"
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])


def _version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    from server.version import version

    click.echo(f"carnet {version()}")
    ctx.exit()


@click.group(cls=Program, name="carnet", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--version", is_flag=True, expose_value=False, is_eager=True, callback=_version, help="Show the version and exit.")
def program() -> None:
    """Carnet: an IHE XDS.b document registry and repository."""


def main() -> None:
    """The console script. Exit status: 0 done, 1 the work found something wrong, 2 wrong usage or settings."""
    program(prog_name="carnet")


if __name__ == "__main__":
    main()
