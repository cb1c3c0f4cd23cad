"""An independent, slow reading of what spatial transforms do: dense places, pulled step by step.

Nothing here uses the planner. From what a transform has drawn, the place in the source of every
voxel of the result is computed in float64; SciPy then interpolates once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, map_coordinates
from scipy.spatial.transform import Rotation

from stallscan.augment import (
    Compose,
    CubicSymmetry,
    ElasticTransform,
    ElasticTransformPseudo2D,
    Flip,
    GridDistortion,
    Pad,
    RandomAffine,
    RandomCrop,
    RandomCropFromBorders,
    RandomDropPlane,
    RandomFrameDrop,
    RandomResizedCrop,
    RandomRotate90,
    RandomScale,
    RandomShift,
    Resize,
    Rotate,
    RotatePseudo2D,
    TemporalResample,
    TimeReverse,
    Transpose,
)
from stallscan.augment._stage import fuse
from stallscan.augment._transform import Augmentation, Params, Shape, Transform

Floats = NDArray[np.float64]


def coordinates(shape: Shape) -> NDArray[np.float32]:
    """``(z, y, x, 3)``: every voxel holds its own place; linear, so that interpolation is exact."""
    return np.moveaxis(np.indices(shape, np.float32), 0, -1).copy()


def smooth_volume(shape: Shape, seed: int = 0) -> NDArray[np.uint8]:
    """``(z, y, x)`` waves of a few voxels' gentle slope, 30 to 225."""
    rng = np.random.default_rng(seed)
    grid = np.indices(shape)
    waves = np.zeros(shape)
    for _ in range(3):
        frequency = rng.uniform(-0.2, 0.2, 3)
        waves += np.cos(np.tensordot(frequency, grid, 1) + rng.uniform(0, 6))
    return np.rint(127.5 + waves * 32.5).astype(np.uint8)


def drawn_as(transform: Transform, params: Params, shape: tuple[int, ...]) -> dict[str, Any]:
    """A record of a transform, as if it had drawn these parameters."""
    name = type(transform).__name__
    return {"shape": list(shape[:3]), "applied": [name], "drawn": params}


def in_steps(aug: Augmentation, record: dict[str, Any], key: str, target: Any) -> Any:
    """A record applied one transform at a time."""
    for transform, params in aug.steps(record["drawn"]):
        target = transform.replay(drawn_as(transform, params, target.shape), **{key: target})[key]
    return target


def n_stages(aug: Augmentation, record: dict[str, Any]) -> int:
    """How many resamplings the planner makes of a record of spatial transforms."""
    shape = tuple(record["shape"])
    maps = []
    for transform, params in aug.steps(record["drawn"]):
        maps += transform.map(params, shape)
        shape = transform.out_shape(params, shape)
    return len(fuse(tuple(record["shape"]), maps))


def dense(steps: list[tuple[Transform, Params]], shape: Shape) -> tuple[Floats, NDArray[np.bool_]]:
    """Place in the source of every voxel of the result, and whether no border was crossed.

    Returns:
        ``(3, z, y, x)`` and ``(z, y, x)``. Inside a volume is what its voxels cover, up to half a
        voxel beyond their centres; the places are then those of the nearest centres.
    """
    shapes = [shape]
    for transform, params in steps:
        shapes.append(transform.out_shape(params, shapes[-1]))
    places = np.indices(shapes[-1]).astype(np.float64)
    inside = np.ones(shapes[-1], bool)
    for (transform, params), before in zip(reversed(steps), reversed(shapes[:-1]), strict=True):
        flat = _pull(transform, params, before, places.reshape(3, -1))
        places = flat.reshape(places.shape)
        last = np.reshape(before, (3, 1, 1, 1)) - 1
        inside &= ((places > -0.5) & (places < last + 0.5)).all(axis=0)
        places = np.clip(places, 0, last)
    return places, inside


def interpolated(image: NDArray[Any], places: Floats) -> Floats:
    """``(z, y, x)`` at places, linear between voxels, the nearest voxel beyond the border."""
    return map_coordinates(image.astype(np.float64), places, order=1, mode="nearest")


def eroded(inside: NDArray[np.bool_], by: int = 2) -> NDArray[np.bool_]:
    """Without what lies within some voxels of the border or of an edge."""
    return binary_erosion(inside, np.ones((3, 3, 3)), iterations=by)


