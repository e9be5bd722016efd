"""Writes the observation pair: every subband of both observations, tarred and listed."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lofargrid.demo import archive
from lofargrid.demo.measurementset import write_measurement_set
from lofargrid.demo.options import DemoOptions
from lofargrid.demo.scan import (
    Scan,
    Telescope,
    build_telescope,
    calibrator_scan,
    file_seed,
    observe,
    target_scan,
)
from lofargrid.demo.sky import skymodel_text
from lofargrid.demo.truth import SubbandTruth, Truth, package_versions, write_truth


@dataclass(frozen=True)
class DemoFiles:
    """Files of a demo observation pair.

    Attributes
    ----------
    folder
        Where all of them are.
    calibrator_tars, target_tars
        One tar a subband, SAP by SAP.
    calibrator_list, target_list
        List files with sizes and checksums.
    calibrator_skymodel, target_skymodel
        Sky models for DP3; that of the target leaves out a source.
    truth
        What went in.
    """

    folder: Path
    calibrator_tars: tuple[Path, ...]
    target_tars: tuple[Path, ...]
    calibrator_list: Path
    target_list: Path
    calibrator_skymodel: Path
    target_skymodel: Path
    truth: Path


def _silent(line: str) -> None:
    """Report nothing."""


def make_demo_data(
    folder: Path,
    options: DemoOptions = DemoOptions(),
    progress: Callable[[str], None] = _silent,
) -> DemoFiles:
    """Write a calibrator and a target observation, list files, sky models and the truth.

    Repeating it with the same options and package versions writes the same bytes.

    Parameters
    ----------
    folder
        Where to write; made if it does not exist.
    options
        Size, seed and names.
    progress
        Called with the name of each tar when it is there.

    Returns
    -------
    files
        What was written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    telescope = build_telescope(options)
    scans = (calibrator_scan(options), target_scan(options))
    calibrator, target = (_write_scan(folder, options, telescope, scan, progress) for scan in scans)
    files = _files(folder, options, tuple(calibrator), tuple(target))
    archive.write_list(files.calibrator_list, files.calibrator_tars)
    archive.write_list(files.target_list, files.target_tars)
    files.calibrator_skymodel.write_text(skymodel_text(scans[0].sources + scans[0].faint))
    files.target_skymodel.write_text(skymodel_text(scans[1].sources + scans[1].faint))
    described = (*calibrator.values(), *target.values())
    write_truth(files.truth, _truth(options, telescope, scans, described))
    return files


def _files(folder: Path, options: DemoOptions, calibrator: tuple[Path, ...], target: tuple[Path, ...]) -> DemoFiles:
    return DemoFiles(
        folder=folder,
        calibrator_tars=calibrator,
        target_tars=target,
        calibrator_list=folder / f"L{options.calibrator_sas_id}.surls",
        target_list=folder / f"L{options.target_sas_id}.surls",
        calibrator_skymodel=folder / "calibrator.skymodel",
        target_skymodel=folder / "target.skymodel",
        truth=folder / "truth.json",
    )


def _write_scan(
    folder: Path,
    options: DemoOptions,
    telescope: Telescope,
    scan: Scan,
    progress: Callable[[str], None],
) -> dict[Path, SubbandTruth]:
    """Write the tars of one observation and say what is in each."""
    made = {}
    for sap in range(len(scan.pointings)):
        for subband in options.present_subbands:
            raw, bursts = observe(options, telescope, scan, sap, subband)
            ms = archive.ms_name(scan.sas_id, sap, subband)
            tar = folder / archive.tar_name(ms, options.seed)
            # Beside the tars and not in /tmp, which is small on some machines.
            with tempfile.TemporaryDirectory(dir=folder, prefix=".making-") as scratch:
                write_measurement_set(Path(scratch) / ms, raw)
                archive.write_tar(Path(scratch) / ms, tar)
            seed = file_seed(options, scan, sap, subband)
            made[tar] = SubbandTruth(ms, scan.sas_id, sap, subband, raw.abn, seed, bursts)
            progress(tar.name)
    return made


def _truth(
    options: DemoOptions,
    telescope: Telescope,
    scans: tuple[Scan, Scan],
    files: tuple[SubbandTruth, ...],
) -> Truth:
    return Truth(
        options=options,
        sources=scans[0].sources + scans[1].sources,
        start_mjd_s={scan.sas_id: scan.start_mjd_s for scan in scans},
        tec={scan.sas_id: scan.tec for scan in scans},
        instrument={
            subband: telescope.instrument.gains(options.frequencies_hz(subband)) for subband in options.present_subbands
        },
        files=files,
        versions=package_versions(),
    )
