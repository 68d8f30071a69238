"""Slices of all variants in random order, round after round: the machine's own drift cancels."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Sequence

from msgspec import Struct

from benchmarks.load import Load, Order
from benchmarks.processes import Server


class Slice(Struct, frozen=True):
    """What one slice came to."""

    cpu_us: float  # CPU microseconds of the server a request
    rate: float  # requests a second


class Results:
    """The slices of each (server, kind), round by round."""

    def __init__(self) -> None:
        self._slices: dict[tuple[str, str], list[Slice]] = {}

    def add(self, server: str, kind: str, one: Slice) -> None:
        self._slices.setdefault((server, kind), []).append(one)

    def cpu_us(self, server: str, kind: str) -> float:
        """The median over the rounds."""
        return statistics.median(each.cpu_us for each in self._slices[server, kind])

    def rate(self, server: str, kind: str) -> float:
        """The median over the rounds."""
        return statistics.median(each.rate for each in self._slices[server, kind])

    def ratio(self, server: str, to: str, kind: str) -> float:
        """The median of the rounds' ratios of CPU time: ``server`` costs so many times ``to``."""
        pairs = zip(self._slices[server, kind], self._slices[to, kind], strict=True)
        return statistics.median(one.cpu_us / other.cpu_us for one, other in pairs)


def measure(
    servers: Sequence[Server],
    kinds: Sequence[str],
    *,
    rounds: int,
    seconds: float,
    progress: Callable[[int], None],
) -> Results:
    """Runs all rounds; the one before the first is for warming up and does not count."""
    results = Results()
    load = Load()
    try:
        for number in range(rounds + 1):
            progress(number)
            order = [(server, kind) for server in servers for kind in kinds]
            random.shuffle(order)
            for server, kind in order:
                one = _slice(load, server, kind, seconds if number else min(seconds, 0.5))
                if number:
                    results.add(server.name, kind, one)
    finally:
        load.stop()
    return results


def _slice(load: Load, server: Server, kind: str, seconds: float) -> Slice:
    before = server.cpu()
    done = load.run(Order(server.port, kind, seconds))
    used = server.cpu() - before
    if server.name == "ocppgw" and done.bad:
        raise RuntimeError(
            f"{done.bad} of {done.bad + done.answered} {kind} were not answered well"
        )
    count = done.answered + done.bad
    return Slice(cpu_us=used / count * 1e6, rate=count / done.seconds)
