"""The small parts by themselves: settings, ledger, workers, the SOAP side of a box."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import msgspec
import pytest

from ocppgw.chargepoint.box import ChargeBox
from ocppgw.chargepoint.ledger import Ledger, Plan
from ocppgw.chargepoint.operations import reason_of
from ocppgw.chargepoint.records import SESSIONS, TAGS
from ocppgw.chargepoint.settings import CentralSystemLink, ChargeBoxSettings
from ocppgw.chargepoint.workers import Workers
from ocppgw.clock import SystemClock
from ocppgw.net.base import HttpReply
from ocppgw.plc import PlcError, PlcTimeout, TagPresented
from ocppgw.plc.simulated import SimulatedPlc, SimulatorOptions
from ocppgw.plc.simulator import SimulatorDriver
from ocppgw.storage import Conflict, Put, StorageUnavailable
from ocppgw.testing.clock import FakeClock, settle
from ocppgw.testing.storage import MemoryStorage

BOX = {
    "identity": "BOX-1",
    "central_system": {"url": "http://127.0.0.1/cs"},
    "state": "box.db",
    "plc": {"driver": "simulator"},
}


# Settings


@pytest.mark.parametrize(
    ("url", "addresses", "remote", "allowed"),
    [
        ("http://127.0.0.1:9220/cs", [], "127.0.0.1", True),
        ("http://127.0.0.1:9220/cs", [], "127.0.0.2", False),
        ("http://[::1]:9220/cs", [], "::1", True),
        ("https://cs.example/", ["10.1.0.0/16", "192.0.2.1"], "10.1.9.9", True),
        ("https://cs.example/", ["10.1.0.0/16", "192.0.2.1"], "192.0.2.2", False),
        ("https://cs.example/", ["10.1.0.0/16"], "::1", False),
        ("https://cs.example/", ["10.1.0.0/16"], "", False),
    ],
)
def test_only_the_configured_addresses_may_command(url, addresses, remote, allowed):
    link = CentralSystemLink(url=url, addresses=tuple(addresses))

    assert link.allows(remote) is allowed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"url": "ftp://127.0.0.1/"}, "must be an http or https URL"),
        ({"url": "http://127.0.0.1:99999/"}, "must be an http or https URL"),
        ({"url": "http://[::1/"}, "must be an http or https URL"),
        ({"url": "http://cs.example/"}, "must name who may call this box"),
        ({"url": "http://cs.example/", "addresses": ["nobody"]}, "'nobody'"),
    ],
)
def test_a_central_system_that_cannot_be_right_is_refused(change, message):
    with pytest.raises(msgspec.ValidationError, match=message):
        msgspec.convert(change, CentralSystemLink)


def test_the_least_that_has_to_be_said():
    settings = msgspec.convert(BOX, ChargeBoxSettings)

    assert settings.connectors == 1
    assert settings.deadlines.remote_start == 15.0
    assert [measurand.value for measurand in settings.configuration.sampled_data] == [
        "Energy.Active.Import.Register",
        "Power.Active.Import",
        "Voltage",
        "Current.Import",
    ]


def test_every_key_is_described():
    for struct in (ChargeBoxSettings, CentralSystemLink):
        schema = msgspec.json.schema(struct)["$defs"][struct.__name__]["properties"]
        assert [name for name, key in schema.items() if not key.get("description")] == []


# The ledger


async def test_numbers_grow_over_restarts():
    storage, numbers = MemoryStorage(), []
    for _ in range(3):
        ledger = Ledger("BOX-1", storage)
        await ledger.load()
        numbers += [ledger.number(), ledger.number()]

    assert numbers == sorted(set(numbers))


async def test_a_commit_goes_on_when_its_caller_is_cancelled():
    storage = MemoryStorage()
    ledger = Ledger("BOX-1", storage)
    done = []

    async def prepare():
        plan = Plan(Put(TAGS, ("BOX-1", 1), {"id_tag": "X"}, version=1))
        plan.done.append(lambda: done.append("done"))
        return plan

    task = asyncio.ensure_future(ledger.write(prepare))
    await asyncio.sleep(0)
    task.cancel()
    await ledger.settle()

    assert task.cancelled() or await asyncio.wait([task])
    assert done == ["done"]
    assert await storage.get(TAGS, ("BOX-1", 1)) is not None


async def test_a_failed_commit_is_undone_in_memory():
    storage = MemoryStorage()
    storage.failure = StorageUnavailable("full")
    ledger = Ledger("BOX-1", storage)
    calls = []

    async def prepare():
        plan = Plan(Put(TAGS, ("BOX-1", 1), {"id_tag": "X"}, version=1))
        plan.done.append(lambda: calls.append("done"))
        plan.undo.append(lambda: calls.append("undone"))
        return plan

    with pytest.raises(StorageUnavailable):
        await ledger.write(prepare)
    assert calls == ["undone"]


# Workers


async def test_a_worker_that_breaks_or_ends_is_started_again(caplog):
    clock = FakeClock()
    workers = Workers("BOX-1", clock)
    runs = []

    async def work():
        runs.append(clock.monotonic())
        if len(runs) == 1:
            raise ValueError("a bug")
        if len(runs) == 3:
            await asyncio.get_running_loop().create_future()

    workers.start("the work", work)
    await clock.advance(60)
    await workers.stop()

    assert runs == [0, 5, 10]
    assert "the work broke" in caplog.text
    assert "the work ended by itself" in caplog.text


# A driver that reports an event to a store that another process changed


async def test_a_worker_that_misses_being_cancelled_is_cancelled_again(monkeypatch):
    monkeypatch.setattr("ocppgw.chargepoint.workers.HEED", 0.01)
    workers = Workers("BOX-1", SystemClock())
    missed = 0

    async def distracted() -> None:
        nonlocal missed
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                missed += 1
                if missed == 3:
                    raise

    workers.start("a library", distracted)
    await asyncio.sleep(0)
    await workers.stop()

    assert missed == 3


async def test_a_conflict_is_told_to_the_driver_and_healed(world):
    await world.start()
    await world.clock.advance(1)
    station = world.box._rooms.station
    tables = world.contents.tables["box_last_event"]
    world.plc.present_tag(1, "ONE")
    await world.clock.advance(5)
    [row] = tables.values()
    row.document["event_id"] = "7"
    again = TagPresented(event_id="8", connector_id=1, at=world.clock.now(), id_tag="TWO")
    with pytest.raises(Conflict):
        await station.take(again)
    await station.take(again)
    await world.clock.advance(5)
    await world.stop()

    assert [a.id_tag for a in world.plc.answers] == ["ONE", "TWO"]


async def test_an_event_is_taken_once_and_its_number_may_come_round_again(world):
    await world.start()
    await world.clock.advance(1)
    station = world.box._rooms.station

    def tag(event_id):
        return TagPresented(event_id=event_id, connector_id=1, at=world.clock.now(), id_tag="T")

    for event_id in ("1", "1", "2", "1"):
        await station.take(tag(event_id), remember={"phase": event_id})
        await world.clock.advance(1)
    answers = [answer.event_id for answer in world.plc.answers]
    noted = station.notes()
    await station.remember({"phase": None, "other": "x"})
    await world.kill()
    await world.start()
    kept = world.box._rooms.station.notes()
    await world.stop()

    assert answers == ["1", "2", "1"]
    assert (noted, kept) == ({"phase": "1"}, {"other": "x"})


async def test_old_sessions_are_forgotten_one_day(world):
    await world.start()
    await world.session()
    world.clock.set_time(world.clock.now() + timedelta(days=401))
    world.storage.failure = StorageUnavailable("full")
    world.central.away = True
    await world.clock.advance(24 * 3600)
    world.storage.failure = None
    await world.clock.advance(24 * 3600)
    sessions = await world.storage.find(SESSIONS)
    await world.stop()

    assert sessions == []


# The SOAP side


class Poster:
    """An HTTP client that keeps what is posted."""

    def __init__(self) -> None:
        self.posts = []

    async def post(self, url, body, *, content_type, deadline):
        self.posts.append((url, body))
        return HttpReply(status=502, headers={}, body=b"")


@pytest.mark.parametrize(
    ("public_url", "sender"),
    [
        (None, b"http://192.0.2.1:9000/own"),
        ("https://public.example/cp", b"https://public.example/cp"),
    ],
)
async def test_a_box_speaks_soap_and_says_where_it_is(public_url, sender):
    clock, poster, observed = FakeClock(), Poster(), []
    box = ChargeBox(
        msgspec.convert({**BOX, "public_url": public_url}, ChargeBoxSettings),
        storage=MemoryStorage(ChargeBox.COLLECTIONS),
        clock=clock,
        http=poster,
        driver=SimulatorDriver(SimulatedPlc(1, clock, SimulatorOptions())),
        own_address=lambda: "http://192.0.2.1:9000/own",
        observe=observed.append,
        options=lambda plugin, options_type: options_type(),
    )
    await box.start()
    await settle()
    await box.stop()

    [(url, body)] = poster.posts
    assert url == "http://127.0.0.1/cs"
    assert sender in body
    assert b"bootNotificationRequest" in body
    assert any(getattr(o, "operation", "") == "BootNotification" for o in observed)


async def test_plugins_options_reach_the_context(world):
    class Options(msgspec.Struct):
        key: int = 5

    await world.start()
    options = world.box.context.options("someone", Options)
    await world.stop()

    assert options == Options()


def test_the_reasons_fit_into_a_notification():
    late = PlcTimeout("no answer from 192.0.2.1 in 15 s", withdrawn=False)

    assert len(f"remote start: {reason_of(late)}") == 50
    assert reason_of(PlcError("odd")) == "odd"
