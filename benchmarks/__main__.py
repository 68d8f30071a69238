"""``python -m benchmarks``: measures, and prints the figures beside their targets."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from lxml import etree

from benchmarks import calls, footprint, report, rounds, year
from benchmarks.load import CONNECTIONS, IDENTITIES
from benchmarks.messages import KINDS
from benchmarks.processes import bare, central_system, running

STORE = Path("var")


def main(arguments: list[str] | None = None) -> None:
    """Measures everything; about two minutes with the defaults."""
    options = _options(arguments)
    options.store.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.store, prefix="benchmark-") as name:
        folder = Path(name).resolve()
        print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}; the store is in {folder}")
        print(", ".join(_versions()))
        _requests(folder, options.rounds, options.seconds)
        print("\nOur SOAP client, CPU a Heartbeat call\n", flush=True)
        kept = calls.microseconds("soap", options.calls)
        new = calls.microseconds("closing", options.calls // 4)
        _print(report.calls(kept, new))
        print("\nOur central system at rest\n", flush=True)
        found = footprint.measure(
            folder, connections=options.idle, starts=options.starts, rest=options.rest
        )
        _print(report.footprint(found))


def _requests(folder: Path, count: int, seconds: float) -> None:
    kinds = len(KINDS) * 3
    print(
        f"{CONNECTIONS} connections, medians of {count} rounds of {kinds} slices of {seconds:g} s",
        flush=True,
    )
    servers = [
        bare("web", report.WEB),
        bare("httptools", report.LLHTTP),
        central_system(folder, IDENTITIES),
    ]
    with running(*servers):
        results = rounds.measure(
            servers, KINDS, rounds=count, seconds=seconds, progress=_progress(count)
        )
    print()
    _print(report.requests(results))


def _versions() -> Iterator[str]:
    """What the figures depend on, for whoever records them."""
    yield f"Python {platform.python_version()}"
    yield f"SQLite {sqlite3.sqlite_version}"
    yield f"libxml2 {'.'.join(map(str, etree.LIBXML_VERSION))}"
    for name in ("twisted", "lxml", "msgspec", "httptools"):
        yield f"{name} {importlib.metadata.version(name)}"


def _progress(count: int) -> Callable[[int], None]:
    def show(number: int) -> None:
        text = f"round {number} of {count}" if number else "warming up"
        print(text, file=sys.stderr, flush=True)

    return show


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print(line, flush=True)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="rounds that count (7)")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a slice (1)")
    parser.add_argument("--calls", type=int, default=8000, help="calls of the SOAP client (8000)")
    parser.add_argument("--idle", type=int, default=800, help="idle connections (800)")
    parser.add_argument("--starts", type=int, default=3, help="starts of the central system (3)")
    parser.add_argument("--rest", type=float, default=3.0, help="seconds of rest before memory (3)")
    parser.add_argument(
        "--store", type=Path, default=STORE, help="a folder on the disk to measure (var)"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    if sys.argv[1:2] == ["year"]:
        year.main(sys.argv[2:])
    else:
        main()
