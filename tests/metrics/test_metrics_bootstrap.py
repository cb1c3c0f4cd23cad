"""The bootstrap against scikit-learn's weighted metrics, a closed form and its promise."""

import time

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as reference

from stallscan.errors import OptionError
from stallscan.metrics import METRICS, binary_scores, bootstrap_intervals
from stallscan.metrics.bootstrap import _resample, _weighted_metrics


def noisy(n, seed=0, share=0.3, digits=2):
    rng = np.random.default_rng(seed)
    labels = (rng.random(n) < share).astype(int)
    probabilities = np.round(np.clip(rng.normal(0.4 + 0.2 * labels, 0.2), 0, 1), digits)
    return labels, probabilities, (probabilities >= 0.5).astype(int)


@pytest.mark.parametrize("digits", [1, 2, 8])  # from many ties to none
def test_each_resample_equals_scikit_learn(digits):
    labels, probabilities, calls = noisy(150, digits=digits)
    order = np.argsort(probabilities, kind="stable")
    labels, probabilities, calls = labels[order], probabilities[order], calls[order]
    strata = [np.flatnonzero(labels == c) for c in (0, 1)]
    weights = next(_resample(np.random.default_rng(3), strata, 150, 12))
    ours = _weighted_metrics(labels, probabilities, calls, weights)
    for i, w in enumerate(weights):
        args = {"sample_weight": w}
        expected = {
            "mcc": reference.matthews_corrcoef(labels, calls, **args),
            "roc_auc": reference.roc_auc_score(labels, probabilities, **args),
            "average_precision": reference.average_precision_score(labels, probabilities, **args),
            "sensitivity": reference.recall_score(labels, calls, **args),
            "specificity": reference.recall_score(labels, calls, pos_label=0, **args),
            "precision": reference.precision_score(labels, calls, **args),
            "brier": reference.brier_score_loss(labels, probabilities, **args),
        }
        assert set(expected) == set(METRICS)
        for name, value in expected.items():
            assert ours[name][i] == pytest.approx(value, abs=1e-10), name


def test_the_sample_itself_has_its_own_scores():
    labels, probabilities, calls = noisy(400)
    order = np.argsort(probabilities, kind="stable")
    ours = _weighted_metrics(labels[order], probabilities[order], calls[order], np.ones((1, 400)))
    scores = binary_scores(labels, probabilities, calls)
    for name in METRICS:
        assert ours[name][0] == pytest.approx(getattr(scores, name), abs=1e-12), name


def test_weights_hold_the_classes_when_stratified_and_the_total_when_not():
    labels = np.array([0] * 30 + [1] * 10)
    strata = [np.flatnonzero(labels == c) for c in (0, 1)]
    weights = next(_resample(np.random.default_rng(0), strata, 40, 200))
    assert (weights[:, labels == 1].sum(axis=1) == 10).all()
    assert (weights[:, labels == 0].sum(axis=1) == 30).all()
    plain = next(_resample(np.random.default_rng(0), [np.arange(40)], 40, 200))
    assert (plain.sum(axis=1) == 40).all()
    assert plain[:, labels == 1].sum(axis=1).std() > 1
    # Each video is drawn once on average, and as often as any other.
    assert weights.mean(axis=0) == pytest.approx(np.ones(40), abs=0.35)


def test_sensitivity_resamples_are_binomial():
    labels = np.array([1] * 80 + [0] * 120)
    calls = np.array([1] * 60 + [0] * 20 + [0] * 110 + [1] * 10)
    intervals = bootstrap_intervals(labels, calls * 0.5, calls, n_resamples=20_000, seed=1)
    for name, n, share in (("sensitivity", 80, 60 / 80), ("specificity", 120, 110 / 120)):
        expected = stats.binom.ppf([0.025, 0.975], n, share) / n
        assert np.asarray(intervals[name]) == pytest.approx(expected, abs=1.01 / n), name


