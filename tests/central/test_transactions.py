"""A start counts once and a stop counts once, whatever is repeated, lost or out of order."""

import asyncio
import itertools
from datetime import UTC, datetime, timedelta

import pytest

from ocppgw.central.calls import StationCall
from ocppgw.central.schema import METERVALUES, TRANSACTION
from ocppgw.ocpp import Fault, Version
from ocppgw.ocpp.enums import AuthorizationStatus, Reason
from ocppgw.ocpp.model import TransactionData
from ocppgw.storage import StorageUnavailable

FOREVER_1970 = datetime(1970, 1, 1, tzinfo=UTC)


async def test_a_session_from_start_to_stop(make, tools):
    bench = await make()

    started = await bench.call(tools.start(reservation_id=3))
    stopped = await bench.call(tools.stop(started.transaction_id))

    assert started.id_tag_info.status is AuthorizationStatus.ACCEPTED
    assert stopped.id_tag_info.status is AuthorizationStatus.ACCEPTED
    [document] = await bench.all(TRANSACTION)
    assert document.pop("startKey")
    assert document == {
        "transactionId": started.transaction_id,
        "attempt": 0,
        "idTag": "TAG",
        "chargeBoxIdentity": "CP-1",
        "connectorId": 1,
        "meterStart": 1000,
        "reservationId": 3,
        "timestamp": tools.T0,
        "receivedAt": bench.clock.now(),
        "authorization": "Accepted",
        "state": "stopped",
        "meterStop": 5000,
        "stopTimestamp": tools.T0 + timedelta(hours=1),
        "stopReceivedAt": bench.clock.now(),
        "stopIdTag": "TAG",
        "energy": 4000,
    }
    await bench.central.stop()


async def test_the_reason_of_a_stop_is_kept(make, tools):
    """No reason in 1.5: the message comes from the version that has it."""
    bench = await make()
    started = await bench.call(tools.start())
    station = bench.central._core.stations.known("CP-1")
    call = StationCall(bench.central._core, station, Version.V16, bench.clock.now(), "10.0.0.7")

    await bench.central._chain.run(tools.stop(started.transaction_id, reason=Reason.REMOTE), call)

    [document] = await bench.all(TRANSACTION)
    assert document["reason"] == "Remote"
    await bench.central.stop()


async def test_ids_cannot_be_guessed_from_each_other_and_fit_the_wire(make, tools):
    bench = await make()

    numbers = [
        (await bench.call(tools.start(meter_start=meter))).transaction_id for meter in range(20)
    ]

    assert len(set(numbers)) == 20
    assert all(0 < number < 2**31 for number in numbers)
    assert len({b - a for a, b in itertools.pairwise(numbers)}) == 19
    await bench.central.stop()


async def test_an_unknown_tag_starts_a_transaction_all_the_same(make, tools):
    bench = await make()

    started = await bench.call(tools.start(id_tag="nobody"))

    assert started.id_tag_info.status is AuthorizationStatus.INVALID
    [document] = await bench.all(TRANSACTION)
    assert document["authorization"] == "Invalid"
    assert document["state"] == "active"
    await bench.central.stop()


async def test_repeated_starts_count_once(make, tools):
    bench = await make()

    answers = [await bench.call(tools.start()) for _ in range(3)]
    answers.append(await bench.call(tools.start(id_tag="tag")))  # tags know no case

    assert len({answer.transaction_id for answer in answers}) == 1
    assert len(await bench.all(TRANSACTION)) == 1
    await bench.central.stop()


async def test_starts_that_come_together_count_once(make, tools):
    bench = await make()
    await bench.call(tools.boot)

    answers = await asyncio.gather(*(bench.call(tools.start()) for _ in range(10)))

    assert len({answer.transaction_id for answer in answers}) == 1
    assert len(await bench.all(TRANSACTION)) == 1
    await bench.central.stop()


