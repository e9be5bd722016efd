"""Recall: inputs that are on tape come online before their jobs are handed over, a rolling window at each site."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from lofargrid.decisions import window
from lofargrid.decisions.window import Held, Wish
from lofargrid.documents.sites import locator
from lofargrid.engine.guarding import Guard
from lofargrid.engine.moving import Moves
from lofargrid.engine.sourcing import sources_of
from lofargrid.errors import BackendError, LofarGridError, UncertainError
from lofargrid.model import Job, Site, TapeService
from lofargrid.productions.recipes import Recipes
from lofargrid.recipes.recipe import Recipe
from lofargrid.states import JobState, Reason
from lofargrid.storage.base import Keys, Locality, Recall, Recalled, RecallState, Release, Way
from lofargrid.tracker import Tracker
from lofargrid.tracker.records import RecallLevel, RecallRecord

SOON_S = 5.0
EVERY_S = 60.0
"""How often a service is asked: soon after something went on, and then less and less often."""
PATIENCE_S = 6 * 3600.0
"""After this time a file is asked for once more: requests are known to hang for ever."""
COMING_S = 1800.0
"""After this time a file that its request has brought, and that is not there, is asked for once more."""
EXTEND_S = 86400.0
"""So long before a file may go that is still to be read, it is asked for once more."""
MOST_FILES = 1000
MOST_BYTES = 5e12
"""The most of one request; the archive takes no more."""
MOST_OF_WINDOW = 0.1
"""Nor is one for more of a window than this: one whose answer gets lost keeps its part until its time is over."""
UNKNOWN_BYTES = 40 * 10**9
"""What a file counts whose size no list tells: as much as the largest."""
POLLS = 20
"""So many requests are asked after at a look."""
TRIES = 5
_GONE = {
    Locality.LOST: Reason.INPUT_UNREADABLE,
    Locality.ABSENT: Reason.INPUT_MISSING,
    Locality.REFUSED: Reason.CREDENTIAL_REFUSED,
}


class Recalling:
    """Brings the inputs of jobs online.

    What a request says is not believed: a job goes on when the storage itself says that its files are online.

    Parameters
    ----------
    tracker
        Knows the jobs, and what was asked for.
    recall
        The service; None where no site's tapes can be reached.
    sites
        Tells where files lie, and which sites have tapes.
    recipes, moves
        The productions' recipes; moves jobs.
    guard
        The service of one site does not keep back the others.
    clock
        Gives the time, aware UTC.
    keys
        Keeps how files are read that are opened by their request.
    """

    def __init__(
        self, tracker: Tracker, recall: Recall | None, sites: Mapping[str, Site], recipes: Recipes, moves: Moves,
        guard: Guard, clock: Callable[[], datetime], keys: Keys | None = None,
    ) -> None:  # fmt: skip
        self._tracker = tracker
        self._recall = recall
        self._sites = sites
        self._site_of = locator(sites)
        self._recipes = recipes
        self._moves = moves
        self._guard = guard
        self._clock = clock
        self._keys = keys
        self._asked: datetime | None = None
        self._pause_s = SOON_S
        self._troubles: list[BackendError] = []
        self._waits: dict[int, Wish] = {}
        self._polled: dict[str, int] = {}

    def needed(self, recipe: Recipe, job: Job) -> bool:
        """Whether inputs of a job lie where they may be on tape only."""
        return self._recall is not None and bool(self._on_tape(recipe, job))

    def _on_tape(self, recipe: Recipe, job: Job) -> dict[str, int]:
        """The files that a job reads and that may be on tape only, with their bytes."""
        if all(source.step for source in recipe.steps[job.step].inputs.values()):
            return {}
        try:
            sources = sources_of(self._tracker, recipe, job)
        except LofarGridError:
            return {}  # handing it over will tell
        files = {one.url: one.size_bytes or UNKNOWN_BYTES for given in sources.values() for one in given if not one.job}
        return {url: files[url] for url in sorted(files) if (site := self._sites.get(self._site_of(url))) and site.tape}

    def review(self) -> None:
        """Ask for what is wanted, let jobs go whose files are there, release what is read."""
        now = self._clock()
        if self._recall is None:
            return
        due = self._asked is None or (now - self._asked).total_seconds() >= self._pause_s
        if due:
            self._asked, self._troubles = now, []
        for error in self._troubles:
            self._guard.tell("recall", error)
        if not self._troubles:
            self._release(self._recall)
        if not due:
            return
        self._pause_s = min(2 * self._pause_s, EVERY_S)
        self._extend(self._recall)
        self._waits = {job_id: self._waits.get(job_id) or self._wish(job_id) for job_id in self._tracker.recalling()}
        if self._waits:
            self._go_on(self._recall, {job_id: wish.files for job_id, wish in self._waits.items()})
        self._note_levels()

    def _wish(self, job_id: int) -> Wish:
        """What a job waits for that began to wait since the last look."""
        job = self._tracker.job_by_id(job_id)
        production = self._moves.production(job)
        wish = Wish(production.id, self._on_tape(self._recipes.of(production), job), production.priority)
        with self._tracker.transaction():
            self._tracker.note_readers(job_id, wish.files)
        if self._keys:
            self._keys.forget(list(wish.files))  # one that was tried before may have ended
        return wish

    def _go_on(self, recall: Recall, wanted: Mapping[int, Mapping[str, int]]) -> None:
        urls = sorted({url for files in wanted.values() for url in files})
        where: dict[str, Locality] = {}
        for part in self._by_site(urls).values():
            self._guarded(partial(_look, recall, part, where))
        self._open(recall, where)
        wanted = {job_id: files for job_id, files in wanted.items() if where.keys() >= files.keys()}
        gone = {url: _GONE[state] for url, state in where.items() if state in _GONE}
        nearline = {url for url, state in where.items() if state is Locality.NEARLINE}
        gone |= dict.fromkeys(self._given_up(recall, nearline), Reason.INPUT_UNREADABLE)
        waiting: dict[int, dict[str, int]] = {}
        with self._tracker.transaction():
            online = [url for url, state in where.items() if state is Locality.ONLINE]
            self._tracker.note_came(online, nearline, self._moves.now())
            for job_id, files in wanted.items():
                lost = next((url for url in files if url in gone), None)
                if lost:
                    why = _TOLD.get(where[lost], "its recall failed again and again")
                    job = self._tracker.job_by_id(job_id)
                    self._moves.move(job, JobState.FAILED, gone[lost], f"{lost}: {why}")
                elif all(where[url] is Locality.ONLINE for url in files):
                    self._moves.move(self._tracker.job_by_id(job_id), JobState.READY)
                    self._pause_s = SOON_S
                else:
                    waiting[job_id] = {url: size for url, size in files.items() if url in nearline}
        self._admit(recall, waiting)
        self._waits = {
            job_id: wish for job_id, wish in self._waits.items() if job_id in waiting or job_id not in wanted
        }

    def _open(self, recall: Recall, where: dict[str, Locality]) -> None:
        """Keep how files are read that came, where their request opens them; what it did not bring it does not open."""
        keys = self._keys
        online = [url for url, state in where.items() if state is Locality.ONLINE]
        lacking = [url for url in online if keys and recall.pinning(url).opens and not keys.of(url)]
        if not lacking or not keys:
            return
        where |= dict.fromkeys(lacking, Locality.NEARLINE)

        def keep(request: str, urls: Sequence[str], keys: Keys = keys) -> None:
            ways = recall.ways(request, urls)
            for url in urls:
                keys.keep(url, ways.get(url, Way("")))
                where[url] = Locality.ONLINE

        for request, urls in self._tracker.recall_requests().items():
            brought = [url for url in urls if url in lacking]
            if brought:
                self._guarded(partial(keep, request, brought))

    def _given_up(self, recall: Recall, nearline: set[str]) -> list[str]:
        """Files whose recall has failed too often; those that failed less often are asked for again.

        So are those whose request is forgotten, as by a service that was restarted, and those that it says it has
        brought and that are not there: they never came, or are gone.
        """
        failed: list[str] = []
        awaiting = {
            request: awaited
            for request, asked in self._tracker.recall_requests().items()
            if (awaited := [url for url in asked if url in nearline])
        }
        # What has come is seen without asking for requests: a few at each look are enough, in turns.
        self._polled = {request: self._polled.get(request, 0) for request in awaiting}
        for request in sorted(awaiting, key=lambda one: self._polled[one])[:POLLS]:
            self._polled[request] += 1
            awaited = awaiting[request]
            told = self._told(recall, request, awaited)
            if told is None:
                continue
            failed += [url for url, one in told.items() if one.state is RecallState.FAILED]
            brought = [url for url, one in told.items() if one.state is RecallState.ONLINE]
            in_vain = self._tracker.recalls_in_vain(brought, self._moves.now(-COMING_S))
            if in_vain:
                self._guarded(partial(recall.release, request, in_vain))
            with self._tracker.transaction():
                self._tracker.recalls_forgotten([*in_vain, *(url for url in awaited if url not in told)])
        with self._tracker.transaction():
            return [url for url in failed if self._tracker.recall_failed(url) >= TRIES]

    def _told(self, recall: Recall, request: str, urls: Sequence[str]) -> Mapping[str, Recalled] | None:
        """What a service says of a request; None if it says nothing."""
        told: list[Mapping[str, Recalled]] = []
        self._guarded(lambda: told.append(recall.poll(request, urls)))
        return told[0] if told else None

    def _admit(self, recall: Recall, waiting: Mapping[int, Mapping[str, int]]) -> None:
        """Ask for what has room in the windows, and once more for what does not come."""
        held = {one.url: one for one in self._tracker.recalls() if one.is_held(self._moves.now())}
        standing = self._tracker.recalls_since(self._moves.now(-PATIENCE_S))
        wishes: dict[str, list[Wish]] = defaultdict(list)
        for job_id, files in waiting.items():
            missing = [url for url in files if url not in standing]
            for site, urls in self._by_site(missing).items():
                wishes[site].append(replace(self._waits[job_id], files={url: files[url] for url in urls}))
        at = self._by_site(list(held))
        for site, those in sorted(wishes.items()):
            service = self._sites[site].recall or TapeService("", "")
            most_bytes = min(MOST_BYTES, service.window_gb * 1e9 * MOST_OF_WINDOW)
            for part in self._requests(recall, _placed(those, held), most_bytes):
                self._guarded(partial(self._ask_again, recall, part, held))
            there = [Held(url, held[url].size_bytes, held[url].readers) for url in at.get(site, ())]
            admitted = window.admit(those, there, service.window_gb * 1e9, service.window_files)
            for part in self._requests(recall, admitted, most_bytes):
                self._guarded(partial(self._ask, recall, part))

    def _requests(self, recall: Recall, wishes: Sequence[Wish], most_bytes: float) -> list[dict[str, int]]:
        if not wishes:
            return []
        alone = recall.pinning(next(iter(wishes[0].files))).release is Release.REQUEST
        return window.requests(wishes, most_bytes, MOST_FILES, alone)

    def _ask(self, recall: Recall, files: Mapping[str, int]) -> None:
        urls = list(files)
        until = self._moves.now(recall.pinning(urls[0]).lifetime_s)
        try:
            request = recall.request(urls)
        except UncertainError:
            with self._tracker.transaction():
                self._tracker.note_doubt(files, self._moves.now(), until)
            raise
        with self._tracker.transaction():
            self._tracker.note_recalls(files, request, self._moves.now(), until)
        self._pause_s = SOON_S

    def _ask_again(self, recall: Recall, files: Mapping[str, int], held: Mapping[str, RecallRecord]) -> None:
        """Ask for what does not come, and keep its place in the archive's queue: it may come by the first request yet.

        Nobody releases it by that one then, so it counts until its time is over.
        """
        until = self._moves.now(recall.pinning(next(iter(files))).lifetime_s)
        hanging = {url: size for url, size in files.items() if held[url].request}
        with self._tracker.transaction():
            self._tracker.note_doubt(hanging, self._moves.now(), until)
        self._ask(recall, files)

    def _renew(self, recall: Recall, request: str, files: Mapping[str, int]) -> None:
        """Ask once more for what has come, and then let it go as far as the first request holds it."""
        self._ask(recall, files)
        release = recall.pinning(next(iter(files))).release
        over = release is Release.FILE or (
            release is Release.REQUEST and request not in self._tracker.recall_requests()
        )
        if request and over:
            recall.release(request, list(files))

    def _extend(self, recall: Recall) -> None:
        """Ask once more for what may go soon and is still to be read."""
        for request, files in self._tracker.recalls_to_extend(self._moves.now(EXTEND_S)).items():
            self._guarded(partial(self._renew, recall, request, files))

    def _by_site(self, urls: Sequence[str]) -> dict[str, list[str]]:
        at: dict[str, list[str]] = {}
        for url in urls:
            at.setdefault(self._site_of(url), []).append(url)
        return at

    def _release(self, recall: Recall) -> None:
        """Let files go whose readers have ended."""

        def release(request: str, urls: Sequence[str]) -> None:
            kind = recall.pinning(urls[0]).release if request else Release.FILE
            if kind is Release.REQUEST and self._tracker.recalls_to_read(request):
                return
            gone = not request or (kind is not Release.NEVER and recall.release(request, urls))
            with self._tracker.transaction():
                if gone:
                    self._tracker.forget_recalls(urls, self._moves.now())
                    if self._keys:
                        self._keys.forget(urls)
                else:
                    self._tracker.recalls_forgotten(urls)

        for request, urls in self._tracker.recalls_read(self._moves.now()).items():
            self._guarded(partial(release, request, urls))

    def _note_levels(self) -> None:
        """Write down what lies on the disks before the tapes, for those who ask how it goes."""
        now = self._moves.now()
        last = {one.site: one for one in self._tracker.last_levels()}
        levels = {site: replace(one, at=now, on_disk_bytes=0, awaited_bytes=0) for site, one in last.items()}
        for one in self._tracker.recalls():
            site = self._site_of(one.url)
            level = levels.setdefault(site, RecallLevel(site, now, 0, 0, 0))
            if one.came > (last[site].at if site in last else ""):
                level = replace(level, brought_bytes=level.brought_bytes + one.size_bytes)
            if one.is_held(now) and one.came:
                level = replace(level, on_disk_bytes=level.on_disk_bytes + one.size_bytes)
            elif one.is_held(now):
                level = replace(level, awaited_bytes=level.awaited_bytes + one.size_bytes)
            levels[site] = level
        with self._tracker.transaction():
            for level in levels.values():
                self._tracker.note_level(level)

    def _guarded(self, call: Callable[[], object]) -> None:
        """Make a call; where it fails the next look makes it again, and until then it is told."""
        try:
            call()
        except BackendError as error:
            self._troubles.append(error)
            self._guard.tell("recall", error)


def _placed(wishes: Sequence[Wish], held: Mapping[str, RecallRecord]) -> list[Wish]:
    """What is wished for and has its place in the window already; each file in one wish only."""
    seen: set[str] = set()
    found: list[Wish] = []
    for wish in wishes:
        files = {url: size for url, size in wish.files.items() if url in held and url not in seen}
        seen |= files.keys()
        if files:
            found.append(replace(wish, files=files))
    return found


def _look(recall: Recall, urls: Sequence[str], where: dict[str, Locality]) -> None:
    where.update(recall.locality(urls))


_TOLD = {
    Locality.ABSENT: "the archive does not know it",
    Locality.LOST: "its tape cannot be read",
    Locality.REFUSED: "the archive does not let you have it",
}
