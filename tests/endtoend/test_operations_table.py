"""What each of the fifteen operations does: ``ocppgw send`` to the running demo.

One row an operation: the command, what the operator reads, what is looked at (a register
of the PLC, a stored document, the station), and its value before and after.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from ocppgw.ocpp.operations import OPERATIONS, Direction
from tests.site.blocking import wait_for
from tests.site.demo import BOX, Demo
from tests.site.plc import until

pytestmark = pytest.mark.slow

TAG = "DEMO-TAG"
STRANGER = "STRANGER"  # a tag that the central system does not know
LISTED = json.dumps([{"idTag": STRANGER, "idTagInfo": {"status": "Accepted"}}])
FULL_LIST = ("updateType=Full", f"localAuthorizationList={LISTED.replace(' ', '')}")
LATER = (datetime.now(UTC) + timedelta(hours=1)).isoformat(timespec="seconds")
IDLE, CHARGING, ENDED, RESERVED, BLOCKED = 0, 3, 4, 5, 6  # of the register `status`


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """One demo for all; every row leaves connector 2 free and in service."""
    demo = Demo(tmp_path_factory.mktemp("demo"))
    wait_for(demo.__aenter__)
    try:
        yield demo
    finally:
        wait_for(demo.end)


Look = Callable[[Demo], Awaitable[object]]
Step = Callable[[Demo], Awaitable[object]]


async def nothing(demo: Demo) -> None:
    """Neither preparation nor clearing up."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """``says`` is a pattern of what is printed. ``first`` makes ready for the command,
    ``afterwards`` undoes what it did; what ``first`` gives stands for ``{}`` in it."""

    command: str
    look: Look
    before: object
    after: object
    says: str = "Accepted"
    exit_code: int = 0
    first: Step = nothing
    afterwards: Step = nothing

    @property
    def operation(self) -> str:
        return self.command.split()[0]


# What is looked at


def register(name: str) -> Look:
    """A register of the PLC that is the station's."""

    async def look(demo: Demo) -> object:
        return await demo.plc.read(name, 0)

    return look


def changed(key: str) -> Look:
    """The stored value of a configuration key that was changed."""

    async def look(demo: Demo) -> object:
        stored = demo.documents("box.db", "box_configuration")
        return [found["value"] for found in stored if found["key"] == key]

    return look


def answered(key: str) -> Look:
    """A configuration key as GetConfiguration has it."""

    async def look(demo: Demo) -> object:
        done = await demo.send("GetConfiguration", f'key=["{key}"]')
        return done.stdout.split(" = ")[1].strip()

    return look


def kept(collection: str, word: str) -> Look:
    """Whether the charge box's stored documents have that word."""

    async def look(demo: Demo) -> object:
        return word in json.dumps(demo.documents("box.db", collection))

    return look


async def reserved(demo: Demo) -> object:
    """The ids of the stored reservations."""
    slots = [found.get("held", {}) for found in demo.documents("box.db", "box_reservations")]
    return [slot["reservation_id"] for slot in slots if slot]


async def list_version(demo: Demo) -> object:
    """The stored version of the local list."""
    return [found["list_version"] for found in demo.documents("box.db", "box_local_list")]


def station(field: str) -> Look:
    """A field of the station as the central system has it."""

    async def look(demo: Demo) -> object:
        return (await demo.ask(f"/api/stations/{BOX}")).get(field)

    return look


def happened(event: str, about: str = "") -> Look:
    """How often the PLC told of that."""

    async def look(demo: Demo) -> object:
        return len(demo.happened(event, about))

    return look


def told(words: str) -> Look:
    """How often the console has these words."""

    async def look(demo: Demo) -> object:
        return len(demo.told(words))

    return look


def all_of(*looks: Look) -> Look:
    """Several things at once."""

    async def look(demo: Demo) -> object:
        return [await one(demo) for one in looks]

    return look


async def status(demo: Demo) -> object:
    """Connector 2 in the PLC's register, and at the central system."""
    shown = (await demo.ask(f"/api/stations/{BOX}"))["connectors"]
    (status,) = [one["status"] for one in shown if one["id"] == 2]
    return await demo.plc.read("status", 2), status


async def session(demo: Demo) -> object:
    """Connector 2 in the PLC's register, and the tags of the transactions that run."""
    running = await demo.ask("/api/transactions?running=true")
    return await demo.plc.read("status", 2), [one["idTag"] for one in running]


async def stranger(demo: Demo) -> object:
    """What becomes of a tag that the central system does not know."""
    begin = len(demo.plc.log)
    demo.plc.do("tag", id_tag=STRANGER, connector=2)

    def answers() -> list[str]:
        told = (one["event"] for one in demo.plc.log[begin:])
        return [event for event in told if event in ("tag accepted", "tag refused")]

    await until(lambda: bool(answers()))
    return answers()[0]


# What is done before and after


def sends(*arguments: str) -> Step:
    """Another command, which is done."""

    async def step(demo: Demo) -> None:
        done = await demo.send(*arguments)
        assert done.returncode == 0, done

    return step


async def charging(demo: Demo) -> object:
    """A session that runs on connector 2; gives its transaction."""
    begin = len(demo.plc.log)
    demo.plc.do("arrive", connector=2)
    demo.plc.do("tag", id_tag=TAG, connector=2)
    told = await demo.plc.saw("transaction", since=begin)
    await demo.plc.saw("accepted", "answer_start", begin)
    return told["details"]["transaction"]


async def ended(demo: Demo) -> None:
    """The car has charged a little and leaves, and with it the session."""
    if await demo.plc.read("status", 2) == CHARGING:
        await demo.plc.charge(2, connector=2)
    demo.plc.do("leave", connector=2)
    await becomes(demo, all_of(status, session), [(IDLE, "Available"), (IDLE, [])])


