"""YAML with line numbers, and its conversion into Structs with every error at once.

msgspec stops at the first error and hides the keys of dictionaries; a person who
writes a map wants all of them, with file, line and key. So Structs, lists and
dictionaries are walked here, and msgspec converts the leaves.
"""

from __future__ import annotations

import types
import typing
from enum import Enum
from typing import Any, TypeVar

import msgspec
import yaml

from ocppgw_modbus.problems import Problem, near_miss

StructT = TypeVar("StructT", bound=msgspec.Struct)

MAX_DEPTH = 20


class Node(msgspec.Struct, frozen=True):
    """A YAML value with its line; ``value`` is a scalar, a list of nodes, or entries."""

    line: int
    value: Any

    def get(self, *keys: Any) -> Node:
        """The node below these keys, or the last one there is on the way."""
        node = self
        for key in keys:
            below = node.value if isinstance(node.value, (dict, list)) else {}
            try:
                node = below[key]
            except (KeyError, IndexError, TypeError):
                return node
        return node


class Tree:
    """Reads one document and collects what is wrong with it."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def problem(self, line: int, path: str, text: str) -> None:
        self.problems.append(Problem(line, path, text))

    def parse(self, text: str) -> Node | None:
        """The document's node tree, or ``None`` if it is no YAML at all."""
        try:
            loader = yaml.SafeLoader(text)
            root = loader.get_single_node()
            if root is None:
                self.problem(1, "", "the file is empty, expected a register map")
                return None
            return self._node(loader, root, "", 0)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            self.problem(mark.line + 1 if mark else 1, "", f"not YAML: {error.problem}")
        except yaml.YAMLError as error:
            self.problem(1, "", f"not YAML: {error}")
        return None

    def _node(self, loader: yaml.SafeLoader, node: yaml.Node, path: str, depth: int) -> Node:
        line = node.start_mark.line + 1
        if depth > MAX_DEPTH:
            self.problem(line, path, f"nested deeper than {MAX_DEPTH} levels")
            return Node(line, None)
        if isinstance(node, yaml.SequenceNode):
            items = [
                self._node(loader, item, f"{path}[{index}]", depth + 1)
                for index, item in enumerate(node.value)
            ]
            return Node(line, items)
        if isinstance(node, yaml.MappingNode):
            return Node(line, self._entries(loader, node, path, depth))
        return Node(line, loader.construct_object(node))

    def _entries(
        self, loader: yaml.SafeLoader, node: yaml.MappingNode, path: str, depth: int
    ) -> dict[Any, Node]:
        own: dict[Any, int] = {}
        for key_node, _ in node.value:
            if isinstance(key_node, yaml.ScalarNode):
                key = key_node.value
                line = key_node.start_mark.line + 1
                if key in own:
                    self.problem(line, join(path, key), f"stands in line {own[key]} already")
                own[key] = line
        loader.flatten_mapping(node)
        entries: dict[Any, Node] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self.problem(line, path, "a key must be a word or a number")
                continue
            key = loader.construct_object(key_node)
            below = self._node(loader, value_node, join(path, key), depth + 1)
            entries[key] = Node(line, below.value)
        return entries

    # Conversion

    def convert(self, node: Node, wanted: Any, path: str = "") -> Any:
        """The value of the wanted type, or ``None`` with problems noted."""
        wanted, constraint = _bare(wanted)
        if isinstance(wanted, type) and issubclass(wanted, msgspec.Struct):
            return self._struct(node, wanted, path)
        origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
        if origin is dict and isinstance(node.value, dict):
            return self._dict(node, arguments, constraint, path)
        if origin is list and isinstance(node.value, list):
            items = [
                self.convert(item, arguments[0], f"{path}[{index}]")
                for index, item in enumerate(node.value)
            ]
            if constraint is not None:
                self._leaf(node, constraint, path)
            return items
        if origin in (types.UnionType, typing.Union):
            return self._union(node, wanted, constraint, arguments, path)
        return self._leaf(node, wanted if constraint is None else constraint, path)

    def _struct(self, node: Node, wanted: type[StructT], path: str) -> StructT | None:
        if not isinstance(node.value, dict):
            self.problem(node.line, path, f"expected a section with keys, got {_shown(node)}")
            return None
        fields = {field.name: field for field in msgspec.structs.fields(wanted)}
        hints = typing.get_type_hints(wanted, include_extras=True)
        before = len(self.problems)
        values = {}
        for key, below in node.value.items():
            if key not in fields:
                hint = near_miss(str(key), fields) or f", expected one of: {', '.join(fields)}"
                self.problem(below.line, join(path, key), f"there is no such key{hint}")
                continue
            values[key] = self.convert(below, hints[key], join(path, key))
        for name, field in fields.items():
            if field.required and name not in node.value:
                self.problem(node.line, path, f"the key {name!r} is missing")
        return wanted(**values) if len(self.problems) == before else None

    def _dict(self, node: Node, arguments: Any, constraint: Any, path: str) -> dict[Any, Any]:
        found = {}
        for key, below in node.value.items():
            key_node = Node(below.line, key)
            name = self.convert(key_node, arguments[0], join(path, key))
            found[name] = self.convert(below, arguments[1], join(path, key))
        if constraint is not None and not found:
            self._leaf(node, constraint, path)
        return found

    def _union(self, node: Node, wanted: Any, constraint: Any, arguments: Any, path: str) -> Any:
        if node.value is None and type(None) in arguments:
            return None
        if isinstance(node.value, (dict, list)):
            for argument in arguments:
                bare = _bare(argument)[0]
                container = dict if isinstance(node.value, dict) else list
                is_struct = isinstance(bare, type) and issubclass(bare, msgspec.Struct)
                if typing.get_origin(bare) is container or (container is dict and is_struct):
                    return self.convert(node, argument, path)
        return self._leaf(node, wanted if constraint is None else constraint, path)

    def _leaf(self, node: Node, wanted: Any, path: str) -> Any:
        plain = _plain(node)
        try:
            return msgspec.convert(plain, wanted)
        except msgspec.ValidationError as error:
            known = [] if isinstance(plain, (dict, list)) else _members(wanted)
            if known:
                hint = near_miss(str(plain), known) or f", expected one of: {', '.join(known)}"
                self.problem(node.line, path, f"{_shown(node)} is not known{hint}")
            else:
                said = str(error).split(" - at ")[0].replace("`", "")
                said = said[:1].lower() + said[1:].split(", got ")[0]
                self.problem(node.line, path, f"{said}, got {_shown(node)}")
            return None


def join(path: str, key: Any) -> str:
    """``registers`` and ``energy`` make ``registers.energy``."""
    return f"{path}.{key}" if path else str(key)


def _bare(wanted: Any) -> tuple[Any, Any]:
    """The type without ``Annotated``, and the annotated one if it was (for its limits)."""
    if typing.get_origin(wanted) is typing.Annotated:
        return typing.get_args(wanted)[0], wanted
    return wanted, None


def _members(wanted: Any) -> list[str]:
    """The values of an enumeration, also of an optional one; empty for anything else."""
    bare = _bare(wanted)[0]
    for one in (bare, *typing.get_args(bare)):
        if isinstance(one, type) and issubclass(one, Enum):
            return [str(member.value) for member in one]
    return []


def _plain(node: Node) -> Any:
    if isinstance(node.value, dict):
        return {key: _plain(below) for key, below in node.value.items()}
    if isinstance(node.value, list):
        return [_plain(item) for item in node.value]
    return node.value


def _shown(node: Node) -> str:
    if isinstance(node.value, (dict, list)):
        return "a section" if isinstance(node.value, dict) else "a list"
    text = repr(node.value)
    return text if len(text) <= 40 else text[:37] + "..."
