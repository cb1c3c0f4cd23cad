"""ONNX Runtime: where OpenVINO does not run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from stallscan.errors import CheckpointError
from stallscan.models._network import Network
from stallscan.models.graph import read_onnx, to_onnx


class OnnxRuntimeEngine:
    """See `stallscan.inference.engine.Engine`.

    Args:
        network: stays as it is; or the path of an .onnx.

    Raises:
        CheckpointError: the graph cannot be read.
    """

    def __init__(self, network: Network | Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        graph = read_onnx(network) if isinstance(network, Path) else to_onnx(network)
        try:
            self._session = onnxruntime.InferenceSession(
                graph, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # each of its errors has a class of its own
            if not isinstance(network, Path):
                raise
            raise CheckpointError(
                f"{network}: ONNX Runtime cannot read it ({str(error).splitlines()[0]}); copy the "
                "folder anew, or export the model anew"
            ) from error

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """``(n, c, z, y, x)`` → logits ``(n,)``."""
        logits = self._session.run(["logits"], {"input": np.ascontiguousarray(batch)})[0]
        return np.asarray(logits, np.float32).ravel()
