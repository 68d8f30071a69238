"""Several devices that are one station, and several that share one line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ocppgw.clock import SystemClock
from ocppgw.errors import UserError
from ocppgw.ocpp.enums import ChargePointStatus, Measurand
from ocppgw.plc import (
    AnswerStart,
    AnswerTag,
    Configure,
    ConnectorStatus,
    DriverContext,
    Identity,
    Offline,
    Online,
    PlcOffline,
    PlcRefused,
    PlcUnsupported,
    Reading,
    SetAvailability,
    SetTime,
    StartWanted,
    StopWanted,
    TagPresented,
    Unlock,
)
from ocppgw.testing.plc import RecordingStation
from ocppgw_modbus.driver import ModbusDriver, open_driver
from ocppgw_modbus.framing import Framing
from ocppgw_modbus.options import DeviceOptions, ModbusOptions
from ocppgw_modbus.parts import Numbering
from ocppgw_modbus.simulate import Simulation
from ocppgw_modbus.simulate.ptys import PtyBus
from ocppgw_modbus.spec import CommandKind
from ocppgw_modbus.wires import Parity, SerialWire

CONTROLLER = """\
device: controller
defaults: {write: 16}
polls: {normal: 0.05}
registers:
  life: {addr: 0, type: u16, write: 6}
  model: {addr: 1, type: ascii, count: 4}
  clock: {addr: 5, type: u32, unit: s}
  patience: {addr: 7, type: u16}
identity: {model: model}
cyclic: [{register: life, every: 0.4, values: [1, 0]}]
commands:
  time: {fields: {time: clock}}
  configure: {keys: {ConnectionTimeOut: patience}}
connectors:
  count: 1
  offset: 100
  registers:
    state: {addr: 0, type: u16, values: {0: idle, 3: charging}}
    voltage: {addr: 1, type: u16, unit: V}
    start: {addr: 10, type: u16}
    start_number: {addr: 11, type: u16}
    start_taken: {addr: 12, type: u16}
    start_tag: {addr: 13, type: ascii, count: 10}
    start_accepted: {addr: 30, type: u16}
    start_transaction: {addr: 31, type: u32}
    stop: {addr: 40, type: u16}
    stop_number: {addr: 41, type: u16}
    stop_taken: {addr: 42, type: u16}
    open: {addr: 50, type: u16}
    enable: {addr: 51, type: u16}
  status: {register: state, values: {idle: Available, charging: Charging}}
  meter: [{register: voltage, measurand: Voltage}]
  events:
    start:
      request: start
      acknowledge: start_taken
      sequence: start_number
      fields: {id_tag: start_tag}
    stop: {request: stop, acknowledge: stop_taken, sequence: stop_number, fields: {}}
  commands:
    answer_start: {fields: {accepted: start_accepted, transaction: start_transaction}}
    unlock: {set: {open: 1}}
    availability: {fields: {available: enable}}
"""

METER = """\
device: meter
unit_id: 3
polls: {normal: 0.05}
registers:
  clock: {addr: 10, type: u32, unit: s, write: 16}
  serial: {addr: 12, type: ascii, count: 4}
  pace: {addr: 16, type: u16, write: 16}
identity: {meter_serial_number: serial}
commands:
  time: {fields: {time: clock}}
  configure: {keys: {MeterValueSampleInterval: pace}}
connectors:
  count: 1
  registers:
    energy: {addr: 0, type: u32, unit: Wh}
  meter: [{register: energy, measurand: Energy.Active.Import.Register}]
"""

READER = """\
device: reader
unit_id: 7
defaults: {write: 16}
polls: {normal: 0.05}
connectors:
  count: 1
  registers:
    tag: {addr: 0, type: u16}
    tag_taken: {addr: 1, type: u16}
    tag_id: {addr: 2, type: ascii, count: 10}
    light: {addr: 20, type: u16}
  events:
    tag: {request: tag, acknowledge: tag_taken, fields: {id_tag: tag_id}}
  commands:
    answer_tag: {fields: {accepted: light}}
