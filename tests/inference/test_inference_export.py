"""Exports: the same answers from each, int8 with its report, and what is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import stallscan
from clips import draw_clip
from stallscan.errors import CheckpointError, OptionError, OutputConflictError, StallscanError
from stallscan.inference import labelled as labelled_module
from stallscan.inference.choose import choose
from stallscan.inference.export import export_model
from stallscan.inference.export_options import ExportOptions
from stallscan.inference.labelled import LabelledRois, labelled, phantoms
from stallscan.inference.member import load_members
from stallscan.inference.options import PredictOptions
from stallscan.inference.parity import compare
from stallscan.models import EnsembleCard, Member, load_checkpoint, write_ensemble
from stallscan.models.card import read_card
from stallscan.models.ensemble import model_files
from stallscan.roi import Volume
from stallscan.roi.extraction import Extraction
from stallscan.types import Box

INT8 = ExportOptions(precision="int8", calibration=8, flips=1)


def cheap(number: int) -> Volume:
    """Noise, brighter where the label is 1."""
    rng = np.random.default_rng(number)
    grey = rng.integers(0, 128 + 100 * (number % 2), (6, 24, 24, 1), np.uint8)
    mask = np.zeros((24, 24), bool)
    mask[4:20, 4 : 10 + number % 8] = True
    return Volume(
        array=np.repeat(grey, 3, axis=-1),
        mask=mask,
        line=np.zeros_like(mask),
        box=Box(0, 0, 0, 6, 24, 24),
        source=str(number),
    )


class Cheap:
    """In place of rendering phantoms."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __call__(self, name: str) -> Extraction:
        return Extraction(filename=name, outline="ok", volume=cheap(int(name)))


@pytest.fixture
def _cheap_phantoms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labelled_module, "_PhantomLoader", Cheap)


@pytest.fixture(scope="module")
def volume() -> Volume:
    clip = draw_clip(0, 10)
    return stallscan.find_roi(clip).crop(clip)


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory, tiny_model_dir: Path) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("exports")
    for kind in ("openvino", "onnx"):
        export_model(tiny_model_dir, folder / kind, ExportOptions(format=kind))  # type: ignore[arg-type]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(labelled_module, "_PhantomLoader", Cheap)
        export_model(tiny_model_dir, folder / "int8", INT8)
    return {path.name: path for path in folder.iterdir() if path.is_dir()}


@pytest.fixture
def copy(tmp_path: Path, exports: dict[str, Path]) -> Any:
    def make(kind: str) -> Path:
        return Path(shutil.copytree(exports[kind], tmp_path / kind))

    return make


def probability(folder: Path, volume: Volume, engine: Any) -> float:
    return stallscan.load_predictor(folder, engine=engine)(volume).probability


# --- What is written ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "engine"),
    [("openvino", "openvino"), ("onnx", "openvino"), ("onnx", "onnxruntime")],
)
def test_an_export_answers_as_its_network_does(
    exports: dict[str, Path], tiny_model_dir: Path, volume: Volume, kind: str, engine: str
) -> None:
    expected = probability(tiny_model_dir, volume, "torch")
    assert probability(exports[kind], volume, engine) == pytest.approx(expected, abs=1e-5)
    assert read_card(exports[kind]).export["difference"] < 1e-4


def test_model_json_is_that_of_the_network_with_the_export(
    exports: dict[str, Path], tiny_model_dir: Path
) -> None:
    for folder in exports.values():
        card = read_card(folder)
        assert replace(card, export={}) == read_card(tiny_model_dir)
        assert {"format", "precision", "file", "sha256", "source", "versions"} <= set(card.export)
    assert not read_card(tiny_model_dir).export
    assert "export" not in json.loads((tiny_model_dir / "model.json").read_text())


def test_the_fingerprint_covers_the_graph(exports: dict[str, Path]) -> None:
    assert [path.name for path in model_files(exports["openvino"])] == [
        *("model.json", "model.xml", "model.bin"),
    ]
    assert [path.name for path in model_files(exports["onnx"])] == ["model.json", "model.onnx"]


