"""The library needs NumPy, OpenCV, SciPy and numba, and no other room of stallscan."""

import subprocess
import sys

CODE = """
import sys
import numpy as np
import stallscan.augment as volumentations
from stallscan.augment.registry import MODULES

for name in MODULES:
    volumentations.transform_class(name)
for name in volumentations.PRESETS:
    volumentations.preset(name, (6, 8, 8))(image=np.zeros((5, 9, 9), np.uint8), rng=0)
volumentations.from_yaml(volumentations.to_yaml(volumentations.preset("paper")))
volumentations.preset("evaluation", (6, 8, 8))(image=np.zeros((5, 9, 9), np.uint8),
                                               mask=np.zeros((9, 9), bool))
print(*sorted(sys.modules))
"""
FREE = {"stallscan", "stallscan.augment", "stallscan.errors"}


def test_it_stands_alone() -> None:
    printed = subprocess.run(
        [sys.executable, "-c", CODE], check=True, capture_output=True, text=True
    ).stdout.split()
    rooms = {m for m in printed if m.startswith("stallscan") and m.count(".") < 2}
    assert rooms == FREE
    libraries = {module.partition(".")[0] for module in printed}
    assert {"numpy", "cv2", "scipy", "numba"} <= libraries
    heavy = {"torch", "lightning", "sklearn", "pandas", "matplotlib", "av", "lmdb", "tyro"}
    assert not libraries & heavy
