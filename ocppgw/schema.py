"""The JSON schema of a settings type, for editors that check YAML while one types."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from ocppgw.describe import choices

_SCALARS: dict[Any, dict[str, Any]] = {
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": ["string", "number"]},  # text is taken as written, quoted or not
    Path: {"type": "string"},
    datetime: {"type": "string", "format": "date-time"},
    types.NoneType: {"type": "null"},
}
_BOUNDS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
_LENGTHS = {"min_length": ("minLength", "minItems"), "max_length": ("maxLength", "maxItems")}


def schema_of(type_: Any) -> dict[str, Any]:
    """The schema of a Struct or of any type that a settings field may have."""
    origin, arguments = get_origin(type_), get_args(type_)
    if origin is Annotated:
        made = schema_of(arguments[0])
        for meta in arguments[1:]:
            made = _constrained(made, meta) if isinstance(meta, msgspec.Meta) else made
        return made
    if origin in (Union, types.UnionType):
        return {"anyOf": [schema_of(member) for member in arguments]}
    if origin in (list, tuple, set, frozenset, Sequence):
        return {"type": "array", "items": schema_of(arguments[0])}
    if origin in (dict, Mapping):
        return {"type": "object", "additionalProperties": schema_of(arguments[1])}
    if origin is Literal or (isinstance(type_, type) and issubclass(type_, Enum)):
        return {"enum": list(choices(type_))}
    if isinstance(type_, type) and issubclass(type_, msgspec.Struct):
        return _struct(type_)
    return dict(_SCALARS.get(type_, {}))


def _struct(struct: Any) -> dict[str, Any]:
    fields = msgspec.structs.fields(struct)
    made: dict[str, Any] = {
        "type": ["object", "null"],
        "properties": {field.encode_name: schema_of(field.type) for field in fields},
        "required": [field.encode_name for field in fields if field.required],
    }
    if struct.__struct_config__.forbid_unknown_fields:
        made["additionalProperties"] = False
    return made


def _constrained(made: dict[str, Any], meta: msgspec.Meta) -> dict[str, Any]:
    """The schema with what a ``Meta`` adds; a union's scalars and lists are constrained each."""
    if "anyOf" in made:
        bare = msgspec.Meta(
            **{name: getattr(meta, name) for name in (*_BOUNDS, *_LENGTHS, "pattern")}
        )
        made = {"anyOf": [_constrained(member, bare) for member in made["anyOf"]]}
    else:
        made = made | _limits(made, meta)
    return made | ({"description": meta.description} if meta.description else {})


def _limits(made: dict[str, Any], meta: msgspec.Meta) -> dict[str, Any]:
    limits: dict[str, Any] = {}
    if made.get("type") in ("integer", "number"):
        limits |= {word: getattr(meta, name) for name, word in _BOUNDS.items()}
    elif made.get("type") in ("array", ["string", "number"]):
        place = 1 if made["type"] == "array" else 0
        limits |= {words[place]: getattr(meta, name) for name, words in _LENGTHS.items()}
        limits["pattern"] = meta.pattern
    return {word: value for word, value in limits.items() if value is not None}
