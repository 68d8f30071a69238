"""``ocppgw simulate plc MAP``."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from ocppgw.clock import SystemClock
from ocppgw_modbus.simulate.day import DEFAULT_DAY, Step, live, load_day
from ocppgw_modbus.simulate.handshakes import LAST_NUMBER, number_now
from ocppgw_modbus.simulate.happening import Happening
from ocppgw_modbus.simulate.lines import json_line, obey_lines, plain_line
from ocppgw_modbus.simulate.simulation import Simulation


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line asked for."""

    map: Path
    listen: str
    port: int
    connectors: int | None
    speed: float
    day: Path | None
    energy: float
    sequence: int | None
    as_json: bool
    control: bool


@click.command("plc", short_help="A PLC as a Modbus TCP server, from its register map.")
@click.argument("map", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--listen", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=5020, show_default=True, help="Port to listen on; 0: any free one.")
@click.option("--connectors", type=int, default=None, help="How many; default: all of the map.")
@click.option("--speed", default=1.0, show_default=True, help="Times as fast as the real clock.")
@click.option("--day", type=click.Path(dir_okay=False, path_type=Path), help="Script of the day.")
@click.option("--no-day", is_flag=True, help="Nothing happens by itself.")
@click.option("--energy", default=100_000.0, show_default=True, help="Wh the meters start with.")
@click.option(
    "--sequence",
    type=click.IntRange(0, LAST_NUMBER),
    help="Number of the event before the first; default: from the clock.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what happens as JSON lines.")
@click.option("--control", is_flag=True, help="Obey orders from stdin, one JSON object a line.")
def simulate_plc(
    *,
    map: Path,  # noqa: A002, the argument's name is what the help shows
    listen: str,
    port: int,
    connectors: int | None,
    speed: float,
    day: Path | None,
    no_day: bool,
    energy: float,
    sequence: int | None,
    as_json: bool,
    control: bool,
) -> None:
    """Simulates the PLC that the register map MAP describes.

    A car arrives, a tag is presented, it charges and leaves: the day of --day, or one that
    is built in. With --control nothing happens but what the orders on stdin say.
    """
    chosen = None if no_day or (control and day is None) else day or DEFAULT_DAY
    wishes = Wishes(
        map=map,
        listen=listen,
        port=port,
        connectors=connectors,
        speed=speed,
        day=chosen,
        energy=energy,
        sequence=sequence,
        as_json=as_json,
        control=control,
    )
    asyncio.run(_simulate(wishes))


async def _simulate(wishes: Wishes) -> None:
    clock = SystemClock()
    line_of = json_line if wishes.as_json else plain_line
    told = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, told.set)

    def show(happening: Happening) -> None:
        write(line_of(happening))

    simulation = Simulation(
        wishes.map,
        connectors=wishes.connectors,
        speed=wishes.speed,
        energy=wishes.energy,
        sequence=number_now(clock) if wishes.sequence is None else wishes.sequence,
        observe=show,
    )
    day = None if wishes.day is None else load_day(wishes.day)
    port = await simulation.start(wishes.listen, wishes.port)
    text = f"the PLC of {wishes.map} listens on {wishes.listen}:{port}"
    show(Happening(at=0.0, event="listening", details={"port": port}, text=text))
    try:
        await _until(told, simulation, day, control=wishes.control)
    finally:
        await simulation.stop()


async def _until(
    told: asyncio.Event, simulation: Simulation, day: list[Step] | None, *, control: bool
) -> None:
    """Until a signal tells, or the orders end."""
    works: list[asyncio.Future[Any]] = [asyncio.ensure_future(told.wait())]
    if control:
        works.append(asyncio.ensure_future(obey_lines(simulation, sys.stdin, write)))
    if day is not None:
        works.append(asyncio.ensure_future(live(simulation, day, SystemClock())))
    done, left = await asyncio.wait(works, return_when=asyncio.FIRST_COMPLETED)
    for work in left:
        work.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    for work in done:
        work.result()


def write(line: str) -> None:
    """A line on standard output, at once."""
    click.echo(line)
    sys.stdout.flush()
