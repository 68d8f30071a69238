"""What can be done with a simulated PLC, as data: for day scripts and for the line protocol."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta

from ocppgw_modbus.simulate.simulation import Simulation
from ocppgw_modbus.spec import CommandKind


class Order(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="do"):
    """One thing to do; ``do`` names it."""

    async def perform(self, simulation: Simulation) -> object:
        """Does it; what it gives back goes into the reply."""
        raise TypeError(f"{type(self).__name__} is not an order of its own")


class Arrive(Order, frozen=True, kw_only=True, tag="arrive"):
    """A car is plugged in."""

    connector: int = 1

    async def perform(self, simulation: Simulation) -> object:
        await simulation.arrive(self.connector)
        return None


class Tag(Order, frozen=True, kw_only=True, tag="tag"):
    """A tag is held to the reader."""

    id_tag: str
    connector: int = 1

    async def perform(self, simulation: Simulation) -> object:
        await simulation.present_tag(self.id_tag, self.connector)
        return None


class Leave(Order, frozen=True, kw_only=True, tag="leave"):
    """The car is unplugged."""

    connector: int = 1

    async def perform(self, simulation: Simulation) -> object:
        await simulation.leave(self.connector)
        return None


class Fail(Order, frozen=True, kw_only=True, tag="fail"):
    """A fault of that number; 0 repairs it."""

    code: int
    connector: int = 1

    async def perform(self, simulation: Simulation) -> object:
        await simulation.fail(self.code, self.connector)
        return None


class Load(Order, frozen=True, kw_only=True, tag="load"):
    """A meter that is a device of its own sees so much power from now on."""

    watts: Annotated[float, Meta(ge=0)]
    connector: int = 1

    async def perform(self, simulation: Simulation) -> object:
        await simulation.load(self.watts, self.connector)
        return None


class Refuse(Order, frozen=True, kw_only=True, tag="refuse"):
    """The program refuses a command from now on."""

    command: CommandKind
    on: bool = True

    async def perform(self, simulation: Simulation) -> object:
        _switch(simulation.behaviour.refuse, self.command, self.on)
        return None


class Ignore(Order, frozen=True, kw_only=True, tag="ignore"):
    """The program never answers a command from now on."""

    command: CommandKind
    on: bool = True

    async def perform(self, simulation: Simulation) -> object:
        _switch(simulation.behaviour.ignore, self.command, self.on)
        return None


class Halt(Order, frozen=True, kw_only=True, tag="halt"):
    """The program stands still; Modbus goes on answering from its registers."""

    on: bool = True

    async def perform(self, simulation: Simulation) -> object:
        simulation.behaviour.halted = self.on
        return None


class Silence(Order, frozen=True, kw_only=True, tag="silence"):
    """Modbus requests are not answered."""

    on: bool = True

    async def perform(self, simulation: Simulation) -> object:
        simulation.faults.silent = self.on
        return None


class Cut(Order, frozen=True, kw_only=True, tag="cut"):
    """The next replies end in the middle, and the connection with them."""

    replies: int = 1

    async def perform(self, simulation: Simulation) -> object:
        simulation.faults.cut_replies = self.replies
        return None


class Except(Order, frozen=True, kw_only=True, tag="except"):
    """Every request is answered with that Modbus exception; ``null``: no longer."""

    code: int | None

    async def perform(self, simulation: Simulation) -> object:
        simulation.faults.exception = self.code
        return None


class Drop(Order, frozen=True, kw_only=True, tag="drop"):
    """Closes the Modbus connections."""

    async def perform(self, simulation: Simulation) -> object:
        simulation.drop_connections()
        return None


class Restart(Order, frozen=True, kw_only=True, tag="restart"):
    """A power cut of the PLC; ``forgetful`` loses what is retained, too."""

    forgetful: bool = False

    async def perform(self, simulation: Simulation) -> object:
        await simulation.restart(forgetful=self.forgetful)
        return None


class Force(Order, frozen=True, kw_only=True, tag="force"):
    """Shows these words at a register whatever the program does; ``null``: no longer."""

    register: str
    words: list[int] | None
    connector: int = 0

    async def perform(self, simulation: Simulation) -> object:
        simulation.force(self.register, self.words, self.connector)
        return None


class ReadRegister(Order, frozen=True, kw_only=True, tag="read"):
    """Gives the value of a register."""

    register: str
    connector: int = 0

    async def perform(self, simulation: Simulation) -> object:
        return simulation.value(self.register, self.connector)


class Wait(Order, frozen=True, kw_only=True, tag="wait"):
    """Waits until something happens (again), ``within`` so many real seconds."""

    event: str
    connector: int | None = None
    about: str | None = None
    within: float = 60.0

    async def perform(self, simulation: Simulation) -> object:
        return await simulation.wait(
            self.event,
            connector=self.connector,
            about=self.about,
            since=len(simulation.log),
            timeout=self.within,
        )


class WaitAccepted(Order, frozen=True, kw_only=True, tag="wait accepted"):
    """Waits until the central system has accepted the station."""

    within: float = 3600.0

    async def perform(self, simulation: Simulation) -> object:
        if not simulation.program.accepted:
            await simulation.wait("accepted", since=len(simulation.log), timeout=self.within)
        return None


AnyOrder: TypeAlias = (
    Arrive
    | Tag
    | Leave
    | Fail
    | Load
    | Refuse
    | Ignore
    | Halt
    | Silence
    | Cut
    | Except
    | Drop
    | Restart
    | Force
    | ReadRegister
    | Wait
    | WaitAccepted
)


def _switch(kinds: set[CommandKind], kind: CommandKind, on: bool) -> None:
    if on:
        kinds.add(kind)
    else:
        kinds.discard(kind)
