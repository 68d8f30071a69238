"""The latest-only lane: the newest under each name, once, when it can be sent."""

from __future__ import annotations

import pytest

from ocppgw.delivery import LatestLane, RetryPolicy
from ocppgw.delivery.latest import LATEST
from ocppgw.link.base import Unsayable
from ocppgw.ocpp.enums import ChargePointStatus as Status
from ocppgw.storage import StorageUnavailable
from ocppgw.testing.clock import settle


async def put(world, key, request):
    await world.storage.commit(world.latest.put(key, request))
    world.latest.wake()
    await settle()


async def test_each_message_is_sent_once(world, make):
    await world.boot()
    async with world.running():
        await put(world, "status.1", make.status(1, Status.AVAILABLE))
        await put(world, "status.2", make.status(2, Status.AVAILABLE))
        await put(world, "status.1", make.status(1, Status.CHARGING))
        await world.clock.advance(1000)
    assert world.peer.sent == ["Status 1 Available", "Status 2 Available", "Status 1 Charging"]
    assert await world.latest.unsent() == {}
    await world.boot()
    async with world.running():
        await world.clock.advance(1000)
    assert len(world.peer.sent) == 3


async def test_older_ones_fall_away_while_the_lane_is_shut(world, make):
    await world.boot()
    async with world.running(gate=False):
        for status in (Status.AVAILABLE, Status.PREPARING, Status.CHARGING):
            await put(world, "status.1", make.status(1, status))
            await put(world, "status.2", make.status(2, status))
        await put(world, "status.1", make.status(1, Status.FINISHING))
        assert world.peer.sent == []
        assert await world.latest.unsent() == {
            "status.2": make.status(2, Status.CHARGING),
            "status.1": make.status(1, Status.FINISHING),
        }
        world.latest.open()
        await settle()
        assert world.peer.sent == ["Status 2 Charging", "Status 1 Finishing"]
        world.latest.shut()
        await put(world, "status.1", make.status(1, Status.AVAILABLE))
        assert len(world.peer.sent) == 2


async def test_unsent_messages_survive_a_restart(world, make):
    await world.boot()
    await put(world, "status.1", make.status(1, Status.PREPARING))
    await world.boot()
    await put(world, "status.1", make.status(1, Status.CHARGING))
    await world.boot()
    async with world.running():
        assert world.peer.sent == ["Status 1 Charging"]


async def test_a_message_that_changed_under_way_is_sent_too(world, make):
    await world.boot()

    async def change():
        newer = world.latest.put("status.1", make.status(1, Status.CHARGING))
        await world.storage.commit(newer)

    world.peer.script = [change]
    async with world.running():
        await put(world, "status.1", make.status(1, Status.AVAILABLE))
        assert world.peer.sent == ["Status 1 Available", "Status 1 Charging"]


async def test_an_outage_is_waited_for_and_only_the_newest_sent(world, make):
    await world.boot()
    world.peer.script = make.cut_off(3)
    async with world.running():
        await put(world, "status.1", make.status(1, Status.AVAILABLE))
        await world.clock.advance(3)
        await put(world, "status.1", make.status(1, Status.CHARGING))
        assert world.peer.sent == ["Status 1 Available"] * 3
        await world.clock.advance(3.9)
        assert len(world.peer.sent) == 3
        await world.clock.advance(0.1)
        assert world.peer.sent[3:] == ["Status 1 Charging"]
        world.peer.script = make.cut_off(1)
        await put(world, "status.1", make.status(1, Status.FINISHING))
        world.latest.nudge()
        await settle()
        assert world.peer.sent[4:] == ["Status 1 Finishing"] * 2


async def test_a_refused_message_holds_up_no_other_and_is_dropped_at_last(world, make):
    await world.boot()
    world.peer.script = [make.fault(), None, make.bad_reply(), make.fault()]
    async with world.running():
        await put(world, "status.1", make.status(1, Status.AVAILABLE))
        await put(world, "status.2", make.status(2, Status.AVAILABLE))
        assert world.peer.sent == ["Status 1 Available", "Status 2 Available"]
        await world.clock.advance(60)
        assert world.peer.sent[2:] == ["Status 1 Available"]
        await world.clock.advance(120)
        assert world.peer.sent[3:] == ["Status 1 Available"]
        await world.clock.advance(10_000)
        assert len(world.peer.sent) == 4
    assert await world.latest.unsent() == {}
    assert world.told == [
        "StatusNotification failed, sent again in 60 s: fault InternalError",
        "StatusNotification failed, sent again in 120 s: an HTML page instead of an answer",
        "StatusNotification failed 3 times and was dropped: fault InternalError",
    ]


