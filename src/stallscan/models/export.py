"""Networks as ONNX files, compared with the network before they count as written."""

from __future__ import annotations

import copy
import importlib.util
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from stallscan.errors import StallscanError
from stallscan.models._network import Network
from stallscan.models.footprint import require_batch
from stallscan.models.graph import require_onnx, trace_onnx

TOLERANCE = 1e-4
"""Largest difference of a logit, relative to the largest logit if that is above 1."""
ROUNDING = 10
"""How many times the network's own rounding, against float64, is allowed in any case."""


def export_onnx(
    model: Network,
    path: str | Path,
    size: Sequence[int],
    *,
    batch_size: int | None = None,
    verify: bool = True,
) -> float | None:
    """Write a network, as it is in evaluation mode, to an ONNX file.

    The file has one input, "input" ``(n, c, [z,] y, x)`` float32, and one output, "logits"
    ``(n, num_classes)``. The model stays as it is. The file appears only if it is good.

    Args:
        model: on any device, of any precision.
        path: of the file.
        size: ``(z, y, x)`` of the input, which is fixed; ``(y, x)`` for a twin.
        batch_size: volumes; None leaves them open.
        verify: compare with ONNX Runtime, on random input.

    Returns:
        The largest difference of a logit, relative to the largest logit if that is above 1; None
        without ``verify`` or where ONNX Runtime is not installed.

    Raises:
        OptionError: a size too thin for the strides, a batch below 1, or more weights than an ONNX
            file holds.
        StallscanError: onnx is missing, the file cannot be written, or it computes something else.

    Example:
        >>> model = create_model("resnet18", width=0.25)  # doctest: +SKIP
        >>> export_onnx(model, "resnet18.onnx", (96, 128, 128))  # doctest: +SKIP
        2.4e-07
    """
    path = Path(path)
    model.feature_size(size)
    if batch_size is not None:
        require_batch(batch_size)
    require_onnx(model, path)
    twin = copy.deepcopy(model).cpu().float().eval()
    generator = torch.Generator().manual_seed(0)
    shape = (batch_size or 2, twin.options.in_channels, *size)
    x = torch.randn(shape, generator=generator)
    try:
        descriptor, partial = tempfile.mkstemp(".onnx", f".{path.stem}-", path.parent)
        os.close(descriptor)
    except OSError as error:
        raise StallscanError(
            f"{path}: cannot be written ({error.strerror}); choose another folder"
        ) from error
    try:
        _write(twin, x, partial, dynamic=batch_size is None)
        difference = _compare(twin, x, partial, path) if verify else None
        umask = os.umask(0)
        os.umask(umask)
        Path(partial).chmod(0o666 & ~umask)  # a temporary file is its owner's alone
        Path(partial).replace(path)
    finally:
        Path(partial).unlink(missing_ok=True)
    return difference


def _write(twin: Network, x: Tensor, path: str, *, dynamic: bool) -> None:
    import onnx

    batch = {"input": {0: "n"}, "logits": {0: "n"}}
    trace_onnx(twin, x, path, batch if dynamic else None)
    onnx.checker.check_model(path, full_check=True)


def _compare(twin: Network, x: Tensor, partial: str, path: Path) -> float | None:
    """The largest difference from the network itself; None without ONNX Runtime."""
    if importlib.util.find_spec("onnxruntime") is None:
        return None
    import onnxruntime

    session = onnxruntime.InferenceSession(partial, providers=["CPUExecutionProvider"])
    found = torch.from_numpy(session.run(["logits"], {"input": x.numpy()})[0])
    return require_same_logits(found, twin, x, path, "ONNX Runtime")


def require_same_logits(found: Tensor, twin: Network, x: Tensor, path: Path, runtime: str) -> float:
    """The largest difference of a graph's logits from the network's, if it is rounding.

    Args:
        found: the graph's, ``(n, num_classes)``.
        twin: the network, float32 on the CPU in evaluation mode; may be left in float64.
        x: the input.
        path: of the graph, and
        runtime: what computed it, for the message.

    Returns:
        Relative to the largest logit if that is above 1.

    Raises:
        StallscanError: the graph computes something else.
    """
    with torch.no_grad():
        expected = twin(x)
    difference: float = ((found - expected).abs().max() / expected.abs().max().clamp(min=1)).item()
    if difference <= TOLERANCE or _is_as_precise(found, expected, twin, x):
        return difference
    raise StallscanError(
        f"{path}: not written, as its logits in {runtime} differ from the network's by "
        f"{difference:.2g}, allowed are {TOLERANCE:g}; update {runtime}, or report this with its "
        "version"
    )


def _is_as_precise(found: Tensor, expected: Tensor, twin: Network, x: Tensor) -> bool:
    """Whether the file rounds about as the network does: deep random networks enlarge rounding."""
    with torch.no_grad():
        exact = twin.double()(x.double())
    rounding = (expected - exact).abs().max()
    return bool((found - exact).abs().max() <= ROUNDING * rounding)
