"""``python -m lofargrid.cli``."""

from lofargrid.cli.app import main

main()
