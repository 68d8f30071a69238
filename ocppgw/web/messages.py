"""Messages as JSON: the names of the specification, in any case on the way in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import Enum
from typing import Any, get_origin

import msgspec

from ocppgw.errors import UserError
from ocppgw.ocpp.enums import Unknown
from ocppgw.ocpp.model import Request
from ocppgw.ocpp.operations import Operation
from ocppgw.tree import Problem, ProblemsError, camel, from_plain, joined
from ocppgw.typed import read

LONGEST_TAG = 20  # characters of an IdToken (CiString20Type)
TAGS = ("id_tag", "parent_id_tag")

_BRITISH = re.compile("(?<=authori)s(?=ation)", re.IGNORECASE)


def request_of(operation: Operation, body: object) -> Request:
    """The request that a JSON body describes; ``UserError`` says all that is wrong with it.

    A list may also be given as the JSON text of one, or as its only entry, as command lines
    have it; British spelling is taken for the American one.
    """
    body = _spelled(operation, body) if isinstance(body, dict) else body
    request = read(from_plain(body), operation.request, source=operation.name, lax=True)
    problems = list(_tag_problems(request))
    if problems:
        raise ProblemsError(operation.name, problems)
    return request


def _tag_problems(value: object, path: str = "") -> Iterator[Problem]:
    """What is wrong with the tags in a message, at any depth. What comes in may be longer (Q18),
    but what we make up ourselves no station has to take."""
    if isinstance(value, tuple):
        for number, item in enumerate(value):
            yield from _tag_problems(item, joined(path, number))
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            inside, where = getattr(value, name), joined(path, camel(name))
            if name not in TAGS:
                yield from _tag_problems(inside, where)
            elif inside is not None and not (inside.strip() and len(inside) <= LONGEST_TAG):
                expected = f"expected an IdToken of 1 to {LONGEST_TAG} characters"
                yield Problem(None, where, f"{expected}, got {len(inside)}: `{inside}`")


def _spelled(operation: Operation, body: dict[Any, Any]) -> dict[str, Any]:
    fields = {f.name.replace("_", ""): f.type for f in msgspec.structs.fields(operation.request)}
    spelled = {}
    for key, value in body.items():
        name = _BRITISH.sub("z", str(key))
        of_list = get_origin(fields.get(name.replace("_", "").lower())) is tuple
        spelled[name] = _listed(f"{operation.name}: {key}", value) if of_list else value
    return spelled


def _listed(where: str, value: Any) -> Any:
    if isinstance(value, str) and value[:1] in ("[", "{"):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise UserError(f"{where}: not valid JSON: {error}") from error
    return [value] if isinstance(value, (str, dict)) else value


def as_json(value: object) -> Any:
    """A message, or a document of the store, as JSON values; what is absent is left out."""
    if isinstance(value, Unknown):
        return value.raw
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, msgspec.Struct):
        value = {camel(name): v for name, v in msgspec.structs.asdict(value).items()}
    if isinstance(value, dict):
        return {str(k): as_json(v) for k, v in value.items() if v is not None and v != ()}
    if isinstance(value, (list, tuple)):
        return [as_json(item) for item in value]
    return value
