"""Who decides about a tag, with the central system and without it, and over crashes."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import msgspec
import pytest

from ocppgw.ocpp import enums as e
from ocppgw.ocpp import model as m
from ocppgw.plc import AnswerTag

ACCEPTED = m.IdTagInfo(status=e.AuthorizationStatus.ACCEPTED)
BLOCKED = m.IdTagInfo(status=e.AuthorizationStatus.BLOCKED)
FAMILY = m.IdTagInfo(status=e.AuthorizationStatus.ACCEPTED, parent_id_tag="FAMILY")


def full_list(version, **tags):
    return m.SendLocalListRequest(
        update_type=e.UpdateType.FULL,
        list_version=version,
        local_authorization_list=tuple(
            m.AuthorizationData(id_tag=tag, id_tag_info=info) for tag, info in tags.items()
        ),
    )


async def begun(world, **listed):
    """A box that is accepted, with that local list."""
    await world.start()
    await world.clock.advance(1)
    if listed:
        answer = await world.order(full_list(1, **listed))
        assert answer.status is e.UpdateStatus.ACCEPTED


async def verdict(world, tag, *, connector_id=1, seconds=1.0):
    """The PLC's answer to a tag after so many seconds, ``None`` if there is none yet."""
    event_id = world.plc.present_tag(connector_id, tag)
    await world.clock.advance(seconds)
    answers = [a.accepted for a in world.answers(AnswerTag) if a.event_id == event_id]
    return answers[0] if answers else None


async def configure(world, key, value):
    request = m.ChangeConfigurationRequest(key=key, value=value)
    assert (await world.order(request)).status is e.ConfigurationStatus.ACCEPTED


def asked(world):
    return [
        request.id_tag for request in world.central.got if isinstance(request, m.AuthorizeRequest)
    ]


# With the central system


async def test_a_listed_tag_is_accepted_without_asking(world):
    world.central.tags["A"] = e.AuthorizationStatus.BLOCKED
    await begun(world, A=ACCEPTED)
    accepted = await verdict(world, "a ")
    await world.stop()

    assert accepted
    assert asked(world) == []
    assert "connector 1: tag a  accepted: the local list says Accepted" in world.story()


async def test_a_listed_tag_that_is_not_valid_is_asked_for(world):
    expired = m.IdTagInfo(
        status=e.AuthorizationStatus.ACCEPTED, expiry_date=world.clock.now() - timedelta(seconds=1)
    )
    world.central.tags["OLD"] = e.AuthorizationStatus.BLOCKED
    await begun(world, BAD=BLOCKED, OLD=expired)
    verdicts = [await verdict(world, "BAD"), await verdict(world, "OLD")]
    await world.stop()

    assert verdicts == [True, False]
    assert asked(world) == ["BAD", "OLD"]


async def test_the_operator_reads_why_a_list_was_not_taken(world):
    await begun(world, A=ACCEPTED)
    answer = await world.ordered(full_list(0, B=ACCEPTED), 5)
    infos = world.central.infos()
    await world.stop()

    assert answer.status is e.UpdateStatus.FAILED
    assert infos == ["local list: listVersion is 0, expected 1 or more"]


async def test_a_list_that_is_switched_off_does_not_count(world):
    await begun(world, A=ACCEPTED)
    await configure(world, "LocalAuthListEnabled", "false")
    await verdict(world, "A")
    version = await world.order(m.GetLocalListVersionRequest())
    await world.stop()

    assert asked(world) == ["A"]
    assert version.list_version == 1


@pytest.mark.parametrize(("key", "asks"), [("false", 2), ("true", 1)])
async def test_a_remembered_tag_is_accepted_at_once_with_local_pre_authorize(world, key, asks):
    await begun(world)
    await configure(world, "LocalPreAuthorize", key)
    verdicts = [await verdict(world, "A"), await verdict(world, "A")]
    await world.stop()

    assert verdicts == [True, True]
    assert asked(world) == ["A"] * asks


async def test_a_remembered_refusal_is_asked_for_again(world):
    await begun(world)
    await configure(world, "LocalPreAuthorize", "true")
    world.central.tags["A"] = e.AuthorizationStatus.BLOCKED
    first = await verdict(world, "A")
    world.central.tags["A"] = e.AuthorizationStatus.ACCEPTED
    second = await verdict(world, "A")
    await world.stop()

    assert (first, second) == (False, True)


