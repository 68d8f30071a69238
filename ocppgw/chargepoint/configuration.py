"""The configuration keys of a charge box that exist so far, as OCPP sees them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ocppgw.chargepoint.ledger import Ledger, Plan
from ocppgw.chargepoint.records import CONFIGURATION
from ocppgw.chargepoint.settings import ChargeBoxSettings
from ocppgw.ocpp.enums import ConfigurationStatus
from ocppgw.ocpp.model import KeyValue
from ocppgw.storage.base import Put

HEARTBEAT_INTERVAL = "HeartBeatInterval"
SAMPLE_INTERVAL = "MeterValueSampleInterval"

LONGEST_INTERVAL = 7 * 24 * 3600
# The smallest value of each key that can be changed; all are seconds.
LEAST = {HEARTBEAT_INTERVAL: 1, SAMPLE_INTERVAL: 0}


class Configuration:
    """What can be read, and what can be changed and acts at once.

    A changed value survives a restart; the interval of a boot answer takes the place of
    a changed HeartBeatInterval until that is changed again.
    """

    def __init__(self, settings: ChargeBoxSettings, ledger: Ledger) -> None:
        self._ledger = ledger
        self._values = {
            HEARTBEAT_INTERVAL: settings.heartbeat_interval,
            SAMPLE_INTERVAL: settings.sample_interval,
        }
        self._read_only = {
            "MeterValuesSampledData": ",".join(m.value for m in settings.measurands),
            "NumberOfConnectors": str(settings.connectors),
            "TransactionMessageAttempts": str(settings.transaction_attempts),
            "TransactionMessageRetryInterval": f"{settings.transaction_retry_interval:.0f}",
        }
        self._changed: list[Callable[[], None]] = []

    async def load(self) -> None:
        where = {"box": self._ledger.box}
        for document in await self._ledger.storage.find(CONFIGURATION, where):
            if document["key"] in self._values:
                self._values[document["key"]] = document["value"]

    def when_changed(self, call: Callable[[], None]) -> None:
        self._changed.append(call)

    def heartbeat_interval(self) -> float:
        """Seconds between heartbeats."""
        return self._values[HEARTBEAT_INTERVAL]

    def sample_interval(self) -> float:
        """Seconds between the meter values of a transaction, 0 for none."""
        return self._values[SAMPLE_INTERVAL]

    def boot_said(self, interval: int | None) -> None:
        """The interval that came with the acceptance, if one did."""
        if interval is not None and interval > 0:
            self._values[HEARTBEAT_INTERVAL] = interval

    def read(self, keys: Iterable[str]) -> tuple[tuple[KeyValue, ...], tuple[str, ...]]:
        """The keys asked for (none: all), and those that do not exist."""
        known = {
            **{
                name: KeyValue(key=name, readonly=False, value=str(value))
                for name, value in self._values.items()
            },
            **{
                name: KeyValue(key=name, readonly=True, value=value)
                for name, value in self._read_only.items()
            },
        }
        asked = tuple(keys)
        if not asked:
            return tuple(known.values()), ()
        names = {name.casefold(): name for name in known}
        found = tuple(known[names[key.casefold()]] for key in asked if key.casefold() in names)
        return found, tuple(key for key in asked if key.casefold() not in names)

    async def change(self, key: str, value: str) -> ConfigurationStatus:
        """Changes a key for good, at once."""
        names = {name.casefold(): name for name in (*self._values, *self._read_only)}
        name = names.get(key.strip().casefold())
        if name is None:
            return ConfigurationStatus.NOT_SUPPORTED
        if name in self._read_only:
            return ConfigurationStatus.REJECTED
        try:
            number = int(value)
        except ValueError:
            return ConfigurationStatus.REJECTED
        if not LEAST[name] <= number <= LONGEST_INTERVAL:
            return ConfigurationStatus.REJECTED
        await self._store(name, number)
        return ConfigurationStatus.ACCEPTED

    async def _store(self, name: str, number: int) -> None:
        async def prepare() -> Plan:
            key = (self._ledger.box, name)
            version = self._ledger.number()
            plan = Plan(Put(CONFIGURATION, key, {"value": number}, version=version))
            plan.done.append(lambda: self._values.update({name: number}))
            plan.done.extend(self._changed)
            return plan

        await self._ledger.write(prepare)
