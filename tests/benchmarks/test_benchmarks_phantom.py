"""Benchmark and audits of the phantom: each runs, and its measures measure what they say."""

from __future__ import annotations

import contextlib
import csv
import importlib
import io
import sys
from pathlib import Path
from unittest import mock

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter1d

from stallscan.simulate.settings import PRESETS, load_settings
from stallscan.types import UInt8Array

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
HERE = ("--workers", 0)
"""Instead of two: starting a process takes longer than the little that it does here."""


def run(script: str, *arguments: object) -> str:
    """What it prints; as from the command line, but in this process."""
    printed = io.StringIO()
    argv = [script, *map(str, arguments)]
    with mock.patch.object(sys, "argv", argv), contextlib.redirect_stdout(printed):
        importlib.import_module(Path(script).stem).main()
    return printed.getvalue()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clips of the preset "clean" have half of the pixels."""
    changes = ["gif_share=1", "gif_scale=0.7"]
    monkeypatch.setitem(PRESETS, "clean", load_settings("clean", changes))


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(autouse=True)
def _audits_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


# What the scripts print and write


def test_speed(tmp_path: Path) -> None:
    out = tmp_path / "speed.csv"
    run("phantom.py", "--rois", 1, "--videos", 1, "--rounds", 1, "--preset", "clean", "--out", out)
    rows = {row["what"]: float(row["per_s_of_60_frames"]) for row in rows_of(out)}
    assert list(rows) == [
        "scene alone",
        *("ROI without codec emulation", "ROI with codec emulation"),
        *("video without codec", "video with codec"),
    ]
    assert rows["video with codec"] < rows["video without codec"] < rows["scene alone"]


def test_shortcuts(tmp_path: Path) -> None:
    printed = run("phantom_audit.py", "shortcuts", "--n", 12, "--workers", 1, "--results", tmp_path)
    assert "12 ROIs, 6 stalled" in printed
    rows = rows_of(tmp_path / "phantom-shortcuts-clogloss-cpu.csv")
    assert [row["feature"] for row in rows] == [
        *("boosted tree of all", "height_px", "width_px", "n_frames", "outline_px", "mean_grey"),
    ]
    assert all(float(row["low"]) <= float(row["auc"]) <= float(row["high"]) for row in rows)


def test_persistence(tmp_path: Path) -> None:
    preset = ("--preset", "clean")
    run("phantom_audit.py", "persistence", "--n", 10, *preset, *HERE, "--results", tmp_path)
    first, *rows = rows_of(tmp_path / "phantom-persistence-clean-cpu.csv")
    assert (first["what"], first["n"]) == ("AUC", "10")
    assert {row["what"]: row["n"] for row in rows[:2]} == {"flowing": "7", "stalled": "3"}


def test_two_ways(small: None, tmp_path: Path) -> None:
    arguments = ("--n", 5, "--preset", "clean", *HERE, "--results", tmp_path)
    assert "5 direct ROIs (0), 5 out of videos (1)" in run(
        "phantom_audit.py", "two-ways", *arguments
    )
    features = [row["feature"] for row in rows_of(tmp_path / "phantom-two-ways-clean-cpu.csv")]
    assert features[0] == "boosted tree of all" and features[-1] == "persistence"


def test_real(real_like: Path, tmp_path: Path) -> None:
    arguments = ("--n", 1, "--n-truths", 10, "--preset", "clean", *HERE)
    run("phantom_audit.py", "real", *arguments, "--results", tmp_path, "--data", real_like)
    pictures = {
        row["statistic"]: row for row in rows_of(tmp_path / "phantom-real-pictures-cpu.csv")
    }
    for column in ("frame 512×384", "105668 (stalled)", "200149 (flowing)"):
        assert float(pictures["line thickness, px"][column]) == pytest.approx(3.3, abs=0.6)
    assert pictures["frames, lag 1"]["frame 512×384"] == ""
    sizes = {
        (row["size"], row["statistic"]): row
        for row in rows_of(tmp_path / "phantom-real-sizes-cpu.csv")
    }
    assert sizes["n_frames", "median"]["real"] == "50"
    assert ("n_frames", "Kolmogorov–Smirnov distance") in sizes


def test_real_data_missing(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="STALLSCAN_REAL_DATA"):  # which ends with code 1
        run("phantom_audit.py", "real", "--data", tmp_path)


def test_figure(small: None, tmp_path: Path) -> None:
    out = tmp_path / "phantom.png"
    run("phantom_audit.py", "figure", "--preset", "clean", "--out", out)
    width, height = Image.open(out).size
    assert width > 1000 and height > 500


@pytest.fixture
def real_like(tmp_path: Path) -> Path:
    """A folder with the names of the real data: noise, bars and an orange ring."""
    rng = np.random.default_rng(5)
    (tmp_path / "clips").mkdir()
    (tmp_path / "clogloss").mkdir()
    stack = bars(rng, (12, 240, 320))
    for name in ("105668", "200149"):
        frames = [Image.fromarray(frame) for frame in stack]
        path = tmp_path / f"clips/{name}.gif"
        frames[0].save(path, save_all=True, append_images=frames[1:])
    frame = Image.fromarray(bars(rng, (1, 384, 512))[0])
    frame.save(tmp_path / "clips/stalled_frame_512x384.jpg", quality=95)
    table = {
        "filename": [f"{100000 + index}.mp4" for index in range(21)],
        "url": "s3://nowhere",
        "project_id": "A",
        "num_frames": range(40, 61),
        "crowd_score": 0.0,
        **dict.fromkeys(("tier1", "micro", "nano"), False),
    }
    pd.DataFrame(table).to_csv(tmp_path / "clogloss/train_metadata.csv.xz", index=False)
    return tmp_path


def bars(rng: np.random.Generator, shape: tuple[int, int, int]) -> UInt8Array:
    grey = rng.integers(0, 40, shape, dtype=np.uint8)
    grey[:, :, 40:46] += 160
    return ringed(np.repeat(grey[..., None], 3, axis=3), (120, 160), 3)


def ringed(stack: UInt8Array, centre: tuple[float, float], thickness: float) -> UInt8Array:
    """With a circle of 35 px; OpenCV's circles are wider than they are told to be."""
    y, x = np.ogrid[: stack.shape[1], : stack.shape[2]]
    distance = np.abs(np.hypot(y - centre[0], x - centre[1]) - 35)
    coverage = np.clip(thickness / 2 - distance + 0.5, 0, 1)[..., None]
    return np.round(stack + coverage * (np.array((240, 104, 17)) - stack)).astype(np.uint8)


