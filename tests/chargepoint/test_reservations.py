"""Connectors kept for a tag: told to the PLC, used by a start, ended in time."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from ocppgw.chargepoint.ledger import Ledger, Plan
from ocppgw.chargepoint.records import RESERVATIONS
from ocppgw.chargepoint.reservation_book import Reservation, ReservationBook, Slot
from ocppgw.ocpp import Fault
from ocppgw.ocpp import enums as e
from ocppgw.ocpp import model as m
from ocppgw.plc import CancelReserve, PlcTimeout, RemoteStart, Reserve
from ocppgw.plc.simulator import SimulatorDriver
from ocppgw.storage import StorageUnavailable
from ocppgw.storage.file import FileOptions, open_file
from ocppgw.testing.clock import FakeClock

S = e.ReservationStatus
ACCEPTED, REJECTED = e.CommandStatus.ACCEPTED, e.CommandStatus.REJECTED
OUT = e.AvailabilityType.INOPERATIVE
START = m.StartTransactionRequest


async def begin(world):
    await world.start()
    await world.clock.advance(1)


def reserve_now(world, number=7, connector_id=1, tag="OWNER", minutes=10, parent=None):
    return m.ReserveNowRequest(
        reservation_id=number,
        connector_id=connector_id,
        id_tag=tag,
        parent_id_tag=parent,
        expiry_date=world.clock.now() + timedelta(minutes=minutes),
    )


async def reserve(world, *arguments, seconds=1, **how):
    answer = await world.ordered(reserve_now(world, *arguments, **how), seconds)
    return answer.status


async def cancel(world, number=7, seconds=1):
    order = m.CancelReservationRequest(reservation_id=number)
    return (await world.ordered(order, seconds)).status


async def remote_start(world, connector_id, tag):
    order = m.RemoteStartTransactionRequest(id_tag=tag, connector_id=connector_id)
    return (await world.ordered(order, 20)).status


def known_to_plc(world):
    """The reservation that the PLC holds of each connector that has one."""
    held = {n: c.reserved for n, c in world.plc.connectors.items()}
    return {n: r.reservation_id for n, r in held.items() if r is not None}


def states(world, connector_id=1):
    """The states that were reported, repeats left out."""
    told = [r.status for r in world.central.statuses(connector_id)]
    return [s for n, s in enumerate(told) if n == 0 or told[n - 1] is not s]


AVAILABLE, RESERVED = e.ChargePointStatus.AVAILABLE, e.ChargePointStatus.RESERVED
CHARGING, FAULTED = e.ChargePointStatus.CHARGING, e.ChargePointStatus.FAULTED


# Beginning


async def test_the_plc_knows_a_reservation_before_it_is_accepted_and_the_state_is_reported(world):
    await begin(world)
    status = await reserve(world)
    told = world.plc.connectors[1].reserved
    await world.stop()

    assert status is S.ACCEPTED
    assert (told.reservation_id, told.id_tag) == (7, "OWNER")
    assert told.expires_at == world.clock.now() + timedelta(minutes=10, seconds=-1)
    assert states(world) == [AVAILABLE, RESERVED]


@pytest.mark.parametrize(
    ("prepare", "how", "status", "info"),
    [
        (lambda plc: None, {"connector_id": 9}, S.REJECTED, "reserve: there is no connector 9"),
        (lambda plc: None, {"minutes": 0}, S.REJECTED, "reserve: it has expired already"),
        (lambda plc: plc.start(1, "X"), {}, S.OCCUPIED, "reserve: connector is in use"),
        (lambda plc: plc.arrive(1), {}, S.OCCUPIED, "reserve: connector is in use"),
        (lambda plc: plc.break_down(1, "x"), {}, S.FAULTED, "reserve: connector is faulted"),
        (lambda plc: (setattr(plc.connectors[1], "available", False), plc.charge(1, 0)), {},
         S.UNAVAILABLE, "reserve: connector is out of service"),
        (lambda plc: plc.refused.add(Reserve), {}, S.REJECTED, "reserve: PLC refused"),
        (lambda plc: plc.muted.add(Reserve), {}, S.REJECTED,
         "reserve: PLC did not answer, withdrawn"),
        (lambda plc: plc.go_offline(), {}, S.REJECTED, "reserve: PLC is offline"),
    ],
)  # fmt: skip
async def test_what_cannot_be_reserved_says_why(world, prepare, how, status, info):
    await begin(world)
    prepare(world.plc)
    await world.clock.advance(1)
    answer = await reserve(world, seconds=20, **how)
    infos = world.central.infos()
    world.plc.muted.clear()
    world.plc.come_online()
    await world.clock.advance(60)
    await world.stop()

    assert answer is status
    assert info in infos
    assert known_to_plc(world) == {}


async def test_a_reserved_connector_is_occupied_for_other_reservations(world):
    await begin(world)
    answers = [await reserve(world, 7), await reserve(world, 8)]
    await world.stop()

    assert answers == [S.ACCEPTED, S.OCCUPIED]
    assert known_to_plc(world) == {1: 7}


async def test_the_same_id_replaces_also_while_the_car_is_there_already(world):
    await begin(world)
    await reserve(world)
    world.plc.arrive(1)
    await world.clock.advance(1)
    answer = await reserve(world, 7, tag="OTHER", minutes=30)
    await world.stop()

    assert answer is S.ACCEPTED
    assert world.plc.connectors[1].reserved.id_tag == "OTHER"


async def test_the_same_id_moves_to_another_connector(world):
    await begin(world)
    await reserve(world, 7, connector_id=1)
    answer = await reserve(world, 7, connector_id=2)
    await world.stop()

    assert answer is S.ACCEPTED
    assert known_to_plc(world) == {2: 7}
    assert states(world, 1) == [AVAILABLE, RESERVED, AVAILABLE]
    assert states(world, 2) == [AVAILABLE, RESERVED]


async def test_a_replacement_that_the_plc_refuses_leaves_the_one_before(world):
    await begin(world)
    await reserve(world)
    world.plc.refused.add(Reserve)
    answer = await reserve(world, 7, tag="OTHER")
    world.plc.refused.clear()
    await world.clock.advance(60)
    started = [await remote_start(world, 1, tag) for tag in ("OTHER", "OWNER")]
    await world.stop()

    assert answer is S.REJECTED
    assert started == [REJECTED, ACCEPTED]


async def test_a_plc_without_reservations_is_helped(world):
    world.plc.unsupported |= {Reserve, CancelReserve}
    await begin(world)
    answer = await reserve(world)
    refused = await remote_start(world, 1, "OTHER")
    cancelled = await cancel(world)
    taken = await remote_start(world, 1, "OTHER")
    await world.stop()

    assert (answer, refused, cancelled, taken) == (S.ACCEPTED, REJECTED, ACCEPTED, ACCEPTED)
    assert states(world) == [AVAILABLE, RESERVED, AVAILABLE, CHARGING]
    assert "remote start: connector is reserved for another" in world.central.infos()


async def test_a_session_that_begins_while_the_plc_is_asked_comes_first(world, monkeypatch):
    await begin(world)
    execute = SimulatorDriver.execute

    async def slowly(driver, command, deadline):
        if isinstance(command, Reserve):
            world.plc.start(1, "QUICK")
            world.plc.connectors[1].reserved = command  # this PLC takes it all the same
            await world.clock.sleep(5)
            return
        await execute(driver, command, deadline)

    monkeypatch.setattr(SimulatorDriver, "execute", slowly)
    answer = await reserve(world, seconds=20)
    [start] = world.central.of(START)
    await world.stop()

    assert answer is S.OCCUPIED
    assert start.reservation_id is None
    assert known_to_plc(world) == {}


async def test_a_reserve_that_may_still_happen_is_taken_back(world, monkeypatch):
    await begin(world)
    execute = SimulatorDriver.execute

    async def late(driver, command, deadline):
        await execute(driver, command, deadline)
        if isinstance(command, Reserve):
            raise PlcTimeout("the line broke; it may still happen", withdrawn=False)

    monkeypatch.setattr(SimulatorDriver, "execute", late)
    answer = await reserve(world)
    await world.clock.advance(60)
    infos = world.central.infos()
    await world.stop()

    assert answer is S.REJECTED
    assert "reserve: PLC did not answer, may still happen" in infos
    assert known_to_plc(world) == {}


async def test_a_store_that_fails_leaves_nothing_reserved(world, monkeypatch):
    await begin(world)
    commit = type(world.storage).commit
    full = [False, True]  # the intent is stored, the reservation is not

    async def commits(storage, *changes):
        if changes[0].collection is RESERVATIONS and full and full.pop(0):
            raise StorageUnavailable("the disk is full")
        await commit(storage, *changes)

    monkeypatch.setattr(type(world.storage), "commit", commits)
    with pytest.raises(Fault):
        await world.order(reserve_now(world))
    await world.clock.advance(60)
    started = await remote_start(world, 1, "OTHER")
    await world.stop()

    assert known_to_plc(world) == {}
    assert started is ACCEPTED


# Connector 0


async def test_the_station_keeps_one_connector_free_whichever(world):
    await begin(world)
    answer = await reserve(world, connector_id=0)
    first = await remote_start(world, 2, "OTHER")
    last = await remote_start(world, None, "OTHER")
    mine = await remote_start(world, None, "owner")
    [_, start] = world.central.of(START)
    await world.stop()

    assert states(world, 0) == [AVAILABLE]
    assert (answer, first, last, mine) == (S.ACCEPTED, ACCEPTED, REJECTED, ACCEPTED)
    assert (start.connector_id, start.reservation_id) == (1, 7)
    assert known_to_plc(world) == {}


async def test_the_connectors_kept_for_the_station_cannot_all_be_reserved(world):
    await begin(world)
    answers = [
        await reserve(world, 7, connector_id=0),
        await reserve(world, 8, connector_id=0),
        await reserve(world, 9, connector_id=1),
        await reserve(world, 10, connector_id=2),
        await reserve(world, 9, connector_id=2),
    ]
    await world.stop()

    assert answers == [S.ACCEPTED, S.OCCUPIED, S.ACCEPTED, S.OCCUPIED, S.ACCEPTED]
    assert known_to_plc(world) == {2: 9}


@pytest.mark.parametrize(
    ("prepare", "status"),
    [
        (lambda plc: [plc.break_down(n, "x") for n in (1, 2)], S.FAULTED),
        (lambda plc: [plc.start(n, "X") for n in (1, 2)], S.OCCUPIED),
        (lambda plc: (plc.break_down(1, "x"), plc.arrive(2)), S.OCCUPIED),
    ],
)
async def test_the_station_cannot_be_reserved_when_nothing_is_free(world, prepare, status):
    await begin(world)
    prepare(world.plc)
    await world.clock.advance(1)
    answer = await reserve(world, connector_id=0)
    await world.stop()

    assert answer is status


async def test_that_the_station_can_be_reserved_is_a_key(world):
    await begin(world)
    answer = await world.order(m.GetConfigurationRequest(key=("ReserveConnectorZeroSupported",)))
    await world.stop()

    [key] = answer.configuration_key
    assert (key.value, key.readonly) == ("true", True)


# Use


async def test_a_start_of_the_tag_uses_the_reservation_and_the_plc_forgets_it(world):
    await begin(world)
    await reserve(world)
    world.plc.muted.add(CancelReserve)
    world.plc.start(1, "owner")
    await world.clock.advance(30)
    kept = known_to_plc(world)
    world.plc.muted.clear()
    await world.clock.advance(60)
    [start] = world.central.of(START)
    await world.stop()

    assert start.reservation_id == 7
    assert (kept, known_to_plc(world)) == ({1: 7}, {})
    assert states(world) == [AVAILABLE, RESERVED, CHARGING]


async def test_a_start_elsewhere_leaves_the_reservation(world):
    await begin(world)
    await reserve(world)
    world.plc.start(2, "OWNER")
    await world.clock.advance(1)
    [start] = world.central.of(START)
    await world.stop()

    assert start.reservation_id is None
    assert known_to_plc(world) == {1: 7}


async def test_a_session_of_a_tag_it_is_not_for_is_booked_and_the_reservation_stays(world):
    await begin(world)
    await reserve(world, minutes=60)
    await world.session(1, "STRANGER")
    [start] = world.central.of(START)
    [stop] = world.central.of(m.StopTransactionRequest)
    refused = await remote_start(world, 1, "STRANGER")
    taken = await remote_start(world, 1, "OWNER")
    await world.stop()

    assert (start.reservation_id, stop.meter_stop) == (None, 4200)
    assert "connector 1: began although connector is reserved for another" in world.story()
    assert (refused, taken) == (REJECTED, ACCEPTED)


async def test_a_remote_start_without_connector_goes_to_the_reserved_one(world):
    await begin(world)
    await reserve(world, connector_id=2)
    world.plc.arrive(1)
    await world.clock.advance(1)
    await remote_start(world, None, "OWNER")
    await remote_start(world, None, "OTHER")
    starts = world.central.of(START)
    await world.stop()

    assert [(s.connector_id, s.id_tag) for s in starts] == [(2, "OWNER"), (1, "OTHER")]


async def test_a_remote_start_without_connector_avoids_what_is_reserved_for_others(world):
    await begin(world)
    await reserve(world, connector_id=1)
    await remote_start(world, None, "OTHER")
    refused = await remote_start(world, None, "THIRD")
    [start] = world.central.of(START)
    await world.stop()

    assert start.connector_id == 2
    assert refused is REJECTED
    assert "remote start: no connector is free" in world.central.infos()


async def test_a_tag_of_the_same_parent_uses_the_reservation(world):
    await begin(world)
    friend = m.AuthorizationData(
        id_tag="FRIEND",
        id_tag_info=m.IdTagInfo(status=e.AuthorizationStatus.ACCEPTED, parent_id_tag="GROUP"),
    )
    await world.order(
        m.SendLocalListRequest(
            list_version=1, update_type=e.UpdateType.FULL, local_authorization_list=(friend,)
        )
    )
    await reserve(world, parent="group")
    answers = [await remote_start(world, 1, tag) for tag in ("OTHER", "FRIEND")]
    [start] = world.central.of(START)
    await world.stop()

    assert answers == [REJECTED, ACCEPTED]
    assert (start.id_tag, start.reservation_id) == ("FRIEND", 7)


async def test_another_tag_at_a_reserved_connector_is_refused(world):
    await begin(world)
    await reserve(world)
    for tag in ("STRANGER", "OWNER"):
        world.plc.present_tag(1, tag)
        await world.clock.advance(1)
    answers = [(a.id_tag, a.accepted) for a in world.plc.answers if hasattr(a, "id_tag")]
    await world.stop()

    assert answers == [("STRANGER", False), ("OWNER", True)]


# Ending


async def test_a_reservation_ends_when_it_expires(world):
    await begin(world)
    await reserve(world, minutes=10)
    world.plc.connectors[1].reserved = None  # its clock is ahead
    world.plc.charge(1, 0)
    await world.clock.advance(9 * 60)
    before = states(world)
    await world.clock.advance(2 * 60)
    free = await reserve(world, 8)
    await world.stop()

    assert (before, states(world)) == (
        [AVAILABLE, RESERVED],
        [AVAILABLE, RESERVED, AVAILABLE, RESERVED],
    )
    assert free is S.ACCEPTED
    assert "connector 1: reservation 7 ended: expired" in world.story()


async def test_a_leap_of_the_clock_is_noticed(world):
    await begin(world)
    await reserve(world, minutes=600)
    world.clock.set_time(world.clock.now() + timedelta(hours=11))
    await world.clock.advance(60)
    await world.stop()

    assert states(world) == [AVAILABLE, RESERVED, AVAILABLE]
    assert known_to_plc(world) == {}


async def test_what_expired_while_the_box_was_off_is_over(world):
    await begin(world)
    await reserve(world, minutes=10)
    await world.kill()
    await world.clock.advance(20 * 60)
    await begin(world)
    started = await remote_start(world, 1, "OTHER")
    await world.stop()

    assert known_to_plc(world) == {}
    assert started is ACCEPTED


async def test_a_fault_ends_a_reservation_and_a_lost_plc_does_not(world):
    await begin(world)
    await reserve(world, 7, connector_id=1)
    await reserve(world, 8, connector_id=2)
    world.plc.break_down(1, "ground")
    await world.clock.advance(1)
    world.plc.break_down(1, None)
    world.plc.go_offline()
    await world.clock.advance(60)
    world.plc.come_online()
    await world.clock.advance(60)
    await world.stop()

    assert known_to_plc(world) == {2: 8}
    assert states(world, 1) == [AVAILABLE, RESERVED, FAULTED, AVAILABLE]
    assert states(world, 2) == [AVAILABLE, RESERVED, FAULTED, RESERVED]


async def test_being_taken_out_of_service_ends_it(world):
    await begin(world)
    await reserve(world, 7, connector_id=1)
    await reserve(world, 8, connector_id=0)
    await world.order(m.ChangeAvailabilityRequest(connector_id=1, type=OUT))
    await world.clock.advance(1)
    one = known_to_plc(world), await cancel(world, 7)
    await world.order(m.ChangeAvailabilityRequest(connector_id=0, type=OUT))
    await world.clock.advance(1)
    station = await cancel(world, 8)
    await world.stop()

    assert one == ({}, REJECTED)
    assert station is REJECTED


async def test_a_cancelled_reservation_is_over_also_when_the_plc_hears_of_it_later(world):
    await begin(world)
    await reserve(world)
    world.plc.muted.add(CancelReserve)
    answer = await cancel(world, 7, seconds=20)
    again = await cancel(world, 7, seconds=20)
    kept = known_to_plc(world)
    world.plc.muted.clear()
    await world.clock.advance(60)
    await world.stop()

    assert (answer, again) == (ACCEPTED, REJECTED)
    assert (kept, known_to_plc(world)) == ({1: 7}, {})
    assert "cancel reservation: no reservation 7 is held" in world.central.infos()


async def test_what_was_refused_for_a_reservation_is_not_told_of_a_free_connector(world):
    await begin(world)
    await reserve(world)
    order = m.RemoteStartTransactionRequest(id_tag="OTHER", connector_id=1)
    refused = await world.ordered(order, 2)
    await cancel(world)
    told = [(r.status, r.info) for r in world.central.statuses(1)][-2:]
    await world.stop()

    assert refused.status is REJECTED
    why = "remote start: connector is reserved for another"
    assert told == [(RESERVED, why), (AVAILABLE, None)]


async def test_a_plc_that_will_not_forget_is_not_asked_for_ever(world):
    await begin(world)
    await reserve(world)
    world.plc.refused.add(CancelReserve)
    await cancel(world)
    await world.clock.advance(120)
    world.plc.refused.clear()
    await world.clock.advance(120)
    await world.stop()

    assert known_to_plc(world) == {1: 7}
    assert any("the PLC will not forget reservation 7" in line for line in world.story())


# Lost and found


async def test_a_plc_that_comes_back_is_told_again(world):
    await begin(world)
    await reserve(world)
    world.plc.go_offline()
    await world.clock.advance(60)
    world.plc.connectors[1].reserved = None
    world.plc.come_online()
    await world.clock.advance(60)
    await world.stop()

    assert known_to_plc(world) == {1: 7}


async def test_what_expires_while_the_plc_is_told_again_ends_too(world, monkeypatch):
    await begin(world)
    await reserve(world, minutes=1)
    execute = SimulatorDriver.execute

    async def slowly(driver, command, deadline):
        if isinstance(command, Reserve):
            await world.clock.sleep(12)
        await execute(driver, command, deadline)

    monkeypatch.setattr(SimulatorDriver, "execute", slowly)
    await world.clock.advance(50)
    world.plc.go_offline()
    await world.clock.advance(1)
    world.plc.come_online()
    await world.clock.advance(60)
    await world.stop()

    assert known_to_plc(world) == {}
    assert "connector 1: reservation 7 ended: expired" in world.story()


async def test_a_cancellation_counts_though_the_plc_s_answer_to_it_cannot_be_stored(
    world, monkeypatch
):
    await begin(world)
    await reserve(world)
    commit = type(world.storage).commit
    full = [False, True]  # the end is stored, that the PLC knows of it is not

    async def commits(storage, *changes):
        if changes[0].collection is RESERVATIONS and full and full.pop(0):
            raise StorageUnavailable("the disk is full")
        await commit(storage, *changes)

    monkeypatch.setattr(type(world.storage), "commit", commits)
    answer = await cancel(world)
    await world.stop()

    assert answer is ACCEPTED
    assert full == []


async def crash(make_world, ends_at, act, settle_for=60.0):
    """A reserved connector; while ``act`` is done the process ends after so many waits."""
    world = make_world()
    await begin(world)
    await reserve(world, 7, connector_id=1, minutes=60)
    world.life.ends_at = None if ends_at is None else world.life.waits + ends_at
    acting = asyncio.ensure_future(act(world))
    await world.clock.advance(5)
    ended, answered = world.life.over, acting.done()
    await world.kill()
    acting.cancel()
    await asyncio.wait([acting])
    await world.start()
    await world.clock.advance(settle_for)
    world.answered = answered
    return world, ended


async def move(world):
    return await world.order(reserve_now(world, 7, connector_id=2, minutes=60))


async def second(world):
    return await world.order(reserve_now(world, 8, connector_id=2, minutes=60))


async def take_back(world):
    return await world.order(m.CancelReservationRequest(reservation_id=7))


async def use(world):
    world.plc.start(1, "OWNER")
    await asyncio.get_running_loop().create_future()


@pytest.mark.parametrize(
    ("act", "before", "after"),
    [
        (move, {1: 7}, {2: 7}),
        (second, {1: 7}, {1: 7, 2: 8}),
        (take_back, {1: 7}, {}),
        (use, {}, {}),
    ],
)
async def test_after_a_crash_anywhere_the_plc_knows_what_the_box_holds(
    make_world, act, before, after
):
    """What was answered counts; what was not may count or not, on both sides alike."""
    ends_at = 0
    while True:
        world, ended = await crash(make_world, ends_at, act)
        known = known_to_plc(world)
        held = {
            n: r.reservation_id
            for n in (1, 2)
            if (r := world.box._rooms.reservations.on(n)) is not None
        }
        starts = world.central.of(START)
        await world.stop()
        assert known == held, ends_at
        assert known in ([after] if world.answered else [before, after]), ends_at
        assert [s.reservation_id for s in starts] == ([7] if act is use else []), ends_at
        if not ended:
            break
        ends_at += 1
    assert ends_at > 2
    assert known == after


async def test_a_crash_in_the_way_of_a_remote_start_keeps_the_reservation(make_world):
    async def start(world):
        return await world.order(m.RemoteStartTransactionRequest(id_tag="X", connector_id=1))

    world, _ = await crash(make_world, 1, start)
    answer = await remote_start(world, 1, "X")
    await world.stop()

    assert answer is REJECTED
    assert not world.answers(RemoteStart)


async def test_slots_come_back_from_the_file_as_they_were_and_nothing_shines_through(tmp_path):
    clock = FakeClock()
    first = Reservation(
        reservation_id=7,
        connector_id=1,
        id_tag="OWNER",
        parent_id_tag="GROUP",
        expires_at=clock.now() + timedelta(minutes=10),
    )
    second = Reservation(
        reservation_id=8, connector_id=1, id_tag="NEXT", expires_at=first.expires_at
    )
    slots = [
        Slot(held=first).forgetting(5).forgetting(6).forgetting(5),
        Slot(held=first).admitting("FRIEND").freed().forgetting(7).holding(second),
        Slot(held=second).admitting("A").admitting("B").forgetting(5),
        Slot(held=second).freed().forgetting(8).forgot(8),
    ]
    found = []
    for slot in slots:
        storage = await open_file(FileOptions(path=tmp_path / "box.db"), [RESERVATIONS])
        ledger = Ledger("BOX-1", storage)
        await ledger.load()
        book = ReservationBook(ledger, clock, connectors=1)

        async def prepare(book=book, slot=slot):
            plan = Plan()
            book.plan(plan, 1, slot)
            return plan

        await ledger.write(prepare)
        again = ReservationBook(ledger, clock, connectors=1)
        await again.load()
        found.append(again.slot(1))
        await storage.close()

    assert found == [
        Slot(held=first, forget=(6, 5)),
        Slot(held=second, forget=(7,)),
        Slot(held=second, forget=(5,), admitted=("A", "B")),
        Slot(),
    ]
