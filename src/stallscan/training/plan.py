"""What a run would be, before it is one: `stallscan train --dry-run`."""

from __future__ import annotations

import math
from pathlib import Path

from stallscan.models.cost import cost
from stallscan.models.footprint import estimate_memory
from stallscan.models.memory import available_memory
from stallscan.training.devices import resolve_devices, with_device
from stallscan.training.network import empty_network, typical_size
from stallscan.training.optimizers import STATES, steps_per_epoch
from stallscan.training.options import TrainOptions
from stallscan.training.recipe import Recipe
from stallscan.training.recipe_files import to_yaml
from stallscan.training.run import DataSource
from stallscan.training.start import resolve_start
from stallscan.types import Label


def describe_run(recipe: Recipe, options: TrainOptions, source: DataSource) -> str:
    """The resolved recipe, and the sizes, steps and memory that follow from it; nothing is written.

    Raises:
        OptionError: see `stallscan.training.train`.
    """
    recipe, start = resolve_start(recipe, options.start, source.fold)
    devices = resolve_devices(recipe, options)
    recipe = with_device(recipe, devices)
    model, size = empty_network(recipe), typical_size(recipe)
    channels, batch = len(recipe.must_input.channels), recipe.sampler.batch_size
    needed = estimate_memory(
        model, size, batch, training=True, optimizer_states=STATES[type(recipe.optimizer)]
    )
    available = available_memory(devices.accelerator)
    n_parameters = sum(parameter.numel() for parameter in model.parameters())
    steps, epochs = steps_per_epoch(recipe), recipe.stop.max_epochs
    input_bytes = 4 * channels * math.prod(size)
    keeps_depth = recipe.must_input.size[0] is None
    native = f" (of {size[0]} slices; every video keeps its own depth)" if keeps_depth else ""
    fits = ""
    if available is not None:
        word = "fits" if needed <= available else "TOO MUCH; lower sampler.batch_size"
        fits = f" of {_gib(available)} available: {word}"
    lines = {
        "network": f"{recipe.must_model.architecture}, {n_parameters:,} parameters, "
        f"{cost(model, size).macs / 1e9:.2f} GMAC a sample",
        "first weights": str(start.path) if start else recipe.must_model.pretrained or "random",
        "input": f"{'×'.join(map(str, (channels, *size)))} float32, "
        f"{input_bytes / 2**20:.1f} MiB a sample{native}",
        "batch": f"{batch} samples × {recipe.optimizer.accumulate} accumulated = "
        f"{batch * recipe.optimizer.accumulate} a step",
        "epoch": f"{recipe.sampler.batches_per_epoch:,} batches, {steps:,} steps, "
        f"{batch * recipe.sampler.batches_per_epoch:,} samples",
        "run": f"at most {epochs:,} epochs, {epochs * steps:,} steps",
        "devices": f"{devices.n_ranks} × {devices.accelerator}, {devices.precision}",
        "memory": f"about {_gib(needed)} on each in float32{fits}",
        "data": _data(recipe, options, source),
    }
    width = max(map(len, lines))
    return "\n".join(
        [to_yaml(recipe.to_dict()), *(f"{name:<{width}}  {text}" for name, text in lines.items())]
    )


def _data(recipe: Recipe, options: TrainOptions, source: DataSource) -> str:
    folder = getattr(source, "data", None)
    if folder is not None:
        from stallscan.data.store import is_store

        if not is_store(folder):
            return f"{folder}: counted once its ROIs are extracted"
    data = source.open(Path(), recipe, options.seed)  # of a store, and the phantom: only reads
    n = len(data.validation)
    stalled = sum(key.label is Label.STALLED for key in data.validation)
    return f"{data.description['data']}; validation: {stalled} stalled, {n - stalled} flowing"


def _gib(n_bytes: float) -> str:
    return f"{n_bytes / 2**30:.2f} GiB"
