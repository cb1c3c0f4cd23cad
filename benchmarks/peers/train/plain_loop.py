"""A plain PyTorch loop: what `benchmarks/train.py` measures our engine's step against."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

MakeNetwork = Callable[[int], nn.Module]
"""Channels of the input → a network with one logit."""


def monai_network(name: str) -> MakeNetwork | None:
    """MONAI's network of ours' name, with the paper's strides; None where it has none of it.

    Raises:
        ImportError: MONAI is not installed.
    """
    from monai.networks import nets

    ours = {"spatial_dims": 3, "num_classes": 1, "conv1_t_stride": 2, "bias_downsample": False}
    known: dict[str, MakeNetwork] = {
        "densenet121": lambda n: nets.DenseNet121(spatial_dims=3, in_channels=n, out_channels=1),
        "resnet18": lambda n: nets.resnet18(n_input_channels=n, **ours),
    }
    return known.get(name)


class PlainLoop:
    """Forward, loss, backward; Adam after every so many batches. The batch is always the same.

    Args:
        model: gives ``(n, 1)`` logits.
        inputs: ``(n, c, z, y, x)`` float32, on the device.
        accumulate: batches whose gradients make a step.
        precision: float32 or bf16.
        channels_last: lay weights and inputs out as channels_last_3d.
        wait: returns when the device has done all that was asked.
    """

    def __init__(
        self,
        model: nn.Module,
        inputs: Tensor,
        *,
        accumulate: int,
        precision: str,
        channels_last: bool,
        wait: Callable[[], None],
    ) -> None:
        layout = torch.channels_last_3d if channels_last else torch.contiguous_format
        self.model = model.to(inputs.device, memory_format=layout).train()  # type: ignore[call-overload]
        self.inputs = inputs.to(memory_format=layout)
        self.targets = torch.arange(len(inputs), device=inputs.device).remainder(2).float()
        # On a GPU PyTorch takes the multi-tensor kind by itself, here and in our engine alike.
        self.optimizer = torch.optim.Adam(self.model.parameters(), 1e-4)
        self.accumulate, self.wait = accumulate, wait
        half = partial(torch.autocast, inputs.device.type, torch.bfloat16)
        self.precision = half if precision == "bf16" else nullcontext

    def run(self, calls: int) -> float:
        """Samples a second over so many batches, after two that do not count."""
        self._batches(2)
        self.wait()
        began = time.perf_counter()
        self._batches(calls)
        self.wait()
        return calls * len(self.targets) / (time.perf_counter() - began)

    def _batches(self, n: int) -> None:
        for batch in range(1, n + 1):
            with self.precision():
                logits = self.model(self.inputs)[:, 0]
            loss = functional.binary_cross_entropy_with_logits(logits.float(), self.targets)
            (loss / self.accumulate).backward()
            if batch % self.accumulate == 0 or batch == n:
                self.optimizer.step()
                self.optimizer.zero_grad(set_to_none=True)
