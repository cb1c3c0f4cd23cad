"""Each artefact alone, at three strengths (FACTS, section 2)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from stallscan.roi.volume import Volume
from stallscan.simulate.defects import Defects
from stallscan.simulate.settings import PRESETS, Range, Settings

Change = Callable[[Volume, np.random.Generator], Volume]
Drawing = Callable[[Defects], Defects]


@dataclass(frozen=True, slots=True, kw_only=True)
class Artefact:
    """One strength of one artefact.

    Attributes:
        name: what it is.
        strength: in words.
        settings: the phantom's ranges with it.
        drawing: in which frames the outline is drawn; None: in all.
        change: what is done to the ROI; None: nothing.
    """

    name: str
    strength: str
    settings: Settings
    drawing: Drawing | None = None
    change: Change | None = None


def _only(low: float, high: float | None = None) -> Range:
    return Range(low, low if high is None else high)


_DEFECTS = [
    field.name
    for field in dataclasses.fields(Settings)
    if field.name.endswith("_share")
    and field.name
    not in (
        *("line_share", "horseshoe_share", "pial_share", "partial_share", "creep_share"),
        *("reversal_share", "plasma_share", "fast_share"),
    )
]

FLAWLESS = dataclasses.replace(
    PRESETS["clogloss"],
    **{name: _only(0) for name in _DEFECTS},
    specks=_only(0),
    halos=_only(0),
    outline_offset_px=_only(0, 1),
)
"""The preset clogloss, blood and light as they are, without defects."""

_SETTINGS: dict[str, dict[str, dict[str, Range]]] = {
    "black wavy edge, px": {
        f"{px}": {"black_edge_share": _only(1), "black_edge_px": _only(px)} for px in (5, 10, 20)
    },
    "gain steps, factor": {
        f"{step}": {"gain_steps_share": _only(1), "gain_step": _only(step)}
        for step in (1.3, 1.8, 2.5)
    },
    "dim frames, gain": {
        f"{gain}": {"dim_share": _only(1), "dim_gain": _only(gain)} for gain in (0.8, 0.5, 0.3)
    },
    "row streaks, σ px": {f"{px}": {"streak_px": _only(px)} for px in (1.5, 2.5, 3.5)},
    "row offsets, grey levels": {f"{level}": {"row_noise": _only(level)} for level in (2, 5, 10)},
    "specks in a frame": {f"{n}": {"specks": _only(n)} for n in (10, 20, 40)},
    "halos in a stack": {f"{n}": {"halos": _only(n)} for n in (5, 10, 20)},
    "outline off the vessel, px": {f"{px}": {"outline_offset_px": _only(px)} for px in (4, 8, 12)},
    "few photons": {f"{n}": {"plasma_photons": _only(n)} for n in (18, 12, 8)},
    "read noise, grey levels": {f"{level}": {"read_noise": _only(level)} for level in (7, 10, 14)},
    "background, of plasma": {
        f"{share}": {"background": _only(share)} for share in (0.1, 0.2, 0.3)
    },
    "motion left, px": {
        f"{px}": {"jitter_px": _only(px), "breathing_px": _only(2 * px)} for px in (0.5, 1.0, 1.5)
    },
    "drift, px": {f"{px}": {"drift_px": _only(px)} for px in (4, 8, 12)},
    "axial blur, FWHM µm": {f"{um}": {"axial_fwhm_um": _only(um)} for um in (3.4, 4.5, 6.0)},
    "depth step, µm": {f"{um}": {"z_step_um": _only(um)} for um in (1.3, 1.8, 2.4)},
    "resampled": {
        f"{zoom}×": {"resampled_share": _only(1), "resampling": _only(zoom)}
        for zoom in (1.4, 0.7, 0.5)
    },
    "GIF palette, size": {
        f"{scale}×": {"gif_share": _only(1), "gif_scale": _only(scale)}
        for scale in (1.0, 0.625, 0.5)
    },
    "codec, CRF": {f"{crf}": {"crf": _only(crf)} for crf in (20, 24, 28)},
}


def _undrawn(defects: Defects, share: float) -> Defects:
    """No outline in the last share of the frames."""
    return _drawn_from(defects, share, 0)


def _jumping(defects: Defects, share: float) -> Defects:
    """The outline in another place for the last share of the frames; gone where there is none."""
    return _drawn_from(defects, share, 2)


def _drawn_from(defects: Defects, share: float, code: int) -> Defects:
    drawn = defects.drawn.copy()
    drawn[round((1 - share) * len(drawn)) :] = code
    return dataclasses.replace(defects, drawn=drawn)


_DRAWINGS: dict[str, tuple[dict[str, Range], dict[str, Drawing]]] = {
    "outline missing, of the frames": (
        {},
        {f"{share:.0%}": partial(_undrawn, share=share) for share in (0.25, 0.5, 0.75)},
    ),
    "outline elsewhere, of the frames": (
        {"outline_jump_share": _only(1)},
        {f"{share:.0%}": partial(_jumping, share=share) for share in (0.2, 0.35, 0.5)},
    ),
}


def _repeated(volume: Volume, rng: np.random.Generator, share: float) -> Volume:
    """Frames that are the one before."""
    array = volume.array.copy()
    for z in 1 + np.flatnonzero(rng.random(len(array) - 1) < share):
        array[z] = array[z - 1]
    return dataclasses.replace(volume, array=array)


def _masked(volume: Volume, rng: np.random.Generator, share: float) -> Volume:
    """A black mask from one end of the outline over a share of its area, in every frame."""
    ys, xs = np.nonzero(volume.mask)
    angle = rng.uniform(0, 2 * np.pi)
    along = ys * np.sin(angle) + xs * np.cos(angle)
    hidden = along <= np.quantile(along, share)
    array = volume.array.copy()
    array[:, ys[hidden], xs[hidden]] = 0
    return dataclasses.replace(volume, array=array)


def _fewer(volume: Volume, rng: np.random.Generator, n: int) -> Volume:
    """Frames in the middle of the stack alone."""
    first = max(0, (volume.n_frames - n) // 2)
    array = volume.array[first : first + n]
    box = volume.box._replace(z0=0, z1=len(array))
    return dataclasses.replace(volume, array=array, box=box)


_CHANGES: dict[str, dict[str, Change]] = {
    "frames repeated": {f"{s:.0%}": partial(_repeated, share=s) for s in (0.05, 0.15, 0.3)},
    "hand mask over the target": {f"{s:.0%}": partial(_masked, share=s) for s in (0.2, 0.4, 0.6)},
    "frames": {f"{n}": partial(_fewer, n=n) for n in (40, 25, 17)},
}


def artefacts() -> list[Artefact]:
    """All of them; the first is none."""
    found = [Artefact(name="none", strength="", settings=FLAWLESS)]
    for name, strengths in _SETTINGS.items():
        for strength, fields in strengths.items():
            settings = dataclasses.replace(FLAWLESS, **fields)
            found.append(Artefact(name=name, strength=strength, settings=settings))
    for name, (fields, drawings) in _DRAWINGS.items():
        settings = dataclasses.replace(FLAWLESS, **fields)
        for strength, drawing in drawings.items():
            found.append(Artefact(name=name, strength=strength, settings=settings, drawing=drawing))
    for name, changes in _CHANGES.items():
        for strength, change in changes.items():
            found.append(Artefact(name=name, strength=strength, settings=FLAWLESS, change=change))
    return found
