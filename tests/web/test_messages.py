"""Messages as JSON, both ways."""

from __future__ import annotations

import json
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


@pytest.mark.parametrize("tag", ["T", "T" * 20])
def test_a_tag_of_twenty_characters_is_one(tag: str) -> None:
    assert request("RemoteStartTransaction", idTag=tag).id_tag == tag


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        (
            "RemoteStartTransaction",
            {"idTag": "T" * 21},
            "RemoteStartTransaction: idTag: expected an IdToken of 1 to 20 characters, got 21: `T",
        ),
        (
            "RemoteStartTransaction",
            {"idTag": ""},
            "RemoteStartTransaction: idTag: expected an IdToken of 1 to 20 characters, got 0: ``",
        ),
        (
            "ReserveNow",
            {"connectorId": 1, "expiryDate": EXPIRY, "idTag": " ", "reservationId": 1},
            "ReserveNow: idTag: expected an IdToken",
        ),
        (
            "SendLocalList",
            {
                "updateType": "Full",
                "listVersion": 1,
                "localAuthorizationList": [
                    {"idTag": "A"},
                    {
                        "idTag": "B",
                        "idTagInfo": {"status": "Accepted", "parentIdTag": "P" * 21},
                    },
                ],
            },
            "SendLocalList: localAuthorizationList[1].idTagInfo.parentIdTag: expected an IdToken",
        ),
    ],
)
def test_a_tag_that_is_too_long_or_empty(name: str, body: dict[str, object], said: str) -> None:
    with pytest.raises(UserError) as refused:
        request(name, **body)
    assert str(refused.value).startswith(said)


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


LATER = datetime(2026, 12, 31, 18, tzinfo=UTC)
AT = "2026-12-31T18:00:00Z"


@pytest.mark.parametrize(
    ("name", "body", "expected"),
    [
        (
            "CancelReservation",
            {"reservationId": "17"},
            m.CancelReservationRequest(reservation_id=17),
        ),
        (
            "ChangeAvailability",
            {"connectorId": "0", "type": "operative"},
            m.ChangeAvailabilityRequest(connector_id=0, type=e.AvailabilityType.OPERATIVE),
        ),
        (
            "ChangeConfiguration",
            {"key": "BlinkRepeat", "value": "3"},
            m.ChangeConfigurationRequest(key="BlinkRepeat", value="3"),
        ),
        (
            "ChangeConfiguration",
            {"key": "Vendor", "value": "[1, 2]"},  # no list: the value is text
            m.ChangeConfigurationRequest(key="Vendor", value="[1, 2]"),
        ),
        ("ChangeConfiguration", {"key": "K"}, m.ChangeConfigurationRequest(key="K", value="")),
        ("ClearCache", {}, m.ClearCacheRequest()),
        (
            "DataTransfer",
            {"vendorId": "v", "messageId": "m", "data": '{"a": 1}'},
            m.DataTransferRequest(vendor_id="v", message_id="m", data='{"a": 1}'),
        ),
        ("GetConfiguration", {}, m.GetConfigurationRequest()),
        ("GetConfiguration", {"key": "A"}, m.GetConfigurationRequest(key=("A",))),
        ("GetConfiguration", {"key": ["A", "B"]}, m.GetConfigurationRequest(key=("A", "B"))),
        ("GetConfiguration", {"key": '["A"]'}, m.GetConfigurationRequest(key=("A",))),
        (
            "GetDiagnostics",
            {"location": "ftp://x/", "startTime": AT, "stopTime": "2026-12-31T19:00:00+01:00"},
            m.GetDiagnosticsRequest(location="ftp://x/", start_time=LATER, stop_time=LATER),
        ),
        (
            "GetDiagnostics",
            {"location": "ftp://x/", "retries": "3", "retryInterval": 60},
            m.GetDiagnosticsRequest(location="ftp://x/", retries=3, retry_interval=60),
        ),
        ("GetLocalListVersion", {}, m.GetLocalListVersionRequest()),
        ("RemoteStartTransaction", {"idTag": "7"}, m.RemoteStartTransactionRequest(id_tag="7")),
        (
            "RemoteStopTransaction",
            {"transactionId": "-1"},
            m.RemoteStopTransactionRequest(transaction_id=-1),
        ),
        (
            "ReserveNow",
            {
                "connectorId": "1",
                "expiryDate": AT,
                "idTag": "A",
                "parentIdTag": "P",
                "reservationId": 4,
            },
            m.ReserveNowRequest(
                connector_id=1, expiry_date=LATER, id_tag="A", parent_id_tag="P", reservation_id=4
            ),
        ),
        ("Reset", {"TYPE": "soft"}, m.ResetRequest(type=e.ResetType.SOFT)),
        (
            "SendLocalList",
            {"updateType": "Full", "listVersion": "1"},
            m.SendLocalListRequest(update_type=e.UpdateType.FULL, list_version=1),
        ),
        ("UnlockConnector", {"connectorId": "2"}, m.UnlockConnectorRequest(connector_id=2)),
        (
            "UpdateFirmware",
            {"location": "ftp://x/f", "retrieveDate": AT},
            m.UpdateFirmwareRequest(location="ftp://x/f", retrieve_date=LATER),
        ),
    ],
)
def test_each_operation_as_a_command_line_says_it(
    name: str, body: dict[str, object], expected: m.Request
) -> None:
    assert request(name, **body) == expected