async def test_a_fault_is_an_answer(world):
    await begun(world)
    await configure(world, "AllowOfflineTxForUnknownId", "true")
    assert await verdict(world, "A")
    world.central.faults[m.AuthorizeRequest] = 1
    refused = await verdict(world, "A")
    await world.stop()

    assert refused is False


async def test_a_tag_that_cannot_be_asked_for_is_refused(world):
    await begun(world)
    await configure(world, "AllowOfflineTxForUnknownId", "true")
    world.central.unsayable.add(m.AuthorizeRequest)
    refused = await verdict(world, "A")
    await world.stop()

    assert refused is False


async def test_an_empty_tag_is_refused_unasked(world):
    await begun(world)
    refused = await verdict(world, "  ")
    await world.stop()

    assert refused is False
    assert asked(world) == []


# Without it


async def test_offline_the_list_and_the_cache_decide(world):
    world.central.tags["BAD"] = e.AuthorizationStatus.INVALID
    await begun(world, LISTED=ACCEPTED, BARRED=BLOCKED)
    await verdict(world, "GOOD")
    await verdict(world, "BAD")
    world.central.away = True
    verdicts = {
        tag: await verdict(world, tag) for tag in ("LISTED", "BARRED", "GOOD", "BAD", "NEW")
    }
    story = world.story()
    await world.stop()

    assert verdicts == {
        "LISTED": True,
        "BARRED": False,
        "GOOD": True,
        "BAD": False,
        "NEW": False,
    }
    away = "no answer from the central system: nobody listens at http://central"
    assert f"connector 1: tag GOOD accepted: {away}; the cache says Accepted" in story
    assert f"connector 1: tag BARRED refused: {away}; the local list says Blocked" in story
    assert f"connector 1: tag NEW refused: {away}; nothing is known of it here" in story


async def test_offline_after_a_restart_the_cache_still_decides(world):
    await begun(world)
    await verdict(world, "GOOD")
    await world.kill()
    world.central.away = True
    await world.start()
    await world.clock.advance(1)
    accepted = await verdict(world, "GOOD", seconds=5)
    await world.stop()

    assert accepted
    assert any("the central system does not answer; the cache" in line for line in world.story())


async def test_a_central_system_of_which_nothing_is_known_yet_has_its_time(world):
    await begun(world)
    await verdict(world, "GOOD")
    await world.kill()
    world.central.delay = 5
    world.central.tags["GOOD"] = e.AuthorizationStatus.BLOCKED
    await world.start()
    accepted = await verdict(world, "GOOD", seconds=15)
    await world.stop()

    assert accepted is False


async def test_a_central_system_that_answers_the_boot_with_a_fault_is_there(world):
    await begun(world)
    await verdict(world, "GOOD")
    await world.kill()
    world.central.faults[m.BootNotificationRequest] = 100
    await world.start()
    await world.clock.advance(1)
    accepted = await verdict(world, "GOOD", seconds=20)
    await world.stop()

    assert accepted is False


async def test_offline_a_tag_is_refused_once_it_has_expired(world):
    soon = m.IdTagInfo(
        status=e.AuthorizationStatus.ACCEPTED, expiry_date=world.clock.now() + timedelta(minutes=1)
    )
    world.central.said["C"] = soon
    await begun(world, L=soon)
    await configure(world, "AllowOfflineTxForUnknownId", "true")
    await verdict(world, "C")
    world.central.away = True
    before = [await verdict(world, "L"), await verdict(world, "C")]
    await world.clock.advance(60)
    after = [await verdict(world, "L"), await verdict(world, "C")]
    await world.stop()

    assert (before, after) == ([True, True], [False, False])
    assert any("the local list says Expired" in line for line in world.story())


async def test_offline_unknown_tags_are_let_in_if_that_is_configured(world):
    await begun(world, BARRED=BLOCKED)
    await configure(world, "AllowOfflineTxForUnknownId", "true")
    world.central.away = True
    verdicts = [await verdict(world, "NEW"), await verdict(world, "BARRED")]
    await world.stop()

    assert verdicts == [True, False]


