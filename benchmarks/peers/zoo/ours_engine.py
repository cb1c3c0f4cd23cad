"""Our engines for inference: what `stallscan predict` computes networks with."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from _zoo_worker import Contender, Job, Task, serve

import stallscan
from stallscan.inference.choose import choose
from stallscan.inference.engine import Engine, make_engine, version_of
from stallscan.inference.member import LoadedMember
from stallscan.inference.options import PredictOptions
from stallscan.models import create_model
from stallscan.models._network import Network
from stallscan.models.card import ModelCard
from stallscan.models.cost import cost

N_VESSELS = 14_160
"""For which the automatic choice is made: the competition's test videos."""


def build(task: Task) -> Job:
    """See `Contender.build`; forward passes alone."""
    torch.set_num_threads(task.threads)
    torch.manual_seed(0)
    network = create_model(task.network).eval()
    engine, note = _make(network, task)
    volumes = task.input()
    figures = cost(network, task.size)
    return Job(
        run=lambda: engine(volumes)[:, None],
        macs=figures.macs,
        training_macs=0,
        parameters=figures.n_parameters,
        note=note,
    )


def _make(network: Network, task: Task) -> tuple[Engine, str]:
    if task.device == "cuda":
        engine = make_engine(network, task.engine, device="cuda", precision=task.precision)
        return engine, f"{task.precision}, torch {torch.__version__}"
    if task.engine == "int8":
        return _int8(network, task)
    name, reason = task.engine, ""
    if name == "auto":
        asked = PredictOptions(device="cpu")
        members = (_member(network, task),)
        choice = choose(asked, members, flips=task.batch, n_vessels=N_VESSELS)
        name, reason = choice.engine, f" chosen: {choice.reason}"
    return make_engine(network, name), f"{name} {version_of(name)}{reason}"


def _int8(network: Network, task: Task) -> tuple[Engine, str]:
    """Calibrated with noise, for speed alone counts here."""
    import nncf

    from stallscan.inference import quantize
    from stallscan.inference.openvino_engine import OpenVinoEngine

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "int8.xml"
        quantize.quantize(network, [task.input()] * 2, path)
        engine = OpenVinoEngine(path)
    return engine, f"openvino {version_of('openvino')}, NNCF {nncf.__version__}"


def _member(network: Network, task: Task) -> LoadedMember:
    channels = ["red", "green", "blue"]
    card = ModelCard(
        name=task.network,
        architecture=task.network,
        options={},
        preprocessing={"size": list(task.size), "channels": channels},
    )
    return LoadedMember(network, card)


if __name__ == "__main__":
    serve(
        Contender(
            name=f"stallscan {stallscan.__version__}",
            licence="MIT",
            runtime="",
            build=build,
        )
    )
