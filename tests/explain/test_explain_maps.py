"""The maps of a network: the paper's, Grad-CAM, occlusion; and the way back to the ROI."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import nn

from stallscan.augment.evaluation import Preprocessing, preprocess
from stallscan.errors import OptionError
from stallscan.explain import attention, grad_cam, occlusion
from stallscan.explain._network import enlarged, output_of
from stallscan.explain.attention import moments, to_rgb
from stallscan.explain.back import to_roi
from stallscan.models import create_model
from stallscan.models._network import Network
from stallscan.models.registry import list_models
from stallscan.roi.volume import Volume
from stallscan.types import Box


def network(name: str = "resnet18", **options: object) -> Network:
    torch.manual_seed(0)
    return create_model(name, in_channels=3, **{"width": 0.0625, **options})  # type: ignore[arg-type]


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def hooks_of(model: nn.Module) -> int:
    return sum(len(module._forward_hooks) for module in model.modules())


# --- The paper's ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "size", "expected"),
    [
        ("resnet18", (128, 160, 160), (4, 5, 5)),
        ("resnet18", (320, 400, 400), (10, 13, 13)),
        ("densenet121", (320, 400, 400), (10, 12, 12)),
    ],
)
def test_sizes_of_the_last_features_are_those_of_section_5(
    name: str, size: tuple[int, int, int], expected: tuple[int, int, int]
) -> None:
    with torch.device("meta"):
        model = create_model(name)
        features = model.forward_features(torch.empty(1, 3, *size))
    assert tuple(features.shape[2:]) == expected == model.feature_size(size)


def test_the_paper_s_loops_and_our_arrays_give_the_same() -> None:
    features = noise(7, 2, 3, 4)
    found = moments(torch.from_numpy(features))
    out = np.moveaxis(features, 0, -1)
    looped = np.zeros((2, 3, 4, 3))
    for i, j, k in np.ndindex(2, 3, 4):
        looped[i, j, k, 0] = out[i, j, k, :].max()
        looped[i, j, k, 1] = out[i, j, k, :].mean()
        looped[i, j, k, 2] = out[i, j, k, :].std()
    for map_, column in zip(found, (2, 0, 1), strict=True):  # its pictures: std, max, mean
        np.testing.assert_allclose(map_.numpy(), looped[..., column], rtol=1e-5, atol=1e-6)


def test_the_strongest_is_the_brightest() -> None:
    """The winner's script has it the other way round."""
    model = network()
    features = torch.zeros(1, 512, 2, 3, 3)
    features[0, :10, 1, 2, 0] = 5.0
    model.extract = lambda x: features  # type: ignore[method-assign]
    heat = attention(model, noise(3, 64, 96, 96))
    assert heat.shape == (64, 96, 96, 3) and heat.dtype == np.float32
    for channel in np.moveaxis(heat, -1, 0):
        z, y, x = np.unravel_index(channel.argmax(), channel.shape)
        assert z >= 32 and y >= 64 and x < 32
        assert channel.max() == pytest.approx(1) and channel[0].max() == 0
    assert to_rgb(heat).max() == 255


def test_features_without_structure_have_no_heat() -> None:
    model = network()
    model.extract = lambda x: torch.ones(1, 512, 2, 3, 3)  # type: ignore[method-assign]
    assert not attention(model, noise(3, 64, 96, 96)).any()


# --- Of a class -------------------------------------------------------------------------------


def test_grad_cam_of_a_linear_head_is_its_weighted_features() -> None:
    model = network(num_classes=1).eval()
    inputs = noise(3, 64, 96, 64)
    with torch.no_grad():
        features = model.forward_features(torch.from_numpy(inputs)[None])[0]
        expected = torch.einsum("c,czyx->zyx", model.head.weight[0], features).relu()
    assert expected.max() > 0
    last = model.feature_info[-1].name
    heat = grad_cam(model, inputs, layer=last)
    corners = heat[16::32, 16::32, 16::32]  # between the middles of two voxels: near the voxel
    assert heat.shape == (64, 96, 64) and corners.shape == expected.shape
    np.testing.assert_allclose(
        nn.functional.adaptive_avg_pool3d(torch.from_numpy(heat)[None], expected.shape)[0].argmax(),
        expected.argmax(),
    )
    against = grad_cam(model, inputs, layer=last, stalled=False)
    both = np.minimum(heat, against)
    assert both.max() < 0.5  # what speaks for one does not speak for the other


def test_the_default_level_leaves_something_to_see() -> None:
    model = network(stride=[[1, 2, 2], [2, 2, 1], 2, 2, 2])
    inputs = noise(3, 64, 80, 16)
    deepest = grad_cam(model, inputs, layer="layer4")
    chosen = grad_cam(model, inputs)
    np.testing.assert_array_equal(chosen, grad_cam(model, inputs, layer="layer2"))
    assert not np.array_equal(chosen, deepest)


def test_occlusion_finds_what_the_answer_hangs_on() -> None:
    model = network()
    where = np.s_[:, 0, 24:32, 40:60, 8:24]
    model.forward = lambda x: x[where].mean(dim=(1, 2, 3))[:, None]  # type: ignore[method-assign]
    inputs = np.zeros((3, 48, 80, 32), np.float32)
    inputs[where[1:]] = 1.0
    heat = occlusion(model, inputs, window=(8, 20, 8))
    assert heat.shape == (48, 80, 32)
    z, y, x = np.unravel_index(heat.argmax(), heat.shape)
    assert 24 <= z < 32 and 40 <= y < 60 and 8 <= x < 24
    assert heat[:12].max() == 0 and heat[40:].max() == 0
    assert not occlusion(model, inputs, window=(8, 20, 8), stalled=False).any()
    with pytest.raises(OptionError, match=r"window is \(99, 1, 1\), allowed are three extents"):
        occlusion(model, inputs, window=(99, 1, 1))


