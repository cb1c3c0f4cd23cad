"""The example that shows the networks alone."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from stallscan.models import create_model

SCRIPT = Path(__file__).parents[2] / "examples" / "zoo.py"


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("example_zoo", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def thin(example: ModuleType) -> np.ndarray:
    """The survey; networks for it are computed on a piece."""
    volume: np.ndarray = example.survey()
    return volume


def test_the_survey_is_thin_and_standardised(thin: np.ndarray) -> None:
    assert thin.shape == (24, 160, 160) and thin.dtype == np.float32
    assert thin.mean() == pytest.approx(0, abs=1e-3) and thin.std() == pytest.approx(1, abs=1e-3)


def test_layers_lie_deeper_behind_the_fault(example: ModuleType, thin: np.ndarray) -> None:
    first = thin[0].astype(float)  # (time, trace); the fault is at trace 70 + 0.3 time
    fold = np.rint(8 * np.sin(np.arange(160) / 30)).astype(int)
    flat = np.stack([np.roll(column, f) for column, f in zip(first.T, fold, strict=True)], axis=1)
    before, behind = flat[20:110, 10:70].mean(1), flat[20:110, 125:150].mean(1)
    lags = range(-15, 16)
    likeness = [np.corrcoef(before[20:70], behind[20 + d : 70 + d])[0, 1] for d in lags]
    assert lags[int(np.argmax(likeness))] == example.THROW


def test_the_example_prints_every_level(
    example: ModuleType,
    thin: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr(example, "survey", lambda: thin[:16, :64, :96])
    example.main()
    first, *levels, features = capsys.readouterr().out.splitlines()[:7]
    assert first.split() == ["input", "1×1×16×64×96"]
    channels, reductions = [64, 256, 512, 1024, 1024], [1, 1, 2, 4, 8]
    for step, (row, n, along) in enumerate(zip(levels, channels, reductions, strict=True), 1):
        _, extents, times, _, _ = row.split()
        assert extents == f"1×{n}×{16 // along}×{64 // 2**step}×{96 // 2**step}"
        assert times == f"{along}×{2**step}×{2**step}"
    assert features.split() == ["features", "1×1024×2×2×3"]


def test_the_example_starts_from_a_file(
    example: ModuleType,
    thin: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr(example, "survey", lambda: thin[:8, :32, :32])
    twin = create_model("densenet121", rank=2)  # colour images, one class
    path = tmp_path / "twin.pth"
    torch.save(twin.state_dict(), path)
    printed = []
    for _ in range(2):  # the head is new and drawn; the features come from the file
        torch.manual_seed(3)
        example.main(str(path))
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    torch.manual_seed(3)
    example.main()
    assert capsys.readouterr().out.splitlines()[7:] != printed[0].splitlines()[7:]
