"""The configuration reference, made from the settings' own types.

``python -m ocppgw.reference docs`` writes ``configuration.md`` and
``config.schema.json`` there; a test says when they are out of date.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import msgspec

from ocppgw.config import Settings
from ocppgw.describe import described
from ocppgw.plugins import Plugins
from ocppgw.schema import schema_of

_INTRODUCTION = """\
# Configuration reference

One YAML file describes a gateway. Made from the settings' types by `make docs`; do not edit.

- Paths start from the folder of the file itself.
- `${NAME}` takes the environment variable NAME, `$${` is a plain `${`.
- `!file path` takes the content of a file, for secrets.
- `ocppgw check FILE` tells everything that is wrong with a file at once.
- Editors that know JSON schemas can use [config.schema.json](config.schema.json).
"""


def page() -> str:
    """The reference page, in Markdown."""
    sections = [_INTRODUCTION, *_sections(Settings, "", "The file")]
    plugins = Plugins.load(installed=[])
    for name, backend in sorted(plugins.storage_backends().items()):
        title = f"`storage` with `backend: {name}`"
        sections += _sections(backend.options_type, "storage", title, backend.description)
    for name, driver in sorted(plugins.plc_drivers().items()):
        title = f"`charge_boxes[].plc` with `driver: {name}`"
        sections += _sections(driver.options_type, "charge_boxes[].plc", title, driver.description)
    return "\n".join(sections)


def schema() -> str:
    """The JSON schema of a configuration file."""
    made = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "ocppgw configuration",
        **schema_of(Settings),
    }
    return json.dumps(made, indent=2) + "\n"


def _sections(struct: Any, path: str, title: str, about: str = "") -> Iterator[str]:
    """A section for the Struct, and one for each Struct inside it."""
    yield f"## {title}\n"
    yield f"{about or _first_paragraph(struct)}\n"
    fields = msgspec.structs.fields(struct)
    if fields:
        yield "| key | value | default | |\n|---|---|---|---|"
        yield from (_row(field) for field in fields)
        yield ""
    for field in fields:
        key = f"{path}.{field.encode_name}" if path else field.encode_name
        for inner, suffix in _structs(field.type):
            yield from _sections(inner, key + suffix, f"`{key}{suffix}`")


def _row(field: msgspec.structs.FieldInfo) -> str:
    value = _cell(described(field.type))
    about = _cell(_description(field.type))
    return f"| `{field.encode_name}` | {value} | {_default(field)} | {about} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _description(type_: Any) -> str:
    metas = get_args(type_)[1:] if get_origin(type_) is Annotated else ()
    found = [m.description for m in metas if isinstance(m, msgspec.Meta) and m.description]
    return found[-1] if found else ""


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "required"
    value = field.default
    if value is msgspec.NODEFAULT:
        value = field.default_factory()
    if value is None or isinstance(value, msgspec.Struct) or value in ((), {}, []):
        return ""
    return f"`{_shown(value)}`"


def _shown(value: Any) -> str:
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(_shown(item) for item in value)}]"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _structs(type_: Any) -> Iterator[tuple[Any, str]]:
    """The Structs in a type, and how a path reaches into them (``[]``, ``.<name>``)."""
    if isinstance(type_, type) and issubclass(type_, msgspec.Struct):
        yield type_, ""
        return
    origin, arguments = get_origin(type_), get_args(type_)
    if origin is Annotated:
        yield from _structs(arguments[0])
    elif origin is dict:
        yield from ((struct, f".<name>{rest}") for struct, rest in _structs(arguments[1]))
    elif origin in (tuple, list):
        yield from ((struct, f"[]{rest}") for struct, rest in _structs(arguments[0]))
    else:
        for argument in arguments:
            yield from _structs(argument)


def _first_paragraph(struct: Any) -> str:
    return " ".join((struct.__doc__ or "").split("\n\n")[0].split())


def write(folder: Path) -> None:
    """Writes both files."""
    (folder / "configuration.md").write_text(page(), encoding="utf-8")
    (folder / "config.schema.json").write_text(schema(), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
