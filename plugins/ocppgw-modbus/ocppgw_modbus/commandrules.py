"""Which fields each command has, and what a command section must say."""

from __future__ import annotations

from collections.abc import Iterator

from ocppgw_modbus.spec import CommandField as F
from ocppgw_modbus.spec import CommandKind as K
from ocppgw_modbus.spec import CommandSpec

# The fields a command may have, less `connector`, which all but the station's may.
FIELDS: dict[K, frozenset[F]] = {
    K.ANSWER_TAG: frozenset({F.ID_TAG, F.ACCEPTED, F.SEQUENCE}),
    K.ANSWER_START: frozenset({F.ACCEPTED, F.TRANSACTION, F.SEQUENCE}),
    K.ANSWER_STOP: frozenset({F.SEQUENCE}),
    K.ANSWER_BOOT: frozenset({F.ACCEPTED, F.TIME}),
    K.TIME: frozenset({F.TIME}),
    K.AVAILABILITY: frozenset({F.AVAILABLE}),
    K.UNLOCK: frozenset(),
    K.REMOTE_START: frozenset({F.ID_TAG}),
    K.REMOTE_STOP: frozenset({F.TRANSACTION}),
    K.RESERVE: frozenset({F.RESERVATION, F.ID_TAG, F.EXPIRES}),
    K.CANCEL_RESERVATION: frozenset({F.RESERVATION}),
    K.LIMIT_CURRENT: frozenset({F.AMPERES}),
    K.RESET: frozenset({F.HARD}),
    K.RESET_SOFT: frozenset(),
    K.RESET_HARD: frozenset(),
    K.CONFIGURE: frozenset(),
}
STATION_ONLY = frozenset({K.ANSWER_BOOT, K.TIME, K.RESET, K.RESET_SOFT, K.RESET_HARD, K.CONFIGURE})
NEEDED: dict[K, frozenset[F]] = {
    K.ANSWER_TAG: frozenset({F.ACCEPTED}),
    K.ANSWER_START: frozenset({F.ACCEPTED}),
    K.TIME: frozenset({F.TIME}),
    K.AVAILABILITY: frozenset({F.AVAILABLE}),
    K.LIMIT_CURRENT: frozenset({F.AMPERES}),
}


def faults(kind: K, spec: CommandSpec, connector: int) -> Iterator[tuple[tuple[str, ...], str]]:
    """What does not fit together within one command: keys below it, and a sentence."""
    if kind in STATION_ONLY and connector:
        yield (), f"{kind.value} is a command of the whole station, not of a connector"
    for field in spec.fields:
        if field is F.CONNECTOR and kind not in STATION_ONLY:
            continue
        if field not in FIELDS[kind]:
            known = ", ".join(sorted(f.value for f in FIELDS[kind])) or "none"
            yield (
                ("fields", field.value),
                f"{kind.value} has no field {field.value!r} (its fields: {known})",
            )
    for needed in NEEDED.get(kind, frozenset()):
        if needed not in spec.fields:
            yield (), f"{kind.value} needs the field {needed.value!r}"
    if kind is K.CONFIGURE and not spec.keys:
        yield (), "configure needs `keys`: the registers of configuration keys"
    if kind is not K.CONFIGURE and spec.keys:
        yield ("keys",), f"{kind.value} has no keys, they belong to configure"
    yield from _shape_faults(spec)


def _shape_faults(spec: CommandSpec) -> Iterator[tuple[tuple[str, ...], str]]:
    """What does not fit between request, answer and plain writes."""
    if (spec.request is None) != (spec.answer is None):
        missing = "request" if spec.request is None else "answer"
        yield (), f"a hand-shake has a request and an answer, {missing!r} is missing"
    if spec.request is None and not (spec.fields or spec.set or spec.keys):
        yield (), "nothing is written: expected fields, set, or request and answer"
    if spec.request is not None and spec.on_change:
        yield ("on_change",), "a hand-shake always writes; on_change is for plain writes"
    if spec.request is not None and len({spec.idle, spec.accepted, spec.refused}) < 3:
        yield (), "idle, accepted and refused must be three different values"
    if spec.up == spec.down:
        yield (), "up and down must be different values"
