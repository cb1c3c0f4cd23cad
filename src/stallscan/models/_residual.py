"""The four stages that ResNet and its relatives share."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from stallscan.models._network import Network
from stallscan.models._stage import Stage


class ResidualNetwork(Network):
    """A network of layer1 to layer4, each but the first of which begins with a stride."""

    layer1: Stage
    layer2: Stage
    layer3: Stage
    layer4: Stage

    def add_stages(
        self,
        block: Any,
        layers: tuple[int, int, int, int],
        n_in: int,
        *,
        shortcut_kernel: int = 1,
        **block_options: Any,
    ) -> list[tuple[str, int, int]]:
        """Build the stages.

        Args:
            block: class of all blocks: layers, channels in, channels, stride, shortcut → module.
            layers: blocks in each.
            n_in: channels that the stem gives.
            shortcut_kernel: of the shortcuts from the second stage on; the first one's is 1.
            **block_options: of each block.

        Returns:
            Their levels of features, for `finish`.
        """
        still = (1,) * self.options.rank
        levels = []
        for stage, stride in enumerate((still, *self.strides[2:])):
            channels = self.options.scaled(64 * 2**stage)
            n_out = channels * block.expansion
            shortcut = None
            if stage > 0 or n_in != n_out:
                kernel = shortcut_kernel if stage > 0 else 1
                shortcut = nn.Sequential(
                    self.make.conv(n_in, n_out, kernel, stride), self.make.batch_norm(n_out)
                )
            blocks = [block(self.make, n_in, channels, stride, shortcut, **block_options)]
            blocks += [
                block(self.make, n_out, channels, still, None, **block_options)
                for _ in range(layers[stage] - 1)
            ]
            name, n_in = f"layer{stage + 1}", n_out
            setattr(self, name, Stage(*blocks))
            levels.append((name, n_out, stage + 2))
        return levels

    def run_stages(self, x: Tensor) -> Tensor:
        """What the stem gives → the last feature volume."""
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
        return x
