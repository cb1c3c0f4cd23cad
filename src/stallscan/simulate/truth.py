"""What is true of a phantom's target, and the rule that decides its state."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stallscan.simulate.blood import Blood
from stallscan.simulate.defects import Defects
from stallscan.simulate.microscope import Microscope
from stallscan.simulate.state import State
from stallscan.simulate.vessels import Vessel
from stallscan.types import Box

STILL_UM = 0.05
"""Net motion in a slice below which blood stands, µm."""
MOVING_UM = 1.0
"""Net motion in a slice from which blood flows, µm; what lies between cannot be decided."""
VISIBLE_SHARE = 0.4
"""Share of the target's length that must be seen in some slice."""
MIN_SLICES = 4
"""Slices in which the target must be in focus."""
_SEEN_UM = 5.0  # this much of a vessel makes a slice one in focus: shorter than a cell
_CONTRAST = 2.0  # plasma above the noise of one pixel


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What is known about a clip because it was made.

    Attributes:
        state: flowing, stalled or undecidable.
        kind: what the blood does, a value of `stallscan.simulate.blood.Kind`.
        onset_s: when a stall begins, NaN where the blood never stands, -inf: before the stack.
        release_s: when it ends; inf: after the stack.
        speed_um_s: signed mean speed of the target's cells while they move.
        still_share: share of the slices in focus in which the cells stand.
        visible_share: share of the target's length that is seen in some slice.
        n_focus: slices in which the target is in focus.
        n_frames: frames of the clip.
        diameter_um: lumen diameter of the target.
        length_um: length of the target.
        pixel_um: size of a pixel of the video.
        z_step_um: distance of slices.
        slice_s: time from slice to slice.
        roi_y0: top of the box around the drawn line, px; half open, like the other three.
        roi_x0: left.
        roi_y1: bottom.
        roi_x1: right.
        crf: quality with which the video is to be written.
        artefacts: words, one for each defect.
        centreline_px: ``(n, 3)`` of the target: slice, y, x.
        cells_um: ``(k, 2)`` place along the target and length of each cell when the stack begins.
        motion_um: ``(z,)`` net motion in each slice.
        focus: ``(z,)`` slices in which the target is in focus.
    """

    state: State
    kind: str
    onset_s: float
    release_s: float
    speed_um_s: float
    still_share: float
    visible_share: float
    n_focus: int
    n_frames: int
    diameter_um: float
    length_um: float
    pixel_um: float
    z_step_um: float
    slice_s: float
    roi_y0: int
    roi_x0: int
    roi_y1: int
    roi_x1: int
    crf: int
    artefacts: tuple[str, ...]
    centreline_px: NDArray[np.float32] = dataclasses.field(repr=False, compare=False)
    cells_um: NDArray[np.float64] = dataclasses.field(repr=False, compare=False)
    motion_um: NDArray[np.float64] = dataclasses.field(repr=False, compare=False)
    focus: NDArray[np.bool_] = dataclasses.field(repr=False, compare=False)

    @property
    def stalled(self) -> int | None:
        """1, 0, or None where nobody could decide."""
        label = self.state.label
        return None if label is None else int(label)

    def row(self) -> dict[str, Any]:
        """A row of truth.csv: everything that is one value."""
        row: dict[str, Any] = {
            "state": str(self.state),
            "stalled": "" if self.stalled is None else self.stalled,
        }
        for field in dataclasses.fields(self)[1:-4]:
            value = getattr(self, field.name)
            row[field.name] = round(value, 4) if isinstance(value, float) else value
        row["artefacts"] = ";".join(self.artefacts)
        return row

    def details(self) -> dict[str, Any]:
        """What has many values, for a line of truth.jsonl."""
        return {
            "centreline_px": np.round(self.centreline_px.astype(float), 2).tolist(),
            "cells_um": np.round(self.cells_um, 2).tolist(),
            "motion_um": np.round(self.motion_um, 3).tolist(),
            "focus": self.focus.astype(int).tolist(),
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """What can be seen of a vessel.

    Attributes:
        focus: ``(z,)`` bool, slices in which at least 5 µm of it are in focus and uncovered.
        share: part of its length that is seen in some slice.
    """

    focus: NDArray[np.bool_]
    share: float

    @property
    def enough(self) -> bool:
        """Somebody could decide."""
        return self.share >= VISIBLE_SHARE and int(self.focus.sum()) >= MIN_SLICES


def view_of(
    vessel: Vessel,
    brightness: float,
    microscope: Microscope,
    defects: Defects,
    shape: tuple[int, int, int],
) -> View:
    """Where a vessel is in focus, uncovered and bright enough.

    A point is in focus where the slice cuts the lumen around it; it is bright enough where plasma
    stands above the noise of a pixel by the factor 2.

    Args:
        vessel: the target.
        brightness: grey level of its plasma.
        microscope: the session.
        defects: masks, rims and dim frames.
        shape: ``(z, y, x)`` of the video.
    """
    n, height, width = shape
    at = vessel.points_um / np.array(microscope.out_pitch_um, np.float32)
    height_px = vessel.radius_um / microscope.pitch_um[0]
    seen = np.abs(np.arange(n)[:, None] - at[:, 0]) <= height_px  # (z, points)
    ys, xs = np.round(at[:, 1]).astype(int), np.round(at[:, 2]).astype(int)
    inside = (ys >= 0) & (ys < height) & (xs >= 0) & (xs < width)
    seen &= inside
    decay = microscope.axial_um * (1 + microscope.axial_growth * vessel.points_um[:, 0].clip(0))
    gain = (microscope.gain * defects.gain)[:, None]
    light = gain * brightness * (1 - np.exp(-vessel.radius_um / decay))
    noise = microscope.photon_grey * 4 / 3 * (light + gain * microscope.background)
    seen &= light > _CONTRAST * np.sqrt(noise + microscope.read_noise**2)
    if defects.edges or defects.masks:
        box = Box(
            0,
            int(np.clip(ys.min(), 0, height - 1)),
            int(np.clip(xs.min(), 0, width - 1)),
            n,
            int(np.clip(ys.max(), 0, height - 1)) + 1,
            int(np.clip(xs.max(), 0, width - 1)) + 1,
        )
        black = defects.black(box)
        if black is not None:
            rows = np.clip(ys - box.y0, 0, box.size[1] - 1)
            columns = np.clip(xs - box.x0, 0, box.size[2] - 1)
            seen &= ~black[:, rows, columns]
    step_um = vessel.length_um / max(len(at) - 1, 1)
    return View(focus=seen.sum(axis=1) * step_um >= _SEEN_UM, share=float(seen.any(axis=0).mean()))


def motion_um(blood: Blood, microscope: Microscope, n_frames: int) -> NDArray[np.float64]:
    """``(z,)`` net motion of the blood during each slice, µm."""
    edges_s = np.arange(n_frames + 1, dtype=np.float64) * microscope.slice_s
    return np.diff(blood.displacement_um(edges_s))


def decide(view: View, motion: NDArray[np.float64]) -> tuple[State, float]:
    """The state by the rule, and the share of the slices in focus in which the blood stands.

    Stalled: no net motion in at least half of the slices in focus. Undecidable: too little is seen,
    or the blood stands or drifts by less than 1 µm a slice in half of them. Else flowing.
    """
    if not view.focus.any():
        return State.UNDECIDABLE, float("nan")
    speed = np.abs(motion[view.focus])
    still = float((speed < STILL_UM).mean())
    slow = float((speed < MOVING_UM).mean())
    if not view.enough:
        return State.UNDECIDABLE, still
    if still >= 0.5:
        return State.STALLED, still
    return (State.UNDECIDABLE if slow >= 0.5 else State.FLOWING), still


def cells_in(blood: Blood, length_um: float) -> NDArray[np.float64]:
    """``(k, 2)`` place and length of the cells in a vessel when the stack begins, in order."""
    shift = float(blood.displacement_um(np.zeros(1))[0])
    places = blood.cells.places_um.copy()
    places[:, 0] = np.mod(places[:, 0] + shift, blood.cells.period_um)
    inside = places[places[:, 0] <= length_um]
    return inside[np.argsort(inside[:, 0])]
