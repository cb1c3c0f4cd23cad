"""Stacks on disk for the tests of the room: one small clip in every format."""

from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import tifffile
from PIL import Image

N_FRAMES, HEIGHT, WIDTH = 9, 32, 48


def drawn(n_frames: int = N_FRAMES, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Moving ramps with noise and an orange bar: ``(z, y, x, 3)`` uint8."""
    z, y, x = np.ogrid[:n_frames, :height, :width]
    noise = np.random.default_rng(7).integers(0, 60, (n_frames, height, width))
    grey = (noise + 8 * z + 3 * x + 0 * y).clip(0, 199).astype(np.uint8)
    array = np.repeat(grey[..., None], 3, axis=-1)
    array[:, height // 4 : height // 3, width // 4 : width // 2] = (240, 104, 17)
    return array


def encode(
    path: Path,
    array: np.ndarray,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    muxer: dict[str, str] | None = None,
    times: list[int] | None = None,
    color_range: int = 0,
    colorspace: int = 2,
    **options: str,
) -> None:
    """Encode with any setting; ``times`` are in tenths of a second."""
    with av.open(str(path), "w", options=muxer or {}) as container:
        stream = container.add_stream(codec, rate=10)
        stream.height, stream.width = array.shape[1:3]
        stream.pix_fmt, stream.options = pix_fmt, options
        stream.codec_context.color_range = color_range
        stream.codec_context.colorspace = colorspace
        for i, rgb in enumerate(array):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame = frame.reformat(
                format=pix_fmt,
                dst_colorspace=1 if colorspace == 1 else None,
                dst_color_range=color_range or None,
            )
            frame.pts = i if times is None else times[i]
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def write_gif(path: Path, array: np.ndarray) -> None:
    first, *rest = [Image.fromarray(frame).quantize(256) for frame in array]
    first.save(path, save_all=True, append_images=rest, duration=100)


def write_plain_tiff(path: Path, array: np.ndarray) -> None:
    """A TIFF that says nowhere how many pages it has."""
    with tifffile.TiffWriter(path) as writer:
        for frame in array[..., 0]:
            writer.write(frame, metadata=None)


def write_frames(path: Path, array: np.ndarray, suffix: str = ".png") -> None:
    """A folder of frames, numbered without leading zeros; the array is RGB or grey."""
    path.mkdir()
    for i, frame in enumerate(array):
        bgr = frame[..., ::-1] if frame.ndim == 3 else frame
        assert cv2.imwrite(str(path / f"frame_{i}{suffix}"), bgr)


WRITERS: dict[str, Callable[[Path, np.ndarray], object]] = {
    "clip.mp4": encode,
    "fast.mp4": lambda path, array: encode(path, array, muxer={"movflags": "+faststart"}, bf="0"),
    "fragments.mp4": lambda path, array: encode(
        path, array, muxer={"movflags": "frag_keyframe+empty_moov"}, g="4"
    ),
    "clip.mov": encode,
    "clip.avi": encode,
    "mpeg4.avi": lambda path, array: encode(path, array, "mpeg4", b="2M"),
    "clip.mkv": encode,
    "clip.webm": lambda path, array: encode(path, array, "libvpx-vp9", deadline="realtime"),
    "clip.gif": write_gif,
    "grey.tif": lambda path, array: tifffile.imwrite(path, array[..., 0], photometric="minisblack"),
    "imagej.tif": lambda path, array: tifffile.imwrite(
        path, array[..., 0], imagej=True, metadata={"axes": "ZYX"}
    ),
    "plain.tif": write_plain_tiff,
    "clip.ome.tif": lambda path, array: tifffile.imwrite(
        path, array[..., 0], ome=True, metadata={"axes": "ZYX"}, compression="zlib"
    ),
    "grey.npy": lambda path, array: np.save(path, array[..., 0]),
    "rgb.npy": np.save,
    "frames": write_frames,
}
"""Name → writer of that format."""
