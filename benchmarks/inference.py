"""How fast `stallscan predict` is, and the memory it takes, against PyTorch, MONAI and Keras.

Run as `python benchmarks/inference.py [--what forward protocol video memory]`; peers/README.md says
how to get the peers. All contenders are warmed up and take turns in each round. Figures are medians
over the rounds, spread is the largest minus the smallest, and ratios and shares are medians of
those within a round. Each is written to results/inference-<what>-<device>.csv.

forward    One forward pass at (1, 3, 96, 128, 128), each contender a process for itself. eager is
           our network in PyTorch as it is; speed_over_eager 2 means half of its time,
           time_over_auto 2 twice the time of the engine that `--engine auto` takes. share_of_peak
           is 2 × MACs a second over the best square float32 product of the same threads in the
           same round. Goals: auto ≥ 1.5 × as fast as eager and ≥ 80 % of the peak, int8 ≥ 3.5 ×;
           MONAI ≥ 1.5 × and Keras ≥ 1.2 × the time of auto.
protocol   All that the paper does for a video, 5 networks × 8 flips: our Predictor against the loop
           in PyTorch, all flips at once or one at a time, whichever is faster. Goals: ≥ 1.5 × as
           fast in float32, ≥ 3.5 × in int8.
video      Phantom videos of 512×384, the competition's bytes a frame, one flip, a small network:
           decoding alone, with outline, crop and resizing, with the network (in the engine that
           auto takes for 14,160 videos), and the whole command, which chooses for these few.
           Goals: without the network ≤ 1.1 × the time of decoding alone, with it ≤ 1.25 ×.
memory     Peak of all processes of `stallscan predict` over 100 and 1,000 videos. Goal: flat.

With `--device cuda` forward and protocol run in float32 and bfloat16; share_of_peak is of the
device's dense bfloat16 peak, and h_of_test_set what 14,160 videos take (the winner's took 7 hours;
goal: 5 minutes).
"""

from __future__ import annotations

import argparse
import importlib.util
import platform
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
PACKAGES = ("torch", "openvino", "onnxruntime", "nncf", "av", "numpy")
WHATS = ("forward", "protocol", "video", "memory")


def main() -> None:
    """Measure, print and write the tables."""
    # Late, for worker processes read this file again and need none of it.
    from predicting.forward import forward
    from predicting.memory import memory
    from predicting.protocol import protocol
    from predicting.video import video
    from zoo import device_name, peak_of

    options = _options()
    machine = device_name(options.device)
    peak_tflops = options.peak_tflops or (peak_of(machine) if options.device == "cuda" else None)
    versions = ", ".join(_versions())
    print(
        f"{machine}; {options.threads} threads; {versions}"
        + (f"; bfloat16 peak {peak_tflops:g} TFLOP/s" if peak_tflops else "")
    )
    for what in options.what:
        if what in ("forward", "protocol"):
            table = (forward if what == "forward" else protocol)(options, peak_tflops)
        else:
            table = (video if what == "video" else memory)(options)
        shown = table.drop(columns=["licence"], errors="ignore")
        print(f"\n{what}\n{shown.to_string(index=False, na_rep='', float_format='{:.4g}'.format)}")
        path = options.results / f"inference-{what}-{options.device}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        table.assign(threads=options.threads, versions=versions).to_csv(
            path, index=False, float_format="%.4g", lineterminator="\n"
        )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--what", nargs="+", choices=WHATS, help="default: all of the device")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--rounds", type=int, help="default: forward 7, protocol 3, video 5, 1")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--results", type=Path, default=HERE / "results", metavar="FOLDER")

    network = parser.add_argument_group("forward and protocol")
    network.add_argument("--networks", nargs="+", default=["densenet121"])
    network.add_argument("--contenders", nargs="+", help="these labels alone")
    network.add_argument("--size", type=int, nargs=3, default=(96, 128, 128), metavar="N")
    network.add_argument("--batch", type=int, help="of forward; default: 1, on CUDA 8")
    network.add_argument("--calls", type=int, default=3, help="of forward, a round, after one more")
    network.add_argument("--members", type=int, default=5, help="of the protocol")
    network.add_argument("--flips", type=int, default=8, help="of the protocol")
    network.add_argument("--matmul", type=int, nargs="+", default=[2048, 4096], metavar="ROWS")
    network.add_argument("--peak-tflops", type=float, help="of the device; default: measured")
    for peers, folder in (("peers", ".venv-bench"), ("keras", ".venv-keras")):
        python = HERE.parent / folder / "bin/python"
        network.add_argument(f"--{peers}-python", type=Path, default=python, metavar="FILE")

    videos = parser.add_argument_group("video and memory")
    videos.add_argument("--videos", type=int, default=40, help="to make")
    videos.add_argument("--given", type=Path, metavar="FOLDER", help="take those in it instead")
    videos.add_argument("--workers", type=int, default=2)
    videos.add_argument("--model", type=Path, help="default: the model in the box")
    videos.add_argument("--work", type=Path, default=Path("build/benchmark-videos"))
    videos.add_argument("--counts", type=int, nargs="+", default=[100, 1000], help="of memory")
    options = parser.parse_args()
    if options.device == "cuda" and {"video", "memory"} & set(options.what or ()):
        parser.error("--what video and memory are measured with --device cpu")
    options.what = options.what or (WHATS if options.device == "cpu" else WHATS[:2])
    options.batch = options.batch or (8 if options.device == "cuda" else 1)
    return options


def _versions() -> list[str]:
    installed = [name for name in PACKAGES if importlib.util.find_spec(name)]
    own = f"stallscan {version('stallscan')}, Python {platform.python_version()}"
    return [own, *(f"{name} {version(name)}" for name in installed)]


if __name__ == "__main__":
    main()
