"""The driver's core over a line in memory, with a clock turned by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ocppgw.plc import (
    AnswerBoot,
    AnswerStart,
    Identity,
    LimitCurrent,
    Offline,
    Online,
    PlcError,
    PlcOffline,
    PlcRefused,
    PlcTimeout,
    PlcUnsupported,
    RemoteStart,
    RemoteStop,
    ResetPlc,
    SetAvailability,
    SetTime,
    StartWanted,
    StopWanted,
    Unlock,
)
from ocppgw.testing.clock import FakeClock, settle
from ocppgw.testing.plc import RecordingStation
from ocppgw_modbus.bound import BoundMap
from ocppgw_modbus.device import Backoff, Device
from ocppgw_modbus.energies import Energies
from ocppgw_modbus.failures import DeviceSaysNo, Lost
from ocppgw_modbus.mapfile import parse_map


class Killed(BaseException):
    """The process dies here."""


class Bench:
    """A device at work."""

    def __init__(self, line: Any, connectors: int = 2) -> None:
        self.line = line
        self.clock = FakeClock()
        self.ids = iter(f"id{number}" for number in range(1000))
        self.device = Device(
            line.bound,
            lambda: line,
            Backoff(1, 30),
            name="BOX",
            connectors=connectors,
            clock=self.clock,
            fresh=lambda: next(self.ids),
            energies=Energies(self.clock),
        )

    @asynccontextmanager
    async def running(self, station: RecordingStation) -> AsyncIterator[None]:
        task = asyncio.ensure_future(self.device.run(station))
        try:
            await settle(500)
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
        assert task.cancelled(), task.exception()
        assert not self.line.open

    async def pass_time(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.05)):
            await self.clock.advance(0.05)


def raise_start(line: Any, sequence: int = 1, tag: str = "04A1", meter: int = 1000) -> None:
    line.put("start_tag", tag, 1)
    line.put("start_meter", meter, 1)
    line.put("start_sequence", sequence, 1)
    line.put("start_request", 1, 1)


async def test_polls_with_few_reads(line: Any) -> None:
    bench, station = Bench(line), RecordingStation()
    async with bench.running(station):
        line.log.clear()
        await bench.pass_time(0.25)
    assert line.log == ["read 3 0 1", "read 3 100 11", "read 3 210 11"]


async def test_a_life_bit_goes_on_while_storage_hangs(line: Any) -> None:
    bench, station = Bench(line), RecordingStation()
    async with bench.running(station):
        station.gate.clear()
        raise_start(line)
        await bench.pass_time(6.5)
        assert len(station.handed_over) == 1
        assert line.get("start_acknowledge", 1) == 0
        station.gate.set()
        await bench.pass_time(0.5)
        assert line.get("start_acknowledge", 1) == 1
    lives = [one for one in line.writes if one.startswith("write 6 60")]
    assert lives == ["write 6 60 [1]", "write 6 60 [0]", "write 6 60 [1]", "write 6 60 [0]"]


async def test_start_and_stop_carry_what_the_plc_said(line: Any) -> None:
    bench, station = Bench(line), RecordingStation()
    async with bench.running(station):
        raise_start(line, sequence=7)
        await bench.pass_time(1)
        line.put("stop_tag", "", 2)
        line.put("stop_meter", 2000, 2)
        line.put("stop_transaction", 99, 2)
        line.put("stop_reason", 1, 2)
        line.put("stop_request", 1, 2)
        await bench.pass_time(1)
    start, stop = station.events
    assert isinstance(start, StartWanted)
    assert (start.id_tag, start.meter_start_wh, start.connector_id) == ("04A1", 1000, 1)
    assert start.event_id.startswith("1.start:id0:7:")
    assert isinstance(stop, StopWanted)
    assert (stop.meter_stop_wh, stop.transaction_id, stop.id_tag) == (2000, 99, None)
    assert stop.reason is not None
    assert stop.reason.value == "EVDisconnected"


@pytest.mark.parametrize("transaction", [0, 0xFFFFFFFF, 2**31])
async def test_a_transaction_that_cannot_be_is_none(line: Any, transaction: int) -> None:
    bench, station = Bench(line), RecordingStation()
    async with bench.running(station):
        line.put("stop_transaction", transaction, 1)
        line.put("stop_request", 1, 1)
        await bench.pass_time(1)
    (stop,) = station.events
    assert isinstance(stop, StopWanted)
    assert stop.transaction_id is None


@pytest.mark.parametrize(
    ("register", "value"),
    [
        ("start_tag", ""),
        ("start_tag", "04\x01A1"),
        ("start_meter", 0xFFFFFFFF),
    ],
)
async def test_an_event_that_makes_no_sense_is_not_acknowledged(
    line: Any, register: str, value: Any, caplog: pytest.LogCaptureFixture
) -> None:
    bench, station = Bench(line), RecordingStation()
    async with bench.running(station):
        raise_start(line)
        line.put(register, value, 1)
        await bench.pass_time(2)
        assert not station.handed_over
        assert line.get("start_acknowledge", 1) == 0
        assert caplog.text.count(f"connector 1 {register}") == 1
        raise_start(line)
        await bench.pass_time(1)
        assert len(station.events) == 1


async def test_fields_written_after_the_poll_are_read_again(line: Any) -> None:
    bench, station = Bench(line), RecordingStation()
    async with bench.running(station):
        raise_start(line, tag="OLD")

        def plc(what: str) -> None:
            if what.startswith("read 3 104 2"):
                raise_start(line, tag="NEW", sequence=2)

        line.before = plc
        await bench.pass_time(1)
    (start,) = station.events
    assert isinstance(start, StartWanted)
    assert start.id_tag == "NEW"


async def test_a_request_that_was_lowered_meanwhile_is_no_event(line: Any) -> None:
    bench, station = Bench(line), RecordingStation()
    async with bench.running(station):
        raise_start(line)

        def plc(what: str) -> None:
            if what.startswith("read 3 104 2"):
                line.put("start_request", 0, 1)

        line.before = plc
        await bench.pass_time(1)
    assert not station.handed_over


async def test_storage_that_fails_is_tried_again_after_a_pause(
    line: Any, caplog: pytest.LogCaptureFixture
) -> None:
    bench, station = Bench(line), RecordingStation()
    async with bench.running(station):
        station.failures = 3
        raise_start(line)
        await bench.pass_time(2.5)
        assert len(station.handed_over) == 3
        await bench.pass_time(2)
        assert line.get("start_acknowledge", 1) == 1
    assert caplog.text.count("hand-shake 1.start: not acknowledged") == 1


STEPS = [
    "take begins",
    "taken",
    "write 16 109 [1]",
    "acknowledged",
    "forget begins",
    "forgotten",
    "write 16 109 [0]",
    "lowered",
]


class MortalStation(RecordingStation):
    """Dies before or after a step, as if the process had been killed there."""

    def __init__(self, memory: RecordingStation, death: str) -> None:
        super().__init__(memory.notes())
        self.memory = memory
        self.death = death

    def reach(self, step: str) -> None:
        if step == self.death:
            self.gate.clear()
            raise Lost("killed")

    async def take(self, event: Any, *, remember: Any = None) -> None:
        self.reach("take begins")
        await self.memory.take(event, remember=remember)
        await super().take(event, remember=remember)
        self.reach("taken")

    async def remember(self, notes: Any) -> None:
        self.reach("forget begins")
        await self.memory.remember(notes)
        await super().remember(notes)
        self.reach("forgotten")


@pytest.mark.parametrize("death", STEPS)
async def test_killed_at_any_step_the_start_counts_once_and_the_plc_gets_its_answer(
    line: Any, death: str
) -> None:
    memory = RecordingStation()
    mortal = MortalStation(memory, death)
    bench = Bench(line)

    def plc(what: str = "") -> None:
        """Four phases, as a PLC does them."""
        if line.get("start_acknowledge", 1) and line.get("start_request", 1):
            line.put("start_request", 0, 1)

    dead = False

    def before(what: str) -> None:
        nonlocal dead
        if dead or what == death:
            dead = True
            raise Lost("killed")
        plc()
        if death == "acknowledged" and line.get("start_acknowledge", 1):
            dead = True
        if death == "lowered" and "write 16 109 [0]" in line.log:
            dead = True

    async with bench.running(mortal):
        raise_start(line)
        line.before = before
        await bench.pass_time(1)
    line.before = plc
    again = RecordingStation(memory.notes())
    again.events.extend(memory.events)
    bench = Bench(line)
    async with bench.running(again):
        await bench.pass_time(2)
    assert len(again.events) == 1
    assert (line.get("start_request", 1), line.get("start_acknowledge", 1)) == (0, 0)
    assert "1.start" not in again.notes()


async def finish(bench: Bench, line: Any, what: str) -> None:
    """The PLC sees the acknowledge and ends the hand-shake."""
    await bench.pass_time(0.5)
    line.put(f"{what}_request", 0, 1)
    await bench.pass_time(0.5)


def raise_stop(line: Any, sequence: int = 1, meter: int = 1000) -> None:
    line.put("stop_meter", meter, 1)
    line.put("stop_sequence", sequence, 1)
    line.put("stop_request", 1, 1)


async def test_a_start_raised_again_by_a_plc_that_lost_power_is_the_old_one(line: Any) -> None:
    bench, station = Bench(line), RecordingStation()
    async with bench.running(station):
        for _ in range(2):
            raise_start(line)
            await finish(bench, line, "start")
        raise_stop(line)
        await finish(bench, line, "stop")
        raise_stop(line)
        await finish(bench, line, "stop")
    assert [type(event) for event in station.events] == [StartWanted, StopWanted]
    assert len(station.handed_over) == 4


async def test_a_session_like_the_last_one_counts_though_the_numbers_began_again(
    line: Any,
) -> None:
    """A PLC that begins with 1 after every power cut, a meter that did not move."""
    bench, station = Bench(line), RecordingStation()
    async with bench.running(station):
        for _ in range(2):
            raise_start(line)
            await finish(bench, line, "start")
            raise_stop(line)
            await finish(bench, line, "stop")
    assert [type(event) for event in station.events] == 2 * [StartWanted, StopWanted]


async def test_another_event_after_a_restart_of_both_is_taken(line: Any) -> None:
    station = RecordingStation()
    bench = Bench(line)
    async with bench.running(station):
        raise_start(line, sequence=5)
        await bench.pass_time(1)
    raise_start(line, sequence=1, meter=7)
    bench = Bench(line)
    async with bench.running(station):
        await bench.pass_time(1)
    first, second = station.events
    assert first.event_id.split(":")[1:3] != second.event_id.split(":")[1:3]


async def test_an_acknowledge_left_up_is_lowered(line: Any) -> None:
    bench, station = Bench(line), RecordingStation()
    line.put("tag_acknowledge", 1, 2)
    async with bench.running(station):
        await bench.pass_time(0.5)
    assert line.get("tag_acknowledge", 2) == 0


async def test_a_stale_request_is_lowered_before_anything_is_read(line: Any) -> None:
    bench, station = Bench(line), RecordingStation()
    line.put("remote_start", 1, 1)
    async with bench.running(station):
        await bench.pass_time(0.5)
    assert line.get("remote_start", 1) == 0
    first_read = next(i for i, one in enumerate(line.log) if one.startswith("read"))
    assert line.log.index("write 16 185 [0]") < first_read


class AnsweringPlc:
    """Answers one request register; may take its time or think better of it."""

    def __init__(self, line: Any, request: str, answer: str, verdict: int = 1) -> None:
        self.line, self.request, self.answer, self.verdict = line, request, answer, verdict
        self.asked = 0
        line.before = self.scan

    def scan(self, what: str) -> None:
        up = self.line.get(self.request, 1)
        if up and not self.line.get(self.answer, 1):
            self.asked += 1
            self.line.put(self.answer, self.verdict, 1)
        elif not up:
            self.line.put(self.answer, 0, 1)


async def command(bench: Bench, what: Any, deadline: float = 5) -> PlcError | None:
    """What came of a command, with time passing."""
    task = asyncio.ensure_future(bench.device.execute(what, deadline))
    for _ in range(400):
        if task.done():
            break
        await bench.clock.advance(0.05)
    try:
        await task
    except PlcError as error:
        return error
    return None


async def test_a_remote_start_is_asked_and_accepted(line: Any) -> None:
    bench, station = Bench(line), RecordingStation()
    async with bench.running(station):
        plc = AnsweringPlc(line, "remote_start", "remote_start_answer")
        assert await command(bench, RemoteStart(connector_id=1, id_tag="04A1")) is None
    assert plc.asked == 1
    assert line.get("remote_start_tag", 1) == "04A1"
    assert line.get("remote_start", 1) == 0
    order = [one.split(" [")[0] for one in line.writes if " 185 " in one or " 192 " in one]
    assert order[-3:] == ["write 16 192", "write 16 185", "write 16 185"]


async def test_a_remote_stop_is_refused(line: Any) -> None:
    bench, station = Bench(line), RecordingStation()
    async with bench.running(station):
        AnsweringPlc(line, "remote_stop", "remote_stop_answer", verdict=2)
        error = await command(bench, RemoteStop(connector_id=1, transaction_id=2**31 - 1))
    assert isinstance(error, PlcRefused)
    assert str(error) == "remote stop of connector 1: the PLC refused"
    assert line.get("remote_stop_transaction", 1) == 2**31 - 1


async def test_no_answer_is_withdrawn(line: Any) -> None:
    bench, station = Bench(line), RecordingStation()
    async with bench.running(station):
        error = await command(bench, Unlock(connector_id=1), deadline=1)
        assert bench.clock.monotonic() < 1.6
    assert isinstance(error, PlcTimeout)
    assert error.withdrawn
    assert str(error) == "unlock of connector 1: the PLC did not answer, withdrawn"
    assert line.get("unlock", 1) == 0


async def test_accepted_too_late_may_still_happen(line: Any) -> None:
    bench, station = Bench(line), RecordingStation()
    async with bench.running(station):

        def plc(what: str) -> None:
            if line.log.count("write 16 191 [0]") == 2 and what.startswith("read"):
                line.put("unlock_answer", 1, 1)

        line.before = plc
        error = await command(bench, Unlock(connector_id=1), deadline=1)
    assert isinstance(error, PlcTimeout)
    assert not error.withdrawn
    assert "may still happen" in str(error)


async def test_an_answer_that_never_went_idle(line: Any) -> None:
    bench, station = Bench(line), RecordingStation()
    line.put("unlock_answer", 7, 1)
    async with bench.running(station):
        error = await command(bench, Unlock(connector_id=1), deadline=1)
    assert isinstance(error, PlcTimeout)
    assert error.withdrawn
    assert "did not take back an earlier answer" in str(error)
    assert "write 16 191 [1]" not in line.log


async def test_an_answer_that_stays_is_an_answer(
    line: Any, caplog: pytest.LogCaptureFixture
) -> None:
    bench, station = Bench(line), RecordingStation()
    async with bench.running(station):

        def plc(what: str) -> None:
            if line.get("unlock", 1):
                line.put("unlock_answer", 1, 1)

        line.before = plc
        assert await command(bench, Unlock(connector_id=1)) is None
    assert "the PLC does not take its answer back" in caplog.text


async def test_one_at_a_time_for_each_hand_shake(line: Any) -> None:
    bench, station = Bench(line), RecordingStation()
    async with bench.running(station):
        plc = AnsweringPlc(line, "unlock", "unlock_answer")
        both = asyncio.gather(
            command(bench, Unlock(connector_id=1)), bench.device.execute(Unlock(connector_id=1), 5)
        )
        await both
    assert plc.asked == 2


async def test_a_second_one_does_not_wait_longer_than_its_deadline(line: Any) -> None:
    bench, station = Bench(line), RecordingStation()
    async with bench.running(station):
        first = asyncio.ensure_future(bench.device.execute(Unlock(connector_id=1), 60))
        await settle()
        with pytest.raises(PlcTimeout, match="still busy") as caught:
            await bench.device.execute(Unlock(connector_id=1), 0.01)
        assert caught.value.withdrawn
        first.cancel()
        await asyncio.wait([first])
        await bench.pass_time(0.1)
        assert line.get("unlock", 1) == 0  # whoever is cancelled leaves no request up


async def test_a_plain_write(line: Any) -> None:
    bench, station = Bench(line), RecordingStation()
    async with bench.running(station):
        at = bench.clock.now()
        assert await command(bench, SetTime(time=at)) is None
    assert line.get("clock") == int(at.timestamp())


async def test_boot_tells_the_time_in_milliseconds(line: Any) -> None:
    bench, station = Bench(line), RecordingStation()
    async with bench.running(station):
        at = bench.clock.now()
        await command(bench, AnswerBoot(accepted=True, time=at), deadline=0.5)
    assert line.get("boot_time") == int(at.timestamp() * 1000)
    assert line.get("boot_accepted") == 1


async def test_availability_of_the_station_is_that_of_every_connector(line: Any) -> None:
    bench, station = Bench(line), RecordingStation()
    async with bench.running(station):

        def plc(what: str) -> None:
            for number in (1, 2):
                line.put("availability_answer", line.get("availability", number), number)

        line.before = plc
        line.put("available", 1, 1)
        line.put("available", 1, 2)
        assert await command(bench, SetAvailability(connector_id=0, available=False)) is None
    assert (line.get("available", 1), line.get("available", 2)) == (0, 0)


async def test_an_answer_names_the_event_it_belongs_to(line: Any) -> None:
    bench, station = Bench(line), RecordingStation()
    async with bench.running(station):
        AnsweringPlc(line, "started", "started_answer")
        for event_id, number in (("1.start:e:41:ff", 41), ("not ours", 0), ("a:b:c:d", 0)):
            answer = AnswerStart(
                event_id=event_id, connector_id=1, accepted=False, transaction_id=5
            )
            assert await command(bench, answer) is None
            assert line.get("started_sequence", 1) == number
    assert line.get("started_accepted", 1) == 0


@pytest.mark.parametrize(("event_id", "told"), [("1.start:e:41:ff", 1), ("1.start:e::ff", 0)])
async def test_a_late_answer_is_kept_from_a_plc_that_cannot_tell_starts_apart(
    line: Any, event_id: str, told: int
) -> None:
    bench, station = Bench(line), RecordingStation()
    async with bench.running(station):
        line.put("started_accepted", 9, 1)
        AnsweringPlc(line, "started", "started_answer")
        late = AnswerStart(
            event_id=event_id, connector_id=1, accepted=True, transaction_id=5, current=False
        )
        assert await command(bench, late) is None
    assert line.get("started_accepted", 1) == (1 if told else 9)


@pytest.mark.parametrize(
    ("what", "told"),
    [
        (LimitCurrent(connector_id=1, amperes=16), "`limit_current` for connector 1"),
        (Unlock(connector_id=0), "`unlock`"),
        (Unlock(connector_id=3), "`unlock` for connector 3"),
    ],
)
async def test_what_the_map_does_not_have_is_told_in_its_words(
    line: Any, what: Any, told: str
) -> None:
    bench, station = Bench(line), RecordingStation()
    async with bench.running(station):
        with pytest.raises(PlcUnsupported, match=f"demo-plc.yaml has no way to do {told}$"):
            await bench.device.execute(what, 1)
    assert not bench.device.supports(LimitCurrent)
    assert bench.device.supports(ResetPlc)


async def test_what_does_not_fit_is_refused_before_anything_is_written(line: Any) -> None:
    bench, station = Bench(line), RecordingStation()
    async with bench.running(station):
        line.log.clear()
        with pytest.raises(PlcRefused, match="longer than the 20 bytes"):
            await bench.device.execute(RemoteStart(connector_id=1, id_tag="X" * 21), 1)
        assert not line.writes


def says_no(line: Any, marked: str, code: int = 4) -> None:
    def before(what: str) -> None:
        if what.startswith(marked):
            raise DeviceSaysNo(code)

    line.before = before


@pytest.mark.parametrize(
    ("marked", "kind"),
    [("write 16 192", PlcRefused), ("read 3 171", PlcRefused), ("write 16 185 [1]", PlcTimeout)],
)
async def test_exceptions_of_the_plc_in_a_hand_shake(line: Any, marked: str, kind: Any) -> None:
    bench, station = Bench(line), RecordingStation()
    async with bench.running(station):
        says_no(line, marked)
        error = await command(bench, RemoteStart(connector_id=1, id_tag="A"))
        assert isinstance(error, kind)
        assert "exception 4 (device failure)" in str(error)
        line.before = lambda _: None
        await bench.pass_time(0.5)
    assert line.get("remote_start", 1) == 0


async def test_exceptions_of_the_plc_to_a_plain_write(line: Any) -> None:
    bench, station = Bench(line), RecordingStation()
    async with bench.running(station):
        says_no(line, "write 16 67", 2)
        error = await command(bench, SetTime(time=bench.clock.now()))
    assert isinstance(error, PlcRefused)
    assert (
        str(error)
        == "time: the PLC answers exception 2 (illegal data address) to clock (holding 67)"
    )


def goes_away(line: Any, marked: str) -> None:
    def before(what: str) -> None:
        if what.startswith(marked):
            line.connects = False
        if not line.connects:
            raise Lost("it closed the connection")

    line.before = before


@pytest.mark.parametrize(
    ("marked", "kind"),
    [("read 3 171", PlcOffline), ("write 16 192", PlcOffline), ("write 16 185 [1]", PlcTimeout)],
)
async def test_a_connection_that_breaks_in_a_hand_shake(line: Any, marked: str, kind: Any) -> None:
    bench, station = Bench(line), RecordingStation()
    async with bench.running(station):
        goes_away(line, marked)
        error = await command(bench, RemoteStart(connector_id=1, id_tag="A"))
    assert isinstance(error, kind)
    if isinstance(error, PlcTimeout):
        assert not error.withdrawn


async def test_an_answer_counts_though_the_connection_breaks(
    line: Any, caplog: pytest.LogCaptureFixture
) -> None:
    bench, station = Bench(line), RecordingStation()
    async with bench.running(station):
        line.before = lambda what: None

        def before(what: str) -> None:
            if line.get("unlock", 1):
                line.put("unlock_answer", 1, 1)
            if line.get("unlock_answer", 1) and what == "write 16 191 [0]":
                raise Lost("it closed the connection")

        line.before = before
        assert await command(bench, Unlock(connector_id=1)) is None
    assert "broken off after the PLC had answered" in caplog.text


@pytest.mark.parametrize(("marked", "kind"), [("write 16 67", PlcTimeout)])
async def test_a_connection_that_breaks_in_a_plain_write(line: Any, marked: str, kind: Any) -> None:
    bench, station = Bench(line), RecordingStation()
    async with bench.running(station):
        goes_away(line, marked)
        error = await command(bench, SetTime(time=bench.clock.now()))
    assert isinstance(error, kind)
    assert "may still happen" in str(error)


async def test_comes_back_with_growing_pauses(line: Any) -> None:
    bench, station = Bench(line), RecordingStation()
    async with bench.running(station):
        goes_away(line, "read")
        await bench.pass_time(1)
        (offline,) = station.seen(Offline)
        assert offline.reason == "it closed the connection"
        with pytest.raises(PlcOffline, match="it closed the connection"):
            await bench.device.execute(Unlock(connector_id=1), 1)
        await bench.pass_time(15)
        assert [one.reason for one in station.seen(Offline)][1:] == ["nobody is there"]
        line.connects, line.before = True, lambda _: None
        await bench.pass_time(16)
        assert len(station.seen(Online)) == 2


def test_the_pause_doubles_up_to_the_longest() -> None:
    backoff = Backoff(1, 5)
    assert [backoff.delay() for _ in range(5)] == [1, 2, 4, 5, 5]
    backoff.succeeded()
    assert backoff.delay() == 1


async def test_a_block_that_the_device_has_not_is_split_and_remembered(
    line: Any, caplog: pytest.LogCaptureFixture
) -> None:
    bench, station = Bench(line), RecordingStation()
    line.missing = {101}
    async with bench.running(station):
        await bench.pass_time(0.5)
        line.log.clear()
        await bench.pass_time(0.25)
        assert "read 3 100 11" not in line.log
        assert "read 3 100 1" in line.log
        assert "read 3 101 1" not in line.log
        assert "the device has no holding 101 to 101 of unit 1" in caplog.text
        assert "connector 1 fault (holding 101)" in caplog.text
        line.missing = set()
        await bench.pass_time(61)
        assert "read 3 101 1" in line.log


async def test_an_event_that_cannot_be_read_in_one_is_read_in_parts(line: Any) -> None:
    bench, station = Bench(line), RecordingStation()
    async with bench.running(station):
        says_no(line, "read 3 140 12", 2)
        raise_start(line)
        await bench.pass_time(1)
    (start,) = station.events
    assert isinstance(start, StartWanted)
    assert (start.id_tag, start.meter_start_wh) == ("04A1", 1000)
    assert "read 3 140 10" in line.log


async def test_a_device_with_nothing_of_the_map_is_offline(line: Any) -> None:
    bench, station = Bench(line), RecordingStation()
    line.missing = set(range(65536))
    async with bench.running(station):
        await bench.pass_time(0.5)
    assert "is it the right map, and the right unit_id?" in station.seen(Offline)[0].reason
    assert not station.seen(Online)


async def test_exceptions_to_polls_are_borne_twice(
    line: Any, caplog: pytest.LogCaptureFixture
) -> None:
    bench, station = Bench(line), RecordingStation()
    async with bench.running(station):
        says_no(line, "read 3 0 1", 6)
        await bench.pass_time(0.5)
        assert not station.seen(Offline)
        line.before = lambda _: None
        await bench.pass_time(0.5)
        says_no(line, "read 3 0 1", 6)
        await bench.pass_time(0.8)
        (offline,) = station.seen(Offline)
    assert offline.reason == (
        "it answers exception 6 (device busy) to reading holding 0 to 0 of unit 1"
    )


@pytest.mark.parametrize("code", [2, 4])
async def test_a_device_that_refuses_everything_is_offline_and_told_once(
    line: Any, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    bench, station = Bench(line), RecordingStation()
    async with bench.running(station):
        says_no(line, "", code)
        await bench.pass_time(20)  # several connections
        assert len(station.seen(Online)) == 1
        # Which block it refused first is another one than in a poll of everything.
        assert len(station.seen(Offline)) <= 2
        assert len(caplog.records) <= 3, caplog.text
        line.before = lambda _: None
        await bench.pass_time(31)
        assert len(station.seen(Online)) == 2
        assert len(caplog.records) <= 3, caplog.text
        line.log.clear()
        await bench.pass_time(0.25)
    # What it refused for a while only is not read in parts for ever.
    assert line.log == ["read 3 0 1", "read 3 100 11", "read 3 210 11"]


async def test_a_device_that_goes_on_refusing_a_block_stays_offline(line: Any) -> None:
    bench, station = Bench(line), RecordingStation()
    says_no(line, "read 3 0 1", 6)
    async with bench.running(station):
        await bench.pass_time(10)
        assert not station.seen(Online)
        (offline,) = station.seen(Offline)
        assert "exception 6 (device busy)" in offline.reason
        line.before = lambda _: None
        await bench.pass_time(10)
    assert station.seen(Online)
    assert station.seen(Identity)


async def test_a_program_that_stands_does_nothing(line: Any) -> None:
    bench, station = Bench(line), RecordingStation()
    async with bench.running(station):
        line.put("running", 0)
        raise_start(line)
        await bench.pass_time(1)
        assert station.seen(Identity)[-1] == Identity(running=False)
        assert not station.handed_over
        with pytest.raises(PlcOffline, match="program is not running"):
            await bench.device.execute(Unlock(connector_id=1), 1)


async def test_registers_of_a_hand_shake_that_refuse_are_named_once(
    line: Any, caplog: pytest.LogCaptureFixture
) -> None:
    bench, station = Bench(line), RecordingStation()
    async with bench.running(station):
        says_no(line, "write 16 109", 3)
        raise_start(line)
        await bench.pass_time(2)
    assert caplog.text.count("hand-shake 1.start: the PLC answers exception 3") == 1
    assert len(station.events) == 1


async def test_requests_that_cannot_be_lowered_and_life_bits_that_refuse(
    line: Any, caplog: pytest.LogCaptureFixture
) -> None:
    bench, station = Bench(line), RecordingStation()

    def before(what: str) -> None:
        if what.startswith(("write 16 61 ", "write 6 60")):
            raise DeviceSaysNo(1)

    line.before = before
    async with bench.running(station):
        await bench.pass_time(5)
    assert station.seen(Online)
    assert caplog.text.count("answer boot cannot be taken back: exception 1") == 1
    assert caplog.text.count("life bit life (holding 60): exception 1 (illegal function)") == 1


WALLBOX = """\
device: wallbox
polls: {normal: 1}
registers:
  life: {addr: 10, type: u16, write: 6}
  command: {addr: 11, type: u16, write: 6, values: {1: stop, 9: reboot, 40: in, 41: out}}
  reader: {addr: 12, type: u16}
  reader_ack: {addr: 13, type: u16, write: 6}
  reader_tag: {addr: 14, type: bytes, count: 4}
  reader_connector: {addr: 18, type: u16}
