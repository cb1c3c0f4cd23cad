"""Scores against closed forms and scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from stallscan.errors import OptionError
from stallscan.metrics import at_prevalence, best_mcc_threshold, binary_curves, binary_scores
from stallscan.metrics.binary import mcc_of_counts


def noisy(n=300, seed=0, share=0.2):
    rng = np.random.default_rng(seed)
    labels = (rng.random(n) < share).astype(int)
    # Two decimals, so that many probabilities tie.
    return labels, np.round(np.clip(rng.normal(0.35 + 0.3 * labels, 0.2), 0, 1), 2)


def test_closed_form():
    scores = binary_scores(
        [1, 1, 1, 0, 0, 0, 0, 0], [0.9, 0.8, 0.3, 0.6, 0.2, 0.1, 0.1, 0], [1, 1, 0, 1, 0, 0, 0, 0]
    )
    assert (scores.tp, scores.fp, scores.fn, scores.tn) == (2, 1, 1, 4)
    assert (scores.n, scores.n_stalled, scores.prevalence) == (8, 3, 0.375)
    assert scores.sensitivity == pytest.approx(2 / 3)
    assert scores.specificity == pytest.approx(4 / 5)
    assert scores.precision == pytest.approx(2 / 3)
    assert scores.mcc == pytest.approx((2 * 4 - 1) / np.sqrt(3 * 3 * 5 * 5))
    assert scores.roc_auc == pytest.approx(14 / 15)  # one of 15 pairs is in the wrong order
    assert scores.average_precision == pytest.approx((1 + 1 + 3 / 4) / 3)
    squares = [0.1, 0.2, 0.7, 0.6, 0.2, 0.1, 0.1, 0]
    assert scores.brier == pytest.approx(np.mean(np.square(squares)))


@pytest.mark.parametrize("call", [0, 1])
def test_a_constant_call_has_mcc_zero(call):
    labels, probabilities = noisy()
    scores = binary_scores(labels, probabilities, np.full_like(labels, call))
    assert scores.mcc == 0 == reference.matthews_corrcoef(labels, np.full_like(labels, call))
    assert (scores.precision is None) == (call == 0)
    assert scores.sensitivity == call


@pytest.mark.parametrize(
    ("label", "undefined"),
    [(0, {"roc_auc", "average_precision", "sensitivity"}), (1, {"roc_auc", "specificity"})],
)
def test_one_class_leaves_metrics_undefined(label, undefined):
    scores = binary_scores([label] * 3, [0.2, 0.6, 0.9], [0, 1, 1])
    names = ("roc_auc", "average_precision", "sensitivity", "specificity", "precision")
    assert {name for name in names if getattr(scores, name) is None} == undefined
    assert scores.mcc == 0


@pytest.mark.parametrize(
    ("value", "remedy"),
    [(2.31, "sigmoid"), (-0.5, "sigmoid"), (float("inf"), "sigmoid"), (float("nan"), "drop")],
)
def test_a_logit_is_not_a_probability(value, remedy):
    with pytest.raises(OptionError, match=rf"probabilities\[1\] is {value:g}.*0 to 1.*{remedy}"):
        binary_scores([0, 1], [0.3, value], [0, 1])
    with pytest.raises(OptionError, match=r"probabilities\[1\]"):
        best_mcc_threshold([0, 1], [0.3, value])


@pytest.mark.parametrize("name", ["labels", "decisions"])
@pytest.mark.parametrize("value", [2, -1, 0.5, float("nan")])
def test_labels_are_zero_or_one(name, value):
    given = {"labels": [0, 1, 0], "decisions": [0, 1, 0], "probabilities": [0.1, 0.9, 0.1]}
    given[name] = [0, 1, value]
    with pytest.raises(OptionError, match=rf"{name}\[2\] is {value:g}: allowed are 0 .* and 1"):
        binary_scores(**given)


def test_shapes_and_lengths():
    with pytest.raises(OptionError, match="labels has 2, probabilities has 3, decisions has 2"):
        binary_scores([0, 1], [0.1, 0.2, 0.3], [0, 1])
    with pytest.raises(OptionError, match=r"probabilities has shape \(2, 1\)"):
        binary_scores([0, 1], [[0.1], [0.2]], [0, 1])
    with pytest.raises(OptionError, match=r"labels has shape \(0,\)"):
        binary_scores([], [], [])


@settings(deadline=None)
@given(st.lists(st.integers(0, 60), min_size=4, max_size=4))
def test_mcc_of_counts_equals_scikit_learn(counts):
    tp, fp, fn, tn = counts
    labels = [1] * tp + [0] * fp + [1] * fn + [0] * tn
    calls = [1] * (tp + fp) + [0] * (fn + tn)
    both = len(set(labels)) > 1 and len(set(calls)) > 1
    expected = reference.matthews_corrcoef(labels, calls) if both else 0
    assert mcc_of_counts(*map(np.array, counts)) == pytest.approx(expected, abs=1e-12)


def test_mcc_of_counts_does_not_overflow():
    counts = [np.array(c, dtype=np.int64) for c in (1_000, 200, 887, 570_961)]
    tp, fp, fn, tn = map(int, counts)  # Python's integers are exact
    expected = (tp * tn - fp * fn) / ((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)) ** 0.5
    assert mcc_of_counts(*counts) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_best_threshold_equals_a_search_with_scikit_learn(seed):
    labels, probabilities = noisy(seed=seed)
    levels = [k / 100 for k in range(2, 98)]
    searched = [reference.matthews_corrcoef(labels, probabilities >= t) for t in levels]
    best = best_mcc_threshold(labels, probabilities)
    assert best.mcc == pytest.approx(max(searched))
    assert searched[round(best.threshold * 100) - 2] == pytest.approx(max(searched))


def test_best_threshold_takes_the_middle_of_a_plateau():
    best = best_mcc_threshold([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9])
    assert best.mcc == pytest.approx(1)
    assert best.threshold == pytest.approx(0.5)  # 0.21 … 0.80 all separate the classes


@pytest.mark.parametrize(
    ("prevalence", "mcc", "precision"),
    [(0.046, 0.845, 0.85), (0.02, 0.77, 0.71), (0.004, 0.53, 0.33), (0.001, 0.30, 0.11)],
)
def test_the_papers_operating_point_elsewhere(prevalence, mcc, precision):
    point = at_prevalence(0.85, 0.993, prevalence)
    assert point.mcc == pytest.approx(mcc, abs=0.0051)
    assert point.precision == pytest.approx(precision, abs=0.0051)


def test_prevalence_is_a_share():
    with pytest.raises(OptionError, match=r"prevalence is 4\.6: allowed are 0 to 1"):
        at_prevalence(0.85, 0.993, 4.6)
    assert at_prevalence(0.0, 1.0, 0.1).precision is None


def test_curves_enclose_the_areas():
    labels, probabilities = noisy()
    curves = binary_curves(labels, probabilities)
    scores = binary_scores(labels, probabilities, labels)
    assert np.trapezoid(curves.roc[:, 1], curves.roc[:, 0]) == pytest.approx(scores.roc_auc)
    recall, precision = curves.precision_recall.T
    area = -np.sum(np.diff(recall) * precision[:-1])
    assert area == pytest.approx(scores.average_precision)
    assert len(recall) < len(labels)


def test_curves_of_one_class():
    flowing = binary_curves([0, 0], [0.2, 0.4])
    assert flowing.roc is None and flowing.precision_recall is None
    stalled = binary_curves([1, 1], [0.2, 0.4])
    assert stalled.roc is None and stalled.precision_recall is not None
