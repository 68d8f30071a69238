"""The configuration file as a whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
from msgspec import Meta

from ocppgw import reference
from ocppgw.config import Configuration, load
from ocppgw.errors import UserError
from ocppgw.schema import schema_of

ROOT = Path(__file__).resolve().parents[2]

GOOD = """\
storage:
  backend: file
  path: var/central.db
central_system:
  listen: tcp:0:interface=127.0.0.1
charge_boxes:
  - identity: CP-1
    central_system: {url: "http://127.0.0.1:9220/x"}
    state: var/cp-1.db
    plc:
      driver: simulator
      power: 7000
"""


@pytest.fixture
def reading(tmp_path: Path) -> Callable[..., Configuration]:
    def read(text: str, **environment: str) -> Configuration:
        file = tmp_path / "gateway.yaml"
        file.write_text(text)
        return load(file, environment)[0]

    return read


@pytest.fixture
def wrong(tmp_path: Path) -> Callable[..., list[str]]:
    def told(text: str) -> list[str]:
        file = tmp_path / "gateway.yaml"
        file.write_text(text)
        with pytest.raises(UserError) as caught:
            load(file, {})
        return str(caught.value).replace(str(file), "F").splitlines()

    return told


def test_a_good_file_is_typed(reading: Any, tmp_path: Path) -> None:
    configuration = reading(GOOD)

    assert configuration.settings.charge_boxes[0].identity == "CP-1"
    assert configuration.settings.central_system.heartbeat_interval == 20
    assert configuration.base == tmp_path


def test_options_are_typed_on_demand(reading: Any) -> None:
    class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        power: float = 1.0
        path: Path = Path("unset")

    configuration = reading(GOOD)

    assert configuration.options(Options, "charge_boxes", 0, "plc", without=("driver",)) == Options(
        power=7000.0
    )
    assert configuration.options(Options, "plugins", "options", "absent") == Options()
    with pytest.raises(UserError, match=r"gateway\.yaml:11: charge_boxes\[0\]\.plc\.driver: unkn"):
        configuration.options(Options, "charge_boxes", 0, "plc")


def test_three_mistakes_are_told_at_once(wrong: Any) -> None:
    text = GOOD.replace("backend: file", "bakend: file")
    text = text.replace("power: 7000", "power: strong").replace("state:", "stat:")

    assert wrong(text) == [
        "F:2: storage.bakend: unknown key; did you mean `backend`?",
        "F:7: charge_boxes[0]: the key `state` is missing",
        "F:9: charge_boxes[0].stat: unknown key; did you mean `state`?",
        'F:12: charge_boxes[0].plc.power: expected a number of at least 0, got "strong"',
    ]


def test_unknown_back_ends_and_drivers_are_told_with_what_there_is(wrong: Any) -> None:
    text = GOOD.replace("backend: file", "backend: fiel").replace("simulator", "telepathy")
    found = wrong(text)

    assert found[0].startswith(
        "F:2: storage.backend: no plugin offers `fiel`; did you mean `file`?"
    )
    assert found[1].startswith("F:11: charge_boxes[0].plc.driver: no plugin offers `telepathy`;")
    assert "simulator" in found[1]


def test_a_blocked_back_end_says_that_it_is_blocked(wrong: Any) -> None:
    found = wrong(GOOD + "plugins: {block: [simulator]}\n")

    assert len(found) == 1
    assert "(plugin simulator is blocked)" in found[0]


def test_a_box_needs_the_local_store(wrong: Any) -> None:
    text = GOOD[GOOD.index("charge_boxes") :] + "plugins: {block: [file]}\n"

    assert wrong(text) == [
        (
            "F:1: charge_boxes: need the storage back end `file` for their state"
            " (plugin file is blocked)"
        )
    ]


def test_names_of_plugins_and_hooks_are_checked(wrong: Any) -> None:
    text = GOOD + (
        "plugins:\n  options: {narate: {}}\n  order: {ocppgw_authorizer: [central]}\n"
        "  block: [not-installed-here]\n"
    )
    found = wrong(text)

    assert found == [
        "F:14: plugins.options: there is no plugin `narate`; did you mean `narrate`?",
        (
            "F:15: plugins.order: there is no hook `ocppgw_authorizer`"
            "; did you mean `ocppgw_authorizers`?"
        ),
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{}", "F:1: nothing to do: there is neither `central_system` nor `charge_boxes`"),
        ("", "F:1: nothing to do: there is neither `central_system` nor `charge_boxes`"),
        ("central_system: {}", "F:1: central_system: needs a `storage` section"),
        ("[]", "F:1: expected a mapping, got a list"),
    ],
)
def test_what_makes_no_whole_is_told(wrong: Any, text: str, problem: str) -> None:
    assert wrong(text) == [problem]


def test_two_boxes_must_differ(wrong: Any) -> None:
    box = GOOD[GOOD.index("  - identity") :]

    assert wrong(GOOD + box) == [
        "F:13: charge_boxes[1].identity: `CP-1` is taken by charge_boxes[0].identity",
        "F:15: charge_boxes[1].state: `var/cp-1.db` is taken by charge_boxes[0].state",
    ]


def test_duplicate_keys_and_unset_variables_are_among_the_mistakes(wrong: Any) -> None:
    assert wrong(GOOD + "storage: {}\nlogging: {level: '${LEVEL}'}\n") == [
        "F:13: storage: the key stands twice, first in line 1",
        "F:14: logging.level: the environment variable LEVEL is not set",
    ]


def test_addresses_that_nobody_has_are_told(wrong: Any) -> None:
    text = GOOD.replace("tcp:0:interface", "tcp:70000:interface")
    text = text.replace("url: ", "addresses: [10.0.0.1],\n      url: ").replace(
        ":9220/x", ":99220/x"
    )
    text += "    public_url: 10.0.0.1:9000/x\n"
    text += "charge_point_server:\n  listen: 9000\n  public_url: http://host:0/x\n"

    assert wrong(text) == [
        (
            "F:5: central_system.listen: listener 'tcp:70000:interface=127.0.0.1': a port is a"
            " number up to 65535"
        ),
        (
            "F:9: charge_boxes[0].central_system.url: `url` must be an http or https URL, got"
            " 'http://127.0.0.1:99220/x'"
        ),
        (
            "F:14: charge_boxes[0].public_url: '10.0.0.1:9000/x' is no URL that can be called: it"
            " has to be like http://host:port/path"
        ),
        (
            "F:16: charge_point_server.listen: listener '9000' is not a Twisted endpoint string"
            " (Unknown endpoint type: '9000'): write it like"
            " tcp:9220:interface=127.0.0.1 or ssl:9220:privateKey=key.pem:certKey=cert.pem"
        ),
        (
            "F:17: charge_point_server.public_url: nobody listens at port 0; a port is a number"
            " from 1 to 65535"
        ),
    ]


def test_a_secret_in_an_address_is_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(GOOD.replace("tcp:0:interface=127.0.0.1", "${LISTEN}"))

    with pytest.raises(UserError) as caught:
        load(file, {"LISTEN": "tcp:port-of-s3cret"})
    assert "listener a value that is not shown is not a Twisted endpoint" in str(caught.value)


@pytest.mark.parametrize("kind", ["ssl:9220:privateKey={}:certKey={}", "tls:{}:tcp:9220"])
def test_certificates_are_looked_at_if_that_is_asked(tmp_path: Path, kind: str) -> None:
    file, absent = tmp_path / "gateway.yaml", tmp_path / "absent"
    listen = kind.format(absent, absent)
    file.write_text(GOOD.replace("listen: tcp:0:interface=127.0.0.1", f"listen: '{listen}'"))

    assert load(file, {})[0].settings.central_system.listen == listen
    with pytest.raises(UserError) as caught:
        load(file, {}, certificates=True)
    assert str(caught.value).startswith(f"{file}:5: central_system.listen: listener '{listen}'")
    assert str(absent) in str(caught.value)


def test_a_socket_of_systemd_is_there_for_the_service_only(reading: Any) -> None:
    text = GOOD.replace("tcp:0:interface=127.0.0.1", "systemd:domain=INET:index=0")

    assert reading(text).settings.central_system.listen.startswith("systemd:")


def test_the_environment_counts(reading: Any) -> None:
    configuration = reading(GOOD + "logging: {level: '${LEVEL}'}\n", LEVEL="debug")

    assert configuration.settings.logging.level == "debug"


def test_the_reference_is_up_to_date() -> None:
    """`make docs` writes it."""
    assert (ROOT / "docs" / "configuration.md").read_text() == reference.page()
    assert (ROOT / "docs" / "config.schema.json").read_text() == reference.schema()


def test_the_reference_is_written(tmp_path: Path) -> None:
    reference.write(tmp_path)

    assert (
        "| `heartbeat_interval` | a whole number of at least 1 | `20` |"
        in (tmp_path / "configuration.md").read_text()
    )
    schema = json.loads((tmp_path / "config.schema.json").read_text())
    assert schema["properties"]["logging"]["properties"]["level"]["enum"] == [
        "debug", "xml", "info", "warning", "error",
    ]  # fmt: skip


def test_every_setting_has_a_description() -> None:
    for line in reference.page().splitlines():
        if line.startswith("| `"):
            assert not line.endswith("|  |"), line


def test_constraints_reach_the_schema() -> None:
    class Some(msgspec.Struct, forbid_unknown_fields=True):
        need: Annotated[int, Meta(ge=1, le=3, description="How many.")]
        name: Annotated[str | None, Meta(min_length=2)] = None
        many: Annotated[tuple[float, ...], Meta(max_length=4)] = ()
        by: dict[str, bool] = {}

    assert schema_of(Some) == {
        "type": ["object", "null"],
        "properties": {
            "need": {"type": "integer", "minimum": 1, "maximum": 3, "description": "How many."},
            "name": {"anyOf": [{"type": ["string", "number"], "minLength": 2}, {"type": "null"}]},
            "many": {"type": "array", "items": {"type": "number"}, "maxItems": 4},
            "by": {"type": "object", "additionalProperties": {"type": "boolean"}},
        },
        "required": ["need"],
        "additionalProperties": False,
    }
