"""What the central system commands, what the PLC makes of it, and what the operator reads."""

from __future__ import annotations

import asyncio

import pytest

from ocppgw.ocpp import enums as e
from ocppgw.ocpp import model as m
from ocppgw.plc import RemoteStart, RemoteStop, ResetPlc, SetAvailability, Unlock

ACCEPTED, REJECTED = e.CommandStatus.ACCEPTED, e.CommandStatus.REJECTED
OUT, IN = e.AvailabilityType.INOPERATIVE, e.AvailabilityType.OPERATIVE


async def begin(world):
    await world.start()
    await world.clock.advance(1)


def remote_start(connector_id=1, tag="TAG"):
    return m.RemoteStartTransactionRequest(id_tag=tag, connector_id=connector_id)


def availability(connector_id, kind):
    return m.ChangeAvailabilityRequest(connector_id=connector_id, type=kind)


# Two at once


async def test_a_connector_does_not_wait_for_what_another_one_does_not_answer(world):
    await begin(world)
    world.plc.start(2, "TAG")
    world.plc.muted.add(RemoteStart)
    await world.clock.advance(5)
    slow = asyncio.ensure_future(world.order(remote_start(1)))
    await world.clock.advance(1)
    fast = asyncio.ensure_future(world.order(m.RemoteStopTransactionRequest(transaction_id=1001)))
    await world.clock.advance(1)
    waiting = slow.done()
    stopped = fast.done() and fast.result().status
    await world.clock.advance(20)
    refused = await slow
    await world.stop()

    assert (waiting, stopped, refused.status) == (False, ACCEPTED, REJECTED)


async def test_commands_for_one_connector_wait_for_each_other(world):
    await begin(world)
    world.plc.muted.add(RemoteStart)
    orders = [asyncio.ensure_future(world.order(remote_start(1))) for _ in range(2)]
    await world.clock.advance(16)
    done = [order.done() for order in orders]
    await world.clock.advance(16)
    answers = [(await order).status for order in orders]
    await world.stop()

    assert done == [True, False]
    assert answers == [REJECTED, REJECTED]


# Remote start


async def test_a_remote_start_ends_in_a_transaction(world):
    await begin(world)
    answer = await world.ordered(remote_start(2, "FAR"), 5)
    [start] = world.central.of(m.StartTransactionRequest)
    await world.stop()

    assert answer.status is ACCEPTED
    assert (start.connector_id, start.id_tag) == (2, "FAR")


async def test_without_a_connector_the_one_with_a_waiting_car_is_chosen(make_world):
    world = make_world(connectors=4)
    await begin(world)
    world.plc.arrive(3)
    await world.clock.advance(1)
    for _ in range(4):
        answer = await world.ordered(remote_start(None), 5)
        assert answer.status is ACCEPTED
    answer = await world.ordered(remote_start(None), 5)
    starts = world.central.of(m.StartTransactionRequest)
    await world.stop()

    assert answer.status is REJECTED
    assert [start.connector_id for start in starts] == [3, 1, 2, 4]
    assert world.central.infos() == ["remote start: no connector is free"]


@pytest.mark.parametrize(
    ("prepare", "connector_id", "info"),
    [
        (lambda plc: None, 9, "remote start: there is no connector 9"),
        (lambda plc: None, 0, "remote start: there is no connector 0"),
        (lambda plc: plc.start(1, "X"), 1, "remote start: connector is charging"),
        (lambda plc: plc.break_down(1, None) or setattr(plc.connectors[1], "available", False), 1,
         "remote start: connector is out of service"),
        (lambda plc: plc.refused.add(RemoteStart), 1, "remote start: PLC refused"),
        (lambda plc: plc.unsupported.add(RemoteStart), 1, "remote start: PLC has no way to do it"),
        (lambda plc: plc.muted.add(RemoteStart), 1, "remote start: PLC did not answer, withdrawn"),
    ],
)  # fmt: skip
async def test_a_remote_start_that_is_not_done_is_rejected_and_says_why(
    world, prepare, connector_id, info
):
    await begin(world)
    prepare(world.plc)
    await world.clock.advance(31)
    answer = await world.ordered(remote_start(connector_id), 20)
    reached = [i for i in world.central.infos() if i == info]
    await world.stop()

    assert answer.status is REJECTED
    assert reached == [info]
    assert any("remote start refused: " in line for line in world.story())
    assert not any("refused: remote start" in line for line in world.story())


