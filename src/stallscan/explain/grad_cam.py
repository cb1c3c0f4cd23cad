"""Grad-CAM in three dimensions (Selvaraju et al., 2017)."""

from __future__ import annotations

import torch

from stallscan.explain._network import (
    Float32,
    as_it_answers,
    batch_of,
    enlarged,
    layer_of,
    output_of,
)
from stallscan.models._network import Network


def grad_cam(
    model: Network, inputs: Float32, *, stalled: bool = True, layer: str | None = None
) -> Float32:
    """What speaks for one of the two calls, by the gradients of a level of features.

    Each feature weighs by the mean of its gradient; of their sum what is above zero is shown.

    Args:
        model: any network of the zoo with one logit; mode, gradients and hooks are left as they
            were.
        inputs: ``(c, z, y, x)`` float32, as the network sees it.
        stalled: what speaks for a stall; else what speaks for flow.
        layer: a level of features, see `Network.feature_info`; by default the deepest one with at
            least four voxels along each axis.

    Returns:
        ``(z, y, x)`` float32, 0 to 1, at the input's resolution; all 0 where nothing speaks for
        the call.

    Raises:
        OptionError: an unknown layer, or an input that is too thin.
    """
    batch = batch_of(model, inputs).requires_grad_()
    watched = layer_of(model, layer, inputs.shape[1:])
    with as_it_answers(model), output_of(watched) as held, torch.enable_grad():
        logit = model(batch)[0, 0]
        features = held[0]
        (gradient,) = torch.autograd.grad(logit if stalled else -logit, features)
    weight = gradient.mean(dim=(2, 3, 4), keepdim=True)
    heat = (weight * features).sum(dim=1).relu().detach()  # (1, z, y, x)
    found: Float32 = enlarged(heat / heat.max().clamp(min=1e-12), inputs.shape[1:], model)[0]
    return found
