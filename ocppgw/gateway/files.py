"""Files that settings name: whether their content has changed since it was read."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec


def digests_in(settings: object) -> dict[Path, str]:
    """The digest of each file whose path is among the settings, at any depth."""
    return _digests(_paths(settings))


def digests_of_endpoint(description: str) -> dict[Path, str]:
    """Those of the certificates and keys that a Twisted endpoint string names."""
    if not description.startswith(("ssl:", "tls:")):
        return {}
    named = [Path(piece) for piece in re.split(r"(?<!\\)[:=]", description)[1:] if piece]
    folders = [path for path in named if path.is_dir()]
    return _digests([*named, *(pem for folder in folders for pem in folder.rglob("*.pem"))])


def _paths(value: object) -> Iterator[Path]:
    if isinstance(value, Path):
        yield value
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from _paths(getattr(value, name))
    elif isinstance(value, Mapping):
        for entry in value.values():
            yield from _paths(entry)
    elif isinstance(value, (list, tuple)):
        for entry in value:
            yield from _paths(entry)


def _digests(paths: Iterable[Path]) -> dict[Path, str]:
    found = {}
    for path in paths:
        try:
            if path.is_file():
                found[path] = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError:
            found[path] = "unreadable"
    return found
