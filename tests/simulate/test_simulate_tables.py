"""Frame counts, projects, crowd scores, labels and subsets behave as the competition's tables."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from stallscan.data import EXPERT_PROJECTS, compare_with_rules, label_by_rule, tier1_by_rule
from stallscan.simulate import tables
from stallscan.simulate.state import State
from stallscan.simulate.tables import (
    PROJECTS,
    draw_crowd_scores,
    draw_projects,
    sample_n_frames,
    train_columns,
)

STATES = [State.FLOWING] * 1400 + [State.STALLED] * 500 + [State.UNDECIDABLE] * 100


@pytest.fixture(scope="module")
def real_folder() -> Path:
    if not os.environ.get("STALLSCAN_REAL_DATA"):
        pytest.skip("STALLSCAN_REAL_DATA does not name the folder of the real tables")
    return Path(os.environ["STALLSCAN_REAL_DATA"]) / "clogloss"


@pytest.fixture(scope="module")
def real_metadata(real_folder: Path) -> pd.DataFrame:
    return pd.read_csv(real_folder / "train_metadata.csv.xz")


def drawn_frames(n: int) -> np.ndarray:
    rng = np.random.default_rng(1)
    return np.array([sample_n_frames(rng) for _ in range(n)])


def columns(states: list[State] = STATES, seed: int = 0, **options: bool) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    projects = rng.choice(list("AGJLM"), len(states))  # the real shares have hardly any J and L
    return train_columns(states, [str(p) for p in projects], rng, **options)


# --- Frame counts -----------------------------------------------------------------------------


def test_frame_counts_have_the_published_quantiles() -> None:
    counts = drawn_frames(50_000)
    assert counts.min() >= 17 and 202 < counts.max() <= 434
    for share, value in ((0.05, 34), (0.5, 56), (0.95, 94), (0.99, 128)):
        assert abs(np.quantile(counts, share) - value) <= max(1, 0.03 * value)


def test_frame_counts_against_the_real_table(real_metadata: pd.DataFrame) -> None:
    distance = stats.ks_2samp(drawn_frames(100_000), real_metadata["num_frames"]).statistic
    assert distance < 0.01


# --- Projects ---------------------------------------------------------------------------------


def test_projects_come_by_their_shares() -> None:
    assert "".join(PROJECTS) == "ACDEFGHIJKLM"
    found = Counter(draw_projects(100_000, np.random.default_rng(0)))
    expected = np.array(list(PROJECTS.values())) / sum(PROJECTS.values()) * 100_000
    assert stats.chisquare([found[letter] for letter in PROJECTS], expected).pvalue > 1e-3


def test_projects_are_counted_right(real_metadata: pd.DataFrame) -> None:
    assert real_metadata["project_id"].value_counts().to_dict() == PROJECTS


# --- The crowd --------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [State.FLOWING, State.STALLED])
def test_crowd_scores_follow_the_histogram_of_their_class(state: State) -> None:
    scores = draw_crowd_scores([state] * 20_000, np.random.default_rng(0))
    expected = np.array(tables._CROWD_COUNTS[state])
    # 21 edges of 0.05, and exactly 0 apart.
    steps = np.histogram(scores[scores > 0], np.arange(21) / 20)[0]
    found = np.array([(scores == 0).sum(), *steps])
    assert (found[expected == 0] == 0).all()
    some = expected > 0
    scaled = expected[some] / expected.sum() * len(scores)
    assert stats.chisquare(found[some], scaled).pvalue > 1e-3
    assert scores.max() <= 1 and (scores == scores.round(6)).all()


def test_crowd_against_experts_is_as_published() -> None:
    """Of 264 scores from 0.75 up 176 were stalled, and 55 of 992 from 0.5 to 0.75."""
    counts = {state: np.array(c) for state, c in tables._CROWD_COUNTS.items()}
    assert [c[16:].sum() for c in counts.values()] == [264 - 176, 176]
    stalled = counts[State.STALLED][11:16].sum()
    assert (stalled, counts[State.FLOWING][11:16].sum() + stalled) == (55, 992)


def test_the_histogram_is_copied_right(real_folder: Path) -> None:
    real = json.loads((real_folder / "crowd_score_hist_GJ.json").read_text())
    assert {str(k): list(v) for k, v in tables._CROWD_COUNTS.items()} == {
        state: real[state] for state in ("flowing", "stalled")
    }
    assert np.allclose(np.array(tables._CROWD_EDGES) / 1e6, real["bins"], atol=2e-6)


def test_undecidable_vessels_divide_the_crowd() -> None:
    rng = np.random.default_rng(0)
    high = {s: (draw_crowd_scores([s] * 4000, rng) >= 0.5).mean() for s in State}
    middle = (high[State.FLOWING] + high[State.STALLED]) / 2
    assert abs(high[State.UNDECIDABLE] - middle) < 0.03


# --- Labels and tiers -------------------------------------------------------------------------


def test_experts_are_right_and_the_crowd_has_its_rule() -> None:
    rows = columns()
    truth = pd.Series([state.label for state in STATES], dtype="Int64")
    decided, expert = truth.notna(), rows["project_id"].isin(EXPERT_PROJECTS)
    assert (rows["stalled"] == truth)[decided & expert].all()
    by_crowd = rows[~expert | ~decided]
    assert (by_crowd["stalled"] == (by_crowd["crowd_score"] >= 0.5)).all()
    wrong = (rows["stalled"] != truth)[decided & ~expert].astype(bool)
    assert 0.005 < wrong.mean() < 0.06
    assert rows["stalled"].notna().all()


def test_the_crowd_never_saw_project_l() -> None:
    rows = columns()
    crowdless = rows["project_id"] == "L"
    assert (rows.loc[crowdless, "crowd_score"] == 0).all()
    assert rows.loc[crowdless, "stalled"].sum() > 50  # and yet stalled, by the expert
    assert rows.loc[~crowdless, "crowd_score"].max() > 0.9


def test_tiers_follow_the_rule() -> None:
    rows = columns()
    decided = np.array([state is not State.UNDECIDABLE for state in STATES])
    expert = rows["project_id"].isin(EXPERT_PROJECTS) & decided
    sure = (rows["crowd_score"] == 0) | (rows["crowd_score"] >= 0.75)
    nobody = (rows["project_id"] == "L") & ~decided
    assert nobody.any() and not rows.loc[nobody, "tier1"].any()
    assert (rows["tier1"] == (sure | expert))[~nobody].all()
    by_rule = compare_with_rules(rows)
    assert (
        (by_rule.loc[["A", "M"], ["label_differences", "tier1_differences"]] == 0).to_numpy().all()
    )
    assert by_rule.loc["G", "label_differences"] > 0
    assert label_by_rule(rows["crowd_score"])[rows["project_id"] == "A"].sum() > 50
    assert not tier1_by_rule(rows["crowd_score"]).all()


def test_clean_labels_are_the_truth() -> None:
    rows, noisy = columns(clean_labels=True), columns()
    truth = pd.Series([state.label for state in STATES], dtype="Int64")
    assert rows["stalled"].equals(truth.rename("stalled"))
    assert rows["crowd_score"].equals(noisy["crowd_score"])


# --- Subsets ----------------------------------------------------------------------------------


def test_subsets_as_in_the_competition() -> None:
    rows = columns()
    stalled = rows["stalled"] == 1
    n = int((stalled & rows["tier1"]).sum())
    assert n > 300
    assert rows.loc[rows["micro"], "tier1"].all() and rows.loc[rows["nano"], "micro"].all()
    for name in ("micro", "nano"):
        assert (rows.loc[stalled, name] == rows.loc[stalled, "tier1"]).all()
    assert int((rows["micro"] & ~stalled).sum()) == round(n * 1693 / 706)
    assert int((rows["nano"] & ~stalled).sum()) == n


@pytest.mark.parametrize("n_stalled", [0, 1, 5])
@pytest.mark.parametrize("n_flowing", [0, 1, 3])
def test_subsets_of_few(n_stalled: int, n_flowing: int) -> None:
    """In a project of experts, so that all are tier1 and no label is wrong."""
    states = [State.STALLED] * n_stalled + [State.FLOWING] * n_flowing
    rows = train_columns(states, ["G"] * len(states), np.random.default_rng(0))
    assert len(rows) == len(states)
    assert rows["micro"].sum() == n_stalled + min(n_flowing, round(n_stalled * 2.398))
    assert rows["nano"].sum() == n_stalled + min(n_flowing, n_stalled)


def test_the_flowing_ones_of_subsets_are_drawn() -> None:
    """No place in the table gives them away."""
    picked = [columns(seed=seed)["nano"].to_numpy()[:1400] for seed in (1, 2)]
    assert all(300 < np.flatnonzero(chosen).mean() < 1100 for chosen in picked)
    assert (picked[0] != picked[1]).any()


def test_another_seed_another_crowd() -> None:
    assert columns(seed=1).equals(columns(seed=1))
    assert not columns(seed=1)["crowd_score"].equals(columns(seed=2)["crowd_score"])
