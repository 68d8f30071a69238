"""Starts and stops, from the PLC to the central system."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ocppgw.ocpp import enums as e
from ocppgw.ocpp import model as m
from ocppgw.plc import AnswerStart, AnswerStop, AnswerTag, StartWanted, StopWanted


async def test_a_session_is_started_answered_and_stopped(world):
    await world.start()
    await world.session(connector_id=2, tag="ABC", wh=4200)
    [start] = world.central.of(m.StartTransactionRequest)
    [stop] = world.central.of(m.StopTransactionRequest)
    [answer] = world.answers(AnswerStart)
    [booked] = world.answers(AnswerStop)
    await world.stop()

    assert start == m.StartTransactionRequest(
        connector_id=2,
        id_tag="ABC",
        timestamp=datetime(2026, 1, 1, 12, 0, tzinfo=UTC),
        meter_start=0,
    )
    assert stop == m.StopTransactionRequest(
        transaction_id=1001,
        id_tag="ABC",
        timestamp=datetime(2026, 1, 1, 12, 2, tzinfo=UTC),
        meter_stop=4200,
    )
    assert (answer.accepted, answer.transaction_id, answer.connector_id) == (True, 1001, 2)
    assert booked.connector_id == 2
    assert "connector 2: session of ABC ended at 4.200 kWh, 4.200 kWh charged" in world.story()


async def test_two_connectors_charge_side_by_side(make_world):
    world = make_world(connectors=5)
    await world.start()
    for number in range(1, 6):
        world.plc.start(number, f"TAG{number}")
        await world.clock.advance(1)
    for number in (3, 1, 5, 2, 4):
        world.plc.charge(number, 100 * number)
        world.plc.stop(number)
        await world.clock.advance(1)
    starts = world.central.of(m.StartTransactionRequest)
    stops = world.central.of(m.StopTransactionRequest)
    await world.stop()

    assert [start.connector_id for start in starts] == [1, 2, 3, 4, 5]
    assert [stop.meter_stop for stop in stops] == [300, 100, 500, 200, 400]
    assert [stop.transaction_id for stop in stops] == [1003, 1001, 1005, 1002, 1004]


async def test_an_hour_without_central_system_loses_nothing(world):
    await world.start()
    await world.clock.advance(10)
    world.central.away = True
    for wh in (1000, 2000, 3000):
        await world.session(wh=wh)
    await world.clock.advance(3600)
    assert world.central.of(m.StartTransactionRequest) == []
    assert len(world.answers(AnswerStop)) == 3
    world.central.away = False
    await world.clock.advance(120)
    sent = world.central.of(m.StartTransactionRequest, m.StopTransactionRequest)
    answers = world.answers(AnswerStart)
    await world.stop()

    assert [type(request).__name__[:4] for request in sent] == ["Star", "Stop"] * 3
    starts, stops = sent[::2], sent[1::2]
    assert [stop.transaction_id for stop in stops] == [1001, 1002, 1003]
    assert [b.meter_stop - a.meter_start for a, b in zip(starts, stops, strict=True)] == [
        1000,
        2000,
        3000,
    ]
    assert [answer.transaction_id for answer in answers] == [1001, 1002, 1003]
    assert any("answers again" in line for line in world.story())


async def test_a_late_refusal_does_not_end_the_session_that_runs_by_then(world):
    world.central.tags["FORMER"] = e.AuthorizationStatus.BLOCKED
    await world.start()
    await world.clock.advance(10)
    world.central.away = True
    await world.session(tag="FORMER")
    world.plc.start(1, "LATTER")
    await world.clock.advance(600)
    world.central.away = False
    await world.clock.advance(120)
    answers = world.answers(AnswerStart)
    charging = world.plc.connectors[1].charging
    await world.stop()

    assert [(answer.accepted, answer.current) for answer in answers] == [
        (False, False),
        (True, True),
    ]
    assert charging


async def test_a_lost_answer_is_asked_for_again_with_the_same_message(world):
    await world.start()
    world.central.loses_answers = 1
    world.plc.start(1, "TAG")
    await world.clock.advance(30)
    starts = [r for r in world.central.got if isinstance(r, m.StartTransactionRequest)]
    await world.stop()

    assert len(starts) == 2
    assert starts[0] == starts[1]
    assert len(world.answers(AnswerStart)) == 1


async def test_a_second_start_closes_the_first_session_at_its_last_checkpoint(world):
    await world.start()
    world.plc.start(1, "FIRST")
    await world.clock.advance(10)
    world.plc.charge(1, 700)
    await world.clock.advance(60)
    world.plc.start(1, "SECOND")
    await world.clock.advance(10)
    sent = world.central.of(m.StartTransactionRequest, m.StopTransactionRequest)
    story = world.story()
    await world.stop()

    first, stop, second = sent
    assert (first.id_tag, second.id_tag) == ("FIRST", "SECOND")
    assert (stop.transaction_id, stop.meter_stop, stop.reason) == (1001, 700, e.Reason.OTHER)
    assert stop.timestamp < second.timestamp
    assert any("stopped at its last reading" in line for line in story)


@pytest.mark.parametrize(("at_next_start", "billed"), [(849, 849), (900, 849), (820, 820)])
async def test_a_session_that_is_closed_for_the_next_has_what_was_read_of_it(
    world, at_next_start, billed
):
    """Less than what is worth a write to the disk; never more than the next one starts with."""
    await world.start()
    world.plc.charge(1, 600)
    world.plc.start(1, "FIRST")
    await world.clock.advance(10)
    world.plc.charge(1, 249)
    await world.clock.advance(60)
    station = world.box._rooms.station
    await station.take(
        StartWanted(
            event_id="next",
            connector_id=1,
            at=world.clock.now(),
            id_tag="SECOND",
            meter_start_wh=at_next_start,
        )
    )
    await world.clock.advance(10)
    [stop] = world.central.of(m.StopTransactionRequest)
    await world.stop()

    assert stop.meter_stop == billed


async def test_a_stop_of_a_session_nobody_knows_is_reported_all_the_same(world):
    await world.start()
    world.plc.charge(1, 500)
    world.plc.connectors[1].transaction_id = 77
    world.plc.stop(1)
    await world.clock.advance(10)
    world.plc.connectors[2].transaction_id = None
    world.plc.stop(2)
    await world.clock.advance(10)
    stops = world.central.of(m.StopTransactionRequest)
    await world.stop()

    assert [(stop.transaction_id, stop.meter_stop) for stop in stops] == [(77, 500), (-1, 0)]
    assert len(world.answers(AnswerStop)) == 2
    assert sum("a session that is not known" in line for line in world.story()) == 2


async def test_a_repeated_stop_of_an_ended_session_leaves_the_running_one_alone(world):
    await world.start()
    await world.session(wh=100)
    world.plc.start(1, "NEXT")
    await world.clock.advance(10)
    world.plc.connectors[1].transaction_id = 1001
    world.plc.stop(1)
    await world.clock.advance(10)
    assert [stop.transaction_id for stop in world.central.of(m.StopTransactionRequest)] == [1001]
    world.plc.connectors[1].transaction_id = 1002
    world.plc.charge(1, 50)
    world.plc.stop(1)
    await world.clock.advance(10)
    stops = world.central.of(m.StopTransactionRequest)
    await world.stop()

    assert [(s.transaction_id, s.meter_stop) for s in stops] == [(1001, 100), (1002, 150)]
    assert len(world.answers(AnswerStop)) == 3


@pytest.mark.parametrize("away", [True, False])
async def test_a_stop_under_the_id_of_the_session_before_ends_the_one_that_used_energy(world, away):
    """A PLC that shows the last transaction id it was given, old as it may be."""
    await world.start()
    await world.session(wh=100)
    world.central.away = away
    world.plc.start(1, "NEXT")
    await world.clock.advance(10)
    world.plc.charge(1, 50)
    world.plc.connectors[1].transaction_id = 1001
    world.plc.stop(1)
    await world.clock.advance(10)
    world.central.away = False
    await world.clock.advance(100)
    stops = world.central.of(m.StopTransactionRequest)
    await world.stop()

    assert [(s.transaction_id, s.meter_stop) for s in stops] == [(1001, 100), (1002, 150)]
    assert any("the PLC ended it as transaction 1001" in line for line in world.story())


async def test_a_wrong_transaction_id_of_the_plc_is_flagged_and_ours_is_used(world):
    await world.start()
    world.plc.start(1, "TAG")
    await world.clock.advance(10)
    world.plc.connectors[1].transaction_id = 5
    world.plc.stop(1)
    await world.clock.advance(10)
    [stop] = world.central.of(m.StopTransactionRequest)
    await world.stop()

    assert stop.transaction_id == 1001
    assert "transaction 1001: the PLC ended it as transaction 5" in world.story()


async def test_a_meter_that_ends_below_its_start_is_flagged_not_altered(world):
    world.plc.connectors[1].energy_wh = 900
    await world.start()
    world.plc.start(1, "TAG")
    await world.clock.advance(10)
    world.plc.connectors[1].energy_wh = 20
    world.plc.stop(1)
    await world.clock.advance(10)
    [stop] = world.central.of(m.StopTransactionRequest)
    await world.stop()

    assert stop.meter_stop == 20
    assert any("20 Wh is below meter start 900 Wh" in line for line in world.story())


async def test_a_refused_start_that_the_plc_does_not_stop_is_stopped_for_it(world):
    world.central.tags["BAD"] = e.AuthorizationStatus.BLOCKED
    await world.start()
    world.plc.start(1, "BAD")
    await world.clock.advance(10)
    [answer] = world.answers(AnswerStart)
    assert world.central.of(m.StopTransactionRequest) == []
    await world.clock.advance(30)
    [stop] = world.central.of(m.StopTransactionRequest)
    await world.stop()

    assert (answer.accepted, answer.transaction_id) == (False, 1001)
    assert (stop.transaction_id, stop.reason) == (1001, e.Reason.DE_AUTHORIZED)


async def test_a_refused_start_is_stopped_also_after_a_restart(world):
    world.central.tags["BAD"] = e.AuthorizationStatus.BLOCKED
    await world.start()
    world.plc.start(1, "BAD")
    await world.clock.advance(10)
    await world.kill()
    await world.start()
    await world.clock.advance(20)
    assert world.central.of(m.StopTransactionRequest) == []
    await world.clock.advance(20)
    [stop] = world.central.of(m.StopTransactionRequest)
    await world.stop()

    assert stop.reason is e.Reason.DE_AUTHORIZED


async def test_a_refused_session_that_the_plc_ended_meanwhile_has_its_energy(world):
    world.central.tags["BAD"] = e.AuthorizationStatus.BLOCKED
    await world.start()
    world.plc.start(1, "BAD")
    await world.clock.advance(10)
    await world.kill()
    world.plc.charge(1, 40)
    world.plc.stop(1)
    await world.start()
    await world.clock.advance(60)
    [stop] = world.central.of(m.StopTransactionRequest)
    await world.stop()

    assert (stop.transaction_id, stop.meter_stop) == (1001, 40)


async def test_a_refused_start_that_the_plc_stops_itself_is_stopped_once(world):
    world.central.tags["BAD"] = e.AuthorizationStatus.EXPIRED
    await world.start()
    world.plc.start(1, "BAD")
    await world.clock.advance(10)
    world.plc.stop(1)
    await world.clock.advance(100)
    stops = world.central.of(m.StopTransactionRequest)
    await world.stop()

    assert [stop.reason for stop in stops] == [None]


async def test_a_start_that_is_parked_is_refused_to_the_plc(world):
    world.central.faults[m.StartTransactionRequest] = 3
    await world.start()
    world.plc.start(1, "TAG")
    await world.clock.advance(400)
    world.plc.stop(1)
    await world.clock.advance(60)
    [answer] = world.answers(AnswerStart)
    stops = world.central.of(m.StopTransactionRequest)
    parked = await world.box.transactions.parked()
    await world.stop()

    assert (answer.accepted, answer.transaction_id) == (False, -1)
    assert stops[0].transaction_id == -1
    assert [entry.operation for entry in parked] == ["StartTransaction"]


async def test_a_parked_stop_is_booked_when_sent_again_after_a_restart(world):
    world.central.faults[m.StopTransactionRequest] = 3
    await world.start()
    await world.session()
    await world.clock.advance(400)
    await world.stop()
    await world.start()
    await world.clock.advance(60)
    [entry] = await world.box.transactions.parked()
    await world.box.transactions.send_again(entry.sequence)
    await world.clock.advance(60)
    stops = world.central.of(m.StopTransactionRequest)
    parked = await world.box.transactions.parked()
    await world.stop()

    assert parked == []
    assert [stop.transaction_id for stop in stops] == [1001]
    assert world.story()[-1] == "transaction 1001: stop booked by the central system"


async def test_a_message_that_cannot_be_said_does_not_block_the_queue(world):
    world.central.unsayable = {m.StartTransactionRequest}
    await world.start()
    world.plc.start(1, "TAG")
    await world.clock.advance(200)
    world.central.unsayable.clear()
    await world.session(connector_id=2, tag="NEXT")
    [start] = world.central.of(m.StartTransactionRequest)
    [entry] = await world.box.transactions.parked()
    await world.stop()

    assert start.id_tag == "NEXT"
    assert "does not fit an xs:int" in entry.parked_because
    assert not any("does not answer" in line for line in world.story())


async def test_a_plc_that_forgot_its_answers_and_asks_again_is_given_them_again(world):
    await world.start()
    await world.clock.advance(5)
    station = world.box._rooms.station
    start = StartWanted(
        event_id="7", connector_id=1, at=world.clock.now(), id_tag="TAG", meter_start_wh=0
    )
    stop = StopWanted(event_id="8", connector_id=1, at=world.clock.now(), meter_stop_wh=0)
    for event in (start, start, stop, stop):
        await station.take(event)
        await world.clock.advance(5)
    await world.stop()

    kinds = [m.StartTransactionRequest, m.StopTransactionRequest]
    assert [type(r) for r in world.central.got if type(r) in kinds] == kinds
    assert [(a.event_id, a.transaction_id) for a in world.answers(AnswerStart)] == 2 * [("7", 1001)]
    assert [a.event_id for a in world.answers(AnswerStop)] == ["8", "8"]


async def test_a_plc_without_a_place_for_answers_is_not_offered_them(world):
    world.plc.unsupported |= {AnswerStart, AnswerStop}
    await world.start()
    await world.clock.advance(5)
    world.plc.start(1, "TAG")
    world.plc.stop(1)
    world.plc.present_tag(1, "OTHER")
    await world.clock.advance(1)
    await world.stop()

    assert [type(answer) for answer in world.plc.answers] == [AnswerTag]
    assert not any("refused the answer" in line for line in world.story())


async def test_an_answer_that_still_waits_for_the_plc_is_not_doubled(world):
    await world.start()
    await world.clock.advance(5)
    world.plc.go_offline()
    await world.clock.advance(5)
    station = world.box._rooms.station
    start = StartWanted(
        event_id="7", connector_id=1, at=world.clock.now(), id_tag="TAG", meter_start_wh=0
    )
    for _ in range(2):
        await station.take(start)
        await world.clock.advance(5)
    world.plc.come_online()
    await world.clock.advance(60)
    await world.stop()

    assert [a.event_id for a in world.answers(AnswerStart)] == ["7"]