def test_only_the_plain_bootstrap_lets_the_prevalence_vary():
    labels = np.array([1] * 30 + [0] * 70)
    calls = np.ones(100)  # so that precision is the prevalence of the resample
    stratified = bootstrap_intervals(labels, calls * 0.9, calls)
    assert np.asarray(stratified["precision"]) == pytest.approx([0.3, 0.3])
    plain = bootstrap_intervals(labels, calls * 0.9, calls, stratified=False, n_resamples=20_000)
    expected = stats.binom.ppf([0.025, 0.975], 100, 0.3) / 100
    assert np.asarray(plain["precision"]) == pytest.approx(expected, abs=0.0101)


@pytest.mark.parametrize("stratified", [True, False])
def test_intervals_cover_the_truth_about_as_often_as_promised(stratified):
    rng = np.random.default_rng(0)
    truth = {"sensitivity": stats.norm.sf(0, 1), "specificity": stats.norm.cdf(0, -1)}
    truth["roc_auc"] = stats.norm.cdf(2 / np.sqrt(2))
    covered = dict.fromkeys(truth, 0)
    labels = np.repeat([0, 1], 100)
    for seed in range(150):
        z = rng.normal(2 * labels - 1)
        intervals = bootstrap_intervals(
            labels, stats.norm.cdf(z), z >= 0, n_resamples=300, stratified=stratified, seed=seed
        )
        for name, value in truth.items():
            low, high = intervals[name]
            covered[name] += low <= value <= high
    for name, count in covered.items():
        assert 0.88 <= count / 150 <= 0.99, name


def test_confidence_and_sample_size_change_the_width():
    def width(n, confidence):
        intervals = bootstrap_intervals(*noisy(n, seed=4), confidence=confidence)
        return intervals["roc_auc"].high - intervals["roc_auc"].low

    assert width(400, 0.99) > 1.1 * width(400, 0.95) > 1.1 * width(400, 0.8)
    assert 1.5 < width(400, 0.95) / width(1600, 0.95) < 2.7  # one over the square root of n


def test_same_seed_same_intervals():
    data = noisy(200)
    assert bootstrap_intervals(*data, seed=5) == bootstrap_intervals(*data, seed=5)
    assert bootstrap_intervals(*data, seed=5) != bootstrap_intervals(*data, seed=6)
    rng = np.random.default_rng(5)
    assert bootstrap_intervals(*data, seed=rng) == bootstrap_intervals(*data, seed=5)


def test_row_order_does_not_bias():
    labels, probabilities, calls = noisy(500)
    shuffled = np.random.default_rng(0).permutation(500)
    first = bootstrap_intervals(labels, probabilities, calls)
    second = bootstrap_intervals(labels[shuffled], probabilities[shuffled], calls[shuffled])
    for name in METRICS:
        assert first[name] == pytest.approx(second[name], abs=0.012), name


def test_one_class_and_rare_classes():
    flowing = bootstrap_intervals([0, 0, 0], [0.1, 0.2, 0.3], [0, 0, 0], n_resamples=50)
    assert flowing["roc_auc"] is flowing["sensitivity"] is flowing["precision"] is None
    assert flowing["specificity"] == (1, 1)
    # A plain resample may hold none of two stalled videos: it is left out, not a crash.
    rare = bootstrap_intervals(
        [1, 1, 0, 0, 0], [0.9, 0.3, 0.2, 0.1, 0.4], [1, 0, 0, 0, 0], stratified=False
    )
    assert 0 <= rare["roc_auc"].low <= rare["roc_auc"].high <= 1


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"n_resamples": 3}, "n_resamples is 3: allowed are 10"),
        ({"confidence": 95}, "confidence is 95: allowed are 0 to 1; 0.95 is usual"),
    ],
)
def test_options(option, message):
    with pytest.raises(OptionError, match=message):
        bootstrap_intervals([0, 1], [0.1, 0.9], [0, 1], **option)


def test_logits_are_refused():
    with pytest.raises(OptionError, match=r"probabilities\[1\] is 3: allowed are 0 to 1"):
        bootstrap_intervals([0, 1], [0.1, 3.0], [0, 1])


def test_a_thousand_resamples_of_ten_thousand_rows_take_seconds():
    data = noisy(10_000, digits=8)
    start = time.perf_counter()
    bootstrap_intervals(*data, n_resamples=1000)
    assert time.perf_counter() - start < 10  # about 0.5 s on one core
