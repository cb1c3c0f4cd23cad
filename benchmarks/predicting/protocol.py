"""The paper's protocol for a video: five networks, eight mirrored copies each, one probability."""

from __future__ import annotations

import argparse
import copy
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from predicting._turns import TEST_VIDEOS, in_turn, matmul_peak, ratio, seconds, spread
from stallscan.augment.mirror import FLIPS
from stallscan.inference.engine import Engine, make_engine
from stallscan.inference.member import LoadedMember
from stallscan.inference.predictor import Predictor
from stallscan.models import create_model
from stallscan.models._network import Network
from stallscan.models.card import ModelCard
from stallscan.models.cost import cost
from stallscan.models.ensemble import EnsembleCard, Member

CHANNELS = ("red", "green", "blue")
Ask = Callable[[], float]
"""Gives the probability of the one video."""
TOLERANCE = 1e-3
"""Between probabilities in float32: a convolution of another order rounds otherwise."""


def protocol(options: argparse.Namespace, peak_tflops: float | None) -> pd.DataFrame:
    """Rows of all networks; see `forward`."""
    torch.set_num_threads(options.threads)
    return pd.concat([_protocol(name, options, peak_tflops) for name in options.networks])


def _protocol(name: str, options: argparse.Namespace, peak_tflops: float | None) -> pd.DataFrame:
    networks = [_network(name, seed) for seed in range(options.members)]
    shape = (len(CHANNELS), *options.size)
    video = np.random.default_rng(0).standard_normal(shape, np.float32)
    asks = _peers(networks, video, options) | _ours(name, networks, video, options)
    asks = {key: ask for key, ask in asks.items() if key in (options.contenders or asks)}

    first = {key: ask() for key, ask in tqdm(asks.items(), desc=f"protocol, {name}, warm-up")}
    times: dict[str, list[float]] = {key: [] for key in asks}
    peaks = []
    for turn in tqdm(range(options.rounds or 3), desc=f"protocol, {name}"):
        peaks.append(
            1e12 * peak_tflops if peak_tflops else matmul_peak(options.matmul, options.threads)
        )
        for key in in_turn(list(asks), turn):
            times[key].append(seconds(asks[key]))
    macs = options.members * options.flips * cost(networks[0], options.size).macs
    rows = table(times, first, peaks, macs)
    what = {"network": name, "protocol": f"{options.members} networks x {options.flips} flips"}
    return pd.DataFrame([what | row for row in rows])


def table(
    times: dict[str, list[float]], answers: dict[str, float], peaks: list[float], macs: int
) -> list[dict[str, Any]]:
    """A row for each way, against the fastest of the eager loops of its precision.

    Args:
        times: seconds a video in each round.
        answers: probabilities.
        peaks: operations a second in each round.
        macs: multiply-accumulates a video.

    Raises:
        RuntimeError: ways in float32 disagree, so that they do not do the same.
    """
    eager = {key: values for key, values in times.items() if key.startswith("eager")}
    peer = min(eager, key=lambda key: float(np.median(eager[key])), default=None)
    full = {key: value for key, value in answers.items() if "int8" not in key and "bf16" not in key}
    if full and max(full.values()) - min(full.values()) > TOLERANCE:
        raise RuntimeError(f"the probabilities differ: {full}; these are not the same networks")
    return [
        {
            "contender": key,
            "s_per_video": (middle := float(np.median(values))),
            "spread": spread(values),
            "speed_over_peer": ratio(times[peer], values) if peer else None,
            "share_of_peak": ratio(np.divide(2 * macs, values), peaks),
            "videos_per_s": 1 / middle,
            "h_of_test_set": TEST_VIDEOS * middle / 3600,
            "GMACs": macs / 1e9,
            "probability": answers[key],
            "note": "the peer" if key == peer else "",
        }
        for key, values in times.items()
    ]


def _network(name: str, seed: int) -> Network:
    torch.manual_seed(seed)
    return create_model(name).eval()


def _peers(
    networks: list[Network], video: np.ndarray, options: argparse.Namespace
) -> dict[str, Ask]:
    """The loops that a user of PyTorch would write, without any of our inference."""
    device = torch.device(options.device)
    moved = [copy.deepcopy(network).to(device) for network in networks]
    flips = FLIPS[: options.flips]

    def ask(size: int, lower: bool) -> float:
        volume = torch.from_numpy(video).to(device)
        probabilities = []
        with (
            torch.inference_mode(),
            torch.autocast(device.type, torch.bfloat16, enabled=lower),
        ):
            for network in moved:
                for k in range(0, len(flips), size):
                    copies = [volume.flip(axes) for axes in flips[k : k + size]]
                    probabilities.append(network(torch.stack(copies)).float().sigmoid())
        return float(torch.cat(probabilities).mean())

    torch.backends.cudnn.benchmark = True
    asks: dict[str, Ask] = {}
    for lower in (False, True) if device.type == "cuda" else (False,):
        suffix = " bf16" if lower else ""
        asks[f"eager{suffix}, one at a time"] = lambda lower=lower: ask(1, lower)
        asks[f"eager{suffix}, batch of flips"] = lambda lower=lower: ask(len(flips), lower)
    return asks


def _ours(
    name: str, networks: list[Network], video: np.ndarray, options: argparse.Namespace
) -> dict[str, Ask]:
    ways: dict[str, Callable[[], Iterable[Engine]]]
    if options.device == "cuda":
        ways = {
            f"torch {precision}": lambda precision=precision: [
                make_engine(network, "torch", device="cuda", precision=precision)
                for network in networks
            ]
            for precision in ("float32", "bf16")
        }
    else:
        ways = {
            "openvino": lambda: [make_engine(network, "openvino") for network in networks],
            "int8": lambda: _int8(networks, video),
        }
    asks: dict[str, Ask] = {}
    for label, engines in ways.items():
        if options.contenders and label not in options.contenders:
            continue
        try:
            predictor = _predictor(name, networks, engines(), options)
        except ImportError as error:
            print(f"left out: {label} ({error})")
            continue
        inputs = {predictor.members[0].preprocessing: video}
        asks[label] = lambda predictor=predictor, inputs=inputs: (
            predictor.predict(inputs).probability
        )
    return asks


def _predictor(
    name: str, networks: list[Network], engines: Iterable[Engine], options: argparse.Namespace
) -> Predictor:
    """Our predictor, with engines that are made elsewhere."""
    preprocessing = {"size": list(options.size), "channels": list(CHANNELS)}
    card = ModelCard(name=name, architecture=name, options={}, preprocessing=preprocessing)
    members = [LoadedMember(network, card) for network in networks]
    paths = tuple(Member(str(index)) for index in range(len(members)))
    predictor = Predictor((), EnsembleCard(name=name, members=paths), flips=options.flips)
    predictor.members, predictor._engines = tuple(members), list(engines)
    return predictor


def _int8(networks: list[Network], video: np.ndarray) -> list[Engine]:
    """Calibrated with the one video, for speed alone counts here."""
    from stallscan.inference import quantize
    from stallscan.inference.openvino_engine import OpenVinoEngine

    engines: list[Engine] = []
    with tempfile.TemporaryDirectory() as folder:
        for index, network in enumerate(networks):
            path = Path(folder) / f"{index}.xml"
            quantize.quantize(network, [video[None]] * 2, path)
            engines.append(OpenVinoEngine(path))
    return engines