"""

GATE = """\
device: gate
connectors:
  count: 1
  registers: {open: {addr: 0, type: u16, write: 6}}
  commands: {unlock: {set: {open: 1}}}
"""

# A controller that is told of the tags that a reader beside it has read.
LISTENER = """\
device: listener
unit_id: 2
defaults: {write: 16}
polls: {normal: 0.05}
connectors:
  count: 1
  registers:
    state: {addr: 0, type: u16}
    asked: {addr: 1, type: u16}
    answer: {addr: 2, type: u16}
    accepted: {addr: 3, type: u16}
    tag: {addr: 4, type: ascii, count: 10}
    number: {addr: 14, type: u16}
  status: {register: state, values: {0: Available}}
  commands:
    answer_tag:
      request: asked
      answer: answer
      fields: {accepted: accepted, id_tag: tag, sequence: number}
"""

NUMBERED = READER.replace(
    "  events:\n    tag: {",
    "    number: {addr: 30, type: u16}\n    told: {addr: 31, type: u16}\n"
    "  events:\n    tag: {sequence: number, ",
).replace("{accepted: light}", "{accepted: light, sequence: told}")

MAPS = {
    "controller": CONTROLLER,
    "meter": METER,
    "reader": READER,
    "gate": GATE,
    "listener": LISTENER,
    "numbered": NUMBERED,
    "silent": READER[: READER.index("  commands:")],
}


@pytest.fixture
def maps(tmp_path: Path) -> Path:
    for name, text in MAPS.items():
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
    return tmp_path


class Still(Simulation):
    """A device whose program leaves its registers to the test."""

    def cycle(self) -> None:
        return


def context(folder: Path, connectors: int = 1, station: str = "BOX") -> DriverContext:
    return DriverContext(station, connectors, folder, SystemClock())


QUICK = {"timeout": 0.2, "reconnect_first": 0.05, "reconnect_longest": 0.2}
# Of devices that always answer, however late on a busy machine.
PATIENT = {**QUICK, "timeout": 5.0}


class Plant:
    """Controller, meter and reader, each on a line of its own."""

    def __init__(self, maps: Path) -> None:
        self.maps = maps
        self.controller = Still(maps / "controller.yaml")
        self.meter = Still(maps / "meter.yaml")
        self.reader = Still(maps / "reader.yaml")
        self.bus = PtyBus()
        self.meter.put("energy", 1000, 1)
        self.controller.put("model", "PLC-1")
        self.meter.put("serial", "M77")

    def options(self, **meter: Any) -> ModbusOptions:
        return ModbusOptions(
            devices={
                "controller": DeviceOptions(
                    host="127.0.0.1",
                    port=self.controller.port,
                    map=Path("controller.yaml"),
                    **PATIENT,
                ),
                "meter": DeviceOptions(
                    serial=self.bus.path,
                    map=Path("meter.yaml"),
                    connector=1,
                    **{**PATIENT, **meter},
                ),
                "reader": DeviceOptions(
                    host="127.0.0.1",
                    port=self.reader.port,
                    framing=Framing.RTU,
                    map=Path("reader.yaml"),
                    connector=0,
                    **PATIENT,
                ),
            }
        )

    @asynccontextmanager
    async def running(self, station: RecordingStation, **meter: Any) -> AsyncIterator[ModbusDriver]:
        await self.controller.start()
        await self.meter.start_serial(SerialWire(path=self.bus.add_device()))
        await self.reader.start(framing=Framing.RTU)
        try:
            async with working(self.options(**meter), context(self.maps), station) as driver:
                yield driver
        finally:
            for plc in (self.controller, self.meter, self.reader):
                await plc.stop()
            self.bus.close()


@asynccontextmanager
async def working(
    options: ModbusOptions, context: DriverContext, station: RecordingStation
) -> AsyncIterator[ModbusDriver]:
    driver = open_driver(options, context)
    task = asyncio.ensure_future(driver.run(station))
    try:
        yield driver
    finally:
        task.cancel()
        await asyncio.wait([task])
    assert task.cancelled(), task.exception()


def energies(station: RecordingStation) -> list[int | None]:
    return [one.energy_wh for one in station.seen(Reading, 1)]


async def test_a_session_of_three_devices(maps: Path) -> None:
    plant, station = Plant(maps), RecordingStation()
    async with plant.running(station) as driver:
        await station.until(lambda: 1000 in energies(station))
        # A tag at the reader, which belongs to the whole station.
        plant.reader.put("tag_id", "04A1", 1)
        plant.reader.put("tag", 1, 1)
        await station.until(lambda: plant.reader.value("tag_taken", 1) == 1)
        plant.reader.put("tag", 0, 1)
        (tag,) = station.events
        assert isinstance(tag, TagPresented)
        assert (tag.id_tag, tag.connector_id) == ("04A1", 0)
        await driver.execute(
            AnswerTag(event_id=tag.event_id, connector_id=0, id_tag="04A1", accepted=True), 5
        )
        assert plant.reader.value("light", 1) == 1
        # The controller starts; the meter says with how much.
        plant.controller.put("start_tag", "04A1", 1)
        plant.controller.put("start_number", 1, 1)
        plant.controller.put("start", 1, 1)
        await station.until(lambda: plant.controller.value("start_taken", 1) == 1)
        plant.controller.put("start", 0, 1)
        plant.controller.put("state", 3, 1)
        start = station.events[1]
        assert isinstance(start, StartWanted)
        assert (start.id_tag, start.connector_id, start.meter_start_wh) == ("04A1", 1, 1000)
        await driver.execute(
            AnswerStart(event_id=start.event_id, connector_id=1, accepted=True, transaction_id=42),
            5,
        )
        assert plant.controller.value("start_transaction", 1) == 42
        await station.until(
            lambda: station.seen(ConnectorStatus, 1)[-1].status is ChargePointStatus.CHARGING
        )
        plant.meter.put("energy", 2500, 1)
        plant.controller.put("stop_number", 1, 1)
        plant.controller.put("stop", 1, 1)
        await station.until(lambda: len(station.events) == 3)
        stop = station.events[2]
        assert isinstance(stop, StopWanted)
        assert (stop.connector_id, stop.meter_stop_wh) == (1, 2500)
    assert not station.seen(Offline)


async def test_readings_of_two_devices_are_one(maps: Path) -> None:
    plant, station = Plant(maps), RecordingStation()
    plant.controller.put("voltage", 231, 1)

    def measured() -> dict[Measurand, float]:
        last = station.seen(Reading, 1)[-1:]
        return {value.measurand: value.value for one in last for value in one.values}

    async with plant.running(station):
        await station.until(
            lambda: (
                measured()
                == {Measurand.VOLTAGE: 231, Measurand.ENERGY_ACTIVE_IMPORT_REGISTER: 1000}
            )
        )


async def test_who_the_station_is_comes_from_all(maps: Path) -> None:
    plant, station = Plant(maps), RecordingStation()
    async with plant.running(station):
        await station.until(lambda: station.seen(Identity))
    assert station.seen(Identity) == [Identity(model="PLC-1", meter_serial_number="M77")]
    assert isinstance(station.observations[0], (Online, Offline))


async def test_without_a_device_that_it_needs_the_station_is_offline(maps: Path) -> None:
    plant, station = Plant(maps), RecordingStation()
    plant.meter.faults.silent = True
    async with plant.running(station, **QUICK):
        await station.until(lambda: station.seen(Offline))
        assert not station.seen(Online)
        assert not station.seen(ConnectorStatus)
        plant.meter.faults.silent = False
        await station.until(lambda: station.seen(Online))
        await station.until(lambda: 1000 in energies(station))
        known = len(station.observations)
        plant.meter.faults.silent = True
        await station.until(lambda: len(station.seen(Offline)) > 1)
        plant.meter.faults.silent = False
        # What the others said before is said again, since it may have been forgotten.
        await station.until(
            lambda: any(isinstance(o, ConnectorStatus) for o in station.observations[known:])
        )
        await station.until(lambda: energies(station)[-1] == 1000)
    assert {one.reason for one in station.seen(Offline)} == {
        "meter: unit 3: no answer within 0.2 s"
    }


async def test_without_a_device_that_it_does_not_need_the_station_goes_on(
    maps: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plant, station = Plant(maps), RecordingStation()
    plant.meter.faults.silent = True
    async with plant.running(station, required=False, **QUICK):
        await station.until(lambda: station.seen(ConnectorStatus, 1))
        # ... but an event without energy is not invented.
        plant.controller.put("start_tag", "04A1", 1)
        plant.controller.put("start", 1, 1)
        known = len(station.seen(Reading, 1))
        await station.until(lambda: len(station.seen(Reading, 1)) > known + 3)
        assert not station.events
        assert plant.controller.value("start_taken", 1) == 0
        plant.meter.faults.silent = False
        await station.until(lambda: plant.controller.value("start_taken", 1) == 1)
    (start,) = station.events
    assert isinstance(start, StartWanted)
    assert start.meter_start_wh == 1000
    assert not station.seen(Offline)
    gone = "BOX: the device meter (meter.yaml) is offline, the station goes on: unit 3: no answer"
    assert sum(gone in one for one in caplog.messages) == 1


async def test_commands_go_to_who_has_them(maps: Path) -> None:
    plant, station = Plant(maps), RecordingStation()
    async with plant.running(station) as driver:
        await station.until(lambda: station.seen(Online))
        await driver.execute(Unlock(connector_id=1), 5)
        assert plant.controller.value("open", 1) == 1
        await driver.execute(SetAvailability(connector_id=0, available=True), 5)
        assert plant.controller.value("enable", 1) == 1
        at = datetime(2026, 1, 1, tzinfo=UTC)
        await driver.execute(SetTime(time=at), 5)
        assert plant.controller.value("clock") == plant.meter.value("clock") == at.timestamp()
        await driver.execute(Configure(key="ConnectionTimeOut", value="90"), 5)
        await driver.execute(Configure(key="MeterValueSampleInterval", value="30"), 5)
        assert (plant.controller.value("patience"), plant.meter.value("pace")) == (90, 30)
        with pytest.raises(PlcUnsupported, match=r"no register for the key HeartBeatInterval"):
            await driver.execute(Configure(key="HeartBeatInterval", value="60"), 5)
        with pytest.raises(PlcUnsupported, match=r"none of the maps controller.yaml, meter.yaml,"):
            await driver.execute(Unlock(connector_id=0), 5)


async def test_a_device_that_is_gone_does_not_keep_the_time_from_the_others(maps: Path) -> None:
    plant, station = Plant(maps), RecordingStation()
    async with plant.running(station) as driver:
        await station.until(lambda: station.seen(Online))
        await plant.controller.stop()
        await station.until(lambda: station.seen(Offline))
        with pytest.raises(PlcOffline):
            await driver.execute(SetTime(time=datetime(2026, 1, 1, tzinfo=UTC)), 5)
        assert plant.meter.value("clock") == datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    assert station.seen(Offline)[0].reason.startswith("controller: ")


async def test_a_device_that_may_be_missing_is_told_its_keys_when_it_is_back(maps: Path) -> None:
    """It stands in nobody's way, and is told again, as it may have forgotten."""
    plant, station = Plant(maps), RecordingStation()
    plant.meter.faults.silent = True
    pace = Configure(key="MeterValueSampleInterval", value="30")
    async with plant.running(station, required=False, **QUICK) as driver:
        await station.until(lambda: station.seen(Online))
        await driver.execute(pace, 5)
        plant.meter.faults.silent = False
        await station.until(lambda: plant.meter.value("pace") == 30)
        await driver.execute(msgspec.structs.replace(pace, value="60"), 5)
        plant.meter.faults.silent = True
        await station.until(lambda: driver._parts[1].device._bus is None)
        plant.meter.put("pace", 0)
        plant.meter.faults.silent = False
        await station.until(lambda: plant.meter.value("pace") == 60)
    assert len(station.seen(Online)) == 1


