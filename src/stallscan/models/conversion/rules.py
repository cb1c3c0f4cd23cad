"""What `inflate_module` can convert: a rule for each function, method and layer of torch's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from stallscan.models.conversion.axes import AXES
from stallscan.models.conversion.recorder import NO_TRANSFORMERS, Recorder, Rule
from stallscan.models.conversion.sums import SUMS
from stallscan.models.conversion.values import VALUES
from stallscan.models.conversion.windows import WINDOWS

ATTENTION = ("it attends to positions, as transformers do", NO_TRANSFORMERS)
RESIZING = ("which voxels it would fill is not known", "use nn.Upsample and nn.Conv2d")
COUNTING = ("it adds up over positions, of which a volume has more", "use nn.AvgPool2d")
FOR_VOLUMES = ("it is made for volumes already", "give a module that takes (n, c, y, x)")
WRAPPER = ("it wraps the module", "give its attribute .module")

REFUSED: Mapping[Any, tuple[str, str]] = {
    **dict.fromkeys((nn.MultiheadAttention, functional.scaled_dot_product_attention), ATTENTION),
    **dict.fromkeys((nn.TransformerEncoder, nn.TransformerEncoderLayer), ATTENTION),
    **dict.fromkeys((nn.ConvTranspose2d, torch.conv_transpose2d), RESIZING),
    **dict.fromkeys((nn.PixelShuffle, nn.PixelUnshuffle), RESIZING),
    **dict.fromkeys((torch.pixel_shuffle, torch.pixel_unshuffle), RESIZING),
    **dict.fromkeys((nn.LPPool2d, functional.lp_pool2d), COUNTING),
    **dict.fromkeys((nn.Conv3d, nn.BatchNorm3d, torch.conv3d), FOR_VOLUMES),
    **dict.fromkeys((nn.DataParallel, nn.parallel.DistributedDataParallel), WRAPPER),
}
"""Why not, and what to do, for what has no rule and is often used."""


def _refusing(why: str, remedy: str) -> Rule:
    def rule(trace: Recorder, *_: Any, **__: Any) -> None:
        trace.refuse(why, remedy)

    return rule


RULES: Mapping[Any, Rule] = {
    **VALUES,
    **SUMS,
    **AXES,
    **WINDOWS,
    **{target: _refusing(*reason) for target, reason in REFUSED.items()},
}
"""By function, by the name of a tensor's method, and by class of torch's layers."""