async def test_offline_what_is_known_here_does_not_count_if_that_is_configured(world):
    await begun(world, LISTED=ACCEPTED)
    await configure(world, "LocalAuthorizeOffline", "false")
    await verdict(world, "GOOD")
    world.central.away = True
    verdicts = [await verdict(world, "LISTED"), await verdict(world, "GOOD")]
    await world.stop()

    # The list needs no central system, away or not (O-32).
    assert verdicts == [True, False]


async def test_nobody_waits_long_for_a_line_that_is_known_to_be_dead(world):
    """A dead line swallows what is sent: each call takes its whole deadline."""
    await begun(world)
    await verdict(world, "GOOD")
    world.central.delay, world.central.away = 600, True
    first = await verdict(world, "GOOD", seconds=17)
    assert first is None
    await world.clock.advance(2)
    assert [a.accepted for a in world.answers(AnswerTag)] == [True, True]
    assert await verdict(world, "GOOD", seconds=2) is None
    await world.clock.advance(2)
    assert [a.accepted for a in world.answers(AnswerTag)] == [True, True, True]
    # Who is not let in without it, is not refused before its time is up.
    assert await verdict(world, "NEW", seconds=19) is None
    await world.clock.advance(2)
    assert [a.accepted for a in world.answers(AnswerTag)] == [True, True, True, False]
    await world.stop()


async def test_a_box_that_is_not_accepted_lets_nobody_in_but_the_list(world):
    await begun(world, LISTED=ACCEPTED)
    await verdict(world, "GOOD")
    await world.kill()
    world.central.boot_answers = [(e.RegistrationStatus.REJECTED, 600)]
    await world.start()
    await world.clock.advance(1)
    verdicts = [await verdict(world, "LISTED"), await verdict(world, "GOOD", seconds=21)]
    await world.stop()

    assert verdicts == [True, False]


# Reservations


async def reserve(world, tag, parent=None):
    request = m.ReserveNowRequest(
        connector_id=1,
        expiry_date=world.clock.now() + timedelta(minutes=10),
        id_tag=tag,
        parent_id_tag=parent,
        reservation_id=7,
    )
    answer = await world.ordered(request, 1)
    assert answer.status is e.ReservationStatus.ACCEPTED


async def test_a_reserved_connector_is_kept_from_a_known_tag_unasked(world):
    await begun(world, LISTED=ACCEPTED)
    await verdict(world, "REMEMBERED")
    await reserve(world, "OWNER")
    refused = [await verdict(world, "LISTED"), await verdict(world, "REMEMBERED")]
    await world.stop()

    assert refused == [False, False]
    assert asked(world) == ["REMEMBERED"]


async def test_the_parent_of_an_unknown_tag_is_asked_for(world):
    world.central.said.update(FRIEND=FAMILY, STRANGER=ACCEPTED)
    await begun(world)
    await reserve(world, "OWNER", parent="family")
    verdicts = [await verdict(world, tag) for tag in ("FRIEND", "STRANGER")]
    world.plc.start(1, "FRIEND")
    await world.clock.advance(1)
    [start] = world.central.of(m.StartTransactionRequest)
    await world.stop()

    assert verdicts == [True, False]
    assert start.reservation_id == 7


async def test_without_the_cache_the_start_of_a_group_s_tag_uses_the_reservation_too(world):
    world.central.said.update(FRIEND=FAMILY, OTHER=FAMILY)
    await begun(world)
    await configure(world, "AuthorizationCacheEnabled", "false")
    await reserve(world, "OWNER", parent="family")
    assert await verdict(world, "FRIEND")
    await world.kill()
    await world.start()
    world.plc.start(1, "friend ")
    await world.clock.advance(1)
    [start] = world.central.of(m.StartTransactionRequest)
    await world.stop()

    assert start.reservation_id == 7
    assert not any("began although" in line for line in world.story())


async def test_who_is_refused_does_not_come_into_a_reservation(world):
    brother = msgspec.structs.replace(BLOCKED, parent_id_tag="FAMILY")
    world.central.said.update(FRIEND=brother, STRANGER=ACCEPTED)
    await begun(world)
    await configure(world, "AuthorizationCacheEnabled", "false")
    await reserve(world, "OWNER", parent="family")
    assert [await verdict(world, tag) for tag in ("FRIEND", "STRANGER")] == [False, False]
    reservations = world.box._rooms.reservations
    kept = [reservations.refuses(1, tag) for tag in ("FRIEND", "STRANGER", "OWNER")]
    await world.stop()

    assert kept == ["connector is reserved for another"] * 2 + [None]


