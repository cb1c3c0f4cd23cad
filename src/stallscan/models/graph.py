"""A network as a graph for inference: norms folded into convolutions, or ONNX of any size."""

from __future__ import annotations

import copy
import importlib.util
import io
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.fx.experimental.optimization import fuse
from torch.jit._trace import TracerWarning

from stallscan.errors import CheckpointError, OptionError, StallscanError
from stallscan.models._network import Network

OPSET = 17
"""Version of ONNX's operators: of 2022, so that old runtimes read the files too."""
LARGEST = 2**31
"""Bytes that an ONNX file can have."""


class Unchecked(nn.Module):
    """The network without its check of the input, which a graph cannot hold."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """``(n, c, [z,] y, x)`` → logits ``(n, num_classes)``."""
        return self.network.forward_head(self.network.extract(x))


def fold_batch_norm(network: Network) -> nn.Module:
    """A copy for inference whose norms are part of the convolutions before them.

    Only a norm that directly follows a convolution folds: all of a ResNet's; of a DenseNet's
    ``norm0`` and every ``norm2``, while the norms before a ReLU stay.

    Args:
        network: stays as it is.
    """
    folded: nn.Module = fuse(Unchecked(copy.deepcopy(network)).eval(), inplace=True)
    return folded


def to_onnx(network: Network) -> bytes:
    """An ONNX model for inputs of any number and size.

    The input is "input" ``(n, c, [z,] y, x)`` float32, the output "logits" ``(n, num_classes)``.

    Raises:
        OptionError: more weights than an ONNX file holds.
        StallscanError: onnx is missing.
    """
    what = type(network).__name__
    require_onnx(network, what)
    twin = copy.deepcopy(network).cpu().float().eval()
    size = [max(2 * extent, 16) for extent in twin.smallest_size()]
    x = torch.zeros(2, twin.options.in_channels, *size)
    axes = dict(enumerate(("n", "z", "y", "x") if len(size) == 3 else ("n", "y", "x")))
    dynamic = {(axis if axis == 0 else axis + 1): name for axis, name in axes.items()}
    target = io.BytesIO()
    trace_onnx(twin, x, target, {"input": dynamic, "logits": {0: "n"}})
    return target.getvalue()


def require_onnx(network: Network, what: str | Path) -> None:
    """Refuse what cannot be written as ONNX.

    Raises:
        OptionError: more weights than an ONNX file holds.
        StallscanError: onnx is missing.
    """
    n_bytes = 4 * sum(tensor.numel() for tensor in network.state_dict().values())
    if n_bytes >= LARGEST:
        raise OptionError(
            f"{what}: {type(network).__name__} has {n_bytes / 2**30:.2f} GiB of weights, an ONNX "
            "file holds less than 2 GiB; lower the width"
        )
    if importlib.util.find_spec("onnx") is None:
        raise StallscanError(
            f"{what}: writing it as ONNX needs the package onnx, which is not installed; "
            "pip install onnx"
        )


def read_onnx(path: Path) -> bytes:
    """An ONNX file, which must hold all of its weights itself.

    One of a stranger's could name other files of this machine for them.

    Raises:
        CheckpointError: it cannot be read, or its weights lie elsewhere.
    """
    import onnx
    from google.protobuf.message import DecodeError

    remedy = "export the model anew (`stallscan export`), or copy the folder anew"
    try:
        content = path.read_bytes()
        graph = onnx.load_model_from_string(content).graph
    except (OSError, DecodeError) as error:
        raise CheckpointError(f"{path}: is not an ONNX file ({error}); {remedy}") from error
    held = [attribute.t for node in graph.node for attribute in node.attribute]
    for tensor in (*graph.initializer, *held):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            raise CheckpointError(
                f"{path}: its tensor {tensor.name!r} lies in another file, allowed are files that "
                f"hold all of their weights; {remedy}"
            )
    return content


def trace_onnx(
    twin: Network,
    x: Tensor,
    target: str | io.BytesIO,
    dynamic_axes: dict[str, dict[int, str]] | None,
) -> None:
    """Write a network in evaluation mode by tracing it at ``x``.

    PyTorch's exporter by tracing (``dynamo=False``): for every family its files compute the same as
    those of the newer exporter, in a tenth of the time and without onnxscript, and these networks
    have no branch that tracing could miss.
    """
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore", DeprecationWarning)  # says that it is the older exporter
        warnings.filterwarnings("ignore", message="Constant folding")  # runtimes do it on loading
        # What depends on the size stays a shape in the graph where axes are dynamic.
        warnings.simplefilter("ignore", TracerWarning)
        torch.onnx.export(
            Unchecked(twin).eval(),
            (x,),
            target,  # type: ignore[arg-type]
            dynamo=False,
            opset_version=OPSET,
            input_names=["input"],
            output_names=["logits"],
            dynamic_axes=dynamic_axes,
        )
