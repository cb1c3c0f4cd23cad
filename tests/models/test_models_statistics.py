"""Running statistics of batch normalisation, estimated anew."""

from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from stallscan.errors import OptionError
from stallscan.models import Network, create_model, load_weights, recalibrate_bn


@pytest.fixture
def model() -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv3d(1, 4, 3), nn.BatchNorm3d(4, momentum=0.3), nn.Dropout(0.5), nn.Conv3d(4, 2, 1)
    )
    model[1](torch.randn(2, 4, 3, 3, 3) + 5)
    return model


def batches(n: int = 3) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(2, 1, 5, 6, 7, generator=generator) + index for index in range(n)]


def test_statistics_are_the_mean_over_batches(model: nn.Sequential) -> None:
    model.train()
    model[2].eval()
    weights = {key: value.clone() for key, value in model.named_parameters()}
    assert recalibrate_bn(model, batches()) == 3
    with torch.no_grad():
        seen = [model[0](batch) for batch in batches()]
    axes = (0, 2, 3, 4)
    mean = torch.stack([x.mean(axes) for x in seen]).mean(0)
    variance = torch.stack([x.var(axes) for x in seen]).mean(0)
    torch.testing.assert_close(model[1].running_mean, mean)
    torch.testing.assert_close(model[1].running_var, variance)
    assert model[1].num_batches_tracked == 3
    assert model[1].momentum == 0.3
    assert [module.training for module in model] == [True, True, False, True]
    assert all(torch.equal(value, weights[key]) for key, value in model.named_parameters())
    assert all(p.grad is None for p in model.parameters())


def test_loaders_of_tuples(model: nn.Sequential) -> None:
    recalibrate_bn(model, batches())
    plain = model[1].running_mean.clone()
    assert recalibrate_bn(model, [(batch, torch.zeros(2)) for batch in batches()], "cpu") == 3
    assert torch.equal(model[1].running_mean, plain)


def test_statistics_are_those_without_dropout() -> None:
    model = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm3d(1)).train()
    recalibrate_bn(model, batches(1))
    torch.testing.assert_close(model[1].running_mean, batches(1)[0].mean().reshape(1))


class Moving(Tensor):
    """A batch that notes where it is moved."""

    moved: ClassVar[list[Any]] = []

    def to(self, *args: Any, **options: Any) -> Tensor:
        self.moved.append(args)
        return super().to(*args, **options)


def test_batches_are_moved_and_no_gradient_is_prepared(model: nn.Sequential) -> None:
    prepared = []
    model.register_forward_hook(lambda module, args, out: prepared.append(out.requires_grad))
    assert recalibrate_bn(model, [batch.as_subclass(Moving) for batch in batches()], "cpu") == 3
    assert Moving.moved == [("cpu",)] * 3
    assert prepared == [False] * 3


def torn(error: BaseException) -> Iterator[Tensor]:
    yield batches()[0]
    raise error


@pytest.mark.parametrize(
    ("loader", "error"),
    [
        ([], OptionError),
        (torn(OSError("disk gone")), OSError),
        (torn(KeyboardInterrupt("stopped")), KeyboardInterrupt),
    ],
)
def test_what_fails_loses_nothing(
    model: nn.Sequential, loader: object, error: type[BaseException]
) -> None:
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(error, match=r"no batch|disk gone|stopped"):
        recalibrate_bn(model, loader)  # type: ignore[arg-type]
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert model[1].momentum == 0.3
    assert model.training


def test_a_network_without_statistics() -> None:
    norm = nn.BatchNorm3d(2, track_running_stats=False)
    with pytest.raises(OptionError, match="Sequential has no batch normalisation with running"):
        recalibrate_bn(nn.Sequential(norm), batches())


@torch.no_grad()
def test_averaged_activations_get_their_scale_back() -> None:
    """Where slices differ, averaged kernels cancel a part of them."""
    torch.manual_seed(1)
    flat = create_model("resnet18", rank=2, in_channels=1, width=0.125)
    deep = create_model("resnet18", in_channels=1, width=0.125, depth_padding="replicate")
    images, clips = torch.randn(32, 1, 64, 64), []
    for image in images[:12]:
        frames = [image]
        for _ in range(31):  # of correlation 0.95 with the one before
            frames.append(0.95 * frames[-1] + (1 - 0.95**2) ** 0.5 * torch.randn_like(image))
        clips.append(torch.stack(frames, 1))
    recalibrate_bn(flat, [images])
    load_weights(deep, flat, mode="average")

    def scale(model: Network, x: Tensor) -> float:
        return float(model.eval().forward_features(x).square().mean().sqrt())

    expected = scale(flat, images)
    assert scale(deep, torch.stack(clips)) < 0.9 * expected
    recalibrate_bn(deep, [torch.stack(clips)])
    assert scale(deep, torch.stack(clips)) == pytest.approx(expected, rel=0.03)
