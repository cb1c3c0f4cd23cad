"""A Volume checks that its parts fit together."""

import subprocess
import sys

import numpy as np
import pytest

from stallscan.errors import OptionError
from stallscan.roi import Volume
from stallscan.types import Box

PARTS = {
    "array": np.zeros((4, 5, 6, 3), np.uint8),
    "mask": np.ones((5, 6), bool),
    "line": np.zeros((5, 6), bool),
    "box": Box(0, 10, 20, 4, 15, 26),
    "source": "a.mp4",
}


@pytest.mark.parametrize("n_channels", [1, 3])
def test_parts_that_fit(n_channels: int) -> None:
    volume = Volume(**{**PARTS, "array": np.zeros((4, 5, 6, n_channels), np.uint8)})
    assert volume.n_frames == 4


@pytest.mark.parametrize(
    ("part", "value", "named"),
    [
        ("array", np.zeros((4, 5, 6), np.uint8), r"\(4, 5, 6\) of uint8"),
        ("array", np.zeros((4, 5, 6, 2), np.uint8), r"\(4, 5, 6, 2\)"),
        ("array", np.zeros((4, 5, 6, 3), np.float32), "float32"),
        ("array", np.zeros((4, 5, 7, 3), np.uint8), r"\(4, 5, 7\)"),
        ("box", Box(0, 0, 0, 5, 5, 6), r"box is \(5, 5, 6\)"),
        ("mask", np.ones((5, 7), bool), r"mask must .*\(5, 7\)"),
        ("mask", np.ones((5, 6), np.uint8), "mask must .*uint8"),
        ("line", np.ones((6, 5), bool), r"line must .*\(6, 5\)"),
    ],
)
def test_parts_that_do_not_fit(part: str, value: object, named: str) -> None:
    with pytest.raises(OptionError, match=rf"a\.mp4: .*{named}"):
        Volume(**{**PARTS, part: value})


def test_importing_a_volume_loads_no_decoder() -> None:
    code = (
        "import sys, stallscan.roi; from stallscan.roi.volume import Volume; "
        "sys.exit(' '.join({'av', 'tifffile', 'cv2', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).stderr == b"\n"