async def test_a_restarted_gateway_knows_the_events_of_each_device(maps: Path) -> None:
    plant, station = Plant(maps), RecordingStation()
    async with plant.running(station):
        plant.controller.put("start_tag", "04A1", 1)
        plant.controller.put("start_number", 5, 1)
        plant.controller.put("start", 1, 1)
        plant.reader.put("tag_id", "04A1", 1)
        plant.reader.put("tag", 1, 1)
        await station.until(lambda: len(station.events) == 2)
    assert {key.split("/")[0] for key in station.notes()} == {"controller", "reader"}
    again = RecordingStation(station.notes())
    plant = Plant(maps)
    plant.controller.put("start_tag", "04A1", 1)
    plant.controller.put("start_number", 5, 1)
    plant.controller.put("start", 1, 1)
    async with plant.running(again):
        await again.until(lambda: plant.controller.value("start_taken", 1) == 1)
    assert not again.handed_over


# Who is told of a tag


class Tagged:
    """A reader, and a controller that wants to know what became of the tag."""

    def __init__(self, maps: Path, **reader: Any) -> None:
        self.maps = maps
        self.listener = Simulation(maps / "listener.yaml", speed=10)
        self.reader = Still(maps / "numbered.yaml")
        self.station = RecordingStation()
        self._keys = reader

    @asynccontextmanager
    async def running(self) -> AsyncIterator[ModbusDriver]:
        await self.listener.start()
        await self.reader.start()
        here: dict[str, Any] = {"host": "127.0.0.1", **QUICK}
        options = ModbusOptions(
            devices={
                "controller": DeviceOptions(
                    port=self.listener.port, map=Path("listener.yaml"), **here
                ),
                "reader": DeviceOptions(
                    port=self.reader.port, map=Path("numbered.yaml"), **here, **self._keys
                ),
            }
        )
        try:
            async with working(options, context(self.maps), self.station) as driver:
                await self.station.until(lambda: self.station.seen(ConnectorStatus))
                yield driver
        finally:
            await self.listener.stop()
            await self.reader.stop()

    async def tag(self, number: int = 5) -> AnswerTag:
        """A tag is read; gives what will be its answer."""
        known = len(self.station.events)
        self.reader.put("tag_id", "04A1", 1)
        self.reader.put("number", number, 1)
        self.reader.put("tag", 1, 1)
        await self.station.until(lambda: len(self.station.events) > known)
        tag = self.station.events[-1]
        return AnswerTag(
            event_id=tag.event_id, connector_id=tag.connector_id, id_tag="04A1", accepted=True
        )

    def asked(self) -> int:
        """How often the controller was told."""
        return sum(one.event == "asked" for one in self.listener.log)


