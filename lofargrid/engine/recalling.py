"""Recall: inputs that are on tape come online before their jobs are handed over, a window of jobs at a time."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial

from lofargrid.documents.sites import site_of
from lofargrid.engine.guarding import Guard
from lofargrid.engine.moving import Moves
from lofargrid.engine.sourcing import sources_of
from lofargrid.errors import BackendError, LofarGridError
from lofargrid.model import Job, Site
from lofargrid.productions.recipes import Recipes
from lofargrid.recipes.recipe import Recipe
from lofargrid.states import JobState, Reason
from lofargrid.storage.base import Locality, Recall, Recalled, RecallState
from lofargrid.tracker import Tracker

SOON_S = 5.0
EVERY_S = 60.0
"""How often a service is asked: soon after something went on, and then less and less often."""
PATIENCE_S = 12 * 3600.0
"""After this time a file is asked for once more: requests are known to hang for ever."""
LIFETIME_S = 2 * 86400.0
"""How long a file is asked to stay online."""
MOST_FILES = 1000
"""The most files of one request; the archive takes no more."""
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
    """

    def __init__(
        self, tracker: Tracker, recall: Recall | None, sites: Mapping[str, Site], recipes: Recipes, moves: Moves,
        guard: Guard, clock: Callable[[], datetime],
    ) -> None:  # fmt: skip
        self._tracker = tracker
        self._recall = recall
        self._sites = sites
        self._recipes = recipes
        self._moves = moves
        self._guard = guard
        self._clock = clock
        self._asked: datetime | None = None
        self._pause_s = SOON_S
        self._troubles: list[BackendError] = []

    def needed(self, recipe: Recipe, job: Job) -> bool:
        """Whether inputs of a job lie where they may be on tape only."""
        return self._recall is not None and bool(self._on_tape(recipe, job))

    def _on_tape(self, recipe: Recipe, job: Job) -> list[str]:
        if all(source.step for source in recipe.steps[job.step].inputs.values()):
            return []
        try:
            sources = sources_of(self._tracker, recipe, job)
        except LofarGridError:
            return []  # handing it over will tell
        urls = {one.url for given in sources.values() for one in given if not one.job}
        return sorted(url for url in urls if (site := self._sites.get(site_of(url, self._sites))) and site.tape)

    def review(self) -> None:
        """Ask for what is wanted, let jobs go whose files are there, release what is read."""
        now = self._clock()
        if self._recall is None:
            return
        if not self._troubles:
            self._release(self._recall)
        if self._asked and (now - self._asked).total_seconds() < self._pause_s:
            for error in self._troubles:
                self._guard.tell("recall", error)
            return
        self._asked, self._troubles = now, []
        self._pause_s = min(2 * self._pause_s, EVERY_S)
        self._extend(self._recall)
        wanted = {job.id: self._on_tape(self._recipes.of(self._moves.production(job)), job)
                  for job in self._tracker.recalling()}  # fmt: skip
        if wanted:
            self._go_on(self._recall, wanted)

    def _go_on(self, recall: Recall, wanted: Mapping[int, Sequence[str]]) -> None:
        urls = sorted({url for given in wanted.values() for url in given})
        where: dict[str, Locality] = {}
        for part in self._by_site(urls).values():
            self._guarded(partial(_look, recall, part, where))
        wanted = {job_id: given for job_id, given in wanted.items() if where.keys() >= set(given)}
        gone = {url: _GONE[state] for url, state in where.items() if state in _GONE}
        gone |= dict.fromkeys(self._given_up(recall, urls), Reason.INPUT_UNREADABLE)
        waiting: set[str] = set()
        with self._tracker.transaction():
            self._tracker.note_readers(wanted)
            for job_id, given in wanted.items():
                job = self._tracker.job_by_id(job_id)
                lost = next((url for url in given if url in gone), None)
                if lost:
                    state = where[lost]
                    why = _TOLD.get(state, "its recall failed again and again")
                    self._moves.move(job, JobState.FAILED, gone[lost], f"{lost}: {why}")
                elif all(where[url] is Locality.ONLINE for url in given):
                    self._moves.move(job, JobState.READY)
                    self._pause_s = SOON_S
                else:
                    waiting |= {url for url in given if where[url] is Locality.NEARLINE}
        self._request(recall, sorted(waiting))

    def _given_up(self, recall: Recall, urls: Sequence[str]) -> list[str]:
        """Files whose recall has failed too often; those that failed less often are asked for again.

        So are those whose request is forgotten, as by a service that was restarted.
        """
        failed: list[str] = []
        forgotten: list[str] = []
        for request, asked in self._tracker.recall_requests().items():
            told = self._told(recall, request, asked)
            if told is None:
                continue
            failed += [url for url, one in told.items() if one.state is RecallState.FAILED]
            forgotten += [url for url in asked if url not in told]
        with self._tracker.transaction():
            self._tracker.recalls_forgotten(forgotten)
            return [url for url in failed if self._tracker.recall_failed(url) >= TRIES and url in urls]

    def _told(self, recall: Recall, request: str, urls: Sequence[str]) -> Mapping[str, Recalled] | None:
        """What a service says of a request; None if it says nothing."""
        told: list[Mapping[str, Recalled]] = []
        self._guarded(lambda: told.append(recall.poll(request, urls)))
        return told[0] if told else None

    def _request(self, recall: Recall, urls: Sequence[str]) -> None:
        standing = self._tracker.recalls_since(self._moves.now(-PATIENCE_S))
        missing = [url for url in urls if url not in standing]

        def ask(part: Sequence[str]) -> None:
            request = recall.request(part, LIFETIME_S)
            with self._tracker.transaction():
                self._tracker.note_recalls(part, request, self._moves.now())
            self._pause_s = SOON_S

        for part in self._requests(missing):
            self._guarded(partial(ask, part))

    def _extend(self, recall: Recall) -> None:
        """Ask once more for what came long ago and is still to be read, so that it stays."""

        def extend(request: str, part: Sequence[str]) -> None:
            again = recall.request(part, LIFETIME_S)
            with self._tracker.transaction():
                self._tracker.note_recalls(part, again, self._moves.now())
            recall.release(request, part)

        for request, urls in self._tracker.recalls_to_extend(self._moves.now(-LIFETIME_S / 2)).items():
            for part in self._requests(urls):
                self._guarded(partial(extend, request, part))

    def _requests(self, urls: Sequence[str]) -> Iterator[list[str]]:
        """Divide files into requests: each for the tapes of one site, and not too large."""
        for given in self._by_site(urls).values():
            yield from (given[first : first + MOST_FILES] for first in range(0, len(given), MOST_FILES))

    def _by_site(self, urls: Sequence[str]) -> dict[str, list[str]]:
        at: dict[str, list[str]] = {}
        for url in urls:
            at.setdefault(site_of(url, self._sites), []).append(url)
        return at

    def _release(self, recall: Recall) -> None:
        """Let files go whose reader has ended."""

        def release(request: str, urls: Sequence[str]) -> None:
            if request:
                recall.release(request, urls)
            with self._tracker.transaction():
                self._tracker.forget_recalls(urls)

        for request, urls in self._tracker.recalls_read().items():
            self._guarded(partial(release, request, urls))

    def _guarded(self, call: Callable[[], None]) -> None:
        """Make a call; where it fails the next look makes it again, and until then it is told."""
        try:
            call()
        except BackendError as error:
            self._troubles.append(error)
            self._guard.tell("recall", error)


def _look(recall: Recall, urls: Sequence[str], where: dict[str, Locality]) -> None:
    where.update(recall.locality(urls))


_TOLD = {
    Locality.ABSENT: "the archive does not know it",
    Locality.LOST: "its tape cannot be read",
    Locality.REFUSED: "the archive does not let you have it",
}
