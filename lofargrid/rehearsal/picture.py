"""A forecast as a picture over time: jobs at each site, load of the links, intermediates on scratch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lofargrid.errors import Fault, InputError
from lofargrid.rehearsal.forecast import Forecast, Series

_TB = 1e12


def draw(one: Forecast, title: str, path: Path) -> None:
    """Draw a forecast; the ending of the file's name tells the format (.png, .svg, .pdf).

    Raises
    ------
    InputError
        The library for pictures is not installed, or the file cannot be written.
    """
    pyplot = plotting()
    quantities = [one for one in _quantities(one) if one[1]] or [_quantities(one)[0]]
    figure, axes = pyplot.subplots(
        len(quantities), 1, sharex=True, squeeze=False, figsize=(10, 1 + 2.2 * len(quantities)), layout="constrained"
    )
    panels = [row[0] for row in axes]
    figure.suptitle(title)
    names = sorted({series.name for _, given, _ in quantities for series in given})
    colours = {name: f"C{number}" for number, name in enumerate(names)}
    for panel, (label, given, unit) in zip(panels, quantities, strict=True):
        _lines(panel, given, label, unit, colours)
        if given is one.links:
            _caps(panel, one)
        panel.set_ylim(bottom=0)  # last: it ends the scaling that lets caps be seen
    panels[-1].set_xlabel("hours")
    save(figure, path)


def plotting() -> Any:
    """The library that draws, without a screen.

    Raises
    ------
    InputError
        It is not installed.
    """
    try:
        import matplotlib
    except ImportError:
        remedy = "Install it: pip install matplotlib"
        raise InputError(Fault("pictures need matplotlib, which is not installed", remedy, field="--picture")) from None
    matplotlib.use("agg")
    from matplotlib import pyplot

    return pyplot


def save(figure: Any, path: Path) -> None:
    """Write a picture, and let go of it.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    try:
        # Without an ending a library of pictures would add one of its own.
        figure.savefig(path, format=path.suffix.removeprefix("."))
    except (OSError, ValueError) as error:
        raise InputError(Fault(f"cannot write the picture: {error}", "", str(path), field="--picture")) from None
    finally:
        plotting().close(figure)


def _quantities(one: Forecast) -> list[tuple[str, Sequence[Series], float]]:
    """What there is a panel for: its label, a series a site, and the unit."""
    return [
        ("jobs running", one.running, 1.0),
        ("wide-area MB/s,\nmean over 60 s", one.links, 1.0),
        ("TB written and kept", one.scratch, _TB),
        ("MB/s from tape,\nmean over 60 s", one.tape, 1.0),
    ]


def _caps(axes: Any, one: Forecast) -> None:
    """The caps of those links that came near them."""
    for name, cap in one.cap_mb_s.items():
        if one.wide_mb_s[name] > cap / 4:
            axes.axhline(cap, color="grey", linewidth=0.7, linestyle=":")
            axes.annotate(f"cap {name}", (0, cap), fontsize=7, color="grey")


def _lines(axes: Any, series: Sequence[Series], label: str, unit: float, colours: Mapping[str, str]) -> None:
    """One line a site, of the same colour in every panel."""
    for one in series:
        hours = [hour for hour, _ in one.points]
        values = [value / unit for _, value in one.points]
        axes.step(hours, values, where="post", label=one.name, linewidth=1, color=colours[one.name])
    axes.set_ylabel(label)
    if series:
        axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
