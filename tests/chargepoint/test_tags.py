"""Tags: who decides, and that nobody waits for ever."""

from __future__ import annotations

import pytest

from ocppgw.ocpp import enums as e
from ocppgw.ocpp import model as m
from ocppgw.plc import AnswerTag
from ocppgw.storage import StorageUnavailable


async def answers_to(world, *tags, connector_id=1, seconds=5):
    for tag in tags:
        world.plc.present_tag(connector_id, tag)
    await world.clock.advance(seconds)
    return [(a.id_tag, a.accepted) for a in world.answers(AnswerTag)]


async def test_the_central_system_decides(world):
    world.central.tags["BAD"] = e.AuthorizationStatus.BLOCKED
    await world.start()
    await world.clock.advance(1)
    answers = await answers_to(world, "GOOD", "BAD")
    await world.stop()

    assert sorted(answers) == [("BAD", False), ("GOOD", True)]
    assert "connector 1: tag BAD refused: the central system says Blocked" in world.story()


async def test_two_tags_at_once_get_each_its_own_answer(world):
    world.central.tags["BAD"] = e.AuthorizationStatus.INVALID
    world.central.delay = 2
    await world.start()
    await world.clock.advance(30)
    good, bad = world.plc.present_tag(1, "GOOD"), world.plc.present_tag(2, "BAD")
    await world.clock.advance(5)
    answers = {a.event_id: (a.connector_id, a.accepted) for a in world.answers(AnswerTag)}
    await world.stop()

    assert answers == {good: (1, True), bad: (2, False)}


async def test_without_an_answer_the_tag_is_refused(world):
    await world.start()
    await world.clock.advance(1)
    world.central.away = True
    answers = await answers_to(world, "TAG")
    await world.stop()

    assert answers == [("TAG", False)]
    assert any("no answer from the central system" in line for line in world.story())


async def test_before_acceptance_a_tag_waits_only_so_long(world):
    world.central.boot_answers = [(e.RegistrationStatus.REJECTED, 600)]
    await world.start()
    answers = await answers_to(world, "TAG", seconds=19)
    assert answers == []
    await world.clock.advance(2)
    await world.stop()

    assert [(a.id_tag, a.accepted) for a in world.answers(AnswerTag)] == [("TAG", False)]
    assert world.central.of(m.AuthorizeRequest) == []


async def test_a_tag_presented_before_the_boot_is_answered_after_it(world):
    world.central.delay = 5
    await world.start()
    answers = await answers_to(world, "TAG", seconds=15)
    await world.stop()

    assert answers == [("TAG", True)]


@pytest.mark.parametrize("jump", [25.0, -25.0])
async def test_a_tag_from_before_a_long_restart_is_refused(world, jump):
    from datetime import timedelta

    world.central.delay = 10
    await world.start()
    await world.clock.advance(30)
    world.plc.present_tag(1, "TAG")
    await world.clock.advance(1)
    await world.kill()
    world.clock.set_time(world.clock.now() + timedelta(seconds=jump))
    await world.start()
    await world.clock.advance(5)
    answers = [(a.id_tag, a.accepted) for a in world.answers(AnswerTag)]
    await world.stop()

    assert answers == [("TAG", False)]


async def test_the_tag_of_the_running_session_need_not_be_asked_for(world):
    await world.start()
    world.plc.start(1, "Tag1")
    await world.clock.advance(1)
    world.central.away = True
    answers = await answers_to(world, "TAG1")
    await world.stop()

    assert answers == [("TAG1", True)]


async def test_a_tag_at_the_stations_reader_is_answered(world):
    await world.start()
    await world.clock.advance(1)
    answers = await answers_to(world, "TAG", connector_id=0)
    await world.stop()

    assert answers == [("TAG", True)]


async def test_a_tag_at_a_connector_out_of_service_is_refused(world):
    await world.start()
    await world.clock.advance(1)
    request = m.ChangeAvailabilityRequest(connector_id=1, type=e.AvailabilityType.INOPERATIVE)
    await world.ordered(request, 1)
    answers = await answers_to(world, "TAG")
    await world.stop()

    assert answers == [("TAG", False)]
    assert world.central.of(m.AuthorizeRequest) == []


async def test_an_answer_is_repeated_until_the_plc_takes_it(world):
    await world.start()
    await world.clock.advance(1)
    world.plc.muted.add(AnswerTag)
    assert await answers_to(world, "TAG", seconds=60) == []
    world.plc.muted.clear()
    await world.clock.advance(60)
    await world.stop()

    assert len(world.answers(AnswerTag)) == 1


async def test_an_answer_waits_for_a_plc_that_is_offline(world):
    await world.start()
    await world.clock.advance(1)
    world.central.delay = 5
    world.plc.present_tag(1, "TAG")
    await world.clock.advance(1)
    world.plc.go_offline()
    await world.clock.advance(60)
    assert world.answers(AnswerTag) == []
    world.plc.come_online()
    await world.clock.advance(1)
    await world.stop()

    assert len(world.answers(AnswerTag)) == 1


@pytest.mark.parametrize(("away", "answer"), [(10, True), (30, False)])
async def test_an_acceptance_that_reaches_the_plc_too_late_is_a_refusal(world, away, answer):
    """Who held the tag to the reader has left; another's car may stand there."""
    await world.start()
    await world.clock.advance(1)
    world.central.delay = 2
    world.plc.present_tag(1, "TAG")
    await world.clock.advance(1)
    world.plc.go_offline()
    await world.clock.advance(5)
    assert "connector 1: tag TAG accepted: the central system says Accepted" in world.story()
    await world.kill()
    await world.start()
    await world.clock.advance(away - 5)
    world.plc.come_online()
    await world.clock.advance(60)
    await world.stop()

    assert [a.accepted for a in world.answers(AnswerTag)] == [answer]
    told = [line for line in world.story() if "could not be told in time" in line]
    assert len(told) == (0 if answer else 1)


async def test_an_acceptance_that_is_stored_too_late_is_a_refusal(world):
    await world.start()
    await world.clock.advance(1)
    world.central.delay = 2
    world.plc.present_tag(1, "TAG")
    await world.clock.advance(1)
    world.storage.failure = StorageUnavailable("full")
    await world.clock.advance(30)
    world.storage.failure = None
    await world.clock.advance(30)
    await world.stop()

    assert [a.accepted for a in world.answers(AnswerTag)] == [False]


async def test_an_answer_that_the_plc_keeps_refusing_does_not_hold_up_the_next(world):
    await world.start()
    await world.clock.advance(1)
    world.plc.refused.add(AnswerTag)
    await answers_to(world, "ONE", seconds=10)
    await world.clock.advance(120)
    world.plc.refused.clear()
    await world.clock.advance(1)
    answers = await answers_to(world, "TWO", seconds=60)
    await world.stop()

    assert answers == [("TWO", True)]
    assert any(line.startswith("plc: refused the answer to its tag") for line in world.story())
