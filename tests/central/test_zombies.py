"""Transactions whose stop never came are closed by rule, until it comes after all."""

import itertools
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from ocppgw.central.schema import COLLECTIONS, METERVALUES, TRANSACTION
from ocppgw.observe import StateChange
from ocppgw.ocpp import Fault
from ocppgw.ocpp.enums import ChargePointErrorCode, ChargePointStatus
from ocppgw.ocpp.model import StartTransactionRequest, StatusNotificationRequest
from ocppgw.storage import StorageUnavailable
from ocppgw.testing.storage import MemoryStorage

MINUTE = timedelta(minutes=1)
NEW_START = "closed without a stop: another transaction started on its connector"
AVAILABLE = "closed without a stop: its connector was reported Available"
NEVER_SET = datetime(1970, 1, 1, tzinfo=UTC)


def status(what, at=None, connector_id=1):
    return StatusNotificationRequest(
        connector_id=connector_id,
        status=what,
        error_code=ChargePointErrorCode.NO_ERROR,
        timestamp=at,
    )


def available(at=None, connector_id=1):
    return status(ChargePointStatus.AVAILABLE, at, connector_id)


async def stored(bench, number):
    return await bench.storage.get(TRANSACTION, (number,))


async def states(bench):
    """State and rule of every transaction, by its tag."""
    documents = await bench.all(TRANSACTION)
    return {d["idTag"]: (d["state"], d.get("synthetic")) for d in documents}


# A new start on the connector


async def test_a_new_start_closes_the_one_before_with_its_last_reading(make, tools):
    bench = await make()
    first = (await bench.call(tools.start())).transaction_id
    for minute in (5, 10):
        reading = tools.reading(1000 + 100 * minute, tools.T0 + minute * MINUTE)
        await bench.call(tools.values(reading, transaction_id=first))
    await bench.clock.advance(1)

    second = await bench.call(tools.start(id_tag="NEXT", timestamp=tools.T0 + 30 * MINUTE))

    closed = await stored(bench, first)
    assert (closed["state"], closed["synthetic"]) == ("stopped", "new start")
    assert (closed["meterStop"], closed["energy"]) == (2000, 1000)
    assert closed["stopTimestamp"] == tools.T0 + 10 * MINUTE
    assert closed["stopReceivedAt"] == bench.clock.now()
    assert closed["suspect"] == [NEW_START]
    assert (await stored(bench, second.transaction_id))["state"] == "active"
    assert [t["synthetic"] for t in await bench.central.views.transactions() if "synthetic" in t]
    told = [seen for seen in bench.seen if isinstance(seen, StateChange)]
    assert [(t.identity, t.subject, t.what) for t in told] == [
        ("CP-1", f"transaction {first}", "closed by rule (new start) at 2000 Wh, no stop came")
    ]
    await bench.central.stop()


async def test_without_a_reading_it_ends_where_it_began_when_the_next_one_starts(make, tools):
    bench = await make()
    first = (await bench.call(tools.start())).transaction_id

    later = tools.T0 + 30 * MINUTE
    await bench.call(tools.start(id_tag="NEXT", timestamp=later))

    closed = await stored(bench, first)
    assert (closed["meterStop"], closed["stopTimestamp"], closed["energy"]) == (1000, later, 0)
    await bench.central.stop()


async def test_readings_below_the_start_or_without_energy_are_no_end(make, tools):
    bench = await make()
    first = (await bench.call(tools.start())).transaction_id
    odd = [tools.reading("n/a", tools.T0 + 9 * MINUTE), tools.reading(5, tools.T0 + 8 * MINUTE)]
    for reading in [*odd, tools.reading(1500, tools.T0 + MINUTE)]:
        await bench.call(tools.values(reading, transaction_id=first))

    await bench.call(tools.start(id_tag="NEXT", timestamp=tools.T0 + 30 * MINUTE))

    closed = await stored(bench, first)
    assert (closed["meterStop"], closed["stopTimestamp"]) == (1500, tools.T0 + MINUTE)
    await bench.central.stop()


