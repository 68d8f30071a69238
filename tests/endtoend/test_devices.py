"""A station of three devices, as it ships: a controller on Modbus TCP, a meter on RTU over a
serial port, a reader on RTU over TCP; each a process, and so are charge box and central system.

The tag comes from the reader, the kWh from the meter, all else from the controller.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.site.cabinet import KWH, Cabinet
from tests.site.plc import until
from tests.site.site import TAG

pytestmark = pytest.mark.slow

WATTS = 40_000


async def begin(cabinet: Cabinet) -> None:
    """A car comes, its driver holds a tag to the reader, and the meter turns."""
    since = len(cabinet.plc.log)
    cabinet.plc.do("arrive")
    cabinet.reader.do("tag", id_tag=TAG)
    await cabinet.plc.saw("charging", since=since)
    await cabinet.plc.saw("transaction", since=since)
    cabinet.meter.do("load", watts=WATTS)


async def end(cabinet: Cabinet) -> int:
    """The meter stands, the driver comes back; gives what the meter shows."""
    await cabinet.meter.done("load", watts=0)
    energy = await cabinet.meter.read("energy")
    cabinet.reader.do("tag", id_tag=TAG)
    return int(energy)


def booked(transaction: dict[str, Any]) -> tuple[Any, ...]:
    keys = ("idTag", "connectorId", "meterStart", "meterStop")
    return tuple(transaction.get(key) for key in keys)


async def test_sessions_of_three_devices(tmp_path: Path) -> None:
    async with Cabinet(tmp_path) as cabinet:
        # Whom nobody knows begins nothing: reader and controller are told.
        cabinet.reader.do("tag", id_tag="STRANGER")
        refused = await cabinet.plc.saw("tag refused")
        await cabinet.reader.saw("tag refused")
        assert refused["details"]["id_tag"] == "STRANGER"
        assert await cabinet.reader.read("light") == 2

        await begin(cabinet)
        assert await cabinet.reader.read("light") == 1
        await cabinet.meter.charge(200)
        await cabinet.programs["box"].says(rf"connector 1 meters .*, {WATTS} W")
        first = await end(cabinet)
        await cabinet.plc.saw("session ended")
        cabinet.plc.do("leave")
        await cabinet.stopped(1)

        # In the second one the charge box is killed.
        await begin(cabinet)
        await cabinet.meter.charge(100)
        cabinet.kill("box")
        since = len(cabinet.plc.log)
        await cabinet.start_box()
        await cabinet.plc.saw("accepted", since=since)
        second = await end(cabinet)
        await cabinet.plc.saw("session ended", since=since)
        transactions = await cabinet.stopped(2)
        values = await cabinet.ask("GET", f"/api/transactions/{transactions[0]['transactionId']}")
        consoles = cabinet.console("box") + cabinet.console("central")

    assert [booked(one) for one in transactions] == [
        (TAG, 1, KWH, first),
        (TAG, 1, first, second),
    ]
    assert not any(one.get("suspect") or one.get("synthetic") for one in transactions)
    assert float(WATTS) in powers(values)
    assert "Traceback" not in consoles
    assert len(cabinet.plc.told("asked", "answer_tag")) == 5  # each tag once


async def test_no_session_ends_without_its_meter(tmp_path: Path) -> None:
    """The meter falls silent in a session. What it will show when it is back is the end."""
    async with Cabinet(tmp_path) as cabinet:
        await begin(cabinet)
        await cabinet.meter.charge(50)
        await cabinet.meter.done("silence")
        await cabinet.programs["box"].says("plc: offline: meter: unit 3: no answer within")
        energy = await end(cabinet)
        await cabinet.programs["box"].says("no device reads the energy of connector 1;")
        assert not cabinet.plc.told("acknowledged", "stop")
        assert [one["state"] for one in await cabinet.transactions()] == ["active"]
        await cabinet.meter.done("silence", on=False)
        await cabinet.plc.saw("session ended")
        transactions = await cabinet.stopped(1)

    assert [booked(one) for one in transactions] == [(TAG, 1, KWH, energy)]
    assert energy >= KWH + 50


async def test_without_its_reader_the_station_charges_by_remote_start(tmp_path: Path) -> None:
    async with Cabinet(tmp_path) as cabinet:
        cabinet.kill("reader")
        await cabinet.programs["box"].says("the device reader .* is offline, the station goes on")
        cabinet.plc.do("arrive")
        sent = await cabinet.send(
            cabinet.box, "RemoteStartTransaction", f"idTag={TAG}", "connectorId=1"
        )
        await cabinet.plc.saw("transaction")
        (transaction,) = await cabinet.transactions()
        stopped = await cabinet.send(
            cabinet.box, "RemoteStopTransaction", f"transactionId={transaction['transactionId']}"
        )
        transactions = await cabinet.stopped(1)
        await until(lambda: bool(cabinet.plc.told("session ended")))

    assert (sent.returncode, stopped.returncode) == (0, 0)
    assert [booked(one) for one in transactions] == [(TAG, 1, KWH, KWH)]


def powers(transaction: dict[str, Any]) -> set[float]:
    """Every power among a transaction's meter values."""
    return {
        float(sampled["value"])
        for value in transaction["meterValues"]
        for sampled in value["sampledValue"]
        if sampled.get("measurand") == "Power.Active.Import"
    }
