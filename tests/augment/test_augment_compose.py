"""Compose, OneOf, SomeOf: probabilities, nesting, records, and children that nobody changes."""

from __future__ import annotations

import copy
import json
import pickle
import warnings
from collections import Counter
from typing import Any

import numpy as np
import pytest
from pulls import in_steps

from stallscan.augment import (
    Compose,
    ElasticTransform,
    Flip,
    FrameJitter,
    GaussianNoise,
    GridDropout,
    OneOf,
    PoissonGamma,
    RandomCropFromBorders,
    RandomGamma,
    RandomRotate90,
    RandomShift,
    Resize,
    Rotate,
    RowNoise,
    SomeOf,
    TimeReverse,
    Transpose,
    from_dict,
    preset,
)
from stallscan.errors import OptionError

IMAGE = np.random.default_rng(0).integers(0, 256, (6, 8, 9, 3), np.uint8)


def nested() -> Compose:
    return Compose(
        [
            Rotate((5, 20), 0, 0, p=0.5),
            OneOf([Flip(0, p=1), Compose([Flip(1, p=0.5), Transpose(p=0.5)])], p=0.8),
            SomeOf([GaussianNoise(p=1), RandomGamma((50, 150)), RowNoise(p=0.2)], (1, 3), p=0.7),
            Compose(
                [OneOf([Resize((5, 6, 7)), RandomCropFromBorders(0.3)], p=0.5), GridDropout(p=0.3)],
                p=0.6,
            ),
        ]
    )


def drawn_names(aug: Any, seed: int) -> list[str]:
    return aug.record(seed, IMAGE.shape)["applied"]


def shares(aug: Any, n: int = 2000) -> dict[str, float]:
    counts = Counter("+".join(drawn_names(aug, seed)) for seed in range(n))
    return {names: count / n for names, count in counts.items()}


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9, 1.0])
def test_p_is_the_share_in_which_each_acts(p: float) -> None:
    for aug in (Flip(0, p=p), Compose([Flip(0, p=1)], p=p), OneOf([Flip(0, p=1)], p=p)):
        assert abs(shares(aug).get("Flip", 0) - p) < 0.035
    assert abs(shares(SomeOf([Flip(0)], 1, p=p)).get("Flip", 0) - p) < 0.035
    both = shares(Compose([Flip(0, p=p), TimeReverse(p=p)], p=0.5))
    assert abs(both.get("Flip+TimeReverse", 0) - p * p / 2) < 0.035


def test_one_of_takes_one_in_proportion_to_p_and_for_certain() -> None:
    aug = OneOf([Flip(0, p=0.2), TimeReverse(p=0.6), Compose([RandomRotate90(p=1)], p=0.2)], p=1)
    found = shares(aug)
    assert set(found) == {"Flip", "TimeReverse", "RandomRotate90"}
    assert abs(found["Flip"] - 0.2) < 0.035 and abs(found["TimeReverse"] - 0.6) < 0.035


def test_some_of_takes_as_many_as_it_says_in_order() -> None:
    children = [Flip(0), TimeReverse(), RandomRotate90(), Transpose()]
    names = [type(child).__name__ for child in children]
    for n, counts in ((2, {2}), ((1, 3), {1, 2, 3}), ((0, 4), {0, 1, 2, 3, 4})):
        drawn = [drawn_names(SomeOf(children, n), seed) for seed in range(200)]
        assert {len(each) for each in drawn} == counts
        assert all(each == sorted(each, key=names.index) for each in drawn)
        assert all(len(set(each)) == len(each) for each in drawn)
    twice = [drawn_names(SomeOf(children, 3, replace=True), seed) for seed in range(200)]
    assert {len(each) for each in twice} == {3}
    assert any(len(set(each)) < 3 for each in twice)
    weighted = SomeOf([Flip(0, p=0.9), TimeReverse(p=0.1)], 1)
    assert abs(shares(weighted)["Flip"] - 0.9) < 0.03


def test_always_apply_acts_when_the_whole_does_not_however_deep_it_is() -> None:
    fit = Resize((3, 4, 5), always_apply=True)
    for aug in (
        Compose([Flip(0, p=1), fit], p=0.5),
        Compose([Compose([Flip(0, p=1), fit])], p=0.5),
        Compose([Flip(0, p=1), Compose([Compose([fit], p=0.3)], p=0.3)], p=0.5),
    ):
        found = [drawn_names(aug, seed) for seed in range(200)]
        assert all(names[-1] == "Resize" for names in found)
        assert 60 < sum(names == ["Resize"] for names in found) < 140
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Compose([fit], p=0)
    assert drawn_names(Resize((3, 4, 5), always_apply=True, p=0.01), 0) == ["Resize"]