@pytest.mark.parametrize("connector", [0, 1])
async def test_every_device_that_wants_to_knows_what_became_of_a_tag(
    maps: Path, connector: int
) -> None:
    """With its number for the one who read it, and without one for the others."""
    plant = Tagged(maps, connector=connector)
    async with plant.running() as driver:
        answer = await plant.tag()
        assert (answer.connector_id, answer.event_id.split(":")[0]) == (connector, "reader/1.tag")
        await driver.execute(answer, 5)
        told = plant.listener.find("asked", about="answer_tag")
    assert told is not None
    assert told.details == {"accepted": 1, "id_tag": "04A1", "sequence": 0}
    assert (plant.reader.value("light", 1), plant.reader.value("told", 1)) == (1, 5)


def test_the_tag_of_a_reader_for_several_connectors_goes_to_the_controller_as_a_whole(
    maps: Path,
) -> None:
    """It has no connector that it could begin a session at by itself."""
    (maps / "both.yaml").write_text(
        "device: both\nunit_id: 2\ndefaults: {write: 16}\n"
        "registers: {accepted: {addr: 0, type: u16}, tag: {addr: 1, type: ascii, count: 10}}\n"
        "commands: {answer_tag: {fields: {id_tag: tag, accepted: accepted}}}\n"
        "connectors:\n  count: 2\n  stride: 1\n  registers: {here: {addr: 100, type: u16}}\n"
    )
    options = ModbusOptions(
        devices={
            "controller": DeviceOptions(host="a", map=Path("both.yaml")),
            "reader": DeviceOptions(host="b", map=Path("reader.yaml"), connector=0),
        }
    )
    driver = open_driver(options, context(maps, connectors=2))
    told = driver._doers(AnswerTag(event_id="x", connector_id=0, id_tag="04A1", accepted=True))
    assert [(part.name, number) for part, number in told] == [("controller", 0), ("reader", 1)]


