"""Several networks that answer together: against closed forms, and each network asked alone."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import stallscan
from clips import draw_clip
from stallscan.augment.evaluation import Preprocessing, preprocess
from stallscan.augment.mirror import FLIPS
from stallscan.errors import CheckpointError, OptionError
from stallscan.inference import predictor as module
from stallscan.inference import prepare
from stallscan.inference.batch import predict_all
from stallscan.inference.engine import make_engine
from stallscan.inference.member import LoadedMember
from stallscan.inference.predictor import Predictor
from stallscan.models import (
    EnsembleCard,
    Member,
    create_model,
    load_checkpoint,
    read_ensemble,
    save_checkpoint,
    write_ensemble,
)
from stallscan.models.card import ModelCard
from stallscan.roi import extract_roi

ROUNDED = 1e-6
"""Probabilities are rounded to six digits."""


@pytest.fixture
def volume() -> stallscan.Volume:
    array = draw_clip(3)
    return stallscan.find_roi(array).crop(array)


def save(
    model_dir: Path,
    *,
    seed: int = 0,
    logit: float | None = None,
    architecture: str = "resnet18",
    size: tuple[int | None, int, int] = (8, 32, 32),
    channels: tuple[str, ...] = ("grey", "mask"),
) -> Path:
    """A small checkpoint; with ``logit`` its network says that, whatever it sees."""
    options = {"in_channels": len(channels), "width": 0.0625}
    torch.manual_seed(seed)
    model = create_model(architecture, **options)
    head = getattr(model, model.head_name)
    # Of so shallow a start all answers are much the same.
    torch.nn.init.normal_(head.weight, std=4.0)
    if logit is not None:
        torch.nn.init.zeros_(head.weight)
        torch.nn.init.constant_(head.bias, logit)
    card = ModelCard(
        name=f"seed{seed}",
        architecture=architecture,
        options=options,
        preprocessing=dataclasses.asdict(Preprocessing(size=size, channels=channels)),
        threshold=0.9,
        flips=2,
    )
    save_checkpoint(model, card, model_dir)
    return model_dir


def ensemble(folder: Path, weights: dict[str, float], **values: Any) -> Path:
    members = tuple(Member(path, weight) for path, weight in weights.items())
    write_ensemble(EnsembleCard(name="together", members=members, **values), folder)
    return folder


def sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


def asked(folder: Path, volume: stallscan.Volume, **options: Any) -> float:
    return stallscan.load_predictor(folder, **options)(volume).probability


def logits_of(model_dir: Path, volume: stallscan.Volume, flips: int) -> np.ndarray:
    """What a network says of each flip, without the predictor."""
    model, card = load_checkpoint(model_dir)
    inputs = preprocess(volume, Preprocessing.from_dict(card.preprocessing))
    copies = np.stack([np.flip(inputs, axes) for axes in FLIPS[:flips]])
    with torch.no_grad():
        return model(torch.from_numpy(copies)).numpy().astype(float).ravel()


# --- What is averaged -------------------------------------------------------------------------


@pytest.mark.parametrize("weight", [1, 0.3, 7])
@pytest.mark.parametrize("flips", [1, 8])
def test_one_member_is_that_checkpoint(
    tmp_path: Path, volume: stallscan.Volume, weight: float, flips: int
) -> None:
    alone = asked(save(tmp_path / "e" / "a"), volume, flips=flips)
    assert asked(ensemble(tmp_path / "e", {"a": weight}), volume, flips=flips) == alone
    ensemble(tmp_path, {"e": 0.7})
    assert asked(tmp_path, volume, flips=flips) == alone


@pytest.mark.parametrize("weights", [(1, 1, 1), (3, 1, 1), (0.1, 0.7, 0.2)])
@pytest.mark.parametrize("combine", ["probability", "logit"])
def test_constant_networks_give_the_closed_form(
    tmp_path: Path, volume: stallscan.Volume, weights: tuple[float, ...], combine: str
) -> None:
    logits = (2.5, -1.25, 0.5)
    for index, logit in enumerate(logits):
        save(tmp_path / f"m{index}", logit=logit)
    ensemble(
        tmp_path,
        {f"m{index}": weight for index, weight in enumerate(weights)},
        combine=combine,
        flips=2,
    )
    shares = [weight / sum(weights) for weight in weights]
    of_probabilities = sum(w * sigmoid(x) for w, x in zip(shares, logits, strict=True))
    of_logits = sigmoid(sum(w * x for w, x in zip(shares, logits, strict=True)))
    expected = of_probabilities if combine == "probability" else of_logits
    assert abs(of_probabilities - of_logits) > 100 * ROUNDED
    assert asked(tmp_path, volume) == pytest.approx(expected, abs=ROUNDED)


@pytest.mark.parametrize("flips", [4, 8])
def test_flips_are_averaged_as_members_are(
    tmp_path: Path, volume: stallscan.Volume, flips: int
) -> None:
    logits = [logits_of(save(tmp_path / f"m{seed}", seed=seed), volume, flips) for seed in (1, 2)]
    weights = {"m1": 3, "m2": 1}
    of_logits = sigmoid(float(np.average([x.mean() for x in logits], weights=[3, 1])))
    probabilities = [(1 / (1 + np.exp(-x))).mean() for x in logits]
    of_probabilities = float(np.average(probabilities, weights=[3, 1]))
    back = [math.log(p / (1 - p)) for p in probabilities]  # flips as probabilities: neither of both
    mixed = sigmoid(float(np.average(back, weights=[3, 1])))
    assert min(abs(mixed - of_logits), abs(of_logits - of_probabilities)) > 10 * ROUNDED
    ensemble(tmp_path, weights, combine="logit", flips=flips)
    assert asked(tmp_path, volume) == pytest.approx(of_logits, abs=3 * ROUNDED)
    ensemble(tmp_path, weights, flips=flips)
    assert asked(tmp_path, volume) == pytest.approx(of_probabilities, abs=3 * ROUNDED)


def test_the_order_of_the_members_does_not_matter(
    tmp_path: Path, volume: stallscan.Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in the last bit of float64: rounding to six digits is switched off."""
    monkeypatch.setattr(module, "round", lambda value, digits: value, raising=False)
    # Made once for each network, not once for each order.
    make = functools.cache(lambda model: make_engine(model, "torch"))
    monkeypatch.setattr(module, "make_engine", lambda model, name, **options: make(model))
    weights, sizes = (0.1, 0.2, 0.3, 0.7), ((8, 32, 32), (8, 40, 32), (8, 32, 32), (8, 32, 32))
    for seed, size in enumerate(sizes):
        save(tmp_path / f"m{seed}", seed=seed, size=size)
    for combine in ("probability", "logit"):
        paths = {f"m{seed}": weight for seed, weight in enumerate(weights)}
        ensemble(tmp_path, paths, combine=combine, flips=1)
        first = stallscan.load_predictor(tmp_path)
        others = [Predictor(order, first.card) for order in itertools.permutations(first.members)]
        assert {other(volume).probability for other in others} == {first(volume).probability}