MAPS: dict[str, Callable[..., np.ndarray]] = {
    "attention": attention,
    "grad_cam": grad_cam,
    "occlusion": occlusion,
}


@pytest.mark.parametrize("name", list_models())
def test_every_network_of_the_zoo_has_maps(name: str) -> None:
    model = network(name).train()
    model.head.requires_grad_(False)
    before = [(module, module.training) for module in model.modules()]
    state = {key: value.clone() for key, value in model.state_dict().items()}
    size = tuple(map(max, (32, 32, 32), model.smallest_size()))
    inputs = noise(3, *size)
    for word, make in MAPS.items():
        if word == "occlusion" and name != "resnet18":
            continue  # many passes, and nothing of the network but its answer
        heat = make(model, inputs)
        assert heat.shape[:3] == size and np.isfinite(heat).all()
        assert heat.min() >= 0 and heat.max() <= 1 + 1e-6
        assert hooks_of(model) == 0
        assert all(module.training is mode for module, mode in before)
        assert all(parameter.grad is None for parameter in model.parameters())
        trained = {n: p.requires_grad for n, p in model.named_parameters()}
        assert not any(trained[n] for n in trained if model.is_head(n)) and any(trained.values())
    assert all(torch.equal(state[key], value) for key, value in model.state_dict().items())


def test_modes_and_hooks_come_back_after_an_error() -> None:
    model = network().train()
    with pytest.raises(OptionError, match=r"layer is 'layer9', resnet18 has the levels relu, lay"):
        grad_cam(model, noise(3, 32, 32, 32), layer="layer9")
    thin = network("densenet121")
    with pytest.raises(OptionError, match=r"input is 4×32×32, allowed are 3 axes"):
        attention(thin, noise(3, 4, 32, 32))
    with pytest.raises(OptionError, match=r"shape \(1, 3, 32, 32, 32\), needed are \(c, z, y, x\)"):
        attention(model, noise(1, 3, 32, 32, 32))
    assert model.training and hooks_of(model) == 0


# --- Back to the ROI --------------------------------------------------------------------------


def volume_of(shape: tuple[int, int, int] = (20, 60, 90)) -> Volume:
    mask = np.zeros(shape[1:], bool)
    mask[20:40, 5:85] = True
    rough = np.random.default_rng(0).normal(128, 400, shape)
    array = gaussian_filter(rough, (0, 2, 2)).clip(0, 255).astype(np.uint8)
    return Volume(
        array=array[..., None],
        mask=mask,
        line=np.zeros_like(mask),
        box=Box(0, 0, 0, *shape),
        source="test",
    )


def test_a_box_is_stretched_back() -> None:
    heat = np.zeros((10, 30, 30), np.float32)
    heat[7, 10, 20] = 1
    back = to_roi(heat, volume_of(), Preprocessing(size=(10, 30, 30)))
    assert back.shape == (20, 60, 90)
    z, y, x = np.unravel_index(back.argmax(), back.shape)
    assert (z // 2, y // 2, x // 3) == (7, 10, 20)


def test_a_vessel_s_view_is_bent_back() -> None:
    volume = volume_of()
    seen = Preprocessing(size=(20, 64, 16), channels=("grey",), view="vessel")
    straight = preprocess(volume, seen)[0]
    back = to_roi(straight, volume, seen)
    assert back.shape == (20, 60, 90)
    middle = back[:, :, 25:65]
    assert middle[:, 25:35].any()
    assert not middle[:, :17].any() and not middle[:, 43:].any()  # it did not look there
    again = preprocess(
        Volume(
            array=np.clip(128 + 40 * back, 0, 255).astype(np.uint8)[..., None],
            mask=volume.mask,
            line=volume.line,
            box=volume.box,
            source="test",
        ),
        seen,
    )[0]
    inner = np.s_[:, 8:-8, 3:-3]
    assert np.corrcoef(again[inner].ravel(), straight[inner].ravel())[0, 1] > 0.9
    colours = to_roi(np.stack([straight] * 3, axis=-1), volume, seen)
    np.testing.assert_allclose(colours[..., 1], back, atol=1e-6)


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "mobilenetv2_100", "seresnet50"])
def test_heat_lies_where_the_features_look(name: str) -> None:
    """One bright voxel: what it changes in a level must be put around it."""
    model = network(name, width=0.125).eval()
    for parameter in model.parameters():
        nn.init.constant_(parameter, 1 / parameter[0].numel() if parameter.ndim > 1 else 0.0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm3d):
            nn.init.ones_(module.weight)  # windows that look to all sides alike
    size = (48, 64, 80)
    inputs = torch.zeros(2, 3, *size)
    spots = np.array([(16, 16, 16), (24, 32, 40), (32, 48, 64)])
    for level in model.feature_info[:3]:
        off = []
        for z, y, x in spots:
            inputs[1] = 0
            inputs[1, :, z, y, x] = 50
            with torch.no_grad(), output_of(model.get_submodule(level.name)) as held:
                model(inputs)
            change = (held[0][1] - held[0][0]).abs().sum(dim=0, keepdim=True)
            heat = enlarged(change, size, model)[0] ** 2
            middle = [
                (heat.sum(axis=tuple({0, 1, 2} - {axis})) * np.arange(extent)).sum() / heat.sum()
                for axis, extent in enumerate(size)
            ]
            off.append(np.array(middle) - (z, y, x))
        reduction = np.array(level.reduction)
        assert (np.abs(np.mean(off, axis=0)) <= 0.1 * reduction).all(), (level.name, off)
