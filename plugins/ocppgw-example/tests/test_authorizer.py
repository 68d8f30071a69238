from datetime import UTC, datetime

import pytest

from ocppgw.central import AuthorizeContext, Purpose
from ocppgw.ocpp import enums
from ocppgw.ocpp.operations import Version
from ocppgw_example.authorizer import TagList

CONTEXT = AuthorizeContext(
    identity="DEMO-1",
    version=Version.V15,
    purpose=Purpose.AUTHORIZE,
    at=datetime(2026, 1, 1, tzinfo=UTC),
)


@pytest.mark.parametrize("tag", ["GUEST-1", "guest-1"])
async def test_a_listed_tag_is_accepted_in_any_case(tag: str) -> None:
    answer = await TagList(["GUEST-1"])(tag, CONTEXT)

    assert answer is not None
    assert answer.status is enums.AuthorizationStatus.ACCEPTED


async def test_another_tag_is_left_to_the_next_authorizer() -> None:
    assert await TagList(["GUEST-1"])("GUEST-2", CONTEXT) is None
