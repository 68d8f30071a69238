"""The durable lanes of a charge box: ordered queue, retries, parking, id rewriting."""

from ocppgw.delivery.entry import Entry
from ocppgw.delivery.latest import LatestLane
from ocppgw.delivery.policy import RetryPolicy
from ocppgw.delivery.transaction import SessionBook, TransactionLane

__all__ = ["Entry", "LatestLane", "RetryPolicy", "SessionBook", "TransactionLane"]
