"""Rules for shapes: what reorders, merges, joins or picks axes.

They follow the letters of `Known.axes`, and where a call names y, z is named with it.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from stallscan.models.conversion.known import Known, Number, Sizes, Stand
from stallscan.models.conversion.recorder import Recorder, Rule

KEEP_CHANNELS = "leave in_channels as they are"

# --- Shapes ---------------------------------------------------------------------------------------


def size(trace: Recorder, input: Stand, dim: int | None = None) -> Any:
    """The shape, or one extent."""
    return trace.shape(input) if dim is None else trace.shape(input)[dim]


def n_axes(trace: Recorder, input: Stand) -> int:
    """How many axes the 2D module's tensor has."""
    return len(input.known.axes)


def flatten(trace: Recorder, input: Stand, start_dim: int = 0, end_dim: int = -1) -> Stand:
    """Axes in a row: of channels, of positions, or of both."""
    known = input.known
    start, end = known.axis(start_dim), known.axis(end_dim)
    letters = known.axes[start : end + 1]
    is_flat = known.is_point or not letters.strip(".")
    letter = "." if is_flat else "t" if letters == "yx" else "f"
    first, last = known.deep_axes((start,))[0], known.deep_axis(end)
    merged = known.made(
        known.axes[:start] + letter + known.axes[end + 1 :],
        (*known.sizes[:start], None, *known.sizes[end + 1 :]),
    )
    return trace.emit(torch.flatten, input, first, last, known=merged)


def flatten_layer(trace: Recorder, layer: nn.Flatten, x: Stand) -> Stand:
    """torch's layer."""
    return flatten(trace, x, layer.start_dim, layer.end_dim)


def reshape(trace: Recorder, input: Stand, *sizes: Any, shape: Any = ()) -> Stand:
    """Of channels alone, or of all positions into a row."""
    known, wanted = input.known, _unpacked(sizes or shape)
    ends = [each.extent if isinstance(each, Number) else each for each in wanted]
    if known.is_picture and not known.is_point:
        if len(wanted) == 2 and _is_batch(*ends):
            return flatten(trace, input, 1)
        if len(wanted) == 3 and ends[0] == "." and (ends[2] == "yx" or -1 not in ends[:2]):
            if ends[1:] == [-1, "yx"]:
                return flatten(trace, input, 2)
            if ends[2] in (-1, "yx"):
                axes, extents, deep = _planned(trace, wanted[:2])
                in_row = known.made(axes + "t", (*extents, None))
                return trace.emit("reshape", input, (*deep, -1), known=in_row)
    axes, extents, deep = _planned(trace, wanted)
    keeps_picture = known.axes.endswith("yx") and ends[-2:] == ["y", "x"]
    if not (known.is_flat or known.is_point or keeps_picture):
        shown = ", ".join("…" if isinstance(each, Number) else str(each) for each in wanted)
        trace.refuse(f"it reshapes positions to ({shown}), whose meaning for volumes is not known")
    return trace.emit("reshape", input, deep, known=known.made(axes, extents))


def reshape_as(trace: Recorder, input: Stand, other: Stand) -> Stand:
    """To the shape of another tensor."""
    return reshape(trace, input, trace.shape(other))


def expand(trace: Recorder, input: Stand, *shape: Any) -> Stand:
    """Repeated along axes of extent 1."""
    known, wanted = input.known, _unpacked(shape)
    if known.is_picture and len(wanted) == 4:
        sizes = tuple(each if isinstance(each, int) and each > 0 else None for each in wanted[:2])
        deep: tuple[Any, ...] = (*wanted[:2], trace.depth_of(wanted[2]), *wanted[2:])
        return trace.emit("expand", input, deep, known=known.made("..yx", (*sizes, None, None)))
    axes, sizes, deep = _planned(trace, wanted)
    if not known.is_flat or axes.strip("."):
        trace.refuse("it expands positions in a way whose meaning for volumes is not known")
    return trace.emit("expand", input, deep, known=known.made(axes, sizes))


def new(target: Any) -> Rule:
    """A tensor that is made in forward, such as one random number for each sample."""

    def rule(trace: Recorder, *arguments: Any, **how: Any) -> Stand:
        like = [argument for argument in arguments if isinstance(argument, Stand)]
        axes, sizes, deep = _planned(trace, _unpacked(arguments[len(like) :]))
        return trace.emit(target, *like, deep, **how, known=Known(axes, sizes))

    return rule


