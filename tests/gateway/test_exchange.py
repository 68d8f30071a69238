"""Stores exchanged, backed up and put back while the gateway runs."""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ocppgw.central.settings import UserSettings
from ocppgw.errors import UserError
from ocppgw.link.base import PeerError
from ocppgw.net import gate
from ocppgw.ocpp import model as m
from ocppgw.storage.base import StorageError
from ocppgw.storage.sqlite import FileLock


async def get(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    text = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    await writer.wait_closed()
    return text


async def test_the_stores_are_known(
    running_gateway: Any, central_yaml: str, box_yaml: Any, tmp_path: Path
) -> None:
    async with running_gateway(central_yaml + box_yaml(9)) as gateway:
        stores = gateway.stores()

        assert {name: store.path for name, store in stores.items()} == {
            "central": tmp_path / "central.db",
            "box-BOX-1": tmp_path / "box.db",
        }
        assert await stores["central"].storage.next_number("test") == 1


@pytest.mark.parametrize("name", ["central.db", "box.db"])
async def test_the_user_of_a_store_is_stopped_for_its_exchange(
    running_gateway: Any, central_yaml: str, box_yaml: Any, tmp_path: Path, name: str
) -> None:
    async with running_gateway(central_yaml + box_yaml(9)) as gateway:
        (before,) = [s.storage for s in gateway.stores().values() if s.path.name == name]
        others = [s.storage for s in gateway.stores().values() if s.path.name != name]

        def replace() -> None:
            assert threading.current_thread() is not threading.main_thread()
            (tmp_path / name).unlink()
            (tmp_path / f"{name}-wal").unlink(missing_ok=True)

        await gateway.exchange(tmp_path / name, replace)
        (after,) = [s.storage for s in gateway.stores().values() if s.path.name == name]

        assert after is not before
        assert [s.storage for s in gateway.stores().values() if s.path.name != name] == others
        assert await after.next_number("test") == 1
        with pytest.raises(StorageError):
            await before.next_number("test")


async def test_what_cannot_be_exchanged_runs_on_as_it_was(
    running_gateway: Any, central_yaml: str, tmp_path: Path
) -> None:
    async with running_gateway(central_yaml) as gateway:
        await gateway.central.users.put(UserSettings(id_tag="B2"))

        def fails() -> None:
            raise OSError("the disk is full")

        with pytest.raises(OSError, match="the disk is full"):
            await gateway.exchange(tmp_path / "central.db", fails)
        assert {user["idTag"] for user in await gateway.central.users.all()} == {"A1", "B2"}
        with pytest.raises(UserError, match="no part of this gateway keeps its data there"):
            await gateway.exchange(tmp_path / "other.db", fails)


async def test_a_store_that_is_none_is_told_and_may_be_mended(
    running_gateway: Any, central_yaml: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "central.db"
    async with running_gateway(central_yaml) as gateway:
        monkeypatch.setattr(gateway._house.central._gate, "_patience", 0.01)

        def spoil() -> None:
            store.write_text("this is no database " * 500)
            (tmp_path / "central.db-wal").unlink(missing_ok=True)

        with pytest.raises(UserError, match="does not start with the store that is there now"):
            await gateway.exchange(store, spoil)
        away = await get(gateway.port("central_system"))
        assert away.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 10" in away.lower()

        store.unlink()
        assert (await gateway.reload()).done == ("central_system: restarted with the new settings",)
        assert (await get(gateway.port("central_system"))).startswith(b"HTTP/1.1 404 ")


async def test_an_exchange_that_the_end_meets_is_finished_and_starts_nothing(
    running_gateway: Any, central_yaml: str, tmp_path: Path, until: Any, caplog: Any
) -> None:
    caplog.set_level(logging.INFO)
    begun, goes_on, done = threading.Event(), threading.Event(), []

    def replace() -> None:
        begun.set()
        assert goes_on.wait(30)
        done.append(True)

    async with running_gateway(central_yaml) as gateway:
        exchange = asyncio.ensure_future(gateway.exchange(tmp_path / "central.db", replace))
        await asyncio.to_thread(begun.wait, 30)
        stopping = asyncio.ensure_future(gateway.stop())

        async def ending() -> bool:
            return bool(gateway._house.ending)

        await until(ending)
        goes_on.set()
        await exchange
        await stopping

        assert done == [True]
        assert "runs again" not in caplog.text
        assert gateway.central is None
        with closing(FileLock(tmp_path / "central.db")):
            pass


async def test_who_calls_a_box_that_is_away_is_to_come_back_later(
    running_gateway: Any, central_yaml: str, box_yaml: Any, tmp_path: Path, until: Any
) -> None:
    begun, done = threading.Event(), threading.Event()

    def replace() -> None:
        begun.set()
        assert done.wait(30)

    async with (
        running_gateway(central_yaml, name="central") as central,
        running_gateway(box_yaml(central.port("central_system")), name="box") as box,
    ):

        async def booted() -> bool:
            found = await central.central.views.station("BOX-1")
            return found is not None and bool(found.get("endpoint"))

        await until(booted)
        exchange = asyncio.ensure_future(box.exchange(tmp_path / "box.db", replace))
        await asyncio.to_thread(begun.wait, 30)
        request = m.UnlockConnectorRequest(connector_id=1)
        place = box._house.charge_points._server._boxes["box-1"]
        place.gate._patience = 0.01
        with pytest.raises(PeerError, match="HTTP 503"):
            await central.central.call("BOX-1", request)
        place.gate._patience = 30
        call = asyncio.ensure_future(central.central.call("BOX-1", request))
        done.set()
        await exchange

        assert isinstance(await call, m.UnlockConnectorResponse)


async def test_backup_and_restore_while_it_runs(
    running_gateway: Any, central_yaml: str, box_yaml: Any, tmp_path: Path, caplog: Any
) -> None:
    caplog.set_level("INFO")
    archive = tmp_path / "backup.tar"
    async with running_gateway(central_yaml + box_yaml(9)) as gateway:
        await gateway.central.users.put(UserSettings(id_tag="B2"))
        manifest = await gateway.backup(archive, "ann")
        assert [copied.name for copied in manifest.stores] == ["central", "box-BOX-1"]
        megabytes = sum(copied.size for copied in manifest.stores) / 1e6
        told = f"a backup is written to {archive}: {megabytes:.1f} MB of stores, wanted by ann"
        assert told in caplog.messages
        await gateway.central.users.put(UserSettings(id_tag="C3"))

        assert await gateway.restore(archive, ["central"]) == ["central"]
        assert {user["idTag"] for user in await gateway.central.users.all()} == {"A1", "B2"}
        assert await gateway.restore(archive, []) == ["central", "box-BOX-1"]
        with pytest.raises(StorageError, match="holds no store `x`"):
            await gateway.restore(archive, ["x"])

    async with running_gateway(central_yaml, name="other") as other:
        with pytest.raises(UserError, match="no store `box-BOX-1`; there are: central"):
            await other.restore(archive, [])


async def test_a_gate_lets_those_inside_finish() -> None:
    one = gate.Gate(patience=0.01)
    with pytest.raises(gate.Away):
        await one.through(asyncio.Event().wait)
    one.open()
    inside = asyncio.Event()
    waiting = asyncio.ensure_future(one.through(inside.wait))
    await asyncio.sleep(0)
    assert await one.shut(0.01) == 1
    shut = asyncio.ensure_future(one.shut(30))
    await asyncio.sleep(0)
    inside.set()

    assert await shut == 0
    assert await waiting
