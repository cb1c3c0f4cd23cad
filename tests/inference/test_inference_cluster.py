"""Ray: the same rows as on one machine, whatever becomes of nodes and of the driver."""

from __future__ import annotations

import dataclasses
import faulthandler
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import ray
from ray.cluster_utils import Cluster
from slow_loading import Slow, refuse, stumble

from clips import draw_clip
from stallscan.cli import main
from stallscan.cli._cluster import cluster_options
from stallscan.data import shards, source
from stallscan.data.cluster import (
    ClusterOptions,
    Resources,
    Stage,
    chunk_size,
    chunks,
    connected,
    run_stages,
)
from stallscan.data.extract import ExtractOptions, extract_to_store
from stallscan.data.extract_on_cluster import extract_to_shards, shard_size
from stallscan.data.shards import open_store, shard_path
from stallscan.data.source import RoiSource, open_source
from stallscan.errors import ClusterError, OptionError, StoreError
from stallscan.inference import cluster
from stallscan.inference.cluster import (
    Model,
    choose_on_cluster,
    n_actors,
    predict_on_cluster,
)
from stallscan.inference.options import PredictOptions
from stallscan.inference.parts import Parts
from stallscan.roi.options import RoiOptions
from stallscan.video.write import write_clip

N = 24


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn videos; one is torn."""
    folder = tmp_path_factory.mktemp("videos")
    for seed in range(N):
        write_clip(folder / f"v{seed:02d}.mp4", draw_clip(seed), preset="ultrafast")
    (folder / "v05.mp4").write_bytes(b"torn")
    return folder


@pytest.fixture(scope="module")
def here(folder: Path, tiny_model_dir: Path) -> bytes:
    """The table of one machine."""
    out = folder / "here.csv"
    command = ["predict", str(folder), "--out", str(out), "--model", str(tiny_model_dir)]
    assert main([*command, "--flips", "1", "--workers", "0", "--engine", "torch", "-q"]) == 3
    return out.read_bytes()


@pytest.fixture(scope="module")
def two_nodes() -> Iterator[Cluster]:
    """A head without cores, and two nodes of one core."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))  # nodes import from it
        patch.setenv("RAY_health_check_period_ms", "500")
        patch.setenv("RAY_health_check_failure_threshold", "3")
        store = 100 * 2**20
        unwatched = {"include_dashboard": False, "include_log_monitor": False}
        head = {"num_cpus": 0, "object_store_memory": store, **unwatched}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        for _ in range(2):
            cluster.add_node(num_cpus=1, object_store_memory=store, num_gpus=1)
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        yield cluster
        ray.shutdown()
        cluster.shutdown()


