"""``ocppgw check`` and ``ocppgw plugins``: what a configuration and an installation are."""

from __future__ import annotations

import logging
from pathlib import Path

import click

FILE = click.Path(path_type=Path)


@click.command(short_help="Check a configuration FILE and all that it names.")
@click.argument("file", type=FILE)
def check(file: Path) -> None:
    """Check a configuration FILE and everything it names; start nothing."""
    from ocppgw import config
    from ocppgw.clock import SystemClock
    from ocppgw.gateway.boxes import plans_of

    configuration, plugins = config.load(file, certificates=True)
    plans_of(configuration, plugins, SystemClock())
    settings = configuration.settings
    parts = ["a central system"] if settings.central_system is not None else []
    parts += [f"charge box {box.identity}" for box in settings.charge_boxes]
    click.echo(f"{file}: in order: {', '.join(parts)}")


@click.command()
@click.option("--config", "file", type=FILE, help="Block what this configuration file blocks.")
def plugins(file: Path | None) -> None:
    """List the plugins: name, version, state, hooks."""
    from ocppgw import yaml_lines
    from ocppgw.config import load_plugins
    from ocppgw.tree import Node

    logging.disable(logging.ERROR)  # what fails is in the list
    root = yaml_lines.load(file)[0] if file is not None else Node({})
    loaded = load_plugins(root)
    loaded.storage_backends()  # the hooks that need no running gateway are asked:
    loaded.plc_drivers()  # one that raises shows here as it will at the start
    for state in loaded.describe():
        origin = "built-in" if state.built_in else state.version
        told = ", ".join(state.hooks) if state.why is None else state.why
        click.echo(f"{state.name:<16} {origin:<10} {state.state:<8} {told}")
