"""From a map as written to a map ready for use: names looked up, roles checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import TypeVar

from ocppgw.ocpp.enums import Measurand, Phase
from ocppgw_modbus import commandrules
from ocppgw_modbus.bound import (
    TEXTS,
    BoundCommand,
    BoundCyclic,
    BoundEvent,
    BoundIdentity,
    BoundMap,
    BoundMeter,
    BoundStatus,
    FieldTarget,
    Point,
)
from ocppgw_modbus.codec import Unfit, encode
from ocppgw_modbus.points import PlacedPoint, place
from ocppgw_modbus.problems import near_miss
from ocppgw_modbus.spec import (
    BoundSections,
    CommandKind,
    CommandSpec,
    EventField,
    EventKind,
    EventSpec,
    FieldSpec,
    MapSpec,
    MeterSpec,
    StatusSpec,
    Type,
)
from ocppgw_modbus.units import UNITS, allowed_units
from ocppgw_modbus.yamltree import Node, Tree, join

V = TypeVar("V")

LINES = (Phase.L1, Phase.L2, Phase.L3)
NEEDED = {
    EventKind.TAG: (EventField.ID_TAG,),
    EventKind.START: (EventField.ID_TAG, EventField.METER),
    EventKind.STOP: (EventField.METER,),
}


def resolve(spec: MapSpec, root: Node, tree: Tree, name: str) -> BoundMap | None:
    """The map ready for use, or ``None`` with the problems noted in the tree."""
    if spec.defaults.poll not in spec.polls:
        hint = (
            near_miss(spec.defaults.poll, spec.polls)
            or f", expected one of: {', '.join(spec.polls)}"
        )
        text = f"there is no poll group {spec.defaults.poll!r}{hint}"
        tree.problem(root.get("defaults", "poll").line, "defaults.poll", text)
    placed = place(spec, root, tree)
    sections = [_Section(spec, 0, "", root, placed, tree)]
    if spec.connectors is not None:
        below = root.get("connectors")
        sections += [
            _Section(spec.connectors, number, "connectors", below, placed, tree)
            for number in range(1, spec.connectors.count + 1)
        ]
    bound = BoundMap(
        name=name,
        device=spec.device,
        connectors=spec.connectors.count if spec.connectors else 0,
        limits=spec.limits,
        polls=spec.polls,
        points=tuple(one.point for one in placed),
        identity=_identity(spec, sections[0]),
        statuses=tuple(s for section in sections for s in section.statuses()),
        meters=tuple(m for section in sections for m in section.meters()),
        events=tuple(e for section in sections for e in section.events()),
        commands={(c.kind, c.connector): c for section in sections for c in section.commands()},
        cyclic=_cyclic(spec, sections[0]),
    )
    return None if tree.problems else bound


def _identity(spec: MapSpec, station: _Section) -> BoundIdentity:
    texts = {}
    for field in spec.identity.__struct_fields__:
        register = getattr(spec.identity, field)
        if register is not None and field != "running":
            point = station.point(register, ("identity", field))
            if point is not None:
                texts[field] = point
    running = spec.identity.running
    return BoundIdentity(
        running=None if running is None else station.point(running, ("identity", "running")),
        texts=texts,
    )


def _cyclic(spec: MapSpec, station: _Section) -> tuple[BoundCyclic, ...]:
    bound = []
    for index, one in enumerate(spec.cyclic):
        point = station.point(one.register, ("cyclic", index, "register"), written=True)
        if point is not None:
            for value in one.values:
                station.fits(point, value, ("cyclic", index, "values"))
            bound.append(
                BoundCyclic(
                    register=point, every=one.every, values=tuple(one.values), unless=one.unless
                )
            )
    return tuple(bound)


class _Section:
    """The station's own sections, or those of one connector."""

    def __init__(
        self,
        spec: BoundSections,
        connector: int,
        path: str,
        node: Node,
        placed: Iterable[PlacedPoint],
        tree: Tree,
    ) -> None:
        self.spec, self.connector, self.path, self.node, self.tree = (
            spec,
            connector,
            path,
            node,
            tree,
        )
        # A connector's sections may name registers of the station as well.
        self.names = {
            one.point.name: one.point for one in placed if one.point.connector in (0, connector)
        }

    def problem(self, keys: tuple[str | int, ...], text: str) -> None:
        path = self.path
        for depth, key in enumerate(keys):
            inside = self.node.get(*keys[:depth]).value
            path = f"{path}[{key}]" if isinstance(inside, list) else join(path, key)
        self.tree.problem(self.node.get(*keys).line, path, text)

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

    def fits(self, point: Point | None, value: float, keys: tuple[str | int, ...]) -> None:
        """Notes a problem if a value of the map cannot be written to its register."""
        if point is None:
            return
        try:
            encode(point, value)
        except Unfit as unfit:
            self.problem(keys, f"{point.name} cannot say it: {unfit}")

    def statuses(self) -> Iterable[BoundStatus]:
        spec = self.spec.status
        if spec is None:
            return
        register = self.point(spec.register, ("status", "register"))
        error = self._optional(spec.error, ("status", "error"))
        vendor = self._optional(spec.vendor_error, ("status", "vendor_error"))
        if spec.errors and spec.error is None:
            self.problem(("status", "errors"), "a table of errors needs a register `error`")
        if register is not None:
            yield self._status(spec, register, error, vendor)

    def _status(
        self, spec: StatusSpec, register: Point, error: Point | None, vendor: Point | None
    ) -> BoundStatus:
        return BoundStatus(
            connector=self.connector,
            register=register,
            values=self._table(register, spec.values, ("status", "values")),
            error=error,
            errors={} if error is None else self._table(error, spec.errors, ("status", "errors")),
            other_error=spec.other_error,
            vendor_error=vendor,
        )

    def _optional(self, name: str | None, keys: tuple[str | int, ...]) -> Point | None:
        return None if name is None else self.point(name, keys)

    def _table(
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

    def meters(self) -> Iterable[BoundMeter]:
        for index, spec in enumerate(self.spec.meter):
            point = self.point(spec.register, ("meter", index, "register"))
            if point is not None:
                yield from self._meter(index, spec, point)

    def _meter(self, index: int, spec: MeterSpec, point: Point) -> Iterable[BoundMeter]:
        keys = ("meter", index)
        allowed = allowed_units(spec.measurand)
        unit, factor = UNITS.get(point.unit or "", (None, Decimal(1)))
        if unit is None or unit not in allowed:
            fitting = ", ".join(n for n, (u, _) in UNITS.items() if u in allowed) or "none"
            self.problem(
                (*keys, "register"),
                f"{spec.measurand.value} needs a register with a unit of: {fitting};"
                f" {point.name} has {point.unit or 'none'}",
            )
            return
        if spec.phase is not None and point.phases > 1:
            self.problem((*keys, "phase"), f"{point.name} has {point.phases} phases of its own")
        phases = (spec.phase,) if point.phases == 1 else LINES[: point.phases]
        yield BoundMeter(
            connector=self.connector,
            register=point,
            measurand=spec.measurand,
            unit=unit,
            factor=factor,
            phases=phases,
        )

    def events(self) -> Iterable[BoundEvent]:
        for kind, spec in self.spec.events.items():
            event = self._event(kind, spec, ("events", kind.value))
            if event is not None:
                yield event

    def _event(
        self, kind: EventKind, spec: EventSpec, keys: tuple[str | int, ...]
    ) -> BoundEvent | None:
        request = self.point(spec.request, (*keys, "request"))
        acknowledge = self.point(spec.acknowledge, (*keys, "acknowledge"), written=True)
        sequence = self._optional(spec.sequence, (*keys, "sequence"))
        fields = {}
        for field, register in spec.fields.items():
            point = self.point(register, (*keys, "fields", field.value))
            if point is not None:
                fields[field] = point
        for key, value in (("up", spec.up), ("down", spec.down)):
            self.fits(acknowledge, value, (*keys, key))
        for needed in NEEDED[kind]:
            if needed not in spec.fields:
                self.problem((*keys, "fields"), f"a {kind.value} needs the field {needed.value!r}")
        if self.connector == 0 and kind is not EventKind.TAG and EventField.CONNECTOR not in fields:
            self.problem(
                (*keys, "fields"),
                f"a {kind.value} of the whole station needs the field 'connector'",
            )
        reason = fields.get(EventField.REASON)
        reasons = {} if reason is None else self._table(reason, spec.reasons, (*keys, "reasons"))
        meter = fields.get(EventField.METER)
        factor = Decimal(1) if meter is None else self._energy(meter, (*keys, "fields", "meter"))
        if request is None or acknowledge is None:
            return None
        return BoundEvent(
            key=f"{self.connector}.{kind.value}",
            kind=kind,
            connector=self.connector,
            request=request,
            acknowledge=acknowledge,
            sequence=sequence,
            fields=fields,
            meter_factor=factor,
            reasons=reasons,
            up=spec.up,
            down=spec.down,
        )

    def _energy(self, point: Point, keys: tuple[str | int, ...]) -> Decimal:
        unit, factor = UNITS.get(point.unit or "", (None, Decimal(1)))
        if unit not in allowed_units(Measurand.ENERGY_ACTIVE_IMPORT_REGISTER):
            self.problem(
                keys, f"{point.name} is a meter and needs `unit: Wh` or kWh, got {point.unit!r}"
            )
        return factor

    def commands(self) -> Iterable[BoundCommand]:
        for kind, spec in self.spec.commands.items():
            yield self._command(kind, spec, ("commands", kind.value))

    def _command(
        self, kind: CommandKind, spec: CommandSpec, keys: tuple[str | int, ...]
    ) -> BoundCommand:
        for where, text in commandrules.faults(kind, spec, self.connector):
            self.problem((*keys, *where), text)
        fields = {}
        for field, target in spec.fields.items():
            said = FieldSpec(register=target) if isinstance(target, str) else target
            point = self.point(said.register, (*keys, "fields", field.value), written=True)
            if point is not None:
                fields[field] = FieldTarget(
                    register=point, true_value=said.true_value, false_value=said.false_value
                )
        fixed = []
        for register, value in spec.set.items():
            point = self.point(register, (*keys, "set", register), written=True)
            if point is not None:
                number = self._fixed(point, value, (*keys, "set", register))
                self.fits(point, number, (*keys, "set", register))
                fixed.append((point, number))
        request = None
        if spec.request is not None:
            request = self.point(spec.request, (*keys, "request"), written=True)
            for key, number in (("up", spec.up), ("down", spec.down)):
                self.fits(request, number, (*keys, key))
        return BoundCommand(
            key=f"{self.connector}.{kind.value}",
            kind=kind,
            connector=self.connector,
            fields=fields,
            fixed=tuple(fixed),
            request=request,
            answer=self._optional(spec.answer, (*keys, "answer")),
            up=spec.up,
            down=spec.down,
            idle=spec.idle,
            accepted=spec.accepted,
            refused=spec.refused,
            on_change=spec.on_change,
        )

    def _fixed(self, point: Point, value: float | str, keys: tuple[str | int, ...]) -> float:
        if not isinstance(value, str):
            return value
        numbers = {name: number for number, name in point.names.items()}
        if value not in numbers:
            hint = near_miss(value, numbers)
            self.problem(keys, f"{value!r} is no value of {point.name}{hint}")
        return numbers.get(value, 0)
