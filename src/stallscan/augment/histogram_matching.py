"""Grey levels distributed as in another volume."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from stallscan.augment import _checks
from stallscan.augment._checks import Range
from stallscan.augment._curves import counts, shifted
from stallscan.augment._transform import Params, Pixel, Shape
from stallscan.augment._values import ends
from stallscan.errors import OptionError

Profile: TypeAlias = tuple[float, ...]
_PERCENTILES = (0, 1, 5, *range(10, 100, 10), 95, 99, 100)
_EVEN = tuple(255 * percentile / 100 for percentile in _PERCENTILES)


@dataclass(frozen=True)
class HistogramMatching(Pixel):
    """Give a volume the distribution of grey levels that a reference has.

    A reference is a profile: the 15 grey levels that 0, 1, 5, 10, 20, 30 to 90, 95, 99 and 100 % of
    its values do not exceed (`percentiles`); ``HistogramMatching.profile(volume)`` makes it. The
    volume's own levels at these percentages become those of the reference, and between them the
    curve is straight (Nyúl and Udupa, 1999): a volume that is matched to itself stays as it is. One
    curve for all frames and channels. Levels are 8-bit ones whatever the dtype; float32 images lie
    in [0, 1].

    Attributes:
        references: profiles, one of which is drawn. None stands for no other volume: levels become
            even from black to white.
        blend_ratio: how much of the matched volume there is in the result, 0 to 1: a pair, or n for
            (n, n).
        always_apply: whatever p says.
        p: probability.

    Example:
        >>> there = HistogramMatching.profile(volume_of_another_microscope)
        >>> as_there = HistogramMatching(references=(there,), p=0.3)
    """

    references: tuple[Profile, ...] | None = None
    blend_ratio: Range = (0.5, 1.0)
    always_apply: bool = False
    p: float = 0.5

    percentiles: ClassVar[tuple[int, ...]] = _PERCENTILES
    """Percentages that a profile gives the grey levels of."""

    @staticmethod
    def profile(volume: NDArray[Any]) -> Profile:
        """What `references` take, of a volume ``(z, y, x)`` or ``(z, y, x, c)``.

        Raises:
            OptionError: no volume of uint8, uint16 or float32 in [0, 1].
        """
        volume = _checks.image_array("HistogramMatching.profile's volume", volume)
        return tuple(float(level) for level in _landmarks(volume))

    def check(self) -> None:
        """See `Transform.check`."""
        blend = _checks.pair(
            "HistogramMatching.blend_ratio", self.blend_ratio, 0, 1, number="exact"
        )
        self._set(references=_as_profiles(self.references), blend_ratio=blend)

    def does_nothing(self) -> str | None:
        """See `Transform.does_nothing`."""
        return "blend_ratio is (0, 0)" if ends(self.blend_ratio) == (0, 0) else None

    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """Number of the reference, and how much of the matched volume is taken."""
        number = int(rng.integers(len(self._profiles)))
        return {"reference": number, "blend": float(rng.uniform(*ends(self.blend_ratio)))}

    def apply(self, volume: NDArray[Any], params: Params) -> NDArray[Any]:
        """See `Transform.apply`."""
        own, place = np.unique(_landmarks(volume), return_inverse=True)
        there = np.array(self._profiles[params["reference"]])
        # Where several percentages share a level of the volume, the middle of the reference's.
        wanted = np.bincount(place, there) / np.bincount(place)
        shift = np.interp(np.arange(256), own, wanted - own)
        return shifted("HistogramMatching", volume, params["blend"] * shift)

    @property
    def _profiles(self) -> tuple[Profile, ...]:
        return self.references or (_EVEN,)


def _landmarks(volume: NDArray[Any]) -> NDArray[np.int64]:
    """The grey level that each percentage of the values does not exceed."""
    reached = counts("HistogramMatching", volume).cumsum()
    needed = np.ceil(np.array(_PERCENTILES) * int(reached[-1]) / 100)
    return np.searchsorted(reached, np.maximum(needed, 1))


def _as_profiles(references: Any) -> tuple[Profile, ...] | None:
    if references is None:
        return None
    if not isinstance(references, (tuple, list)) or not references:
        raise OptionError(
            f"HistogramMatching.references is {references!r}, allowed are profiles, one at least, "
            "and None"
        )
    return tuple(_as_profile(reference) for reference in references)


def _as_profile(reference: Any) -> Profile:
    n = len(_PERCENTILES)
    try:
        levels = tuple(float(level) for level in reference)
    except (TypeError, ValueError):
        levels = ()
    if (
        len(levels) != n
        or list(levels) != sorted(levels)
        or not 0 <= levels[0] <= levels[-1] <= 255
    ):
        raise OptionError(
            f"HistogramMatching.references has {reference!r}, allowed are {n} grey levels, 0 to "
            "255 and none below the one before; HistogramMatching.profile(volume) makes them"
        )
    return levels
