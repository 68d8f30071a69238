"""A vendor's own messages: the plugin that knows the vendor answers, or nobody."""

from __future__ import annotations

from typing import Any

import pytest

import ocppgw_example
from ocppgw.chargepoint import handlers
from ocppgw.ocpp import enums as e
from ocppgw.ocpp import model as m
from ocppgw.ocpp.faults import Fault
from ocppgw_example.options import Options

Status = e.DataTransferStatus


async def begin(world, *others: Any) -> None:
    """A box whose DataTransfer is answered by the others, the example plugin, ourselves."""
    world.options = Options(tags=(), vendor_id="com.example", report_every=1)
    await world.start()
    await world.clock.advance(1)
    box = world.box.context
    box.options = lambda plugin, options_type: world.options
    asked = [
        *(("other", other) for other in others),
        ("example", ocppgw_example.ocppgw_charge_point_handlers(box)[m.DataTransferRequest]),
        ("chargepoint", handlers.ocppgw_charge_point_handlers(box)[m.DataTransferRequest]),
    ]
    world.box.use({m.DataTransferRequest: asked})


@pytest.mark.parametrize(
    ("vendor_id", "message_id", "answer"),
    [
        ("com.example", "echo", (Status.ACCEPTED, "hello")),
        ("com.example", "time", (Status.ACCEPTED, "2026-01-01T12:00:01+00:00")),
        ("com.example", "sing", (Status.UNKNOWN_MESSAGE_ID, None)),
        ("com.example", None, (Status.UNKNOWN_MESSAGE_ID, None)),
        ("org.other", "echo", (Status.UNKNOWN_VENDOR_ID, None)),
    ],
)
async def test_the_plugin_that_knows_the_vendor_answers(world, vendor_id, message_id, answer):
    await begin(world)
    request = m.DataTransferRequest(vendor_id=vendor_id, message_id=message_id, data="hello")
    response = await world.order(request)
    await world.stop()

    assert (response.status, response.data) == answer


async def test_a_handler_that_fails_is_a_fault_and_named_in_the_log(world, caplog):
    async def fail(request: m.Request, call: Any) -> m.Response:
        raise LookupError("no such song")

    await begin(world, fail)
    with pytest.raises(Fault) as raised:
        await world.order(m.DataTransferRequest(vendor_id="com.example", message_id="echo"))
    await world.stop()

    assert "the handler of plugin other failed" in str(raised.value)
    assert "no such song" in caplog.text
