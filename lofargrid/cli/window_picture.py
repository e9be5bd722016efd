"""The windows before the tapes as a picture over time."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from lofargrid.cli.text import bytes_text
from lofargrid.errors import Fault, InputError
from lofargrid.rehearsal.picture import plotting, save
from lofargrid.tracker.records import RecallLevel

_UNITS = (("TB", 1e12), ("GB", 1e9), ("MB", 1e6))


def draw(levels: Sequence[RecallLevel], windows: Mapping[str, float], path: Path) -> None:
    """Draw what lay on disk at each site and what was to come, below its window.

    Raises
    ------
    InputError
        There is nothing to draw, the library for pictures is not installed, or the file cannot be written.
    """
    sites = sorted({one.site for one in levels})
    if not sites:
        raise InputError(Fault("nothing was ever asked for from tape: there is nothing to draw", field="--picture"))
    figure, axes = plotting().subplots(
        len(sites), 1, sharex=True, squeeze=False, figsize=(10, 1 + 2.5 * len(sites)), layout="constrained"
    )
    for (panel,), site in zip(axes, sites, strict=True):
        _window(panel, [one for one in levels if one.site == site], windows.get(site))
        panel.set_title(site, fontsize=10, loc="left")
    axes[-1][0].set_xlabel("UTC")
    figure.autofmt_xdate()
    save(figure, path)


def _window(panel: Any, levels: Sequence[RecallLevel], window: float | None) -> None:
    times = [datetime.fromisoformat(one.at) for one in levels]
    most = max(one.on_disk_bytes + one.awaited_bytes for one in levels)
    name, unit = next((one for one in _UNITS if most >= one[1]), _UNITS[-1])
    on_disk = [one.on_disk_bytes / unit for one in levels]
    awaited = [one.awaited_bytes / unit for one in levels]
    labels = ["on disk, still to be read", "asked for from tape"]
    panel.stackplot(times, on_disk, awaited, labels=labels, colors=["C0", "C1"], alpha=0.8, step="post")
    if window is not None and most > window / 4:  # one that is far above would leave nothing to be seen
        panel.axhline(window / unit, color="grey", linestyle=":", label="window")
    elif window is not None:
        panel.plot([], [], " ", label=f"window: {bytes_text(window)}")
    panel.set_ylabel(name)
    panel.set_ylim(bottom=0)
    panel.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
