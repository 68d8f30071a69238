"""Reads a register map from its file."""

from __future__ import annotations

from pathlib import Path

import msgspec

from ocppgw.settings import Node, Problem, ProblemsError, Reader, load_yaml, parse_yaml
from ocppgw_modbus.bound import BoundMap
from ocppgw_modbus.resolve import resolve
from ocppgw_modbus.spec import MapSpec


def load_map(path: Path, unit_id: int | None = None) -> BoundMap:
    """The map in that file. ``unit_id`` takes the place of the map's own.

    Raises ``UserError``: the file cannot be read, or everything that is wrong in it.
    """
    root, problems = load_yaml(path)
    return _bound(path, root, problems, unit_id)


def parse_map(text: str, name: str, unit_id: int | None = None) -> BoundMap:
    """The map in that text; ``name`` stands in the messages."""
    root, problems = parse_yaml(text, Path(name))
    return _bound(Path(name), root, problems, unit_id)


def _bound(path: Path, root: Node, problems: list[Problem], unit_id: int | None) -> BoundMap:
    reader = Reader(base=path.parent)
    reader.problems += problems
    spec = reader.read(root, MapSpec)
    bound = None
    if isinstance(spec, MapSpec):
        if unit_id is not None:
            spec = msgspec.structs.replace(spec, unit_id=unit_id)
        bound = resolve(spec, root, reader, path.name)
    if bound is None:
        # What is wrong with a register of every connector is said once.
        raise ProblemsError(str(path), dict.fromkeys(reader.problems))
    return bound
