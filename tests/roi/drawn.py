"""Synthetic outlined clips: grey noisy frames with a known line drawn in."""

from dataclasses import dataclass

import cv2
import numpy as np

HEIGHT, WIDTH = 192, 256
ORANGES = [(255, 102, 0), (240, 104, 17), (243, 116, 67), (196, 100, 14), (255, 127, 14)]


@dataclass(frozen=True)
class Drawing:
    """``points``: ``(n, 2)`` float vertices ``(x, y)`` of a closed line."""

    points: np.ndarray
    thickness: int = 3

    def on(self, frame: np.ndarray, color: tuple[int, ...], antialiased: bool = True) -> None:
        kind = cv2.LINE_AA if antialiased else cv2.LINE_8
        fixed = np.round(self.points * 16).astype(np.int32)
        cv2.polylines(frame, [fixed], True, color, self.thickness, kind, 4)

    @property
    def line(self) -> np.ndarray:
        plane = np.zeros((HEIGHT, WIDTH), np.uint8)
        self.on(plane, (255,), antialiased=False)
        return plane > 0

    @property
    def mask(self) -> np.ndarray:
        plane = self.line.astype(np.uint8)
        cv2.fillPoly(plane, [np.round(self.points * 16).astype(np.int32)], 1, cv2.LINE_8, 4)
        return plane > 0

    def moved(self, dx: float, dy: float = 0.0) -> "Drawing":
        return Drawing(np.add(self.points, [dx, dy]), self.thickness)


def around(centreline: np.ndarray, radius: int = 11, thickness: int = 3) -> Drawing:
    """The outline as the labs draw it: a centreline ``(n, 2)`` (x, y) buffered by a radius."""
    plane = np.zeros((HEIGHT * 4, WIDTH * 4), np.uint8)
    cv2.polylines(plane, [np.round(centreline * 4).astype(np.int32)], False, 1, 8 * radius)
    contours, _ = cv2.findContours(plane, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    points = max(contours, key=cv2.contourArea)[:, 0].astype(float) / 4
    return Drawing(points[::4], thickness)


def sausage(thickness: int = 3) -> Drawing:
    return around(np.array([[70.0, 70.0], [120.0, 95.0], [180.0, 90.0]]), thickness=thickness)


def horseshoe(thickness: int = 3) -> Drawing:
    angle = np.linspace(-0.7 * np.pi, 0.7 * np.pi, 60)
    arc = np.stack([128 + 55 * np.cos(angle), 96 + 55 * np.sin(angle)], axis=1)
    return around(arc, thickness=thickness)


def ellipse(
    centre: tuple[float, float] = (128.0, 96.0), radii: tuple[float, float] = (45.0, 25.0)
) -> Drawing:
    angle = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    return Drawing(np.stack([np.cos(angle), np.sin(angle)], axis=1) * radii + centre)


SHAPES = {"sausage": sausage, "horseshoe": horseshoe}


def grey_frames(n_frames: int = 8, seed: int = 0) -> np.ndarray:
    """Dim noise, bright vessels that come and go: ``(z, y, x, 3)`` uint8."""
    rng = np.random.default_rng(seed)
    vessels = np.zeros((HEIGHT, WIDTH), np.float32)
    for _ in range(6):
        ends = rng.integers(0, [WIDTH, HEIGHT], (2, 2))
        cv2.line(vessels, ends[0].tolist(), ends[1].tolist(), float(rng.uniform(60, 200)), 6)
    vessels = cv2.GaussianBlur(vessels, (0, 0), 1.5)
    gain = 0.6 + 0.4 * np.sin(np.arange(n_frames))[:, None, None]
    grey = rng.poisson(20 + vessels * gain) + rng.normal(0, 12, (n_frames, HEIGHT, WIDTH))
    return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=-1)


def outlined(
    drawing: Drawing, color: tuple[int, ...] = ORANGES[0], n_frames: int = 8, seed: int = 0
) -> np.ndarray:
    array = grey_frames(n_frames, seed)
    for frame in array:
        drawing.on(frame, color)
    return array
