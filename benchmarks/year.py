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
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from ocppgw.chargepoint import handlers
from ocppgw.chargepoint.box import ChargeBox
from ocppgw.chargepoint.settings import ChargeBoxSettings
from ocppgw.link import Unreachable
from ocppgw.ocpp import enums as e
from ocppgw.ocpp import model as m
from ocppgw.ocpp.operations import Direction, by_request
from ocppgw.plc.simulated import SimulatedPlc, SimulatorOptions
from ocppgw.plc.simulator import SimulatorDriver
from ocppgw.storage.base import Change, Collection, Document, Key
from ocppgw.storage.file import FileOptions, FileStorage, open_file
from ocppgw.testing.clock import FakeClock

HOUR = 3600.0
DAY = 24 * HOUR
BEGINS = datetime(2026, 1, 1, tzinfo=UTC)
SESSIONS = ((7.0, 2.0), (12.0, 2.5), (18.0, 3.0))  # hour of the day, hours it takes
OUTAGE_EVERY = 30  # days; then the central system is away for a day
TAG = "04A1B2C3"


class Profile(msgspec.Struct, frozen=True):
    """What is measured how often, in seconds; sessions are kept for ``keep`` days."""

    sample: int
    keep: int = 400
    heartbeat: int = 300
    poll: float = 30.0
    power: float = 7400.0


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


class Central:
    """Answers at once, unless it is away."""

    def __init__(self, clock: FakeClock, profile: Profile) -> None:
        self._clock = clock
        self._heartbeat = profile.heartbeat
        self.away = False
        self.starts = self.stops = self.samples = 0

    async def call(self, request: m.Request, deadline: float) -> m.Response:
        if self.away:
            raise Unreachable("nobody listens")
        accepted = m.IdTagInfo(status=e.AuthorizationStatus.ACCEPTED)
        match request:
            case m.BootNotificationRequest():
                return m.BootNotificationResponse(
                    status=e.RegistrationStatus.ACCEPTED,
                    current_time=self._clock.now(),
                    interval=self._heartbeat,
                )
            case m.HeartbeatRequest():
                return m.HeartbeatResponse(current_time=self._clock.now())
            case m.AuthorizeRequest():
                return m.AuthorizeResponse(id_tag_info=accepted)
            case m.StartTransactionRequest():
                self.starts += 1
                return m.StartTransactionResponse(transaction_id=self.starts, id_tag_info=accepted)
            case m.StopTransactionRequest():
                self.stops += 1
            case m.MeterValuesRequest():
                self.samples += 1
        return by_request(Direction.TO_CENTRAL_SYSTEM, type(request)).response()


class Busy:
    """A store that counts: commits, and what is still being done."""

    def __init__(self, store: FileStorage) -> None:
        self._store = store
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.commits = 0

    async def idle(self) -> None:
        await self._idle.wait()

    @property
    def at_rest(self) -> bool:
        return self._idle.is_set()

    async def commit(self, *changes: Change) -> None:
        self.commits += 1
        await self._counted(self._store.commit(*changes))

    async def get(self, collection: Collection, key: Key) -> Document | None:
        return await self._counted(self._store.get(collection, key))

    async def find(
        self, collection: Collection, where: Mapping[str, Any] | None = None, **how: Any
    ) -> list[Document]:
        return await self._counted(self._store.find(collection, where, **how))

    async def next_number(self, sequence: str) -> int:
        return await self._counted(self._store.next_number(sequence))

    async def prune(self, now: datetime) -> int:
        return await self._counted(self._store.prune(now))

    async def _counted(self, work: Any) -> Any:
        self._under_way += 1
        self._idle.clear()
        try:
            return await work
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()


class HurriedClock(FakeClock):
    """Does not wait for anybody to have slept, only for all to have done their work."""

    def __init__(self) -> None:
        super().__init__(BEGINS)
        self.store: Busy | None = None

    async def until(self, seconds: float) -> None:
        """Lives on to that many seconds after the beginning."""
        while True:
            await self._settled()
            if not self.wake_next(seconds):
                break
        self._move_to(seconds)

    async def _settled(self) -> None:
        assert self.store is not None
        # asyncio's own list of what can run: a number of turns would be a guess, and slow.
        ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]
        while True:
            await asyncio.sleep(0)
            if ready:
                continue
            if self.store.at_rest:
                return
            await self.store.idle()


class Site:
    """The box, its PLC, and the people who come and go."""

    def __init__(self, box: ChargeBox, plc: SimulatedPlc, central: Central) -> None:
        self.box = box
        self.plc = plc
        self.central = central

    async def live_through(self, day: int, clock: HurriedClock) -> None:
        """One day with its sessions."""
        for hour, hours in SESSIONS:
            begin = day * DAY + hour * HOUR
            await clock.until(begin)
            self.plc.arrive(1)
            self.plc.present_tag(1, TAG)
            await clock.until(begin + 30)
            self.plc.start(1, TAG)
            await clock.until(begin + hours * HOUR)
            self.plc.stop(1)
            await clock.until(begin + hours * HOUR + 60)
            self.plc.leave(1)
        await clock.until((day + 1) * DAY)


@asynccontextmanager
async def site(path: Path, clock: HurriedClock, profile: Profile) -> AsyncIterator[Site]:
    """Everything started, with its store at that path."""
    settings = msgspec.convert(
        {
            "identity": "YEAR-1",
            "central_system": {"url": "http://127.0.0.1:9220/Ocpp/CentralSystemService"},
            "state": str(path),
            "plc": {"driver": "simulator"},
            "keep_sessions_days": profile.keep,
            "configuration": {"MeterValueSampleInterval": profile.sample},
        },
        ChargeBoxSettings,
    )
    store = await open_file(FileOptions(path=path), ChargeBox.collections(settings))
    clock.store = Busy(store)
    plc = SimulatedPlc(1, clock, SimulatorOptions(power=profile.power, poll=profile.poll))
    central = Central(clock, profile)
    box = ChargeBox(
        settings,
        storage=clock.store,  # type: ignore[arg-type]  # as much of one as a box needs
        clock=clock,
        http=None,  # type: ignore[arg-type]  # the peer stands for it
        driver=SimulatorDriver(plc),
        own_address=lambda: "http://127.0.0.1:9000/Ocpp/ChargePointService",
        observe=lambda _: None,
        options=lambda _, options_type: options_type(),
        peer=central,
        jitter=lambda: 1.0,
    )
    own = handlers.ocppgw_charge_point_handlers(box.context)
    box.use({kind: [("chargepoint", handler)] for kind, handler in own.items()})
    await box.start()
    try:
        yield Site(box, plc, central)
    finally:
        await box.stop()
        await store.close()


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
