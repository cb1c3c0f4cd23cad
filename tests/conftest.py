"""What many tests need: a tiny network in a checkpoint folder, and drawn videos."""

from __future__ import annotations

import dataclasses
import gc
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from clips import draw_clip

# Before torch is imported: threads of several processes only wait for each other, and tiny networks
# wait for threads longer than they compute.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_finish() -> None:
    """What all tests import stays to the end: looking through it for garbage takes a tenth."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


@pytest.fixture
def write_drawn_clip(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes a drawn clip into the test's folder: (name, seed, outline) → path."""
    from stallscan.video.write import write_clip

    def write(name: str, seed: int = 0, outline: bool = True, n_frames: int = 8) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_clip(path, draw_clip(seed, n_frames, outline), preset="ultrafast")
        return path

    return write


@pytest.fixture(scope="session")
def tiny_model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder with an untrained network of four channels."""
    import torch

    from stallscan.augment.evaluation import Preprocessing
    from stallscan.models.card import ModelCard
    from stallscan.models.checkpoint import save_checkpoint
    from stallscan.models.registry import create_model

    options = {"in_channels": 3, "width": 0.0625}
    torch.manual_seed(0)
    card = ModelCard(
        name="tiny",
        architecture="resnet18",
        options=options,
        preprocessing=dataclasses.asdict(Preprocessing(size=(8, 32, 32))),
    )
    model_dir = tmp_path_factory.mktemp("models") / "tiny"
    save_checkpoint(create_model("resnet18", **options), card, model_dir)
    return model_dir
