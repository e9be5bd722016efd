"""How an inspection ends: one JSON object on stdout, or one line on stderr and a code that is not 0."""

from __future__ import annotations

import json
import math
import sys
from typing import Any, Callable


def tell(path: str, measure: Callable[[], dict[str, Any]]) -> int:
    """Print what was measured.

    Parameters
    ----------
    path
        What is measured, for the message.
    measure
        Does the work. What it raises becomes one line, because a log of many jobs is read by the line.

    Returns
    -------
    int
        Exit code: 0 when it could be measured, whatever the values are; 1 when not.
    """
    try:
        text = json.dumps(_plain(measure()), allow_nan=False)
    except (RuntimeError, OSError, ValueError, KeyError, IndexError, AttributeError, MemoryError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        print(f"{path}: cannot be measured: {reason}", file=sys.stderr)
        return 1
    print(text)
    return 0


def _plain(value: Any) -> Any:
    """Turn numpy scalars to Python's own, and what JSON cannot say (NaN, infinite) to null."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value
