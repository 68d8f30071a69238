"""What the central system hears of the connectors."""

from __future__ import annotations

from ocppgw.ocpp import enums as e
from ocppgw.ocpp import model as m
from ocppgw.plc import ConnectorStatus, Offline
from ocppgw.storage import StorageUnavailable

STATES = e.ChargePointStatus


def reported(world):
    return [r for r in world.central.got if isinstance(r, m.StatusNotificationRequest)]


async def test_each_connector_is_reported_once_after_the_boot_with_its_present_state(world):
    world.central.away = True
    await world.start()
    world.plc.arrive(1)
    await world.clock.advance(5)
    world.plc.break_down(2, "E7")
    await world.clock.advance(30)
    world.central.away = False
    await world.clock.advance(60)
    statuses = [(r.connector_id, r.status, r.info) for r in reported(world)]
    await world.stop()

    assert statuses == [
        (0, STATES.AVAILABLE, None),
        (1, STATES.PREPARING, None),
        (2, STATES.FAULTED, "E7"),
    ]


async def test_what_the_last_life_did_not_send_is_out_of_date(world):
    await world.start()
    await world.clock.advance(5)
    world.central.away = True
    world.plc.arrive(1)
    await world.clock.advance(5)
    await world.kill()
    world.plc.leave(1)
    world.central.away = False
    await world.start()
    await world.clock.advance(60)
    statuses = [r.status for r in world.central.statuses(1)]
    await world.stop()

    assert statuses == [STATES.AVAILABLE, STATES.AVAILABLE]


async def test_only_changes_are_reported(world):
    await world.start()
    await world.clock.advance(300)
    quiet = len(reported(world))
    world.plc.arrive(2)
    await world.clock.advance(300)
    statuses = reported(world)[quiet:]
    await world.stop()

    assert quiet == 3
    assert [(r.connector_id, r.status) for r in statuses] == [(2, STATES.PREPARING)]
    assert "connector 2: is Preparing" in world.story()


async def test_a_plc_that_is_away_makes_the_station_faulted_until_it_is_back(world):
    await world.start()
    await world.clock.advance(5)
    world.plc.go_offline()
    await world.clock.advance(5)
    away = [world.central.statuses(n)[-1] for n in (0, 1, 2)]
    world.plc.come_online()
    await world.clock.advance(5)
    back = [world.central.statuses(n)[-1] for n in (0, 1, 2)]
    await world.stop()

    assert {r.status for r in away} == {STATES.FAULTED}
    assert {r.error_code for r in away} == {e.ChargePointErrorCode.OTHER_ERROR}
    assert {r.info for r in away} == {"PLC: the simulated PLC does not answer"}
    assert {r.status for r in back} == {STATES.AVAILABLE}
    assert "plc: offline: the simulated PLC does not answer" in world.story()


async def test_a_line_that_breaks_for_a_moment_is_nobodys_business(world):
    await world.start()
    await world.clock.advance(5)
    quiet = len(reported(world))
    for _ in range(20):
        world.plc.go_offline()
        await world.clock.advance(1)
        world.plc.come_online()
        await world.clock.advance(1)
    story = [line for line in world.story() if "line" in line]
    await world.stop()

    assert len(reported(world)) == quiet
    assert story == ["plc: online"]


async def test_a_plc_that_is_there_at_the_second_attempt_was_never_away(world):
    world.plc.go_offline()
    await world.start()
    world.box._rooms.station.saw(Offline(reason="connection refused"))
    await world.clock.advance(1)
    world.plc.come_online()
    await world.clock.advance(10)
    story = world.story()
    await world.stop()

    assert story[0] == "plc: online"
    assert not any("offline" in line for line in story)


async def test_a_plc_that_is_not_there_at_the_start_is_told_once(world):
    world.plc.go_offline()
    await world.start()
    for reason in ("connection refused", "no route to host"):
        world.box._rooms.station.saw(Offline(reason=reason))
    await world.clock.advance(60)
    story = world.story()
    await world.stop()

    assert story == ["plc: offline: no route to host"]


async def test_texts_fit_and_unknown_connectors_are_passed_over(world):
    await world.start()
    await world.clock.advance(5)
    station = world.box._rooms.station
    told = {"status": STATES.FAULTED, "info": "x" * 200, "vendor_error_code": "y" * 200}
    station.saw(ConnectorStatus(connector_id=1, **told))
    station.saw(ConnectorStatus(connector_id=99, **told))
    await world.clock.advance(5)
    last = world.central.statuses(1)[-1]
    strangers = world.central.statuses(99)
    await world.stop()

    assert (len(last.info), len(last.vendor_error_code)) == (50, 50)
    assert strangers == []


async def test_without_the_plcs_word_a_session_is_charging(world):
    silent = ConnectorStatus(connector_id=99, status=STATES.AVAILABLE)
    world.plc.status = lambda number: silent
    await world.start()
    await world.clock.advance(5)
    world.plc.start(1, "TAG")
    await world.clock.advance(5)
    world.plc.stop(1)
    await world.clock.advance(5)
    statuses = [r.status for r in world.central.statuses(1)]
    await world.stop()

    assert statuses == [STATES.AVAILABLE, STATES.CHARGING, STATES.AVAILABLE]


async def test_a_full_store_delays_a_status_but_does_not_lose_it(world):
    await world.start()
    await world.clock.advance(5)
    world.storage.failure = StorageUnavailable("full")
    world.plc.arrive(1)
    await world.clock.advance(20)
    world.storage.failure = None
    await world.clock.advance(60)
    last = world.central.statuses(1)[-1]
    await world.stop()

    assert last.status is STATES.PREPARING
