"""The Modbus side of the simulated PLC: pymodbus's server over our memory, and its faults.

The only module that knows pymodbus's server.
"""

from __future__ import annotations

import asyncio
import logging
import termios
from collections.abc import Iterable

from pymodbus.constants import ExcCodes
from pymodbus.framer import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from ocppgw.errors import UserError
from ocppgw_modbus.framing import Framing
from ocppgw_modbus.simulate.registers import Registers
from ocppgw_modbus.spec import Read
from ocppgw_modbus.wires import SerialWire

# A port that cannot be opened is said by us, in a sentence.
logging.getLogger("pymodbus").setLevel(logging.CRITICAL)

TABLES = {1: Read.COILS, 2: Read.DISCRETE, 3: Read.HOLDING, 4: Read.INPUT}
WRITES = {5: Read.COILS, 15: Read.COILS, 6: Read.HOLDING, 16: Read.HOLDING, 22: Read.HOLDING}
BITS = (Read.COILS, Read.DISCRETE)


class Faults:
    """How the line misbehaves; every fault stays until it is taken back.

    ``cut_replies``: so many of the next replies end in the middle, with the connection
    if there is one. ``garble_replies``: so many of the next have a wrong byte.
    ``silent``: requests are read and not answered. ``exception``: its code answers
    everything.
    """

    def __init__(self) -> None:
        self.cut_replies = 0
        self.garble_replies = 0
        self.silent = False
        self.exception: int | None = None


class PlcServer:
    """A Modbus server, on a TCP port or a serial one, that shows :class:`Registers`."""

    def __init__(self, registers: Registers) -> None:
        self._registers = registers
        self._units = sorted({unit for unit, _, _ in registers.places()})
        self._on_bus = False  # where whoever is not asked says nothing
        self._server: ModbusTcpServer | ModbusSerialServer | None = None
        self.faults = Faults()

    async def start(self, host: str, port: int, framing: Framing = Framing.TCP) -> int:
        """Listens; gives the port. :class:`UserError` if the address is taken."""
        self._on_bus = framing is Framing.RTU
        server = ModbusTcpServer(
            [self._device(unit) for unit in self._units],
            framer=FramerType.RTU if self._on_bus else FramerType.SOCKET,
            address=(host, port),
            trace_packet=self._packet,
        )
        try:
            await server.serve_forever(background=True)
        except RuntimeError as error:
            raise UserError(
                f"simulated PLC: cannot listen on {host}:{port}; is something else running there?"
            ) from error
        self._server = server
        bound: int = server.transport.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        return bound

    async def start_serial(self, wire: SerialWire) -> None:
        """Answers on a serial port. :class:`UserError` if it cannot be opened."""
        self._on_bus = True
        server = ModbusSerialServer(
            [self._device(unit) for unit in self._units],
            port=wire.path,
            baudrate=wire.baud_rate,
            parity=wire.parity_letter,
            stopbits=wire.stop_bits,
            bytesize=wire.data_bits,
            reconnect_delay=0,
            trace_packet=self._packet,
        )
        try:
            await server.serve_forever(background=True)
        except (RuntimeError, ValueError, termios.error) as error:
            raise UserError(
                f"simulated PLC: cannot open the serial port {wire}; is it there, and free?"
            ) from error
        self._server = server

    async def stop(self) -> None:
        """Closes every connection and the port."""
        if self._server is not None:
            self.drop_connections()
            await self._server.shutdown()  # type: ignore[no-untyped-call]
            self._server = None
            await asyncio.sleep(0)  # the transports close in the loop's next turn

    def drop_connections(self) -> None:
        """Closes the connections there are; new ones are taken. A serial line has none."""
        if isinstance(self._server, ModbusTcpServer):
            for connection in list(self._server.active_connections.values()):
                connection.close()

    @property
    def connections(self) -> int:
        """How many TCP connections there are."""
        tcp = isinstance(self._server, ModbusTcpServer)
        return len(self._server.active_connections) if self._server and tcp else 0

    def _device(self, unit: int) -> SimDevice:
        async def action(
            function: int,
            start: int,
            address: int,
            count: int,
            registers: list[int],
            values: list[int] | list[bool] | None,
        ) -> ExcCodes | None:
            if self.faults.exception is not None:
                return ExcCodes(self.faults.exception)
            table = TABLES.get(function) or WRITES[function]
            if values is not None:
                for index, value in enumerate(values):
                    self._registers.write((unit, table, address + index), int(value))
            self._show(unit, table, start, registers)
            return None

        tables = tuple(self._block(unit, table) for table in TABLES.values())
        coils, discrete, holding, inputs = tables
        return SimDevice(unit, (coils, discrete, holding, inputs), action=action)

    def _show(self, unit: int, table: Read, start: int, registers: list[int]) -> None:
        """Brings pymodbus's copy of a table up to date before it answers from it."""
        for index in range(len(registers)):
            if table in BITS:
                bits = (
                    self._registers.word((unit, table, 16 * (start + index) + bit)) << bit
                    for bit in range(16)
                )
                registers[index] = sum(bits)
            else:
                registers[index] = self._registers.word((unit, table, start + index))

    def _block(self, unit: int, table: Read) -> list[SimData]:
        addresses = sorted(a for u, t, a in self._registers.places() if (u, t) == (unit, table))
        if table in BITS:
            first = min(addresses, default=0)
            bits = max(addresses, default=0) - first + 1
            return [SimData(first, values=[False] * bits, datatype=DataType.BITS)]
        if not addresses:
            # pymodbus wants a register in each table; this one nobody asks for.
            return [SimData(65535, values=0, datatype=DataType.REGISTERS)]
        return [
            SimData(first, values=[0] * count, datatype=DataType.REGISTERS)
            for first, count in _runs(addresses)
        ]

    def _packet(self, sending: bool, data: bytes) -> bytes:
        if not sending:
            return data
        if self.faults.silent or (self._on_bus and data[0] not in self._units):
            return b""
        if self.faults.garble_replies > 0:
            self.faults.garble_replies -= 1
            return data[:-1] + bytes([data[-1] ^ 0xFF])
        if self.faults.cut_replies > 0:
            self.faults.cut_replies -= 1
            asyncio.get_running_loop().call_soon(self.drop_connections)
            return data[: len(data) // 2]
        return data


def _runs(addresses: Iterable[int]) -> list[tuple[int, int]]:
    """Addresses as (first, count) of each gapless run."""
    runs: list[tuple[int, int]] = []
    for address in addresses:
        if runs and sum(runs[-1]) == address:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((address, 1))
    return runs
