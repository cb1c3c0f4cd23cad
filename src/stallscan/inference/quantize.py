"""A network in whole numbers: int8 by NNCF, calibrated on what it will see."""

from __future__ import annotations

import importlib.util
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stallscan.errors import StallscanError
from stallscan.inference._openvino import core, openvino, without_telemetry
from stallscan.models._network import Network
from stallscan.models.graph import to_onnx


def require_nncf() -> None:
    """Refuse before anything is computed.

    Raises:
        StallscanError: NNCF is not installed.
    """
    if importlib.util.find_spec("nncf") is None:
        raise StallscanError(
            "int8 needs the package nncf, which is not installed; pip install 'stallscan[export]'"
        )


def quantize(network: Network, calibration: Collection[NDArray[np.float32]], path: Path) -> None:
    """Write a network as OpenVINO's files with weights and activations of 8 bits.

    Weights are symmetric, activations are not where they have one sign (NNCF's "mixed"), and the
    range of an activation is all that calibration saw of it, not its quantiles as by default: on
    the model in the box the worst change of a probability was so 0.04 instead of 0.20 (400
    phantoms, one flip).

    Args:
        network: in evaluation mode; stays as it is.
        calibration: inputs ``(n, c, z, y, x)``, gone through several times.
        path: of the .xml; its .bin goes beside it.

    Raises:
        StallscanError: NNCF is not installed, or there is no calibration.
    """
    require_nncf()
    with without_telemetry():
        import nncf
    if not calibration:
        raise StallscanError(f"{path}: int8 needs inputs to be calibrated on, got none")
    nncf.set_log_level("ERROR")
    ranges = nncf.quantization.range_estimator.RangeEstimatorParametersSet.MINMAX
    model: Any = nncf.quantize(
        core().read_model(to_onnx(network)),
        nncf.Dataset(calibration),
        subset_size=len(calibration),
        preset=nncf.QuantizationPreset.MIXED,
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            activations_range_estimator_params=ranges
        ),
    )
    openvino.save_model(model, path, compress_to_fp16=False)
