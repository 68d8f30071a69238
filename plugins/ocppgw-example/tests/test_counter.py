from datetime import UTC, datetime, timedelta

import pytest

from ocppgw.ocpp.enums import ChargePointStatus
from ocppgw.plc import AnswerStart, AnswerStop, StartWanted, StopWanted
from ocppgw_example.counter import Counter

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HALF_PAST = NOON + timedelta(minutes=30)


def answer(event_id: str, *, accepted: bool = True) -> AnswerStart:
    return AnswerStart(event_id=event_id, connector_id=1, accepted=accepted, transaction_id=17)


@pytest.fixture
def counter() -> Counter:
    return Counter(1, power=11_000.0)


@pytest.fixture
def charging(counter: Counter) -> Counter:
    counter.step("GUEST-1", NOON)
    counter.started(answer("1-1"), NOON)
    return counter


def test_a_tag_asks_for_a_session_once(counter: Counter) -> None:
    asked = counter.step("GUEST-1", NOON)

    assert asked == StartWanted(
        event_id="1-1", connector_id=1, at=NOON, id_tag="GUEST-1", meter_start_wh=0
    )
    assert counter.step("GUEST-1", HALF_PAST) is None
    assert counter.unanswered == asked
    assert counter.status is ChargePointStatus.PREPARING


def test_an_accepted_session_counts_energy(charging: Counter) -> None:
    assert charging.step("GUEST-1", HALF_PAST) is None

    assert charging.status is ChargePointStatus.CHARGING
    assert charging.reading(HALF_PAST).energy_wh == 5500
    assert charging.unanswered is None


def test_no_tag_ends_the_session(charging: Counter) -> None:
    assert charging.step("", HALF_PAST) == StopWanted(
        event_id="1-2",
        connector_id=1,
        at=HALF_PAST,
        id_tag="GUEST-1",
        meter_stop_wh=5500,
        transaction_id=17,
    )
    assert charging.status is ChargePointStatus.FINISHING

    charging.stopped(AnswerStop(event_id="1-2", connector_id=1), HALF_PAST)

    assert charging.status is ChargePointStatus.AVAILABLE
    assert charging.reading(HALF_PAST + timedelta(hours=1)).energy_wh == 5500


def test_a_refused_tag_must_go_before_another_is_taken(counter: Counter) -> None:
    counter.step("GUEST-1", NOON)
    counter.started(answer("1-1", accepted=False), NOON)

    assert counter.step("GUEST-1", HALF_PAST) is None
    assert counter.reading(HALF_PAST).energy_wh == 0
    assert counter.step("GUEST-2", HALF_PAST) is None
    assert isinstance(counter.step("GUEST-2", HALF_PAST), StartWanted)


def test_an_answer_that_is_repeated_or_out_of_date_changes_nothing(charging: Counter) -> None:
    charging.started(answer("1-1", accepted=False), HALF_PAST)
    assert charging.status is ChargePointStatus.CHARGING

    charging.step("", HALF_PAST)
    charging.stopped(AnswerStop(event_id="1-1", connector_id=1), HALF_PAST)
    assert charging.status is ChargePointStatus.FINISHING


def test_out_of_service_no_session_starts_and_none_is_cut_short(charging: Counter) -> None:
    charging.set_available(False)
    assert charging.status is ChargePointStatus.CHARGING

    charging.step("", HALF_PAST)
    charging.stopped(AnswerStop(event_id="1-2", connector_id=1), HALF_PAST)

    assert charging.status is ChargePointStatus.UNAVAILABLE
    assert charging.step("GUEST-1", HALF_PAST) is None


def test_a_restart_goes_on_from_the_note(charging: Counter) -> None:
    after = Counter(1, power=11_000.0)
    after.restore(charging.note)

    assert after.reading(HALF_PAST).energy_wh == 5500
    assert after.step("", HALF_PAST) == charging.step("", HALF_PAST)


@pytest.mark.parametrize("tag", ["GUEST-1", ""])
def test_an_event_that_was_not_answered_is_the_same_after_a_restart(
    counter: Counter, tag: str
) -> None:
    counter.step("GUEST-1", NOON)
    if not tag:
        counter.started(answer("1-1"), NOON)
        counter.step(tag, HALF_PAST)
    after = Counter(1, power=11_000.0)
    after.restore(counter.note)

    assert after.unanswered is not None
    assert after.unanswered == counter.unanswered
