"""Labels and tiers from the crowd's scores, and who departs from them."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stallscan.data import (
    CROWDLESS_PROJECTS,
    EXPERT_PROJECTS,
    compare_with_rules,
    crowd_scores,
    join_labels,
    label_by_rule,
    tier1_by_rule,
)
from stallscan.errors import TableError

BELOW_HALF = np.nextafter(0.5, 0)
BELOW_TIER = np.nextafter(0.75, 0)
NAN = float("nan")


def metadata(projects: str, scores: list[float], tier1: list[bool] | None = None) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "filename": [f"{i}.mp4" for i in range(len(scores))],
            "project_id": pd.Categorical(list(projects)),
            "crowd_score": scores,
            "tier1": tier1 or [True] * len(scores),
        }
    )


def test_the_thresholds_belong_to_the_upper_side():
    scores = pd.Series([0, 1e-9, BELOW_HALF, 0.5, BELOW_TIER, 0.75, 1])
    assert label_by_rule(scores).tolist() == [0, 0, 0, 1, 1, 1, 1]
    assert tier1_by_rule(scores).tolist() == [True, False, False, False, False, True, True]


def test_no_answer_is_unknown_and_not_flowing():
    scores = pd.Series([NAN, 0.0], index=["x", "y"])
    assert label_by_rule(scores).isna().tolist() == [True, False]
    assert tier1_by_rule(scores).tolist() == [False, True]
    assert label_by_rule(scores).index.tolist() == ["x", "y"]


def test_the_expert_goes_first():
    scores = pd.Series([1.0, 0.1, NAN, NAN, 0.6, 0.1])
    expert = pd.Series([0, 1, 1, NAN, NAN, NAN])
    assert label_by_rule(scores, expert).tolist() == [0, 1, 1, pd.NA, 1, 0]
    assert tier1_by_rule(scores, expert).tolist() == [True, True, True, False, False, False]


@settings(deadline=None)
@given(st.lists(st.floats(0, 1) | st.just(NAN), min_size=1), st.data())
def test_rules_against_one_video_at_a_time(scores, data):
    sight = st.sampled_from([0, 1, None])
    expert = data.draw(st.lists(sight, min_size=len(scores), max_size=len(scores)))
    column = pd.Series(expert, dtype="Int64")
    labels = label_by_rule(pd.Series(scores, dtype=float), column)
    tiers = tier1_by_rule(pd.Series(scores, dtype=float), column)
    for score, seen, label, tier1 in zip(scores, expert, labels, tiers, strict=True):
        if seen is not None:
            assert (label, tier1) == (seen, True)
        elif score != score:
            assert (label is pd.NA, tier1) == (True, False)
        else:
            assert (label, tier1) == (int(score >= 0.5), score == 0 or score >= 0.75)


def test_zeros_of_the_crowdless_project_are_no_answers():
    table = metadata("LPLP", [0, 0, 0, 0])
    assert crowd_scores(table).isna().tolist() == [True, False, True, False]
    # Row by row: a subset gives what the whole table gives.
    assert crowd_scores(table.iloc[2:]).isna().tolist() == [True, False]


def test_another_laboratorys_project_of_that_name_has_answers():
    table = metadata("LPL", [0, 0.2, 0.001])
    assert crowd_scores(table).tolist() == [0, 0.2, 0.001]


def test_differences_are_counted_by_project():
    #                       right, by experts, right, both wrong
    table = metadata("AGALG", [0.6, 0.6, 0.6, 0.0, 0.3], [False, True, False, False, True])
    labels = pd.DataFrame({"filename": table["filename"], "stalled": [1, 0, 1, 1, 0]})
    found = compare_with_rules(join_labels(table, labels.iloc[::-1]))
    assert found.index.tolist() == ["A", "G", "L"] and found.index.name == "project_id"
    assert found["n"].tolist() == [2, 2, 1]
    assert found["label_differences"].tolist() == [0, 1, 1]
    assert found["tier1_differences"].tolist() == [0, 2, 1]
    assert {str(kind) for kind in found.dtypes} == {"int64"}


@pytest.mark.parametrize("column", ["project_id", "crowd_score", "tier1"])
def test_test_metadata_has_no_rules(column):
    table = metadata("A", [0]).drop(columns=column)
    table.attrs["path"] = "test_metadata.csv"
    labels = pd.DataFrame({"filename": ["0.mp4"], "stalled": [0]})
    with pytest.raises(TableError, match=rf"^test_metadata.csv: has no column '{column}'.*needed"):
        compare_with_rules(join_labels(table, labels))
    if column != "tier1":
        with pytest.raises(TableError, match=f"^test_metadata.csv: has no column '{column}'"):
            crowd_scores(table)


def test_the_real_tables_depart_from_the_rules_only_where_experts_looked(real_tables):
    found = compare_with_rules(join_labels(*real_tables))
    assert found["n"].sum() == 573_048
    elsewhere = found[~found.index.isin(EXPERT_PROJECTS)]
    assert not elsewhere[["label_differences", "tier1_differences"]].any(axis=None)
    assert found.loc[["G", "J", "L"], "label_differences"].tolist() == [976, 70, 133]
    assert found.loc[["G", "J", "L"], "tier1_differences"].tolist() == [11_424, 1_358, 0]
    assert found["label_differences"].sum() == 1_179
    assert found["tier1_differences"].sum() == 12_782


def test_the_real_project_without_answers(real_tables):
    table, labels = real_tables
    project = table["project_id"].isin(CROWDLESS_PROJECTS)
    assert project.sum() == 444
    assert (table.loc[project, "crowd_score"] == 0).all()
    assert labels.loc[project.to_numpy(), "stalled"].sum() == 133
    unknown = label_by_rule(crowd_scores(table)).isna()
    assert unknown.equals(project)