async def test_a_faulted_connector_is_not_started(world):
    await begin(world)
    world.plc.break_down(1, "E42")
    await world.clock.advance(1)
    answer = await world.ordered(remote_start(1), 5)
    infos = world.central.infos()
    await world.stop()

    assert answer.status is REJECTED
    assert infos == ["E42", "remote start: connector is faulted"]


@pytest.mark.parametrize("seconds", [1, 10])
async def test_with_the_plc_offline_the_operator_reads_so(world, seconds):
    """Before and after its connectors count as Faulted."""
    await begin(world)
    world.plc.go_offline()
    await world.clock.advance(seconds)
    answer = await world.ordered(remote_start(None), 5)
    infos = world.central.infos()
    last = world.central.statuses(1)[-1]
    await world.stop()

    assert answer.status is REJECTED
    assert "remote start: PLC is offline" in infos
    assert last.status is e.ChargePointStatus.FAULTED


async def test_a_remote_start_before_the_acceptance_is_rejected(world):
    world.central.boot_answers = [(e.RegistrationStatus.REJECTED, 600)]
    await begin(world)
    answer = await world.ordered(remote_start(1), 5)
    stop = await world.ordered(m.RemoteStopTransactionRequest(transaction_id=1), 5)
    await world.stop()

    assert (answer.status, stop.status) == (REJECTED, REJECTED)


async def test_a_note_is_not_lost_when_the_status_changes_right_after(world):
    await begin(world)
    world.plc.muted.add(RemoteStart)
    world.central.away = True
    await world.ordered(remote_start(1), 16)
    world.plc.arrive(1)
    await world.clock.advance(2)
    world.central.away = False
    await world.clock.advance(60)
    last = world.central.statuses(1)[-1]
    await world.stop()

    assert last.status is e.ChargePointStatus.PREPARING
    assert last.info == "remote start: PLC did not answer, withdrawn"


# Remote stop


async def test_a_remote_stop_ends_the_transaction(world):
    await begin(world)
    world.plc.start(2, "TAG")
    await world.clock.advance(5)
    answer = await world.ordered(m.RemoteStopTransactionRequest(transaction_id=1001), 5)
    [stop] = world.central.of(m.StopTransactionRequest)
    await world.stop()

    assert answer.status is ACCEPTED
    assert (stop.transaction_id, stop.reason) == (1001, e.Reason.REMOTE)


async def test_a_remote_stop_of_what_does_not_run_is_rejected(world):
    await begin(world)
    await world.session()
    answer = await world.ordered(m.RemoteStopTransactionRequest(transaction_id=1001), 5)
    infos = world.central.infos()
    await world.stop()

    assert answer.status is REJECTED
    assert infos == ["remote stop: no such transaction runs here"]


async def test_a_remote_stop_that_the_plc_refuses_is_rejected(world):
    await begin(world)
    world.plc.start(2, "TAG")
    await world.clock.advance(5)
    world.plc.refused.add(RemoteStop)
    answer = await world.ordered(m.RemoteStopTransactionRequest(transaction_id=1001), 5)
    noted = [s.info for s in world.central.statuses(2) if s.info]
    await world.stop()

    assert answer.status is REJECTED
    assert noted == ["remote stop: PLC refused"]


# Unlock


async def test_unlock_opens_the_lock(world):
    await begin(world)
    world.plc.connectors[1].locked = True
    answer = await world.ordered(m.UnlockConnectorRequest(connector_id=1), 5)
    await world.stop()

    assert answer.status is e.UnlockStatus.UNLOCKED
    assert not world.plc.connectors[1].locked


async def test_unlock_first_ends_the_running_session(world):
    await begin(world)
    world.plc.start(1, "TAG")
    await world.clock.advance(5)
    answer = await world.ordered(m.UnlockConnectorRequest(connector_id=1), 5)
    stops = world.central.of(m.StopTransactionRequest)
    await world.stop()

    assert answer.status is e.UnlockStatus.UNLOCKED
    assert len(stops) == 1


async def test_a_session_that_does_not_end_is_not_unlocked(world):
    await begin(world)
    world.plc.start(1, "TAG")
    await world.clock.advance(5)
    world.plc.stop = lambda number, reason=None: None
    answer = await world.ordered(m.UnlockConnectorRequest(connector_id=1), 60)
    await world.stop()

    assert answer.status is e.UnlockStatus.UNLOCK_FAILED
    assert world.plc.connectors[1].locked


