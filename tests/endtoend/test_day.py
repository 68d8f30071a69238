"""A day of one central system and three charge boxes with five connectors in all.

Many sessions on each connector, begun and ended in every way, with tags that are refused,
reservations, an outage of the central system, a charge box that is killed, and a PLC that
restarts. What the PLCs say they did is the truth: at the end each of their sessions is booked
once, with the PLC's own meter, and nothing else is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.site.fleet import CONNECTORS, TAGS, Fleet
from tests.site.plc import Plc, until
from tests.site.stores import documents

pytestmark = pytest.mark.slow

DAY = 150.0  # real seconds that it may take on a busy machine; it takes some twenty
WH = 25  # that a session charges: a second or so
STRANGER = "STRANGER"
TOMORROW = (datetime.now(UTC) + timedelta(days=1)).isoformat(timespec="seconds")


class Booking(NamedTuple):
    """A session, as the PLC had it and as the central system booked it."""

    box: str
    connector: int
    id_tag: str
    meter_start: int
    meter_stop: int


@pytest.mark.parametrize("processes", [1, 4])
async def test_everything_is_stored_once(tmp_path: Path, processes: int) -> None:
    async with Fleet(tmp_path, processes) as fleet:
        places = [(box, n + 1) for box, count in CONNECTORS.items() for n in range(count)]
        guests = [Guest(fleet, *place, tag) for place, tag in zip(places, TAGS, strict=True)]
        async with asyncio.timeout(DAY), asyncio.TaskGroup() as group:
            group.create_task(misfortunes(fleet, guests))
            for guest in guests:
                group.create_task(guest.day())
        truth = sorted(had(fleet))
        await until(booked(fleet, truth), lambda: f"not booked like that: {truth}")
        transactions = await fleet.transactions()
        for transaction in transactions:
            await values_belong_to(fleet, transaction)
        await until(lambda: not left_to_do(tmp_path), lambda: f"left: {left_to_do(tmp_path)}")

    assert len(truth) >= sum(guest.sessions for guest in guests)
    numbers = [transaction["transactionId"] for transaction in transactions]
    assert len(set(numbers)) == len(numbers)
    assert told(fleet) <= set(numbers)
    assert not [one for one in transactions if one.get("suspect") or one.get("synthetic")]
    reserved = [one["reservationId"] for one in transactions if "reservationId" in one]
    assert sorted(reserved) == sorted(guest.reservation for guest in guests)
    assert "Traceback" not in fleet.consoles


class Guest:
    """Who charges at one connector all day, with a tag of their own."""

    def __init__(self, fleet: Fleet, box: str, connector: int, id_tag: str) -> None:
        self.sessions = 0
        self.reservation = 100 + TAGS.index(id_tag)
        self._fleet = fleet
        self._box = box
        self._connector = connector
        self._id_tag = id_tag

    async def day(self) -> None:
        """One session after the other, begun and ended in every way there is."""
        ways = (
            (self.tag, self.tag_again),
            (self.tag_after_a_stranger, self.unplug),
            (self.remote_start, self.remote_stop),
            (self.reserve_and_tag, self.tag_again),
            (self.tag, self.unplug),
        )
        for begins, ends in ways:
            begin = len(self._plc.log)
            await begins()
            await self._charge(begin)
            await ends(begin)
            await self._waits(begin, "session ended")
            self._do("leave")
            self.sessions += 1
            await asyncio.sleep(1)  # nobody is quicker than that

    # How a session begins

    async def tag(self) -> None:
        self._do("arrive")
        await self._tag_until("charging", self._id_tag)

    async def tag_after_a_stranger(self) -> None:
        await self._tag_until("tag refused", STRANGER)
        await self.tag()

    async def remote_start(self) -> None:
        begin = len(self._plc.log)
        self._do("arrive")
        while not self._saw(begin, "charging"):
            mark = len(self._plc.log)
            fields = {"idTag": self._id_tag, "connectorId": self._connector}
            if await self._fleet.did(self._box, "RemoteStartTransaction", **fields):
                await self._waits(mark, "charging", "restarted", "gave up")

    async def reserve_and_tag(self) -> None:
        """Until then, a tag that is welcome anywhere else is refused."""
        fields = {
            "connectorId": self._connector,
            "idTag": self._id_tag,
            "expiryDate": TOMORROW,
            "reservationId": self.reservation,
        }
        await until(lambda: self._fleet.did(self._box, "ReserveNow", **fields))
        await self._tag_until("tag refused", TAGS[TAGS.index(self._id_tag) - 1])
        await self.tag()

    # How it ends, unless the PLC has ended it already

    async def tag_again(self, begin: int) -> None:
        if not self._saw(begin, "stopping"):
            self._do("tag", id_tag=self._id_tag)

    async def unplug(self, begin: int) -> None:
        self._do("leave")

    async def remote_stop(self, begin: int) -> None:
        """By the number that the PLC was told last."""
        while not self._saw(begin, "stopping"):
            numbers = [
                told["details"]["transaction"]
                for told in self._plc.told("transaction", since=begin)
                if told["connector"] == self._connector
            ]
            fields = {"transactionId": numbers[-1] if numbers else 0}
            if await self._fleet.did(self._box, "RemoteStopTransaction", **fields):
                await self._waits(begin, "stopping")

    # What they do, and what they look at

    @property
    def _plc(self) -> Plc:
        return self._fleet.plcs[self._box]

    def _do(self, order: str, **details: object) -> None:
        self._plc.do(order, connector=self._connector, **details)

    def _saw(self, since: int, *events: str) -> bool:
        return any(
            told["event"] in events and told["connector"] in (0, self._connector)
            for told in self._plc.log[since:]
        )

    async def _waits(self, since: int, *events: str) -> None:
        await until(
            lambda: self._saw(since, *events),
            lambda: f"{self._box} {self._connector}: none of {events} in {self._plc.log[since:]}",
        )

    async def _tag_until(self, event: str, id_tag: str) -> None:
        """Shows the tag, and again when nothing came of it."""
        begin = mark = len(self._plc.log)
        while not self._saw(begin, event):
            mark = len(self._plc.log)
            self._do("tag", id_tag=id_tag)
            await self._waits(mark, event, "tag refused", "gave up", "restarted")

    async def _charge(self, begin: int) -> None:
        """So much, unless the PLC ends the session before."""
        enough = await self._plc.read("energy", self._connector) + WH

        async def charged() -> bool:
            if self._saw(begin, "stopping"):
                return True
            return bool(await self._plc.read("energy", self._connector) >= enough)

        await until(charged)


async def misfortunes(fleet: Fleet, guests: Sequence[Guest]) -> None:
    """One after the other, when the guests have had so many sessions."""

    async def central_is_away() -> None:
        await fleet.central_is_away(2.0)

    async def box_is_killed() -> None:
        home = fleet.home_of("FLEET-B")
        fleet.programs[home].kill()
        await fleet.start(home)

    async def plc_restarts() -> None:
        await fleet.plcs["FLEET-A"].done("restart")

    happens: dict[int, Callable[[], Awaitable[None]]] = {
        3: central_is_away,
        8: box_is_killed,
        13: plc_restarts,
        18: central_is_away,
    }
    for sessions, misfortune in happens.items():
        await until(lambda sessions=sessions: sum(g.sessions for g in guests) >= sessions)
        await misfortune()


# What must be true in the evening


def had(fleet: Fleet) -> list[Booking]:
    """The sessions of the PLCs. What a PLC raises again after a power cut is the same."""
    found = []
    for box, plc in fleet.plcs.items():
        for connector in range(1, CONNECTORS[box] + 1):
            starts, stops = (
                {
                    one["details"]["sequence"]: one["details"]
                    for one in plc.told("raised", event)
                    if one["connector"] == connector
                }.values()
                for event in ("start", "stop")
            )
            for start, stop in zip(starts, stops, strict=True):
                meters = (start["meter"], stop["meter"])
                found.append(Booking(box, connector, start["id_tag"], *meters))
    return found


def told(fleet: Fleet) -> set[int]:
    """The transactions that the PLCs were told while the session ran."""
    return {
        one["details"]["transaction"]
        for plc in fleet.plcs.values()
        for one in plc.told("transaction")
    }


def booked(fleet: Fleet, truth: list[Booking]) -> Callable[[], Awaitable[bool]]:
    """Whether exactly that is what the central system has, and all of it has ended."""

    async def look() -> bool:
        found = await fleet.transactions()
        return {one["state"] for one in found} == {"stopped"} and truth == sorted(
            Booking(
                one["chargeBoxIdentity"],
                one["connectorId"],
                one["idTag"],
                one["meterStart"],
                one["meterStop"],
            )
            for one in found
        )

    return look


async def values_belong_to(fleet: Fleet, transaction: dict[str, Any]) -> None:
    """Its meter values lie between its start and its stop, each of them once."""
    number = transaction["transactionId"]
    values = (await fleet.ask("GET", f"/api/transactions/{number}"))["meterValues"]
    energies = [
        (value["timestamp"], float(sampled["value"]))
        for value in values
        for sampled in value["sampledValue"]
        if sampled.get("measurand", "Energy.Active.Import.Register").startswith("Energy")
    ]
    assert len(set(energies)) == len(energies)
    assert energies == sorted(energies)
    assert all(transaction["meterStart"] <= wh <= transaction["meterStop"] for _, wh in energies)


def left_to_do(folder: Path) -> list[dict[str, Any]]:
    """Messages that wait in the charge boxes, and sessions that have not ended there."""
    left = []
    for box in CONNECTORS:
        left += documents(folder / f"{box}.db", "box_queue")
        sessions = documents(folder / f"{box}.db", "box_sessions")
        left += [session for session in sessions if not session["done"]]
    return left
