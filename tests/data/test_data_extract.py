"""Many files → a store and a table: in order, resumed, whatever the files do."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from deadly import deadly, slow_first

from stallscan.data.extract import INDEX_COLUMNS, ExtractOptions, Extractor, extract_to_store
from stallscan.data.map_files import map_files
from stallscan.data.source import open_source
from stallscan.data.store import RoiStore, store_digest
from stallscan.errors import OptionError, OutputConflictError, StoreError, TableError, UsageError
from stallscan.manifest import Manifest
from stallscan.roi import RoiOptions, extract_roi
from stallscan.types import Color, Size

Write = Callable[..., Path]


@pytest.fixture
def videos(tmp_path: Path, write_drawn_clip: Write) -> Path:
    for number in range(4):
        write_drawn_clip(f"videos/v{number}.mp4", seed=number)
    write_drawn_clip("videos/v4.mp4", outline=False)
    (tmp_path / "videos" / "v5.mp4").write_bytes(b"no video")
    return tmp_path / "videos"


def run(
    videos: Path, out: Path, regions: RoiOptions | None = None, workers: int = 1, **options: object
) -> Manifest:
    size = options.pop("size", None)
    return extract_to_store(
        [videos],
        out,
        ExtractOptions(size=size),  # type: ignore[arg-type]
        regions or RoiOptions(),
        workers=workers,
        **options,  # type: ignore[arg-type]
    )


def test_store_and_table(videos: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    out, count = tmp_path / "r.lmdb", lambda n, total: seen.append((n, total))
    result = run(videos, out, workers=2, progress=count)
    assert result.exit_code == 3
    assert result.record["counts"] == {"ok": 4, "flagged": 0, "failed": 2}
    assert seen == [(n, 6) for n in range(7)]
    store = RoiStore(tmp_path / "r.lmdb")
    assert list(store.names) == [f"v{n}.mp4" for n in range(6)]
    for name in store.names:
        expected, found = extract_roi(videos / name), store[name]
        assert (found.status, found.outline, found.message) == (
            expected.status,
            expected.outline,
            expected.message,
        )
        assert (found.n_frames, found.frame_size) == (expected.n_frames, expected.frame_size)
        if expected.volume is not None:
            assert found.volume is not None
            np.testing.assert_array_equal(found.volume.array, expected.volume.array)
            np.testing.assert_array_equal(found.volume.line, expected.volume.line)
    table = pd.read_csv(tmp_path / "r.lmdb.csv")
    assert tuple(table.columns) == INDEX_COLUMNS
    assert list(table["status"]) == ["ok"] * 4 + ["failed"] * 2
    assert table.loc[4, "message"].startswith("v4.mp4: no orange outline")
    assert (table.loc[0, "height"], table.loc[0, "width"], table.loc[0, "roi_z1"]) == (96, 128, 8)


def test_the_same_again_does_nothing_and_other_options_are_refused(
    videos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "r.lmdb"
    run(videos, out)
    before = out.stat().st_mtime_ns
    assert run(videos, out).exit_code == 3
    assert out.stat().st_mtime_ns == before
    with pytest.raises(OutputConflictError, match="partial was False, now True"):
        run(videos, out, RoiOptions(partial=True))
    with pytest.raises(OutputConflictError, match=r"size was None, now \[4, 8, 8\]"):
        run(videos, out, size=Size(4, 8, 8))
    run(videos, out, size=Size(4, 8, 8), overwrite=True)
    volume = RoiStore(out)["v0.mp4"].volume
    assert volume is not None and volume.array.shape == (4, 8, 8, 3)


def test_what_somebody_removed_is_made_again(videos: Path, tmp_path: Path) -> None:
    out, table = tmp_path / "r.lmdb", tmp_path / "r.lmdb.csv"
    run(videos, out)
    digest, content = store_digest(out), table.read_bytes()
    table.unlink()
    run(videos, out)
    assert table.read_bytes() == content
    out.unlink()
    run(videos, out)
    assert store_digest(out) == digest
    out.write_bytes(out.read_bytes()[:9000])
    with pytest.raises(StoreError, match="breaks off"):
        run(videos, out)


def test_a_table_of_regions_is_not_overwritten(videos: Path, tmp_path: Path) -> None:
    rois = tmp_path / "rois.csv"
    rois.write_text('filename,polygon\nv0.mp4,"20,10 60,10 60,40"\n')
    with pytest.raises(OutputConflictError, match=r"rois\.csv: exists"):
        run(videos, tmp_path / "rois", RoiOptions(rois=rois))
    assert rois.read_text().startswith("filename,polygon")


def test_the_store_does_not_tell_where_the_files_lay(videos: Path, tmp_path: Path) -> None:
    run(videos, tmp_path / "a.lmdb")
    videos.rename(tmp_path / "elsewhere")
    run(tmp_path / "elsewhere", tmp_path / "b.lmdb")
    assert store_digest(tmp_path / "a.lmdb") == store_digest(tmp_path / "b.lmdb")


def test_an_interrupted_run_goes_on(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(videos, tmp_path / "whole.lmdb")
    asked: list[int] = []

    def stopped(paths: list[Path], *args: object, **options: object) -> object:
        asked.append(len(paths))
        for n, result in enumerate(map_files(paths, *args, **options)):  # type: ignore[arg-type]
            if len(asked) == 1 and n == 2:
                raise KeyboardInterrupt
            yield result

    monkeypatch.setattr("stallscan.data.extract.map_files", stopped)
    with pytest.raises(KeyboardInterrupt):
        run(videos, tmp_path / "r.lmdb", workers=2)
    with pytest.raises(StoreError, match=r"r\.lmdb: is incomplete, 2 of 6 videos.*same"):
        RoiStore(tmp_path / "r.lmdb")
    run(videos, tmp_path / "r.lmdb", workers=2)
    assert asked == [6, 4]
    assert store_digest(tmp_path / "r.lmdb") == store_digest(tmp_path / "whole.lmdb")


def test_a_table_of_regions(videos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rois = tmp_path / "rois.csv"
    rois.write_text('filename,polygon\nv0.mp4,"20,10 60,10 60,40"\nv4.mp4,"0,0 9,0 9,9"\n')
    rois.write_text(rois.read_text() + 'V9.mp4,"0,0 9,0 9,9"\n')
    result = run(videos, tmp_path / "r.lmdb", RoiOptions(rois=rois))
    assert result.record["counts"]["failed"] == 4
    assert "1 of 3 regions name no video of this run (V9.mp4, …)" in caplog.text
    store = RoiStore(tmp_path / "r.lmdb")
    assert store.summary("v4.mp4").outline == "given"
    assert store.summary("v0.mp4").box == (0, 10, 20, 8, 41, 61)
    message = store.summary("v1.mp4").message
    assert "rois.csv has no region for 'v1.mp4'; add a row" in message
    with pytest.raises(TableError, match=r"none\.csv: does not exist"):
        Extractor.from_options(RoiOptions(rois=tmp_path / "none.csv"))


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (Size(0, 8, 8), "--size is 0,8,8, allowed"),
        (Size(8192, 512, 512), "--size is 8192,512,512.*134,217,728 voxels"),
    ],
)
def test_sizes_that_cannot_be(size: Size, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        ExtractOptions(size=size)


def test_no_workers(videos: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="--workers is 0, allowed are 1 and above"):
        extract_to_store([videos], tmp_path / "r.lmdb", ExtractOptions(), RoiOptions(), workers=0)


# --- Working on files by all cores ------------------------------------------------------------


def said(path: Path, message: str) -> str:
    return f"{path.name}: {'the process that read it was ended' in message}"


def test_results_come_in_order() -> None:
    paths = [Path(str(n)) for n in range(20)]
    found = list(map_files(paths, slow_first, failed=said, workers=2))
    assert found == [path.name for path in paths]


def test_a_file_that_ends_its_process_costs_one_result() -> None:
    paths = [Path(str(n)) for n in range(12)]
    found = list(map_files(paths, deadly, failed=said, workers=2))
    assert found == ["0", "1", "2", "3: True", *(str(n) for n in range(4, 12))]


def test_a_death_while_the_consumer_is_busy() -> None:
    """Then it is found out when the next file is handed over."""
    found = []
    for result in map_files([Path(str(n)) for n in range(12)], deadly, failed=said, workers=1):
        time.sleep(0.15)
        found.append(result)
    assert found == ["0", "1", "2", "3: True", *(str(n) for n in range(4, 12))]


def test_without_workers_nothing_is_called_bad(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stallscan.data.map_files._set_up_worker", os._exit)
    with pytest.raises(UsageError, match=r"0: no worker process .*__main__"):
        list(map_files([Path("0")], slow_first, failed=said, workers=1))


# --- Sources ----------------------------------------------------------------------------------


def test_a_store_and_its_videos_are_the_same_source(videos: Path, tmp_path: Path) -> None:
    run(videos, tmp_path / "r.lmdb")
    one = open_source([videos], RoiOptions())
    other = open_source([tmp_path / "r.lmdb"], RoiOptions())
    assert one.names == other.names
    for path, name in zip(one.items, other.items, strict=True):
        a, b = one.load(path), pickle.loads(pickle.dumps(other.load))(name)
        assert (a.status, a.message, a.outline, a.n_frames) == (
            b.status,
            b.message,
            b.outline,
            b.n_frames,
        )


def test_a_store_is_alone_and_its_regions_are_decided(videos: Path, tmp_path: Path) -> None:
    run(videos, tmp_path / "r.lmdb")
    with pytest.raises(OptionError, match=r"r\.lmdb: is a ROI store and must be the only input.*2"):
        open_source([videos, tmp_path / "r.lmdb"], RoiOptions())
    for options in (RoiOptions(roi="full"), RoiOptions(outline_color=Color(0, 255, 0))):
        with pytest.raises(OptionError, match=r"decided when it was made; give --roi"):
            open_source([tmp_path / "r.lmdb"], options)
