"""MixUp and CutMix: samples of a batch in one another, and labels in the same shares."""

from __future__ import annotations

import json
import pickle
from typing import Any

import numpy as np
import pytest
import torch

from stallscan.augment import CutMix, MixUp, batch_class
from stallscan.augment.registry import BATCHES
from stallscan.errors import OptionError

SHAPE = (6, 2, 5, 8, 9)
WHITE = {"uint8": 255, "uint16": 65535, "float32": 1}
LABELS = np.array([0, 1, 0, 1, 1, 0])

every_mix = pytest.mark.parametrize("name", BATCHES)


def made(name: str, **options: Any) -> Any:
    return batch_class(name)(**{"alpha": 1.0, "p": 1.0, **options})


def batch(dtype: str = "uint8", shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    share = np.random.default_rng(0).random(shape)
    white = WHITE[dtype]
    return (share if white == 1 else np.rint(share * white)).astype(dtype)


@every_mix
@pytest.mark.parametrize("dtype", WHITE)
@pytest.mark.parametrize("shape", [SHAPE, (4, 5, 8, 9), (1, 1, 1, 1, 1)])
def test_a_slow_reading_of_the_record_gives_the_same(
    name: str, dtype: str, shape: tuple[int, ...]
) -> None:
    images, mix = batch(dtype, shape), made(name)
    before, labels = images.copy(), LABELS[: shape[0]]
    found = mix(images=images, labels=labels, rng=1, return_record=True)
    record = found["record"]
    shares = []
    for number, other in enumerate(record["partners"]):
        if name == "MixUp":
            shares.append(record["shares"][number])
            own = images[number].astype(float)
            expected = own * shares[-1] + images[other] * (1 - shares[-1])
        else:
            z0, y0, x0, z1, y1, x1 = record["boxes"][number]
            expected = images[number].astype(float)
            inside = np.zeros(shape[-3:], bool)
            inside[z0:z1, y0:y1, x0:x1] = True
            expected[..., inside] = images[other][..., inside]
            shares.append(1 - inside.mean())
        rounding = 1e-6 if dtype == "float32" else 0.501
        np.testing.assert_allclose(found["images"][number], expected, atol=rounding)
    share = np.array(shares)
    expected = labels * share + labels[record["partners"]] * (1 - share)
    np.testing.assert_allclose(found["labels"], expected, atol=1e-6)
    assert found["labels"].dtype == np.float32 and found["images"].dtype == dtype
    np.testing.assert_array_equal(images, before)
    assert not np.may_share_memory(found["images"], images)


@every_mix
def test_tensors_become_what_arrays_become(name: str) -> None:
    images, mix = batch("float32"), made(name)
    classes = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1, 2]]
    arrays = mix(images=images, labels=LABELS, classes=classes, rng=3)
    tensors = mix(
        images=torch.from_numpy(images),
        labels=torch.from_numpy(LABELS),
        classes=torch.from_numpy(classes),
        rng=3,
    )
    for key, array in arrays.items():
        assert isinstance(tensors[key], torch.Tensor)
        np.testing.assert_allclose(tensors[key], array, atol=1e-6)
    np.testing.assert_allclose(arrays["classes"].sum(axis=1), 1, atol=1e-6)
    half = mix(images=torch.from_numpy(images).bfloat16(), rng=3)["images"]
    assert half.dtype == torch.bfloat16


@every_mix
def test_records_replay_and_seeds_repeat(name: str) -> None:
    images, mix = batch(), made(name, seed=5)
    found = mix(images=images, labels=LABELS, return_record=True)
    again = mix.replay(json.loads(json.dumps(found["record"])), images=images, labels=LABELS)
    for key in ("images", "labels"):
        np.testing.assert_array_equal(again[key], found[key])
    np.testing.assert_array_equal(made(name, seed=5)(images=images)["images"], found["images"])
    assert not np.array_equal(mix(images=images)["images"], found["images"])
    copy = pickle.loads(pickle.dumps(made(name, seed=5)))
    assert copy == made(name, seed=5)
    fields = json.loads(json.dumps(copy.to_dict()))
    kind = batch_class(fields.pop("name"))
    assert kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}) == copy
    for record, other in (
        (found["record"], images[:3]),
        (found["record"], images[..., :4]),
        ({**found["record"], "name": "Flip"}, images),
        ({}, images),
    ):
        with pytest.raises(OptionError, match=r"the record was drawn by .*replay takes"):
            mix.replay(record, images=other)


