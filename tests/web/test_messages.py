"""Messages as JSON, both ways."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ocppgw.errors import UserError
from ocppgw.ocpp import enums as e
from ocppgw.ocpp import model as m
from ocppgw.ocpp.operations import Direction, by_name
from ocppgw.web.messages import as_json, request_of

EXPIRY = "2026-01-31T12:00:00.000Z"


def request(name: str, **body: object) -> m.Request:
    operation = by_name(Direction.TO_CHARGE_POINT, name)
    assert operation is not None
    return request_of(operation, body)


def test_names_and_values_in_any_case_and_numbers_as_text() -> None:
    assert request("remotestarttransaction", idtag="007", CONNECTORID="1") == (
        m.RemoteStartTransactionRequest(id_tag="007", connector_id=1)
    )
    assert request("Reset", type="hard") == m.ResetRequest(type=e.ResetType.HARD)


def test_nested_messages_and_times() -> None:
    parsed = request(
        "SendLocalList",
        updateType="Full",
        listVersion=3,
        localAuthorizationList=[
            {"idTag": "A", "idTagInfo": {"status": "Accepted", "expiryDate": EXPIRY}}
        ],
    )

    assert isinstance(parsed, m.SendLocalListRequest)
    assert as_json(parsed)["localAuthorizationList"] == [
        {
            "idTag": "A",
            "idTagInfo": {"status": "Accepted", "expiryDate": "2026-01-31T12:00:00.000Z"},
        }
    ]


def test_all_that_is_wrong_is_told_in_the_users_words() -> None:
    with pytest.raises(UserError) as caught:
        request("RemoteStartTransaction", idTga="A", connectorId="one")

    assert str(caught.value).splitlines() == [
        "RemoteStartTransaction: idTga: unknown key; did you mean `idTag`?",
        'RemoteStartTransaction: connectorId: expected a whole number, got "one"',
        "RemoteStartTransaction: the key `idTag` is missing",
    ]


def test_a_value_that_no_version_knows_is_refused() -> None:
    with pytest.raises(UserError, match="expected one of Hard, Soft, got"):
        request("Reset", type="Warm")


def test_answers_leave_out_what_is_absent() -> None:
    response = m.BootNotificationResponse(
        status=e.RegistrationStatus.ACCEPTED, current_time=datetime(2026, 1, 31, tzinfo=UTC)
    )

    assert as_json(response) == {
        "status": "Accepted",
        "currentTime": "2026-01-31T00:00:00.000Z",
    }
    assert as_json(m.ResetRequest(type=e.Unknown("Warm"))) == {"type": "Warm"}
