#!/usr/bin/env python3
"""Measure an image that wsclean made, which ends with code 0 also when CLEAN ran away to 1e21 Jy/beam.

Prints one JSON object. A ratio whose divisor is 0 or not a number is null, and null meets no expectation.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import numpy as np
from fits_image import FitsImage, read_image
from tell import tell

MOST_PIXELS = 4_000_000
DEVIATION_TO_SIGMA = 1.4826


def noise(pixels: np.ndarray) -> float:
    """Estimate the noise from the median deviation, which sources hardly move.

    Of an image with many pixels only every n-th one is looked at.
    """
    values = pixels.reshape(-1)[:: pixels.size // MOST_PIXELS + 1].astype(np.float64)
    return float(DEVIATION_TO_SIGMA * np.median(np.abs(values - np.median(values))))


def highest(pixels: np.ndarray) -> float:
    """Largest absolute value; NaN if there is a NaN."""
    return float(np.max(np.abs(pixels)))


def ratio(value: float, divisor: float) -> float | None:
    """Divide; None where that says nothing."""
    if not (np.isfinite(value) and np.isfinite(divisor)) or divisor == 0:
        return None
    return value / divisor


def measure(path: str, others: dict[str, str | None]) -> dict[str, Any]:
    """Measure a restored image.

    Parameters
    ----------
    path
        The restored image.
    others
        Paths of what belongs to it: residual, dirty, model; None for those not given.
    """
    image = read_image(path)
    images = {name: read_image(other) for name, other in others.items() if other}
    finite = {name: bool(np.all(np.isfinite(one.pixels))) for name, one in {"": image, **images}.items()}
    peak, rms = float(np.max(image.pixels)), noise(image.pixels)
    return {
        "finite": all(finite.values()),
        "empty": float(np.ptp(image.pixels)) == 0,
        "peak_jy": peak,
        "minimum_jy": float(np.min(image.pixels)),
        "rms_jy": rms,
        "dynamic_range": ratio(peak, rms),
        **headers(image),
        **ratios(highest(image.pixels), {name: highest(one.pixels) for name, one in images.items()}),
    }


def headers(image: FitsImage) -> dict[str, Any]:
    """Say size, beam and frequency."""
    header = image.header
    beam = [float(header[name]) * 3600 for name in ("BMAJ", "BMIN") if name in header]
    return {
        "size": list(image.plane.shape[::-1]),
        "beam_arcsec": beam or None,
        "beam_position_angle_deg": header.get("BPA"),
        "frequency_hz": header.get("CRVAL3") if str(header.get("CTYPE3", "")).startswith("FREQ") else None,
    }


def ratios(peak: float, peaks: dict[str, float]) -> dict[str, Any]:
    """Compare peaks: of a CLEAN that converged, none is far above that of the dirty image."""
    found: dict[str, Any] = {f"{name}_peak_jy": value for name, value in peaks.items()}
    if "dirty" in peaks:
        found["peak_to_dirty"] = ratio(peak, peaks["dirty"])
        for name in ("residual", "model"):
            if name in peaks:
                found[f"{name}_to_dirty"] = ratio(peaks[name], peaks["dirty"])
    return found


def main(arguments: list[str] | None = None) -> int:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("restored", help="the restored image")
    parser.add_argument("--residual", help="what CLEAN left")
    parser.add_argument("--dirty", help="the image before CLEAN")
    parser.add_argument("--model", help="what CLEAN found")
    given = vars(parser.parse_args(arguments))
    path = given.pop("restored")
    with np.errstate(invalid="ignore", over="ignore"):
        return tell(path, lambda: measure(path, given))


if __name__ == "__main__":
    sys.exit(main())