def test_int8_is_near_and_says_how_near(
    exports: dict[str, Path], tiny_model_dir: Path, volume: Volume
) -> None:
    parity = read_card(exports["int8"]).export["parity"]
    assert (parity["n"], parity["n_stalled"], parity["flips"]) == (1000, 500, 1)
    assert 0 < parity["mean"] <= parity["percentile_99"] <= parity["worst"] < 0.2
    assert parity["float32"]["auc"] == pytest.approx(parity["exported"]["auc"], abs=0.05)
    found = probability(exports["int8"], volume, "openvino")
    assert found == pytest.approx(probability(tiny_model_dir, volume, "torch"), abs=0.1)
    smaller = (exports["int8"] / "model.bin").stat().st_size
    assert smaller < 0.5 * (exports["openvino"] / "model.bin").stat().st_size


def test_an_ensemble_keeps_its_shape(tmp_path: Path, tiny_model_dir: Path, volume: Volume) -> None:
    for place in ("a", "b/s0"):
        shutil.copytree(tiny_model_dir, tmp_path / "pair" / place)
    inner = EnsembleCard(name="b", members=(Member("s0", 1.0),), flips=2)
    write_ensemble(inner, tmp_path / "pair/b")
    card = EnsembleCard(name="pair", members=(Member("a", 3.0), Member("b", 1.0)), flips=2)
    write_ensemble(card, tmp_path / "pair")
    export_model(tmp_path / "pair", tmp_path / "out", ExportOptions())
    expected = probability(tmp_path / "pair", volume, "torch")
    assert probability(tmp_path / "out", volume, "openvino") == pytest.approx(expected, abs=1e-5)
    members, _ = load_members(tmp_path / "out")
    assert [member.weight for member in members] == [0.75, 0.25]


def test_again_does_nothing_and_other_options_are_refused(
    tmp_path: Path, tiny_model_dir: Path
) -> None:
    options = ExportOptions(format="onnx")
    export_model(tiny_model_dir, tmp_path / "out", options)
    first = (tmp_path / "out/model.onnx").stat().st_mtime_ns
    export_model(tiny_model_dir, tmp_path / "out", options)
    assert (tmp_path / "out/model.onnx").stat().st_mtime_ns == first
    with pytest.raises(OutputConflictError, match="format was 'onnx', now 'openvino'"):
        export_model(tiny_model_dir, tmp_path / "out", ExportOptions())
    export_model(tiny_model_dir, tmp_path / "out", ExportOptions(), overwrite=True)
    assert not (tmp_path / "out/model.onnx").exists()


