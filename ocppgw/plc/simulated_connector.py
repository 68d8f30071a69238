"""What the memory of the simulated PLC holds of one connector, and what that shows."""

from __future__ import annotations

from datetime import datetime

import msgspec

from ocppgw.ocpp.enums import ChargePointStatus, Measurand, UnitOfMeasure
from ocppgw.plc.base import ConnectorStatus, Measured, Reading, Reserve

VOLTS = 230.0


class SimulatedConnector(msgspec.Struct, kw_only=True):
    """``energy_wh`` is its meter; ``reserved`` what it was last told to keep itself for."""

    car: bool = False
    charging: bool = False
    locked: bool = False
    available: bool = True
    fault: str | None = None
    energy_wh: float = 0.0
    id_tag: str | None = None
    transaction_id: int | None = None
    start_accepted: bool | None = None
    tag_accepted: bool | None = None
    limit: float | None = None
    reserved: Reserve | None = None

    def status(self, connector_id: int, now: datetime) -> ConnectorStatus:
        """The state it shows; a reservation is over when it expires."""
        if self.fault is not None:
            status = ChargePointStatus.FAULTED
        elif self.charging:
            status = ChargePointStatus.CHARGING
        elif not self.available:
            status = ChargePointStatus.UNAVAILABLE
        elif self.car:
            status = ChargePointStatus.PREPARING
        elif self.reserved is not None and self.reserved.expires_at > now:
            status = ChargePointStatus.RESERVED
        else:
            status = ChargePointStatus.AVAILABLE
        return ConnectorStatus(connector_id=connector_id, status=status, info=self.fault)

    def reading(self, connector_id: int, at: datetime, full_power: float) -> Reading:
        """What its meter shows; ``full_power`` (W) is what a charging car draws."""
        power = full_power if self.charging else 0.0
        measured = (
            (Measurand.ENERGY_ACTIVE_IMPORT_REGISTER, self.energy_wh, UnitOfMeasure.WH),
            (Measurand.POWER_ACTIVE_IMPORT, power, UnitOfMeasure.W),
            (Measurand.VOLTAGE, VOLTS, UnitOfMeasure.V),
            (Measurand.CURRENT_IMPORT, power / VOLTS / 3, UnitOfMeasure.A),
        )
        values = tuple(Measured(measurand=m, value=v, unit=u) for m, v, u in measured)
        return Reading(connector_id=connector_id, at=at, values=values)
