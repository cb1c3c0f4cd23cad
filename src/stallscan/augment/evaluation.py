"""Volume → network input: the one way, recorded in model.json, for training and inference alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from stallscan.errors import OptionError

if TYPE_CHECKING:
    from stallscan.roi.volume import Volume

COLOURS = ("red", "green", "blue")
"""The channels of RGB, by their place in it."""

CHANNELS = ("grey", "change", "mask", *COLOURS)
"""What a channel of the input can be: standardised grey; its change from slice to slice, on the
same scale; the filled outline (0 and 1); the colours with the drawn outline in them, on the scale
of ImageNet's."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""Of red, green and blue over ImageNet's images, in [0, 1]; networks that were trained on them
expect colours minus this, over `IMAGENET_STD`."""

IMAGENET_STD = (0.229, 0.224, 0.225)
"""See `IMAGENET_MEAN`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """How a volume becomes the input of a network; called, it does so.

    The grey is the luma of RGB, resized with half-pixel centres (averaging where a slice shrinks,
    linear where it grows, linear along z), minus its mean, over its standard deviation. The change
    is taken between the slices of the stack itself, before the depth is resized: moving cells show
    from one slice to the next, and interpolated slices would hide that. The colours are resized
    as the grey is and scaled as ImageNet's are, whatever the stack: the paper's networks saw the
    drawn outline in them, not as a mask. An image of one channel serves as all three.

    The view is the whole box of the outline, as in the paper, or the vessel's: the stack is sampled
    along the outline's middle and some pixels to both sides of it (`Straightening`), so that every
    vessel runs the same way, in the middle of the input, at one scale.

    Attributes:
        size: ``(z, y, x)`` of the input; with None for z a stack keeps its own number of slices. In
            the vessel's view y runs along the vessel and x across it.
        channels: in this order, from `CHANNELS`.
        view: ``box`` or ``vessel``.
        spacing_px: pixels of the stack for one of the input, at least, in the vessel's view.
    """

    size: tuple[int | None, int, int]
    channels: tuple[str, ...] = ("grey", "change", "mask")
    view: Literal["box", "vessel"] = "box"
    spacing_px: float = 1.25

    def __post_init__(self) -> None:
        extents = self.size[1:] if self.size and self.size[0] is None else self.size
        whole = all(isinstance(extent, int) and extent >= 1 for extent in extents)
        if len(self.size) != 3 or not whole:
            raise ValueError(
                f"size is {self.size}, allowed are three positive extents (z, y, x) in whole "
                "numbers, None for z where a stack keeps its own depth"
            )
        unknown = [channel for channel in self.channels if channel not in CHANNELS]
        if unknown or not self.channels:
            raise ValueError(f"channels are {self.channels}, allowed are {', '.join(CHANNELS)}")
        if self.view not in ("box", "vessel"):
            raise ValueError(f"view is {self.view!r}, allowed are 'box' and 'vessel'")
        if not 0.25 <= self.spacing_px <= 16:
            raise ValueError(f"spacing_px is {self.spacing_px}, allowed are 0.25 to 16")

    @property
    def needs_mask(self) -> bool:
        """Whether the filled outline must be given with the image."""
        return "mask" in self.channels or self.view == "vessel"

    @property
    def is_colour(self) -> bool:
        """Whether a channel is one of `COLOURS`, so that grey alone would not do as the image."""
        return any(channel in COLOURS for channel in self.channels)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Preprocessing:
        """From JSON, where tuples are lists and None is null."""
        tuples = {key: tuple(value) for key, value in fields.items() if isinstance(value, list)}
        return cls(**(fields | tuples))

    def __call__(
        self,
        *,
        image: NDArray[np.uint8] | Volume,
        mask: NDArray[Any] | None = None,
        rng: object = None,
    ) -> dict[str, NDArray[np.float32]]:
        """A volume as the network wants it; called as the augmenting pipelines are.

        Args:
            image: ``(z, y, x)`` or ``(z, y, x, c)`` uint8 with c 1 or 3, or a `Volume`, which has
                its mask with it.
            mask: the filled outline, ``(y, x)``, or ``(z, y, x)`` once it has been augmented; only
                the channel ``mask`` and the vessel's view need it.
            rng: taken and not used: nothing is random here.

        Returns:
            ``image``: ``(channels, z, y, x)`` float32.

        Raises:
            OptionError: an image or a mask that does not fit, or a mask that is empty, where the
                view is the vessel's.
        """
        if not isinstance(image, np.ndarray):
            mask = image.mask if mask is None else mask
            image = image.array
        array = image if image.ndim == 4 else image[..., None]
        if array.ndim != 4 or array.shape[3] not in (1, 3) or array.dtype != np.uint8:
            raise OptionError(
                f"image is {image.dtype} of shape {image.shape}, allowed are (z, y, x), "
                "(z, y, x, 1) and (z, y, x, 3) of uint8"
            )
        if self.needs_mask:
            if mask is None:
                what = "the channel mask" if "mask" in self.channels else "the vessel's view"
                raise OptionError(f"{what} needs mask=, the filled outline (y, x)")
            if mask.shape not in (array.shape[1:3], array.shape[:3]):
                raise OptionError(
                    f"mask has the shape {mask.shape}, allowed are {array.shape[1:3]} and "
                    f"{array.shape[:3]}"
                )
        return {"image": _network_input(array, mask, self)}


