"""Commands wait for a station that cannot be reached, and are sent at most once."""

import asyncio
import itertools
from contextlib import suppress
from datetime import timedelta

import pytest

from ocppgw.central import CommandState, PendingCommand
from ocppgw.central.schema import COLLECTIONS, PENDING
from ocppgw.central.settings import StationSettings, UnknownStations
from ocppgw.errors import UserError
from ocppgw.link import NoEndpoint
from ocppgw.net.base import ConnectFailed, ConnectionBroken, DeadlineExceeded, HttpReply
from ocppgw.observe import StateChange
from ocppgw.ocpp import Direction, Fault, decode_call, encode_fault, encode_reply
from ocppgw.ocpp.enums import (
    ChargePointErrorCode,
    ChargePointStatus,
    CommandStatus,
    ResetType,
    UnlockStatus,
)
from ocppgw.ocpp.model import (
    ClearCacheRequest,
    ClearCacheResponse,
    HeartbeatRequest,
    ResetRequest,
    ResetResponse,
    StatusNotificationRequest,
    UnlockConnectorRequest,
    UnlockConnectorResponse,
)
from ocppgw.storage import StorageUnavailable
from ocppgw.testing.clock import settle
from ocppgw.testing.storage import MemoryStorage

RESET = ResetRequest(type=ResetType.SOFT)
UNLOCK = UnlockConnectorRequest(connector_id=1)
CLEAR = ClearCacheRequest()
ACCEPTED = ResetResponse(status=CommandStatus.ACCEPTED)
ANSWERS = {
    ResetRequest: ACCEPTED,
    UnlockConnectorRequest: UnlockConnectorResponse(status=UnlockStatus.UNLOCKED),
    ClearCacheRequest: ClearCacheResponse(status=CommandStatus.ACCEPTED),
}
TWO_HOURS = timedelta(hours=2)
AWAY = ConnectFailed("no connection to http://10.0.0.7:9000")


class Network:
    """The way to the stations; ``answer`` may be an exception, or a coroutine to wait for."""

    def __init__(self):
        self.received = []  # what a station has read
        self.tried = 0
        self.answer = None

    async def post(self, url, body, *, content_type, deadline):
        self.tried += 1
        if isinstance(self.answer, ConnectFailed):
            raise self.answer
        call = decode_call(body, Direction.TO_CHARGE_POINT)
        self.received.append(call.request)
        if isinstance(self.answer, Exception):
            raise self.answer
        if callable(self.answer):
            await self.answer()
        answer = ANSWERS[type(call.request)]
        if isinstance(self.answer, HttpReply):
            return self.answer
        return HttpReply(status=200, headers={}, body=encode_reply(call, answer))


@pytest.fixture
def away(make, tools):
    """``await away()``: a bench, and a station CP-1 that called once and cannot be reached."""

    async def made(*, network=None, **how):
        bench = await make(**how)
        bench.http = network or Network()
        bench.central._commands._http = bench.http
        bench.http.answer = AWAY
        await bench.call(tools.boot)
        return bench

    return made


async def later(bench, request=RESET, keep=TWO_HOURS, **more):
    return await bench.central.call_later("CP-1", request, keep, **more)


async def heard(bench, seconds=1.0):
    """The station sends something, and some time passes."""
    await bench.call(HeartbeatRequest())
    await bench.clock.advance(seconds)


async def command(bench, number=1):
    return PendingCommand.of(await bench.storage.get(PENDING, (number,)))


def told(bench):
    changes = [seen for seen in bench.seen if isinstance(seen, StateChange)]
    return [f"{seen.subject}: {seen.what}" for seen in changes]


async def test_a_station_that_can_be_reached_answers_at_once(away):
    bench = await away()
    bench.http.answer = None

    done = await later(bench, by="ann")

    assert (done.state, done.response, done.attempts) == (CommandState.DONE, ACCEPTED, 1)
    assert (done.request, done.by, done.operation) == (RESET, "ann", "Reset")
    assert done.until - done.accepted_at == TWO_HOURS
    assert done.ended_at == bench.clock.now()
    await heard(bench)
    assert bench.http.received == [RESET]
    assert await bench.central.pending.all("CP-1") == [done]
    await bench.central.stop()


