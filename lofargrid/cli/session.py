"""What a command needs: the machine's settings, the tracker, the engine. Everything is wired here."""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path

from lofargrid import assets
from lofargrid.backends.base import Backend
from lofargrid.backends.registry import NAMES, lack_of, open_backend
from lofargrid.cli.keyholder import Keyholder
from lofargrid.cli.text import note
from lofargrid.config import Settings
from lofargrid.credentials.staging import read_token
from lofargrid.documents.batch import read_batches
from lofargrid.documents.pipelines import Pipeline
from lofargrid.documents.production import ProductionDocument, read_production
from lofargrid.documents.reading import located
from lofargrid.documents.sites import LOCAL, SHIPPED, choose, locator, read_sites, site_of
from lofargrid.documents.software import Software, read_software
from lofargrid.engine.engine import Engine, Places
from lofargrid.errors import BackendError, Fault, InputError
from lofargrid.inspection import inspect, refuse_unless_enough
from lofargrid.model import Site, Subband, TapeService
from lofargrid.names import file_url, is_here, path_of
from lofargrid.pilots.fleet import Fleet, Means
from lofargrid.recipes import sandboxes
from lofargrid.recipes.freezing import read_recipe
from lofargrid.recipes.recipe import Recipe
from lofargrid.rights import Rights
from lofargrid.storage.base import Recall, Storage
from lofargrid.storage.everywhere import Everywhere
from lofargrid.storage.grid import GridStorage
from lofargrid.storage.keyring import Keyring
from lofargrid.storage.local import LocalStorage
from lofargrid.tracker import Tracker, open_tracker
from lofargrid.versions import tool_versions


def now() -> datetime:
    """The time, aware UTC."""
    return datetime.now(UTC)


def stamp() -> str:
    """The time as the tracker writes it."""
    return now().isoformat(timespec="milliseconds")


