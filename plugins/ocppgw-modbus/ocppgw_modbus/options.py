"""The driver's keys in the configuration."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from ocppgw_modbus.framing import Framing
from ocppgw_modbus.wires import BAUD_RATE, Parity, SerialWire, TcpWire, Wire

MODBUS_PORT = 502
Port = Annotated[int, Meta(ge=1, le=65535, description="TCP port of the device.")]
Name = Annotated[str, Meta(min_length=1)]
DeviceName = Annotated[str, Meta(pattern="^[^/:]+$")]


class SerialOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A serial port, and how frames go over TCP where there is none."""

    framing: Annotated[
        Framing | None,
        Meta(
            description="On TCP: `tcp`, or `rtu` for a serial-to-Ethernet converter that passes"
            " frames of Modbus RTU on. Default: `tcp`; a serial port is always RTU."
        ),
    ] = None
    serial: Annotated[
        Name | None, Meta(description="Serial port of an RS-485 or RS-232 line: `/dev/ttyUSB0`.")
    ] = None
    baud_rate: Annotated[
        Annotated[int, Meta(ge=50, le=4_000_000)] | None,
        Meta(description="Bits per second of the serial port; default: 19200."),
    ] = None
    parity: Annotated[
        Parity | None, Meta(description="Parity of the serial port; default: even.")
    ] = None
    stop_bits: Annotated[
        Annotated[int, Meta(ge=1, le=2)] | None,
        Meta(description="Stop bits; default: 1, and 2 without parity, as Modbus has it."),
    ] = None
    data_bits: Annotated[
        Annotated[int, Meta(ge=7, le=8)] | None,
        Meta(description="Data bits; default: 8, which RTU needs."),
    ] = None

    def serial_faults(self) -> Iterator[str]:
        """What does not fit together, a sentence each."""
        if self.serial is not None and self.framing is Framing.TCP:
            yield "`framing: tcp` needs a TCP port; on a serial port Modbus is RTU"
        if self.serial is None:
            for key in ("baud_rate", "parity", "stop_bits", "data_bits"):
                if getattr(self, key) is not None:
                    yield f"`{key}` belongs to a `serial` port, a TCP port has none"
        if self.data_bits == 7:
            yield "Modbus RTU needs 8 `data_bits`, got 7"

    def serial_wire(self) -> SerialWire | None:
        """The serial port, if it is one."""
        if self.serial is None:
            return None
        parity = self.parity or Parity.EVEN
        return SerialWire(
            path=self.serial,
            baud_rate=self.baud_rate or BAUD_RATE,
            parity=parity,
            stop_bits=self.stop_bits or (2 if parity is Parity.NONE else 1),
            data_bits=self.data_bits or 8,
        )


class LineOptions(SerialOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a device is reached: by TCP, or over a serial port."""

    host: Annotated[Name | None, Meta(description="Host name or address of the device.")] = None
    port: Port = MODBUS_PORT
    timeout: Annotated[
        float,
        Meta(
            gt=0,
            le=60,
            description="Seconds a request may take; at most half the time between two life"
            " bits of any device on the line.",
        ),
    ] = 2.0
    connect_timeout: Annotated[
        float, Meta(gt=0, le=60, description="Seconds that connecting may take.")
    ] = 5.0
    reconnect_first: Annotated[
        float, Meta(gt=0, le=3600, description="Seconds before the first attempt to reconnect.")
    ] = 1.0
    reconnect_longest: Annotated[
        float, Meta(gt=0, le=3600, description="Most seconds between two such attempts.")
    ] = 30.0

    def line_faults(self) -> Iterator[str]:
        """What does not fit together, a sentence each."""
        if self.host is not None and self.serial is not None:
            yield "expected either `host` or `serial`, got both"
        if self.host is None and self.serial is None:
            yield "the device has no line: say `host` (TCP) or `serial` (a port)"
        if self.serial is not None and self.port != MODBUS_PORT:
            yield "`port` belongs to a `host`, a serial port has none"
        yield from self.serial_faults()

    def wire(self) -> Wire:
        """The line that these options describe."""
        serial = self.serial_wire()
        if serial is not None:
            return serial
        assert self.host is not None, "checked when the options were read"
        return TcpWire(host=self.host, port=self.port, framing=self.framing or Framing.TCP)


UnitId = Annotated[
    Annotated[int, Meta(ge=0, le=255)] | None,
    Meta(description="Modbus unit identifier, if it is not the map's."),
]


class DeviceOptions(LineOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of the devices that make up a station: controller, meter, card reader."""

    map: Annotated[Path, Meta(description="Register map, from this file's folder.")]
    unit_id: UnitId = None
    connector: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(
            description="Connector of the station that connector 1 of the map is (0: the"
            " station); without it connectors count as in the map."
        ),
    ] = None
    required: Annotated[
        bool, Meta(description="Whether the station is offline without this device.")
    ] = True

    def __post_init__(self) -> None:
        for fault in self.line_faults():
            raise ValueError(fault)


class ModbusOptions(LineOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A PLC, a wallbox, or several devices on Modbus TCP or RTU, described by register maps."""

    map: Annotated[Path | None, Meta(description="Register map, from this file's folder.")] = None
    unit_id: UnitId = None
    devices: Annotated[
        dict[DeviceName, DeviceOptions],
        Meta(
            description="Devices of the station by a name of your choice (without `/` and `:`),"
            " if it is several."
        ),
    ] = {}

    def __post_init__(self) -> None:
        if self.devices:
            for key in self.__struct_fields__:
                if key != "devices" and getattr(self, key) != _default(key):
                    raise ValueError(
                        f"`{key}` beside `devices`: say it for each device, or leave `devices` out"
                    )
            return
        for fault in self.line_faults():
            raise ValueError(fault)
        if self.map is None:
            raise ValueError("the key `map` is missing: the register map of the device")

    def parts(self) -> dict[str, DeviceOptions]:
        """The devices by name; the only one of a station that is one device has no name."""
        if self.devices:
            return self.devices
        own = {key: getattr(self, key) for key in self.__struct_fields__ if key != "devices"}
        return {"": DeviceOptions(**own)}


def _default(key: str) -> object:
    fields = {field.name: field for field in msgspec.structs.fields(ModbusOptions)}
    return fields[key].default


class SimulateOptions(SerialOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A simulated PLC inside the gateway's process, on a TCP port or a serial one."""

    map: Annotated[Path, Meta(description="Register map of the PLC.")]
    listen: Annotated[str, Meta(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="TCP port; 0: any free one.")] = 5020
    connectors: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="Connectors that are there, if fewer than the map's."),
    ] = None
    speed: Annotated[float, Meta(gt=0, description="Times as fast as the real clock.")] = 1.0
    day: Annotated[
        Path | None, Meta(description="Script of the day; without one the built-in day.")
    ] = None

    def __post_init__(self) -> None:
        for fault in self.serial_faults():
            raise ValueError(fault)


class PluginOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``plugins.options.modbus``."""

    simulate: Annotated[
        list[SimulateOptions], Meta(description="PLCs to simulate in the gateway's process.")
    ] = []