async def test_it_waits_and_goes_out_after_the_answer_to_the_next_message(away):
    bench = await away()
    kept = await later(bench)
    bench.http.answer = None
    assert (kept.state, kept.reason) == (CommandState.WAITING, str(AWAY))

    await bench.call(HeartbeatRequest())
    assert bench.http.received == []  # the station may still be busy with our answer
    await bench.clock.advance(1)

    assert bench.http.received == [RESET]
    done = await command(bench)
    assert (done.state, done.attempts, done.reason) == (CommandState.DONE, 2, None)
    assert told(bench) == [
        "command 1 (Reset): waits for the station's next message, until 2026-01-01 14:00:00 UTC",
        "command 1 (Reset): done by the station",
    ]
    await bench.central.stop()


async def test_it_survives_a_restart(away):
    bench = await away()
    await later(bench)
    await bench.central.stop()
    again = await bench.another()
    again.central._commands._http = again.http = Network()

    await again.clock.advance(30)
    assert again.http.received == []  # nothing was heard of the station since
    await heard(again)

    assert again.http.received == [RESET]
    await again.central.stop()


async def test_in_the_order_of_acceptance_one_at_a_time(away):
    bench = await away()
    for request in (RESET, UNLOCK, CLEAR):
        await later(bench, request)
        await bench.clock.advance(1)
    gate = asyncio.Event()
    bench.http.answer = gate.wait
    await heard(bench)
    assert bench.http.received == [RESET]

    gate.set()
    await settle()

    assert bench.http.received == [RESET, UNLOCK, CLEAR]
    assert [c.number for c in await bench.central.pending.all()] == [3, 2, 1]
    await bench.central.stop()


async def test_a_new_one_queues_behind_one_that_was_tried_in_vain(away):
    bench = await away()
    await later(bench, RESET)
    assert bench.http.tried == 1

    queued = await later(bench, UNLOCK)
    assert (queued.state, queued.attempts) == (CommandState.WAITING, 0)
    assert bench.http.tried == 1  # the first one would only fail once more

    bench.http.answer = None
    await heard(bench)
    assert bench.http.received == [RESET, UNLOCK]
    await bench.central.stop()


async def test_a_new_one_has_those_tried_that_never_were(away):
    bench = await away()
    await later(bench, RESET, now=False)
    bench.http.answer = None

    done = await later(bench, UNLOCK)

    assert done.state is CommandState.DONE
    assert bench.http.received == [RESET, UNLOCK]
    await bench.central.stop()


async def test_a_new_one_has_those_tried_whose_station_was_heard_since(away):
    bench = await away()
    await later(bench, RESET)
    await bench.clock.advance(10)
    await heard(bench)
    tried = bench.http.tried
    await bench.clock.advance(1)
    await bench.call(HeartbeatRequest())  # too soon for another try by itself
    bench.http.answer = None

    done = await later(bench, UNLOCK)

    assert tried == 2
    assert done.state is CommandState.DONE
    assert bench.http.received == [RESET, UNLOCK]
    await bench.central.stop()


async def test_a_message_that_comes_while_it_is_tried_counts(away):
    bench = await away()
    gate = asyncio.Event()

    async def slowly_unreachable():
        await gate.wait()
        raise AWAY

    bench.http.answer = slowly_unreachable
    first = asyncio.ensure_future(later(bench))
    await settle()
    await bench.call(HeartbeatRequest())
    bench.http.received.clear()
    gate.set()
    bench.http.answer = None
    await bench.clock.advance(1)

    assert bench.http.received == [RESET]
    assert (await first).state in (CommandState.WAITING, CommandState.DONE)
    assert (await command(bench)).state is CommandState.DONE
    await bench.central.stop()


