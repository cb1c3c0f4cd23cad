"""A bucket in this process, whose requests may fail."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from stallscan.video import remote

BUCKET = "lab"

Start = Callable[..., Any]


class Flaky:
    """A WSGI application that answers a share of the requests badly: 503, 500, or half the body.

    Attributes:
        share: of GET and HEAD requests.
        n_failed: how many were.
        forbidden: beginnings of paths that may not be read.
    """

    def __init__(self, app: Callable[[dict[str, Any], Start], Iterable[bytes]]) -> None:
        self._app = app
        self._rng = np.random.default_rng(0)
        self._lock = threading.Lock()
        self.share = 0.0
        self.n_failed = 0
        self.n_requests = 0
        self.forbidden: tuple[str, ...] = ()

    def __call__(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return self._app(environ, start)
        if self.forbidden and environ["PATH_INFO"].startswith(self.forbidden):
            start("403 Forbidden", [("Content-Type", "application/xml")])
            return [_error("AccessDenied", "Access Denied")]
        with self._lock:
            self.n_requests += 1
            is_bad = self._rng.random() < self.share
            kind = int(self._rng.integers(3))
            self.n_failed += is_bad
        if not is_bad:
            return self._app(environ, start)
        if kind == 0:
            start("503 Slow Down", [("Content-Type", "application/xml")])
            return [_error("SlowDown", "Please reduce your request rate.")]
        if kind == 1:
            start("500 Internal Server Error", [("Content-Type", "application/xml")])
            return [_error("InternalError", "We encountered an internal error.")]
        body = b"".join(self._app(environ, start))  # its length is announced; half of it is sent
        return [body[: len(body) // 2]]


def _error(code: str, message: str) -> bytes:
    return (
        f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'
    ).encode()


@contextmanager
def s3_server(patch: pytest.MonkeyPatch) -> Iterator[Flaky]:
    """moto's S3 on a free port, with the empty bucket `BUCKET`; the environment leads there."""
    flaky = Flaky(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, flaky, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    environment = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    for name, value in environment.items():
        patch.setenv(name, value)
    remote._open_filesystem.cache_clear()  # one that an earlier server's environment made
    _bucket().mkdir(BUCKET)
    try:
        yield flaky
    finally:
        flaky.share, flaky.forbidden = 0.0, ()
        _bucket().rm(BUCKET, recursive=True)
        server.shutdown()
        thread.join()


def put(path: Path, key: str, **options: str) -> str:
    """Upload a file; its URL."""
    _bucket().put_file(str(path), f"{BUCKET}/{key}", **options)
    return f"s3://{BUCKET}/{key}"


def put_bytes(content: bytes, key: str) -> str:
    """Upload bytes; their URL."""
    _bucket().pipe_file(f"{BUCKET}/{key}", content)
    return f"s3://{BUCKET}/{key}"


def _bucket() -> Any:
    return _bucket_at(os.environ["AWS_ENDPOINT_URL"])


@lru_cache(maxsize=1)
def _bucket_at(endpoint: str) -> Any:
    from s3fs import S3FileSystem

    return S3FileSystem(skip_instance_cache=True, use_listings_cache=False)
