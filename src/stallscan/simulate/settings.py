"""How a phantom is made: every nuisance with its range, and the four presets."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from stallscan.errors import OptionError


@dataclass(frozen=True, slots=True)
class Range:
    """Values drawn between two bounds; evenly in the logarithm where ``log`` is set."""

    low: float
    high: float
    log: bool = False

    def sample(self, rng: np.random.Generator) -> float:
        """One value."""
        if self.low == self.high:
            return self.low
        if self.log:
            return float(np.exp(rng.uniform(np.log(self.low), np.log(self.high))))
        return float(rng.uniform(self.low, self.high))

    def part(self, begin: float, share: float) -> Range:
        """The piece that starts at ``begin`` and is ``share`` of the whole wide."""
        if self.low == self.high:
            return self
        low, high = (np.log(self.low), np.log(self.high)) if self.log else (self.low, self.high)
        ends = low + (high - low) * np.clip([begin, begin + share], 0, 1)
        ends = np.exp(ends) if self.log else ends
        return Range(float(ends[0]), float(ends[1]), self.log)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Ranges from which one clip draws its values; a ``…_share`` is the probability that it has it.

    Vessels: FACTS on capillaries and real labelled stacks. Light: FACTS on the photomultiplier.
    """

    # Vessels
    diameter_um: Range = Range(3.0, 7.0)
    """Of capillaries: mean 5, clipped to this."""
    length_density: Range = Range(6e-4, 1.1e-3)
    """µm of capillary in a µm³."""
    bend: Range = Range(0.05, 0.3, log=True)
    """How far a segment leaves its chord, in lengths of the chord."""
    horseshoe_share: Range = Range(0.12, 0.12)
    """Segments whose bend is 0.5–1 chords."""
    penetrating: Range = Range(0, 5)
    """Wide vessels through the depth of the stack."""
    penetrating_um: Range = Range(10, 30, log=True)
    """Their diameter."""
    pial_share: Range = Range(0.12, 0.12)
    """Clips with a vessel of 25–60 µm in the image plane."""

    # Blood
    speed_um_s: Range = Range(150, 8600)
    """Red cells in capillaries: log-normal around 1 mm/s, clipped to this."""
    cells_per_mm: Range = Range(30, 100)
    """Log-normal around 70, clipped to this."""
    cell_darkness: Range = Range(0.75, 1.0)
    """What a cell takes of the plasma's light."""
    partial_share: Range = Range(0.12, 0.12)
    """Stalls that begin or end in mid-stack; as many flowing vessels stand for a while."""
    creep_share: Range = Range(0.06, 0.06)
    creep_um_s: Range = Range(1.5, 40, log=True)
    reversal_share: Range = Range(0.03, 0.03)
    plasma_share: Range = Range(0.05, 0.05)
    """Flowing vessels with long stretches without cells."""
    fast_share: Range = Range(0.05, 0.05)
    """Flowing vessels at 4 mm/s and more."""

    # Microscope
    pixel_um: Range = Range(0.75, 1.1)
    z_step_um: Range = Range(0.9, 1.3)
    slice_s: Range = Range(0.8, 1.1)
    line_share: Range = Range(0.1, 1.0)
    """Part of a line's time during which one pixel collects light (averaging of passes)."""
    axial_fwhm_um: Range = Range(1.2, 3.4)
    axial_growth: Range = Range(0.0, 0.006)
    """Broadening a µm of depth, relative."""
    lateral_fwhm_um: Range = Range(0.5, 1.0)
    plasma_grey: Range = Range(220, 600, log=True)
    """Grey level of plasma in a wide vessel after the lab's stretch; above 255 saturates."""
    plasma_photons: Range = Range(18, 120, log=True)
    """Photons a pixel there."""
    read_noise: Range = Range(1, 7, log=True)
    row_noise: Range = Range(0, 1.5)
    """Spread of the offsets of lines, grey levels."""
    streak_px: Range = Range(0.7, 1.5)
    """Width of the detector's answer along the line, standard deviation."""
    background: Range = Range(0.01, 0.07, log=True)
    """Light of the tissue, in plasma."""
    haze: Range = Range(0.1, 0.5)
    """Slow changes of background and illumination over the field, relative."""
    black_sigmas: Range = Range(-1.6, 0.5)
    """The lab's low percentile: so many deviations of the background above its mean is black."""
    attenuation_um: Range = Range(90, 500, log=True)
    """Depth in which the light falls to 1/e; half of it is made up for by the laser."""
    jitter_px: Range = Range(0.0, 0.4)
    """What registration leaves of motion, from frame to frame."""
    line_jitter_px: Range = Range(0.0, 0.25)
    breathing_px: Range = Range(0.0, 0.6)
    drift_px: Range = Range(0.0, 3.0)
    """Over the whole stack."""
    zoom: Range = Range(1.0, 1.0)
    """The lab's resampling before the outline is drawn: pixels out for a scanned one."""
    resampled_share: Range = Range(0.3, 0.3)
    resampling: Range = Range(0.7, 1.5)

    # Defects
    gain_steps_share: Range = Range(0.12, 0.12)
    gain_step: Range = Range(1.15, 1.8)
    dim_share: Range = Range(0.06, 0.06)
    dim_gain: Range = Range(0.3, 0.8)
    duplicate_share: Range = Range(0.04, 0.04)
    black_edge_share: Range = Range(0.25, 0.25)
    black_edge_px: Range = Range(2, 14)
    specks: Range = Range(0, 8)
    """In a frame."""
    halos: Range = Range(0, 4)
    """In a stack."""
    mask_share: Range = Range(0.06, 0.06)
    """Black hand-drawn masks anywhere."""
    mask_target_share: Range = Range(0.01, 0.01)
    """Masks over part of the target."""
    outline_missing_share: Range = Range(0.01, 0.01)
    outline_jump_share: Range = Range(0.005, 0.005)
    outline_offset_px: Range = Range(0.0, 2.0)
    """Misalignment of the outline."""

    # Recording
    crf: Range = Range(14, 20)
    """Quality of x264, smaller is better."""
    gif_share: Range = Range(0.0, 0.0)
    """Clips that are made smaller and given a palette after the outline was drawn."""
    gif_scale: Range = Range(0.5, 1.0)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value: Range = getattr(self, field.name)
            low, high = bounds(field.name)
            if not (math.isfinite(value.low) and math.isfinite(value.high)):
                raise OptionError(
                    f"{field.name} is {value.low}…{value.high}; give two finite numbers"
                )
            if value.low > value.high or value.low < low or value.high > high:
                raise OptionError(
                    f"{field.name} is {value.low:g}…{value.high:g}, allowed is a range within "
                    f"{low:g}…{high:g}, the lower bound first"
                )
            if value.log and value.low <= 0 and value.low != value.high:
                raise OptionError(
                    f"{field.name} is {value.low:g}…{value.high:g}; its logarithm is drawn, so "
                    "the lower bound must be above 0"
                )

    def of_project(self, project: str) -> Settings:
        """The ranges of one lab's project: 40 % of those of noise, light and sampling.

        The same letter gives the same ranges.
        """
        rng = np.random.default_rng([ord(letter) for letter in project])
        parts = {name: getattr(self, name).part(rng.uniform(0, 0.6), 0.4) for name in _OF_PROJECTS}
        return replace(self, **parts)


