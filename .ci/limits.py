"""The coverage of each package against its limit; run by `make coverage`.

Reads the report that `coverage json` writes to standard output.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import PurePosixPath
from typing import Any

COMPLETE = frozenset({"ocppgw/ocpp", "ocppgw/storage"})
ELSEWHERE = 90.0  # percent of the lines of every other package


def package_of(file: str) -> str:
    """``ocppgw/net/…`` is ocppgw/net; a plugin is one package."""
    parts = PurePosixPath(file).parts
    if parts[0] == "plugins":
        return "/".join(parts[:2])
    return "/".join(parts[:2]) if len(parts) > 2 else parts[0]


def main() -> int:
    files: dict[str, Any] = json.load(sys.stdin)["files"]
    packages: defaultdict[str, list[str]] = defaultdict(list)
    for file in files:
        packages[package_of(file)].append(file)
    failed = False
    for package, members in sorted(packages.items()):
        summaries = [files[file]["summary"] for file in members]
        lines = sum(summary["num_statements"] for summary in summaries)
        covered = sum(summary["covered_lines"] for summary in summaries)
        percent = 100.0 * covered / lines if lines else 100.0
        limit = 100.0 if package in COMPLETE else ELSEWHERE
        short = percent < limit
        failed |= short
        print(f"{package:<24} {percent:6.2f} %  of {lines:5} lines, at least {limit:.0f} %", end="")
        print("  TOO LITTLE" if short else "")
        for file in sorted(members) if short else ():
            if missing := files[file]["missing_lines"]:
                print(f"    {file}: {', '.join(map(str, missing))}")
    if missing_packages := COMPLETE - packages.keys():
        print(f"nothing is known of {', '.join(sorted(missing_packages))}: run all tests first")
        failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
