"""A day against a central system that shares nothing with ocppgw and forgives nothing.

All ten operations reach it, each valid by the official WSDL to the letter; it answers with
the types that zeep makes of that, in the styles of several SOAP stacks.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.foreign.site import FAR, ForeignSite, connector_is
from tests.site.plc import until
from tests.site.site import BOX, TAG

pytestmark = pytest.mark.slow

OPERATIONS = {
    "Authorize",
    "BootNotification",
    "DataTransfer",
    "DiagnosticsStatusNotification",
    "FirmwareStatusNotification",
    "Heartbeat",
    "MeterValues",
    "StartTransaction",
    "StatusNotification",
    "StopTransaction",
}
MEASURANDS = {"Energy.Active.Import.Register", "Power.Active.Import", "Voltage", "Current.Import"}


async def test_it_runs_without_ocppgw(site: ForeignSite) -> None:
    (listening,) = [told for told in site.peer.log if told["event"] == "listening"]

    assert not {"ocppgw", "ocppgw_modbus", "twisted"} & set(listening["modules"])
    assert "zeep" in listening["modules"]


@pytest.mark.parametrize("style", ["full", "bare", "prefixed"])
async def test_a_session_from_tag_to_tag(site: ForeignSite, style: str) -> None:
    """Replies with all headers, with none at all, and with other prefixes are all the same."""
    await site.peer.done("style", style=style)
    begin, since = len(site.plc.log), len(site.peer.log)
    site.plc.do("arrive")
    site.plc.do("tag", id_tag=TAG)
    told = await site.plc.saw("transaction", since=begin)
    await connector_is(site, 1, "Occupied", since)
    await site.plc.charge(5)
    await site.peer.got("MeterValues", since)
    site.plc.do("tag", id_tag=TAG)
    await site.plc.saw("accepted", "answer_stop", begin)
    site.plc.do("leave")
    stop = await site.peer.got("StopTransaction", since)
    await connector_is(site, 1, "Available", since)
    await site.peer.got("Heartbeat", since)
    await site.peer.done("style", style="full")

    (authorize,) = site.peer.received("Authorize", since)
    (start,) = site.peer.received("StartTransaction", since)
    assert authorize["request"] == {"idTag": TAG}
    meters = [
        site.plc.told("raised", event, begin)[0]["details"]["meter"] for event in ("start", "stop")
    ]
    assert [start["request"]["meterStart"], stop["request"]["meterStop"]] == meters
    assert start["request"] | {"connectorId": 1, "idTag": TAG} == start["request"]
    number = start["answered"]["transactionId"]
    assert told["details"]["transaction"] == stop["request"]["transactionId"] == number
    values = site.peer.received("MeterValues", since)
    assert {one["request"]["transactionId"] for one in values} == {number}
    assert measurands(values) == MEASURANDS
    assert problems(site, since) == []


async def test_a_tag_that_it_refuses(site: ForeignSite) -> None:
    begin, since = len(site.plc.log), len(site.peer.log)
    for status in ("Invalid", "Blocked", "Expired", "ConcurrentTx"):
        before = len(site.plc.log)
        info = {"status": status, "parentIdTag": "FAMILY", "expiryDate": "2000-01-01T00:00:00Z"}
        await site.peer.done("answer", operation="Authorize", fields={"idTagInfo": info})
        site.plc.do("tag", id_tag=f"NOT-{status}")
        await site.plc.saw("tag refused", since=before)
    await site.peer.done("answer", operation="Authorize", fields=None)

    assert len(site.peer.received("Authorize", since)) == 4
    assert site.plc.told("starting", since=begin) == []
    assert problems(site, since) == []


async def test_a_boot_that_it_refuses_first(site: ForeignSite) -> None:
    """The box says nothing else until it is accepted; then where all its connectors stand."""
    refused = {"status": "Rejected", "currentTime": "2026-01-01T00:00:00Z", "heartbeatInterval": 1}
    site.kill("box")
    since = len(site.peer.log)
    await site.peer.done("answer", operation="BootNotification", fields=refused)
    await site.start_box()
    await until(lambda: len(site.peer.received("BootNotification", since)) >= 2)
    said = {told["operation"] for told in received(site, since)}
    await site.peer.done("answer", operation="BootNotification", fields=None)
    for connector in (0, 1, 2):
        await connector_is(site, connector, "Available", since)

    assert said == {"BootNotification"}
    assert problems(site, since) == []


async def test_an_outage_in_the_middle_of_a_session(site: ForeignSite) -> None:
    """What happened meanwhile arrives afterwards, in order, and once."""
    begin = len(site.plc.log)
    site.plc.do("arrive")
    site.plc.do("tag", id_tag=TAG)
    await site.plc.saw("transaction", since=begin)
    number = site.plc.told("transaction", since=begin)[0]["details"]["transaction"]
    site.kill("central")
    await site.plc.charge(5)
    site.plc.do("tag", id_tag=TAG)
    await site.plc.saw("session ended", since=begin)
    await site.start_central()  # its log goes on where it was
    stop = await site.peer.got("StopTransaction", transactionId=number)
    await site.plc.saw("accepted", "answer_stop", begin)
    site.plc.do("leave")

    (raised,) = site.plc.told("raised", "stop", begin)
    assert stop["request"]["meterStop"] == raised["details"]["meter"]
    assert len(site.peer.received("StopTransaction")) == 1
    late = site.peer.received("MeterValues")
    assert {one["request"]["transactionId"] for one in late} <= {number}
    stamps = [value["timestamp"] for one in late for value in one["request"]["values"]]
    assert stamps == sorted(stamps)
    assert problems(site) == []


async def test_all_ten_operations_arrive_and_are_right(site: ForeignSite) -> None:
    since = len(site.peer.log)
    begin = len(site.plc.log)
    await site.peer.calls("RemoteStartTransaction", idTag=TAG, connectorId=2)
    start = await site.peer.got("StartTransaction", since)
    await site.peer.got("MeterValues", since)
    await site.plc.saw("transaction", since=begin)
    number = start["answered"]["transactionId"]
    await site.peer.calls("RemoteStopTransaction", transactionId=number)
    await site.peer.got("StopTransaction", since, transactionId=number)
    site.plc.do("leave", connector=2)
    site.plc.do("tag", id_tag="UNKNOWN")
    await site.peer.got("Authorize", since, idTag="UNKNOWN")
    await site.peer.calls("UpdateFirmware", retrieveDate=FAR, location="ftp://127.0.0.1/none")
    await site.peer.got("FirmwareStatusNotification", since)
    for message in ("DataTransfer", "DiagnosticsStatusNotification"):
        await site.peer.calls("DataTransfer", vendorId="probe", messageId=message, data="<&>")
    await site.peer.got("DataTransfer", since, data="<&>", messageId="from the box")
    await site.peer.got("DiagnosticsStatusNotification", since, status="Uploaded")
    await site.peer.calls("Reset", type="Hard")
    await site.peer.got("BootNotification", since, chargePointModel="Demo PLC")
    await connector_is(site, 1, "Available", since)
    await site.peer.got("Heartbeat", since)

    assert {told["operation"] for told in received(site, since)} == OPERATIONS
    assert {told["identity"] for told in received(site, since)} == {BOX}
    assert problems(site, since) == []
    assert not re.search("Traceback|unreadable|ignored", site.console("box"))


def received(site: ForeignSite, since: int = 0) -> list[dict[str, Any]]:
    """All that the box has called."""
    return [told for told in site.peer.log[since:] if told["event"] == "received"]


def problems(site: ForeignSite, since: int = 0) -> list[object]:
    """All that is wrong with it."""
    return [
        told for told in site.peer.log[since:] if told["event"] == "broken" or told.get("problems")
    ]


def measurands(values: list[dict[str, Any]]) -> set[str]:
    """Those of MeterValues; without a measurand it is the energy."""
    return {
        sampled.get("measurand") or "Energy.Active.Import.Register"
        for one in values
        for value in one["request"]["values"]
        for sampled in value["value"]
    }
