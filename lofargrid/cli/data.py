"""The verbs about files: get, compare, demo-data."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from lofargrid.cli.choosing import choose_production
from lofargrid.cli.session import Session
from lofargrid.cli.text import bytes_text, note, seconds_text, table
from lofargrid.errors import Fault, InputError
from lofargrid.model import StoredOutput
from lofargrid.names import file_url, is_here, path_of
from lofargrid.storage.local import checksum

SCIENCE = "pip install 'lofargrid[science]'"


def register(app: typer.Typer) -> None:
    """Add this module's verbs."""
    app.command()(get)
    app.command()(compare)
    app.command("demo-data")(demo_data)
    app.command("demo-result")(demo_result)


@contextmanager
def _science(verb: str) -> Iterator[None]:
    """Tell the command that brings what an import lacks."""
    try:
        yield
    except ImportError as error:
        raise InputError(Fault(f"{verb} needs {error.name}", f"Install it with: {SCIENCE}")) from None


def get(
    context: typer.Context,
    production: Annotated[str, typer.Argument(metavar="PRODUCTION", help="A production.")],
    into: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to bring its products.")] = Path(),
    link: Annotated[
        bool, typer.Option("--link", help="Print links that open in a browser, and bring nothing.")
    ] = False,
    hours: Annotated[
        float, typer.Option("--for", metavar="HOURS", min=0.1, max=168, help="How long the links are good for.")
    ] = 24,
) -> int:
    """Bring the products and their provenance to a folder.

    Each is verified; what is there already is not brought twice.
    """
    session: Session = context.obj
    tracker = session.tracker()
    files = tracker.products(choose_production(tracker, production).id)
    if not files:
        note(f"{production} has no products yet")
        return 1
    if link:
        return _links(session, production, files, timedelta(hours=hours))
    storage = session.storage()
    for number, file in enumerate(files, 1):
        target = into.absolute() / file.filename
        if target.exists() and target.stat().st_size == file.size_bytes and checksum(target) == file.adler32:
            note(f"{target}: there already, verified")
        else:
            note(f"bringing {file.filename}, {bytes_text(file.size_bytes)} ({number} of {len(files)}) ...")
            storage.copy(file.published, file_url(str(target)), file.adler32)
            note(f"{target}: {bytes_text(file.size_bytes)}, adler32 {file.adler32} verified")
        storage.write(file_url(f"{target}.json"), storage.read(f"{file.published}.json"))
        print(target)
    return 0


def _links(session: Session, production: str, files: Sequence[StoredOutput], lasts: timedelta) -> int:
    """Print a link to each product."""
    from lofargrid.storage import links
    from lofargrid.storage.web import plain_client, web_client

    elsewhere = [file.published for file in files if not file.published.startswith(("davs://", "https://"))]
    if elsewhere:
        remedy = f"Links are for what lies on davs://; bring it here: get {production} FOLDER"
        raise InputError(Fault(f"there are no links to {elsewhere[0]}", remedy, field="--link"))
    settings = session.settings
    opened = partial(web_client, proxy=settings.own_proxy, authorities=settings.authorities)
    unknown = partial(plain_client, authorities=settings.authorities)
    for file in files:
        print(links.link(file.published, opened, unknown, lasts))
    note(f"whoever has a link can read that product, and nothing else, for {seconds_text(lasts.total_seconds())}")
    return 0


def compare(
    context: typer.Context,
    first: Annotated[str, typer.Argument(metavar="FIRST", help="A production or a folder of products.")],
    second: Annotated[str, typer.Argument(metavar="SECOND", help="Another one.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> int:
    """Tell whether two sets of products are the same. Exit code 0: yes; 1: no."""
    session: Session = context.obj
    with _science("compare"):
        from lofargrid.compare import compare_products
    differences = compare_products(_products(session, first), _products(session, second))
    if as_json:
        print(json.dumps([vars(one) for one in differences], indent=1))
    else:
        for one in differences:
            print(f"{'same ' if one.same else 'DIFFER'} {one.name}: {one.detail}")
    return 0 if all(one.same for one in differences) else 1


def _products(session: Session, text: str) -> dict[str, Path]:
    if Path(text).is_dir():
        return {path.name: path for path in sorted(Path(text).iterdir()) if path.is_file() and path.name[0] != "."}
    tracker = session.tracker()
    if tracker.production(text) is None:
        raise InputError(Fault(f"{text!r} is neither a folder nor a production", "`status` lists the productions"))
    files = tracker.products(choose_production(tracker, text).id)
    if not all(is_here(file.published) for file in files):
        raise InputError(Fault(f"the products of {text} lie on a grid storage", f"Bring them here: get {text} FOLDER"))
    return {file.filename: Path(path_of(file.published)) for file in files}


def demo_data(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new or empty folder.")],
    subbands: Annotated[int, typer.Option(metavar="N", min=1, max=488, help="Subbands of each observation.")] = 8,
    times: Annotated[
        int, typer.Option(metavar="N", min=0, help="Integrations of each observation; 0: as many as the image needs.")
    ] = 0,
    target_saps: Annotated[int, typer.Option(metavar="N", min=1, max=4, help="Beams of the target observation.")] = 1,
    seed: Annotated[int, typer.Option(metavar="N", help="Everything random follows from it.")] = 1,
) -> None:
    """Make two small observations and a production.yaml to try.

    A calibrator and a target, with the truth beside them.
    """
    with _science("demo-data"):
        from lofargrid.demo import DemoOptions, make_demo_data
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(Fault(f"{folder} is not an empty folder", "Name a new one"))
    options = DemoOptions(subbands=subbands, seed=seed, target_saps=target_saps)
    make_demo_data(folder, replace(options, times=times) if times else options, progress=note)
    (folder / "production.yaml").write_text(DEMO_PRODUCTION)
    print(folder / "production.yaml")


def demo_result(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder of `demo-data`, after `run`.")],
) -> int:
    """Show the fluxes found in the demo beside the true ones.

    Exit code 0: every modelled source within 1 % and 0.5 arcsec; 1: not.
    """
    with _science("demo-result"):
        from lofargrid.demo import measure_sources

    images = sorted((folder / "products").glob("*-image.fits"))
    if not images:
        raise InputError(
            Fault(f"there is no image in {folder / 'products'} yet", f"Make it with: run {folder}/production.yaml")
        )
    good = True
    for image in images:
        rows = []
        for one in measure_sources(image, folder / "truth.json"):
            good = good and (one.agrees() or not one.modelled)
            rows.append([one.name, f"{one.true_flux_jy:.4f}", f"{one.flux_jy:.4f}", f"{one.flux_offset_percent:+.2f}",
                         f"{one.position_offset_arcsec:.3f}", "yes" if one.modelled else "no"])  # fmt: skip
        print(table(["source", "true Jy", "found Jy", "off %", "off arcsec", "in model"], rows))
        print(f"image    {image}\npicture  {image.with_suffix('.png')}")
    return 0 if good else 1


DEMO_PRODUCTION = """\
# A calibrator and a target observation, made by `demo-data`
production: demo
pipeline: calibrate-image
inputs:
  calibrator: L900001.surls
  target: L900002.surls
parameters:
  calibrator_skymodel: calibrator.skymodel
  target_skymodel: target.skymodel
  group_size: 4
output: products
software: local
backend: local
sites: all
policy: {minimum_subbands: 0.95, gaps: flag}
"""
