"""The register of operations."""

import pytest

from ocppgw.ocpp import OPERATIONS, Direction, Unknown, Version, by_name, by_request
from ocppgw.ocpp import model as m

CS, CP = Direction.TO_CENTRAL_SYSTEM, Direction.TO_CHARGE_POINT


@pytest.mark.parametrize(
    ("version", "direction", "count"),
    [
        (Version.V12, CS, 9),
        (Version.V12, CP, 9),
        (Version.V15, CS, 10),
        (Version.V15, CP, 15),
        (Version.V16, CS, 10),
    ],
)
def test_how_many_a_version_has(version: Version, direction: Direction, count: int) -> None:
    assert sum(o.direction is direction and version in o.versions for o in OPERATIONS) == count


def test_by_name_in_any_case() -> None:
    assert by_name(CS, "bootnotification") is by_request(CS, m.BootNotificationRequest)
    assert by_name(CP, "BootNotification") is None


def test_data_transfer_is_two() -> None:
    pair = {by_request(CS, m.DataTransferRequest), by_request(CP, m.DataTransferRequest)}

    assert len(pair) == 2


def test_a_request_of_the_other_direction() -> None:
    with pytest.raises(KeyError):
        by_request(CP, m.HeartbeatRequest)


def test_an_unknown_value_reads_like_a_known_one() -> None:
    assert Unknown("Dancing").value == "Dancing"
