"""ONNX files: ONNX Runtime computes what PyTorch does, for every family and option."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from stallscan.errors import OptionError, StallscanError
from stallscan.models import create_model, export
from stallscan.models.export import export_onnx
from stallscan.models.graph import OPSET

SIZE = (33, 40, 37)
CASES = [
    ("resnet18", {"pool": "max"}),
    ("resnet50", {"depth_padding": "replicate", "in_channels": 1}),
    ("resnext50_32x4d", {"stride": (1, 2, 2)}),
    ("wide_resnet50_2", {"num_classes": 4, "checkpointing": True}),
    ("seresnet50", {"head": "paper"}),
    ("senet154", {"stride": [2, (1, 2, 2), 2, 2, 2]}),
    ("legacy_seresnet18", {}),  # its pooling hangs over the end
    ("legacy_seresnet101", {"pool": "max", "depth_padding": "replicate"}),
    ("densenet121", {"head": "paper", "depth_padding": "replicate"}),
    ("densenet121", {"num_classes": 0, "stride": (1, 2, 2)}),
    ("mobilenetv2_100", {"depth_padding": "replicate", "pool": "max"}),
    ("densenet121", {"rank": 2}),
    ("vgg11_bn", {"head": "paper"}),
    ("efficientnet_b0", {"pool": "max", "depth_padding": "replicate"}),
    ("convnext_tiny", {"stride": [2, 1, (1, 2, 2), 2, 2], "depth_padding": "replicate"}),
    ("r2plus1d_18", {"stride": 2, "in_channels": 1}),
]


def run(path: Path, x: torch.Tensor) -> torch.Tensor:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(["logits"], {"input": x.numpy()})[0])


@pytest.mark.parametrize(("name", "options"), CASES)
def test_onnx_runtime_computes_the_same(name: str, options: dict[str, Any], tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = create_model(name, width=0.125, **options)
    size = SIZE[-model.options.rank :]
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.momentum = 1.0
    with torch.no_grad():  # with a new network's statistics all inputs look alike to it
        model(torch.randn(4, model.options.in_channels, *size))
    model.eval()
    path = tmp_path / "network.onnx"
    assert export_onnx(model, path, size) is not None
    x = torch.randn(3, model.options.in_channels, *size)
    with torch.no_grad():
        all_expected, all_exact = model(x), copy.deepcopy(model).double()(x.double())
    assert all_exact.std(0).max() > 0.002
    for n in (1, 3):
        expected, exact = all_expected[:n], all_exact[:n]
        rounding = (expected - exact).abs().max().item()
        assert rounding < 1e-3  # these random networks enlarge it
        found = run(path, x[:n]).double()
        torch.testing.assert_close(found, exact, atol=1e-5 + 4 * rounding, rtol=0)


def test_names_axes_and_operators_are_as_documented(tmp_path: Path) -> None:
    model = create_model("resnet18", width=0.125, num_classes=5, in_channels=2)
    for batch_size, first in ((None, "n"), (4, 4)):
        path = tmp_path / f"{batch_size}.onnx"
        export_onnx(model, path, SIZE, batch_size=batch_size)
        file = onnx.load(path)
        (given,), (made,) = file.graph.input, file.graph.output
        assert (given.name, made.name) == ("input", "logits")
        shapes = [
            [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
            for value in (given, made)
        ]
        assert shapes == [[first, 2, *SIZE], [first, 5]]
        assert [opset.version for opset in file.opset_import] == [OPSET]


def test_the_model_stays_in_training_and_nothing_warns(tmp_path: Path) -> None:
    model = create_model("resnet18", width=0.125, depth_padding="replicate", head="paper").train()
    model.layer1.eval()
    modes = [module.training for module in model.modules()]
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        export_onnx(model, tmp_path / "network.onnx", SIZE)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    x = torch.rand(1, 3, *SIZE)
    with torch.no_grad():
        torch.testing.assert_close(run(tmp_path / "network.onnx", x), model.eval()(x))


def test_half_precision_is_written_as_float32(tmp_path: Path) -> None:
    model = create_model("resnet18", width=0.125).half()
    export_onnx(model, tmp_path / "network.onnx", SIZE)
    assert model.fc.weight.dtype == torch.float16
    assert run(tmp_path / "network.onnx", torch.rand(1, 3, *SIZE)).dtype == torch.float32


@pytest.mark.parametrize("wrong", [0.02, float("nan")])
def test_a_file_that_computes_something_else_is_not_kept(
    wrong: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = onnxruntime.InferenceSession

    class Wrong:
        def __init__(self, *args: object, **kwargs: object) -> None:
            self.session = original(*args, **kwargs)

        def run(self, *args: object) -> list[np.ndarray]:
            return [self.session.run(*args)[0] + np.float32(wrong)]

    monkeypatch.setattr(onnxruntime, "InferenceSession", Wrong)
    path = tmp_path / "network.onnx"
    path.write_bytes(b"the old file")
    model = create_model("resnet18", width=0.125)
    with pytest.raises(
        StallscanError, match=r"network.onnx: not written, .* differ .* by (0.0\d+|nan),"
    ):
        export_onnx(model, path, SIZE)
    assert path.read_bytes() == b"the old file" and list(tmp_path.iterdir()) == [path]
    assert export_onnx(model, path, SIZE, verify=False) is None
    onnx.checker.check_model(onnx.load(path))
    assert list(tmp_path.iterdir()) == [path]


def test_a_network_that_enlarges_rounding_is_let_through_by_its_own_measure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = create_model("resnet18", width=0.125)
    monkeypatch.setattr(export, "TOLERANCE", 0.0)
    assert export_onnx(model, tmp_path / "network.onnx", SIZE) is not None
    monkeypatch.setattr(export, "ROUNDING", 0.0)
    with pytest.raises(StallscanError, match="differ from the network's"):
        export_onnx(model, tmp_path / "network.onnx", SIZE)


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime"])
def test_without_the_packages(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = export.importlib.util.find_spec
    monkeypatch.setattr(
        export.importlib.util, "find_spec", lambda name: None if name == missing else find(name)
    )
    model = create_model("resnet18", width=0.125)
    if missing == "onnxruntime":
        assert export_onnx(model, tmp_path / "network.onnx", SIZE) is None
        assert (tmp_path / "network.onnx").is_file()
    else:
        with pytest.raises(StallscanError, match="pip install onnx"):
            export_onnx(model, tmp_path / "network.onnx", SIZE)


def test_what_cannot_be_exported(tmp_path: Path) -> None:
    path = tmp_path / "network.onnx"
    model = create_model("resnet18", width=0.125)
    with pytest.raises(OptionError, match="input is 40×37, allowed are 3 axes"):
        export_onnx(model, path, SIZE[1:])
    with pytest.raises(OptionError, match="batch_size is 0, allowed are whole numbers from 1"):
        export_onnx(model, path, SIZE, batch_size=0)
    with torch.device("meta"):
        huge = create_model("wide_resnet101_2", width=1.5)
    with pytest.raises(
        OptionError, match=r"network.onnx: ResNet has 2.\d\d GiB .* lower the width"
    ):
        export_onnx(huge, path, SIZE)
    with pytest.raises(StallscanError, match=r"absent/network.onnx: cannot be written \(No such"):
        export_onnx(model, tmp_path / "absent/network.onnx", SIZE)
    assert not list(tmp_path.iterdir())
