"""Reads a register map from its file."""

from __future__ import annotations

from pathlib import Path

from ocppgw.errors import UserError
from ocppgw_modbus.bound import BoundMap
from ocppgw_modbus.problems import MapError
from ocppgw_modbus.resolve import resolve
from ocppgw_modbus.spec import MapSpec
from ocppgw_modbus.yamltree import Tree


def load_map(path: Path) -> BoundMap:
    """The map in that file; :class:`MapError` with everything that is wrong in it."""
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
    return parse_map(text, path.name)


def parse_map(text: str, name: str) -> BoundMap:
    """The map in that text; ``name`` stands in the messages of :class:`MapError`."""
    tree = Tree()
    root = tree.parse(text)
    if root is not None:
        spec = tree.convert(root, MapSpec)
        if spec is not None:
            bound = resolve(spec, root, tree, name)
            if bound is not None:
                return bound
    raise MapError(name, tree.problems)