@every_mix
def test_what_is_not_mixed_stays_as_it_is(name: str) -> None:
    images = batch()
    found = made(name, p=0)(images=images, labels=LABELS, rng=0)
    np.testing.assert_array_equal(found["images"], images)
    np.testing.assert_array_equal(found["labels"], LABELS)


@every_mix
def test_shares_are_as_the_beta_distribution_has_them(name: str) -> None:
    """Beta(0.5, 0.5): mean 1/2, variance 1/8; at p = 0.4 the rest is whole."""
    mix, extent = made(name, alpha=0.5), (40, 64, 64)
    rng = np.random.default_rng(0)
    shares = np.array(mix.shares(mix.sample(rng, 4000, extent), extent))
    assert shares.mean() == pytest.approx(0.5, abs=0.02)
    assert shares.var() == pytest.approx(1 / 8, abs=0.006)
    some = made(name, p=0.4)
    shares = np.array(some.shares(some.sample(rng, 4000, extent), extent))
    assert (shares == 1).mean() == pytest.approx(0.6, abs=0.04)
    for n in (2, 3, 9):
        partners = mix.sample(rng, n, extent)["partners"]
        assert sorted(partners) == list(range(n))
        assert all(other != number for number, other in enumerate(partners))


def test_boxes_are_cut_along_the_axes_asked_for_and_lie_anywhere() -> None:
    params = CutMix(1.0, 1.0, axes=(0,)).sample(np.random.default_rng(0), 500, (20, 30, 40))
    boxes = np.array(params["boxes"])
    np.testing.assert_array_equal(boxes[:, [1, 2, 4, 5]], [[0, 0, 30, 40]] * 500)
    assert set(boxes[:, 0]) == set(range(20)) | ({20} & set(boxes[:, 0]))
    boxes = np.array(CutMix(1.0, 1.0).sample(np.random.default_rng(0), 500, (20, 30, 40))["boxes"])
    lengths = (boxes[:, 3:] - boxes[:, :3]) / (20, 30, 40)
    assert np.abs(lengths - lengths.mean(axis=1, keepdims=True)).max() < 0.04  # the same shares
    assert (boxes >= 0).all() and (boxes[:, 3:] <= (20, 30, 40)).all()


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"images": np.zeros((3, 4, 5), np.uint8)}, r"images has the shape \(3, 4, 5\), allowed are"),
    ({"images": np.zeros((0, 3, 4, 5), np.uint8)}, r"\(0, 3, 4, 5\).*not empty"),
    ({"images": np.zeros((2, 3, 4, 5))}, "images is float64, allowed are"),
    ({"images": torch.zeros(2, 3, 4, 5, dtype=torch.uint8)}, "uint8, allowed are.*tensors"),
    ({"images": np.zeros((2, 3, 4, 5), np.uint8), "labels": [1]}, r"labels has the shape \(1,\)"),
    ({"images": np.zeros((2, 3, 4, 5), np.uint8), "labels": 1}, r"labels has the shape \(\)"),
    ({"images": np.zeros((2, 3, 4, 5), np.uint8), "labels": list("ab")}, "labels is <U1, allowed"),
]


@every_mix
def test_wrong_calls_and_options_are_refused(name: str) -> None:
    for call, message in REFUSED:
        with pytest.raises(OptionError, match=message):
            made(name)(**call, rng=0)
    for options, message in (
        ({"alpha": 0}, f"{name}.alpha is 0, allowed is what lies above 0"),
        ({"alpha": -1}, f"{name}.alpha is -1, allowed are 0 to"),
        ({"p": 1.5}, rf"{name}\.p is 1.5, allowed are 0 to 1"),
        ({"seed": -2}, f"{name}.seed is -2"),
        ({"alfa": 1}, f"{name} has no option alfa .*did you mean alpha"),
    ):
        with pytest.raises(OptionError, match=message):
            batch_class(name)(**options)
    with pytest.raises(OptionError, match=r"batch augmentation is 'MixIt'.*did you mean 'MixUp'"):
        batch_class("MixIt")
    with pytest.raises(OptionError, match=r"CutMix.axes is \(0, 0\), allowed are different axes"):
        CutMix(axes=(0, 0))
    assert MixUp(0.3) == MixUp(alpha=0.3)