def test_a_disturbed_export_leaves_no_model(
    tmp_path: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def disturbed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("stallscan.inference.export._verify", disturbed)
        with pytest.raises(KeyboardInterrupt):
            export_model(tiny_model_dir, tmp_path / "out", ExportOptions())
    with pytest.raises(CheckpointError, match=r"model\.json: missing"):
        load_members(tmp_path / "out")
    export_model(tiny_model_dir, tmp_path / "out", ExportOptions())
    assert load_members(tmp_path / "out")


# --- What is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "int8", "format": "onnx"}, "for int8 allowed is openvino"),
        ({"precision": "int8", "parity": 999}, "--parity is 999, allowed are 1,000 and above"),
        ({"precision": "int8", "calibration": 0}, "--calibration is 0, allowed"),
        ({"precision": "int8", "data": Path("x")}, "--labels is None; give both or neither"),
        ({"data": Path("x"), "labels": Path("y")}, "ROIs are for int8 alone"),
        ({"flips": 3}, "--flips is 3"),
        ({"seed": -1}, "--seed is -1"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        ExportOptions(**options)


@pytest.mark.parametrize(("kind", "engine"), [("openvino", "onnxruntime"), ("onnx", "torch")])
def test_an_engine_that_does_not_read_it(exports: dict[str, Path], kind: str, engine: Any) -> None:
    with pytest.raises(OptionError, match=f"--engine is {engine} and the model is an export"):
        stallscan.load_predictor(exports[kind], engine=engine)


@pytest.mark.parametrize("kind", ["openvino", "onnx", "int8"])
def test_auto_takes_what_reads_it(exports: dict[str, Path], kind: str) -> None:
    members, _ = load_members(exports[kind])
    choice = choose(PredictOptions(), members, flips=8, n_vessels=10**6)
    assert (choice.engine, choice.device, choice.reason) == (
        *("openvino", "cpu", "the model is an export"),
    )


def test_an_export_cannot_be_trained_or_exported(exports: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is an export for inference"):
        load_checkpoint(exports["onnx"])
    with pytest.raises(CheckpointError, match="give the checkpoint folder that it was made from"):
        export_model(exports["onnx"], tmp_path / "out", ExportOptions())


@pytest.mark.parametrize("n", [None, 999, "1000", True])
def test_int8_without_a_report_on_enough_rois(copy: Any, n: object) -> None:
    folder = copy("int8")
    fields = json.loads((folder / "model.json").read_text())
    if n is None:
        del fields["export"]["parity"]
    else:
        fields["export"]["parity"]["n"] = n
    (folder / "model.json").write_text(json.dumps(fields))
    with pytest.raises(CheckpointError, match=r"is an int8 model with .*one on 1,000 or more"):
        load_members(folder)


@pytest.mark.parametrize("name", ["model.xml", "model.bin"])
@pytest.mark.parametrize("change", ["gone", "torn", "other"])
def test_files_that_are_not_those_that_were_written(copy: Any, name: str, change: str) -> None:
    path = copy("openvino") / name
    content = path.read_bytes()
    path.unlink()
    if change != "gone":
        path.write_bytes(content[:-100] if change == "torn" else content[:-1] + b"?")
    reason = "missing" if change == "gone" else "is damaged or another model's"
    with pytest.raises(CheckpointError, match=rf"{name}: {reason}"):
        load_members(path.parent)


def with_its_sum(folder: Path, name: str) -> None:
    """As a stranger would, who has changed a file on purpose."""
    from stallscan.models.exported import sha256_of_file

    fields = json.loads((folder / "model.json").read_text())
    fields["export"]["sha256"][name] = sha256_of_file(folder / name)
    (folder / "model.json").write_text(json.dumps(fields))


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_weights_in_another_file_are_not_followed(copy: Any, engine: Any) -> None:
    folder = copy("onnx")
    model = onnx.load(str(folder / "model.onnx"))
    tensor = model.graph.initializer[0]
    onnx.external_data_helper.set_external_data(tensor, "../../etc/passwd")
    tensor.ClearField("raw_data")
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    with_its_sum(folder, "model.onnx")
    with pytest.raises(CheckpointError, match=r"lies in another file, allowed are files that hold"):
        stallscan.load_predictor(folder, engine=engine)


@pytest.mark.parametrize(("kind", "name"), [("onnx", "model.onnx"), ("openvino", "model.xml")])
def test_a_graph_that_is_none(copy: Any, kind: str, name: str) -> None:
    folder = copy(kind)
    (folder / name).write_bytes(b"\x08no graph")
    with_its_sum(folder, name)
    with pytest.raises(CheckpointError, match=rf"{name}: .*(is not an ONNX file|cannot read it)"):
        stallscan.load_predictor(folder, engine="openvino")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("format", "tensorrt", "export.format is 'tensorrt', allowed are onnx, openvino"),
        ("precision", "int4", "export.precision is 'int4', allowed are float32, int8"),
        ("file", "../model.xml", r"export.file is '../model.xml', allowed for openvino"),
        ("sha256", [], r"export.sha256 is \[\], needed is a JSON object"),
    ],
)
def test_a_card_that_leads_elsewhere(copy: Any, key: str, value: object, message: str) -> None:
    folder = copy("openvino")
    fields = json.loads((folder / "model.json").read_text())
    fields["export"][key] = value
    (folder / "model.json").write_text(json.dumps(fields))
    with pytest.raises(CheckpointError, match=message):
        load_members(folder)


def test_nncf_that_is_not_installed(
    tmp_path: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(StallscanError, match=r"needs the package nncf.*stallscan\[export\]"):
        export_model(tiny_model_dir, tmp_path / "out", INT8)


# --- The comparison -----------------------------------------------------------------------------


def test_the_report_in_closed_form(tiny_model_dir: Path, volume: Volume) -> None:
    """Predictors with answers of their own."""
    one, other = (stallscan.load_predictor(tiny_model_dir, threshold=0.5) for _ in range(2))
    p = [0.9, 0.1, 0.7, 0.4, 0.6, 0.2]
    q = [0.9, 0.1, 0.4, 0.4, 0.6, 0.3]
    for predictor, answers in ((one, p), (other, q)):
        given = iter(answers)

        def answer(_: object, given: Any = given) -> stallscan.Prediction:
            found = next(given)
            return stallscan.Prediction(probability=found, stalled=int(found >= 0.5))

        predictor.predict = answer  # type: ignore[method-assign]
    bad = Extraction(filename="bad", message="cannot be read")
    rois = LabelledRois(
        items=["a", "b", "bad", "c", "d", "e", "f", "never asked"],
        labels=[1, 0, 1, 1, 0, 1, 0, 0],
        load=lambda name: bad if name == "bad" else Extraction(filename=name, volume=volume),
        source="six",
    )
    (report,) = compare([one], [other], rois, n=6, workers=0)
    assert (report.n, report.n_stalled, report.n_calls_changed) == (6, 3, 1)
    assert (report.float32.auc, report.float32.mcc) == (1.0, 1.0)
    assert report.exported.auc == pytest.approx(8.5 / 9, abs=1e-4)  # one tie of nine pairs
    assert report.exported.mcc == pytest.approx(0.7071, abs=1e-4)  # two of three, none of three
    assert (report.worst, report.mean) == (0.3, pytest.approx(0.4 / 6, abs=1e-6))
    assert type(report).from_dict(json.loads(json.dumps(report.to_dict()))) == report
    assert any("1 of 6 calls change" in line for line in report.lines())
    with pytest.raises(StallscanError, match=r"six: 0 of 1 ROIs could be read.*needed are 6"):
        compare([one], [other], replace(rois, items=["bad"], labels=[1]), n=6, workers=0)


@pytest.mark.usefixtures("_cheap_phantoms")
def test_calibration_and_comparison_share_no_roi() -> None:
    rois = phantoms(10, 0)
    assert [*rois.items[:4], *rois.after(4).items] == list(rois.items)
    assert rois.after(4).labels == list(rois.labels[4:])


def test_own_data_in_random_order(tmp_path: Path, write_drawn_clip: Any) -> None:
    for seed in range(6):
        write_drawn_clip(f"own/v{seed}.mp4", seed)
    rows = "".join(f"v{n}.mp4,{int(n < 3)}\n" for n in range(6))
    (tmp_path / "labels.csv").write_text("filename,stalled\n" + rows)
    rois = labelled(tmp_path / "own", tmp_path / "labels.csv", 6, seed=1)
    names = [Path(item).name for item in rois.items]
    assert sorted(names) == [f"v{n}.mp4" for n in range(6)] and names != sorted(names)
    assert all(label == (name < "v3") for name, label in zip(names, rois.labels, strict=True))
    assert rois.load(rois.items[0]).volume is not None
    with pytest.raises(OptionError, match=r"own: has 6 labelled ROIs, 3 stalled; needed are 7"):
        labelled(tmp_path / "own", tmp_path / "labels.csv", 7, seed=1)
