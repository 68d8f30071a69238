"""RTU: over real pseudo-terminals, and over TCP, with all that goes wrong on such lines."""

from __future__ import annotations

import asyncio
import errno
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

import ocppgw_modbus
from ocppgw.bridge import result_of
from ocppgw.clock import SystemClock
from ocppgw.errors import UserError
from ocppgw.plc import ConnectorStatus, DriverContext, Offline, Online, PlcTimeout, Reading, Unlock
from ocppgw.testing.plc import RecordingStation, running
from ocppgw_modbus.client import Client
from ocppgw_modbus.driver import open_driver
from ocppgw_modbus.failures import DeviceSaysNo, Lost, NoAnswer
from ocppgw_modbus.framing import Framing, crc16
from ocppgw_modbus.options import ModbusOptions, SerialOptions, SimulateOptions
from ocppgw_modbus.simulate import Simulation
from ocppgw_modbus.simulate.ptys import PtyBus
from ocppgw_modbus.simulate.service import SimulatedPlc
from ocppgw_modbus.spec import Read, Write
from ocppgw_modbus.wires import Parity, SerialWire, TcpWire

METER = """\
device: meter
registers:
  energy: {addr: 0, type: u32, write: 16, unit: Wh}
  power: {addr: 2, type: u16, unit: W}
"""


def sealed(frame: bytes) -> bytes:
    return frame + crc16(frame)


@asynccontextmanager
async def over_tcp(
    hostile: Any, reply: Callable[[bytes], bytes | None], timeout: float = 0.2
) -> AsyncIterator[Client]:
    async with hostile(reply) as port:
        wire = TcpWire(host="127.0.0.1", port=port, framing=Framing.RTU)
        client = Client(wire, timeout=timeout, connect_timeout=5, patient=True)
        await client.connect()
        try:
            yield client
        finally:
            client.close()
            await asyncio.sleep(0)


def two(unit: int = 1, values: bytes = b"\x12\x34\x56\x78") -> bytes:
    return sealed(bytes([unit, 3, 4]) + values)


async def test_request_and_answer_are_frames_of_rtu(hostile: Any) -> None:
    asked: list[bytes] = []

    def reply(request: bytes) -> bytes:
        asked.append(request)
        return two()

    async with over_tcp(hostile, reply, 5) as client:
        assert await client.read(1, Read.HOLDING, 0x10, 2) == [0x1234, 0x5678]
    assert asked == [bytes.fromhex("01 03 0010 0002 c5 ce")]


@pytest.mark.parametrize(
    ("name", "answer", "garbled"),
    [
        ("nothing", b"", False),
        ("noise", b"\xff\0\xff", True),
        ("a wrong checksum", two()[:-1] + b"\0", True),
        ("another unit", two(2), True),
        ("cut off", two()[:-3], True),
    ],
)
async def test_what_is_no_answer_leaves_the_line_standing(
    name: str, answer: bytes, garbled: bool, hostile: Any
) -> None:
    answers = iter([answer, two()])
    async with over_tcp(hostile, lambda _: next(answers)) as client:
        with pytest.raises(NoAnswer) as caught:
            await client.read(1, Read.HOLDING, 0, 2)
        assert caught.value.garbled is garbled
        assert await client.read(1, Read.HOLDING, 0, 2) == [0x1234, 0x5678]


async def test_noise_before_the_answer(hostile: Any) -> None:
    async with over_tcp(hostile, lambda _: b"\xff\x01\x03" + two(), 5) as client:
        assert await client.read(1, Read.HOLDING, 0, 2) == [0x1234, 0x5678]


async def test_an_exception_of_the_device(hostile: Any) -> None:
    async with over_tcp(hostile, lambda _: sealed(b"\x01\x83\x04"), 5) as client:
        with pytest.raises(DeviceSaysNo, match="device failure"):
            await client.read(1, Read.HOLDING, 0, 2)


