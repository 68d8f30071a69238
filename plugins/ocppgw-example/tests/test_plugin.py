"""What the plugin registers, as the gateway sees it."""

from importlib.metadata import entry_points
from types import SimpleNamespace
from typing import Any

import pytest

import ocppgw_example
from ocppgw.ocpp import model
from ocppgw_example.options import Options


class Context(SimpleNamespace):
    """A context of any role, as far as this plugin uses it."""

    def options(self, plugin: str, options_type: type[Any]) -> Any:
        assert (plugin, options_type) == ("example", Options)
        return Options(tags=("GUEST-1",), vendor_id="com.example", report_every=2)


CONTEXT: Any = Context()


def test_the_entry_point_is_the_package() -> None:
    (point,) = entry_points(group="ocppgw", name="example")

    assert point.load() is ocppgw_example


def test_what_can_be_named_in_a_configuration() -> None:
    assert [b.name for b in ocppgw_example.ocppgw_storage_backends()] == ["example-memory"]
    assert [d.name for d in ocppgw_example.ocppgw_plc_drivers()] == ["example-counter"]


@pytest.mark.parametrize("hook", ["authorizers", "observers"])
def test_one_of_each(hook: str) -> None:
    assert len(getattr(ocppgw_example, f"ocppgw_{hook}")(CONTEXT)) == 1


@pytest.mark.parametrize("side", ["central", "charge_point"])
def test_only_data_transfer_is_handled(side: str) -> None:
    handlers = getattr(ocppgw_example, f"ocppgw_{side}_handlers")(CONTEXT)

    assert set(handlers) == {model.DataTransferRequest}
