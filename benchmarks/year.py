"""``python -m benchmarks year``: what a year of one connector does to a flash card.

The real charge box with its real state file, on the disk, between a simulated PLC and a
central system of a few lines; only the clock is not real: it goes on to the next moment
at which anybody wants to wake, as soon as nobody has anything left to do.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from benchmarks.lives import Busy, Central, HurriedClock, Profile, site

OUTAGE_EVERY = 30  # days; then the central system is away for a day


class Card(msgspec.Struct, frozen=True):
    """A flash card that spreads its wear: bytes, erasures of a cell, and how many bytes it
    writes inside for each that it is told, in small pieces each flushed."""

    size: float
    cycles: int
    amplification: int

    def years(self, bytes_a_year: float) -> float:
        return self.size * self.cycles / (self.amplification * bytes_a_year)


# A good one, and a cheap one at its worst.
CARDS = (Card(8e9, 3000, 20), Card(8e9, 500, 100))


class Used(msgspec.Struct, frozen=True):
    """What the disk has done until now: commits, and bytes handed to the kernel."""

    commits: int
    written: int

    def since(self, earlier: Used) -> Used:
        return Used(self.commits - earlier.commits, self.written - earlier.written)


async def live(path: Path, profile: Profile, days: int, *, tell_every: int) -> None:
    """Lives those days and prints what the store has become and what it took."""
    clock = HurriedClock()
    async with site(path, clock, profile) as there:
        assert clock.store is not None
        before = first = used(clock.store)
        told = 0
        for day in range(days):
            there.central.away = day % OUTAGE_EVERY == OUTAGE_EVERY - 1
            await there.live_through(day, clock)
            lived = day + 1
            if tell_every and (lived % tell_every == 0 or lived == days):
                now = used(clock.store)
                print(row(lived, path, now.since(before), lived - told), flush=True)
                before, told = now, lived
        total = used(clock.store).since(first)
        if tell_every:
            print(row("all", path, total, days))
            for line in meaning(total, days, there.central):
                print(line)


def used(store: Busy) -> Used:
    return Used(store.commits, written())


def written() -> int:
    """Bytes that this process has handed to write calls."""
    text = Path("/proc/self/io").read_text(encoding="ascii")
    return int(re.search(r"wchar: (\d+)", text)[1])  # type: ignore[index]


HEADING = "  day    file, MB    WAL, MB   commits/day   written, MB/day"


def row(day: object, path: Path, took: Used, days: int) -> str:
    file, wal = (each.stat().st_size / 1e6 for each in (path, Path(f"{path}-wal")))
    return (
        f"{day!s:>5}{file:12.2f}{wal:11.2f}{took.commits / days:14.0f}"
        f"{took.written / days / 1e6:18.2f}"
    )


def meaning(total: Used, days: int, central: Central) -> Iterator[str]:
    """In years of a card, by plain arithmetic."""
    yield (
        f"{central.starts} starts, {central.stops} stops, {central.samples} meter values reached"
        " the central system"
    )
    a_year = total.written / days * 365
    yield f"{a_year / 1e9:.1f} GB a year"
    for card in CARDS:
        yield (
            f"a card of {card.size / 1e9:.0f} GB that bears {card.cycles} erasures and writes"
            f" {card.amplification} times what it is told lasts {card.years(a_year):.0f} years"
        )


def flushes(profile: Profile, folder: Path) -> str:
    """How often a day the kernel is told to flush, counted by strace over ten days."""
    if shutil.which("strace") is None:
        return "flushes: strace is not installed"
    few, many = (_traced(profile, folder, days) for days in (3, 13))
    each = {name: (many.get(name, 0) - few.get(name, 0)) / 10 for name in many}
    told = ", ".join(f"{count:.0f} {name}" for name, count in sorted(each.items()))
    return f"a day, counted by strace: {told}"


def _traced(profile: Profile, folder: Path, days: int) -> dict[str, int]:
    counts = folder / f"strace-{days}"
    trace = ["strace", "-f", "--seccomp-bpf", "-qq", "-c", "-o", str(counts)]
    trace += ["-e", "trace=fsync,fdatasync,pwrite64"]
    run = [sys.executable, "-m", "benchmarks", "year", "--quiet", "--days", str(days)]
    run += ["--sample", str(profile.sample), "--keep", str(profile.keep), "--store", str(folder)]
    subprocess.run([*trace, *run], check=True)
    rows = (line.split() for line in counts.read_text(encoding="ascii").splitlines())
    names = {"fsync", "fdatasync", "pwrite64"}
    return {row[-1]: int(row[3]) for row in rows if row and row[-1] in names}


def main(arguments: list[str] | None = None) -> None:
    """Lives through the days, prints a line each so many of them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks year", description=__doc__)
    parser.add_argument("--days", type=int, default=365, help="days to live through (365)")
    parser.add_argument(
        "--sample", type=int, nargs="*", default=[60, 900], help="seconds between samples (60 900)"
    )
    parser.add_argument("--keep", type=int, default=400, help="days to keep sessions (400)")
    parser.add_argument("--store", type=Path, default=Path("var"), help="a folder on the disk")
    parser.add_argument("--quiet", action="store_true", help="print nothing, to be traced")
    options = parser.parse_args(arguments)
    logging.disable()  # the outages are known
    options.store.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.store, prefix="year-") as name:
        folder = Path(name).resolve()
        for sample in options.sample:
            profile = Profile(sample, options.keep)
            path = folder / f"{sample}.db"
            tell_every = 0 if options.quiet else max(1, options.days // 12)
            if tell_every:
                told = f"A sample every {sample} s, sessions kept for {options.keep} days"
                print(f"\n{told}\n\n{HEADING}", flush=True)
            asyncio.run(live(path, profile, options.days, tell_every=tell_every))
            if tell_every:
                print(flushes(profile, folder), flush=True)


if __name__ == "__main__":
    main()
