"""The benchmark of the augmentations runs without its peers, and measures what it says."""

from __future__ import annotations

import csv
import importlib.util
import math
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from stallscan.augment.registry import BATCHES, MODULES

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS / "peers"))
    return importlib.import_module("_worker")


def test_augment_names_what_it_left_out(run_script: Callable[..., str], tmp_path: Path) -> None:
    absent = ("--peers-python", tmp_path / "no-python")
    printed = run_script("augment.py", "--quick", "--out", tmp_path, *absent)
    peers = {path.stem for path in (BENCHMARKS / "peers").glob("[!_]*.py")} - {"ours"}
    assert len(peers) == 6
    assert all(f"left out: {peer} (" in printed for peer in peers)
    assert printed.count("left out:") == len(peers)  # nothing of ours

    rows = rows_of(tmp_path / "augment-cpu.csv")
    assert {row["what"].split()[0] for row in rows} == {"pipeline", *MODULES, *BATCHES}
    assert {row["input"] for row in rows} == {"15x16x16x3"}
    assert all(float(row["ms"]) > 0 and row["ratio_to_ours"] == "1.00" for row in rows)

    strengths = rows_of(tmp_path / "augment-elastic-cpu.csv")
    weak, strong = (
        [float(row["ours"]) for row in strengths if (row["deformation"], row["measure"]) == which]
        for which in (("0.05", "std"), ("0.25", "std"))
    )
    assert len(weak) == len(strong) == 6
    assert np.mean(strong) > 2 * np.mean(weak)
    assert all(row["theirs"] == row["ratio"] == "" for row in strengths)


def test_only_one_part_keeps_the_rows_of_the_other(tmp_path: Path) -> None:
    table = tmp_path / "augment-cpu.csv"
    header = "what,input,contender,licence,ms,spread,ratio_to_ours,note"
    table.write_text(f"{header}\npipeline,1x1x1x1,old,,1,0,,\nRotate,1x1x1x1,kept,,1,0,,\n")
    command = [sys.executable, str(BENCHMARKS / "augment.py"), "--quick", "--only", "PIPELINE"]
    command += ["--out", str(tmp_path), "--peers-python", str(tmp_path / "no-python")]
    subprocess.run(command, check=True, capture_output=True)
    assert [row["contender"][:9] for row in rows_of(table)] == ["kept", "stallscan"]


def test_displacement_statistics_of_a_known_field(worker: types.ModuleType) -> None:
    shape, sigma, rng = (40, 44, 48), 2.0, np.random.default_rng(0)
    last = np.array(shape) - 1

    def bend(coordinates: NDArray[np.float32]) -> NDArray[np.float32]:
        noise = rng.standard_normal((*shape, 3))
        smooth = gaussian_filter(noise, (sigma, sigma, sigma, 0), mode="wrap")
        return (coordinates + np.array([1, 2, 3]) * smooth / last).astype(np.float32)

    found = worker.statistics(bend, shape, 6, reach=0.1)
    # White noise through a Gaussian: variance (2σ√π)⁻³, autocorrelation exp(-lag² / 4σ²).
    std = (2 * sigma * math.sqrt(math.pi)) ** -1.5
    for region in ("whole", "interior"):
        assert found[region]["std"] == pytest.approx([std, 2 * std, 3 * std], rel=0.05)
        assert found[region]["length"] == pytest.approx([2 * sigma] * 3, rel=0.05)


def test_a_correlation_that_does_not_fall_has_no_length(worker: types.ModuleType) -> None:
    falls_to = importlib.import_module("_displacement").falls_to
    assert falls_to(0.5, np.array([1.0, 0.9, 0.8])) is None
    assert falls_to(0.5, np.array([1.0, 0.6, 0.2])) == pytest.approx(1.25)


def test_a_contender_may_not_change_its_input(worker: types.ModuleType) -> None:
    def darken(volume: NDArray[np.uint8]) -> NDArray[np.uint8]:
        volume //= 2
        return volume

    contender = worker.Contender(
        name="fake",
        licence="MIT",
        pipeline=lambda shape, size: darken,
        transforms=lambda shape, size: {"Resize": lambda: lambda volume: volume},
    )
    asked = {"shape": [4, 5, 6, 1], "size": [4, 5, 6], "calls": 2}
    with pytest.raises(ValueError, match="pipeline changes its input"):
        worker.Worker(contender).warm("pipeline", **asked)
    with pytest.raises(ValueError, match="Resize gave the shape"):
        worker.Worker(contender).warm("Resize", **asked | {"size": [9, 9, 9]})
    assert worker.Worker(contender).warm("Rotate", **asked) == {"missing": True}


def test_volumes_are_the_same_everywhere(worker: types.ModuleType) -> None:
    once, again = (worker.volumes((6, 20, 22, 3)) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(once, again, strict=True))
    assert once[0].shape == (6, 20, 22, 3) and once[0].dtype == np.uint8
    assert len({volume.tobytes() for volume in once}) == len(once)


def test_slower_than_a_permissive_peer_needs_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    spec = importlib.util.spec_from_file_location("augment_benchmark", BENCHMARKS / "augment.py")
    assert spec and spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)

    def note(*rows: tuple[str, str]) -> str:
        table = [{"what": "Flip 2", "licence": "MIT", "ratio_to_ours": "1.00", "note": ""}]
        table += [{**table[0], "licence": licence, "ratio_to_ours": r} for licence, r in rows]
        script.name_slower(table)
        return table[0]["note"]

    assert note(("MIT", "1.20"), ("AGPL-3.0-only", "0.50")) == ""
    assert "no reason" in note(("Apache-2.0", "0.80"))
    monkeypatch.setitem(script.WHY_SLOWER, "Flip 2", "checks its input")
    assert note(("Apache-2.0", "0.80")) == "checks its input"
