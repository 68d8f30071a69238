import logging
from datetime import UTC, datetime

import msgspec
import pytest

from ocppgw.observe import Exchange, StateChange
from ocppgw.ocpp import model
from ocppgw.ocpp.operations import Direction, Version
from ocppgw_example.observer import ExchangeCounter

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HEARTBEAT = Exchange(
    at=NOON,
    role="central",
    sent=False,
    identity="DEMO-1",
    version=Version.V15,
    direction=Direction.TO_CENTRAL_SYSTEM,
    operation="Heartbeat",
    request=model.HeartbeatRequest(),
    response=model.HeartbeatResponse(current_time=NOON),
    error=None,
    seconds=0.01,
)
FAILED = msgspec.structs.replace(HEARTBEAT, response=None, error="the station did not answer")


def test_exchanges_are_counted_and_summed_up_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    observe = ExchangeCounter(report_every=2)

    observe(HEARTBEAT)
    observe(StateChange(at=NOON, role="central", identity="DEMO-1", subject="plc", what="online"))
    assert caplog.messages == []
    observe(FAILED)

    assert (observe.seen["Heartbeat"], observe.failed["Heartbeat"]) == (2, 1)
    assert caplog.messages == ["2 exchanges, 1 failed"]