async def test_who_has_taken_an_answer_is_not_told_again(maps: Path) -> None:
    plant = Tagged(maps)
    async with plant.running() as driver:
        answer = await plant.tag()
        plant.listener.behaviour.refuse.add(CommandKind.ANSWER_TAG)
        with pytest.raises(PlcRefused):
            await driver.execute(answer, 5)
        assert plant.reader.value("light", 1) == 1
        plant.reader.put("light", 0, 1)
        plant.listener.behaviour.refuse.clear()
        await driver.execute(answer, 5)
        assert plant.reader.value("light", 1) == 0
        # What is done is forgotten: if it comes once more, everybody is told.
        await driver.execute(answer, 5)
        assert plant.reader.value("light", 1) == 1
        assert plant.asked() == 3


async def test_a_reader_that_is_gone_does_not_keep_the_answer_from_the_controller(
    maps: Path,
) -> None:
    plant = Tagged(maps, required=False)
    async with plant.running() as driver:
        answer = await plant.tag()
        await plant.reader.stop()
        await plant.station.until(lambda: driver._parts[1].device._bus is None)
        await driver.execute(answer, 5)
        assert plant.asked() == 1
        plant.listener.behaviour.refuse.add(CommandKind.ANSWER_TAG)
        with pytest.raises(PlcRefused):
            await driver.execute(answer, 5)


