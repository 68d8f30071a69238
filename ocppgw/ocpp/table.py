"""The vocabulary in which a version's table is written.

A table (``v15.py`` …) says, for each service, the namespace and the messages; for
each message the fields in the order of the WSDL, with their wire names, how often
they occur, their types and lengths. Decoders, encoders and the WSDL are made from it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, TypeAlias

import msgspec

from ocppgw.ocpp.model import Message
from ocppgw.ocpp.operations import Direction, Version


class Text(msgspec.Struct, frozen=True, eq=False):
    """A string of at most ``limit`` characters.

    ``name`` is the simple type by which the WSDL states the limit; without it the limit
    stands in the specification's text only. ``markup``: child elements are taken as text,
    as they stand (Q15). ``uri``: an xs:anyURI.
    """

    limit: int | None = None
    name: str | None = None
    markup: bool = False
    uri: bool = False


class Integer(msgspec.Struct, frozen=True, eq=False):
    """An xs:int (32 bits). ``rounded``: a fraction is rounded, not refused."""

    rounded: bool = False


class Boolean(msgspec.Struct, frozen=True, eq=False):
    """An xs:boolean."""


class Time(msgspec.Struct, frozen=True, eq=False):
    """An xs:dateTime, in the model an aware UTC datetime to the millisecond.

    ``stamp``: when something happened that must be taken in whatever the sender's clock
    says; if it cannot be read, ``scalars.UNREADABLE_TIME`` stands in (Q17).
    """

    stamp: bool = False


class Choice(msgspec.Struct, frozen=True, eq=False):
    """A closed set of words: the simple type ``name`` of the WSDL.

    ``spelled`` are words that differ from the member's own (1.6) value; ``instead`` what
    is said for members the version lacks, ``None`` if nothing can be said in their place;
    ``also`` are further words that are understood.
    """

    name: str
    enum: type[Enum]
    words: tuple[str, ...]
    spelled: Mapping[str, Enum]
    instead: Mapping[Enum, Enum | None]
    also: Mapping[str, Enum]

    def meaning(self) -> dict[str, Enum]:
        """Each word of the version, in the order of the WSDL, and its member."""
        return {word: self.spelled.get(word) or self.enum(word) for word in self.words}


def choice(
    name: str,
    enum: type[Enum],
    words: str,
    *,
    spelled: Mapping[str, Enum] | None = None,
    instead: Mapping[Any, Enum | None] | None = None,
    also: Mapping[str, Enum] | None = None,
) -> Choice:
    """A :class:`Choice` whose words are written as one string."""
    return Choice(name, enum, tuple(words.split()), spelled or {}, instead or {}, also or {})


class Group(msgspec.Struct, frozen=True, eq=False):
    """A complex type: a Struct of the model and its fields in wire order.

    ``name`` is the complex type of the WSDL, ``None`` if it has none there.
    """

    name: str | None
    model: type[msgspec.Struct]
    fields: tuple[Field, ...]


Type: TypeAlias = Text | Integer | Boolean | Time | Choice | Group


class Place(Enum):
    """Where a field stands in its element."""

    ELEMENT = "a child element"
    ATTRIBUTE = "an unqualified attribute"
    CONTENT = "the element's text"


class Adapter(msgspec.Struct, frozen=True, eq=False):
    """How a field's value differs in shape from the model's, as two plain functions.

    They see the whole field: a tuple where it repeats. For versions that group values
    otherwise (1.6 has no wrapper in ``transactionData``, 1.2 a bare number as meter value).
    """

    from_wire: Callable[[Any], Any]
    to_wire: Callable[[Any], Any]


class Field(msgspec.Struct, frozen=True, eq=False):
    """One field: its wire name, its type, and the model's attribute.

    ``aliases`` are further wire names that are understood. ``spare``: what cannot be read
    is left out with a warning, instead of refusing a message that money hangs on.
    """

    wire: str
    type: Type
    attribute: str
    mandatory: bool
    repeated: bool = False
    place: Place = Place.ELEMENT
    aliases: tuple[str, ...] = ()
    spare: bool = False
    adapter: Adapter | None = None


def snake(wire: str) -> str:
    """``chargePointVendor`` -> ``charge_point_vendor``."""
    return re.sub(r"([A-Z])", r"_\1", wire).lower()


def one(
    wire: str,
    kind: Type,
    *,
    attribute: str | None = None,
    aliases: tuple[str, ...] = (),
    spare: bool = False,
    adapter: Adapter | None = None,
) -> Field:
    """An element that must be there (1..1)."""
    return Field(
        wire,
        kind,
        attribute or snake(wire),
        mandatory=True,
        aliases=aliases,
        spare=spare,
        adapter=adapter,
    )


def optional(wire: str, kind: Type, *, attribute: str | None = None, spare: bool = False) -> Field:
    """An element that may be there (0..1)."""
    return Field(wire, kind, attribute or snake(wire), mandatory=False, spare=spare)


def many(
    wire: str,
    kind: Type,
    *,
    attribute: str | None = None,
    at_least_one: bool = False,
    aliases: tuple[str, ...] = (),
    spare: bool = False,
    adapter: Adapter | None = None,
) -> Field:
    """An element that repeats (0..n, or 1..n)."""
    return Field(
        wire,
        kind,
        attribute or snake(wire),
        mandatory=at_least_one,
        repeated=True,
        aliases=aliases,
        spare=spare,
        adapter=adapter,
    )


def attribute(wire: str, kind: Choice) -> Field:
    """An optional, unqualified XML attribute."""
    return Field(wire, kind, wire, mandatory=False, place=Place.ATTRIBUTE)


def content(kind: Text) -> Field:
    """The text of the element itself; the model has it as ``value``."""
    return Field("", kind, "value", mandatory=True, place=Place.CONTENT)


def group(name: str | None, model: type[msgspec.Struct], *fields: Field) -> Group:
    """A complex type."""
    return Group(name, model, fields)


def message(model: type[Message], *fields: Field) -> Group:
    """A request or response; its type is named as the model's, its element likewise."""
    return Group(model.__name__, model, fields)


def element_name(model: type[Message]) -> str:
    """``HeartbeatRequest`` -> ``heartbeatRequest``, the element in the SOAP body."""
    return model.__name__[0].lower() + model.__name__[1:]


class Service(msgspec.Struct, frozen=True, eq=False):
    """One side's service: its namespace and its messages."""

    namespace: str
    messages: Mapping[type[Message], Group]


def service(namespace: str, *messages: Group) -> Service:
    """A service of these messages."""
    return Service(namespace, {m.model: m for m in messages if issubclass(m.model, Message)})


class Table(msgspec.Struct, frozen=True, eq=False):
    """All of a version."""

    version: Version
    services: Mapping[Direction, Service]
