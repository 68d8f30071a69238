"""The control socket and what it answers."""

from __future__ import annotations

import asyncio
import json
import socket
import stat
from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ocppgw.errors import UserError
from ocppgw.web.client import ControlClient
from ocppgw.web.control import ControlServer

ASK = Callable[..., Any]


def asking(path: Path) -> ASK:
    """Calls the API from a thread, as another process would; gives status-free answers."""

    async def ask(method: str, target: str, body: object = None) -> Any:
        return await asyncio.to_thread(ControlClient(path).call, method, target, body)

    return ask


@pytest.fixture
def serving(
    running_gateway: Any, central_yaml: str, box_yaml: Any, until: Any, tmp_path: Path
) -> Any:
    """A central system and a charge box that has booted; gives a way to ask."""

    @asynccontextmanager
    async def run(text: str = central_yaml) -> Any:
        async with (
            running_gateway(text, name="central") as central,
            running_gateway(box_yaml(central.port("central_system")), name="box"),
        ):
            ask = asking(tmp_path / "control.sock")

            async def there() -> bool:
                return bool(await ask("GET", "/api/stations"))

            await until(there)
            yield ask

    return run


async def refusal(asked: Any) -> str:
    with pytest.raises(UserError) as caught:
        await asked
    return str(caught.value)


async def test_stations_and_commands(serving: Any, until: Any) -> None:
    async with serving() as ask:

        async def booted() -> bool:
            return "endpoint" in await ask("GET", "/api/stations/BOX-1")

        await until(booted)
        (station,) = await ask("GET", "/api/stations?registration=accepted")
        assert station["chargeBoxIdentity"] == "BOX-1"
        assert await ask("GET", "/api/stations?registration=pending") == []

        path = "/api/stations/BOX-1/operations"
        blocked = {"connectorid": "2", "TYPE": "inoperative"}
        assert await ask("POST", f"{path}/changeavailability", blocked) == {
            "operation": "ChangeAvailability",
            "done": True,
            "response": {"status": "Accepted"},
        }
        keys = await ask("POST", f"{path}/GetConfiguration", {"key": ["NumberOfConnectors"]})
        assert keys["response"]["configurationKey"] == [
            {"key": "NumberOfConnectors", "readonly": True, "value": "2"}
        ]
        stop = await ask("POST", f"{path}/RemoteStopTransaction", {"transactionId": 5})
        assert stop["done"] is False
        assert stop["response"] == {"status": "Rejected"}


async def test_transactions_and_notifications(serving: Any, until: Any) -> None:
    async with serving() as ask:
        start = {"idTag": "A1", "connectorId": 1}
        path = "/api/stations/BOX-1/operations/RemoteStartTransaction"

        async def started() -> bool:
            try:
                return (await ask("POST", path, start))["done"]
            except UserError:
                return False  # it has not told its address yet

        await until(started)
        (running,) = await until(lambda: ask("GET", "/api/transactions?running=true"))
        one = await ask("GET", f"/api/transactions/{running['transactionId']}")
        assert one["idTag"] == "A1"
        assert one["meterValues"] == []
        assert await ask("GET", "/api/transactions?station=OTHER") == []

        unread = await ask("GET", "/api/notifications?unread=true&station=BOX-1&limit=1000")
        boot = next(n for n in unread if n["type"] == "BootNotification")
        identifier = next(v for k, v in boot.items() if k in ("id", "notificationId", "key"))
        await ask("POST", f"/api/notifications/{identifier}/read")
        left = await ask("GET", "/api/notifications?unread=true&limit=1000")
        assert identifier not in [v for n in left for v in n.values() if isinstance(v, str)]


async def test_users(serving: Any) -> None:
    async with serving() as ask:
        await ask("PUT", "/api/users/B2", {"status": "blocked", "name": "Bob"})
        users = {user["idTag"]: user for user in await ask("GET", "/api/users")}
        assert users["A1"]["configured"] is True
        assert users["B2"]["status"] == "blocked"
        await ask("DELETE", "/api/users/B2")
        assert [user["idTag"] for user in await ask("GET", "/api/users")] == ["A1"]

        assert "A1 is listed in the configuration" in await refusal(ask("DELETE", "/api/users/A1"))
        assert "did you mean `blocked`?" in await refusal(
            ask("PUT", "/api/users/B3", {"status": "bloked"})
        )
        assert "JSON object" in await refusal(ask("PUT", "/api/users/B3", [1]))


async def test_pending_stations_wait_for_a_word(serving: Any, central_yaml: str) -> None:
    text = central_yaml.replace("unknown_stations: accept", "unknown_stations: pending")
    async with serving(text) as ask:
        (station,) = await ask("GET", "/api/stations?registration=pending")
        assert station["chargeBoxIdentity"] == "BOX-1"
        reset = ask("POST", "/api/stations/BOX-1/operations/Reset", {"type": "Soft"})
        assert "pending; accept it before" in await refusal(reset)
        await ask("POST", "/api/stations/BOX-1/accept")
        assert await ask("GET", "/api/stations?registration=pending") == []
        await ask("POST", "/api/stations/BOX-1/refuse")
        (station,) = await ask("GET", "/api/stations")
        assert station["registration"] == "refused"