def test_members_that_are_given_count_by_the_ratios_of_their_weights(
    tmp_path: Path, volume: stallscan.Volume
) -> None:
    """Weights that do not sum to 1, as a caller may have them."""
    members = [
        LoadedMember(*load_checkpoint(save(tmp_path / path, logit=logit)), weight)
        for path, logit, weight in (("a", 1.0, 30), ("b", -2.0, 10))
    ]
    card = EnsembleCard(name="e", members=(Member("a", 30), Member("b", 10)), flips=1)
    expected = 0.75 * sigmoid(1.0) + 0.25 * sigmoid(-2.0)
    assert Predictor(members, card)(volume).probability == pytest.approx(expected, abs=ROUNDED)


def test_extreme_logits_do_not_overflow(tmp_path: Path, volume: stallscan.Volume) -> None:
    for path, logit in (("a", -60000.0), ("b", -60000.0)):
        save(tmp_path / path, logit=logit)
    assert asked(ensemble(tmp_path, {"a": 1, "b": 1}, combine="logit", flips=1), volume) == 0.0


def test_snapshots_of_folds(tmp_path: Path, volume: stallscan.Volume) -> None:
    """Two folds that count 3 to 1; of the second, two snapshots that count 1 to 4."""
    for path, logit in (("f0", 1.0), ("f1/s0", -2.0), ("f1/s1", 0.25)):
        save(tmp_path / path, logit=logit)
    ensemble(tmp_path / "f1", {"s0": 1, "s1": 4}, threshold=0.2, flips=4)
    ensemble(tmp_path, {"f0": 3, "f1": 1}, flips=1)
    expected = 0.75 * sigmoid(1.0) + 0.25 * (0.2 * sigmoid(-2.0) + 0.8 * sigmoid(0.25))
    predictor = stallscan.load_predictor(tmp_path)
    assert predictor(volume).probability == pytest.approx(expected, abs=ROUNDED)
    assert (predictor.threshold, predictor.flips) == (0.5, 1)


