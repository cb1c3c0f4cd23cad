"""Augmentation and preprocessing of a batch on the network's device.

A loader's worker reads the uint8 ROI and draws a record; all that touches voxels happens here: the
same records, the same stages and the same noise as `stallscan.augment`, and the same result but for
rounding (OpenCV takes places in 1/32 voxel). Samples are worked on one by one, for their sizes
differ, and so that a sample's bytes do not depend on the rest of its batch.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stallscan.augment._stage import fuse
from stallscan.augment._transform import Augmentation, Params, Shape, Spatial, Transform
from stallscan.augment.evaluation import Preprocessing, to_grey
from stallscan.errors import OptionError
from stallscan.training import _device_values
from stallscan.training._device_copy import tensor_on
from stallscan.training._device_input import network_input
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


def on_device(
    samples: Sequence[RawSample],
    augmentation: Augmentation | None,
    preprocessing: Preprocessing,
    device: torch.device,
) -> Tensor:
    """Raw samples → the batch of inputs that the CPU path would make of them.

    That path is ``augmentation(image=…, mask=…)``, of the grey image unless a colour is asked for,
    and then `Preprocessing`. A sample whose record has a transform without a form on a device (see
    `has_device_form`) is augmented on the CPU and goes on here.

    Args:
        samples: of any sizes.
        augmentation: what drew the records; None where no sample has one.
        preprocessing: what comes after it.
        device: where to work.

    Returns:
        ``(n, channels, z, y, x)`` float32 on the device, without gradients.

    Raises:
        OptionError: no sample; an image, mask or record that does not fit; depths that differ where
            the preprocessing keeps them.
    """
    if not samples:
        raise OptionError("samples is empty; a batch has one at least")
    inputs = [
        _input(f"samples[{number}]", sample, augmentation, preprocessing, device)
        for number, sample in enumerate(samples)
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
    2 to 5), gamma with ``stretch=True``, what changes the dtype (ToFloat, FromFloat, Normalize),
    fill values that uint8 does not have (which the CPU path refuses), and transforms of values of
    one's own.
    """
    if not isinstance(transform, Spatial):
        return _device_values.can_apply(transform)
    fills = (getattr(transform, name, 0) for name in ("value", "mask_value"))
    is_linear = getattr(transform, "interpolation", 1) <= 1
    return is_linear and all(fill in range(256) for fill in fills)


def _input(
    name: str,
    sample: RawSample,
    augmentation: Augmentation | None,
    preprocessing: Preprocessing,
    device: torch.device,
) -> Tensor:
    """One sample, ``(channels, z, y, x)``."""
    image, mask, record = sample
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
    if record is not None and augmentation is None:
        raise OptionError(f"{name} has a record; give the augmentation that drew it, got None")
    if not preprocessing.is_colour:
        image = to_grey(image)[..., None]
    stack = mask[None]
    steps: list[tuple[Transform, Params]] = []
    if record is not None and augmentation is not None:
        steps, drawn_for, _ = augmentation.recorded(record)
        if drawn_for != image.shape[:3]:
            raise OptionError(
                f"{name}.image has the extent {image.shape[:3]}, its record was drawn for "
                f"{drawn_for}; draw with augmentation.record(rng, image.shape)"
            )
        if not all(has_device_form(transform) for transform, _ in steps):
            stack = np.broadcast_to(mask, image.shape[:3])
            made = augmentation.replay(record, image=image, mask=stack)
            image, stack, steps = made["image"], made["mask"], []
            if image.dtype != np.uint8:
                raise OptionError(
                    f"{name}.image is {image.dtype} once augmented, preprocessing takes uint8; "
                    "leave Normalize and ToFloat out of the augmentation"
                )
    volume = tensor_on(device, image).permute(3, 0, 1, 2).float()
    outline: Tensor | None = None
    if "mask" in preprocessing.channels:
        outline = tensor_on(device, stack)[None].float()
    volume, outline = _augmented(volume, outline, steps)
    return network_input(volume, outline, preprocessing)


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
