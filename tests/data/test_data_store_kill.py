"""Kill −9, full disks and readers beside the writer: nothing committed is lost or damaged."""

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import stored

from stallscan.data.store import RoiStore, store_digest

N = 60


def start(verb, path, *options):
    command = [sys.executable, stored.__file__, verb, str(path), str(N), *map(str, options)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
    )


@pytest.fixture(scope="module")
def digest(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "rois.lmdb"
    stored.write(path, N, each=False)
    return store_digest(path)


@pytest.mark.parametrize(
    ("options", "most_lost"),
    [(("--commit-seconds", 0), 1), (("--commit-seconds", 99, "--commit-bytes", 30_000), 10)],
)
def test_killed_and_resumed(tmp_path, digest, options, most_lost):
    path = tmp_path / "rois.lmdb"
    rng = random.Random(most_lost)
    n_left = 0
    for _ in range(3):
        process = start("write", path, *options)
        n_seen = rng.randint(5, 14)
        for _ in range(n_seen):
            assert process.stdout.readline(), process.stderr.read()
        process.kill()
        process.communicate()
        store = RoiStore(path, allow_incomplete=True)
        assert len(store) >= n_left + n_seen - most_lost and not store.is_complete
        for summary, name in zip(store.summaries(), store, strict=True):
            assert summary.status == store[name].status
        n_left = len(store)
        del store
    process = start("write", path, *options)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert store_digest(path) == digest
    assert [file.name for file in tmp_path.iterdir()] == ["rois.lmdb"]


def test_killed_at_the_very_start(tmp_path, digest):
    """What LMDB leaves when it is killed before its first pages: an empty file."""
    path = tmp_path / "rois.lmdb"
    path.write_bytes(b"")
    Path(f"{path}.writer").touch()
    stored.write(path, N, each=False)
    assert store_digest(path) == digest


def test_readers_beside_the_writer(tmp_path, digest):
    path = tmp_path / "rois.lmdb"
    writer = start("write", path, "--commit-seconds", 0)
    for _ in range(5):
        assert writer.stdout.readline()
    writer.send_signal(signal.SIGSTOP)
    readers = [start("watch", path) for _ in range(2)]
    n_first = [int(reader.stdout.readline()) for reader in readers]  # from before its end
    assert all(4 <= n < N for n in n_first)
    writer.send_signal(signal.SIGCONT)
    for process in (writer, *readers):
        output, errors = process.communicate()
        assert process.returncode == 0, errors
        if process in readers:
            assert output.splitlines()[-1] == str(N)  # they saw it grow
    assert store_digest(path) == digest


def test_a_store_that_grows_beyond_its_map_while_it_is_open(tmp_path, digest):
    path = tmp_path / "rois.lmdb"
    writer = start("write", path, "--commit-seconds", 0, "--map-bytes", 64 * 1024)
    for _ in range(3):
        assert writer.stdout.readline()
    writer.send_signal(signal.SIGSTOP)
    store = RoiStore(path, allow_incomplete=True)
    n_pages = store._reading.environment.info()["last_pgno"]
    writer.send_signal(signal.SIGCONT)
    writer.communicate()
    for entry in map(stored.make_entry, range(N)):
        stored.check_same(store[entry.filename], entry)
    assert store._reading.environment.info()["last_pgno"] > 3 * n_pages
    del store
    assert store_digest(path) == digest


def test_full_disk(tmp_path, digest):
    path = tmp_path / "rois.lmdb"
    process = start("write", path, "--commit-seconds", 0, "--max-file-bytes", 200_000)
    _, errors = process.communicate()
    assert process.returncode == 1
    n_stored = len(RoiStore(path, allow_incomplete=True))
    assert 5 < n_stored < N
    assert f"StoreError: {path}: cannot be written" in errors and "free space" in errors
    assert f"{n_stored} videos are stored" in errors
    with pytest.raises(Exception, match=f"{n_stored} of {N} videos"):
        RoiStore(path)
    stored.write(path, N, each=False)
    assert store_digest(path) == digest


def test_two_writers(tmp_path, digest):
    path = tmp_path / "rois.lmdb"
    first = start("write", path, "--commit-seconds", 0)
    assert first.stdout.readline()
    first.send_signal(signal.SIGSTOP)  # it holds the store as long as we look
    try:
        second = start("write", path)
        _, errors = second.communicate()
        assert second.returncode == 1 and "OutputConflictError" in errors
        assert f"{path}: another process is writing this store" in errors
    finally:
        first.send_signal(signal.SIGCONT)
    first.communicate()
    assert first.returncode == 0 and store_digest(path) == digest
