"""``predict`` and ``extract`` of what lies in a bucket: as of the same files on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from s3_server import BUCKET, Flaky, put, put_bytes, s3_server
from stallscan.cli import main
from stallscan.data.store import RoiStore
from stallscan.video import remote

N = 6


@pytest.fixture(scope="module")
def server() -> Iterator[Flaky]:
    with pytest.MonkeyPatch.context() as patch, s3_server(patch) as flaky:
        yield flaky


@pytest.fixture
def videos(
    server: Flaky,
    tmp_path: Path,
    write_drawn_clip: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A folder, and the same under the prefix ``set/test``; beside it the table."""
    monkeypatch.setattr(remote.time, "sleep", lambda seconds: None)
    for seed in range(N):
        path = write_drawn_clip(f"set/test/v{seed}.mp4", seed, outline=seed != 3)
        put(path, f"set/test/{path.name}")
    rows = [f"v{seed}.mp4,test/v{seed}.mp4,8" for seed in range(N)]
    table = tmp_path / "set" / "metadata.csv"
    table.write_text("\n".join(["filename,url,num_frames", *rows]) + "\n")
    put(table, "set/metadata.csv")
    return tmp_path / "set" / "test"


@pytest.fixture
def predict(tmp_path: Path, tiny_model_dir: Path) -> Callable[..., str]:
    def run(*places: object, code: int = 3, more: tuple[str, ...] = ()) -> str:
        out = tmp_path / "p.csv"
        command = ["predict", *map(str, places), "--out", str(out), "--model", str(tiny_model_dir)]
        command += ["--flips", "1", "-q", "--workers", "0", "--overwrite", *more]
        assert main(command) == code
        return out.read_text()

    return run


def test_the_same_table_from_everywhere(
    server: Flaky, videos: Path, predict: Callable[..., str]
) -> None:
    """v3 has no outline: exit code 3, and the same message."""
    here = predict(videos)
    assert here.count("\n") == N + 1 and "v3.mp4,,,failed" in here
    prefix = f"s3://{BUCKET}/set"
    assert predict(f"{prefix}/test") == here
    assert predict(f"{prefix}/test/") == here
    assert predict(prefix) == here  # a data set
    assert predict(prefix, more=("--split", "test")) == here
    assert predict(f"{prefix}/metadata.csv") == here
    assert predict(videos.parent / "metadata.csv") == here
    assert predict(*(f"{prefix}/test/v{seed}.mp4" for seed in range(N))) == here
    server.share, server.n_failed = 0.1, 0
    try:
        for _ in range(3):
            assert predict(f"{prefix}/test") == here
        assert predict(f"{prefix}/metadata.csv") == here
    finally:
        server.share = 0.0
    assert server.n_failed


def test_rows_that_say_what_is_wrong(
    server: Flaky, videos: Path, predict: Callable[..., str], tmp_path: Path
) -> None:
    content = (videos / "v0.mp4").read_bytes()
    put_bytes(content[: len(content) // 2], "bad/cut.mp4")
    put_bytes(content, "secret/s.mp4")
    put_bytes(content, "bad/good.mp4")
    server.forbidden = (f"/{BUCKET}/secret",)
    table = tmp_path / "bad.csv"
    urls = [
        "lab/bad/cut.mp4", "lab/bad/none.mp4", "lab/secret/s.mp4", "nobucket/n.mp4",
        "lab/bad/good.mp4",
    ]  # fmt: skip
    rows = [f"{Path(url).name},s3://{url}" for url in urls]
    table.write_text("\n".join(["filename,url", *rows]) + "\n")
    predict(table)
    found = pd.read_csv(tmp_path / "p.csv").set_index("filename")
    assert found["status"].tolist() == ["failed"] * 4 + ["ok"]
    messages = found["message"]
    assert "cannot be opened as a video" in messages["cut.mp4"]
    assert "s3://lab/bad/none.mp4: there is no such object or bucket" in messages["none.mp4"]
    assert "s3://lab/secret/s.mp4: may not be read" in messages["s.mp4"]
    assert "s3://nobucket/n.mp4: there is no such object or bucket" in messages["n.mp4"]


def test_prefixes_that_cannot_be_listed(
    server: Flaky, videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put_bytes(b"x", "texts/notes.txt")
    server.forbidden = (f"/{BUCKET}/secret", "/forbidden")
    for place, code, why in (
        ("s3://nobucket/x", 3, "there is no such object or bucket"),
        (f"s3://{BUCKET}/nothing", 3, "there is nothing under this prefix"),
        ("s3://forbidden/x", 3, "s3://forbidden/x: may not be read"),
        (f"s3://{BUCKET}/texts", 2, "holds no videos among 1 objects"),
        (f"s3://{BUCKET}/none.csv", 3, "there is no such object or bucket"),
        ("gs://bucket/x", 2, "allowed are paths and s3://BUCKET/PREFIX"),
    ):
        assert main(["predict", place, "--out", str(tmp_path / "x.csv")]) == code
        assert why in capsys.readouterr().err
    assert main(["predict", str(videos), "--out", "s3://bucket/x.csv"]) == 2
    assert "allowed is a path on disk" in capsys.readouterr().err


def test_extract(server: Flaky, videos: Path, tmp_path: Path) -> None:
    tables = []
    for name, place in (("here", videos), ("there", f"s3://{BUCKET}/set/test")):
        out = tmp_path / f"{name}.lmdb"
        command = ["extract", str(place), "--out", str(out), "--workers", "1", "-q"]
        assert main(command) == 3
        tables.append((tmp_path / f"{name}.lmdb.csv").read_text())
    assert tables[0] == tables[1]
    here, there = (RoiStore(tmp_path / f"{name}.lmdb") for name in ("here", "there"))
    assert here.names == there.names and len(here) == N
    for name in here.names:
        one, other = here[name].volume, there[name].volume
        assert (one is None) == (other is None) == (name == "v3.mp4")
        if one is not None and other is not None:
            np.testing.assert_array_equal(one.array, other.array)
            np.testing.assert_array_equal(one.mask, other.mask)
