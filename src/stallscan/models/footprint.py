"""What a network takes of the memory, before it is taken."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from stallscan.errors import OptionError
from stallscan.models._meta import meta_copy
from stallscan.models._network import Network, times
from stallscan.models.memory import available_memory, require_memory

MARGIN = 1.3
"""How much more than the estimate has been measured, at most."""


def estimate_memory(
    model: Network,
    size: Sequence[int],
    batch_size: int = 1,
    *,
    training: bool = False,
    optimizer_states: int = 0,
) -> int:
    """Peak bytes of a forward pass, in training of a step, for inputs of extents ``size``.

    The network runs without numbers, on the meta device, and every tensor is counted from its
    making to its end: weights, input, activations, gradients; what checkpointing spares shows. What
    a convolution takes for itself depends on the machine's library and is left out: on a CPU with
    oneDNN the process was measured to grow by 0.93 to 1.30 times the estimate; on one thread, where
    PyTorch gives oneDNN not all convolutions of a single volume, by up to 1.9 times.

    Args:
        model: in whatever mode and on whatever device; it stays as it is.
        size: ``(z, y, x)`` of the input; ``(y, x)`` for a twin.
        batch_size: volumes.
        training: with the backward pass.
        optimizer_states: numbers that the optimiser keeps for each parameter: 2 for Adam, 1 for SGD
            with momentum, 0 for SGD.

    Raises:
        OptionError: a size too thin for the strides or, in training, for a variance; a batch
            below 1.
    """
    require_batch(batch_size)
    n_values = batch_size * math.prod(model.feature_size(size))
    if training and n_values == 1:
        raise OptionError(
            f"input is {times(size)}, batch_size 1, which leaves 1 voxel of features, allowed in "
            "training are 2 or more, for batch normalisation; enlarge the input or the batch"
        )
    twin = meta_copy(model).train(training)
    like = next(twin.parameters())
    live = _Live()
    with torch.random.fork_rng(devices=[]), torch.set_grad_enabled(training), live:
        live.add(twin.state_dict(keep_vars=True).values())
        x = like.new_empty(batch_size, twin.options.in_channels, *size)
        logits = twin(x)
        if training:
            logits.sum().backward()
    return live.peak + optimizer_states * _n_bytes(twin.parameters())


def require_memory_for(
    model: Network,
    size: Sequence[int],
    batch_size: int = 1,
    *,
    training: bool = False,
    optimizer_states: int = 0,
    limit: int | None = None,
) -> None:
    """Refuse a forward pass, or a step of training, that cannot fit.

    Args:
        model: on the device where it will run.
        size: see `estimate_memory`.
        batch_size: volumes.
        training: with the backward pass.
        optimizer_states: see `estimate_memory`.
        limit: bytes in all; None is what is available, besides the weights that are there.

    Raises:
        OptionError: the estimate is above the limit; the message names a smaller batch, and a size
            of about the same aspect in whole strides, that fit with `MARGIN` to spare.
    """

    def estimate(size: Sequence[int], batch_size: int) -> int:
        return estimate_memory(
            model, size, batch_size, training=training, optimizer_states=optimizer_states
        )

    needed = estimate(size, batch_size)
    parameters = list(model.parameters())
    device = parameters[0].device
    if limit is None and (limit := available_memory(device)) is not None:
        limit += _n_bytes(parameters)
    if limit is None or needed <= limit:
        return
    fixed = _n_bytes(parameters) * (1 + training + optimizer_states)
    found = _smaller(model, size, batch_size, estimate, (needed, fixed, int(limit / MARGIN)))
    if training:
        twin = meta_copy(model)
        twin.set_checkpointing(True)
        spared = estimate_memory(
            twin, size, batch_size, training=True, optimizer_states=optimizer_states
        )
        if spared < needed and spared * MARGIN <= limit:
            found.append("set checkpointing=True")
    require_memory(
        needed,
        f"{'training' if training else 'inference'} of {type(model).__name__} on a batch of "
        f"{times((batch_size, model.options.in_channels, *size))}",
        device,
        limit=limit,
        remedy=", or ".join(found) if found else "lower the width, or use a smaller network",
    )


def require_batch(batch_size: int) -> None:
    """Refuse an empty batch.

    Raises:
        OptionError: below 1.
    """
    if batch_size < 1:
        raise OptionError(f"batch_size is {batch_size!r}, allowed are whole numbers from 1")


def _smaller(
    model: Network,
    size: Sequence[int],
    batch_size: int,
    estimate: Callable[[Sequence[int], int], int],
    n_bytes: tuple[int, int, int],
) -> list[str]:
    """A batch and a size that fit.

    Args:
        model: of these strides.
        size: too large.
        batch_size: too large.
        estimate: bytes for a size and a batch.
        n_bytes: needed in all; of these for what does not grow with the input; allowed.
    """

    def fits(size: Sequence[int], batch_size: int) -> bool:
        try:
            return estimate(size, batch_size) <= limit
        except OptionError:  # too small to train on
            return False

    needed, fixed, limit = n_bytes
    share = max(0.0, limit - fixed) / max(1, needed - fixed)  # of the voxels
    found = []
    for batch in range(min(batch_size - 1, int(batch_size * share)), 0, -1):
        if fits(size, batch):
            found.append(f"lower the batch to {batch}")
            break
    strides, least = model.feature_info[-1].reduction, model.smallest_size()
    scale, tried = share ** (1 / len(size)), tuple(size)
    while share > 0:
        smaller = tuple(
            min(extent, max(int(extent * scale) // stride, -(-minimum // stride), 1) * stride)
            for extent, stride, minimum in zip(size, strides, least, strict=True)
        )
        if smaller != tried and fits(smaller, batch_size):
            found.append(f"lower the size to {times(smaller)}")
            break
        if smaller == tried and scale * max(size) < min(strides):  # nothing smaller is left
            break
        scale, tried = 0.95 * scale, smaller
    return found


def _n_bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


class _Live(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of all storages that are alive."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now: int = 0
        self.peak: int = 0
        self._known: dict[int, weakref.ref[Any]] = {}

    def add(self, tensors: Iterable[Any]) -> None:
        """Count their storages, each once, until they die."""
        for tensor in tensors:
            if not isinstance(tensor, Tensor) or tensor.device.type != "meta":
                continue
            storage = tensor.untyped_storage()
            key, n_bytes = id(storage), storage.nbytes()
            if key in self._known:
                continue
            self._known[key] = weakref.ref(storage, self._end(key, n_bytes))
            self.now += n_bytes
        self.peak = max(self.peak, self.now)

    def _end(self, key: int, n_bytes: int) -> Callable[[Any], None]:
        def end(_: Any) -> None:
            del self._known[key]
            self.now -= n_bytes

        return end

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        self.add(tree_leaves(out))
        return out
