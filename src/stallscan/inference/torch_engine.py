"""PyTorch: norms folded, the layout that its 3D convolutions are faster in; GPUs by CUDA graphs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stallscan.errors import OptionError
from stallscan.inference.options import Precision
from stallscan.models._network import Network
from stallscan.models.graph import fold_batch_norm

MAX_GRAPHS = 4
"""Shapes of input whose graph is kept; each holds its activations. Others are computed without."""

_DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class TorchEngine:
    """See `stallscan.inference.engine.Engine`.

    On a GPU in float32 TF32 stays off, and the algorithms are cuDNN's deterministic ones.

    Args:
        network: in evaluation mode; stays as it is.
        device: to compute on, from `choose_device`.
        precision: of weights and activations.
    """

    def __init__(
        self,
        network: Network,
        device: torch.device | None = None,
        precision: Precision = "float32",
    ) -> None:
        self._device = torch.device("cpu") if device is None else device
        self._dtype = _DTYPES[precision]
        folded = fold_batch_norm(network).to(self._device, self._dtype)
        # The faster layout for 3D convolutions, on CPUs too.
        self._network: nn.Module = folded.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self._graphs: dict[tuple[int, ...], _Graph] = {}

    @torch.inference_mode()
    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """``(n, c, z, y, x)`` → logits ``(n,)``.

        Raises:
            OptionError: the batch does not fit into the GPU's memory.
        """
        x = torch.from_numpy(batch)
        if self._device.type == "cpu":
            logits = self._network(x.to(memory_format=torch.channels_last_3d))
        else:
            with _exact(), self._fitting(batch.shape):
                logits = self._on_gpu(x)
        found: NDArray[np.float32] = logits.flatten().float().cpu().numpy()
        return found

    def _on_gpu(self, x: Tensor) -> Tensor:
        # Moved as it is and laid out there, where that is quick.
        x = x.to(self._device).to(self._dtype, memory_format=torch.channels_last_3d)
        graph = self._graphs.get(tuple(x.shape))
        if graph is None:
            if len(self._graphs) >= MAX_GRAPHS:
                return self._network(x)  # type: ignore[no-any-return]
            graph = self._graphs[tuple(x.shape)] = _Graph.of(self._network, x)
        return graph(x)

    @contextmanager
    def _fitting(self, shape: tuple[int, ...]) -> Iterator[None]:
        try:
            yield
        except torch.cuda.OutOfMemoryError as error:
            raise OptionError(
                f"--batch: {shape[0]} inputs (vessels × flips) of {'×'.join(map(str, shape[1:]))} "
                f"need more memory than {torch.cuda.get_device_name(self._device)} has left; "
                "lower --batch"
            ) from error


@contextmanager
def _exact() -> Iterator[None]:
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        with torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=True, allow_tf32=False
        ):
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


@dataclass(frozen=True, slots=True, kw_only=True)
class _Graph:
    """What a network does to an input of one shape, recorded, so that launching costs nothing."""

    recorded: torch.cuda.CUDAGraph
    x: Tensor
    logits: Tensor

    @classmethod
    def of(cls, network: nn.Module, x: Tensor) -> _Graph:
        x = x.clone()
        stream = torch.cuda.Stream(x.device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream(x.device))
        with torch.cuda.stream(stream):  # libraries set themselves up outside of the recording
            for _ in range(2):
                network(x)
        torch.cuda.current_stream(x.device).wait_stream(stream)
        recorded = torch.cuda.CUDAGraph()
        with torch.cuda.device(x.device), torch.cuda.graph(recorded):
            logits = network(x)
        return cls(recorded=recorded, x=x, logits=logits)

    def __call__(self, x: Tensor) -> Tensor:
        self.x.copy_(x)
        self.recorded.replay()
        return self.logits.clone()
