"""Commands through the control socket to a station behind NAT, over real sockets."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ocppgw.cli.pending import pending
from ocppgw.errors import UserError
from ocppgw.ocpp.model import ChangeAvailabilityRequest, HeartbeatRequest
from tests.site.nat import BOOT, Station


@pytest.fixture
def station(running_gateway: Any, central_yaml: str, tmp_path: Path) -> Callable[[], Any]:
    """``async with station() as station``: a central system, and CP-1, which has booted."""

    @asynccontextmanager
    async def run() -> AsyncIterator[Station]:
        async with running_gateway(central_yaml) as gateway:
            station = Station(gateway.port("central_system"), tmp_path)
            await station.says(BOOT)
            yield station

    return run


AWAY = ("CP-1", "ChangeAvailability", "connectorId=1", "type=Inoperative", "--later", "1h30m")


async def test_behind_nat_it_waits_and_is_sent_after_the_next_message(
    station: Any, until: Any
) -> None:
    async with station() as cp:
        kept = await cp.command(*AWAY)
        waiting = await cp.command(by=pending)
        async with cp.reachable():
            await cp.says(HeartbeatRequest())

            async def over() -> Any:
                return "endedAt" in (await cp.ask("GET", "/api/pending?station=CP-1"))[0]

            await until(over)
        done = await cp.command("CP-1", by=pending)
        others = await cp.command("CP-2", by=pending)

    assert kept.exit_code == 0
    assert kept.stdout.startswith("ChangeAvailability: waits as command 1 until 20")
    assert f"127.0.0.1:{cp.port}" in kept.stdout
    said = "ChangeAvailability connectorId=1 type=Inoperative  ("
    assert waiting.stdout.startswith(f"    1  waiting    CP-1  {said}until 20")
    assert [type(request) for request in cp.received] == [ChangeAvailabilityRequest]
    assert done.stdout.startswith(f"    1  done       CP-1  {said}ended 20")
    assert done.stdout.endswith(") Accepted\n")
    assert str(others.exception) == "no station CP-2 is known here"


async def test_a_station_that_has_no_commands_is_told_from_none(station: Any) -> None:
    async with station() as cp:
        none = await cp.command("CP-1", by=pending)
        nobody = await cp.command("NOBODY", by=pending)

    assert none.stdout == "no commands\n"
    assert isinstance(nobody.exception, UserError)
    assert str(nobody.exception) == "no station NOBODY is known here"


async def test_what_did_not_get_through_may_be_kept(station: Any) -> None:
    reset = ("CP-1", "Reset", "type=Soft")
    hint = "; --later 1h would keep it until the station calls"
    async with station() as cp:
        away = await cp.command(*reset)
        stranger = await cp.command("NOBODY", "Reset", "type=Soft")
        nonsense = await cp.command("CP-1", "UnlockConnector", f"connectorId={2**40}")

    assert isinstance(away.exception, UserError)
    assert f"127.0.0.1:{cp.port}" in str(away.exception)
    assert str(away.exception).endswith(hint)
    assert "--later" not in str(stranger.exception)
    assert "cannot be said" in str(nonsense.exception)
    assert "--later" not in str(nonsense.exception)


async def test_what_can_be_reached_is_answered_as_without_later(station: Any) -> None:
    async with station() as cp, cp.reachable():
        done = await cp.command(*AWAY)
        refused = await cp.command("CP-1", "Reset", "type=Soft", "--later", "60s")

    assert (done.exit_code, done.stdout) == (0, "ChangeAvailability: Accepted\n")
    assert (refused.exit_code, refused.stdout) == (3, "Reset: Rejected\n")


async def test_a_waiting_one_is_taken_back(station: Any) -> None:
    async with station() as cp:
        await cp.command(*AWAY)
        cancelled = await cp.command("--cancel", "1", by=pending)
        again = await cp.command("--cancel", "1", by=pending)
        async with cp.reachable():
            await cp.says(HeartbeatRequest())
            (command,) = await cp.ask("GET", "/api/pending?limit=5")

    assert cancelled.stdout == "command 1 is cancelled\n"
    assert isinstance(again.exception, UserError)
    assert command["state"] == "cancelled"
    assert command["by"]
    assert cp.received == []


async def test_a_user_without_a_name_may_command(station: Any, monkeypatch: Any) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)

    def nobody(uid: int) -> Any:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr("pwd.getpwuid", nobody)
    async with station() as cp:
        kept = await cp.command(*AWAY)
        (command,) = await cp.ask("GET", "/api/pending")

    assert kept.exit_code == 0
    assert command["by"] == f"uid {os.getuid()}"


async def test_without_later_nothing_is_kept(station: Any) -> None:
    async with station() as cp:
        failed = await cp.command(*AWAY[:4])

        assert isinstance(failed.exception, UserError)
        assert await cp.ask("GET", "/api/pending") == []


async def test_a_local_list_of_the_users(station: Any) -> None:
    async with station() as cp, cp.reachable():
        expiry, gone = "2999-01-01T00:00:00.000Z", "2001-01-01T00:00:00Z"
        await cp.ask("PUT", "/api/users/B2", {"expiryDate": expiry, "parentIdTag": "FLEET"})
        await cp.ask("PUT", "/api/users/C3", {"status": "blocked"})
        await cp.ask("PUT", "/api/users/D4", {"expiryDate": gone})
        full = ("CP-1", "SendLocalList", "updateType=Full", "listVersion=7", "--users")
        sent = await cp.command(*full)
        both = await cp.command(*full, 'localAuthorisationList=[{"idTag": "X"}]')
        other = await cp.command("CP-1", "Reset", "type=Soft", "--users")

    assert (sent.exit_code, sent.stdout) == (0, "SendLocalList: Accepted\n")
    (request,) = cp.received
    entries = [(entry.id_tag, entry.id_tag_info) for entry in request.local_authorization_list]
    assert [tag for tag, _ in entries] == ["A1", "B2"]
    assert entries[0][1].expiry_date is None
    assert entries[1][1].expiry_date.year == 2999
    assert entries[1][1].parent_id_tag == "FLEET"
    assert "either a list or this" in str(both.exception)
    assert "Reset has no list to fill" in str(other.exception)


@pytest.mark.parametrize("later", ["", "2", "h", "2h30", "-1h", "soon"])
async def test_times_that_are_none(station: Any, later: str) -> None:
    async with station() as cp:
        wrong = await cp.command(*AWAY[:4], f"--later={later}")

    told = f"later: expected a time such as 90s, 30m, 2h or 1d, got `{later}`"
    assert str(wrong.exception) == told


async def test_what_failed_for_good_is_an_error(station: Any) -> None:
    async with station() as cp:
        failed = await cp.command(
            "CP-1", "UnlockConnector", "connectorId=99999999999", "--later=1h"
        )
        (command,) = await cp.ask("GET", "/api/pending")

    assert "command 1 (UnlockConnector) is failed: " in str(failed.exception)
    assert command["state"] == "failed"
