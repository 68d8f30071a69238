"""Finding the one answer that was asked for in what came over a line. No I/O.

Modbus TCP has a header with a transaction number and a length. RTU has neither: a frame
is unit, function, data and a checksum, so what is not the frame that must come (noise,
a reply that comes late, another unit's) is skipped until one fits.
"""

from __future__ import annotations

from enum import Enum

import msgspec

LONGEST_ANSWER = 4096  # bytes that are looked through for an RTU frame
ERROR = 0x80  # this bit in the function says: exception
ANSWERED_ALIKE = (5, 6, 22)  # functions whose answer is the request, word for word


class Framing(Enum):
    """How requests and answers are framed."""

    TCP = "tcp"
    RTU = "rtu"


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """The answer that is waited for; ``size`` in bytes of function and data. The answer to
    a write repeats its ``address``."""

    unit: int
    function: int
    size: int
    address: int | None = None
    transaction: int = 0


class Garbled(ValueError):
    """What came cannot be the beginning of an answer; the message says why."""


def tcp_answer(data: bytes, expected: Expected, *, skip_late: bool) -> bytes | None:
    """The frame that answers, or ``None`` if it is not whole yet.

    ``skip_late`` passes over whole frames with another transaction number: answers to
    requests that were given up. Raises :class:`Garbled`.
    """
    while True:
        if data[2:4] not in (b"", b"\0", b"\0\0"):
            raise Garbled(f"protocol {data[2:4].hex()} in the header, expected 0000")
        length = int.from_bytes(data[4:6], "big")
        if len(data) >= 6 and not 3 <= length <= 254:
            raise Garbled(f"a frame of {length} bytes")
        if len(data) < 8 or len(data) < 6 + length:
            return None
        frame, data = data[: 6 + length], data[6 + length :]
        if int.from_bytes(frame[:2], "big") == expected.transaction:
            break
        if not skip_late:
            raise Garbled("a wrong transaction number")
    if frame[6] != expected.unit:
        raise Garbled(f"unit {frame[6]} answers instead of the one that was asked")
    objection = _objection(frame[7:], expected)
    if objection is not None:
        raise Garbled(objection)
    return frame


def rtu_answer(data: bytes, expected: Expected) -> bytes | None:
    """The frame that answers, wherever it begins, or ``None`` as long as there is none."""
    for start in range(len(data) - 4):
        if data[start] != expected.unit:
            continue
        if data[start + 1] == expected.function:
            size = expected.size
            if not _begins(data[start + 2 : start + 4], expected):
                continue
        elif data[start + 1] == expected.function | ERROR:
            size = 2
        else:
            continue
        frame = data[start : start + 1 + size + 2]
        if len(frame) == size + 3 and crc16(frame[:-2]) == frame[-2:]:
            return frame
    return None


def _begins(data: bytes, expected: Expected) -> bool:
    """Whether an answer's first bytes after the function are those that must come."""
    if expected.address is not None:
        return data == expected.address.to_bytes(2, "big")
    return data[0] == expected.size - 2


class Echo:
    """What an adapter hears of itself: some on RS-485 give back what they send.

    It must be taken off what comes, for a device answers a write of one register with the
    very words of the request: the echo would be taken for its answer. Every other request
    shows whether there is an echo.
    """

    def __init__(self) -> None:
        self.heard = False
        self.fooled = False  # perhaps: a write was answered in its own words, before we knew
        self.told = False  # people know of it
        self._sent = b""
        self._came = b""

    def sent(self, frame: bytes) -> None:
        """A request goes out."""
        self._sent, self._came = frame, b""

    def cut(self, data: bytes) -> bytes:
        """What came since, less the echo."""
        self._came = data
        place = data.find(self._sent)
        if place < 0:
            return data
        if not self.heard and self._answered_alike:
            self.fooled = True
            return data
        self.heard = True
        return data[place + len(self._sent) :]

    def answered(self) -> None:
        """An answer was among it: if no echo was, there is none any more."""
        if self._sent not in self._came and not self._answered_alike:
            self.heard = self.told = self.fooled = False

    def unanswered(self) -> None:
        """What was cut off a write may have been its answer: the next requests show it."""
        if self._sent in self._came and self._answered_alike:
            self.heard = False

    @property
    def _answered_alike(self) -> bool:
        return bool(self._sent) and self._sent[1] in ANSWERED_ALIKE


def crc16(data: bytes) -> bytes:
    """The checksum of an RTU frame, as it is sent: low byte first."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return crc.to_bytes(2, "little")


def _objection(pdu: bytes, expected: Expected) -> str | None:
    """Why a reply cannot be the answer."""
    if pdu[0] == expected.function | ERROR and len(pdu) == 2:
        return None
    if pdu[0] != expected.function:
        return f"function {pdu[0]} where {expected.function} was asked"
    if len(pdu) != expected.size or (expected.function <= 4 and pdu[1] != expected.size - 2):
        return f"{len(pdu)} bytes where {expected.size} belong"
    return None
