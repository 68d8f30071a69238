"""Types in a user's words: for error messages and for the reference page alike."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

_NAMES: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    Path: "a path",
    datetime: "a time with its zone (2026-01-31T12:00:00Z)",
    timedelta: "a duration",
    dict: "a mapping",
    types.NoneType: "nothing",
    Any: "anything",
    object: "anything",
}


def described(type_: Any) -> str:
    """What is expected, e.g. ``a whole number from 1 to 64``."""
    if get_origin(type_) is Annotated:
        bounds = "".join(_bounds(meta, type_) for meta in get_args(type_)[1:])
        return described(type_.__origin__) + bounds
    origin = get_origin(type_)
    if origin in (Union, types.UnionType):
        members = [m for m in get_args(type_) if m is not types.NoneType]
        scalars = [m for m in members if not (choices_of_structs(m) and len(members) > 1)]
        return " or ".join(dict.fromkeys(described(member) for member in scalars or members))
    if origin in (list, tuple, Sequence, set, frozenset):
        return f"a list of {_plural(get_args(type_)[0])}"
    if origin in (dict, Mapping):
        return "a mapping"
    named = choices(type_)
    if named:
        return named[0] if len(named) == 1 else f"one of {', '.join(named)}"
    if isinstance(type_, type) and issubclass(type_, msgspec.Struct):
        return "a mapping"
    return _NAMES.get(type_) or str(getattr(type_, "__name__", type_))


def choices_of_structs(type_: Any) -> bool:
    """Whether it is a Struct that only holds what no table knows (``Unknown``)."""
    return isinstance(type_, type) and type_.__name__ == "Unknown"


def choices(type_: Any) -> tuple[str, ...]:
    """The value names of an Enum or Literal; none for other types."""
    if get_origin(type_) is Literal:
        return tuple(str(value) for value in get_args(type_))
    if isinstance(type_, type) and issubclass(type_, Enum):
        return tuple(str(member.value) for member in type_)
    return ()


def _plural(type_: Any) -> str:
    text = described(type_)
    return {"text": "texts", "a mapping": "mappings", "a whole number": "whole numbers"}.get(
        text, text
    )


def _bounds(meta: Any, type_: Any) -> str:
    """The constraints of a ``Meta`` in words, with a leading space."""
    if not isinstance(meta, msgspec.Meta):
        return ""
    words = []
    if meta.ge is not None and meta.le is not None:
        words.append(f"from {meta.ge} to {meta.le}")
    else:
        words += [f"of at least {meta.ge}"] if meta.ge is not None else []
        words += [f"of at most {meta.le}"] if meta.le is not None else []
    words += [f"above {meta.gt}"] if meta.gt is not None else []
    words += [f"below {meta.lt}"] if meta.lt is not None else []
    words += [f"of at least {_long(meta.min_length, type_)}"] if meta.min_length is not None else []
    words += [f"of at most {_long(meta.max_length, type_)}"] if meta.max_length is not None else []
    words += [f"like {meta.pattern}"] if meta.pattern is not None else []
    return "".join(f" {word}" for word in words)


def _long(length: int, type_: Any) -> str:
    """``20 characters``, ``1 entry``."""
    bare = type_.__origin__
    text = bare is str or (get_origin(bare) in (Union, types.UnionType) and str in get_args(bare))
    one, more = ("character", "characters") if text else ("entry", "entries")
    return f"{length} {one if length == 1 else more}"
