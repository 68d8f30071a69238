"""From a map as written to a map ready for use: names looked up, roles checked."""

from __future__ import annotations

from ocppgw.settings import Node, Reader, near_miss
from ocppgw_modbus.bound import BoundCyclic, BoundIdentity, BoundMap
from ocppgw_modbus.points import place
from ocppgw_modbus.section import Section
from ocppgw_modbus.shakes import commands, events
from ocppgw_modbus.spec import MapSpec
from ocppgw_modbus.states import meters, statuses


def resolve(spec: MapSpec, root: Node, reader: Reader, name: str) -> BoundMap | None:
    """The map ready for use, or ``None`` with the problems noted in the reader."""
    if spec.defaults.poll not in spec.polls:
        hint = (
            near_miss(spec.defaults.poll, spec.polls)
            or f"; expected one of: {', '.join(spec.polls)}"
        )
        text = f"there is no poll group {spec.defaults.poll!r}{hint}"
        reader.problem(root.nearest("defaults", "poll"), "defaults.poll", text)
    placed = place(spec, root, reader)
    sections = [Section(spec, 0, "", root, placed, reader)]
    if spec.connectors is not None:
        below = root.nearest("connectors")
        sections += [
            Section(spec.connectors, number, "connectors", below, placed, reader)
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
        statuses=tuple(s for section in sections for s in statuses(section)),
        meters=tuple(m for section in sections for m in meters(section)),
        events=tuple(e for section in sections for e in events(section)),
        commands={(c.kind, c.connector): c for section in sections for c in commands(section)},
        cyclic=_cyclic(spec, sections[0]),
    )
    return None if reader.problems else bound


def _identity(spec: MapSpec, station: Section) -> BoundIdentity:
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


def _cyclic(spec: MapSpec, station: Section) -> tuple[BoundCyclic, ...]:
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
