"""Sound files of every format and encoder setting are read whole and called sound."""

import os
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from stacks import N_FRAMES, WRITERS, drawn, encode

from stallscan.video import Clip, iter_frames, read_clip, read_stack

REAL_DATA = os.environ.get("STALLSCAN_REAL_DATA")
FRAGMENTS = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}

ENCODINGS = {
    "B frames": ("a.mp4", {"bf": "3", "b-adapt": "0"}),
    "B frames in avi": ("a.avi", {"bf": "3", "b-adapt": "0"}),
    "open groups": ("a.mkv", {"g": "4", "x264-params": "open-gop=1:bframes=2"}),
    "intra only": ("a.mov", {"g": "1"}),
    "fragments": ("a.mp4", {"muxer": FRAGMENTS, "g": "3"}),
    "fragments, B frames": ("a.mp4", {"muxer": FRAGMENTS, "g": "5", "bf": "2"}),
    "one fragment a frame": ("a.mp4", {"muxer": {"movflags": "frag_every_frame+empty_moov"}}),
    "index behind fragments": ("a.mp4", {"muxer": {"movflags": "frag_keyframe"}, "g": "3"}),
    "table in front": ("a.mp4", {"muxer": {"movflags": "+faststart"}}),
    "no edit list": ("a.mp4", {"muxer": {"use_editlist": "0"}}),
    "negative delays": ("a.mp4", {"muxer": {"movflags": "negative_cts_offsets"}}),
    "starts late": ("a.mp4", {"times": [5 + i for i in range(N_FRAMES)]}),
    "uneven times": ("a.mp4", {"times": [0, 1, 2, 7, 8, 20, 21, 22, 40]}),
    "uneven times in mkv": ("a.mkv", {"times": [0, 1, 2, 7, 8, 20, 21, 22, 40]}),
    "gaps in avi": ("a.avi", {"times": [0, 1, 2, 7, 8, 20, 21, 22, 40], "bf": "0"}),
    "live mkv": ("a.mkv", {"muxer": {"live": "1"}}),
    "clusters of one frame": ("a.mkv", {"muxer": {"cluster_time_limit": "1"}}),
    "full range": ("a.mp4", {"pix_fmt": "yuvj420p"}),
    "yuv444p": ("a.mp4", {"pix_fmt": "yuv444p"}),
    "grey": ("a.mp4", {"pix_fmt": "gray"}),
    "ten bits": ("a.mkv", {"pix_fmt": "yuv420p10le"}),
    "interlaced": ("a.mp4", {"x264-params": "tff=1"}),
    "slices": ("a.mp4", {"x264-params": "slices=4"}),
    "lossless": ("a.mp4", {"qp": "0"}),
    "intra refresh": ("a.mp4", {"x264-params": "intra-refresh=1"}),
    "MPEG-4": ("a.avi", {"codec": "mpeg4"}),
    "MPEG-4 with B frames": ("a.mov", {"codec": "mpeg4", "bf": "2"}),
    "motion JPEG": ("a.avi", {"codec": "mjpeg", "pix_fmt": "yuvj420p"}),
    "raw": ("a.avi", {"codec": "rawvideo", "pix_fmt": "bgr24"}),
    "FFV1": ("a.mkv", {"codec": "ffv1"}),
    "VP8 with hidden frames": (
        "a.webm",
        {"codec": "libvpx", "auto-alt-ref": "1", "lag-in-frames": "8", "deadline": "good"},
    ),
    "VP9": ("a.webm", {"codec": "libvpx-vp9", "lag-in-frames": "16"}),
    "GIF by FFmpeg": ("a.gif", {"codec": "gif", "pix_fmt": "rgb8"}),
    "another name": ("a.M4V", {"muxer": {"movflags": "+faststart"}}),
}


@pytest.mark.parametrize("setting", ENCODINGS)
def test_every_setting_of_an_encoder(tmp_path: Path, setting: str) -> None:
    name, options = ENCODINGS[setting]
    path = tmp_path / name
    plain = path.with_suffix(path.suffix.lower())  # by which FFmpeg picks the format to write
    encode(plain, drawn(), **options)
    plain.rename(path)
    clip = read_clip(path)
    assert clip.n_frames == N_FRAMES and clip.damage == ""


@pytest.mark.parametrize("size", [(31, 47), (33, 48), (32, 49)])
@pytest.mark.parametrize("name", ["a.mp4", "a.gif"])
def test_odd_sizes(tmp_path: Path, size: tuple[int, int], name: str) -> None:
    options = {"codec": "gif", "pix_fmt": "rgb8"} if name == "a.gif" else {"pix_fmt": "yuv444p"}
    encode(tmp_path / name, drawn(5, *size), **options)
    assert read_clip(tmp_path / name).shape == (5, *size)


@pytest.mark.parametrize("n_frames", [2, 8])
@pytest.mark.parametrize("options", [{}, {"duration": 40}, {"comment": b"!,;"}])
def test_gif_by_pillow(tmp_path: Path, n_frames: int, options: dict[str, object]) -> None:
    """Without a duration its images have no control blocks, and FFmpeg joins the first two."""
    images = [Image.fromarray(frame).quantize(64) for frame in drawn(n_frames)]
    images[0].save(tmp_path / "a.gif", save_all=True, append_images=images[1:], **options)
    clip = read_clip(tmp_path / "a.gif")
    expected = np.stack([np.asarray(image.convert("RGB")) for image in images])
    np.testing.assert_array_equal(clip.array, expected)


