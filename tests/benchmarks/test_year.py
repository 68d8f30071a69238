"""The year is made of real days: what reaches the central system is what the PLC did."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.lives import SESSIONS, HurriedClock, Profile, site
from benchmarks.year import Card, live, used
from ocppgw.chargepoint.box import ChargeBox
from ocppgw.chargepoint.records import SESSIONS as STORED
from ocppgw.storage.file import FileOptions, open_file


async def test_two_days(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    await live(tmp_path / "x.db", Profile(900), 2, tell_every=1)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["1", "2", "all"]
    # 2, 2.5 and 3 hours with a sample each 15 minutes, none at the very end.
    assert lines[3].startswith("6 starts, 6 stops, 54 meter values reached")
    assert lines[4].endswith(" GB a year")
    assert lines[5].startswith("a card of 8 GB that bears 3000 erasures and writes 20 times")


def test_how_long_a_card_lasts() -> None:
    assert Card(size=8e9, cycles=3000, amplification=20).years(8e9) == 150


async def test_a_day_without_the_central_system_is_caught_up(tmp_path: Path) -> None:
    clock = HurriedClock()
    path = tmp_path / "x.db"
    async with site(path, clock, Profile(900)) as there:
        await clock.until(60)
        there.central.away = True
        await there.live_through(0, clock)
        assert there.central.starts == 0
        there.central.away = False
        await there.live_through(1, clock)
        assert there.central.stops == 2 * len(SESSIONS)
        assert clock.store is not None
        assert used(clock.store).commits > 200
    storage = await open_file(FileOptions(path=path), ChargeBox.COLLECTIONS)
    sessions = await storage.find(STORED)
    await storage.close()
    assert len(sessions) == 6
    assert all(session["done"] for session in sessions)
    energies = [session["meter_stop"] - session["meter_start"] for session in sessions]
    # 7.4 kW for 2, 2.5 and 3 hours, less the half minute before the start; twice
    assert sorted(round(energy / 10) for energy in energies) == [1474, 1474, 1844, 1844, 2214, 2214]
