"""Objects in a bucket: listed, and fetched one at a time, for as long as each is looked at.

fsspec and s3fs do the work, so their settings and those of AWS count: credentials from the
environment, ~/.aws, a role; AWS_ENDPOINT_URL for other stores that speak S3.
"""

from __future__ import annotations

import errno
import importlib.util
import logging
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar

from stallscan.errors import FetchError, OptionError, StallscanError
from stallscan.types import Location

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem
    from s3fs import S3FileSystem

log = logging.getLogger(__name__)

Result = TypeVar("Result")

SCHEME = "s3://"
WAITS_S = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Before each further attempt; up to as much again at random, so that workers do not meet."""
ANONYMOUS = "FSSPEC_S3_ANON"
"""fsspec's variable: requests are not signed. Worker processes inherit it."""


def is_url(place: str | PathLike[str]) -> bool:
    """Whether a place is a URL rather than a path."""
    return isinstance(place, str) and "://" in place


def parse_location(text: str) -> Location:
    """A path, or the URL of an object or prefix without a closing slash.

    Raises:
        OptionError: a URL that is none of S3's.
    """
    scheme, mark, rest = text.partition("://")
    if not mark:
        return Path(text)
    if scheme == "file":
        return Path(rest)
    name = rest.rstrip("/").rpartition("/")[2]
    if f"{scheme}://" != SCHEME or name in ("", ".", ".."):
        raise OptionError(
            f"{text}: is not a place that can be read, allowed are paths and s3://BUCKET/PREFIX; "
            "copy it to one of them"
        )
    return text.rstrip("/")


def refuse_url(option: str, path: Path) -> None:
    """For outputs that can only lie on disk.

    Raises:
        OptionError: it is a URL, whose slashes a path has lost.
    """
    if path.parts and path.parts[0].endswith(":") and len(path.parts[0]) > 2:
        raise OptionError(
            f"{option} is {path}, allowed is a path on disk; write it there, then copy it"
        )


def base_name(place: Location) -> str:
    """The last part of a path or URL, by which rows are named."""
    return place.name if isinstance(place, Path) else place.rpartition("/")[2]


def be_anonymous() -> None:
    """Sign no request from now on, here and in processes that are started."""
    os.environ[ANONYMOUS] = "true"


def require_s3fs() -> None:
    """Before a long run: that it will be able to fetch.

    Raises:
        OptionError: s3fs is not installed.
    """
    if importlib.util.find_spec("s3fs") is None:
        raise OptionError(
            "reading from S3 needs s3fs; install it with `pip install 'stallscan[s3]'`"
        )


@contextmanager
def on_disk(place: Location) -> Iterator[Path]:
    """The file itself, or a copy of an object that is removed at the end.

    Raises:
        FetchError: there is no such object, it may not be read, or could not be fetched.
    """
    if isinstance(place, Path):
        yield place
        return
    with TemporaryDirectory(prefix="stallscan-", ignore_cleanup_errors=True) as folder:
        path = Path(folder) / base_name(place)
        patiently(place, lambda: _filesystem().get_file(place, str(path)))
        try:
            yield path
        except StallscanError as error:
            error.args = (str(error).replace(str(path), place), *error.args[1:])
            raise


def list_prefix(url: str) -> tuple[list[str], list[str]]:
    """URLs of the objects directly under a prefix, and of the prefixes there, each sorted.

    Page by page, of which half a million objects have hundreds: each is asked for patiently, and
    nothing but the names is kept.

    Raises:
        FetchError: nothing is there, it may not be listed, or could not be.
    """
    bucket, _, key = url.removeprefix(SCHEME).partition("/")
    asked = {"Bucket": bucket, "Prefix": f"{key}/" if key else "", "Delimiter": "/"}
    objects: list[str] = []
    prefixes: list[str] = []
    while True:
        page = patiently(url, lambda: _filesystem().call_s3("list_objects_v2", **asked))
        objects += [entry["Key"] for entry in page.get("Contents", ())]
        prefixes += [entry["Prefix"].rstrip("/") for entry in page.get("CommonPrefixes", ())]
        if not page.get("IsTruncated"):
            break
        asked["ContinuationToken"] = page["NextContinuationToken"]
    if not objects and not prefixes:
        raise FetchError(f"{url}: there is nothing under this prefix; check the name")
    # A key that ends in a slash is a folder as consoles make them.
    names = (
        sorted(name for name in found if not name.endswith("/")) for found in (objects, prefixes)
    )
    here, below = ([f"{SCHEME}{bucket}/{name}" for name in found] for found in names)
    return here, below