async def test_unlock_of_what_cannot_be_unlocked(world):
    await begin(world)
    unknown = await world.ordered(m.UnlockConnectorRequest(connector_id=7), 5)
    world.plc.unsupported.add(Unlock)
    no_lock = await world.ordered(m.UnlockConnectorRequest(connector_id=1), 5)
    await world.stop()

    assert unknown.status is e.UnlockStatus.UNLOCK_FAILED
    assert no_lock.status is e.UnlockStatus.NOT_SUPPORTED


# Availability


async def test_availability_of_one_connector(world):
    await begin(world)
    answer = await world.ordered(availability(2, OUT), 5)
    again = await world.ordered(availability(2, OUT), 5)
    assert not world.plc.connectors[2].available
    assert world.central.statuses(2)[-1].status is e.ChargePointStatus.UNAVAILABLE
    back = await world.ordered(availability(2, IN), 5)
    await world.stop()

    accepted = e.AvailabilityStatus.ACCEPTED
    assert [a.status for a in (answer, again, back)] == [accepted] * 3
    assert world.plc.connectors[2].available
    assert world.central.statuses(2)[-1].status is e.ChargePointStatus.AVAILABLE


async def test_the_whole_station_out_of_service(world):
    await begin(world)
    answer = await world.ordered(availability(0, OUT), 5)
    await world.kill()
    world.plc.connectors[1].available = True
    await world.start()
    await world.clock.advance(5)
    last = [world.central.statuses(n)[-1].status for n in (0, 1, 2)]
    told = [connector.available for connector in world.plc.connectors.values()]
    back = await world.ordered(availability(0, IN), 5)
    await world.stop()

    assert answer.status is back.status is e.AvailabilityStatus.ACCEPTED
    assert last == [e.ChargePointStatus.UNAVAILABLE] * 3
    assert told == [False, False]
    assert all(connector.available for connector in world.plc.connectors.values())


@pytest.mark.parametrize("connector_id", [0, 1])
async def test_a_running_transaction_is_waited_for_also_over_a_restart(world, connector_id):
    await begin(world)
    world.plc.start(1, "TAG")
    await world.clock.advance(5)
    answer = await world.ordered(availability(connector_id, OUT), 5)
    assert world.plc.connectors[1].available
    await world.kill()
    await world.start()
    await world.clock.advance(5)
    assert world.plc.connectors[1].available
    world.plc.stop(1)
    await world.clock.advance(5)
    last = world.central.statuses(connector_id)[-1].status
    await world.stop()

    assert answer.status is e.AvailabilityStatus.SCHEDULED
    assert not world.plc.connectors[1].available
    assert last is e.ChargePointStatus.UNAVAILABLE


async def test_a_schedule_can_be_taken_back(world):
    await begin(world)
    world.plc.start(1, "TAG")
    await world.clock.advance(5)
    await world.ordered(availability(1, OUT), 5)
    await world.ordered(availability(1, IN), 5)
    world.plc.stop(1)
    await world.clock.advance(5)
    await world.stop()

    assert world.plc.connectors[1].available


async def test_what_was_scheduled_is_tried_until_the_plc_does_it(world):
    await begin(world)
    world.plc.start(1, "TAG")
    await world.clock.advance(5)
    await world.ordered(availability(1, OUT), 5)
    world.plc.refused.add(SetAvailability)
    world.plc.stop(1)
    await world.clock.advance(30)
    assert world.plc.connectors[1].available
    world.plc.refused.clear()
    await world.clock.advance(30)
    await world.stop()

    assert not world.plc.connectors[1].available


async def test_availability_that_the_plc_does_not_change_is_rejected(world):
    await begin(world)
    world.plc.refused.add(SetAvailability)
    refused = await world.ordered(availability(1, OUT), 5)
    unknown = await world.ordered(availability(5, OUT), 5)
    odd = await world.ordered(availability(1, e.Unknown("Maybe")), 5)
    world.plc.unsupported.add(SetAvailability)
    world.plc.start(1, "TAG")
    await world.clock.advance(1)
    unsupported = await world.ordered(availability(1, OUT), 5)
    already = await world.ordered(availability(1, IN), 5)
    infos = world.central.infos()
    await world.stop()

    rejected = e.AvailabilityStatus.REJECTED
    assert [a.status for a in (refused, unknown, odd, unsupported)] == [rejected] * 4
    assert "availability: there is no type Maybe" in infos
    assert already.status is e.AvailabilityStatus.ACCEPTED


