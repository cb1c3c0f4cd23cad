"""Which rows enter an evaluation, how they are called, and what is said about the rest."""

import pandas as pd
import pytest
from scipy import stats

from stallscan.errors import OptionError, TableError
from stallscan.metrics import binary_scores, bootstrap_intervals
from stallscan.report import EvaluateOptions, evaluate
from stallscan.report.undecidable import Undecidable

FAST = EvaluateOptions(n_bootstrap=50)


@pytest.fixture
def tables(tmp_path):
    """12 predictions (one failed, one flagged, one without label) and 13 labels."""
    probabilities = [0.95, 0.9, 0.7, 0.6, 0.45, 0.4, 0.3, 0.2, 0.1, 0.05, None, 0.5]
    frame = pd.DataFrame({"filename": [f"v{i}.mp4" for i in range(12)]})
    frame["probability"] = probabilities
    frame["stalled"] = pd.array(
        [None if p is None else int(p >= 0.42) for p in probabilities], "Int64"
    )
    frame["status"] = ["ok"] * 9 + ["flagged", "failed", "ok"]
    frame["message"] = [""] * 9 + ["dim", "46 of 97 frames", ""]
    names = [f"v{i}.mp4" for i in range(11)] + ["x.mp4", "y.mp4"]
    labels = pd.DataFrame({"filename": names, "stalled": [1, 1, 0, 1, 0, 1] + [0] * 4 + [1, 0, 1]})
    frame.to_csv(tmp_path / "predictions.csv", index=False)
    labels[::-1].to_csv(tmp_path / "labels.csv", index=False)  # the order must not matter
    return tmp_path / "predictions.csv", tmp_path / "labels.csv"


def without(path, *columns):
    pd.read_csv(path).drop(columns=list(columns)).to_csv(path, index=False)


def test_counts_add_up(tables):
    evaluation = evaluate(*tables, FAST)
    counts = evaluation.tables.counts
    assert (counts.n_predictions, counts.n_labels, counts.n_evaluated) == (12, 13, 10)
    assert (counts.n_failed, counts.n_failed_stalled, counts.n_flagged) == (1, 1, 1)
    assert (counts.n_unlabelled, counts.n_unpredicted) == (1, 2)
    assert counts.n_evaluated + counts.n_failed + counts.n_unlabelled == counts.n_predictions
    assert counts.n_evaluated + counts.n_failed + counts.n_unpredicted == counts.n_labels
    assert evaluation.tables.failed["filename"].tolist() == ["v10.mp4"]


def test_scores_are_those_of_the_evaluated_rows(tables):
    evaluation = evaluate(*tables, EvaluateOptions(n_bootstrap=80, seed=3, confidence=0.9))
    labels = [1, 1, 0, 1, 0, 1, 0, 0, 0, 0]
    probabilities = [0.95, 0.9, 0.7, 0.6, 0.45, 0.4, 0.3, 0.2, 0.1, 0.05]
    calls = [1, 1, 1, 1, 1, 0, 0, 0, 0, 0]
    assert evaluation.scores == binary_scores(labels, probabilities, calls)
    assert (evaluation.scores.tp, evaluation.scores.fp, evaluation.scores.fn) == (3, 2, 1)
    assert evaluation.intervals == bootstrap_intervals(
        labels, probabilities, calls, n_resamples=80, seed=3, confidence=0.9
    )


def test_who_decides(tables):
    column = evaluate(*tables, FAST)
    assert (column.decision.source, column.decision.threshold) == ("column", 0.45)
    option = evaluate(*tables, EvaluateOptions(n_bootstrap=50, threshold=0.65))
    assert (option.decision.source, option.decision.threshold) == ("option", 0.65)
    assert option.tables.evaluated["call"].tolist() == [1] * 3 + [0] * 7
    at_the_value = evaluate(*tables, EvaluateOptions(n_bootstrap=50, threshold=0.7))
    assert at_the_value.tables.evaluated["call"].sum() == 3  # from the threshold up
    without(tables[0], "stalled")
    default = evaluate(*tables, FAST)
    assert (default.decision.source, default.decision.threshold) == ("default", 0.5)
    assert default.tables.evaluated["call"].sum() == 4
    for evaluation, word in ((column, "column"), (option, "option"), (default, "default")):
        assert word in evaluation.summary().splitlines()[2]