async def test_a_station_that_sends_much_is_not_tried_all_the_time(away):
    bench = await away()
    await later(bench)
    for _ in range(40):
        await heard(bench, 0.25)

    assert bench.http.tried <= 5
    bench.http.answer = None
    await bench.clock.advance(10)
    await heard(bench, 10)
    assert bench.http.received == [RESET]
    await bench.central.stop()


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (ConnectionBroken("the connection broke"), CommandState.UNKNOWN),
        (DeadlineExceeded("no answer within 30 s", sent=True), CommandState.UNKNOWN),
        (HttpReply(status=502, headers={}, body=b"Bad gateway"), CommandState.UNKNOWN),
        (
            HttpReply(
                status=500,
                headers={},
                body=encode_fault(Fault.internal_error(), Direction.TO_CHARGE_POINT),
            ),
            CommandState.FAILED,
        ),
    ],
    ids=["broken", "deadline", "proxy", "fault"],
)
async def test_what_may_have_got_there_is_not_sent_again(away, error, state):
    bench = await away()
    bench.http.answer = error

    over = await later(bench)
    bench.http.answer = None
    await heard(bench, 60)

    assert over.state is state
    assert ("whether the station has done it is not known" in over.reason) == (
        state is CommandState.UNKNOWN
    )
    assert bench.http.received == [RESET]
    assert await command(bench) == over
    await bench.central.stop()


async def test_a_deadline_before_it_was_sent_lets_it_wait(away):
    bench = await away()
    bench.http.answer = DeadlineExceeded("not even connected", sent=False)

    assert (await later(bench)).state is CommandState.WAITING
    await bench.central.stop()


async def test_after_an_unknown_outcome_the_others_wait_for_the_next_message(away):
    bench = await away()
    await later(bench, RESET)
    await later(bench, UNLOCK)
    bench.http.answer = ConnectionBroken("broken")
    await heard(bench)
    assert bench.http.received == [RESET]

    bench.http.answer = None
    await heard(bench, 10)
    await heard(bench, 10)

    assert bench.http.received == [RESET, UNLOCK]
    await bench.central.stop()


async def test_what_its_version_cannot_say_fails_and_holds_up_nobody(away):
    bench = await away()

    failed = await later(bench, UnlockConnectorRequest(connector_id=2**40))
    bench.http.answer = None
    done = await later(bench)

    assert failed.state is CommandState.FAILED
    assert "cannot be said" in failed.reason
    assert done.state is CommandState.DONE
    await bench.central.stop()


async def test_a_refusal_is_told_with_the_reason_that_comes_after(away, monkeypatch):
    monkeypatch.setitem(ANSWERS, ResetRequest, ResetResponse(status=CommandStatus.REJECTED))
    bench = await away()
    await later(bench)
    bench.http.answer = None
    await heard(bench)
    report = StatusNotificationRequest(
        connector_id=0,
        status=ChargePointStatus.AVAILABLE,
        error_code=ChargePointErrorCode.NO_ERROR,
        info="reset: PLC refused",
    )

    await bench.call(report)
    await bench.clock.advance(1)

    refused = await command(bench)
    assert (refused.state, refused.reason) == (CommandState.REFUSED, "reset: PLC refused")
    await bench.central.stop()


async def test_its_time_of_life_is_kept(away):
    bench = await away()
    await later(bench, RESET, timedelta(minutes=1))
    await later(bench, UNLOCK, timedelta(minutes=10))
    bench.http.answer = None
    await bench.clock.advance(61)

    await heard(bench)

    assert bench.http.received == [UNLOCK]
    expired = await command(bench)
    assert expired.state is CommandState.EXPIRED
    assert "command 1 (Reset): expired; it was not sent" in told(bench)
    await bench.central.stop()


async def test_it_expires_at_the_very_moment_without_a_look_in_between(away, monkeypatch):
    monkeypatch.setattr("ocppgw.central.service.LOOK", 10**6)
    bench = await away()
    await later(bench, RESET, timedelta(minutes=1))
    bench.http.answer = None
    await bench.clock.advance(60)

    await heard(bench)

    assert bench.http.received == []
    assert (await command(bench)).state is CommandState.EXPIRED
    await bench.central.stop()


async def test_it_can_be_taken_back_while_it_waits(away):
    bench = await away()
    await later(bench)

    await bench.central.pending.cancel(1)
    bench.http.answer = None
    await heard(bench, 20)

    assert bench.http.received == []
    assert (await command(bench)).state is CommandState.CANCELLED
    with pytest.raises(UserError, match="command 1 is cancelled; only a waiting one"):
        await bench.central.pending.cancel(1)
    with pytest.raises(UserError, match="there is no command 2"):
        await bench.central.pending.cancel(2)
    await bench.central.stop()


