"""The two real clips: known boxes and persistence. ``STALLSCAN_REAL_DATA`` names their folder."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stallscan.roi import Verdict, find_roi, persistence_score
from stallscan.video import read_clip, write_clip

REAL_DATA = os.environ.get("STALLSCAN_REAL_DATA")
pytestmark = pytest.mark.skipif(
    not REAL_DATA, reason="STALLSCAN_REAL_DATA does not name the folder with the real clips"
)

# name: frames, (x0, x1, y0, y1) inclusive, persistence
CLIPS = {
    "105668": (39, (123, 166, 106, 136), 0.92),
    "200149": (16, (189, 218, 23, 53), 0.29),
}
# What is wrong with their frames, as one sees when looking at them.
DEFECTS = {
    "105668": {
        "duplicated": "2 of 39 frames (37–38; counted from 0) repeat",
        "black_edge": "black strip at the left edge",
    },
    "200149": {
        "duplicated": "2 of 16 frames (14–15; counted from 0) repeat",
        "gain": "by a factor of 2.",
    },
}


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("crf", [None, 18, 28])
def test_box_and_persistence(tmp_path: Path, name: str, crf: int | None) -> None:
    n_frames, expected, persistence = CLIPS[name]
    clip = read_clip(Path(str(REAL_DATA)) / "clips" / f"{name}.gif")
    if crf is not None:  # the same clip, as the competition would have sent it
        write_clip(tmp_path / "again.mp4", clip, crf=crf)
        clip = read_clip(tmp_path / "again.mp4")
    roi = find_roi(clip)
    box = roi.box
    assert roi.verdict is Verdict.OK
    assert {str(flag) for flag in roi.flags} == set(DEFECTS[name])
    assert all(evidence in roi.message for evidence in DEFECTS[name].values())
    assert (box.z0, box.z1) == (0, n_frames)
    assert np.abs(np.subtract((box.x0, box.x1 - 1, box.y0, box.y1 - 1), expected)).max() <= 3
    if crf != 28:  # which smooths the noise away and raises the score of the flowing clip to 0.44
        assert persistence_score(roi.crop(clip)) == pytest.approx(persistence, abs=0.03)


def test_a_real_frame_at_full_size() -> None:
    path = Path(str(REAL_DATA)) / "clips" / "stalled_frame_512x384.jpg"
    roi = find_roi(np.asarray(Image.open(path).convert("RGB"))[np.newaxis])
    box = roi.box
    assert roi.verdict is Verdict.OK
    assert np.abs(np.subtract((box.x0, box.x1, box.y0, box.y1), (199, 318, 116, 251))).max() <= 3
