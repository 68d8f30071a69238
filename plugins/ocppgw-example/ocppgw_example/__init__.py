"""An example plugin: what ocppgw calls, and nothing else.

Each hook hands over what one of the other files makes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ocppgw import hookimpl
from ocppgw.central import CentralContext, CentralHandler
from ocppgw.chargepoint import ChargePointContext, ChargePointHandler
from ocppgw.observe import GatewayContext, Observer
from ocppgw.ocpp import model
from ocppgw.plc import PlcDriver
from ocppgw.storage import StorageBackend
from ocppgw_example.authorizer import TagList
from ocppgw_example.data_transfer import VendorService
from ocppgw_example.driver import DRIVER
from ocppgw_example.observer import ExchangeCounter
from ocppgw_example.options import Options
from ocppgw_example.store import BACKEND

NAME = "example"  # as in setup.cfg and under plugins.options


@hookimpl
def ocppgw_storage_backends() -> Sequence[StorageBackend]:
    return [BACKEND]


@hookimpl
def ocppgw_plc_drivers() -> Sequence[PlcDriver]:
    return [DRIVER]


@hookimpl
def ocppgw_central_handlers(
    central: CentralContext,
) -> Mapping[type[model.Request], CentralHandler[Any]]:
    options = central.options(NAME, Options)
    return {model.DataTransferRequest: VendorService(options.vendor_id)}


@hookimpl
def ocppgw_charge_point_handlers(
    box: ChargePointContext,
) -> Mapping[type[model.Request], ChargePointHandler[Any]]:
    options = box.options(NAME, Options)
    return {model.DataTransferRequest: VendorService(options.vendor_id)}


@hookimpl
def ocppgw_authorizers(central: CentralContext) -> Sequence[TagList]:
    return [TagList(central.options(NAME, Options).tags)]


@hookimpl
def ocppgw_observers(gateway: GatewayContext) -> Sequence[Observer]:
    return [ExchangeCounter(gateway.options(NAME, Options).report_every)]
