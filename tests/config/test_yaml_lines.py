"""YAML with line numbers, environment variables, secret files."""

from __future__ import annotations

from pathlib import Path

import pytest

from ocppgw.errors import UserError
from ocppgw.tree import Node, Problem
from ocppgw.yaml_lines import load, parse

HERE = Path("/somewhere/gateway.yaml")


def tree(text: str, **environment: str) -> Node:
    node, problems = parse(text, HERE, environment)
    assert problems == []
    return node


def problems(text: str, **environment: str) -> list[Problem]:
    return parse(text, HERE, environment)[1]


def test_nodes_know_their_lines() -> None:
    root = tree("a: 1\nlist:\n  - x\n  - y: 2\n")

    assert root.plain() == {"a": 1, "list": ["x", {"y": 2}]}
    assert root.key_lines == {"a": 1, "list": 2}
    assert root.at("list", 1, "y") == Node(2, 4, "2")
    assert root.at("list", 2, "y") is None
    assert root.at("a", "b") is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("0x10", 16),
        ("1.5", 1.5),
        ("yes", True),
        ("~", None),
        ("'1'", "1"),
        ("!!str 1", "1"),
        ("text", "text"),
    ],
)
def test_scalars_are_what_yaml_says(text: str, value: object) -> None:
    assert tree(f"key: {text}").plain() == {"key": value}


def test_an_empty_file_is_an_empty_mapping() -> None:
    assert tree("# nothing\n").plain() == {}


def test_environment_variables_keep_the_type_they_would_have_written_out() -> None:
    root = tree("a: ${PORT}\nb: '${PORT}'\nc: tcp:${PORT}:x\nd: $${PORT}\n", PORT="9220")

    assert root.plain() == {"a": 9220, "b": "9220", "c": "tcp:9220:x", "d": "${PORT}"}
    assert [root.value[key].secret for key in "abcd"] == [True, True, True, False]
    assert root.value["a"].shown() == "a value that is not shown"


def test_a_variable_that_is_not_set_is_a_problem() -> None:
    assert problems("a:\n  b: ${NOPE}\n") == [
        Problem(2, "a.b", "the environment variable NOPE is not set")
    ]


def test_a_secret_file_is_read_from_the_folder_of_the_yaml(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    node, found = parse("a: !file token\n", tmp_path / "x.yaml", {})

    assert found == []
    assert node.at("a") == Node("s3cret", 1, "s3cret", secret=True)


def test_a_missing_secret_file_is_a_problem(tmp_path: Path) -> None:
    found = parse("a: !file token\n", tmp_path / "x.yaml", {})[1]

    assert found == [
        Problem(1, "a", f"the file {tmp_path}/token cannot be read: No such file or directory")
    ]


def test_duplicate_keys_are_told_with_both_lines() -> None:
    assert problems("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\na: 2\n") == [
        Problem(5, "b.c", "the key stands twice, first in line 3"),
        Problem(6, "a", "the key stands twice, first in line 1"),
    ]


def test_aliases_work_and_loops_are_refused() -> None:
    assert tree("a: &x {b: 1}\nc: *x\n").plain() == {"a": {"b": 1}, "c": {"b": 1}}
    assert [p.message for p in problems("a: &x [*x]\n")] == ["an alias must not hold itself"]


def test_other_oddities_are_problems() -> None:
    found = problems("a: !wild x\n? [k]\n: v\nd: 2026-13-45\n")

    assert [(p.line, p.message.split(";")[0].split(":")[0]) for p in found] == [
        (1, "unknown tag !wild"),
        (2, "a key must be text"),
        (4, "cannot be read"),
    ]


def test_what_is_not_yaml_is_told_with_its_line() -> None:
    with pytest.raises(UserError, match=r"gateway\.yaml:2: not valid YAML: .*"):
        parse("a: 1\n\tb: [\n", HERE, {})
    with pytest.raises(UserError, match="not valid YAML"):
        parse("a: \x01", HERE, {})


def test_what_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot be read: No such file or directory$"):
        load(tmp_path / "nope.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9")
    with pytest.raises(UserError, match="is not UTF-8 text"):
        load(tmp_path / "latin.yaml")


def test_merges_are_taken_in_and_may_be_overridden() -> None:
    root = tree("a: &a {x: 1, y: 2}\nb:\n  y: 3\n  <<: *a\n  z: 4\n")

    assert root.at("b").plain() == {"x": 1, "y": 3, "z": 4}
    assert root.at("b").key_lines["y"] == 3


def test_a_merge_of_something_else_is_a_problem() -> None:
    [problem] = problems("a: 1\nb: {<<: 5}\n")

    assert (problem.line, problem.path) == (2, "b")
    assert "mapping" in problem.message


def test_keys_that_are_not_text_keep_their_value_beside_their_text() -> None:
    root = tree("a: {0: x, 0x10: y, on: z, plain: w}\n")

    assert list(root.at("a").value) == ["0", "0x10", "on", "plain"]
    assert root.at("a").key_values == {"0": 0, "0x10": 16, "on": True}


def test_the_nearest_node_is_the_last_one_on_the_way() -> None:
    root = tree("a:\n  b:\n    - 1\n")

    assert root.nearest("a", "b", 0).line == 3
    assert root.nearest("a", "b", 7, "c") is root.at("a", "b")