# Lines that are shared


def bus_map(maps: Path, name: str, unit: int) -> Path:
    path = maps / f"{name}.yaml"
    path.write_text(
        f"device: {name}\nunit_id: {unit}\npolls: {{normal: 0.05}}\n"
        "registers: {life: {addr: 9, type: u16, write: 6}}\n"
        "cyclic: [{register: life, every: 0.5, values: [1, 0]}]\n"
        "connectors:\n  count: 1\n  registers:\n    state: {addr: 0, type: u16}\n"
        "  status: {register: state, values: {0: Available, 1: Charging}}\n",
        encoding="utf-8",
    )
    return path


@asynccontextmanager
async def on_one_bus(*paths: Path) -> AsyncIterator[tuple[str, list[Still]]]:
    bus = PtyBus()
    async with AsyncExitStack() as stack:
        stack.callback(bus.close)
        plcs = [Still(path) for path in paths]
        for plc in plcs:
            await plc.start_serial(SerialWire(path=bus.add_device()))
            stack.push_async_callback(plc.stop)
        yield bus.path, plcs


def on_serial(port: str, path: Path, **keys: Any) -> ModbusOptions:
    return ModbusOptions(serial=port, map=Path(path.name), **{**QUICK, **keys})


async def test_two_charge_boxes_on_one_bus(maps: Path) -> None:
    paths = [bus_map(maps, "one", 1), bus_map(maps, "two", 2)]
    stations = [RecordingStation(), RecordingStation()]
    async with on_one_bus(*paths) as (port, plcs), AsyncExitStack() as stack:
        plcs[1].put("state", 1, 1)
        for number, (path, station) in enumerate(zip(paths, stations, strict=True)):
            box = context(maps, station=f"BOX-{number}")
            await stack.enter_async_context(working(on_serial(port, path), box, station))
        for station in stations:
            await station.until(lambda station=station: station.seen(ConnectorStatus, 1))
        plcs[0].put("state", 1, 1)
        await stations[0].until(lambda: len(stations[0].seen(ConnectorStatus)) == 2)
    assert [one.status.value for one in stations[0].seen(ConnectorStatus)] == [
        "Available",
        "Charging",
    ]
    assert [one.status.value for one in stations[1].seen(ConnectorStatus)] == ["Charging"]
    assert not any(station.seen(Offline) for station in stations)


