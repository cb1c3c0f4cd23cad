"""OpenVINO: the fastest on CPUs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from stallscan.errors import CheckpointError
from stallscan.inference._openvino import core
from stallscan.models._network import Network
from stallscan.models.graph import read_onnx, to_onnx


class OpenVinoEngine:
    """See `stallscan.inference.engine.Engine`.

    A network comes by way of ONNX in memory: OpenVINO's own converter of PyTorch takes half a
    minute for a DenseNet121, this about a second, and the graph computes the same.

    Args:
        network: stays as it is; or a graph, the path of an .xml or .onnx.

    Raises:
        CheckpointError: the graph cannot be read.
    """

    def __init__(self, network: Network | Path) -> None:
        options = {
            # Left alone it takes bfloat16 where the processor has it. What is int8 stays int8.
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            # The cores are shared with those that decode.
            "ENABLE_CPU_PINNING": False,
        }
        try:
            compiled = core().compile_model(core().read_model(_source(network)), "CPU", options)
        except RuntimeError as error:
            if not isinstance(network, Path):
                raise
            raise CheckpointError(
                f"{network}: OpenVINO cannot read it ({str(error).splitlines()[0]}); copy the "
                "folder anew, or export the model anew"
            ) from error
        self._request = compiled.create_infer_request()

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """``(n, c, z, y, x)`` → logits ``(n,)``."""
        logits = self._request.infer([np.ascontiguousarray(batch)])[0]
        return np.array(logits, np.float32).ravel()  # a copy: the request's own is used again


def _source(network: Network | Path) -> bytes | str:
    if isinstance(network, Path):
        return read_onnx(network) if network.suffix == ".onnx" else str(network)
    return to_onnx(network)
