"""The store: what is put in comes out, from anywhere; what is no store is said to be none."""

import hashlib
import multiprocessing
import os
import pickle
import shutil
import tracemalloc
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace

import lmdb
import numpy as np
import pytest
from stored import check_same, make_entry

from stallscan.data import store_writer
from stallscan.data._entry import seal, seal_json
from stallscan.data._environment import DATABASES
from stallscan.data.store import RoiStore, StoreWriter, encode, is_store, store_digest
from stallscan.errors import InputError, OptionError, OutputConflictError, StoreError

N = 12
ENTRIES = [make_entry(index) for index in range(N)]
IDENTITY = {"size": None, "roi": "outline"}


def fill(path, entries, n_expected=None, identity=IDENTITY, complete=True):
    with StoreWriter(path, identity=identity, n_expected=n_expected or len(entries)) as writer:
        for entry in entries:
            writer.append(entry)
        if complete:
            writer.complete()
    return path


@pytest.fixture
def path(tmp_path):
    return fill(tmp_path / "rois.lmdb", ENTRIES)


def check_all(store):
    for entry in ENTRIES:
        check_same(store[entry.filename], entry)


def test_what_is_put_in_comes_out(path):
    store = RoiStore(path)
    names = sorted(entry.filename for entry in ENTRIES)
    assert list(store) == list(store.names) == names and len(store) == N
    assert store.is_complete and store.identity == IDENTITY and store.n_expected == N
    check_all(store)
    assert all(entry.filename in store for entry in ENTRIES)
    assert store[names[0]].volume.source == f"{path}:{names[0]}"
    assert [entry.filename for entry in store.values()] == names  # it is a Mapping


def test_summaries_tell_the_same(path):
    store = RoiStore(path)
    summaries = list(store.summaries())
    assert summaries == [store.summary(name) for name in store]
    for summary in summaries:
        entry = store[summary.filename]
        for field in ("filename", "outline", "flags", "message", "n_frames", "frame_size"):
            assert getattr(summary, field) == getattr(entry, field)
        assert summary.status == entry.status
        assert summary.box == (entry.volume and entry.volume.box)
    assert {summary.status for summary in summaries} == {"ok", "failed"}


def test_reading_leaves_no_trace(path):
    assert [file.name for file in path.parent.iterdir()] == ["rois.lmdb"]
    before = path.stat().st_mtime_ns, path.read_bytes()
    path.chmod(0o444)
    path.parent.chmod(0o555)
    try:
        check_all(RoiStore(path))
        assert [file.name for file in path.parent.iterdir()] == ["rois.lmdb"]
    finally:
        path.parent.chmod(0o755)
    assert (path.stat().st_mtime_ns, path.read_bytes()) == before


def test_complete_store_is_read_without_a_lock(path):
    assert RoiStore(path)._reading.environment.flags()["lock"] is False
    # A lock file that a kill left, and that may not be written, does not matter either.
    lock = path.with_name("rois.lmdb-lock")
    lock.write_bytes(b"")
    lock.chmod(0o444)
    check_all(RoiStore(path))


@pytest.mark.parametrize("name", ["b.mp4", "", "x" * 600, "\ud800", "store", "meta"])
def test_name_that_is_not_there(path, name):
    store = RoiStore(path)
    with pytest.raises(KeyError, match="has no video"):
        store[name]
    with pytest.raises(KeyError, match="has no video"):
        store.summary(name)
    assert name not in store and store.get(name) is None


def test_incomplete_store(tmp_path):
    path = fill(tmp_path / "rois.lmdb", ENTRIES[:5], n_expected=1234, complete=False)
    with pytest.raises(StoreError, match=r"5 of 1,234 videos; run the same `stallscan extract`"):
        RoiStore(path)
    store = RoiStore(path, allow_incomplete=True)
    assert not store.is_complete and len(store) == 5
    assert store._reading.environment.flags()["lock"] is True
    check_same(pickle.loads(pickle.dumps(store))[ENTRIES[0].filename], ENTRIES[0])
    with pytest.raises(StoreError, match="5 of 1,234"):
        store_digest(path)


def test_goes_on_where_it_stopped(tmp_path, path):
    parts = tmp_path / "parts.lmdb"
    turned = dict(reversed(IDENTITY.items()))  # the order of options does not matter
    fill(parts, ENTRIES[::-1][:5], n_expected=N, identity=turned, complete=False)
    with StoreWriter(parts, identity=IDENTITY, n_expected=N) as writer:
        assert writer.names == {entry.filename for entry in ENTRIES[::-1][:5]}
        for entry in ENTRIES:
            if entry.filename not in writer.names:
                writer.append(entry)
        assert len(writer.names) == N
        writer.complete()
    assert store_digest(parts) == store_digest(path)


