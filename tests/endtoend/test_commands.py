"""An operator's commands, from ``ocppgw send`` to the registers of the PLC and back.

Every program is a process of its own. The texts are what the operator reads.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.site.blocking import wait_for
from tests.site.plc import until
from tests.site.site import BOX, TAG, Site

pytestmark = pytest.mark.slow

# Long enough for a PLC that answers, on any machine; short where the test waits for it.
DEADLINES = "deadlines: {remote_start: 2, command: 2, answer: 2}"

REMOTE_START = ("RemoteStartTransaction", f"idTag={TAG}", "connectorId=1")
UNLOCK = ("UnlockConnector", "connectorId=1")
OUT_OF_SERVICE = ("ChangeAvailability", "connectorId=1", "type=Inoperative")
IN_SERVICE = ("ChangeAvailability", "connectorId=1", "type=Operative")
SOFT = ("Reset", "type=Soft")
HARD = ("Reset", "type=Hard")

NO_ENDPOINT = (
    "station SILENT-1 has not told where it listens (no usable wsa:From); set"
    " central_system.stations.SILENT-1.endpoint to its URL"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One site for all; every test leaves it as it found it: free and in service."""
    site = Site(tmp_path_factory.mktemp("site"), connectors=2, box_keys=DEADLINES)
    wait_for(site.__aenter__)
    try:
        yield site
    finally:
        wait_for(site.end)


async def test_remote_start_and_stop(site: Site) -> None:
    begin = len(site.plc.log)
    number = len(await site.transactions())
    started = await site.send(BOX, *REMOTE_START)
    await site.plc.saw("charging", since=begin)
    await site.plc.saw("accepted", "answer_start", begin)
    running = (await site.transactions())[-1]
    await site.plc.charge(5)
    stopped = await site.send(
        BOX, "RemoteStopTransaction", f"transactionId={running['transactionId']}"
    )
    await site.plc.saw("accepted", "answer_stop", begin)
    booked = (await site.stopped(number + 1))[-1]
    site.plc.do("leave")

    assert (started.returncode, started.stdout) == (0, "RemoteStartTransaction: Accepted\n")
    asked = site.plc.told("asked", "remote_start", begin)
    assert [(one["connector"], one["details"]["id_tag"]) for one in asked] == [(1, TAG)]
    assert (running["state"], running["idTag"], running["connectorId"]) == ("active", TAG, 1)
    assert (stopped.returncode, stopped.stdout) == (0, "RemoteStopTransaction: Accepted\n")
    asked = site.plc.told("asked", "remote_stop", begin)
    assert [one["details"]["transaction"] for one in asked] == [running["transactionId"]]
    meters = [
        site.plc.told("raised", event, begin)[0]["details"]["meter"] for event in ("start", "stop")
    ]
    assert [booked["meterStart"], booked["meterStop"]] == meters
    assert booked["energy"] == meters[1] - meters[0] > 0
    for register in ("remote_start", "remote_stop"):
        assert await site.plc.read(register) == 0


@pytest.mark.parametrize(
    ("command", "register", "answered"),
    [
        (REMOTE_START, "remote_start", "RemoteStartTransaction: Rejected: remote start: "),
        (UNLOCK, "unlock", "UnlockConnector: UnlockFailed: unlock: "),
        (OUT_OF_SERVICE, "availability", "ChangeAvailability: Rejected: availability: "),
        (SOFT, "reset", "Reset: Rejected: reset: "),
        (HARD, "reset", "Reset: Rejected: reset: "),
    ],
    ids=["RemoteStart", "Unlock", "ChangeAvailability", "Reset soft", "Reset hard"],
)
@pytest.mark.parametrize(
    ("order", "reason"),
    [("refuse", "PLC refused"), ("ignore", "PLC did not answer, withdrawn")],
)
async def test_what_the_plc_does_not_do_is_rejected_and_the_operator_reads_why(
    site: Site, order: str, reason: str, command: tuple[str, ...], register: str, answered: str
) -> None:
    begin = len(site.plc.log)
    number = len(await site.transactions())
    await site.plc.done(order, command=register)
    done = await site.send(BOX, *command)
    await site.plc.done(order, command=register, on=False)

    assert (done.returncode, done.stderr) == (3, "")
    assert done.stdout == f"{answered}{reason}\n"
    # The request was up, and is down again: nothing happens when the PLC listens again.
    assert len(site.plc.told("asked", register, begin)) == 1
    lowered = "reset_request" if register == "reset" else register
    assert await site.plc.read(lowered, 0 if register == "reset" else 1) == 0
    assert not site.plc.told("charging", since=begin)
    assert not site.plc.told("restarted", since=begin)
    assert len(await site.transactions()) == number


