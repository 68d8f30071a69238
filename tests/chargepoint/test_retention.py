"""How long a charge box keeps what is over."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from ocppgw.chargepoint.box import ChargeBox
from ocppgw.chargepoint.records import SESSIONS
from ocppgw.chargepoint.settings import ChargeBoxSettings
from ocppgw.storage.base import Collection


def test_sessions_are_kept_as_long_as_the_settings_say(make_world) -> None:
    settings = make_world().settings
    default = ChargeBox.collections(settings)
    shorter = ChargeBox.collections(msgspec.structs.replace(settings, keep_sessions_days=30))

    def retention(collections: tuple[Collection, ...]) -> dict[str, timedelta | None]:
        return {each.name: each.retention for each in collections}

    assert retention(default) == retention(ChargeBox.COLLECTIONS)
    assert retention(default)[SESSIONS.name] == timedelta(days=400)
    assert retention(shorter) == {
        **retention(default),
        SESSIONS.name: timedelta(days=30),
    }


def test_a_time_that_no_calendar_has_is_refused(make_world) -> None:
    plain = msgspec.to_builtins(make_world().settings)
    with pytest.raises(msgspec.ValidationError, match=r"<= 36500.*keep_sessions_days"):
        msgspec.convert({**plain, "keep_sessions_days": 10_000_000}, ChargeBoxSettings)


async def test_a_box_that_is_restarted_forgets_old_sessions_at_once(world) -> None:
    await world.start()
    await world.clock.advance(5)
    await world.session()
    assert len(await world.storage.find(SESSIONS)) == 1
    await world.stop()
    world.clock.set_time(world.clock.now() + timedelta(days=401))
    await world.start()
    await world.clock.advance(5)
    assert await world.storage.find(SESSIONS) == []
    await world.stop()
