"""truth.json: what went into the demo data, for checks that must not trust our own tools."""

import json
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from lofargrid.demo.corruption import Burst, burst_mask, ionosphere_gains
from lofargrid.demo.options import BoolArray, ComplexArray, DemoOptions, FloatArray
from lofargrid.demo.sky import Source

FORMAT = 1
PACKAGES = ("numpy", "python-casacore", "astropy", "pyerfa", "lofarantpos")


@dataclass(frozen=True)
class SubbandTruth:
    """What is peculiar to one file.

    Attributes
    ----------
    name
        Name of the measurement set, as the tar unpacks.
    sas_id, sap, subband, abn
        Observation, pointing, subband number within it and absolute subband number.
    seed
        Seed of the noise and interference, as numpy takes it.
    bursts
        Interference.
    """

    name: str
    sas_id: int
    sap: int
    subband: int
    abn: int
    seed: tuple[int, ...]
    bursts: tuple[Burst, ...]


@dataclass(frozen=True)
class Truth:
    """What went into the demo data.

    Attributes
    ----------
    options
        What the caller asked for.
    sources
        All sources of both observations, also those left out of the sky models.
    start_mjd_s
        Start of each observation by number, UTC as seconds of modified Julian date.
    tec
        Electron content in TECU by observation number, shape (stations, times).
    instrument
        Instrumental gains by subband, shape (stations, channels, 2 for X and Y).
    files
        One entry for each measurement set.
    versions
        Packages that made the data.
    """

    options: DemoOptions
    sources: tuple[Source, ...]
    start_mjd_s: dict[int, float]
    tec: dict[int, FloatArray]
    instrument: dict[int, ComplexArray]
    files: tuple[SubbandTruth, ...]
    versions: dict[str, str]

    def gains(self, sas_id: int, subband: int) -> ComplexArray:
        """Gains in the data of shape (times, stations, channels, 2)."""
        frequencies = self.options.frequencies_hz(subband)
        return self.instrument[subband] * ionosphere_gains(self.tec[sas_id], frequencies)

    def interference(self, name: str) -> BoolArray:
        """True where a measurement set has interference, shape (times, channels)."""
        (file,) = [file for file in self.files if file.name == name]
        return burst_mask(file.bursts, self.options.times, self.options.channels)


def package_versions() -> dict[str, str]:
    """Versions of the packages that the data depend on."""
    return {package: version(package) for package in PACKAGES}


def write_truth(path: Path, truth: Truth) -> None:
    """Write truth.json."""
    document = {
        "format": FORMAT,
        "versions": truth.versions,
        "options": asdict(truth.options),
        "sources": [asdict(source) for source in truth.sources],
        "observations": [
            {"sas_id": sas_id, "start_mjd_s": start, "tec_tecu": truth.tec[sas_id].tolist()}
            for sas_id, start in truth.start_mjd_s.items()
        ],
        "subbands": [
            {
                "subband": subband,
                "abn": truth.options.abn(subband),
                "frequencies_hz": truth.options.frequencies_hz(subband).tolist(),
                "gain_real": gains.real.tolist(),
                "gain_imag": gains.imag.tolist(),
            }
            for subband, gains in truth.instrument.items()
        ],
        "files": [asdict(file) for file in truth.files],
    }
    path.write_text(json.dumps(document, indent=None, separators=(",", ":")) + "\n")


def read_truth(path: Path) -> Truth:
    """Read truth.json; exactly what `write_truth` was given comes back."""
    document = json.loads(path.read_text())
    if document.get("format") != FORMAT:
        raise ValueError(
            f"{path} has format {document.get('format')}, this program reads {FORMAT}: make the demo data again"
        )
    observations = document["observations"]
    return Truth(
        options=_options(document["options"]),
        sources=tuple(Source(**source) for source in document["sources"]),
        start_mjd_s={entry["sas_id"]: entry["start_mjd_s"] for entry in observations},
        tec={entry["sas_id"]: np.array(entry["tec_tecu"]) for entry in observations},
        instrument={
            entry["subband"]: np.array(entry["gain_real"]) + 1j * np.array(entry["gain_imag"])
            for entry in document["subbands"]
        },
        files=tuple(_file(entry) for entry in document["files"]),
        versions=document["versions"],
    )


def _options(entry: dict[str, Any]) -> DemoOptions:
    lists = {"stations": tuple(entry["stations"]), "gaps": tuple(entry["gaps"])}
    return DemoOptions(**{**entry, **lists})


def _file(entry: dict[str, Any]) -> SubbandTruth:
    bursts = tuple(Burst(**burst) for burst in entry["bursts"])
    return SubbandTruth(**{**entry, "seed": tuple(entry["seed"]), "bursts": bursts})
