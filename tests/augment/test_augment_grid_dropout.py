"""Grid dropout: what share is dropped, where, and what of the options of volumentations holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pixel_volumes import check_pure, drawn, every_dtype, every_shape, noise_volume

from stallscan.augment import GridDropout
from stallscan.errors import OptionError


def _dropped(transform: GridDropout, shape: tuple[int, ...], seed: int = 1) -> Any:
    volume = np.ones(shape, np.uint8)
    return transform.apply(volume, drawn(transform, shape, seed)) == 0


@every_dtype
@every_shape
def test_it_is_pure(dtype: str, shape: tuple[int, ...]) -> None:
    check_pure(GridDropout(random_offset=True), noise_volume(shape, dtype))


@pytest.mark.parametrize("shape", [(96, 128, 128), (60, 66, 67), (32, 32, 32), (21, 47, 95)])
@pytest.mark.parametrize("ratio", [0.2, 0.3, 0.5, 0.75, 0.9])
@pytest.mark.parametrize("random_offset", [False, True])
def test_the_share_is_the_cube_of_the_ratio(
    shape: tuple[int, ...], ratio: float, random_offset: bool
) -> None:
    """Counted in the volume. Volumentations drops a tenth of that."""
    share = _dropped(GridDropout(ratio, random_offset=random_offset), shape).mean()
    assert share == pytest.approx(ratio**3, rel=0.1)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.data())
def test_the_share_of_any_grid(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.integers(20, 150), label=f"extent {axis}") for axis in range(3))
    ratio = data.draw(st.floats(0.2, 0.95))
    options: dict[str, Any] = {"random_offset": data.draw(st.booleans())}
    kind = data.draw(st.sampled_from(["default", "units", "numbers", "shifts"]))
    if kind == "units":
        options["unit_size_min"] = data.draw(st.integers(2, min(shape)))
        options["unit_size_max"] = data.draw(st.integers(options["unit_size_min"], min(shape)))
    for letter, extent in zip("yxz", shape, strict=True):
        if kind == "numbers":
            options[f"holes_number_{letter}"] = data.draw(st.integers(1, extent // 2))
        if kind == "shifts":
            options[f"shift_{letter}"] = data.draw(st.integers(0, 200))
    holes = drawn(GridDropout(ratio, **options), shape)["holes"]
    share = 1.0
    for along, extent in zip(holes, shape, strict=True):
        edges = [edge for hole in along for edge in hole]
        assert edges == sorted(edges) and edges[0] >= 0 and edges[-1] <= extent
        assert all(start < stop for start, stop in along)
        share *= sum(stop - start for start, stop in along) / extent
    assert share == pytest.approx(ratio**3, rel=0.1)


def test_the_grid_of_volumentations_where_everything_divides() -> None:
    """Units of a tenth of axis 1, the same on axes 0 and 2, half of each a hole."""
    dropped = _dropped(GridDropout(0.5), (60, 100, 40))
    expected = np.ones(dropped.shape, bool)
    for axis, extent in enumerate(dropped.shape):
        inside = np.arange(extent) % 10 < 5
        expected &= np.expand_dims(inside, tuple(a for a in range(3) if a != axis))
    np.testing.assert_array_equal(dropped, expected)


def test_the_letters_are_those_of_volumentations() -> None:
    """X along axis 1, y along axis 0, z along axis 2."""
    holes = drawn(GridDropout(0.5, None, None, 2, 3, 4, 5, 6, 1), (48, 40, 32))["holes"]
    assert holes[0] == [[6, 14], [22, 30], [38, 46]]  # y: 3 units of 16, shift 6
    assert holes[1] == [[5, 15], [25, 35]]  # x: 2 units of 20, shift 5
    assert [len(along) for along in holes] == [3, 2, 4]
    assert holes[2][0][0] == 1


def test_a_unit_follows_the_axis_before_it() -> None:
    holes = drawn(GridDropout(0.5, holes_number_y=3), (60, 100, 90))["holes"]
    assert [along[1][0] - along[0][0] for along in holes] == [20, 10, 20]


def test_unit_sizes_are_drawn_between_their_limits() -> None:
    transform = GridDropout(0.5, 4, 6)
    units = set()
    for seed in range(40):
        holes = drawn(transform, (24, 30, 36), seed)["holes"]
        unit = {along[1][0] - along[0][0] for along in holes}
        assert len(unit) == 1
        units |= unit
    assert units == {4, 5, 6}  # volumentations draws 7 too


def test_offsets_are_drawn_for_each_axis() -> None:
    transform = GridDropout(0.5, 10, 10, random_offset=True)
    starts = [
        tuple(along[0][0] for along in drawn(transform, (40, 40, 40), seed)["holes"])
        for seed in range(100)
    ]
    for axis in range(3):
        assert {start[axis] for start in starts} == {0, 1, 2, 3, 4, 5}
    assert len(set(starts)) > 60
    assert (
        _dropped(transform, (40, 40, 40), 1).tobytes()
        != _dropped(transform, (40, 40, 40), 2).tobytes()
    )


def test_a_shift_leaves_the_whole_hole_in_its_unit() -> None:
    first = drawn(GridDropout(0.5, 10, 10, shift_x=99, shift_y=None), (40, 40, 40))["holes"]
    assert [along[0] for along in first] == [[0, 5], [5, 10], [0, 5]]
    assert first[1][-1] == [35, 40]


def test_all_channels_lose_the_same_voxels() -> None:
    dropped = _dropped(GridDropout(), (20, 24, 28, 5))
    assert dropped.any() and not dropped.all()
    np.testing.assert_array_equal(dropped, np.repeat(dropped[..., :1], 5, axis=3))


@pytest.mark.parametrize(("dtype", "value"), [("uint8", 255), ("uint16", 40_000), ("float32", -2)])
def test_holes_hold_the_value_asked_for(dtype: str, value: float) -> None:
    volume = np.maximum(noise_volume((20, 24, 28, 3), dtype), 0)
    transform = GridDropout(fill_value=value)
    holes = _dropped(GridDropout(), volume.shape)
    found = transform.apply(volume, drawn(transform, volume.shape))
    np.testing.assert_array_equal(found[holes], np.array(value, dtype))
    np.testing.assert_array_equal(found[~holes], volume[~holes])


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "int64", "uint64", "float32"])
@pytest.mark.parametrize("channels", [(), (2,)])
def test_masks(dtype: str, channels: tuple[int, ...]) -> None:
    shape = (20, 24, 28)
    mask = np.random.default_rng(0).integers(0, 2, (*shape, *channels)).astype(dtype)
    before = mask.copy()
    kept = GridDropout().apply_to_mask(mask, drawn(GridDropout(), shape))
    np.testing.assert_array_equal(kept, mask)
    assert not np.may_share_memory(kept, mask)
    transform = GridDropout(mask_fill_value=1)
    found = transform.apply_to_mask(mask, drawn(transform, shape))
    holes = _dropped(GridDropout(), shape)
    assert found.dtype == mask.dtype and (found[holes] == 1).all()
    np.testing.assert_array_equal(found[~holes], mask[~holes])
    np.testing.assert_array_equal(mask, before)


@pytest.mark.parametrize(
    ("dtype", "value"), [("uint8", 256), ("uint8", -1.0), ("uint16", 0.5), ("uint16", 70_000)]
)
def test_a_value_that_the_image_cannot_hold_is_refused(dtype: str, value: float) -> None:
    volume = noise_volume((4, 4, 4), dtype)
    with pytest.raises(OptionError, match=f"GridDropout.fill_value is {value}.*no {dtype} value"):
        GridDropout(fill_value=value).apply(volume, drawn(GridDropout(), volume.shape))
    transform = GridDropout(mask_fill_value=value)
    with pytest.raises(OptionError, match=f"GridDropout.mask_fill_value is {value}"):
        transform.apply_to_mask(volume, drawn(transform, volume.shape))


@pytest.mark.parametrize("shape", [(1, 40, 40), (2, 2, 2), (1, 1, 1), (3, 5, 1)])
def test_thin_volumes(shape: tuple[int, ...]) -> None:
    assert _dropped(GridDropout(0.5, random_offset=True), shape).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ratio": 0}, "GridDropout.ratio is 0"),
        ({"ratio": 1}, "GridDropout.ratio is 1, allowed is what lies between"),
        ({"ratio": 1.5}, "GridDropout.ratio is 1.5"),
        ({"unit_size_min": 1, "unit_size_max": 5}, "unit_size_min is 1, allowed are 2"),
        ({"unit_size_min": 5}, "unit_size_min is 5, unit_size_max None; give both"),
        ({"unit_size_min": 5, "unit_size_max": 4}, "unit_size_min is 5, unit_size_max 4"),
        ({"holes_number_x": 0}, "holes_number_x is 0"),
        ({"holes_number_z": 2.5}, "holes_number_z is 2.5, allowed are whole numbers"),
        ({"shift_y": -1}, "shift_y is -1"),
        ({"random_offset": "no"}, "random_offset is 'no'"),
        ({"fill_value": None}, "fill_value is None"),
        ({"mask_fill_value": "0"}, "mask_fill_value is '0'"),
        ({"hole_number_x": 3}, "no option hole_number_x .* did you mean holes_number_x"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        GridDropout(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unit_size_min": 5, "unit_size_max": 11}, r"unit_size_max is 11.*\(20, 10, 30\)"),
        ({"holes_number_x": 6}, "holes_number_x is 6, axis 1 .* 10 voxels; allowed are 1 to 5"),
        ({"holes_number_y": 11}, "holes_number_y is 11, axis 0 .* 20 voxels"),
        ({"holes_number_z": 16}, "holes_number_z is 16, axis 2 .* 30 voxels"),
    ],
)
def test_a_grid_too_coarse_or_fine_for_the_volume_is_refused(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        drawn(GridDropout(**options), (20, 10, 30))