async def test_a_flood_of_noise_ends(hostile: Any) -> None:
    async with over_tcp(hostile, lambda _: b"\xff" * 5000 + two()) as client:
        with pytest.raises(NoAnswer):
            await client.read(1, Read.HOLDING, 0, 2)


@asynccontextmanager
async def on_pty(path: Path, **keywords: Any) -> AsyncIterator[tuple[Simulation, PtyBus]]:
    """A simulated PLC on a bus of pseudo-terminals."""
    bus = PtyBus(**keywords)
    plc = Simulation(path, speed=10)
    await plc.start_serial(SerialWire(path=bus.add_device()))
    try:
        yield plc, bus
    finally:
        await plc.stop()
        bus.close()


def meter_map(tmp_path: Path) -> Path:
    path = tmp_path / "meter.yaml"
    path.write_text(METER, encoding="utf-8")
    return path


async def test_a_pty_carries_reads_and_writes(tmp_path: Path) -> None:
    async with on_pty(meter_map(tmp_path)) as (plc, bus):
        client = Client(SerialWire(path=bus.path), timeout=5, connect_timeout=5, patient=True)
        await client.connect()
        try:
            await client.write(1, Write.REGISTERS, 0, [1, 2])
            assert plc.value("energy") == 65538
            plc.put("power", 77)
            assert await client.read(1, Read.HOLDING, 2, 1) == [77]
            with pytest.raises(DeviceSaysNo, match="illegal data address"):
                await client.read(1, Read.HOLDING, 9, 1)
        finally:
            client.close()


async def test_a_unit_that_is_not_there_says_nothing(tmp_path: Path) -> None:
    async with on_pty(meter_map(tmp_path)) as (_, bus):
        client = Client(SerialWire(path=bus.path), timeout=0.1, connect_timeout=5, patient=True)
        await client.connect()
        try:
            with pytest.raises(NoAnswer, match=r"no answer within 0.1 s"):
                await client.read(9, Read.HOLDING, 0, 2)
            assert len(await client.read(1, Read.HOLDING, 0, 2, timeout=5)) == 2
        finally:
            client.close()


