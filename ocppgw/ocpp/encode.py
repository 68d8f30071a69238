"""Encoders, made from a table: a message of the model to XML text.

They are templates: the tags are put together once, and a message costs one small call for
each field. What the version cannot say is said otherwise as its table tells; an entry of
a list for which it has no words at all (a state of charge in 1.5) is left out.

Strings that are too long, and values no version knows, go out as they are: they came in
like that, and a transaction must be billable with the tag that started it.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, TypeAlias

from ocppgw.ocpp import scalars
from ocppgw.ocpp.enums import Unknown
from ocppgw.ocpp.scalars import escape
from ocppgw.ocpp.table import Boolean, Choice, Field, Group, Integer, Place, Text, Time

Encode: TypeAlias = Callable[[Any], str]


class Unsayable(ValueError):
    """The version has no words for this message, so it cannot be sent at all."""


def encoder(group: Group, name: str, prefix: str) -> Encode:
    """The encoder of a message (or a part) as the element ``name``.

    ``prefix`` is "" for the default namespace. It raises ValueError for a field that is
    missing or cannot be written, :class:`Unsayable` among them.
    """
    tag = f"{prefix}:{name}" if prefix else name
    where = group.name or name
    attributes = [_attribute(f) for f in group.fields if f.place is Place.ATTRIBUTE]
    inside = [_field(f, where, prefix) for f in group.fields if f.place is not Place.ATTRIBUTE]
    if not attributes:
        opening, closing = f"<{tag}>", f"</{tag}>"
        if not inside:
            return lambda message: f"<{tag}/>"
        return lambda message: opening + "".join([piece(message) for piece in inside]) + closing
    opening, closing = f"<{tag}", f"</{tag}>"

    def encode(message: Any) -> str:
        with_attributes = "".join([piece(message) for piece in attributes])
        return f"{opening}{with_attributes}>{''.join([p(message) for p in inside])}{closing}"

    return encode


def _attribute(field: Field) -> Encode:
    get = attrgetter(field.attribute)
    write = _writer(field.type)
    opening = f' {field.wire}="'

    def piece(message: Any) -> str:
        value = get(message)
        return "" if value is None else f'{opening}{write(value)}"'

    return piece


def _field(field: Field, where: str, prefix: str) -> Encode:
    get = _getter(field)
    if field.place is Place.CONTENT:
        return lambda message: escape(get(message))
    write = _element(field, prefix)
    if field.repeated:
        return _repeated(field, get, write, where)
    if field.mandatory:

        def mandatory(message: Any) -> str:
            value = get(message)
            if value is None:
                raise ValueError(f"{where} needs {field.attribute}")
            return write(value)

        return mandatory

    def optional(message: Any) -> str:
        value = get(message)
        return "" if value is None else write(value)

    return optional


def _getter(field: Field) -> Callable[[Any], Any]:
    get = attrgetter(field.attribute)
    if field.adapter is None:
        return get
    to_wire = field.adapter.to_wire
    return lambda message: to_wire(get(message))


def _element(field: Field, prefix: str) -> Encode:
    if isinstance(field.type, Group):
        return encoder(field.type, field.wire, prefix)
    tag = f"{prefix}:{field.wire}" if prefix else field.wire
    opening, closing = f"<{tag}>", f"</{tag}>"
    write = _writer(field.type)

    def element(value: Any) -> str:
        try:
            return f"{opening}{write(value)}{closing}"
        except Unsayable:
            raise
        except ValueError as error:
            raise ValueError(f"{field.wire}: {error}") from error

    return element


def _repeated(field: Field, get: Callable[[Any], Any], write: Encode, where: str) -> Encode:
    """Entries that cannot be said are left out; if one is needed, their holder cannot either."""

    def piece(message: Any) -> str:
        written = []
        items = get(message)
        for item in items:
            try:
                written.append(write(item))
            except Unsayable:
                continue
        if field.mandatory and not written:
            if items:
                raise Unsayable(f"nothing of {where}.{field.wire} can be said in this version")
            raise ValueError(f"{where} needs {field.attribute}")
        return "".join(written)

    return piece


def _writer(kind: object) -> Encode:
    match kind:
        case Text():
            return escape
        case Choice():
            return _choice_writer(kind)
        case Integer():
            return scalars.write_int
        case Boolean():
            return scalars.write_boolean
        case _:
            assert isinstance(kind, Time)
            return scalars.write_time


def _choice_writer(kind: Choice) -> Encode:
    word_of = {member: word for word, member in kind.meaning().items()}
    for member, other in kind.instead.items():
        if other is not None:
            word_of[member] = word_of[other]

    def write(value: Any) -> str:
        word = word_of.get(value)
        if word is not None:
            return word
        if isinstance(value, Unknown):
            return escape(value.raw)
        raise Unsayable(f"{kind.name} has no word for {value}")

    return write
