"""What computes a network: PyTorch, OpenVINO or ONNX Runtime, behind one interface."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from pathlib import Path
from typing import Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from stallscan.errors import OptionError
from stallscan.inference.options import EngineName, Precision
from stallscan.models._network import Network

ENGINES: tuple[EngineName, ...] = get_args(EngineName)


class Engine(Protocol):
    """A network ready to compute, in float32."""

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """``(n, c, z, y, x)`` → logits ``(n,)``; any n, and any size that the network takes."""


def is_installed(name: EngineName) -> bool:
    """Whether an engine's package can be imported, and what its graph is written with."""
    packages = {"torch": ["torch"]}.get(name, [name, "onnx"])
    return all(importlib.util.find_spec(package) is not None for package in packages)


def version_of(name: str) -> str:
    """Version of a package, for records."""
    return importlib.metadata.version(name)


def make_engine(
    network: Network | Path,
    name: EngineName,
    *,
    device: str = "cpu",
    precision: Precision = "float32",
) -> Engine:
    """Make a network ready in an engine, on a CPU with as many threads as torch has.

    Args:
        network: in evaluation mode; stays as it is. Or a graph that was exported, .xml or .onnx.
        name: of the engine.
        device: see `stallscan.inference.device.choose_device`; "auto" is a GPU for torch alone.
        precision: of the computation.

    Raises:
        OptionError: no such engine, its package is not installed, or it does not compute there,
            or not this graph.
        CheckpointError: the graph cannot be read.
    """
    if name not in ENGINES:
        raise OptionError(f"the engine is {name!r}, allowed are {', '.join(ENGINES)}")
    if not is_installed(name):
        have = ", ".join(engine for engine in ENGINES if is_installed(engine))
        raise OptionError(
            f"the engine is {name}, whose package is not installed (there are {have}); "
            f"pip install {name} onnx, or choose another --engine"
        )
    if isinstance(network, Path) and name not in readers(network):
        raise OptionError(
            f"--engine is {name} and the model is an export, {network}, allowed are "
            f"{' and '.join(readers(network))}; give one of them, or the checkpoint folder that it "
            "was made from"
        )
    from stallscan.inference.device import choose_device

    is_torch = name == "torch"
    where = choose_device(
        "cpu" if device == "auto" and not is_torch else device, precision=precision
    )
    if where.type != "cpu" and not is_torch:
        raise OptionError(
            f"--engine is {name} and --device is {device}, on a GPU allowed is torch; leave one "
            "of them out"
        )
    # Each loads its library only when it is asked for.
    if name == "openvino":
        from stallscan.inference.openvino_engine import OpenVinoEngine

        return OpenVinoEngine(network)
    if name == "onnxruntime":
        from stallscan.inference.onnxruntime_engine import OnnxRuntimeEngine

        return OnnxRuntimeEngine(network)
    from stallscan.inference.torch_engine import TorchEngine

    assert not isinstance(network, Path), "refused above"
    return TorchEngine(network, where, precision)


def readers(graph: Path) -> tuple[EngineName, ...]:
    """Engines that read a graph, the fastest first."""
    return ("openvino", "onnxruntime") if graph.suffix == ".onnx" else ("openvino",)