def test_digest_tells_every_difference(tmp_path, path):
    variants = {
        "message": [replace(ENTRIES[0], message="dim"), *ENTRIES[1:]],
        "other message": [replace(ENTRIES[0], message="sun"), *ENTRIES[1:]],
        "name": [replace(ENTRIES[0], filename="b.mp4"), *ENTRIES[1:]],
        "fewer": ENTRIES[1:],
    }
    digests = {store_digest(path)}
    for name, entries in variants.items():
        digests.add(store_digest(fill(tmp_path / name, entries)))
    digests.add(store_digest(fill(tmp_path / "identity", ENTRIES, identity={"size": 1})))
    assert len(digests) == 6


def test_digest_is_that_of_the_records(path):
    expected = hashlib.sha256()
    with (
        lmdb.open(str(path), subdir=False, readonly=True, lock=False, max_dbs=5) as environment,
        environment.begin() as transaction,
    ):
        for name in DATABASES:
            expected.update(name.encode())
            for key, value in transaction.cursor(environment.open_db(name.encode(), transaction)):
                expected.update(np.array([len(key), len(value)], "<u8").tobytes() + key + value)
    assert store_digest(path) == expected.hexdigest()


@pytest.mark.parametrize(
    ("identity", "n_expected", "match"),
    [
        ({**IDENTITY, "size": [1, 2, 3]}, N, r"size was None, now \[1, 2, 3\]"),
        ({"size": None}, N, "roi was 'outline', now None"),
        (IDENTITY, 13, "12 videos were expected, now 13"),
    ],
)
def test_another_run_is_refused(path, identity, n_expected, match):
    before = store_digest(path)
    with pytest.raises(OutputConflictError, match=match):
        StoreWriter(path, identity=identity, n_expected=n_expected)
    assert store_digest(path) == before


def test_complete_store_stays_as_it_is(path):
    before = store_digest(path)
    with StoreWriter(path, identity=IDENTITY, n_expected=N) as writer:
        assert len(writer.names) == N
        with pytest.raises(OutputConflictError, match=r"is complete, b\.mp4 cannot be added"):
            writer.append(replace(ENTRIES[0], filename="b.mp4"))
        writer.complete()
    assert store_digest(path) == before
    assert [file.name for file in path.parent.iterdir()] == ["rois.lmdb"]


def test_too_few_are_not_complete(tmp_path):
    path = tmp_path / "rois.lmdb"
    with StoreWriter(path, identity={}, n_expected=2) as writer:
        writer.append(ENTRIES[0])
        with pytest.raises(OptionError, match="has 1 videos, expected 2"):
            writer.complete()
    with pytest.raises(StoreError, match="1 of 2 videos"):
        RoiStore(path)


def test_an_error_in_the_middle_loses_nothing(tmp_path):
    path = tmp_path / "rois.lmdb"
    with (
        pytest.raises(ZeroDivisionError),
        StoreWriter(path, identity={}, n_expected=2) as writer,
    ):
        writer.append(ENTRIES[0])
        raise ZeroDivisionError
    assert len(RoiStore(path, allow_incomplete=True)) == 1


def test_empty_store(tmp_path):
    store = RoiStore(fill(tmp_path / "rois.lmdb", []))
    assert len(store) == 0 and list(store.summaries()) == []


@pytest.mark.parametrize(
    "name", ["é" * 127 + "a", "store", "\0store", "a/b", "caf\udce9.mp4", "x" * 511]
)
def test_strange_names_are_kept(tmp_path, name):
    path = fill(tmp_path / "rois.lmdb", [replace(ENTRIES[0], filename=name), ENTRIES[4]])
    store = RoiStore(path)
    assert len(store) == 2 and name in store.names
    check_same(store[name], replace(ENTRIES[0], filename=name))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["rois.lmdb"]


@pytest.mark.parametrize("name", ["", "x" * 512, "é" * 256])
def test_names_that_do_not_fit_are_refused(tmp_path, name):
    path = tmp_path / "rois.lmdb"
    with StoreWriter(path, identity={}, n_expected=1) as writer:
        with pytest.raises(OptionError, match=r"bytes long, allowed are 1 to 511"):
            writer.append(replace(ENTRIES[0], filename=name))
        writer.append(ENTRIES[0])
        writer.complete()
    assert len(RoiStore(path)) == 1


