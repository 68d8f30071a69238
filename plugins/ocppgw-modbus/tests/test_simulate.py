"""The simulated PLC by itself: its program, its day, its line protocol."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from twisted.internet.defer import Deferred

import ocppgw_modbus
from ocppgw.bridge import result_of
from ocppgw.clock import SystemClock
from ocppgw.errors import UserError
from ocppgw.plc import DriverContext
from ocppgw.testing.plc import RecordingStation, running
from ocppgw_modbus.driver import open_driver
from ocppgw_modbus.options import ModbusOptions, PluginOptions, SimulateOptions
from ocppgw_modbus.simulate import Simulation
from ocppgw_modbus.simulate.connector import Phase
from ocppgw_modbus.simulate.day import DEFAULT_DAY, live, load_day
from ocppgw_modbus.simulate.happening import Happening
from ocppgw_modbus.simulate.lines import json_line, obey, plain_line
from ocppgw_modbus.spec import CommandKind

MAPS = Path(__file__).parents[3] / "config" / "maps"


class Hand:
    """A simulation whose cycles a test turns, playing the gateway on the registers."""

    def __init__(self, path: Path, **keywords: Any) -> None:
        self.plc = Simulation(path, **keywords)
        self.cycles(25)

    def cycles(self, count: int = 1) -> None:
        for _ in range(count):
            self.plc.cycle()

    def take(self, kind: str, connector: int = 1) -> None:
        """Acknowledges an event, all four phases."""
        self.take_of(f"{kind}_request", f"{kind}_acknowledge", connector)

    def take_of(self, request: str, acknowledge: str, connector: int = 1) -> None:
        """The same of an event with these registers."""
        assert self.plc.value(request, connector) == 1
        self.plc.put(acknowledge, 1, connector)
        self.cycles(2)
        assert self.plc.value(request, connector) == 0
        self.plc.put(acknowledge, 0, connector)
        self.cycles(2)

    def ask(self, name: str, answer: str, connector: int = 0, **fields: Any) -> int:
        """A command's hand-shake; gives the answer (0: none)."""
        for field, value in fields.items():
            self.plc.put(field, value, connector)
        self.plc.put(name, 1, connector)
        self.cycles(2)
        said = self.plc.value(answer, connector)
        self.plc.put(name, 0, connector)
        self.cycles(2)
        assert self.plc.value(answer, connector) == 0
        return int(said)

    def status(self, connector: int = 1) -> str:
        number = self.plc.value("status", connector)
        return self.plc.map.point("status", connector).names[int(number)]

    def charge(self, transaction: int = 42) -> None:
        """From a car that arrives to a transaction."""
        self.plc.program.connectors[1].arrive()
        self.plc.program.connectors[1].present_tag("04A1")
        self.cycles(2)
        self.take("tag")
        sequence = self.plc.value("tag_sequence", 1)
        self.ask("tag_answered", "tag_answer", 1, tag_answered_sequence=sequence, tag_accepted=1)
        self.take("start")
        self.ask(
            "started", "started_answer", 1, started_accepted=1, started_transaction=transaction
        )


@pytest.fixture
def hand(demo_path: Path) -> Hand:
    return Hand(demo_path)


def test_boots_after_a_moment(demo_path: Path) -> None:
    plc = Simulation(demo_path)
    plc.cycle()
    assert plc.value("running") == 0
    for _ in range(25):
        plc.cycle()
    assert plc.value("running") == 1
    assert plc.value("model") == "Demo PLC"


def test_a_session_from_arrival_to_departure(hand: Hand) -> None:
    assert hand.status() == "idle"
    hand.charge()
    assert hand.status() == "charging"
    begun = hand.plc.value("energy", 1)
    hand.cycles(200)
    assert hand.plc.value("energy", 1) > begun
    assert hand.plc.words("power", 1) == [0x462B, 0xE000]  # 11000 as a float
    assert hand.plc.words("voltage", 1) == [2300, 2300, 2300]
    assert hand.plc.words("current", 1) == [1594, 1594, 1594]
    hand.plc.program.connectors[1].leave()
    hand.cycles(2)
    assert hand.plc.value("stop_transaction", 1) == 42
    assert hand.plc.value("stop_meter", 1) == hand.plc.value("energy", 1)
    assert hand.plc.value("stop_reason", 1) == 1
    hand.take("stop")
    assert hand.status() == "idle"
    assert hand.plc.words("power", 1) == [0, 0]


