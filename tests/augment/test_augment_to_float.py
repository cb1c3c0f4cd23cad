"""ToFloat and FromFloat: there and back without a loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pixel_volumes import WHITE, check_pure, every_dtype, every_shape, noise_volume

from stallscan.augment import FromFloat, ToFloat
from stallscan.errors import OptionError


@every_dtype
@every_shape
def test_to_float_is_pure(dtype: str, shape: tuple[int, ...]) -> None:
    check_pure(ToFloat(), noise_volume(shape, dtype), dtype="float32")


@every_shape
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_from_float_is_pure(dtype: str, shape: tuple[int, ...]) -> None:
    check_pure(FromFloat(dtype), noise_volume(shape, "float32"), dtype=dtype)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_every_value_comes_back(dtype: str) -> None:
    values = np.arange(WHITE[dtype] + 1, dtype=dtype).reshape(1, 16, -1)
    between = ToFloat().apply(values, {})
    np.testing.assert_array_equal(between, values.astype(np.float32) / WHITE[dtype])
    assert between.dtype == np.float32 and (between.min(), between.max()) == (0, 1)
    back = FromFloat(dtype).apply(between, {})
    assert back.dtype == values.dtype
    np.testing.assert_array_equal(back, values)


def test_another_white_comes_back_too() -> None:
    values = np.arange(4096, dtype=np.uint16).reshape(1, 1, -1)
    between = ToFloat(4095).apply(values, {})
    assert between.max() == 1
    np.testing.assert_array_equal(FromFloat("uint16", 4095).apply(between, {}), values)


def test_values_saturate() -> None:
    volume = np.array([[[0, 100, 4095, 5000, 65535]]], np.uint16)
    np.testing.assert_allclose(ToFloat(4095).apply(volume, {})[0, 0], [0, 100 / 4095, 1, 1, 1])
    floats = np.array([[[-3, -0.001, 0.499 / 255, 0.501 / 255, 1.001, 9, 1e30]]], np.float32)
    np.testing.assert_array_equal(
        FromFloat("uint8").apply(floats, {})[0, 0], [0, 0, 0, 1, 255, 255, 255]
    )
    np.testing.assert_array_equal(
        FromFloat("uint16").apply(floats, {})[0, 0], [0, 0, 128, 129, 65535, 65535, 65535]
    )


def test_from_float_makes_no_garbage_of_nan() -> None:
    volume = np.array([[[np.nan, np.inf, -np.inf]]], np.float32)
    np.testing.assert_array_equal(FromFloat("uint8").apply(volume, {})[0, 0], [0, 255, 0])


def test_float_passes_as_it_is() -> None:
    volume = noise_volume((3, 5, 5), "float32")
    np.testing.assert_array_equal(ToFloat().apply(volume, {}), volume)
    np.testing.assert_allclose(ToFloat(255).apply(volume * 255, {}), volume, atol=1e-6)


@pytest.mark.parametrize("value", [200.0, -1.0, np.nan])
def test_a_float_image_without_known_white_is_refused(value: float) -> None:
    volume = np.zeros((2, 3, 3), np.float32)
    volume[1, 1, 1] = value
    with pytest.raises(OptionError, match=r"ToFloat: the .*image lies in \[.*"):
        ToFloat().apply(volume, {})


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_from_float_takes_float(dtype: str) -> None:
    with pytest.raises(OptionError, match=f"the image is {dtype}, allowed is float32"):
        FromFloat().apply(noise_volume((2, 3, 3), dtype), {})


@pytest.mark.parametrize(
    ("transform", "options", "message"),
    [
        (ToFloat, {"max_value": 0}, "ToFloat.max_value is 0"),
        (FromFloat, {"dtype": "int16"}, "FromFloat.dtype is 'int16'.*did you mean 'uint16'"),
        (FromFloat, {"dtype": 3.5}, "FromFloat.dtype is 3.5"),
        (FromFloat, {"dtype": "uint8", "max_value": 300}, "max_value is 300, allowed are 1 to 255"),
    ],
)
def test_wrong_options_are_named(transform: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        transform(**options)


def test_dtypes_may_be_numpys() -> None:
    assert FromFloat(np.uint8).dtype == FromFloat(np.dtype("uint8")).dtype == "uint8"  # type: ignore[arg-type]
    assert FromFloat().dtype == "uint16"
