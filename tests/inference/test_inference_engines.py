"""Engines: the same answers from each, what is chosen and why, what is refused."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import stallscan
from clips import draw_clip
from stallscan.errors import OptionError
from stallscan.inference import choose, engine
from stallscan.inference.choose import Choice
from stallscan.inference.engine import ENGINES, make_engine, version_of
from stallscan.inference.member import LoadedMember
from stallscan.inference.options import PredictOptions
from stallscan.models import create_model
from stallscan.models.box import find_model
from stallscan.models.card import ModelCard
from stallscan.models.checkpoint import load_checkpoint

TOLERANCE = 1e-5
"""Stated in docs/inference.md: probabilities of two engines."""


def network(name: str = "resnet18") -> Any:
    torch.manual_seed(5)
    return create_model(name, in_channels=2, width=0.125).eval()


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "mobilenetv2_100"])
@pytest.mark.parametrize("which", ENGINES)
def test_the_logits_are_the_networks(which: Any, name: str) -> None:
    model = network(name)
    ready = make_engine(model, which)
    for n, size in ((1, (33, 40, 37)), (8, (33, 40, 37)), (2, (40, 33, 35))):
        x = np.random.default_rng(n).standard_normal((n, 2, *size), np.float32)
        with torch.no_grad():
            expected = model(torch.from_numpy(x)).numpy().ravel()
        found = ready(x)
        assert (found.shape, found.dtype) == ((n,), np.float32)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("which", ENGINES)
def test_what_an_engine_has_answered_stays(which: Any) -> None:
    """Engines use their own memory again."""
    ready = make_engine(network(), which)
    first, second = np.random.default_rng(0).standard_normal((2, 1, 2, 33, 33, 33), np.float32)
    answer = ready(first)
    kept = answer.copy()
    assert ready(second) != kept
    assert answer == kept == ready(first)


@pytest.mark.parametrize("which", ENGINES)
def test_a_view_of_an_array_is_taken_as_it_reads(which: Any) -> None:
    ready = make_engine(network(), which)
    x = np.random.default_rng(0).standard_normal((1, 2, 33, 34, 35), np.float32)
    for view in (x[..., ::-1], x.transpose(0, 1, 4, 3, 2)):
        assert ready(np.ascontiguousarray(view)) == pytest.approx(ready(view.copy()), abs=1e-6)


def test_probabilities_of_the_model_in_the_box_agree() -> None:
    clips = [draw_clip(seed, 24) for seed in range(3)]
    volumes = [stallscan.find_roi(clip).crop(clip) for clip in clips]
    answers = {}
    for which in ENGINES:
        predictor = stallscan.load_predictor(engine=which)
        for predictor.flips in (1, 4):
            found = [predictor(volume).probability for volume in volumes]
            answers[which, predictor.flips] = found
    for (which, flips), found in answers.items():
        assert found == pytest.approx(answers["torch", flips], abs=TOLERANCE), which


@pytest.mark.parametrize("which", ENGINES)
def test_a_stack_too_thin_is_refused_before_the_engine(which: Any) -> None:
    """By the same words from each engine, not by the library's own."""
    predictor = stallscan.load_predictor(engine=which)
    (preprocessing,) = {member.preprocessing for member in predictor.members}
    thin = np.zeros((len(preprocessing.channels), 1, 64, 0), np.float32)
    with pytest.raises(OptionError, match="input is 1×64×0, allowed are 3 axes"):
        predictor.predict({preprocessing: thin})


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(OptionError, match=r"'tensorrt', allowed are torch, openvino, onnxruntime"):
        make_engine(network(), "tensorrt")  # type: ignore[arg-type]