async def test_a_reading_that_no_store_can_hold_is_no_end_and_stops_nobody(make, tools):
    bench = await make()
    first = (await bench.call(tools.start())).transaction_id
    for absurd in ("1e300", 2**53 - 1):
        await bench.call(tools.values(tools.reading(absurd), transaction_id=first))

    later = tools.T0 + 30 * MINUTE
    await bench.call(tools.start(id_tag="NEXT", meter_start=-5, timestamp=later))
    await bench.call(tools.start(id_tag="LAST", timestamp=later + MINUTE))

    assert (await stored(bench, first))["meterStop"] == 1000
    assert await states(bench) == {
        "TAG": ("stopped", "new start"),
        "NEXT": ("stopped", "new start"),
        "LAST": ("active", None),
    }
    await bench.central.stop()


async def test_other_connectors_and_stations_go_on(make, tools):
    bench = await make()
    await bench.call(tools.start(id_tag="A", connector_id=1))
    await bench.call(tools.start(id_tag="B", connector_id=2))

    await bench.call(tools.start(id_tag="C", connector_id=1), identity="CP-2")

    assert await states(bench) == dict.fromkeys("ABC", ("active", None))
    await bench.central.stop()


async def test_sessions_of_a_station_that_names_no_connector_go_on(make, tools):
    bench = await make()
    for tag in "AB":
        await bench.call(tools.start(id_tag=tag, connector_id=0))
    await bench.call(available(tools.T0 + 30 * MINUTE, connector_id=0))

    await bench.clock.advance(600)

    assert await states(bench) == dict.fromkeys("AB", ("active", None))
    await bench.central.stop()


async def test_the_connector_no_longer_charges_for_the_closed_one(make, tools):
    bench = await make()
    first = (await bench.call(tools.start())).transaction_id
    await bench.call(tools.values(tools.reading(1500), transaction_id=first))
    await bench.call(available(tools.T0 + 20 * MINUTE))

    await bench.clock.advance(600)

    [connector] = (await bench.central.views.station("CP-1"))["connectors"]
    assert (connector["status"], connector["charging"]) == ("Available", False)
    await bench.central.stop()


async def test_a_late_start_of_an_earlier_session_does_not_close_the_newer_one(make, tools):
    bench = await make()
    later = tools.T0 + 30 * MINUTE
    newer = (await bench.call(tools.start(id_tag="NEWER", timestamp=later))).transaction_id

    older = (await bench.call(tools.start(id_tag="OLDER"))).transaction_id

    assert await states(bench) == {"NEWER": ("active", None), "OLDER": ("stopped", "new start")}
    assert (await stored(bench, older))["stopTimestamp"] == later
    assert bench.central._core.running.on_connector("CP-1", 1).transaction_id == newer
    await bench.call(tools.stop(older, id_tag="OLDER", timestamp=tools.T0 + 20 * MINUTE))
    assert await states(bench) == {"NEWER": ("active", None), "OLDER": ("stopped", None)}
    await bench.central.stop()


async def test_where_a_clock_was_never_set_the_order_of_arrival_counts(make, tools):
    bench = await make()
    await bench.call(tools.start(id_tag="FIRST"))
    await bench.clock.advance(60)

    second = await bench.call(tools.start(id_tag="SECOND", timestamp=NEVER_SET))

    began = (await stored(bench, second.transaction_id))["receivedAt"]
    ends = {d["idTag"]: d.get("stopTimestamp") for d in await bench.all(TRANSACTION)}
    assert ends == {"FIRST": began, "SECOND": None}
    assert await states(bench) == {"FIRST": ("stopped", "new start"), "SECOND": ("active", None)}
    await bench.central.stop()


