"""What the tests of the documentation share: pages taken apart into headings and code."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
HEADING = re.compile(r"^#{2,} (.*)$", re.MULTILINE)
FENCE = re.compile(r"^( *)```(\w+)([^\n]*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


class Snippet(NamedTuple):
    """A fenced block: its language, the ``key=value`` words after it, and its text."""

    language: str
    attributes: dict[str, str]
    text: str


class Page(NamedTuple):
    """A page of docs/ or a README."""

    text: str

    @property
    def sections(self) -> dict[str, str]:
        """The text under each heading, back quotes taken off the heading."""
        _, *parts = HEADING.split(self.text)
        return {
            heading.strip("`"): text for heading, text in zip(parts[::2], parts[1::2], strict=True)
        }

    @property
    def snippets(self) -> list[Snippet]:
        return [
            Snippet(language, dict(word.split("=", 1) for word in words.split()), text)
            for _, language, words, text in FENCE.findall(self.text)
        ]


@pytest.fixture(scope="session")
def page() -> Callable[[str], Page]:
    """A page by its path from the root of the repository."""
    return lambda path: Page((ROOT / path).read_text(encoding="utf-8"))
