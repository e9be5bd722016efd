"""Read the image of a FITS file as wsclean and DP3 write it: the primary array, 32 or 64 bit floating point.

Forty lines instead of astropy.io.fits, whose import alone takes longer than most inspections here. Not for
FITS in general: no integers, no scaling, no extensions, no CONTINUE cards. A file of that sort is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Union

import numpy as np

BLOCK = 2880
CARD = 80
TYPES = {-32: ">f4", -64: ">f8"}
Header = dict[str, Union[bool, int, float, str]]


@dataclass(frozen=True)
class FitsImage:
    """Header and pixels: [planes,] rows from south to north, columns; in Jy/beam where wsclean made it."""

    header: Header
    pixels: np.ndarray

    @property
    def plane(self) -> np.ndarray:
        """The first plane: rows x columns."""
        return self.pixels.reshape(-1, *self.pixels.shape[-2:])[0]


def read_image(path: str) -> FitsImage:
    """Read a FITS file.

    Raises
    ------
    ValueError
        It is not such a FITS file, or ends early.
    """
    with Path(path).open("rb") as file:
        header = _header(file)
        axes = [int(header[f"NAXIS{n}"]) for n in range(int(header["NAXIS"]), 0, -1)]
        kind = TYPES.get(int(header["BITPIX"]))
        if kind is None or len(axes) < 2 or ("BSCALE" in header and header["BSCALE"] != 1):
            raise ValueError(f"not a floating point image: BITPIX {header['BITPIX']}, {len(axes)} axes")
        pixels = np.fromfile(file, kind, int(np.prod(axes)))
    if pixels.size != np.prod(axes):
        raise ValueError(f"it ends after {pixels.size} of {np.prod(axes)} pixels")
    return FitsImage(header, pixels.astype(kind[1:]).reshape(axes))


def _header(file: BinaryIO) -> Header:
    header: Header = {}
    while True:
        block = file.read(BLOCK)
        if len(block) < BLOCK or not (header or block.startswith(b"SIMPLE  =")):
            raise ValueError("not a FITS file, or one that ends in its header")
        text = block.decode("ascii", "replace")
        for card in (text[start : start + CARD] for start in range(0, BLOCK, CARD)):
            if card.rstrip() == "END":
                return header
            if card[8:10] == "= ":
                header[card[:8].rstrip()] = _value(card[10:])


def _value(text: str) -> bool | int | float | str:
    text = text.strip()
    if text.startswith("'"):
        return text[1:].replace("''", "\0").partition("'")[0].replace("\0", "'").rstrip()
    text = text.partition("/")[0].strip()
    if text in ("T", "F"):
        return text == "T"
    for read in (int, float):
        try:
            return read(text.replace("D", "E"))
        except ValueError:
            continue
    return text
