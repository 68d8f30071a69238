"""From a tree of what a user wrote to typed values, with every mistake told at once.

The types are msgspec Structs; containers are walked here, so that each mistake has its
own line and path, and msgspec converts the leaves, so that constraints stand in one place.
"""

from __future__ import annotations

import types
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, cast, get_args, get_origin

import msgspec

from ocppgw.describe import choices, described
from ocppgw.tree import Node, Problem, ProblemsError, camel, joined, near_miss

T = TypeVar("T")


class Invalid:
    """Stands for a value that could not be read; its problem has been noted."""


INVALID = Invalid()


def read(
    node: Node,
    type_: type[T],
    *,
    source: str,
    base: Path | None = None,
    lax: bool = False,
    path: str = "",
) -> T:
    """The typed value of a whole tree; raises :class:`ProblemsError` with all that is wrong."""
    reader = Reader(base=base, lax=lax)
    value = reader.read(node, type_, path)
    if reader.problems:
        raise ProblemsError(source, reader.problems)
    return cast("T", value)


class Reader:
    """Reads trees as types and collects what is wrong in ``problems``.

    ``base`` is the folder relative paths start from. ``lax`` reads names and value
    names without regard to case and underscores (``idTag`` for ``id_tag``) and takes
    numbers and booleans that were written as text: for JSON bodies and command lines.
    """

    def __init__(self, *, base: Path | None = None, lax: bool = False) -> None:
        self.problems: list[Problem] = []
        self._base = base
        self._lax = lax

    def problem(self, node: Node, path: str, message: str) -> Invalid:
        self.problems.append(Problem(node.line, path, message))
        return INVALID

    def read(self, node: Node, type_: Any, path: str = "", *, without: tuple[str, ...] = ()) -> Any:
        """The typed value or :data:`INVALID`; keys in ``without`` are somebody else's."""
        if node.broken:
            return INVALID
        bare, meta = _bare(type_)
        origin = get_origin(bare)
        if bare is Any or bare is object:
            return node.plain()
        if origin in (Union, types.UnionType):
            return self._union(node, type_, bare, path)
        if isinstance(bare, type) and issubclass(bare, msgspec.Struct):
            return self._struct(node, bare, path, without)
        if origin in (list, tuple, Sequence, frozenset, set):
            return self._sequence(node, type_, bare, meta, path)
        if origin in (dict, Mapping) or bare is dict:
            return self._mapping(node, type_, bare, meta, path)
        return self._leaf(node, type_, bare, path)

    def _union(self, node: Node, type_: Any, bare: Any, path: str) -> Any:
        members = get_args(bare)
        if node.value is None and types.NoneType in members:
            return None
        fitting = [member for member in members if _fits(node, _bare(member)[0])]
        if len(fitting) == 1:
            member = fitting[0]
            if type_ is not bare and not isinstance(node.value, (dict, tuple)):
                member = Annotated[(member, *get_args(type_)[1:])]
            return self.read(node, member, path)
        tag, tagged = _by_tag(node, fitting)
        if len(tagged) == 1:
            return self.read(node, tagged[0], path)
        if tag is not None:
            said = node.at(tag) or Node(None, node.line)
            known = ", ".join(str(_bare(m)[0].__struct_config__.tag) for m in fitting)
            message = f"expected one of {known}, got {said.shown()}"
            return self.problem(said, joined(path, tag), message)
        for member in fitting:
            attempt = Reader(base=self._base, lax=self._lax)
            value = attempt.read(node, member, path)
            if not attempt.problems:
                return value
        return self.problem(node, path, f"expected {described(type_)}, got {node.shown()}")

    def _struct(self, node: Node, struct: Any, path: str, without: tuple[str, ...]) -> Any:
        if node.value is None:
            node = Node({}, node.line)  # a key with nothing after it
        if not isinstance(node.value, dict):
            return self.problem(node, path, f"expected a mapping, got {node.shown()}")
        fields = {self._name(field.encode_name): field for field in msgspec.structs.fields(struct)}
        config = struct.__struct_config__
        values: dict[str, Any] = {}
        for key, entry in node.value.items():
            field = fields.get(self._name(key))
            if field is not None:
                values[field.name] = self.read(entry, field.type, joined(path, key))
            elif key not in (config.tag_field, *without) and (
                config.forbid_unknown_fields or self._lax
            ):
                known = [*without, *(self._shown(f) for f in fields.values())]
                self._unknown(node, key, path, known)
        for field in fields.values():
            if field.required and field.name not in values:
                self.problem(node, path, f"the key `{self._shown(field)}` is missing")
                values[field.name] = INVALID
        if any(value is INVALID for value in values.values()):
            return INVALID
        try:
            return struct(**values)
        except (ValueError, TypeError) as error:
            return self._refused(node, path, str(error))

    def _refused(self, node: Node, path: str, why: str) -> Invalid:
        """A Struct's own refusal; one that begins with a key of it is told there."""
        key = why.split("`")[1] if why.startswith("`") and why.count("`") > 1 else ""
        said = node.at(key)
        if said is None:
            return self.problem(node, path, why)
        return self.problem(said, joined(path, key), why)

    def _unknown(self, node: Node, key: str, path: str, known: list[str]) -> None:
        line = node.key_lines.get(key, node.line)
        hint = near_miss(key, known) or f"; the keys here are {', '.join(sorted(known)) or 'none'}"
        self.problems.append(Problem(line, joined(path, key), f"unknown key{hint}"))

    def _sequence(self, node: Node, type_: Any, bare: Any, meta: tuple[Any, ...], path: str) -> Any:
        if not isinstance(node.value, tuple):
            return self.problem(node, path, f"expected {described(type_)}, got {node.shown()}")
        inner = (get_args(bare) or (Any,))[0]
        items = [self.read(item, inner, joined(path, i)) for i, item in enumerate(node.value)]
        if any(item is INVALID for item in items):
            return INVALID
        if meta and not _long_enough(items, meta):
            return self.problem(
                node, path, f"expected {described(type_)}, got {len(items)} of them"
            )
        kind = get_origin(bare)
        return tuple(items) if kind in (tuple, Sequence) else kind(items)

    def _mapping(self, node: Node, type_: Any, bare: Any, meta: tuple[Any, ...], path: str) -> Any:
        if not isinstance(node.value, dict):
            return self.problem(node, path, f"expected a mapping, got {node.shown()}")
        key_type, value_type = get_args(bare) or (str, Any)
        result: dict[Any, Any] = {}
        for key, entry in node.value.items():
            value = node.key_values.get(key, key)
            key_node = Node(value, node.key_lines.get(key, node.line), key)
            typed_key = self._leaf(key_node, key_type, _bare(key_type)[0], joined(path, key))
            result[typed_key] = self.read(entry, value_type, joined(path, key))
        if INVALID in result or any(value is INVALID for value in result.values()):
            return INVALID
        if meta and not _long_enough(result, meta):
            return self.problem(
                node, path, f"expected {described(type_)}, got {len(result)} of them"
            )
        return result

    def _leaf(self, node: Node, type_: Any, bare: Any, path: str) -> Any:
        value = node.value
        if bare is str and node.raw is not None and value is not None:
            value = node.raw
        if bare is Path and isinstance(value, str) and value:
            expanded = Path(value).expanduser()
            return self._base / expanded if self._base else expanded
        if self._lax and isinstance(value, str) and isinstance(bare, type) and bare is not str:
            value = _in_any_case(value, bare)
        try:
            return self._checked(msgspec.convert(value, type_, strict=not self._lax))
        except (msgspec.ValidationError, ValueError):
            hint = near_miss(str(value), choices(bare)) if isinstance(value, str) else ""
            return self.problem(
                node, path, f"expected {described(type_)}, got {node.shown()}{hint}"
            )

    @staticmethod
    def _checked(value: Any) -> Any:
        if isinstance(value, datetime) and value.tzinfo is None:
            raise ValueError("a time needs its zone")
        return value

    def _shown(self, field: msgspec.structs.FieldInfo) -> str:
        """The field's name as the user knows it."""
        return camel(field.encode_name) if self._lax else field.encode_name

    def _name(self, name: str) -> str:
        return name.replace("_", "").lower() if self._lax else name


