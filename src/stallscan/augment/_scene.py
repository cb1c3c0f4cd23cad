"""What a draw may know of the targets that it will be applied to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from stallscan.augment._run import Names
    from stallscan.augment._transform import Params, Shape, Transform


@dataclass(frozen=True, eq=False)
class Scene:
    """The targets as those drawn so far will have made them.

    Attributes:
        start: ``(z, y, x)`` of the targets.
        targets: as they came into the call; none where a record is drawn from an extent alone.
        names: keys of images and of masks.
        steps: what has been drawn so far, from the outermost pipeline's first transform on.
        before: the scene that the last of them was drawn in.
    """

    start: Shape
    targets: Mapping[str, Any] = field(default_factory=dict)
    names: Names = (("image",), ("mask",))
    steps: tuple[tuple[Transform, Params], ...] = ()
    before: Scene | None = None

    def after(self, transform: Transform, params: Params) -> Scene:
        """The scene that one more transform makes."""
        steps = (*self.steps, (transform, params))
        return Scene(self.start, self.targets, self.names, steps, self)

    @cached_property
    def shape(self) -> Shape:
        """``(z, y, x)`` by now; nobody asks for it after the last transform."""
        if self.before is None:
            return self.start
        transform, params = self.steps[-1]
        return transform.out_shape(params, self.before.shape)

    @property
    def image(self) -> NDArray[Any] | None:
        """The first image as it is by now, or None; what was drawn before is carried out on it."""
        return self._seen(self.names[0])

    @property
    def mask(self) -> NDArray[Any] | None:
        """The first mask, as `image`."""
        return self._seen(self.names[1])

    def _seen(self, keys: tuple[str, ...]) -> NDArray[Any] | None:
        from stallscan.augment._run import run, shape_of

        key = next((key for key in keys if self.targets.get(key) is not None), None)
        if key is None:
            return None
        if not self.steps:
            return np.asarray(self.targets[key])
        targets = {key: self.targets[key]}
        found: NDArray[Any] = run(self.steps, shape_of(targets, self.names), targets, self.names)[
            key
        ]
        return found
