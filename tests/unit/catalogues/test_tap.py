"""A catalogue behind the Table Access Protocol, as pyvo speaks it; and which catalogue a place is."""

from __future__ import annotations

import http.server
import io
import ssl
import threading
import uuid
from collections.abc import Iterator
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from astropy.io.votable import from_table
from astropy.table import Table

from lofargrid.catalogues import opening
from lofargrid.catalogues.base import Entry
from lofargrid.catalogues.export import Export
from lofargrid.catalogues.opening import open_catalogue
from lofargrid.catalogues.tap import Tap
from lofargrid.errors import BackendError, InputError
from tests.grid.authority import Authority

URL = "srm://host/a/L654321_SAP000_SB000_uv.MS_1a2b3c4d.tar"
ERROR = """<VOTABLE version="1.3" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE type="results">
<INFO name="QUERY_STATUS" value="ERROR">no column proposal_id</INFO></RESOURCE></VOTABLE>"""


class Service:
    """A TAP service that remembers the queries; without the columns that ObsCore leaves to it, if it is bare."""

    def __init__(self, authority: Authority) -> None:
        self.queries: list[str] = []
        self.bare = self.away = False
        holder = authority.server(f"tap-{uuid.uuid4()}.test")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(holder.certificate_file, holder.key_file)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)

    @property
    def place(self) -> str:
        return f"https://localhost:{self.server.server_address[1]}/tap"

    def answer(self, query: str) -> bytes:
        self.queries.append(query)
        if self.bare and "proposal_id" in query:
            return ERROR.encode()
        table = Table({"access_url": [URL], "access_estsize": [36_000_000]})
        if not self.bare:
            table["proposal_id"] = ["LC9_001"]
            table["obs_release_date"] = ["2027-03-01T00:00:00"]
        votable, content = from_table(table), io.BytesIO()
        votable.resources[0].type = "results"
        votable.to_xml(content)
        return content.getvalue()

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

            def do_POST(self) -> None:
                asked = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                content = b"" if service.away else service.answer(asked["QUERY"][0])
                self.send_response(503 if service.away else 200)
                self.send_header("Content-Type", "application/x-votable+xml")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        return Handler


@pytest.fixture
def service(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    one = Service(authority)
    (bundle,) = authority.certificates.glob("*.0")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    threading.Thread(target=one.server.serve_forever, daemon=True).start()
    yield one
    one.server.shutdown()
    one.server.server_close()


def test_an_observation_is_asked_for_under_both_its_names(service: Service) -> None:
    assert list(Tap(service.place).files("L654321")) == [
        Entry(URL, about_bytes=36 * 10**9, project="LC9_001", public_from="2027-03-01")
    ]
    (query,) = service.queries
    assert query.endswith("FROM ivoa.obscore WHERE obs_id IN ('L654321', '654321')")


def test_a_service_without_the_optional_columns_is_asked_for_the_others(service: Service) -> None:
    service.bare = True
    assert list(Tap(service.place).files("L654321")) == [Entry(URL, about_bytes=36 * 10**9)]
    assert len(service.queries) == 2


def test_one_that_does_not_answer_is_told_with_its_place(service: Service) -> None:
    service.away = True
    with pytest.raises(BackendError, match=f"asked {service.place} for L654321: .*503"):
        Tap(service.place).files("L654321")
    with pytest.raises(BackendError, match="asked https://localhost:1/tap for L654321: "):
        Tap("https://localhost:1/tap").files("L654321")


def test_the_place_tells_what_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert isinstance(open_catalogue("https://host/tap"), Tap)
    assert isinstance(open_catalogue(str(tmp_path / "a.csv")), Export)
    mine = EntryPoint("mine", "pathlib:Path", opening.GROUP)
    monkeypatch.setattr(opening, "entry_points", lambda group: EntryPoints([mine]).select(group=group))
    assert open_catalogue("mine:what it likes") == Path("what it likes")
    for place, told in (("", "no catalogue is named"), ("http://host/tap", "http://host/tap is no catalogue")):
        with pytest.raises(InputError, match=told):
            open_catalogue(place)
