"""The reading side of the file back end: a connection of its own, never behind a commit."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ocppgw.storage.base import ABSENT, Document, Key
from ocppgw.storage.checks import bounds, declared, key_of, value_at
from ocppgw.storage.sqlite import Table
from ocppgw.storage.values import document_of, packed_value
from ocppgw.storage.writer import Failure


class ReadSession:
    """The connection that reads; a :class:`~ocppgw.storage.group.Session` of queries."""

    def __init__(self, db: sqlite3.Connection, failure: Failure) -> None:
        self._db = db
        self._failure = failure
        self.close = db.close

    def run(self, jobs: Sequence[Find]) -> list[Any]:
        return [self._one(job) for job in jobs]

    def _one(self, job: Find) -> Any:
        try:
            return job(self._db)
        except Exception as error:  # noqa: BLE001 (becomes its caller's error)
            return self._failure(error)


class Find(msgspec.Struct, frozen=True):
    """A query: a statement whose rows begin with a document."""

    statement: str
    values: Sequence[Any]

    def __call__(self, db: sqlite3.Connection) -> list[Document]:
        return [document_of(row[0]) for row in db.execute(self.statement, self.values)]


def by_key(table: Table, key: Key) -> Find:
    return Find(table.select, key)


def matching(
    table: Table,
    where: Mapping[str, Any],
    *,
    order_by: str | None,
    descending: bool,
    limit: int | None,
    after: Document | None,
) -> Find:
    """The query of ``Storage.find``; ValueError for what it may not ask."""
    order = [table.column(declared(table.collection, order_by))] if order_by else []
    # A page in key order under one first key part (a queue's head) is a walk along the
    # key. SQLite would rather take any index there is and sort all that it finds.
    walk = not order and limit is not None and table.collection.key_fields[0] in where
    clauses, values = _conditions(table, where, unindexed="+" if walk else "")
    if after is not None:
        clause, bound = _beyond(table, order_by, after, descending=descending)
        clauses.append(clause)
        values += bound
    direction = " DESC" if descending else ""
    statement = table.source
    if clauses:
        statement += f" WHERE {' AND '.join(clauses)}"
    columns = [column + direction for column in (*order, *table.key_columns)]
    statement += f" ORDER BY {', '.join(columns)}"
    if limit is not None:
        statement += " LIMIT ?"
        values.append(limit)
    return Find(statement, values)


def _conditions(
    table: Table, where: Mapping[str, Any], *, unindexed: str
) -> tuple[list[str], list[Any]]:
    """``unindexed`` goes before what is no key column, to keep SQLite from its index."""
    clauses: list[str] = []
    values: list[Any] = []
    for path, wanted in where.items():
        column = table.column(declared(table.collection, path))
        if path not in table.collection.key_fields:
            column = unindexed + column
        if wanted is ABSENT:
            clauses.append(f"{column} IS NULL")
            continue
        for sign, bound in bounds(wanted):
            clauses.append(f"{column} {sign} ?")
            values.append(_bound(path, bound, table))
    return clauses, values


def _bound(path: str, value: Any, table: Table) -> Any:
    # Key columns hold the strings themselves, documents the escaped ones.
    return value if path in table.collection.key_fields else packed_value(value)


def _beyond(
    table: Table, order_by: str | None, after: Document, *, descending: bool
) -> tuple[str, list[Any]]:
    """What comes behind a document, in the order of the query; SQL sorts absent first."""
    sign = "<" if descending else ">"
    key = list(key_of(table.collection, after))
    later_key = f"({', '.join(table.key_columns)}) {sign} ({', '.join('?' for _ in key)})"
    if order_by is None:
        return later_key, key
    column = table.column(order_by)
    value = value_at(after, order_by)
    if value is ABSENT:
        tie = f"({column} IS NULL AND {later_key})"
        return (tie if descending else f"({tie} OR {column} IS NOT NULL)"), key
    bound = _bound(order_by, value, table)
    clause = f"{column} {sign} ? OR ({column} = ? AND {later_key})"
    if descending:
        clause += f" OR {column} IS NULL"
    return f"({clause})", [bound, bound, *key]
