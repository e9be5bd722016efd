"""What drivers of tape services have in common: calls that answer, or fail in a way that may be asked again."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from urllib.parse import quote

import httpx

from lofargrid.errors import BackendError, InputError, UncertainError
from lofargrid.names import path_of
from lofargrid.storage.base import Locality

LOCALITIES = {
    "ONLINE": Locality.ONLINE,
    "ONLINE_AND_NEARLINE": Locality.ONLINE,
    "NEARLINE": Locality.NEARLINE,
    "UNAVAILABLE": Locality.NEARLINE,  # its disk is away for now
    "LOST": Locality.LOST,
    "NONE": Locality.LOST,
}
"""The words of SRM and dCache for where a file is."""


class MisfitError(Exception):
    """An answer that does not help. ``refused`` tells that nothing was done."""

    def __init__(self, what: str, refused: bool = False) -> None:
        super().__init__(what)
        self.refused = refused


class Service:
    """A web service that is asked about files.

    Parameters
    ----------
    called
        How messages name it.
    opened
        Gives a client that speaks to the service, with what the user is known by now; its base URL is that of the API.
    """

    def __init__(self, called: str, opened: Callable[[], httpx.Client]) -> None:
        self._called = called
        self._opened = opened

    def answer(
        self, method: str, place: str, content: object = None, passed_over: Collection[int] = (),
        asked: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:  # fmt: skip
        """Make a call.

        Parameters
        ----------
        method, place, content, asked, headers
            What is asked for: the place below the base URL, the content as JSON or, if it is a text, as it is, the
            query.
        passed_over
            Status codes that are an answer too.

        Raises
        ------
        MisfitError
            It answers that it will not.
        """
        with self._opened() as client:
            given = {"content": content} if isinstance(content, str) else {"json": content}
            answer = client.request(method, place, params=asked, headers=headers, **given)
        if not answer.is_success and answer.status_code not in passed_over:
            refused = answer.is_client_error or answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
            raise MisfitError(f"HTTP {answer.status_code} {answer.reason_phrase}{_said(answer)}", refused)
        return answer

    @contextmanager
    def asking(self, what: str) -> Iterator[None]:
        """Let what goes wrong inside be one that may be asked again.

        Raises
        ------
        UncertainError
            Something went wrong after the call was made.
        BackendError
            Something went wrong before, or nothing was done.
        """
        before = False
        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout, OSError, InputError) as error:
            why, before = str(error) or type(error).__name__, True
        except (httpx.HTTPError, MisfitError) as error:
            why, before = str(error) or type(error).__name__, isinstance(error, MisfitError) and error.refused
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            why = f"it gives an answer that is none ({type(error).__name__})"
        else:
            return
        kind = BackendError if before else UncertainError
        raise kind(f"asked {self._called} {what}: {why}")


def plain(request: str) -> str:
    """A request's name as a part of a URL: the service gave it, which is no reason to trust it."""
    return quote(request, safe="")


def plain_path(url: str) -> str:
    """The path of a file as services know it: with one slash before it, however a URL writes it."""
    return "/" + path_of(url).lstrip("/")


def parts(urls: Sequence[str], most: int) -> Iterator[Sequence[str]]:
    """Divide files among calls, each for so many at most."""
    for first in range(0, len(urls), most):
        yield urls[first : first + most]


def trouble_of(error: str) -> Locality:
    """What a service's words on a file mean that it does not tell the place of."""
    words = error.lower()
    return Locality.ABSENT if "no such file" in words or "not found" in words else Locality.REFUSED


def _said(answer: httpx.Response) -> str:
    """What an answer says is wrong: servers have several ways to."""
    try:
        told = answer.json()
        text = told.get("detail") or told["errors"][0]["message"]
    except (ValueError, LookupError, TypeError, AttributeError):
        return ""
    return f": {' '.join(str(text).split())[:200]}"
