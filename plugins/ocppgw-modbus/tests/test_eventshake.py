"""The table of the PLC's hand-shake, and the identity of its events."""

from __future__ import annotations

import itertools

import pytest

from ocppgw_modbus.eventshake import Act, EventId, Seen, fingerprint, identify, next_act
from ocppgw_modbus.spec import EventKind

SEVEN = EventId(key="1.start", epoch="e", sequence=7, fingerprint="f")
PLAIN = EventId(key="1.start", epoch="e")

# note, request, acknowledge, sequence, verified: what follows
TABLE: list[tuple[EventId | None, int, int, int | None, bool, Act]] = [
    (None, 0, 0, 7, True, Act.NOTHING),  # at rest
    (None, 1, 0, 8, True, Act.FETCH),  # a new event
    (None, 1, 1, 8, True, Act.FETCH),  # ... of a PLC that did not wait for the acknowledge
    (None, 0, 1, 7, True, Act.LOWER),  # killed before the acknowledge went down
    (SEVEN, 1, 0, 7, True, Act.RAISE),  # the write was lost
    (SEVEN, 1, 1, 7, True, Act.NOTHING),  # the PLC takes its time
    (SEVEN, 0, 1, 7, True, Act.FORGET),  # the PLC has seen it
    (SEVEN, 0, 0, 7, True, Act.FORGET),  # ... and was restarted
    (SEVEN, 1, 0, 7, False, Act.FETCH),  # killed after it was taken: compare first
    (SEVEN, 1, 1, 7, False, Act.FETCH),
    (SEVEN, 1, 1, 8, True, Act.FETCH),  # restarted in between: another event
    (SEVEN, 1, 0, None, True, Act.FETCH),  # the number makes no sense: look closer
    (PLAIN, 1, 0, None, False, Act.RAISE),  # without a number nothing can be compared
    (PLAIN, 1, 1, None, False, Act.NOTHING),
    (PLAIN, 0, 1, None, False, Act.FORGET),
]


@pytest.mark.parametrize(("note", "request_", "acknowledge", "sequence", "verified", "act"), TABLE)
def test_what_follows(
    note: EventId | None,
    request_: int,
    acknowledge: int,
    sequence: int | None,
    verified: bool,
    act: Act,
) -> None:
    seen = Seen(request=bool(request_), acknowledge=bool(acknowledge), sequence=sequence)
    assert next_act(note, seen, verified=verified) is act


class Model:
    """A PLC and a driver whose memory is the note alone, with a step for each I/O.

    The driver may be killed between any two steps; it then begins from the registers and
    the note, as after a restart.
    """

    def __init__(self) -> None:
        self.request = self.acknowledge = False
        self.sequence = 0
        self.waiting = 0  # events the PLC still has to raise
        self.note: EventId | None = None
        self.taken: list[str] = []
        self.verified = False

    def plc(self) -> None:
        if self.request and self.acknowledge:
            self.request = False
        elif not self.request and not self.acknowledge and self.waiting:
            self.waiting -= 1
            self.sequence += 1
            self.request = True

    def driver(self) -> list[str]:
        """The durable and visible steps that one poll leads to."""
        seen = Seen(request=self.request, acknowledge=self.acknowledge, sequence=self.sequence)
        act = next_act(self.note, seen, verified=self.verified)
        if act is Act.FETCH:
            return ["take", "raise"]
        return {
            Act.RAISE: ["raise"],
            Act.FORGET: ["forget", "lower"],
            Act.LOWER: ["lower"],
            Act.NOTHING: [],
        }[act]

    def do(self, step: str) -> None:
        if step == "take":
            found = identify(
                "1.start",
                EventKind.START,
                sequence=self.sequence,
                fields={"meter": self.sequence},
                note=self.note,
                last=None,
                went_on=False,
                fresh=lambda: "e",
            )
            if found != self.note:
                self.note = found
                self.taken.append(str(found))
            self.verified = True
        elif step == "raise":
            self.acknowledge = True
        elif step == "forget":
            self.note = None
        else:
            self.acknowledge = False

    def killed(self) -> None:
        self.verified = False


@pytest.mark.parametrize("kills", [*itertools.combinations(range(1, 13), 2)])
def test_killed_anywhere_every_event_is_taken_once(kills: tuple[int, ...]) -> None:
    model, count = Model(), 0
    model.waiting = 2
    for _ in range(40):
        model.plc()
        for step in model.driver():
            count += 1
            if count in kills:
                model.killed()
                break
            model.do(step)
    assert len(model.taken) == len(set(model.taken)) == 2
    assert (model.request, model.acknowledge, model.note) == (False, False, None)


def ident(
    kind: EventKind = EventKind.START,
    sequence: int | None = 7,
    tag: str = "A",
    note: EventId | None = None,
    last: EventId | None = None,
    went_on: bool = False,
) -> EventId:
    return identify(
        f"1.{kind.value}",
        kind,
        sequence=sequence,
        fields={"id_tag": tag},
        note=note,
        last=last,
        went_on=went_on,
        fresh=lambda: "fresh",
    )


def known(sequence: int, tag: str = "A", kind: str = "start") -> EventId:
    mark = fingerprint({"id_tag": tag})
    return EventId(key=f"1.{kind}", epoch="old", sequence=sequence, fingerprint=mark)


def test_the_noted_event_is_known_again() -> None:
    assert ident(note=known(7), last=known(7)) == known(7)


def test_the_next_number_stays_in_the_epoch() -> None:
    found = ident(sequence=8, last=known(7))
    assert (found.epoch, found.sequence) == ("old", 8)


def test_a_number_that_went_back_begins_an_epoch() -> None:
    found = ident(sequence=1, tag="B", last=known(7))
    assert (found.epoch, found.sequence) == ("fresh", 1)


def test_the_same_number_with_other_fields_is_another_event() -> None:
    found = ident(tag="B", note=known(7), last=known(7))
    assert found.epoch == "fresh"


def test_a_finished_start_raised_again_is_the_same_start() -> None:
    assert ident(last=known(7)) == known(7)


def test_a_start_after_a_stop_is_another_one_whatever_its_number() -> None:
    assert ident(last=known(7), went_on=True).epoch == "fresh"


def test_a_hand_shake_that_is_not_over_is_the_noted_one_whatever_came_in_between() -> None:
    assert ident(note=known(7), last=known(7), went_on=True) == known(7)


def test_a_finished_tag_presented_again_is_a_new_one() -> None:
    found = ident(EventKind.TAG, last=known(7, kind="tag"))
    assert found.epoch == "fresh"


def test_without_a_number_every_event_is_fresh_but_the_noted_one() -> None:
    assert ident(sequence=None).epoch == "fresh"
    assert ident(sequence=None, note=PLAIN) == PLAIN


@pytest.mark.parametrize("event_id", [SEVEN, PLAIN])
def test_an_id_survives_its_text(event_id: EventId) -> None:
    assert EventId.parse(str(event_id)) == event_id