async def test_a_connector_reserved_while_the_central_system_is_asked_is_kept(world):
    await begun(world)
    world.central.delay = 3
    event_id = world.plc.present_tag(1, "STRANGER")
    await world.clock.advance(1)
    await reserve(world, "OWNER")
    await world.clock.advance(3)
    answers = {a.event_id: a.accepted for a in world.answers(AnswerTag)}
    await world.stop()

    assert answers == {event_id: False}


# Sessions


async def test_a_tag_of_the_same_group_may_end_the_session(world):
    world.central.said.update(A=FAMILY, B=FAMILY)
    await begun(world)
    await verdict(world, "A")
    await verdict(world, "B")
    world.plc.start(1, "A")
    await world.clock.advance(1)
    before = asked(world)
    accepted = await verdict(world, "b")
    await world.stop()

    assert accepted
    assert asked(world) == before
    assert any("of the same group" in line for line in world.story())


async def test_a_session_that_runs_out_of_service_can_be_ended_by_its_tag(world):
    await begun(world)
    out = m.ChangeAvailabilityRequest(connector_id=1, type=e.AvailabilityType.INOPERATIVE)
    await world.ordered(out, 1)
    world.plc.start(1, "A")
    await world.clock.advance(1)
    verdicts = [await verdict(world, "a"), await verdict(world, "B")]
    await world.stop()

    assert verdicts == [True, False]


async def test_the_stations_reader_is_out_of_service_with_the_last_connector(world):
    await begun(world)
    verdicts = []
    out, back = e.AvailabilityType.INOPERATIVE, e.AvailabilityType.OPERATIVE
    for connector_id, kind in ((1, out), (2, out), (1, back), (0, out), (2, back)):
        order = m.ChangeAvailabilityRequest(connector_id=connector_id, type=kind)
        await world.ordered(order, 1)
        verdicts.append(await verdict(world, "A", connector_id=0))
    await world.stop()

    assert verdicts == [True, False, True, False, True]


async def test_at_the_stations_reader_the_tag_of_any_session_may_end_it(world):
    world.central.said.update(A=FAMILY, B=FAMILY)
    await begun(world)
    await verdict(world, "B")
    for connector_id, tag in ((1, "X"), (2, "A")):
        world.plc.start(connector_id, tag)
        await world.clock.advance(1)
    world.central.away = True
    verdicts = {tag: await verdict(world, tag, connector_id=0) for tag in ("x", "a", "B", "C")}
    at_connector_1 = await verdict(world, "A", connector_id=1)
    await world.stop()

    assert verdicts == {"x": True, "a": True, "B": True, "C": False}
    assert at_connector_1  # remembered from its start
    assert sum("it started the running session" in line for line in world.story()) == 2
    assert sum("of the same group" in line for line in world.story()) == 1


BLOCKED_BROTHER = msgspec.structs.replace(BLOCKED, parent_id_tag="FAMILY")


@pytest.mark.parametrize("other", [ACCEPTED, BLOCKED, BLOCKED_BROTHER])
async def test_a_tag_that_is_no_valid_one_of_the_group_is_for_the_central_system_to_judge(
    world, other
):
    world.central.said.update(A=FAMILY, B=other)
    await begun(world)
    await verdict(world, "A")
    await verdict(world, "B")
    world.plc.start(1, "A")
    await world.clock.advance(1)
    answer = await verdict(world, "B")
    await world.stop()

    assert asked(world) == ["A", "B", "B"]
    assert answer is (other is ACCEPTED)


async def test_the_answers_to_start_and_stop_are_remembered(world):
    world.central.said["A"] = ACCEPTED
    await begun(world)
    await world.session(1, "A")
    world.central.said["B"] = ACCEPTED
    world.plc.start(1, "B")
    await world.clock.advance(1)
    world.central.said["B"] = BLOCKED
    world.plc.stop(1)
    await world.clock.advance(1)
    await world.kill()
    world.central.away = True
    await world.start()
    await world.clock.advance(1)
    verdicts = [await verdict(world, tag, seconds=20) for tag in ("A", "B")]
    await world.stop()

    assert asked(world) == []
    assert verdicts == [True, False]
    assert any("the cache says Blocked" in line for line in world.story())


