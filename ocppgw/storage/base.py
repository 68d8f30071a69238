"""The storage contract: what every back end does, and what its callers may rely on.

Two kinds of change make a commit:

* a **guard** (:class:`Insert` or :class:`Update`): at most one, applied first; if
  it fails, :class:`Conflict` is raised and nothing of the commit is stored;
* **projections** (:class:`Ensure`, :class:`Put`, :class:`Delete`): any number, applied
  after it in their order, each harmless when repeated, late or twice.

A back end without multi-document transactions may be stopped between guard and
projections, by its own end or by the network. Whoever did not see ``commit`` return
therefore repeats the same commit, with the same commit ids: what was done of it is known
again, the rest is done now. What must be atomic lives in one document.

What a commit stored, every ``get`` and ``find`` called after its return sees, and a
commit called after its return follows it. Commits that run at the same time are applied
in any order. A commit whose caller was cancelled may or may not be stored, but is
never left half done for that.

Documents are mappings of field name to :data:`Value`, up to 1 MB as JSON. A document
holds its key fields. Integers stay within 2^53, datetimes are aware and come back in UTC
with milliseconds (finer digits are cut off), sequences come back as lists; there are no
nulls: an absent field is absent. Field names hold no dot and begin with no dollar sign,
strings hold no NUL, floats are finite, and nesting ends at 24 levels.
``ocppgw.storage.values`` and ``ocppgw.storage.checks`` check all that for a back end.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeAlias

import msgspec

Value: TypeAlias = "str | bool | int | float | datetime | Sequence[Value] | Mapping[str, Value]"
Document: TypeAlias = dict[str, Any]
Key: TypeAlias = tuple[str | int, ...]

MAX_INTEGER = 2**53


class StorageError(Exception):
    """The store could not do it; the message says what and why, in one sentence."""


class StorageUnavailable(StorageError):
    """The store is away or full; the same call may succeed later.

    Of a commit that raised it nothing was stored, or all, or the guard alone: the network
    may have cut off a remote store's answer. The same commit repeated makes it certain.
    The ``file`` back end, which a charge box's own state relies on, stored nothing.
    """


class Conflict(StorageError):
    """A guard failed: the key is taken, or the document is not as expected.

    ``current`` is the document as it stands, or ``None`` when there is none.
    """

    def __init__(self, message: str, current: Document | None) -> None:
        super().__init__(message)
        self.current = current


class Collection(msgspec.Struct, frozen=True):
    """A declared collection; the role that owns it declares it.

    ``key_fields`` are the fields whose values together are the key (strings or
    integers). ``indexes`` are the field paths (``"a"`` or ``"a.b"``) that ``find``
    may filter and order by; the key fields always may. ``retention`` is how long a
    document is kept after ``retention_field`` (a datetime at the top level), ``None``
    for ever. A collection keeps its key fields for good; its indexes may change.
    """

    name: str
    key_fields: tuple[str, ...]
    indexes: tuple[str, ...] = ()
    retention_field: str | None = None
    retention: timedelta | None = None

    def key(self, document: Mapping[str, Any]) -> Key:
        """The key of a document; KeyError names a missing key field."""
        return tuple(document[field] for field in self.key_fields)

    def __hash__(self) -> int:
        return hash(self.name)


class Range(msgspec.Struct, frozen=True, kw_only=True):
    """A condition on a field's value: all given bounds hold."""

    above: Value | None = None
    at_least: Value | None = None
    below: Value | None = None
    at_most: Value | None = None


