"""Inputs on tape: asked for site by site, waited for, released when they are read, asked for again when forgotten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from lofargrid.engine import recalling
from lofargrid.errors import BackendError, UncertainError
from lofargrid.model import Site, TapeService
from lofargrid.states import JobState, Reason
from lofargrid.storage.base import Locality, Pinning, Recalled, RecallState, Release, Way
from lofargrid.storage.keyring import Keyring
from tests.unit.engine_factories import ALONE, FIRST, World, name, recipe, subband

TAPES = ("SURF", "JUELICH")
SITES = {site: Site(site, slots=50, guarded=False, prefixes=(f"davs://{site}.example/",), tape=True) for site in TAPES}
MINUTE_S = 60.0


@dataclass
class ScriptedRecall:
    """A recall service that does what the test says."""

    where: dict[str, Locality] = field(default_factory=dict)
    requests: dict[str, dict[str, Recalled]] = field(default_factory=dict)
    released: list[tuple[str, str]] = field(default_factory=list)
    down: str = ""
    loses_answers: bool = False
    opening: dict[str, Way] = field(default_factory=dict)
    how: Pinning = field(default_factory=Pinning)

    def pinning(self, url: str) -> Pinning:
        return self.how

    def locality(self, urls: Sequence[str]) -> Mapping[str, Locality]:
        if self.down and self.down in urls[0]:
            raise BackendError(f"{self.down} does not answer")
        return {url: self.where.get(url, Locality.NEARLINE) for url in urls}

    def request(self, urls: Sequence[str]) -> str:
        request = f"request-{len(self.requests)}"
        self.requests[request] = dict.fromkeys(urls, Recalled(RecallState.QUEUED))
        if self.loses_answers:
            raise UncertainError("timed out")
        return request

    def poll(self, request: str, urls: Sequence[str]) -> Mapping[str, Recalled]:
        return {url: one for url, one in self.requests[request].items() if url in urls}

    def ways(self, request: str, urls: Sequence[str]) -> Mapping[str, Way]:
        if self.down:
            raise BackendError(f"{self.down} does not answer")
        return {url: way for url, way in self.opening.items() if url in urls}

    def release(self, request: str, urls: Sequence[str]) -> bool:
        self.released += [(request, url) for url in urls]
        return request in self.requests

    # What the test says.

    def come(self, *urls: str) -> None:
        self.where |= dict.fromkeys(urls, Locality.ONLINE)

    def say(self, state: RecallState, url: str, detail: str = "") -> None:
        """Of a file, in every request for it."""
        for told in self.requests.values():
            told.update({url: Recalled(state, detail)} if url in told else {})

    def forget(self) -> None:
        """What a restarted service may do."""
        for told in self.requests.values():
            told.clear()

    def asked(self) -> list[list[str]]:
        return [sorted(told) for told in self.requests.values()]


def url(number: int, site: str = "SURF") -> str:
    return f"davs://{site}.example/L1/SB{number:03d}.MS"


def with_window(window_gb: float, window_files: int = 5000) -> dict[str, Site]:
    window = TapeService("tape-rest", "https://tapes.example", window_gb, window_files)
    return {name: replace(site, recall=window) for name, site in SITES.items()}


@pytest.fixture
def service() -> ScriptedRecall:
    return ScriptedRecall()


def on_tape(
    folder: Path, service: ScriptedRecall, urls: Mapping[int, str], sites: Mapping[str, Site] = SITES,
    size_bytes: int | None = None,
) -> World:  # fmt: skip
    """A production whose subbands lie on tape, and have been asked for."""
    world = World(folder, sites=dict(sites), recall=service, keys=Keyring(folder / "tokens"))
    subbands = [replace(subband(number, url=one), size_bytes=size_bytes) for number, one in urls.items()]
    world.enter(recipe(subbands, ALONE))
    world.tick(2, later_s=MINUTE_S)
    return world


def test_a_request_is_for_files_of_one_site(tmp_path: Path, service: ScriptedRecall) -> None:
    urls = {100: url(100), 101: url(101), 102: url(102, "JUELICH")}
    on_tape(tmp_path, service, urls)
    assert service.asked() == [[urls[102]], [urls[100], urls[101]]]


def test_a_request_is_for_no_more_files_than_the_archive_takes(
    tmp_path: Path, service: ScriptedRecall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recalling, "MOST_FILES", 2)
    on_tape(tmp_path, service, {number: url(number) for number in range(100, 105)})
    assert [len(urls) for urls in service.asked()] == [2, 2, 1]


def test_a_job_goes_on_when_its_file_is_online_and_not_when_the_request_says_so(
    tmp_path: Path, service: ScriptedRecall
) -> None:
    world = on_tape(tmp_path, service, {100: url(100), 101: url(101)})
    service.say(RecallState.ONLINE, url(100))
    service.come(url(101))
    world.tick(2, later_s=MINUTE_S)
    assert world.states() == {name(100): JobState.RECALLING, name(101): JobState.SUBMITTED}


def test_a_file_is_released_by_the_request_it_came_with_when_its_job_has_ended(
    tmp_path: Path, service: ScriptedRecall
) -> None:
    world = on_tape(tmp_path, service, {100: url(100), 101: url(101)})
    service.come(url(100), url(101))
    world.tick(2, later_s=MINUTE_S)
    world.backend.run(name(100))
    world.backend.succeed(name(100))
    world.tick()
    assert service.released == [("request-0", url(100))], "at once"


def ends(world: World, number: int) -> None:
    world.backend.run(name(number))
    world.backend.succeed(name(number))
    world.tick(2, later_s=MINUTE_S)


def test_no_more_is_asked_for_than_the_window_holds_and_it_rolls_on_as_jobs_end(
    tmp_path: Path, service: ScriptedRecall
) -> None:
    urls = {number: url(number) for number in range(100, 104)}
    world = on_tape(tmp_path, service, urls, with_window(75), 36 * 10**9)
    assert service.asked() == [[url(100)], [url(101)]], "no request is for much of it"
    service.come(url(100), url(101))
    world.tick(3, later_s=MINUTE_S)
    assert len(service.requests) == 2, "what is on disk still takes its space"
    ends(world, 101)
    assert service.asked() == [[url(100)], [url(101)], [url(102)]]


def test_a_file_whose_size_nobody_tells_counts_as_a_large_one(tmp_path: Path, service: ScriptedRecall) -> None:
    on_tape(tmp_path, service, {number: url(number) for number in range(100, 104)}, with_window(85))
    assert service.asked() == [[url(100)], [url(101)]]


def test_a_production_that_comes_later_gets_its_share_of_the_window(tmp_path: Path, service: ScriptedRecall) -> None:
    urls = {number: url(number) for number in range(100, 110)}
    world = on_tape(tmp_path, service, urls, with_window(4 * 36), 36 * 10**9)
    others = [replace(subband(number, url=url(number)), size_bytes=36 * 10**9) for number in range(200, 210)]
    world.enter(recipe(others, {"other": FIRST}, production="other"))
    service.come(*(url(number) for number in range(100, 104)))
    world.tick(2, later_s=MINUTE_S)
    for number in range(100, 103):
        ends(world, number)
    asked = [one for part in service.asked()[4:] for one in part]
    assert asked == [url(200), url(201), url(104)], "until both have the same"


def test_jobs_for_which_the_window_has_no_room_keep_no_other_production_waiting(
    tmp_path: Path, service: ScriptedRecall
) -> None:
    sites = {**with_window(36), "here": Site("here", slots=2, guarded=False, prefixes=("davs://here.example/",))}
    sites = {name: replace(site, slots=2) for name, site in sites.items()}
    world = on_tape(tmp_path, service, {number: url(number) for number in range(100, 150)}, sites, 36 * 10**9)
    world.enter(recipe([subband(200, url="davs://here.example/SB200.MS")], {"other": FIRST}, production="other"))
    world.tick(3, later_s=MINUTE_S)
    (other,) = (job for one in world.tracker.productions() for job in world.tracker.jobs(one.id) if job.step == "other")
    assert other.state is JobState.SUBMITTED


def test_a_request_that_is_released_whole_is_when_its_last_reader_has_ended(
    tmp_path: Path, service: ScriptedRecall
) -> None:
    service.how = Pinning(Release.REQUEST)
    world = on_tape(tmp_path, service, {100: url(100), 101: url(101)})
    world.enter(recipe([subband(100, url=url(100))], {"other": FIRST}, production="other"))
    world.tick(2, later_s=MINUTE_S)
    assert service.asked() == [[url(100)], [url(101)]], "each job has its own"
    service.come(url(100), url(101))
    world.tick(2, later_s=MINUTE_S)
    ends(world, 100)
    assert service.released == []
    world.backend.run(name(100, "other"))
    world.backend.succeed(name(100, "other"))
    world.tick(2)
    assert service.released == [("request-0", url(100))]


def test_where_nothing_can_be_released_a_file_takes_its_space_until_its_time_is_over(
    tmp_path: Path, service: ScriptedRecall
) -> None:
    service.how = Pinning(Release.NEVER, lifetime_s=7 * 86400.0)
    world = on_tape(tmp_path, service, {100: url(100), 101: url(101)}, with_window(36), 36 * 10**9)
    service.come(url(100))
    world.tick(2, later_s=MINUTE_S)
    ends(world, 100)
    assert (service.asked(), service.released) == ([[url(100)]], [])
    world.tick(2, later_s=7 * 86400.0)
    assert (service.asked(), service.released) == ([[url(100)], [url(101)]], [])


def test_what_a_request_has_brought_and_is_not_there_is_asked_for_once_more_and_let_go(
    tmp_path: Path, service: ScriptedRecall
) -> None:
    world = on_tape(tmp_path, service, {100: url(100)})
    service.say(RecallState.ONLINE, url(100))
    world.tick(later_s=recalling.COMING_S - 3 * MINUTE_S)
    assert len(service.requests) == 1, "it may be on its way"
    world.tick(later_s=4 * MINUTE_S)
    assert service.asked() == [[url(100)]] * 2
    assert service.released == [("request-0", url(100))]


def test_what_may_have_been_asked_for_takes_its_space_and_is_asked_for_again(
    tmp_path: Path, service: ScriptedRecall
) -> None:
    service.loses_answers = True
    urls = {number: url(number) for number in range(100, 103)}
    world = on_tape(tmp_path, service, urls, with_window(40), 36 * 10**9)
    assert service.asked() == [[url(100)]]
    service.loses_answers = False
    world.tick(later_s=MINUTE_S)
    assert service.asked() == [[url(100)]] * 2
    service.come(url(100))
    world.tick(2, later_s=MINUTE_S)
    ends(world, 100)
    assert service.released == [("request-1", url(100))]
    assert len(service.requests) == 2, "the first request may keep it on disk"
    world.tick(2, later_s=service.how.lifetime_s)
    assert service.asked()[2:] == [[url(101)]]


def test_what_a_forgotten_request_brought_takes_its_space_until_its_time_is_over(
    tmp_path: Path, service: ScriptedRecall
) -> None:
    world = on_tape(tmp_path, service, {100: url(100), 101: url(101)}, with_window(40), 36 * 10**9)
    service.come(url(100))
    world.tick(2, later_s=MINUTE_S)
    del service.requests["request-0"]
    ends(world, 100)
    assert service.asked() == []
    world.tick(2, later_s=service.how.lifetime_s)
    assert service.asked() == [[url(101)]]


def test_a_job_reads_by_the_way_that_the_request_opened_until_it_has_ended(
    tmp_path: Path, service: ScriptedRecall
) -> None:
    service.how = Pinning(Release.REQUEST, opens=True)
    service.where[url(100)] = Locality.ONLINE
    service.opening[url(100)] = Way("https://door.example/SB100", "secret")
    world = on_tape(tmp_path, service, {100: url(100)})
    assert service.asked() == [[url(100)]], "what is there is not yet open to us"
    world.tick(2, later_s=MINUTE_S)
    (spec,) = world.backend.specs.values()
    (one,) = spec.inputs
    assert (one.url, Path(one.token).read_text()) == ("https://door.example/SB100", "secret")
    ends(world, 100)
    assert not Path(one.token).exists()


def test_what_a_request_does_not_open_is_read_with_ones_own_proxy(tmp_path: Path, service: ScriptedRecall) -> None:
    service.how = Pinning(Release.REQUEST, opens=True)
    world = on_tape(tmp_path, service, {100: url(100)})
    service.come(url(100))
    world.tick(2, later_s=MINUTE_S)
    (spec,) = world.backend.specs.values()
    assert [(one.url, one.token) for one in spec.inputs] == [(url(100), "")]


def test_a_file_that_is_not_opened_because_nobody_answers_is_waited_for(
    tmp_path: Path, service: ScriptedRecall
) -> None:
    service.how = Pinning(Release.REQUEST, opens=True)
    world = on_tape(tmp_path, service, {100: url(100)})
    service.come(url(100))
    service.down = "JUELICH"
    world.tick(2, later_s=MINUTE_S)
    assert world.states() == {name(100): JobState.RECALLING}
    service.down = ""
    world.tick(2, later_s=MINUTE_S)
    assert world.states() == {name(100): JobState.SUBMITTED}
    assert len(service.requests) == 1


def test_what_a_service_has_forgotten_is_asked_for_again(tmp_path: Path, service: ScriptedRecall) -> None:
    world = on_tape(tmp_path, service, {100: url(100), 101: url(101)})
    service.come(url(100))
    service.forget()
    world.tick(later_s=MINUTE_S)
    assert service.asked() == [[], [url(101)]]
    service.come(url(101))
    world.tick(2, later_s=MINUTE_S)
    for number in (100, 101):
        ends(world, number)
    assert world.tracker.recalls()[1:] == [], "it did not come by the forgotten one"


def test_a_file_that_failed_is_asked_for_again_and_in_the_end_given_up(tmp_path: Path, service: ScriptedRecall) -> None:
    world = on_tape(tmp_path, service, {100: url(100)})
    for _ in range(recalling.TRIES):
        service.say(RecallState.FAILED, url(100), "tape jammed")
        world.tick(later_s=MINUTE_S)
    assert service.asked() == [[url(100)]] * recalling.TRIES
    job = world.job(name(100))
    assert (job.state, job.reason) == (JobState.FAILED, Reason.INPUT_UNREADABLE)


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        (Locality.ABSENT, Reason.INPUT_MISSING),
        (Locality.LOST, Reason.INPUT_UNREADABLE),
        (Locality.REFUSED, Reason.CREDENTIAL_REFUSED),
    ],
)
def test_a_file_that_is_gone_is_not_asked_for(
    tmp_path: Path, service: ScriptedRecall, where: Locality, reason: Reason
) -> None:
    service.where[url(100)] = where
    world = on_tape(tmp_path, service, {100: url(100)})
    assert service.requests == {}
    job = world.job(name(100))
    assert (job.state, job.reason) == (JobState.FAILED, reason)


def test_a_request_that_hangs_is_made_once_more_after_a_while(tmp_path: Path, service: ScriptedRecall) -> None:
    world = on_tape(tmp_path, service, {100: url(100)})
    world.tick(later_s=recalling.PATIENCE_S - 2 * MINUTE_S)
    assert len(service.requests) == 1
    world.tick(later_s=3 * MINUTE_S)
    assert len(service.requests) == 2
    assert service.released == [], "it keeps its place in the archive's queue"
    service.come(url(100))
    world.tick(2, later_s=MINUTE_S)
    ends(world, 100)
    assert service.released == [("request-1", url(100))]
    assert len(world.tracker.recalls()) == 1, "the first request may hold it still"


def test_what_came_long_ago_and_is_still_to_be_read_is_asked_for_once_more(
    tmp_path: Path, service: ScriptedRecall
) -> None:
    world = on_tape(tmp_path, service, {100: url(100)})
    service.come(url(100))
    world.tick(2, later_s=MINUTE_S)
    world.tick(later_s=service.how.lifetime_s - recalling.EXTEND_S + MINUTE_S)
    assert service.asked() == [[url(100)]] * 2
    assert service.released == [("request-0", url(100))]
    world.tick(later_s=MINUTE_S)
    assert len(service.requests) == 2
    world.backend.run(name(100))
    world.backend.succeed(name(100))
    world.tick(3, later_s=MINUTE_S)
    assert service.released == [("request-0", url(100)), ("request-1", url(100))]


def test_the_service_of_one_site_does_not_keep_back_another(tmp_path: Path, service: ScriptedRecall) -> None:
    service.down = "SURF"
    world = on_tape(tmp_path, service, {100: url(100), 102: url(102, "JUELICH")})
    assert service.asked() == [[url(102, "JUELICH")]]
    service.come(url(102, "JUELICH"))
    for later_s in (MINUTE_S, 1.0):
        assert world.tick(later_s=later_s).troubles == ("SURF does not answer",), "it is told between looks, too"
    assert world.states() == {name(100): JobState.RECALLING, name(102): JobState.SUBMITTED}
    service.down = ""
    assert world.tick(later_s=MINUTE_S).troubles == ()
    assert service.asked() == [[url(102, "JUELICH")], [url(100)]]


def test_what_is_read_is_let_go_although_another_site_does_not_answer(tmp_path: Path, service: ScriptedRecall) -> None:
    world = on_tape(tmp_path, service, {100: url(100), 102: url(102, "JUELICH")})
    service.down = "SURF"
    service.come(url(102, "JUELICH"))
    world.tick(2, later_s=MINUTE_S)
    ends(world, 102)
    assert service.released == [("request-0", url(102, "JUELICH"))]


def test_a_job_that_is_tried_again_reads_with_a_new_token(tmp_path: Path, service: ScriptedRecall) -> None:
    service.how = Pinning(Release.REQUEST, opens=True)
    service.opening[url(100)] = Way("https://door.example/SB100", "old")
    world = on_tape(tmp_path, service, {100: url(100)})
    service.come(url(100))
    world.tick(2, later_s=MINUTE_S)
    world.backend.run(name(100))
    world.backend.fail(name(100), Reason.CREDENTIAL_EXPIRED)
    service.opening[url(100)] = Way("https://door.example/SB100", "new")
    world.tick()
    world.tick(4, later_s=2 * 3600.0)
    assert len(world.backend.specs) == 2
    (one,) = world.backend.spec(name(100)).inputs
    assert Path(one.token).read_text() == "new"


def test_a_file_is_kept_until_the_last_job_that_reads_it_has_ended(tmp_path: Path, service: ScriptedRecall) -> None:
    world = on_tape(tmp_path, service, {100: url(100)})
    world.enter(recipe([subband(100, url=url(100))], {"other": FIRST}, production="other"))
    world.tick(2, later_s=MINUTE_S)
    service.come(url(100))
    world.tick(2, later_s=MINUTE_S)
    assert service.asked() == [[url(100)]], "it is asked for once"
    for step, released in (("first", []), ("other", [("request-0", url(100))])):
        world.backend.run(name(100, step))
        world.backend.succeed(name(100, step))
        world.tick(2)
        assert service.released == released
