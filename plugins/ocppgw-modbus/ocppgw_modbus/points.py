"""From the registers of a map to points: addresses, sizes, overlaps."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import msgspec

from ocppgw.settings import Node, Reader, near_miss
from ocppgw_modbus.bound import (
    BIT_TABLES,
    TEXTS,
    UNSIGNED,
    WORDS,
    Point,
)
from ocppgw_modbus.spec import (
    ConnectorsSpec,
    LimitsSpec,
    MapSpec,
    Read,
    RegisterSpec,
    Stride,
    Type,
    Write,
)
from ocppgw_modbus.units import OTHER_UNITS, UNITS

BIT_WRITES = frozenset({Write.COIL, Write.COILS})


class PlacedPoint(msgspec.Struct, frozen=True):
    """A point with the place in the file it comes from."""

    point: Point
    spec: RegisterSpec
    path: str
    node: Node

    @property
    def line(self) -> int:
        return self.node.line or 0


def place(spec: MapSpec, root: Node, reader: Reader) -> list[PlacedPoint]:
    """Every register of the map at its address, for every connector; problems noted."""
    placed: list[PlacedPoint] = []
    for name, register in spec.registers.items():
        path, node = f"registers.{name}", root.nearest("registers", name)
        _check(register, spec, path, node, reader)
        placed.append(PlacedPoint(_point(name, 0, register, spec), register, path, node))
    connectors = spec.connectors
    for name, register in (connectors.registers if connectors else {}).items():
        assert connectors is not None
        path = f"connectors.registers.{name}"
        node = root.nearest("connectors", "registers", name)
        if name in spec.registers:
            reader.problem(node, path, f"{name!r} is a register of the station already")
            continue
        _check(register, spec, path, node, reader)
        for number in range(1, connectors.count + 1):
            point = _point(name, number, register, spec)
            placed.append(PlacedPoint(point, register, path, node))
    for one in placed:
        last = one.point.address + one.point.size - 1
        if one.point.address < 0 or last > 65535:
            reader.problem(
                one.node,
                f"{one.path}.addr",
                f"expected addresses from 0 to 65535, got {one.point.address} to {last}"
                + (f" for connector {one.point.connector}" if one.point.connector else ""),
            )
        if one.point.unit_id > 255:
            reader.problem(
                one.node,
                one.path,
                f"expected a unit_id up to 255, got {one.point.unit_id}"
                f" for connector {one.point.connector}",
            )
    _check_overlaps(placed, reader)
    return placed


def _size(register: RegisterSpec) -> int:
    if register.type in TEXTS or register.type is Type.BITS:
        return register.count or 1
    return WORDS[register.type] * (register.phases or 1)


def _point(name: str, connector: int, register: RegisterSpec, spec: MapSpec) -> Point:
    fc = register.fc or spec.defaults.fc
    moved, unit_moved = _moved(spec.connectors, connector, fc)
    default_write = {Read.HOLDING: spec.defaults.write, Read.COILS: spec.defaults.write_coil}
    mask = register.mask if register.bit is None else 1 << register.bit
    return Point(
        name=name,
        connector=connector,
        unit_id=(spec.unit_id if register.unit_id is None else register.unit_id) + unit_moved,
        fc=fc,
        address=register.addr + moved,
        size=_size(register),
        type=register.type,
        order=register.order or spec.defaults.order,
        byte_order=register.bytes or spec.defaults.bytes,
        write=register.write or default_write.get(fc),
        scale=Decimal(str(register.scale)),
        offset=Decimal(str(register.offset)),
        unit=register.unit,
        mask=mask,
        shift=register.shift if register.bit is None else register.bit,
        names=register.values or {},
        minimum=register.min,
        maximum=register.max,
        no_value=None if register.no_value is None else tuple(register.no_value),
        phases=register.phases or 1,
        poll=register.poll or spec.defaults.poll,
        alone=register.alone,
    )


def _moved(connectors: ConnectorsSpec | None, number: int, fc: Read) -> tuple[int, int]:
    """How far the addresses and the unit id of a connector are moved."""
    if connectors is None or number == 0:
        return 0, 0
    stride = connectors.stride
    if not isinstance(stride, Stride):
        stride = Stride(registers=stride, bits=stride)
    step = stride.bits if fc in BIT_TABLES else stride.registers
    return connectors.offset + (number - 1) * step, (number - 1) * stride.unit_id


def _check(register: RegisterSpec, spec: MapSpec, path: str, node: Node, reader: Reader) -> None:
    for key, text in _faults(register, spec):
        reader.problem(node.nearest(key), f"{path}.{key}" if key else path, text)


def _faults(register: RegisterSpec, spec: MapSpec) -> Iterator[tuple[str, str]]:
    """What does not fit together within one register: key and sentence."""
    fc = register.fc or spec.defaults.fc
    poll = register.poll
    if poll is not None and poll not in spec.polls:
        hint = near_miss(poll, spec.polls) or f"; expected one of: {', '.join(spec.polls)}"
        yield "poll", f"there is no poll group {poll!r}{hint}"
    if register.unit is not None and register.unit not in UNITS.keys() | OTHER_UNITS:
        known = sorted(UNITS.keys() | OTHER_UNITS)
        hint = near_miss(register.unit, known) or f"; expected one of: {', '.join(known)}"
        yield "unit", f"the unit {register.unit!r} is not known{hint}"
    if register.scale == 0:
        yield "scale", "expected a number other than 0, got 0"
    if register.min is not None and register.max is not None and register.min > register.max:
        yield "min", f"expected no more than max {register.max}, got {register.min}"
    yield from _size_faults(register, fc, spec.limits)
    yield from _bit_faults(register, fc)
    yield from _write_faults(register, fc)


def _size_faults(register: RegisterSpec, fc: Read, limits: LimitsSpec) -> Iterator[tuple[str, str]]:
    kind, size = register.type, _size(register)
    if fc in BIT_TABLES and kind is not Type.BOOL:
        yield "type", f"function {fc.value} reads single bits, expected type bool, got {kind.value}"
    if kind in TEXTS and register.count is None:
        yield "count", f"type {kind.value} needs the number of registers it spans"
    if kind in WORDS and register.count is not None and register.count != size:
        yield "count", f"type {kind.value} spans {size} registers here, got count {register.count}"
    if kind is Type.BITS and size not in (1, 2, 4):
        yield "count", f"expected 1, 2 or 4 registers of bits, got {size}"
    if register.phases is not None and (kind not in WORDS or kind is Type.BOOL):
        yield "phases", f"a value of type {kind.value} has no phases"
    most = limits.bits_per_read if fc in BIT_TABLES else limits.registers_per_read
    if size > most:
        yield "count", f"spans {size}, more than the {most} that one read may have"
    numeric = kind in WORDS and kind is not Type.BOOL
    if not numeric and (register.scale != 1 or register.offset != 0):
        yield "scale", f"a value of type {kind.value} has no scale or offset"


def _bit_faults(register: RegisterSpec, fc: Read) -> Iterator[tuple[str, str]]:
    kind = register.type
    picks = register.bit is not None or register.mask is not None
    if register.bit is not None and register.mask is not None:
        yield "mask", "expected either bit or mask, got both"
    if picks and (fc in BIT_TABLES or kind not in UNSIGNED | {Type.BOOL}):
        yield (
            "bit" if register.bit is not None else "mask",
            f"bits can be picked of u16, u32, u64 and of a bool in a register, got {kind.value}",
        )
        return
    if register.shift and register.mask is None:
        yield "shift", "a shift needs a mask"
    width = 16 * WORDS.get(kind, 1)
    if register.bit is not None and register.bit >= width:
        yield "bit", f"expected 0 to {width - 1} for type {kind.value}, got {register.bit}"
    if register.mask is not None and register.mask >= 1 << width:
        yield (
            "mask",
            f"expected a mask of {width} bits for type {kind.value}, got {register.mask:#x}",
        )


def _write_faults(register: RegisterSpec, fc: Read) -> Iterator[tuple[str, str]]:
    write = register.write
    if write is None:
        return
    if fc in (Read.DISCRETE, Read.INPUT):
        yield "write", f"what function {fc.value} reads cannot be written"
    elif (write in BIT_WRITES) != (fc is Read.COILS):
        right = "5 or 15" if fc is Read.COILS else "6, 16 or 22"
        yield "write", f"expected {right} for what function {fc.value} reads, got {write.value}"
    elif write is Write.REGISTER and _size(register) > 1:
        yield "write", f"function 6 writes one register, this value spans {_size(register)}"
    elif write is Write.MASK and register.bit is None and register.mask is None:
        yield "write", "function 22 writes single bits, name them with bit or mask"
    elif write is Write.MASK and _size(register) > 1:
        yield "write", f"function 22 writes one register, this value spans {_size(register)}"
    elif write is not Write.MASK and (register.bit is not None or register.mask is not None):
        yield "write", f"expected 22 to write single bits of a register, got {write.value}"


def _check_overlaps(placed: list[PlacedPoint], reader: Reader) -> None:
    ordered = sorted(
        placed, key=lambda p: (p.point.unit_id, p.point.fc.value, p.point.address, p.line)
    )
    reported: set[tuple[str, str]] = set()
    active: list[PlacedPoint] = []
    for one in ordered:
        active = [other for other in active if _reaches(other.point, one.point)]
        for other in active:
            pair = (other.path, one.path)
            if pair in reported or _may_share(other, one):
                continue
            reported.add(pair)
            first, second = sorted((other, one), key=lambda p: p.line)
            reader.problem(
                second.node,
                second.path,
                f"{second.point} overlaps {first.point} of line {first.line}; give it another"
                " address, or say `overlay: true` if both views are meant",
            )
        active.append(one)


def _reaches(earlier: Point, later: Point) -> bool:
    same = earlier.unit_id == later.unit_id and earlier.fc is later.fc
    return same and earlier.address + earlier.size > later.address


def _may_share(one: PlacedPoint, other: PlacedPoint) -> bool:
    if one.spec.overlay or other.spec.overlay:
        return True
    first, second = one.point, other.point
    if first.mask is None or second.mask is None or first.address != second.address:
        return False
    return not first.mask & second.mask