async def test_two_processes_over_one_store_count_once(make, tools):
    one = await make()
    other = await one.another()

    answers = await asyncio.gather(one.call(tools.start()), other.call(tools.start()))
    number = answers[0].transaction_id
    await asyncio.gather(one.call(tools.stop(number)), other.call(tools.stop(number)))

    assert answers[1].transaction_id == number
    [document] = await one.all(TRANSACTION)
    assert document["energy"] == 4000
    await one.central.stop()
    await other.central.stop()


async def test_a_restart_keeps_the_secret_and_with_it_the_ids(make, tools):
    bench = await make()
    first = await bench.call(tools.start())
    await bench.central.stop()

    again = await bench.another()

    assert (await again.call(tools.start())).transaction_id == first.transaction_id
    await again.central.stop()


async def test_a_late_repeat_of_a_start_after_its_stop_is_the_old_session(make, tools):
    bench = await make()
    started = await bench.call(tools.start())
    await bench.call(tools.stop(started.transaction_id))

    late = await bench.call(tools.start())

    assert late.transaction_id == started.transaction_id
    [document] = await bench.all(TRANSACTION)
    assert document["state"] == "stopped"
    await bench.central.stop()


async def test_without_a_believable_clock_the_same_start_after_a_stop_is_a_new_session(make, tools):
    bench = await make()
    request = tools.start(timestamp=FOREVER_1970, meter_start=0)
    numbers = []
    for _ in range(3):
        started = await bench.call(request)
        repeated = await bench.call(request)
        assert repeated.transaction_id == started.transaction_id
        numbers.append(started.transaction_id)
        await bench.clock.advance(10)
        await bench.call(tools.stop(started.transaction_id, timestamp=FOREVER_1970, meter_stop=700))

    documents = await bench.all(TRANSACTION)
    assert len(set(numbers)) == 3
    assert [d["energy"] for d in documents] == [700, 700, 700]
    assert sorted(d["attempt"] for d in documents) == [0, 1, 2]
    assert "clock was not set" in documents[0]["suspect"][0]
    await bench.central.stop()


async def test_a_taken_id_makes_the_next_one(make, tools, monkeypatch):
    monkeypatch.setattr(
        "ocppgw.central.transactions.transaction_id",
        lambda secret, key, attempt: [0, 7, 8, 9][attempt],
    )
    bench = await make()

    numbers = [
        (await bench.call(tools.start(meter_start=meter))).transaction_id for meter in (1, 2, 3, 2)
    ]

    assert numbers == [7, 8, 9, 8]
    await bench.central.stop()


async def test_a_second_stop_is_answered_and_changes_nothing(make, tools):
    bench = await make()
    started = await bench.call(tools.start())
    await bench.call(tools.stop(started.transaction_id))
    before = await bench.all(TRANSACTION)

    later = tools.T0 + timedelta(hours=9)
    answer = await bench.call(tools.stop(started.transaction_id, meter_stop=9999, timestamp=later))

    assert answer.id_tag_info is not None
    assert await bench.all(TRANSACTION) == before
    await bench.central.stop()


async def test_a_stop_without_a_tag_is_answered_without_a_verdict(make, tools):
    bench = await make()
    started = await bench.call(tools.start())

    assert (await bench.call(tools.stop(started.transaction_id, id_tag=None))).id_tag_info is None
    await bench.central.stop()


async def test_nobody_stops_the_transaction_of_another_station(make, tools):
    bench = await make()
    started = await bench.call(tools.start())

    await bench.call(tools.stop(started.transaction_id), identity="CP-2")
    await bench.call(tools.stop(started.transaction_id), identity="CP-2")

    documents = {d["chargeBoxIdentity"]: d for d in await bench.all(TRANSACTION)}
    assert documents["CP-1"]["state"] == "active"
    assert "meterStop" not in documents["CP-1"]
    assert documents["CP-2"]["state"] == "unstarted"
    assert documents["CP-2"]["transactionId"] != started.transaction_id
    assert len(documents) == 2
    await bench.central.stop()


