"""Saying a thing once, not with every request that shows it."""

from __future__ import annotations

from ocppgw.clock import Clock

INTERVAL = 60.0
MOST = 1000


class Seldom:
    """Whether it is time to log something again: each key once in ``interval`` seconds.

    Keys may come from strangers (identities, addresses): at most ``MOST`` are remembered,
    and while that many are fresh, further ones are not logged.
    """

    def __init__(self, clock: Clock, interval: float = INTERVAL) -> None:
        self._clock = clock
        self._interval = interval
        self._said: dict[str, float] = {}

    def __call__(self, key: str) -> bool:
        now = self._clock.monotonic()
        last = self._said.get(key)
        if last is not None and now - last < self._interval:
            return False
        if last is None and len(self._said) >= MOST:
            self._said = {k: at for k, at in self._said.items() if now - at < self._interval}
            if len(self._said) >= MOST:
                return False
        self._said[key] = now
        return True