def test_the_answer_to_a_start_before_this_one_changes_nothing(hand: Hand) -> None:
    """It may come late, when the next session runs already."""
    hand.charge(transaction=42)
    before = hand.plc.value("start_sequence", 1)
    hand.plc.program.connectors[1].leave()
    hand.cycles(2)
    hand.take("stop")
    hand.charge(transaction=43)
    late = {"started_sequence": before, "started_accepted": 0, "started_transaction": 41}
    assert hand.ask("started", "started_answer", 1, **late) == 1
    assert hand.status() == "charging"
    own = {"started_sequence": before + 1, "started_accepted": 0, "started_transaction": 44}
    assert hand.ask("started", "started_answer", 1, **own) == 1
    assert hand.plc.value("stop_transaction", 1) == 44
    assert hand.plc.value("stop_reason", 1) == 4  # refused


def test_the_tag_of_a_session_ends_it(hand: Hand) -> None:
    hand.charge()
    hand.plc.program.connectors[1].present_tag("04A1")
    hand.cycles(2)
    assert hand.plc.value("stop_reason", 1) == 0
    hand.take("stop")
    assert hand.status() == "ended"
    hand.plc.program.connectors[1].leave()
    hand.cycles()
    assert hand.status() == "idle"


def test_a_reserved_connector_is_shown_until_it_is_used(hand: Hand) -> None:
    kept = {"reserve_id": 7, "reserve_tag": "04A1", "reserve_expires": 2_000_000_000}
    assert hand.ask("reserve", "reserve_answer", 1, **kept) == 1
    assert hand.status() == "reserved"
    hand.charge()
    assert hand.status() == "charging"
    hand.plc.program.connectors[1].leave()
    hand.cycles(2)
    hand.take("stop")
    assert hand.status() == "idle"


def test_a_connector_in_use_cannot_be_reserved(hand: Hand) -> None:
    hand.charge()
    assert hand.ask("reserve", "reserve_answer", 1, reserve_id=7, reserve_tag="B") == 2


def test_a_reservation_ends_by_the_clock_of_the_plc_and_with_a_power_cut(hand: Hand) -> None:
    hand.ask("boot_request", "boot_answer", boot_accepted=1, boot_time=1_700_000_000_000)
    for connector, until in ((1, 1_700_000_010), (2, 1_700_001_000)):
        kept = {"reserve_id": 7, "reserve_tag": "04A1", "reserve_expires": until}
        assert hand.ask("reserve", "reserve_answer", connector, **kept) == 1
    hand.cycles(200)
    assert (hand.status(1), hand.status(2)) == ("idle", "reserved")
    hand.plc.program.restart()
    hand.cycles(25)
    assert hand.status(2) == "idle"


def test_a_refused_tag_starts_nothing(hand: Hand) -> None:
    hand.plc.program.connectors[1].arrive()
    hand.plc.program.connectors[1].present_tag("BAD")
    hand.cycles(2)
    hand.take("tag")
    assert hand.ask("tag_answered", "tag_answer", 1, tag_answered_sequence=9, tag_accepted=1) == 1
    assert hand.status() == "plugged"  # the answer belongs to another tag
    hand.ask("tag_answered", "tag_answer", 1, tag_answered_sequence=1, tag_accepted=0)
    hand.cycles(5)
    assert hand.status() == "plugged"
    assert hand.plc.find("tag refused", connector=1)


def test_a_refused_start_is_stopped(hand: Hand) -> None:
    hand.charge()
    hand.ask("started", "started_answer", 1, started_accepted=0, started_transaction=43)
    assert hand.plc.value("stop_reason", 1) == 4
    hand.take("stop")
    assert hand.ask("started", "started_answer", 1, started_accepted=0) == 1


def test_a_tag_that_nobody_answers_is_forgotten(hand: Hand) -> None:
    hand.plc.program.connectors[1].present_tag("04A1")
    hand.cycles(1300)
    assert hand.plc.find("gave up", connector=1)