def test_more_than_eight_bits_are_stretched_and_that_is_recorded(tmp_path: Path) -> None:
    """As an array of the same numbers is."""
    array = np.random.default_rng(5).integers(100, 4096, (4, 32, 48), np.uint16)
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.height, stream.width, stream.pix_fmt = 32, 48, "gray16le"
        for frame in array:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="gray16le")))
        container.mux(stream.encode())
    np.save(tmp_path / "a.npy", array)
    expected = read_clip(tmp_path / "a.npy")
    for clip in (read_clip(tmp_path / "a.mkv"), read_stack(tmp_path / "a.mkv")):
        assert isinstance(clip, Clip) and clip.rescaling == expected.rescaling
        np.testing.assert_allclose(clip.array, expected.array.astype(int), atol=1)


@pytest.mark.parametrize("n_frames", [1, 2, 3])
@pytest.mark.parametrize("name", WRITERS)
def test_short_stacks(tmp_path: Path, name: str, n_frames: int) -> None:
    WRITERS[name](tmp_path / name, drawn(n_frames))
    assert read_clip(tmp_path / name).n_frames == n_frames


@pytest.mark.parametrize("name", WRITERS)
def test_all_ways_to_read_give_the_same(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    WRITERS[name](path, drawn())
    clip = read_clip(path)
    assert clip.n_frames == N_FRAMES and clip.damage == ""
    is_grey = "tif" in name or name == "grey.npy"
    expected = np.repeat(drawn()[..., :1], 3, axis=-1) if is_grey else drawn()
    is_lossless = is_grey or name in ("rgb.npy", "frames")
    assert np.abs(clip.array.astype(int) - expected).mean() < (1e-9 if is_lossless else 8)
    np.testing.assert_array_equal(np.stack(list(iter_frames(path))), clip.array)
    stack = read_stack(path, partial=True)
    assert stack.shape == clip.shape and stack.damage == ""
    np.testing.assert_array_equal(stack.rgb(clip.colored()), clip.array)
    accepted = read_clip(path, partial=True)
    np.testing.assert_array_equal(accepted.array, clip.array)
    assert accepted.damage == ""


@pytest.mark.parametrize("name", ["clip.mp4", "clip.avi", "clip.mkv", "clip.gif"])
def test_the_content_of_a_container_counts_not_its_suffix(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name, drawn())
    expected = read_clip(tmp_path / name).array
    for suffix in (".mp4", ".avi", ".mkv", ".gif"):
        renamed = tmp_path / f"renamed{suffix}"
        renamed.write_bytes((tmp_path / name).read_bytes())
        np.testing.assert_array_equal(read_clip(renamed).array, expected)


@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "a.mkv", "a.mov", "fragments.mp4"])
@pytest.mark.parametrize("is_video_first", [True, False])
def test_sound_beside_the_video(tmp_path: Path, name: str, is_video_first: bool) -> None:
    muxer = {"movflags": "frag_keyframe+empty_moov"} if name == "fragments.mp4" else {}
    with av.open(str(tmp_path / name), "w", options=muxer) as container:
        kinds = [("libx264", 10), ("aac", 8000)]
        streams = {
            codec: container.add_stream(codec, rate=rate)
            for codec, rate in (kinds if is_video_first else kinds[::-1])
        }
        video, audio = streams["libx264"], streams["aac"]
        video.height, video.width, video.pix_fmt = 32, 48, "yuv420p"
        video.options = {"g": "3"}
        for i, rgb in enumerate(drawn()):
            container.mux(video.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
            hum = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.float32), "fltp", "mono")
            hum.sample_rate, hum.pts = 8000, 800 * i
            container.mux(audio.encode(hum))
        for stream in (video, audio):
            container.mux(stream.encode())
    assert read_clip(tmp_path / name).n_frames == N_FRAMES


def test_rewrapped_streams_keep_their_frames(tmp_path: Path) -> None:
    encode(tmp_path / "a.mp4", drawn(), bf="2")
    for name in ("a.mkv", "a.mov"):
        with av.open(str(tmp_path / "a.mp4")) as old, av.open(str(tmp_path / name), "w") as new:
            stream = new.add_stream_from_template(old.streams.video[0])
            for packet in old.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    new.mux(packet)
        assert read_clip(tmp_path / name).n_frames == N_FRAMES


@pytest.mark.parametrize("n_cut", [1, 3])
def test_frames_that_an_edit_list_hides_do_not_count(tmp_path: Path, n_cut: int) -> None:
    """Cutting without encoding keeps the frames from the last key frame on, and hides them."""
    encode(tmp_path / "a.mp4", drawn(), bf="2", **{"b-adapt": "0"})
    path = tmp_path / "cut.mp4"
    with av.open(str(tmp_path / "a.mp4")) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.size:
                shift = round(n_cut / 10 / packet.time_base)
                packet.pts, packet.dts, packet.stream = (
                    packet.pts - shift,
                    packet.dts - shift,
                    stream,
                )
                new.mux(packet)
    whole, cut = read_clip(tmp_path / "a.mp4").array, read_clip(path)
    assert cut.damage == ""
    np.testing.assert_array_equal(cut.array, whole[n_cut:])


def test_metadata_in_another_encoding(tmp_path: Path) -> None:
    encode(tmp_path / "a.mp4", drawn())
    data = (tmp_path / "a.mp4").read_bytes()
    assert data.count(b"Lavf") == 1
    (tmp_path / "a.mp4").write_bytes(data.replace(b"Lavf", b"L\xe4vf"))
    assert read_clip(tmp_path / "a.mp4").n_frames == N_FRAMES


@pytest.mark.skipif(REAL_DATA is None, reason="STALLSCAN_REAL_DATA is not set")
@pytest.mark.parametrize(("name", "n_frames"), [("105668", 39), ("200149", 16)])
def test_real_clips(name: str, n_frames: int) -> None:
    clip = read_clip(Path(str(REAL_DATA)) / "clips" / f"{name}.gif")
    assert clip.shape == (n_frames, 240, 320) and clip.damage == ""
