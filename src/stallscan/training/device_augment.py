"""Augmentation and preprocessing of a batch on the network's device.

A loader's worker reads the uint8 ROI and draws a record; all that touches voxels happens here: the
same records, the same stages and the same noise as `stallscan.augment`, and the same result but for
rounding (OpenCV takes places in 1/32 voxel). Samples are worked on one by one, for their sizes
differ, and so that a sample's bytes do not depend on the rest of its batch.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stallscan.augment._stage import fuse
from stallscan.augment._transform import Augmentation, Params, Shape, Spatial, Transform
from stallscan.augment.evaluation import Preprocessing, to_grey
from stallscan.errors import OptionError
from stallscan.training import _device_input, _device_values
from stallscan.training._device_copy import tensor_on
from stallscan.training._device_resample import run_stage


class RawSample(NamedTuple):
    """What a loader's worker makes of a ROI.

    Attributes:
        image: ``(z, y, x, c)`` uint8, c 1 or 3, at its own size. One channel is enough, and a third
            to transfer, where the preprocessing asks for no colour.
        mask: ``(y, x)`` uint8, the filled outline.
        record: of ``augmentation.record(rng, image.shape)``; None: not augmented.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    record: dict[str, Any] | None


@dataclass(frozen=True, slots=True, eq=False)
class RawBatch:
    """Raw samples in one block of memory, so that a batch travels in one piece.

    Attributes:
        voxels: ``(bytes,)`` uint8 on the CPU: image and mask of each sample, one after another.
        shapes: ``(z, y, x, c)`` of the images.
        records: see `RawSample`.
    """

    voxels: Tensor
    shapes: list[tuple[int, ...]]
    records: list[dict[str, Any] | None]

    @classmethod
    def pack(cls, samples: Sequence[RawSample]) -> RawBatch:
        """Samples of any sizes → batch.

        Raises:
            OptionError: no sample; an image or mask that does not fit.
        """
        if not samples:
            raise OptionError("samples is empty; a batch has one at least")
        for number, sample in enumerate(samples):
            _check(f"samples[{number}]", sample)
        arrays = [array for sample in samples for array in (sample.image, sample.mask)]
        return cls(
            torch.from_numpy(np.concatenate(arrays, axis=None)),
            [sample.image.shape for sample in samples],
            [sample.record for sample in samples],
        )

    def pin_memory(self) -> RawBatch:
        """What a DataLoader asks for, which copies to a device without waiting for it."""
        return replace(self, voxels=self.voxels.pin_memory())

    def split(self, voxels: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Image ``(z, y, x, c)`` and mask ``(y, x)`` of each sample in a copy of `voxels`."""
        extents = [extent for shape in self.shapes for extent in (shape, shape[1:3])]
        parts = torch.split(voxels, [math.prod(extent) for extent in extents])
        views = [part.view(extent) for part, extent in zip(parts, extents, strict=True)]
        return zip(views[::2], views[1::2], strict=True)


def _check(name: str, sample: RawSample) -> None:
    image, mask, _ = sample
    if image.dtype != np.uint8 or image.ndim != 4 or image.shape[3] not in (1, 3) or not image.size:
        raise OptionError(
            f"{name}.image is {image.dtype} of shape {image.shape}, allowed are (z, y, x, 1) and "
            "(z, y, x, 3) of uint8, not empty"
        )
    if mask.dtype != np.uint8 or mask.shape != image.shape[1:3]:
        raise OptionError(
            f"{name}.mask is {mask.dtype} of shape {mask.shape}, allowed is uint8 of the image's "
            f"plane, {image.shape[1:3]}"
        )


def on_device(
    batch: RawBatch,
    augmentation: Augmentation | None,
    preprocessing: Preprocessing,
    device: torch.device,
) -> Tensor:
    """Raw samples → the batch of inputs that the CPU path would make of them.

    That path is ``augmentation(image=…, mask=…)``, of the grey image unless a colour is asked for,
    and then `Preprocessing`. A sample whose record has a transform without a form on a device (see
    `has_device_form`) is augmented on the CPU and goes on here.

    Args:
        batch: the samples.
        augmentation: what drew the records; None where no sample has one.
        preprocessing: what comes after it.
        device: where to work.

    Returns:
        ``(n, channels, z, y, x)`` float32 on the device, without gradients.

    Raises:
        OptionError: a record that does not fit; depths that differ where the preprocessing keeps
            them; a view along the vessel, which workers make.
    """
    if preprocessing.view != "box":
        raise OptionError(
            f"Preprocessing.view is {preprocessing.view!r}, allowed on a device is 'box'; let the "
            "loader's workers make the inputs"
        )
    copy = batch.voxels.to(device, non_blocking=True)
    parts = zip(batch.split(batch.voxels), batch.split(copy), batch.records, strict=True)
    inputs = [
        _input(f"samples[{number}]", *part, augmentation, preprocessing)
        for number, part in enumerate(parts)
    ]
    depths = sorted({made.shape[1] for made in inputs})
    if len(depths) > 1:
        raise OptionError(
            f"the samples have {', '.join(map(str, depths))} slices, and Preprocessing.size is "
            f"{preprocessing.size}; a batch has one depth: name one in size, or give samples of "
            "the same depth"
        )
    return torch.stack(inputs)


def has_device_form(transform: Transform) -> bool:
    """Whether a transform with its options can be applied on a device.

    These cannot, and send the samples that have drawn them through the CPU: splines (interpolation
    2 to 5), what counts the volume's grey levels first (gamma with ``stretch=True``, brightness
    with ``brightness_by_max=False``, HistogramNormalize, HistogramMatching, CLAHE), what changes
    the dtype (ToFloat, FromFloat, Normalize), fill values that uint8 does not have (which the CPU
    path refuses), blurs, sharpening and lossy files, Attenuation, what changes masks alone
    (OutlineJitter), and transforms of values of one's own.
    """
    if not isinstance(transform, Spatial):
        return _device_values.can_apply(transform)
    fills = (getattr(transform, name, 0) for name in ("value", "mask_value"))
    is_linear = getattr(transform, "interpolation", 1) <= 1
    return is_linear and all(fill in range(256) for fill in fills)


def _input(
    name: str,
    here: tuple[Tensor, Tensor],
    there: tuple[Tensor, Tensor],
    record: dict[str, Any] | None,
    augmentation: Augmentation | None,
    preprocessing: Preprocessing,
) -> Tensor:
    """One sample, ``(channels, z, y, x)``, from its voxels on the CPU and on the device."""
    image, mask = there[0].permute(3, 0, 1, 2), there[1][None, None]
    steps: list[tuple[Transform, Params]] = []
    if record is not None:
        if augmentation is None:
            raise OptionError(f"{name} has a record; give the augmentation that drew it, got None")
        steps, drawn_for, _ = augmentation.recorded(record)
        if drawn_for != image.shape[1:]:
            raise OptionError(
                f"{name}.image has the extent {tuple(image.shape[1:])}, its record was drawn for "
                f"{drawn_for}; draw with augmentation.record(rng, image.shape)"
            )
        if not all(has_device_form(transform) for transform, _ in steps):
            made = _on_cpu(name, here, record, augmentation, preprocessing)
            image, mask = (tensor_on(image.device, array) for array in made)
            steps = []
    volume = image.float()
    if not preprocessing.is_colour:
        volume = _device_input.to_grey(volume)
    outline = mask.float() if "mask" in preprocessing.channels else None
    volume, outline = _augmented(volume, outline, steps)
    return _device_input.network_input(volume, outline, preprocessing)


def _on_cpu(
    name: str,
    voxels: tuple[Tensor, Tensor],
    record: dict[str, Any],
    augmentation: Augmentation,
    preprocessing: Preprocessing,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Image ``(c, z, y, x)`` and mask ``(1, z, y, x)``, augmented."""
    image, mask = (part.numpy() for part in voxels)
    if not preprocessing.is_colour:
        image = to_grey(image)[..., None]
    stack = np.broadcast_to(mask, image.shape[:3])
    made = augmentation.replay(record, image=image, mask=stack)
    if made["image"].dtype != np.uint8:
        raise OptionError(
            f"{name}.image is {made['image'].dtype} once augmented, preprocessing takes uint8; "
            "leave Normalize and ToFloat out of the augmentation"
        )
    return made["image"].transpose(3, 0, 1, 2), made["mask"][None]