_OF_PROJECTS = (
    "pixel_um",
    "axial_fwhm_um",
    "plasma_grey",
    "plasma_photons",
    "read_noise",
    "streak_px",
    "background",
    "black_sigmas",
)

FIELD_UM = 384.0
"""Height of a frame at 1 µm a pixel: no vessel is wider."""

_BOUNDS: dict[str, tuple[float, float]] = {
    "diameter_um": (1.0, 9.0),
    "penetrating_um": (1.0, FIELD_UM),
    "length_density": (1e-5, 5e-3),
    "bend": (1e-3, 1.0),
    "penetrating": (0, 100),
    "speed_um_s": (20.0, 50_000),
    "creep_um_s": (1.0, 1000),
    "cells_per_mm": (1, 150),
    "pixel_um": (0.2, 4),
    "z_step_um": (0.2, 10),
    "slice_s": (0.05, 20),
    "line_share": (1e-3, 1),
    "axial_fwhm_um": (0.3, 12),
    "axial_growth": (0, 0.05),
    "lateral_fwhm_um": (0.2, 4),
    "plasma_grey": (10, 2000),
    "plasma_photons": (0.5, 500),
    "read_noise": (0, 60),
    "row_noise": (0, 60),
    "streak_px": (0, 5),
    "background": (1e-4, 0.9),
    "haze": (0, 0.9),
    "black_sigmas": (-5, 5),
    "attenuation_um": (10, 1e6),
    "jitter_px": (0, 5),
    "line_jitter_px": (0, 3),
    "breathing_px": (0, 5),
    "drift_px": (0, 20),
    "zoom": (0.5, 1.5),
    "resampling": (0.5, 1.5),
    "gain_step": (1.0, 4.0),
    "black_edge_px": (1, 60),
    "specks": (0, 1000),
    "halos": (0, 100),
    "outline_offset_px": (0, 60),
    "crf": (8, 35),
    "gif_scale": (0.4, 1.5),
}


def bounds(name: str) -> tuple[float, float]:
    """What a setting may lie between; shares and relative values lie in [0, 1]."""
    return _BOUNDS.get(name, (0.0, 1.0))


def _always(share: float) -> Range:
    return Range(share, share)


_CLOGLOSS = Settings()

