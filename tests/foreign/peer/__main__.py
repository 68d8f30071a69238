"""A foreign central system of OCPP 1.5, as a process: nothing of ocppgw is in it.

``python -m tests.foreign.peer WSDL-FOLDER --port N --tag T`` prints a JSON line for each
thing that happens and obeys JSON lines from stdin:

``{"do": "call", "identity", "operation", "fields", "wsdl": "official" | "own"}``
    has zeep call the charge box where its wsa:From said that it listens; ``known_as`` is
    another identity to call it by
``{"do": "answer", "operation", "fields"}``
    answers that operation so from now on; ``null`` as always
``{"do": "style", "style"}``
    how replies look from now on
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
from pathlib import Path
from typing import Any

from tests.foreign.peer.caller import Caller
from tests.foreign.peer.service import STYLES, Central, serve
from tests.foreign.peer.strict import Official

CENTRAL_SYSTEM = "ocpp_centralsystemservice_1.5_final.wsdl"
CHARGE_POINT = "ocpp_chargepointservice_1.5_final.wsdl"

_printing = threading.Lock()


def report(event: str, **details: object) -> None:
    """A line of what happened."""
    line = json.dumps({"event": event, **details}, default=str)
    with _printing:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


class Orders:
    """Does what stdin says, one line after the other."""

    def __init__(self, central: Central, official: Official) -> None:
        self._central = central
        self._official = official
        self._callers: dict[tuple[str, str], Caller] = {}

    def obey(self, order: dict[str, Any]) -> dict[str, Any]:
        match order["do"]:
            case "call":
                caller = self._caller(order["identity"], order["wsdl"])
                identity = order.get("known_as", order["identity"])
                return caller.call(identity, order["operation"], order["fields"])
            case "answer" if order["fields"] is None:
                self._central.other.pop(order["operation"], None)
            case "answer":
                self._central.other[order["operation"]] = order["fields"]
            case "style" if order["style"] in STYLES:
                self._central.style = order["style"]
            case _:
                raise ValueError(f"there is no such order: {order}")
        return {}

    def _caller(self, identity: str, wsdl: str) -> Caller:
        url = self._central.endpoints[identity]
        if (url, wsdl) not in self._callers:
            source = self._official.wsdl if wsdl == "official" else f"{url}?wsdl"
            self._callers[url, wsdl] = Caller(self._official, url, source)
        return self._callers[url, wsdl]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("wsdls", type=Path)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--tag", action="append", default=[])
    parser.add_argument("--interval", type=int, default=5, help="of heartbeats, in seconds")
    wishes = parser.parse_args()

    to_us = Official(wishes.wsdls / CENTRAL_SYSTEM)
    central = Central(to_us, wishes.port, wishes.tag, wishes.interval)
    orders = Orders(central, Official(wishes.wsdls / CHARGE_POINT))
    serve(central, wishes.port, report)
    report("listening", modules=sorted({name.partition(".")[0] for name in sys.modules}))
    for line in sys.stdin:
        order = json.loads(line)
        try:
            report("done", number=order.get("number"), **orders.obey(order))
        except Exception as error:  # noqa: BLE001  whatever it is, the test shall read it
            report("error", number=order.get("number"), text=f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