@pytest.mark.parametrize("name", ["localAuthorisationList", "localAuthorizationList"])
@pytest.mark.parametrize("as_text", [True, False])
def test_a_local_list_in_either_spelling_as_text_or_not(name: str, as_text: bool) -> None:
    entries: object = [{"idTag": "A", "idTagInfo": {"status": "accepted"}}, {"idTag": "B"}]

    sent = request(
        "SendLocalList",
        updateType="Differential",
        listVersion=2,
        **{name: json.dumps(entries) if as_text else entries},
    )

    assert isinstance(sent, m.SendLocalListRequest)
    assert sent.local_authorization_list == (
        m.AuthorizationData(
            id_tag="A", id_tag_info=m.IdTagInfo(status=e.AuthorizationStatus.ACCEPTED)
        ),
        m.AuthorizationData(id_tag="B"),
    )


@pytest.mark.parametrize(
    ("name", "body", "sentence"),
    [
        ("ClearCache", {"x": 1}, "x: unknown key; the keys here are none"),
        (
            "UnlockConnector",
            {"connectorId": "1.5"},
            'connectorId: expected a whole number, got "1.5"',
        ),
        ("Reset", {"type": ["Soft", "Hard"]}, "type: expected one of Hard, Soft, got a list"),
        ("GetConfiguration", {"key": "[A"}, "key: not valid JSON: "),
        ("GetDiagnostics", {}, "the key `location` is missing"),
        (
            "UpdateFirmware",
            {"location": "x", "retrieveDate": "2026-12-31T18:00:00"},
            "retrieveDate: expected a time with its zone (2026-01-31T12:00:00Z), got ",
        ),
        (
            "SendLocalList",
            {"updateType": "Full", "listVersion": 1, "localAuthorisationList": [{"tag": "A"}]},
            "localAuthorizationList[0].tag: unknown key",
        ),
        (
            "SendLocalList",
            {"updateType": "Ful", "listVersion": 1},
            'updateType: expected one of Differential, Full, got "Ful"; did you mean `Full`?',
        ),
    ],
)
def test_what_is_wrong_is_a_sentence_with_the_field(
    name: str, body: dict[str, object], sentence: str
) -> None:
    with pytest.raises(UserError) as caught:
        request(name, **body)

    assert str(caught.value).startswith(f"{name}: ")
    assert sentence in str(caught.value)