def _planned(trace: Recorder, shape: Sequence[Any]) -> tuple[str, Sizes, tuple[Any, ...]]:
    """Axes and extents of a shape, and that shape in 3D: 1×1 or y×x at its end is a picture."""
    axes = "." * len(shape)
    sizes = tuple(each if isinstance(each, int) and each > 0 else None for each in shape)
    last = [each.extent if isinstance(each, Number) else each for each in shape[-2:]]
    if len(shape) > 3 and last in ([1, 1], ["y", "x"]):
        axes = axes[2:] + "yx"
        shape = (*shape[:-2], trace.depth_of(shape[-2]), *shape[-2:])
    elif any(isinstance(each, Number) and each.along for each in shape):
        trace.refuse("what it does with the picture's extents is not known for volumes")
    return axes, sizes, tuple(shape)


def _is_batch(first: Any, second: Any) -> bool:
    """Whether two extents leave the samples apart."""
    return (first == "." and second == -1) or (first in (-1, ".") and isinstance(second, int))


def _unpacked(values: Sequence[Any]) -> Sequence[Any]:
    return values[0] if len(values) == 1 and isinstance(values[0], Sequence) else values


# --- Order and number of axes ---------------------------------------------------------------------


def permute(trace: Recorder, input: Stand, *axis: Any, dims: Any = ()) -> Stand:
    """Axes in another order."""
    known = input.known
    order = [known.axis(dim) for dim in _unpacked(axis or dims)]
    axes = "".join(known.axes[dim] for dim in order)
    permuted = known.made(axes, tuple(known.sizes[dim] for dim in order))
    return trace.emit("permute", input, known.deep_axes(order), known=permuted)


def transpose(trace: Recorder, input: Stand, dim0: int, dim1: int) -> Stand:
    """Two axes swapped."""
    order = list(range(len(input.known.axes)))
    first, second = input.known.axis(dim0), input.known.axis(dim1)
    order[first], order[second] = second, first
    return permute(trace, input, order)


def unsqueeze(trace: Recorder, input: Stand, dim: int) -> Stand:
    """A new axis."""
    known = input.known
    place = dim % (len(known.axes) + 1)
    deep = len(known.axes[:place].replace("y", "zy"))
    axes = f"{known.axes[:place]}.{known.axes[place:]}"
    longer = known.made(axes, (*known.sizes[:place], 1, *known.sizes[place:]))
    return settled(trace, trace.emit("unsqueeze", input, deep, known=longer))


def squeeze(trace: Recorder, input: Stand, dim: Any = None) -> Stand:
    """Without axes of extent 1."""
    known = input.known
    if dim is None:
        if not (known.is_flat or known.is_point):
            trace.refuse("it drops every axis of extent 1", "say which: squeeze(dim)")
        rest = [axis for axis, size in enumerate(known.sizes) if size == 1]
        return trace.emit("squeeze", input, known=known.without(rest))
    dims = [known.axis(one) for one in (dim if isinstance(dim, Sequence) else (dim,))]
    if any(known.sizes[one] is None for one in dims):
        trace.refuse("it drops an axis whose extent is not known to be 1", "index it with 0")
    gone = [one for one in dims if known.sizes[one] == 1]
    x = trace.emit("squeeze", input, known.deep_axes(gone), known=known.without(gone))
    return settled(trace, x)


def settled(trace: Recorder, x: Stand) -> Stand:
    """See a picture in two axes of extent 1 at the end, and none in one axis alone."""
    known = x.known
    if known.is_flat and len(known.axes) > 3 and known.sizes[-2:] == (1, 1):
        axes = known.axes[2:] + "yx"
        return trace.emit("unsqueeze", x, -1, known=known.made(axes, known.sizes))
    if "y" in known.axes:
        place = known.axes.index("y")
        if "x" in known.axes or known.sizes[place] != 1:
            return x
        x = trace.emit("squeeze", x, place, known=known)  # z
    axes = known.axes.replace("y", ".").replace("x", ".")
    return Stand(x.node, trace, known.made(axes, known.sizes))


# --- Parts and wholes -----------------------------------------------------------------------------


def cat(trace: Recorder, tensors: Sequence[Stand], dim: int = 0, **other: int) -> Stand:
    """Joined along channels."""
    knowns = [each.known for each in tensors]
    axis = knowns[0].axis(other.get("axis", dim))
    if knowns[0].axes[axis] != "." or len({known.axes for known in knowns}) > 1:
        trace.refuse("it joins along positions, or tensors of different axes")
    joined = []
    for place, sizes in enumerate(zip(*(known.sizes for known in knowns), strict=True)):
        if place == axis:
            joined.append(None if None in sizes else sum(sizes))
        else:
            joined.append(next((size for size in sizes if size is not None), None))
    whole = knowns[0].made(knowns[0].axes, tuple(joined))
    return trace.emit(torch.cat, tensors, knowns[0].deep_axis(axis), known=whole)


def stack(trace: Recorder, tensors: Sequence[Stand], dim: int = 0) -> Stand:
    """Joined along a new axis."""
    place = dim % (len(tensors[0].known.axes) + 1)
    return cat(trace, [unsqueeze(trace, each, place) for each in tensors], place)