cyclic: [{register: life, every: 1, unless: 2}]
events:
  tag:
    request: reader
    acknowledge: reader_ack
    fields: {id_tag: reader_tag, connector: reader_connector}
commands:
  reset_hard: {set: {command: reboot}}
  remote_stop: {set: {command: stop}, fields: {connector: reader_connector}}
connectors:
  count: 1
  registers:
    limit: {addr: 20, type: u16, write: 6, unit: A, min: 6, max: 63}
    lock: {addr: 21, type: bool, bit: 2, write: 22}
    coil: {addr: 0, type: bool, fc: 1, write: 5}
  commands:
    limit_current: {fields: {amperes: limit}, on_change: true}
    availability: {fields: {available: {register: command, true_value: 40, false_value: 41}}}
    unlock: {set: {lock: 1, coil: 1}}
"""


@pytest.fixture
def wallbox(line: Any) -> Any:
    text = WALLBOX.replace("reader_connector: {addr: 18, type: u16}",
                           "reader_connector: {addr: 18, type: u16, write: 6}")  # fmt: skip
    return type(line)(parse_map(text, "wallbox.yaml"))


async def test_plain_writes_of_a_wallbox(wallbox: Any) -> None:
    bench, station = Bench(wallbox, connectors=1), RecordingStation()
    async with bench.running(station):
        wallbox.put("limit", 16, 1)
        wallbox.put("lock", 0, 1)
        wallbox.log.clear()
        assert await command(bench, LimitCurrent(connector_id=1, amperes=16)) is None
        assert not [one for one in wallbox.writes if " 20 " in one]
        assert await command(bench, LimitCurrent(connector_id=1, amperes=32)) is None
        assert wallbox.get("limit", 1) == 32
        assert await command(bench, SetAvailability(connector_id=1, available=False)) is None
        assert wallbox.get("command") == 41
        assert await command(bench, ResetPlc(hard=True)) is None
        assert wallbox.get("command") == 9
        assert await command(bench, RemoteStop(connector_id=1, transaction_id=1)) is None
        assert (wallbox.get("command"), wallbox.get("reader_connector")) == (1, 1)
        assert await command(bench, Unlock(connector_id=1)) is None
        assert wallbox.writes[-2:] == ["write 22 21 [4]", "write 5 0 [1]"]
        with pytest.raises(PlcUnsupported):
            await bench.device.execute(ResetPlc(hard=False), 1)
        with pytest.raises(PlcRefused, match="below its least value 6"):
            await bench.device.execute(LimitCurrent(connector_id=1, amperes=5), 1)
        with pytest.raises(PlcTimeout, match="not written in time"):
            await bench.device.execute(LimitCurrent(connector_id=1, amperes=6), 0)


async def test_a_connection_that_breaks_before_a_plain_write(wallbox: Any) -> None:
    bench, station = Bench(wallbox, connectors=1), RecordingStation()
    async with bench.running(station):
        goes_away(wallbox, "read 3 20")
        error = await command(bench, LimitCurrent(connector_id=1, amperes=16))
    assert isinstance(error, PlcOffline)


async def test_a_life_bit_that_was_switched_off(wallbox: Any) -> None:
    bench, station = Bench(wallbox, connectors=1), RecordingStation()
    async with bench.running(station):
        await bench.pass_time(2)
        assert "write 6 10 [1]" in wallbox.log
        wallbox.put("life", 2)
        wallbox.log.clear()
        await bench.pass_time(3)
        assert "write 6 10 [1]" not in wallbox.log


async def test_a_reader_of_the_whole_station(wallbox: Any) -> None:
    bench, station = Bench(wallbox, connectors=1), RecordingStation()
    async with bench.running(station):
        wallbox.put("reader_tag", "04A1B2C3D4E5F6")
        wallbox.put("reader_connector", 7)
        wallbox.put("reader", 1)
        await bench.pass_time(2)
        assert not station.events  # there is no connector 7
        wallbox.put("reader_connector", 1)
        await bench.pass_time(2)
        assert wallbox.get("reader_ack") == 1
        wallbox.put("reader", 9)
        await bench.pass_time(2)
        assert wallbox.get("reader_ack") == 1  # 9 is neither up nor down
        wallbox.put("reader", 0)
        await bench.pass_time(2)
    (tag,) = station.events
    assert (tag.event_id, tag.connector_id) == ("0.tag:id0", 1)
    assert wallbox.get("reader_ack") == 0


def test_two_devices_of_one_map_do_not_share_points(demo: BoundMap) -> None:
    assert demo.point("status", 1) != demo.point("status", 2)