@pytest.mark.parametrize("number", [-1, 0])
async def test_a_stop_without_an_id_finds_its_transaction_by_tag_and_time(make, tools, number):
    bench = await make()
    await bench.call(tools.start(connector_id=1))
    await bench.call(tools.start(connector_id=2, id_tag="OTHER"))

    await bench.call(tools.stop(number))
    await bench.call(tools.stop(number))  # and again

    documents = {d["connectorId"]: d for d in await bench.all(TRANSACTION)}
    assert documents[1]["energy"] == 4000
    assert documents[2]["state"] == "active"
    assert len(documents) == 2
    await bench.central.stop()


async def test_a_stop_without_an_id_or_a_tag_takes_the_only_one_that_runs(make, tools):
    bench = await make()
    await bench.call(tools.start())

    await bench.call(tools.stop(-1, id_tag=None))

    [document] = await bench.all(TRANSACTION)
    assert document["energy"] == 4000
    await bench.central.stop()


async def test_an_ambiguous_stop_is_kept_apart_and_closes_nothing(make, tools):
    bench = await make()
    await bench.call(tools.start(connector_id=1))
    await bench.call(tools.start(connector_id=2))

    await bench.call(tools.stop(-1))
    await bench.call(tools.stop(-1))

    states = sorted(d["state"] for d in await bench.all(TRANSACTION))
    assert states == ["active", "active", "unstarted"]
    await bench.central.stop()


@pytest.mark.parametrize(
    "odd", [{"meter_stop": 10}, {"timestamp": FOREVER_1970}], ids=["meter", "time"]
)
async def test_a_stop_that_cannot_be_of_that_transaction_is_kept_apart(make, tools, odd):
    bench = await make()
    await bench.call(tools.start())

    await bench.call(tools.stop(-1, **odd))

    assert sorted(d["state"] for d in await bench.all(TRANSACTION)) == ["active", "unstarted"]
    await bench.central.stop()


async def test_a_stop_before_its_start_is_joined(make, tools):
    """Two processes: the one with the start is slow."""
    bench = await make()
    number = (await bench.call(tools.start())).transaction_id
    empty = await make()
    empty.central._core.secret(bench.central._core.stops.secret)

    await empty.call(tools.stop(number))
    [unstarted] = await empty.all(TRANSACTION)
    assert unstarted["state"] == "unstarted"
    assert "energy" not in unstarted
    started = await empty.call(tools.start())
    await empty.call(tools.start())
    await empty.call(tools.stop(number))

    assert started.transaction_id == number
    [document] = await empty.all(TRANSACTION)
    assert document["state"] == "stopped"
    assert document["energy"] == 4000
    assert document["idTag"] == "TAG"
    assert "suspect" not in document
    await bench.central.stop()
    await empty.central.stop()


async def test_an_unknown_id_with_a_tag_that_charges_here_is_linked(make, tools):
    bench = await make()
    await bench.call(tools.start())

    await bench.call(tools.stop(4711))
    await bench.call(tools.stop(4711, timestamp=tools.T0 + timedelta(hours=2)))

    [document] = await bench.all(TRANSACTION)
    assert document["energy"] == 4000
    await bench.central.stop()


async def test_an_unknown_id_with_another_tag_is_kept_under_its_id(make, tools):
    bench = await make()
    await bench.call(tools.start())

    await bench.call(tools.stop(4711, id_tag="OTHER"))

    document = await bench.storage.get(TRANSACTION, (4711,))
    assert document["state"] == "unstarted"
    assert document["suspect"] == ["the start of this transaction is not known"]
    await bench.central.stop()


@pytest.mark.parametrize(
    ("meter_start", "meter_stop", "why"),
    [(5000, 4000, "went back by 1000 Wh"), (0, 2**31 - 1, "more than a session can be")],
)
async def test_energy_that_cannot_be_is_flagged(make, tools, meter_start, meter_stop, why):
    bench = await make()
    started = await bench.call(tools.start(meter_start=meter_start))

    await bench.call(tools.stop(started.transaction_id, meter_stop=meter_stop))

    [document] = await bench.all(TRANSACTION)
    assert document["energy"] == meter_stop - meter_start
    assert why in document["suspect"][0]
    await bench.central.stop()


