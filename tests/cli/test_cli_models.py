"""``stallscan models``: the list, one network, a name that there is not."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest
import torch

from stallscan.cli import main
from stallscan.models import NetworkOptions, create_model, list_models
from stallscan.models.cost import cost
from stallscan.models.footprint import estimate_memory
from stallscan.models.pretrained import weights_of


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["models", *arguments]) == 0
    return capsys.readouterr().out


def test_the_list_has_every_network_with_cost_weights_and_licence(
    capsys: pytest.CaptureFixture[str],
) -> None:
    heading, *lines = printed(capsys).splitlines()
    rows = {line.split()[0]: line for line in lines[: len(list_models())]}
    assert list(rows) == list_models()
    assert rows["densenet121"].split()[1:4] == ["11.3", "M", "40.8"]
    for name, row in rows.items():
        weights = weights_of(name)
        columns = row[heading.index("weights") :]
        assert columns.split() == [weights.source, weights.tag, weights.licence]
        assert columns.index(weights.licence) == heading.index("licence") - heading.index("weights")
    assert "3×96×128×128" in lines[-1]
    assert max(map(len, (heading, *lines))) <= 100


def test_the_list_needs_no_torch() -> None:
    code = (
        "import sys\nfrom stallscan.cli import main\nassert main(['models']) == 0\n"
        "assert main(['models', 'nothing']) == 2\n"
        "assert not {'torch', 'numpy.random', 'pandas', 'numba', 'cv2'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_one_network_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(
        capsys,
        *("resnet18", "--size", "32,64,48", "--in-channels", "2", "--batch-size", "4"),
    )
    with torch.device("meta"):
        model = create_model("resnet18", in_channels=2)
    size = (32, 64, 48)
    found = cost(model, size)
    flat = " ".join(text.split())
    training = estimate_memory(model, size, 4, training=True, optimizer_states=2)
    assert text.startswith("resnet18: A residual network.\n")
    for part in (
        f"parameters {found.n_parameters:,}; {found.n_values:,} values",
        f"cost {found.macs / 1e9:.1f} GMACs for a volume of 2×32×64×48",
        f"memory {estimate_memory(model, size) / 2**30:.2g} GiB for one volume, "
        f"{training / 2**30:.2g} GiB for training with Adam on batches of 4",
        "smallest input 1×1×1",
        *(f"{info.name} {info.channels} {info.reduction[0]}×" for info in model.feature_info),
        f"URL {weights_of('resnet18').url_or_id}",
        f"licence {weights_of('resnet18').licence}",
        "RGB in [0, 1], minus (0.485, 0.456, 0.406), divided by (0.229, 0.224, 0.225)",
    ):
        assert part in flat
    assert max(map(len, text.splitlines())) <= 100


def test_every_option_has_default_and_meaning(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "mobilenetv2_100", "--size", "32,32,32")
    options = text.partition("\nOptions of create_model('mobilenetv2_100', …)\n")[2]
    found = {line.split()[0]: line for line in options.splitlines() if line[2:3] != " "}
    defaults = {field.name: field.default for field in dataclasses.fields(NetworkOptions)}
    defaults |= {"pretrained": None, "inflate": "center"}
    assert found.keys() == defaults.keys()
    for name, line in found.items():
        start, _, meaning = line.partition(f" {defaults[name]!r} ")
        assert start.split() == [name] and meaning.strip(), line


def test_weights_of_the_hub_are_named_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "seresnet50", "--size", "32,32,32")
    weights = weights_of("seresnet50")
    assert f"Hugging Face hub {weights.url_or_id}" in " ".join(text.split())
    assert f"minus {weights.mean}, divided by {weights.std}" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["densnet121"], "unknown model 'densnet121'; did you mean 'densenet121'? choose from res"),
        (["DenseNet121"], "did you mean 'densenet121'?"),
        (["qqq"], "unknown model 'qqq'; choose from resnet18, "),
        (["densenet121", "--size", "9,64,64"], "input is 9×64×64, allowed are"),
        (["resnet18", "--in-channels", "0"], "in_channels is 0, allowed are whole numbers from 1"),
        (["resnet18", "--batch-size", "0"], "batch_size is 0, allowed are whole numbers from 1"),
    ],
)
def test_wrong_usage(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", *arguments]) == 2
    captured = capsys.readouterr()
    assert message in captured.err and not captured.out
