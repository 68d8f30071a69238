"""The Modbus side of the simulated PLC: pymodbus's server over our memory, and its faults.

The only module that knows pymodbus's server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from ocppgw.errors import UserError
from ocppgw_modbus.simulate.registers import Registers
from ocppgw_modbus.spec import Read

TABLES = {1: Read.COILS, 2: Read.DISCRETE, 3: Read.HOLDING, 4: Read.INPUT}
WRITES = {5: Read.COILS, 15: Read.COILS, 6: Read.HOLDING, 16: Read.HOLDING, 22: Read.HOLDING}
BITS = (Read.COILS, Read.DISCRETE)


class Faults:
    """How the line misbehaves; every fault stays until it is taken back.

    ``cut_replies``: so many of the next replies end in the middle, with the connection.
    ``silent``: requests are read and not answered. ``exception``: its code answers
    everything.
    """

    def __init__(self) -> None:
        self.cut_replies = 0
        self.silent = False
        self.exception: int | None = None


class PlcServer:
    """A Modbus TCP server that shows :class:`Registers`."""

    def __init__(self, registers: Registers) -> None:
        self._registers = registers
        self._server: ModbusTcpServer | None = None
        self.faults = Faults()

    async def start(self, host: str, port: int) -> int:
        """Listens; gives the port. :class:`UserError` if the address is taken."""
        units = sorted({place[0] for place in self._registers.places()})
        server = ModbusTcpServer(
            [self._device(unit) for unit in units],
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

    async def stop(self) -> None:
        """Closes every connection and the port."""
        if self._server is not None:
            self.drop_connections()
            await self._server.shutdown()  # type: ignore[no-untyped-call]
            self._server = None
            await asyncio.sleep(0)  # the transports close in the loop's next turn

    def drop_connections(self) -> None:
        """Closes the connections there are; new ones are taken."""
        if self._server is not None:
            for connection in list(self._server.active_connections.values()):
                connection.close()

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
        if self.faults.silent:
            return b""
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