async def test_only_so_many_wait_for_a_station(away):
    bench = await away(max_pending=2)
    for _ in range(2):
        await later(bench)

    with pytest.raises(UserError, match=r"2 commands wait .* \(central_system\.max_pending\)"):
        await later(bench)

    await bench.central.pending.cancel(1)
    await later(bench)
    await bench.central.stop()


async def test_no_more_than_that_wait_however_many_come_at_once(away):
    bench = await away(max_pending=2)

    asked = asyncio.gather(*(later(bench) for _ in range(5)), return_exceptions=True)
    await bench.clock.advance(1)
    kept = await asked

    assert [type(one) for one in kept] == [PendingCommand] * 2 + [UserError] * 3
    assert len(await bench.all(PENDING)) == 2
    await bench.central.stop()


@pytest.mark.parametrize("keep", [timedelta(0), timedelta(days=31)])
async def test_a_time_of_life_that_makes_no_sense(away, keep):
    bench = await away()

    with pytest.raises(UserError, match="longer than 0 s and up to 30 days"):
        await later(bench, RESET, keep)

    assert await bench.all(PENDING) == []
    await bench.central.stop()


async def test_strangers_are_no_station_to_wait_for(away):
    bench = await away(unknown_stations=UnknownStations.PENDING)

    with pytest.raises(NoEndpoint, match="no station NOBODY is known"):
        await bench.central.call_later("NOBODY", RESET, TWO_HOURS)
    with pytest.raises(NoEndpoint, match="CP-1 is pending; accept it"):
        await later(bench)

    assert await bench.all(PENDING) == []
    await bench.central.stop()


async def test_whoever_poses_as_the_station_moves_nothing(away):
    bench = await away(stations={"CP-1": StationSettings(addresses=("10.0.0.7",))})
    await later(bench)
    tried = bench.http.tried
    bench.http.answer = None

    with pytest.raises(Fault):
        await bench.call(HeartbeatRequest(), remote="10.6.6.6")
    await bench.clock.advance(30)

    assert bench.http.tried == tried
    await bench.central.stop()


async def test_one_that_never_told_where_it_listens_may_tell_it_later(away):
    bench = await away(stations={"CP-9": StationSettings()})
    bench.http.answer = None

    kept = await bench.central.context.call_later("CP-9", RESET, TWO_HOURS)
    assert "set central_system.stations.CP-9.endpoint" in kept.reason
    await bench.call(HeartbeatRequest(), identity="CP-9")
    await bench.clock.advance(1)

    assert bench.http.received == [RESET]
    await bench.central.stop()


async def test_a_handler_has_its_station_called_after_its_answer(away):
    bench = await away()
    bench.http.answer = None

    async def heartbeat(request, call):
        kept = await bench.central.context.call_later(call.identity, RESET, TWO_HOURS, now=False)
        assert kept.state is CommandState.WAITING

    bench.use([("acme", {HeartbeatRequest: heartbeat})])

    await bench.call(HeartbeatRequest())
    assert bench.http.received == []
    await bench.clock.advance(1)

    assert bench.http.received == [RESET]
    await bench.central.stop()


# Several processes, and the worst moments


async def test_another_process_that_hears_the_station_sends_it(away):
    one = await away()
    other = await one.another()
    other.central._commands._http = other.http = Network()
    await later(one)
    one.http.answer = None
    await one.clock.advance(11)  # both have looked

    await other.call(HeartbeatRequest())
    await one.clock.advance(1)

    assert (one.http.received, other.http.received) == ([], [RESET])
    await one.central.stop()
    await other.central.stop()


async def test_two_processes_send_it_once(away):
    one = await away()
    other = await one.another()
    other.central._commands._http = other.http = one.http
    await later(one, RESET)
    await later(one, UNLOCK)
    await one.clock.advance(11)
    one.http.answer = None

    for bench in (one, other):
        await bench.call(HeartbeatRequest())
    await one.clock.advance(30)

    assert one.http.received == [RESET, UNLOCK]
    await one.central.stop()
    await other.central.stop()


