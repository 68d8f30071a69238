"""Words of a device to values, and values to words, as a point says.

Pure functions. A value that makes no sense raises :class:`Nonsense` with the reason; a
value that does not fit its register raises :class:`Unfit`.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from decimal import Decimal
from typing import TypeAlias

from ocppgw_modbus.bound import FLOATS, SIGNED, UNSIGNED, Point
from ocppgw_modbus.spec import ByteOrder, Type, WordOrder

Value: TypeAlias = "int | float | str"


class Nonsense(Exception):
    """What was read cannot be a value; the message says why."""


class Unfit(Exception):
    """A value cannot be written to its register; the message says why."""


def raw_text(words: Sequence[int] | Sequence[bool]) -> str:
    """Words as a person looks at them: ``0xffff 0x0001``."""
    return " ".join(str(int(w)) if isinstance(w, bool) else f"{w:#06x}" for w in words)


def decode(point: Point, words: Sequence[int] | Sequence[bool]) -> Value:
    """The one value of a point (bool and bits as numbers)."""
    return decode_each(point, words)[0]


def decode_each(
    point: Point, words: Sequence[int] | Sequence[bool], *, measured: bool = False
) -> list[Value]:
    """One value for each phase.

    ``measured`` says that it is a quantity: all ones of an unsigned type then mean "no
    value" unless the map declares its own markers.
    """
    if len(words) != point.size:
        raise Nonsense(f"{len(words)} words came, {point.size} belong to it")
    if point.is_bits:
        return [int(bool(words[0]))]
    each = point.words_each
    parts = [words[i : i + each] for i in range(0, point.size, each)]
    return [_decode(point, _bytes(point, part), measured) for part in parts]


def _bytes(point: Point, words: Sequence[int]) -> bytes:
    """The value's bytes, most significant first."""
    small = "little" if point.byte_order is ByteOrder.LITTLE else "big"
    text = point.type in (Type.ASCII, Type.BYTES)
    in_order = words if point.order is WordOrder.HI or text else list(reversed(words))
    return b"".join(word.to_bytes(2, small) for word in in_order)  # type: ignore[arg-type]


def _decode(point: Point, data: bytes, measured: bool) -> Value:
    if point.type is Type.ASCII:
        text = data.split(b"\0", 1)[0].decode("latin-1").rstrip(" ")
        return _unless_marked(point, text, text)
    if point.type is Type.BYTES:
        text = data.hex().upper()
        return _unless_marked(point, text, text)
    if point.type in FLOATS:
        return _scaled(point, _float(data))
    number = int.from_bytes(data, "big", signed=point.type in SIGNED)
    _unless_marked(point, number, int.from_bytes(data, "big"))
    if measured and point.no_value is None and point.type in UNSIGNED and not data.strip(b"\xff"):
        raise Nonsense("all ones mean no value")
    if point.mask is not None:
        number = (number & point.mask) >> point.shift
    if point.type is Type.BITS:
        return number
    if point.type is Type.BOOL:
        return int(number != 0)
    if point.names and number not in point.names:
        known = ", ".join(f"{value} ({name})" for value, name in point.names.items())
        raise Nonsense(f"{number} is none of its values: {known}")
    return _scaled(point, number)


def _unless_marked(point: Point, value: int | str, unsigned: int | str) -> int | str:
    if point.no_value is not None and (value in point.no_value or unsigned in point.no_value):
        raise Nonsense(f"{value!r} means no value")
    return value


def _float(data: bytes) -> float:
    number: float = struct.unpack(">f" if len(data) == 4 else ">d", data)[0]
    if not math.isfinite(number):
        raise Nonsense(f"{number} is no number")
    return number


def _scaled(point: Point, number: float) -> float:
    """Scale and offset in decimal, so that 0.1 times 3 is 0.3."""
    if point.scale == 1 and point.offset == 0:
        value: float = number
    else:
        exact = Decimal(str(number)) * point.scale + point.offset
        value = int(exact) if exact == exact.to_integral_value() else float(exact)
    if point.minimum is not None and value < point.minimum:
        raise Nonsense(f"{value} is below the least that makes sense, {point.minimum}")
    if point.maximum is not None and value > point.maximum:
        raise Nonsense(f"{value} is above the most that makes sense, {point.maximum}")
    return value


def encode(point: Point, value: float | str) -> list[int]:
    """The words (coils: the bits) that say the value."""
    if point.is_bits:
        return [int(bool(value))]
    if isinstance(value, str):
        return _encode_text(point, value)
    if point.type in (Type.ASCII, Type.BYTES):
        return _encode_text(point, str(value))
    if point.minimum is not None and value < point.minimum:
        raise Unfit(f"{value} is below its least value {point.minimum}")
    if point.maximum is not None and value > point.maximum:
        raise Unfit(f"{value} is above its greatest value {point.maximum}")
    if point.type in FLOATS:
        plain = float((Decimal(str(value)) - point.offset) / point.scale)
        data = struct.pack(">f" if point.words_each == 2 else ">d", plain)
    else:
        data = _integer_bytes(point, value)
    return _words(point, data)


def _integer_bytes(point: Point, value: float) -> bytes:
    number = round((Decimal(str(value)) - point.offset) / point.scale)
    if point.mask is not None:
        number <<= point.shift
        if number & ~point.mask or number < 0:
            raise Unfit(f"{value} does not fit into the bits {point.mask:#x}")
    try:
        return number.to_bytes(2 * point.words_each, "big", signed=point.type in SIGNED)
    except OverflowError:
        raise Unfit(f"{value} does not fit into {point.type.value}") from None


def _encode_text(point: Point, text: str) -> list[int]:
    room = 2 * point.size
    try:
        data = bytes.fromhex(text) if point.type is Type.BYTES else text.encode("ascii")
    except ValueError:
        kind = "hexadecimal digits" if point.type is Type.BYTES else "plain ASCII"
        raise Unfit(f"{text!r} is not {kind}") from None
    if point.type not in (Type.ASCII, Type.BYTES):
        raise Unfit(f"{text!r} is a text, the register is {point.type.value}")
    if len(data) > room:
        raise Unfit(f"{text!r} is longer than the {room} bytes of the register")
    return _words(point, data.ljust(room, b"\0"))


def _words(point: Point, data: bytes) -> list[int]:
    small = "little" if point.byte_order is ByteOrder.LITTLE else "big"
    words = [
        int.from_bytes(data[i : i + 2], small)  # type: ignore[arg-type]
        for i in range(0, len(data), 2)
    ]
    text = point.type in (Type.ASCII, Type.BYTES)
    return words if point.order is WordOrder.HI or text else words[::-1]
