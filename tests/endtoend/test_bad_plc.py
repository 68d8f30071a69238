"""A PLC, or the line to it, that misbehaves: the charge box survives it, says so once in
plain words, loses nothing, and bills the session right.

Every test is a session that begins well, meets one misfortune, and ends well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Self

import pytest

from tests.site.blocking import wait_for
from tests.site.plc import Plc, until
from tests.site.site import TAG, Site

pytestmark = pytest.mark.slow

ALL_ONES = [0xFFFF] * 4
# The meter values of a session come once a second; readings every fifth of one.
POLLS_OF_NONSENSE = 5


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One site for all; every test ends its session, and its misfortune."""
    site = Site(tmp_path_factory.mktemp("site"))
    wait_for(site.__aenter__)
    try:
        yield site
    finally:
        wait_for(site.end)


class Session:
    """``async with``: a session on connector 1; afterwards it was billed as the PLC has it."""

    def __init__(self, site: Site, before: int | None = None) -> None:
        """``before``: how many transactions there are when it begins."""
        self._site = site
        self._begin = len(site.plc.log)
        self._console = len(site.console("box"))
        self._number = before

    async def __aenter__(self) -> Self:
        site = self._site
        if self._number is None:
            self._number = len(await site.transactions())
        site.plc.do("arrive")
        site.plc.do("tag", id_tag=TAG)
        await site.plc.saw("charging", since=self._begin)
        await site.plc.saw("transaction", since=self._begin)
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        if kind is None:
            await self._end()

    async def _end(self) -> None:
        plc = self._site.plc
        assert self._number is not None
        if not plc.told("stopping", since=self._begin):
            await plc.charge(3)
            plc.do("tag", id_tag=TAG)
        await plc.saw("accepted", "answer_stop", self._begin)
        plc.do("leave")
        booked = await self._site.stopped(self._number + 1)
        (start,) = plc.told("raised", "start", self._begin)[:1]
        stop = plc.told("raised", "stop", self._begin)[-1]
        assert booked[-1]["meterStart"] == start["details"]["meter"]
        assert booked[-1]["meterStop"] == stop["details"]["meter"]
        assert not booked[-1].get("suspect")
        assert "Traceback" not in self.console

    @property
    def console(self) -> str:
        """What the charge box has said since the session began."""
        return self._site.console("box")[self._console :]

    async def says(self, pattern: str) -> None:
        await self._site.programs["box"].says(pattern, self._console)

    def count(self, pattern: str) -> int:
        """How many lines say that."""
        return sum(bool(re.search(pattern, line)) for line in self.console.splitlines())


@pytest.mark.parametrize("order", ["cut", "drop"])
async def test_a_line_that_breaks_for_a_moment(site: Site, order: str) -> None:
    """In the middle of a reply, or between two: not worth a word, as it is back at once."""
    async with Session(site) as session:
        for _ in range(3):
            await site.plc.done(order)
            await site.plc.charge(2)

    assert session.count("plc: offline") == 0


async def test_a_plc_that_does_not_answer_any_more(site: Site) -> None:
    async with Session(site) as session:
        await site.plc.done("silence")
        await session.says("plc: offline: no answer within 1 s")
        await site.plc.done("silence", on=False)
        await session.says("plc: online")

    assert session.count("plc: offline") == 1
    assert session.count("plc: online") == 1


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (2, "it has none of the map's registers"),
        (4, r"it answers exception 4 \(device failure\) to reading"),
    ],
)
async def test_exceptions_instead_of_values(site: Site, code: int, why: str) -> None:
    async with Session(site) as session:
        await site.plc.done("except", code=code)
        await session.says(f"plc: offline: {why}")
        await site.plc.done("except", code=None)
        await session.says("plc: online")

    assert session.count("plc: offline") == 1
    # What else there is to say of it is not said at each poll, nor at each connection.
    assert session.count(rf"exception {code} \(") <= 8


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ([0, 0, 0, 1], "the energy counter fell from"),
        (ALL_ONES, "energy .* left out: all ones mean no value"),
        ([0, 1, 0, 0], "the energy counter leapt from"),
    ],
    ids=["fallen", "all ones", "a jump of 2^32"],
)
async def test_energy_that_makes_no_sense_is_kept_out(
    site: Site, words: list[int], why: str
) -> None:
    async with Session(site) as session:
        await site.plc.charge(3)
        await site.plc.done("force", register="energy", connector=1, words=words)
        await session.says(why)
        told = session.count("left out")
        await site.plc.charge(POLLS_OF_NONSENSE * 3)
        still = session.count("left out")
        await site.plc.done("force", register="energy", connector=1, words=None)

    assert told == still == 1
    values = await energies(site)
    assert values == sorted(values)
    assert all(100_000 < value < 200_000 for value in values)


async def test_a_power_that_is_not_a_number_is_left_out(site: Site) -> None:
    async with Session(site) as session:
        await site.plc.done("force", register="power", connector=1, words=[0x7FC0, 0])
        await session.says("power.*left out")
        await site.plc.charge(6)
        assert session.count("power.*left out") == 1
        await site.plc.done("force", register="power", connector=1, words=None)
        await session.says("power.*makes sense again")


