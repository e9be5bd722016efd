#!/usr/bin/env python3
"""Draw an image of wsclean as PNG: sky coordinates, colour bar, beam, and a title that says what it is."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from fits_image import FitsImage, Header, read_image
from inspect_image import noise
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import AsinhNorm
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse, Rectangle
from tell import tell

MOST_SIDE = 1000
POINTS = np.linspace(-1, 1, 101)
RA_STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600)
DEC_STEPS_ARCSEC = (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 18000)


@dataclass(frozen=True)
class Field:
    """Where the pixels lie on the sky.

    Orthographic projection (SIN), which is what an interferometer sees and wsclean writes; so no WCS library
    is needed, whose import takes longer than the drawing.
    """

    header: Header
    width: int
    height: int

    def number(self, name: str) -> float:
        """A number of the header."""
        return float(self.header[name])

    @property
    def half(self) -> tuple[float, float]:
        """Half of the extent in degrees, as right ascension (wider towards a pole) and as declination."""
        x, y = (abs(self.number(f"CDELT{n}")) * side / 2 for n, side in ((1, self.width), (2, self.height)))
        return x / max(np.cos(np.radians(min(abs(self.number("CRVAL2")) + y, 89))), 0.02), y

    def pixel(self, ra_deg: np.ndarray, dec_deg: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Project the sky to pixels counted from 0."""
        apart, dec = np.radians(ra_deg - self.number("CRVAL1")), np.radians(dec_deg)
        dec0 = np.radians(self.number("CRVAL2"))
        east = np.cos(dec) * np.sin(apart)
        north = np.sin(dec) * np.cos(dec0) - np.cos(dec) * np.sin(dec0) * np.cos(apart)
        return self._along(1, east), self._along(2, north)

    def _along(self, axis: int, cosine: np.ndarray) -> np.ndarray:
        return np.degrees(cosine) / self.number(f"CDELT{axis}") + self.number(f"CRPIX{axis}") - 1


def sexagesimal(seconds: float, step: float, units: str, signed: bool) -> str:
    """Write seconds of time or arc as hours or degrees, minutes and, where the steps are fine, seconds."""
    places = 1 if step < 1 else 0
    total = round(abs(seconds), places)
    sign = ("\N{MINUS SIGN}" if seconds < 0 else "+") if signed else ""
    text = f"{sign}{int(total // 3600):02d}{units[0]}{int(total // 60) % 60:02d}{units[1]}"
    return text if step >= 60 else f"{text}{total % 60:0{2 + 2 * places}.{places}f}{units[2]}"


def round_values(low: float, high: float, steps: tuple[float, ...]) -> tuple[float, np.ndarray]:
    """Choose a round step that gives about five values between two limits: the step, and the values."""
    step = min(steps, key=lambda one: abs((high - low) / one - 5))
    return step, np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step


def crossing(edge: np.ndarray, place: np.ndarray) -> float:
    """Where a line meets an edge: ``place`` where ``edge`` is 0."""
    order = np.argsort(edge)
    return float(np.interp(0, edge[order], place[order]))


def draw_right_ascensions(axes: Axes, field: Field) -> None:
    """Draw lines of round right ascension, with ticks where they meet the lower edge."""
    (half_ra, half_dec), ra0, dec0 = field.half, field.number("CRVAL1"), field.number("CRVAL2")
    step, values = round_values((ra0 - half_ra) * 240, (ra0 + half_ra) * 240, RA_STEPS_S)
    along = dec0 + half_dec * POINTS * 1.2
    lines = [field.pixel(np.full(POINTS.size, value / 240), along) for value in values]
    _draw(axes, lines)
    labels = [sexagesimal(value % 86400, step, "ʰᵐˢ", False) for value in values]
    axes.xaxis.set_ticks([crossing(y, x) for x, y in lines], labels)
    axes.set_xlabel("Right ascension (J2000)")


def draw_declinations(axes: Axes, field: Field) -> None:
    """Draw lines of round declination, with ticks where they meet the left edge."""
    (half_ra, half_dec), ra0, dec0 = field.half, field.number("CRVAL1"), field.number("CRVAL2")
    low, high = max(dec0 - half_dec, -90), min(dec0 + half_dec, 90)
    step, values = round_values(low * 3600, high * 3600, DEC_STEPS_ARCSEC)
    along = ra0 + half_ra * POINTS * 1.2
    lines = [field.pixel(along, np.full(POINTS.size, value / 3600)) for value in values]
    _draw(axes, lines)
    labels = [sexagesimal(value, step, "°′″", True) for value in values]
    axes.yaxis.set_ticks([crossing(x, y) for x, y in lines], labels)
    axes.set_ylabel("Declination (J2000)")


def _draw(axes: Axes, lines: list[tuple[np.ndarray, np.ndarray]]) -> None:
    for x, y in lines:
        axes.plot(x, y, color="white", alpha=0.13, linewidth=0.6, scalex=False, scaley=False)


def beam_of(header: Header) -> tuple[float, float, float] | None:
    """Axes of the beam in arcsec and its position angle in degrees, where the header tells."""
    if "BMAJ" not in header or not float(header["BMAJ"]) > 0:
        return None
    angle = (float(header.get("BPA", 0)) + 90) % 180 - 90  # an ellipse is the same half a turn on
    return float(header["BMAJ"]) * 3600, float(header["BMIN"]) * 3600, angle