@dataclass(frozen=True)
class Session:
    """One call of the command line."""

    settings: Settings
    tracker_path: Path

    def tracker(self) -> Tracker:
        """Open the tracker; see `open_tracker` for what it refuses."""
        return open_tracker(self.tracker_path)

    def backend(self, tracker: Tracker) -> Backend:
        """Open what reaches the sites that jobs of a tracker can be sent to."""
        return open_backend(replace(self.settings, data=self.tracker_path.parent), tracker.id, self.reached())

    def stop(self, tracker: Tracker, attempts: Sequence[str]) -> None:
        """Stop attempts now. Their jobs are cancelled or made anew already: what cannot be asked is stopped later."""
        try:
            if attempts:
                self.backend(tracker).cancel(attempts)
        except BackendError as error:
            note(f"{error}; the next `run` stops them")

    def has_pilots(self) -> bool:
        """Whether pilots can be started for any site."""
        return any(site.pilots for site in self.reached().values())

    def fleet(self, tracker: Tracker) -> Fleet:
        """The pilots of a tracker.

        Raises
        ------
        InputError
            HTCondor's bindings are not here.
        """
        lack = lack_of("htcondor")
        if lack:
            raise InputError(Fault(lack, _REMEDIES["htcondor"]))
        from lofargrid.pilots.pool import Pool

        root = self.tracker_path.parent
        means = Means(
            runner=sandboxes.pack_runner(root / "runner"),
            content=assets.content(),
            batches=read_batches(assets.content() / "jdl" / "batch.yaml"),
            root=root / "pilots",
            owner=self.settings.owner,
            contact=self.settings.contact,
        )
        return Fleet(tracker, self.sites(), Pool(), means, now)

    def storage(self) -> Storage:
        """What this machine can speak to: its disks, and grid storages by the tools that its site may use."""
        folder = self.tracker_path.parent / "runner"
        grid = GridStorage(
            lambda: sandboxes.pack_runner(folder), lambda: self.sites()[LOCAL].tools, self.settings.own_proxy,
            lambda url: self.keyholder.token(url),
        )  # fmt: skip
        return Everywhere(LocalStorage(), grid)

    def engine(self, tracker: Tracker, backend: Backend) -> Engine:
        """Wire the engine."""
        return Engine(
            tracker, backend, self._known(), self.storage(), self.places(tracker), now, recall=self.recall()
        )  # fmt: skip

    def _known(self) -> dict[str, Site]:
        """The sites as the engine sees them: those that jobs can be sent to, and those whose tapes can be asked for."""
        reached, tapes = self.reached(), self.tape_services()
        return {
            name: replace(site, slots=site.slots if name in reached else 0, tape=name in tapes)
            for name, site in self.sites().items()
            if name in reached or name in tapes
        }

    def tape_services(self) -> dict[str, TapeService]:
        """The tape service of each site. StageIT is for those who have a token for it; others read what is on disk."""
        with_token = os.access(self.settings.staging, os.F_OK)
        return {
            name: site.recall
            for name, site in self.sites().items()
            if site.recall and (site.recall.by != "stageit" or with_token)
        }

    @cached_property
    def keyholder(self) -> Keyholder:
        """What the user opens storages with."""
        return Keyholder(self.settings, self.sites(), self.reached(), self.opens(), now)

    def opens(self) -> Callable[[Subband], bool]:
        """Tell which inputs StageIT opens, with what it gives for a request."""
        opened = {name for name, one in self.tape_services().items() if one.by == "stageit"}
        place = locator(self.sites())
        return lambda one: bool(opened) and place(one.url) in opened

    def recall(self) -> Recall | None:
        """The tape services of all sites; None if no site has one."""
        services = self.tape_services()
        if not services:
            return None
        from lofargrid.storage.drivers import driver
        from lofargrid.storage.tapes import Tapes

        settings = self.settings
        token = partial(read_token, settings.staging)
        drivers = {
            name: driver(name, one, settings.own_proxy, token, settings.authorities) for name, one in services.items()
        }
        return Tapes(drivers, partial(site_of, sites=self.sites()))

    def rights(self) -> Rights:
        """What tells whether the user may read what lies on tape."""
        services, place = self.tape_services(), locator(self.sites())

        def site(url: str) -> str | None:
            found = place(url)
            return found if found in services else None

        return Rights(self.recall(), site, note, now().date().isoformat())

    def reached(self) -> dict[str, Site]:
        """The sites that jobs can be sent to, this machine among them."""
        return {
            name: site for name, site in self.sites().items() if site.backend in NAMES and not lack_of(site.backend)
        }

    def slots(self, recipe: Recipe) -> int:
        """How many jobs of a production may run at once: as many as this machine is given, or its sites grant."""
        if recipe.backend == LOCAL:
            return self.settings.slots
        reached = self.reached()
        return sum(reached[name].slots for name in recipe.allowed(reached))

    def sites(self) -> dict[str, Site]:
        """The sites that come with lofargrid, and the user's own."""
        return read_sites(SHIPPED, *self.settings.sites)

    def places(self, tracker: Tracker) -> Places:
        """Where the engine finds and puts things."""
        root = self.tracker_path.parent
        known: dict[str, tuple[Software, Mapping[str, str]]] = {}

        def software(recipe: Recipe) -> tuple[Software, Mapping[str, str]]:
            if recipe.software not in known:
                release = self.software(recipe.software)
                known[recipe.software] = release, tool_versions(release, os.environ.get("PATH", os.defpath))
            return known[recipe.software]

        return Places(
            owner=self.settings.owner,
            contact=self.settings.contact,
            sandbox=lambda recipe: str(sandboxes.freeze(recipe, root / "sandboxes")),
            scratch=partial(self.scratch, tracker),
            software=software,
            turl=self.keyholder.turl,
            keys=Keyring(root / "tokens"),
            token=self.keyholder.token,
            require=self.keyholder.require,
            require_open=self.keyholder.require_open,
        )

    def software(self, release: str) -> Software:
        """A release of cvmfs/software.yaml."""
        return read_software(assets.content() / "cvmfs" / "software.yaml", release)

    def scratch(self, tracker: Tracker, recipe: Recipe, site: Site) -> str:
        """Where intermediates of a production live that a site makes.

        At the site's own scratch or, where none is named, at this machine's, or else beside the output. What this
        machine makes stays here.
        """
        here = site.backend == LOCAL
        if site.scratch and not here:
            return f"{site.scratch.rstrip('/')}/lofargrid-{tracker.id}/{recipe.production}"
        if self.settings.scratch or (here and not is_here(recipe.output)):
            folder = (self.settings.scratch or self.tracker_path.parent / "scratch").absolute()
            return file_url(str(folder / f"lofargrid-{tracker.id}" / recipe.production))
        return f"{recipe.output}/.lofargrid-{tracker.id}-{recipe.production}"

    def recipe(self, path: Path) -> Recipe:
        """Read and freeze a production, as its writer wrote it."""
        return self.frozen(read_production(path), path)

    def frozen(
        self, document: ProductionDocument, path: Path, pipeline: Pipeline | None = None, anywhere: bool = False
    ) -> Recipe:  # fmt: skip
        """Freeze a production.

        Parameters
        ----------
        document
            What it says.
        path
            The production.yaml that says so, for relative paths and what is told.
        pipeline
            Its pipeline, if that has been read already.
        anywhere
            Also one that this version can only rehearse: with grid sites, storages and batch systems.
        """
        with told_of(path):
            if not anywhere:
                _refuse_unreached(document, self.sites())
            self.software(document.software)
            folder = assets.pipeline_folder(document.pipeline, self.settings.pipelines)
            return read_recipe(document, path, folder, assets.common_scripts(), pipeline)

    def inspected(self, recipe: Recipe, path: Path) -> tuple[Recipe, list[Fault]]:
        """Look at the inputs; those that cannot be used are marked. Writes nothing that stays.

        Parameters
        ----------
        recipe
            The recipe.
        path
            The production.yaml that it was read from, for what is told.

        Returns
        -------
        recipe, faults
            The recipe with marks, and what the policy lives with.
        """
        with tempfile.TemporaryDirectory() as folder:
            subbands = inspect(recipe.subbands, sandboxes.pack_runner(Path(folder)))
        subbands = self.rights().marked(subbands)
        marked = replace(recipe, subbands=tuple(subbands))
        return marked, self.weighed(marked, path)

    def weighed(self, recipe: Recipe, path: Path) -> list[Fault]:
        """Refuse a recipe that cannot come to what its policy asks for; tell what the policy lives with.

        Parameters
        ----------
        recipe
            The recipe, with its inputs looked at.
        path
            The production.yaml that it was read from, for what is told.
        """
        with told_of(path):
            _refuse_unwritable(recipe)
            return refuse_unless_enough(recipe.subbands, recipe.minimum_subbands, recipe.gaps)