def filled(aug: Augmentation, record: dict[str, Any]) -> NDArray[np.bool_]:
    """Where something from beyond a border is, in the planner's result or in that of steps."""
    white = np.full(record["shape"], 255, np.uint8)
    planned = aug.replay(record, image=white)["image"]
    return (planned < 255) | (in_steps(aug, record, "image", white) < 255)


def _pull(transform: Transform, params: Params, shape: Shape, places: Floats) -> Floats:
    """``(3, n)`` places in the result → in the source of this ``(z, y, x)``."""
    extents = np.array(shape)
    pulled = places.copy()
    match type(transform).__name__:
        case "Flip" | "TimeReverse":
            for axis in params.get("axes", [0]):
                pulled[axis] = extents[axis] - 1 - places[axis]
        case "Transpose":
            for axis, source in enumerate(params["axes"]):
                pulled[source] = places[axis]
        case "RandomRotate90":
            first, second = params["axes"]
            for _ in range(params["turns"]):  # np.rot90 once: result[i, j] = source[j, n - 1 - i]
                extents[[first, second]] = extents[[second, first]]
            for _ in range(params["turns"]):
                extents[[first, second]] = extents[[second, first]]
                one, other = pulled[first].copy(), pulled[second].copy()
                pulled[first], pulled[second] = other, extents[second] - 1 - one
        case "RandomCropFromBorders":
            pulled += np.array([[start] for start, _ in params["kept"]])
        case "RandomCrop" | "CenterCrop" | "Pad" | "PadIfNeeded":
            pulled += np.reshape(params["start"], (3, 1))
        case "TemporalCrop":
            pulled[0] += params["start"]
        case "RandomDropPlane":
            axis = params["axis"]
            kept = [plane for plane in range(shape[axis]) if plane not in params["dropped"]]
            pulled[axis] = _between_planes(places[axis], kept)
        case "RandomFrameDrop":
            shown = list(range(shape[0]))
            for lost in params["dropped"]:
                shown[lost] = shown[lost - 1]
            pulled[0] = _between_planes(places[0], shown)
        case "Resize":
            for axis, (before, after) in enumerate(zip(shape, params["size"], strict=True)):
                if transform.align_corners:
                    pulled[axis] = places[axis] * (before - 1) / max(after - 1, 1)
                else:
                    pulled[axis] = (places[axis] + 0.5) * before / after - 0.5
                pulled[axis] = np.clip(pulled[axis], 0, before - 1)
        case "RandomScale" | "TemporalResample" | "RandomResizedCrop":
            box = params.get("size", shape)
            after = transform.out_shape(params, shape)
            for axis, first in enumerate(params.get("start", (0, 0, 0))):
                pulled[axis] = (places[axis] + 0.5) * box[axis] / after[axis] - 0.5
                pulled[axis] = first + np.clip(pulled[axis], 0, box[axis] - 1)
        case "Rotate":
            # About the fixed axes 2, 1, 0 in turn, right-handed; the result is asked, so inversely.
            turn = Rotation.from_euler("zyx", params["angles_deg"][::-1], degrees=True)
            centre = (extents - 1)[:, None] / 2
            pulled = turn.inv().as_matrix() @ (places - centre) + centre
        case "RandomAffine":
            # In µm: scaled, slid, turned; then shifted. The result is asked, so solved.
            spacing = np.reshape(transform.spacing, (3, 1))
            turn = Rotation.from_euler("zyx", params["angles_deg"][::-1], degrees=True)
            slide = np.eye(3)
            for (row, column), angle in zip(
                ((1, 0), (2, 0), (2, 1)), params["shears_deg"], strict=True
            ):
                slide[row, column] = np.tan(np.deg2rad(angle))
            forwards = turn.as_matrix() @ slide @ np.diag(params["factors"])
            centre = (extents - 1)[:, None] / 2
            moved = places - centre - np.reshape(params["shift"], (3, 1)) * extents[:, None]
            pulled = np.linalg.solve(forwards, moved * spacing) / spacing + centre
        case "RotatePseudo2D":
            first, second = transform.axes
            centre, angle = (extents - 1) / 2, np.deg2rad(params["angle_deg"])
            one, other = (places[axis] - centre[axis] for axis in (first, second))
            pulled[first] = np.cos(angle) * one + np.sin(angle) * other + centre[first]
            pulled[second] = np.cos(angle) * other - np.sin(angle) * one + centre[second]
        case "GridDistortion":
            for axis, widths in enumerate(params["widths"]):
                if widths and shape[axis] > 1:
                    ends = np.cumsum([0, *widths]) / sum(widths)
                    even = np.arange(len(ends)) / len(widths)
                    share = np.interp((places[axis] + 0.5) / shape[axis], even, ends)
                    pulled[axis] = np.clip(share * shape[axis] - 0.5, 0, shape[axis] - 1)
        case "CubicSymmetry":
            for axis, (source, mirror) in enumerate(
                zip(params["order"], params["mirrored"], strict=True)
            ):
                pulled[source] = extents[source] - 1 - places[axis] if mirror else places[axis]
        case "RandomShift":
            frames = np.arange(len(params["shifts"]))
            for axis, shifts in enumerate(np.transpose(params["shifts"]), start=1):
                pulled[axis] = places[axis] + np.interp(places[0], frames, shifts)
        case "ElasticTransform" | "ElasticTransformPseudo2D":
            (map_,) = transform.map(params, shape)
            nodes = places / np.reshape(map_.spacing, (3, 1))
            for axis, field in enumerate(map_.field):
                pulled[axis] += map_coordinates(field, nodes, order=1, mode="nearest")
        case other:
            raise NotImplementedError(f"{other}: write down what it does")
    return pulled


