"""Any message of 1.5: valid by the official schema, and the same once written and read."""

from datetime import UTC
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from ocppgw.ocpp import (
    Direction,
    Version,
    by_request,
    decode_call,
    decode_reply,
    encode_call,
    encode_reply,
)
from ocppgw.ocpp import model as m
from ocppgw.ocpp.operations import OPERATIONS
from ocppgw.ocpp.table import Boolean, Choice, Field, Group, Integer, Text, Time
from ocppgw.ocpp.wire import TABLES, service

CS, CP = Direction.TO_CENTRAL_SYSTEM, Direction.TO_CHARGE_POINT
LEGAL = st.characters(exclude_categories=["Cs", "Cn"]).filter(
    lambda c: c >= " " or c in "\t\n\r"
) | st.sampled_from("&<>\"'\r\n\té€𝄞\u2028")
TIMES = st.datetimes(timezones=st.just(UTC)).map(
    lambda t: t.replace(microsecond=t.microsecond // 1000 * 1000)
)


def text(kind: Text, *, empty: bool) -> st.SearchStrategy[str]:
    """White space around a text means nothing (Q16), and an empty optional one is none (Q15)."""
    if kind.uri:
        return st.sampled_from(["ftp://u:p@h.example:21/x?a=1&b=2", "file.bin"])
    strategy = st.text(LEGAL, max_size=kind.limit or 40).map(str.strip)
    return strategy if empty else strategy.filter(bool)


def value(field: Field) -> st.SearchStrategy[Any]:
    match field.type:
        case Text():
            return text(field.type, empty=field.mandatory and not field.repeated)
        case Choice():
            return st.sampled_from(list(field.type.meaning().values()))
        case Integer():
            return st.integers(-(2**31), 2**31 - 1)
        case Boolean():
            return st.booleans()
        case Time():
            return TIMES
        case Group():
            return struct(field.type)


def struct(group: Group) -> st.SearchStrategy[Any]:
    arguments = {}
    for field in group.fields:
        strategy = value(field)
        if field.repeated:
            strategy = st.lists(strategy, min_size=int(field.mandatory), max_size=4).map(tuple)
        elif not field.mandatory:
            strategy = st.none() | strategy
        arguments[field.attribute] = strategy
    return st.builds(group.model, **arguments)


def messages(direction: Direction, kind: type[m.Message]) -> st.SearchStrategy[Any]:
    table = service(Version.V15, direction)
    return st.one_of(*(struct(g) for t, g in table.messages.items() if issubclass(t, kind)))


def written(request: m.Request, direction: Direction, **changes: str) -> bytes:
    arguments = {
        "identity": "BOX-1",
        "message_id": "1",
        "to": "http://to.example/?a=1&b=2",
        "sender": "http://from.example/",
    } | changes
    return encode_call(request, direction=direction, version=Version.V15, **arguments)


# the direction is drawn: pytest-twisted wraps the test again for each parameter
@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from(Direction))
def test_requests(check_schema, data: st.DataObject, direction: Direction) -> None:
    request = data.draw(messages(direction, m.Request))

    envelope = written(request, direction)
    call = decode_call(envelope, direction)

    assert call.request == request
    assert call.wire.warnings == ()
    assert call.operation is by_request(direction, type(request))
    check_schema(envelope, direction)


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from(Direction))
def test_responses(check_schema, data: st.DataObject, direction: Direction) -> None:
    response = data.draw(messages(direction, m.Response))
    operation = next(
        o for o in OPERATIONS if o.response is type(response) and o.direction is direction
    )
    kind = service(Version.V15, direction).messages[operation.request]
    call = decode_call(written(data.draw(struct(kind)), direction), direction)
    warnings: list[str] = []

    envelope = encode_reply(call, response)
    again = decode_reply(
        envelope,
        direction=direction,
        version=Version.V15,
        operation=operation,
        warnings=warnings,
    )

    assert again == response
    assert warnings == []
    check_schema(envelope, direction)


@settings(max_examples=100, deadline=None)
@given(
    st.text(LEGAL.filter(str.isprintable), max_size=255).filter(str.strip),
    st.text(LEGAL).filter(str.strip),
)
def test_identities_and_message_ids_of_any_text(identity: str, message_id: str) -> None:
    envelope = written(m.HeartbeatRequest(), CS, identity=identity, message_id=message_id)
    call = decode_call(envelope, CS)

    assert call.identity == identity.strip()
    assert call.wire.message_id == message_id.strip()
    assert call.wire.to == "http://to.example/?a=1&b=2"


@settings(max_examples=100, deadline=None)
@given(st.text())
def test_what_xml_cannot_hold_is_replaced_and_nothing_else(anything: str) -> None:
    call = decode_call(written(m.AuthorizeRequest(id_tag=anything), CS), CS)

    legal = "".join(
        c
        if c in "\t\n\r" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c > "\uffff"
        else "\ufffd"
        for c in anything
    )
    assert call.request == m.AuthorizeRequest(id_tag=legal.strip())


def test_the_table_covers_the_model() -> None:
    """Each field of a message is in the table, but for those that 1.5 does not have."""
    lacking = set()
    for direction, table in TABLES[Version.V15].services.items():
        expected = {
            t for o in OPERATIONS if o.direction is direction for t in (o.request, o.response)
        }
        assert set(table.messages) == expected
        for group in table.messages.values():
            lacking |= _lacking(group)
    assert lacking == {"StopTransactionRequest.reason", "SampledValue.phase"}


def _lacking(group: Group) -> set[str]:
    ours = {field.attribute for field in group.fields}
    model = {field.name for field in msgspec.structs.fields(group.model)}
    assert ours <= model
    lacking = {f"{group.model.__name__}.{name}" for name in model - ours}
    for field in group.fields:
        if isinstance(field.type, Group):
            lacking |= _lacking(field.type)
        elif isinstance(field.type, Choice):
            said = set(field.type.meaning().values())
            assert said | set(field.type.instead) == set(field.type.enum), field.type.name
            assert not said & set(field.type.instead), field.type.name
    return lacking
