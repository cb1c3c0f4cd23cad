"""What a draw may know of the targets that it will be applied to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

if TYPE_CHECKING:
    from stallscan.augment._run import Names
    from stallscan.augment._transform import Params, Shape, Transform


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """The targets as those drawn so far will have made them.

    Attributes:
        shape: ``(z, y, x)``.
        targets: as they came into the call; none where a record is drawn from an extent alone.
        names: keys of images and of masks.
        steps: what has been drawn so far, from the outermost pipeline's first transform on.
    """

    shape: Shape
    targets: Mapping[str, Any] = field(default_factory=dict)
    names: Names = (("image",), ("mask",))
    steps: tuple[tuple[Transform, Params], ...] = ()

    def after(self, transform: Transform, params: Params) -> Scene:
        """The scene that one more transform makes."""
        shape = transform.out_shape(params, self.shape)
        return Scene(shape, self.targets, self.names, (*self.steps, (transform, params)))

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
        targets = {key: self.targets[key]}
        found: NDArray[Any] = run(self.steps, shape_of(targets, self.names), targets, self.names)[
            key
        ]
        return found
