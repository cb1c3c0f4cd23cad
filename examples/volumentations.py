"""The augmentation library alone: a log of wood in a scanner, with its knots and their tips.

Run as `python examples/volumentations.py [PICTURE]`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import stallscan.augment as volumentations


def log_of_wood() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A log ``(z, y, x)`` uint8, its four knots by number, and the tip of each as ``z, y, x``."""
    z, y, x = np.indices((80, 120, 120))
    across, along = y - 60 - 5 * np.sin(z / 25), x - 58 - z / 12  # from the pith, which wanders
    radius, angle = np.hypot(across, along), np.arctan2(across, along)
    rings = 90 + 40 * np.sin(1.1 * radius + 1.5 * np.sin(2 * angle))
    wood = np.where(radius < 46 + 3 * np.cos(3 * angle), rings, 6)
    knots, tips = np.zeros(z.shape, np.uint8), []
    for number, (height, towards) in enumerate([(12, 0.2), (28, 3.0), (44, 4.4), (56, 6.1)], 1):
        aside = np.angle(np.exp(1j * (angle - towards))) * radius
        rise = z - height - 0.2 * radius  # knots climb outwards
        knots[(np.hypot(aside, rise) < 1 + 0.16 * radius) & (radius < 42)] = number
        tip = height + 0.2 * 41
        pith = np.array([60 + 5 * np.sin(tip / 25), 58 + tip / 12])
        tips.append([tip, *(pith + 41 * np.array([np.sin(towards), np.cos(towards)]))])
    wood[knots > 0] = 205
    return np.rint(wood).astype(np.uint8), knots, np.array(tips)


def main(path: Path) -> None:
    """Augment the log and draw it before and after."""
    wood, knots, tips = log_of_wood()

    augment = volumentations.Compose(
        [
            volumentations.Rotate((20, 40), (-10, 10), (-10, 10), p=1),
            volumentations.ElasticTransform((0.15, 0.25), p=1),
            volumentations.RandomCropFromBorders(0.1),
            volumentations.Resize((90, 100, 120)),
            volumentations.RandomGamma((60, 80), p=1),
            volumentations.GaussianNoise((100, 200), p=1),
        ]
    )
    after = augment(image=wood, mask=knots, points=tips, rng=3)

    before = {"image": wood, "mask": knots, "points": tips}
    figure = Figure((9, 7.2), layout="constrained")
    panels = figure.subplots(2, 2, height_ratios=(3, 2))
    for column, (word, found) in enumerate([("before", before), ("after", after)]):
        z, y, _ = np.rint(found["points"][1]).astype(int)
        draw(panels[0, column], found, (z,), f"{word}: slice {z}, y–x")
        draw(panels[1, column], found, (slice(None), y), f"{word}: along the log, row {y}, z–x")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    print(path)


def draw(axes: Any, found: dict[str, Any], where: tuple[Any, ...], title: str) -> None:
    """A slice through the second knot's tip, the knots' outlines, and the tip itself."""
    z, y, x = found["points"][1]
    axes.imshow(found["image"][where], cmap="copper", vmin=0, vmax=255)
    axes.contour(found["mask"][where] > 0, levels=[0.5], colors="tab:cyan", linewidths=1.2)
    axes.plot(x, z if len(where) == 2 else y, "o", color="white", ms=7, mec="black")
    axes.set_title(title, fontsize=10)
    axes.set_axis_off()


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo/volumentations.png"))
