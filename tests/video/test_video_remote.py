"""Stacks in a bucket: fetched as they are, patiently, and told apart where they are not there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import stallscan
from s3_server import BUCKET, Flaky, put, put_bytes, s3_server
from stallscan.errors import DamagedVideoError, FetchError, OptionError, VideoError
from stallscan.video import remote
from stallscan.video.read import iter_frames, read_clip, read_stack
from stallscan.video.remote import base_name, list_prefix, on_disk, parse_location, refuse_url


@pytest.fixture(scope="module")
def server() -> Iterator[Flaky]:
    with pytest.MonkeyPatch.context() as patch, s3_server(patch) as flaky:
        yield flaky


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """No waiting; how long it would have been."""
    waits: list[float] = []
    monkeypatch.setattr(remote.time, "sleep", waits.append)
    return waits


@pytest.fixture
def clip_path(write_drawn_clip: Callable[..., Path]) -> Path:
    return write_drawn_clip("a b+ü#1.mp4")


def test_an_object_is_read_as_its_file(server: Flaky, clip_path: Path) -> None:
    url = put(clip_path, f"some where/{clip_path.name}")
    here, there = read_clip(clip_path), stallscan.read_clip(url)
    np.testing.assert_array_equal(here.array, there.array)
    assert there.source == url
    assert read_stack(url).shape == here.array.shape[:3] and read_stack(url).source == url
    np.testing.assert_array_equal(np.stack(list(iter_frames(url))), here.array)


def test_nothing_stays_behind(
    server: Flaky, clip_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    with on_disk(put(clip_path, "v.mp4")) as path:
        assert scratch in path.parents and path.name == "v.mp4"
    with pytest.raises(VideoError, match="cannot be opened"):
        read_clip(put_bytes(b"no video at all", "w.mp4"))
    assert not list(scratch.iterdir())


def test_a_cut_off_object(server: Flaky, clip_path: Path) -> None:
    content = clip_path.read_bytes()
    url = put_bytes(content[: len(content) * 3 // 4], "cut.mp4")
    with pytest.raises(VideoError) as caught:
        read_clip(url)
    assert str(caught.value).startswith(f"{url}: ")  # and not the copy's place
    with pytest.raises(VideoError, match="is empty"):
        read_clip(put_bytes(b"", "empty.mp4"))
    npy = Path(clip_path.parent / "x.npy")
    np.save(npy, np.zeros((5, 8, 8), np.uint8))
    url = put_bytes(npy.read_bytes()[:-100], "x.npy")
    with pytest.raises(DamagedVideoError, match="3 of 5 frames") as damaged:
        read_clip(url)
    assert damaged.value.damage.startswith("3 of 5") and url in str(damaged.value)
    assert read_clip(url, partial=True).n_frames == 3


def test_what_is_not_there(server: Flaky, quick: list[float]) -> None:
    server.forbidden = (f"/{BUCKET}/secret",)
    put_bytes(b"x", "secret/a.mp4")
    for url, why in (
        (f"s3://{BUCKET}/none.mp4", "there is no such object or bucket"),
        ("s3://no-such-bucket/none.mp4", "there is no such object or bucket"),
        (f"s3://{BUCKET}/secret/a.mp4", "may not be read"),
        ("s3://Not A Bucket/a.mp4", "check the name"),
    ):
        with pytest.raises(FetchError, match=why) as caught:
            read_clip(url)
        assert str(caught.value).startswith(f"{url}: ")
    assert not quick  # asking again would not help


def test_it_is_asked_again(server: Flaky, clip_path: Path, quick: list[float]) -> None:
    url, size = put(clip_path, "often.mp4"), clip_path.stat().st_size
    server.share, server.n_failed = 0.5, 0
    try:
        for _ in range(10):
            with on_disk(url) as path:
                assert path.stat().st_size == size
    finally:
        server.share = 0.0
    assert server.n_failed > 5


def test_it_gives_up(server: Flaky, clip_path: Path, quick: list[float]) -> None:
    url = put(clip_path, "never.mp4")
    server.share = 1.0
    try:
        with pytest.raises(FetchError, match="no whole answer in 7 attempts"):
            read_clip(url)
    finally:
        server.share = 0.0
    own = [wait for wait in quick if wait >= remote.WAITS_S[0]]
    assert all(
        wait <= own_wait <= 2 * wait for wait, own_wait in zip(remote.WAITS_S, own, strict=True)
    )


def test_a_prefix_is_listed(server: Flaky) -> None:
    for key in ("set/b.mp4", "set/a.mp4", "set/train/c.mp4", "set/notes.txt", "set2/x.mp4"):
        put_bytes(b"x", key)
    objects, prefixes = list_prefix(f"s3://{BUCKET}/set")
    assert [base_name(url) for url in objects] == ["a.mp4", "b.mp4", "notes.txt"]
    assert prefixes == [f"s3://{BUCKET}/set/train"]
    with pytest.raises(FetchError, match="there is nothing under this prefix"):
        list_prefix(f"s3://{BUCKET}/nothing")
    with pytest.raises(FetchError, match="no such object or bucket"):
        list_prefix("s3://no-such-bucket")


def test_a_prefix_of_many_pages(server: Flaky, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of the requests fail, and each page is asked for until it comes."""
    names = [put_bytes(b"x", f"many/{number:02d}.mp4") for number in range(40)]
    ask = remote._filesystem().call_s3
    monkeypatch.setattr(
        remote._filesystem(), "call_s3", lambda *a, **more: ask(*a, MaxKeys=2, **more)
    )
    server.share, server.n_failed, server.n_requests = 0.3, 0, 0
    try:
        assert list_prefix(f"s3://{BUCKET}/many") == (names, [])
    finally:
        server.share = 0.0
    assert server.n_failed > 3 and server.n_requests > 20


def test_without_credentials_nothing_is_signed(
    server: Flaky, clip_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url = put(clip_path, "public.mp4", ACL="public-read")
    remote._open_filesystem.cache_clear()
    assert not remote._filesystem().anon
    monkeypatch.setenv(remote.ANONYMOUS, "true")
    assert remote._filesystem().anon and read_clip(url).n_frames == 8
    monkeypatch.delenv(remote.ANONYMOUS)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    remote._open_filesystem.cache_clear()
    assert remote._filesystem().anon
    remote._open_filesystem.cache_clear()


def test_places() -> None:
    assert parse_location("a/b.mp4") == Path("a/b.mp4")
    assert parse_location("file:///a/b.mp4") == Path("/a/b.mp4")
    assert parse_location("s3://bucket/a//b/") == "s3://bucket/a//b"
    for text in ("gs://bucket/a", "https://host/a.mp4", "s3://", "s3://bucket/a/.."):
        with pytest.raises(OptionError, match="is not a place that can be read"):
            parse_location(text)
    with pytest.raises(OptionError, match=r"--out is s3:/bucket/x\.csv, allowed is a path"):
        refuse_url("--out", Path("s3://bucket/x.csv"))
    refuse_url("--out", Path("C:/x.csv"))
    with pytest.raises(VideoError, match="cannot tell the format from the suffix"):
        read_clip("s3://bucket/a.txt")
