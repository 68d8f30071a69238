"""What the values of a section mean: its status, its meter."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from ocppgw.ocpp.enums import Phase
from ocppgw_modbus.bound import BoundMeter, BoundStatus, Point
from ocppgw_modbus.section import Section
from ocppgw_modbus.spec import MeterSpec, StatusSpec
from ocppgw_modbus.units import UNITS, allowed_units

LINES = (Phase.L1, Phase.L2, Phase.L3)


def statuses(section: Section) -> Iterable[BoundStatus]:
    spec = section.spec.status
    if spec is None:
        return
    register = section.point(spec.register, ("status", "register"))
    error = section.optional(spec.error, ("status", "error"))
    vendor = section.optional(spec.vendor_error, ("status", "vendor_error"))
    if spec.errors and spec.error is None:
        section.problem(("status", "errors"), "a table of errors needs a register `error`")
    if register is not None:
        yield _status(section, spec, register, error, vendor)


def _status(
    section: Section, spec: StatusSpec, register: Point, error: Point | None, vendor: Point | None
) -> BoundStatus:
    return BoundStatus(
        connector=section.connector,
        register=register,
        values=section.table(register, spec.values, ("status", "values")),
        error=error,
        errors={} if error is None else section.table(error, spec.errors, ("status", "errors")),
        other_error=spec.other_error,
        vendor_error=vendor,
    )


def meters(section: Section) -> Iterable[BoundMeter]:
    for index, spec in enumerate(section.spec.meter):
        point = section.point(spec.register, ("meter", index, "register"))
        if point is not None:
            yield from _meter(section, index, spec, point)


def _meter(section: Section, index: int, spec: MeterSpec, point: Point) -> Iterable[BoundMeter]:
    keys = ("meter", index)
    section.number(point, (*keys, "register"))
    allowed = allowed_units(spec.measurand)
    unit, factor = UNITS.get(point.unit or "", (None, Decimal(1)))
    if unit is None or unit not in allowed:
        fitting = ", ".join(n for n, (u, _) in UNITS.items() if u in allowed) or "none"
        section.problem(
            (*keys, "register"),
            f"{spec.measurand.value} needs a register with a unit of: {fitting};"
            f" {point.name} has {point.unit or 'none'}",
        )
        return
    if spec.phase is not None and point.phases > 1:
        section.problem((*keys, "phase"), f"{point.name} has {point.phases} phases of its own")
    phases = (spec.phase,) if point.phases == 1 else LINES[: point.phases]
    yield BoundMeter(
        connector=section.connector,
        register=point,
        measurand=spec.measurand,
        unit=unit,
        factor=factor,
        phases=phases,
    )
