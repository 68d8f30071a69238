"""Values that come after a transaction was closed by rule: its end goes on to them."""

from datetime import timedelta

import pytest

from ocppgw.central.schema import COLLECTIONS, METERVALUES, TRANSACTION
from ocppgw.observe import StateChange
from ocppgw.ocpp import Fault
from ocppgw.storage import StorageUnavailable

NEW_START = "closed without a stop: another transaction started on its connector"


@pytest.fixture
def closed(make, tools):
    """``await closed()``: a bench, and the id of a transaction that a later start has closed
    at its reading of 1200 Wh, ten minutes after it began."""

    async def made(**how):
        bench = await make(**how)
        number = (await bench.call(tools.start())).transaction_id
        await bench.call(values(tools, number, (10, 1200)))
        await bench.call(tools.start(id_tag="NEXT", timestamp=after(tools, 50)))
        return bench, number

    return made


def after(tools, minutes):
    return tools.T0 + timedelta(minutes=minutes)


def values(tools, number, *readings):
    """Values of a transaction, each (minutes after its start, Wh)."""
    said = [tools.reading(wh, after(tools, minutes)) for minutes, wh in readings]
    return tools.values(*said, transaction_id=number)


async def end(bench, number):
    document = await bench.storage.get(TRANSACTION, (number,))
    return document["meterStop"], document["stopTimestamp"], document["energy"]


async def test_the_end_goes_on_to_the_last_of_them(closed, tools):
    bench, number = await closed()
    known = (await bench.storage.get(TRANSACTION, (number,)))["stopReceivedAt"]
    await bench.clock.advance(30)

    await bench.call(values(tools, number, (20, 1500), (30, 1800)))

    assert await end(bench, number) == (1800, after(tools, 30), 800)
    await bench.call(values(tools, number, (15, 1350)))
    assert await end(bench, number) == (1800, after(tools, 30), 800)
    told = [seen.what for seen in bench.seen if isinstance(seen, StateChange)]
    assert told == [f"closed by rule (new start) at {wh} Wh, no stop came" for wh in (1200, 1800)]
    document = await bench.storage.get(TRANSACTION, (number,))
    assert (document["synthetic"], document["suspect"]) == ("new start", [NEW_START])
    assert (document["state"], document["stopReceivedAt"]) == ("stopped", known)
    await bench.central.stop()


async def test_what_cannot_be_is_said_of_the_new_end(closed, tools):
    bench, number = await closed(max_session_energy=500)

    await bench.call(values(tools, number, (20, 1900)))

    document = await bench.storage.get(TRANSACTION, (number,))
    assert document["suspect"] == [NEW_START, "900 Wh is more than a session can be (500 Wh)"]
    await bench.central.stop()


async def test_a_true_end_stays(closed, tools):
    bench, number = await closed()
    await bench.call(tools.stop(number))
    before = await bench.storage.get(TRANSACTION, (number,))

    await bench.call(values(tools, number, (20, 1900)))

    assert await bench.storage.get(TRANSACTION, (number,)) == before
    assert len(await bench.all(METERVALUES)) == 2
    await bench.central.stop()


async def test_a_true_stop_that_comes_in_between_wins(closed, tools):
    storage = tools.Racing(COLLECTIONS)
    one, number = await closed(storage=storage, secret="the same for both of them")
    other = await one.another()
    storage.first["commit transaction"] = lambda: other.call(tools.stop(number))

    await one.call(values(tools, number, (20, 1900)))

    assert await end(one, number) == (5000, after(tools, 60), 4000)
    assert "synthetic" not in await one.storage.get(TRANSACTION, (number,))
    await one.central.stop()
    await other.central.stop()


async def test_values_of_two_processes_leave_the_last_one(closed, tools):
    storage = tools.Racing(COLLECTIONS)
    one, number = await closed(storage=storage, secret="the same for both of them")
    other = await one.another()
    storage.first["commit transaction"] = lambda: other.call(values(tools, number, (30, 1900)))

    await one.call(values(tools, number, (20, 1500)))

    assert await end(one, number) == (1900, after(tools, 30), 900)
    await one.central.stop()
    await other.central.stop()


async def test_a_rule_that_comes_in_between_overlooks_none(make, tools):
    """Another connection's values are on their way to the store when the rule reads there."""
    bench = await make(storage=tools.Racing(COLLECTIONS))
    number = (await bench.call(tools.start())).transaction_id
    zombies, document = bench.central._core.zombies, await bench.storage.get(TRANSACTION, (number,))
    newer = document | {"transactionId": 4711, "timestamp": after(tools, 50)}
    await bench.call(values(tools, number, (10, 1200)))
    bench.storage.first["commit metervalues"] = lambda: zombies.begun(newer)

    await bench.call(values(tools, number, (20, 1500)))

    assert await end(bench, number) == (1500, after(tools, 20), 500)
    await bench.central.flush()
    (connector,) = (await bench.central.views.station("CP-1"))["connectors"]
    assert (connector["charging"], connector["consumption"]) == (False, 1500)
    await bench.central.stop()


async def test_a_store_that_goes_away_in_between_has_the_values_sent_again(closed, tools):
    bench, number = await closed(storage=tools.Racing(COLLECTIONS))

    async def goes():
        raise StorageUnavailable("away")

    bench.storage.first["commit transaction"] = goes
    request = values(tools, number, (20, 1500))
    with pytest.raises(Fault):
        await bench.call(request)
    assert (await end(bench, number))[0] == 1200

    await bench.call(request)

    assert await end(bench, number) == (1500, after(tools, 20), 500)
    assert len(await bench.all(METERVALUES)) == 2
    await bench.central.stop()