async def test_an_adapter_that_hears_itself(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A write of one register is answered in its own words: its echo is not the answer."""
    path = tmp_path / "lock.yaml"
    path.write_text(
        "device: lock\nconnectors:\n  count: 1\n  registers:\n"
        "    state: {addr: 0, type: u16}\n    open: {addr: 1, type: u16, write: 6}\n"
        "    ask: {addr: 2, type: u16, write: 6}\n    said: {addr: 3, type: u16}\n"
        "  status: {register: state, values: {0: Available}}\n"
        "  commands:\n    unlock: {set: {open: 1}}\n"
        "    remote_stop: {request: ask, answer: said}\n",
        encoding="utf-8",
    )
    station = RecordingStation()
    async with on_pty(path) as (plc, bus):
        bus.echo = True
        driver = open_driver(
            serial_options(path, bus.path, timeout=0.2, reconnect_longest=0.1), context(path, 1)
        )
        async with running(driver, station):
            await station.until(lambda: station.seen(Online))
            await driver.execute(Unlock(connector_id=1), 5)
            assert plc.value("open", 1) == 1
            plc.faults.silent = True
            with pytest.raises(PlcTimeout, match="it may still happen"):
                await driver.execute(Unlock(connector_id=1), 5)
            plc.faults.silent = False
            bus.echo = False
            await station.until(lambda: len(station.seen(Online)) == 2)
            await driver.execute(Unlock(connector_id=1), 5)
    assert [one.reason for one in station.seen(Offline)][:1] == [
        "the adapter gives back what it sends (its local echo is on); begun anew"
    ]
    assert sum("gives back what it sends" in one for one in caplog.messages) == 1


async def test_no_such_port(tmp_path: Path) -> None:
    wire = SerialWire(path=str(tmp_path / "ttyUSB0"), baud_rate=9600, parity=Parity.NONE)
    client = Client(wire, timeout=1, connect_timeout=5)
    with pytest.raises(Lost, match=r"cannot open .*ttyUSB0 \(9600 8N1\): there is no such port"):
        await client.connect()


async def test_a_port_that_is_no_port(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.touch()
    client = Client(SerialWire(path=str(plain)), timeout=1, connect_timeout=5)
    with pytest.raises(Lost, match=r"cannot open .*plain .*: Could not configure port"):
        await client.connect()


async def test_a_port_without_permission(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(SerialWire(path="/dev/ttyS0"), timeout=1, connect_timeout=5)

    async def refused() -> None:
        raise PermissionError(errno.EACCES, "could not open port")

    monkeypatch.setattr(client, "_create", refused)
    with pytest.raises(Lost, match=r"must be in the port's group \(dialout\)"):
        await client.connect()


async def test_a_port_that_another_has_open(tmp_path: Path) -> None:
    bus = PtyBus()
    first, second = (
        Client(SerialWire(path=bus.path), timeout=1, connect_timeout=5) for _ in range(2)
    )
    await first.connect()
    try:
        with pytest.raises(Lost, match="another program has it open"):
            await second.connect()
    finally:
        first.close()
        bus.close()


def context(path: Path, connectors: int = 2) -> DriverContext:
    return DriverContext("DEMO-1", connectors, path.parent, SystemClock())


def serial_options(path: Path, port: str, **keywords: Any) -> ModbusOptions:
    return ModbusOptions(serial=port, map=Path(path.name), reconnect_first=0.05, **keywords)


async def test_noise_now_and_then_does_not_take_the_station_offline(demo_path: Path) -> None:
    station = RecordingStation()
    async with on_pty(demo_path) as (plc, bus):
        options = serial_options(demo_path, bus.path, timeout=0.2)
        async with running(open_driver(options, context(demo_path)), station):
            for _ in range(3):
                plc.faults.garble_replies = 1
                await station.until(lambda: plc.faults.garble_replies == 0)
                known = len(station.seen(Reading, 1))
                await station.until(lambda known=known: len(station.seen(Reading, 1)) > known)
            bus.spoil = lambda data: b"\xff\0" + data + b"\0"
            known = len(station.seen(Reading, 1))
            await station.until(lambda: len(station.seen(Reading, 1)) > known)
    assert not station.seen(Offline)


async def test_a_device_that_falls_silent_is_offline_and_comes_back(demo_path: Path) -> None:
    station = RecordingStation()
    async with on_pty(demo_path) as (plc, bus):
        options = serial_options(demo_path, bus.path, timeout=0.1)
        async with running(open_driver(options, context(demo_path)), station):
            plc.faults.silent = True
            await station.until(lambda: station.seen(Offline))
            plc.faults.silent = False
            await station.until(lambda: len(station.seen(Online)) == 2)
            assert station.seen(ConnectorStatus)
    assert station.seen(Offline)[0].reason == "unit 1: no answer within 0.1 s"


async def test_an_adapter_that_is_pulled_out_and_plugged_in(
    demo_path: Path, tmp_path: Path
) -> None:
    station = RecordingStation()
    link = tmp_path / "ttyUSB0"
    async with on_pty(demo_path, link=link) as (_, bus):
        options = serial_options(demo_path, bus.path, reconnect_longest=0.1)
        async with running(open_driver(options, context(demo_path)), station):
            bus.unplug()
            await station.until(lambda: len(station.seen(Offline)) >= 2)
            bus.plug_in()
            await station.until(lambda: len(station.seen(Online)) == 2)
    gone, missing, *_ = (one.reason for one in station.seen(Offline))
    assert gone == "the serial port is gone"
    assert "there is no such port; is the adapter plugged in?" in missing


async def test_a_command_whose_answer_is_lost_is_not_repeated(tmp_path: Path, hostile: Any) -> None:
    """A pulse that is written twice would open a lock twice: what is unclear is said."""
    path = tmp_path / "lock.yaml"
    path.write_text(
        "device: lock\nconnectors:\n  count: 1\n  registers:\n"
        "    state: {addr: 0, type: u16}\n    open: {addr: 1, type: u16, write: 6}\n"
        "  status: {register: state, values: {0: Available}}\n"
        "  commands: {unlock: {set: {open: 1}}}\n",
        encoding="utf-8",
    )
    asked: list[bytes] = []

    def reply(request: bytes) -> bytes:
        asked.append(request)
        return b"" if request[1] == 6 else sealed(b"\x01\x03\x02\0\0")

    station = RecordingStation()
    async with hostile(reply) as port:
        options = ModbusOptions(
            host="127.0.0.1",
            port=port,
            framing=Framing.RTU,
            map=Path(path.name),
            timeout=0.1,
            reconnect_first=0.05,
        )
        driver = open_driver(options, context(path, 1))
        async with running(driver, station):
            with pytest.raises(PlcTimeout, match="it may still happen") as caught:
                await driver.execute(Unlock(connector_id=1), 5)
            await station.until(lambda: len(station.seen(Online)) == 2)
    assert not caught.value.withdrawn
    assert sum(request[1] == 6 for request in asked) == 1


async def test_after_a_time_out_the_unit_is_given_time(tmp_path: Path) -> None:
    """What comes late is the answer to the request before, whatever is asked next."""
    path = tmp_path / "slow.yaml"
    path.write_text(
        "device: slow\npolls: {normal: 0.05}\nlimits: {registers_per_read: 1}\n"
        "connectors:\n  count: 1\n  registers:\n"
        "    state: {addr: 0, type: u16}\n    power: {addr: 9, type: u16, unit: W, max: 100}\n"
        "  status: {register: state, values: {0: Available}}\n"
        "  meter: [{register: power, measurand: Power.Active.Import}]\n",
        encoding="utf-8",
    )
    station = RecordingStation()
    late = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served = 0
        while request := await reader.read(260):
            served += 1
            address = request[3]
            value = b"\0\0" if address == 0 else b"\0\x4d"
            if served == 5:
                assert address == 0
                value = b"\x03\xe7"  # what would be nonsense as power, too
                await asyncio.sleep(0.15)
                late.set()
            writer.write(sealed(b"\x01\x03\x02" + value))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    options = ModbusOptions(
        host="127.0.0.1",
        port=server.sockets[0].getsockname()[1],
        framing=Framing.RTU,
        map=Path(path.name),
        timeout=0.1,
    )
    async with server, running(open_driver(options, context(path, 1)), station):
        await late.wait()
        known = len(station.seen(Reading, 1))
        await station.until(lambda: len(station.seen(Reading, 1)) > known + 3)
    assert {one.values[0].value for one in station.seen(Reading, 1)} == {77}
    assert not station.seen(Offline)


def test_broadcast_is_refused(tmp_path: Path) -> None:
    path = meter_map(tmp_path)
    options = ModbusOptions(serial="/dev/ttyS0", map=Path(path.name), unit_id=0)
    with pytest.raises(UserError, match=r"of unit 0, which on RTU means all devices"):
        open_driver(options, context(path, 0))


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"host": "a", "serial": "/dev/ttyS0"}, "either `host` or `serial`, got both"),
        ({}, "the device has no line"),
        ({"serial": "/dev/ttyS0", "framing": Framing.TCP}, "`framing: tcp` needs a TCP port"),
        ({"host": "a", "baud_rate": 9600}, "`baud_rate` belongs to a `serial` port"),
        ({"host": "a", "parity": Parity.ODD}, "`parity` belongs to a `serial` port"),
        ({"serial": "/dev/ttyS0", "data_bits": 7}, "Modbus RTU needs 8 `data_bits`"),
    ],
)
def test_lines_that_cannot_be(keys: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ModbusOptions(map=Path("map.yaml"), **keys)


def test_a_line_has_the_defaults_of_modbus() -> None:
    assert SerialOptions(serial="/dev/ttyS0").serial_wire() == SerialWire(
        path="/dev/ttyS0", baud_rate=19200, parity=Parity.EVEN, stop_bits=1, data_bits=8
    )
    bare = SerialOptions(serial="/dev/ttyS0", parity=Parity.NONE).serial_wire()
    assert bare is not None
    assert (bare.stop_bits, bare.settings) == (2, "19200 8N2")


@pytest.mark.parametrize(("baud", "seconds"), [(9600, 0.00401), (19200, 0.002), (115200, 0.00175)])
def test_frames_are_apart_by_a_silence(baud: int, seconds: float) -> None:
    assert SerialWire(path="/dev/ttyS0", baud_rate=baud).silence == pytest.approx(seconds, rel=0.01)


# The simulated PLC as users have it

RUN = "import click, ocppgw_modbus; g = click.Group('x'); ocppgw_modbus.ocppgw_commands(g); g()"


async def test_a_process_on_a_pseudo_terminal(tmp_path: Path) -> None:
    path = meter_map(tmp_path)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", RUN, "simulate", "plc", str(path), "--pty", "--no-day", "--json",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        said = json.loads(await process.stdout.readline())
        port = said["details"]["serial"]
        assert said["text"].endswith(f"answers on {port}")
        client = Client(SerialWire(path=port), timeout=10, connect_timeout=5)
        await client.connect()
        try:
            assert len(await client.read(1, Read.HOLDING, 0, 3)) == 3
        finally:
            client.close()
    finally:
        process.terminate()
        await process.wait()
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--pty", "--serial", "/dev/ttyS0"], "--pty goes with none of --serial"),
        (["--pty", "--port", "5021"], "--pty is no TCP port"),
        (["--pty", "--listen", "127.0.0.1"], "--pty is no TCP port"),
        (["--serial", "/dev/ttyS0", "--port", "0"], "--serial is no TCP port"),
        (["--baud-rate", "9600"], "`baud_rate` belongs to a `serial` port"),
        (["--serial", "/dev/ttyS0", "--framing", "tcp"], "on a serial port Modbus is RTU"),
        (["--port", "99999"], "99999 is not in the range"),
        (["--speed", "0"], "0.0 is not in the range"),
    ],
)
def test_a_simulated_line_that_cannot_be(tmp_path: Path, arguments: list[str], said: str) -> None:
    group = click.Group("ocppgw")
    ocppgw_modbus.ocppgw_commands(group)
    command = ["simulate", "plc", str(meter_map(tmp_path)), *arguments]
    result = CliRunner().invoke(group, command)
    assert result.exit_code != 0
    assert said in result.output + str(result.exception)


def test_a_simulated_plc_has_no_more_connectors_than_its_map(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="connectors: expected at most 0"):
        Simulation(meter_map(tmp_path), connectors=9)


async def test_a_simulated_plc_without_its_port(tmp_path: Path) -> None:
    plc = Simulation(meter_map(tmp_path))
    with pytest.raises(UserError, match=r"cannot open the serial port .*ttyUSB9 \(19200 8E1\)"):
        await plc.start_serial(SerialWire(path=str(tmp_path / "ttyUSB9")))
    await plc.stop()


async def test_a_simulated_plc_of_the_gateway_on_a_serial_port(tmp_path: Path) -> None:
    bus = PtyBus()
    options = SimulateOptions(map=meter_map(tmp_path), serial=bus.add_device())
    service = SimulatedPlc(options, SystemClock())
    client = Client(SerialWire(path=bus.path), timeout=0.5, connect_timeout=5, patient=True)
    await client.connect()
    try:
        service.startService()
        for attempt in range(20):
            try:
                assert len(await client.read(1, Read.HOLDING, 0, 2)) == 2
                break
            except NoAnswer:
                assert attempt < 19, "the simulated PLC does not answer"
    finally:
        client.close()
        stopping = service.stopService()
        if stopping is not None:
            await result_of(stopping)
        bus.close()