async def test_a_dead_device_does_not_take_the_bus_down(maps: Path) -> None:
    paths = [bus_map(maps, "one", 1), bus_map(maps, "two", 2)]
    stations = [RecordingStation(), RecordingStation()]
    async with on_one_bus(*paths) as (port, plcs), AsyncExitStack() as stack:
        plcs[1].faults.silent = True
        for number, (path, station) in enumerate(zip(paths, stations, strict=True)):
            box = context(maps, station=f"BOX-{number}")
            options = on_serial(port, path, timeout=5.0)
            await stack.enter_async_context(working(options, box, station))
        await stations[1].until(lambda: stations[1].seen(Offline))
        for life in (1, 0, 1, 0):
            await stations[0].until(lambda life=life: plcs[0].value("life") == life)
        plcs[1].faults.silent = False
        await stations[1].until(lambda: stations[1].seen(Online))
    assert not stations[0].seen(Offline)
    # Its own `timeout` is 5 s, but no request outlasts half of the other's life bit.
    assert stations[1].seen(Offline)[0].reason == "unit 2: no answer within 0.25 s"


async def test_units_behind_one_gateway_share_its_connection(maps: Path) -> None:
    """A silent unit leaves the other's connection alone."""
    both = maps / "both.yaml"
    both.write_text(
        "device: both\nregisters:\n"
        "  one: {addr: 0, type: u16, unit_id: 1}\n  first: {addr: 9, type: u16, unit_id: 1}\n"
        "  two: {addr: 0, type: u16, unit_id: 2}\n  second: {addr: 9, type: u16, unit_id: 2}\n",
        encoding="utf-8",
    )
    paths = [bus_map(maps, "one", 1), bus_map(maps, "two", 2)]
    stations = [RecordingStation(), RecordingStation()]
    async with Still(both) as gateway, AsyncExitStack() as stack:
        for number, (path, station) in enumerate(zip(paths, stations, strict=True)):
            options = ModbusOptions(
                host="127.0.0.1", port=gateway.port, map=Path(path.name), **QUICK
            )
            box = context(maps, station=f"BOX-{number}")
            await stack.enter_async_context(working(options, box, station))
        for station in stations:
            await station.until(lambda station=station: station.seen(ConnectorStatus, 1))
        assert gateway.connections == 1


async def test_a_silent_unit_behind_a_gateway_leaves_the_connection_standing(
    maps: Path, hostile: Any
) -> None:
    """Its answers come too late, and are passed over; nobody else is offline for it."""
    paths = [bus_map(maps, "one", 1), bus_map(maps, "two", 2)]
    stations = [RecordingStation(), RecordingStation()]
    silent = False
    late: list[bytes] = []

    def reply(request: bytes) -> bytes:
        head, unit, function = request[:4], request[6:7], request[7]
        body = request[7:12] if function != 3 else b"\x03" + bytes([2 * request[11]])
        body += b"" if function != 3 else bytes(2 * request[11])
        frame = head + (len(body) + 1).to_bytes(2, "big") + unit + body
        if silent and unit == b"\x02":
            late.append(frame)
            return b""
        answer, late[:] = b"".join(late) + frame, []
        return answer

    async with hostile(reply) as port, AsyncExitStack() as stack:
        for number, (path, station) in enumerate(zip(paths, stations, strict=True)):
            options = ModbusOptions(host="127.0.0.1", port=port, map=Path(path.name), **QUICK)
            box = context(maps, station=f"BOX-{number}")
            await stack.enter_async_context(working(options, box, station))
        for station in stations:
            await station.until(lambda station=station: station.seen(ConnectorStatus, 1))
        silent = True
        await stations[1].until(lambda: stations[1].seen(Offline))
        silent = False
        await stations[1].until(lambda: len(stations[1].seen(Online)) == 2)
    assert not stations[0].seen(Offline)