def test_a_column_that_no_threshold_explains(tables):
    table = pd.read_csv(tables[0], dtype={"stalled": "Int64"})
    table.loc[0, "stalled"] = 0
    table.to_csv(tables[0], index=False)
    evaluation = evaluate(*tables, FAST)
    assert evaluation.decision.threshold is None
    assert "cannot be told" in evaluation.decision.sentence
    assert evaluation.scores.tp == 2


def test_two_columns_are_enough(tables):
    without(tables[0], "stalled", "status", "message")
    assert evaluate(*tables, FAST).tables.counts.n_failed == 1


def test_the_summary_tells_everything(tables):
    text = evaluate(*tables, FAST).summary()
    assert "10 videos, 4 of them stalled (40 %)" in text
    assert "3 of 4 stalled vessels found" in text
    assert "4 of 6 flowing vessels left alone" in text
    assert "3 of 5 stalled calls right" in text
    assert "Failed, without a probability: 1 labelled videos, 1 of them stalled" in text
    assert "failed: v10.mp4" in text
    assert "Labelled, not predicted: 2 of 13 videos" in text
    assert "Predicted, not labelled: 1 of 12 videos" in text
    assert "suspect: 1 of 10 evaluated videos" in text
    assert "Few stalled videos (4)" in text
    rows = [line.split() for line in text.splitlines() if line.startswith("truly")]
    assert rows == [["truly", "stalled", "3", "1"], ["truly", "flowing", "2", "4"]]
    assert max(map(len, text.splitlines()[4:14])) <= 90


def test_no_error_is_not_certainty(tmp_path):
    names = [f"{i}.mp4" for i in range(60)]
    table = pd.DataFrame({"filename": names, "probability": [0.9] * 25 + [0.1] * 35})
    table.to_csv(tmp_path / "p.csv", index=False)
    table.assign(stalled=[1] * 24 + [0] * 36).to_csv(tmp_path / "l.csv", index=False)
    evaluation = evaluate(tmp_path / "p.csv", tmp_path / "l.csv", FAST)
    assert evaluation.intervals["sensitivity"] == (1, 1)
    exact = stats.binomtest(24, 24).proportion_ci(0.95, method="exact")
    (note,) = evaluation.notes  # none for the flowing videos, of which one is wrong
    assert "among 24 stalled videos" in note and f"sensitivity is {exact.low:.3f} – 1.000" in note


def test_a_clean_run_has_no_notes(tmp_path):
    n = 40
    names = [f"{i}.mp4" for i in range(n)]
    table = pd.DataFrame({"filename": names, "probability": [i / n for i in range(n)]})
    table.to_csv(tmp_path / "p.csv", index=False)
    table.assign(stalled=[int(i > 15 and i != 38) for i in range(n)]).to_csv(
        tmp_path / "l.csv", index=False
    )
    evaluation = evaluate(tmp_path / "p.csv", tmp_path / "l.csv", FAST)
    assert evaluation.notes == ()
    assert "note:" not in evaluation.summary()


def test_one_class_is_reported_not_a_crash(tables):
    labels = pd.read_csv(tables[1]).assign(stalled=0)
    labels.to_csv(tables[1], index=False)
    evaluation = evaluate(*tables, FAST)
    assert evaluation.scores.roc_auc is None and evaluation.elsewhere is None
    text = evaluation.summary()
    assert "No evaluated video is labelled stalled" in text
    assert text.count("undefined") == 6  # AUC, AP and sensitivity: value and interval