async def test_a_status_that_the_map_does_not_know(site: Site) -> None:
    async with Session(site) as session:
        await site.plc.done("force", register="status", connector=1, words=[99])
        await session.says("status .* reads 0x0063, left out: 99 is none of its values")
        await site.plc.charge(5)
        assert session.count("99 is none of its values") == 1
        await site.plc.done("force", register="status", connector=1, words=None)


async def test_a_tag_of_200_characters(site: Site) -> None:
    console = len(site.console("box"))
    number = len(await site.transactions())
    await site.plc.done("force", register="tag_id", connector=1, words=[0x4141] * 10)
    begin = len(site.plc.log)
    site.plc.do("tag", id_tag="A" * 200)
    await site.plc.saw("tag refused", since=begin)
    await site.plc.done("force", register="tag_id", connector=1, words=None)

    assert "Traceback" not in site.console("box")[console:]
    assert len(await site.transactions()) == number
    async with Session(site):
        pass


@pytest.mark.parametrize("phase", ["raised", "acknowledged"])
@pytest.mark.parametrize("event", ["start", "stop"])
async def test_a_program_that_freezes_in_a_hand_shake(site: Site, event: str, phase: str) -> None:
    """It stands still for a while; the charge box takes its step, and waits for the PLC's."""
    begin = len(site.plc.log)
    number = len(await site.transactions())
    site.plc.do("arrive")
    site.plc.do("tag", id_tag=TAG)
    if event == "stop":
        await site.plc.saw("transaction", since=begin)
        site.plc.do("tag", id_tag=TAG)
    await site.plc.saw(phase, event, begin)
    await site.plc.done("halt")

    async def followed() -> bool:
        request = await site.plc.read(f"{event}_request")
        return bool(await site.plc.read(f"{event}_acknowledge") == request)

    await until(followed)
    await site.plc.done("halt", on=False)
    await site.plc.saw("accepted", f"answer_{event}", begin)
    if event == "start":
        site.plc.do("tag", id_tag=TAG)
    await site.plc.saw("accepted", "answer_stop", begin)
    site.plc.do("leave")
    booked = (await site.stopped(number + 1))[-1]

    (start,), (stop,) = (site.plc.told("raised", name, begin) for name in ("start", "stop"))
    meters = (start["details"]["meter"], stop["details"]["meter"])
    assert (booked["meterStart"], booked["meterStop"]) == meters


async def test_a_plc_that_restarts_in_the_middle_of_a_session(site: Site) -> None:
    """It comes back with the session in its memory, and ends it."""
    async with Session(site):
        await site.plc.charge(3)
        begin = len(site.plc.log)
        await site.plc.done("restart")
        await site.plc.saw("accepted", since=begin)


async def test_a_plc_that_restarts_and_knows_nothing_of_its_session(site: Site) -> None:
    """The lost session ends at its last meter value, when the next one begins."""
    number = len(await site.transactions())
    begin = len(site.plc.log)
    site.plc.do("arrive")
    site.plc.do("tag", id_tag=TAG)
    await site.plc.saw("transaction", since=begin)
    await site.programs["box"].says("connector 1 meters", len(site.console("box")))
    energy = await site.plc.read("energy")
    site.plc.do("restart", forgetful=True)
    await site.plc.saw("accepted", since=len(site.plc.log))
    async with Session(site, number + 1):
        pass
    lost = (await site.transactions())[number]

    (start, _) = site.plc.told("raised", "start", begin)
    assert lost["meterStart"] == start["details"]["meter"]
    assert lost["meterStart"] < lost["meterStop"] <= energy + 1


async def test_a_port_that_is_closed_for_a_while(site: Site) -> None:
    """The PLC's process dies, and comes back on the same port with its meter where it was."""
    console = len(site.console("box"))
    energy = await site.plc.read("energy")
    site.kill("plc")
    await site.programs["box"].says("plc: offline: .*refused", console)
    site.plc = await Plc.start(
        site.folder, site.map, connectors=1, speed=4.0, port=site.plc.port, energy=energy - 1000
    )
    site.programs["plc"] = site.plc.program
    await site.plc.saw("accepted")
    async with Session(site):
        pass

    # Closed and refused are two reasons, each told once.
    told = [line for line in site.console("box")[console:].splitlines() if "plc: offline" in line]
    assert 1 <= len(told) <= 2


async def energies(site: Site) -> list[float]:
    """The energy of the meter values of the last transaction, in the order of time."""
    number = (await site.transactions())[-1]["transactionId"]
    transaction = await site.ask("GET", f"/api/transactions/{number}")
    return [
        float(sampled["value"])
        for value in transaction["meterValues"]
        for sampled in value["sampledValue"]
        if sampled.get("measurand", "Energy.Active.Import.Register").startswith("Energy")
    ]
