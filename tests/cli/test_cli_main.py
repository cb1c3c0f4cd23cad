"""The command line as a user meets it."""

from __future__ import annotations

import subprocess
import sys

import pytest

import stallscan
from stallscan.cli import VERBS, main

HEAVY = ("torch", "lightning", "sklearn", "pandas", "matplotlib", "numba", "av", "cv2")


def modules_after(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after running code."""
    listing = "import sys; print(*sorted({m.partition('.')[0] for m in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{listing}"], capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


def test_import_and_help_stay_light() -> None:
    loaded = modules_after("import stallscan\nfrom stallscan.cli import main\nmain(['--help'])")
    assert not loaded.intersection(HEAVY)


def test_the_help_of_a_verb_loads_no_torch() -> None:
    loaded = modules_after(
        """
from stallscan.cli import main

for verb in ("predict", "evaluate", "train", "recipes"):
    try:
        main([verb, "--help"])
    except SystemExit:
        print(verb)
"""
    )
    assert not loaded.intersection({"torch", "lightning", "sklearn"})


def test_predict_needs_neither_lightning_nor_scikit_learn() -> None:
    loaded = modules_after(
        "import stallscan.cli.predict, stallscan\nstallscan.load_predictor\n"
        "import stallscan.inference.batch"
    )
    assert not loaded.intersection({"lightning", "sklearn"})


def test_training_on_the_phantom_needs_no_video_store_or_command_line_library() -> None:
    """On a machine for training they may be absent; rendering is replaced, for it takes long."""
    loaded = modules_after(
        """
import tempfile
from pathlib import Path

import stallscan.training.jobs
from stallscan.simulate.phantom import phantom_roi
from stallscan.training import Phantom, TrainOptions, load_recipe, phantom_data, train
from stallscan.training.plan import describe_run
from stallscan.types import Label

one = phantom_roi(0, Label.STALLED)
phantom_data.phantom_roi = lambda where, label, settings: one
recipe = load_recipe("smoke", ["stop.max_epochs=1", "validation.n=2"])
options = TrainOptions(workers=0, device="cpu")
describe_run(recipe, options, Phantom())
with tempfile.TemporaryDirectory() as folder:
    train(Path(folder) / "run", recipe, options, progress=False)
"""
    )
    assert not loaded.intersection({"av", "lmdb", "tyro", "openvino"})


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"stallscan {stallscan.__version__}\n"


def test_help_fits_a_screen(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 24 and max(map(len, lines)) <= 80
    assert all(any(line.split()[:1] == [verb] for line in lines) for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_that_fits_a_screen(
    verb: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit) as caught:
        main([verb, "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert "--out" in text or verb in ("simulate", "transforms", "models", "recipes")
    assert len(text.splitlines()) <= 45


def test_an_unknown_verb_gets_the_closest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pedict"]) == 2
    message = capsys.readouterr().err
    assert "unknown verb 'pedict'" in message and "did you mean 'predict'?" in message


def test_an_unknown_option_is_usage() -> None:
    with pytest.raises(SystemExit) as caught:
        main(["predict", "x.mp4", "--out", "p.csv", "--flipz", "8"])
    assert caught.value.code == 2


def test_an_option_outside_its_range_is_usage_and_says_what_is_allowed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["predict", "x.mp4", "--out", "p.csv", "--flips", "3"])
    assert caught.value.code == 2
    captured = capsys.readouterr()
    text = " ".join((captured.out + captured.err).split())
    assert "--flips is 3, allowed are 1, 2, 4 and 8" in text
