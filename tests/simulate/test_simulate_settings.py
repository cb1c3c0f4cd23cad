"""Presets are valid and differ; a wrong setting is refused by name with what is allowed."""

import dataclasses

import numpy as np
import pytest

from stallscan.errors import OptionError
from stallscan.simulate.settings import PRESETS, Range, Settings, bounds, load_settings

NAMES = [field.name for field in dataclasses.fields(Settings)]


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_within_bounds_and_every_setting_can_be_drawn(preset: str) -> None:
    settings = PRESETS[preset]
    assert load_settings(preset) is settings
    rng = np.random.default_rng(0)
    for name in NAMES:
        value: Range = getattr(settings, name)
        low, high = bounds(name)
        assert low <= value.low <= value.high <= high, name
        drawn = [value.sample(rng) for _ in range(5)]
        assert value.low - 1e-9 <= min(drawn) and max(drawn) <= value.high + 1e-9, name


def test_presets_differ_as_their_names_say() -> None:
    assert set(PRESETS) == {"clean", "clogloss", "hard", "randomised"}
    assert len({repr(settings) for settings in PRESETS.values()}) == 4
    clean, real, hard, wide = (PRESETS[p] for p in ("clean", "clogloss", "hard", "randomised"))
    assert clean.plasma_photons.low > real.plasma_photons.high > hard.plasma_photons.high
    assert clean.mask_share.high == clean.jitter_px.high == clean.creep_share.high == 0
    assert hard.creep_share.low > real.creep_share.high
    # For training: wider than what is imitated, in all that differs between sessions.
    for name in ("pixel_um", "z_step_um", "axial_fwhm_um", "plasma_photons", "read_noise", "crf"):
        narrow, broad = getattr(real, name), getattr(wide, name)
        assert broad.low <= narrow.low and broad.high >= narrow.high, name
        assert broad.high - broad.low > narrow.high - narrow.low, name


def test_logarithmic_ranges_are_even_in_the_logarithm() -> None:
    rng = np.random.default_rng(0)
    for value, middle in ((Range(1, 100, log=True), 10.0), (Range(1, 100), 50.5)):
        drawn = np.array([value.sample(rng) for _ in range(4000)])
        assert np.median(drawn) == pytest.approx(middle, rel=0.1)
        assert drawn.min() >= 1 and drawn.max() <= 100


def test_changes_replace_single_settings() -> None:
    settings = load_settings("clogloss", ["speed_um_s=100,400", "mask_share=1", "bend=0.1,0.2"])
    assert settings.speed_um_s == Range(100, 400)
    assert settings.mask_share == Range(1, 1)
    assert settings.bend == Range(0.1, 0.2, log=True)
    changed = dict.fromkeys(("speed_um_s", "mask_share", "bend"), Range(0, 0))
    for name in set(NAMES) - set(changed):
        assert getattr(settings, name) == getattr(PRESETS["clogloss"], name)
    assert load_settings("clogloss", ["crf=10", "crf=20"]).crf == Range(20, 20)


BAD = {
    "unknown preset": ("dirty", [], ["'dirty'", "clean", "clogloss", "hard", "randomised"]),
    "unknown name": ("clogloss", ["sped_um_s=100"], ["sped_um_s", "did you mean speed_um_s"]),
    "nothing like it": ("clogloss", ["#=1"], ["'#'", "diameter_um", "gif_scale"]),
    "no number": ("clogloss", ["crf=good"], ["crf=good", "'good'", "8…35"]),
    "empty": ("clogloss", ["crf="], ["crf=", "LOW,HIGH"]),
    "no sign": ("clogloss", ["crf"], ["'crf'", "NAME=LOW,HIGH"]),
    "three numbers": ("clogloss", ["crf=1,2,3"], ["'1,2,3'", "two"]),
    "negative speed": ("clogloss", ["speed_um_s=-5,100"], ["speed_um_s", "-5…100", "20…50000"]),
    "vessel larger than the field": ("clogloss", ["diameter_um=3,500"], ["3…500", "1…9"]),
    "trunk larger than the field": ("clogloss", ["penetrating_um=400"], ["penetrating_um", "384"]),
    "share above one": ("clogloss", ["mask_share=1.5"], ["mask_share", "1.5", "0…1"]),
    "share below zero": ("clogloss", ["creep_share=-0.1"], ["creep_share", "-0.1", "0…1"]),
    "wrong way round": ("clogloss", ["crf=30,20"], ["crf", "30…20", "lower bound first"]),
    "not a number": ("clogloss", ["crf=nan"], ["crf", "nan", "finite"]),
    "no bound": ("clogloss", ["attenuation_um=100,inf"], ["attenuation_um", "inf", "finite"]),
}


@pytest.mark.parametrize("cause", BAD)
def test_bad_settings_are_refused(cause: str) -> None:
    preset, changes, words = BAD[cause]
    with pytest.raises(OptionError) as caught:
        load_settings(preset, changes)
    for word in words:
        assert word in str(caught.value)


def test_settings_are_checked_however_they_are_made() -> None:
    with pytest.raises(OptionError, match="zoom"):
        Settings(zoom=Range(0.1, 1.0))
    with pytest.raises(OptionError, match="zoom"):
        dataclasses.replace(PRESETS["clean"], zoom=Range(1.0, 3.0))


@pytest.mark.parametrize("name", NAMES)
def test_both_ends_of_what_is_allowed_can_be_drawn(name: str) -> None:
    rng = np.random.default_rng(0)
    for end in bounds(name):
        settings = load_settings("clogloss", [f"{name}={end!r}"])
        assert getattr(settings, name).sample(rng) == pytest.approx(end)


@pytest.mark.parametrize("preset", PRESETS)
def test_projects_are_narrower_parts_of_the_preset(preset: str) -> None:
    whole = PRESETS[preset]
    parts = [whole.of_project(letter) for letter in "ACG"]
    assert parts[0] == whole.of_project("A")
    assert len({repr(part) for part in parts}) == 3
    for part in parts:
        for name in NAMES:
            inner, outer = getattr(part, name), getattr(whole, name)
            assert outer.low - 1e-9 <= inner.low <= inner.high <= outer.high + 1e-9, name
            assert inner.log == outer.log
        # Blood and vessels are those of all labs; the light is its own.
        assert part.speed_um_s == whole.speed_um_s and part.creep_share == whole.creep_share
        width = part.plasma_grey.high / part.plasma_grey.low
        assert width == pytest.approx((whole.plasma_grey.high / whole.plasma_grey.low) ** 0.4)


def test_projects_cover_the_preset_together() -> None:
    parts = [PRESETS["clogloss"].of_project(letter).pixel_um for letter in "ACDEFGHIJKLM"]
    assert np.ptp([part.low for part in parts]) > 0.08  # of the 0.35 there are
