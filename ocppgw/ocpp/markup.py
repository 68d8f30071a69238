"""Markup that stands where a text should, taken as text (Q15: ``data`` of DataTransfer).

Written out here rather than by lxml, which repeats all the namespaces in scope for each
child: a message of 25 kB can keep it busy for seconds, one of 2 MB for days.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias, cast

from lxml import etree

from ocppgw.ocpp.scalars import Unreadable, escape

LONGEST = 256 * 1024
"""Characters that may come of it: much may come of little, for a namespace is written
wherever it is needed."""
MOST_NAMESPACES = 32
"""That one element may be in the scope of."""

_XML = "http://www.w3.org/XML/1998/namespace"

Element: TypeAlias = etree._Element  # noqa: SLF001 - lxml's type has no public name
_Scope: TypeAlias = Mapping[str, str]


def inner_xml(element: Element) -> str:
    """What stands inside an element; each outermost child declares what it needs itself.

    Raises :class:`Unreadable` if that is too long.
    """
    out = _Out()
    out.add(_text(element.text))
    for child in element:
        _write(child, {"": "", "xml": _XML}, out)
    return "".join(out.pieces)


class _Out:
    """The text so far, and how much room there is."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self._room = LONGEST

    def add(self, piece: str) -> None:
        self._room -= len(piece)
        if self._room < 0:
            raise Unreadable(f"the markup in it is longer than {LONGEST} characters")
        self.pieces.append(piece)


def _write(element: Element, outer: _Scope, out: _Out) -> None:
    namespace, name = _split(str(element.tag))
    scope = dict(outer)
    prefix = element.prefix or ""
    if scope.get(prefix) != namespace:
        _declare(scope, prefix, namespace)
    name = f"{prefix}:{name}" if prefix else name
    attributes = "".join(
        f' {_qualified(key, scope)}="{escape(value)}"'
        for key, value in cast("list[tuple[str, str]]", element.items())
    )
    new = [(p, uri) for p, uri in scope.items() if outer.get(p) != uri]
    declared = "".join(f' xmlns{":" if p else ""}{p}="{escape(uri)}"' for p, uri in new)
    out.add(f"<{name}{declared}{attributes}")
    if len(element) or element.text:
        out.add(f">{_text(element.text)}")
        for child in element:
            _write(child, scope, out)
        out.add(f"</{name}>{_text(element.tail)}")
    else:
        out.add(f"/>{_text(element.tail)}")


def _qualified(key: str, scope: dict[str, str]) -> str:
    """An attribute's name; lxml does not tell its prefix, so one in scope is taken or made."""
    namespace, name = _split(key)
    if not namespace:
        return name
    for prefix, uri in scope.items():
        if prefix and uri == namespace:
            return f"{prefix}:{name}"
    prefix = f"n{len(scope)}"
    while prefix in scope:
        prefix += "_"
    _declare(scope, prefix, namespace)
    return f"{prefix}:{name}"


def _declare(scope: dict[str, str], prefix: str, namespace: str) -> None:
    if len(scope) >= MOST_NAMESPACES:
        raise Unreadable(f"the markup in it uses more than {MOST_NAMESPACES} namespaces")
    scope[prefix] = namespace


def _split(tag: str) -> tuple[str, str]:
    namespace, closed, name = tag.rpartition("}")
    return (namespace[1:], name) if closed else ("", name)


def _text(text: str | None) -> str:
    # As it may stand between tags, where quotes need no escape.
    return (text or "").replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
