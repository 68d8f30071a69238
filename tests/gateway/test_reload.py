"""The configuration read again while the gateway runs."""

from __future__ import annotations

import asyncio
import logging
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ocppgw.config import ClientSettings, load
from ocppgw.ending import Ending
from ocppgw.errors import UserError
from ocppgw.gateway import Gateway
from ocppgw.gateway.doors import address
from ocppgw.gateway.files import digests_in
from ocppgw.gateway.parts import Part, Store
from ocppgw.net.settings import ClientTls, HttpLimits
from ocppgw.testing.processes import free_port
from ocppgw.web.keeping import Reloaded

DEMO_MAP = Path(__file__).resolve().parents[2] / "config" / "maps" / "demo-plc.yaml"
SECOND = """\
  - identity: BOX-2
    central_system: {url: "http://127.0.0.1:9/Ocpp/CentralSystemService"}
    state: two.db
    plc: {driver: simulator, poll: 0.05}
"""


@pytest.fixture
def rewrite(tmp_path: Path) -> Callable[..., None]:
    """Replaces text of the configuration file, which must be there."""

    def change(*pairs: tuple[str, str], more: str = "", name: str = "gateway") -> None:
        file = tmp_path / f"{name}.yaml"
        text = file.read_text()
        for old, new in pairs:
            assert old in text
            text = text.replace(old, new)
        file.write_text(text + more)

    return change


def storages(gateway: Any) -> dict[str, Any]:
    return {name: store.storage for name, store in gateway.stores().items()}


