"""OpenVINO: the fastest on CPUs."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from stallscan.inference._openvino import openvino
from stallscan.models._network import Network
from stallscan.models.graph import to_onnx


class OpenVinoEngine:
    """See `stallscan.inference.engine.Engine`.

    The network comes by way of ONNX in memory: OpenVINO's own converter of PyTorch takes half a
    minute for a DenseNet121, this about a second, and the graph computes the same.
    """

    def __init__(self, network: Network) -> None:
        core = openvino.Core()
        options = {
            # Left alone it takes bfloat16 where the processor has it.
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            # The cores are shared with those that decode.
            "ENABLE_CPU_PINNING": False,
        }
        compiled = core.compile_model(core.read_model(to_onnx(network)), "CPU", options)
        self._request = compiled.create_infer_request()

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """``(n, c, z, y, x)`` → logits ``(n,)``."""
        logits = self._request.infer([np.ascontiguousarray(batch)])[0]
        return np.array(logits, np.float32).ravel()  # a copy: the request's own is used again
