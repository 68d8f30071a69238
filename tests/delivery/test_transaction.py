"""The transaction lane: order, waiting, counting, parking."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from ocppgw.delivery import RetryPolicy
from ocppgw.delivery.queue import PAGE
from ocppgw.link.base import NoEndpoint, PeerTimeout, Unsayable
from ocppgw.ocpp import model as m
from ocppgw.storage import Ensure, StorageError, StorageUnavailable
from ocppgw.testing.clock import settle


async def test_messages_go_in_order_under_the_id_that_came(world, make):
    await world.boot()
    async with world.running():
        await world.queue("A", make.start(1), make.values(150), make.stop())
        await world.queue("B", make.start(2), make.stop())
    assert world.peer.sent == ["Start 1", "Values 150 of 1000", "Stop 1000", "Start 2", "Stop 1001"]
    assert set(world.peer.deadlines) == {30.0}
    assert world.lane.pending == 0
    assert await world.lane.waiting() == []
    assert (await world.session("A"))["transaction_id"] == 1000
    assert world.settled == [1, 2, 3, 4, 5]
    assert world.told == []


async def test_nothing_goes_while_the_lane_is_shut(world, make):
    await world.boot()
    async with world.running(gate=False):
        await world.queue("A", make.start())
        await world.clock.advance(1000)
        assert world.peer.sent == []
        assert world.lane.pending == 1
        assert world.lane.oldest == world.clock.now() - timedelta(seconds=1000)
        world.lane.open()
        await settle()
        assert world.peer.sent == ["Start 1"]
        world.lane.shut()
        await world.queue("A", make.stop())
        await world.clock.advance(1000)
        assert world.peer.sent == ["Start 1"]
        world.lane.open()
        await settle()
        assert world.peer.sent == ["Start 1", "Stop 1000"]


async def test_a_message_whose_commit_failed_is_not_sent(world, make):
    await world.boot()
    async with world.running():
        world.lane.entry("A", make.start(1))  # its commit fails
        await world.queue("B", make.start(2))
        assert world.peer.sent == ["Start 2"]
        assert world.lane.pending == 0


async def test_a_commit_that_takes_its_time_is_not_overlooked(world, make):
    await world.boot()
    async with world.running():
        late = world.lane.entry("A", make.start(1))
        world.lane.wake()
        await settle()
        assert world.lane.pending == 0
        world.peer.script = make.cut_off(1)
        await world.storage.commit(late)
        world.lane.wake()
        await settle()
        assert world.lane.pending == 1
        await world.clock.advance(1)
        assert world.peer.sent == ["Start 1"] * 2


async def test_a_lane_is_loaded_before_it_is_used(world, make):
    await world.boot()
    fresh = type(world.lane)(
        box="BOX-1",
        storage=world.storage,
        clock=world.clock,
        peer=world.peer,
        book=world.book,
        policy=lambda: world.policy,
        changed=world.told.append,
    )
    with pytest.raises(RuntimeError, match="loaded"):
        fresh.entry("A", make.start())


# What is not reached is no attempt


async def test_unreached_messages_wait_longer_each_time_and_for_ever(world, make):
    await world.boot()
    world.peer.script = make.cut_off(10)
    async with world.running():
        await world.queue("A", make.start())
        for transmissions, delay in enumerate([1, 2, 4, 8, 16, 32, 60, 60, 60, 60], start=1):
            assert len(world.peer.sent) == transmissions
            await world.clock.advance(delay - 0.1)
            assert len(world.peer.sent) == transmissions
            await world.clock.advance(0.1)
        assert world.peer.sent == ["Start 1"] * 11
    assert len(set(world.peer.requests)) == 1
    assert world.book.heard == ["A StartTransaction answered"]
    assert world.told == [
        "1 messages wait: connection refused",
        "the central system is reached again, 1 messages to send",
    ]


@pytest.mark.parametrize(
    "error", [PeerTimeout("no answer in 30 s"), NoEndpoint("no address known")], ids=repr
)
async def test_other_ways_not_to_be_reached(world, make, error):
    await world.boot()
    world.peer.script = [error] * 20
    async with world.running():
        await world.queue("A", make.start())
        await world.clock.advance(3600)
    assert world.peer.sent == ["Start 1"] * 21
    assert await world.lane.parked() == []


async def test_a_nudge_ends_the_waiting(world, make):
    await world.boot()
    world.peer.script = make.cut_off(6)
    async with world.running():
        await world.queue("A", make.start())
        await world.clock.advance(31)
        assert len(world.peer.sent) == 6
        world.lane.nudge()
        await settle()
        assert world.book.heard == ["A StartTransaction answered"]
        # The next outage begins with short waits again.
        world.peer.script = make.cut_off(1)
        await world.queue("A", make.stop())
        await world.clock.advance(1)
        assert world.peer.sent[-2:] == ["Stop 1000"] * 2


async def test_new_messages_do_not_hurry_a_waiting_lane(world, make):
    await world.boot()
    world.peer.script = make.cut_off(2)
    async with world.running():
        await world.queue("A", make.start())
        await world.clock.advance(1)
        await world.queue("A", make.values(150))
        assert world.peer.sent == ["Start 1"] * 2
        await world.clock.advance(2)
        assert world.peer.sent == ["Start 1"] * 3 + ["Values 150 of 1000"]


async def test_other_rules_act_at_once_on_a_message_that_is_held(world, make):
    await world.boot()
    world.peer.script = [make.fault()] * 3
    async with world.running():
        await world.queue("A", make.start())
        await world.clock.advance(20)
        assert len(world.peer.sent) == 1
        world.policy = RetryPolicy(attempts=2, interval=30.0)
        world.lane.wake()
        await world.clock.advance(10)
        assert len(world.peer.sent) == 2
    assert len(await world.lane.parked()) == 1


# What alone is not answered


async def heartbeats(world, seconds, every=300):
    """Other messages get through now and then."""
    for _ in range(seconds // every):
        await world.clock.advance(every)
        world.lane.nudge()
    await settle()


async def test_one_that_alone_is_never_answered_is_parked_after_a_day(world, make):
    await world.boot()
    world.peer.unanswered = {1}
    async with world.running():
        await world.queue("A", make.start(1))
        await world.queue("B", make.start(2))
        await heartbeats(world, 23 * 3600)
        assert await world.lane.parked() == []
        assert set(world.peer.sent) == {"Start 1"}
        await heartbeats(world, 2 * 3600)
        [parked] = await world.lane.parked()
    assert (parked.sequence, parked.attempts) == (1, 0)
    assert parked.parked_because == "others are answered, this never: no answer in 30 s"
    assert world.peer.sent[-1] == "Start 2"
    assert world.lane.pending == 0
    assert world.told[1] == f"StartTransaction failed and was parked: {parked.parked_because}"


async def test_an_outage_is_no_silence_of_one_message(world, make):
    await world.boot()
    world.peer.unanswered = {1}
    async with world.running():
        await world.queue("A", make.start(1))
        await world.clock.advance(25 * 3600)
        await heartbeats(world, 3600)
        assert await world.lane.parked() == []
        world.peer.unanswered.clear()
        world.lane.nudge()
        await settle()
    assert world.book.heard == ["A StartTransaction answered"]


async def test_what_surely_did_not_arrive_is_no_silence(world, make):
    await world.boot()
    world.peer.script = [NoEndpoint("no address known")] * 10_000
    async with world.running():
        await world.queue("A", make.start(1))
        await heartbeats(world, 26 * 3600)
        assert await world.lane.parked() == []


# What is answered with a fault or nonsense counts


@pytest.mark.parametrize("kind", ["fault", "bad_reply"])
async def test_a_refused_message_is_parked_and_the_queue_goes_on(world, make, kind):
    await world.boot()
    refusal = getattr(make, kind)()
    world.peer.script = [refusal, refusal, refusal]
    async with world.running():
        await world.queue("A", make.start(1), make.stop())
        await world.clock.advance(59)
        assert world.peer.sent == ["Start 1"]
        world.lane.nudge()  # which is for outages, not for this
        await world.clock.advance(1)
        assert world.peer.sent == ["Start 1"] * 2
        await world.clock.advance(119)
        assert world.peer.sent == ["Start 1"] * 2
        await world.clock.advance(1)
        assert world.peer.sent == ["Start 1"] * 3 + ["Stop -1"]
        [parked] = await world.lane.parked()
    assert (parked.sequence, parked.session, parked.request) == (1, "A", make.start(1))
    assert (parked.attempts, parked.parked_because) == (3, str(refusal))
    assert world.lane.pending == 0
    assert await world.session("A") == {
        "session": "A",
        "given_up_1": str(refusal),
        "answer_2": "StopTransaction",
    }
    assert world.settled == [1, 2]
    assert world.told == [
        f"StartTransaction failed, sent again in 60 s: {refusal}",
        f"StartTransaction failed, sent again in 120 s: {refusal}",
        f"StartTransaction failed 3 times and was parked: {refusal}",
    ]


async def test_attempts_are_counted_over_outages_and_restarts(world, make):
    await world.boot()
    world.peer.script = [make.fault(), *make.cut_off(3), make.fault()]
    async with world.running():
        await world.queue("A", make.start())
        await world.clock.advance(70)
        [waiting] = await world.lane.waiting()
        assert waiting.attempts == 2
    await world.boot()
    world.peer.script = [make.fault()]
    async with world.running():
        assert [entry.attempts for entry in await world.lane.parked()] == [3]


async def test_what_cannot_be_said_is_parked_at_once(world, make):
    await world.boot()
    world.peer.script = [Unsayable("OCPP 1.2 has no such thing")]
    async with world.running():
        await world.queue("A", make.start(1))
        await world.queue("B", make.start(2))
        assert world.peer.sent == ["Start 1", "Start 2"]
        assert len(await world.lane.parked()) == 1
    assert world.told == ["StartTransaction failed and was parked: OCPP 1.2 has no such thing"]


async def test_a_parked_message_is_sent_again_before_the_others(world, make):
    await world.boot()
    world.peer.script = [make.fault()] * 3
    async with world.running():
        await world.queue("A", make.start(1))
        await world.clock.advance(180)
        world.lane.shut()
        await world.queue("A", make.stop())
        await world.lane.send_again(1)
        assert world.lane.pending == 2
        assert await world.lane.parked() == []
        assert [entry.attempts for entry in await world.lane.waiting()] == [0, 0]
        world.lane.open()
        await settle()
        assert world.peer.sent[3:] == ["Start 1", "Stop 1000"]
        with pytest.raises(KeyError, match="no parked message 1 of BOX-1"):
            await world.lane.send_again(1)


async def test_a_parked_message_can_be_refused_again(world, make):
    await world.boot()
    world.peer.script = [make.fault()] * 6
    async with world.running():
        await world.queue("A", make.start(1))
        await world.clock.advance(180)
        await world.lane.send_again(1)
        await world.clock.advance(180)
        assert world.peer.sent == ["Start 1"] * 6
        assert [entry.attempts for entry in await world.lane.parked()] == [3]


async def test_a_parked_message_is_discarded_for_good(world, make):
    await world.boot()
    world.peer.script = [make.fault()] * 3
    async with world.running():
        await world.queue("A", make.start(1))
        await world.clock.advance(180)
        await world.lane.discard(1)
        with pytest.raises(KeyError):
            await world.lane.discard(1)
    await world.boot()
    assert await world.lane.parked() == []
    async with world.running():
        # The sequence of what is gone does not come again.
        await world.queue("B", make.start(2))
    assert world.settled[-1] == 2


async def test_a_waiting_message_is_not_discarded(world, make):
    await world.boot()
    await world.queue("A", make.start(1))
    with pytest.raises(KeyError):
        await world.lane.discard(1)
    assert len(await world.lane.waiting()) == 1


# The store is away


async def test_an_answer_waits_for_the_store(world, make):
    await world.boot()

    async def store_goes_away():
        world.storage.failure = StorageUnavailable("the disk is full")

    world.peer.script = [store_goes_away]
    async with world.running():
        await world.queue("A", make.start(1), make.stop())
        await world.clock.advance(100)
        assert world.peer.sent == ["Start 1"]
        assert world.settled == []
        world.storage.failure = None
        await world.clock.advance(60)
        assert world.peer.sent == ["Start 1", "Stop 1000"]
    assert world.book.heard == ["A StartTransaction answered", "A StopTransaction answered"]
    assert world.told == ["an answer waits for the store: the disk is full"]


async def test_killed_while_an_answer_waits_for_the_store_it_is_sent_again(world, make):
    await world.boot()

    async def store_goes_away():
        world.storage.failure = StorageUnavailable("the disk is full")

    world.peer.script = [store_goes_away]
    async with world.running():
        await world.queue("A", make.start(1), make.stop())
        await world.clock.advance(100)
    await world.boot()
    async with world.running():
        assert world.peer.sent == ["Start 1", "Start 1", "Stop 1000"]


async def test_a_queue_that_cannot_be_read_is_asked_again(world, make):
    await world.boot()
    await world.queue("A", make.start(1))
    world.storage.failure = StorageError("the disk failed")
    async with world.running():
        await world.clock.advance(100)
        assert world.peer.sent == []
        assert world.told[0] == "the store failed, the lane tries again: the disk failed"
        world.storage.failure = None
        await world.clock.advance(60)
        assert world.peer.sent == ["Start 1"]


# Errors of our own


@pytest.mark.parametrize("where", ["addressed", "answered"])
async def test_an_error_of_the_book_parks_its_message_only(world, make, where, caplog):
    await world.boot()
    world.book.fail[where] = ZeroDivisionError("oops")
    async with world.running():
        await world.queue("A", make.start(1))
        await world.clock.advance(179)
        assert await world.lane.parked() == []
        await world.clock.advance(1)
        [parked] = await world.lane.parked()
        assert parked.parked_because == "an error of ours: ZeroDivisionError('oops')"
        world.book.fail.clear()
        await world.queue("B", make.start(2))
        assert world.peer.sent[-1] == "Start 2"
    assert "cannot be handled" in caplog.text


@pytest.mark.parametrize("change", [None, "unstorable"])
async def test_a_message_is_parked_even_if_the_book_cannot_take_it(world, make, change, caplog):
    await world.boot()
    world.peer.script = [Unsayable("no")]
    if change is None:
        world.book.fail["gave_up"] = ZeroDivisionError("oops")
    else:
        collection = next(iter(world.storage.contents.collections.values()))
        world.book.gave_up = lambda entry, why: [Ensure(collection, {"session": object()})]
    async with world.running():
        await world.queue("A", make.start(1))
        assert [entry.sequence for entry in await world.lane.parked()] == [1]
        await world.queue("B", make.start(2))
        assert world.peer.sent == ["Start 1", "Start 2"]
    assert "parked without its changes" in caplog.text


async def test_listeners_that_fail_harm_nobody(world, make, caplog):
    def broken(_: object) -> None:
        raise ZeroDivisionError("oops")

    await world.boot()
    world.lane._changed = broken
    world.lane._told_settled = broken
    world.peer.script = make.cut_off(1)
    async with world.running():
        await world.queue("A", make.start(1))
        await world.clock.advance(1)
        await world.queue("A", make.stop())
    assert world.peer.sent == ["Start 1", "Start 1", "Stop 1000"]
    assert await world.lane.waiting() == []
    assert "nobody heard" in caplog.text


async def test_a_message_of_a_later_version_holds_the_queue(world, make, caplog):
    await world.boot()
    change = world.lane.entry("A", make.start(1))
    change.document["operation"] = "SignedUpdateFirmware"
    await world.storage.commit(change)
    async with world.running():
        await world.queue("B", make.start(2))
        await world.clock.advance(100)
        assert world.peer.sent == []
    assert "unknown operation, 'SignedUpdateFirmware'" in caplog.text


@pytest.mark.parametrize("kind", ["counted", "parked"])
async def test_a_lane_outlives_an_operator_who_was_faster(world, make, kind):
    await world.boot()

    async def refuse():
        for _ in range(2):
            [entry] = await world.lane.waiting()
            await world.storage.commit(world.lane._queue.attempt(entry, 0))
        raise make.fault() if kind == "counted" else Unsayable("no")

    world.peer.script = [refuse]
    async with world.running():
        await world.queue("A", make.start(1))
        await world.clock.advance(10)
        assert world.peer.sent == ["Start 1"] * 2
    assert world.book.heard[-1] == "A StartTransaction answered"
    assert await world.lane.parked() == []


async def test_messages_survive_in_every_field(world, make):
    await world.boot()
    request = m.StopTransactionRequest(
        transaction_id=7,
        id_tag="Ümlaut <&>",
        timestamp=world.clock.now().replace(microsecond=123456),
        meter_stop=2**31 - 1,
        transaction_data=(m.TransactionData(values=make.values(5).meter_value),),
    )
    await world.queue("A", request)
    await world.boot()
    [entry] = await world.lane.waiting()
    assert entry.request == request
    assert entry.queued_at == world.clock.now()
    assert entry.operation == "StopTransaction"


async def test_long_queues_are_read_in_pages(world, make):
    count = 2 * PAGE + 1
    await world.boot()
    entries = [world.lane.entry("A", make.values(wh)) for wh in range(count)]
    await world.storage.commit(*entries)
    await world.boot()
    assert world.lane.pending == count
    assert [entry.sequence for entry in await world.lane.waiting(limit=3)] == [1, 2, 3]
    async with world.running():
        while world.lane.pending:  # noqa: ASYNC110 (turns of the loop, no time)
            await asyncio.sleep(0)
    assert [sent.split()[1] for sent in world.peer.sent] == [str(wh) for wh in range(count)]
