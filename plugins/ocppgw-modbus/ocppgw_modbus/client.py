"""The only module that knows pymodbus's client: one Modbus TCP connection.

pymodbus's own retries and reconnects are switched off; deadlines are ours. What it
leaves open is closed here: a request that waits when the connection goes fails at once,
and a reply that cannot be the answer ends the connection instead of the event loop.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ConnectionException, ModbusException
from pymodbus.pdu import ModbusPDU

from ocppgw_modbus.spec import Read, Write

# What it reports about connections is said by the driver, in its own words.
logging.getLogger("pymodbus").setLevel(logging.CRITICAL)

EXCEPTIONS = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    5: "acknowledge",
    6: "device busy",
    7: "negative acknowledge",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target did not answer",
}
ILLEGAL_ADDRESS = 2

_READ_BITS = frozenset({Read.COILS, Read.DISCRETE})


class Lost(Exception):
    """The connection is gone (and closed); the message is the reason."""


class DeviceSaysNo(Exception):
    """The device answered with a Modbus exception."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exception {code} ({EXCEPTIONS.get(code, 'unknown')})")
        self.code = code


@asynccontextmanager
async def _heeding_cancellation() -> AsyncIterator[None]:
    """Raises the cancellation that pymodbus lost: it uses ``asyncio.wait_for``, which, before
    Python 3.12, forgets one that comes together with the result."""
    task = asyncio.current_task()
    assert task is not None
    before = task.cancelling()
    yield
    if task.cancelling() > before:
        raise asyncio.CancelledError


