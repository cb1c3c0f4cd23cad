"""Transforms of values on a tensor: tables, holes, and the noises of `augment._noise`.

Noise is drawn from the very counter of `augment._noise`, whose numbers depend on the seed and the
place alone: given the same image, the result is that of the CPU path, value for value.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor

from stallscan.augment._dropout import Dropout
from stallscan.augment._noise import normal_quantiles
from stallscan.augment._transform import Params, Pixel, Transform
from stallscan.augment.bias_field import BiasField, gains
from stallscan.augment.frame_jitter import FrameJitter
from stallscan.augment.gaussian_noise import GaussianNoise
from stallscan.augment.poisson_gamma import PoissonGamma, photon_answers
from stallscan.augment.posterize import Posterize
from stallscan.augment.random_brightness_contrast import RandomBrightnessContrast
from stallscan.augment.random_gamma import RandomGamma
from stallscan.augment.row_noise import RowNoise, row_filters
from stallscan.augment.solarize import Solarize
from stallscan.training._device_copy import tensor_on

_BYTES = range(256)
_ALWAYS = (BiasField, FrameJitter, GaussianNoise, PoissonGamma, Posterize, RowNoise, Solarize)


def can_apply(transform: Transform) -> bool:
    """Whether `apply` knows this transform with these options."""
    if isinstance(transform, Dropout):
        fills = (transform.fill_value, transform.mask_fill_value or 0)
        return all(fill in _BYTES for fill in fills)  # else the CPU path says what is wrong
    if isinstance(transform, RandomGamma):
        return not transform.stretch  # which asks for the darkest and brightest value first
    if isinstance(transform, RandomBrightnessContrast):
        return transform.brightness_by_max  # else it asks for the mean first
    return isinstance(transform, _ALWAYS)


def apply(volume: Tensor, transform: Transform, params: Params) -> Tensor:
    """The image with these parameters.

    Args:
        volume: ``(c, z, y, x)`` float32 of whole numbers, 0 to 255.
        transform: one that `can_apply`.
        params: what it has drawn.

    Returns:
        The same shape, float32 of whole numbers, 0 to 255.
    """
    match transform:
        case GaussianNoise():
            return _with_independent(volume, params)
        case RowNoise():
            return _with_rows(volume, params)
        case PoissonGamma():
            return _detected(volume, params)
        case BiasField():
            return _shaded(volume, params)
        case Dropout():
            return _cut(volume, transform, params, transform.fill_value)
        case Pixel():
            table = transform.table(params, volume.shape[1])
            if table is not None:
                return _looked_up(volume, tensor_on(volume.device, table))
    raise TypeError(f"no form on a device: {transform!r}")


def apply_to_mask(mask: Tensor, transform: Transform, params: Params) -> Tensor:
    """The mask ``(1, z, y, x)`` with these parameters: holes may be cut, all else leaves it."""
    if isinstance(transform, Dropout) and transform.mask_fill_value is not None:
        return _cut(mask, transform, params, transform.mask_fill_value)
    return mask


def _looked_up(volume: Tensor, table: Tensor) -> Tensor:
    """By a table ``(256,)`` or, by frame, ``(z, 256)``."""
    value = volume.long()
    if table.ndim == 2:
        value += 256 * torch.arange(len(table), device=volume.device)[:, None, None]
    return table.reshape(-1)[value].float()


def _cut(volume: Tensor, transform: Dropout, params: Params, fill: float) -> Tensor:
    inside = np.zeros(tuple(volume.shape[1:]), bool)
    transform.cut(inside, params, np.array(True))
    return torch.where(tensor_on(volume.device, inside), fill, volume)


def _shaded(volume: Tensor, params: Params) -> Tensor:
    _, depth, height, width = volume.shape
    along_z, plane = (
        tensor_on(volume.device, gain) for gain in gains(params, (depth, height, width))
    )
    return _saturated(volume * (along_z[:, None, None] * plane))


# --- Noise ------------------------------------------------------------------------------------


def _with_independent(volume: Tensor, params: Params) -> Tensor:
    channels, *extents = volume.shape
    table = params["std"] * _quantiles(volume.device) + params["mean"]
    noise = _drawn(params["noise_seed"], volume.numel(), table.float())
    return _saturated(volume + noise.reshape(*extents, channels).permute(3, 0, 1, 2))


def _with_rows(volume: Tensor, params: Params) -> Tensor:
    _, depth, height, width = volume.shape
    along, across = (taps.tolist() for taps in row_filters())
    n = (width + len(along) + 2) // 4 * 4  # one row before the first one belongs to each frame
    table = (params["std"] * _quantiles(volume.device)).float()
    white = _drawn(params["noise_seed"], depth * (height + 1) * n, table)
    white = white.reshape(depth, height + 1, n)
    # The sums are taken in the order of the CPU path.
    rows = torch.zeros(depth, height + 1, width, device=volume.device)
    for tap, weight in enumerate(along):
        rows += weight * white[..., tap : tap + width]
    return _saturated(volume + (across[0] * rows[:, 1:] + across[1] * rows[:, :-1]))


def _detected(volume: Tensor, params: Params) -> Tensor:
    _, *extents = volume.shape
    answers = tensor_on(volume.device, photon_answers(params["photons"]))
    read = (params["read_sigma"] * _quantiles(volume.device)).float()
    bits = _words(params["noise_seed"], volume[0].numel(), volume.device).reshape(extents)
    offset = read[_shifted(bits, 16) & 0xFFFF] + 0.5
    # The highest bits choose between two levels where a value lies between: no whole number does.
    return _floored(answers[volume.long(), bits & 1023] + offset)


def _saturated(values: Tensor) -> Tensor:
    return _floored(values + 0.5)


def _floored(values: Tensor) -> Tensor:
    return torch.floor(values.clamp(0, 255))


@functools.cache
def _quantiles(device: torch.device) -> Tensor:
    return tensor_on(device, normal_quantiles())


def _drawn(seed: int, n: int, table: Tensor) -> Tensor:
    """``(n,)`` values of a table of 65,536, four from each word."""
    parts = torch.arange(0, 64, 16, device=table.device)
    places = (_words(seed, -(-n // 4), table.device)[:, None] >> parts) & 0xFFFF
    return table[places.reshape(-1)[:n]]


def _signed(bits: int) -> int:
    """The int64 of the same bits."""
    return int(np.uint64(bits).astype(np.int64))


_STEP = _signed(0x9E3779B97F4A7C15)
_MIX_A, _MIX_B = _signed(0xBF58476D1CE4E5B9), _signed(0x94D049BB133111EB)


def _words(seed: int, n: int, device: torch.device) -> Tensor:
    """The first n outputs of splitmix64, int64 of the same bits; products wrap as unsigned ones."""
    state = _scrambled(torch.full((1,), seed, dtype=torch.int64, device=device))
    return _scrambled(state + _STEP * torch.arange(1, n + 1, device=device))


def _scrambled(bits: Tensor) -> Tensor:
    bits = (bits ^ _shifted(bits, 30)) * _MIX_A
    bits = (bits ^ _shifted(bits, 27)) * _MIX_B
    return bits ^ _shifted(bits, 31)


def _shifted(bits: Tensor, by: int) -> Tensor:
    """To the right, zeros coming in: int64's own shift repeats the sign."""
    return (bits >> by) & ((1 << (64 - by)) - 1)