# --- Stopping early ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("threshold", "n_asked"),
    # Shares 0.5, 0.3, 0.2 and probabilities 0.8, 0.1, 0.6: after one member the mean lies within
    # 0.4–0.9, after two within 0.43–0.63, and it is 0.55.
    [(0.39, 1), (0.41, 2), (0.44, 3), (0.56, 3), (0.62, 3), (0.64, 2), (0.89, 2), (0.91, 1)],
)
def test_members_that_cannot_change_the_call_are_not_asked(
    tmp_path: Path, volume: stallscan.Volume, threshold: float, n_asked: int
) -> None:
    probabilities, weights = (0.8, 0.1, 0.6), (5, 3, 2)
    for index, p in enumerate(probabilities):
        save(tmp_path / f"m{index}", logit=math.log(p / (1 - p)))
    members = {f"m{index}": float(weight) for index, weight in enumerate(weights)}
    ensemble(tmp_path, members, threshold=threshold, flips=1)
    card = read_ensemble(tmp_path)
    loaded = stallscan.load_predictor(tmp_path).members
    full = Predictor(loaded, card)(volume)
    early = Predictor(loaded, card, stop_early=True)(volume)
    assert full.probability == pytest.approx(0.55, abs=1e-3) and full.n_networks == 3
    assert (early.stalled, early.n_networks) == (full.stalled, n_asked)
    of_asked = np.average(probabilities[:n_asked], weights=weights[:n_asked])
    assert early.probability == pytest.approx(of_asked, abs=1e-3)
    assert early.stalled == (early.probability >= threshold)


def test_stopping_early_never_changes_a_call(volume: stallscan.Volume, tmp_path: Path) -> None:
    """Against all members asked, over thresholds that include their very mean."""
    for seed in range(5):
        save(tmp_path / f"m{seed}", seed=seed)
    ensemble(tmp_path, {f"m{seed}": 1.0 + seed for seed in range(5)}, flips=2)
    loaded = stallscan.load_predictor(tmp_path)
    hasty = Predictor(loaded.members, loaded.card, stop_early=True)
    mean = loaded(volume).probability
    asked = set()
    for threshold in (0.0, 1.0, mean, mean + 1e-6, mean - 1e-6, *np.linspace(0.01, 0.99, 23)):
        loaded.threshold = hasty.threshold = float(threshold)
        full, early = loaded(volume), hasty(volume)
        assert early.stalled == full.stalled == (early.probability >= threshold), threshold
        asked.add(early.n_networks)
    assert len(asked) > 1 and max(asked) == 5