def _between_planes(places: Floats, planes: list[int]) -> Floats:
    """A list of planes read at places, in proportion between two of them."""
    return np.interp(places, np.arange(len(planes)), planes)


def pipeline(*transforms: Transform) -> Compose:
    return Compose(list(transforms))


def random_pipeline(
    rng: np.random.Generator,
    *,
    drops: bool = True,
    shifts: bool = False,
    bends: bool = False,
    sizes: bool = True,
    **options: Any,
) -> Compose:
    """Two to six spatial transforms, at most one of which leaves out or repeats planes.

    Args:
        rng: which.
        drops: whether planes may be left out or repeated.
        shifts: whether frames may be shifted.
        bends: whether there are affine maps, grids and bends of frames among them.
        sizes: whether it may be scaled, cropped to a shape, and padded.
        options: of all transforms that interpolate, such as ``value``.
    """
    size = tuple(int(extent) for extent in rng.integers(10, 30, 3))
    options["p"] = 1
    makers: list[Callable[[], Transform]] = [
        lambda: Rotate(30, 0, 0, **options),
        lambda: Rotate(25, 25, 25, **options),
        lambda: ElasticTransform((0.02, 0.1), **options),
        lambda: Flip(p=1),
        lambda: TimeReverse(p=1),
        lambda: RandomRotate90(p=1),
        lambda: Transpose(((1, 0, 2), (0, 2, 1), (2, 0, 1))[int(rng.integers(3))], p=1),
        lambda: RandomCropFromBorders(0.15),
        lambda: Resize(size),
        lambda: Resize(size, align_corners=True),
    ]
    if sizes:
        makers += [
            lambda: RandomScale((0.7, 1.4), p=1, per_axis=True),
            lambda: TemporalResample((0.7, 1.4), p=1),
            lambda: RandomResizedCrop(size, (0.6, 1.2)),
            lambda: Pad(((0, 3), (2, 0), (1, 1)), **options),
            lambda: RandomCrop((14, None, 20), pad_if_needed=True, **options),
        ]
    if shifts:
        makers += [
            lambda: RandomShift(1, border_mode="constant", **options),
            lambda: RandomShift(1, p=1),
        ]
    if bends:
        makers += [
            lambda: RandomAffine(15, 0.1, (0.8, 1.2), 10, spacing=(2, 1, 0.8), **options),
            lambda: RandomAffine((20, 0, 0), 0.1, ((0.8, 1.2),) * 3, **options),
            lambda: RotatePseudo2D((0, 2), 30, **options),
            lambda: GridDistortion(4, 0.3, axes=(0, 1, 2), p=1),
            lambda: ElasticTransformPseudo2D(20, 5, border_mode="constant", **options),
            lambda: CubicSymmetry(),
        ]
    chosen = [makers[int(n)]() for n in rng.integers(len(makers), size=int(rng.integers(2, 7)))]
    if drops and rng.random() < 0.4:
        chosen[0] = (RandomDropPlane(0.1, (0, 1, 2)), RandomFrameDrop(0.1, p=1))[size[0] % 2]
        chosen = [chosen[int(n)] for n in rng.permutation(len(chosen))]
    return Compose(chosen)
