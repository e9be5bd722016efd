"""What drivers of tape services have in common: calls that answer, or fail in a way that may be asked again."""

import ssl
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import quote

import httpx

from lofargrid.errors import BackendError, InputError
from lofargrid.names import path_of
from lofargrid.storage.base import Locality


class MisfitError(Exception):
    """An answer that does not help."""


class Service:
    """A web service that is asked about the files of a site.

    Parameters
    ----------
    site
        Whose tapes these are.
    opened
        Gives a client that speaks to the service, with what the user is known by now; its base URL is that of the API.
    """

    def __init__(self, site: str, opened: Callable[[], httpx.Client]) -> None:
        self._site = site
        self._opened = opened

    def answer(
        self, method: str, place: str, content: object = None, passed_over: Collection[int] = (),
        asked: Mapping[str, str] | None = None,
    ) -> httpx.Response:  # fmt: skip
        """Make a call.

        Parameters
        ----------
        method, place, content, asked
            What is asked for: the place below the base URL, the content as JSON, the query.
        passed_over
            Status codes that are an answer too.

        Raises
        ------
        MisfitError
            It answers that it will not.
        """
        with self._opened() as client:
            answer = client.request(method, place, json=content, params=asked)
        if not answer.is_success and answer.status_code not in passed_over:
            raise MisfitError(f"HTTP {answer.status_code} {answer.reason_phrase}{_said(answer)}")
        return answer

    @contextmanager
    def asking(self, what: str) -> Iterator[None]:
        """Let what goes wrong inside be one that may be asked again.

        Raises
        ------
        BackendError
            Something went wrong.
        """
        try:
            yield
        except (httpx.HTTPError, OSError, ssl.SSLError, InputError, MisfitError) as error:
            why = str(error) or type(error).__name__
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            why = f"it gives an answer that is none ({type(error).__name__})"
        else:
            return
        raise BackendError(f"asked the tape service of {self._site} {what}: {why}")


def plain(request: str) -> str:
    """A request's name as a part of a URL: the service gave it, which is no reason to trust it."""
    return quote(request, safe="")


def plain_path(url: str) -> str:
    """The path of a file as services know it: with one slash before it, however a URL writes it."""
    return "/" + path_of(url).lstrip("/")


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
