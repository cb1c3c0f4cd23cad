"""A checkpoint folder → a folder with a graph in place of the weights, and model.json beside it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from stallscan import __version__
from stallscan.augment.evaluation import Preprocessing, preprocess
from stallscan.data.map_files import map_files
from stallscan.errors import StallscanError
from stallscan.inference.engine import is_installed, make_engine, readers, version_of
from stallscan.inference.export_options import ExportOptions
from stallscan.inference.labelled import LabelledRois, labelled, phantoms
from stallscan.inference.member import LoadedMember, load_members
from stallscan.inference.parity import Parity, compare
from stallscan.inference.predictor import Predictor
from stallscan.inference.quantize import quantize, require_nncf
from stallscan.manifest import Manifest, State, open_output
from stallscan.models.card import ModelCard, write_card
from stallscan.models.checkpoint import load_checkpoint
from stallscan.models.ensemble import (
    ENSEMBLE_FILE,
    flat_members,
    is_ensemble,
    read_ensemble,
    sha256_of_model,
)
from stallscan.models.export import require_same_logits
from stallscan.models.exported import GRAPH_FILES, sha256_of_file
from stallscan.models.graph import to_onnx
from stallscan.roi.extraction import Extraction
from stallscan.roi.volume import Volume

Progress = Callable[[int, int], None]

FRAMES = 48
"""Depth at which a network is compared that takes stacks as deep as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """A checkpoint folder and where its export goes."""

    source: Path
    target: Path
    options: ExportOptions

    @property
    def graph(self) -> Path:
        return self.target / GRAPH_FILES[self.options.format][0]