async def test_a_start_that_found_its_stop_closes_what_was_before(make, tools):
    """Two processes: the stop came first, and was kept alone."""
    bench, empty = await make(), await make()
    empty.central._core.secret(bench.central._core.stops.secret)
    request = tools.start(timestamp=tools.T0 + 10 * MINUTE)
    number = (await bench.call(request)).transaction_id
    await empty.call(tools.start(id_tag="OLD"))
    await empty.call(tools.stop(number))

    await empty.call(request)

    assert await states(empty) == {"OLD": ("stopped", "new start"), "TAG": ("stopped", None)}
    await bench.central.stop()
    await empty.central.stop()


async def test_only_a_start_where_another_runs_looks_into_the_store(make, tools):
    """What every start and every value costs is one commit."""
    bench = await make(storage=tools.Dying(COLLECTIONS, 10**9))
    await bench.call(tools.start(connector_id=2))  # the station and its tag are known now
    await bench.clock.advance(1)

    async def costs(request):
        before = bench.storage.calls
        await bench.call(request)
        return before - bench.storage.calls

    assert await costs(tools.start()) == 1
    number = bench.central._core.running.on_connector("CP-1", 1).transaction_id
    assert await costs(tools.values(tools.reading(1100), transaction_id=number)) == 1
    assert await costs(tools.stop(number)) == 2
    assert await costs(tools.start(connector_id=2, id_tag="NEXT")) > 2
    await bench.central.stop()


# What comes late


async def closed_by_new_start(make, tools, **settings):
    """A bench, and the id of a transaction closed by the next one."""
    bench = await make(**settings)
    number = (await bench.call(tools.start())).transaction_id
    await bench.call(tools.start(id_tag="NEXT", timestamp=tools.T0 + 50 * MINUTE))
    return bench, number


async def test_the_true_stop_replaces_the_end_once(make, tools):
    bench, number = await closed_by_new_start(make, tools)
    await bench.clock.advance(30)

    await bench.call(tools.stop(number))
    true = await stored(bench, number)
    await bench.clock.advance(30)
    await bench.call(tools.stop(number, meter_stop=9999))

    assert "synthetic" not in true
    assert "suspect" not in true
    assert (true["state"], true["meterStop"], true["energy"]) == ("stopped", 5000, 4000)
    assert (true["stopIdTag"], true["stopTimestamp"]) == ("TAG", tools.T0 + 60 * MINUTE)
    assert true["stopReceivedAt"] == bench.clock.now() - timedelta(seconds=30)
    assert await stored(bench, number) == true
    await bench.central.stop()


async def test_what_was_wrong_with_the_start_stays_wrong(make, tools):
    bench = await make()
    never = {"timestamp": NEVER_SET}
    number = (await bench.call(tools.start(**never))).transaction_id
    await bench.clock.advance(60)
    await bench.call(tools.start(id_tag="NEXT", **never))
    closed = await stored(bench, number)

    await bench.call(tools.stop(number))

    clock = "the station's clock was not set (1970-01-01)"
    assert closed["suspect"] == [clock, NEW_START]
    assert (await stored(bench, number))["suspect"] == [clock]
    await bench.central.stop()


async def test_late_values_of_it_are_stored(make, tools):
    bench, number = await closed_by_new_start(make, tools)

    await bench.call(tools.values(tools.reading(1300), transaction_id=number))

    assert [d["transactionId"] for d in await bench.all(METERVALUES)] == [number]
    assert (await stored(bench, number))["synthetic"] == "new start"
    await bench.central.stop()


async def test_its_start_repeated_gets_the_same_id_and_opens_nothing(make, tools):
    bench, number = await closed_by_new_start(make, tools)
    before = await bench.all(TRANSACTION)

    repeated = await bench.call(tools.start())

    assert repeated.transaction_id == number
    assert await bench.all(TRANSACTION) == before
    await bench.central.stop()


