"""Who keeps the stores: the running gateway, or this process while none runs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlencode

import msgspec

from ocppgw.cli.send import control_socket, who
from ocppgw.errors import UserError
from ocppgw.storage import StorageError, backup
from ocppgw.storage.backup import Manifest, StoreFile
from ocppgw.storage.replacing import is_there
from ocppgw.web.client import ControlClient

if TYPE_CHECKING:
    from ocppgw.config import Configuration

PATIENCE = 3600.0  # seconds that the gateway has; stores may be large and disks slow


class Keeper(Protocol):
    """Writes backups and puts them back."""

    def backup(self, target: Path) -> Manifest:
        """Writes all stores into a new archive."""

    def restore(self, archive: Path, names: Sequence[str]) -> None:
        """Puts those stores of the archive back."""


class Gateway:
    """A running gateway, over its control socket."""

    def __init__(self, client: ControlClient) -> None:
        self._client = client

    def backup(self, target: Path) -> Manifest:
        reply = self._client.call(
            "POST", f"/api/backup?{urlencode({'by': who()})}", {"target": str(target)}
        )
        if not target.exists():
            raise UserError(
                f"{target}: the gateway has written it, but in a file system of its own"
                " (PrivateTmp= of its unit, a container); name a target that both can see"
            )
        return msgspec.convert(reply, Manifest)

    def restore(self, archive: Path, names: Sequence[str]) -> None:
        self._client.call("POST", "/api/restore", {"source": str(archive), "only": list(names)})


class Files:
    """The files themselves, under their locks."""

    def __init__(self, configuration: Configuration) -> None:
        from ocppgw.config import file_stores

        self._configuration = configuration
        self._stores = file_stores(configuration)

    def backup(self, target: Path) -> Manifest:
        there = [store for store in self._stores if is_there(store.path)]
        with self._locked(there):
            return backup.write(there, target, datetime.now(UTC))

    def restore(self, archive: Path, names: Sequence[str]) -> None:
        stores = {store.name: store for store in self._stores}
        for name in names:
            if name not in stores:
                there = ", ".join(stores)
                raise UserError(
                    f"{self._configuration.path}: has no store `{name}`; there are: {there};"
                    " say with --only what to restore"
                )
        with self._locked([stores[name] for name in names]):
            pass  # all of them can be had, so that not only the first ones are restored
        with backup.telling_what_is_restored() as restored:
            for name in names:
                backup.put_back(archive, name, stores[name].path)
                restored.append(name)

    @contextlib.contextmanager
    def _locked(self, stores: Sequence[StoreFile]) -> Iterator[None]:
        try:
            locks = contextlib.ExitStack()
            locks.enter_context(backup.locked(stores))
        except StorageError as error:
            raise UserError(f"{error}{self._hint()}") from error
        with locks:
            yield

    def _hint(self) -> str:
        if self._configuration.settings.control is not None:
            return " (if that is a gateway, name its control socket with --socket)"
        return (
            f" (if that is a gateway, give it a `control` section in"
            f" {self._configuration.path}, and it does this while it runs)"
        )


def keeper(config: Path | None, socket: Path | None) -> Keeper:
    """The gateway if one runs, else the files that the configuration names.

    Raises ``UserError`` when there is neither.
    """
    if config is None:
        return Gateway(ControlClient(control_socket(None, socket), PATIENCE))
    from ocppgw.config import load

    configuration, _ = load(config)
    control = configuration.settings.control
    if socket is None and control is not None:
        socket = control.socket
    if socket is not None:
        client = ControlClient(socket, PATIENCE)
        if client.is_there():
            return Gateway(client)
    return Files(configuration)


@contextlib.contextmanager
def sentences() -> Iterator[None]:
    """What stores refuse becomes a sentence for the user."""
    try:
        yield
    except StorageError as error:
        raise UserError(str(error)) from error


def paths_of(files: Sequence[Path], config: Path | None) -> list[Path]:
    """The files named, and all stores of that configuration that have been made."""
    if not files and config is None:
        raise UserError("which store? Name its FILE, or the configuration with --config")
    if config is None:
        return list(files)
    from ocppgw.config import file_stores, load

    stores = file_stores(load(config)[0])
    paths = [*files, *(store.path for store in stores if is_there(store.path))]
    if not paths:
        raise UserError(f"{config}: none of its stores has been made yet")
    return paths
