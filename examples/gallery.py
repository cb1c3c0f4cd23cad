"""Pictures of docs/augmentation.md: every transform before and after, and draws of every preset.

Run as `python examples/gallery.py [--out DIR] [--only NAME …]`.
"""

from __future__ import annotations

import argparse
import io
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from stallscan.augment import PRESETS, Resize, batch_class, preset, sample_rng, transform_class
from stallscan.simulate import PRESETS as PHANTOMS
from stallscan.simulate import phantom_roi
from stallscan.types import Label

SEED = (2026, 89)  # a vessel in plane, others beside it, plasma and cells legible
OTHER_SEED = (2026, 12)  # a vessel of another shape, for batches
PLACE = (37.0, 37.0, 40.0)  # z, y, x that the slices go through, before and after
OPTIONS: dict[str, tuple[dict[str, Any], int]] = {
    "Flip": ({"axis": (0, 2)}, 0),
    "TimeReverse": ({}, 0),
    "Transpose": ({"axes": (0, 2, 1)}, 0),
    "RandomRotate90": ({"axes": (1, 2)}, 1),
    "CubicSymmetry": ({}, 1),
    "Rotate": ({"x_limit": (20, 20), "y_limit": (20, 20), "z_limit": 0}, 0),
    "RotatePseudo2D": ({"axes": (0, 1), "limit": (20, 20)}, 0),
    "RandomAffine": (
        {
            "angle_limit": ((25, 25), 0, 0),
            "scaling_limit": (1.3, 1.3),
            "shear_limit": ((15, 15), 0, 0),
        },
        0,
    ),
    "RandomShift": ({"shift_limit": (1.2, 1.2), "memory": 0.8}, 2),
    "ElasticTransform": ({"deformation_limits": (0.2, 0.2)}, 1),
    "ElasticTransformPseudo2D": ({"alpha": 90, "sigma": 6}, 1),
    "GridDistortion": ({"num_steps": 4, "distort_limit": 0.7, "axes": (0, 1, 2)}, 3),
    "Resize": ({"shape": (80, 56, 64)}, 0),
    "RandomScale": ({"scale_limit": (0.5, 1.3), "per_axis": True}, 1),
    "RandomCrop": ({"shape": (44, 52, 52)}, 3),
    "CenterCrop": ({"shape": (None, 40, 56)}, 0),
    "RandomCropFromBorders": ({"crop_value": 0.3}, 1),
    "RandomResizedCrop": ({"shape": (72, 72, 72), "scale_limit": 0.6}, 6),
    "CropNonEmptyMaskIfExists": ({"shape": (None, 32, 32)}, 0),
    "ResizedCropNonEmptyMaskIfExists": ({"shape": (72, 72, 72), "scale_limit": 0.5}, 0),
    "RemoveEmptyBorder": ({}, 0),
    "PadIfNeeded": ({"shape": (80, 84, 84), "border_mode": "reflect"}, 0),
    "Pad": ({"padding": ((0, 12), (20, 4), (8, 8)), "value": 128}, 0),
    "RandomDropPlane": ({"plane_drop_prob": 0.3, "axes": (0,)}, 0),
    "RandomFrameDrop": ({"drop_prob": 0.4}, 0),
    "TemporalCrop": ({"length_limit": 0.5}, 10),
    "TemporalResample": ({"rate_limit": 2}, 0),
    "FrameJitter": ({"gain_limit": (0.4, 1.6), "n_steps": 4, "dim_prob": 0.08}, 1),
    "Attenuation": ({"left_limit": 0.15}, 0),
    "RandomGamma": ({"gamma_limit": 50}, 0),
    "RandomBrightnessContrast": (
        {"brightness_limit": (-0.15, -0.15), "contrast_limit": (0.8, 0.8)},
        0,
    ),
    "BiasField": ({"ratio_limit": 6, "z_ratio_limit": 2, "order": 2}, 1),
    "RemoveBackground": ({}, 0),
    "HistogramNormalize": ({}, 0),
    "HistogramMatching": (
        {
            "references": ((40, 45, 50, 55, 60, 64, 68, 72, 76, 82, 90, 110, 140, 180, 200),),
            "blend_ratio": 1,
        },
        0,
    ),
    "CLAHE": ({"clip_limit": 4, "tile_grid": (1, 4, 4)}, 0),
    "Solarize": ({"threshold_limit": 110}, 0),
    "Posterize": ({"bits_limit": 2}, 0),
    "GaussianNoise": ({"var_limit": (900, 900)}, 0),
    "PoissonGamma": ({"photons": 8, "read_sigma": 12}, 0),
    "RowNoise": ({"std_limit": (30, 30)}, 0),
    "GaussianBlur": ({"sigma_limit": (2, 2)}, 0),
    "Blur": ({"blur_limit": 7}, 0),
    "MedianBlur": ({"blur_limit": 7}, 0),
    "MotionBlur": ({"blur_limit": 11}, 0),
    "GlassBlur": ({"sigma": 0.5, "max_delta": 2}, 0),
    "UnsharpMask": ({"sigma_limit": (2, 2), "alpha_limit": (2, 2)}, 0),
    "Downscale": ({}, 0),
    "ImageCompression": ({"quality_lower": 10, "quality_upper": 10}, 0),
    "GridDropout": (
        {"ratio": 0.5, "holes_number_x": 5, "random_offset": True, "fill_value": 128},
        1,
    ),
    "CoarseDropout": ({"n_holes": 6, "fill_value": 128}, 0),
    "RandomOcclusion": (
        {"n_polygons": 2, "all_frames_prob": 0.3, "max_cover": 0.3, "fill_value": 128},
        5,
    ),
    "OutlineJitter": ({"shift_limit": (1, 2), "grow_limit": 0, "wobble_limit": (1.5, 1.5)}, 1),
    "Normalize": ({}, 0),
    "ToFloat": ({}, 0),
    "FromFloat": ({"dtype": "uint16"}, 0),
}
"""Options that show what a transform does, stronger than one would train with, and the seed."""
BATCHES: dict[str, tuple[dict[str, Any], int]] = {
    "MixUp": ({"alpha": 4.0}, 9),
    "CutMix": ({"alpha": 4.0, "p": 1.0}, 4),
}
"""The same of what mixes the samples of a batch."""
VALUES = ("Normalize", "ToFloat", "FromFloat")
"""Transforms that change what values mean: the histogram says more than a second slice."""
N_DRAWS = 5
SIZE = (56, 72, 72)  # of the draws of presets; y = x, which quarter turns exchange

