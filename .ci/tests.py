"""All tests, in two processes: those that start processes of their own run beside the others.

Run by `make test`, with the folders of the first kind as arguments. What the second process
says is kept until the first is done.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile

PYTEST = (sys.executable, "-m", "coverage", "run", "-m", "pytest")


def main(beside: list[str]) -> int:
    with tempfile.TemporaryFile() as said:
        second = subprocess.Popen([*PYTEST, *beside], stdout=said, stderr=subprocess.STDOUT)
        try:
            others = [f"--ignore={folder}" for folder in beside]
            first = subprocess.run([*PYTEST, *others], check=False).returncode
            print(f"Waiting for the tests that start processes: {' '.join(beside)}", flush=True)
            second.wait()
        finally:
            second.terminate()
        said.seek(0)
        sys.stdout.buffer.write(said.read())
    return first or second.returncode


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
