"""First weights: fetched once and checked, or read from a file, never run; no network is needed."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import pickle
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from loopback import COMMIT, Publisher, publisher
from safetensors.torch import load_file, save, save_file
from torch import Tensor, nn

from stallscan.errors import CheckpointError, OptionError
from stallscan.models import ModelCard, create_model, list_models, save_checkpoint
from stallscan.models.pretrained import initial_weights, weights_of
from stallscan.models.published import PUBLISHED, Weights
from stallscan.models.registry import MODELS

TINY = {"rank": 2, "width": 0.0625, "num_classes": 5}
PUBLISHERS = json.loads((Path(__file__).parent / "reference" / "weights_urls.json").read_text())
LICENCES = {"BSD-3-Clause", "Apache-2.0"}
ON_HUB, BY_URL = "seresnet50", "resnet18"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(scope="module")
def tensors() -> dict[str, Tensor]:
    """The weights of a tiny resnet18."""
    torch.manual_seed(0)
    return create_model("resnet18", **TINY).state_dict()


def as_pytorch(content: object, zipped: bool = True) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    return file.getvalue()


def same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> bool:
    return found.keys() == expected.keys() and all(
        torch.equal(found[key], tensor) for key, tensor in expected.items()
    )


# --- The table --------------------------------------------------------------------------------


def test_every_network_has_weights() -> None:
    assert list(PUBLISHED) == list_models()
    assert {weights.name for weights in PUBLISHED.values()} == set(PUBLISHED)


@pytest.mark.parametrize("name", list_models())
def test_the_table_is_the_publishers(name: str) -> None:
    """As torchvision and timm themselves say; `make_weights_urls.py` tells how they were asked."""
    weights, trainings = weights_of(name), PUBLISHERS["networks"][name]
    theirs = trainings[weights.tag]
    assert weights.source == theirs["source"]
    assert weights.url_or_id == theirs["address"]
    assert weights.mean == tuple(theirs["mean"])
    assert weights.std == tuple(theirs["std"])
    assert weights.licence in LICENCES
    if weights.source == "timm":
        assert weights.licence.lower() == theirs["licence"]
    else:
        has_twin = MODELS[name].family.has_twin
        assert weights.tag == ("IMAGENET1K_V1" if has_twin else "KINETICS400_V1")
        with torch.device("meta"):
            model = create_model(
                name, rank=2 if has_twin else 3, num_classes=1000 if has_twin else 400
            )
        n_parameters = sum(p.numel() for p in model.parameters())
        n_others = 0
        if name.startswith("vgg"):  # three layers in place of one
            n_others = 25088 * 4096 + 4096 * 4096 + 4096 * 1000 + 2 * 4096 - 512 * 1000
        elif name == "inception_v3":  # the second head, with its convolutions and norms
            n_others = 768 * 128 + 128 * 768 * 25 + 768 * 1000 + 1000 + 2 * (128 + 768)
        assert n_parameters + n_others == theirs["n_parameters"]


@pytest.mark.parametrize("name", list_models())
def test_every_file_can_be_checked_and_fetched_by_hand(name: str) -> None:
    weights = weights_of(name)
    assert weights.url.startswith("https://")
    assert weights.url.endswith(f"/{weights.file}")
    if weights.on_hub:
        assert weights.url_or_id in weights.url
        assert weights.file == "model.safetensors"
    else:
        assert len(weights.sha256_prefix) == 8
        assert weights.file.endswith(f"-{weights.sha256_prefix}.pth")


def test_the_table_needs_no_torch() -> None:
    code = (
        "import sys; from stallscan.models.pretrained import weights_of; "
        "print(weights_of('senet154').licence, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["Apache-2.0", "False"]


def test_a_network_without_weights() -> None:
    with pytest.raises(OptionError) as caught:
        weights_of("resnet81")
    for part in ("'resnet81'", "resnet18", "pretrained=PATH"):
        assert part in str(caught.value)


# --- Fetching ---------------------------------------------------------------------------------


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")
    with publisher() as server:
        yield server


@pytest.fixture
def url_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where torch keeps what it fetched."""
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    return tmp_path / "hub" / "checkpoints"