def open_folder(place: Location) -> tuple[AbstractFileSystem, str]:
    """A folder or prefix to write into: its file system, and what it is called there."""
    if isinstance(place, str):
        return _filesystem(), place.removeprefix(SCHEME)
    from fsspec.implementations.local import LocalFileSystem

    return LocalFileSystem(), str(place.absolute())


def patiently(url: str, ask: Callable[[], Result]) -> Result:
    """Ask again where the network or the store may be better in a moment.

    Raises:
        FetchError: it is not there, may not be read, or is not better after many attempts.
    """
    for wait_s in (*WAITS_S, None):
        try:
            return ask()
        except FileNotFoundError as error:
            raise FetchError(
                f"{url}: there is no such object or bucket; check the name, or the url in the table"
            ) from error
        except PermissionError as error:
            raise FetchError(
                f"{url}: may not be read ({_words(error)}); check the credentials (environment, "
                "~/.aws or role), or pass --anonymous for a public bucket"
            ) from error
        except _passing() as error:
            if _is_wrong(error):
                raise FetchError(f"{url}: {_words(error)[:200]}; check the name") from error
            if wait_s is None:
                raise FetchError(
                    f"{url}: no whole answer in {len(WAITS_S) + 1} attempts "
                    f"({_words(error)}); check the network, then run it again"
                ) from error
            log.info("%s: %s; once more in a moment", url, _words(error))
            time.sleep(wait_s * (1 + random.random()))
    raise AssertionError("the last wait is None")


def _passing() -> tuple[type[Exception], ...]:
    """Errors of networks and stores. Any other is a defect, which shows as what it is."""
    from aiohttp import ClientError
    from botocore.exceptions import BotoCoreError
    from botocore.exceptions import ClientError as Refusal

    return OSError, ClientError, BotoCoreError, Refusal


def _is_wrong(error: Exception) -> bool:
    """Whether a name is none, as S3 or botocore say."""
    from botocore.exceptions import ParamValidationError

    is_refused = isinstance(error, OSError) and error.errno == errno.EINVAL
    return is_refused or isinstance(error, ParamValidationError)


def _words(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _filesystem() -> S3FileSystem:
    require_s3fs()
    return _open_filesystem(os.environ.get(ANONYMOUS, ""), os.getpid())


@lru_cache(maxsize=2)
def _open_filesystem(anonymous: str, pid: int) -> S3FileSystem:
    """One of each process: connections do not outlive a fork."""
    from s3fs import S3FileSystem

    is_signed = anonymous.lower() not in ("1", "true") and _has_credentials()
    settings: dict[str, Any] = {
        "config_kwargs": {
            "retries": {"mode": "standard", "max_attempts": 1},  # `patiently` asks again
            "connect_timeout": 10,
            "read_timeout": 60,
        },
        "use_listings_cache": False,
        "skip_instance_cache": True,
    }
    filesystem = S3FileSystem(anon=not is_signed, **settings)
    filesystem.retries = 1
    return filesystem


def _has_credentials() -> bool:
    """Whether AWS's chain ends anywhere: without, only public buckets can be read, unsigned."""
    from botocore.session import get_session

    found = get_session().get_credentials() is not None
    if not found:
        log.info("no AWS credentials were found; requests are not signed")
    return found