def test_a_name_comes_once(tmp_path):
    with StoreWriter(tmp_path / "rois.lmdb", identity={}, n_expected=1) as writer:
        writer.append_encoded("a.mp4", encode(ENTRIES[0]))
        with pytest.raises(OptionError, match=r"has a\.mp4 already"):
            writer.append_encoded("a.mp4", encode(ENTRIES[1]))
        writer.complete()
    check_same(RoiStore(tmp_path / "rois.lmdb")["a.mp4"], replace(ENTRIES[0], filename="a.mp4"))


def test_the_map_grows(tmp_path, monkeypatch, path):
    monkeypatch.setattr(store_writer, "_FIRST_MAP_BYTES", 64 * 1024)
    monkeypatch.setattr(store_writer, "COMMIT_BYTES", 20_000)
    small = fill(tmp_path / "small.lmdb", ENTRIES)
    assert small.stat().st_size > 2 * 64 * 1024
    assert store_digest(small) == store_digest(path)


def test_the_writing_process_cannot_read(tmp_path):
    path = tmp_path / "rois.lmdb"
    with (
        StoreWriter(path, identity={}, n_expected=1),
        pytest.raises(StoreError, match="this process does not both read and write it"),
    ):
        RoiStore(path, allow_incomplete=True)


def test_unwritable_place(tmp_path):
    with pytest.raises(OptionError, match=r"cannot be written .* choose a writable --out"):
        StoreWriter(tmp_path / "missing" / "rois.lmdb", identity={}, n_expected=1)


def other_lmdb(path, records, databases=()):
    with lmdb.open(str(path), subdir=False, map_size=2**20, max_dbs=5) as environment:
        handles = {name: environment.open_db(name.encode()) for name in databases}
        with environment.begin(write=True) as transaction:
            for database, key, value in records:
                transaction.put(key, value, db=handles.get(database))
    path.with_name(path.name + "-lock").unlink()
    return path


def header(**change):
    fields = {"format": 1, "identity": {}, "n_expected": 0, "complete": True} | change
    return [("meta", b"store", seal_json(fields))]


def test_not_a_store(tmp_path):
    missing, folder, empty, junk = (tmp_path / name for name in ("missing", "folder", "e", "junk"))
    folder.mkdir()
    empty.write_bytes(b"")
    junk.write_bytes(b"no store" * 4000)
    foreign = other_lmdb(tmp_path / "foreign", [(None, b"meta", b"x"), (None, b"y", b"x")])
    bare = other_lmdb(tmp_path / "bare", [], DATABASES)
    for path, match in {
        missing: "cannot be read .*No such file",
        folder: "is a folder, not a ROI store",
        empty: "is empty .0 bytes.",
        junk: "is not a ROI store",
        foreign: "is an LMDB file, but not a ROI store",
        bare: "the record about it",
    }.items():
        with pytest.raises(StoreError, match=match) as caught:
            RoiStore(path)
        assert str(path) in str(caught.value)
        assert is_store(path) == (path in (foreign, bare))
    before = foreign.read_bytes()
    with pytest.raises(StoreError, match="is an LMDB file, but not a ROI store"):
        StoreWriter(foreign, identity={}, n_expected=1)
    with pytest.raises(StoreError, match="is not a ROI store"):
        StoreWriter(junk, identity={}, n_expected=1)
    assert foreign.read_bytes() == before


@pytest.mark.parametrize(
    ("record", "match"),
    [
        (header(format=2), "a ROI store of format 2, this stallscan reads 1; update stallscan"),
        (header(identity=[]), r"its identity is \[\], expected dict"),
        (header(n_expected="1"), "its n_expected is '1', expected int"),
        (header(complete=None), "its complete is None, expected bool"),
        ([("meta", b"store", seal(b"[]"))], "a JSON list, expected an object"),
        ([("meta", b"store", b"abcdefgh")], "checksum"),
    ],
)
def test_header_that_is_not_understood(tmp_path, record, match):
    path = other_lmdb(tmp_path / "rois.lmdb", record, DATABASES)
    with pytest.raises(InputError, match=match):
        RoiStore(path)
    with pytest.raises(InputError, match=match):
        StoreWriter(path, identity={}, n_expected=0)


