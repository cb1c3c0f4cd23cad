"""Pipelines as plain data, JSON and YAML: round trips, refusals, nothing that executes."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from stallscan.augment import (
    PRESETS,
    Compose,
    ElasticTransform,
    Flip,
    OneOf,
    RandomDropPlane,
    RandomRotate90,
    Resize,
    Rotate,
    SomeOf,
    from_dict,
    from_yaml,
    preset,
    to_yaml,
)
from stallscan.errors import OptionError

IMAGE = np.random.default_rng(0).integers(0, 256, (7, 12, 13, 3), np.uint8)
NESTED = Compose(
    [
        SomeOf([Flip(0), Rotate([-3, 3], 0, 5.5, seed=2**70)], [1, 2], True, 0.25, seed=3),
        OneOf([Resize((4, 5, 6), align_corners=True), RandomRotate90()], seed=1),
        Compose([ElasticTransform((0.1, 0.2), 3, "reflect", mask_value=2)], 0.5),
    ],
    0.9,
    [["image", "other"], ["mask"]],
    seed=12,
)


@pytest.mark.parametrize("aug", [NESTED, *(preset(name, (6, 8, 8)) for name in PRESETS)])
def test_dict_json_and_yaml_give_an_equal_pipeline_with_the_same_output(aug: Compose) -> None:
    copies = [
        from_dict(aug.to_dict()),
        from_dict(json.loads(json.dumps(aug.to_dict()))),
        from_yaml(to_yaml(aug)),
    ]
    for copy in copies:
        assert copy.targets == aug.targets and copy.seed == aug.seed
        assert copy == aug and copy.to_dict() == aug.to_dict() and repr(copy) == repr(aug)
        assert type(copy.transforms[0]) is type(aug.transforms[0])
        for seed in range(12):
            expected = aug(image=IMAGE, mask=IMAGE[..., 0], rng=seed)
            found = copy(image=IMAGE, mask=IMAGE[..., 0], rng=seed)
            for key in expected:
                assert found[key].tobytes() == expected[key].tobytes()


def test_a_seed_comes_along_so_that_copies_start_alike() -> None:
    copies = [from_yaml(to_yaml(NESTED)) for _ in range(2)]
    first, second = ([copy(image=IMAGE)["image"].tobytes() for _ in "abc"] for copy in copies)
    assert first == second


def test_yaml_is_readable_and_names_every_option() -> None:
    text = to_yaml(Compose([Flip(2, p=0.25)], seed=4))
    assert "name: Compose" in text and "name: Flip" in text and "seed: 4" in text
    assert "axis: 2" in text and "p: 0.25" in text
    assert set(Flip(2).to_dict()) == {"name", *(f.name for f in dataclasses.fields(Flip))}


def test_numbers_of_numpy_are_written_as_plain_ones() -> None:
    transforms = [
        Flip(np.int64(1), p=np.float64(0.3)),
        Rotate((np.float32(-3), np.int64(4)), interpolation=np.int64(1), value=np.float32(2)),
        RandomDropPlane(np.float32(0.25), (np.int32(1), 2)),
        Resize(tuple(np.array([3, 4, 5])), seed=np.int64(3)),
        SomeOf([Flip(0)], np.int64(1)),
    ]
    for transform in transforms:
        assert from_yaml(to_yaml(transform)) == transform
        assert from_dict(json.loads(json.dumps(transform.to_dict()))) == transform


REFUSED: list[tuple[Any, str]] = [
    ({"name": "Rotat"}, "name is 'Rotat', allowed are .*did you mean 'Rotate'"),
    ({"axis": 0}, "describes no transform"),
    ([{"name": "Flip"}], "describes no transform"),
    (3, "describes no transform"),
    (None, "describes no transform"),
    ({"name": "Flip", "axes": 0}, "Flip has no option axes .given 0.*did you mean axis"),
    ({"name": "Flip", "p": 2}, r"Flip\.p is 2, allowed are 0 to 1"),
    ({"name": "Resize"}, "Resize.*shape"),
    ({"name": "Compose", "transforms": None}, r"Compose\.transforms is None"),
    ({"name": "Compose", "transforms": 3}, r"Compose\.transforms is 3"),
    ({"name": "Compose"}, r"Compose\.transforms is None"),
    ({"name": "Compose", "transforms": [3]}, "describes no transform"),
    ({"name": "Compose", "transforms": [], "q": 1}, "Compose has no option q .given 1"),
    ({"name": "SomeOf", "transforms": [{"name": "Flip"}]}, "SomeOf.*n"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED)
def test_what_describes_no_pipeline_is_refused_with_what_is_allowed(
    fields: Any, message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        from_dict(fields)


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.system ['true']",
        "{name: !!python/name:os.system }",
        "a: [1",
        "",
        "just words",
        "- 1\n- 2",
    ],
)
def test_yaml_that_is_none_or_would_execute_is_refused(text: str) -> None:
    with pytest.raises(OptionError):
        from_yaml(text)
