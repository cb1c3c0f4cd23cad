"""Maps against where the phantom's vessel is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from audits.parallel import in_order
from audits.table import show_and_write
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation
from shipping.ask import predictor_of

from stallscan.augment.evaluation import preprocess
from stallscan.explain._network import Float32
from stallscan.explain.attention import attention
from stallscan.explain.back import to_roi
from stallscan.explain.grad_cam import grad_cam
from stallscan.explain.localise import energy_inside, heat_mask, overlap, peak
from stallscan.explain.occlusion import occlusion
from stallscan.inference.member import LoadedMember
from stallscan.simulate.motion_map import motion_map
from stallscan.simulate.phantom import phantom_roi
from stallscan.simulate.settings import PRESETS
from stallscan.types import Label

SEED = 6_101
NEAR = 2
"""Voxels around the lumen that count as the vessel: the outline's middle is no more exact."""
SHARES = (0.02, 0.05, 0.1, 0.2)
"""Of the input's voxels that are covered, for the deletion curve."""

_Job = tuple[int, str, str]


def localise(*, model: str, preset: str, n: int, workers: int, results: Path) -> pd.DataFrame:
    """A row for each map and baseline, means over stalled phantoms."""
    jobs: list[_Job] = [(number, model, preset) for number in range(n)]
    found = in_order(_one, jobs, workers=workers, what=f"localisation, {preset}")
    table = pd.DataFrame([row for rows in found for row in rows])
    means = table.groupby("map", sort=False).mean(numeric_only=True).reset_index()
    means.insert(1, "n", n)
    title = (
        f"{n} stalled phantoms ({preset}), {model}; the vessel is {NEAR} voxels wider than it is"
    )
    show_and_write(means, results / "explain-localise-cpu.csv", title)
    return means


def _one(job: _Job) -> list[dict[str, Any]]:
    number, model, preset = job
    volume, truth = phantom_roi((SEED, number), Label.STALLED, PRESETS[preset])
    ball = np.ones((1 + 2 * NEAR,) * 3, bool)
    vessel = binary_dilation(motion_map(truth) > 0, ball)
    # An ensemble is explained by its networks; the first one stands for it here.
    member: LoadedMember = predictor_of(model).members[0]
    inputs = preprocess(volume, member.preprocessing)
    rng = np.random.default_rng((SEED, number, 1))
    size = inputs.shape[1:]
    centre = _centre(size)
    maps: dict[str, Float32] = {
        "attention": attention(member.model, inputs)[..., 1],
        "grad-cam": grad_cam(member.model, inputs),
        **{
            f"grad-cam, {level.name}": grad_cam(member.model, inputs, layer=level.name)
            for level in member.model.feature_info
        },
        "occlusion": occlusion(member.model, inputs),
        "random voxel": rng.random(size, np.float32),
        "centre of the input": centre,
    }
    rows = []
    for name, heat in maps.items():
        back = to_roi(heat, volume, member.preprocessing)
        rows.append({"map": name, **_scores(back, vessel), **_deletion(member, inputs, heat)})
    box = _centre(volume.array.shape[:3])
    rows.append({"map": "centre of the box", **_scores(box, vessel)})
    return rows


def _centre(size: tuple[int, ...]) -> Float32:
    """Highest in the middle."""
    axes = np.meshgrid(*[np.linspace(-1, 1, extent) for extent in size], indexing="ij")
    return np.exp(-2 * sum(axis**2 for axis in axes)).astype(np.float32)


def _scores(heat: Float32, vessel: NDArray[np.bool_]) -> dict[str, float]:
    return {
        "peak in the vessel": float(vessel[peak(heat)]),
        "energy in the vessel": energy_inside(heat, vessel),
        "overlap of the half": overlap(heat_mask(heat), vessel),
        "share of the box that is vessel": float(vessel.mean()),
    }


def _deletion(member: LoadedMember, inputs: Float32, heat: Float32) -> dict[str, float]:
    """By how much the logit has fallen once the hottest voxels show the mean."""
    order = np.argsort(heat, axis=None)[::-1]
    hidden = inputs.mean(axis=(1, 2, 3))[:, None]
    batch = [inputs]
    for share in SHARES:
        covered = inputs.reshape(len(inputs), -1).copy()
        covered[:, order[: round(share * order.size)]] = hidden
        batch.append(covered.reshape(inputs.shape))
    with torch.no_grad():
        logits = member.model(torch.from_numpy(np.stack(batch)))[:, 0].numpy()
    return {
        f"logit lost, {share:.0%} covered": float(logits[0] - logit)
        for share, logit in zip(SHARES, logits[1:], strict=True)
    }
