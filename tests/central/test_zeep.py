"""zeep, a foreign SOAP stack, calls all ten operations over a real socket.

Driven by the official WSDL of OCPP 1.5 (found by OCPPGW_WSDL_DIR) and by our own, it checks
that requests and answers are what the WSDL says: zeep types every answer by its schema.
"""

import asyncio
import logging
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ocppgw.central.schema import METERVALUES, NOTIFICATION, TRANSACTION
from ocppgw.net.server import listen

WSDLS = Path(os.environ.get("OCPPGW_WSDL_DIR", Path(__file__).parents[3] / "shared/spec/wsdl"))
OFFICIAL = WSDLS / "ocpp_centralsystemservice_1.5_final.wsdl"
NAMESPACE = "urn://Ocpp/Cs/2012/06/"
AT = datetime(2026, 1, 1, 11, 0, tzinfo=UTC)


@pytest.fixture(params=["official", "ours"])
def source(request):
    if request.param == "official" and not OFFICIAL.exists():
        pytest.skip(f"no official WSDLs at {WSDLS} (set OCPPGW_WSDL_DIR)")
    return request.param


class Station:
    """A charge point made of zeep alone; blocking, so to be used in a thread."""

    def __init__(self, wsdl, url):
        import zeep
        from zeep.wsa import WsAddressingPlugin

        logging.getLogger("zeep").setLevel(logging.WARNING)
        self.client = zeep.Client(wsdl, plugins=[WsAddressingPlugin()])
        self.service = self.client.create_service(f"{{{NAMESPACE}}}CentralSystemServiceSoap", url)
        self.headers = {"ChargeBoxIdentity": "ZEEP-1"}  # the name of the WSDL's part

    def __getattr__(self, operation):
        def call(**fields):
            return getattr(self.service, operation)(_soapheaders=self.headers, **fields)

        return call

    def close(self):
        self.client.transport.session.close()


def a_day(wsdl, url):
    """Everything a station says in a day; blocking. Gives the answers by operation."""
    station = Station(wsdl, url)
    try:
        return _a_day(station)
    finally:
        station.close()


def _a_day(station):
    said = {}
    said["boot"] = station.BootNotification(
        chargePointVendor="Zeep",
        chargePointModel="4",
        chargePointSerialNumber="1",
        firmwareVersion="4.3",
    )
    said["status"] = station.StatusNotification(
        connectorId=1,
        status="Faulted",
        errorCode="GroundFailure",
        info="Ümläut & <sons>",
        timestamp=AT,
        vendorId="V",
        vendorErrorCode="E",
    )
    said["authorize"] = station.Authorize(idTag="TAG")
    said["nobody"] = station.Authorize(idTag="nobody")
    said["start"] = station.StartTransaction(
        connectorId=1, idTag="TAG", timestamp=AT, meterStart=1000, reservationId=7
    )
    number = said["start"].transactionId
    said["values"] = station.MeterValues(
        connectorId=1,
        transactionId=number,
        values=[
            {
                "timestamp": AT + timedelta(minutes=1),
                "value": [
                    {"_value_1": "1.5", "unit": "kWh", "context": "Sample.Clock"},
                    {"_value_1": "230", "measurand": "Voltage", "unit": "Volt"},
                ],
            }
        ],
    )
    said["stop"] = station.StopTransaction(
        transactionId=number,
        idTag="TAG",
        timestamp=AT + timedelta(hours=1),
        meterStop=5000,
        transactionData=[
            {"values": [{"timestamp": AT + timedelta(minutes=2), "value": [{"_value_1": "1600"}]}]}
        ],
    )
    said["heartbeat"] = station.Heartbeat()
    said["firmware"] = station.FirmwareStatusNotification(status="Installed")
    said["diagnostics"] = station.DiagnosticsStatusNotification(status="Uploaded")
    said["transfer"] = station.DataTransfer(vendorId="ACME", messageId="m", data="<raw/>")
    return said


async def test_a_foreign_station_is_understood_and_understands(make, source):
    from twisted.internet import reactor

    bench = await make()
    listener = await listen(reactor, "tcp:0:interface=127.0.0.1", bench.central.answer)
    listener.open()
    try:
        url = f"http://127.0.0.1:{listener.port}/Ocpp/CentralSystemService"
        wsdl = str(OFFICIAL) if source == "official" else f"{url}?wsdl"
        said = await asyncio.wait_for(asyncio.to_thread(a_day, wsdl, url), 60)
    finally:
        await listener.stop(1.0)

    now = bench.clock.now()
    boot, start = said["boot"], said["start"]
    assert (boot.status, boot.heartbeatInterval, boot.currentTime) == ("Accepted", 20, now)
    expected = ("Accepted", now + timedelta(days=30))
    for info in (said["authorize"], start.idTagInfo, said["stop"]):
        assert (info.status, info.expiryDate) == expected
    assert said["nobody"].status == "Invalid"
    assert isinstance(start.transactionId, int)
    assert said["heartbeat"] == now
    assert said["transfer"].status == "UnknownVendorId"
    for operation in ("status", "values", "firmware", "diagnostics"):
        assert not said[operation]

    [transaction] = await bench.all(TRANSACTION)
    assert transaction["transactionId"] == start.transactionId
    assert (transaction["energy"], transaction["reservationId"]) == (4000, 7)
    assert sorted(d["value"] for d in await bench.all(METERVALUES)) == [1500, 1600]
    texts = {d["text"] for d in await bench.all(NOTIFICATION)}
    assert "connector 1 is Faulted, GroundFailure, E, Ümläut & <sons>" in texts
    assert {seen.operation for seen in bench.seen} == {
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
    assert all(seen.error is None for seen in bench.seen)
    await bench.central.stop()
