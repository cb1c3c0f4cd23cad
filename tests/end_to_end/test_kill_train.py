"""A disturbed `train`: killed, interrupted, out of room, it goes on to the same end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest
from safetensors.torch import load_file

GROUP, PARENT, INTERRUPT = "kill the group", "kill the parent", "interrupt"
Moment = tuple[str, int, int, str]
Done = tuple[Path, dict[str, list[dict[str, Any]]]]

BASE = (
    "augmentation=null", "stop.patience=null", "stop.max_epochs=3", "sampler.batch_size=2",
    "sampler.batches_per_epoch=10", "validation.n=6",
)  # fmt: skip
SHORT = (*BASE, "sampler.batches_per_epoch=4")


class Scenario(NamedTuple):
    """A recipe, and the moments at which runs of it are disturbed, one after another."""

    keys: tuple[str, ...]
    moments: tuple[Moment, ...]
    workers: int = 0
    falling: bool = False
    has_whole: bool = True


SCENARIOS = {
    # All moments: 10, 50 and 90 % of an epoch of ten batches, and all around its end.
    "workers and accumulation": Scenario(
        (*BASE, "optimizer.accumulate=3"),
        (
            ("batch", 0, 1, PARENT),
            ("batch", 1, 5, GROUP),
            ("validated", 1, 0, PARENT),
            ("after history", 1, 0, GROUP),
            ("checkpoint", 1, 0, GROUP),
            ("batch", 2, 9, PARENT),
            ("checkpoint", 2, 0, GROUP),
            ("export", 0, 0, GROUP),
        ),
        workers=1,
    ),
    "averaged weights": Scenario(
        (*SHORT, "engine.ema=0.9"), (("checkpoint", 0, 0, GROUP), ("batch", 2, 2, GROUP))
    ),
    "plateau": Scenario(
        (*SHORT, "schedule.name=plateau", "schedule.factor=0.1", "schedule.patience=2",
         "stop.max_epochs=4"),
        (("checkpoint", 1, 0, GROUP), ("checkpoint", 2, 0, GROUP)),
        falling=True,
    ),
    "snapshots": Scenario(
        (*SHORT, "schedule.name=cyclic", "schedule.cycles=2", "stop.max_epochs=4"),
        (("batch", 1, 2, GROUP), ("checkpoint", 1, 0, GROUP), ("checkpoint", 3, 0, GROUP)),
    ),
    "early stop": Scenario(
        (*SHORT, "stop.patience=2", "stop.max_epochs=8"),
        (("checkpoint", 2, 0, GROUP),),
        falling=True,
    ),
    "interrupt": Scenario(SHORT, (("batch", 1, 2, INTERRUPT),), workers=1),
    "full disk: checkpoint": Scenario(SHORT, (("batch", 1, 0, "100000"),), has_whole=False),
    "full disk: history": Scenario(SHORT, (("before history", 1, 0, "20"),), has_whole=False),
    "full disk: weights": Scenario(SHORT, (("export", 0, 0, "20000"),), has_whole=False),
}  # fmt: skip
WHOLE_OF = dict.fromkeys((name for name in SCENARIOS if name.startswith("full")), "interrupt")
KILLED = ("workers and accumulation", "averaged weights", "plateau", "snapshots", "early stop")


def command(out: Path, scenario: Scenario, moment: Moment | None = None) -> dict[str, Any]:
    arguments = ["train", "phantom", "--recipe", "smoke", "--out", str(out), "--device", "cpu"]
    workers = scenario.workers if out.name == "disturbed" else 0
    arguments += ["--workers", str(workers), "-q", "--set", *scenario.keys]
    found: dict[str, Any] = {"arguments": arguments, "falling": scenario.falling}
    return found if moment is None else found | {"moment": moment}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """The folder of all scenarios; what became of each disturbed command and of the last one."""
    folder = tmp_path_factory.mktemp("disturbed")
    commands, of = [], []
    for name, scenario in SCENARIOS.items():
        (folder / name).mkdir()
        if scenario.has_whole:
            commands.append(command(folder / name / "whole", scenario))
            of.append(None)
        for moment in (*scenario.moments, None):
            commands.append(command(folder / name / "disturbed", scenario, moment))
            of.append(name)
    plan = folder / "plan.json"
    plan.write_text(json.dumps(commands))
    script = Path(__file__).with_name("killing_training.py")
    subprocess.run([sys.executable, str(script), str(plan)], check=True, timeout=300)
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in SCENARIOS}
    for name, result in zip(of, json.loads(plan.with_suffix(".results").read_text()), strict=True):
        if name is None:
            assert result["code"] == 0, result["said"]
        else:
            results[name].append(result)
    return folder, results


def assert_same(one: Path, other: Path) -> None:
    """Every figure and every weight, to the last bit."""
    files = sorted(path.relative_to(one) for path in one.rglob("*.safetensors"))
    assert files
    for name in ("validation.csv", *files):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    histories = [pd.read_csv(path / "history.csv").drop(columns="seconds") for path in (one, other)]
    pd.testing.assert_frame_equal(*histories, check_exact=True)


@pytest.mark.parametrize("name", KILLED)
def test_killed_and_resumed_is_the_undisturbed_run_bit_by_bit(done: Done, name: str) -> None:
    folder, results = done
    *disturbed, last = results[name]
    assert [result["code"] for result in disturbed] == [-9] * len(SCENARIOS[name].moments)
    assert last["code"] == 0, last["said"]
    assert_same(folder / name / "whole", folder / name / "disturbed")


def test_workers_end_with_a_killed_parent(done: Done) -> None:
    _, results = done
    name = "workers and accumulation"
    killed = zip(SCENARIOS[name].moments, results[name], strict=False)
    alone = [result for (*_, how), result in killed if how == PARENT]
    assert len(alone) == 3
    for result in alone:
        assert result["workers"] == 1
        assert result["seconds"] < 2


def test_an_interrupt_ends_cleanly_and_is_resumed(done: Done) -> None:
    folder, results = done
    interrupted, last = results["interrupt"]
    assert interrupted["code"] == 130
    assert "interrupted; the same command goes on where this one stopped" in interrupted["said"]
    assert "Traceback" not in interrupted["said"]
    assert last["code"] == 0, last["said"]
    assert_same(folder / "interrupt" / "whole", folder / "interrupt" / "disturbed")


@pytest.mark.parametrize("name", WHOLE_OF)
def test_a_full_disk_names_the_folder_and_the_remedy_and_loses_nothing(
    done: Done, name: str
) -> None:
    folder, results = done
    full, last = results[name]
    assert full["code"] == 3, full["said"]
    for part in (f"{folder / name / 'disturbed'}: cannot be written", "free some space", "same"):
        assert part in full["said"]
    assert last["code"] == 0, last["said"]
    assert_same(folder / WHOLE_OF[name] / "whole", folder / name / "disturbed")


def test_early_stopping_stops_once(done: Done) -> None:
    """The best is epoch 0; two epochs without gain and it is over, a kill notwithstanding."""
    folder, _ = done
    for run in ("whole", "disturbed"):
        assert list(pd.read_csv(folder / "early stop" / run / "history.csv")["epoch"]) == [0, 1, 2]


def test_every_cycle_leaves_another_snapshot(done: Done) -> None:
    folder, _ = done
    one, other = (
        load_file(folder / "snapshots" / "whole" / "snapshots" / cycle / "weights.safetensors")
        for cycle in ("cycle1", "cycle2")
    )
    assert any((one[key] != other[key]).any() for key in one)
