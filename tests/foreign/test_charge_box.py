"""zeep calls all fifteen operations on a charge box, by the official WSDL and by the box's own.

Each request comes once with every optional field and once with none; the answers are typed
by zeep and valid by the official schema, and do to the PLC what they say.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.foreign.site import FAR, ForeignSite, connector_is
from tests.site.site import BOX, TAG

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("wsdl", ["official", "own"]),
]

NEVER = "1999-12-31T23:59:59Z"
URL = "ftp://127.0.0.1/anywhere"
RETRIES = {"retries": 2, "retryInterval": 30}

# Operation, request, answer; what has no effect that lasts.
CALLS: list[tuple[str, dict[str, Any], Any]] = [
    ("CancelReservation", {"reservationId": 99}, "Rejected"),
    ("ChangeAvailability", {"connectorId": 0, "type": "Operative"}, "Accepted"),
    ("ChangeConfiguration", {"key": "ResetRetries?", "value": "3"}, "NotSupported"),
    ("ChangeConfiguration", {"key": "MeterValueSampleInterval", "value": "x"}, "Rejected"),
    ("ChangeConfiguration", {"key": "MeterValueSampleInterval", "value": "1"}, "Accepted"),
    ("ClearCache", {}, "Accepted"),
    ("DataTransfer", {"vendorId": "nobody"}, {"status": "UnknownVendorId", "data": None}),
    (
        "DataTransfer",
        {"vendorId": "probe", "messageId": "DataTransfer", "data": "<Ümläut & sons/>"},
        {"status": "Accepted", "data": "<Ümläut & sons/>"},
    ),
    (
        "GetConfiguration",
        {"key": ["NumberOfConnectors", "Nonsense"]},
        {
            "configurationKey": [{"key": "NumberOfConnectors", "readonly": True, "value": "2"}],
            "unknownKey": ["Nonsense"],
        },
    ),
    ("GetDiagnostics", {"location": URL}, None),
    ("GetDiagnostics", {"location": URL, "startTime": NEVER, "stopTime": FAR, **RETRIES}, None),
    ("UnlockConnector", {"connectorId": 2}, "Accepted"),
    ("UnlockConnector", {"connectorId": 3}, "Rejected"),
]


@pytest.mark.parametrize(
    ("operation", "fields", "answer"), CALLS, ids=[f"{one[0]}-{len(one[1])}" for one in CALLS]
)
async def test_what_only_answers(
    site: ForeignSite, wsdl: str, operation: str, fields: dict[str, Any], answer: object
) -> None:
    assert await site.peer.calls(operation, wsdl, **fields) == answer


async def test_all_keys(site: ForeignSite, wsdl: str) -> None:
    answer = await site.peer.calls("GetConfiguration", wsdl)

    assert answer["unknownKey"] == []
    keys = {one["key"]: one for one in answer["configurationKey"]}
    assert len(keys) == len(answer["configurationKey"])
    assert keys["NumberOfConnectors"]["readonly"] is True
    assert keys["HeartBeatInterval"] == {
        "key": "HeartBeatInterval",
        "readonly": False,
        "value": "1",  # as the boot's answer had it
    }


@pytest.mark.parametrize("more", [{}, RETRIES], ids=["none", "all"])
async def test_a_firmware_that_is_not_downloaded(
    site: ForeignSite, wsdl: str, more: dict[str, int]
) -> None:
    since = len(site.peer.log)
    answer = await site.peer.calls("UpdateFirmware", wsdl, retrieveDate=NEVER, location=URL, **more)

    assert answer is None
    await site.peer.got("FirmwareStatusNotification", since, status="DownloadFailed")


@pytest.mark.parametrize("more", [{}, {"connectorId": 2}], ids=["none", "all"])
async def test_a_remote_start_and_stop(site: ForeignSite, wsdl: str, more: dict[str, int]) -> None:
    begin, since = len(site.plc.log), len(site.peer.log)
    answer = await site.peer.calls("RemoteStartTransaction", wsdl, idTag=TAG, **more)
    start = await site.peer.got("StartTransaction", since, idTag=TAG)
    transaction = start["answered"]["transactionId"]
    await site.plc.saw("transaction", since=begin)
    wrong = await site.peer.calls("RemoteStopTransaction", wsdl, transactionId=transaction + 1)
    stopped = await site.peer.calls("RemoteStopTransaction", wsdl, transactionId=transaction)
    stop = await site.peer.got("StopTransaction", since, transactionId=transaction)
    await site.plc.saw("accepted", "answer_stop", begin)
    connector = start["request"]["connectorId"]
    site.plc.do("leave", connector=connector)
    await site.plc.saw("left", since=begin)

    assert (answer, wrong, stopped) == ("Accepted", "Rejected", "Accepted")
    assert connector in (1, 2) if not more else connector == more["connectorId"]
    (raised,) = site.plc.told("raised", "start", begin)
    assert start["request"]["meterStart"] == raised["details"]["meter"]
    (raised,) = site.plc.told("raised", "stop", begin)
    assert stop["request"]["meterStop"] == raised["details"]["meter"]


@pytest.mark.parametrize("kind", ["Soft", "Hard"])
async def test_a_reset(site: ForeignSite, wsdl: str, kind: str) -> None:
    begin, since = len(site.plc.log), len(site.peer.log)
    answer = await site.peer.calls("Reset", wsdl, type=kind)
    await site.plc.saw("restarted", since=begin)
    await site.peer.got("BootNotification", since)
    await site.plc.saw("accepted", since=begin)

    assert answer == "Accepted"
    (asked,) = site.plc.told("asked", "reset", begin)
    assert asked["details"]["hard"] == (kind == "Hard")


async def test_out_of_service_and_back(site: ForeignSite, wsdl: str) -> None:
    out_of = len(site.peer.log)
    out = await site.peer.calls("ChangeAvailability", wsdl, connectorId=2, type="Inoperative")
    await connector_is(site, 2, "Unavailable", out_of)
    refused = await site.peer.calls("RemoteStartTransaction", wsdl, idTag=TAG, connectorId=2)
    back_in = len(site.peer.log)
    back = await site.peer.calls("ChangeAvailability", wsdl, connectorId=2, type="Operative")
    await connector_is(site, 2, "Available", back_in)

    assert (out, refused, back) == ("Accepted", "Rejected", "Accepted")


async def test_another_identity_is_a_fault(site: ForeignSite, wsdl: str) -> None:
    await site.peer.got("BootNotification")
    reply = await site.peer.done(
        "call", identity=BOX, known_as="SOMEBODY", operation="ClearCache", fields={}, wsdl=wsdl
    )

    assert reply["subcodes"] == ["IdentityMismatch"]