def draw_beam(axes: Axes, field: Field) -> None:
    """Draw the beam to scale in a corner. Position angles count from north through east, which is left."""
    beam = beam_of(field.header)
    if beam is None:
        return
    pixel = abs(field.number("CDELT2")) * 3600
    major, minor = beam[0] / pixel, beam[1] / pixel
    side = max(1.6 * major, 0.045 * field.width)
    corner = 0.015 * field.width
    box = {"facecolor": "black", "edgecolor": "white", "linewidth": 0.7, "alpha": 0.75}
    axes.add_patch(Rectangle((corner, corner), side, side, **box))
    middle = corner + side / 2
    axes.add_patch(Ellipse((middle, middle), major, minor, angle=90 + beam[2], color="white", linewidth=0))


def caption(field: Field, sigma: float, peak: float) -> str:
    """Say frequency, noise, peak and beam."""
    parts, beam = [], beam_of(field.header)
    if str(field.header.get("CTYPE3", "")).startswith("FREQ"):
        parts.append(f"{field.number('CRVAL3') / 1e6:.2f} MHz")
    parts.append(f"rms {flux(sigma)}")
    parts.append(f"peak {flux(peak)}")
    if beam:
        parts.append(f"beam {beam[0]:.1f}″ × {beam[1]:.1f}″, PA {beam[2]:.0f}°")
    return "   ·   ".join(parts)


def flux(value: float) -> str:
    """Write a brightness with three digits in the fitting unit."""
    scale, unit = next(((s, u) for s, u in ((1, "Jy"), (1e3, "mJy")) if abs(value) * s >= 1), (1e6, "µJy"))
    return f"{value * scale:.3g} {unit}/beam"


def thinned(plane: np.ndarray) -> np.ndarray:
    """Average a plane of more pixels than a screen has, so that a large field takes little memory to draw."""
    step = max(plane.shape) // MOST_SIDE
    if step < 2:
        return plane
    rows, columns = (side // step for side in plane.shape)
    return plane[: rows * step, : columns * step].reshape(rows, step, columns, step).mean(axis=(1, 3))


def stretch(sigma: float, peak: float) -> AsinhNorm:
    """Map brightness to colour: linear in the noise, logarithmic in the sources, so that both can be seen."""
    unit = sigma if sigma > 0 else max(abs(peak), 1e-9) / 100
    return AsinhNorm(linear_width=3 * unit, vmin=-4 * unit, vmax=max(peak, 8 * unit))


def ticks(sigma: float, peak: float) -> list[float]:
    """Round values for the colour bar: 0 and 1, 3, 10, 30 ... from above the noise to the peak."""
    rounds = [factor * 10.0**power for power in range(-9, 10) for factor in (1, 3)]
    return [0.0, *(value for value in rounds if 3 * sigma < value < peak)]


def draw(image: FitsImage, title: str) -> Figure:
    """Draw the picture.

    Parameters
    ----------
    image
        An image in Jy/beam; its first plane is drawn.
    title
        Line above it; below that, a line tells frequency, noise, peak and beam.
    """
    plane = image.plane
    field = Field(image.header, plane.shape[1], plane.shape[0])
    sigma, peak = noise(plane), float(plane.max())
    factor, unit = (1.0, "Jy/beam") if peak >= 1 else (1e3, "mJy/beam")
    figure = Figure(figsize=(8.8, 7.8), dpi=140)
    axes = figure.add_axes((0.12, 0.085, 0.74, 0.835))
    edges = (-0.5, field.width - 0.5, -0.5, field.height - 0.5)
    norm = stretch(sigma * factor, peak * factor)
    shown = axes.imshow(thinned(plane) * factor, origin="lower", cmap="inferno", norm=norm, extent=edges)
    draw_right_ascensions(axes, field)
    draw_declinations(axes, field)
    draw_beam(axes, field)
    bar = figure.colorbar(shown, cax=figure.add_axes((0.875, 0.085, 0.026, 0.835)), label=unit)
    bar.set_ticks(ticks(sigma * factor, peak * factor))
    bar.minorticks_off()
    bar.ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.tick_params(direction="in", color="white", top=True, right=True, length=5)
    axes.set_title(title, fontsize=13, pad=24)
    facts = {"transform": axes.transAxes, "ha": "center", "color": "0.3", "fontsize": 9.5}
    axes.text(0.5, 1.012, caption(field, sigma, peak), **facts)
    return figure


def picture(path: str, into: str, title: str) -> dict[str, Any]:
    """Write the PNG.

    Parameters
    ----------
    path
        FITS image.
    into
        The PNG.
    title
        What is seen.
    """
    image = read_image(path)
    if not np.all(np.isfinite(image.plane)):
        raise ValueError("it has pixels that are not numbers")
    FigureCanvasAgg(draw(image, title)).print_png(into, pil_kwargs={"compress_level": 3})
    return {"picture": into}


def main(arguments: list[str] | None = None) -> int:
    """Read the command line, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("image", help="FITS image")
    parser.add_argument("png", help="the picture to write")
    parser.add_argument("--title", default="", help="what is seen")
    given = parser.parse_args(arguments)
    return tell(given.image, lambda: picture(given.image, given.png, given.title or str(given.image)))


if __name__ == "__main__":
    sys.exit(main())