def test_nothing_applied_returns_equal_copies() -> None:
    aug = Compose([Flip(0, p=0.01), GaussianNoise(p=0.01)], p=0.01)
    for image in (IMAGE, IMAGE[..., 0], np.asfortranarray(IMAGE), IMAGE[::2, ::-1]):
        found = aug(image=image, mask=image, rng=0)
        for key in ("image", "mask"):
            np.testing.assert_array_equal(found[key], image)
            assert not np.may_share_memory(found[key], image)
            assert found[key].flags.c_contiguous and found[key].flags.writeable


def test_children_are_never_changed() -> None:
    aug = nested()
    children = aug.transforms[0], aug.transforms[1].transforms[0], aug.transforms[2].transforms[0]
    before = copy.deepcopy(aug.to_dict())
    options = [dict(vars(child)) for child in children]
    own = [child._generator(None).bit_generator.state for child in children]
    for seed in range(40):
        aug(image=IMAGE, mask=IMAGE, rng=seed)
    assert aug.to_dict() == before
    for child, was, state in zip(children, options, own, strict=True):
        assert dict(vars(child)) == was
        assert child._generator(None).bit_generator.state == state
    shared = Flip(0, p=0.5)
    both = Compose([shared, OneOf([shared, shared], p=1)])
    assert both.transforms[0] is shared and shared.p == 0.5
    given = [Flip(0)]
    kept = Compose(given)
    given.append(Flip(1))
    assert len(kept.transforms) == 1


def test_a_record_replays_the_whole_nest_also_as_json_and_on_other_targets() -> None:
    aug = nested()
    points = np.random.default_rng(0).uniform(0, 6, (5, 3))
    lengths = set()
    for seed in range(60):
        found = aug(image=IMAGE, mask=IMAGE, points=points, rng=seed, return_record=True)
        record = json.loads(json.dumps(found["record"]))
        lengths.add(len(record["applied"]))
        again = aug.replay(record, image=IMAGE, mask=IMAGE, points=points)
        for key in ("image", "mask", "points"):
            assert again[key].tobytes() == found[key].tobytes()
        alone = aug.replay(record, mask=IMAGE)
        assert set(alone) == {"mask"} and alone["mask"].tobytes() == found["mask"].tobytes()
        assert aug.record(seed, IMAGE.shape) == found["record"]
        rebuilt = from_dict(json.loads(json.dumps(aug.to_dict())))
        assert rebuilt.replay(record, image=IMAGE)["image"].tobytes() == found["image"].tobytes()
    assert lengths >= {1, 2, 3, 4}


def test_a_record_of_another_pipeline_or_none_is_refused() -> None:
    record = Compose([Flip(0, p=1)]).record(0, IMAGE.shape)
    for other in (Compose([Rotate(p=1)]), Compose([Resize((3, 3, 3)), Flip(0)])):
        with pytest.raises(OptionError, match="was not drawn by this pipeline"):
            other.replay(record, image=IMAGE)
    for broken in ({}, None, [], {"shape": [1, 2]}, {**record, "drawn": [[7, {}]]}):
        with pytest.raises(OptionError, match="was not drawn by this pipeline"):
            Compose([Flip(0, p=1)]).replay(broken, image=IMAGE)
    with pytest.raises(OptionError, match=r"\(5, 8, 9\).*drawn for \(6, 8, 9\)"):
        Compose([Flip(0, p=1)]).replay(record, image=IMAGE[1:])
    turn = Compose([Transpose((2, 0, 1), p=1)])
    made = turn(image=IMAGE, rng=0, return_record=True)
    with pytest.raises(OptionError, match=r"\(6, 8, 9\).*made \(9, 6, 8\)"):
        turn.invert(made["record"], image=IMAGE)


def test_invert_names_what_cannot_be_undone() -> None:
    aug = Compose([Flip(0, p=1), OneOf([GaussianNoise(p=1)], p=1)])
    found = aug(image=IMAGE, rng=0, return_record=True)
    allowed = "allowed are Flip, RandomRotate90, Transpose, TimeReverse and CubicSymmetry"
    with pytest.raises(OptionError, match=f"GaussianNoise cannot be undone; {allowed}"):
        aug.invert(found["record"], image=found["image"])