# What cannot be


def devices(maps: Path, **lines: dict[str, Any]) -> ModbusOptions:
    return ModbusOptions(
        devices={
            name: DeviceOptions(**{"host": name, "map": Path(f"{name[:-1]}.yaml"), **keys})
            for name, keys in lines.items()
        }
    )


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            {"controller1": {}, "controller2": {}, "meter1": {}},
            r"\) and controller2 \(controller.yaml\) both have a status of connector 1; take",
        ),
        (
            {"controller1": {}, "meter1": {}, "meter2": {}},
            r"both have Energy.Active.Import.Register of connector 1",
        ),
        (
            {"gate1": {}, "gate2": {}},
            r"both have the command unlock of connector 1",
        ),
        ({"controller1": {}}, r"the start in controller1 .* has no field `meter`, and no device"),
        (
            {"controller1": {"connector": 0}, "meter1": {}},
            r"has a start, which is of a connector, but the device is put on the station",
        ),
        (
            {"silent1": {}, "meter1": {}},
            r"silent1 \(silent.yaml\) reads tags of connector 1, and no device is told what became",
        ),
        ({"reader1": {"connector": 0}}, r"no device has a connector 1"),
        ({"reader1": {"connector": 2}}, r"there is no connector 2, the charge box has 1"),
        (
            {
                "controller1": {"host": None, "serial": "/dev/ttyS9"},
                "meter1": {"host": None, "serial": "/dev/ttyS9", "parity": Parity.NONE},
            },
            r"/dev/ttyS9 is to be 19200 8N2 for BOX/meter1, and 19200 8E1 for BOX/controller1",
        ),
        (
            {"controller1": {"host": "x"}, "meter1": {"host": "x", "framing": Framing.RTU}},
            r"x:502 is to be Modbus RTU for BOX/meter1, and Modbus TCP for BOX/controller1",
        ),
    ],
)
def test_devices_that_make_no_station(maps: Path, lines: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        open_driver(devices(maps, **lines), context(maps))


def test_a_map_of_many_connectors_is_not_put_on_one(maps: Path, demo_path: Path) -> None:
    options = ModbusOptions(
        devices={"plc": DeviceOptions(host="a", map=demo_path, connector=1)},
    )
    with pytest.raises(UserError, match=r"`connector: 1` is for a map of one connector"):
        open_driver(options, context(maps))


def test_lines_of_discarded_drivers_are_forgotten(maps: Path) -> None:
    """A configuration that was refused does not stand in the way of the next one."""
    for parity in (Parity.EVEN, Parity.ODD):
        one = {"host": None, "serial": "/dev/ttyS8", "parity": parity}
        open_driver(devices(maps, controller1=one, meter1=one), context(maps))


@pytest.mark.parametrize("key", [{"host": "a"}, {"map": Path("x")}, {"timeout": 1.0}])
def test_what_is_said_beside_devices_is_a_mistake(key: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="beside `devices`: say it for each device"):
        ModbusOptions(devices={"a": DeviceOptions(host="a", map=Path("m.yaml"))}, **key)


@pytest.mark.parametrize(
    ("numbering", "outward", "inward"),
    [
        (Numbering(count=2), {0: 0, 1: 1, 2: 2}, {0: (0,), 1: (1,), 2: (2,), 3: ()}),
        (Numbering(count=1, at=3), {0: 0, 1: 3}, {0: (0,), 1: (), 3: (1,)}),
        (Numbering(count=1, at=0), {0: 0, 1: 0}, {0: (1, 0), 1: ()}),
        (Numbering(count=0, at=2), {0: 2}, {0: (), 2: (0,)}),
        (Numbering(count=0), {0: 0}, {0: (0,), 1: ()}),
    ],
)
def test_connectors_are_renumbered(
    numbering: Numbering, outward: dict[int, int], inward: dict[int, tuple[int, ...]]
) -> None:
    assert {number: numbering.outward(number) for number in outward} == outward
    assert {number: numbering.inward(number) for number in inward} == inward