@pytest.mark.parametrize("given", [-1, 4711])
async def test_a_stop_that_tells_no_id_of_ours_finds_it_by_tag_and_time(make, tools, given):
    bench, number = await closed_by_new_start(make, tools)

    for _ in range(2):
        await bench.call(tools.stop(given))

    assert (await stored(bench, number))["energy"] == 4000
    assert await states(bench) == {"TAG": ("stopped", None), "NEXT": ("active", None)}
    await bench.central.stop()


async def test_a_stop_without_a_tag_is_not_guessed_to_be_of_a_closed_one(make, tools):
    bench, number = await closed_by_new_start(make, tools)

    await bench.call(tools.stop(-1, id_tag=None))

    assert (await stored(bench, number))["synthetic"] == "new start"
    await bench.central.stop()


# Two processes


async def test_a_stop_that_meets_the_rule_wins_either_way(make, tools):
    for first, then in (("stop", "start"), ("start", "stop")):
        one = await make(storage=tools.Racing(COLLECTIONS), secret="the same for both of them")
        other = await one.another()
        number = (await one.call(tools.start())).transaction_id
        calls = {
            "start": tools.start(id_tag="NEXT", timestamp=tools.T0 + 50 * MINUTE),
            "stop": tools.stop(number),
        }

        async def meanwhile(one=one, other=other, call=calls[then]):
            if isinstance(call, StartTransactionRequest):
                await other.call(call)
                return
            # not before the new start itself is stored, but before the old one is closed
            one.storage.first["commit transaction"] = lambda: other.call(call)

        one.storage.first["commit transaction"] = meanwhile
        await one.call(calls[first])

        assert await states(one) == {"TAG": ("stopped", None), "NEXT": ("active", None)}
        assert (await stored(one, number))["energy"] == 4000
        await one.central.stop()
        await other.central.stop()


async def test_what_another_process_ended_is_forgotten_here(make, tools):
    """Else its tag would be told ConcurrentTx for ever."""
    one = await make(refuse_concurrent=True)
    number = (await one.call(tools.start())).transaction_id
    other = await one.another()
    await one.call(tools.stop(number))
    await one.call(tools.start(connector_id=7, id_tag="OTHER"))

    refused = await other.call(tools.start(connector_id=2, meter_start=5))
    await other.call(tools.stop(refused.transaction_id))
    await other.clock.advance(60)
    accepted = await other.call(tools.start(connector_id=2, meter_start=6))

    assert refused.id_tag_info.status.value == "ConcurrentTx"
    assert accepted.id_tag_info.status.value == "Accepted"
    assert other.central._core.running.on_connector("CP-1", 7) is not None
    await one.central.stop()
    await other.central.stop()


# Reported Available


async def test_available_for_long_enough_closes(make, tools):
    bench = await make()
    number = (await bench.call(tools.start())).transaction_id
    at = tools.T0 + 30 * MINUTE
    await bench.call(available(at))

    await bench.clock.advance(299)
    assert (await stored(bench, number))["state"] == "active"
    await bench.clock.advance(61)

    closed = await stored(bench, number)
    assert (closed["state"], closed["synthetic"]) == ("stopped", "available")
    assert (closed["meterStop"], closed["stopTimestamp"]) == (1000, at)
    assert closed["suspect"] == [AVAILABLE]
    await bench.call(tools.stop(number))
    assert (await stored(bench, number))["energy"] == 4000
    await bench.central.stop()


async def test_available_repeated_is_one_time_of_being_available(make, tools):
    bench = await make()
    number = (await bench.call(tools.start())).transaction_id
    for minute in range(6):
        await bench.call(available(tools.T0 + (30 + minute) * MINUTE))
        await bench.clock.advance(60)

    assert (await stored(bench, number))["synthetic"] == "available"
    await bench.central.stop()


