"""The noise of a photomultiplier."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammainc, gammaln, ndtri, xlogy

from stallscan.augment import _checks
from stallscan.augment._checks import Range
from stallscan.augment._noise import detect, normal_quantiles
from stallscan.augment._transform import Params, Pixel, Shape
from stallscan.augment._values import ends, in_greys

GAMMA_SHAPE = 3.0
"""Of the amplitude that a photomultiplier makes of one photon."""
_SHARES = (np.arange(1024) + 0.5) / 1024
_FEW = 32.0  # photons up to which the distribution is tabulated
_N_MEANS = 384


@dataclass(frozen=True)
class PoissonGamma(Pixel):
    """Detect every voxel anew: Poisson photons, each of Gamma(3) amplitude, and read noise.

    A voxel of grey level g, of 255, sends g / 255 · `photons` on average. The mean stays (but for
    what saturates); the variance is ``4/3 · 255 / photons · g + read_sigma²``. With one photon of
    3 / a grey levels that is the detector's ``4/a · g + σ²``: a = 0.44, σ = 6 to 8, measured on
    real videos, is 37 photons at white and 20 to 30 in the plasma.

    The sum of the amplitudes is drawn from 1,024 equally probable values for each grey level. Up to
    32 photons these are quantiles of the compound distribution itself (where a dark voxel mostly
    gets exactly nothing, which no normal distribution does); above, a Cornish–Fisher expansion with
    the exact four cumulants, whose probabilities are then within 0.0001.

    Grey levels are 8-bit whatever the dtype: 1 is 257 of uint16 and 1/255 of float32, whose images
    lie in [0, 1]. Channels of a voxel share their draws: a grey image stays grey.

    Attributes:
        photons: photons a voxel at white, a pair (drawn log-evenly) or n for (n, n).
        read_sigma: standard deviation of the read noise in grey levels, a pair or n for (n, n).
        always_apply: whatever p says.
        p: probability.

    Example:
        >>> detected = PoissonGamma(photons=(25, 75), read_sigma=(6, 8), p=0.3)
    """

    photons: Range = (25.0, 75.0)
    read_sigma: Range = (6.0, 8.0)
    always_apply: bool = False
    p: float = 0.5

    def check(self) -> None:
        """See `Transform.check`."""
        photons = _checks.pair("PoissonGamma.photons", self.photons, 0.1, 1e6, number="exact")
        sigma = _checks.pair("PoissonGamma.read_sigma", self.read_sigma, 0, 255, number="exact")
        self._set(photons=photons, read_sigma=sigma)

    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """Photons at white, read noise in grey levels, and the seed of the noise."""
        photons = float(np.exp(rng.uniform(*np.log(ends(self.photons)))))
        sigma = float(rng.uniform(*ends(self.read_sigma)))
        seed = int(rng.integers(2**63))
        return {"photons": photons, "read_sigma": sigma, "noise_seed": seed}

    def apply(self, volume: NDArray[Any], params: Params) -> NDArray[Any]:
        """See `Transform.apply`."""
        grey, half, white = in_greys("PoissonGamma", volume)
        answers = photon_answers(params["photons"]) * grey
        read = (params["read_sigma"] * grey * normal_quantiles()).astype(np.float32)
        channels = volume.shape[3] if volume.ndim == 4 else 1
        values = np.ascontiguousarray(volume).reshape(-1, channels)
        out = np.empty_like(values)
        seed = np.uint64(params["noise_seed"])
        detect(values, answers, read, seed, 1 / grey, half, white, out)
        return out.reshape(volume.shape)


def photon_answers(photons: float) -> NDArray[np.float32]:
    """``(257, 1024)``: what the photons of each grey level make, in grey levels."""
    amplitude = 255 / photons
    means = np.arange(257) / amplitude
    answers = np.empty((257, 1024), np.float32)
    n_few = int(np.searchsorted(means, _FEW, side="right"))
    # In proportion between tabulated means: so is the mean of the answers.
    place = np.sqrt(means[:n_few] / _FEW) * (_N_MEANS - 1)
    table, known = _few_photons()
    row = np.minimum(place.astype(int), _N_MEANS - 2)
    share = ((means[:n_few] - known[row]) / (known[row + 1] - known[row])).astype(np.float32)
    answers[:n_few] = table[row] + share[:, None] * (table[row + 1] - table[row])
    answers[n_few:] = _many_photons(means[n_few:])
    answers *= np.float32(amplitude)
    return answers


@functools.cache
def _few_photons() -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Quantiles ``(n, 1024)`` of the summed amplitudes, in photons, and the means they belong to.

    The means lie densest where they are few: ``(i / (n - 1))² · 32``.
    """
    means = np.linspace(0, 1, _N_MEANS) ** 2 * _FEW
    photons = np.arange(1, 120)
    sums = np.linspace(0, 10, 800) ** 2
    below = gammainc(GAMMA_SHAPE * photons[:, None], GAMMA_SHAPE * sums)
    chance = np.exp(xlogy(photons, means[:, None]) - means[:, None] - gammaln(photons + 1))
    shares = chance @ below + np.exp(-means)[:, None]  # without photons exactly 0
    table = np.empty((_N_MEANS, 1024))
    for quantiles, cumulative in zip(table, shares, strict=True):
        quantiles[:] = np.interp(_SHARES, np.maximum.accumulate(cumulative), sums)
    return table.astype(np.float32), means


def _many_photons(means: NDArray[np.float64]) -> NDArray[np.float32]:
    """Quantiles ``(n, 1024)`` of the summed amplitudes, in photons, by Cornish and Fisher."""
    z = ndtri(_SHARES)
    # Cumulants of a compound Poisson sum: mean photons times the amplitude's moments.
    moments = np.cumprod([1 + k / GAMMA_SHAPE for k in range(4)])  # 1, 4/3, 20/9, 40/9
    deviation = np.sqrt(moments[1] * means)[:, None]
    skew = (moments[2] * means)[:, None] / deviation**3
    excess = (moments[3] * means)[:, None] / deviation**4
    bent = z + skew / 6 * (z**2 - 1) + excess / 24 * (z**3 - 3 * z)
    bent -= skew**2 / 36 * (2 * z**3 - 5 * z)
    found: NDArray[np.float64] = means[:, None] + deviation * bent
    return found.astype(np.float32)
