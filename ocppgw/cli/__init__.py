"""The ``ocppgw`` command.

Errors a user can act on are one sentence on standard error and exit code 1. Modules
that only some subcommands need are imported by those.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from ocppgw.cli.backup import backup, restore
from ocppgw.cli.check import check, plugins
from ocppgw.cli.check_store import check_store
from ocppgw.cli.pending import pending
from ocppgw.cli.reload import reload
from ocppgw.cli.run import daemon, run
from ocppgw.cli.send import send
from ocppgw.errors import UserError

__all__ = ["cli", "main"]


class Commands(click.Group):
    """Our subcommands, and those of plugins once one is asked for that we do not have."""

    _extended = False

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.commands or cmd_name == "simulate":
            self._extend()
        return super().get_command(ctx, cmd_name)

    def list_commands(self, ctx: click.Context) -> list[str]:
        self._extend()
        return super().list_commands(ctx)

    def _extend(self) -> None:
        if not self._extended:
            from ocppgw.plugins import Plugins

            self._extended = True
            Plugins.load().add_commands(self)


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if not wanted:
        return
    from ocppgw import __version__
    from ocppgw.plugins import Plugins

    click.echo(f"ocppgw {__version__}")
    for state in Plugins.load().describe():
        if not state.built_in:
            click.echo(f"  plugin {state.name} {state.version} ({state.state})")
    ctx.exit()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_version,
    help="Show the version and the installed plugins.",
)
def cli() -> None:
    """A gateway between PLC-driven charging stations and OCPP networks."""


@click.group()
def simulate() -> None:
    """Simulate devices; plugins bring them."""


COMMANDS = (
    run,
    daemon,
    reload,
    check,
    plugins,
    send,
    pending,
    backup,
    restore,
    check_store,
    simulate,
)
for command in COMMANDS:
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line; a :class:`UserError` becomes its sentence and exit code."""
    try:
        cli.main(args=arguments, prog_name="ocppgw")
    except UserError as error:
        click.echo(str(error), err=True)
        sys.exit(error.exit_code)
