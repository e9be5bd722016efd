"""The tapes of all sites as one: each file is asked for at the service of the site that holds it."""

from collections.abc import Callable, Mapping, Sequence

from lofargrid.storage.base import Locality, Pinning, Recall, Recalled, Way


class Tapes:
    """Gives each call to the service of the site that it is about. See `Recall` for what calls guarantee.

    Parameters
    ----------
    services
        The service of each site whose tapes can be asked for.
    site_of
        Tells which site holds a file.
    """

    def __init__(self, services: Mapping[str, Recall], site_of: Callable[[str], str]) -> None:
        self._services = services
        self._site_of = site_of

    def pinning(self, url: str) -> Pinning:
        """See `Recall.pinning`."""
        return self._services[self._site_of(url)].pinning(url)

    def locality(self, urls: Sequence[str]) -> Mapping[str, Locality]:
        """See `Recall.locality`. What lies at a site without a service is taken to be online."""
        found = dict.fromkeys(urls, Locality.ONLINE)
        for site, service in self._services.items():
            given = [url for url in urls if self._site_of(url) == site]
            if given:
                found |= service.locality(given)
        return found

    def request(self, urls: Sequence[str]) -> str:
        """See `Recall.request`. The name begins with that of the site."""
        site = self._site_of(urls[0])
        return f"{site} {self._services[site].request(urls)}"

    def poll(self, request: str, urls: Sequence[str]) -> Mapping[str, Recalled]:
        """See `Recall.poll`."""
        service, name = self._of(request)
        return service.poll(name, urls) if service else {}

    def ways(self, request: str, urls: Sequence[str]) -> Mapping[str, Way]:
        """See `Recall.ways`."""
        service, name = self._of(request)
        return service.ways(name, urls) if service else {}

    def release(self, request: str, urls: Sequence[str]) -> bool:
        """See `Recall.release`."""
        service, name = self._of(request)
        return bool(service and service.release(name, urls))

    def _of(self, request: str) -> tuple[Recall | None, str]:
        """The service of a request; none where its site has none any more."""
        site, _, name = request.partition(" ")
        return self._services.get(site), name