async def answered(port: int) -> bool:
    """Whether an HTTP server answers there."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return False
    writer.write(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    text = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    await writer.wait_closed()
    return text.startswith(b"HTTP/1.1 ")


async def test_a_file_that_is_the_same_changes_nothing(
    running_gateway: Any, central_yaml: str, box_yaml: Any
) -> None:
    async with running_gateway(central_yaml + box_yaml(9)) as gateway:
        before = storages(gateway)

        assert await gateway.reload() == Reloaded()
        assert storages(gateway) == before


async def test_a_wrong_file_is_told_whole_and_changes_nothing(
    running_gateway: Any, central_yaml: str, box_yaml: Any, rewrite: Any, caplog: Any
) -> None:
    async with running_gateway(central_yaml + box_yaml(9)) as gateway:
        before = storages(gateway)
        rewrite(("name: Ann", "nam: Ann"), ("connectors: 2", "connectors: 0"), more=SECOND)
        with pytest.raises(UserError) as caught:
            await gateway.reload()

        assert len(str(caught.value).splitlines()) == 2
        assert storages(gateway) == before
    assert "the configuration is not reloaded: " in caplog.text


async def test_boxes_come_change_and_go_and_the_others_run_on(
    running_gateway: Any, box_yaml: Any, rewrite: Any
) -> None:
    third = SECOND.replace("BOX-2", "BOX-3").replace("two.db", "three.db")
    async with running_gateway(box_yaml(9) + SECOND) as gateway:
        before = storages(gateway)
        rewrite((SECOND, third), ("connectors: 2", "connectors: 1"))
        reloaded = await gateway.reload()
        changed = storages(gateway)

        assert reloaded == Reloaded(
            done=(
                "charge box BOX-2: stopped, and no longer a part of this gateway",
                "charge box BOX-1: restarted with the new settings",
                "charge box BOX-3: it runs now",
            )
        )
        assert list(changed) == ["box-BOX-1", "box-BOX-3"]
        assert changed["box-BOX-1"] is not before["box-BOX-1"]
        rewrite(("connectors: 1", "connectors: 2"))
        await gateway.reload()
        assert storages(gateway)["box-BOX-3"] is changed["box-BOX-3"]


async def test_boxes_may_exchange_what_they_use(
    running_gateway: Any, box_yaml: Any, rewrite: Any
) -> None:
    async with running_gateway(box_yaml(9) + SECOND) as gateway:
        rewrite(("box.db", "x"), ("two.db", "box.db"), ("state: x", "state: two.db"))
        reloaded = await gateway.reload()

        assert len(reloaded.done) == 2
        assert reloaded.failed == ()


async def test_the_central_system_restarts_in_place(
    running_gateway: Any, central_yaml: str, box_yaml: Any, rewrite: Any, until: Any
) -> None:
    text = central_yaml.replace("tcp:0", f"tcp:{free_port()}")
    async with running_gateway(text) as gateway:
        port, before = gateway.port("central_system"), gateway.central
        async with running_gateway(box_yaml(port), name="box") as box:

            async def booted() -> bool:
                found = await gateway.central.views.station("BOX-1")
                return bool(found and found.get("endpoint"))

            await until(booted)
            rewrite(("name: Ann", "name: Anna"))
            reloaded = await gateway.reload()

            assert reloaded.done == ("central_system: restarted with the new settings",)
            assert gateway.central is not before
            assert gateway.port("central_system") == port
            assert [user["name"] for user in await gateway.central.users.all()] == ["Anna"]
            assert await booted()
            assert box.own_address


async def test_requests_wait_while_the_central_system_restarts(
    running_gateway: Any, central_yaml: str, rewrite: Any
) -> None:
    async with running_gateway(central_yaml) as gateway:
        port = gateway.port("central_system")
        rewrite(("name: Ann", "name: Anna"))
        reload = asyncio.ensure_future(gateway.reload())
        asked = 0
        while not reload.done():
            assert await answered(port)
            asked += 1

        assert (await reload).failed == ()
        assert asked


async def test_a_listener_moves_before_the_old_one_is_given_up(
    running_gateway: Any, central_yaml: str, box_yaml: Any, rewrite: Any
) -> None:
    text = central_yaml + box_yaml(9)
    async with running_gateway(text) as gateway:
        old = gateway.port("central_system"), gateway.port("charge_point_server")
        central, system, box = free_port(), gateway.central, storages(gateway)["box-BOX-1"]
        server = 'listen: "tcp:0:interface=127.0.0.1"'
        rewrite(
            ("listen: tcp:0", f"listen: tcp:{central}"),
            (server, f"{server}, limits: {{idle_timeout: 30}}"),
        )
        reloaded = await gateway.reload()

        assert reloaded.done == (
            f"central_system: the listener is tcp:{central}:interface=127.0.0.1",
            "charge_point_server: the new settings are in use",
        )
        assert gateway.port("central_system") == central
        assert await answered(central)
        assert await answered(gateway.port("charge_point_server"))
        assert [await answered(port) for port in old] == [False, False]
        assert f":{gateway.port('charge_point_server')}/" in gateway.own_address
        assert gateway.central is system
        assert storages(gateway)["box-BOX-1"] is box


async def test_a_limit_changes_at_the_same_port(
    running_gateway: Any, central_yaml: str, rewrite: Any
) -> None:
    text = central_yaml.replace("tcp:0", f"tcp:{free_port()}")
    async with running_gateway(text) as gateway:
        port = gateway.port("central_system")
        rewrite(("unknown_stations", "limits: {idle_timeout: 30}\n  unknown_stations"))
        reloaded = await gateway.reload()

        assert reloaded.failed == ()
        assert gateway.port("central_system") == port
        assert await answered(port)


async def test_a_busy_port_is_told_and_the_old_one_stays(
    running_gateway: Any, central_yaml: str, box_yaml: Any, rewrite: Any
) -> None:
    async with running_gateway(central_yaml + box_yaml(9)) as gateway:
        ports = gateway.port("central_system"), gateway.port("charge_point_server")
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            rewrite(
                ("tcp:0:", f"tcp:{taken.getsockname()[1]}:"),
                ("name: Ann", "name: Anna"),
                ("connectors: 2", "connectors: 1"),
            )
            reloaded = await gateway.reload()

        assert reloaded.done == ("charge box BOX-1: restarted with the new settings",)
        assert [told.partition(": ")[0] for told in reloaded.failed] == [
            "central_system",
            "charge_point_server",
        ]
        assert all("the address is in use" in told for told in reloaded.failed)
        assert (gateway.port("central_system"), gateway.port("charge_point_server")) == ports
        for port in ports:
            assert await answered(port)
        again = await gateway.reload()  # the port is free, for the first that asks
        assert [told.partition(": ")[0] for told in again.failed] == ["charge_point_server"]


async def test_a_port_that_had_to_be_given_up_is_taken_again(
    running_gateway: Any, central_yaml: str, rewrite: Any
) -> None:
    text = central_yaml.replace("tcp:0", f"tcp:{free_port()}")
    async with running_gateway(text) as gateway:
        port = gateway.port("central_system")
        rewrite(("127.0.0.1", "192.0.2.1"))
        (failed,) = (await gateway.reload()).failed

        assert "this machine has no such address" in failed
        assert gateway.port("central_system") == port
        assert await answered(port)
        rewrite(("192.0.2.1", "127.0.0.1"))
        assert await gateway.reload() == Reloaded()


async def test_a_part_that_does_not_start_runs_with_its_old_settings(
    running_gateway: Any, central_yaml: str, box_yaml: Any, rewrite: Any, tmp_path: Path
) -> None:
    (tmp_path / "broken.db").write_text("this is no database " * 500)
    async with running_gateway(central_yaml + box_yaml(9)) as gateway:
        rewrite(("box.db", "broken.db"), ("name: Ann", "name: Anna"))
        reloaded = await gateway.reload()

        assert reloaded.done == ("central_system: restarted with the new settings",)
        (failed,) = reloaded.failed
        assert failed.startswith("charge box BOX-1: ")
        assert "broken.db" in failed
        assert failed.endswith("; it runs with its old settings")
        assert gateway.stores()["box-BOX-1"].path == tmp_path / "box.db"
        assert await answered(gateway.port("charge_point_server"))


async def test_what_cannot_change_is_named_and_the_rest_changes(
    running_gateway: Any, central_yaml: str, rewrite: Any, tmp_path: Path
) -> None:
    async with running_gateway(central_yaml) as gateway:
        rewrite(
            ("path: central.db", "path: other.db"),
            ("socket: control.sock", "socket: other.sock"),
            ("name: Ann", "name: Anna"),
            more="plugins: {block: [simulator]}\n",
        )
        reloaded = await gateway.reload()

        assert reloaded.done == ("central_system: restarted with the new settings",)
        assert [told.partition(":")[0] for told in reloaded.restart] == [
            "plugins",
            "control",
            "storage",
        ]
        assert not (tmp_path / "other.db").exists()
        again = await gateway.reload()
        assert again.done == ()
        assert len(again.restart) == 3


async def test_roles_come_and_go(
    running_gateway: Any, central_yaml: str, box_yaml: Any, rewrite: Any, tmp_path: Path
) -> None:
    both = central_yaml + box_yaml(9)
    async with running_gateway(central_yaml) as gateway:
        port = gateway.port("central_system")
        (tmp_path / "gateway.yaml").write_text(both)
        assert (await gateway.reload()).done == ("charge box BOX-1: it runs now",)
        boxes = gateway.port("charge_point_server")
        assert await answered(boxes)

        (tmp_path / "gateway.yaml").write_text(box_yaml(9) + "control: {socket: control.sock}\n")
        gone = await gateway.reload()
        assert gone.done == ("central_system: stopped, and no longer a part of this gateway",)
        assert not await answered(port)
        assert gateway.central is None

        (tmp_path / "gateway.yaml").write_text(central_yaml)
        swapped = await gateway.reload()
        assert swapped.done == (
            "central_system: it runs now",
            "charge box BOX-1: stopped, and no longer a part of this gateway",
        )
        assert not await answered(boxes)
        assert list(gateway.stores()) == ["central"]


async def test_a_register_map_that_has_changed_restarts_its_box(
    box_yaml: Any, rewrite: Any, tmp_path: Path
) -> None:
    from twisted.internet import reactor

    described = tmp_path / "map.yaml"
    shutil.copy(DEMO_MAP, described)
    text = box_yaml(9) + SECOND
    simulated = "{driver: simulator, poll: 0.05}"
    mapped = "{driver: modbus, host: 127.0.0.1, port: 9, map: map.yaml}"
    (tmp_path / "gateway.yaml").write_text(text.replace(simulated, mapped, 1))
    configuration, plugins = load(tmp_path / "gateway.yaml", {})
    gateway = Gateway(configuration, plugins, reactor)  # type: ignore[arg-type]
    gateway.bind()
    try:
        await gateway.start()
        described.write_text(described.read_text() + "# read again\n")
        assert (await gateway.reload()).done == (
            "charge box BOX-1: restarted with the new settings",
        )
        assert await gateway.reload() == Reloaded()

        described.write_text("registers: []")
        with pytest.raises(UserError, match=r"map\.yaml"):
            await gateway.reload()
        assert await answered(gateway.port("charge_point_server"))
    finally:
        await gateway.stop()


def test_certificates_that_have_been_renewed_are_seen(tmp_path: Path) -> None:
    pem, listen = tmp_path / "key.pem", f"ssl:9220:privateKey={tmp_path / 'key.pem'}:certKey=none"
    absent = address(listen, HttpLimits())
    pem.write_text("one")
    first = address(listen, HttpLimits())
    pem.write_text("two")

    assert address(listen, HttpLimits()) != first != absent
    assert list(address(f"tls:{tmp_path}:9220", HttpLimits()).files) == [pem]
    assert list(digests_in(ClientSettings(tls=ClientTls(ca_file=pem)))) == [pem]
    assert address("tcp:9220", HttpLimits()).files == {}


async def test_the_level_of_the_log(
    running_gateway: Any, central_yaml: str, rewrite: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    async with running_gateway(central_yaml) as gateway:
        monkeypatch.setattr(gateway, "_set_level", told.append)
        rewrite(more="logging: {level: warning}\n")
        assert (await gateway.reload()).done == ("logging: the level is warning",)
        assert told == ["warning"]
        monkeypatch.setattr(gateway, "_set_level", None)
        rewrite(("warning", "error"))
        (restart,) = (await gateway.reload()).restart
        assert restart.startswith("logging: ")


async def test_the_http_client_is_exchanged(
    running_gateway: Any, central_yaml: str, rewrite: Any, tmp_path: Path
) -> None:
    async with running_gateway(central_yaml) as gateway:
        rewrite(more="http_client: {limits: {idle_timeout: 5}}\n")
        assert (await gateway.reload()).done == ("http_client: the new settings are in use",)
        rewrite(("{limits: {idle_timeout: 5}}", "{tls: {ca_file: none.pem}}"))
        (failed,) = (await gateway.reload()).failed
        assert failed.startswith("http_client: tls.ca_file: ")


async def test_one_reload_waits_for_the_other(
    running_gateway: Any, central_yaml: str, rewrite: Any
) -> None:
    async with running_gateway(central_yaml) as gateway:
        rewrite(("name: Ann", "name: Anna"))
        first, second = await asyncio.gather(gateway.reload(), gateway.reload())

        assert len(first.done) == 1
        assert second == Reloaded()


async def test_an_impatient_client_does_not_cut_it_short(
    running_gateway: Any, central_yaml: str, rewrite: Any, until: Any
) -> None:
    async with running_gateway(central_yaml) as gateway:
        before = gateway.central
        rewrite(("name: Ann", "name: Anna"))
        reload = asyncio.ensure_future(gateway.reload())
        await asyncio.sleep(0)
        reload.cancel()

        async def restarted() -> bool:
            return gateway.central not in (None, before)

        await until(restarted)


@pytest.mark.parametrize("turns", [0, 1, 3, 10, 30])
async def test_it_ends_in_order_in_the_middle_of_a_reload(
    running_gateway: Any,
    central_yaml: str,
    box_yaml: Any,
    rewrite: Any,
    turns: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    text = central_yaml + box_yaml(9)
    async with running_gateway(text) as gateway:
        rewrite(("name: Ann", "name: Anna"), ("connectors: 2", "connectors: 1"), more=SECOND)
        reload = asyncio.ensure_future(gateway.reload())
        for _ in range(turns):
            await asyncio.sleep(0.001)
        await gateway.stop()
        (outcome,) = await asyncio.gather(reload, return_exceptions=True)

    assert isinstance(outcome, (Reloaded, UserError))
    assert [r.getMessage() for r in caplog.records if r.levelno > logging.ERROR] == []
    async with running_gateway(text) as gateway:
        assert gateway.central is not None
    with pytest.raises(UserError, match="is starting or ending"):
        await gateway.reload()


async def test_what_is_added_and_does_not_start_is_told_and_tried_again(
    running_gateway: Any, central_yaml: str, box_yaml: Any, tmp_path: Path
) -> None:
    file = tmp_path / "gateway.yaml"
    spoilt = tmp_path / "broken.db"
    spoilt.write_text("this is no database " * 500)
    own = box_yaml(9) + "control: {socket: control.sock}\n"
    second = SECOND.replace("two.db", "broken.db")
    async with running_gateway(own) as gateway:
        file.write_text(central_yaml.replace("central.db", "broken.db") + box_yaml(9) + second)
        failed = (await gateway.reload()).failed
        assert [told.partition(":")[0] for told in failed] == [
            "central_system",
            "charge box BOX-2",
        ]
        assert all("broken.db" in told for told in failed)
        assert gateway.central is None
        assert list(gateway.stores()) == ["box-BOX-1"]

        spoilt.unlink()
        file.write_text(central_yaml + box_yaml(9) + second)
        assert (await gateway.reload()).done == (
            "central_system: it runs now",
            "charge box BOX-2: it runs now",
        )


async def test_boxes_whose_port_is_taken_are_not_started(
    running_gateway: Any, central_yaml: str, box_yaml: Any, tmp_path: Path
) -> None:
    file = tmp_path / "gateway.yaml"
    async with running_gateway(central_yaml) as gateway:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            file.write_text(central_yaml + box_yaml(9).replace("tcp:0", f"tcp:{port}"))
            (failed,) = (await gateway.reload()).failed
        assert failed.startswith("charge_boxes: none is started: ")
        assert not (tmp_path / "box.db").exists()
        assert (await gateway.reload()).done == ("charge box BOX-1: it runs now",)


class Fragile(Part[str]):
    """Starts by the plans that it is told to."""

    def __init__(self) -> None:
        super().__init__("a part", "old")
        self.good = {"old"}
        self.told: list[str] = []

    @property
    def store(self) -> Store:
        return Store("store", None, None)

    async def begin(self, plan: str, ending: Ending) -> None:
        async def stop() -> None:
            self.told.append(f"{plan} stopped")

        ending.push(self.name, stop)
        if plan not in self.good:
            raise OSError(f"{plan} is no good")
        self.told.append(f"{plan} runs")


async def test_a_part_goes_back_to_its_old_plan() -> None:
    part = Fragile()
    await part.start()
    with pytest.raises(UserError, match="new is no good; it runs with its old settings"):
        await part.restart("new")
    assert part.told == ["old runs", "old stopped", "new stopped", "old runs"]
    assert part.running

    part.good.clear()
    with pytest.raises(UserError, match=r"it does not run, for with its old settings, too: .*old"):
        await part.restart("new")
    assert not part.running
    assert part.told[4:] == ["old stopped", "new stopped", "old stopped"]

    part.good.add("new")
    await part.restart("new")
    assert (part.plan, part.running) == ("new", True)
    await part.stop()
