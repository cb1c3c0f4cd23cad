"""One entry: nothing is lost, nothing damaged is taken for whole."""

import dataclasses
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stored import check_same, make_entry

from stallscan.data._entry import (
    decode,
    decode_summary,
    encode,
    seal,
    seal_json,
    split,
    unseal_json,
)
from stallscan.data._voxels import compress
from stallscan.roi.extraction import Extraction
from stallscan.roi.volume import Volume
from stallscan.types import Box


def parts(extraction):
    return tuple(map(memoryview, split(encode(extraction))))


def read(summary, voxels, name="a.mp4"):
    return decode(decode_summary(name, summary), voxels or None, source="here")


@st.composite
def extractions(draw):
    shape = (*draw(st.tuples(*[st.integers(1, 9)] * 3)), draw(st.sampled_from((1, 3))))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    low, high = draw(st.sampled_from([(0, 256), (0, 1), (255, 256), (100, 104)]))
    resized = draw(st.booleans())
    z, y, x = (5, 6, 7) if resized else shape[:3]
    number = st.floats(allow_nan=False)
    volume = Volume(
        array=rng.integers(low, high, shape, np.uint8),
        mask=rng.random(shape[1:3]) < 0.5,
        line=rng.random(shape[1:3]) < 0.5,
        box=Box(0, 1, 2, z, 1 + y, 2 + x),
        source=draw(st.text()),
        voxel_size_um=draw(st.none() | st.tuples(number, number, number)),
        rescaling=draw(st.none() | st.tuples(number, number)),
        resized=resized,
    )
    return Extraction(
        filename="a.mp4",
        outline=draw(st.text()),
        flags=tuple(draw(st.lists(st.text()))),
        message=draw(st.text()),
        n_frames=draw(st.none() | st.integers(0)),
        frame_size=draw(st.none() | st.tuples(st.integers(0), st.integers(0))),
        volume=draw(st.sampled_from([volume, volume, None])),
    )


@settings(max_examples=60, deadline=None)
@given(extractions())
def test_nothing_is_lost(extraction):
    summary, voxels = parts(extraction)
    assert (len(voxels) == 0) == (extraction.volume is None)
    found = read(summary, voxels)
    check_same(found, extraction)
    short = decode_summary("a.mp4", summary)
    assert short.status == extraction.status
    if found.volume is not None:
        assert found.volume.source == "here"
        assert short.box == found.volume.box and short.shape == found.volume.array.shape
        assert found.volume.array.flags.c_contiguous and found.volume.array.flags.writeable


def test_numbers_of_numpy_and_views_are_taken():
    entry = make_entry(0)
    volume = dataclasses.replace(
        entry.volume,
        array=np.asfortranarray(entry.volume.array),
        box=Box(*np.array(entry.volume.box)),
        rescaling=(np.float32(3), np.uint16(4095)),
    )
    frame_size = tuple(np.array([384, 512]))
    view = dataclasses.replace(entry, volume=volume, frame_size=frame_size)
    plain = dataclasses.replace(
        entry, volume=dataclasses.replace(entry.volume, rescaling=(3.0, 4095.0))
    )
    assert encode(view) == encode(plain)


def test_place_of_the_file_does_not_matter():
    entry = make_entry(0)
    elsewhere = dataclasses.replace(entry.volume, source="/other/place/a.mp4")
    assert encode(dataclasses.replace(entry, volume=elsewhere)) == encode(entry)


def test_a_still_grey_clip_costs_one_plane():
    rng = np.random.default_rng(0)
    plane = rng.integers(0, 256, (1, 64, 64, 1), np.uint8)
    still = np.broadcast_to(plane, (50, 64, 64, 3))
    none = np.zeros((64, 64), bool)
    # Noise cannot be compressed; that it stands still and has no colour, can be.
    assert 4096 <= len(compress(still, none, none)) < 4096 + 400


def test_nothing_can_be_too_compressible():
    """The bound on what a record can hold must not hit an empty volume."""
    nothing = np.zeros((256, 256, 256, 1), np.uint8)
    none = np.zeros((256, 256), bool)
    volume = Volume(array=nothing, mask=none, line=none, box=Box(0, 0, 0, 256, 256, 256), source="")
    summary, voxels = parts(Extraction(filename="a.mp4", volume=volume))
    assert len(voxels) < 1000
    assert not read(summary, voxels).volume.array.any()


@settings(deadline=None)
@given(st.data())
def test_every_damage_is_noticed(data):
    summary, voxels = (bytearray(part) for part in parts(make_entry(0, side=4)))
    part = data.draw(st.sampled_from([summary, voxels]))
    place = data.draw(st.integers(0, len(part) - 1))
    if data.draw(st.booleans()):
        part[place] ^= data.draw(st.integers(1, 255))
    else:
        del part[place:]
    with pytest.raises(ValueError, match=r"checksum|long|missing"):
        read(memoryview(summary), memoryview(voxels))


SHAPE = list(make_entry(0).volume.array.shape)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"shape": [2**40, 1, 1, 3]}, "more than it can hold"),
        ({"shape": [2**62, 2**62, 2**62, 3]}, "more than it can hold"),
        ({"shape": [-1, -1, 24, 3]}, "shape"),
        ({"shape": [0, 24, 24, 3]}, "shape"),
        ({"shape": [*SHAPE[:3], 2]}, "shape"),
        ({"shape": SHAPE[:3]}, "expected 4"),
        ({"shape": [float(n) for n in SHAPE]}, "of int"),
        ({"shape": [True, 24, 24, 3]}, "of int"),
        ({"shape": None}, "shape None"),
        ({"shape": [SHAPE[0] + 1, *SHAPE[1:]]}, "its voxels are"),
        ({"shape": [SHAPE[0] - 1, *SHAPE[1:]]}, "cannot be decompressed"),
        ({"shape": [SHAPE[0], SHAPE[2] * 2, SHAPE[1] // 2, 3]}, "box"),
        ({"box": [0, 5, 7, 1, 6, 8]}, "box"),
        ({"box": "abcdef"}, "of int"),
        ({"codec": "future-1"}, "'future-1', known is 'change-zstd'"),
        ({"flags": 5}, "not understood"),
        ({"flags": [5]}, "not understood"),
        ({"message": None}, "not understood"),
        ({"n_frames": "many"}, "not understood"),
        ({"frame_size": [1]}, "expected 2"),
        ({"voxel_size_um": ["1", "1", "1"]}, "of float"),
        ({"resized": 1}, "not understood"),
    ],
)
def test_a_forged_summary_is_refused(change, match):
    summary, voxels = parts(make_entry(0))
    forged = seal_json(unseal_json(summary) | change)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=match):
            read(memoryview(forged), voxels)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b"{}", b"[" * 100_000])
def test_a_summary_that_is_no_summary_is_refused(content):
    with pytest.raises(ValueError):
        decode_summary("a.mp4", memoryview(seal(content)))


@pytest.mark.parametrize("content", [b"", b"abc", b"\x28\xb5\x2f\xfd"])
def test_voxels_that_are_no_voxels_are_refused(content):
    summary, _ = parts(make_entry(0))
    with pytest.raises(ValueError, match=r"its voxels|more than it can hold"):
        read(summary, memoryview(seal(content)))