PRESETS: dict[str, Settings] = {
    "clean": replace(
        _CLOGLOSS,
        **{
            field.name: _always(0)
            for field in dataclasses.fields(Settings)
            if field.name.endswith("_share")
            and field.name not in ("line_share", "horseshoe_share", "pial_share")
        },
        axial_fwhm_um=Range(1.1, 1.6),
        plasma_photons=Range(150, 300, log=True),
        read_noise=_always(1),
        row_noise=_always(0),
        streak_px=_always(0),
        black_sigmas=_always(0),
        haze=_always(0.1),
        jitter_px=_always(0),
        line_jitter_px=_always(0),
        breathing_px=_always(0),
        drift_px=_always(0),
        specks=_always(0),
        halos=_always(0),
        outline_offset_px=_always(0),
        crf=_always(12),
    ),
    "clogloss": _CLOGLOSS,
    "hard": replace(
        _CLOGLOSS,
        plasma_photons=Range(10, 50, log=True),
        read_noise=Range(2, 10, log=True),
        background=Range(0.02, 0.15, log=True),
        axial_fwhm_um=Range(1.5, 4.0),
        cell_darkness=Range(0.6, 0.95),
        partial_share=_always(0.3),
        creep_share=_always(0.2),
        reversal_share=_always(0.08),
        plasma_share=_always(0.15),
        fast_share=_always(0.15),
        jitter_px=Range(0.2, 0.8),
        breathing_px=Range(0.2, 1.5),
        gain_steps_share=_always(0.3),
        dim_share=_always(0.2),
        duplicate_share=_always(0.1),
        mask_target_share=_always(0.05),
        specks=Range(0, 20),
        halos=Range(0, 8),
        crf=Range(16, 23),
    ),
    "randomised": replace(
        _CLOGLOSS,
        length_density=Range(3e-4, 1.4e-3),
        cell_darkness=Range(0.6, 1.0),
        speed_um_s=Range(100, 10_000),
        partial_share=_always(0.2),
        creep_share=_always(0.12),
        creep_um_s=Range(1.2, 60, log=True),
        reversal_share=_always(0.05),
        plasma_share=_always(0.1),
        fast_share=_always(0.1),
        pixel_um=Range(0.7, 1.7),
        z_step_um=Range(0.8, 2.2),
        slice_s=Range(0.6, 1.4),
        line_share=Range(0.02, 1.0),
        axial_fwhm_um=Range(1.0, 4.5),
        axial_growth=Range(0.0, 0.01),
        plasma_grey=Range(90, 600, log=True),
        plasma_photons=Range(12, 200, log=True),
        read_noise=Range(0.5, 8, log=True),
        row_noise=Range(0, 4),
        streak_px=Range(0, 1.6),
        background=Range(0.005, 0.25, log=True),
        haze=Range(0.0, 0.8),
        black_sigmas=Range(-1.5, 2.0),
        attenuation_um=Range(60, 1000, log=True),
        jitter_px=Range(0.0, 0.7),
        line_jitter_px=Range(0.0, 0.4),
        breathing_px=Range(0.0, 1.0),
        drift_px=Range(0.0, 6.0),
        resampled_share=_always(0.5),
        resampling=Range(0.5, 1.5),
        gain_steps_share=_always(0.2),
        gain_step=Range(1.1, 2.5),
        dim_share=_always(0.12),
        duplicate_share=_always(0.1),
        specks=Range(0, 20),
        halos=Range(0, 8),
        mask_target_share=_always(0.03),
        outline_offset_px=Range(0.0, 4.0),
        crf=Range(12, 23),
        gif_share=_always(0.15),
        gif_scale=Range(0.5, 1.5),
    ),
}
"""``clogloss`` looks like the real frames, ``randomised`` is wide, for training."""


def load_settings(preset: str, changes: Sequence[str] = ()) -> Settings:
    """A preset with single ranges changed.

    Args:
        preset: one of `PRESETS`.
        changes: ``"NAME=VALUE"`` or ``"NAME=LOW,HIGH"``.

    Raises:
        OptionError: unknown preset or name (the closest is named), no number, out of bounds.
    """
    if preset not in PRESETS:
        raise OptionError(f"--preset is {preset!r}; choose one of {', '.join(PRESETS)}")
    settings = PRESETS[preset]
    names = [field.name for field in dataclasses.fields(Settings)]
    for change in changes:
        name, sign, text = change.partition("=")
        if not sign:
            raise OptionError(f"--set is {change!r}; write NAME=LOW,HIGH, as in diameter_um=3,7")
        if name not in names:
            close = difflib.get_close_matches(name, names, n=1, cutoff=0.3)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(names)}"
            raise OptionError(f"--set {change}: there is no setting {name!r}; {hint}")
        try:
            numbers = [float(part) for part in text.split(",")]
        except ValueError:
            numbers = []
        if len(numbers) not in (1, 2):
            raise OptionError(
                f"--set {change}: {text!r} is not one number or two with a comma between; "
                f"allowed is {name}=LOW,HIGH within {bounds(name)[0]:g}…{bounds(name)[1]:g}"
            )
        old: Range = getattr(settings, name)
        settings = replace(settings, **{name: Range(numbers[0], numbers[-1], old.log)})
    return settings
