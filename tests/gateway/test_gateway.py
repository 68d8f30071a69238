"""The composition root: roles, listeners, drivers, in order."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest
from twisted.application.service import Service

from ocppgw import hookimpl
from ocppgw.errors import UserError
from ocppgw.observe import Exchange, Observed
from ocppgw.ocpp import enums as e
from ocppgw.ocpp import model as m
from ocppgw.plc.base import PlcDriver
from ocppgw.storage.base import StorageError


class Watching:
    """An observer that keeps what it sees."""

    def __init__(self) -> None:
        self.seen: list[Observed] = []

    @hookimpl
    def ocppgw_observers(self, gateway: Any) -> list[Any]:
        self.identities = gateway.identities()
        return [self.seen.append]

    def operations(self) -> list[str]:
        return [each.operation for each in self.seen if isinstance(each, Exchange)]


async def test_a_session_from_remote_start_to_remote_stop(
    running_gateway: Any, central_yaml: str, box_yaml: Any, until: Any
) -> None:
    watching = Watching()
    async with running_gateway(central_yaml, name="central") as central:
        box_file = box_yaml(central.port("central_system"))
        async with running_gateway(box_file, name="box", also={"watching": watching}):
            views = central.central.views

            async def booted() -> bool:
                found = await views.station("BOX-1")
                return found is not None and bool(found.get("endpoint"))

            await until(booted)
            start = m.RemoteStartTransactionRequest(id_tag="A1", connector_id=1)
            answer = await central.central.call("BOX-1", start)
            assert answer == m.RemoteStartTransactionResponse(status=e.CommandStatus.ACCEPTED)

            (begun,) = await until(lambda: views.transactions("BOX-1", running=True))
            number = begun["transactionId"]
            await central.central.call(
                "BOX-1", m.RemoteStopTransactionRequest(transaction_id=number)
            )

            async def stopped() -> bool:
                return "meterStop" in (await views.transaction(number) or {})

            await until(stopped)

    assert watching.identities == ("BOX-1",)
    operations = watching.operations()
    assert operations.index("BootNotification") < operations.index("StartTransaction")
    assert operations.index("StartTransaction") < operations.index("StopTransaction")
    assert operations.count("StopTransaction") == 1


async def test_the_charge_points_service_is_at_its_path_only(
    running_gateway: Any, box_yaml: Any
) -> None:
    box_file = box_yaml(9)
    async with running_gateway(box_file) as gateway:
        port = gateway.port("charge_point_server")
        elsewhere = await get(port, "/elsewhere")
        wsdl = await get(port, "/Ocpp/ChargePointService/?wsdl")

    assert elsewhere.startswith(b"HTTP/1.1 404 ")
    assert b"the service is at /Ocpp/ChargePointService" in elsewhere
    assert wsdl.startswith(b"HTTP/1.1 200 ")
    assert f"http://127.0.0.1:{port}/Ocpp/ChargePointService".encode() in wsdl


async def get(port: int, target: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode())
    text = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    await writer.wait_closed()
    return text


async def test_a_busy_port_is_told_with_its_section(make_gateway: Any, central_yaml: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        text = central_yaml.replace("tcp:0", f"tcp:{taken.getsockname()[1]}")
        gateway = make_gateway(text)
        with pytest.raises(UserError, match=r"gateway\.yaml: central_system\.listen: .* in use"):
            gateway.bind()
        await gateway.stop()


async def test_what_a_driver_has_against_its_options_is_told_for_every_box(
    make_gateway: Any, box_yaml: Any
) -> None:
    class Picky:
        @hookimpl(tryfirst=True)
        def ocppgw_plc_drivers(self) -> list[PlcDriver]:
            from ocppgw.plc.simulator import SimulatorOptions

            def refuse(options: object, context: object) -> Any:
                raise UserError("map.yaml: no such file")

            return [PlcDriver("simulator", SimulatorOptions, refuse)]

    one = box_yaml(9)
    two = one[one.index("  - identity") :].replace("BOX-1", "BOX-2").replace("box.db", "2.db")
    with pytest.raises(UserError) as caught:
        make_gateway(one + two, also={"picky": Picky()})

    assert str(caught.value).splitlines() == [
        "charge box BOX-1: map.yaml: no such file",
        "charge box BOX-2: map.yaml: no such file",
    ]


async def test_services_of_plugins_run_along(
    running_gateway: Any, caplog: Any, central_yaml: str
) -> None:
    told: list[str] = []

    class Clock(Service):  # type: ignore[misc]
        def __init__(self, name: str, fails: str = "") -> None:
            self.name, self.fails = name, fails

        def startService(self) -> None:  # noqa: N802
            if self.fails == "start":
                raise OSError("no luck")
            told.append(f"{self.name} starts")

        def stopService(self) -> None:  # noqa: N802
            if self.fails == "stop":
                raise OSError("stuck")
            told.append(f"{self.name} stops")

    class Serving:
        @hookimpl
        def ocppgw_services(self, gateway: Any) -> list[Service]:
            return [Clock("a"), Clock("b", "start"), Clock("c", "stop"), Clock("d")]

    async with running_gateway(central_yaml, also={"serving": Serving()}):
        assert told == ["a starts", "c starts", "d starts"]

    assert told[3:] == ["d stops", "a stops"]
    assert "plugin serving: a service of it did not start: no luck" in caplog.text
    assert "a service of plugin serving did not stop in order: stuck" in caplog.text


async def test_a_start_that_fails_leaves_nothing_behind(
    make_gateway: Any, tmp_path: Path, central_yaml: str
) -> None:
    (tmp_path / "central.db").write_text("this is no database " * 500)
    gateway = make_gateway(central_yaml)
    gateway.bind()
    try:
        with pytest.raises(StorageError):
            await gateway.start()
    finally:
        await gateway.stop()
    await gateway.stop()

    assert not (tmp_path / "control.sock").exists()


async def test_the_options_of_a_plugin_are_checked_when_it_asks(
    running_gateway: Any, caplog: Any, central_yaml: str
) -> None:
    class Asking:
        @hookimpl
        def ocppgw_observers(self, gateway: Any) -> list[Any]:
            import msgspec

            Options = msgspec.defstruct(  # noqa: N806
                "Options", [("every", int)], kw_only=True, forbid_unknown_fields=True
            )
            return [gateway.options("narrate", Options)]

    text = central_yaml + "plugins: {options: {narrate: {every: often}}}\n"
    async with running_gateway(text, also={"asking": Asking()}):
        pass

    assert "plugins.options.narrate.every: expected a whole number, got" in caplog.text, caplog.text


@pytest.mark.parametrize(
    ("server", "address"),
    [
        ("{listen: 'tcp:0:interface=127.0.0.1', path: /x}", "http://127.0.0.1:PORT/x"),
        (r"{listen: 'tcp6:0:interface=\:\:1'}", "http://[::1]:PORT/Ocpp/ChargePointService"),
        (
            "{listen: 'tcp:0:interface=127.0.0.1', public_url: 'https://o.example/x'}",
            "https://o.example/x",
        ),
    ],
)
async def test_central_systems_are_told_where_we_are(
    make_gateway: Any, server: str, address: str, box_yaml: Any
) -> None:
    text = box_yaml(9).replace(
        'charge_point_server: {listen: "tcp:0:interface=127.0.0.1"}',
        f"charge_point_server: {server}",
    )
    gateway = make_gateway(text)
    gateway.bind()
    try:
        port = str(gateway.port("charge_point_server"))
        assert gateway.own_address == address.replace("PORT", port)
    finally:
        await gateway.stop()
    # Its boxes may have something to send when the listener is closed already.
    assert gateway.own_address == address.replace("PORT", port)


async def test_files_for_https_are_looked_for_beside_the_configuration(
    make_gateway: Any, central_yaml: str, tmp_path: Path
) -> None:
    text = central_yaml + "http_client: {tls: {ca_file: pki/ca.pem}}\n"
    with pytest.raises(
        UserError, match=rf"tls\.ca_file: '{tmp_path}/pki/ca\.pem' .*: No such file"
    ):
        make_gateway(text)
