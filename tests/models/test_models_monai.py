"""The zoo's 3D networks against MONAI's, with the same weights.

MONAI builds the same ResNets, DenseNets and SE networks for volumes, from code of its own. Where
the two differ:

* MONAI's ResNets have a stem of stride 1 and biased shortcuts unless told otherwise; with
  ``conv1_t_stride=2`` and ``bias_downsample=False`` they are the same networks.
* MONAI's SE networks are the Caffe authors', as is our ``legacy_`` layout: the same networks. Our
  SE-ResNeXt and SENet-154 have timm's newer layout, whose pooling after the stem is padded by one
  voxel where the authors' hangs over the end instead; these are compared with MONAI's pooling put
  in that one place. Our ``seresnet50`` has its stride in another convolution and no counterpart.
* MONAI's squeezes are matrices where ours are convolutions with a kernel of 1.
* MONAI's EfficientNet pads as TensorFlow does, for one size of the input, which is given when it is
  built. At 33 every reduction meets an odd extent, and both pad alike.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from reference.weights import images, tensor
from torch import Tensor, nn

from stallscan.models import create_model

SAME = 1e-5
"""Of the largest logit."""
N_CLASSES = 10
SIZE = (33, 40, 37)
"""Halved five times, each axis is odd somewhere."""
BLOCK = r"(layer[1-4]\.\d+\.)"


# --- MONAI's networks, and where their weights stand in ours --------------------------------------


def resnet(name: str, **options: Any) -> nn.Module:
    from monai.networks import nets

    options = {"conv1_t_stride": 2, "bias_downsample": False} | options
    build = getattr(nets, name)
    return build(spatial_dims=3, n_input_channels=3, num_classes=N_CLASSES, **options)


def densenet(name: str) -> nn.Module:
    from monai.networks import nets

    return getattr(nets, name)(spatial_dims=3, in_channels=3, out_channels=N_CLASSES)


def senet(name: str) -> nn.Module:
    from monai.networks import nets

    return getattr(nets, name)(spatial_dims=3, in_channels=3, num_classes=N_CLASSES)


def efficientnet() -> nn.Module:
    from monai.networks.nets import efficientnet

    blocks = [
        *("r1_k3_s11_e1_i32_o16_se0.25", "r2_k3_s22_e6_i16_o24_se0.25"),
        *("r2_k5_s22_e6_i24_o40_se0.25", "r3_k3_s22_e6_i40_o80_se0.25"),
        *("r3_k5_s11_e6_i80_o112_se0.25", "r4_k5_s22_e6_i112_o192_se0.25"),
        "r1_k3_s11_e6_i192_o320_se0.25",
    ]  # repeats, kernel, stride, expansion, channels in and out, squeeze: the article's table 1
    return efficientnet.EfficientNet(
        blocks, spatial_dims=3, num_classes=N_CLASSES, image_size=33, norm=("batch", {"eps": 1e-5})
    )


Rule = tuple[tuple[str, str], ...]
"""Patterns in MONAI's names, and what stands for them in ours; the first that fits is taken."""

IDENTITY: Rule = ()
DENSENET: Rule = (
    (r"(denselayer\d+)\.layers\.", r"\1."),
    (r"^class_layers\.out\.", "classifier."),
)
SENET_BLOCKS: Rule = (
    (BLOCK + r"conv([123])\.conv\.", r"\1conv\2."),
    (BLOCK + r"conv([123])\.adn\.N\.", r"\1bn\2."),
    (BLOCK + r"project\.conv\.", r"\1downsample.0."),
    (BLOCK + r"project\.adn\.N\.", r"\1downsample.1."),
)
LEGACY_SENET: Rule = (
    *SENET_BLOCKS,
    (BLOCK + r"se_layer\.fc\.0\.", r"\1se_module.fc1."),
    (BLOCK + r"se_layer\.fc\.2\.", r"\1se_module.fc2."),
)
NEW_SENET: Rule = (
    *SENET_BLOCKS,
    (BLOCK + r"se_layer\.fc\.0\.", r"\1se.fc1."),
    (BLOCK + r"se_layer\.fc\.2\.", r"\1se.fc2."),
    (r"^last_linear\.", "fc."),
)
SERESNEXT: Rule = (*NEW_SENET, (r"^layer0\.(conv1|bn1)\.", r"\1."))
SENET154: Rule = (
    *NEW_SENET,
    (r"^layer0\.conv1\.", "conv1.0."),
    (r"^layer0\.bn1\.", "conv1.1."),
    (r"^layer0\.conv2\.", "conv1.3."),
    (r"^layer0\.bn2\.", "conv1.4."),
    (r"^layer0\.conv3\.", "conv1.6."),
    (r"^layer0\.bn3\.", "bn1."),
)
EFFICIENTNET_STAGES = (1, 2, 2, 3, 3, 4, 1)
"""Blocks, which MONAI counts through."""


