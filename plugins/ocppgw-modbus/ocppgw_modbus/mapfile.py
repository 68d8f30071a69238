"""Reads a register map from its file."""

from __future__ import annotations

from pathlib import Path

import msgspec

from ocppgw.errors import UserError
from ocppgw_modbus.bound import BoundMap
from ocppgw_modbus.problems import MapError
from ocppgw_modbus.resolve import resolve
from ocppgw_modbus.spec import MapSpec
from ocppgw_modbus.yamltree import Tree


def load_map(path: Path, unit_id: int | None = None) -> BoundMap:
    """The map in that file; :class:`MapError` with everything that is wrong in it.

    ``unit_id`` takes the place of the map's own.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"register map {path}: cannot be read ({error.strerror}); give the path of a YAML file"
        ) from error
    except UnicodeDecodeError as error:
        raise UserError(
            f"register map {path}: is not UTF-8 text (byte {error.start}); save it as UTF-8"
        ) from error
    return parse_map(text, path.name, unit_id)


def parse_map(text: str, name: str, unit_id: int | None = None) -> BoundMap:
    """The map in that text; ``name`` stands in the messages of :class:`MapError`."""
    tree = Tree()
    root = tree.parse(text)
    if root is not None:
        spec = tree.convert(root, MapSpec)
        if spec is not None:
            if unit_id is not None:
                spec = msgspec.structs.replace(spec, unit_id=unit_id)
            bound = resolve(spec, root, tree, name)
            if bound is not None:
                return bound
    raise MapError(name, tree.problems)
