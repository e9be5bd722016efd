"""Pure: which files are asked for from the tapes of a site next, so that never more than a window lies on its disks."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Wish:
    """The files that a job waits for and that are not asked for, by URL with their bytes."""

    production_id: int
    files: Mapping[str, int]
    priority: int = 0


@dataclass(frozen=True)
class Held:
    """A file that lies on the disks for us, or is on its way there, and whose jobs read it."""

    url: str
    size_bytes: int
    production_ids: tuple[int, ...]


def admit(wishes: Sequence[Wish], held: Iterable[Held], most_bytes: float, most_files: int) -> list[Wish]:
    """Choose the wishes that fit into the window beside what is held.

    A higher priority goes first, among equals the production that holds the fewest bytes; a wish that does not fit
    is waited for, so that small ones do not starve it. One that no window would hold is alone in it.

    Returns
    -------
    wishes
        In the order in which they are asked for. A file that several wish for stands in the first of them only.
    """
    files: dict[str, int] = {}
    by_production: dict[int, int] = {}
    for one in held:
        files[one.url] = one.size_bytes
        for production_id in one.production_ids:
            by_production[production_id] = by_production.get(production_id, 0) + one.size_bytes
    queues: dict[int, list[Wish]] = {}
    for wish in wishes:
        queues.setdefault(wish.production_id, []).append(wish)
    used = sum(files.values())
    admitted: list[Wish] = []
    while queues:
        production_id = min(queues, key=lambda one: (-queues[one][0].priority, by_production.get(one, 0), one))
        wish = queues[production_id].pop(0)
        if not queues[production_id]:
            del queues[production_id]
        new = {url: size for url, size in wish.files.items() if url not in files}
        size = sum(new.values())
        if files and (used + size > most_bytes or len(files) + len(new) > most_files):
            break
        files |= new
        used += size
        by_production[production_id] = by_production.get(production_id, 0) + sum(wish.files.values())
        if new:
            admitted.append(Wish(production_id, new, wish.priority))
    return admitted


def requests(wishes: Iterable[Wish], most_bytes: float, most_files: int, alone: bool) -> list[dict[str, int]]:
    """Divide what was admitted into requests that are not too large.

    Parameters
    ----------
    wishes
        What was admitted, in order.
    most_bytes, most_files
        What one request may ask for.
    alone
        Whether each wish is a request of its own: where only whole requests are released.
    """
    made: list[dict[str, int]] = []
    for wish in wishes:
        fresh = alone
        for url, size in wish.files.items():
            if fresh or not made or len(made[-1]) >= most_files or sum(made[-1].values()) + size > most_bytes:
                made.append({})
                fresh = False
            made[-1][url] = size
    return [one for one in made if one]
