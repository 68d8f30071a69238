"""Whether the central system has booked what the PLC did, each session once."""

from __future__ import annotations

from typing import Any

from tests.site.site import Site


async def everything_counted_once(site: Site, *, sessions: int) -> None:
    """Compares what the central system booked with what the PLC did."""
    booked = await site.stopped(sessions)
    starts, stops = site.plc.told("raised", "start"), site.plc.told("raised", "stop")
    assert [one["meterStart"] for one in booked] == [meter(told) for told in starts]
    assert [one["meterStop"] for one in booked] == [meter(told) for told in stops]
    assert [one["energy"] for one in booked] == [
        meter(stop) - meter(start) for start, stop in zip(starts, stops, strict=True)
    ]
    assert not any(one.get("suspect") for one in booked)
    given = [told["details"]["transaction"] for told in site.plc.told("transaction")]
    assert list(dict.fromkeys(given)) == [one["transactionId"] for one in booked]
    assert len(site.plc.told("finished", "start")) == sessions
    assert len(site.plc.told("finished", "stop")) == sessions


def meter(told: dict[str, Any]) -> int:
    """The Wh of an event that the PLC raised."""
    return int(told["details"]["meter"])
