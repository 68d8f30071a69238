"""The memory of the simulated PLC, and its own way to put values into words.

This shares no code with the driver's :mod:`ocppgw_modbus.codec` on purpose: a mistake
made on both sides cannot hide.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import TypeAlias

from ocppgw_modbus.bound import Point
from ocppgw_modbus.spec import ByteOrder, Read, Type, WordOrder

Place: TypeAlias = tuple[int, Read, int]  # unit id, table, address
SimValue: TypeAlias = "int | float | str"

FORMATS = {Type.F32: (">f", ">2H"), Type.F64: (">d", ">4H")}
SIGNED = (Type.I16, Type.I32, Type.I64)


class Registers:
    """Every register and coil that the map declares, each with its word.

    ``written`` collects the places that came in over Modbus since it was last emptied.
    """

    def __init__(self, points: Iterable[Point]) -> None:
        self._words: dict[Place, int] = {}
        self._forced: dict[Place, int] = {}
        self.written: set[Place] = set()
        for point in points:
            for place in places(point):
                self._words[place] = 0

    def clear(self) -> None:
        """All zero, as after a power cut."""
        self._words = dict.fromkeys(self._words, 0)
        self.written.clear()

    def word(self, place: Place) -> int:
        """What Modbus shows at that place."""
        return self._forced.get(place, self._words.get(place, 0))

    def places(self) -> Iterable[Place]:
        return self._words.keys()

    def write(self, place: Place, word: int) -> None:
        """A write over Modbus."""
        self._words[place] = word
        self.written.add(place)

    def force(self, point: Point, words: Sequence[int] | None) -> None:
        """Shows these words at a point whatever the program puts there; ``None``: no more."""
        for index, place in enumerate(places(point)):
            if words is None:
                self._forced.pop(place, None)
            else:
                self._forced[place] = words[index]

    def put(self, point: Point, value: SimValue | Sequence[float]) -> None:
        """Puts a value (one for each phase, or the same for all) into its words."""
        values = list(value) if isinstance(value, (list, tuple)) else [value] * point.phases
        words = [word for one in values for word in _to_words(point, one)]
        for place, word in zip(places(point), words, strict=True):
            if point.mask is not None and not point.is_bits:
                bits = (word << point.shift) & point.mask
                word = self._words[place] & ~point.mask | bits
            self._words[place] = word

    def get(self, point: Point) -> SimValue:
        """The value of a point as the PLC's program sees it."""
        words = [self._words[place] for place in places(point)]
        if point.is_bits:
            return words[0]
        if point.type in (Type.ASCII, Type.BYTES):
            return _text(point, words)
        ordered = [_swapped(point, word) for word in words]
        if point.order is WordOrder.LO:
            ordered.reverse()
        if point.type in FORMATS:
            to_bytes, to_words = FORMATS[point.type][0], FORMATS[point.type][1]
            plain: float = struct.unpack(to_bytes, struct.pack(to_words, *ordered))[0]
            return plain * float(point.scale) + float(point.offset)
        number = 0
        for word in ordered:
            number = number * 65536 + word
        if point.mask is not None:
            number = (number & point.mask) >> point.shift
        if point.type in SIGNED and number >= 1 << (16 * len(words) - 1):
            number -= 1 << (16 * len(words))
        scaled = Fraction(number) * Fraction(point.scale) + Fraction(point.offset)
        return int(scaled) if scaled.denominator == 1 else float(scaled)


def places(point: Point) -> list[Place]:
    """The places that a point covers."""
    return [(point.unit_id, point.fc, point.address + i) for i in range(point.size)]


def _to_words(point: Point, value: SimValue | Sequence[float]) -> list[int]:
    if point.is_bits:
        return [1 if value else 0]
    if point.type is Type.ASCII:
        text = str(value).ljust(2 * point.size, "\0")[: 2 * point.size]
        pairs = zip(text[::2], text[1::2], strict=True)
        return [_swapped(point, ord(a) * 256 + ord(b)) for a, b in pairs]
    if point.type is Type.BYTES:
        digits = str(value).ljust(4 * point.size, "0")[: 4 * point.size]
        return [_swapped(point, int(digits[i : i + 4], 16)) for i in range(0, len(digits), 4)]
    assert isinstance(value, (int, float))
    exact = (Fraction(value) - Fraction(point.offset)) / Fraction(point.scale)
    count = point.size // point.phases
    if point.type in FORMATS:
        to_bytes, to_words = FORMATS[point.type]
        words = list(struct.unpack(to_words, struct.pack(to_bytes, float(exact))))
    else:
        number = round(exact) % (1 << (16 * count))
        words = [number >> (16 * i) & 0xFFFF for i in reversed(range(count))]
    if point.order is WordOrder.LO:
        words.reverse()
    return [_swapped(point, word) for word in words]


def _swapped(point: Point, word: int) -> int:
    if point.byte_order is ByteOrder.BIG:
        return word
    return (word & 0xFF) << 8 | word >> 8


def _text(point: Point, words: Sequence[int]) -> str:
    data = bytearray()
    for word in words:
        swapped = _swapped(point, word)
        data += bytes((swapped >> 8, swapped & 0xFF))
    if point.type is Type.BYTES:
        return "".join(f"{byte:02X}" for byte in data)
    end = data.find(0)
    return data[: end if end >= 0 else len(data)].decode("latin-1").rstrip()
