"""Names of a map's section looked up, and what is wrong with them noted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from ocppgw.settings import Node, Reader, joined, near_miss
from ocppgw_modbus.bound import FLOATS, TEXTS, Point
from ocppgw_modbus.codec import Unfit, encode
from ocppgw_modbus.points import PlacedPoint
from ocppgw_modbus.spec import BoundSections, Type

V = TypeVar("V")


class Section:
    """The station's own sections, or those of one connector."""

    def __init__(
        self,
        spec: BoundSections,
        connector: int,
        path: str,
        node: Node,
        placed: Iterable[PlacedPoint],
        reader: Reader,
    ) -> None:
        self.spec, self.connector, self.path, self.node, self.reader = (
            spec,
            connector,
            path,
            node,
            reader,
        )
        # A connector's sections may name registers of the station as well.
        self.names = {
            one.point.name: one.point for one in placed if one.point.connector in (0, connector)
        }

    def problem(self, keys: tuple[str | int, ...], text: str) -> None:
        path = self.path
        for depth, key in enumerate(keys):
            listed = isinstance(self.node.nearest(*keys[:depth]).value, tuple)
            path = joined(path, key if listed else str(key))
        self.reader.problem(self.node.nearest(*keys), path, text)

    def point(
        self, name: str, keys: tuple[str | int, ...], *, written: bool = False
    ) -> Point | None:
        """The register of that name, or ``None`` with a problem noted."""
        point = self.names.get(name)
        if point is None:
            self.problem(keys, f"no register {name!r} is declared{near_miss(name, self.names)}")
        elif written and point.write is None:
            self.problem(keys, f"{name!r} is written here, but its register says no `write`")
        return point

    def whole(
        self, name: str | None, keys: tuple[str | int, ...], *, written: bool = False
    ) -> Point | None:
        """The register of that name, which must hold a whole number."""
        point = None if name is None else self.point(name, keys, written=written)
        if point is not None and (point.type in TEXTS | FLOATS or point.phases > 1):
            self.problem(keys, f"{point.name} must be a whole number, it is {point.type.value}")
        return point

    def number(self, point: Point, keys: tuple[str | int, ...]) -> None:
        """Notes a problem if a register cannot hold a quantity."""
        if point.type in TEXTS or point.type in (Type.BITS, Type.BOOL):
            self.problem(keys, f"{point.name} must be a number, it is {point.type.value}")

    def fits(self, point: Point | None, value: float, keys: tuple[str | int, ...]) -> None:
        """Notes a problem if a value of the map cannot be written to its register."""
        if point is None:
            return
        try:
            encode(point, value)
        except Unfit as unfit:
            self.problem(keys, f"{point.name} cannot say it: {unfit}")

    def optional(self, name: str | None, keys: tuple[str | int, ...]) -> Point | None:
        return None if name is None else self.point(name, keys)

    def table(
        self, point: Point, table: Mapping[str | int, V], keys: tuple[str | int, ...]
    ) -> dict[int | str, V]:
        """The table by decoded value: names become numbers, bit names single bits."""
        numbers = {name: number for number, name in point.names.items()}
        found: dict[int | str, V] = {}
        for said, meaning in table.items():
            value = numbers.get(said, said) if isinstance(said, str) else said
            if isinstance(value, str) and point.type not in TEXTS:
                known = ", ".join(numbers) or "none: it has no `values`"
                self.problem(
                    (*keys, said),
                    f"{said!r} is no value of {point.name}{near_miss(value, numbers)}"
                    f" (its values: {known})",
                )
            elif point.names and isinstance(value, int) and value not in point.names:
                self.problem((*keys, said), f"{value} is not among the values of {point.name}")
            if point.type is Type.BITS and isinstance(value, int):
                value = 1 << value
            found[value] = meaning
        return found
