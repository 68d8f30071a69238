"""The requests that are sent, as bytes, and how the next one differs from the last."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from msgspec import Struct

PATH = "/Ocpp/CentralSystemService"
HEARTBEAT = "Heartbeat"
START = "StartTransaction"
METER = "MeterValues 5 KB"
KINDS = (HEARTBEAT, START, METER)

_COUNTER = "%08d"
_ENVELOPE = """<?xml version="1.0" encoding="UTF-8"?>
<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" \
xmlns:a="http://www.w3.org/2005/08/addressing" xmlns:c="urn://Ocpp/Cs/2012/06/"><s:Header>\
<c:chargeBoxIdentity>{identity}</c:chargeBoxIdentity><a:Action>/{action}</a:Action>\
<a:MessageID>urn:uuid:00000000-0000-4000-8000-00{counter}</a:MessageID>\
<a:From><a:Address>http://127.0.0.1:9000/</a:Address></a:From>\
<a:ReplyTo><a:Address>http://www.w3.org/2005/08/addressing/anonymous</a:Address></a:ReplyTo>\
<a:To>http://127.0.0.1:9220/</a:To></s:Header><s:Body>{body}</s:Body></s:Envelope>"""

_HEARTBEAT = "<c:heartbeatRequest/>"
_START = """<c:startTransactionRequest><c:connectorId>1</c:connectorId><c:idTag>{tag}</c:idTag>\
<c:timestamp>{at}</c:timestamp><c:meterStart>1{counter}</c:meterStart>\
</c:startTransactionRequest>"""
_SAMPLES = (
    ("Energy.Active.Import.Register", "Wh", None),
    ("Power.Active.Import", "W", "7360.5"),
    ("Current.Import", "Amp", "10.6"),
    ("Current.Import", "Amp", "10.7"),
    ("Current.Import", "Amp", "10.8"),
    ("Voltage", "Volt", "230.1"),
    ("Voltage", "Volt", "229.8"),
    ("Temperature", "Celsius", "41.5"),
)


class Template(Struct, frozen=True):
    """A request with two places for a eight-digit counter, or more."""

    parts: tuple[bytes, ...]
    expected: bytes

    def filled(self, counter: int) -> bytes:
        """The request number ``counter``."""
        return (b"%08d" % counter).join(self.parts)


def template(
    kind: str, identity: str, transaction_id: int, now: datetime | None = None
) -> Template:
    """A station's request of that kind; every counter makes a new one of it."""
    at = now or datetime.now(UTC)
    action, _, _ = kind.partition(" ")
    if kind == HEARTBEAT:
        body = _HEARTBEAT
    elif kind == START:
        body = _START.format(tag=identity, at=_time(at), counter=_COUNTER)
    else:
        body = _meter_values(transaction_id, at)
    text = _ENVELOPE.format(identity=identity, action=action, body=body, counter=_COUNTER)
    length = len(text) + text.count(_COUNTER) * (8 - len(_COUNTER))
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1:9220\r\nUser-Agent: benchmark\r\n"
        f'Content-Type: application/soap+xml; charset=utf-8; action="/{action}"\r\n'
        f"Content-Length: {length}\r\n\r\n"
    )
    first = action[0].lower() + action[1:]
    return Template(
        parts=tuple((head + text).encode().split(_COUNTER.encode())),
        expected=f"{first}Response".encode(),
    )


def _meter_values(transaction_id: int, at: datetime) -> str:
    values = []
    for quarter in range(4):
        when = _time(at + timedelta(seconds=15 * quarter - 60))
        samples = "".join(
            f'<c:value context="Sample.Periodic" format="Raw" measurand="{measurand}"'
            f' location="Outlet" unit="{unit}">'
            f"{value or '1' + _COUNTER}</c:value>"
            for measurand, unit, value in _SAMPLES
        )
        values.append(f"<c:values><c:timestamp>{when}</c:timestamp>{samples}</c:values>")
    return (
        "<c:meterValuesRequest><c:connectorId>2</c:connectorId>"
        f"<c:transactionId>{transaction_id}</c:transactionId>{''.join(values)}"
        "</c:meterValuesRequest>"
    )


def first_start(identity: str, now: datetime) -> bytes:
    """A start on connector 2, whose transaction the meter values belong to."""
    one = template(START, identity, 0, now)
    number = int(now.timestamp() * 1000) % 10**8
    return one.filled(number).replace(b"connectorId>1<", b"connectorId>2<")


def _time(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
