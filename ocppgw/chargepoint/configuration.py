"""The configuration of a charge box as OCPP sees it: read, changed, kept (O-38)."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeAlias

import msgspec

from ocppgw.chargepoint.keys import FIELDS, Keys, parsed, shown
from ocppgw.chargepoint.ledger import Ledger, Plan
from ocppgw.chargepoint.local_list import SENT_AT_ONCE
from ocppgw.chargepoint.records import CONFIGURATION
from ocppgw.chargepoint.settings import ChargeBoxSettings
from ocppgw.chargepoint.values import SAYABLE
from ocppgw.ocpp.enums import ConfigurationStatus, Measurand
from ocppgw.ocpp.model import KeyValue
from ocppgw.plc.base import PlcRefused
from ocppgw.storage.base import Put

log = logging.getLogger(__name__)

# Told as GetConfigurationMaxKeys; longer lists are answered all the same.
MOST_KEYS = 100

# Hands a key's new value to the PLC, and keeps it if the PLC did not refuse it.
HandOver: TypeAlias = Callable[[str, str, Callable[[], Awaitable[None]]], Awaitable[None]]


def fixed_keys(settings: ChargeBoxSettings) -> dict[str, str]:
    """The read-only keys of OCPP 1.5 and 1.6, and the values true for a charge box."""
    lists = (name for name in FIELDS if name.endswith(("SampledData", "AlignedData")))
    return {
        "NumberOfConnectors": str(settings.connectors),
        "SupportedFeatureProfiles": "Core,LocalAuthListManagement,Reservation",
        "GetConfigurationMaxKeys": str(MOST_KEYS),
        **{f"{name}MaxLength": str(len(SAYABLE)) for name in lists},
        "StopTransactionMaxMeterValues": str(settings.stop_data_limit),
        "LocalAuthListMaxLength": str(settings.local_list_length),
        "SendLocalListMaxLength": str(min(settings.local_list_length, SENT_AT_ONCE)),
        "ReserveConnectorZeroSupported": "true",
    }


class NotChanged(Exception):
    """Why a key was not changed: in a few words (``reason``), and in full."""

    def __init__(self, status: ConfigurationStatus, reason: str, sentence: str = "") -> None:
        super().__init__(sentence or reason)
        self.status = status
        self.reason = reason


class Configuration:
    """What can be read, and what can be changed and acts at once.

    ``keys`` are the values in force. A changed value survives a restart; the interval of
    a boot answer takes the place of a changed HeartBeatInterval until that is changed
    again. ``fixed`` are the read-only keys, ``offered`` the measurands that the meters
    are known to have (none: not known yet).
    """

    def __init__(
        self,
        keys: Keys,
        ledger: Ledger,
        *,
        fixed: Mapping[str, str],
        offered: Callable[[], frozenset[Measurand]],
        hand_over: HandOver,
    ) -> None:
        self.keys = keys
        self._ledger = ledger
        self._fixed = dict(fixed)
        self._offered = offered
        self._hand_over = hand_over
        self._changed: list[Callable[[], None]] = []

    async def load(self) -> None:
        where = {"box": self._ledger.box}
        for document in await self._ledger.storage.find(CONFIGURATION, where):
            name, text = document["key"], str(document["value"])
            try:
                if name in FIELDS:
                    self._set(name, parsed(name, text))
            except ValueError as error:
                log.warning(
                    "%s: the stored %s is %r, which is not valid (%s); the configured %s is"
                    " in force until it is changed",
                    self._ledger.box,
                    name,
                    text,
                    error,
                    self.text_of(name),
                )

    def when_changed(self, call: Callable[[], None]) -> None:
        """``call`` is told whenever a key was changed."""
        self._changed.append(call)

    def boot_said(self, interval: int | None) -> None:
        """The interval that came with the acceptance, if one did."""
        if interval is not None and interval > 0 and interval != self.keys.heartbeat_interval:
            self.keys = msgspec.structs.replace(self.keys, heartbeat_interval=interval)
            self._tell()

    def text_of(self, name: str) -> str:
        """The value in force of a changeable key, as GetConfiguration reports it."""
        return shown(getattr(self.keys, FIELDS[name].name))

    def read(self, keys: Iterable[str]) -> tuple[tuple[KeyValue, ...], tuple[str, ...]]:
        """The keys asked for, each once (none: all), and those that do not exist, as they
        were spelled."""
        known = {
            name: KeyValue(key=name, readonly=False, value=self.text_of(name)) for name in FIELDS
        }
        for name, value in self._fixed.items():
            known[name] = KeyValue(key=name, readonly=True, value=value)
        asked = tuple(dict.fromkeys(keys))
        if not asked:
            return tuple(known.values()), ()
        named = {key: self._named(key) for key in asked}
        found = dict.fromkeys(name for name in named.values() if name is not None)
        unknown = tuple(key for key, name in named.items() if name is None)
        return tuple(known[name] for name in found), unknown

    async def change(self, key: str, value: str) -> None:
        """Changes a key for good, at once. One that the PLC has a place for is first put
        there: what the PLC refuses is not kept. Raises :class:`NotChanged`."""
        name = self._named(key)
        if name is None:
            raise NotChanged(ConfigurationStatus.NOT_SUPPORTED, "there is no such key")
        if name in self._fixed:
            raise NotChanged(ConfigurationStatus.REJECTED, "read-only")
        try:
            meant = parsed(name, value)
        except ValueError as error:
            why = str(error)
            raise NotChanged(ConfigurationStatus.REJECTED, "not a valid value", why) from None
        self._check_measurands(meant)
        try:
            await self._hand_over(name, shown(meant), lambda: self._store(name, meant))
        except PlcRefused as error:
            raise NotChanged(ConfigurationStatus.REJECTED, "PLC refused", str(error)) from error

    def _named(self, key: str) -> str | None:
        """The key of that name, in the case that it has here."""
        folded = key.strip().casefold()
        names = (*FIELDS, *self._fixed)
        return next((name for name in names if name.casefold() == folded), None)

    def _check_measurands(self, value: object) -> None:
        """A list may name nothing that is never read, or cannot be said."""
        if isinstance(value, tuple):
            possible = SAYABLE & (self._offered() or SAYABLE)
            missing = [one.value for one in value if one not in possible]
            if missing:
                why = f"no meter here shows {', '.join(missing)}"
                raise NotChanged(ConfigurationStatus.REJECTED, "measurand not available", why)

    def _set(self, name: str, value: Any) -> None:
        self.keys = msgspec.structs.replace(self.keys, **{FIELDS[name].name: value})

    async def _store(self, name: str, value: Any) -> None:
        async def prepare() -> Plan:
            key = (self._ledger.box, name)
            version = self._ledger.number()
            plan = Plan(Put(CONFIGURATION, key, {"value": shown(value)}, version=version))
            plan.done.append(lambda: self._set(name, value))
            plan.done.append(self._tell)
            return plan

        await self._ledger.write(prepare)

    def _tell(self) -> None:
        for call in self._changed:
            call()