@pytest.fixture
def two(away, tools):
    """``await two()``: two processes that know of a command which waits, the first of which
    can be interrupted; and how the second one takes it."""

    async def made():
        one = await away(storage=tools.Racing(COLLECTIONS))
        other = await one.another()
        await later(one, RESET, timedelta(minutes=1))
        one.http.answer = None

        async def taken():
            document = await one.storage.get(PENDING, (1,))
            return await other.central.pending._store.claim(
                document, one.clock.now() + timedelta(minutes=5)
            )

        return one, other, taken

    return made


async def test_what_is_taken_just_now_cannot_be_taken_back(two):
    one, other, taken = await two()
    one.storage.first["commit pending"] = taken

    with pytest.raises(UserError, match="command 1 is sending; only a waiting one"):
        await one.central.pending.cancel(1)

    await one.central.stop()
    await other.central.stop()


async def test_what_is_taken_back_just_now_is_not_sent(two):
    one, other, _ = await two()
    one.storage.first["commit pending"] = lambda: other.central.pending.cancel(1)

    await heard(one)

    assert one.http.received == []
    assert (await command(one)).state is CommandState.CANCELLED
    await one.central.stop()
    await other.central.stop()


async def test_what_another_process_sends_is_neither_sent_nor_expired_nor_overtaken(two):
    one, other, taken = await two()
    await taken()
    await one.clock.advance(1)
    second = await later(one, UNLOCK)

    await heard(one, 120)

    assert second.state is CommandState.WAITING
    assert one.http.received == []
    assert (await command(one)).state is CommandState.SENDING
    await one.central.stop()
    await other.central.stop()


async def test_what_is_taken_back_just_now_does_not_expire(two):
    one, other, _ = await two()
    one.storage.first["commit pending"] = lambda: other.central.pending.cancel(1)

    await other.central._rounds.stop()
    await one.clock.advance(70)

    assert (await command(one)).state is CommandState.CANCELLED
    assert not any("expired" in line for line in told(one))
    await one.central.stop()
    await other.central.stop()


async def test_an_answer_at_the_last_moment_is_stored_and_not_called_unknown(two):
    one, other, taken = await two()
    document = await taken()
    store = other.central.pending._store
    one.storage.first["commit pending"] = lambda: store.answered(
        document, CommandState.DONE, ACCEPTED
    )

    await other.central._rounds.stop()
    await one.clock.advance(310)

    assert (await command(one)).state is CommandState.DONE
    assert not any("unknown" in line for line in told(one))
    await one.central.stop()
    await other.central.stop()


async def test_an_answer_after_it_was_called_unknown_is_stored_too(two):
    one, other, taken = await two()
    document = await taken()
    await one.clock.advance(310)
    given_up = (await command(one)).state

    store = other.central.pending._store
    await store.not_sent(document, "no connection")  # that alone sends nothing again
    still = (await command(one)).state
    await store.answered(document, CommandState.DONE, ACCEPTED)

    assert (given_up, still) == (CommandState.UNKNOWN, CommandState.UNKNOWN)
    done = await command(one)
    assert (done.state, done.response, done.reason) == (CommandState.DONE, ACCEPTED, None)
    await one.central.stop()
    await other.central.stop()


async def test_a_mistake_of_ours_is_logged_and_its_command_unknown(away, monkeypatch, caplog):
    bench = await away()

    async def broken(*_):
        raise RuntimeError("a mistake")

    monkeypatch.setattr(bench.central._commands, "call", broken)

    assert (await later(bench)).state is CommandState.SENDING
    await bench.clock.advance(60)

    assert (await command(bench)).state is CommandState.UNKNOWN
    assert "a mistake" in caplog.text
    await bench.central.stop()


async def test_what_was_being_sent_when_the_process_died_is_unknown(away):
    bench = await away()
    bench.http.answer = asyncio.Event().wait
    waiting = asyncio.ensure_future(later(bench))
    await settle()
    assert (await command(bench)).state is CommandState.SENDING
    for task in list(bench.central.pending._runs.values()):
        task.cancel()  # as by SIGKILL: nothing of it is stored
    await settle()
    waiting.cancel()
    await bench.central.stop()
    again = await bench.another()
    again.central._commands._http = again.http = Network()

    await heard(again, 30)
    assert (await command(again)).state is CommandState.SENDING  # its sender may live yet
    await heard(again, 30)

    lost = await command(again)
    assert lost.state is CommandState.UNKNOWN
    assert "whether the station has done it is not known" in lost.reason
    assert again.http.received == []
    assert any(line.startswith("command 1 (Reset): unknown: ") for line in told(again))
    await again.central.stop()


