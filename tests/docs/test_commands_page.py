"""docs/commands.md: every operation has a row whose command can be sent; its plugin works."""

import re
import shlex
from collections.abc import Callable
from datetime import timedelta
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from ocppgw.cli.send import send
from ocppgw.link import NoEndpoint
from ocppgw.ocpp import encode_call, enums, model
from ocppgw.ocpp.operations import OPERATIONS, Direction, Version, by_name
from ocppgw.plugins import Plugins
from ocppgw.web.client import ControlClient
from ocppgw.web.messages import request_of

ROW = re.compile(r"^\| (\w+) \| `(ocppgw send .*)` \|$", re.MULTILINE)
SENT = re.compile(r"^\$ (ocppgw .*)$", re.MULTILINE)
COMMANDS = [
    o.name
    for o in OPERATIONS
    if o.direction is Direction.TO_CHARGE_POINT and Version.V15 in o.versions
]


@pytest.fixture
def text(page: Callable[[str], Any]) -> str:
    shown: str = page("docs/commands.md").text
    return shown


def posted(command: str, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Any]:
    """What the command asks the gateway for: the path, and the body."""
    asked: list[tuple[str, Any]] = []

    def call(self: ControlClient, method: str, path: str, body: Any = None) -> Any:
        asked.append((path, body))
        return {"operation": "X", "done": True, "response": {}}

    monkeypatch.setattr(ControlClient, "call", call)
    words = shlex.split(command)
    assert words[:2] == ["ocppgw", "send"]
    done = CliRunner().invoke(send, [*words[2:], "--socket", "x"], catch_exceptions=False)
    assert done.exit_code == 0
    return asked[0]


def test_every_operation_has_a_row_that_can_be_sent(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = ROW.findall(text)
    assert [name for name, _ in rows] == sorted(COMMANDS)
    assert len(rows) == 15
    for name, command in rows:
        path, body = posted(command, monkeypatch)
        assert path == f"/api/stations/DEMO-1/operations/{name}"
        operation = by_name(Direction.TO_CHARGE_POINT, name)
        assert operation is not None
        assert encode_call(
            request_of(operation, body),
            direction=Direction.TO_CHARGE_POINT,
            version=Version.V15,
            identity="DEMO-1",
            message_id="1",
            to="http://station/",
            sender="http://central/",
        )


def test_the_other_commands_can_be_sent_too(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [posted(command, monkeypatch)[0] for command in SENT.findall(text)]

    assert len(paths) == 3
    assert paths[1].endswith("/SendLocalList?users=true")
    assert "/ChangeAvailability?later=2h&by=" in paths[2]


class Central:
    """The central system as the page's plugin uses it."""

    def __init__(self) -> None:
        self.kept: list[Any] = []

    async def call_later(
        self, identity: str, request: model.Request, keep: timedelta, *, now: bool = True
    ) -> None:
        self.kept.append((identity, request, keep, now))

    async def call(self, identity: str, request: model.Request, deadline: float) -> Any:
        if identity == "AWAY":
            raise NoEndpoint("nobody knows where")
        return model.UnlockConnectorResponse(status=enums.UnlockStatus.UNLOCKED)


async def test_the_plugin_of_the_page(page: Callable[[str], Any]) -> None:
    (code,) = (s.text for s in page("docs/commands.md").snippets if s.language == "python")
    module = ModuleType("night")
    exec(compile(code, "docs/commands.md", "exec"), vars(module))
    plugins, central = Plugins(), Central()
    plugins.add("night", lambda: module)
    context: Any = central
    ((_, handler),) = plugins.central_handlers(context)[model.DataTransferRequest]
    call: Any = SimpleNamespace(identity="DEMO-1")

    assert await handler(model.DataTransferRequest(vendor_id="other"), call) is None
    answer = await handler(model.DataTransferRequest(vendor_id="com.acme.night"), call)
    night = module.Night(central)

    assert answer == model.DataTransferResponse(status=enums.DataTransferStatus.ACCEPTED)
    out_of_service = model.ChangeAvailabilityRequest(
        connector_id=0, type=enums.AvailabilityType.INOPERATIVE
    )
    assert central.kept == [("DEMO-1", out_of_service, timedelta(minutes=10), False)]
    assert await night.unlock("DEMO-1") is enums.UnlockStatus.UNLOCKED
    assert await night.unlock("AWAY") == "not unlocked: nobody knows where"