def test_the_nest_does_what_its_transforms_do_one_after_another() -> None:
    """Values exactly; moves joined into one resampling are compared elsewhere."""
    aug = Compose(
        [
            Flip(p=1),
            RandomGamma((50, 150), p=1),
            FrameJitter(p=1),
            GaussianNoise(p=1),
            RandomRotate90(p=1),
            OneOf([PoissonGamma(p=1), RowNoise(p=1)], p=1),
            RandomCropFromBorders(0.3),
            GridDropout(p=1, mask_fill_value=0),
        ]
    )
    for seed in range(30):
        record = aug.record(seed, IMAGE.shape)
        for key in ("image", "mask"):
            together = aug.replay(record, **{key: IMAGE})[key]
            np.testing.assert_array_equal(together, in_steps(aug, record, key, IMAGE))


def test_targets_under_other_names() -> None:
    names = [["image", "second"], ["mask", "vessels"]]
    aug = Compose([Rotate((20, 20), 0, 0, p=1), Resize((4, 9, 9))], targets=names)
    other = 255 - IMAGE
    labels = IMAGE[..., 0] // 100
    found = aug(image=IMAGE, second=other, mask=labels, vessels=labels + 5, rng=0)
    assert set(found) == {"image", "second", "mask", "vessels"}
    assert set(np.unique(found["mask"])) <= {0, 1, 2}
    assert set(np.unique(found["vessels"])) <= {0, 5, 6, 7}
    inside = found["vessels"] > 0
    np.testing.assert_array_equal(found["mask"][inside] + 5, found["vessels"][inside])
    assert np.array_equal(found["second"], aug(second=other, rng=0)["second"])
    with pytest.raises(OptionError, match="did you mean 'second'"):
        aug(image=IMAGE, secnd=other)
    for wrong in ([["image"]], "image", [["image"], [3]]):
        with pytest.raises(OptionError, match=r"Compose\.targets is"):
            Compose([Flip(0)], targets=wrong)


def test_pipelines_compare_by_what_they_are_print_and_pickle() -> None:
    aug = nested()
    assert aug == nested() and aug != Compose([Flip(0)]) and aug != "Compose"
    assert "OneOf([" in repr(aug) and "Rotate(" in repr(aug)
    again = pickle.loads(pickle.dumps(aug))
    assert again == aug
    assert np.array_equal(again(image=IMAGE, rng=3)["image"], aug(image=IMAGE, rng=3)["image"])


def test_pipelines_that_cannot_be_are_refused() -> None:
    with pytest.raises(OptionError, match="was a class given in place of an instance"):
        Compose([Flip])
    with pytest.raises(OptionError, match=r"Compose\.transforms has"):
        Compose(Flip(0))
    with pytest.raises(OptionError, match=r"Compose has no option bbox_params .*allowed are"):
        Compose([Flip(0)], bbox_params=3)
    with pytest.raises(OptionError, match=r"OneOf\.p is 1.5, allowed are 0 to 1"):
        OneOf([Flip(0)], p=1.5)
    with pytest.raises(OptionError, match=r"SomeOf\.n is 3, allowed are 0 to 2"):
        SomeOf([Flip(0), Flip(1)], 3)
    with pytest.raises(OptionError, match=r"SomeOf\.n is \(2, 1\).*reversed"):
        SomeOf([Flip(0), Flip(1)], (2, 1))
    with pytest.raises(OptionError, match=r"SomeOf\.n is 1.5, allowed are whole numbers"):
        SomeOf([Flip(0), Flip(1)], 1.5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        never = Flip(0, p=0)
        with pytest.raises(OptionError, match="all have p = 0"):
            OneOf([never])
        with pytest.raises(OptionError, match="only 1 of 2 transforms have p above 0"):
            SomeOf([never, Flip(1)], 2)


def test_pipelines_that_do_nothing_warn_where_they_are_made() -> None:
    makers = (
        lambda: Compose([]),
        lambda: Compose([Flip(0)], p=0),
        lambda: OneOf([Flip(0)], p=0),
        lambda: SomeOf([Flip(0)], 0),
        lambda: Compose([OneOf([Flip(0, always_apply=True)])], p=0),
        lambda: Rotate(0, 0, 0),
        lambda: ElasticTransform(0),
        lambda: RandomShift(0),
        lambda: Transpose((0, 1, 2)),
        lambda: GaussianNoise((0, 0)),
        lambda: RandomGamma(100),
        lambda: RandomCropFromBorders(0),
    )
    for maker in makers:
        with pytest.warns(UserWarning, match="does nothing: ") as caught:
            maker()
        assert caught[0].filename == __file__
        assert caught[0].lineno == maker.__code__.co_firstlineno
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nested()
        for name in ("mirror3", "paper", "winner_v13", "winner_v20", "heavy"):
            preset(name, (5, 6, 7))