def export_model(
    model_dir: Path,
    out: Path,
    options: ExportOptions,
    *,
    workers: int = 0,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Manifest:
    """Write a model, or an ensemble with all its members, for inference alone.

    A float32 graph is compared with the network on random input before its model.json is written;
    an int8 one on ROIs with labels, and its report stands in model.json. Without model.json a
    folder is no model, so that a killed export leaves none that looks whole.

    Args:
        model_dir: checkpoint folder or ensemble folder.
        out: folder for the export, and a record of the run.
        options: what to write.
        workers: processes that make ROIs; with 0 this one does.
        overwrite: start anew over an existing export.
        progress: called with ROIs done and in all, for calibration and for the comparison.

    Returns:
        The run's record; for int8 the reports are its ``parity``, by member.

    Raises:
        CheckpointError: the model is missing, damaged, or an export itself.
        OptionError: a network that the format cannot hold, or too few ROIs.
        OutputConflictError: what is there belongs to another run.
        StallscanError: NNCF is missing, or the graph computes something else.
    """
    if options.precision == "int8":
        require_nncf()
    places = (
        [place for place, _ in flat_members(model_dir)] if is_ensemble(model_dir) else [model_dir]
    )
    jobs = [
        _Job(source=place, target=out / place.relative_to(model_dir), options=options)
        for place in dict.fromkeys(places)
    ]
    models = [load_checkpoint(job.source) for job in jobs]  # refuses before anything is written
    identity = {
        "model": f"sha256 {sha256_of_model(model_dir)[:16]}",
        **{key: getattr(options, key) for key in ("format", "precision")},
    }
    if options.precision == "int8":
        keys = ("data", "labels", "calibration", "parity", "flips", "seed")
        identity |= {key: getattr(options, key) for key in keys}
    with open_output(out, command="export", options=identity, overwrite=overwrite) as run:
        if run.state is State.COMPLETE:
            load_members(out)  # is whole, or says what is wrong with it
            return run
        _clear(jobs)
        for job, (network, _) in zip(jobs, models, strict=True):
            job.target.mkdir(parents=True, exist_ok=True)
            if options.precision == "float32":
                _write_float32(job, network)
        reports: list[Parity] = []
        differences: list[float] = []
        if options.precision == "int8":
            reports = _write_int8(jobs, models, workers=workers, progress=progress)
        else:
            differences = [_verify(job, *model) for job, model in zip(jobs, models, strict=True)]
        for number, (job, (_, card)) in enumerate(zip(jobs, models, strict=True)):
            found: dict[str, Any] = (
                {"parity": reports[number].to_dict()}
                if reports
                else {"difference": differences[number]}
            )
            write_card(_exported(card, job, found), job.target / "model.json")
        _copy_ensemble_files(model_dir, out)
        run.complete(
            exit_code=0,
            n_bytes=sum(path.stat().st_size for path in out.rglob("model.*")),
            version=__version__,
            **({"parity": {job.target.relative_to(out).as_posix(): report.to_dict()
                           for job, report in zip(jobs, reports, strict=True)}}
               if reports else {}),
        )  # fmt: skip
    return run


def _clear(jobs: list[_Job]) -> None:
    """What an earlier start left; its model.json first."""
    for job in jobs:
        for names in (("model.json",), *GRAPH_FILES.values()):
            for name in names:
                (job.target / name).unlink(missing_ok=True)


def _write_float32(job: _Job, network: Any) -> None:
    content = to_onnx(network)
    if job.options.format == "onnx":
        job.graph.write_bytes(content)
        return
    from stallscan.inference._openvino import core, openvino

    openvino.save_model(core().read_model(content), job.graph, compress_to_fp16=False)


def _verify(job: _Job, network: Any, card: ModelCard) -> float:
    """Largest difference of a logit in all engines that are there."""
    member = LoadedMember(network, card)
    z, y, x = member.preprocessing.size
    shape = (2, len(member.preprocessing.channels), z or FRAMES, y, x)
    volumes = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    differences = []
    for name in readers(job.graph):
        if is_installed(name):
            logits = torch.from_numpy(make_engine(job.graph, name)(volumes.numpy()))[:, None]
            twin = network.float().eval()
            differences.append(require_same_logits(logits, twin, volumes, job.graph, name))
            network.float()  # the comparison may have needed float64
    return max(differences)


def _write_int8(
    jobs: list[_Job], models: list[Any], *, workers: int, progress: Progress | None
) -> list[Parity]:
    options = jobs[0].options
    rois = _rois(options)
    volumes, n_used = _collect(rois, options.calibration, workers=workers, progress=progress)
    references: list[Predictor] = []
    exports: list[Predictor] = []
    for job, (network, card) in zip(jobs, models, strict=True):
        member = LoadedMember(network, card)
        quantize(network, _Calibration(volumes, member.preprocessing), job.graph)
        quantized = LoadedMember(network, card, graph=job.graph)
        for predictors, one in ((references, member), (exports, quantized)):
            predictors.append(Predictor([one], card, flips=options.flips, engine="openvino"))
    return compare(
        references,
        exports,
        rois.after(n_used),
        n=options.parity,
        workers=workers,
        progress=progress,
    )


def _rois(options: ExportOptions) -> LabelledRois:
    n = options.calibration + options.parity
    if options.data is None or options.labels is None:
        return phantoms(n, options.seed)
    return labelled(options.data, options.labels, n, options.seed)


def _collect(
    rois: LabelledRois, n: int, *, workers: int, progress: Progress | None
) -> tuple[list[Volume], int]:
    """The first ``n`` volumes, and how many ROIs it took."""
    items: Any = rois.items
    volumes: list[Volume] = []
    found = map_files(items, rois.load, failed=_not_loaded, workers=workers)
    for n_used, extraction in enumerate(found, start=1):
        if extraction.volume is not None:
            volumes.append(extraction.volume)
            if progress:
                progress(len(volumes), n)
        if len(volumes) == n:
            return volumes, n_used
    raise StallscanError(
        f"{rois.source}: {len(volumes):,} of {len(items):,} ROIs could be read, needed are {n:,} "
        "for calibration; give more data, or lower --calibration"
    )


def _not_loaded(item: Path | str, message: str) -> Extraction:
    return Extraction(filename=Path(item).name, message=message)


class _Calibration(Collection[NDArray[np.float32]]):
    """Volumes as one network wants them, made anew at each pass: they are small before it."""

    def __init__(self, volumes: list[Volume], preprocessing: Preprocessing) -> None:
        self._volumes = volumes
        self._preprocessing = preprocessing

    def __len__(self) -> int:
        return len(self._volumes)

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        for volume in self._volumes:
            yield preprocess(volume, self._preprocessing)[None]

    def __contains__(self, item: object) -> bool:
        return any(array is item for array in self)


def _exported(card: ModelCard, job: _Job, found: dict[str, Any]) -> ModelCard:
    names = GRAPH_FILES[job.options.format]
    packages = ["torch", "openvino", *(["nncf"] if job.options.precision == "int8" else [])]
    export = {
        "format": job.options.format,
        "precision": job.options.precision,
        "file": names[0],
        "sha256": {name: sha256_of_file(job.target / name) for name in names},
        "source": f"sha256 {sha256_of_model(job.source)}",
        "versions": {"stallscan": __version__, **{name: version_of(name) for name in packages}},
        **found,
    }
    return replace(card, export=export)


def _copy_ensemble_files(model_dir: Path, out: Path) -> None:
    """Last, for they make the folder an ensemble."""
    if not is_ensemble(model_dir):
        return
    for member in read_ensemble(model_dir).members:
        _copy_ensemble_files(model_dir / member.path, out / member.path)
    shutil.copyfile(model_dir / ENSEMBLE_FILE, out / ENSEMBLE_FILE)
