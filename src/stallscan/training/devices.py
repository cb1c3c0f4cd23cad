"""Which devices share a run, with which numbers they compute, and what each has to do."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

import torch

from stallscan.errors import OptionError
from stallscan.training.options import TrainOptions
from stallscan.training.recipe import Recipe

PRECISIONS = {"float32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
"""What Lightning calls them; weights stay float32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Devices:
    """What a run is computed on.

    Attributes:
        accelerator: cpu or cuda.
        n_ranks: processes that share each step, one for each device.
        rank: of this process, from 0.
        precision: float32, bf16 or fp16.
    """

    accelerator: str
    n_ranks: int
    rank: int
    precision: str

    @property
    def is_launched(self) -> bool:
        """Whether the first process has started this one, rather than torchrun or SLURM."""
        outside = ("TORCHELASTIC_RUN_ID", "SLURM_JOB_ID")
        return self.rank > 0 and not any(name in os.environ for name in outside)

    @property
    def is_first(self) -> bool:
        """Whether this process writes the run's files."""
        return self.rank == 0


def resolve_devices(recipe: Recipe, options: TrainOptions) -> Devices:
    """Check what is asked for against what there is.

    Raises:
        OptionError: no such device, a precision that it computes wrongly, or batches that the
            devices cannot share evenly.
    """
    available = torch.cuda.is_available()
    names = {"auto": "cuda" if available else "cpu", "cpu": "cpu", "gpu": "cuda", "cuda": "cuda"}
    if options.device not in names:
        raise OptionError(f"--device is {options.device!r}, allowed are auto, cpu and gpu")
    accelerator = names[options.device]
    if accelerator == "cuda" and not available:
        raise OptionError("--device is gpu, but PyTorch finds none; use --device cpu")
    if accelerator == "cuda" and options.devices > torch.cuda.device_count():
        raise OptionError(
            f"--devices is {options.devices}, this machine has {torch.cuda.device_count()} GPUs"
        )
    n_ranks = options.devices * options.nodes
    _check_shares(recipe, n_ranks)
    return Devices(
        accelerator=accelerator,
        n_ranks=n_ranks,
        rank=rank_of_process() if n_ranks > 1 else 0,
        precision=_precision(recipe, accelerator),
    )


def with_device(recipe: Recipe, devices: Devices) -> Recipe:
    """The recipe with ``augmentation.device: auto`` decided.

    Raises:
        OptionError: the device is to do what workers alone can do.
    """
    if recipe.augmentation is None:
        return recipe
    by_workers = recipe.must_input.view == "vessel"
    if recipe.augmentation.device is True and by_workers:
        raise OptionError(
            f"recipe {recipe.name}: augmentation.device is true and input.view is vessel, which "
            "workers do on the CPU; set augmentation.device to auto or false"
        )
    if recipe.augmentation.device != "auto":
        return recipe
    chosen = replace(recipe.augmentation, device=devices.accelerator == "cuda" and not by_workers)
    return replace(recipe, augmentation=chosen)


def rank_of_process() -> int:
    """Of this process, as torchrun, Lightning (one machine) or SLURM says; the first has none."""
    names = ("RANK", "LOCAL_RANK", "SLURM_PROCID")
    return next((int(os.environ[name]) for name in names if name in os.environ), 0)


def _precision(recipe: Recipe, accelerator: str) -> str:
    wanted = recipe.engine.precision
    if accelerator == "cpu":
        if wanted == "auto":
            return "float32"
        if wanted != "float32":
            raise OptionError(
                f"recipe {recipe.name}: engine.precision is {wanted}, allowed on a CPU is float32: "
                "PyTorch's gradients of 3D convolutions are wrong there in bf16, and fp16 is for "
                "GPUs; --set engine.precision=auto takes bf16 on GPUs alone"
            )
        return wanted
    has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    if wanted == "auto":
        return "bf16" if has_bf16 else "float32"
    if wanted == "bf16" and not has_bf16:
        raise OptionError(
            f"recipe {recipe.name}: engine.precision is bf16, which {torch.cuda.get_device_name()} "
            "has not; --set engine.precision=fp16"
        )
    return wanted


def _check_shares(recipe: Recipe, n_ranks: int) -> None:
    accumulate, batches = recipe.optimizer.accumulate, recipe.sampler.batches_per_epoch
    if accumulate % n_ranks:
        size = recipe.sampler.batch_size * accumulate
        raise OptionError(
            f"recipe {recipe.name}: {n_ranks} devices share the {accumulate} batches of a step, "
            f"which they cannot evenly; --set optimizer.accumulate={n_ranks} "
            f"sampler.batch_size={max(1, size // n_ranks)} keeps the step about as large"
        )
    if batches % n_ranks:
        raise OptionError(
            f"recipe {recipe.name}: {n_ranks} devices share the {batches} batches of an epoch, "
            f"which they cannot evenly; --set "
            f"sampler.batches_per_epoch={-(-batches // n_ranks) * n_ranks}"
        )
