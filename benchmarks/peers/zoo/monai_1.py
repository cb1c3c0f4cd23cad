"""MONAI 1: its ResNet with the stem and the shortcuts of the paper's networks, as ours has them."""

from __future__ import annotations

from functools import partial

import monai
import torch
from _torch_job import torch_job
from _zoo_worker import Contender, Job, Task, serve
from monai.networks import nets

NETWORKS = {
    "densenet121": partial(nets.DenseNet121, spatial_dims=3, in_channels=3, out_channels=1),
    "resnet18": partial(
        nets.resnet18,
        spatial_dims=3,
        n_input_channels=3,
        num_classes=1,
        conv1_t_stride=2,
        bias_downsample=False,
    ),
    "efficientnet_b0": partial(
        nets.EfficientNetBN, "efficientnet-b0", spatial_dims=3, in_channels=3, num_classes=1
    ),
}


def build(task: Task) -> Job | None:
    """See `Contender.build`."""
    make = NETWORKS.get(task.network)
    return torch_job(task, make) if make else None


if __name__ == "__main__":
    monai.data.set_track_meta(False)
    serve(
        Contender(
            name=f"MONAI {monai.__version__}",
            licence="Apache-2.0",
            runtime=f"torch {torch.__version__}",
            build=build,
        )
    )
