"""``ocppgw check-store``: is a store's file whole, and what is in it."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ocppgw.cli.check import FILE

UNREAD, DAMAGED = 1, 3  # exit codes


@click.command(
    "check-store", short_help="Say whether closed stores are whole, and what is in them."
)
@click.argument("files", nargs=-1, type=FILE, metavar="[FILE]...")
@click.option("--config", type=FILE, help="All stores of this configuration file.")
@click.option("--repair", is_flag=True, help="Make all indexes anew from the documents.")
@click.option("--compact", is_flag=True, help="Give the space of removed documents back.")
def check_store(files: tuple[Path, ...], config: Path | None, repair: bool, compact: bool) -> None:
    """Look through stores that no gateway has open: is each whole, and what is in it.

    The exit code is 0 when all are whole, 3 when one is damaged, 1 when one cannot be read.
    """
    from ocppgw.cli.stores import paths_of, sentences

    with sentences():
        paths = paths_of(files, config)
    codes = [_looked_through(path, repair=repair, compact=compact) for path in paths]
    sys.exit(UNREAD if UNREAD in codes else max(codes, default=0))


def _looked_through(path: Path, *, repair: bool, compact: bool) -> int:
    """Tells what is in a store; the exit code that is for it."""
    from ocppgw.storage import StorageError
    from ocppgw.storage.inspect import inspect

    try:
        report = inspect(path, repair=repair, compact=compact)
    except StorageError as error:
        click.echo(str(error), err=True)
        return UNREAD
    click.echo(
        f"{path}: schema {report.schema}, {report.size / 1e6:.1f} MB,"
        f" {report.free / 1e6:.1f} MB of it free"
    )
    for name, count in report.counts.items():
        click.echo(f"  {name}: {count}")
    for problem in report.problems:
        click.echo(f"  DAMAGED: {problem}")
    return DAMAGED if report.problems else 0