# Reset


async def test_a_soft_reset_ends_what_runs_and_boots_again(world):
    await begin(world)
    world.plc.start(1, "TAG")
    await world.clock.advance(5)
    answer = await world.ordered(m.ResetRequest(type=e.ResetType.SOFT), 30)
    boots = [r for r in world.central.got if isinstance(r, m.BootNotificationRequest)]
    await world.stop()

    assert answer.status is ACCEPTED
    assert world.plc.resets == [ResetPlc(hard=False)]
    assert len(world.central.of(m.StopTransactionRequest)) == 1
    assert len(boots) == 2


async def test_a_soft_reset_stops_all_connectors_at_once(make_world):
    world = make_world(connectors=8)
    await begin(world)
    for number in range(1, 9):
        world.plc.start(number, "TAG")
    await world.clock.advance(5)
    world.plc.muted.add(RemoteStop)
    answer = asyncio.ensure_future(world.order(m.ResetRequest(type=e.ResetType.SOFT)))
    await world.clock.advance(16)
    done = answer.done()
    await world.clock.advance(200)
    await answer
    await world.stop()

    assert done


async def test_a_soft_reset_waits_only_so_long(world):
    await begin(world)
    for number in (1, 2):
        world.plc.start(number, "TAG")
    await world.clock.advance(5)
    stop, world.plc.stop = world.plc.stop, lambda number, reason=None: None
    answer = await world.ordered(m.ResetRequest(type=e.ResetType.SOFT), 60)
    world.plc.refused.add(RemoteStop)
    again = await world.ordered(m.ResetRequest(type=e.ResetType.SOFT), 60)
    world.plc.stop = stop
    await world.stop()

    assert (answer.status, again.status) == (ACCEPTED, ACCEPTED)
    assert len(world.plc.resets) == 2
    assert any("not stopped before the reset" in line for line in world.story())


def boots(world):
    return sum(isinstance(r, m.BootNotificationRequest) for r in world.central.got)


@pytest.mark.parametrize("visible", [True, False])
async def test_after_a_reset_the_box_boots_once_the_plc_is_back(world, visible):
    """``visible``: the PLC says that it does not run yet; otherwise the line just breaks."""
    await begin(world)
    await world.ordered(m.ResetRequest(type=e.ResetType.HARD), 1)
    world.plc.halt() if visible else world.plc.go_offline()
    await world.clock.advance(120)
    waiting = boots(world)
    world.plc.run() if visible else world.plc.come_online()
    await world.clock.advance(1)
    await world.stop()

    assert (waiting, boots(world)) == (1, 2)


async def test_a_plc_whose_reset_nobody_sees_is_taken_for_back_after_a_while(world):
    await begin(world)
    await world.ordered(m.ResetRequest(type=e.ResetType.HARD), 1)
    assert boots(world) == 1
    await world.clock.advance(30)
    await world.stop()

    assert boots(world) == 2


async def test_what_was_refused_before_a_reset_is_not_said_after_it(world):
    await begin(world)
    await world.ordered(m.RemoteStopTransactionRequest(transaction_id=99), 1)
    noted = world.central.statuses(0)[-1].info
    await world.ordered(m.ResetRequest(type=e.ResetType.HARD), 1)
    await world.clock.advance(60)
    await world.stop()

    assert noted == "remote stop: no such transaction runs here"
    assert world.central.statuses(0)[-1].info is None


async def test_what_was_refused_is_not_said_once_it_was_done(world):
    await begin(world)
    world.plc.refused.add(Unlock)
    await world.ordered(m.UnlockConnectorRequest(connector_id=1), 1)
    noted = world.central.statuses(1)[-1].info
    world.plc.refused.clear()
    await world.ordered(m.UnlockConnectorRequest(connector_id=1), 1)
    world.plc.arrive(1)
    await world.clock.advance(1)
    await world.stop()

    assert noted == "unlock: PLC refused"
    assert world.central.statuses(1)[-1].info is None


async def test_a_hard_reset_does_not_wait(world):
    await begin(world)
    world.plc.start(1, "TAG")
    await world.clock.advance(5)
    answer = await world.ordered(m.ResetRequest(type=e.ResetType.HARD), 5)
    await world.stop()

    assert answer.status is ACCEPTED
    assert world.plc.resets == [ResetPlc(hard=True)]
    assert world.central.of(m.StopTransactionRequest) == []


