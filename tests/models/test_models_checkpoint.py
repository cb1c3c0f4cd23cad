"""The checkpoint folder: what was saved comes back, and every kind of damage is named."""

import json
import pickle
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from stallscan.errors import CheckpointError
from stallscan.models import create_model, load_checkpoint, read_card, save_checkpoint
from stallscan.models.card import FORMAT, ModelCard

OPTIONS = {"in_channels": 2, "width": 0.0625, "stride": [1, 2, 2]}
CARD = ModelCard(
    name="tiny",
    architecture="resnet18",
    options=OPTIONS,
    preprocessing={"size": [16, 32, 32], "channels": ["grey", "mask"]},
    threshold=0.37,
    flips=4,
    metrics={"validation": {"val_auc": 0.91}},
    training={"data": "none", "seed": 3},
    versions={"torch": "2"},
    notes="Für Tests.",
)


@pytest.fixture(scope="module")
def model() -> nn.Module:
    """A network whose normalisation has seen data."""
    torch.manual_seed(0)
    model = create_model("resnet18", **OPTIONS)
    model.train()
    for _ in range(3):
        model(torch.randn(2, 2, 16, 48, 48))
    return model.eval()


@pytest.fixture(scope="module")
def saved(model: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    model_dir = tmp_path_factory.mktemp("models") / "runs" / "tiny"
    save_checkpoint(model, CARD, model_dir)
    return model_dir


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    return shutil.copytree(saved, tmp_path / "copy")


# --- Round trip -------------------------------------------------------------------------------


def test_the_network_comes_back(model: nn.Module, saved: Path) -> None:
    loaded, card = load_checkpoint(saved)
    assert not any(module.training for module in loaded.modules())
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    x = torch.randn(2, 2, 16, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(loaded(x), model(x), atol=5e-3, rtol=5e-3)
        assert not torch.equal(loaded(x), model(x))  # float16 was in between
    for key, tensor in model.state_dict().items():
        expected = tensor.half().to(tensor.dtype) if tensor.is_floating_point() else tensor
        assert torch.equal(loaded.state_dict()[key], expected), key
    assert card == CARD


def test_a_second_round_changes_nothing(saved: Path, tmp_path: Path) -> None:
    save_checkpoint(*load_checkpoint(saved), tmp_path / "again")
    for name in ("model.json", "weights.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (saved / name).read_bytes()


def test_the_folder_holds_json_and_float16_tensors_alone(saved: Path) -> None:
    assert sorted(path.name for path in saved.iterdir()) == ["model.json", "weights.safetensors"]
    fields = {key: value for key, value in asdict(CARD).items() if key != "export"}
    assert json.loads((saved / "model.json").read_text()) == {"format": FORMAT, **fields}
    weights = load_file(saved / "weights.safetensors")
    assert {t.dtype for t in weights.values()} == {torch.float16, torch.int64}
    stored = sum(tensor.numel() * tensor.element_size() for tensor in weights.values())
    assert (saved / "weights.safetensors").stat().st_size < stored + 20_000


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e6])
def test_a_diverged_network_is_not_saved(value: float, tmp_path: Path) -> None:
    model = create_model("resnet18", **OPTIONS)
    nn.init.constant_(model.layer2[0].bn1.weight, value)
    with pytest.raises(CheckpointError) as caught:
        save_checkpoint(model, CARD, tmp_path / "out")
    for part in ("out: weight 'layer2.0.bn1.weight'", f"{value:g}", "65504", "diverged"):
        assert part in str(caught.value)
    assert not (tmp_path / "out" / "weights.safetensors").exists()


def test_where_the_first_weights_came_from_is_written(tmp_path: Path) -> None:
    flat = create_model("resnet18", rank=2, in_channels=3, width=0.0625)
    save_file(flat.state_dict(), tmp_path / "images.safetensors")
    first = {"pretrained": str(tmp_path / "images.safetensors"), "inflate": "average"}
    model = create_model("resnet18", **OPTIONS, **first)
    card = replace(CARD, options=OPTIONS | first)
    save_checkpoint(model, card, tmp_path / "run")
    (tmp_path / "images.safetensors").unlink()  # the folder needs nothing else
    loaded, found = load_checkpoint(tmp_path / "run")
    assert found.options == OPTIONS
    assert found.pretrained["source"] == "images.safetensors"
    assert (found.pretrained["inflate"], found.pretrained["inflated"]) == ("average", 20)
    assert len(found.pretrained["sha256"]) == 64
    assert str(tmp_path) not in (tmp_path / "run" / "model.json").read_text()
    save_checkpoint(loaded, found, tmp_path / "again")
    assert read_card(tmp_path / "again") == found


@pytest.mark.parametrize(
    "changed",
    [{"stride": 2}, {"pool": "max"}, {"depth_padding": "replicate"}, {"dropout": 0.1}],
)
def test_the_card_of_another_network_is_not_written(
    changed: dict[str, Any], model: nn.Module, tmp_path: Path
) -> None:
    """Nothing of these would show in the shapes of the weights."""
    card = replace(CARD, options=OPTIONS | changed)
    with pytest.raises(CheckpointError, match=r"the card says resnet18 with .*the network is"):
        save_checkpoint(model, card, tmp_path / "out")
    with pytest.raises(CheckpointError, match="the card says resnet34"):
        save_checkpoint(model, replace(CARD, architecture="resnet34"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_card_may_say_the_same_in_other_words(model: nn.Module, tmp_path: Path) -> None:
    words = {"stride": [[1, 2, 2]] * 5, "dropout": 0.0, "checkpointing": True}
    save_checkpoint(model, replace(CARD, options=OPTIONS | words), tmp_path / "out")
    assert load_checkpoint(tmp_path / "out")[1].options == OPTIONS | words


def test_a_card_opens_no_other_file(copy: Path, tmp_path: Path) -> None:
    trap = tmp_path / "elsewhere.pth"
    trap.write_bytes(b"not weights")
    for elsewhere in (str(trap), "imagenet"):
        edit_card(options=OPTIONS | {"pretrained": elsewhere, "inflate": "average"})(copy)
        loaded, _ = load_checkpoint(copy)
        assert torch.equal(loaded.bn1.weight, load_file(copy / "weights.safetensors")["bn1.weight"])


def test_loading_draws_nothing(saved: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    loaded, _ = load_checkpoint(saved)
    assert torch.equal(torch.rand(3), expected)
    assert all(p.requires_grad for p in loaded.parameters())


# --- Damage -----------------------------------------------------------------------------------


def edit_card(**changes: Any) -> Callable[[Path], None]:
    def edit(model_dir: Path) -> None:
        fields = json.loads((model_dir / "model.json").read_text()) | changes
        fields = {key: value for key, value in fields.items() if value is not ...}
        (model_dir / "model.json").write_text(json.dumps(fields))

    return edit


def write(name: str, data: bytes) -> Callable[[Path], None]:
    return lambda model_dir: (model_dir / name).write_bytes(data) and None


def edit_weights(change: Callable[[dict[str, torch.Tensor]], Any]) -> Callable[[Path], None]:
    def edit(model_dir: Path) -> None:
        weights = {k: t.clone() for k, t in load_file(model_dir / "weights.safetensors").items()}
        change(weights)
        save_file(weights, model_dir / "weights.safetensors")

    return edit


def truncate(model_dir: Path) -> None:
    data = (model_dir / "weights.safetensors").read_bytes()
    (model_dir / "weights.safetensors").write_bytes(data[: len(data) // 2])


CARD_FILE, WEIGHTS_FILE = "copy/model.json: ", "copy/weights.safetensors: "
DAMAGE: dict[str, tuple[Callable[[Path], Any], list[str]]] = {
    "no folder": (shutil.rmtree, ["copy: no such checkpoint folder", "`stallscan train`"]),
    "no card": (
        lambda d: (d / "model.json").unlink(),
        [CARD_FILE, "missing (the folder holds weights.safetensors)", "point --model at"],
    ),
    "empty folder": (
        lambda d: [path.unlink() for path in d.iterdir()],
        [CARD_FILE, "the folder holds nothing", "point --model at"],
    ),
    "not JSON": (
        write("model.json", b"{'name'"),
        [CARD_FILE, "is not a JSON object (", "export the model anew"],
    ),
    "not text": (write("model.json", b"\xff\xfe\x00"), [CARD_FILE, "is not a JSON object ("]),
    "a list": (write("model.json", b"[1]"), [CARD_FILE, "is not a JSON object ("]),
    "a number": (write("model.json", b"7"), [CARD_FILE, "is not a JSON object ("]),
    "no format": (edit_card(format=...), [CARD_FILE, "has format None", "reads 1", "upgrade"]),
    "newer format": (edit_card(format=99), [CARD_FILE, "has format 99", "reads 1", "upgrade"]),
    "unknown field": (
        edit_card(colour="red"),
        [CARD_FILE, "is not a model card", "colour", "export the model anew"],
    ),
    "missing field": (
        edit_card(architecture=...),
        [CARD_FILE, "is not a model card", "architecture", "export the model anew"],
    ),
    "threshold above 1": (
        edit_card(threshold=1.2),
        [CARD_FILE, "threshold is 1.2", "0 to 1", "correct model.json"],
    ),
    "threshold below 0": (edit_card(threshold=-0.1), [CARD_FILE, "threshold is -0.1", "0 to 1"]),
    "threshold NaN": (edit_card(threshold=float("nan")), [CARD_FILE, "threshold is nan"]),
    "threshold text": (
        edit_card(threshold="half"),
        [CARD_FILE, "threshold is 'half'", "a number", "correct model.json"],
    ),
    "flips": (
        edit_card(flips=3),
        [CARD_FILE, "flips is 3", "1, 2, 4 and 8", "correct model.json"],
    ),
    "options": (edit_card(options=[3]), [CARD_FILE, "options is [3]", "correct model.json"]),
    "unknown network": (
        edit_card(architecture="resnet81"),
        [CARD_FILE, "unknown model 'resnet81'", "did you mean 'resnet18'", "upgrade stallscan"],
    ),
    "unknown option": (
        edit_card(options={"wide": 1}),
        [CARD_FILE, "model 'resnet18'", "wide", "correct model.json"],
    ),
    "no weights": (
        lambda d: (d / "weights.safetensors").unlink(),
        [WEIGHTS_FILE, "missing", "needs model.json and weights.safetensors"],
    ),
    "empty weights": (
        write("weights.safetensors", b""),
        [WEIGHTS_FILE, "is not a safetensors file (", "copy it anew"],
    ),
    "truncated weights": (
        truncate,
        [WEIGHTS_FILE, "is not a safetensors file (", "copy it anew"],
    ),
    "other width": (
        edit_card(options=OPTIONS | {"width": 0.125}),
        [WEIGHTS_FILE, "has shape (4,), needs (8,)", "belong to this model.json"],
    ),
    "missing weight": (
        edit_weights(lambda weights: weights.pop("layer1.0.conv1.weight")),
        [WEIGHTS_FILE, "1 weights do not fit resnet18 (layer1.0.conv1.weight is missing)"],
    ),
    "unexpected weight": (
        edit_weights(lambda weights: weights.update(extra=torch.zeros(1))),
        [WEIGHTS_FILE, "1 weights do not fit resnet18 (extra is unexpected)", "use the weights"],
    ),
    "NaN weight": (
        edit_weights(lambda weights: weights["bn1.weight"][0].fill_(float("nan"))),
        [WEIGHTS_FILE, "1 weights hold NaN or infinity (first bn1.weight)", "copy the file anew"],
    ),
    "infinite weight": (
        edit_weights(lambda weights: weights["fc.bias"].fill_(float("inf"))),
        [WEIGHTS_FILE, "1 weights hold NaN or infinity (first fc.bias)"],
    ),
}


@pytest.mark.parametrize("cause", DAMAGE)
def test_damage(cause: str, copy: Path) -> None:
    damage, expected = DAMAGE[cause]
    damage(copy)
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(copy)
    for part in expected:
        assert part in str(caught.value)


class Trap:
    """What an attacker pickles: unpickling it creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("writer", ["pickle", "torch"])
def test_a_pickle_is_never_opened(writer: str, copy: Path, tmp_path: Path) -> None:
    trap = Trap(tmp_path / "sprung")
    with (copy / "weights.safetensors").open("wb") as file:
        pickle.dump(trap, file) if writer == "pickle" else torch.save({"weight": trap}, file)
    with pytest.raises(CheckpointError, match=r"weights\.safetensors: is not a safetensors file"):
        load_checkpoint(copy)
    assert not (tmp_path / "sprung").exists()
    if writer == "pickle":  # the trap works
        pickle.loads((copy / "weights.safetensors").read_bytes())
        assert (tmp_path / "sprung").exists()


def test_the_card_is_read_without_the_weights(copy: Path) -> None:
    (copy / "weights.safetensors").unlink()
    assert read_card(copy) == CARD


@pytest.mark.parametrize("threshold", [0, 0.0, 1.0])
def test_thresholds_at_the_ends_are_allowed(copy: Path, threshold: float) -> None:
    edit_card(threshold=threshold)(copy)
    assert read_card(copy) == replace(CARD, threshold=threshold)
