"""Presets: what the paper and its code say, what ours adds, and what comes out."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from stallscan.augment import PRESETS, Compose, GaussianNoise, RandomGamma, Resize, preset
from stallscan.augment._transform import Augmentation
from stallscan.errors import OptionError

SIZE = (12, 16, 16)
# Name, p, and what else matters, in the order of the winner's code.
WINNER: list[tuple[str, float, dict[str, Any]]] = [
    ("Rotate", 0.3, {"x_limit": (-10, 10), "y_limit": (0, 0), "z_limit": (0, 0)}),
    ("ElasticTransform", 0.1, {"deformation_limits": (0, 0.25)}),
    ("RandomCropFromBorders", 0.4, {"crop_value": 0.15}),
    ("Resize", 1, {"shape": SIZE, "always_apply": True}),
    ("Flip", 0.5, {"axis": 0}),
    ("Flip", 0.5, {"axis": 1}),
    ("Flip", 0.5, {"axis": 2}),
    ("RandomRotate90", 0.5, {"axes": (1, 2)}),
    ("GaussianNoise", 0.2, {"var_limit": (0, 5), "as_std": False}),
    ("RandomGamma", 0.2, {"gamma_limit": (50, 150), "stretch": False}),
]
DROP = ("RandomDropPlane", 0.3, {"plane_drop_prob": 0.1, "axes": (0, 1, 2)})


def check(aug: Compose, expected: list[tuple[str, float, dict[str, Any]]]) -> None:
    found = [(type(t).__name__, t.p) for t in aug.transforms]
    assert sorted(found) == sorted((name, p) for name, p, _ in expected)
    left = list(aug.transforms)
    for name, p, options in expected:
        for transform in left:
            values = {key: getattr(transform, key, None) for key in options}
            if type(transform).__name__ == name and transform.p == p and values == options:
                left.remove(transform)
                break
        else:
            raise AssertionError(f"no {name} with {options} and p={p} in {aug!r}")


def in_order(aug: Compose, *names: str) -> bool:
    places = [[type(t).__name__ for t in aug.transforms].index(name) for name in names]
    return places == sorted(places)


def test_the_winners_pipelines_are_those_of_its_code() -> None:
    check(preset("winner_v13", SIZE), WINNER)
    check(preset("winner_v20", SIZE), [*WINNER, DROP])
    for name in ("winner_v13", "winner_v20"):
        aug = preset(name, SIZE)
        assert in_order(
            aug,
            "Rotate",
            "ElasticTransform",
            "RandomCropFromBorders",
            "Resize",
            "Flip",
            "RandomRotate90",
            "GaussianNoise",
            "RandomGamma",
        )
    assert in_order(preset("winner_v20", SIZE), "RandomDropPlane", "Resize")


def test_the_papers_pipeline_has_what_its_text_adds() -> None:
    dropout = ("GridDropout", 0.1, {"ratio": 0.5})
    check(preset("paper", SIZE), [*WINNER, ("RandomDropPlane", 0.5, DROP[2]), dropout])


def test_mirror3_is_three_flips_and_the_size() -> None:
    check(preset("mirror3", SIZE), WINNER[3:7])
    check(preset("mirror3"), WINNER[4:7])


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_gives_the_size_asked_for_and_none_leaves_it(name: str) -> None:
    image = np.random.default_rng(0).integers(0, 256, (15, 18, 18, 3), np.uint8)
    aug, bare = preset(name, SIZE), preset(name)
    kept = 0
    for seed in range(30):
        found = aug(image=image, mask=image[..., 0] > 128, rng=seed)
        assert found["image"].shape == (*SIZE, 3) and found["mask"].shape == SIZE
        kept += bare(image=image, rng=seed)["image"].shape == image.shape
    assert kept >= 5 and not any(isinstance(t, Resize) for t in bare.transforms)


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_presets_take_every_dtype_and_rank(name: str, dtype: str) -> None:
    aug = preset(name, SIZE)
    white = {"uint8": 255, "uint16": 65535, "float32": 1}[dtype]
    for shape in ((1, 9, 11), (9, 14, 17, 3), (30, 12, 10, 1)):
        image = (np.random.default_rng(0).random(shape) * white).astype(dtype)
        for seed in range(25):
            found = aug(image=image, rng=seed)["image"]
            assert found.dtype == dtype and np.isfinite(found).all()
            assert found.min() >= 0 and found.max() <= white


def test_legacy_has_the_statistics_of_the_published_code() -> None:
    for name in ("paper", "winner_v13", "winner_v20"):
        aug = preset(name, SIZE, legacy=True)
        options = {type(t): t for t in aug.transforms}
        assert options[GaussianNoise].as_std and options[RandomGamma].stretch
        assert options[Resize].align_corners
        found = aug(image=np.full((9, 9, 9), 7, np.uint8), rng=0)["image"]
        assert found.shape == SIZE
    assert preset("mirror3", SIZE, legacy=True).transforms[0].align_corners
    assert not preset("mirror3", SIZE).transforms[0].align_corners
    with pytest.raises(OptionError, match="'heavy' has no legacy form, legacy=True was given"):
        preset("heavy", legacy=True)


def leaves(aug: Augmentation) -> list[Augmentation]:
    children = getattr(aug, "transforms", None)
    return [aug] if children is None else [leaf for child in children for leaf in leaves(child)]


def test_ours_cuts_no_holes_and_drops_no_rows_and_turns_within_the_frames_only() -> None:
    transforms = leaves(preset("heavy", SIZE))
    by_name = {type(t).__name__: t for t in transforms}
    assert "GridDropout" not in by_name
    assert by_name["RandomDropPlane"].axes == (0,)
    assert by_name["Rotate"].y_limit == by_name["Rotate"].z_limit == (0, 0)
    assert by_name["RandomRotate90"].axes == (1, 2)
    assert {t.axis for t in transforms if type(t).__name__ == "Flip"} == {0, 1, 2}


def test_presets_act_alike_often_as_their_p_says() -> None:
    aug = preset("winner_v20", SIZE)
    drawn = [aug.record(seed, (20, 20, 20))["applied"] for seed in range(1500)]
    for name, p in (("Rotate", 0.3), ("ElasticTransform", 0.1), ("RandomDropPlane", 0.3)):
        assert abs(np.mean([name in names for names in drawn]) - p) < 0.04
    assert all(names.count("Resize") == 1 for names in drawn)
    assert abs(np.mean([names.count("Flip") for names in drawn]) - 1.5) < 0.07


def test_a_wrong_name_or_size_is_refused_and_no_preset_warns() -> None:
    with pytest.raises(OptionError, match=r"'winner_v2', allowed are .*did you mean 'winner_v20'"):
        preset("winner_v2")
    for size in ((1, 2), (0, 2, 3), 5, (1, 2, 3, 4), (1.5, 2, 3), "abc"):
        with pytest.raises(OptionError, match=r"size is .*three positive extents"):
            preset("paper", size)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in PRESETS:
            preset(name, SIZE)
