"""Backups: copies of stores in one archive, taken while they are used, and put back.

An archive is a plain tar file of its members ``NAME.db``, each a SQLite file that stands
alone, and at its end ``manifest.json``, which says what they are. It has its name only
once it is complete and flushed. Whoever has it has the stores' secrets, so its mode is
0600.

All functions block; they are for a thread of their own. They raise StorageError.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import os
import shutil
import tarfile
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import IO
from urllib.parse import quote

import msgspec

from ocppgw import __version__
from ocppgw.errors import UserError
from ocppgw.storage import replacing, sqlite
from ocppgw.storage.base import StorageError
from ocppgw.storage.copying import checked, copy, opened
from ocppgw.storage.failures import in_sentences
from ocppgw.storage.sqlite import FileLock, create, create_folders, flush

FORMAT = 1
MANIFEST = "manifest.json"
WORKSHOP = ".ocppgw-backup.part"
_LARGEST_MANIFEST = 1 << 20
_AT_ONCE = 1 << 20


class StoreFile(msgspec.Struct, frozen=True):
    """A store of the ``file`` back end: the name that people know it by, and its file."""

    name: str
    path: Path


class Copy(msgspec.Struct, frozen=True, kw_only=True):
    """A store in an archive. ``member`` is its file there, ``size`` is in bytes,
    ``sha256`` in hexadecimal, ``schema`` the schema version of the store."""

    name: str
    member: str
    schema: int
    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What an archive holds; ``ocppgw`` is the version that wrote it."""

    format: int
    ocppgw: str
    made_at: datetime
    stores: tuple[Copy, ...]

    def copy_of(self, name: str) -> Copy:
        """The store of that name; StorageError says which there are."""
        for copied in self.stores:
            if copied.name == name:
                return copied
        there = ", ".join(copied.name for copied in self.stores) or "none"
        raise StorageError(f"the archive holds no store `{name}`; there are: {there}")


def write(stores: Sequence[StoreFile], target: Path, now: datetime) -> Manifest:
    """Copies stores, each as it is at one moment, into a new archive at ``target``.

    The stores may be in use, by this process or another; nobody has to wait. Each copy
    is checked before the archive gets its name.
    """
    if not stores:
        raise StorageError(f"{target}: there is no store to back up")
    target = target.absolute()
    with in_sentences(target), _workshop(target) as folder:
        if target.exists():
            raise StorageError(f"{target}: is there already; name a new file")
        made = folder / "archive"
        fd = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "wb") as file:
            manifest = _archive(stores, file, folder, now)
            file.flush()
            os.fsync(file.fileno())
        made.replace(target)
        flush(target.parent)
    return manifest


def read(archive: Path) -> Manifest:
    """What the archive holds, every byte of it compared with its manifest."""
    with _archived(archive) as (tar, manifest):
        for copied in manifest.stores:
            _compared(_member(tar, archive, copied), archive, copied, None)
    return manifest


def put_back(archive: Path, name: str, path: Path) -> Path | None:
    """Makes the archive's store of that name the one at ``path``; gives where the old
    one is now, if there was one.

    The store there must be closed; its lock is taken. The old file stays beside it.
    Killed at any moment, this leaves the old store or the new one, see
    :mod:`ocppgw.storage.replacing`.
    """
    path = path.absolute()
    with _archived(archive) as (tar, manifest), in_sentences(path):
        copied = manifest.copy_of(name)
        create_folders(path)
        with contextlib.closing(FileLock(path)):
            replacing.finish(path)  # what another restore has left
            new = replacing.making(path)
            try:
                fd = create(new, path)
                with os.fdopen(fd, "wb") as file:
                    _compared(_member(tar, archive, copied), archive, copied, file)
                with in_sentences(archive):
                    checked(new)
                flush(new)
            except BaseException:
                new.unlink(missing_ok=True)
                raise
            return replacing.replace(path)


@contextlib.contextmanager
def telling_what_is_restored() -> Iterator[list[str]]:
    """For one store after the other: what is raised within, a UserError or StorageError,
    names those that were added to the list before."""
    restored: list[str] = []
    try:
        yield restored
    except (UserError, StorageError) as error:
        if not restored:
            raise
        raise UserError(f"{error}; restored before that: {', '.join(restored)}") from error


@contextlib.contextmanager
def locked(stores: Sequence[StoreFile]) -> Iterator[None]:
    """Nobody else uses the stores, and no restore is half done; StorageError if one is used."""
    with contextlib.ExitStack() as locks:
        for store in stores:
            with in_sentences(store.path):
                create_folders(store.path)
                locks.callback(FileLock(store.path).close)
                replacing.finish(store.path)
        yield