@pytest.mark.parametrize("what", [ChargePointStatus.OCCUPIED, ChargePointStatus.FAULTED])
async def test_another_status_in_between_keeps_it_open(make, tools, what):
    bench = await make()
    number = (await bench.call(tools.start())).transaction_id
    await bench.call(available(tools.T0 + 30 * MINUTE))
    await bench.clock.advance(200)
    await bench.call(status(what, tools.T0 + 33 * MINUTE))
    await bench.call(available(tools.T0 + 34 * MINUTE))
    await bench.clock.advance(290)
    assert (await stored(bench, number))["state"] == "active"

    await bench.call(status(what, tools.T0 + 39 * MINUTE))
    await bench.clock.advance(3600)

    assert (await stored(bench, number))["state"] == "active"
    await bench.central.stop()


async def test_values_show_that_it_charges_whatever_is_reported(make, tools):
    bench = await make()
    number = (await bench.call(tools.start())).transaction_id
    await bench.call(available(tools.T0 + 30 * MINUTE))
    for minute in range(10):
        reading = tools.reading(1000 + minute, tools.T0 + (30 + minute) * MINUTE)
        await bench.call(tools.values(reading, transaction_id=number))
        await bench.clock.advance(60)
    assert (await stored(bench, number))["state"] == "active"

    await bench.clock.advance(300)

    assert (await stored(bench, number))["meterStop"] == 1009
    await bench.central.stop()


async def test_available_before_the_start_means_nothing(make, tools):
    bench = await make()
    await bench.call(available(tools.T0 - MINUTE))
    number = (await bench.call(tools.start())).transaction_id

    await bench.clock.advance(3600)

    assert (await stored(bench, number))["state"] == "active"
    await bench.central.stop()


async def test_a_newest_status_that_overtook_the_queued_start_counts(make, tools):
    """After an outage a charge box reports what is now, and then sends what it has queued."""
    bench = await make()
    await bench.call(available(tools.T0 + 30 * MINUTE))
    await bench.clock.advance(10)
    number = (await bench.call(tools.start())).transaction_id
    await bench.clock.advance(280)
    assert (await stored(bench, number))["state"] == "active"

    await bench.clock.advance(70)

    assert (await stored(bench, number))["synthetic"] == "available"
    await bench.central.stop()


async def test_without_a_clock_only_what_came_after_the_start_counts(make, tools):
    bench = await make()
    await bench.call(available(tools.T0))
    await bench.clock.advance(1)
    number = (await bench.call(tools.start(timestamp=NEVER_SET))).transaction_id
    await bench.clock.advance(600)
    assert (await stored(bench, number))["state"] == "active"

    await bench.call(available(NEVER_SET))
    await bench.clock.advance(360)

    assert (await stored(bench, number))["synthetic"] == "available"
    await bench.central.stop()


async def test_without_a_clock_it_ends_when_the_report_came(make, tools):
    bench = await make()
    number = (await bench.call(tools.start(timestamp=NEVER_SET))).transaction_id
    await bench.clock.advance(60)
    await bench.call(available(NEVER_SET))
    received = bench.clock.now()

    await bench.clock.advance(360)

    assert (await stored(bench, number))["stopTimestamp"] == received
    await bench.central.stop()


async def test_a_report_that_tells_no_time_is_not_compared_with_a_clock_that_is_slow(make, tools):
    """It came before the start, whose time by the station's clock is an hour ago."""
    bench = await make()
    await bench.call(available())
    await bench.clock.advance(10)
    number = (await bench.call(tools.start())).transaction_id

    await bench.clock.advance(600)
    assert (await stored(bench, number))["state"] == "active"
    await bench.call(available())
    await bench.clock.advance(360)

    assert (await stored(bench, number))["synthetic"] == "available"
    await bench.central.stop()


async def test_values_of_any_kind_show_that_it_charges(make, tools):
    bench = await make()
    number = (await bench.call(tools.start())).transaction_id
    await bench.call(available(tools.T0 + 30 * MINUTE))
    for minute in range(10):
        odd = tools.reading("n/a", tools.T0 + (30 + minute) * MINUTE)
        await bench.call(tools.values(odd, transaction_id=number))
        await bench.clock.advance(60)

    assert (await stored(bench, number))["state"] == "active"
    await bench.central.stop()


