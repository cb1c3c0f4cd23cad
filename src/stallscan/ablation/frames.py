"""A 2D network taught by single frames of phantoms, whose weights a 3D one can begin with.

What is asked of a frame is whether the outlined vessel's lumen is in it: the phantom knows, and a
frame alone can say it, which it cannot of a stall.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from scipy.ndimage import zoom
from sklearn.metrics import roc_auc_score
from torch.nn import functional

from stallscan.augment.evaluation import preprocess
from stallscan.models.registry import create_model
from stallscan.simulate.motion_map import motion_map
from stallscan.simulate.phantom import phantom_roi
from stallscan.simulate.settings import PRESETS
from stallscan.training.recipe import Recipe
from stallscan.types import Label

STREAM = 7
"""Second part of the seeds: no stream of a run has it."""

HELD_OUT = 0.2


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FrameLesson:
    """How a 2D network is taught.

    Attributes:
        scenes: phantoms, half of them stalled.
        frames: drawn from each.
        steps: of AdamW, with a cosine to zero.
        batch_size: frames of a step.
        lr: the first rate.
    """

    scenes: int = 400
    frames: int = 16
    steps: int = 400
    batch_size: int = 64
    lr: float = 1e-3


_DEFAULT = FrameLesson()


def teach_by_frames(path: Path, recipe: Recipe, seed: int, lesson: FrameLesson = _DEFAULT) -> float:
    """Train the 2D twin of a recipe's network and write its weights.

    Args:
        path: the .safetensors file; beside it a .json says what it was taught by. A file that is
            there is left alone.
        recipe: whose network, input and phantoms are meant.
        seed: of weights, phantoms and frames.
        lesson: how long.

    Returns:
        AUC on frames of scenes that were held out.
    """
    record = path.with_suffix(".json")
    if path.exists() and record.exists():
        return float(json.loads(record.read_text())["auc"])
    inputs, targets, scenes = _frames(recipe, seed, lesson)
    held_out = scenes >= round((1 - HELD_OUT) * lesson.scenes)
    torch.manual_seed(seed)
    arguments = {**recipe.network, "pretrained": None, "rank": 2}
    model = create_model(arguments.pop("name"), **arguments)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lesson.lr, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, lesson.steps)
    rng = np.random.default_rng((seed, STREAM, 1))
    learnt = np.flatnonzero(~held_out)
    model.train()
    for _ in range(lesson.steps):
        drawn = rng.choice(learnt, lesson.batch_size)
        logits = model(torch.from_numpy(inputs[drawn]).float())[:, 0]
        loss = functional.binary_cross_entropy_with_logits(logits, torch.from_numpy(targets[drawn]))
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        schedule.step()
    model.eval()
    with torch.inference_mode():
        parts = np.array_split(np.flatnonzero(held_out), 8)
        said = [model(torch.from_numpy(inputs[part]).float())[:, 0].numpy() for part in parts]
    auc = float(roc_auc_score(targets[held_out], np.concatenate(said)))
    path.parent.mkdir(parents=True, exist_ok=True)
    # What was asked here is not what will be asked.
    kept = {key: value for key, value in model.state_dict().items() if not model.is_head(key)}
    save_file(kept, path)
    text = {"what": "vessel in the frame", "auc": round(auc, 4), **dataclasses.asdict(lesson)}
    record.write_text(json.dumps(text, indent=1) + "\n")
    return auc


def _frames(
    recipe: Recipe, seed: int, lesson: FrameLesson
) -> tuple[NDArray[np.float16], NDArray[np.float32], NDArray[np.int64]]:
    """``(n, c, y, x)`` inputs, whether the vessel is in them, and the scene of each."""
    preprocessing = recipe.must_input.preprocessing()
    inputs, targets, scenes = [], [], []
    for number in range(lesson.scenes):
        where = (seed, STREAM, number)
        preset = recipe.data.phantoms[number % len(recipe.data.phantoms)]
        volume, truth = phantom_roi(where, Label(number % 2), PRESETS[preset])
        stack = preprocess(volume, preprocessing)  # (c, z, y, x)
        share = (motion_map(truth) > 0).mean(axis=(1, 2))
        there = zoom(share, stack.shape[1] / len(share), order=1) > 0.005
        drawn = np.random.default_rng((*where, 1)).choice(stack.shape[1], lesson.frames)
        inputs.append(np.moveaxis(stack[:, drawn], 1, 0).astype(np.float16))
        targets.append(there[drawn].astype(np.float32))
        scenes.append(np.full(lesson.frames, number))
    return np.concatenate(inputs), np.concatenate(targets), np.concatenate(scenes)
