"""A publisher of weights on this machine, which also speaks as the Hugging Face hub does."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Publisher(ThreadingHTTPServer):
    """Serves `files`.

    Attributes:
        files: content by path.
        requests: what was asked for, as "GET /path".
        sent: share of the content that is sent before the line goes dead.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.sent = 1.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def n_fetched(self) -> int:
        return sum(request.startswith("GET") for request in self.requests)


class _Handler(BaseHTTPRequestHandler):
    server: Publisher

    def do_HEAD(self) -> None:
        self._answer(with_content=False)

    def do_GET(self) -> None:
        self._answer(with_content=True)

    def _answer(self, with_content: bool) -> None:
        self.server.requests.append(f"{self.command} {self.path}")
        content = self.server.files.get(self.path)
        self.send_response(404 if content is None else 200)
        if content is None:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(content or b"").hexdigest()}"')
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        if with_content and content is not None:
            self.wfile.write(content[: int(len(content) * self.server.sent)])

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on stderr."""


@contextmanager
def publisher() -> Iterator[Publisher]:
    """A publisher for as long as the block lasts."""
    server = Publisher()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
