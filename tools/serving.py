"""A built book on localhost: as it lies on disk, or gzipped as GitHub Pages sends it."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PACKED = ("text/", "application/javascript", "application/json", "application/xml", "image/svg+xml")


class Handler(SimpleHTTPRequestHandler):
    """Serves files, and the 404 page for what is not there."""

    protocol_version = "HTTP/1.1"  # a connection serves many requests, as on a real host
    disable_nagle_algorithm = True  # or each body waits 40 ms for an acknowledgement of its head

    def __init__(self, *arguments: Any, gzipped: bool, **options: Any) -> None:
        self.gzipped = gzipped
        super().__init__(*arguments, **options)

    def do_GET(self) -> None:
        """The whole file at once."""
        path = Path(self.translate_path(self.path))
        if path.is_dir():
            path /= "index.html"
        status = HTTPStatus.OK
        if not path.is_file():
            status, path = HTTPStatus.NOT_FOUND, Path(self.directory) / "404.html"
        body = path.read_bytes() if path.is_file() else b"nothing here"
        kind = self.guess_type(path)
        accepted = "gzip" in self.headers.get("Accept-Encoding", "")
        self.send_response(status)
        if self.gzipped and accepted and kind.startswith(PACKED):
            body = gzip.compress(body, 6)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "max-age=600")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing: a test that fails says which request was wrong."""


class Server(ThreadingHTTPServer):
    """Quiet about readers who leave before a page is whole."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing, as in `Handler.log_message`."""


def pages(folder: Path) -> list[str]:
    """The paths of a built book's own pages."""
    paths = [path.relative_to(folder) for path in folder.rglob("*.html")]
    return sorted(str(path) for path in paths if path.parts[0] not in ("_static", "_sources"))


@contextmanager
def serve(folder: Path, *, gzipped: bool) -> Iterator[str]:
    """The folder's address on localhost, while the block runs."""
    handler = partial(Handler, directory=str(folder), gzipped=gzipped)
    with Server(("localhost", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://localhost:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()
