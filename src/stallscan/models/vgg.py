"""VGG with batch normalisation (Simonyan and Zisserman 2014), with torchvision's layout and names.

Its classifier is a matrix from the 7×7 places of the last feature map of a picture of 224×224. It
has no form for volumes of other extents, so that the head here follows global pooling; of
published weights the convolutions load, and the classifier is skipped.
"""

from __future__ import annotations

from torch import Tensor, nn

from stallscan.models._layers import Window
from stallscan.models._network import Network
from stallscan.models._stage import Blocks
from stallscan.models.options import NetworkOptions

CHANNELS = (64, 128, 256, 512, 512)
"""Of each stage (the article's table 1)."""


class StagesInARow(nn.Sequential, Blocks):
    """Layers numbered through, of which each pooling ends a stage."""

    def forward(self, x: Tensor) -> Tensor:
        """``(n, c, [z,] y, x)`` through all layers."""
        stage: list[nn.Module] = []
        for layer in self:
            if not self.checkpointing:
                x = layer(x)
                continue
            stage.append(layer)
            if isinstance(layer, nn.MaxPool2d | nn.MaxPool3d):
                x = self.run(nn.Sequential(*stage), x)
                stage = []
        return x


class VGG(Network):
    """3×3 convolutions in five stages, each of which ends with pooling.

    Args:
        options: rank, channels, strides, head.
        layers: convolutions in each stage.
    """

    windows = (Window(2, 0),) * 5
    head_name = "classifier"
    stem_name = "features.0.weight"

    def __init__(self, options: NetworkOptions, *, layers: tuple[int, int, int, int, int]) -> None:
        super().__init__(options)
        make, n_in = self.make, options.in_channels
        modules: list[nn.Module] = []
        levels = []
        for stage, (n_layers, width) in enumerate(zip(layers, CHANNELS, strict=True)):
            channels = options.scaled(width)
            for _ in range(n_layers):
                conv = make.conv(n_in, channels, 3, bias=True)
                modules += [conv, make.batch_norm(channels), nn.ReLU(inplace=True)]
                n_in = channels
            levels.append((f"features.{len(modules)}", channels, stage + 1))
            modules.append(make.max_pool(2, self.strides[stage], 0))
        self.features = StagesInARow(*modules)
        self.finish(levels)

    def extract(self, x: Tensor) -> Tensor:
        """``(n, c, [z,] y, x)`` → the last feature volume."""
        features: Tensor = self.features(x)
        return features