def test_remote_start_and_stop(hand: Hand) -> None:
    assert hand.ask("remote_start", "remote_start_answer", 1, remote_start_tag="REMOTE") == 1
    assert hand.ask("remote_stop", "remote_stop_answer", 1, remote_stop_transaction=7) == 2
    hand.cycles(70)  # a car arrives
    assert hand.plc.value("start_tag", 1) == "REMOTE"
    hand.take("start")
    hand.ask("started", "started_answer", 1, started_accepted=1, started_transaction=7)
    assert hand.ask("remote_start", "remote_start_answer", 1, remote_start_tag="X") == 2
    assert hand.ask("remote_stop", "remote_stop_answer", 1, remote_stop_transaction=7) == 1
    assert hand.plc.value("stop_reason", 1) == 2


def test_a_car_that_came_for_a_remote_start_leaves_by_itself(hand: Hand) -> None:
    hand.ask("remote_start", "remote_start_answer", 1, remote_start_tag="REMOTE")
    hand.cycles(70)
    hand.take("start")
    hand.ask("started", "started_answer", 1, started_accepted=1, started_transaction=7)
    hand.cycles(100)
    assert hand.status() == "charging"
    hand.ask("remote_stop", "remote_stop_answer", 1, remote_stop_transaction=7)
    hand.take("stop")
    assert hand.status() == "ended"
    hand.cycles(70)
    assert hand.status() == "idle"
    assert hand.ask("remote_start", "remote_start_answer", 1, remote_start_tag="NEXT") == 1


def test_availability_unlock_and_faults(hand: Hand) -> None:
    assert hand.ask("availability", "availability_answer", 2, available=0) == 1
    assert hand.status(2) == "blocked"
    assert hand.ask("remote_start", "remote_start_answer", 2) == 2
    hand.ask("availability", "availability_answer", 2, available=1)
    assert hand.status(2) == "idle"
    hand.plc.program.connectors[2].fault = 3
    hand.cycles()
    assert (hand.status(2), hand.plc.value("fault", 2)) == ("fault", 3)
    hand.charge()
    assert hand.ask("unlock", "unlock_answer", 1) == 1
    assert hand.plc.value("stop_request", 1) == 1


def test_boot_clock_and_life_bit(hand: Hand) -> None:
    assert not hand.plc.program.accepted
    assert hand.ask("boot_request", "boot_answer", boot_accepted=1, boot_time=1_700_000_000_000)
    assert hand.plc.program.accepted
    assert hand.plc.program.clock is not None
    assert hand.plc.program.clock.year == 2023


def test_reset_ends_sessions_and_comes_back(hand: Hand) -> None:
    hand.charge()
    assert hand.ask("reset_request", "reset_answer", reset_hard=1) == 1
    hand.cycles()
    assert hand.plc.value("running") == 0
    hand.cycles(30)
    assert hand.plc.value("running") == 1
    assert hand.plc.value("stop_reason", 1) == 3
    assert hand.plc.value("stop_transaction", 1) == 42


def test_an_event_that_was_not_acknowledged_is_raised_again_after_a_power_cut(hand: Hand) -> None:
    hand.plc.program.connectors[1].present_tag("04A1")
    hand.cycles(2)
    hand.plc.program.restart()
    assert hand.plc.value("tag_request", 1) == 0
    hand.cycles(30)
    assert (hand.plc.value("tag_request", 1), hand.plc.value("tag_sequence", 1)) == (1, 1)
    hand.plc.program.restart(forgetful=True)
    hand.cycles(30)
    assert hand.plc.value("tag_request", 1) == 0


def test_refuses_ignores_and_stands_still_when_told(hand: Hand) -> None:
    behaviour = hand.plc.behaviour
    behaviour.refuse.add(CommandKind.UNLOCK)
    assert hand.ask("unlock", "unlock_answer", 1) == 2
    behaviour.refuse.clear()
    behaviour.ignore.add(CommandKind.UNLOCK)
    assert hand.ask("unlock", "unlock_answer", 1) == 0
    behaviour.halted = True
    before = hand.plc.now
    hand.cycles(3)
    assert hand.plc.now > before
    hand.plc.program.connectors[1].arrive()
    hand.cycles(3)
    assert hand.status() == "idle"