@pytest.fixture
def file_by_url(
    server: Publisher, url_cache: Path, tensors: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> Weights:
    """`BY_URL` with a tiny file on the loopback instead of the real one."""
    data = as_pytorch(tensors)
    file = f"resnet18-{sha256(data)[:8]}.pth"
    server.files[f"/models/{file}"] = data
    weights = dataclasses.replace(weights_of(BY_URL), url_or_id=f"{server.url}/models/{file}")
    monkeypatch.setitem(PUBLISHED, BY_URL, weights)
    return weights


def test_a_file_by_url_is_fetched_once(
    file_by_url: Weights,
    server: Publisher,
    url_cache: Path,
    tensors: dict[str, Tensor],
    capsys: pytest.CaptureFixture[str],
) -> None:
    found, provenance = initial_weights(BY_URL, "imagenet")
    assert same(found, tensors)
    data = server.files[f"/models/{file_by_url.file}"]
    assert (url_cache / file_by_url.file).read_bytes() == data
    assert provenance == {
        "source": file_by_url.url_or_id,
        "publisher": "torchvision",
        "tag": "IMAGENET1K_V1",
        "file": file_by_url.file,
        "sha256": sha256(data),
        "licence": "BSD-3-Clause",
        "trained_on": "ImageNet-1k",
        "preprocessing": {
            "channels": "RGB",
            "range": [0, 1],
            "mean": [0.485, 0.456, 0.406],
            "std": [0.229, 0.224, 0.225],
        },
    }
    assert json.loads(json.dumps(provenance)) == provenance
    assert capsys.readouterr() == ("", "")  # no progress where nobody looks
    server.files.clear()
    again, provenance_again = initial_weights(BY_URL, "imagenet")
    assert same(again, tensors)
    assert provenance_again == provenance
    assert server.n_fetched() == 1


def test_progress_on_a_terminal(
    file_by_url: Weights, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    initial_weights(BY_URL, "imagenet")
    out, err = capsys.readouterr()
    assert "100%" in err
    assert out == ""


def test_a_network_gets_them(
    file_by_url: Weights, tensors: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The file served is of a narrow network, which would be refused before anything is fetched.
    monkeypatch.setattr("stallscan.models.registry._check_pretrained", lambda *_: None)
    model = create_model(BY_URL, pretrained="imagenet", **TINY)
    assert same(model.state_dict(), tensors)
    assert model.pretrained["source"] == file_by_url.url_or_id
    deep = create_model(BY_URL, pretrained="imagenet", width=TINY["width"], in_channels=1)
    stem = deep.state_dict()["conv1.weight"]
    torch.testing.assert_close(stem.sum(2, keepdim=False), tensors["conv1.weight"].sum(1, True))
    assert deep.pretrained["inflated"] == 20


def test_a_network_of_videos_gets_those_of_videos(
    server: Publisher, url_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    whole = create_model("r2plus1d_18", num_classes=400)
    assert sum(parameter.numel() for parameter in whole.parameters()) == 31_505_325  # torchvision's
    data = as_pytorch(whole.state_dict())
    file = f"r2plus1d_18-{sha256(data)[:8]}.pth"
    server.files[f"/models/{file}"] = data
    published = dataclasses.replace(
        weights_of("r2plus1d_18"), url_or_id=f"{server.url}/models/{file}"
    )
    monkeypatch.setitem(PUBLISHED, "r2plus1d_18", published)
    model = create_model("r2plus1d_18", pretrained="kinetics", in_channels=1)
    stem = whole.state_dict()["stem.0.weight"].sum(1, keepdim=True)
    torch.testing.assert_close(model.state_dict()["stem.0.weight"], stem)
    assert model.pretrained["trained_on"] == "Kinetics-400"
    assert model.pretrained["preprocessing"]["mean"] == [0.43216, 0.394666, 0.37645]
    with pytest.raises(OptionError, match="were trained on Kinetics-400; set pretrained='kinet"):
        create_model("r2plus1d_18", pretrained="imagenet")


def test_a_damaged_file_in_the_cache_is_fetched_anew(
    file_by_url: Weights,
    server: Publisher,
    url_cache: Path,
    tensors: dict[str, Tensor],
    caplog: pytest.LogCaptureFixture,
) -> None:
    data = server.files[f"/models/{file_by_url.file}"]
    url_cache.mkdir(parents=True)
    (url_cache / file_by_url.file).write_bytes(data[: len(data) // 2])
    assert same(initial_weights(BY_URL, "imagenet")[0], tensors)
    assert (url_cache / file_by_url.file).read_bytes() == data
    for part in (str(url_cache / file_by_url.file), sha256(data[: len(data) // 2]), "anew"):
        assert part in caplog.text


def test_many_at_once(file_by_url: Weights, url_cache: Path, tensors: dict[str, Tensor]) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(initial_weights, [BY_URL] * 8, ["imagenet"] * 8))
    assert all(same(weights, tensors) for weights, _ in found)
    assert [path.name for path in url_cache.iterdir()] == [file_by_url.file]


def refused(pretrained: str | Path, *parts: object, name: str = BY_URL) -> str:
    """The message of a refusal, which has all these parts."""
    with pytest.raises(CheckpointError) as caught:
        initial_weights(name, pretrained)
    for part in parts:
        assert str(part) in str(caught.value)
    return str(caught.value)


def test_another_file_behind_the_url(
    file_by_url: Weights, server: Publisher, url_cache: Path
) -> None:
    server.files[f"/models/{file_by_url.file}"] = b"<html>Please log in</html>"
    refused(
        "imagenet",
        file_by_url.url,
        sha256(b"<html>Please log in</html>"),
        f"begins with {file_by_url.sha256_prefix}",
        "pretrained=PATH",
        url_cache,
    )
    assert list(url_cache.iterdir()) == []


def test_a_transfer_that_breaks_off(
    file_by_url: Weights, server: Publisher, url_cache: Path
) -> None:
    server.sent = 0.5
    refused("imagenet", file_by_url.url, "pretrained=PATH", url_cache)
    assert list(url_cache.iterdir()) == []


def test_not_there(file_by_url: Weights, server: Publisher) -> None:
    server.files.clear()
    refused("imagenet", file_by_url.url, "cannot be fetched (HTTP Error 404", "pretrained=PATH")


def closed_port() -> str:
    with publisher() as server:
        return server.url


def test_offline(file_by_url: Weights, url_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"{closed_port()}/{file_by_url.file}"
    monkeypatch.setitem(PUBLISHED, BY_URL, dataclasses.replace(file_by_url, url_or_id=url))
    message = refused(
        "imagenet", url, "cannot be fetched", "refused", "pretrained=PATH", f"into {url_cache}"
    )
    assert "damaged" not in message
    (url_cache / file_by_url.file).write_bytes(b"half")
    refused("imagenet", url, "the file in the cache is damaged", sha256(b"half"))


def test_the_remedies_of_the_offline_message(
    file_by_url: Weights,
    server: Publisher,
    url_cache: Path,
    tensors: dict[str, Tensor],
    tmp_path: Path,
) -> None:
    """The file by hand, elsewhere or in the cache, is as good, and is known for what it is."""
    by_hand = tmp_path / "from_a_colleague.pth"
    by_hand.write_bytes(server.files[f"/models/{file_by_url.file}"])
    found, provenance = initial_weights(BY_URL, by_hand)
    url_cache.mkdir(parents=True)
    (url_cache / file_by_url.file).write_bytes(by_hand.read_bytes())
    cached, cached_provenance = initial_weights(BY_URL, "imagenet")
    assert same(found, tensors)
    assert same(cached, tensors)
    assert provenance == cached_provenance | {"file": by_hand.name}
    assert provenance["licence"] == "BSD-3-Clause"
    assert server.n_fetched() == 0


def test_a_file_of_that_name_alone_is_not_that_file(
    file_by_url: Weights, tensors: dict[str, Tensor], tmp_path: Path
) -> None:
    path = tmp_path / file_by_url.file
    path.write_bytes(as_pytorch({"other": torch.zeros(2)}))
    _, provenance = initial_weights(BY_URL, path)
    assert provenance == {
        "source": path.name,
        "file": path.name,
        "sha256": sha256(path.read_bytes()),
    }


def test_a_cache_that_cannot_be_written(file_by_url: Weights, url_cache: Path) -> None:
    url_cache.parent.write_text("a file where a folder should be")
    refused("imagenet", file_by_url.url, "cannot be fetched", url_cache)


# --- The Hugging Face hub ---------------------------------------------------------------------


@pytest.fixture
def hub(
    server: Publisher, tensors: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Publisher:
    """A hub on the loopback that has `ON_HUB`, and an empty cache."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    template = "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.url + template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    server.files[FILE_ON_HUB] = save(tensors)
    return server


FILE_ON_HUB = f"/{weights_of(ON_HUB).url_or_id}/resolve/main/model.safetensors"


def test_a_file_on_the_hub_is_fetched_once(hub: Publisher, tensors: dict[str, Tensor]) -> None:
    found, provenance = initial_weights(ON_HUB, "imagenet")
    assert same(found, tensors)
    assert provenance["source"] == "timm/seresnet50.ra2_in1k"
    assert provenance["publisher"] == "timm"
    assert provenance["tag"] == "ra2_in1k"
    assert provenance["revision"] == COMMIT
    assert provenance["file"] == "model.safetensors"
    assert provenance["sha256"] == sha256(save(tensors))
    assert provenance["licence"] == "Apache-2.0"
    assert json.loads(json.dumps(provenance)) == provenance
    assert initial_weights(ON_HUB, "imagenet")[1] == provenance
    assert hub.requests.count(f"GET {FILE_ON_HUB}") == 1


def test_the_hub_is_down(
    hub: Publisher, tensors: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # the client tries for 23 s
    template = "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", closed_port() + template)
    refused(
        "imagenet",
        "timm/seresnet50.ra2_in1k: model.safetensors cannot be fetched",
        "Connection refused",
        "https://huggingface.co/timm/seresnet50.ra2_in1k/resolve/main/model.safetensors",
        "pretrained=PATH",
        name=ON_HUB,
    )
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + template)
    initial_weights(ON_HUB, "imagenet")
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", closed_port() + template)
    found, provenance = initial_weights(ON_HUB, "imagenet")  # of the cache
    assert same(found, tensors)
    assert provenance["revision"] == COMMIT


def test_not_on_the_hub(hub: Publisher) -> None:
    hub.files.clear()
    refused("imagenet", "seresnet50.ra2_in1k", "cannot be fetched", "404", name=ON_HUB)


def test_a_damaged_file_in_the_hubs_cache(hub: Publisher, tmp_path: Path) -> None:
    initial_weights(ON_HUB, "imagenet")
    (blob,) = (tmp_path / "hf").glob("*/blobs/*")
    blob.write_bytes(blob.read_bytes()[:-1])
    refused(
        "imagenet",
        blob.resolve(),
        sha256(blob.read_bytes()),
        f"needed is {blob.name}",
        "delete this file",
        name=ON_HUB,
    )
    blob.unlink()
    initial_weights(ON_HUB, "imagenet")


def test_without_the_hubs_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    refused(
        "imagenet",
        "timm/seresnet50.ra2_in1k",
        "huggingface_hub",
        "pip install 'stallscan[train]'",
        "pretrained=PATH",
        name=ON_HUB,
    )


# --- Files ------------------------------------------------------------------------------------


def write_half(tensors: dict[str, Tensor], path: Path) -> None:
    torch.save({k: t.half() if t.is_floating_point() else t for k, t in tensors.items()}, path)


WRITERS: dict[str, Callable[[dict[str, Tensor], Path], Any]] = {
    "weights.safetensors": lambda tensors, path: save_file(tensors, path),
    "weights.pth": lambda tensors, path: path.write_bytes(as_pytorch(tensors)),
    "before_zip.pth": lambda tensors, path: path.write_bytes(as_pytorch(tensors, zipped=False)),
    "parameters.pt": lambda tensors, path: torch.save(
        {k: nn.Parameter(t) if t.is_floating_point() else t for k, t in tensors.items()}, path
    ),
    "state_dict.tar": lambda tensors, path: torch.save(
        {"epoch": 3, "state_dict": tensors, "best": 0.9}, path
    ),
    "model.bin": lambda tensors, path: torch.save({"model": tensors, "args": ["a"]}, path),
    "both.bin": lambda tensors, path: torch.save({"state_dict": {"model": tensors}}, path),
}


@pytest.mark.parametrize("file", WRITERS)
def test_files(file: str, tensors: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / file
    WRITERS[file](tensors, path)
    for given in (path, str(path)):
        found, provenance = initial_weights(BY_URL, given)
        assert same(found, tensors)
        assert not any(tensor.requires_grad for tensor in found.values())
        assert provenance == {"source": file, "file": file, "sha256": sha256(path.read_bytes())}


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.module._orig_mod."])
def test_prefixes_that_all_names_share(
    prefix: str, tensors: dict[str, Tensor], tmp_path: Path
) -> None:
    file = tmp_path / "prefixed.pth"
    prefixed = {prefix + key: value for key, value in tensors.items()}
    torch.save(prefixed, file)
    assert same(initial_weights(BY_URL, file)[0], tensors)
    torch.save(prefixed | {"other": torch.zeros(1)}, file)
    assert prefixed.keys() < initial_weights(BY_URL, file)[0].keys()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_every_precision_comes_as_single(dtype: torch.dtype, tmp_path: Path) -> None:
    save_file({"weight": torch.tensor([1 / 3], dtype=dtype)}, tmp_path / "one.safetensors")
    found, _ = initial_weights(BY_URL, tmp_path / "one.safetensors")
    assert found["weight"].dtype == torch.float32
    assert found["weight"].item() == torch.tensor(1 / 3, dtype=dtype).float().item()


CARD = ModelCard(
    name="mine",
    architecture="resnet18",
    options=TINY,
    preprocessing={"size": [8, 32, 32]},
    training={"data": "phantom"},
    licence="CC-BY-4.0",
)


def test_a_checkpoint_folder(tensors: dict[str, Tensor], tmp_path: Path) -> None:
    model = create_model("resnet18", **TINY)
    model.load_state_dict(tensors)
    save_checkpoint(model, CARD, tmp_path / "mine")
    path = tmp_path / "mine" / "weights.safetensors"
    found, provenance = initial_weights(BY_URL, tmp_path / "mine")
    stored = load_file(path)
    assert {tensor.dtype for tensor in found.values()} == {torch.float32, torch.int64}
    assert all(torch.equal(found[key], stored[key].to(found[key])) for key in stored)
    assert provenance == {
        "source": "mine",
        "model": "mine",
        "architecture": "resnet18",
        "file": "weights.safetensors",
        "sha256": sha256(path.read_bytes()),
        "licence": "CC-BY-4.0",
        "trained_on": "phantom",
        "preprocessing": {"size": [8, 32, 32]},
    }
    again = create_model("resnet18", pretrained=tmp_path / "mine", **TINY)
    assert same(again.state_dict(), found)


# --- Refused ----------------------------------------------------------------------------------


class Trap:
    """What an attacker pickles: unpickling it creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def zipped(content: bytes) -> bytes:
    """A PyTorch file with this pickle."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", content)
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", "little")
    return file.getvalue()


TRAPS: dict[str, Callable[[Trap], bytes]] = {
    "among weights": lambda trap: as_pytorch({"weight": torch.zeros(2), "trap": trap}),
    "before zip": lambda trap: as_pytorch({"state_dict": {"trap": trap}}, zipped=False),
    "alone": lambda trap: zipped(pickle.dumps(trap, protocol=2)),
    "plain pickle": pickle.dumps,
    "plain pickle 2": lambda trap: pickle.dumps(trap, protocol=2),
}


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("kind", TRAPS)
def test_nothing_in_a_file_is_run(kind: str, suffix: str, tmp_path: Path) -> None:
    trap = Trap(tmp_path / "sprung")
    path = tmp_path / f"trap{suffix}"
    path.write_bytes(TRAPS[kind](trap))
    message = refused(path, path)
    assert not trap.path.exists()
    assert "weights_only" not in message  # torch's advice to switch the safety off
    if suffix == ".pth" and not kind.startswith("plain"):
        for part in (f"holds {os.mkdir.__module__}.mkdir", "running code", "model.state_dict()"):
            assert part in message
        torch.load(path, weights_only=False)  # the trap works
        assert trap.path.exists()


NOT_WEIGHTS: dict[str, tuple[Callable[[], bytes], list[str]]] = {
    "empty.pth": (lambda: b"", ["is not a PyTorch file of weights (EOFError", "anew"]),
    "text.pth": (lambda: b"hello world\n" * 9, ["is not a PyTorch file of weights (", "anew"]),
    "noise.pth": (
        lambda: np.random.default_rng(0).bytes(5000),
        ["is not a PyTorch file of weights (", "anew"],
    ),
    "text.safetensors": (lambda: b"hello world\n" * 9, ["is not a safetensors file (", "anew"]),
    "torch.safetensors": (
        lambda: as_pytorch({"a": torch.zeros(2)}),
        ["is not a safetensors file (", "anew"],
    ),
    "half.safetensors": (
        lambda: save({"a": torch.zeros(999)})[:2000],
        ["is not a safetensors file (", "anew"],
    ),
    "half.pth": (
        lambda: as_pytorch({"a": torch.zeros(9999)})[:20_000],
        ["is not a PyTorch file of weights (", "anew"],
    ),
    "half_before_zip.pth": (
        lambda: as_pytorch({"a": torch.zeros(9999)}, zipped=False)[:20_000],
        ["is not a PyTorch file of weights (", "unexpected EOF"],
    ),
    "calls.pth": (  # what an empty dict gives when it is called with 1
        lambda: zipped(b"\x80\x02}K\x01\x85R."),
        ["is not a PyTorch file of weights (UnpicklingError: ", "anew"],
    ),
    "builds.pth": (  # an empty dict with the state 1
        lambda: zipped(b"\x80\x02}K\x01b."),
        ["is not a PyTorch file of weights (UnpicklingError)", "anew"],
    ),
    "network.pth": (
        lambda: as_pytorch(nn.Linear(2, 2)),
        ["holds torch.nn.modules.linear.Linear", "allowed are tensors", "model.state_dict()"],
    ),
    "list.pth": (
        lambda: as_pytorch([torch.zeros(2)]),
        ["holds a list", "a dict of tensors", "model.state_dict()"],
    ),
    "tensor.pth": (lambda: as_pytorch(torch.zeros(2)), ["holds a Tensor", "a dict of tensors"]),
    "nothing.pth": (lambda: as_pytorch({}), ["holds an empty dict", "a dict of tensors"]),
    "nothing.safetensors": (lambda: save({}), ["holds an empty dict", "a dict of tensors"]),
    "empty_state.pth": (lambda: as_pytorch({"state_dict": {}}), ["holds an empty dict"]),
    "numbers.pth": (
        lambda: as_pytorch({"a": torch.zeros(2), "epoch": 3}),
        ["'epoch' is int", "allowed are dense tensors", "model.state_dict()"],
    ),
    "keys.pth": (lambda: as_pytorch({3: torch.zeros(2)}), ["3 is", "tensors by name"]),
    "nan.pth": (
        lambda: as_pytorch({"a": torch.tensor([0, float("nan")])}),
        ["'a' holds NaN or infinity", "finite numbers", "anew"],
    ),
    "infinite.safetensors": (
        lambda: save({"a": torch.tensor([0, float("inf")])}),
        ["'a' holds NaN or infinity"],
    ),
    "sparse.pth": (
        lambda: as_pytorch({"a": torch.zeros(3).to_sparse()}),
        ["'a' is", "torch.sparse_coo", "allowed are dense tensors"],
    ),
    "meta.pth": (lambda: as_pytorch({"a": torch.zeros(3, device="meta")}), ["'a' is", "on meta"]),
    "complex.pth": (lambda: as_pytorch({"a": torch.zeros(3) * 1j}), ["'a' is", "complex64"]),
}


@pytest.mark.parametrize("file", NOT_WEIGHTS)
def test_what_is_not_weights(file: str, tmp_path: Path) -> None:
    make, parts = NOT_WEIGHTS[file]
    path = tmp_path / file
    path.write_bytes(make())
    message = refused(path, f"{path}: ", *parts)
    assert "weights_only" not in message
    assert "safe_globals" not in message


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_any_damage_is_named(tensors: dict[str, Tensor], tmp_path: Path) -> None:
    """Bytes that flip anywhere give weights or a CheckpointError, nothing else."""
    rng = np.random.default_rng(0)
    for zipped in (True, False):
        whole = as_pytorch({key: tensors[key] for key in list(tensors)[:8]}, zipped=zipped)
        for trial in range(60):
            data = np.frombuffer(whole, np.uint8).copy()
            places = rng.integers(len(data) if trial % 2 else 600, size=4)
            data[places] = rng.integers(256, size=4)
            path = tmp_path / "damaged.pth"
            path.write_bytes(data.tobytes())
            try:
                initial_weights(BY_URL, path)
            except CheckpointError as error:
                assert str(path) in str(error)


@pytest.mark.parametrize("pretrained", ["no/such/file.pth", "ImageNet"])
def test_no_such_file(pretrained: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    refused(pretrained, pretrained, '"imagenet"', ".safetensors", "checkpoint folder")


def test_folders_that_are_none(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    refused(folder, folder / "model.json", "the folder holds nothing", "weights.safetensors")
    (folder / "weights.safetensors").write_bytes(save({"a": torch.zeros(2)}))
    refused(folder, folder / "model.json", "the folder holds weights.safetensors")
    (folder / "model.json").write_text("{}")
    refused(folder, folder / "model.json", "format None")
    (folder / "weights.safetensors").unlink()
    refused(folder, folder / "weights.safetensors: missing", "the folder holds model.json")


def test_weights_of_another_network_are_refused_by_name(
    tensors: dict[str, Tensor], tmp_path: Path
) -> None:
    torch.save(tensors, tmp_path / "tiny18.pth")
    with pytest.raises(CheckpointError, match=r"tiny18\.pth: .* of its weights do not fit"):
        create_model("resnet34", pretrained=tmp_path / "tiny18.pth", **TINY)