def preprocess(volume: Volume, preprocessing: Preprocessing) -> NDArray[np.float32]:
    """Resize a ROI and standardise its grey: ``preprocessing(image=…, mask=…)`` of a `Volume`.

    Returns:
        ``(c, z, y, x)`` float32.
    """
    return preprocessing(image=volume)["image"]


def _network_input(
    array: NDArray[np.uint8], mask: NDArray[Any] | None, preprocessing: Preprocessing
) -> NDArray[np.float32]:
    channels, plane = preprocessing.channels, preprocessing.size[1:]
    depth = preprocessing.size[0] or len(array)
    made = np.empty((len(channels), depth, *plane), np.float32)
    look = _view(mask, preprocessing)
    if "grey" in channels or "change" in channels:
        flat = look(to_grey(array))  # (native z, y, x)
        mean, spread = flat.mean(), max(float(flat.std()), 1.0)
    for channel, target in zip(channels, made, strict=True):
        if channel == "grey":
            _resize_depth((flat - mean) / spread, target)
        elif channel == "change":
            _resize_depth(_change(flat) / spread, target)
        elif channel == "mask":
            assert mask is not None
            stack = mask[None] if mask.ndim == 2 else mask  # one slice serves for all
            _resize_depth(look(stack.astype(np.uint8)), target)
        else:
            place = COLOURS.index(channel)
            colour = look(array[..., place if array.shape[3] == 3 else 0])
            _resize_depth(_as_imagenet(colour, place), target)
    return made


def _view(
    mask: NDArray[Any] | None, preprocessing: Preprocessing
) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """``(z, y, x)`` uint8 → ``(z, *plane)`` float32: each slice as the network sees it."""
    plane = preprocessing.size[1:]
    if preprocessing.view == "box":
        return partial(_resize_plane, size=plane)
    from stallscan.augment.straighten import straightening  # which needs another room

    assert mask is not None
    # Augmented outlines differ from slice to slice; the line is that of most of them.
    outline = mask > 0 if mask.ndim == 2 else (mask > 0).mean(axis=0) >= 0.5
    return straightening(outline, plane, preprocessing.spacing_px)


def _as_imagenet(colour: NDArray[np.float32], place: int) -> NDArray[np.float32]:
    """0–255 → on the scale of ImageNet's colours, in place."""
    scale = 1 / (255 * IMAGENET_STD[place])
    colour *= scale
    colour -= IMAGENET_MEAN[place] / IMAGENET_STD[place]
    return colour


def to_grey(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """``(z, y, x, c)`` → ``(z, y, x)`` luma, uint8."""
    if array.shape[3] == 1:
        return array[..., 0]
    depth, height, width, _ = array.shape
    flat = array.reshape(depth * height, width, 3)  # cvtColor wants one image
    grey: NDArray[np.uint8] = cv2.cvtColor(flat, cv2.COLOR_RGB2GRAY)  # type: ignore[assignment]
    return grey.reshape(depth, height, width)


def _change(slices: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean absolute difference to the slice before and the slice after, slightly smoothed.

    The same when time runs backwards. A single slice has no change: zeros.
    """
    if len(slices) == 1:
        return np.zeros_like(slices)
    smooth = np.empty_like(slices)
    for plane, target in zip(slices, smooth, strict=True):
        cv2.GaussianBlur(plane, (0, 0), 1.0, dst=target)
    steps = np.abs(np.diff(smooth, axis=0))
    mean = smooth  # whose room is free
    mean[0], mean[-1] = steps[0], steps[-1]
    np.add(steps[:-1], steps[1:], out=mean[1:-1])
    mean[1:-1] /= 2
    return mean


def _resize_plane(stack: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.float32]:
    """``(z, y, x)`` uint8 → ``(z, *size)`` float32."""
    height, width = size
    if stack.shape[1:] == size:
        return stack.astype(np.float32)
    shrinks = stack.shape[1] * stack.shape[2] > height * width
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized = np.empty((len(stack), height, width), np.float32)
    for source, target in zip(stack, resized, strict=True):
        cv2.resize(source.astype(np.float32), (width, height), dst=target, interpolation=method)
    return resized


def _resize_depth(slices: NDArray[np.float32], target: NDArray[np.float32]) -> None:
    """``(z, y, x)`` into ``(depth, y, x)``, linear with half-pixel centres."""
    if len(slices) in (1, len(target)):
        target[:] = slices
        return
    # Slice k of the result lies at (k + 0.5) * ratio - 0.5 of the source.
    last = len(slices) - 1
    place = np.clip((np.arange(len(target)) + 0.5) * len(slices) / len(target) - 0.5, 0, last)
    lower = np.floor(place).astype(int)
    upper = np.minimum(lower + 1, last)
    weight = (place - lower).astype(np.float32)
    for k, plane in enumerate(target):  # one at a time: it stays in the cache
        np.multiply(slices[lower[k]], 1 - weight[k], out=plane)
        plane += slices[upper[k]] * weight[k]