async def charged_once(demo: Demo) -> None:
    """The central system has judged a tag."""
    await charging(demo)
    await ended(demo)


async def plc_restarted(demo: Demo) -> None:
    """It has forgotten the tag that it was told to let charge, and the box its list."""
    begin = len(demo.plc.log)
    await demo.plc.done("restart")
    await demo.plc.saw("accepted", since=begin)
    await EMPTY_LIST(demo)
    await becomes(demo, status, (IDLE, "Available"))


RESERVE = ("ReserveNow", "connectorId=2", f"idTag={TAG}", f"expiryDate={LATER}")
EMPTY_LIST = sends("SendLocalList", "updateType=Full", "listVersion=9")

ROWS = [
    Row(
        command="CancelReservation reservationId=11",
        first=sends(*RESERVE, "reservationId=11"),
        look=all_of(status, reserved, happened("accepted", "cancel_reservation")),
        before=[(RESERVED, "Reserved"), [11], 0],
        after=[(IDLE, "Available"), [], 1],
    ),
    Row(
        command="ChangeAvailability connectorId=2 type=Inoperative",
        look=status,
        before=(IDLE, "Available"),
        after=(BLOCKED, "Unavailable"),
        afterwards=sends("ChangeAvailability", "connectorId=2", "type=Operative"),
    ),
    Row(
        command="ChangeConfiguration key=ConnectionTimeOut value=7",
        look=all_of(
            register("connection_timeout"),
            changed("ConnectionTimeOut"),
            answered("ConnectionTimeOut"),
        ),
        before=[60, [], "60"],
        after=[7, ["7"], "7"],
        afterwards=sends("ChangeConfiguration", "key=ConnectionTimeOut", "value=60"),
    ),
    Row(
        command="ClearCache",
        first=charged_once,
        look=kept("box_judged_tags", TAG),
        before=True,
        after=False,
    ),
    Row(
        command="DataTransfer vendorId=probe messageId=note data=hello",
        look=told("the probe was told: hello"),
        before=0,
        after=1,
    ),
    Row(
        command='GetConfiguration key=["NumberOfConnectors"]',
        says=r"1 key\nNumberOfConnectors = 2  \(read-only\)\n$",
        look=changed("NumberOfConnectors"),
        before=[],
        after=[],
    ),
    Row(
        command="GetDiagnostics location=ftp://127.0.0.1/logs",
        says=r"there is no file: diagnostics: not configured\n$",
        exit_code=3,
        look=station("diagnosticsStatus"),
        before=None,
        after=None,
    ),
    Row(
        command="GetLocalListVersion",
        first=sends("SendLocalList", "listVersion=4", *FULL_LIST),
        says=r"version 4\n$",
        look=list_version,
        before=[4],
        after=[4],
        afterwards=EMPTY_LIST,
    ),
    Row(
        command=f"RemoteStartTransaction idTag={TAG} connectorId=2",
        look=session,
        before=(IDLE, []),
        after=(CHARGING, [TAG]),
        afterwards=ended,
    ),
    Row(
        command="RemoteStopTransaction transactionId={}",
        first=charging,
        look=session,
        before=(CHARGING, [TAG]),
        after=(ENDED, []),
        afterwards=ended,
    ),
    Row(
        command=" ".join((*RESERVE, "reservationId=12")),
        look=all_of(status, reserved, happened("accepted", "reserve")),
        before=[(IDLE, "Available"), [], 0],
        after=[(RESERVED, "Reserved"), [12], 1],
        afterwards=sends("CancelReservation", "reservationId=12"),
    ),
    Row(
        command="Reset type=Hard",
        look=all_of(happened("asked", "reset"), happened("restarted"), told("boots as")),
        before=[0, 0, 0],
        after=[1, 1, 1],
    ),
    Row(
        command=" ".join(("SendLocalList", "listVersion=5", *FULL_LIST)),
        look=all_of(stranger, kept("box_listed_tags", STRANGER)),
        before=["tag refused", False],
        after=["tag accepted", True],
        afterwards=plc_restarted,
    ),
    Row(
        command="UnlockConnector connectorId=2",
        says="Unlocked",
        look=all_of(happened("asked", "unlock"), happened("accepted", "unlock")),
        before=[0, 0],
        after=[1, 1],
    ),
    Row(
        command=f"UpdateFirmware location=ftp://127.0.0.1/new retrieveDate={LATER}",
        says=r"answered\n$",
        look=station("firmwareStatus"),
        before=None,
        after="DownloadFailed",
    ),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.operation)
async def test_operation(demo: Demo, row: Row) -> None:
    given = await row.first(demo)
    demo.mark()
    await becomes(demo, row.look, row.before)
    done = await demo.send(*row.command.replace("{}", str(given)).split(" "))

    assert (done.returncode, done.stderr) == (row.exit_code, "")
    assert re.match(f"{row.operation}: {row.says}", done.stdout, re.DOTALL)
    await becomes(demo, row.look, row.after)
    await row.afterwards(demo)
    assert "Traceback" not in demo.program.console


async def becomes(demo: Demo, look: Look, wanted: object) -> None:
    """Waits until what is looked at is so."""
    seen: list[object] = [None]

    async def same() -> bool:
        seen[0] = await look(demo)
        return seen[0] == wanted

    await until(same, lambda: f"expected {wanted}, got {seen[0]}")


def test_every_operation_has_a_row() -> None:
    operations = {o.name for o in OPERATIONS if o.direction is Direction.TO_CHARGE_POINT}

    assert [row.operation for row in ROWS] == sorted(operations)
