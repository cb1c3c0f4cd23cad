"""Jobs of PyTorch's networks, ours and theirs alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from _zoo_worker import Job, Task
from torch import Tensor, nn
from torch.nn import functional

MakeNetwork = Callable[[], nn.Module]


def torch_job(task: Task, make: MakeNetwork, note: str = "") -> Job:
    """A forward pass in inference mode, or a step of AdamW under bfloat16 autocast."""
    torch.set_num_threads(task.threads)
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    layout = torch.channels_last_3d if task.channels_last else torch.contiguous_format
    model = make().to(task.device, memory_format=layout)  # type: ignore[call-overload]
    volumes = torch.from_numpy(task.input()).to(task.device, memory_format=layout)
    forward = _forward(model.eval(), volumes, task.precision)
    with counted(model) as macs:
        forward()
    run = forward if task.what == "forward" else _training(model.train(), volumes)
    on_gpu = task.device == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    return Job(
        run=run,
        macs=sum(macs) // task.batch,
        # Gradients to weights and to inputs cost a forward pass each; volumes need none to them.
        training_macs=(3 * sum(macs) - macs[0]) // task.batch,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        note=note,
        wait=torch.cuda.synchronize if on_gpu else lambda: None,
        device_peak=torch.cuda.max_memory_allocated if on_gpu else None,
    )


def _forward(model: nn.Module, volumes: Tensor, precision: str) -> Callable[[], Tensor]:
    lower = torch.autocast(volumes.device.type, torch.bfloat16, enabled=precision == "bf16")

    def run() -> Tensor:
        with torch.inference_mode(), lower:
            logits: Tensor = model(volumes)
        return logits.float().cpu()

    return run


def _training(model: nn.Module, volumes: Tensor) -> Callable[[], Tensor]:
    device = volumes.device.type
    labels = torch.arange(len(volumes), device=device).remainder(2).float()[:, None]  # (n, 1)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4, fused=device == "cuda")

    def run() -> Tensor:
        with torch.autocast(device, torch.bfloat16):
            logits = model(volumes)
        loss = functional.binary_cross_entropy_with_logits(logits.float(), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        # A number that is fetched would make the host wait for each step.
        return loss.detach() if device == "cuda" else loss.detach().cpu()

    return run


@contextmanager
def counted(model: nn.Module) -> Iterator[list[int]]:
    """Multiply-accumulates of the convolutions and linear layers, in the order of the calls."""
    macs: list[int] = []

    def hook(module: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> None:
        weight = module.weight
        assert isinstance(weight, Tensor)
        macs.append(output.numel() * math.prod(weight.shape[1:]))

    kinds = (nn.Conv3d, nn.Linear)
    handles = [m.register_forward_hook(hook) for m in model.modules() if isinstance(m, kinds)]
    try:
        yield macs
    finally:
        for handle in handles:
            handle.remove()
