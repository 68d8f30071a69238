"""zeep fills the local list of a charge box and reserves its connectors."""

from __future__ import annotations

import pytest

from tests.foreign.site import FAR, ForeignSite, connector_is
from tests.site.site import TAG

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("wsdl", ["official", "own"]),
]


async def test_the_local_list(site: ForeignSite, wsdl: str) -> None:
    """Nothing but the version, then entries with and without all that may be in one."""
    entries = [
        {
            "idTag": "LISTED",
            "idTagInfo": {"status": "Accepted", "expiryDate": FAR, "parentIdTag": "FAMILY"},
        },
        {"idTag": "SHORT", "idTagInfo": {"status": "Blocked"}},
    ]
    first = await site.peer.calls("GetLocalListVersion", wsdl)
    full = await site.peer.calls(
        "SendLocalList",
        wsdl,
        updateType="Full",
        listVersion=first + 1,
        localAuthorisationList=entries,
        hash="0123456789abcdef",
    )
    version = await site.peer.calls("GetLocalListVersion", wsdl)
    old = await site.peer.calls(
        "SendLocalList", wsdl, updateType="Differential", listVersion=first + 1
    )
    removed = await site.peer.calls(
        "SendLocalList",
        wsdl,
        updateType="Differential",
        listVersion=first + 2,
        localAuthorisationList=[{"idTag": "SHORT"}],
    )
    emptied = await site.peer.calls("SendLocalList", wsdl, updateType="Full", listVersion=first + 3)

    assert isinstance(first, int)
    assert [one["status"] for one in (full, old, removed, emptied)] == [
        *("Accepted", "VersionMismatch", "Accepted", "Accepted")
    ]
    assert version == first + 1
    assert await site.peer.calls("GetLocalListVersion", wsdl) == 0  # an empty list has none


@pytest.mark.parametrize("more", [{}, {"parentIdTag": "FAMILY"}], ids=["none", "all"])
async def test_a_reservation(site: ForeignSite, wsdl: str, more: dict[str, str]) -> None:
    since = len(site.peer.log)
    number = since + 1
    reserved = await site.peer.calls(
        "ReserveNow",
        wsdl,
        connectorId=1,
        expiryDate=FAR,
        idTag=TAG,
        reservationId=number,
        **more,
    )
    assert reserved == "Accepted"
    await connector_is(site, 1, "Reserved", since)
    cancelled = await site.peer.calls("CancelReservation", wsdl, reservationId=number)
    since = len(site.peer.log)
    again = await site.peer.calls("CancelReservation", wsdl, reservationId=number)

    assert (cancelled, again) == ("Accepted", "Rejected")
    await connector_is(site, 1, "Available", 0)