async def test_other_connectors_available_close_nothing(make, tools):
    bench = await make()
    number = (await bench.call(tools.start())).transaction_id
    for connector in (0, 2):
        await bench.call(available(tools.T0 + 30 * MINUTE, connector))

    await bench.clock.advance(3600)

    assert (await stored(bench, number))["state"] == "active"
    await bench.central.stop()


async def test_a_restart_changes_nothing_of_the_time(make, tools):
    bench = await make()
    number = (await bench.call(tools.start())).transaction_id
    await bench.call(available(tools.T0 + 30 * MINUTE))
    await bench.clock.advance(250)
    await bench.central.stop()

    again = await bench.another()
    await again.clock.advance(61)

    assert (await stored(again, number))["synthetic"] == "available"
    await again.central.stop()


async def test_the_time_is_a_setting_and_may_be_none(make, tools):
    for seconds, state in ((60, "stopped"), (0, "active")):
        bench = await make(close_after_available=seconds)
        number = (await bench.call(tools.start())).transaction_id
        await bench.call(available(tools.T0 + 30 * MINUTE))

        await bench.clock.advance(120)

        assert (await stored(bench, number))["state"] == state
        await bench.central.stop()


# Killed


async def test_a_start_is_answered_though_what_was_before_cannot_be_closed_yet(make, tools, caplog):
    bench = await make(storage=tools.Racing(COLLECTIONS))
    await bench.call(tools.start())

    async def away_after_the_insert():
        async def away():
            bench.storage.failure = StorageUnavailable("away")

        bench.storage.first["commit transaction"] = away

    bench.storage.first["commit transaction"] = away_after_the_insert
    await bench.call(tools.start(id_tag="NEXT", timestamp=tools.T0 + 50 * MINUTE))
    bench.storage.failure = None
    assert await states(bench) == {"TAG": ("active", None), "NEXT": ("active", None)}
    assert any("closed later" in record.message for record in caplog.records)

    await bench.clock.advance(60)

    assert await states(bench) == {"TAG": ("stopped", "new start"), "NEXT": ("active", None)}
    await bench.central.stop()


async def test_killed_at_any_call_of_the_store_all_comes_right(make, tools):
    """A station sends each message until it is answered; the central system is killed once."""
    messages = [
        tools.start(),
        tools.start(id_tag="NEXT", timestamp=tools.T0 + 50 * MINUTE),
        tools.stop(1),  # the id of the first start, filled in
        available(tools.T0 + 58 * MINUTE),
    ]
    for calls in itertools.count():
        contents = MemoryStorage(COLLECTIONS).contents
        bench = await make(storage=tools.Dying(COLLECTIONS, 10**9, contents))
        bench.storage.calls = calls
        lives, number = 1, 0
        for message in messages:
            answered = False
            while not answered:
                asked = tools.stop(number) if message is messages[2] else message
                with suppress(Fault):
                    answer = await bench.call(asked)
                    number = number or answer.transaction_id
                answered = bench.storage.calls >= 0
                if not answered:  # else the answer got lost with the process
                    bench.storage.calls = 10**9
                    await bench.central.stop()
                    storage = tools.Dying(COLLECTIONS, 10**9, contents)
                    bench = await make(storage=storage, clock=bench.clock)
                    lives += 1
        bench.storage.calls = 10**9
        await bench.clock.advance(400)

        true = await stored(bench, number)
        assert (true["state"], true["energy"], "synthetic" in true) == ("stopped", 4000, False)
        assert await states(bench) == {"TAG": ("stopped", None), "NEXT": ("stopped", "available")}
        await bench.central.stop()
        assert lives <= 2
        if lives == 1:
            break
    assert calls > 10