def split(
    trace: Recorder, input: Stand, split_size_or_sections: Any = None, dim: int = 0, **other: Any
) -> tuple[Stand, ...]:
    """Parts along channels, of one extent or of several."""
    wanted = other.get("split_size", split_size_or_sections)
    known, axis = input.known, input.known.axis(dim)
    total = known.sizes[axis]
    if known.axes[axis] != ".":
        trace.refuse("it splits the picture")
    if isinstance(wanted, int):
        if total is None:
            trace.refuse("it splits an axis of unknown extent", "give the extents of the parts")
        wanted = [min(wanted, total - start) for start in range(0, total, wanted)]
    whole = trace.emit(torch.split, input, tuple(wanted), known.deep_axis(axis), known=known)
    return tuple(
        trace.emit(operator.getitem, whole, place, known=known.with_size(axis, extent))
        for place, extent in enumerate(wanted)
    )


def chunk(trace: Recorder, input: Stand, chunks: int, dim: int = 0) -> tuple[Stand, ...]:
    """Parts along channels, so many."""
    total = input.known.sizes[input.known.axis(dim)]
    if total is None:
        trace.refuse("it splits an axis of unknown extent", "give the extents of the parts")
    return split(trace, input, -(-total // chunks), dim)


def unbind(trace: Recorder, input: Stand, dim: int = 0) -> tuple[Stand, ...]:
    """One tensor for each channel."""
    axis = input.known.axis(dim)
    return tuple(squeeze(trace, each, axis) for each in split(trace, input, 1, axis))


def getitem(trace: Recorder, input: Stand, index: Any) -> Stand:
    """A part of each axis; of z that of y."""
    known = input.known
    picks = list(index) if isinstance(index, tuple) else [index]
    n_rest = len(known.axes) - sum(pick is not None and pick is not ... for pick in picks)
    place = next((place for place, pick in enumerate(picks) if pick is ...), None)
    rest = [slice(None)] * n_rest
    picks = [*picks, *rest] if place is None else [*picks[:place], *rest, *picks[place + 1 :]]
    axes, sizes, deep = "", list[int | None](), list[Any]()
    left = zip(known.axes, known.sizes, strict=True)
    for pick in picks:
        if pick is None:
            axes, sizes = axes + ".", [*sizes, 1]
            deep.append(pick)
            continue
        letter, extent = next(left)
        if isinstance(pick, slice) and letter in ".yx":
            axes, sizes = axes + letter, [*sizes, _cut(letter, extent, pick)]
        elif not isinstance(pick, int) or not (letter == "." or extent == 1):
            trace.refuse("it picks positions in a way whose meaning for volumes is not known")
        elif extent is not None and not -extent <= pick < extent:
            trace.refuse(f"it picks channel {pick} of {extent}", KEEP_CHANNELS)
        if letter == "y":
            whole = trace.inflation.keep_depth and isinstance(pick, slice)
            deep.append(slice(None) if whole else trace.depth_of(pick))
        deep.append(pick)
    picked = known.made(axes, tuple(sizes))
    return settled(trace, trace.emit(operator.getitem, input, tuple(deep), known=picked))


def _cut(letter: str, extent: int | None, pick: slice) -> int | None:
    """The extent of a part."""
    if any(isinstance(one, Number) for one in (pick.start, pick.stop, pick.step)):
        return None
    if pick == slice(None):
        return extent
    return len(range(*pick.indices(extent))) if letter == "." and extent is not None else None


NEW = (
    *(torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn),
    *("new_empty", "new_zeros", "new_ones"),
)

AXES: Mapping[Any, Rule] = {
    **dict.fromkeys(("size",), size),
    **dict.fromkeys(("dim", "ndimension"), n_axes),
    **dict.fromkeys((torch.flatten, "flatten"), flatten),
    nn.Flatten: flatten_layer,
    **dict.fromkeys((torch.reshape, "reshape", "view"), reshape),
    **dict.fromkeys(("reshape_as", "view_as"), reshape_as),
    "expand": expand,
    **{target: new(target) for target in NEW},
    **dict.fromkeys((torch.permute, "permute"), permute),
    **dict.fromkeys((torch.transpose, "transpose", torch.swapaxes, "swapaxes"), transpose),
    **dict.fromkeys((torch.unsqueeze, "unsqueeze"), unsqueeze),
    **dict.fromkeys((torch.squeeze, "squeeze"), squeeze),
    **dict.fromkeys((torch.cat, torch.concat, torch.concatenate), cat),
    torch.stack: stack,
    **dict.fromkeys((torch.split, "split"), split),
    **dict.fromkeys((torch.chunk, "chunk"), chunk),
    **dict.fromkeys((torch.unbind, "unbind"), unbind),
    operator.getitem: getitem,
}
"""By function, by the name of a tensor's method, and by class of torch's layers."""
