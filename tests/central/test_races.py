"""Two processes over one store, met at the worst moment: nothing counts twice."""

import asyncio
from datetime import timedelta

import pytest

from ocppgw.central.ids import installation_secret
from ocppgw.central.schema import COLLECTIONS, METERVALUES, SETTINGS, STOP, TRANSACTION
from ocppgw.ocpp import Fault
from ocppgw.storage import Conflict, Insert, StorageUnavailable
from ocppgw.testing.storage import MemoryStorage


async def two(make, tools):
    one = await make(storage=tools.Racing(COLLECTIONS), secret="the same for all in these tests")
    return one, await one.another()


async def number_of(make, tools):
    """The id that the start will get."""
    bench, other = await two(make, tools)
    number = (await bench.call(tools.start())).transaction_id
    await bench.central.stop()
    await other.central.stop()
    return number


async def test_a_stop_that_another_process_has_just_taken(make, tools):
    one, other = await two(make, tools)
    number = (await one.call(tools.start())).transaction_id
    one.storage.first["commit transaction"] = lambda: other.call(tools.stop(number))

    await one.call(tools.stop(number, meter_stop=9999))

    [document] = await one.all(TRANSACTION)
    assert document["meterStop"] == 5000
    await one.central.stop()
    await other.central.stop()


async def test_a_start_that_comes_while_its_stop_is_being_stored_alone(make, tools):
    number = await number_of(make, tools)
    one, other = await two(make, tools)
    one.storage.first["commit transaction"] = lambda: other.call(tools.start())

    await one.call(tools.stop(number))

    [document] = await one.all(TRANSACTION)
    assert (document["state"], document["energy"]) == ("stopped", 4000)
    await one.central.stop()
    await other.central.stop()


async def test_a_stop_whose_id_turns_out_to_be_another_stations(make, tools):
    number = await number_of(make, tools)
    one, other = await two(make, tools)
    one.storage.first["commit transaction"] = lambda: other.call(tools.start())

    for _ in range(2):
        await one.call(tools.stop(number), identity="CP-2")

    documents = {d["chargeBoxIdentity"]: d["state"] for d in await one.all(TRANSACTION)}
    assert documents == {"CP-1": "active", "CP-2": "unstarted"}
    await one.central.stop()
    await other.central.stop()


async def test_a_stop_for_which_no_id_is_free(make, tools, monkeypatch):
    """A coincidence of one in 2^31; the station tries again."""
    bench = await make()
    for module in ("transactions", "stops"):
        monkeypatch.setattr(f"ocppgw.central.{module}.transaction_id", lambda *_: 7)
    await bench.call(tools.start())

    with pytest.raises(Fault) as caught:
        await bench.call(tools.stop(7), identity="CP-2")

    assert caught.value.subcode == "InternalError"
    [document] = await bench.all(TRANSACTION)
    assert document["state"] == "active"
    await bench.central.stop()


async def test_a_join_that_another_process_has_just_made(make, tools):
    number = await number_of(make, tools)
    one, other = await two(make, tools)
    await one.call(tools.stop(number))

    async def meanwhile():
        one.storage.first["commit transaction"] = lambda: other.call(tools.start())

    one.storage.first["commit transaction"] = meanwhile  # at the Insert: set for the Update
    started = await one.call(tools.start())

    assert started.transaction_id == number
    [document] = await one.all(TRANSACTION)
    assert (document["state"], document["energy"]) == ("stopped", 4000)
    await one.central.stop()
    await other.central.stop()


async def test_a_stop_remembered_but_not_yet_taken_is_taken_by_its_repeat(make, tools):
    """Killed between the two: a store without transactions over several documents."""
    bench = await make(storage=tools.Racing(COLLECTIONS))
    await bench.call(tools.start())

    async def die():
        bench.storage.failure = StorageUnavailable("killed")

    bench.storage.first["commit transaction"] = die
    with pytest.raises(Fault):
        await bench.call(tools.stop(-1))
    bench.storage.failure = None
    assert len(await bench.all(STOP)) == 1

    await bench.call(tools.stop(-1))

    [document] = await bench.all(TRANSACTION)
    assert (document["state"], document["energy"]) == ("stopped", 4000)
    await bench.central.stop()


async def test_ids_that_never_come_free_are_an_error_that_the_station_repeats(
    make, tools, monkeypatch
):
    bench = await make()
    monkeypatch.setattr("ocppgw.central.transactions.transaction_id", lambda *_: 7)
    await bench.call(tools.start())

    with pytest.raises(Fault) as caught:
        await bench.call(tools.start(meter_start=2000))

    assert caught.value.subcode == "InternalError"
    assert len(await bench.all(TRANSACTION)) == 1
    await bench.central.stop()


async def test_many_sessions_of_a_station_without_a_clock_are_found_at_once(make, tools):
    bench = await make(storage=tools.Racing(COLLECTIONS))
    never_set = tools.T0.replace(year=1970)
    request = tools.start(timestamp=never_set, meter_start=0)
    for _ in range(50):  # more than there are attempts
        number = (await bench.call(request)).transaction_id
        await bench.call(tools.stop(number, timestamp=never_set))

    documents = await bench.all(TRANSACTION)
    assert sorted(d["attempt"] for d in documents) == list(range(50))
    assert {d["energy"] for d in documents} == {5000}
    await bench.central.stop()


async def test_one_secret_for_two_processes_that_start_together(tools):
    storage = tools.Racing(COLLECTIONS)

    async def other():
        document = {"name": "installation", "secret": "ab" * 32}
        await storage.commit(Insert(SETTINGS, document, "theirs"))

    storage.first["got settings"] = other

    secret = await installation_secret(storage, bytes, "ours")

    assert secret == bytes.fromhex("ab" * 32)
    assert await installation_secret(storage, bytes, "later") == secret


async def test_a_secret_that_cannot_be_kept_is_no_secret():
    class Odd(MemoryStorage):
        async def commit(self, *changes):
            raise Conflict("the key is taken", None)

    with pytest.raises(Conflict):
        await installation_secret(Odd(COLLECTIONS), bytes, "ours")


async def test_stations_loaded_twice_at_once_are_one(make, tools):
    one, other = await two(make, tools)
    await one.call(tools.boot)

    await asyncio.gather(*(other.call(tools.start()) for _ in range(3)))

    assert len(await one.all(TRANSACTION)) == 1
    known = one.central._core.stations.in_memory()
    assert list(known) == ["CP-1"]
    await one.central.stop()
    await other.central.stop()


async def test_old_values_are_removed_once_in_a_while(make, tools, caplog, monkeypatch):
    monkeypatch.setattr("ocppgw.central.service.PRUNE_INTERVAL", 5.0)
    bench = await make()
    await bench.call(tools.values(tools.reading(5)))
    await bench.clock.advance(5)
    assert len(await bench.all(METERVALUES)) == 1
    bench.clock.set_time(bench.clock.now() + timedelta(days=401))
    bench.storage.failure = StorageUnavailable("away")
    await bench.clock.advance(5)
    bench.storage.failure = None
    assert len(await bench.all(METERVALUES)) == 1

    await bench.clock.advance(5)

    assert await bench.all(METERVALUES) == []
    assert any("old documents stay" in r.message for r in caplog.records)
    await bench.central.stop()
