"""``python -m ocppgw``."""

from ocppgw.cli import main

main()
