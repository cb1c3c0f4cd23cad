"""Losses against their formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss

from stallscan.training.losses import weighted_loss
from stallscan.training.recipe import BinaryCrossEntropy, GeneralizedCrossEntropy

LOGITS = torch.tensor([-3.0, -0.4, 0.0, 1.2, 2.5])
HARD = torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0])
SOFT = torch.tensor([0.1, 0.75, 0.5, 0.3, 0.95])
ONES = torch.ones(5)
EXTREME = torch.tensor([-1e4, -200.0, 200.0, 1e4])
LOSSES = [BinaryCrossEntropy(), *(GeneralizedCrossEntropy(q=q) for q in (1e-3, 0.5, 0.7, 1.0))]


def probability(logits: torch.Tensor) -> np.ndarray:
    return 1 / (1 + np.exp(-logits.numpy().astype(np.float64)))


def test_cross_entropy_is_scikit_learn_s() -> None:
    found = weighted_loss(BinaryCrossEntropy(), LOGITS, HARD, ONES).item()
    assert found == pytest.approx(log_loss(HARD, probability(LOGITS)), rel=1e-6)


def test_a_soft_target_is_a_mixture_of_both_labels() -> None:
    p, t = probability(LOGITS), SOFT.numpy()
    expected = -(t * np.log(p) + (1 - t) * np.log(1 - p)).mean()
    found = weighted_loss(BinaryCrossEntropy(), LOGITS, SOFT, ONES).item()
    assert found == pytest.approx(expected, rel=1e-6)


def test_smoothing_moves_targets_away_from_both_ends() -> None:
    smoothed = BinaryCrossEntropy(label_smoothing=0.1)
    plain = BinaryCrossEntropy()
    for targets, moved in ((HARD, [0.1, 0.9, 0.9, 0.1, 0.9]), (SOFT, 0.8 * SOFT + 0.1)):
        found = weighted_loss(smoothed, LOGITS, targets, ONES)
        expected = weighted_loss(plain, LOGITS, torch.as_tensor(moved), ONES)
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("loss", LOSSES)
def test_weights_multiply_each_sample_s_loss(loss: BinaryCrossEntropy) -> None:
    """The mean is over the batch, not over the weights: a doubtful batch pulls less."""
    weights = torch.tensor([0.0, 1.0, 0.25, 0.5, 2.0])
    each = torch.stack(
        [weighted_loss(loss, LOGITS[i : i + 1], SOFT[i : i + 1], ONES[:1]) for i in range(5)]
    )
    found = weighted_loss(loss, LOGITS, SOFT, weights)
    torch.testing.assert_close(found, (weights * each).sum() / 5)


@pytest.mark.parametrize("q", [0.3, 0.7, 1.0])
def test_generalised_cross_entropy_is_zhang_and_sabuncu_s(q: float) -> None:
    p = probability(LOGITS)
    of_label = np.where(HARD.numpy() == 1, p, 1 - p)
    expected = ((1 - of_label**q) / q).mean()
    found = weighted_loss(GeneralizedCrossEntropy(q=q), LOGITS, HARD, ONES).item()
    assert found == pytest.approx(expected, rel=1e-5)


def test_its_one_end_is_the_mean_absolute_error() -> None:
    expected = np.abs(probability(LOGITS) - HARD.numpy()).mean()
    found = weighted_loss(GeneralizedCrossEntropy(q=1.0), LOGITS, HARD, ONES).item()
    assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("targets", [HARD, SOFT])
def test_its_other_end_is_cross_entropy(targets: torch.Tensor) -> None:
    expected = weighted_loss(BinaryCrossEntropy(), LOGITS, targets, ONES)
    found = weighted_loss(GeneralizedCrossEntropy(q=1e-4), LOGITS, targets, ONES)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=0)


def test_a_soft_target_mixes_the_two_labels_losses() -> None:
    loss = GeneralizedCrossEntropy(q=0.6)
    stalled, flowing = (weighted_loss(loss, LOGITS, full, ONES) for full in (ONES, 0 * ONES))
    found = weighted_loss(loss, LOGITS, 0.3 * ONES, ONES)
    torch.testing.assert_close(found, 0.3 * stalled + 0.7 * flowing)


def test_a_sure_contradiction_pulls_less_than_a_doubt() -> None:
    """What makes it robust: a label that the network is sure is wrong moves it little."""

    def pull(loss: BinaryCrossEntropy | GeneralizedCrossEntropy, logit: float) -> float:
        logits = torch.tensor([logit], requires_grad=True)
        weighted_loss(loss, logits, torch.ones(1), torch.ones(1)).backward()
        return abs(logits.grad.item())

    robust, plain = GeneralizedCrossEntropy(q=0.7), BinaryCrossEntropy()
    assert pull(robust, -6.0) < 0.1 * pull(robust, 0.0)
    assert pull(plain, -6.0) > pull(plain, 0.0)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("target", [0.0, 0.4, 1.0])
def test_extreme_logits_have_finite_losses_and_gradients(
    loss: BinaryCrossEntropy, target: float
) -> None:
    logits = EXTREME.clone().requires_grad_(True)
    found = weighted_loss(loss, logits, torch.full((4,), target), torch.ones(4))
    found.backward()
    assert torch.isfinite(found) and torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_half_logits_are_judged_in_float32(loss: BinaryCrossEntropy) -> None:
    found = weighted_loss(loss, LOGITS.bfloat16(), SOFT, ONES)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, weighted_loss(loss, LOGITS.bfloat16().float(), SOFT, ONES))