def test_each_vessel_of_a_batch_stops_when_it_is_decided(tmp_path: Path) -> None:
    for seed in range(4):
        save(tmp_path / f"m{seed}", seed=seed)
    ensemble(tmp_path, {f"m{seed}": 1.0 + seed for seed in range(4)}, flips=2)
    loaded = stallscan.load_predictor(tmp_path)
    hasty = Predictor(loaded.members, loaded.card, stop_early=True)
    clips = [draw_clip(seed, 10) for seed in range(6)]
    vessels = [loaded.prepare(stallscan.find_roi(clip).crop(clip)) for clip in clips]
    whole = [prediction.probability for prediction in loaded.predict_batch(vessels)]
    n_asked = set()
    for threshold in np.linspace(min(whole) - 0.05, max(whole) + 0.05, 7):
        loaded.threshold = hasty.threshold = float(threshold)
        together = hasty.predict_batch(vessels)
        alone = [hasty.predict(vessel) for vessel in vessels]
        for one, other in zip(alone, together, strict=True):
            assert (one.stalled, one.n_networks) == (other.stalled, other.n_networks)
            assert other.probability == pytest.approx(one.probability, abs=ROUNDED)
        n_asked |= {prediction.n_networks for prediction in together}
    assert len(n_asked) > 1


def test_a_mean_of_logits_has_no_bounds(tmp_path: Path) -> None:
    save(tmp_path / "a")
    ensemble(tmp_path, {"a": 1}, combine="logit")
    members = stallscan.load_predictor(tmp_path).members
    with pytest.raises(OptionError, match=r"together: --stop-early is on .* averages logits"):
        Predictor(members, read_ensemble(tmp_path), stop_early=True)


# --- Members that differ ----------------------------------------------------------------------

DIFFERENT: dict[str, dict[str, Any]] = {
    "a": {"size": (8, 32, 32), "channels": ("grey", "mask")},
    "b": {"size": (16, 48, 32), "channels": ("grey", "mask")},
    "c": {"size": (8, 32, 32), "channels": ("mask", "change", "grey")},
    "d": {"size": (8, 32, 32), "channels": ("grey", "mask"), "architecture": "resnet34"},
    "e": {"size": (None, 32, 32), "channels": ("red", "green", "blue")},
}