async def test_a_remote_stop_that_the_plc_does_not_do_leaves_the_session(site: Site) -> None:
    async with charging(site) as transaction:
        stop = ("RemoteStopTransaction", f"transactionId={transaction}")
        await site.plc.done("refuse", command="remote_stop")
        refused = await site.send(BOX, *stop)
        await site.plc.done("refuse", command="remote_stop", on=False)
        await site.plc.done("ignore", command="remote_stop")
        ignored = await site.send(BOX, *stop)
        await site.plc.done("ignore", command="remote_stop", on=False)
        other = await site.send(BOX, "RemoteStopTransaction", f"transactionId={transaction + 1}")
        still = (await site.transactions())[-1]

    rejected = "RemoteStopTransaction: Rejected: remote stop: "
    assert (refused.returncode, refused.stdout) == (3, rejected + "PLC refused\n")
    assert ignored.stdout == rejected + "PLC did not answer, withdrawn\n"
    assert other.stdout == (
        "RemoteStopTransaction: Rejected: remote stop: no such transaction runs here\n"
    )
    assert (still["transactionId"], still["state"]) == (transaction, "active")


async def test_a_remote_start_where_one_charges_is_rejected(site: Site) -> None:
    async with charging(site):
        done = await site.send(BOX, *REMOTE_START)

    assert done.returncode == 3
    assert done.stdout.endswith("remote start: connector is charging\n")


@pytest.mark.parametrize("connector", [0, 1])
async def test_out_of_service_and_back(site: Site, connector: int) -> None:
    begin = len(site.plc.log)
    where = f"connectorId={connector}"
    out = await site.send(BOX, "ChangeAvailability", where, "type=Inoperative")
    await connector_is(site, 1, "Unavailable")
    other = await site.plc.read("status", 2)
    refused = await site.send(BOX, *REMOTE_START)
    back = await site.send(BOX, "ChangeAvailability", where, "type=Operative")
    await connector_is(site, 1, "Available")

    accepted = (0, "ChangeAvailability: Accepted\n")
    assert (out.returncode, out.stdout) == (back.returncode, back.stdout) == accepted
    told = [
        (one["connector"], one["details"]["available"])
        for one in site.plc.told("asked", "availability", begin)
    ]
    connectors = [1] if connector else [1, 2]
    assert told == [(number, available) for available in (0, 1) for number in connectors]
    assert (other == 6) == (connector == 0)  # 6: blocked
    assert refused.returncode == 3
    assert refused.stdout.endswith("remote start: connector is out of service\n")


async def test_out_of_service_once_the_session_has_ended(site: Site) -> None:
    begin = len(site.plc.log)
    async with charging(site):
        done = await site.send(BOX, *OUT_OF_SERVICE)
        during = site.plc.told("asked", "availability", begin)
        status = await site.plc.read("status")
    await site.plc.saw("asked", "availability", begin)
    await connector_is(site, 1, "Unavailable")
    back = await site.send(BOX, *IN_SERVICE)
    await connector_is(site, 1, "Available")

    assert (done.returncode, done.stdout) == (0, "ChangeAvailability: Scheduled\n")
    assert during == []
    assert status == 3  # charging
    assert back.returncode == 0


async def test_unlock(site: Site) -> None:
    begin = len(site.plc.log)
    done = await site.send(BOX, *UNLOCK)

    assert (done.returncode, done.stdout) == (0, "UnlockConnector: Unlocked\n")
    assert len(site.plc.told("accepted", "unlock", begin)) == 1


async def test_unlock_ends_the_session_first(site: Site) -> None:
    begin = len(site.plc.log)
    number = len(await site.transactions())
    async with charging(site, ends=False):
        done = await site.send(BOX, *UNLOCK)
    booked = (await site.stopped(number + 1))[-1]

    assert (done.returncode, done.stdout) == (0, "UnlockConnector: Unlocked\n")
    events = [(one["event"], one["about"]) for one in site.plc.log[begin:] if "about" in one]
    assert events.index(("accepted", "remote_stop")) < events.index(("asked", "unlock"))
    assert booked["energy"] == booked["meterStop"] - booked["meterStart"]