def efficientnet_rule() -> Rule:
    """The first stage's blocks have no convolution that widens them."""
    rules = [
        *((r"^_conv_stem\.", "features.0.0."), (r"^_bn0\.", "features.0.1.")),
        *((r"^_conv_head\.", "features.8.0."), (r"^_bn1\.", "features.8.1.")),
        (r"^_fc\.", "classifier.1."),
    ]
    count = 0
    for stage, n_blocks in enumerate(EFFICIENTNET_STAGES):
        first = int(stage > 0)
        layers = {
            **{"_expand_conv": "0.0", "_bn0": "0.1"},
            **{"_depthwise_conv": f"{first}.0", "_bn1": f"{first}.1"},
            **{"_se_reduce": f"{first + 1}.fc1", "_se_expand": f"{first + 1}.fc2"},
            **{"_project_conv": f"{first + 2}.0", "_bn2": f"{first + 2}.1"},
        }
        for number in range(n_blocks):
            block = rf"^_blocks\.{stage}\.{count}\."
            ours = f"features.{stage + 1}.{number}.block."
            rules += [(rf"{block}{layer}\.", f"{ours}{name}.") for layer, name in layers.items()]
            count += 1
    return tuple(rules)


def our_name(key: str, rule: Rule) -> str:
    for pattern, ours in rule:
        if re.search(pattern, key):
            return re.sub(pattern, ours, key)
    return key


# --- Comparison -----------------------------------------------------------------------------------


@dataclass
class Pair:
    """The same network twice, with the same weights."""

    ours: nn.Module
    theirs: nn.Module

    def difference(self, size: Sequence[int] = SIZE) -> float:
        """Largest difference of logits, as a share of the largest logit."""
        x = torch.from_numpy(images((2, 3, *size)))
        with torch.no_grad():
            ours, theirs = self.ours(x), self.theirs(x)
        assert ours.shape == theirs.shape == (2, N_CLASSES)
        assert theirs.std() > 0.1
        assert (theirs[0] - theirs[1]).abs().max() > 100 * SAME * theirs.abs().max()
        return float((ours - theirs).abs().max() / theirs.abs().max())


def pair(name: str, theirs: Callable[[], nn.Module], rule: Rule, **options: Any) -> Pair:
    """Both networks, with the reference's weights under the names of each."""
    with torch.device("meta"):
        ours = create_model(name, num_classes=N_CLASSES, head="linear", **options)
        peer = theirs()
    wanted = {key: value.shape for key, value in peer.state_dict().items()}
    assert {our_name(key, rule) for key in wanted} == set(ours.state_dict())
    assert len(wanted) == len(ours.state_dict())
    weights = {
        key: torch.from_numpy(tensor(key, value.shape)) for key, value in ours.state_dict().items()
    }
    ours.load_state_dict(weights, assign=True)
    peer.load_state_dict(
        {key: as_theirs(weights[our_name(key, rule)], shape) for key, shape in wanted.items()},
        assign=True,
    )
    return Pair(ours.eval(), peer.eval())


def as_theirs(weight: Tensor, shape: torch.Size) -> Tensor:
    """The same, but a squeeze's kernel of 1 becomes a matrix."""
    if weight.shape == (*shape, 1, 1, 1):
        return weight.reshape(shape)
    assert weight.shape == shape
    return weight


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_resnet(name: str) -> None:
    assert pair(name, lambda: resnet(name), IDENTITY).difference() < SAME


@pytest.mark.parametrize("stem", [(1, 2, 2), (2, 1, 2), (1, 1, 1)])
def test_resnet_with_a_stride_of_the_stem_for_each_axis(stem: tuple[int, int, int]) -> None:
    networks = pair(
        "resnet18",
        lambda: resnet("resnet18", conv1_t_stride=stem),
        IDENTITY,
        stride=[stem, 2, 2, 2, 2],
    )
    assert networks.difference((17, 40, 37)) < SAME


@pytest.mark.parametrize("name", ["densenet121", "densenet169"])
def test_densenet(name: str) -> None:
    assert pair(name, lambda: densenet(name), DENSENET).difference() < SAME


@pytest.mark.parametrize(
    ("name", "theirs"),
    [("legacy_seresnet101", "SEResNet101"), ("legacy_seresnet152", "SEResNet152")],
)
def test_se_resnet_in_the_authors_layout(name: str, theirs: str) -> None:
    assert pair(name, lambda: senet(theirs), LEGACY_SENET).difference() < SAME


@pytest.mark.parametrize(
    ("name", "theirs", "rule"),
    [
        ("seresnext50_32x4d", "SEResNext50", SERESNEXT),
        pytest.param("seresnext101_32x4d", "SEResNext101", SERESNEXT, marks=pytest.mark.full),
        pytest.param("senet154", "SENet154", SENET154, marks=pytest.mark.full),
    ],
)
def test_se_networks_but_for_their_pooling(name: str, theirs: str, rule: Rule) -> None:
    networks = pair(name, lambda: senet(theirs), rule)
    assert networks.difference() > 100 * SAME
    networks.ours.maxpool = networks.theirs.get_submodule("layer0.pool")
    assert networks.difference() < SAME


def test_efficientnet_where_both_pad_alike() -> None:
    networks = pair("efficientnet_b0", efficientnet, efficientnet_rule())
    assert networks.difference((33, 33, 33)) < SAME
    networks.ours.features[2][0].block[1][0].padding = (0, 0, 0)  # of one convolution
    assert networks.difference((33, 33, 33)) > 100 * SAME
