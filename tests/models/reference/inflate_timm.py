"""Inflate networks of timm, which this project did not write, and say what came of it.

Run in the environment of ``make.py``, with lazy-loader in it and this project's sources beside::

    PYTHONPATH=src reference-venv/bin/python tests/models/reference/inflate_timm.py

It writes ``inflate_timm.json`` beside itself: for each network its family (timm's file), its number
of parameters, and either the largest difference from the 2D network on still clips, relative to the
largest logit, once with the depth as y and once with the depth kept, or why it was refused. The
computation is in double precision, so that a difference is another network and not rounding.

Weights are timm's initial ones of a fixed seed, nothing is fetched. Norms and scales are drawn
anew, away from the identity, and the statistics of batch normalisation are those of random
pictures, so that signals neither fade nor grow; ``spread`` says how much the logits of two pictures
differ.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from stallscan.errors import OptionError
from stallscan.models import inflate_module

NAMES = (
    *("resnet26d", "resnext26ts", "wide_resnet50_2", "seresnet18", "ecaresnet26t", "resnetblur18"),
    *("skresnet18", "resnest14d", "resnetv2_50", "resnetv2_50x1_bit", "legacy_seresnet18"),
    *("res2net50_26w_4s", "res2next50", "regnetx_002", "regnety_002", "regnetz_b16"),
    *("densenet121", "rdnet_tiny", "dpn68", "dla34", "hrnet_w18_small", "darknet53"),
    *("cspresnet50", "cs3darknet_s", "gernet_s", "repvgg_a0", "mobileone_s0", "selecsls42"),
    *("vovnet39a", "ese_vovnet19b_dw", "hgnetv2_b0", "inception_v3", "inception_v4"),
    *("inception_resnet_v2", "legacy_xception", "xception41"),
    *("mobilenetv2_100", "mobilenetv3_small_100", "mobilenetv4_conv_small", "mnasnet_small"),
    *("mixnet_s", "efficientnet_b0", "tf_efficientnet_lite0", "tf_efficientnetv2_b0", "fbnetc_100"),
    *(
        "ghostnet_100",
        "ghostnetv2_100",
        "repghostnet_050",
        "hardcorenas_a",
        "tinynet_e",
        "lcnet_050",
    ),
    *(
        "rexnet_100",
        "nf_resnet50",
        "eca_nfnet_l0",
        "dm_nfnet_f0",
        "convnext_atto",
        "convnextv2_atto",
    ),
    *("inception_next_atto", "convmixer_768_32", "poolformer_s12", "convformer_s18", "fastvit_t8"),
    *("focalnet_tiny_srf", "mambaout_femto", "starnet_s1", "repvit_m0_9", "vgg11_bn", "tresnet_m"),
    *("gcresnet33ts", "halonet26t", "botnet26t_256", "lambda_resnet26t", "bat_resnext26ts"),
    *("mobilevit_xxs", "mobilevitv2_050", "edgenext_xx_small", "efficientformer_l1", "levit_128s"),
    *("efficientvit_b0", "coatnet_nano_rw_224", "maxvit_nano_rw_256", "caformer_s18", "pvt_v2_b0"),
    *(
        "vit_tiny_patch16_224",
        "deit_tiny_patch16_224",
        "swin_tiny_patch4_window7_224",
        "xcit_nano_12_p8_224",
    ),
    *("mixer_s32_224", "gmlp_s16_224", "resmlp_12_224", "visformer_tiny", "sequencer2d_s"),
)
SIZES = {"inception_v": 80, "inception_resnet": 80, "convmixer": 32}
"""Extents of the pictures, and the depth of the clips, where 64 are too few or too many."""
KEPT = 3
"""Slices of the thin clips."""


def main() -> None:
    """Write the file into the script's folder, or as the path that is named."""
    path = Path(__file__).with_suffix(".json")
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else path
    versions = {module.__name__: module.__version__ for module in (torch, timm)}
    networks = {name: outcome(name) for name in sorted(NAMES)}
    found = {"versions": versions, "kept": KEPT, "networks": networks}
    path.write_text(json.dumps(found, indent=1) + "\n")


@torch.no_grad()
def outcome(name: str) -> dict[str, Any]:
    """What came of a network."""
    torch.manual_seed(0)
    flat = timm.create_model(name).double()
    size = next((size for key, size in SIZES.items() if key in name), 64)
    pictures = torch.randn(8, 3, size, size, dtype=torch.float64)
    draw_anew(flat)
    said: dict[str, Any] = {
        "family": timm.models.model_entrypoint(name).__module__.rpartition(".")[2],
        "parameters": sum(parameter.numel() for parameter in flat.parameters()),
    }
    try:
        inflate_module(flat)
    except OptionError as error:
        return said | {"refused": str(error)}
    measure_norms(flat, pictures)
    logits, other = flat.eval()(pictures[:2])
    said["size"] = size
    said["spread"] = relative(other, logits)
    for key, depth, keep_depth in (("difference", size, False), ("difference_kept", KEPT, True)):
        deep, report = inflate_module(flat, keep_depth=keep_depth)
        assert not report.missing
        clip = pictures[:1].unsqueeze(2).expand(-1, -1, depth, -1, -1)
        said[key] = relative(deep(clip)[0], logits)
    return said


def draw_anew(flat: nn.Module) -> None:
    """Norms and scales away from the identity."""
    for key, parameter in flat.named_parameters():
        if key.endswith("bias"):
            nn.init.normal_(parameter, std=0.2)
        elif parameter.ndim == 1:
            nn.init.uniform_(parameter, 0.5, 1.5)


def measure_norms(flat: nn.Module, pictures: Tensor) -> None:
    """Give batch normalisation the statistics of pictures."""
    norms = [module for module in flat.modules() if isinstance(module, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    flat.train()(pictures)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def relative(found: Tensor, expected: Tensor) -> float:
    """The largest difference, relative to the largest value, with two digits."""
    difference = (found - expected).abs().max() / expected.abs().max()
    return float(f"{difference.item():.1e}")


if __name__ == "__main__":
    main()
