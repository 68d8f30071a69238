"""A day as a script: what people do at the station, and when."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import yaml

from ocppgw.clock import Clock
from ocppgw.errors import UserError
from ocppgw_modbus.simulate.orders import AnyOrder
from ocppgw_modbus.simulate.simulation import Simulation

log = logging.getLogger(__name__)

DEFAULT_DAY = Path(__file__).with_name("day.yaml")
PAUSE = 10.0  # simulated seconds between two days


class Step(msgspec.Struct, frozen=True):
    """An order, so many simulated seconds after the one before."""

    after: float
    order: AnyOrder


def load_day(path: Path) -> list[Step]:
    """The day in that file; :class:`UserError` names the step that is wrong."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise UserError(f"day script {path}: cannot be read: {error}") from error
    if not isinstance(raw, list):
        raise UserError(f"day script {path}: expected a list of steps, got {type(raw).__name__}")
    return [_step(path, number, one) for number, one in enumerate(raw, 1)]


def _step(path: Path, number: int, raw: Any) -> Step:
    fields: Mapping[str, Any] = raw if isinstance(raw, Mapping) else {}
    try:
        after = msgspec.convert(fields.get("after", 0.0), float)
        order: AnyOrder = msgspec.convert(
            {key: value for key, value in fields.items() if key != "after"}, AnyOrder
        )
    except msgspec.ValidationError as error:
        raise UserError(f"day script {path}, step {number}: {error}") from error
    return Step(after, order)


async def live(simulation: Simulation, day: Sequence[Step], clock: Clock) -> None:
    """Lives that day over and over, until cancelled."""
    while True:
        for step in day:
            await clock.sleep(step.after / simulation.speed)
            try:
                await step.order.perform(simulation)
            except TimeoutError:
                log.warning("simulated PLC: %s waited in vain", _as_written(step.order))
            except KeyError as error:
                order = _as_written(step.order)
                log.warning("simulated PLC: what %s names is not there: %s", order, error)
            await asyncio.sleep(0)
        await clock.sleep(PAUSE / simulation.speed)


def _as_written(order: AnyOrder) -> str:
    """An order as a day script may have it."""
    return msgspec.json.encode(order).decode()