@pytest.mark.parametrize(
    ("method", "target", "body", "sentence"),
    [
        ("GET", "/api/nothing", None, "there is nothing at GET /api/nothing"),
        ("GET", "/api/stations/X", None, "no station X is known here"),
        ("GET", "/api/stations?registration=x", None, "registration: expected one of"),
        ("GET", "/api/transactions/7", None, "there is no transaction 7"),
        ("GET", "/api/transactions?limit=0", None, "limit: expected a whole number from 1 to"),
        ("POST", "/api/notifications/x/read", None, "there is no notification x"),
        ("POST", "/api/stations/X/operations/Rset", {}, "no operation Rset; did you mean `Reset`?"),
        ("POST", "/api/stations/X/operations/Reset", {}, "Reset: the key `type` is missing"),
        ("POST", "/api/stations/X/operations/Reset", [], "expected a mapping, got a list"),
        ("POST", "/api/stations/X/operations/Heartbeat", {}, "there is no operation Heartbeat"),
        (
            "POST",
            "/api/stations/X%2FY/operations/Reset",
            {"type": "Hard"},
            "no station X/Y is known here",
        ),
    ],
)
async def test_errors_are_one_sentence(
    running_gateway: Any,
    central_yaml: str,
    tmp_path: Path,
    method: str,
    target: str,
    body: object,
    sentence: str,
) -> None:
    async with running_gateway(central_yaml):
        told = await refusal(asking(tmp_path / "control.sock")(method, target, body))

    assert sentence in told
    assert "\n" not in told


async def raw(path: Path, request: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(request)
    answer = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    await writer.wait_closed()
    return answer


async def test_a_body_that_is_no_json_is_told(
    running_gateway: Any, central_yaml: str, tmp_path: Path
) -> None:
    async with running_gateway(central_yaml):
        answer = await raw(
            tmp_path / "control.sock",
            b"POST /api/stations/X/operations/Reset HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            b"Content-Length: 4\r\n\r\n{no}",
        )

    head, _, body = answer.partition(b"\r\n\r\n")
    assert b" 400 " in head.splitlines()[0]
    assert b"Content-Type: application/json" in head
    assert json.loads(body)["error"].startswith("the body is not valid JSON:")


async def test_only_the_owner_may_open_it(
    running_gateway: Any, central_yaml: str, tmp_path: Path
) -> None:
    async with running_gateway(central_yaml):
        mode = (tmp_path / "control.sock").stat().st_mode
        assert stat.S_IMODE(mode) == 0o600

    assert not (tmp_path / "control.sock").exists()


async def test_a_gateway_that_is_no_central_system_says_so(
    running_gateway: Any, box_yaml: Any, tmp_path: Path
) -> None:
    async with running_gateway(box_yaml(9) + "control: {socket: control.sock}\n"):
        told = await refusal(asking(tmp_path / "control.sock")("GET", "/api/stations"))

    assert told == "this gateway is no central system, so it has no stations"


@pytest.fixture
def server() -> Callable[[Path], ControlServer]:
    from twisted.internet import reactor

    return lambda path: ControlServer(reactor, path)  # type: ignore[arg-type]


async def test_until_it_is_opened_it_asks_for_patience(server: Any, tmp_path: Path) -> None:
    control = server(tmp_path / "deep" / "control.sock")
    control.bind()
    told = await refusal(asking(tmp_path / "deep" / "control.sock")("GET", "/api/stations"))
    await control.stop()
    await control.stop()

    assert told == "the gateway is still starting; try again in a moment"


async def test_a_socket_left_by_a_killed_gateway_is_replaced(server: Any, tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    control = server(path)
    control.bind()
    assert stat.S_ISSOCK(path.stat().st_mode)
    await control.stop()

    assert not path.exists()


async def test_a_path_that_is_no_longer_ours_is_left_alone(server: Any, tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    control = server(path)
    control.bind()
    path.unlink()
    path.write_text("somebody else's")
    await control.stop()

    assert path.read_text() == "somebody else's"


async def test_a_socket_of_a_living_gateway_is_respected(server: Any, tmp_path: Path) -> None:
    first, second = server(tmp_path / "c.sock"), server(tmp_path / "c.sock")
    first.bind()
    try:
        with pytest.raises(UserError, match="another gateway is running at"):
            second.bind()
    finally:
        await first.stop()


async def test_paths_that_cannot_be_had_are_told(server: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="is there and is no socket"):
        server(tmp_path / "file").bind()
    with pytest.raises(UserError, match="cannot be used: "):
        server(tmp_path / "file" / "c.sock").bind()
    with pytest.raises(UserError, match="longer than the 100 bytes"):
        server(tmp_path / ("x" * 100)).bind()


def test_the_client_tells_what_it_met(tmp_path: Path) -> None:
    path = tmp_path / "c.sock"
    with pytest.raises(UserError, match="start one with `ocppgw run FILE`"):
        ControlClient(path).call("GET", "/")
    with socket.socket(socket.AF_UNIX) as nobody:
        nobody.bind(str(path))
        with pytest.raises(UserError, match="no gateway is running at"):
            ControlClient(path).call("GET", "/")


def test_a_socket_of_somebody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("ocppgw.web.client._UnixConnection.connect", refused)
    with pytest.raises(UserError, match="only the user that the gateway runs as"):
        ControlClient(tmp_path / "c.sock").call("GET", "/")


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "is no gateway of ours"),
        (b"SSH-2.0\r\n\r\n", "gave no answer"),
        (b"HTTP/1.1 500 X\r\nContent-Length: 2\r\n\r\n{}", "the gateway answered 500"),
    ],
)
async def test_strangers_at_the_socket(tmp_path: Path, answer: bytes, sentence: str) -> None:
    async def stranger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_unix_server(stranger, tmp_path / "c.sock")
    told = await refusal(asking(tmp_path / "c.sock")("GET", "/"))
    server.close()
    await server.wait_closed()

    assert sentence in told
