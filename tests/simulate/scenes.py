"""Scenes laid out by hand: one straight vessel, a train of known period, a clean microscope."""

from typing import Any

import numpy as np

from stallscan.simulate import defects, scene
from stallscan.simulate.blood import TABLE_STEP_UM, Blood, Cells, Kind
from stallscan.simulate.microscope import Microscope
from stallscan.simulate.outline import Outline
from stallscan.simulate.recording import Recording
from stallscan.simulate.vessels import Vessel

PLASMA = 200.0
HEIGHT, WIDTH = 384, 96
SLICE_S = 0.9
LINE_S = SLICE_S / HEIGHT  # 2.3 ms
MIDDLE_PX, MIDDLE_SLICE = 48, 4


def microscope(n_frames: int = 8, *, n_lines: int = HEIGHT, **changes: Any) -> Microscope:
    """One photon is one grey level and there are no noise, motion and background, unless changed.

    Pixels of 1 µm; a line collects light at one moment (``line_share`` 0).
    """
    fields: dict[str, Any] = {
        "pitch_um": (1.0, 1.0, 1.0),
        "slice_s": SLICE_S,
        "line_s": LINE_S,
        "line_share": 0.0,
        "axial_um": 2.0,
        "axial_growth": 0.0,
        "lateral_um": 0.25,
        "photon_grey": 1.0,
        "read_noise": 0.0,
        "row_noise": 0.0,
        "streak_px": 0.0,
        "background": 0.0,
        "haze": np.ones((2, 10, 12), np.float32),
        "black": 0.0,
        "gain": np.ones(n_frames, np.float32),
        "motion_px": np.zeros((n_frames, n_lines, 2), np.float32),
        "zoom": 1.0,
    }
    return Microscope(**(fields | changes))


def cells(darkness: np.ndarray) -> Cells:
    """A table of darkness alone."""
    return Cells(darkness=darkness.astype(np.float32), places_um=np.zeros((0, 2)))


def blood(darkness: np.ndarray, speed_um_s: float, **changes: Any) -> Blood:
    """A train at constant speed, unless changed."""
    fields: dict[str, Any] = {
        "kind": Kind.FLOW,
        "cells": cells(darkness),
        "speed_um_s": speed_um_s,
        "pulses": np.zeros((0, 3)),
    }
    return Blood(**(fields | changes))


def wave(period_um: float, speed_um_s: float) -> Blood:
    """Darkness that rises and falls as a cosine, a whole number of periods."""
    n = round(period_um * 200 / TABLE_STEP_UM)
    s_um = np.arange(n) * TABLE_STEP_UM
    return blood(0.5 + 0.5 * np.cos(2 * np.pi * s_um / period_um), speed_um_s)


def straight_vessel(along: str, *, step_um: float = 1.0, radius_um: float = 2.5) -> Vessel:
    """A tube through the whole field along ``"y"`` or ``"x"``, in the plane of slice 4."""
    arc = np.arange(0.0, HEIGHT if along == "y" else WIDTH, step_um)
    points = np.empty((len(arc), 3))
    points[:, 0] = MIDDLE_SLICE
    points[:, 1] = arc if along == "y" else MIDDLE_PX
    points[:, 2] = MIDDLE_PX if along == "y" else arc
    return Vessel(
        points_um=points.astype(np.float32), arc_um=arc.astype(np.float32), radius_um=radius_um
    )


def straight_scene(
    content: Blood,
    along: str,
    *,
    n_frames: int = 8,
    step_um: float = 1.0,
    radius_um: float = 2.5,
    **changes: Any,
) -> scene.Scene:
    """`straight_vessel` with some blood; ``changes`` are the microscope's."""
    vessel = straight_vessel(along, step_um=step_um, radius_um=radius_um)
    corners = np.array([[20, 100], [70, 100], [70, 200], [20, 200]], np.float32)
    return scene.Scene(
        shape=(n_frames, HEIGHT, WIDTH),
        target=scene.Tube(vessel=vessel, blood=content, brightness=PLASMA),
        surroundings=None,
        outline=Outline(contour_px=corners, color=(240, 104, 17), thickness_px=3),
        microscope=microscope(n_frames, **changes),
        defects=defects.none(n_frames),
        recording=Recording(crf=18.0),
        spots=np.zeros((0, 6), np.float32),
    )
