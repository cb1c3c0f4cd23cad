"""Arrays to a device without waiting for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def tensor_on(device: torch.device, array: NDArray[Any]) -> Tensor:
    """A copy of an array on a device, contiguous.

    A copy from memory that is not pinned would wait until the device has done all that it was
    asked before: the step of the batch before this one.
    """
    tensor = torch.from_numpy(np.array(array, order="C"))
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
