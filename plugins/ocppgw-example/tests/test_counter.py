from datetime import UTC, datetime, timedelta

import pytest

from ocppgw.ocpp.enums import ChargePointStatus
from ocppgw.plc import AnswerStart, AnswerStop, AnswerTag, StartWanted, StopWanted, TagPresented
from ocppgw_example.counter import Counter
from ocppgw_example.folder import NO_CARD, Card

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HALF_PAST = NOON + timedelta(minutes=30)
CARD = Card("GUEST-1", 1)
SAME_TAG_AGAIN = Card("GUEST-1", 2)


def tag_answer(event_id: str, *, accepted: bool = True) -> AnswerTag:
    return AnswerTag(event_id=event_id, connector_id=1, id_tag="GUEST-1", accepted=accepted)


def start_answer(event_id: str, *, accepted: bool = True) -> AnswerStart:
    return AnswerStart(event_id=event_id, connector_id=1, accepted=accepted, transaction_id=17)


@pytest.fixture
def counter() -> Counter:
    return Counter(1, power=11_000.0)


@pytest.fixture
def asking(counter: Counter) -> Counter:
    counter.step(CARD, NOON)
    counter.answered(tag_answer("1-1"), NOON)
    counter.step(CARD, NOON)
    return counter


@pytest.fixture
def charging(asking: Counter) -> Counter:
    asking.answered(start_answer("1-2"), NOON)
    return asking


def test_a_card_is_presented_once(counter: Counter) -> None:
    presented = counter.step(CARD, NOON)

    assert presented == TagPresented(event_id="1-1", connector_id=1, at=NOON, id_tag="GUEST-1")
    assert counter.step(CARD, HALF_PAST) is None
    assert counter.unanswered == presented
    assert counter.status is ChargePointStatus.PREPARING


def test_an_accepted_tag_asks_for_a_session(counter: Counter) -> None:
    counter.step(CARD, NOON)
    counter.answered(tag_answer("1-1"), NOON)

    assert counter.step(CARD, HALF_PAST) == StartWanted(
        event_id="1-2", connector_id=1, at=HALF_PAST, id_tag="GUEST-1", meter_start_wh=0
    )


def test_a_remote_start_need_not_ask_for_the_tag(counter: Counter) -> None:
    counter.grant("GUEST-1")

    assert isinstance(counter.step(CARD, NOON), StartWanted)


def test_a_grant_is_for_one_card(counter: Counter) -> None:
    counter.grant("GUEST-2")

    assert isinstance(counter.step(CARD, NOON), TagPresented)
    assert counter.step(NO_CARD, NOON) is None
    assert isinstance(counter.step(Card("GUEST-2", 3), NOON), TagPresented)


def test_an_accepted_session_counts_energy(charging: Counter) -> None:
    assert charging.step(CARD, HALF_PAST) is None

    assert charging.status is ChargePointStatus.CHARGING
    assert charging.reading(HALF_PAST).energy_wh == 5500
    assert charging.unanswered is None


@pytest.mark.parametrize("card", [NO_CARD, SAME_TAG_AGAIN, Card("GUEST-2", 1)])
def test_another_card_or_none_ends_the_session(charging: Counter, card: Card) -> None:
    assert charging.step(card, HALF_PAST) == StopWanted(
        event_id="1-3",
        connector_id=1,
        at=HALF_PAST,
        id_tag="GUEST-1",
        meter_stop_wh=5500,
        transaction_id=17,
    )
    assert charging.status is ChargePointStatus.FINISHING

    charging.answered(AnswerStop(event_id="1-3", connector_id=1), HALF_PAST)

    assert charging.status is ChargePointStatus.AVAILABLE
    assert charging.reading(HALF_PAST + timedelta(hours=1)).energy_wh == 5500


def test_a_refused_card_must_go_before_another_is_taken(counter: Counter) -> None:
    counter.step(CARD, NOON)
    counter.answered(tag_answer("1-1", accepted=False), NOON)

    assert counter.step(CARD, HALF_PAST) is None
    assert counter.status is ChargePointStatus.FINISHING
    assert counter.step(SAME_TAG_AGAIN, HALF_PAST) is None
    assert isinstance(counter.step(SAME_TAG_AGAIN, HALF_PAST), TagPresented)


def test_a_refused_start_charges_nothing(asking: Counter) -> None:
    asking.answered(start_answer("1-2", accepted=False), NOON)

    assert asking.step(CARD, HALF_PAST) is None
    assert asking.reading(HALF_PAST).energy_wh == 0


def test_a_card_that_went_before_its_answer_starts_nothing(counter: Counter) -> None:
    counter.step(CARD, NOON)
    assert counter.step(NO_CARD, NOON) is None

    counter.answered(tag_answer("1-1"), NOON)

    assert counter.status is ChargePointStatus.AVAILABLE


def test_an_answer_that_is_repeated_or_out_of_date_changes_nothing(charging: Counter) -> None:
    charging.answered(start_answer("1-2", accepted=False), HALF_PAST)
    assert charging.status is ChargePointStatus.CHARGING

    charging.step(NO_CARD, HALF_PAST)
    charging.answered(AnswerStop(event_id="1-1", connector_id=1), HALF_PAST)
    assert charging.status is ChargePointStatus.FINISHING


def test_out_of_service_no_session_starts_and_none_is_cut_short(charging: Counter) -> None:
    charging.set_available(False)
    assert charging.status is ChargePointStatus.CHARGING

    charging.step(NO_CARD, HALF_PAST)
    charging.answered(AnswerStop(event_id="1-3", connector_id=1), HALF_PAST)

    assert charging.status is ChargePointStatus.UNAVAILABLE
    assert charging.step(CARD, HALF_PAST) is None


def test_a_restart_goes_on_from_the_note(charging: Counter) -> None:
    after = Counter(1, power=11_000.0)
    after.restore(charging.note)

    assert after.reading(HALF_PAST).energy_wh == 5500
    assert after.step(NO_CARD, HALF_PAST) == charging.step(NO_CARD, HALF_PAST)


def test_an_event_that_was_not_answered_is_the_same_after_a_restart(asking: Counter) -> None:
    after = Counter(1, power=11_000.0)
    after.restore(asking.note)

    assert isinstance(after.unanswered, StartWanted)
    assert after.unanswered == asking.unanswered
