"""What piles up is kept for as long as configured."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from ocppgw.central.retention import RetentionSettings, collections
from ocppgw.central.schema import COLLECTIONS, METERVALUES, NOTIFICATION, PENDING, TRANSACTION
from ocppgw.ocpp.model import ClearCacheRequest
from ocppgw.testing.storage import MemoryStorage

KEPT = RetentionSettings(notifications=10, meter_values=20, pending=5, transactions=30)


def days(retention):
    return {c.name: c.retention and c.retention.days for c in collections(retention)}


def test_by_default_all_is_as_declared():
    assert collections(RetentionSettings()) == COLLECTIONS
    assert {c.name for c in COLLECTIONS if c.retention} == {
        "notification",
        "metervalues",
        "pending",
    }


def test_each_setting_is_that_of_its_collection():
    kept = days(KEPT)
    forever = days(RetentionSettings(notifications=None, meter_values=None, pending=None))

    assert (kept["notification"], kept["metervalues"]) == (10, 20)
    assert (kept["pending"], kept["transaction"], kept["station"]) == (5, 30, None)
    assert set(forever.values()) == {None}


@pytest.mark.parametrize("setting", ["notifications", "meter_values", "pending", "transactions"])
def test_a_time_that_no_calendar_has_is_refused(setting):
    hundred_years = msgspec.convert({setting: 36_500}, RetentionSettings)
    longest = max(c.retention for c in collections(hundred_years) if c.retention)

    assert datetime.now(UTC) - longest < datetime.now(UTC)
    with pytest.raises(msgspec.ValidationError, match="<= 36500"):
        msgspec.convert({setting: 10_000_000}, RetentionSettings)


@pytest.mark.parametrize(
    ("after", "left"),
    [
        (9, {NOTIFICATION: 1, METERVALUES: 1, TRANSACTION: 2}),
        (11, {NOTIFICATION: 0, METERVALUES: 1, TRANSACTION: 2}),
        (21, {NOTIFICATION: 0, METERVALUES: 0, TRANSACTION: 2}),
        (31, {NOTIFICATION: 0, METERVALUES: 0, TRANSACTION: 1}),  # the one that runs
    ],
)
async def test_old_documents_go_at_the_start(make, tools, after, left):
    storage = MemoryStorage(collections(KEPT))
    bench = await make(storage=storage, retention=KEPT)
    await bench.call(tools.boot)
    ended = (await bench.call(tools.start(connector_id=1))).transaction_id
    await bench.call(tools.start(connector_id=2))
    await bench.call(tools.values(tools.reading(5)))
    await bench.call(tools.stop(ended))
    await bench.central.stop()

    bench.clock.set_time(bench.clock.now() + timedelta(days=after))
    again = await make(storage=storage, clock=bench.clock, retention=KEPT)
    await bench.clock.advance(0)

    assert {c: len(await again.all(c)) for c in left} == left
    await again.central.stop()


async def test_commands_are_kept_from_their_end_on(make, tools):
    storage = MemoryStorage(collections(KEPT))
    bench = await make(storage=storage, retention=KEPT)
    await bench.call(tools.boot, sender="http://www.w3.org/2005/08/addressing/anonymous")
    for _ in range(2):
        await bench.central.call_later("CP-1", ClearCacheRequest(), timedelta(days=29))
    await bench.central.pending.cancel(1)
    bench.clock.set_time(bench.clock.now() + timedelta(days=6))
    await bench.clock.advance(3600)

    assert [d["number"] for d in await bench.all(PENDING)] == [2]
    await bench.central.stop()