def test_file_that_breaks_off(path, tmp_path):
    whole = path.read_bytes()
    short = tmp_path / "short.lmdb"
    for n_bytes in (8192, 12_000, len(whole) // 2, len(whole) - 1):
        short.write_bytes(whole[:n_bytes])
        with pytest.raises(StoreError, match=f"breaks off, it has {n_bytes:,} bytes of "):
            RoiStore(short)
        with pytest.raises(StoreError, match=f"breaks off, it has {n_bytes:,} bytes of "):
            StoreWriter(short, identity=IDENTITY, n_expected=N)
        assert is_store(short)
    short.write_bytes(whole[:19])
    assert is_store(short)  # by its name: RoiStore says what is wrong
    other = tmp_path / "short.bin"
    for n_bytes, expected in ((19, False), (20, True)):
        other.write_bytes(whole[:n_bytes])
        assert is_store(other) is expected


def test_one_damaged_entry(path):
    content = bytearray(path.read_bytes())
    entry = ENTRIES[0]
    record = encode(entry)[-2000:]
    place = content.index(record)
    content[place + 1000] ^= 4
    path.write_bytes(content)
    store = RoiStore(path)
    with pytest.raises(StoreError, match=f"the entry of {entry.filename} is damaged .the checksum"):
        store[entry.filename]
    assert store.summary(entry.filename).status == "ok"
    for other in ENTRIES[1:]:
        check_same(store[other.filename], other)


def test_damaged_index(path):
    """A page of the index that says it is of another kind; LMDB's own check must not get out."""
    content = bytearray(path.read_bytes())
    name = ENTRIES[0].filename.encode()
    for page in range(0, len(content), 4096):
        if content.find(name, page, page + 4096) >= 0:
            content[page + 10] ^= 0x02 | 0x01  # its flags: leaf, branch
    path.write_bytes(content)
    store = RoiStore(path)
    for read in (lambda: store.names, lambda: list(store.summaries())):
        with pytest.raises(StoreError, match="is not a ROI store, or a damaged one"):
            read()


def test_voxels_that_are_missing(tmp_path):
    path = fill(tmp_path / "rois.lmdb", ENTRIES[:2])
    with lmdb.open(str(path), subdir=False, max_dbs=5) as environment:
        voxels = environment.open_db(b"voxels")
        with environment.begin(write=True) as transaction:
            assert transaction.delete(ENTRIES[0].filename.encode(), db=voxels)
    with pytest.raises(StoreError, match="its voxels are missing"):
        RoiStore(path)[ENTRIES[0].filename]
    check_same(RoiStore(path)[ENTRIES[1].filename], ENTRIES[1])


def read_one(store, name):
    return os.getpid(), store[name]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_read_by_many_processes(path, method):
    store, twin = RoiStore(path), RoiStore(path)
    check_all(store)  # open before the fork
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(2, context) as pool:
        names = [entry.filename for entry in ENTRIES]
        results = list(pool.map(read_one, [store, twin] * (N // 2), names))
    for (pid, found), entry in zip(results, ENTRIES, strict=True):
        assert pid != os.getpid()
        check_same(found, entry)
    check_all(store)
    check_all(twin)


def read_inherited():
    check_all(INHERITED[0])
    check_all(INHERITED[1])
    assert INHERITED[0]._reading is INHERITED[1]._reading
    assert INHERITED[0]._reading.pid == os.getpid()


INHERITED = []


@pytest.mark.parametrize("complete", [True, False])
def test_inherited_by_fork(tmp_path, complete):
    path = fill(tmp_path / "rois.lmdb", ENTRIES, n_expected=N, complete=complete)
    INHERITED[:] = [RoiStore(path, allow_incomplete=True) for _ in range(2)]
    check_all(INHERITED[0])
    process = multiprocessing.get_context("fork").Process(target=read_inherited)
    process.start()
    process.join()
    assert process.exitcode == 0
    check_all(INHERITED[0])
    INHERITED.clear()


def test_read_by_many_threads(path):
    def read_all(_):
        check_all(RoiStore(path))
        check_all(store)
        return store._reading

    store = RoiStore(path)
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(read_all, range(20))) == {store._reading}


def test_a_store_that_was_replaced_is_read_anew(path, tmp_path):
    old = RoiStore(path)
    other = fill(tmp_path / "other.lmdb", ENTRIES[:1])
    shutil.move(other, path)
    assert len(RoiStore(path)) == 1
    check_all(old)


def test_memory_stays_flat(tmp_path, monkeypatch):
    monkeypatch.setattr(store_writer, "COMMIT_BYTES", 2**18)
    encoded = encode(ENTRIES[0])
    path = tmp_path / "rois.lmdb"
    n = 400
    assert n * len(encoded) > 12 * 2**18
    tracemalloc.start()
    try:
        with StoreWriter(path, identity={}, n_expected=n) as writer:
            for index in range(n):
                writer.append_encoded(f"{index}.mp4", bytes(bytearray(encoded)))
            writer.complete()
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**18
        store = RoiStore(path)
        names = store.names
        store[names[0]]
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        for name in names:
            store[name]
        after, peak = tracemalloc.get_traced_memory()
        assert after - before < 10_000 and peak - before < 2**18
    finally:
        tracemalloc.stop()