async def test_a_list_that_the_central_system_contradicts_is_told(world, caplog):
    world.central.said["A"] = BLOCKED
    await begun(world, A=ACCEPTED)
    await world.session(1, "A")
    accepted = await verdict(world, "A")
    await world.stop()

    assert accepted
    assert "the local list says Accepted of tag A, the central system Blocked" in caplog.text


async def test_a_listed_tag_that_charges_elsewhere_too_contradicts_nothing(world, caplog):
    world.central.said["A"] = m.IdTagInfo(status=e.AuthorizationStatus.CONCURRENT_TX)
    await begun(world, A=ACCEPTED)
    await world.session(1, "A")
    await world.stop()

    assert "the local list says" not in caplog.text


async def test_clear_cache_forgets_the_cache_and_keeps_the_list(world):
    await begun(world, LISTED=ACCEPTED)
    await verdict(world, "GOOD")
    answer = await world.order(m.ClearCacheRequest())
    world.central.away = True
    verdicts = [await verdict(world, "LISTED"), await verdict(world, "GOOD")]
    await world.stop()

    assert answer.status is e.CommandStatus.ACCEPTED
    assert verdicts == [True, False]


async def test_a_box_that_remembers_nothing_has_no_cache_to_clear(world):
    await begun(world)
    await configure(world, "AuthorizationCacheEnabled", "false")
    answer = await world.ordered(m.ClearCacheRequest(), 5)
    infos = world.central.infos()
    await world.stop()

    assert answer.status is e.CommandStatus.REJECTED
    assert infos == ["clear cache: AuthorizationCacheEnabled is false"]


# Crashes


def known(world):
    """The version of the local list, and what is known of the tags of these tests."""
    tags = world.box.context.tags
    found = {tag: tags.find(tag) for tag in "ABCD"}
    return tags.local_list.version, {tag: k.info for tag, k in found.items() if k is not None}


OLD = (1, {"A": ACCEPTED, "B": ACCEPTED, "C": BLOCKED})
DIFFERENCE = {"B": FAMILY, "C": None, "D": ACCEPTED}


@pytest.mark.parametrize(
    ("kind", "sent", "new"),
    [
        (e.UpdateType.FULL, {"B": FAMILY, "D": ACCEPTED}, {"B": FAMILY, "D": ACCEPTED}),
        (e.UpdateType.DIFFERENTIAL, DIFFERENCE, {"A": ACCEPTED, "B": FAMILY, "D": ACCEPTED}),
    ],
)
async def test_a_list_is_the_old_or_the_new_one_whenever_the_process_ends(
    make_world, kind, sent, new
):
    request = msgspec.structs.replace(full_list(2, **sent), update_type=kind)
    seen, waits, answered = [], 0, False
    while not answered:
        world = make_world()
        await begun(world, **OLD[1])
        world.life.ends_at = world.life.waits + waits
        answering = asyncio.ensure_future(world.order(request))
        await world.clock.advance(1)
        answered = answering.done()
        await world.kill()
        await world.start()
        seen.append(known(world))
        await world.stop()
        waits += 1

    assert seen == [OLD, *[(2, new)] * (len(seen) - 1)]
    assert len(seen) == 3  # before the commit, after it, and with its answer


async def test_a_refusal_that_the_plc_knows_of_is_remembered_whenever_the_process_ends(make_world):
    waits, ended = 0, True
    refusals = set()
    while ended:
        world = make_world()
        await begun(world)
        assert await verdict(world, "A")
        world.central.tags["A"] = e.AuthorizationStatus.BLOCKED
        life = world.life
        life.ends_at = life.waits + waits
        refused = await verdict(world, "A") is False
        ended = life.over
        await world.kill()
        await world.start()
        assert not refused or known(world) == (0, {"A": BLOCKED}), life.trace[-1]
        await world.stop()
        refusals.add(refused)
        waits += 1

    assert refusals == {False, True}
    assert waits > 8