def test_undecidable_videos_are_told_apart(tables):
    """v1 (0.9), v4 (0.45), v5 (0.4) and the failed v10 lose their labels; y.mp4, unpredicted, too.

    The others score as if those rows were not there.
    """
    labels = pd.read_csv(tables[1], dtype={"stalled": "Int64"})
    names = ["v1.mp4", "v4.mp4", "v5.mp4", "v10.mp4", "y.mp4"]
    labels.loc[labels["filename"].isin(names), "stalled"] = pd.NA
    labels.to_csv(tables[1], index=False)
    evaluation = evaluate(*tables, FAST)
    assert evaluation.undecidable == Undecidable(
        n=4, n_failed=1, n_called_stalled=2, median_probability=0.45
    )
    counts = evaluation.tables.counts
    assert (counts.n_evaluated, counts.n_failed, counts.n_undecidable) == (7, 0, 4)
    assert (
        counts.n_evaluated + counts.n_failed + counts.n_undecidable + counts.n_unlabelled
        == counts.n_predictions
    )
    assert (
        "\nUndecidable: 4 videos, 2 called stalled, 1 failed, median probability 0.450; not in"
        in (evaluation.summary())
    )
    strict = evaluate(*tables, EvaluateOptions(n_bootstrap=50, threshold=0.91))
    assert strict.undecidable and strict.undecidable.n_called_stalled == 0
    labels[labels["stalled"].notna()].to_csv(tables[1], index=False)
    without_them = evaluate(*tables, FAST)
    assert without_them.scores == evaluation.scores
    assert without_them.intervals == evaluation.intervals
    assert without_them.undecidable is None and "Undecidable" not in without_them.summary()


def test_undecidable_videos_that_all_failed(tables):
    labels = pd.read_csv(tables[1], dtype={"stalled": "Int64"})
    labels.loc[labels["filename"] == "v10.mp4", "stalled"] = pd.NA
    labels.to_csv(tables[1], index=False)
    evaluation = evaluate(*tables, FAST)
    assert evaluation.undecidable and evaluation.undecidable.median_probability is None
    assert "Undecidable: 1 videos, all failed." in evaluation.summary()


def test_nothing_decided(tables):
    labels = pd.read_csv(tables[1], dtype={"stalled": "Int64"})
    labels.loc[labels["filename"].str.startswith("v"), "stalled"] = pd.NA
    labels.to_csv(tables[1], index=False)
    with pytest.raises(TableError, match=r"labels.csv: stalled is empty for all 11 predicted"):
        evaluate(*tables, FAST)
    labels.assign(stalled="").to_csv(tables[1], index=False)
    with pytest.raises(TableError, match=r"labels.csv: stalled is empty in all 13 rows"):
        evaluate(*tables, FAST)


def test_no_common_filename(tables):
    labels = pd.read_csv(tables[1])
    labels["filename"] = "test/" + labels["filename"]
    labels.to_csv(tables[1], index=False)
    with pytest.raises(TableError) as caught:
        evaluate(*tables, FAST)
    message = str(caught.value)
    assert message.startswith(f"{tables[0]}: none of its 12 filenames (such as 'v0.mp4')")
    assert f"13 of {tables[1]} (such as 'test/y.mp4')" in message
    assert "without folders" in message


def test_all_failed(tables):
    tables[0].write_text("filename,probability,status,message\nv0.mp4,,failed,no outline\n")
    with pytest.raises(TableError, match=r"predictions.csv: all 1 .* failed.*'no outline'.*repair"):
        evaluate(*tables, FAST)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"threshold": 1.2}, r"threshold is 1\.2: allowed are 0 to 1; .*not with a logit"),
        ({"threshold": float("nan")}, "threshold is nan: allowed are 0 to 1"),
        ({"n_bootstrap": 0}, "n_bootstrap is 0: allowed are 10 .*1000 is usual"),
        ({"confidence": 95.0}, r"confidence is 95: allowed .*0\.95 is usual"),
        ({"seed": -1}, "seed is -1: allowed are 0 and more"),
    ],
)
def test_options(option, message):
    with pytest.raises(OptionError, match=message):
        EvaluateOptions(**option)