async def test_other_rules_act_at_once_on_a_message_that_is_held(world, make):
    await world.boot()
    world.peer.script = [make.fault()]
    async with world.running():
        await put(world, "status.1", make.status(1, Status.AVAILABLE))
        await world.clock.advance(20)
        world.policy = RetryPolicy(interval=30.0)
        world.latest.wake()
        await world.clock.advance(10)
    assert world.peer.sent == ["Status 1 Available"] * 2


async def test_a_newer_message_does_not_wait_for_a_refused_one(world, make):
    await world.boot()
    world.peer.script = [make.fault()]
    async with world.running():
        await put(world, "status.1", make.status(1, Status.AVAILABLE))
        await put(world, "status.1", make.status(1, Status.CHARGING))
        await world.clock.advance(1000)
    assert world.peer.sent == ["Status 1 Available", "Status 1 Charging"]


async def test_what_cannot_be_said_is_dropped(world, make):
    await world.boot()
    world.peer.script = [Unsayable("OCPP 1.2 has no such status")]
    async with world.running():
        await put(world, "status.1", make.status(1, Status.SUSPENDED_EV))
        await world.clock.advance(1000)
    assert world.peer.sent == ["Status 1 SuspendedEV"]
    assert world.told == ["StatusNotification was dropped: OCPP 1.2 has no such status"]


async def test_the_store_goes_away_and_comes_back(world, make):
    await world.boot()

    async def store_goes_away():
        world.storage.failure = StorageUnavailable("the disk is full")

    world.peer.script = [store_goes_away]
    async with world.running():
        await put(world, "status.1", make.status(1, Status.AVAILABLE))
        await world.clock.advance(100)
        assert world.peer.sent == ["Status 1 Available"]
        world.storage.failure = None
        await world.clock.advance(60)
        assert world.peer.sent == ["Status 1 Available"] * 2
        assert await world.latest.unsent() == {}
        await put(world, "status.1", make.status(1, Status.CHARGING))
        assert world.peer.sent[-1] == "Status 1 Charging"


async def test_an_error_of_ours_does_not_end_the_lane(world, make, caplog):
    await world.boot()

    async def stumble():
        raise ZeroDivisionError("oops")

    world.peer.script = [stumble]
    async with world.running():
        await put(world, "status.1", make.status(1, Status.AVAILABLE))
        await world.clock.advance(60)
    assert world.peer.sent == ["Status 1 Available"] * 2
    assert "status.1 cannot be handled" in caplog.text


async def test_a_lane_is_loaded_before_it_is_used(world, make):
    await world.boot()
    fresh = LatestLane(
        box="BOX-1",
        storage=world.storage,
        clock=world.clock,
        peer=world.peer,
        policy=lambda: world.policy,
        changed=world.told.append,
    )
    with pytest.raises(RuntimeError, match="loaded"):
        fresh.put("status.1", make.status(1, Status.AVAILABLE))


async def test_one_that_is_never_answered_does_not_keep_the_others(world, make):
    await world.boot()
    world.peer.unanswered = {1}
    async with world.running(gate=False):
        await put(world, "status.1", make.status(1, Status.FAULTED))
        await put(world, "status.2", make.status(2, Status.AVAILABLE))
        await put(world, "status.3", make.status(3, Status.AVAILABLE))
        world.latest.open()
        await settle()
        assert world.peer.sent == ["Status 1 Faulted"]
        await world.clock.advance(1)
        assert world.peer.sent[1:] == [
            "Status 2 Available",
            "Status 3 Available",
            "Status 1 Faulted",
        ]
        world.peer.unanswered.clear()
        await world.clock.advance(2)
    assert await world.latest.unsent() == {}


async def test_failures_of_what_fell_away_are_forgotten(world, make):
    await world.boot()
    world.peer.script = [make.fault()] * 20
    async with world.running():
        for n in range(20):
            await put(world, "status.1", make.status(1, [Status.AVAILABLE, Status.CHARGING][n % 2]))
        assert len(world.peer.sent) == 20
        assert len(world.latest._trials) == 1


async def test_a_message_that_cannot_be_handled_holds_up_no_other(world, make, caplog):
    """One that a later version has left, or an error of ours in its encoding."""
    await world.boot()
    change = world.latest.put("status.1", make.status(1, Status.AVAILABLE))
    change.fields["operation"] = "SignedFirmwareStatusNotification"
    await world.storage.commit(change)
    other = world.latest.put("status.2", make.status(2, Status.FAULTED))
    await world.storage.commit(other)
    async with world.running():
        await world.clock.advance(1)
        assert world.peer.sent == ["Status 2 Faulted"]
        await world.clock.advance(200)
        documents = await world.storage.find(LATEST)
        assert [d["name"] for d in documents if d["version"] != d.get("sent")] == []
    what = "SignedFirmwareStatusNotification failed 3 times and was dropped: an error of ours"
    assert world.told[-1].startswith(what)
    assert "status.1 cannot be handled" in caplog.text
