"""What a trained network says of the samples that it was not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.metrics import matthews_corrcoef, roc_auc_score
from torch import Tensor

from stallscan.metrics.binary import best_mcc_threshold
from stallscan.models._network import Network
from stallscan.training.samples import (
    BatchesOfRank,
    Kept,
    SampleKey,
    TrainingSet,
    make_loader,
    safe_to_fork,
)


@torch.inference_mode()
def predict(
    models: Sequence[Network],
    dataset: Kept,
    keys: list[SampleKey],
    *,
    device: torch.device,
    workers: int,
) -> NDArray[np.float64]:
    """Probabilities in the order of the keys, ``(n,)``; the mean where there are several networks.

    One sample at a time, in float32 and without flips, so that none depends on its neighbours.
    """
    for model in models:
        model.eval().to(device)
    loader = make_loader(
        dataset,
        BatchesOfRank(keys, 1, 0, 1),
        workers=0 if len(dataset.samples) == len(keys) else workers,
        persistent=False,
    )
    found = []
    with safe_to_fork():
        for batch in loader:
            assert isinstance(batch.inputs, Tensor)
            inputs = batch.inputs.to(device).float().to(memory_format=torch.channels_last_3d)
            logits = torch.stack([model(inputs)[0, 0] for model in models])
            found.append(torch.sigmoid(logits.double()).mean().item())
    return np.array(found)


def held_out_table(data: TrainingSet, probabilities: NDArray[np.float64]) -> pd.DataFrame:
    """filename, label, probability, and whether the sample judged the epochs."""
    monitored = {key.number for key in data.validation}
    return pd.DataFrame(
        {
            "filename": data.names,
            "label": [int(key.label) for key in data.held_out],
            "probability": probabilities.round(6),
            "monitored": [key.number in monitored for key in data.held_out],
        }
    )


def scores(table: pd.DataFrame) -> dict[str, float | int]:
    """AUC, the best MCC and its threshold, of a table of `held_out_table`."""
    labels = table["label"].to_numpy()
    probabilities = table["probability"].to_numpy()
    threshold = best_mcc_threshold(labels, probabilities).threshold
    return {
        "auc": round(float(roc_auc_score(labels, probabilities)), 4),
        "mcc": round(float(matthews_corrcoef(labels, probabilities >= threshold)), 4),
        "threshold": round(float(threshold), 6),
        "n": len(table),
        "stalled": int(labels.sum()),
    }


def write_table(table: pd.DataFrame, path: Path) -> None:
    """As CSV; a kill leaves the old one or the new one."""
    partial = path.with_name(path.name + ".tmp")
    table.to_csv(partial, index=False)
    partial.replace(path)
