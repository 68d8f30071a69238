"""The boot states, heartbeats, and the line to the central system."""

from __future__ import annotations

from ocppgw.ocpp import enums as e
from ocppgw.ocpp import model as m
from ocppgw.plc import AnswerBoot, SetTime

STATES = e.RegistrationStatus


def boots(world):
    return [r for r in world.central.got if isinstance(r, m.BootNotificationRequest)]


async def test_nothing_is_sent_before_the_plc_runs(world):
    world.plc.running = False
    await world.start()
    world.plc.start(1, "TAG")
    await world.clock.advance(60)
    assert world.central.got == []
    world.plc.run()
    await world.clock.advance(60)
    first = world.central.got[0]
    await world.stop()

    assert isinstance(first, m.BootNotificationRequest)
    assert len(world.central.of(m.StartTransactionRequest)) == 1
    assert world.story()[:2] == ["plc: online", "plc: does not run"]


async def test_boot_tells_who_the_station_is(make_world):
    world = make_world(
        vendor="Maker", serial_number="S1", charge_box_serial_number="S2", firmware_version="0"
    )
    await world.start()
    await world.clock.advance(1)
    [boot] = boots(world)
    await world.stop()

    assert boot == m.BootNotificationRequest(
        charge_point_vendor="Maker",
        charge_point_model="simulator",
        charge_point_serial_number="S1",
        charge_box_serial_number="S2",
        firmware_version="1.0",
    )


async def test_acceptance_reaches_the_plc_and_every_connector_is_reported(world):
    await world.start()
    await world.clock.advance(1)
    statuses = world.central.of(m.StatusNotificationRequest)
    [answer] = world.plc.boots
    await world.stop()

    assert sorted(status.connector_id for status in statuses) == [0, 1, 2]
    assert answer.accepted
    assert (world.clock.now() - answer.time).total_seconds() == 1


async def test_a_rejected_boot_is_repeated_at_the_interval_given_and_nothing_else_is_sent(world):
    world.central.boot_answers = [(STATES.REJECTED, 20), (STATES.PENDING, 40)]
    await world.start()
    world.plc.start(1, "TAG")
    await world.clock.advance(19)
    assert world.central.got == boots(world)
    assert len(boots(world)) == 1
    assert [boot.accepted for boot in world.plc.boots] == [False]
    await world.clock.advance(2)
    assert len(boots(world)) == 2
    await world.clock.advance(38)
    assert len(boots(world)) == 2
    await world.clock.advance(2)
    assert len(boots(world)) == 3
    await world.clock.advance(5)
    await world.stop()

    assert len(world.central.of(m.StartTransactionRequest)) == 1
    assert [boot.accepted for boot in world.plc.boots] == [False, False, True]


async def test_a_rejection_without_interval_is_followed_by_a_wait_of_our_own(world):
    world.central.boot_answers = [(STATES.REJECTED, 0)]
    await world.start()
    await world.clock.advance(9)
    assert len(boots(world)) == 1
    await world.clock.advance(2)
    await world.stop()

    assert len(boots(world)) == 2


async def test_without_an_answer_the_waits_grow(make_world):
    world = make_world(boot_retry=10, boot_retry_longest=40)
    world.central.away = True
    await world.start()
    asked = []

    async def away(request, deadline):
        asked.append(world.clock.monotonic())
        return await type(world.central).call(world.central, request, deadline)

    world.central.call = away
    await world.clock.advance(200)
    await world.stop()

    assert asked == [10, 30, 70, 110, 150, 190]


async def test_a_plc_that_restarts_makes_the_box_boot_again(world):
    await world.start()
    await world.clock.advance(5)
    world.plc.halt()
    await world.clock.advance(5)
    world.plc.start(1, "TAG")
    await world.clock.advance(5)
    assert world.central.of(m.StartTransactionRequest) == []
    world.plc.run()
    await world.clock.advance(5)
    await world.stop()

    assert len(boots(world)) == 2
    assert len(world.plc.boots) == 2
    assert len(world.central.of(m.StartTransactionRequest)) == 1


async def test_the_plc_is_told_of_the_acceptance_until_it_takes_it(world):
    world.plc.muted.add(AnswerBoot)
    await world.start()
    await world.clock.advance(30)
    assert world.plc.boots == []
    world.plc.muted.clear()
    await world.clock.advance(30)
    await world.stop()

    assert len(world.plc.boots) == 1


async def test_a_plc_that_cannot_be_told_is_not(world):
    world.plc.unsupported |= {AnswerBoot, SetTime}
    world.central.interval = 30
    await world.start()
    await world.clock.advance(40)
    await world.stop()

    assert world.plc.boots == []
    assert world.plc.time is None
    assert m.HeartbeatRequest() in world.central.got


async def test_heartbeats_keep_the_interval_and_bring_the_plc_the_time(world):
    world.central.interval = 100
    await world.start()
    await world.clock.advance(350)
    beats = [r for r in world.central.got if isinstance(r, m.HeartbeatRequest)]
    await world.stop()

    assert len(beats) == 3
    assert (world.clock.now() - world.plc.time).total_seconds() == 50


async def test_heartbeats_go_on_when_central_system_or_plc_do_not_answer(world):
    world.central.interval = 60
    await world.start()
    await world.clock.advance(10)
    world.central.away = True
    await world.clock.advance(100)
    world.central.away = False
    world.plc.muted.add(SetTime)
    await world.clock.advance(150)
    beats = [r for r in world.central.got if isinstance(r, m.HeartbeatRequest)]
    story = world.story()
    await world.stop()

    assert len(beats) >= 3
    assert sum("does not answer" in line for line in story) == 1
    assert sum("central system: answers again" in line for line in story) == 1


async def test_without_an_interval_in_the_answer_the_configured_one_holds(make_world):
    world = make_world(configuration={"HeartBeatInterval": 70})
    world.central.interval = None
    await world.start()
    await world.clock.advance(71)
    beats = [r for r in world.central.got if isinstance(r, m.HeartbeatRequest)]
    await world.stop()

    assert len(beats) == 1


async def test_a_plc_that_comes_back_is_told_again_that_it_is_accepted_and_the_time(world):
    """It may have restarted unseen, and know neither; it is not asked to boot for that."""
    await world.start()
    await world.clock.advance(1)
    world.plc.go_offline()
    await world.clock.advance(30)
    world.plc.come_online()
    await world.clock.advance(2)
    first, again = world.plc.boots
    await world.stop()

    assert len(boots(world)) == 1
    assert again.accepted
    assert 29 <= (again.time - first.time).total_seconds() <= 33
