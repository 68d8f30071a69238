from datetime import UTC, datetime
from types import SimpleNamespace
from typing import cast

import pytest

from ocppgw.central import CentralCall
from ocppgw.ocpp import enums, model
from ocppgw_example.data_transfer import VendorService

CALL = cast("CentralCall", SimpleNamespace(received_at=datetime(2026, 1, 1, 12, tzinfo=UTC)))
ACCEPTED = enums.DataTransferStatus.ACCEPTED
UNKNOWN_MESSAGE_ID = enums.DataTransferStatus.UNKNOWN_MESSAGE_ID


@pytest.mark.parametrize(
    ("message_id", "data", "status", "answer"),
    [
        ("echo", "hello", ACCEPTED, "hello"),
        ("echo", None, ACCEPTED, None),
        ("time", None, ACCEPTED, "2026-01-01T12:00:00+00:00"),
        ("colour", "blue", UNKNOWN_MESSAGE_ID, None),
        (None, "blue", UNKNOWN_MESSAGE_ID, None),
    ],
)
async def test_what_the_vendor_is_answered(
    message_id: str | None, data: str | None, status: enums.DataTransferStatus, answer: str | None
) -> None:
    request = model.DataTransferRequest(vendor_id="com.example", message_id=message_id, data=data)

    response = await VendorService("com.example")(request, CALL)

    assert response == model.DataTransferResponse(status=status, data=answer)


async def test_another_vendor_is_left_to_the_next_handler() -> None:
    request = model.DataTransferRequest(vendor_id="org.other", message_id="echo", data="hello")

    assert await VendorService("com.example")(request, CALL) is None
