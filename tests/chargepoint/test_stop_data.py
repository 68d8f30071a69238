"""transactionData: what is collected, what StopTransaction brings along, and crashes."""

from __future__ import annotations

import contextlib
import itertools
import random

import msgspec
import pytest

from ocppgw.chargepoint.keys import Keys
from ocppgw.chargepoint.ledger import Ledger, Plan
from ocppgw.chargepoint.readings import Readings
from ocppgw.chargepoint.records import SAMPLES, Session
from ocppgw.chargepoint.stop_data import LARGEST, StopData
from ocppgw.chargepoint.values import SAYABLE
from ocppgw.ocpp import enums as e
from ocppgw.ocpp import model as m
from ocppgw.ocpp.enums import ReadingContext as C
from ocppgw.storage import StorageUnavailable
from ocppgw.testing.clock import FakeClock
from ocppgw.testing.storage import MemoryStorage

ENERGY = "Energy.Active.Import.Register"
EVERY_20 = {"MeterValueSampleInterval": 20, "StopTxnSampledData": [ENERGY]}


async def charging(world, seconds, *, step=20, wh=100):
    """A car charges for so long on connector 1."""
    for _ in range(seconds // step):
        world.plc.charge(1, wh)
        await world.clock.advance(step)


async def stopped(world):
    """The stop's values: context and energy, in the order they came."""
    world.plc.stop(1)
    await world.clock.advance(5)
    [stop] = world.central.of(m.StopTransactionRequest)
    return contents(stop)


def contents(stop):
    if not stop.transaction_data:
        return []
    [data] = stop.transaction_data
    return [(v.sampled_value[0].context, int(v.sampled_value[0].value)) for v in data.values]


async def test_a_stop_brings_along_begin_samples_and_end(make_world):
    world = make_world(configuration=EVERY_20)
    world.plc.connectors[1].energy_wh = 500
    await world.start()
    world.plc.start(1, "TAG")
    await charging(world, 60)
    world.plc.charge(1, 7)
    values = await stopped(world)
    [stop] = world.central.of(m.StopTransactionRequest)
    left = await world.storage.find(SAMPLES)
    await world.stop()

    assert values == [
        (C.TRANSACTION_BEGIN, 500),
        (C.SAMPLE_PERIODIC, 600),
        (C.SAMPLE_PERIODIC, 700),
        (C.SAMPLE_PERIODIC, 800),
        (C.TRANSACTION_END, 807),
    ]
    times = [value.timestamp for value in stop.transaction_data[0].values]
    assert times == sorted(times)
    assert times[-1] == stop.timestamp
    assert left == []


async def test_with_both_sets_empty_nothing_is_collected(make_world):
    world = make_world(configuration={"MeterValueSampleInterval": 20})
    await world.start()
    world.plc.start(1, "TAG")
    await charging(world, 60)
    collected = await world.storage.find(SAMPLES)
    values = await stopped(world)
    await world.stop()

    assert (collected, values) == ([], [])


async def test_both_kinds_are_collected_each_with_its_set(make_world):
    world = make_world(
        configuration={
            "MeterValueSampleInterval": 40,
            "ClockAlignedDataInterval": 60,
            "MeterValuesSampledData": [],
            "MeterValuesAlignedData": [],
            "StopTxnSampledData": ["Voltage"],
            "StopTxnAlignedData": ["Current.Import"],
        }
    )
    await world.start()
    world.plc.start(1, "TAG")
    await charging(world, 130, step=10)
    await stopped(world)
    [stop] = world.central.of(m.StopTransactionRequest)
    apart = world.central.of(m.MeterValuesRequest)
    await world.stop()

    values = stop.transaction_data[0].values
    said = [
        (v.sampled_value[0].context, *(one.measurand.value for one in v.sampled_value))
        for v in values
    ]
    begin_and_end = (ENERGY, "Voltage", "Current.Import")
    assert said[0] == (C.TRANSACTION_BEGIN, *begin_and_end)
    assert said[-1] == (C.TRANSACTION_END, *begin_and_end)
    assert sorted(said[1:-1], key=str) == [
        *[(C.SAMPLE_CLOCK, "Current.Import")] * 2,
        *[(C.SAMPLE_PERIODIC, "Voltage")] * 3,
    ]
    assert apart == []


async def test_a_set_that_comes_in_mid_session_has_the_begin_all_the_same(make_world):
    world = make_world(configuration={"MeterValueSampleInterval": 20})
    world.plc.connectors[1].energy_wh = 40
    await world.start()
    world.plc.start(1, "TAG")
    await charging(world, 60)
    change = m.ChangeConfigurationRequest(key="StopTxnSampledData", value=ENERGY)
    await world.ordered(change, 1)
    await charging(world, 20)
    values = await stopped(world)
    await world.stop()

    assert values == [
        (C.TRANSACTION_BEGIN, 40),
        (C.SAMPLE_PERIODIC, 440),
        (C.TRANSACTION_END, 440),
    ]


async def test_a_set_that_is_emptied_mid_session_sends_nothing_and_leaves_nothing(make_world):
    world = make_world(configuration=EVERY_20)
    await world.start()
    world.plc.start(1, "TAG")
    await charging(world, 60)
    change = m.ChangeConfigurationRequest(key="StopTxnSampledData", value="")
    await world.ordered(change, 1)
    values = await stopped(world)
    left = await world.storage.find(SAMPLES)
    await world.stop()

    assert (values, left) == ([], [])


async def test_a_session_that_is_closed_by_us_brings_its_values_along(make_world):
    world = make_world(configuration=EVERY_20)
    await world.start()
    world.plc.start(1, "FIRST")
    await charging(world, 40)
    world.plc.connectors[1].charging = False
    world.plc.start(1, "SECOND")
    await charging(world, 20)
    [closed] = world.central.of(m.StopTransactionRequest)
    values = contents(closed)
    world.plc.stop(1)
    await world.clock.advance(5)
    second = world.central.of(m.StopTransactionRequest)[1]
    await world.stop()

    assert values == [
        (C.TRANSACTION_BEGIN, 0),
        (C.SAMPLE_PERIODIC, 100),
        (C.SAMPLE_PERIODIC, 200),
        (C.TRANSACTION_END, 200),
    ]
    assert contents(second)[0] == (C.TRANSACTION_BEGIN, 200)


async def test_what_is_collected_survives_a_restart(make_world):
    world = make_world(configuration=EVERY_20)
    await world.start()
    world.plc.start(1, "TAG")
    await charging(world, 60)
    await world.kill()
    await world.start()
    await charging(world, 40)
    values = await stopped(world)
    await world.stop()

    energies = [wh for _, wh in values]
    assert energies == [0, 100, 200, 300, 400, 500, 500]


async def test_a_long_session_is_thinned_out_evenly_also_over_a_restart(make_world):
    world = make_world(configuration=EVERY_20, stop_data_limit=10)
    await world.start()
    world.plc.start(1, "TAG")
    for restart in range(4):
        await charging(world, 400, wh=1)
        kept = await world.storage.find(SAMPLES)
        assert len(kept) <= 9, restart
        await world.kill()
        await world.start()
    values = await stopped(world)
    await world.stop()

    energies = [wh for _, wh in values]
    gaps = [after - before for before, after in itertools.pairwise(energies[1:-1])]
    assert (values[0], values[-1]) == ((C.TRANSACTION_BEGIN, 0), (C.TRANSACTION_END, 80))
    assert 5 <= len(values) <= 10
    assert max(gaps) <= 2 * min(gaps)


async def test_the_begin_counts_also_where_it_was_not_asked_for_at_the_time(make_world):
    world = make_world(configuration={"MeterValueSampleInterval": 20}, stop_data_limit=10)
    await world.start()
    world.plc.start(1, "TAG")
    await charging(world, 20)
    await world.ordered(m.ChangeConfigurationRequest(key="StopTxnSampledData", value=ENERGY), 1)
    await charging(world, 180)
    kept = len(await world.storage.find(SAMPLES))
    values = await stopped(world)
    await world.stop()

    assert len(values) == kept + 2 <= 10


async def test_two_kinds_share_the_room_and_neither_is_lost(make_world):
    world = make_world(
        configuration={
            **EVERY_20,
            "ClockAlignedDataInterval": 60,
            "StopTxnAlignedData": [ENERGY],
        },
        stop_data_limit=12,
    )
    await world.start()
    world.plc.start(1, "TAG")
    await charging(world, 1200)
    values = await stopped(world)
    await world.stop()

    contexts = [context for context, _ in values]
    assert len(values) <= 12
    assert contexts.count(C.SAMPLE_PERIODIC) >= 3
    assert contexts.count(C.SAMPLE_CLOCK) >= 3


async def test_the_most_that_is_collected_fits_into_the_queue_and_into_a_message(make_world):
    every = [measurand.value for measurand in SAYABLE]
    world = make_world(
        configuration={**EVERY_20, "StopTxnSampledData": every}, stop_data_limit=2000
    )
    plain = world.plc.reading

    def everything(number):
        reading = plain(number)
        [energy] = [v for v in reading.values if v.measurand.value == ENERGY]
        values = tuple(
            msgspec.structs.replace(energy, measurand=measurand, value=123456789.123, phase=phase)
            for measurand in e.Measurand
            for phase in (e.Phase.L1, e.Phase.L2, e.Phase.L3)
        )
        return msgspec.structs.replace(reading, values=(*values, energy))

    world.plc.reading = everything
    await world.start()
    world.plc.start(1, "TAG")
    await charging(world, 400 * 20)
    world.plc.stop(1)
    await world.clock.advance(5)
    [stop] = world.central.of(m.StopTransactionRequest)
    await world.stop()

    [data] = stop.transaction_data
    size = len(msgspec.json.encode(data.values))
    assert LARGEST / 3 < size <= LARGEST
    assert data.values[0].sampled_value[0].context is C.TRANSACTION_BEGIN
    assert data.values[-1].sampled_value[0].context is C.TRANSACTION_END


async def test_samples_that_the_store_did_not_take_are_not_counted(make_world):
    world = make_world(configuration=EVERY_20)
    await world.start()
    world.plc.start(1, "TAG")
    await charging(world, 40)
    world.storage.failure = StorageUnavailable("no space left on device")
    await charging(world, 40)
    world.storage.failure = None
    await charging(world, 20)
    values = await stopped(world)
    await world.stop()

    assert [wh for _, wh in values] == [0, 100, 200, 500, 500]


# Crashes


async def crashing_session(make_world, ends_at):
    """A session of four samples with an end of the process after so many waits."""
    world = make_world(connectors=1, configuration=EVERY_20, stop_data_limit=500)
    life = await world.start(ends_at)
    await world.clock.advance(1)
    world.plc.start(1, "TAG")
    await charging(world, 80)
    world.plc.stop(1)
    await world.clock.advance(5)
    ended = life.over
    await world.kill()
    await world.start()
    await world.clock.advance(90)
    left = await world.storage.find(SAMPLES)
    await world.stop()
    return world, life, ended, left


async def test_an_end_at_any_wait_loses_no_sample_that_was_kept(make_world):
    _, life, _, _ = await crashing_session(make_world, None)
    for ends_at in range(life.waits):
        world, ended_life, ended, left = await crashing_session(make_world, ends_at)
        where = f"end at wait {ends_at}: {ended_life.trace[-1]}"
        [stop] = world.central.of(m.StopTransactionRequest)
        reported = {
            int(r.meter_value[0].sampled_value[0].value)
            for r in world.central.of(m.MeterValuesRequest)
        }
        collected = [wh for context, wh in contents(stop) if context is C.SAMPLE_PERIODIC]
        assert ended, where
        assert set(collected) == reported, where
        assert len(collected) == len(set(collected)), where
        assert contents(stop)[0] == (C.TRANSACTION_BEGIN, 0), where
        assert contents(stop)[-1] == (C.TRANSACTION_END, 400), where
        assert left == [], where


@pytest.mark.parametrize("ends_at", range(2, 40, 3))
async def test_two_ends_in_a_row_neither(make_world, ends_at):
    world = make_world(connectors=1, configuration=EVERY_20)
    await world.start()
    world.plc.start(1, "TAG")
    await charging(world, 40)
    await world.kill()
    await world.start(ends_at)
    await charging(world, 40)
    await world.kill()
    await world.start()
    await charging(world, 20)
    values = await stopped(world)
    await world.stop()

    energies = [wh for _, wh in values]
    assert energies[:3] == [0, 100, 200]
    assert energies[-2:] == [500, 500]
    assert energies == sorted(energies)


# Any order of samples, restarts and failures


class Collected:
    """StopData of one session, and what it should hold, over restarts."""

    def __init__(self, limit):
        self.clock = FakeClock()
        self.limit = limit
        self.storage = MemoryStorage()
        self.taken = {C.SAMPLE_PERIODIC: [], C.SAMPLE_CLOCK: []}
        self.session = Session(
            session="1-1",
            connector_id=1,
            event_id="1",
            id_tag="TAG",
            started_at=self.clock.now(),
            meter_start=0,
            checkpoint_wh=0,
            checkpoint_at=self.clock.now(),
        )

    async def restart(self):
        self.storage = MemoryStorage(contents=self.storage.contents)
        self.ledger = Ledger("BOX-1", self.storage)
        await self.ledger.load()
        keys = Keys(stop_sampled_data=(e.Measurand.VOLTAGE,))
        self.data = StopData(self.ledger, Readings(self.clock), keys=lambda: keys, limit=self.limit)
        await self.data.load()

    async def sample(self, context):
        number = sum(map(len, self.taken.values()))
        value = m.MeterValue(
            timestamp=self.clock.now(), sampled_value=(m.SampledValue(value=str(number)),)
        )
        await self.write(lambda plan: self.data.plan_sample(plan, self.session, value, context))
        self.taken[context].append(number)

    async def write(self, add):
        async def prepare():
            plan = Plan()
            add(plan)
            return plan

        await self.ledger.write(prepare)

    async def end(self):
        plan = Plan()
        at = self.clock.now()
        [data] = await self.data.plan_end(plan, self.session, at, 9, read=False)
        await self.storage.commit(*plan.changes)
        return data.values


@pytest.mark.parametrize("seed", range(15))
async def test_whatever_happens_the_middle_is_thinned_evenly(seed):
    chance = random.Random(seed)
    world = Collected(limit=chance.choice((10, 11, 37, 100)))
    await world.restart()
    await world.write(lambda plan: world.data.plan_begin(plan, world.session))
    share = chance.random()
    for _ in range(chance.randrange(1, 500)):
        context = C.SAMPLE_PERIODIC if chance.random() < share else C.SAMPLE_CLOCK
        if chance.random() < 0.005:
            await world.restart()
        if chance.random() < 0.02:
            world.storage.failure = StorageUnavailable("no space left on device")
            with contextlib.suppress(StorageUnavailable):  # a sample too many is not stored
                await world.sample(context)
            world.storage.failure = None
        await world.sample(context)
        assert len(await world.storage.find(SAMPLES)) < world.limit
    values = await world.end()

    assert len(values) <= world.limit
    assert values[0].sampled_value[0].context is C.TRANSACTION_BEGIN
    assert values[-1].sampled_value[0].context is C.TRANSACTION_END
    assert await world.storage.find(SAMPLES) == []
    kept = [int(value.sampled_value[0].value) for value in values[1:-1]]
    assert kept == sorted(kept)
    for taken in world.taken.values():
        places = [place for place, number in enumerate(taken) if number in kept]
        gaps = [b - a for a, b in itertools.pairwise([*places, len(taken)])]
        assert bool(places) == bool(taken)
        assert not taken or max(gaps) <= 4 * len(taken) / len(places), (places, len(taken))
    taken_in_all = sum(map(len, world.taken.values()))
    assert len(kept) == taken_in_all or taken_in_all > world.limit - 2
