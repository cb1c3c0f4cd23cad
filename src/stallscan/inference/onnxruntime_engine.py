"""ONNX Runtime: where OpenVINO does not run."""

from __future__ import annotations

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from stallscan.models._network import Network
from stallscan.models.graph import to_onnx


class OnnxRuntimeEngine:
    """See `stallscan.inference.engine.Engine`."""

    def __init__(self, network: Network) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self._session = onnxruntime.InferenceSession(
            to_onnx(network), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """``(n, c, z, y, x)`` → logits ``(n,)``."""
        logits = self._session.run(["logits"], {"input": np.ascontiguousarray(batch)})[0]
        return np.asarray(logits, np.float32).ravel()