_DPI = 100
_ZOOM = 3  # pixels a voxel
_HISTOGRAM = (76, 56)  # voxels
_GAP, _TOP, _BOTTOM = 14, 40, 26  # pixels
_INK, _PAPER, _EDGE = "#24292f", "white", "#39d0ff"


def targets_of_phantom() -> dict[str, Any]:
    """A phantom's region: image ``(z, y, x, 3)``, filled outline on every slice, one point."""
    volume, _ = phantom_roi(SEED, Label.STALLED, PHANTOMS["clogloss"])
    mask = np.repeat(volume.mask[None], volume.n_frames, axis=0)
    return {"image": volume.array, "mask": mask, "points": [PLACE]}


def call_of(name: str) -> str:
    """How the transform is written: ``Rotate(x_limit=(25, 25))``."""
    options, _ = OPTIONS[name]
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in options.items())})"


def augmented(name: str, targets: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The targets as the transform takes them, and what it makes of them."""
    options, seed = OPTIONS[name]
    if name == "FromFloat":  # takes float32 alone
        targets = transform_class("ToFloat")()(**targets)
    if name == "RemoveEmptyBorder":  # a phantom has none
        targets = transform_class("Pad")(((4, 10), (8, 8), (4, 12)))(**targets)
    return targets, transform_class(name)(**options, p=1)(**targets, rng=seed)


def transform_picture(name: str, targets: dict[str, Any]) -> Figure:
    """Before and after, in a frame and in a row over time (or the histogram of the values)."""
    before, after = augmented(name, targets)
    panels = []  # what to draw, its size in voxels, its heading
    for plane in ("y–x", "z–x"):
        for word, found in (("before", before), ("after", after)):
            if plane == "z–x" and name in VALUES:
                panels.append((plane, found, _HISTOGRAM, f"{word}: values"))
                continue
            (height, width), where = cut(found, plane)[0].shape[:2], place_of(found)
            spot = f"frame {where[0]}" if plane == "y–x" else f"row {where[1]}"
            panels.append((plane, found, (width, height), f"{word}: {spot}, {plane}"))
    width = sum(size[0] for _, _, size, _ in panels) * _ZOOM + 6 * _GAP
    height = max(size[1] for _, _, size, _ in panels) * _ZOOM + _TOP + _BOTTOM
    figure = Figure((width / _DPI, height / _DPI), dpi=_DPI, facecolor=_PAPER)
    figure.text(_GAP / width, 1 - 14 / height, call_of(name), **_font(8.5, bold=True))
    left = _GAP
    for number, (plane, found, (columns, rows), head) in enumerate(panels):
        left += _GAP if number == 2 else 0
        bottom = height - _TOP - rows * _ZOOM
        box = (left, bottom, columns * _ZOOM, rows * _ZOOM)
        axes = figure.add_axes(_share(box, width, height))
        figure.text(left / width, 1 - 32 / height, head, **_font(7.5))
        if head.endswith("values"):
            histogram(axes, found["image"])
        else:
            show(axes, *cut(found, plane))
            mark(axes, found["points"][0][1 if plane == "y–x" else 0])
        if plane == "y–x":
            image = found["image"]
            foot = f"{'×'.join(map(str, image.shape[:3]))} {image.dtype}"
            foot += "" if image.dtype == np.uint8 else ", stretched to be shown"
            figure.text(left / width, (bottom - 13) / height, foot, **_font(7))
        left += columns * _ZOOM + _GAP
    return figure


def place_of(found: dict[str, Any]) -> tuple[int, int, int]:
    """The voxel in which the point lies, or the nearest one to it."""
    last = np.array(found["mask"].shape[:3]) - 1
    z, y, x = np.clip(np.rint(found["points"][0]), 0, last).astype(int)
    return z, y, x


def cut(found: dict[str, Any], plane: str) -> tuple[np.ndarray, np.ndarray]:
    """Image and mask in the frame (y–x), or in the row over time (z–x), of the point."""
    z, y, _ = place_of(found)
    where: Any = z if plane == "y–x" else (slice(None), y)
    return viewable(found["image"])[where], found["mask"][where]


def viewable(image: np.ndarray) -> np.ndarray:
    """8-bit RGB as it is; other values stretched from their least to their greatest."""
    if image.dtype == np.uint8:
        return image
    low, high = float(image.min()), float(image.max())
    return np.rint((image - low) / (high - low) * 255).astype(np.uint8)


def show(axes: Axes, picture: np.ndarray, mask: np.ndarray) -> None:
    """A slice and the mask's contour."""
    axes.imshow(picture, interpolation="nearest", aspect="auto")
    if mask.any() and not mask.all():
        axes.contour(mask, levels=[0.5], colors=_EDGE, linewidths=0.9)
    axes.set_axis_off()


def mark(axes: Axes, level: float) -> None:
    """Where the other picture cuts this one, at the left and right edge."""
    edges = {"color": _INK, "ms": 4, "clip_on": False, "transform": axes.get_yaxis_transform()}
    axes.plot(0, level, ">", **edges)
    axes.plot(1, level, "<", **edges)


def histogram(axes: Axes, image: np.ndarray) -> None:
    """How often each value occurs, on a logarithmic scale."""
    axes.hist(image.ravel(), bins=64, color="#8c959f", log=True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_yticks([])
    axes.yaxis.minorticks_off()
    axes.tick_params(labelsize=7, colors=_INK)
    mean, std = (round(float(found), 3) + 0.0 for found in (image.mean(), image.std()))
    text = f"{image.dtype}\nmean {mean:,.5g}\nstd {std:,.5g}"
    axes.text(0.97, 0.97, text, transform=axes.transAxes, ha="right", va="top", **_font(7))


def preset_picture(name: str, targets: dict[str, Any]) -> Figure:
    """The region and a few draws: a frame above, a row over time below, what acted underneath."""
    pipeline = preset(name, SIZE)
    draws = [(f"{name}: before", Resize(SIZE)(**targets), "frame y–x above, row z–x below")]
    for number in range(N_DRAWS):
        found = pipeline(**targets, rng=sample_rng(0, 0, number), return_record=True)
        acted = [label(step, params) for step, params in pipeline.steps(found["record"]["drawn"])]
        words = ", ".join(word for word in acted if word) or "nothing acted"
        draws.append((f"draw {number}", found, words))
    notes = ["\n".join(textwrap.wrap(words, 28)) for _, _, words in draws]
    zoom, (depth, rows, columns) = 2, SIZE
    below = 14 + 13 * max(note.count("\n") + 1 for note in notes)
    width = len(draws) * (columns * zoom + 6) + 6
    height = (rows + depth) * zoom + 4 + 18 + below
    figure = Figure((width / _DPI, height / _DPI), dpi=_DPI, facecolor=_PAPER)
    for number, ((head, found, _), note) in enumerate(zip(draws, notes, strict=True)):
        left = 6 + number * (columns * zoom + 6)
        figure.text(left / width, 1 - 12 / height, head, **_font(7.5, bold=number == 0))
        for plane, extent, bottom in (
            ("y–x", rows, below + depth * zoom + 4),
            ("z–x", depth, below),
        ):
            box = (left, bottom, columns * zoom, extent * zoom)
            show(figure.add_axes(_share(box, width, height)), *cut(found, plane))
        place = (left / width, (below - 5) / height)
        figure.text(*place, note, va="top", linespacing=1.25, **_font(6.5))
    return figure


def batch_picture(name: str, targets: dict[str, Any]) -> Figure:
    """Two regions, one stalled and one flowing, and what becomes of both in one batch."""
    options, seed = BATCHES[name]
    other, _ = phantom_roi(OTHER_SEED, Label.FLOWING, PHANTOMS["clogloss"])
    regions = [Resize(SIZE)(image=image)["image"] for image in (targets["image"], other.array)]
    batch = np.stack(regions).transpose(0, 4, 1, 2, 3)  # channels first, as networks have them
    mix, labels = batch_class(name)(**options), np.array([1, 0])
    mixed = mix(images=batch, labels=labels, rng=seed)
    after = mixed["images"].transpose(0, 2, 3, 4, 1)
    panels = [("stalled: 1", regions[0]), ("flowing: 0", regions[1])]
    panels += [(f"{share:.2f}", image) for share, image in zip(mixed["labels"], after, strict=True)]
    zoom, (depth, rows, columns) = 2, SIZE
    width = len(panels) * (columns * zoom + 6) + 6
    height = (rows + depth) * zoom + 4 + 36 + 6
    figure = Figure((width / _DPI, height / _DPI), dpi=_DPI, facecolor=_PAPER)
    words = f"{name}({', '.join(f'{key}={value!r}' for key, value in options.items())})"
    figure.text(6 / width, 1 - 14 / height, words, **_font(8.5, bold=True))
    for number, (head, image) in enumerate(panels):
        left = 6 + number * (columns * zoom + 6)
        figure.text(left / width, 1 - 30 / height, f"label {head}", **_font(7.5))
        for picture, extent, bottom in (
            (image[depth // 2], rows, 6 + depth * zoom + 4),
            (image[:, rows // 2], depth, 6),
        ):
            box = (left, bottom, columns * zoom, extent * zoom)
            show(figure.add_axes(_share(box, width, height)), picture, np.zeros(picture.shape[:2]))
    return figure


def label(step: Any, params: dict[str, Any]) -> str:
    """A transform that acted, in a word or two; none for the resizing, which always does."""
    name = type(step).__name__.removeprefix("Random")
    if name == "Resize":
        return ""
    if name == "Rotate":
        return f"Rotate {params['angles_deg'][0]:.0f}°".replace("-", "−")
    if name == "Flip":
        return f"Flip({params['axes'][0]})"
    if name == "Rotate90":
        return f"Rotate90 by {90 * params['turns']}°" if params["turns"] else ""
    return name


def _font(size: float, *, bold: bool = False) -> dict[str, Any]:
    return {"fontsize": size, "color": _INK, "weight": "bold" if bold else "normal"}


def _share(box: tuple[float, ...], width: float, height: float) -> tuple[float, ...]:
    """Left, bottom, width and height in pixels → in shares of the figure."""
    left, bottom, across, up = box
    return left / width, bottom / height, across / width, up / height


def write(figure: Figure, path: Path) -> None:
    """As a PNG of 128 colours, a third of the size."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI)
    picture = Image.open(buffer).convert("RGB")
    picture.quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)


def main() -> None:
    """Parse the options and write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/augmentation"))
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=[*OPTIONS, *BATCHES, *PRESETS])
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    targets = targets_of_phantom()
    for name in options.only or [*OPTIONS, *BATCHES, *PRESETS]:
        picture = preset_picture if name in PRESETS else transform_picture
        picture = batch_picture if name in BATCHES else picture
        write(picture(name, targets), options.out / f"{name}.png")
        print(options.out / f"{name}.png")


if __name__ == "__main__":
    main()
