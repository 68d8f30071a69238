"""The only module that knows pymodbus's client: one connection, over TCP or a serial port.

pymodbus's own retries and reconnects are switched off; deadlines are ours. What it
leaves open is closed here: a request that waits when the connection goes fails at once,
and it is given nothing but the one frame that answers the request.
"""

from __future__ import annotations

import asyncio
import logging
import termios
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.exceptions import ConnectionException, ModbusException
from pymodbus.framer import FramerType
from pymodbus.pdu import ModbusPDU

from ocppgw_modbus.failures import DeviceSaysNo, Lost, NoAnswer
from ocppgw_modbus.framing import (
    LONGEST_ANSWER,
    Echo,
    Expected,
    Framing,
    Garbled,
    rtu_answer,
    tcp_answer,
)
from ocppgw_modbus.spec import Read, Write
from ocppgw_modbus.wires import SerialWire, Wire

log = logging.getLogger(__name__)

# What it reports about connections is said by the driver, in its own words.
logging.getLogger("pymodbus").setLevel(logging.CRITICAL)

_READ_BITS = frozenset({Read.COILS, Read.DISCRETE})


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
    """One connection: made once, used for one request at a time, closed once.

    ``patient``: a request without an answer raises :class:`NoAnswer` and the connection
    stands, since others depend on it, or reconnecting would change nothing. Without it,
    the connection is closed. ``echo`` is what connections before have learnt of the line.
    """

    def __init__(
        self,
        wire: Wire,
        *,
        timeout: float,
        connect_timeout: float,
        patient: bool = False,
        echo: Echo | None = None,
    ) -> None:
        self._wire = wire
        self._echo = echo or Echo()
        self._timeout = timeout
        self._connect_timeout = connect_timeout
        self.patient = patient
        self._expected: Expected | None = None
        self._remark: str | None = None
        self._last_byte = 0.0  # when, by the loop's clock
        self._garbage = False
        self._pymodbus = self._make(wire)
        self._pymodbus.ctx.max_buffer_size = LONGEST_ANSWER
        self._create = self._pymodbus.ctx.call_create
        self._pymodbus.ctx.call_create = self._create_noting

    def _make(self, wire: Wire) -> AsyncModbusTcpClient | AsyncModbusSerialClient:
        common: dict[str, Any] = {
            "name": str(wire),
            "retries": 0,
            "reconnect_delay": 0,
            "timeout": self._connect_timeout + max(self._timeout, 60.0),  # ours come first
            "trace_packet": self._packet,
            "trace_connect": self._connection,
        }
        if isinstance(wire, SerialWire):
            return AsyncModbusSerialClient(
                wire.path,
                baudrate=wire.baud_rate,
                parity=wire.parity_letter,
                stopbits=wire.stop_bits,
                bytesize=wire.data_bits,
                **common,
            )
        framer = FramerType.RTU if wire.framing is Framing.RTU else FramerType.SOCKET
        return AsyncModbusTcpClient(wire.host, port=wire.port, framer=framer, **common)

    async def connect(self) -> None:
        """Connects, or raises :class:`Lost` with the reason."""
        try:
            async with asyncio.timeout(self._connect_timeout), _heeding_cancellation():
                if await self._pymodbus.connect():
                    # A serial port is set up in the loop's next turns.
                    await asyncio.sleep(0)
                    await asyncio.sleep(0)
                    return
        except TimeoutError:
            self._remark = f"no connection within {self._connect_timeout:g} s"
        except (ValueError, termios.error) as error:
            self._remark = f"the port does not take these settings ({error})"
        except BaseException:
            self.close()
            raise
        self.close()
        raise Lost(f"cannot {self._verb} {self._wire}: {self._remark or 'no reason given'}")

    @property
    def _verb(self) -> str:
        return "open" if isinstance(self._wire, SerialWire) else "connect to"

    async def _create_noting(self) -> Any:
        """pymodbus swallows why a connection failed; this keeps it."""
        try:
            return await self._create()
        except OSError as error:
            self._remark = self._wire.trouble(error)
            raise

    @property
    def connected(self) -> bool:
        """Whether requests can be sent."""
        return bool(self._pymodbus.connected)

    def close(self, reason: str | None = None) -> None:
        """Lets go of the socket or port; may be called twice."""
        self._remark = self._remark or reason
        self._pymodbus.close()

    async def read(
        self, unit: int, fc: Read, address: int, count: int, *, timeout: float | None = None
    ) -> list[int]:
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
            lambda: call(address, count=count, device_id=unit),
            Expected(unit=unit, function=fc.value, size=2 + size),
            timeout,
        )
        return [int(bit) for bit in reply.bits[:count]] if bits else list(reply.registers)

    async def write(
        self,
        unit: int,
        fc: Write,
        address: int,
        values: Sequence[int],
        mask: int | None = None,
        *,
        timeout: float | None = None,
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
        size = 7 if fc is Write.MASK else 5
        expected = Expected(unit=unit, function=fc.value, size=size, address=address)
        await self._ask(calls[fc], expected, timeout)

    async def _ask(
        self, call: Callable[[], Awaitable[ModbusPDU]], expected: Expected, timeout: float | None
    ) -> ModbusPDU:
        """One request and its answer."""
        await self._silence()
        if not self.connected:
            raise Lost(self._remark or "the connection is closed")
        seconds = self._timeout if timeout is None else timeout
        self._remark = None
        self._garbage = False
        self._expected = expected
        try:
            async with asyncio.timeout(seconds), _heeding_cancellation():
                reply = await call()
        except TimeoutError:
            raise self._unanswered(f"no answer within {seconds:g} s") from None
        except ModbusException as error:
            self.close(str(error))
            raise Lost(self._remark) from None
        except asyncio.CancelledError:
            if not self.patient:
                # The answer may still come: nobody could tell it from the next one's.
                self.close("a request was given up")
            raise
        finally:
            self._expected = None
        if reply.isError():
            raise DeviceSaysNo(reply.exception_code)
        return reply

    async def _silence(self) -> None:
        """Waits until the line has been silent as long as frames of RTU must be apart."""
        wire = self._wire
        if wire.silence:
            loop = asyncio.get_running_loop()
            await asyncio.sleep(max(0.0, self._last_byte + wire.silence - loop.time()))

    def _unanswered(self, text: str) -> NoAnswer | Lost:
        self._echo.unanswered()
        if self._garbage:
            text = "what it answers is garbled (noise on the line, or two devices at once?)"
        if self.patient:
            return NoAnswer(text, garbled=self._garbage)
        self.close(text)
        return Lost(self._remark)

    def _packet(self, sending: bool, data: bytes) -> bytes:
        """Looks at what comes before pymodbus does: it sees the answer or nothing."""
        if sending:
            self._echo.sent(data)
            return data
        self._last_byte = asyncio.get_running_loop().time()
        if self._expected is None:
            return b""
        if self._wire.framing is Framing.RTU:
            return self._rtu_answer(data, self._expected)
        context = self._pymodbus.ctx
        asked = msgspec.structs.replace(self._expected, transaction=context.request_transaction_id)
        try:
            return tcp_answer(data, asked, skip_late=self.patient) or b""
        except Garbled as garbled:
            self._fail(f"it answers nonsense: {garbled}")
            return b""

    def _rtu_answer(self, data: bytes, expected: Expected) -> bytes:
        """The answer in what came, or nothing; an echo is taken off."""
        heard = self._echo.heard
        rest = self._echo.cut(data)
        if self._echo.heard and not heard:
            self._hears_itself()
        frame = rtu_answer(rest, expected)
        if frame is not None:
            self._echo.answered()
        self._garbage = bool(rest) and frame is None
        return frame or b""

    def _hears_itself(self) -> None:
        """The adapter was found to echo. Writes whose echo was taken for the answer may not
        have arrived: everything is begun anew."""
        text = "the adapter gives back what it sends (its local echo is on)"
        if not self._echo.told:
            log.warning("%s: %s; what it gives back is passed over", self._wire, text)
        self._echo.told = True
        if self._echo.fooled:
            self._echo.fooled = False
            self._fail(f"{text}; begun anew")

    def _connection(self, connected: bool) -> None:
        if not connected:
            serial = isinstance(self._wire, SerialWire)
            self._fail("the serial port is gone" if serial else "it closed the connection")

    def _fail(self, reason: str) -> None:
        """Ends the request that waits, if one does."""
        self._remark = self._remark or reason
        future = self._pymodbus.ctx.response_future
        if self._expected is not None and not future.done():
            future.set_exception(ConnectionException(reason))
