"""Our hand-shake as a script: what the answer reads, and what is done about it."""

from __future__ import annotations

import pytest

from ocppgw_modbus.commandshake import ENDS, Answer, Do, Exchange, Phase

I, A, R, O = Answer.IDLE, Answer.ACCEPTED, Answer.REFUSED, Answer.OTHER  # noqa: E741

# (answer, time is up, settle time is up): what follows
Step = tuple[Answer, bool, bool, Do]
SCRIPTS: dict[str, list[Step]] = {
    "accepted": [
        (I, False, False, Do.ASK),
        (I, False, False, Do.WAIT),
        (A, False, False, Do.LOWER),
        (A, False, False, Do.WAIT),
        (I, False, False, Do.DONE),
    ],
    "refused": [
        (I, False, False, Do.ASK),
        (R, False, False, Do.LOWER),
        (I, False, False, Do.REFUSED),
    ],
    "accepted, and the answer stays": [
        (I, False, False, Do.ASK),
        (A, False, False, Do.LOWER),
        (A, False, True, Do.DONE),
    ],
    "accepted just as time is up": [
        (I, False, False, Do.ASK),
        (A, True, False, Do.LOWER),
        (I, True, False, Do.DONE),
    ],
    "an old answer goes first": [
        (A, False, False, Do.LOWER),
        (A, False, False, Do.WAIT),
        (I, False, False, Do.ASK),
    ],
    "an old answer never goes": [
        (R, False, False, Do.LOWER),
        (R, False, False, Do.WAIT),
        (R, True, False, Do.NEVER_READY),
    ],
    "no time at all": [(I, True, False, Do.NEVER_READY)],
    "no answer, withdrawn": [
        (I, False, False, Do.ASK),
        (I, True, False, Do.LOWER),
        (I, True, False, Do.WAIT),
        (I, True, False, Do.WITHDRAWN),
    ],
    "accepted while it is withdrawn": [
        (I, False, False, Do.ASK),
        (I, True, False, Do.LOWER),
        (I, True, False, Do.WAIT),
        (A, True, False, Do.UNCLEAR),
    ],
    "refused while it is withdrawn": [
        (I, False, False, Do.ASK),
        (O, False, False, Do.WAIT),
        (O, True, False, Do.LOWER),
        (R, True, False, Do.REFUSED),
    ],
    "an unknown answer is no answer": [
        (I, False, False, Do.ASK),
        (O, True, False, Do.LOWER),
        (O, True, False, Do.UNCLEAR),
    ],
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_script(name: str) -> None:
    exchange = Exchange()
    said = [
        exchange.step(answer, expired=expired, settled=settled)
        for answer, expired, settled, _ in SCRIPTS[name]
    ]
    assert said == [do for *_, do in SCRIPTS[name]]


def test_only_the_end_ends() -> None:
    exchange = Exchange()
    assert exchange.phase is Phase.CLEARING
    assert exchange.step(I, expired=False) not in ENDS
    assert exchange.phase is Phase.ASKED