class Absent:
    """In ``Update.expect`` and ``find``: the field must not be there."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT = Absent()


# Guards


class Insert(msgspec.Struct, frozen=True):
    """Guard: stores a new document; :class:`Conflict` if its key is taken.

    ``commit_id`` (any string, unique to this attempt and all its repeats) lets the
    back end know its own write again: a key taken by the same commit id is success.
    """

    collection: Collection
    document: Document
    commit_id: str


class Update(msgspec.Struct, frozen=True):
    """Guard: sets top-level fields of an existing document if it is as expected.

    ``expect`` maps top-level fields to the value they must have, or :data:`ABSENT`.
    ``remove`` names top-level fields to take away. :class:`Conflict` if there is no
    such document or it differs, unless the last update of that document bore the
    same ``commit_id``.
    """

    collection: Collection
    key: Key
    fields: Document
    expect: Mapping[str, Any]
    commit_id: str
    remove: tuple[str, ...] = ()


# Projections


class Ensure(msgspec.Struct, frozen=True):
    """Projection: stores the document unless its key is taken already."""

    collection: Collection
    document: Document


class Put(msgspec.Struct, frozen=True):
    """Projection: merges top-level fields into a document, creating it if absent,
    unless this ``part`` of it already bears the same or a higher ``version``.

    Parts are independent of each other (``"boot"``, ``"connector.1"``), so that a
    late boot does not hide a status. ``version`` is a receipt time in milliseconds
    or a sequence number. Versions are the back end's own; documents do not show them.
    """

    collection: Collection
    key: Key
    fields: Document
    version: int
    part: str = ""


class Delete(msgspec.Struct, frozen=True):
    """Projection: removes a document if there is one.

    The key is not used again, so that a back end may leave a mark that it is gone, and
    whoever removes a document knows that the commit which made it has returned.
    """

    collection: Collection
    key: Key


Guard: TypeAlias = Insert | Update
Projection: TypeAlias = Ensure | Put | Delete
Change: TypeAlias = Guard | Projection


class Storage(ABC):
    """An open store. All methods run on the event loop's thread and block nobody."""

    @abstractmethod
    async def get(self, collection: Collection, key: Key) -> Document | None:
        """The document under that key, or ``None``. It is the caller's own copy."""

    @abstractmethod
    async def find(
        self,
        collection: Collection,
        where: Mapping[str, Any] | None = None,
        *,
        order_by: str | None = None,
        descending: bool = False,
        limit: int | None = None,
        after: Document | None = None,
    ) -> list[Document]:
        """Documents that match all of ``where``, in order.

        ``where`` maps key fields or indexed paths to a single value, a :class:`Range`
        or :data:`ABSENT`. ``order_by`` is one such path (default: the key); ties are
        ordered by key, numbers before strings, both turned round by ``descending``;
        documents without that field come first, descending last. Strings are ordered by
        their code points. ``after`` is the last document of the page before. A path that is
        not declared is a ValueError.

        Under one path a collection keeps one kind of value (numbers, strings, datetimes
        …): how kinds compare with each other is the back end's own.
        """

    @abstractmethod
    def scan(self, collection: Collection) -> AsyncIterator[Document]:
        """Every document, in key order, while others write: for export."""

    @abstractmethod
    async def commit(self, *changes: Change) -> None:
        """Makes the changes durable, or raises and leaves what the module text says.

        Raises :class:`Conflict`, :class:`StorageError`, or ValueError for more than
        one guard, a value that cannot be stored, a changed key field or a
        collection that was not opened. The documents are taken as they are at the call.
        """

    @abstractmethod
    async def next_number(self, sequence: str) -> int:
        """1, 2, 3 … for each name: never twice the same to anybody, with gaps, and to one
        process, and the one after it, always higher ones."""

    @abstractmethod
    async def prune(self, now: datetime) -> int:
        """Removes what its collection's retention no longer keeps; says how many."""

    @abstractmethod
    async def close(self) -> None:
        """Finishes what is in flight and lets go of everything. May be called twice."""


class StorageBackend(msgspec.Struct, frozen=True):
    """What a plugin registers (hook ``ocppgw_storage_backends``).

    ``options_type`` is the msgspec Struct of the back end's keys in the YAML file;
    ``open(options, collections)`` an async callable that gives a :class:`Storage` with
    all those collections and their indexes ready, or raises :class:`StorageError`.
    """

    name: str
    options_type: type[msgspec.Struct]
    open: Any  # Callable[[options_type, Sequence[Collection]], Awaitable[Storage]]
    description: str = ""