def test_forced_words_hide_the_programs(hand: Hand) -> None:
    hand.plc.force("power", [0x7FC0, 0], 1)
    hand.cycles()
    assert hand.plc.words("power", 1) == [0x7FC0, 0]
    hand.plc.force("power", None, 1)
    assert hand.plc.words("power", 1) == [0, 0]


def test_the_same_day_twice_is_the_same(demo_path: Path) -> None:
    logs = []
    for _ in range(2):
        hand = Hand(demo_path)
        hand.charge()
        hand.cycles(100)
        logs.append(hand.plc.log)
    assert logs[0] == logs[1]


RESERVING = """\
device: reserving
registers:
  available: {addr: 0, type: u16, write: 6}
  command: {addr: 1, type: u16, write: 6, values: {1: reset}}
commands:
  availability: {fields: {available: available}}
  reset: {set: {command: reset}}
connectors:
  count: 1
  offset: 10
  registers:
    state: {addr: 0, type: ascii, count: 1}
    tag: {addr: 1, type: ascii, count: 10, write: 16}
    limit: {addr: 11, type: u16, write: 6}
    power: {addr: 12, type: u16, unit: kW, scale: 0.1}
    reservation: {addr: 13, type: u16, write: 6}
    cancel: {addr: 14, type: u16, write: 6}
  status: {register: state, values: {A1: Available, B1: Occupied, F0: Unavailable}}
  meter:
    - {register: power, measurand: Power.Active.Import}
    - {register: power, measurand: Power.Offered}
  commands:
    remote_start: {fields: {id_tag: tag}}
    limit_current: {fields: {amperes: limit}}
    reserve: {fields: {reservation: reservation}}
    cancel_reservation: {fields: {reservation: cancel}}
"""


async def test_a_plc_without_hand_shakes(tmp_path: Path) -> None:
    path = tmp_path / "reserving.yaml"
    path.write_text(RESERVING)
    plc = Simulation(path, connectors=1)
    for _ in range(25):
        plc.cycle()
    assert plc.value("state", 1) == "A1"

    def write(name: str, value: Any, connector: int = 1) -> None:
        plc.put(name, value, connector)
        point = plc.map.point(name, connector)
        plc._registers.written.add((point.unit_id, point.fc, point.address))
        plc.cycle()

    write("reservation", 5)
    assert plc.value("state", 1) == "F0"
    write("cancel", 5)
    assert plc.value("state", 1) == "A1"
    write("limit", 10)
    assert plc.program.connectors[1].limit == 6900
    await plc.arrive()
    await plc.present_tag("04A1")
    plc.cycle()
    assert plc.program.connectors[1].status.value == "Preparing"
    assert plc.value("state", 1) == "B1"
    write("available", 0, 0)
    assert not plc.program.connectors[1].kept.available
    write("command", 1, 0)
    plc.cycle()
    assert plc.find("restarted")


def test_a_meter_of_its_own() -> None:
    """Its serial number is a number, and what it sees comes from an order."""
    hand = Hand(MAPS / "rail-meter.yaml", energy=5000)
    assert (hand.plc.value("serial"), hand.plc.value("energy", 1)) == (1, 6000)
    hand.plc.program.connectors[1].load = 36_000  # W; a cycle is 0.05 s
    hand.cycles(40)
    assert (hand.plc.value("power", 1), hand.plc.value("energy", 1)) == (36_000, 6020)


def test_a_reader_of_its_own_begins_nothing() -> None:
    hand = Hand(MAPS / "tag-reader.yaml")
    hand.plc.program.connectors[1].present_tag("04A1")
    hand.cycles()
    hand.take_of("request", "acknowledge")
    hand.plc.program.connectors[1].tag_answered(True, 1, "")
    hand.cycles(2000)
    assert hand.plc.find("tag accepted", connector=1)
    assert not hand.plc.find("gave up")


