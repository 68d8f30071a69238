"""YAML with line numbers: a file becomes a :class:`~ocppgw.tree.Node`.

``${NAME}`` in a scalar takes an environment variable (``$${`` is a plain ``${``), and
``!file path`` the content of a file, less its final newline. Both may be secrets and
are never shown. Anchors, aliases and merges (``<<``) work. Duplicate keys are problems
that name both lines.
"""

from __future__ import annotations

import os
import re
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import cast

import yaml

from ocppgw.errors import UserError
from ocppgw.tree import Node, Problem, ProblemsError, joined

_VARIABLE = re.compile(r"\$(\$?)\{([^}]*)\}")


def load(path: Path, environment: Mapping[str, str] | None = None) -> tuple[Node, list[Problem]]:
    """The file's tree, and what is wrong with it that a tree can still be made of.

    Raises :class:`UserError` when it cannot be read, ProblemsError when it is not YAML.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not UTF-8 text: {error}") from error
    return parse(text, path, environment)


def parse(
    text: str, path: Path, environment: Mapping[str, str] | None = None
) -> tuple[Node, list[Problem]]:
    """As :func:`load`, of text that stands for that file."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else None
        what = ", ".join(part for part in (error.context, error.problem) if part)
        raise ProblemsError(str(path), [Problem(line, "", f"not valid YAML: {what}")]) from error
    except yaml.YAMLError as error:
        raise ProblemsError(str(path), [Problem(None, "", f"not valid YAML: {error}")]) from error
    if root is None:
        return Node({}, 1), []
    builder = _Builder(path.parent, os.environ if environment is None else environment)
    tree = builder.build(root, "", ())
    return tree, sorted(builder.problems, key=lambda problem: problem.line or 0)


class _Builder:
    """Turns PyYAML's nodes into ours."""

    def __init__(self, base: Path, environment: Mapping[str, str]) -> None:
        self.problems: list[Problem] = []
        self._base = base
        self._environment = environment
        self._loader = yaml.SafeLoader("")

    def build(self, node: yaml.Node, path: str, above: tuple[yaml.Node, ...]) -> Node:
        line = node.start_mark.line + 1
        if any(node is other for other in above):
            return self._broken(line, path, "an alias must not hold itself")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, (*above, node))
        if isinstance(node, yaml.SequenceNode):
            return Node(
                tuple(
                    self.build(item, joined(path, index), (*above, node))
                    for index, item in enumerate(node.value)
                ),
                line,
            )
        return self._scalar(cast("yaml.ScalarNode", node), path)

    def _mapping(self, node: yaml.MappingNode, path: str, above: tuple[yaml.Node, ...]) -> Node:
        lines = self._own_keys(node, path)
        try:
            self._loader.flatten_mapping(node)
        except yaml.MarkedYAMLError as error:
            self.problems.append(Problem(node.start_mark.line + 1, path, str(error.problem)))
        entries: dict[str, Node] = {}
        values: dict[str, Hashable] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                continue
            key = key_node.value
            if key_node.tag != "tag:yaml.org,2002:str":
                values[key] = self._loader.construct_object(key_node)
            lines.setdefault(key, key_node.start_mark.line + 1)
            entries[key] = self.build(value_node, joined(path, key), above)
        return Node(entries, node.start_mark.line + 1, key_lines=lines, key_values=values)

    def _own_keys(self, node: yaml.MappingNode, path: str) -> dict[str, int]:
        """The keys that are not merged in from elsewhere (``<<``), with their lines; of
        those that stand twice only the first is left."""
        lines: dict[str, int] = {}
        kept = []
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self.problems.append(Problem(line, path, "a key must be text"))
            elif key_node.value in lines:
                message = f"the key stands twice, first in line {lines[key_node.value]}"
                self.problems.append(Problem(line, joined(path, key_node.value), message))
            else:
                lines[key_node.value] = line
                kept.append((key_node, value_node))
        node.value = kept
        return lines

    def _scalar(self, node: yaml.ScalarNode, path: str) -> Node:
        line = node.start_mark.line + 1
        if node.tag == "!file":
            return self._file(node.value, line, path)
        if not node.tag.startswith("tag:yaml.org,2002:"):
            message = f"unknown tag {node.tag}; `!file path` is the one there is"
            return self._broken(line, path, message)
        unset = [
            name
            for escaped, name in _VARIABLE.findall(node.value)
            if not escaped and name not in self._environment
        ]
        if unset:
            return self._broken(line, path, f"the environment variable {unset[0]} is not set")
        text = _VARIABLE.sub(self._variable, node.value)
        tag = node.tag
        if text != node.value and node.style is None:
            tag = self._loader.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
        secret = any(not escaped for escaped, _ in _VARIABLE.findall(node.value))
        scalar = yaml.ScalarNode(tag, text, node.start_mark, node.end_mark)
        try:
            value: Hashable = self._loader.construct_object(scalar)
        except (ValueError, yaml.YAMLError) as error:
            return self._broken(line, path, f"cannot be read: {error}")
        return Node(value, line, text, secret)

    def _variable(self, match: re.Match[str]) -> str:
        escaped, name = match.groups()
        return "${" + name + "}" if escaped else self._environment[name]

    def _broken(self, line: int, path: str, message: str) -> Node:
        self.problems.append(Problem(line, path, message))
        return Node(None, line, broken=True)

    def _file(self, name: str, line: int, path: str) -> Node:
        file = self._base / Path(name).expanduser()
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or error
            return self._broken(line, path, f"the file {file} cannot be read: {why}")
        text = text.removesuffix("\n").removesuffix("\r")
        return Node(text, line, text, True)
