"""A 2D network that frames have taught, and the 3D one that begins with it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from stallscan.ablation import frames
from stallscan.ablation.frames import FrameLesson, teach_by_frames
from stallscan.ablation.table import load_table
from stallscan.models import create_model
from stallscan.training.recipe import Recipe

LESSON = FrameLesson(scenes=10, frames=8, steps=2, batch_size=4)


def recipe() -> Recipe:
    table = load_table("transfer").at("small")
    overrides = ("input.size=[16,32,32]", "data.phantom=clean")
    found = table.recipe(table.row("DenseNet121, frames, average"), "small", overrides)
    assert found.must_model.pretrained == "frames"
    return found


def test_the_3d_network_begins_with_what_frames_taught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "frames" / "weights.safetensors"
    auc = teach_by_frames(path, recipe(), 0, LESSON)
    assert json.loads(path.with_suffix(".json").read_text())["auc"] == pytest.approx(auc, abs=1e-4)
    arguments = {**recipe().network, "pretrained": str(path)}
    model = create_model(arguments.pop("name"), **arguments)
    flat = create_model(
        "densenet121", rank=2, width=0.25, in_channels=3, pretrained=str(path), num_classes=1
    )
    kernel = dict(model.named_parameters())["features.conv0.weight"].detach().numpy()
    flat_kernel = dict(flat.named_parameters())["features.conv0.weight"].detach().numpy()
    np.testing.assert_allclose(kernel.sum(axis=2), flat_kernel, rtol=1e-5, atol=1e-6)
    assert np.ptp(kernel, axis=2).max() == 0  # spread evenly
    monkeypatch.setattr(frames, "_frames", None)  # a second call teaches nothing
    assert teach_by_frames(path, recipe(), 0, LESSON) == pytest.approx(auc, abs=1e-4)


def test_frames_with_and_without_the_vessel() -> None:
    inputs, targets, scenes = frames._frames(recipe(), 0, LESSON)
    assert inputs.shape == (80, 3, 32, 32) and scenes.tolist() == sorted([*range(10)] * 8)
    assert 0 < targets.mean() < 1