def test_a_controller_is_told_of_tags_that_a_reader_has_read() -> None:
    hand = Hand(MAPS / "cabinet-plc.yaml")
    plc = hand.plc.program.connectors[1]

    def tell(id_tag: str, accepted: int = 1) -> None:
        assert hand.ask("tag_answered", "tag_answer", 1, tag_accepted=accepted, tag_id=id_tag) == 1

    plc.arrive()
    tell("04A1", accepted=0)
    assert plc.kept.phase is Phase.FREE
    tell("04A1")
    hand.take("start")
    assert (plc.kept.phase, plc.kept.session_tag) == (Phase.CHARGING, "04A1")
    tell("04B2")
    assert plc.kept.phase is Phase.CHARGING
    tell("04A1")
    hand.take("stop")
    assert plc.kept.phase is Phase.ENDED


async def test_the_built_in_day_with_a_driver(demo_path: Path) -> None:
    """A tag, a session, a departure: the day runs by itself while somebody answers."""
    day = load_day(DEFAULT_DAY)
    assert any(step.after for step in day)
    async with Simulation(demo_path, speed=50) as plc:
        living = asyncio.ensure_future(live(plc, day, SystemClock()))
        try:
            plc.program.accepted = True
            plc._tell("accepted", 0, "", "by the test")
            await plc.wait("raised", about="tag")
        finally:
            living.cancel()
            await asyncio.wait([living])


async def test_a_day_goes_on_when_nothing_comes(
    demo_path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    script = tmp_path / "day.yaml"
    script.write_text(
        "- {do: wait, event: never, within: 0.01}\n- {do: arrive, connector: 9}\n- {do: arrive}\n"
    )
    async with Simulation(demo_path) as plc:
        living = asyncio.ensure_future(live(plc, load_day(script), SystemClock()))
        await plc.wait("arrived")
        living.cancel()
        await asyncio.wait([living])
    assert '"event":"never"' in caplog.text
    assert "waited in vain" in caplog.text
    assert 'what {"do":"arrive","connector":9} names is not there: 9' in caplog.text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", ":1: expected a list of steps, got a mapping"),
        ("- {do: fly}", ":1: do: expected one of arrive, tag, leave"),
        ("- {do: arrive}\n- {do: tag}", ":2: the key `id_tag` is missing"),
        ("- {after: soon, do: arrive}", ':1: after: expected a number of at least 0, got "soon"'),
        ("- 5", ":1: expected a mapping, got 5"),
        ("- {after: 1}", ":1: do: expected one of arrive"),
        ("[", "not valid YAML"),
    ],
)
def test_a_day_that_is_wrong(tmp_path: Path, text: str, said: str) -> None:
    script = tmp_path / "day.yaml"
    script.write_text(text)
    with pytest.raises(UserError, match=r"day\.yaml") as caught:
        load_day(script)
    assert said in str(caught.value)


async def test_orders(demo_path: Path) -> None:
    async with Simulation(demo_path, speed=10) as plc:
        await plc.wait("running")

        async def order(**fields: Any) -> Any:
            reply = await obey(plc, json.dumps(fields))
            assert reply["event"] == "done", reply
            return reply["value"]

        await order(do="arrive", connector=2)
        await order(do="fail", code=2)
        await order(do="refuse", command="unlock")
        await order(do="ignore", command="reset")
        assert plc.behaviour.refuse == {CommandKind.UNLOCK}
        await order(do="refuse", command="unlock", on=False)
        assert not plc.behaviour.refuse
        await order(do="force", register="power", words=[1, 2], connector=1)
        assert plc.words("power", 1) == [1, 2]
        await order(do="cut")
        await order(do="silence")
        await order(do="except", code=3)
        await order(do="drop")
        assert (plc.faults.cut_replies, plc.faults.silent, plc.faults.exception) == (1, True, 3)
        await order(do="leave", connector=2)
        assert await order(do="read", register="model") == "Demo PLC"
        await order(do="wait accepted", within=1) if plc.program.accepted else None
        waiting = asyncio.ensure_future(order(do="wait", event="running", within=5))
        await asyncio.sleep(0)
        await order(do="restart")
        assert (await waiting).event == "running"
        await order(do="halt")
        for wrong in (
            "{",
            '{"do": "read", "register": "no"}',
            '{"do": "wait", "event": "x", "within": 0.01}',
        ):
            assert (await obey(plc, wrong))["event"] == "error"


