"""A day as a script: what people do at the station, and when."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec

from ocppgw.clock import Clock
from ocppgw.settings import Node, ProblemsError, Reader, load_yaml
from ocppgw_modbus.simulate.orders import AnyOrder
from ocppgw_modbus.simulate.simulation import Simulation

log = logging.getLogger(__name__)

DEFAULT_DAY = Path(__file__).with_name("day.yaml")
Pause = Annotated[float, msgspec.Meta(ge=0)]
PAUSE = 10.0  # simulated seconds between two days


class Step(msgspec.Struct, frozen=True):
    """An order, so many simulated seconds after the one before."""

    after: float
    order: AnyOrder


def load_day(path: Path) -> list[Step]:
    """The day in that file; ``UserError`` names everything that is wrong in it."""
    root, problems = load_yaml(path)
    reader = Reader(base=path.parent)
    reader.problems += problems
    if not isinstance(root.value, tuple):
        reader.problem(root, "", f"expected a list of steps, got {root.shown()}")
    steps = [_step(reader, node) for node in root.value] if not reader.problems else []
    if reader.problems:
        raise ProblemsError(str(path), reader.problems)
    return steps


def _step(reader: Reader, node: Node) -> Step:
    """A step; what is wrong with it is the reader's."""
    pause = node.at("after")
    if pause is not None:
        order = {key: value for key, value in node.value.items() if key != "after"}
        node = msgspec.structs.replace(node, value=order)
    after = 0.0 if pause is None else reader.read(pause, Pause, "after")
    return Step(after, reader.read(node, AnyOrder))


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
