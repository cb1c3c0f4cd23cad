"""Published weights on this machine: fetched once, checked every time."""

from __future__ import annotations

import hashlib
import logging
import re
import sys
from http.client import HTTPException
from pathlib import Path

import torch

from stallscan.errors import CheckpointError
from stallscan.models.published import Weights

_log = logging.getLogger(__name__)


def fetch(weights: Weights) -> tuple[Path, str | None]:
    """The file of weights, from its cache or its publisher.

    Files by URL lie in torch's cache (``torch.hub.get_dir()``), those of the Hugging Face hub in
    its own. Both clients write to a temporary file and rename it, so that two processes may do this
    at once. Progress goes to stderr if that is a terminal.

    Returns:
        The file, and the commit that it is of if it comes from the hub.

    Raises:
        CheckpointError: it cannot be fetched, or its checksum is wrong.
    """
    return _from_hub(weights) if weights.on_hub else (_from_url(weights), None)


def sha256_of(path: Path) -> str:
    """Checksum of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _from_url(weights: Weights) -> Path:
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    path = folder / weights.file
    prefix = weights.sha256_prefix
    remedy = f"fetch it elsewhere and give it with pretrained=PATH, or put it into {folder}"
    cached = ""
    try:
        if path.is_file():
            found = sha256_of(path)
            if found.startswith(prefix):
                return path
            cached = (
                f"; the file in the cache is damaged (its SHA-256 is {found}, needed is one that "
                f"begins with {prefix})"
            )
            _log.warning("%s: damaged (its SHA-256 is %s); fetching it anew", path, found)
        folder.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(
            weights.url, str(path), hash_prefix=prefix, progress=sys.stderr.isatty()
        )
    except RuntimeError as error:  # torch's word for a wrong checksum
        digits = re.search(r'got "([0-9a-f]+)"', str(error))
        raise CheckpointError(
            f"{weights.url}: what came has the SHA-256 {digits[1] if digits else error}, needed is "
            f"one that begins with {prefix}: it broke off, or something on the way answered "
            f"instead; try again, or {remedy}"
        ) from error
    except (OSError, HTTPException) as error:
        raise CheckpointError(
            f"{weights.url}: cannot be fetched ({_reason(error)}){cached}; {remedy}"
        ) from error
    return path


def _from_hub(weights: Weights) -> tuple[Path, str]:
    remedy = f"fetch {weights.url} elsewhere and give it with pretrained=PATH"
    try:
        from huggingface_hub import hf_hub_download
    except ModuleNotFoundError as error:
        raise CheckpointError(
            f"{weights.url_or_id}: fetching from the Hugging Face hub needs {error.name}; install "
            f"it with `pip install 'stallscan[train]'`, or {remedy}"
        ) from error
    try:
        path = Path(hf_hub_download(weights.url_or_id, weights.file))
    # The hub's client lets through its own errors, its HTTP library's and the system's.
    except Exception as error:
        raise CheckpointError(
            f"{weights.url_or_id}: {weights.file} cannot be fetched from the Hugging Face hub "
            f"({_reason(error)}); {remedy}"
        ) from error
    # The cache names large files by their SHA-256, and the snapshot's folder by its commit.
    named, found = path.resolve().name, sha256_of(path)
    if re.fullmatch("[0-9a-f]{64}", named) and found != named:
        raise CheckpointError(
            f"{path.resolve()}: damaged (its SHA-256 is {found}, needed is {named}); delete this "
            f"file and try again, or {remedy}"
        )
    return path, path.parent.name


def _reason(error: Exception) -> str:
    """The first line of what caused an error, or its kind."""
    while isinstance(error.__cause__, Exception):
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