async def test_waiting_for_the_acceptance(demo_path: Path) -> None:
    async with Simulation(demo_path, speed=10) as plc:
        waiting = asyncio.ensure_future(obey(plc, '{"do": "wait accepted", "within": 5}'))
        await plc.wait("running")
        plc.put("boot_accepted", 1)
        plc.put("boot_request", 1)
        assert (await waiting)["event"] == "done"
        assert (await obey(plc, '{"do": "wait accepted", "within": 0}'))["event"] == "done"


async def test_what_happens_reads_well(demo_path: Path) -> None:
    seen: list[Any] = []
    async with Simulation(demo_path, speed=10, observe=seen.append) as plc:
        await plc.wait("running")
        await plc.present_tag("04A1", 2)
    tag = next(one for one in seen if one.event == "tag")
    assert plain_line(tag).endswith("s  connector 2: tag 04A1 is presented")
    assert json.loads(json_line(tag))["details"] == {"id_tag": "04A1"}


async def test_a_busy_port(demo_path: Path) -> None:
    async with Simulation(demo_path) as plc:
        other = Simulation(demo_path)
        with pytest.raises(UserError, match=f"cannot listen on 127.0.0.1:{plc.port}"):
            await other.start(port=plc.port)
        await other.stop()


async def test_a_program_that_fails_is_loud(
    demo_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    plc = Simulation(demo_path)

    def broken(seconds: float) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(plc.program, "scan", broken)
    await plc.start()
    await asyncio.sleep(0.01)
    with pytest.raises(ZeroDivisionError):
        await plc.stop()
    assert "the simulated PLC's program failed" in caplog.text


async def test_the_log_does_not_grow_for_ever(demo_path: Path) -> None:
    plc = Simulation(demo_path)
    for _ in range(20_001):
        await plc.arrive()
    assert len(plc.log) <= 20_000


async def test_the_life_bit_is_seen(demo_path: Path) -> None:
    station = RecordingStation()
    async with Simulation(demo_path, speed=10) as plc:
        options = ModbusOptions(host="127.0.0.1", port=plc.port, map=demo_path)
        context = DriverContext("DEMO-1", 2, demo_path.parent, SystemClock())
        async with running(open_driver(options, context), station):
            await station.until(lambda: plc.program.life_writes >= 1)


# The command


@pytest.fixture
def cli() -> click.Group:
    group = click.Group("ocppgw")
    ocppgw_modbus.ocppgw_commands(group)
    return group


def test_the_command_helps(cli: click.Group) -> None:
    assert "plc" in CliRunner().invoke(cli, ["simulate", "--help"]).output
    result = CliRunner().invoke(cli, ["simulate", "plc", "--help"])
    assert "--control" in result.output
    existing = click.Group("ocppgw", commands={"simulate": click.Group("simulate")})
    ocppgw_modbus.ocppgw_commands(existing)
    group = existing.commands["simulate"]
    assert isinstance(group, click.Group)
    assert "plc" in group.commands


def test_the_plugin_is_light(demo_path: Path) -> None:
    code = "import sys, ocppgw_modbus; sys.exit('pymodbus' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


RUN = "import click, ocppgw_modbus; g = click.Group('x'); ocppgw_modbus.ocppgw_commands(g); g()"


def start(demo_path: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", RUN, "simulate", "plc", str(demo_path), "--port", "0"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [*command, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )


def read_until(process: subprocess.Popen[str], event: str) -> dict[str, Any]:
    assert process.stdout is not None
    for line in process.stdout:
        found = json.loads(line)
        if found["event"] == event:
            return dict(found)
    raise AssertionError(f"the PLC ended without {event}")


def test_a_process_obeys_line_by_line(demo_path: Path) -> None:
    with start(demo_path, "--json", "--control", "--speed", "10") as process:
        assert process.stdin is not None
        assert read_until(process, "listening")["details"]["port"] > 0
        read_until(process, "running")
        process.stdin.write('{"do": "tag", "id_tag": "04A1"}\n\n')
        process.stdin.flush()
        assert read_until(process, "done")["order"] == "tag"
        assert read_until(process, "raised")["details"]["id_tag"] == "04A1"
        process.stdin.close()
        assert process.wait(20) == 0


@pytest.mark.parametrize(("arguments", "first"), [(("--sequence", "65535"), 1), ((), None)])
def test_a_process_goes_on_from_the_clock_unless_told(
    demo_path: Path, arguments: tuple[str, ...], first: int | None
) -> None:
    before = int(time.time()) % 65535
    with start(demo_path, "--json", "--control", *arguments) as process:
        assert process.stdin is not None
        read_until(process, "running")
        process.stdin.write('{"do": "tag", "id_tag": "04A1"}\n')
        process.stdin.flush()
        number = read_until(process, "raised")["details"]["sequence"]
        process.stdin.close()
        assert process.wait(20) == 0
    if first is None:
        assert 0 < (number - before) % 65535 < 600
    else:
        assert number == first


PLAIN = re.compile(r"PLC +[0-9.]+ s  connector 1: ")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), ["tag 04A1 is presented"]),
        (("--verbose",), ["tag 04A1 is presented", "the PLC's tag is raised"]),
    ],
)
def test_a_process_tells_people_the_steps_of_hand_shakes_if_they_ask(
    demo_path: Path, arguments: tuple[str, ...], told: list[str]
) -> None:
    with start(demo_path, "--control", *arguments) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write('{"do": "tag", "id_tag": "04A1"}\n')
        process.stdin.write('{"do": "wait", "event": "raised", "about": "tag"}\n')
        process.stdin.flush()
        process.stdin.close()
        lines = [PLAIN.sub("", line.rstrip()) for line in process.stdout if PLAIN.match(line)]
        assert process.wait(20) == 0
    assert lines == told


