"""``ocppgw run`` and ``ocppgw daemon``: the gateway in the foreground and as a daemon."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import click

from ocppgw.cli.check import FILE

LEVELS = ("debug", "xml", "info", "warning", "error")


@click.command()
@click.argument("file", type=FILE)
@click.option(
    "--log-level",
    type=click.Choice(LEVELS),
    help="Instead of the file's; xml is info with every SOAP message.",
)
def run(file: Path, log_level: str | None) -> None:
    """Run the gateway of a configuration FILE in the foreground.

    SIGTERM or Ctrl-C ends it in order, with exit code 0. SIGHUP has the file read again,
    as does `ocppgw reload`.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # until the reactor has its own
    _expect_sighup()
    try:
        from ocppgw import runner

        code = runner.foreground(file, log_level=log_level)
    except KeyboardInterrupt:
        code = 0  # told to end before anything ran
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # told once more, it ends as it was about to
    sys.exit(code)


@click.command()
@click.argument("file", type=FILE)
@click.option(
    "--pid-file",
    type=FILE,
    default=Path("ocppgw.pid"),
    show_default=True,
    help="Where the daemon's process id is written.",
)
@click.option(
    "--log-file",
    type=FILE,
    default=Path("ocppgw.log"),
    show_default=True,
    help="Where the daemon logs; SIGUSR1 begins a new one.",
)
def daemon(file: Path, pid_file: Path, log_file: Path) -> None:
    """Run the gateway of a configuration FILE in the background.

    Returns once the ports are bound, with exit code 1 and a sentence if it cannot start.
    """
    from ocppgw import runner

    _expect_sighup()
    sys.exit(runner.background(file, pid_file=pid_file, log_file=log_file))


def _expect_sighup() -> None:
    """One that comes before the gateway listens to it, or after, is not its end: the file is
    about to be read, or no longer matters."""
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, lambda number, frame: None)