@contextmanager
def told_of(path: Path) -> Iterator[None]:
    """Give the faults in a field of production.yaml its name and their lines."""
    try:
        yield
    except InputError as error:
        faults = [replace(one, file=str(path)) if one.field and not one.file else one for one in error.faults]
        raise InputError(*located(path, faults)) from None


_REMEDIES = {"htcondor": "Install them: pip install 'lofargrid[htcondor]'", "dirac": f"Use {' or '.join(NAMES)}"}


def _refuse_unreached(document: ProductionDocument, sites: Mapping[str, Site]) -> None:
    """Refuse a production whose backend cannot reach the sites that it names."""
    lack = lack_of(document.backend)
    if lack:
        raise InputError(Fault(lack, _REMEDIES[document.backend], field="backend"))
    reached = {name: site for name, site in sites.items() if site.backend == document.backend}
    if not reached:
        what = f"no site is reached through {document.backend}"
        remedy = f"Give a site of your sites.yaml `backend: {document.backend}`"
        raise InputError(Fault(what, remedy, field="backend"))
    choose(document.sites, reached)


def _refuse_unwritable(recipe: Recipe) -> None:
    """Refuse an output that cannot be written before hours are spent; the nearest folder that exists decides.

    Of a grid storage this was asked already, see `lofargrid.cli.access`.
    """
    if not is_here(recipe.output):
        return
    wanted = nearest = Path(path_of(recipe.output))
    try:
        nearest = next(folder for folder in (wanted, *wanted.parents) if folder.exists())
        # Permissions alone do not tell: the disk may be read-only, or of a kind that takes no files. What is
        # made here has no name and is gone at once.
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        what = f"the output {wanted} cannot be written: {nearest}: {error.strerror}"
        remedy = "Make it writable for this user, or name another folder"
        raise InputError(Fault(what, remedy, field="output")) from None
