"""Losses of logits against targets between 0 and 1, each sample with a weight."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from stallscan.training.recipe import BinaryCrossEntropy, GeneralizedCrossEntropy


def weighted_loss(
    loss: BinaryCrossEntropy | GeneralizedCrossEntropy,
    logits: Tensor,
    targets: Tensor,
    weights: Tensor,
) -> Tensor:
    """Mean over a batch of weight × loss, in float32.

    Args:
        loss: which one.
        logits: ``(n,)``.
        targets: ``(n,)``, 0 to 1; a soft one is a mixture of both labels.
        weights: ``(n,)``.
    """
    logits = logits.float()
    if isinstance(loss, BinaryCrossEntropy):
        smooth = loss.label_smoothing
        targets = targets * (1 - 2 * smooth) + smooth
        each = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    else:
        # p^q from the logarithm, which neither end of the sigmoid loses.
        stalled = torch.expm1(loss.q * functional.logsigmoid(logits)) / -loss.q
        flowing = torch.expm1(loss.q * functional.logsigmoid(-logits)) / -loss.q
        each = targets * stalled + (1 - targets) * flowing
    return (weights * each).mean()