async def test_an_answer_is_stored_however_long_the_store_is_away(away):
    bench = await away()

    async def store_goes():
        bench.storage.failure = StorageUnavailable("away")

    bench.http.answer = store_goes
    waiting = asyncio.ensure_future(later(bench))
    await bench.clock.advance(600)
    bench.storage.failure = None
    with suppress(StorageUnavailable):
        await waiting
    await bench.clock.advance(2)

    assert (await command(bench)).state is CommandState.DONE
    assert bench.http.received == [RESET]
    await bench.central.stop()


async def test_the_end_waits_for_a_command_on_its_way(away):
    bench = await away()
    gate = asyncio.Event()
    bench.http.answer = gate.wait
    waiting = asyncio.ensure_future(later(bench))
    await settle()

    ending = asyncio.ensure_future(bench.central.stop())
    await settle()
    gate.set()
    await ending

    assert (await waiting).state is CommandState.DONE


async def test_the_end_waits_for_a_command_that_is_just_being_taken(away, tools):
    """Else it would be told as unknown, though it never went out."""
    bench = await away(storage=tools.Racing(COLLECTIONS))
    await later(bench)
    bench.http.answer = None

    async def the_end_begins():
        ending.append(asyncio.ensure_future(bench.central.stop()))
        await settle()

    ending = []
    bench.storage.first["commit pending"] = the_end_begins
    await heard(bench)
    await ending[0]

    assert (await command(bench)).state is CommandState.DONE


async def test_what_a_slow_store_held_up_beyond_its_time_is_not_sent(away, tools):
    bench = await away(storage=tools.Racing(COLLECTIONS))
    await later(bench, RESET, timedelta(minutes=1))
    bench.http.answer = None
    await bench.central._rounds.stop()

    async def slow():
        bench.clock.set_time(bench.clock.now() + TWO_HOURS)

    bench.storage.first["commit pending"] = slow
    await heard(bench)

    assert bench.http.received == []
    assert (await command(bench)).state is CommandState.EXPIRED
    assert "command 1 (Reset): expired; it was not sent" in told(bench)
    await bench.central.stop()


async def test_a_slow_station_does_not_hold_up_the_operator_for_ever(away):
    bench = await away(command_deadline=5.0)
    gate = asyncio.Event()
    bench.http.answer = gate.wait
    waiting = asyncio.ensure_future(later(bench))
    await bench.clock.advance(9)

    assert (await waiting).state is CommandState.SENDING
    gate.set()
    await settle()
    assert (await command(bench)).state is CommandState.DONE
    await bench.central.stop()


async def test_killed_at_any_call_of_the_store_it_is_sent_at_most_once(away, tools):
    """What the station has read, and what is told of it, agree, wherever it was killed."""
    for calls in itertools.count():
        contents = MemoryStorage(COLLECTIONS).contents
        network = Network()
        storage = tools.Dying(COLLECTIONS, 10**9, contents)
        bench = await away(network=network, storage=storage)
        storage.calls = calls
        asked = asyncio.ensure_future(later(bench))
        await bench.clock.advance(1)
        network.answer = None
        with suppress(Fault):
            await heard(bench)
        killed = storage.calls < 0
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        for task in list(bench.central.pending._runs.values()):
            task.cancel()
        storage.calls = 10**9
        await bench.central.stop()
        received = len(network.received)
        again = await away(
            network=network,
            clock=bench.clock,
            storage=MemoryStorage(COLLECTIONS, contents=contents),
        )
        network.answer = None
        for _ in range(4):
            await heard(again, 30)

        states = [PendingCommand.of(d).state for d in await again.all(PENDING)]
        assert len(network.received) <= 1
        if not network.received:  # never accepted, or cut off just before it went out
            assert states in ([], [CommandState.UNKNOWN])
        elif received and killed:  # cut off before, or while, its answer was stored
            assert states in ([CommandState.UNKNOWN], [CommandState.DONE])
        else:
            assert states == [CommandState.DONE]
        await again.central.stop()
        if not killed:
            break
    assert calls > 5