def _augmented(
    image: Tensor, mask: Tensor | None, steps: Sequence[tuple[Transform, Params]]
) -> tuple[Tensor, Tensor | None]:
    """Drawn transforms applied to ``(c, z, y, x)`` and to the mask ``(1, z or 1, y, x)``."""
    if mask is not None and steps:
        mask = mask.expand(-1, image.shape[1], -1, -1)
    for spatial, group in itertools.groupby(steps, lambda step: isinstance(step[0], Spatial)):
        if spatial:
            image, mask = _moved(image, mask, list(group))
            continue
        for transform, params in group:
            image = _device_values.apply(image, transform, params)
            if mask is not None:
                mask = _device_values.apply_to_mask(mask, transform, params)
    return image, mask


def _moved(
    image: Tensor, mask: Tensor | None, steps: Sequence[tuple[Transform, Params]]
) -> tuple[Tensor, Tensor | None]:
    """Consecutive spatial transforms, resampled once where their maps compose."""
    _, depth, height, width = image.shape
    start: Shape = (depth, height, width)
    maps, shape = [], start
    for transform, params in steps:
        assert isinstance(transform, Spatial)
        for map_ in transform.map(params, shape):
            maps.append(map_)
            shape = map_.out_shape(shape)
    for stage in fuse(start, maps):
        image = run_stage(image, stage, labels=False)
        if mask is not None:
            mask = run_stage(mask, stage, labels=True)
    return image, mask
