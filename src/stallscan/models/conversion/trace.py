"""A 2D module run once on stand-ins for tensors, which write down the 3D graph as they go.

The tracer is torch.fx's, but what it writes is not the call that was made: it is what that call's
rule makes of it for volumes. A call without a rule is refused. A stand-in knows the axes of its
tensor, so that ``x.shape`` and ``x.ndim`` give the module's code the numbers of the 2D network;
extents that only a run knows are stand-ins for numbers.
"""

from __future__ import annotations

import builtins
import pickle
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import FunctionType
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.fx.node import map_aggregate
from torch.nn.modules.batchnorm import _BatchNorm

from stallscan.errors import OptionError
from stallscan.models.conversion.graph import ByMode, module_of, prune
from stallscan.models.conversion.known import Known, Number, Stand
from stallscan.models.conversion.recorder import Recorder

ARITHMETIC = ("_operator", "math", "builtins")
"""Modules whose functions of extents give extents."""
SHAPES = ("size", "dim", "ndimension", "numel", "nelement")
"""Methods whose numbers do not depend on a tensor's values."""


class Trace(Recorder):
    """One run of a module; see `Recorder`."""

    def run(self, known: Known, *, prefix: str = "") -> fx.Graph:
        """The 3D graph.

        Args:
            known: of the input.
            prefix: the root's name in the whole module.

        Raises:
            OptionError: something that cannot be converted.
        """
        self._input, self.prefix = known, prefix
        self.root.train(self.training)
        try:
            with torch.enable_grad(), self._extremes_of_numbers():
                self._before = _generators()
                self.trace(self.root)
                self._require_no_draws()
                self._require_same_state()
        except OptionError:
            raise
        except Exception as error:
            reason = str(error).strip().splitlines()
            raise OptionError(
                f"{self.failed_in or self.where()}: torch.fx cannot follow its forward "
                f"({type(error).__name__}: {reason[0] if reason else ''}); write that step with "
                "operations on tensors and options of the module alone, or leave it out"
            ) from error
        return self.graph

    # --- What fx asks ---------------------------------------------------------------------------

    def create_args_for_root(
        self, root_fn: Any, is_module: bool, concrete_args: Any = None
    ) -> tuple[Any, list[Any]]:
        """The module itself and one tensor; other arguments keep their defaults."""

        def call(root: nn.Module, x: Stand) -> Any:
            self.result = root_fn(root, x)
            return self.result

        node = self.create_node("placeholder", "x", (), {})
        return call, [self.root, Stand(node, self, self._input)]

    def create_proxy(
        self,
        kind: str,
        target: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *others: Any,
        **more: Any,
    ) -> Any:
        """What the rule of a function or method makes of it."""
        return self._call(target, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        """A parameter or buffer has a stand-in, too."""
        name = self.names.get(id(attr_val)) if isinstance(attr_val, Tensor) else None
        if name is None:
            return attr_val
        if name not in parameter_proxy_cache:
            parameter_proxy_cache[name] = self.tensor(name)
        return parameter_proxy_cache[name]

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: Any, kwargs: dict[str, Any]
    ) -> Any:
        """What the rule of one of torch's layers makes of it; others are traced into."""
        if m is self.root:
            return forward(*args, **kwargs)
        outer, self.function = self.function, ""
        self.called.append((self.path_of_module(m), m))
        try:
            return self._call_module(m, forward, args, kwargs)
        except Exception:
            self.failed_in = self.failed_in or self.where()
            raise
        finally:
            self.called.pop()
            self.function = outer

    def to_bool(self, obj: fx.Proxy) -> bool:
        """Refuse ``if`` and the like."""
        try:
            return super().to_bool(obj)
        except fx.proxy.TraceError as error:
            self.function = ""
            raise OptionError(
                f"{self.where()}: its forward takes a decision (if, while, assert, min or max) on "
                "a value or an extent that only a run knows; decide by options of the module, or "
                "say in_channels if it asks for them"
            ) from error

    def attribute(self, x: Stand, name: str) -> Any:
        """An attribute of a tensor."""
        if name == "shape":
            return self.shape(x)
        if name == "ndim":
            return len(x.known.axes)
        if name in ("dtype", "device"):
            node = self.create_node("call_function", getattr, (x.node, name), {})
            return fx.Proxy(self.spare(node), self)
        if name == "data":
            return self._call("detach", (x,), {})
        with self.calling(name):
            if x.known.constant is not None:
                return self._fold(getattr, (x, name), {}, [x])
            self.refuse("what it would mean for volumes is not known")

    # --- Calls ----------------------------------------------------------------------------------

    def _call(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        with self.calling(target):
            args, kwargs = self._lifted((args, kwargs))
            proxies = _proxies((args, kwargs))
            stands = [each for each in proxies if isinstance(each, Stand)]
            numbers = [each for each in proxies if isinstance(each, Number)]
            if stands and not numbers and all(each.known.constant is not None for each in stands):
                return self._fold(target, args, kwargs, stands)
            if not stands and getattr(target, "__module__", "") in ARITHMETIC:
                return self._count(target, args)
            if any(set("tf") & set(each.along) for each in numbers):
                self.refuse("it computes with the number of positions, which a volume has more of")
            if target in self.rules:
                return self.rules[target](self, *args, **kwargs)
            if isinstance(target, FunctionType) and target.__module__.split(".")[0] != "torch":
                return target(*args, **kwargs)  # a function that fx was told not to look into
            self.refuse("what it would mean for volumes is not known")

    def _call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: Any, kwargs: dict[str, Any]
    ) -> Any:
        kind = type(m)
        is_torch_s = kind.__module__.split(".")[0] == "torch"
        if is_torch_s and not isinstance(m, nn.Sequential | fx.GraphModule):
            args, kwargs = self._lifted((args, kwargs))
            if kind in self.rules:
                return self.rules[kind](self, m, *args, **kwargs)
            self.refuse("its counterpart for volumes is not known")
        if _is_noise(m) and len(args) == 1 and isinstance(args[0], Stand) and not kwargs:
            return self._noise(m, args[0])
        result = forward(*args, **kwargs)
        self._require_no_draws()
        return result

    def _require_no_draws(self) -> None:
        """Refuse random numbers that would be the same ones in every run of a graph."""
        if _generators() != self._before:
            self.refuse(
                "it draws random numbers that no graph can hold",
                "draw them as tensors of the input's shape, by functions of torch",
            )

    def _require_same_state(self) -> None:
        """Refuse a buffer that forward replaces, which a graph would not do."""
        for name, tensor in self.root.named_buffers(remove_duplicate=False):
            if tensor is not self._tensors.get(name):
                self.refuse(f"its forward replaces {name}", "change buffers outside of forward")

    def _noise(self, m: nn.Module, x: Stand) -> Stand:
        """A module without weights that may act by the mode: a graph for each."""
        modules, results = [], []
        for training in (False, True):
            inner = Trace(self.rules, self.inflation, m, training=training)
            path = ".".join(name for name in (self.prefix, self.path) if name)
            graph = prune(inner.run(x.known, prefix=path))
            modules.append(module_of(graph, inner.parts.found, "Graph"))
            if not isinstance(inner.result, Stand):
                self.refuse("it returns something else than one tensor")
            results.append(inner.result.known)
        m.train(self.training)
        if results[0].axes != results[1].axes:
            self.refuse("its result has other axes in training than in evaluation")
        return self.layer(ByMode(*modules), x, results[1])

    def _fold(self, target: Any, args: Any, kwargs: Any, stands: list[Stand]) -> Any:
        """Write a call on parameters and buffers as it is, and compute what it gives."""
        name = target if isinstance(target, str) else target.__name__
        if name.endswith("_") and not name.endswith("__"):
            counter = self.module._buffers.get("num_batches_tracked")
            if isinstance(self.module, _BatchNorm) and stands[0].known.constant is counter:
                return stands[0]  # the layer that it becomes counts its batches by itself
            self.refuse("it changes a parameter or buffer", "do that outside of forward")

        def value(proxy: Any) -> Any:
            return proxy.known.constant if isinstance(proxy, Stand) else proxy

        sources = frozenset().union(*(stand.known.sources for stand in stands))
        node = self.spare(self.node(target, args, kwargs))
        if len(stands) < len(_proxies((args, kwargs))):  # .to(x.dtype)
            if name not in ("to", "type"):
                self.refuse("it makes a parameter depend on the input's extents or type")
            return Stand(node, self, replace(stands[0].known, sources=sources))
        real_args, real_kwargs = map_aggregate(args, value), map_aggregate(kwargs, value)
        with torch.no_grad():
            if isinstance(target, str):
                result = getattr(real_args[0], target)(*real_args[1:], **real_kwargs)
            else:
                result = target(*real_args, **real_kwargs)
        if isinstance(result, Tensor):
            return Stand(node, self, self._constant(result, sources))
        if isinstance(result, torch.Size) or name in SHAPES:
            return result
        self.refuse("it reads values of a parameter or buffer", "make them options of the module")

    def _count(self, target: Any, args: tuple[Any, ...]) -> Number:
        """A sum of extents, and the same sum along z."""
        numbers = [each for each in _proxies(args) if isinstance(each, Number)]
        extents = sorted(number.extent for number in numbers)
        extent = "yx" if target.__name__ == "mul" and extents == ["x", "y"] else ""
        along = "".join(sorted(set("".join(number.along for number in numbers))))
        number = Number(self._sum(target, args), self, extent=extent, along=along)
        if along == "y":
            deep = tuple(self.depth_of(each) for each in args)
            number.depth = Number(self._sum(target, deep), self)
        return number

    def _sum(self, target: Any, args: tuple[Any, ...]) -> fx.Node:
        node = self.spare(self.node(target, args, {}))
        if target.__module__ == "builtins":  # for torch.fx, which unpickles by tracing
            node.meta["is_wrapped"] = True
        return node

    def _lifted(self, arguments: Any) -> Any:
        """Arguments, of which each tensor has a stand-in; of what no graph can hold, none."""
        if not torch.is_grad_enabled():
            self.refuse("it runs without gradients", "use requires_grad_(False) instead")

        def lift(argument: Any) -> Any:
            if isinstance(argument, Stand):
                self.in_row |= bool(set("tf") & set(argument.known.axes))
            elif isinstance(argument, Tensor):
                return self.own(argument)
            return argument

        self.in_row = False
        return map_aggregate(arguments, lift)

    @contextmanager
    def _extremes_of_numbers(self) -> Iterator[None]:
        """``max`` and ``min`` of extents, which "same" padding takes, count as sums of them."""

        def standing_in(builtin: Any) -> Any:
            def call(*args: Any, **kwargs: Any) -> Any:
                if any(isinstance(each, Number) for each in args):
                    return self._call(builtin, args, kwargs)
                return builtin(*args, **kwargs)

            return call

        before = {"max": max, "min": min}
        try:
            vars(builtins).update({name: standing_in(each) for name, each in before.items()})
            yield
        finally:
            vars(builtins).update(before)


def _generators() -> bytes:
    """The states of the random numbers that code may draw."""
    states = (random.getstate(), np.random.get_state(), torch.get_rng_state().numpy())  # noqa: NPY002
    return pickle.dumps(states)


def _proxies(arguments: Any) -> list[fx.Proxy]:
    found: list[fx.Proxy] = []
    map_aggregate(
        arguments, lambda each: found.append(each) if isinstance(each, fx.Proxy) else None
    )
    return found


def _is_noise(m: nn.Module) -> bool:
    """Whether a module without weights asks for its mode."""
    bare = not any(True for _ in (*m.children(), *m.parameters(), *m.buffers()))
    code = getattr(type(m).forward, "__code__", None)
    return bare and code is not None and "training" in code.co_names
