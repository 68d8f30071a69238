"""Reading what a user wrote, for plugins with a YAML file of their own.

The gateway reads its configuration with the same: :func:`load_yaml` makes a tree of a file,
:class:`Reader` makes msgspec Structs of the tree, and both collect every mistake, with its
line, for one :class:`ProblemsError`::

    root, problems = load_yaml(path)
    reader = Reader(base=path.parent)
    wishes = reader.read(root, Wishes)
    if problems or reader.problems:
        raise ProblemsError(str(path), [*problems, *reader.problems])
"""

from ocppgw.tree import Node, Problem, ProblemsError, joined, near_miss
from ocppgw.typed import INVALID, Invalid, Reader
from ocppgw.yaml_lines import load as load_yaml
from ocppgw.yaml_lines import parse as parse_yaml

__all__ = [
    "INVALID",
    "Invalid",
    "Node",
    "Problem",
    "ProblemsError",
    "Reader",
    "joined",
    "load_yaml",
    "near_miss",
    "parse_yaml",
]
