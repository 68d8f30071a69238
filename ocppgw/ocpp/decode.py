"""Decoders, made from a table: an XML element to a message of the model.

A decoder walks the children once and looks each up by its tag: by the exact QName first,
then by local name in any case (quirks Q9, Q30). It is as forgiving as the quirks
Q15 to Q18 and Q22 ask, and says each time what it forgave.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any, TypeAlias, cast

import msgspec
from lxml import etree
from msgspec.structs import replace

from ocppgw.ocpp import scalars
from ocppgw.ocpp.enums import Unknown
from ocppgw.ocpp.markup import inner_xml
from ocppgw.ocpp.scalars import Unreadable, quote, warn
from ocppgw.ocpp.table import Boolean, Choice, Field, Group, Integer, Place, Text, Time

MAX_REPEATS = 10_000
"""How often a field may repeat in its element; far beyond any real message."""
MAX_ALIKE = 1000
"""Of how many ways to qualify a value an example is kept; far more than all stations use."""
TIMES_TOO_LONG = 16
"""A text that is longer than allowed is taken (Q18), but not one of so many times the length."""

Warnings: TypeAlias = list[str]
Element: TypeAlias = etree._Element  # noqa: SLF001 - lxml's type has no public name
Decode: TypeAlias = Callable[[Element, Warnings], Any]
Read: TypeAlias = Callable[[str, Warnings], Any]
Take: TypeAlias = Callable[[Element, dict[str, Any], Warnings], None]
Store: TypeAlias = Callable[[dict[str, Any], Any, Warnings], None]


# its stubs allow for bytes, which lxml gives for attributes that were set as bytes only
items = cast("Callable[[Element], list[tuple[str, str]]]", Element.items)


def local_name(tag: object) -> str:
    """The name without namespace or (undeclared) prefix; "" for what is no element."""
    if not isinstance(tag, str):
        return ""
    return tag[tag.rfind("}") + 1 :].rpartition(":")[2]


def decoder(group: Group, namespace: str) -> Decode:
    """The decoder of an element of this type.

    It raises :class:`Unreadable`, which names the field.
    """
    where = group.name or group.model.__name__
    exact: dict[object, Take] = {}
    by_local: dict[str, Take] = {}
    for field in group.fields:
        take = _take(field, where, namespace)
        exact[f"{{{namespace}}}{field.wire}"] = take
        for name in (field.wire, *field.aliases):
            by_local[name.lower()] = take
    finish = _finisher(group, where)
    model = group.model

    def decode(element: Element, warnings: Warnings) -> Any:
        values: dict[str, Any] = {}
        for child in element:
            take = exact.get(child.tag)
            if take is None:
                take = by_local.get(local_name(child.tag).lower())
                if take is None:
                    warn(warnings, f"{where} has an unknown element {quote(str(child.tag))}")
                    continue
            take(child, values, warnings)
        finish(values, warnings)
        return model(**values)

    return decode


def _finisher(group: Group, where: str) -> Callable[[dict[str, Any], Warnings], None]:
    """What is done once all children are taken: tuples, what is missing, adapters."""
    has_default = {f.name for f in msgspec.structs.fields(group.model) if not f.required}
    mandatory = {f.attribute: f.wire for f in group.fields if f.mandatory}
    expected = mandatory.keys()
    repeated = tuple(f.attribute for f in group.fields if f.repeated)
    adapted = tuple((f.attribute, f.adapter) for f in group.fields if f.adapter)

    def finish(values: dict[str, Any], warnings: Warnings) -> None:
        if not expected <= values.keys():
            for attribute in expected - values.keys():
                if attribute not in has_default:
                    raise Unreadable(f"{where} has no {mandatory[attribute]}")
                warn(warnings, f"{where} has no {mandatory[attribute]}")
        for attribute in repeated:
            if attribute in values:
                values[attribute] = tuple(values[attribute])
        for attribute, adapter in adapted:
            if attribute in values:
                values[attribute] = adapter.from_wire(values[attribute])

    return finish


def _take(field: Field, where: str, namespace: str) -> Take:
    """Reads one child element into the values of its message."""
    place = f"{where}.{field.wire}"
    if isinstance(field.type, Group):
        if any(f.place is Place.CONTENT for f in field.type.fields):
            return _take_content(field.type, _store(field, place))
        return _take_group(field, field.type, place, namespace)
    if isinstance(field.type, Text):
        return _take_text(field, field.type, place)
    return _take_scalar(field, _reader(field.type, place), place)


def _store(field: Field, place: str) -> Store:
    attribute = field.attribute
    if not field.repeated:

        def store(values: dict[str, Any], value: Any, warnings: Warnings) -> None:
            if attribute in values:
                warn(warnings, f"{place} comes twice, the last one counts")
            values[attribute] = value

        return store

    def append(values: dict[str, Any], value: Any, warnings: Warnings) -> None:
        before = values.get(attribute)
        if before is None:
            values[attribute] = [value]
        elif len(before) < MAX_REPEATS:
            before.append(value)
        else:
            raise Unreadable(f"{place} comes more than {MAX_REPEATS} times")

    return append


def _take_text(field: Field, kind: Text, place: str) -> Take:
    store = _store(field, place)
    kept_if_empty = field.mandatory and not field.repeated
    limit = kind.limit or 1 << 62
    markup = kind.markup

    def _markup(child: Element, values: dict[str, Any]) -> str:
        if field.attribute in values:  # or a thousand of them would be written for nothing
            raise Unreadable(f"{place} comes twice")
        try:
            return inner_xml(child)
        except Unreadable as error:
            raise Unreadable(f"{place}: {error}") from None

    def take(child: Element, values: dict[str, Any], warnings: Warnings) -> None:
        text = _markup(child, values) if markup and len(child) else child.text
        text = text.strip() if text else ""
        if not text and not kept_if_empty:
            return  # an empty optional element, xsi:nil or not, is an absent one (Q15)
        if len(text) > limit:
            if len(text) > TIMES_TOO_LONG * limit:
                why = f"{len(text)} characters, where {limit} are the most"
                if field.mandatory:
                    raise Unreadable(f"{place}: {why}")
                warn(warnings, f"{place} is left out: {why}")
                return
            warn(warnings, f"{place} is longer than {limit} characters: {quote(text)}")
        store(values, text, warnings)

    return take


def _take_scalar(field: Field, read: Read, place: str) -> Take:
    store = _store(field, place)
    spare = field.spare
    kept_if_empty = isinstance(field.type, Choice) and field.mandatory

    def take(child: Element, values: dict[str, Any], warnings: Warnings) -> None:
        text = child.text
        text = text.strip() if text else ""
        if not text and not kept_if_empty:
            return
        try:
            value = read(text, warnings)
        except Unreadable as error:
            if not spare:
                raise Unreadable(f"{place}: {error}") from None
            warn(warnings, f"{place} is left out: {error}")
            return
        store(values, value, warnings)

    return take


def _take_group(field: Field, kind: Group, place: str, namespace: str) -> Take:
    decode = decoder(kind, namespace)
    store = _store(field, place)
    spare = field.spare
    # <transactionData/> is a valid, empty one; <idTagInfo/> can only mean that there is none
    empty_is_absent = any(f.mandatory for f in kind.fields)

    def take(child: Element, values: dict[str, Any], warnings: Warnings) -> None:
        if not len(child) and (empty_is_absent or _is_nil(child)):
            return
        try:
            value = decode(child, warnings)
        except Unreadable as error:
            if not spare:
                raise
            warn(warnings, f"{place}: an entry is left out, it cannot be read: {error}")
            return
        store(values, value, warnings)

    return take


def _is_nil(element: Element) -> bool:
    """Whether xsi:nil stands there, also with its prefix undeclared (Q14)."""
    return any(local_name(k) == "nil" and v.lower() in ("true", "1") for k, v in items(element))


def _take_content(kind: Group, store: Store) -> Take:
    """Reads an element with text and attributes: the ``value`` of 1.5.

    A station qualifies its samples in the same few ways with each message. So an element
    without text is kept for each way, of which the next one is a copy: that saves a third
    of what a message of many samples costs beyond its XML.
    """
    model, read = kind.model, _attributes_reader(kind)
    alike: dict[tuple[tuple[str, str], ...], Any] = {}

    def take(child: Element, values: dict[str, Any], warnings: Warnings) -> None:
        given = tuple(items(child))
        like = alike.get(given)
        if like is None:
            qualifiers, usual = read(given, warnings)
            like = model(value="", **qualifiers)
            if usual and len(alike) < MAX_ALIKE:
                alike[given] = like
        text = child.text
        store(values, replace(like, value=text.strip() if text else ""), warnings)

    return take


def _attributes_reader(
    group: Group,
) -> Callable[[Iterable[tuple[str, str]], Warnings], tuple[dict[str, Any], bool]]:
    """Reads attributes; says, too, whether all were written exactly as the version has them."""
    where = group.name or group.model.__name__
    attributes: dict[str, tuple[str, dict[str, Enum], Read]] = {
        f.wire: (f.attribute, f.type.meaning(), _choice_reader(f.type, f"{where}.{f.wire}"))
        for f in group.fields
        if isinstance(f.type, Choice)
    }

    def read(given: Iterable[tuple[str, str]], warnings: Warnings) -> tuple[dict[str, Any], bool]:
        values: dict[str, Any] = {}
        usual = True
        for name, raw in given:
            known = attributes.get(name)
            member = known[1].get(raw) if known else None
            if known and member:
                values[known[0]] = member
                continue
            usual = False
            known = known or attributes.get(local_name(name).lower())
            if known is None:
                warn(warnings, f"{where} has an unknown attribute {quote(name)}")
            elif word := raw.strip():
                values[known[0]] = known[2](word, warnings)
        return values, usual

    return read


def _reader(kind: object, where: str) -> Read:
    """Reads the stripped text of an attribute or element that is no plain string."""
    match kind:
        case Choice():
            return _choice_reader(kind, where)
        case Integer(rounded=rounded):
            return lambda text, warnings: scalars.read_int(text, rounded=rounded)
        case Boolean():
            return lambda text, warnings: scalars.read_boolean(text)
        case Time(stamp=True):
            return lambda text, warnings: _read_stamp(text, warnings, where)
        case _:
            return lambda text, warnings: scalars.read_time(text, warnings, where)


def _read_stamp(text: str, warnings: Warnings, where: str) -> Any:
    try:
        return scalars.read_time(text, warnings, where)
    except Unreadable as error:
        warn(warnings, f"{where}: {error}")
        return scalars.UNREADABLE_TIME


def _choice_reader(kind: Choice, where: str) -> Read:
    words = kind.meaning()
    # words of other versions and other case; the version's own words come last and win
    understood = {str(member.value).lower(): member for member in kind.enum}
    understood |= {word.lower(): member for word, member in {**kind.also, **words}.items()}

    def read(text: str, warnings: Warnings) -> Any:
        member = words.get(text)
        if member is not None:
            return member
        member = understood.get(text.lower())
        if member is None:
            warn(warnings, f"{where}: unknown value {quote(text)}")
            return Unknown(text)
        warn(warnings, f"{where}: {quote(text)} is not a value of this version, taken as {member}")
        return member

    return read
