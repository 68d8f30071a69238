"""``ocppgw backup`` and ``ocppgw restore``: the stores in one archive, and put back."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path

import click

from ocppgw.cli.check import FILE


@click.command()
@click.argument("target", type=FILE)
@click.option("--config", type=FILE, help="The gateway's configuration file.")
@click.option("--socket", type=FILE, help="The control socket of the running gateway.")
def backup(target: Path, config: Path | None, socket: Path | None) -> None:
    """Write a backup of all stores to TARGET, a new tar file.

    A gateway that runs goes on meanwhile; it is found as by `ocppgw send`. While none
    runs, --config says which stores there are.

    The archive holds secrets and tags: keep it as safe as the stores.
    """
    from ocppgw.cli.stores import keeper, sentences

    with sentences():
        manifest = keeper(config, socket).backup(target.absolute())
    for copied in manifest.stores:
        click.echo(f"{copied.name}: {copied.size / 1e6:.1f} MB")
    click.echo(f"{target}: written and checked")


@click.command()
@click.argument("archive", type=FILE)
@click.option("--config", type=FILE, help="The gateway's configuration file.")
@click.option("--socket", type=FILE, help="The control socket of the running gateway.")
@click.option("--only", multiple=True, metavar="NAME", help="A store to restore; may be repeated.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def restore(
    archive: Path, config: Path | None, socket: Path | None, only: tuple[str, ...], yes: bool
) -> None:
    """Put the stores of ARCHIVE in the place of those there are.

    A gateway that runs stops what uses a store for that moment. The stores of now stay
    beside the restored ones, as NAME.before-restore-TIME. Killed in the middle, each
    store is the old one or the restored one, whole; restore again.
    """
    from ocppgw.cli.stores import keeper, sentences
    from ocppgw.storage.backup import read

    with sentences():
        manifest = read(archive)
        for name in only:
            manifest.copy_of(name)
        who = keeper(config, socket)
        names = only or tuple(copied.name for copied in manifest.stores)
        made_at = manifest.made_at.astimezone(UTC)
        written = f"written {made_at:%Y-%m-%d %H:%M:%S} UTC by ocppgw {manifest.ocppgw}"
        click.echo(f"{archive}: {written}, whole")
        if not yes:
            click.confirm(f"Replace {', '.join(names)} by what they were then?", abort=True)
        who.restore(archive.absolute(), names)
    for name in names:
        click.echo(f"{name}: restored")