def test_members_may_differ_in_all_things(
    tmp_path: Path, volume: stallscan.Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed, (path, options) in enumerate(DIFFERENT.items()):
        save(tmp_path / path, seed=seed, **options)
    alone = [asked(tmp_path / path, volume, flips=2) for path in DIFFERENT]
    assert np.ptp(alone) > 1000 * ROUNDED
    calls: list[Preprocessing] = []

    def counting(volume: stallscan.Volume, preprocessing: Preprocessing) -> Any:
        calls.append(preprocessing)
        return preprocess(volume, preprocessing)

    monkeypatch.setattr(prepare, "preprocess", counting)
    found = asked(ensemble(tmp_path, dict.fromkeys(DIFFERENT, 1.0), flips=2), volume)
    assert found == pytest.approx(float(np.mean(alone)), abs=ROUNDED)
    assert len(calls) == len(set(calls)) == 4  # a and d share theirs


def test_what_is_prepared_is_all_that_is_needed(tmp_path: Path, volume: stallscan.Volume) -> None:
    for path in ("a", "b", "d"):
        save(tmp_path / path, **DIFFERENT[path])
    predictor = stallscan.load_predictor(ensemble(tmp_path, dict.fromkeys("abd", 1.0), flips=1))
    inputs = predictor.prepare(volume)
    assert [array.shape for array in inputs.values()] == [(2, 8, 32, 32), (2, 16, 48, 32)]
    assert predictor.predict(inputs) == predictor(volume)


# --- The card, and many videos ----------------------------------------------------------------


def test_the_ensemble_decides_not_its_members(tmp_path: Path, volume: stallscan.Volume) -> None:
    save(tmp_path / "a", logit=0.0)  # whose own threshold is 0.9
    ensemble(tmp_path, {"a": 1}, threshold=0.5, flips=4)
    predictor = stallscan.load_predictor(tmp_path)
    assert (predictor.threshold, predictor.flips) == (0.5, 4)
    assert predictor.card == read_ensemble(tmp_path)
    assert predictor(volume) == stallscan.Prediction(probability=0.5, stalled=1)
    other = stallscan.load_predictor(tmp_path, threshold=0.51, flips=1)
    assert (other.threshold, other.flips, other(volume).stalled) == (0.51, 1, 0)


def test_no_member_is_in_training_mode(tmp_path: Path, volume: stallscan.Volume) -> None:
    for seed, path in enumerate("ab"):
        save(tmp_path / path, seed=seed)
    predictor = stallscan.load_predictor(ensemble(tmp_path, {"a": 1, "b": 1}))
    assert len(predictor.members) == 2
    assert not any(part.training for member in predictor.members for part in member.model.modules())


@pytest.mark.parametrize("workers", [1, 3])
def test_a_batch_gives_the_same_as_one_at_a_time(
    tmp_path: Path, write_drawn_clip: Callable[..., Path], workers: int
) -> None:
    for seed, path in enumerate("ab"):
        save(tmp_path / path, seed=seed, **DIFFERENT[path])
    predictor = stallscan.load_predictor(ensemble(tmp_path, {"a": 1, "b": 2}, flips=1))
    videos = [write_drawn_clip(f"v{seed}.mp4", seed, seed != 1) for seed in range(4)]
    rows = [row for row, _ in predict_all(videos, extract_roi, predictor, workers=workers)]
    assert [row.status for row in rows] == ["ok", "failed", "ok", "ok"]
    assert {row.model for row in rows} == {"together"}
    for row, path in zip(rows, videos, strict=True):
        if row.status == "ok":
            clip = stallscan.read_clip(path)
            assert row.probability == predictor(stallscan.find_roi(clip).crop(clip)).probability


def test_a_stack_too_short_for_a_network_costs_one_row(
    tmp_path: Path, write_drawn_clip: Callable[..., Path]
) -> None:
    """Where a stack keeps its own depth only the network can say that it does not do."""
    save(tmp_path / "a")
    save(tmp_path / "b", size=(None, 32, 32), architecture="densenet121")
    predictor = stallscan.load_predictor(ensemble(tmp_path, {"a": 1, "b": 1}, flips=1))
    videos = [write_drawn_clip(f"v{n}.mp4", n, n_frames=n) for n in (32, 8, 30)]
    rows = [row for row, _ in predict_all(videos, extract_roi, predictor)]
    assert [row.status for row in rows] == ["ok", "failed", "ok"]
    assert (rows[1].probability, rows[1].stalled, rows[1].n_frames) == (None, None, 8)
    for part in ("v8.mp4: ", "input is 8×32×32", "at least 29×29×29"):
        assert part in rows[1].message


# --- Damage -----------------------------------------------------------------------------------

DAMAGE: dict[str, tuple[Callable[[Path], Any], list[str]]] = {
    "no folder": (shutil.rmtree, ["'f/b' is missing", "copy it there"]),
    "empty folder": (
        lambda d: [path.unlink() for path in d.iterdir()],
        ["'f/b' cannot be used: ", "the folder holds nothing"],
    ),
    "no weights": (
        lambda d: (d / "weights.safetensors").unlink(),
        ["'f/b' cannot be used: ", "weights.safetensors: missing"],
    ),
    "torn weights": (
        lambda d: (d / "weights.safetensors").write_bytes(b"torn"),
        ["'f/b' cannot be used: ", "is not a safetensors file", "copy it anew"],
    ),
    "torn card": (
        lambda d: (d / "model.json").write_text("{"),
        ["'f/b' cannot be used: ", "is not a JSON object"],
    ),
    "nonsense preprocessing": (
        lambda d: (d / "model.json").write_text(
            (d / "model.json").read_text().replace('"grey"', '"greyish"')
        ),
        ["'f/b' cannot be used: ", "preprocessing is", "greyish", "export the model anew"],
    ),
}


@pytest.mark.parametrize("cause", DAMAGE)
def test_damage_names_member_and_ensemble(tmp_path: Path, cause: str) -> None:
    damage, expected = DAMAGE[cause]
    for path in ("a", "f/b"):
        save(tmp_path / path)
    ensemble(tmp_path, {"a": 1, "f/b": 1})
    damage(tmp_path / "f" / "b")
    with pytest.raises(CheckpointError) as caught:
        stallscan.load_predictor(tmp_path)
    for part in (f"{tmp_path / 'ensemble.json'}: ", *expected):
        assert part in str(caught.value)
