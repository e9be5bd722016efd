"""Time two commands in turn, A B A B ..., and compare: a machine that slows down slows both."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

MEMORY = Path("/dev/shm") if Path("/dev/shm").is_dir() else None
"""Where both sides put files and folders: how fast a disk is changes too much from minute to minute."""


def timed(words: list[str], environment: Mapping[str, str], log: Path) -> float:
    """Run a command to success and tell its wall time in seconds."""
    with log.open("ab") as output:
        began = time.perf_counter()
        done = subprocess.run(words, env=environment, stdout=output, stderr=output, check=False)
        seconds = time.perf_counter() - began
    if done.returncode != 0:
        sys.exit(f"{' '.join(words)} failed with exit code {done.returncode}; see {log}")
    return seconds


def compare(ours: Callable[[], float], other: Callable[[], float], rounds: int, names: tuple[str, str]) -> float:
    """Time both in turn and print a table; the result is the median of the ratios of the rounds."""
    print(f"{'round':>6} {names[0]:>16} {names[1]:>16} {'ratio':>8}")
    ratios = []
    for number in range(1, rounds + 1):
        b, a = other(), ours()
        ratios.append(a / b)
        print(f"{number:>6} {a:>14.2f} s {b:>14.2f} s {a / b:>8.2f}", flush=True)
    return statistics.median(ratios)


def verdict(ratio: float, target: float) -> int:
    """Print the last line, ``ratio target``; 1 if the target is missed."""
    print(f"{ratio:.2f} {target:.2f}")
    return int(ratio > target)
