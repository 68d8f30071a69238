"""An observer: counts the exchanges and puts a summary into the log."""

import logging
from collections import Counter

from ocppgw.observe import Exchange, Observed

log = logging.getLogger(__name__)


class ExchangeCounter:
    """An observer has a queue of its own, so it may take its time; it only looks on."""

    def __init__(self, report_every: int) -> None:
        self.seen: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self._report_every = report_every

    def __call__(self, observed: Observed) -> None:
        if not isinstance(observed, Exchange):
            return
        self.seen[observed.operation] += 1
        if observed.error is not None:
            self.failed[observed.operation] += 1
        if self.seen.total() % self._report_every == 0:
            log.info("%d exchanges, %d failed", self.seen.total(), self.failed.total())
