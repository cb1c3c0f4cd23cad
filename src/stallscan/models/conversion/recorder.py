"""What rules ask of a run of a 2D module: to write calls, layers and kernels, or to refuse."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

import torch
from torch import Tensor, fx, nn
from torch.overrides import resolve_name

from stallscan.errors import OptionError
from stallscan.models.conversion.known import Inflation, Known, Number, Parts, Stand
from stallscan.models.inflation import fit_channels, inflate_kernel

Rule = Callable[..., Any]
"""``rule(trace, *arguments of the call)`` → what the call returns."""

ELSEWHERE = "replace it by layers that docs/models.md lists, or inflate the module without it"
NO_TRANSFORMERS = "take a convolutional network"


class Recorder(fx.Tracer):
    """Writes the 3D graph of one run of a module in training or evaluation.

    Args:
        rules: for functions, for methods of tensors (by name), and for torch's modules (by class).
        inflation: what is wanted.
        root: the module, a copy that may be changed.
        training: the mode.
        parts: of the run in the other mode.

    Attributes:
        called: names and modules that are being called, the innermost last.
        function: what that one is calling, for messages.
        prefix: the root's name in the whole module, for messages.
        in_row: whether the call has positions in a row.
        names: of parameters and buffers, by their identity.
        result: what the root returned.
    """

    def __init__(
        self,
        rules: Mapping[Any, Rule],
        inflation: Inflation,
        root: nn.Module,
        *,
        training: bool,
        parts: Parts | None = None,
    ) -> None:
        super().__init__()
        self.rules = rules
        self.inflation = inflation
        self.root = root
        self.training = training
        self.parts = parts or Parts()
        self.called: list[tuple[str, nn.Module]] = [("", root)]
        self.function = ""
        self.prefix = ""
        self.in_row = False
        self.result: Any = None
        self.failed_in = ""
        self._n_own = 0
        self._tensors: dict[str, Tensor] = {
            **dict(root.named_parameters(remove_duplicate=False)),
            **dict(root.named_buffers(remove_duplicate=False)),
        }
        self.names = {id(tensor): name for name, tensor in reversed(self._tensors.items())}

    # --- Where it is ----------------------------------------------------------------------------

    @property
    def path(self) -> str:
        """The name of the module that is being called."""
        return self.called[-1][0]

    @property
    def module(self) -> nn.Module:
        """That module."""
        return self.called[-1][1]

    def where(self) -> str:
        """The module that is being called, and the function that it calls, for messages."""
        path = ".".join(name for name in (self.prefix, self.path) if name)
        module = f"{path or 'the module itself'} ({type(self.module).__name__})"
        return f"{self.function} in the forward of {module}" if self.function else module

    def refuse(self, why: str, remedy: str = ELSEWHERE) -> NoReturn:
        """Say that what is being called cannot be converted."""
        if self.in_row and remedy == ELSEWHERE:
            why += ", on positions in a row, as in a transformer"
            remedy = NO_TRANSFORMERS
        raise OptionError(f"{self.where()}: {why}; {remedy}")

    @contextmanager
    def calling(self, target: Any) -> Iterator[None]:
        """Name a function, or a tensor's method or attribute, in messages."""
        outer = self.function
        if isinstance(target, str):
            self.function = f"Tensor.{target}"
        else:
            self.function = resolve_name(target) or getattr(target, "__name__", str(target))
        try:
            yield
        except Exception:
            self.failed_in = self.failed_in or self.where()
            raise
        finally:
            self.function = outer

    # --- Calls ----------------------------------------------------------------------------------

    def emit(
        self, target: str | Callable[..., Any], *args: Any, known: Known, **kwargs: Any
    ) -> Stand:
        """Write a call of a function, or of a method by its name."""
        return Stand(self.node(target, args, kwargs), self, known)

    def layer(self, layer: nn.Module, x: Stand, known: Known) -> Stand:
        """Write a call of a layer under the name of the module that is being called."""
        before = self.parts.found.setdefault(self.path, layer)
        if before is not layer and repr(before) != repr(layer):
            self.refuse("it is called twice, and the calls need different layers in 3D")
        return Stand(self.create_node("call_module", self.path, (x.node,), {}), self, known)

    def node(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> fx.Node:
        """The node of a call."""
        kind = "call_method" if isinstance(target, str) else "call_function"
        made = self.create_arg(args), self.create_arg(kwargs)
        return self.create_node(kind, target, *made)

    def spare(self, node: fx.Node) -> fx.Node:
        """A node that may go if nothing uses it."""
        node.meta["spare"] = True
        return node

    def create_arg(self, a: Any) -> Any:
        """A stand-in is its node, before anything takes it for a tensor."""
        return a.node if isinstance(a, fx.Proxy) else super().create_arg(a)

    def create_node(self, *args: Any, **kwargs: Any) -> fx.Node:
        """A node that knows which module wrote it."""
        node = super().create_node(*args, **kwargs)
        node.meta.update(where=self.where(), path=self.path)
        return node

    # --- Parameters -----------------------------------------------------------------------------

    def parameter(self, name: str) -> Stand | None:
        """A parameter of the module that is being called, if it has it."""
        own = self.module._parameters.get(name)
        return None if own is None else self.tensor(f"{self.path}.{name}")

    def found(self, name: str, tensor: Tensor) -> Stand:
        """A tensor of the 3D network alone."""
        self.parts.found[name] = tensor
        node = self.create_node("get_attr", name, (), {})
        node.meta["kernel"] = True
        return Stand(node, self, self._constant(tensor, frozenset()))

    def kernel(self, weight: Stand, in_channels: int, depth: int) -> tuple[str, Tensor]:
        """A 3D kernel, and the name of the 2D one that it replaces.

        One that the module computes of its parameters, as weight standardisation does, replaces the
        parameter of its shape.

        Args:
            weight: ``(out, in, y, x)``.
            in_channels: that the 3D kernel takes.
            depth: its taps along z.
        """
        flat = weight.known.constant
        assert flat is not None
        sources = {name: self._tensors[name] for name in weight.known.sources}
        alike = [name for name, source in sources.items() if source.shape == flat.shape]
        if len(alike) == 1:
            name = alike[0]
        elif not any(isinstance(source, nn.Parameter) for source in sources.values()):
            name = f"{self.path}.inflated_kernel".lstrip(".")
        else:
            self.refuse("no parameter alone has the shape of its kernel", "compute it beforehand")
        key: Any = id(sources[name]) if name in sources else name
        before, deep = self.parts.kernels.get(key, (flat, None))
        if deep is None:
            deep = inflate_kernel(fit_channels(flat, in_channels), depth, self.inflation.mode)
            deep = deep.detach().contiguous()
            if isinstance(sources.get(name), nn.Parameter):
                deep = nn.Parameter(deep, sources[name].requires_grad)
            self.parts.kernels[key] = (flat.detach(), deep)
        if deep.shape[1:3] != (in_channels, depth) or not _equal(before, flat):
            self.refuse("its kernel is used twice, and each needs another in 3D")
        self.parts.inflated.add(name)
        return name, deep

    def own(self, tensor: Tensor) -> Stand:
        """A tensor that forward makes by itself."""
        self._n_own += 1
        name = f"_constant_{self._n_own}"
        before = self.parts.found.setdefault(name, tensor)
        if not _equal(before, tensor):
            self.refuse("it makes another tensor in each run", "make it from the input's shape")
        node = self.spare(self.create_node("get_attr", name, (), {}))
        return Stand(node, self, self._constant(tensor, frozenset()))

    def tensor(self, name: str) -> Stand:
        """A parameter or buffer of the module."""
        node = self.spare(self.create_node("get_attr", name, (), {}))
        return Stand(node, self, self._constant(self._tensors[name], frozenset({name})))

    def _constant(self, tensor: Tensor, sources: frozenset[str]) -> Known:
        return Known("." * tensor.ndim, tuple(tensor.shape), tensor, sources)

    # --- Extents --------------------------------------------------------------------------------

    def shape(self, x: Stand) -> tuple[Any, ...]:
        """The extents of a tensor, in the 2D network's order."""
        if x.known.constant is not None:
            return tuple(x.known.constant.shape)
        return tuple(self.size(x, dim) for dim in range(len(x.known.axes)))

    def size(self, x: Stand, dim: int) -> int | Number:
        """One extent of a tensor."""
        size = x.known.sizes[dim]
        if size is not None:
            return size
        letter, place = x.known.axes[dim], x.known.deep_axis(dim)
        node = self._extent(x, place)
        number = Number(node, self, extent=letter, along=letter.strip("."), of=x.node)
        if letter == "y":
            number.depth = Number(self._extent(x, place - 1), self)
        return number

    def depth_of(self, value: Any) -> Any:
        """What stands along z where a value stands along y."""
        if isinstance(value, slice):
            return slice(*map(self.depth_of, (value.start, value.stop, value.step)))
        if not isinstance(value, Number):
            return value
        if value.depth is None:
            self.refuse("an extent along y is computed from others than that of y")
        return value.depth

    def _extent(self, x: Stand, place: int) -> fx.Node:
        return self.spare(self.node("size", (x, place), {}))


def _equal(a: Any, b: Tensor) -> bool:
    """Whether two tensors are the same; on the meta device, which has no values, in shape."""
    return a.shape == b.shape and (b.is_meta or torch.equal(a, b))