@pytest.mark.parametrize("command", [SOFT, HARD])
async def test_reset(site: Site, command: tuple[str, str]) -> None:
    begin = len(site.plc.log)
    number = len(await site.transactions())
    console = len(site.console("box"))
    async with charging(site, ends=False):
        done = await site.send(BOX, *command)
        await site.plc.saw("restarted", since=begin)
    booked = (await site.stopped(number + 1))[-1]
    await site.programs["box"].says(f"{BOX} → .*boots as", console)
    await site.plc.saw("accepted", since=begin)
    await connector_is(site, 1, "Available")

    assert (done.returncode, done.stdout) == (0, "Reset: Accepted\n")
    (asked,) = site.plc.told("asked", "reset", begin)
    assert asked["details"]["hard"] == (1 if command is HARD else 0)
    # A soft reset ends the session before, a hard one is a power cut to it.
    (stop,) = site.plc.told("raised", "stop", begin)
    assert stop["details"]["reason"] == ("Remote" if command is SOFT else "PowerLoss")
    assert booked["meterStop"] == stop["details"]["meter"]


async def test_while_the_plc_is_offline(site: Site) -> None:
    await site.plc.done("silence")
    await connector_is(site, 1, "Faulted")
    answers = [await site.send(BOX, *command) for command in (REMOTE_START, UNLOCK, HARD)]
    await site.plc.done("silence", on=False)
    await connector_is(site, 1, "Available")

    assert [answer.returncode for answer in answers] == [3, 3, 3]
    assert [answer.stdout for answer in answers] == [
        "RemoteStartTransaction: Rejected: remote start: PLC is offline\n",
        "UnlockConnector: UnlockFailed: unlock: PLC is offline\n",
        "Reset: Rejected: reset: PLC is offline\n",
    ]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ("NOBODY", *HARD),
            "no station NOBODY is known here; check the identity, or let it call first",
        ),
        (
            (BOX, "Rest", "type=Hard"),
            "there is no operation Rest; did you mean `Reset`?",
        ),
        ((BOX, "Reset"), "Reset: the key `type` is missing"),
        (
            (BOX, "UnlockConnector", "connectorId=one"),
            'UnlockConnector: connectorId: expected a whole number, got "one"',
        ),
        (
            ("SILENT-1", *HARD),
            NO_ENDPOINT,
        ),
    ],
    ids=["station", "operation", "missing field", "wrong field", "no endpoint"],
)
async def test_what_cannot_be_sent_is_one_sentence(
    site: Site, arguments: tuple[str, ...], sentence: str
) -> None:
    done = await site.send(*arguments)

    assert (done.returncode, done.stdout, done.stderr) == (1, "", sentence + "\n")


async def test_without_a_central_system_or_a_charge_box(site: Site) -> None:
    site.kill("box")
    unreachable = await site.send(BOX, *HARD)
    site.kill("central")
    down = await site.send(BOX, *HARD)
    await site.start_central()
    await site.start_box()
    await connector_is(site, 1, "Available")

    address = f"127.0.0.1:{site.box_port}"
    assert (unreachable.returncode, unreachable.stdout) == (1, "")
    assert unreachable.stderr.count("\n") == 1
    assert address in unreachable.stderr
    assert (down.returncode, down.stdout) == (1, "")
    assert down.stderr == (
        f"no gateway is running at {site.folder / 'central.sock'};"
        " start one with `ocppgw run FILE`, or name its control socket with --socket\n"
    )


@asynccontextmanager
async def charging(site: Site, *, ends: bool = True) -> AsyncIterator[int]:
    """A session on connector 1 in this block, its transaction; ``ends``: with its tag."""
    begin = len(site.plc.log)
    number = len(await site.transactions())
    site.plc.do("arrive")
    site.plc.do("tag", id_tag=TAG)
    await site.plc.saw("charging", since=begin)
    told = await site.plc.saw("transaction", since=begin)
    await connector_is(site, 1, "Charging")
    try:
        yield told["details"]["transaction"]
    finally:
        if ends:
            site.plc.do("tag", id_tag=TAG)
        await site.stopped(number + 1)
        await site.plc.saw("accepted", "answer_stop", begin)
        site.plc.do("leave")


async def connector_is(site: Site, connector: int, status: str) -> None:
    """Waits until the central system shows that status."""

    shown: list[Any] = []

    async def look() -> bool:
        station = await site.ask("GET", f"/api/stations/{BOX}")
        shown[:] = [c["status"] for c in station["connectors"] if c["id"] == connector]
        return shown == [status]

    await until(look, lambda: f"connector {connector} is {shown}, not {status}")