@pytest.fixture(autouse=True)
def no_hanging() -> Iterator[None]:
    """A cluster that waits for ever ends the process, and says where it waited."""
    faulthandler.dump_traceback_later(300, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture
def model(tiny_model_dir: Path) -> Model:
    return Model.of(tiny_model_dir, batch=1, flips=1, engine="torch", device="cpu")


def run(
    folder: Path,
    model: Model,
    place: Path,
    load: Slow,
    *,
    n_readers: int = 0,
) -> Parts:
    items = sorted(folder.glob("*.mp4"))
    parts = Parts(place, "run")
    predict_on_cluster(
        RoiSource(items=items, load=load, identity={}),
        model,
        parts,
        is_done=parts.done(len(items)),
        n_actors=2,
        n_readers=n_readers,
    )
    return parts


def written(parts: Parts, folder: Path, out: Path) -> bytes:
    parts.write_csv(out, [path.name for path in sorted(folder.glob("*.mp4"))])
    return out.read_bytes()


def but_one(found: bytes, here: bytes) -> str:
    """The only row in which two tables differ."""
    lines = zip(found.decode().splitlines(), here.decode().splitlines(), strict=True)
    (differing,) = [line for line, other in lines if line != other]
    return differing


def test_those_that_ask_have_gpus_and_others_read(
    two_nodes: Cluster, folder: Path, here: bytes, model: Model, tmp_path: Path
) -> None:
    """GPUs in number alone. The rows of one machine, but for a video that ends its process."""
    parts = run(folder, model, tmp_path / "parts", Slow(deadly="v07.mp4"), n_readers=2)
    row = but_one(written(parts, folder, tmp_path / "p.csv"), here)
    assert "v07.mp4: the process that read it was ended" in row


def test_the_driver_is_killed_and_then_a_node_is_lost(
    two_nodes: Cluster,
    folder: Path,
    here: bytes,
    tiny_model_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """−9 when rows have come; the same command does the others alone, and as a node goes.

    No row is lost or double; there again a video ends its process.
    """
    out, parts_dir = tmp_path / "p.csv", tmp_path / "p.csv.parts"
    script = (
        "import sys, stallscan.cli, stallscan.inference.parts\n"
        "stallscan.inference.parts.FLUSH_SECONDS = 0\n"
        "sys.exit(stallscan.cli.main(sys.argv[1:]))"
    )
    arguments = [
        "predict", str(folder), "--out", str(out), "-q",
        "--model", str(tiny_model_dir), "--flips", "1", "--device", "cpu", "--engine", "torch",
        "--cluster", "ray", "--address", two_nodes.address,
    ]  # fmt: skip
    driver = subprocess.Popen([sys.executable, "-c", script, *arguments])
    began = time.monotonic()
    while len(list(parts_dir.glob("part-*"))) < 3:
        assert driver.poll() is None and time.monotonic() < began + 120
        time.sleep(0.002)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    before = {path: path.stat().st_mtime_ns for path in parts_dir.glob("part-*")}
    assert not out.exists() and 3 <= len(before) < N
    came: list[int] = []

    def progress(n: int) -> None:
        came.append(n)
        if len(came) == 6:
            two_nodes.remove_node(two_nodes.list_all_nodes()[-1], allow_graceful=False)

    def slow(*given: Any, **more: Any) -> RoiSource:
        load = Slow(seconds=0.3, deadly="v23.mp4")
        return dataclasses.replace(open_source(*given, **more), load=load)

    def followed(*given: Any, **more: Any) -> None:
        predict_on_cluster(*given, **more | {"progress": progress})

    monkeypatch.setattr(source, "open_source", slow)
    monkeypatch.setattr(cluster, "predict_on_cluster", followed)
    assert main(arguments) == 3
    two_nodes.add_node(num_cpus=1, object_store_memory=100 * 2**20)
    n_before = sum(pq.read_metadata(path).num_rows for path in before)
    assert sum(came) == N - n_before and len(came) > 6
    assert "v23.mp4: the process that read it was ended" in but_one(out.read_bytes(), here)
    assert all(path.stat().st_mtime_ns == when for path, when in before.items())
    assert len(list(parts_dir.glob("part-*"))) > len(before)


def test_extract_loses_a_node_and_its_driver(
    two_nodes: Cluster, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shards that are there stay; together they are the store of one machine."""
    whole = tmp_path / "whole.lmdb"
    extract_to_store([folder], whole, ExtractOptions(), RoiOptions(), workers=1)
    out, options = tmp_path / "shards", ExtractOptions(shard=5)
    killed = []

    def stop_after_two(done: int, total: int) -> None:
        if done >= 10:
            raise KeyboardInterrupt

    def lose_a_node(done: int, total: int) -> None:
        if done >= 15 and not killed:
            killed.append(two_nodes.list_all_nodes()[-1])
            two_nodes.remove_node(killed[0], allow_graceful=False)

    cluster = ClusterOptions()
    with pytest.raises(KeyboardInterrupt):
        extract_to_shards([folder], out, options, RoiOptions(), cluster, progress=stop_after_two)
    there = {path: path.stat().st_mtime_ns for path in out.glob("shard-*")}
    assert len(there) >= 2
    with pytest.raises(StoreError, match=r"is incomplete, \d of 5 shards"):
        open_store(out)
    (out / ".shard-000003.lmdb.lost.1").write_bytes(b"unfinished")
    record = extract_to_shards([folder], out, options, RoiOptions(), cluster, progress=lose_a_node)
    two_nodes.add_node(num_cpus=1, object_store_memory=100 * 2**20)
    assert record.exit_code == 3 and record.record["counts"]["failed"] == 1
    assert all(path.stat().st_mtime_ns == when for path, when in there.items())
    assert sorted(path.name for path in out.iterdir()) == [
        "run.json", *(f"shard-00000{number}.lmdb" for number in range(5))
    ]  # fmt: skip
    one, many = open_store(whole), open_store(out)
    assert one.names == many.names and one.identity == many.identity
    for summary, other in zip(one.summaries(), many.summaries(), strict=True):
        assert summary == other
    for name in one:
        first, second = one[name].volume, many[name].volume
        assert (first is None) == (second is None)
        if first is not None and second is not None:
            np.testing.assert_array_equal(first.array, second.array)
    assert (tmp_path / "whole.lmdb.csv").read_bytes() == (tmp_path / "shards.csv").read_bytes()
    with pytest.raises(KeyError, match="has no video 'x'"):
        many["x"]
    monkeypatch.setattr(shards, "MAX_OPEN", 1)
    assert [entry.filename for entry in pickle.loads(pickle.dumps(many)).summaries()] == list(one)
    source = open_source([out], RoiOptions())
    assert source.names == list(one.names) and source.load("v00.mp4").volume is not None
    before = shard_path(out, 0).stat().st_mtime_ns
    extract_to_shards([folder], out, options, RoiOptions(), cluster)
    assert shard_path(out, 0).stat().st_mtime_ns == before
    shard_path(out, 0).unlink()
    with pytest.raises(StoreError, match="is incomplete, 4 of 5 shards"):
        open_source([out], RoiOptions())


def test_errors_of_nodes_are_told(two_nodes: Cluster) -> None:
    stage = Stage(work=refuse, arguments={})
    with pytest.raises(OptionError, match="--out is nowhere"):
        list(run_stages([{"shard": 0, "items": ["a"]}], stage))
    with pytest.raises(ClusterError, match=r"Ray gave up .*; what is done is kept"):
        list(run_stages([{"shard": 0, "items": ["a"]}], Stage(work=stumble, arguments={})))


def test_options() -> None:
    with pytest.raises(OptionError, match="--actors is 0"):
        ClusterOptions(actors=0)
    for name in ("address", "actors", "parts"):
        more = {"address": None, "actors": None, name: "x"}
        with pytest.raises(OptionError, match=f"--{name} is x without --cluster"):
            cluster_options(None, **more)  # type: ignore[arg-type]
    assert cluster_options(None, address=None, actors=None) is None
    here = Resources(n_cpus=3, n_gpus=0)
    gpus = Resources(n_cpus=3, n_gpus=2)
    ray_ = ClusterOptions()
    assert n_actors(ray_, here, with_gpus=False) == 3
    assert n_actors(ray_, gpus, with_gpus=True) == 2
    assert n_actors(ClusterOptions(actors=7), here, with_gpus=False) == 7
    with pytest.raises(OptionError, match="the cluster has 2 GPUs"):
        n_actors(ClusterOptions(actors=3), gpus, with_gpus=True)
    chosen = choose_on_cluster(PredictOptions(), gpus, lambda: pytest.fail("not asked"))
    assert (chosen.engine, chosen.device, chosen.batch) == ("torch", "cuda", 8)
    asked: list[int] = []
    choose_on_cluster(PredictOptions(device="cpu"), gpus, lambda: asked.append(1))  # type: ignore[arg-type,func-returns-value]
    choose_on_cluster(PredictOptions(), here, lambda: asked.append(1))  # type: ignore[arg-type,func-returns-value]
    assert asked == [1, 1]


@pytest.mark.parametrize("address", ["127.0.0.1:1", "no.such.host:6379", "nonsense:x"])
def test_nobody_there(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with (
        pytest.raises(ClusterError, match=f"--address {address}: no Ray cluster can be joined"),
        connected(ClusterOptions(address=address)),
    ):
        pass


def test_chunks() -> None:
    assert [shard_size(n, 2) for n in (1, 80, 10**6)] == [1, 10, 512] and shard_size(8, 0) == 2
    assert chunk_size(3, 2) == 1 and chunk_size(10**6, 2) == 32 and chunk_size(320, 2) == 10
    places = [Path("a.mp4"), "s3://b/c.mp4", "name"]
    assert chunks(places, [0, 1, 2], 2) == [
        {"rows": [0, 1], "items": [str(Path("a.mp4").absolute()), "s3://b/c.mp4"]},
        {"rows": [2], "items": ["name"]},
    ]
