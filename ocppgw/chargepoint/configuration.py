"""The configuration of a charge box as OCPP sees it: read, changed, kept (O-38)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec

from ocppgw.chargepoint.keys import FIELDS, Keys, parsed, shown
from ocppgw.chargepoint.ledger import Ledger, Plan
from ocppgw.chargepoint.records import CONFIGURATION
from ocppgw.ocpp.enums import ConfigurationStatus
from ocppgw.ocpp.model import KeyValue
from ocppgw.storage.base import Put


class Configuration:
    """What can be read, and what can be changed and acts at once.

    ``keys`` are the values in force. A changed value survives a restart; the interval of
    a boot answer takes the place of a changed HeartBeatInterval until that is changed
    again. ``fixed`` are the read-only keys.
    """

    def __init__(self, keys: Keys, ledger: Ledger, *, fixed: Mapping[str, str]) -> None:
        self.keys = keys
        self._ledger = ledger
        self._fixed = dict(fixed)
        self._changed: list[Callable[[], None]] = []

    async def load(self) -> None:
        where = {"box": self._ledger.box}
        for document in await self._ledger.storage.find(CONFIGURATION, where):
            name = document["key"]
            if name in FIELDS:
                self._set(name, str(document["value"]))

    def when_changed(self, call: Callable[[], None]) -> None:
        """``call`` is told whenever a key was changed."""
        self._changed.append(call)

    def boot_said(self, interval: int | None) -> None:
        """The interval that came with the acceptance, if one did."""
        if interval is not None and interval > 0:
            self.keys = msgspec.structs.replace(self.keys, heartbeat_interval=interval)

    def read(self, keys: Iterable[str]) -> tuple[tuple[KeyValue, ...], tuple[str, ...]]:
        """The keys asked for (none: all), and those that do not exist."""
        known = {
            name: KeyValue(key=name, readonly=False, value=shown(getattr(self.keys, info.name)))
            for name, info in FIELDS.items()
        }
        for name, value in self._fixed.items():
            known[name] = KeyValue(key=name, readonly=True, value=value)
        asked = tuple(keys)
        if not asked:
            return tuple(known.values()), ()
        names = {name.casefold(): name for name in known}
        found = tuple(known[names[key.casefold()]] for key in asked if key.casefold() in names)
        return found, tuple(key for key in asked if key.casefold() not in names)

    async def change(self, key: str, value: str) -> ConfigurationStatus:
        """Changes a key for good, at once."""
        names = {name.casefold(): name for name in (*FIELDS, *self._fixed)}
        name = names.get(key.strip().casefold())
        if name is None:
            return ConfigurationStatus.NOT_SUPPORTED
        if name in self._fixed:
            return ConfigurationStatus.REJECTED
        try:
            text = shown(parsed(name, value))
        except ValueError:
            return ConfigurationStatus.REJECTED
        await self._store(name, text)
        return ConfigurationStatus.ACCEPTED

    def _set(self, name: str, text: str) -> None:
        changed = {FIELDS[name].name: parsed(name, text)}
        self.keys = msgspec.structs.replace(self.keys, **changed)

    async def _store(self, name: str, text: str) -> None:
        async def prepare() -> Plan:
            key = (self._ledger.box, name)
            version = self._ledger.number()
            plan = Plan(Put(CONFIGURATION, key, {"value": text}, version=version))
            plan.done.append(lambda: self._set(name, text))
            plan.done.extend(self._changed)
            return plan

        await self._ledger.write(prepare)