def _bare(type_: Any) -> tuple[Any, tuple[Any, ...]]:
    """The type less its ``Annotated``, and the annotations."""
    if get_origin(type_) is Annotated:
        return type_.__origin__, get_args(type_)[1:]
    return type_, ()


def _fits(node: Node, bare: Any) -> bool:
    """Whether a member of a union can be what the node is, by its kind alone."""
    origin = get_origin(bare) or bare
    mapping = origin in (dict, Mapping) or (
        isinstance(origin, type) and issubclass(origin, msgspec.Struct)
    )
    sequence = origin in (list, tuple, Sequence, set, frozenset)
    if isinstance(node.value, dict):
        return mapping
    if isinstance(node.value, tuple):
        return sequence
    return not mapping and not sequence and bare is not types.NoneType


def _by_tag(node: Node, members: list[Any]) -> tuple[str | None, list[Any]]:
    """Of Structs told apart by a tag: the tag's key, and the one that the node names."""
    configs = [getattr(_bare(member)[0], "__struct_config__", None) for member in members]
    fields = {config.tag_field if config is not None else None for config in configs}
    if len(fields) != 1 or (field := fields.pop()) is None:
        return None, []
    said = node.at(field)
    wanted = said.value if said is not None else None
    pairs = zip(members, configs, strict=True)
    return field, [
        member for member, config in pairs if config is not None and config.tag == wanted
    ]


def _long_enough(items: Collection[Any], meta: tuple[Any, ...]) -> bool:
    try:
        msgspec.convert([None] * len(items), Annotated[(list[Any], *meta)])
    except msgspec.ValidationError:
        return False
    return True


def _in_any_case(value: str, bare: type) -> str:
    """A value name in the spelling its enum has."""
    if not issubclass(bare, Enum):
        return value
    return {name.lower(): name for name in choices(bare)}.get(value.lower(), value)
