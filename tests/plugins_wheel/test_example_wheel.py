"""The example plugin from its wheel: found, and at work in a whole session."""

import re
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

DATA_TRANSFER = """\
<?xml version="1.0" encoding="UTF-8"?>
<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"
 xmlns:a="http://www.w3.org/2005/08/addressing" xmlns:c="urn://Ocpp/Cs/2012/06/">
<s:Header><c:chargeBoxIdentity>COUNTER-1</c:chargeBoxIdentity>
<a:Action>/DataTransfer</a:Action><a:MessageID>urn:uuid:1</a:MessageID></s:Header>
<s:Body><c:dataTransferRequest><c:vendorId>{vendor}</c:vendorId>
<c:messageId>echo</c:messageId><c:data>hello</c:data></c:dataTransferRequest></s:Body>
</s:Envelope>"""


def test_the_plugin_is_listed(environment: Any, tmp_path: Path) -> None:
    listed = environment.run("ocppgw", "plugins", cwd=tmp_path)

    assert listed.returncode == 0
    (line,) = (line for line in listed.stdout.splitlines() if line.startswith("example"))
    assert "0.1.0" in line
    for hook in ("storage_backends", "plc_drivers", "central_handlers", "authorizers", "observers"):
        assert f"ocppgw_{hook}" in line


def test_a_whole_session(configuration: Any, start: Any, tmp_path: Path) -> None:
    """Its driver starts it, its authorizer allows it, its store keeps it."""
    connector = tmp_path / "plug" / "connector-1"
    connector.parent.mkdir()
    with start(configuration) as gateway:
        gateway.says(r"COUNTER-1 .*boots as ocppgw example-counter.*Accepted")
        gateway.says(r"connector 1:? is Available")

        connector.write_text("GUEST-1")
        start_line = r"connector 1 starts to charge with tag GUEST-1.*transaction (\d+), Accepted"
        transaction = gateway.says(start_line)[1]
        gateway.says(r"connector 1:? is (Occupied|Charging)")
        connector.unlink()
        gateway.says(rf"transaction {transaction} stops at .* kWh charged")

        (stored,) = gateway.control("GET", "/api/transactions")
    assert stored["transactionId"] == int(transaction)
    assert (stored["idTag"], stored["state"]) == ("GUEST-1", "stopped")
    assert stored["energy"] == stored["meterStop"] - stored["meterStart"] > 0


def test_its_tag_charges_a_session_on_the_demo(
    environment: Any, demo: Any, start: Any, tmp_path: Path
) -> None:
    """A PLC behind Modbus, a charge box, the file store: and our authorizer."""
    send = ("ocppgw", "send", "--config", str(demo.path), "DEMO-1")
    with start(demo) as gateway:
        gateway.says(r"DEMO-1 → central +boots as")
        begin = ("RemoteStartTransaction", "idTag=GUEST-1", "connectorId=2")
        assert "Accepted" in environment.run(*send, *begin, cwd=tmp_path).stdout
        started = r"connector 2 starts to charge with tag GUEST-1.*transaction (\d+), Accepted"
        transaction = gateway.says(started)[1]
        gateway.says(r"connector 2 meters")

        end = ("RemoteStopTransaction", f"transactionId={transaction}")
        assert "Accepted" in environment.run(*send, *end, cwd=tmp_path).stdout
        gateway.says(rf"transaction {transaction} stops at .* kWh charged")


def test_an_operator_starts_and_stops_a_session(
    environment: Any, configuration: Any, start: Any, tmp_path: Path
) -> None:
    """The driver does as it is told, and says why when it does not."""

    def send(operation: str, *fields: str) -> str:
        command = ("ocppgw", "send", "--config", str(configuration.path), "COUNTER-1")
        shown: str = environment.run(*command, operation, *fields, cwd=tmp_path).stdout
        return shown.strip()

    with start(configuration) as gateway:
        gateway.says(r"connector 1:? is Available")
        begin = ("RemoteStartTransaction", "idTag=GUEST-1", "connectorId=1")

        assert send(*begin) == "RemoteStartTransaction: Accepted"
        transaction = gateway.says(r"starts to charge with tag GUEST-1.*transaction (\d+)")[1]
        gateway.says(r"connector 1:? is (Occupied|Charging)")
        assert re.match(r"RemoteStartTransaction: Rejected: .*charging", send(*begin))

        stop = send("RemoteStopTransaction", f"transactionId={transaction}")
        assert stop == "RemoteStopTransaction: Accepted"
        gateway.says(rf"transaction {transaction} stops")


def test_wrong_options_are_told_and_the_rest_goes_on(configuration: Any, start: Any) -> None:
    wrong = configuration.path.read_text(encoding="utf-8").replace(
        "tags: [GUEST-1]", "tagz: [GUEST-1]"
    )
    configuration.path.write_text(wrong, encoding="utf-8")

    with start(configuration) as gateway:
        gateway.says(r"plugin example: .*tagz")
        gateway.says(r"connector 1:? is Available")


def test_its_vendor_is_answered_and_others_are_left_alone(configuration: Any, start: Any) -> None:
    with start(configuration) as gateway:
        gateway.says(r"COUNTER-1 .*boots")

        ours = gateway.post(DATA_TRANSFER.format(vendor="com.example"))
        other = gateway.post(DATA_TRANSFER.format(vendor="org.other"))

    assert re.search(r"status>Accepted<.*data>hello<", ours, re.DOTALL), ours
    assert "status>UnknownVendorId<" in other, other