class Client:
    """One connection: made once, used for one request at a time, closed once."""

    def __init__(self, host: str, port: int, *, timeout: float, connect_timeout: float) -> None:
        self._where = f"{host}:{port}"
        self._timeout = timeout
        self._connect_timeout = connect_timeout
        self._expected: Callable[[bytes], str | None] | None = None
        self._remark: str | None = None
        self._pymodbus = AsyncModbusTcpClient(
            host,
            port=port,
            name=self._where,
            retries=0,
            reconnect_delay=0,
            timeout=connect_timeout + timeout,  # ours come first
            trace_packet=self._packet,
            trace_connect=self._connection,
        )
        self._create = self._pymodbus.ctx.call_create
        self._pymodbus.ctx.call_create = self._create_noting

    async def connect(self) -> None:
        """Connects, or raises :class:`Lost` with the reason."""
        try:
            async with asyncio.timeout(self._connect_timeout), _heeding_cancellation():
                if await self._pymodbus.connect():
                    return
        except TimeoutError:
            self._remark = f"no connection within {self._connect_timeout:g} s"
        except BaseException:
            self.close()
            raise
        self.close()
        raise Lost(f"cannot connect to {self._where}: {self._remark or 'no reason given'}")

    async def _create_noting(self) -> Any:
        """pymodbus swallows why a connection failed; this keeps it."""
        try:
            return await self._create()
        except OSError as error:
            self._remark = os.strerror(error.errno).lower() if error.errno else str(error)
            raise

    def close(self) -> None:
        """Lets go of the socket; may be called twice."""
        self._pymodbus.close()

    async def read(self, unit: int, fc: Read, address: int, count: int) -> list[int]:
        """The registers (bits as 0 and 1) from an address on."""
        bits = fc in _READ_BITS
        size = (count + 7) // 8 if bits else 2 * count
        call = {
            Read.COILS: self._pymodbus.read_coils,
            Read.DISCRETE: self._pymodbus.read_discrete_inputs,
            Read.HOLDING: self._pymodbus.read_holding_registers,
            Read.INPUT: self._pymodbus.read_input_registers,
        }[fc]
        reply = await self._ask(
            lambda: call(address, count=count, device_id=unit), fc.value, 2 + size
        )
        return [int(bit) for bit in reply.bits[:count]] if bits else list(reply.registers)

    async def write(
        self, unit: int, fc: Write, address: int, values: Sequence[int], mask: int | None = None
    ) -> None:
        """Writes registers (or bits given as 0 and 1); ``mask`` is for function 22."""
        modbus = self._pymodbus
        bits = [bool(value) for value in values]
        clear = 0xFFFF & ~(mask or 0)
        calls: dict[Write, Callable[[], Awaitable[ModbusPDU]]] = {
            Write.COIL: lambda: modbus.write_coil(address, bits[0], device_id=unit),
            Write.COILS: lambda: modbus.write_coils(address, bits, device_id=unit),
            Write.REGISTER: lambda: modbus.write_register(address, values[0], device_id=unit),
            Write.REGISTERS: lambda: modbus.write_registers(address, list(values), device_id=unit),
            Write.MASK: lambda: modbus.mask_write_register(
                address=address, and_mask=clear, or_mask=values[0], device_id=unit
            ),
        }
        await self._ask(calls[fc], fc.value, 7 if fc is Write.MASK else 5)

    async def _ask(
        self, call: Callable[[], Awaitable[ModbusPDU]], function: int, size: int
    ) -> ModbusPDU:
        """One request and its answer; closes the connection when there is no answer."""
        if not self._pymodbus.connected:
            raise Lost(self._remark or "the connection is closed")
        self._remark = None
        self._expected = lambda pdu: _objection(pdu, function, size)
        try:
            async with asyncio.timeout(self._timeout), _heeding_cancellation():
                reply = await call()
        except TimeoutError:
            self._remark = self._remark or f"no answer within {self._timeout:g} s"
            self.close()
            raise Lost(self._remark) from None
        except ModbusException as error:
            self._remark = self._remark or str(error)
            self.close()
            raise Lost(self._remark) from None
        except asyncio.CancelledError:
            # The answer may still come: nobody could tell it from the next one's.
            self.close()
            raise
        finally:
            self._expected = None
        if reply.isError():
            raise DeviceSaysNo(reply.exception_code)
        return reply

    def _packet(self, sending: bool, data: bytes) -> bytes:
        """Looks at what comes before pymodbus does."""
        if sending:
            return data
        if self._expected is None:
            return b""
        objection = _frame_objection(data)
        if objection is None and _whole(data):
            if int.from_bytes(data[:2], "big") != self._pymodbus.ctx.request_transaction_id:
                self._remark = "it answers with a wrong transaction number"
            elif data[6] != self._pymodbus.ctx.request_dev_id:
                self._remark = f"unit {data[6]} answers instead of the one that was asked"
            else:
                objection = self._expected(data[7 : 6 + int.from_bytes(data[4:6], "big")])
        if objection is not None:
            self._fail(f"it answers nonsense: {objection}")
            return b""
        return data

    def _connection(self, connected: bool) -> None:
        if not connected:
            self._fail("it closed the connection")

    def _fail(self, reason: str) -> None:
        """Ends the request that waits, if one does."""
        self._remark = self._remark or reason
        future = self._pymodbus.ctx.response_future
        if self._expected is not None and not future.done():
            future.set_exception(ConnectionException(reason))


def _whole(data: bytes) -> bool:
    return len(data) >= 8 and len(data) >= 6 + int.from_bytes(data[4:6], "big")


def _frame_objection(data: bytes) -> str | None:
    """Why the start of the stream is no Modbus TCP frame."""
    if data[2:4] not in (b"", b"\0", b"\0\0"):
        return f"protocol {data[2:4].hex()} in the header, expected 0000"
    if len(data) >= 6 and not 3 <= int.from_bytes(data[4:6], "big") <= 254:
        return f"a frame of {int.from_bytes(data[4:6], 'big')} bytes"
    return None


def _objection(pdu: bytes, function: int, size: int) -> str | None:
    """Why a reply cannot be the answer to that function, of so many bytes."""
    if pdu[0] == function | 0x80 and len(pdu) == 2:
        return None
    if pdu[0] != function:
        return f"function {pdu[0]} where {function} was asked"
    if len(pdu) != size or (function <= 4 and pdu[1] != size - 2):
        return f"{len(pdu)} bytes where {size} belong"
    return None
