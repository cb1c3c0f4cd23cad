"""What is known of tensors and numbers while a 2D module is traced, and their stand-ins."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor, fx, nn

from stallscan.models.inflation import Mode

if TYPE_CHECKING:
    from stallscan.models.conversion.recorder import Recorder

Sizes = tuple[int | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inflation:
    """How a 2D module becomes 3D; see `stallscan.models.inflate_module`."""

    mode: Mode
    in_channels: int | None
    keep_depth: bool
    depth_padding: Literal["zeros", "replicate"]


@dataclass(frozen=True, slots=True)
class Parts:
    """What the 3D module is made of; both runs of a module fill the same.

    Attributes:
        found: layers and tensors that are not the 2D module's own, by their names.
        inflated: names of the kernels that were made 3D.
        kernels: 2D and 3D, by the identity of a parameter, which may have several names.
    """

    found: dict[str, nn.Module | Tensor] = field(default_factory=dict)
    inflated: set[str] = field(default_factory=set)
    kernels: dict[Any, tuple[Tensor, Tensor]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a tensor, in the terms of the 2D module.

    Attributes:
        axes: a letter each: "y" and "x" of the picture, "t" all positions in a row, "f" positions
            and channels in a row, "." any other. In 3D a z comes right before each y.
        sizes: extents, where they are known. The only y that counts as known is 1; its z is 1, too.
        constant: the value, if it follows from parameters and buffers alone.
        sources: their names.
        raw: whether it is the module's input, or that input cropped, resampled or rescaled.
    """

    axes: str
    sizes: Sizes
    constant: Tensor | None = None
    sources: frozenset[str] = frozenset()
    raw: bool = False

    @property
    def is_picture(self) -> bool:
        """Whether it is ``(n, c, y, x)``."""
        return self.axes == "..yx"

    @property
    def is_point(self) -> bool:
        """Whether it is a picture of one position."""
        return self.is_picture and self.sizes[2:] == (1, 1)

    @property
    def is_flat(self) -> bool:
        """Whether it has no positions, and so is the same in 3D."""
        return not self.axes.strip(".")

    def axis(self, dim: int) -> int:
        """A dimension, counted from the front."""
        if not -len(self.axes) <= dim < len(self.axes):
            raise IndexError(f"dimension {dim} of a tensor that has {len(self.axes)}")
        return dim % len(self.axes)

    def deep_axis(self, dim: int) -> int:
        """Where a dimension is in 3D."""
        return len(self.axes[: self.axis(dim) + 1].replace("y", "zy")) - 1

    def deep_axes(self, dims: Any) -> tuple[int, ...]:
        """Where some are in 3D, z with y."""
        places = ((self.deep_axis(dim), self.axes[dim]) for dim in dims)
        return tuple(
            axis for place, letter in places for axis in range(place - (letter == "y"), place + 1)
        )

    def made(self, axes: str, sizes: Sizes, *, raw: bool = False) -> Known:
        """Of a tensor that was made of this one."""
        return Known(axes, sizes, raw=raw and self.raw)

    def same(self) -> Known:
        """Of a tensor of the same shape that was made of this one, each value of one."""
        return self.made(self.axes, self.sizes, raw=True)

    def resized(self) -> Known:
        """Of a picture of other extents that was made of this one, channel by channel."""
        return self.made(self.axes, (*self.sizes[:2], None, None), raw=True)

    def without(self, dims: Any) -> Known:
        """Less some axes."""
        kept = [axis for axis in range(len(self.axes)) if axis not in dims]
        axes = "".join(self.axes[axis] for axis in kept)
        return self.made(axes, tuple(self.sizes[axis] for axis in kept))

    def with_size(self, axis: int, size: int | None) -> Known:
        """With another extent of an axis."""
        return self.made(self.axes, (*self.sizes[:axis], size, *self.sizes[axis + 1 :]))


class Number(fx.Proxy):
    """Stands in for a number that follows from the extents of tensors.

    Attributes:
        extent: the axis whose extent it is, "yx" for the product of two; empty for other sums.
        of: the tensor whose extent it is.
        along: the axes that it depends on.
        depth: what the same sum gives along z; None where that is not known.
    """

    def __init__(
        self,
        node: fx.Node,
        trace: Recorder,
        *,
        extent: str = "",
        along: str = "",
        of: fx.Node | None = None,
    ) -> None:
        super().__init__(node, trace)
        self.extent = extent
        self.of = of
        self.along = along
        self.depth: Number | None = None if along else self


class Stand(fx.Proxy):
    """Stands in for a tensor, and says that it is one.

    Attributes:
        known: what is known of it.
    """

    tracer: Any

    def __init__(self, node: fx.Node, trace: Recorder, known: Known) -> None:
        super().__init__(node, trace)
        self.known = known

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """For ``isinstance(x, torch.Tensor)``, which must not take the wrong branch."""
        return Tensor

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # nn.Parameter asks whether it is one
            raise AttributeError(name)
        if inspect.isdatadescriptor(getattr(Tensor, name, None)):
            return self.tracer.attribute(self, name)
        return super().__getattr__(name)

    # fx would write `x += y` as `x = x + y`, which other names of x would not see.

    def __iadd__(self, other: object) -> Any:
        return self.tracer.create_proxy("call_method", "add_", (self, other), {})

    def __isub__(self, other: object) -> Any:
        return self.tracer.create_proxy("call_method", "sub_", (self, other), {})

    def __imul__(self, other: object) -> Any:
        return self.tracer.create_proxy("call_method", "mul_", (self, other), {})

    def __itruediv__(self, other: object) -> Any:
        return self.tracer.create_proxy("call_method", "div_", (self, other), {})