# The measures


def test_tree_finds_a_shortcut_and_none_in_noise() -> None:
    from audits.auc import auc_of, tree_auc

    rng = np.random.default_rng(0)
    labels = np.arange(200) % 2
    noise = pd.DataFrame(rng.standard_normal((200, 4)), columns=list("abcd"))
    blind = tree_auc(noise, labels)
    assert blind.low < 0.5 < blind.high
    # Neither column alone tells the classes; both together do.
    crossed = noise.assign(d=np.where(labels == 1, 1, -1) * np.sign(noise["a"]))
    found = tree_auc(crossed, labels)
    assert found.low > 0.95
    assert auc_of(labels, crossed["d"].to_numpy()).low < 0.55
    assert auc_of(labels, -labels.astype(float)).value == 0


@pytest.mark.parametrize("angle_deg", [0, 30, 90])
@pytest.mark.parametrize("fwhm_px", [4.0, 7.0])
def test_width_of_a_vessel(fwhm_px: float, angle_deg: float) -> None:
    from audits.vessel_width import widths_px

    y, x = np.mgrid[:120, :120] - 60.0
    angle = np.deg2rad(angle_deg)
    across = x * np.cos(angle) + y * np.sin(angle)
    clean = 150 * np.exp(-4 * np.log(2) * (across / fwhm_px) ** 2)
    noisy = clean + 20 + np.random.default_rng(1).normal(0, 5, clean.shape)
    widths = widths_px(noisy.astype(np.float32), np.ones(clean.shape, bool))
    assert len(widths) > 30
    assert np.median(widths) == pytest.approx(fwhm_px, rel=0.08)


def test_noise_alone_has_hardly_any_vessels() -> None:
    from audits.vessel_width import widths_px

    noise = np.random.default_rng(2).normal(40, 4, (120, 120)).astype(np.float32)
    assert len(widths_px(noise, np.ones(noise.shape, bool))) < 10


@pytest.mark.parametrize("thickness", [2, 3, 5])
def test_line(thickness: int) -> None:
    from audits.line import line_statistics

    stack = np.full((2, 120, 120, 3), 50, np.uint8)
    stack[:1] = ringed(stack[:1], (60.3, 60.1), thickness)  # the second frame has no line
    found = line_statistics(stack)
    assert found["line thickness, px"] == pytest.approx(thickness + 0.3, abs=0.15)
    assert [found[f"line {channel} p50"] for channel in "RGB"] == [240, 104, 17]


def test_texture() -> None:
    from audits.texture import autocorrelation, frame_correlation, grey_levels, split

    rng = np.random.default_rng(3)
    white = rng.normal(100, 10, (30, 80, 80))
    moving = gaussian_filter1d(white, 1.0, axis=2)  # lag 1: exp(−1/4)
    moving[1:] = moving[:-1] * 0.5 + moving[1:] * 0.5
    stack = np.repeat(np.round(moving)[..., None], 3, axis=3).astype(np.uint8)
    cv2.circle(stack[0], (40, 40), 20, (255, 102, 0), 3)
    grey, free = split(stack)
    assert not free[0, 40, 20] and not free[0, 40, 17] and free[0, 40, 40] and free[1:].all()
    along = autocorrelation(grey, free, (1, 2))
    assert along["along x, lag 1"] == pytest.approx(np.exp(-1 / 4), abs=0.04)
    assert along["along x, lag 2"] == pytest.approx(np.exp(-1), abs=0.04)
    assert along["along y, lag 1"] == pytest.approx(0, abs=0.04)
    frames = frame_correlation(grey, free, (1, 40))
    assert frames["frames, lag 1"] == pytest.approx(0.5, abs=0.04)
    assert np.isnan(frames["frames, lag 40"])
    levels = grey_levels(grey, free)
    assert levels["grey p50"] == pytest.approx(100, abs=1) and levels["share of grey 255"] == 0