async def test_timestamps_that_cannot_be_are_stored_with_the_receipt_time(make, tools):
    bench = await make()
    future = bench.clock.now() + timedelta(days=365)

    await bench.call(tools.start(timestamp=future))

    [document] = await bench.all(TRANSACTION)
    assert document["timestamp"] == future
    assert document["receivedAt"] == bench.clock.now()
    assert "ahead" in document["suspect"][0]
    await bench.central.stop()


@pytest.mark.parametrize("connector", [1634030126, -5])
async def test_hostile_connector_numbers_fill_no_memory(make, tools, connector):
    bench = await make()

    started = await bench.call(tools.start(connector_id=connector))
    await bench.call(tools.values(tools.reading(1100), connector_id=connector))
    await bench.call(tools.stop(started.transaction_id))

    [document] = await bench.all(TRANSACTION)
    assert document["energy"] == 4000
    assert bench.central._core.running._by_place == {}
    [station] = await bench.central.stations()
    assert [c["id"] for c in station["connectors"]] == [1]
    await bench.central.stop()


async def test_the_data_of_a_stop_is_stored_with_its_transaction(make, tools):
    bench = await make()
    started = await bench.call(tools.start())
    data = (
        TransactionData(values=(tools.reading(1500),)),
        TransactionData(values=(tools.reading(2500, tools.T0 + timedelta(minutes=9)),)),
    )

    for _ in range(2):
        await bench.call(tools.stop(started.transaction_id, transaction_data=data))

    assert len(await bench.all(METERVALUES)) == 1
    read = await bench.central.views.meter_values(started.transaction_id)
    assert [v.sampled_value[0].value for v in read] == ["1500", "2500"]
    await bench.central.stop()


async def test_a_start_that_finds_the_store_away_is_answered_by_its_repeat(make, tools):
    bench = await make()
    await bench.call(tools.boot)
    bench.storage.failure = StorageUnavailable("the disk is full")
    with pytest.raises(Fault) as caught:
        await bench.call(tools.start())
    bench.storage.failure = None

    started = await bench.call(tools.start())

    assert caught.value.subcode == "InternalError"
    assert "disk" not in caught.value.reason
    assert [d["transactionId"] for d in await bench.all(TRANSACTION)] == [started.transaction_id]
    await bench.central.stop()


async def test_concurrent_use_of_a_tag_is_refused_only_if_configured(make, tools):
    lenient, strict = await make(), await make(refuse_concurrent=True)

    for bench in (lenient, strict):
        await bench.call(tools.start(connector_id=1))
    second = [await bench.call(tools.start(connector_id=2)) for bench in (lenient, strict)]
    again = await strict.call(tools.start(connector_id=1))

    assert [s.id_tag_info.status.value for s in second] == ["Accepted", "ConcurrentTx"]
    assert again.id_tag_info.status is AuthorizationStatus.ACCEPTED
    assert len(await strict.all(TRANSACTION)) == 2
    await lenient.central.stop()
    await strict.central.stop()


async def test_a_stop_that_could_not_be_stored_has_not_stopped_anything(make, tools, monkeypatch):
    """Values without a transaction id still find it, and the stop that comes again counts."""
    bench = await make()
    started = await bench.call(tools.start())

    async def full(*changes):
        raise StorageUnavailable("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(bench.storage, "commit", full)
        with pytest.raises(Fault):
            await bench.call(tools.stop(started.transaction_id))

    await bench.call(tools.values(tools.reading(1500)))
    await bench.call(tools.stop(started.transaction_id))

    [stored] = await bench.all(METERVALUES)
    [document] = await bench.all(TRANSACTION)
    assert stored["transactionId"] == started.transaction_id
    assert (document["state"], document["energy"]) == ("stopped", 4000)
    await bench.central.stop()
