"""Scenes laid out by hand: one straight vessel, a train of known period, a clean microscope."""

from typing import Any

import numpy as np

from stallscan.simulate.blood import TABLE_STEP_UM, Blood, Kind
from stallscan.simulate.microscope import Microscope
from stallscan.simulate.outline import Outline
from stallscan.simulate.scene import Scene, Tube
from stallscan.simulate.vessels import Vessel
from stallscan.types import Label

PLASMA = 200.0
HEIGHT, WIDTH = 384, 96
FRAME_S = 0.9
LINE_S = FRAME_S / HEIGHT  # 2.3 ms


def microscope(n_frames: int = 8, pixel_um: float = 1.0, **changes: Any) -> Microscope:
    """Without noise, motion or defects, unless changed."""
    fields: dict[str, Any] = {
        "pitch_um": (1.0, pixel_um, pixel_um),
        "frame_s": FRAME_S,
        "axial_um": 2.0,
        "noise_gain": 0.0,
        "read_noise": 0.0,
        "streak_px": 0.0,
        "blur_px": 0.0,
        "background": 0.0,
        "black_level": 0.0,
        "gain": np.ones(n_frames, np.float32),
        "jitter_px": np.zeros((n_frames, 2), np.float32),
    }
    return Microscope(**(fields | changes))


def wave(period_um: float, speed_um_s: float) -> Blood:
    """Darkness that rises and falls as a cosine of a whole number of periods."""
    n = round(period_um * 200 / TABLE_STEP_UM)
    s_um = np.arange(n) * TABLE_STEP_UM
    cells = 0.5 + 0.5 * np.cos(2 * np.pi * s_um / period_um)
    return train(cells, speed_um_s)


def train(cells: np.ndarray, speed_um_s: float) -> Blood:
    return Blood(
        kind=Kind.FLOW,
        cells=cells.astype(np.float32),
        speed_um_s=speed_um_s,
        pulses=np.zeros((0, 3)),
    )


def straight_scene(
    blood: Blood,
    along: str,
    *,
    pixel_um: float = 1.0,
    step_um: float = 1.0,
    n_frames: int = 8,
    centre_px: int = 48,
) -> Scene:
    """One tube through the whole field along ``"y"`` or ``"x"``, in the plane of slice 4."""
    extent_px = HEIGHT if along == "y" else WIDTH
    arc = np.arange(0.0, extent_px * pixel_um, step_um)
    points = np.empty((len(arc), 3))
    points[:, 0] = 4.0
    points[:, 1] = arc if along == "y" else centre_px * pixel_um
    points[:, 2] = centre_px * pixel_um if along == "y" else arc
    vessel = Vessel(
        points_um=points.astype(np.float32), arc_um=arc.astype(np.float32), radius_um=2.5
    )
    corners = np.array([[20, 100], [70, 100], [70, 200], [20, 200]], np.float32)
    return Scene(
        label=Label.FLOWING,
        shape=(n_frames, HEIGHT, WIDTH),
        tubes=(Tube(vessel=vessel, blood=blood, brightness=PLASMA),),
        outline=Outline(contour_px=corners, color=(240, 104, 17), thickness_px=3),
        microscope=microscope(n_frames, pixel_um),
        specks=np.zeros((0, 5), np.float32),
    )