@pytest.mark.parametrize("which", ["openvino", "onnxruntime"])
def test_an_engine_that_is_not_installed_is_refused(
    which: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(which, monkeypatch)
    with pytest.raises(OptionError, match=f"{which}, whose package is not installed") as caught:
        make_engine(network(), which)
    assert f"pip install {which} onnx" in str(caught.value) and "torch" in str(caught.value)


def test_versions() -> None:
    assert version_of("torch") == torch.__version__
    assert all(version_of(name)[0].isdigit() for name in ENGINES)


@pytest.fixture(scope="module")
def with_openvino(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], Path]:
    """What a process that makes two engines, and loses them, says; its home folder."""
    code = (
        "import os, signal, sys, stallscan\n"
        "signal.signal(signal.SIGUSR1, lambda *_: print('arrived'))\n"
        "engines = [stallscan.load_predictor(engine='openvino') for _ in range(2)]\n"
        "print(*(name for name in sys.modules if name.startswith('openvino')))\n"
        "del engines[0]\n"
        "del engines[0]\n"
        "os.kill(os.getpid(), signal.SIGUSR1)\n"
    )
    home = tmp_path_factory.mktemp("home")
    environment = {**os.environ, "HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines(), home


def test_openvino_reports_to_nobody(with_openvino: tuple[list[str], Path]) -> None:
    """Left alone, importing it leaves an identity in the home folder and sends it to a server."""
    (modules, *_), home = with_openvino
    assert "openvino" in modules.split()
    assert not [name for name in modules.split() if name.startswith("openvino_telemetry")]
    assert not (home / "intel").exists()


def test_signals_still_arrive_after_engines_have_gone(
    with_openvino: tuple[list[str], Path],
) -> None:
    """OpenVINO lays a stack for their handlers, and took it away with the first of two engines."""
    (_, *said), _ = with_openvino
    assert said == ["arrived"]


# --- auto -------------------------------------------------------------------------------------


def without(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        engine.importlib.util, "find_spec", lambda name: None if name == package else find(name)
    )


def choose_engine(members: tuple[LoadedMember, ...], *, flips: int, n_vessels: int) -> Choice:
    """On a CPU, whatever the machine has."""
    return choose.choose(PredictOptions(device="cpu"), members, flips=flips, n_vessels=n_vessels)


def members() -> tuple[LoadedMember, ...]:
    return (LoadedMember(*load_checkpoint(find_model("fast"))),)


class Named:
    """In the place of an engine."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, batch: Any) -> None:
        """Warms up."""


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """What the probe measures, by engine; the engines are made all the same."""
    took: dict[str, float] = {}
    monkeypatch.setattr(choose, "make_engine", lambda _, name: Named(name))
    monkeypatch.setattr(choose, "_time", lambda engine, batch: took[engine.name])
    return took


@pytest.mark.parametrize(
    ("took", "expected"),
    [({"torch": 0.5, "openvino": 0.3}, "openvino"), ({"torch": 0.5, "openvino": 0.6}, "torch")],
)
def test_the_faster_one_is_taken(seconds: dict[str, float], took: Any, expected: str) -> None:
    seconds.update(took)
    choice = choose_engine(members(), flips=2, n_vessels=100)
    assert (choice.engine, choice.seconds) == (expected, took)
    assert "torch 500 ms" in choice.reason and "openvino" in choice.reason


def test_a_busy_moment_does_not_decide(
    seconds: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Something else takes the machine while the faster one is timed first, and again."""
    moments = iter([0.5, 0.5, 3.0, 0.5, 3.0, 0.5, 0.3])
    monkeypatch.setattr(choose, "_time", lambda engine, batch: next(moments))
    choice = choose_engine(members(), flips=2, n_vessels=100)
    assert (choice.engine, choice.seconds) == ("openvino", {"torch": 0.5, "openvino": 0.3})


def test_little_work_is_left_to_torch(seconds: dict[str, float]) -> None:
    """Without making the other ready, which takes longer than it saves."""
    seconds["torch"] = 0.5
    choice = choose_engine(members(), flips=2, n_vessels=19)
    assert choice.engine == "torch" and "9.5 s of work" in choice.reason
    with pytest.raises(KeyError, match="openvino"):
        choose_engine(members(), flips=2, n_vessels=20)


def test_members_count(seconds: dict[str, float]) -> None:
    seconds.update({"torch": 0.5, "openvino": 0.1})
    assert choose_engine(members() * 5, flips=2, n_vessels=4).seconds["openvino"] == 0.5


def test_onnx_runtime_stands_in_for_openvino(
    seconds: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds.update({"torch": 0.5, "onnxruntime": 0.4})
    without("openvino", monkeypatch)
    assert choose_engine(members(), flips=2, n_vessels=100).engine == "onnxruntime"


def test_torch_alone(seconds: dict[str, float], monkeypatch: pytest.MonkeyPatch) -> None:
    seconds["torch"] = 0.5
    without("onnx", monkeypatch)
    assert choose_engine(members(), flips=2, n_vessels=100).seconds == {"torch": 0.5}


def test_a_real_probe_of_a_network_without_a_depth_of_its_own() -> None:
    model = create_model("resnet18", in_channels=2, width=0.0625)
    card = ModelCard(
        name="deep",
        architecture="resnet18",
        options={},
        preprocessing={"size": [None, 32, 32], "channels": ["grey", "mask"]},
    )
    choice = choose_engine((LoadedMember(model, card),), flips=1, n_vessels=10**6)
    assert set(choice.seconds) == {"torch", "openvino"}
    assert choice.seconds[choice.engine] == min(choice.seconds.values()) > 0
