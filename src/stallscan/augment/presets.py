"""Pipelines of the paper, of its code, and ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, overload

from stallscan.augment import _checks
from stallscan.augment._transform import Augmentation
from stallscan.augment.compose import Compose, OneOf
from stallscan.augment.elastic_transform import ElasticTransform
from stallscan.augment.evaluation import Preprocessing
from stallscan.augment.flip import Flip
from stallscan.augment.frame_jitter import FrameJitter
from stallscan.augment.gaussian_noise import GaussianNoise
from stallscan.augment.grid_dropout import GridDropout
from stallscan.augment.poisson_gamma import PoissonGamma
from stallscan.augment.random_crop_from_borders import RandomCropFromBorders
from stallscan.augment.random_drop_plane import RandomDropPlane
from stallscan.augment.random_frame_drop import RandomFrameDrop
from stallscan.augment.random_gamma import RandomGamma
from stallscan.augment.random_rotate90 import RandomRotate90
from stallscan.augment.random_shift import RandomShift
from stallscan.augment.resize import Resize
from stallscan.augment.rotate import Rotate
from stallscan.augment.row_noise import RowNoise
from stallscan.errors import OptionError

Size = tuple[int, int, int]
_Steps = list[Augmentation]


@overload
def preset(  # type: ignore[overload-overlap]  # every other word is a Compose
    name: Literal["evaluation"], size: Size | None = None, *, legacy: bool = False
) -> Preprocessing: ...


@overload
def preset(name: str, size: Size | None = None, *, legacy: bool = False) -> Compose: ...


def preset(name: str, size: Size | None = None, *, legacy: bool = False) -> Compose | Preprocessing:
    """A pipeline by name, called as ``aug(image=volume, rng=generator)``.

    ``"evaluation"`` is the last one before a network, for training and prediction alike: see
    `Preprocessing`, which model.json records.

    Args:
        name: from `PRESETS`, or ``"evaluation"``.
        size: ``(z, y, x)`` to resize to; None leaves the resizing to what comes after.
        legacy: the statistics of the published code where ours repairs it: the noise's variance is
            taken for its standard deviation, gamma stretches the contrast, resizing keeps the
            corner voxels. Pipelines of the paper only.

    Raises:
        OptionError: an unknown name, a wrong size, or ``legacy`` of a pipeline that has none.
    """
    _checks.one_of("preset", name, (*PRESETS, "evaluation"))
    if legacy and name in ("heavy", "evaluation"):
        raise OptionError(f"preset {name!r} has no legacy form, legacy=True was given; it is ours")
    if size is not None:
        size = _checks.size_of("size", size)
    if name == "evaluation":
        if size is None:
            raise OptionError("preset 'evaluation' needs size=(z, y, x), got None")
        return Preprocessing(size=size)
    return Compose(PRESETS[name](size, legacy))


def _resize(size: Size | None, legacy: bool) -> _Steps:
    return [] if size is None else [Resize(size, always_apply=True, align_corners=legacy)]


def _mirror3(size: Size | None, legacy: bool) -> _Steps:
    """ "Mirror 3 axes" of Table 4: three flips."""
    return [*_resize(size, legacy), Flip(0), Flip(1), Flip(2)]


def _paper(size: Size | None, legacy: bool) -> _Steps:
    """Section 3 as written: what the code has, with GridDropout, and planes dropped at p = 0.5."""
    return _winner(
        size,
        legacy,
        drop=[RandomDropPlane(0.1, (0, 1, 2), p=0.5)],
        dropout=[GridDropout(random_offset=True, p=0.1)],
    )


def _winner_v13(size: Size | None, legacy: bool) -> _Steps:
    """Stages 1 and 2 of the winner ("heavy augs")."""
    return _winner(size, legacy)


def _winner_v20(size: Size | None, legacy: bool) -> _Steps:
    """Stage 3 of the winner ("extra-heavy augs"): planes dropped too."""
    return _winner(size, legacy, drop=[RandomDropPlane(0.1, (0, 1, 2), p=0.3)])


def _winner(
    size: Size | None, legacy: bool, drop: _Steps | None = None, dropout: _Steps | None = None
) -> _Steps:
    return [
        Rotate((-10, 10), (0, 0), (0, 0), p=0.3),
        ElasticTransform((0, 0.25), p=0.1),
        RandomCropFromBorders(0.15, p=0.4),
        *(drop or []),
        *_resize(size, legacy),
        Flip(0, p=0.5),
        Flip(1, p=0.5),
        Flip(2, p=0.5),
        RandomRotate90((1, 2), p=0.5),
        *(dropout or []),
        GaussianNoise((0, 5), p=0.2, as_std=legacy),
        RandomGamma((50, 150), p=0.2, stretch=legacy),
    ]


def _heavy(size: Size | None, legacy: bool) -> _Steps:
    """Ours: what differs between sessions, and nothing that looks like flow or hides it.

    All symmetries of the stack (time too) and tilts of 20 degrees within the frames; crops, motion,
    lost frames; then the detector: gain, gamma, photons, row noise. Planes along y and x are not
    dropped and no holes are cut: a vessel six voxels wide would lose its cells by them.
    """
    return [
        Rotate((-20, 20), (0, 0), (0, 0), p=0.5),
        ElasticTransform((0.05, 0.2), p=0.15),
        RandomShift((0, 1), p=0.2),
        RandomCropFromBorders(0.12, p=0.4),
        OneOf([RandomFrameDrop(0.05), RandomDropPlane(0.08, (0,))], p=0.25),
        *_resize(size, legacy),
        Flip(0, p=0.5),
        Flip(1, p=0.5),
        Flip(2, p=0.5),
        RandomRotate90((1, 2), p=0.75),
        FrameJitter(p=0.25),
        RandomGamma((60, 150), p=0.4),
        OneOf([PoissonGamma(), GaussianNoise((0, 60)), RowNoise()], p=0.35),
    ]


PRESETS: dict[str, Callable[[Size | None, bool], _Steps]] = {
    "mirror3": _mirror3,
    "paper": _paper,
    "winner_v13": _winner_v13,
    "winner_v20": _winner_v20,
    "heavy": _heavy,
}
"""What each preset consists of; its docstring says where it comes from."""
