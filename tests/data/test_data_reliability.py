"""What the crowd's labels are worth: the table behind it, weights, soft targets."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stallscan.data import (
    EXPERT_PROJECTS,
    STALLED_BY_SCORE,
    crowd_targets,
    join_labels,
    label_reliability,
)
from stallscan.errors import TableError


def videos(
    projects: str, scores: list[float], stalled: list[int], tier1: list[bool] | None = None
) -> pd.DataFrame:
    """Training metadata with labels; one letter a project."""
    return pd.DataFrame(
        {
            "project_id": pd.Categorical(list(projects)),
            "crowd_score": scores,
            "tier1": tier1 or [True] * len(scores),
            "stalled": stalled,
        },
        index=pd.Index(range(len(scores), 2 * len(scores)))[::-1],
    )


def below(score: float) -> float:
    return float(np.nextafter(score, 0))


# --- Weights ----------------------------------------------------------------------------------


def test_a_label_by_the_crowd_is_worth_what_experts_found_at_its_score():
    scores = [0.0, 1e-12, below(0.1), 0.1, below(0.25), 0.25, below(0.5)]
    flowing = label_reliability(videos("A" * 7, scores, [0] * 7))
    wrong = [8.5 / 3647, 0.5 / 729, 0.5 / 729, 7.5 / 467, 7.5 / 467, 6.5 / 131, 6.5 / 131]
    np.testing.assert_allclose(flowing, 1 - np.array(wrong), rtol=1e-12)
    scores = [0.5, below(0.75), 0.75, below(0.9), 0.9, 1.0]
    stalled = label_reliability(videos("A" * 6, scores, [1] * 6))
    right = [55.5 / 993, 55.5 / 993, 75.5 / 148, 75.5 / 148, 101.5 / 118, 101.5 / 118]
    np.testing.assert_allclose(stalled, right, rtol=1e-12)


def test_both_labels_of_a_score_share_the_probability():
    scores = np.linspace(0, 1, 101).tolist()
    stalled = label_reliability(videos("A" * 101, scores, [1] * 101))
    flowing = label_reliability(videos("A" * 101, scores, [0] * 101))
    np.testing.assert_allclose(stalled + flowing, 1)


def test_an_experts_label_is_right():
    table = videos("GJLA", [0.6, 0.1, 0.0, 0.6], [0, 1, 1, 1])
    assert label_reliability(table).tolist() == [1, 1, 1, pytest.approx(55.5 / 993)]


def test_outside_the_first_tier_no_expert_has_looked():
    table = videos("GG", [0.6, 0.6], [1, 1], tier1=[True, False])
    assert label_reliability(table).tolist() == [1, pytest.approx(55.5 / 993)]


def test_another_laboratorys_projects_have_no_experts():
    table = videos("PQ", [0.95, 0.0], [1, 0])
    assert label_reliability(table).tolist() == pytest.approx([101.5 / 118, 1 - 8.5 / 3647])


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.tuples(
            st.sampled_from("AGJLP"), st.floats(0, 1), st.sampled_from([0, 1]), st.booleans()
        ),
        min_size=1,
    )
)
def test_no_weight_is_0_and_only_experts_are_sure(rows):
    projects, scores, stalled, tier1 = (list(column) for column in zip(*rows, strict=True))
    table = videos("".join(projects), scores, stalled, tier1)
    weights, targets = label_reliability(table), crowd_targets(table)
    assert weights.index.equals(table.index) and targets.index.equals(table.index)
    assert (weights.dtype, targets.dtype) == (np.float64, np.float64)
    assert ((weights > 0) & (weights <= 1)).all() and targets.between(0, 1).all()
    assert (weights[~table["project_id"].isin(EXPERT_PROJECTS)] < 1).all()
    sure = weights == 1
    assert targets[sure].tolist() == table.loc[sure, "stalled"].tolist()
    assert targets[~sure].tolist() == table.loc[~sure, "crowd_score"].tolist()


# --- Soft targets -----------------------------------------------------------------------------


def test_soft_targets_are_the_crowds_scores_where_the_label_is_the_crowds():
    table = videos("AGJLG", [0.3, 0.6, 0.1, 0.0, 0.4], [0, 0, 1, 1, 0], [True] * 4 + [False])
    assert crowd_targets(table).tolist() == [0.3, 0, 1, 1, 0.4]


def test_where_no_crowd_answered_the_label_stands():
    """Project L's zeros are no answers, whether experts are said to have looked or not."""
    table = videos("LA", [0.0, 0.0], [1, 0], tier1=[False, False])
    assert crowd_targets(table).tolist() == [1, 0]
    assert label_reliability(table).tolist() == [1, pytest.approx(1 - 8.5 / 3647)]


@pytest.mark.parametrize("worth", [label_reliability, crowd_targets])
@pytest.mark.parametrize("column", ["project_id", "crowd_score", "tier1", "stalled"])
def test_a_missing_column(worth, column):
    table = videos("A", [0.2], [0]).drop(columns=column)
    with pytest.raises(
        TableError, match=rf"^the metadata: has no column '{column}' \(found .*needed are project"
    ):
        worth(table)
    table.attrs["path"] = "videos.csv"
    with pytest.raises(TableError, match=r"^videos.csv: has no"):
        worth(table)


# --- The table behind it ----------------------------------------------------------------------


def test_the_table_s_ranges_ascend_from_0():
    starts = [entry.least for entry in STALLED_BY_SCORE]
    assert starts[0] == 0 and (np.diff(starts) > 0).all() and starts[-1] < 1
    assert all(0 <= entry.stalled <= entry.n for entry in STALLED_BY_SCORE)


@pytest.fixture(scope="module")
def real(real_tables) -> pd.DataFrame:
    return join_labels(*real_tables)


def test_the_table_as_counted_in_the_real_one(real):
    score, project = real["crowd_score"], real["project_id"]
    looked_at = project.isin(["G", "J"]) & real["tier1"] & ((project == "J") | (score >= 0.5))
    starts = [entry.least for entry in STALLED_BY_SCORE]
    for entry, end in zip(STALLED_BY_SCORE, [*starts[1:], np.inf], strict=True):
        found = real.loc[looked_at & (score >= entry.least) & (score < end), "stalled"]
        assert (len(found), found.sum()) == (entry.n, entry.stalled)


def test_what_is_left_out_of_the_table(real):
    """G below 0.5 has not one stalled video; outside the first tier its labels are the crowd's."""
    g = real[real["project_id"] == "G"]
    lower = g[g["tier1"] & (g["crowd_score"] < 0.5)]
    assert (len(lower), lower["stalled"].sum()) == (80_485, 0)
    other = g[~g["tier1"]]
    assert (len(other), other["stalled"].sum()) == (320, 8)
    assert ((other["crowd_score"] >= 0.5) == other["stalled"]).all()


def test_little_more_than_a_third_of_the_real_stalled_labels_are_right(real):
    """393 - 8 of the 1,887 by experts; of those by the crowd, what their scores let expect."""
    weights = label_reliability(real)
    assert (weights == 1).sum() == 81_674 + 5_037 + 444
    stalled = real["stalled"] == 1
    assert (stalled & (weights == 1)).sum() == 385
    assert 1 / 3 < weights[stalled].sum() / stalled.sum() < 2 / 5  # 36.8 %
    targets = crowd_targets(real)
    assert targets[weights == 1].tolist() == real.loc[weights == 1, "stalled"].tolist()
    assert (targets[weights < 1] == real.loc[weights < 1, "crowd_score"]).all()