def test_what_came_of_a_hand_shake_is_no_mere_step() -> None:
    def is_step(event: str, about: str) -> bool:
        return Happening(at=0.0, event=event, about=about).is_step

    assert [is_step(event, "start") for event in ("raised", "acknowledged", "finished")] == [
        True,
        False,
        True,
    ]
    words = ("asked", "accepted", "refused", "never_answered", "closed")
    assert [is_step(word, "unlock") for word in words] == [True, False, False, False, True]
    assert not is_step("finished", "")


def test_a_process_lives_its_day_and_ends_with_sigterm(demo_path: Path) -> None:
    with start(demo_path) as process:
        assert process.stdout is not None
        assert "listens on 127.0.0.1:" in process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


# The service


class Gateway:
    """What the hook is given."""

    clock = SystemClock()

    def __init__(self, options: PluginOptions) -> None:
        self._options = options

    def options(self, plugin: str, options_type: Any) -> Any:
        assert (plugin, options_type) == ("modbus", PluginOptions)
        return self._options

    def identities(self) -> tuple[str, ...]:
        return ()


def services(*simulate: SimulateOptions) -> list[Any]:
    gateway = Gateway(PluginOptions(simulate=list(simulate)))
    return list(ocppgw_modbus.ocppgw_services(gateway))


def test_no_service_unless_wanted() -> None:
    assert services() == []


async def test_the_service_runs_and_stops(
    demo_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    (service,) = services(SimulateOptions(map=demo_path, port=0))
    service.startService()
    while "listens on 127.0.0.1" not in caplog.text:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    stopping = service.stopService()
    assert isinstance(stopping, Deferred)
    await result_of(stopping)


async def test_the_service_says_that_the_port_is_taken(
    demo_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with Simulation(demo_path) as plc:
        (service,) = services(SimulateOptions(map=demo_path, port=plc.port))
        service.startService()
        while "cannot listen" not in caplog.text:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await result_of(service.stopService())


async def test_a_service_stopped_before_it_began(demo_path: Path) -> None:
    (service,) = services(SimulateOptions(map=demo_path, port=0))
    service.startService()
    assert service.stopService() is None
    await asyncio.sleep(0.05)


def test_the_driver_is_registered() -> None:
    (driver,) = ocppgw_modbus.ocppgw_plc_drivers()
    assert (driver.name, driver.options_type) == ("modbus", ModbusOptions)


def test_the_driver_opens_through_the_hook(demo_path: Path) -> None:
    (registered,) = ocppgw_modbus.ocppgw_plc_drivers()
    options = ModbusOptions(host="plc", map=demo_path, unit_id=7)
    context = DriverContext("DEMO-1", 2, demo_path.parent, SystemClock())
    assert registered.open(options, context).supports
