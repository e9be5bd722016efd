#!/usr/bin/env python3
"""The command line from a checkout: finds the environment that `make setup` built and runs lofargrid in it."""

import os
import sys

here = os.path.dirname(os.path.realpath(__file__))
python = os.path.join(here, ".venv", "bin", "python3")
if not os.access(python, os.X_OK):
    sys.exit(f"There is no environment yet. Build it with: make -C '{here}' setup")
os.execv(python, [python, "-m", "lofargrid.cli", *sys.argv[1:]])
