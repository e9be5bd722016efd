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
    try:
        import matplotlib
    except ImportError:
        remedy = "Install it: pip install matplotlib"
        raise InputError(Fault("pictures need matplotlib, which is not installed", remedy, field="--picture")) from None
    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(4 if one.tape else 3, 1, sharex=True, figsize=(10, 9), layout="constrained")
    figure.suptitle(title)
    names = sorted({series.name for series in (*one.running, *one.links, *one.scratch, *one.tape)})
    colours = {name: f"C{number}" for number, name in enumerate(names)}
    _lines(panels[0], one.running, "jobs running", 1.0, colours)
    _lines(panels[1], one.links, "wide-area MB/s, mean over 60 s", 1.0, colours)
    for name, cap in one.cap_mb_s.items():
        if one.wide_mb_s[name] > cap / 4:
            panels[1].axhline(cap, color="grey", linewidth=0.7, linestyle=":")
            panels[1].annotate(f"cap {name}", (0, cap), fontsize=7, color="grey")
    _lines(panels[2], one.scratch, "TB written and kept", _TB, colours)
    if one.tape:
        _lines(panels[3], one.tape, "MB/s from tape, mean over 60 s", 1.0, colours)
    for panel in panels:
        panel.set_ylim(bottom=0)  # last: it ends the scaling that lets caps be seen
    panels[-1].set_xlabel("hours")
    try:
        # Without an ending a library of pictures would add one of its own.
        figure.savefig(path, format=path.suffix.removeprefix("."))
    except (OSError, ValueError) as error:
        raise InputError(Fault(f"cannot write the picture: {error}", "", str(path), field="--picture")) from None
    finally:
        pyplot.close(figure)


def _lines(axes: Any, series: Sequence[Series], label: str, unit: float, colours: Mapping[str, str]) -> None:
    """One line a site, of the same colour in every panel."""
    for one in series:
        hours = [hour for hour, _ in one.points]
        values = [value / unit for _, value in one.points]
        axes.step(hours, values, where="post", label=one.name, linewidth=1, color=colours[one.name])
    axes.set_ylabel(label)
    if series:
        axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