async def test_a_plc_without_reset_says_so(world):
    await begin(world)
    world.plc.unsupported.add(ResetPlc)
    answer = await world.ordered(m.ResetRequest(type=e.ResetType.HARD), 5)
    odd = await world.ordered(m.ResetRequest(type=e.Unknown("Warm")), 5)
    infos = world.central.infos()
    await world.stop()

    assert (answer.status, odd.status) == (REJECTED, REJECTED)
    assert infos == ["reset: PLC has no way to do it", "reset: there is no type Warm"]


# The rest


async def test_what_is_not_offered_is_refused_honestly(world):
    await begin(world)
    answers = [
        await world.order(request)
        for request in (
            m.GetDiagnosticsRequest(location="ftp://host/"),
            m.DataTransferRequest(vendor_id="com.example"),
        )
    ]
    await world.stop()

    assert answers == [
        m.GetDiagnosticsResponse(),
        m.DataTransferResponse(status=e.DataTransferStatus.UNKNOWN_VENDOR_ID),
    ]


async def test_a_firmware_update_is_followed_by_its_failure(world):
    await begin(world)
    request = m.UpdateFirmwareRequest(retrieve_date=world.clock.now(), location="ftp://host/f")
    answer = await world.ordered(request, 5)
    failed = world.central.of(m.FirmwareStatusNotificationRequest)
    await world.ordered(m.GetDiagnosticsRequest(location="ftp://host/"), 15)
    infos = world.central.infos()
    await world.stop()

    assert infos == ["update firmware: not configured", "diagnostics: not configured"]
    assert answer == m.UpdateFirmwareResponse()
    assert [f.status for f in failed] == [e.FirmwareStatus.DOWNLOAD_FAILED]


async def test_configuration_is_read_changed_and_kept(world):
    await begin(world)
    change = m.ChangeConfigurationRequest(key="HeartBeatInterval", value="30")
    answer = await world.ordered(change, 95)
    beats = [r for r in world.central.got if isinstance(r, m.HeartbeatRequest)]
    sample = m.ChangeConfigurationRequest(key="meterValueSampleInterval", value="15")
    await world.ordered(sample, 1)
    await world.kill()
    world.central.interval = None
    await world.start()
    await world.clock.advance(1)
    asked = ("HeartBeatInterval", "MeterValueSampleInterval", "numberofconnectors", "Nonsense")
    got = await world.order(m.GetConfigurationRequest(key=asked))
    everything = await world.order(m.GetConfigurationRequest())
    await world.stop()

    assert answer.status is e.ConfigurationStatus.ACCEPTED
    assert len(beats) == 3
    assert got == m.GetConfigurationResponse(
        configuration_key=(
            m.KeyValue(key="HeartBeatInterval", readonly=False, value="30"),
            m.KeyValue(key="MeterValueSampleInterval", readonly=False, value="15"),
            m.KeyValue(key="NumberOfConnectors", readonly=True, value="2"),
        ),
        unknown_key=("Nonsense",),
    )
    names = [key.key for key in everything.configuration_key]
    assert len(names) == len(set(names)) > 6
    assert {"ConnectionTimeOut", "StopTxnAlignedData", "SampleOnTransaction"} < set(names)


@pytest.mark.parametrize(
    ("key", "value", "status"),
    [
        ("Nonsense", "1", e.ConfigurationStatus.NOT_SUPPORTED),
        ("NumberOfConnectors", "3", e.ConfigurationStatus.REJECTED),
        ("HeartBeatInterval", "0", e.ConfigurationStatus.REJECTED),
        ("HeartBeatInterval", "soon", e.ConfigurationStatus.REJECTED),
        ("MeterValueSampleInterval", "-1", e.ConfigurationStatus.REJECTED),
        ("MeterValueSampleInterval", "99999999", e.ConfigurationStatus.REJECTED),
        ("MeterValueSampleInterval", "0", e.ConfigurationStatus.ACCEPTED),
    ],
)
async def test_changes_of_the_configuration_are_checked(world, key, value, status):
    await begin(world)
    answer = await world.ordered(m.ChangeConfigurationRequest(key=key, value=value), 1)
    await world.stop()

    assert answer.status is status
