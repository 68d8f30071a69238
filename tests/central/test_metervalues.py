"""Meter values: each counts once, belongs to the right transaction, and is shown."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from ocppgw.central.metervalues import energy_register, samples_of
from ocppgw.central.schema import METERVALUES, TRANSACTION
from ocppgw.ocpp.enums import (
    Measurand,
    Phase,
    ReadingContext,
    UnitOfMeasure,
    Unknown,
    ValueFormat,
)
from ocppgw.ocpp.model import MeterValue, SampledValue
from ocppgw.testing.clock import FakeClock

AT = datetime(2026, 1, 1, 11, 5, tzinfo=UTC)


def sample(value="1", **more):
    return SampledValue(value=value, **more)


def meter_value(*samples, at=AT):
    return MeterValue(timestamp=at, sampled_value=samples)


async def test_values_of_a_running_transaction(make, tools):
    bench = await make()
    started = await bench.call(tools.start())
    request = tools.values(
        meter_value(
            sample("1.25", unit=UnitOfMeasure.KWH, context=ReadingContext.SAMPLE_CLOCK),
            sample("230", measurand=Measurand.VOLTAGE, unit=UnitOfMeasure.V),
            sample("odd", measurand=Unknown("Odd.Thing")),
        ),
        transaction_id=started.transaction_id,
    )

    for _ in range(2):  # the same again counts once
        await bench.call(request)

    [document] = await bench.all(METERVALUES)
    assert samples_of(document) == request.meter_value
    milliseconds, digest = document.pop("id").split("-")
    assert (int(milliseconds), len(digest)) == (AT.timestamp() * 1000, 32)
    assert len(document.pop("samples")) < 300
    assert document == {
        "chargeBoxIdentity": "CP-1",
        "connectorId": 1,
        "transactionId": started.transaction_id,
        "timestamp": AT,
        "receivedAt": bench.clock.now(),
        "value": 1250,
    }
    await bench.central.flush()
    [transaction] = await bench.all(TRANSACTION)
    assert (transaction["lastMeter"], transaction["lastMeterAt"]) == (1250, bench.clock.now())
    [station] = await bench.central.stations()
    assert (station["status"], station["consumption"]) == ("Charging", 1250)
    assert station["connectors"][0]["status"] == "Charging"
    await bench.central.stop()


async def test_values_of_one_second_are_listed_in_the_order_they_came(make, tools):
    bench = await make()
    number = (await bench.call(tools.start())).transaction_id
    energies = [str(1000 + n) for n in range(8)]
    for energy in energies:
        await bench.call(tools.values(meter_value(sample(energy)), transaction_id=number))
        await bench.clock.advance(0.1)

    listed = await bench.central.views.meter_values(number)
    await bench.central.stop()
    assert [value.sampled_value[0].value for value in listed] == energies


async def test_after_the_stop_the_connector_no_longer_shows_charging(make, tools):
    bench = await make()
    started = await bench.call(tools.start())
    await bench.call(tools.values(tools.reading(1100), transaction_id=started.transaction_id))

    await bench.call(tools.stop(started.transaction_id))
    await bench.central.flush()

    [station] = await bench.central.stations()
    assert station["connectors"][0]["status"] == "Unknown"
    assert station["connectors"][0]["charging"] is False
    await bench.central.stop()


async def test_values_after_the_stop_are_joined(make, tools):
    bench = await make()
    number = (await bench.call(tools.start())).transaction_id
    await bench.call(tools.stop(number))

    await bench.call(tools.values(tools.reading(1100), transaction_id=number))

    [value] = await bench.central.views.meter_values(number)
    assert value.sampled_value[0].value == "1100"
    [station] = await bench.central.stations()
    assert station["status"] != "Charging"
    await bench.central.stop()


@pytest.mark.parametrize("number", [None, -1, 0])
async def test_values_without_an_id_belong_to_what_runs_on_their_connector(make, tools, number):
    bench = await make()
    started = await bench.call(tools.start(connector_id=2))

    for connector in (1, 2):
        await bench.call(
            tools.values(tools.reading(1100), connector_id=connector, transaction_id=number)
        )
    before = tools.T0 - timedelta(hours=1)
    await bench.call(tools.values(tools.reading(9, before), connector_id=2, transaction_id=number))

    documents = await bench.all(METERVALUES)
    found = sorted((d["connectorId"], d.get("transactionId", 0), d["value"]) for d in documents)
    assert found == [(1, 0, 1100), (2, 0, 9), (2, started.transaction_id, 1100)]
    await bench.central.stop()


async def test_values_never_join_the_transaction_of_another_station(make, tools):
    bench = await make()
    number = (await bench.call(tools.start())).transaction_id
    await bench.call(tools.start(connector_id=1, meter_start=5), identity="CP-3")
    again = await bench.another()  # which has to look into the store

    for process in (bench, again):
        await process.call(
            tools.values(tools.reading(66, tools.T0), transaction_id=number), identity="CP-2"
        )
        await process.call(tools.stop(number), identity="CP-4")

    [document] = [d for d in await bench.all(METERVALUES) if d["chargeBoxIdentity"] == "CP-2"]
    assert "transactionId" not in document
    assert (await bench.storage.get(TRANSACTION, (number,)))["state"] == "active"
    await bench.central.stop()
    await again.central.stop()


async def test_a_newer_start_on_a_connector_takes_its_values(make, tools):
    """The stop of the first was lost."""
    bench = await make()
    first = (await bench.call(tools.start())).transaction_id
    second = (await bench.call(tools.start(meter_start=2000))).transaction_id

    await bench.call(tools.values(tools.reading(2100)))
    await bench.call(tools.values(tools.reading(1999), transaction_id=first))
    await bench.call(tools.stop(first))
    await bench.call(tools.values(tools.reading(2200)))

    documents = await bench.all(METERVALUES)
    found = sorted((d["value"], d["transactionId"]) for d in documents)
    assert found == [(1999, first), (2100, second), (2200, second)]
    [running] = await bench.central.views.transactions("CP-1", running=True)
    assert running["transactionId"] == second
    assert len(await bench.central.views.transactions()) == 2
    assert (await bench.central.views.transaction(first))["state"] == "stopped"
    await bench.central.stop()


async def test_values_that_come_before_their_start_are_kept_under_its_id(make, tools):
    bench = await make()

    await bench.call(tools.values(tools.reading(5), transaction_id=77))

    [document] = await bench.all(METERVALUES)
    assert document["transactionId"] == 77
    assert await bench.all(TRANSACTION) == []
    await bench.central.stop()


async def test_no_values_are_an_answer_and_no_document(make, tools):
    bench = await make()

    await bench.call(tools.values())

    assert await bench.all(METERVALUES) == []
    await bench.central.stop()


async def test_a_clock_that_was_never_set_is_marked(make, tools):
    bench = await make()

    await bench.call(tools.values(tools.reading(5, datetime(1970, 1, 1, tzinfo=UTC))))

    [document] = await bench.all(METERVALUES)
    assert "clock was not set" in document["suspect"][0]
    assert document["receivedAt"] == bench.clock.now()
    await bench.central.stop()


async def test_values_without_energy_leave_the_consumption_alone(make, tools):
    bench = await make()
    await bench.call(tools.start())
    await bench.call(tools.values(tools.reading(1100)))

    volts = sample("230", measurand=Measurand.VOLTAGE)
    await bench.call(tools.values(meter_value(volts, at=tools.T0 + timedelta(minutes=6))))

    [station] = await bench.central.stations()
    assert (station["status"], station["consumption"]) == ("Charging", 1100)
    await bench.central.stop()


async def test_the_main_meter_counts_if_no_connector_has_one(make, tools):
    bench = await make()
    await bench.call(tools.values(tools.reading(4000), connector_id=0))
    assert (await bench.central.stations())[0]["consumption"] == 4000

    for connector in (1, 2):
        await bench.call(tools.values(tools.reading(100), connector_id=connector))

    assert (await bench.central.stations())[0]["consumption"] == 200
    await bench.central.stop()


async def test_after_a_kill_no_connector_is_shown_as_charging_that_does_not(make, tools):
    """The stop was stored, and the process killed within the second that the rest waits for."""
    bench = await make()
    ended = (await bench.call(tools.start(id_tag="A"))).transaction_id
    await bench.call(tools.start(id_tag="B", connector_id=2))
    for connector in (1, 2):
        await bench.call(tools.values(tools.reading(1100), connector_id=connector))
    await bench.central.flush()
    await bench.call(tools.stop(ended))

    after = await make(storage=bench.storage, clock=FakeClock(bench.clock.now() + timedelta(1)))

    shown = (await after.central.views.station("CP-1"))["connectors"]
    assert [connector["status"] for connector in shown] == ["Unknown", "Charging"]
    await bench.central.stop()
    await after.central.stop()


async def test_a_faulted_connector_is_not_shown_as_charging(make, tools):
    from ocppgw.ocpp.enums import ChargePointErrorCode, ChargePointStatus
    from ocppgw.ocpp.model import StatusNotificationRequest

    bench = await make()
    await bench.call(tools.start())
    await bench.call(tools.values(tools.reading(1100)))
    await bench.call(
        StatusNotificationRequest(
            connector_id=1,
            status=ChargePointStatus.FAULTED,
            error_code=ChargePointErrorCode.OTHER_ERROR,
        )
    )

    assert (await bench.central.stations())[0]["connectors"][0]["status"] == "Faulted"
    await bench.central.stop()


@pytest.mark.parametrize(
    ("samples", "wh"),
    [
        ([], None),
        ([sample("12")], 12),
        ([sample("12.5")], 12.5),
        ([sample("1.5", unit=UnitOfMeasure.KWH)], 1500),
        ([sample("12"), sample("230", measurand=Measurand.VOLTAGE)], 12),
        ([sample("12"), sample("13")], 13),
        ([sample("12"), sample("5", phase=Phase.L1)], 12),
        ([sample("12"), sample("AB", format=ValueFormat.SIGNED_DATA)], 12),
        ([sample("12"), sample("n/a")], 12),
        ([sample("12"), sample("nan")], 12),
        ([sample("12"), sample("1e400")], 12),
        ([sample("12", unit=Unknown("furlong"))], None),
        ([sample("1e300")], None),
        ([sample("12"), sample("-4503599627370496")], 12),
    ],
)
def test_the_energy_register_among_samples(samples, wh):
    value = meter_value(*samples)
    assert energy_register([value]) == (None if wh is None else (wh, value.timestamp))


def test_the_newest_reading_counts():
    one, two = meter_value(sample("1")), meter_value(sample("2"))
    later = msgspec.structs.replace(two, timestamp=two.timestamp + timedelta(minutes=1))
    assert energy_register([one, later]) == (2, later.timestamp)
    assert energy_register([one, meter_value()]) == (1, one.timestamp)