# Writing


@contextlib.contextmanager
def _workshop(target: Path) -> Iterator[Path]:
    """A folder beside the target for what is not complete yet, one backup at a time.

    What a killed process has left in it is removed; the kernel has freed its lock.
    """
    folder = target.with_name(WORKSHOP)
    folder.mkdir(mode=0o700, exist_ok=True)
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if not _locked(fd, folder):
            raise StorageError(
                f"{target}: another backup is being written to this folder; wait for its end"
            )
        try:
            for left in folder.iterdir():
                left.unlink()
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(fd)


def _locked(fd: int, folder: Path) -> bool:
    """Whether the folder is ours now, and not one that another backup has just removed."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(fd), folder.stat())
    except (BlockingIOError, FileNotFoundError):
        return False


def _archive(stores: Sequence[StoreFile], file: IO[bytes], folder: Path, now: datetime) -> Manifest:
    copies = []
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for number, store in enumerate(stores):
            copied = folder / f"{number}.db"
            with in_sentences(store.path):
                copies.append(_add(tar, store, copied, now))
            copied.unlink()
        manifest = Manifest(format=FORMAT, ocppgw=__version__, made_at=now, stores=tuple(copies))
        text = msgspec.json.format(msgspec.json.encode(manifest)) + b"\n"
        tar.addfile(_entry(MANIFEST, len(text), now), io.BytesIO(text))
    return manifest


def _add(tar: tarfile.TarFile, store: StoreFile, copied: Path, now: datetime) -> Copy:
    if not store.path.exists():
        raise StorageError(f"{store.path}: the store of {store.name} is not there")
    with opened(store.path) as db:
        copy(db, copied)
    schema = checked(copied)
    with copied.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        member = f"{quote(store.name, safe='')}.db"
        tar.addfile(_entry(member, size, now), file)
    return Copy(name=store.name, member=member, schema=schema, size=size, sha256=sha256)


def _entry(name: str, size: int, now: datetime) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size = size
    entry.mode = 0o600
    entry.mtime = int(now.timestamp())
    return entry


# Reading


@contextlib.contextmanager
def _archived(archive: Path) -> Iterator[tuple[tarfile.TarFile, Manifest]]:
    with in_sentences(archive):
        try:
            with tarfile.open(archive, mode="r:") as tar:
                yield tar, _manifest(tar, archive)
        except tarfile.TarError as error:
            raise StorageError(
                f"{archive}: this is no whole backup of ocppgw ({error}); name another file"
            ) from error


def _manifest(tar: tarfile.TarFile, archive: Path) -> Manifest:
    found = tar.extractfile(MANIFEST) if MANIFEST in tar.getnames() else None
    if found is None:
        raise StorageError(f"{archive}: there is no {MANIFEST} in it; it is no backup of ocppgw")
    text = found.read(_LARGEST_MANIFEST)
    try:
        # The format first: a newer one may look different.
        what, version, known = "format", msgspec.json.decode(text, type=_Format).format, FORMAT
        if version <= known:
            manifest = msgspec.json.decode(text, type=Manifest)
            what, known = "schema", len(sqlite.UPGRADES)
            version = max((copied.schema for copied in manifest.stores), default=0)
    except msgspec.DecodeError as error:
        raise StorageError(f"{archive}: {MANIFEST} cannot be read: {error}") from error
    if version > known:
        raise StorageError(
            f"{archive}: a newer ocppgw wrote it ({what} {version}, this one knows {known}); "
            "restore it with the newer one"
        )
    return manifest


class _Format(msgspec.Struct):
    format: int


def _member(tar: tarfile.TarFile, archive: Path, copied: Copy) -> IO[bytes]:
    try:
        found = tar.extractfile(copied.member)
    except KeyError:
        found = None
    if found is None:
        raise StorageError(f"{archive}: {copied.member} is missing in it; name another backup")
    return found


def _compared(member: IO[bytes], archive: Path, copied: Copy, into: IO[bytes] | None) -> None:
    """Reads a member to its end, and writes what it reads."""
    sha256 = hashlib.sha256()
    while piece := member.read(_AT_ONCE):
        sha256.update(piece)
        if into is not None:
            into.write(piece)
    if sha256.hexdigest() != copied.sha256:
        raise StorageError(
            f"{archive}: {copied.member} is not as it was written; name another backup"
        )
