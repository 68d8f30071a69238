"""Reloads in the middle of sessions: none ends by them, also when one is cut by SIGKILL."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from tests.site.counting import everything_counted_once
from tests.site.site import TAG, Site

OTHER_BOX = """
  - identity: SILENT-1
    central_system: {url: "http://127.0.0.1:PORT/Ocpp/CentralSystemService", deadline: 2}
    state: other.db
    plc: {driver: simulator}
"""
OTHER_USER = "{id_tag: OTHER}, "
PHASES = {
    "box": [
        r"box\.yaml is read again",
        r"charge box SITE-1: restarted|charge_point_server: the new settings",
        r"charge box SILENT-1: (it runs now|stopped)",
        r"the reload is done",
    ],
    "central": [
        r"central\.yaml is read again",
        r"central_system: restarted",
        r"the reload is done",
    ],
}


def change(site: Site, name: str) -> None:
    """Writes what the file did not say before: another box or user, other settings."""
    file = site.folder / f"{name}.yaml"
    text = file.read_text()
    if name == "central":
        text = toggled(text, OTHER_USER, "users: [")
    else:
        text = toggled(text, OTHER_BOX.replace("PORT", str(site.central_port)), None)
        text = toggled(text, "    boot_retry_longest: 7\n", "    boot_retry: 0.5\n")
    file.write_text(text)


def toggled(text: str, piece: str, behind: str | None) -> str:
    """The text without the piece if it was there, else with it."""
    if piece in text:
        return text.replace(piece, "")
    return text.replace(behind, behind + piece) if behind is not None else text + piece


async def started(site: Site, name: str) -> None:
    await (site.start_box() if name == "box" else site.start_central())


async def begin(site: Site) -> int:
    """A session that charges; how much the PLC had told before."""
    plc, begin = site.plc, len(site.plc.log)
    plc.do("arrive")
    plc.do("tag", id_tag=TAG)
    await plc.saw("accepted", "answer_start", begin)
    await plc.charge(3)
    return begin


async def finish(site: Site, begin: int) -> None:
    """The end of that session."""
    plc = site.plc
    plc.do("tag", id_tag=TAG)
    await plc.saw("finished", "stop", begin)
    await plc.saw("accepted", "answer_stop", begin)
    plc.do("leave")
    await plc.saw("left", "", begin)


@pytest.mark.slow
async def test_sessions_go_on_while_both_are_reloaded(tmp_path: Path) -> None:
    async with Site(tmp_path) as site:
        begun = await begin(site)
        for name in ("box", "central", "box", "central"):
            program = site.programs[name]
            seen = len(program.console)
            change(site, name)
            program.hang_up()
            await program.says("the reload is done", seen)
            await site.plc.charge(3)
        await finish(site, begun)

        begun = len(site.plc.log)  # reloads while the session begins and ends
        reloads = asyncio.ensure_future(reload_again_and_again(site))
        try:
            await finish(site, await begin(site))
        finally:
            reloads.cancel()
            await asyncio.gather(reloads, return_exceptions=True)
        await everything_counted_once(site, sessions=2)
        for name in ("box", "central"):
            assert "Traceback" not in site.console(name)
            assert " failed" not in site.console(name)


async def reload_again_and_again(site: Site) -> None:
    while True:
        for name in ("box", "central"):
            seen = len(site.console(name))
            change(site, name)
            site.programs[name].hang_up()
            await site.programs[name].says("the reload is done", seen)
            await asyncio.sleep(0.3)


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["box", "central"])
async def test_killed_in_the_middle_of_a_reload(tmp_path: Path, victim: str) -> None:
    chance = random.Random()
    async with Site(tmp_path) as site:
        begun = await begin(site)
        for phase in (*PHASES[victim], None, None, None):
            program = site.programs[victim]
            seen = len(program.console)
            change(site, victim)
            program.hang_up()
            if phase is not None:
                await program.says(phase, seen)
            else:
                await asyncio.sleep(chance.uniform(0, 0.3))
            program.kill()
            await started(site, victim)
            await site.plc.charge(2)
        await finish(site, begun)
        await everything_counted_once(site, sessions=1)
