"""Graphs of torch.fx as modules: two runs joined to one, with the names of the 2D module."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import zip_longest
from typing import Any, NoReturn

from torch import Tensor, fx, nn
from torch.nn import functional

from stallscan.errors import OptionError
from stallscan.models.conversion.known import Parts

DROPOUTS: Mapping[Any, type[nn.Module]] = {
    functional.dropout: nn.Dropout,
    functional.dropout3d: nn.Dropout3d,
    functional.alpha_dropout: nn.AlphaDropout,
    functional.feature_alpha_dropout: nn.FeatureAlphaDropout,
}
"""The layers that do the same as functions, and follow the mode by themselves."""


class ByMode(nn.Module):
    """One of two modules, by the mode.

    Args:
        evaluation: called in evaluation.
        training: called in training.
    """

    def __init__(self, evaluation: nn.Module, training: nn.Module) -> None:
        super().__init__()
        self.in_evaluation = evaluation
        self.in_training = training

    def forward(self, x: Tensor) -> Tensor:
        """Whatever tensor they take."""
        chosen = self.in_training if self.training else self.in_evaluation
        result: Tensor = chosen(x)
        return result


def prune(graph: fx.Graph) -> fx.Graph:
    """Take out what nothing uses, of the nodes that may go; others may act in place."""
    for node in reversed(graph.nodes):
        if node.meta.get("spare") and not node.users:
            graph.erase_node(node)
    return graph


def join(evaluation: fx.Graph, training: fx.Graph, parts: Parts) -> fx.Graph:
    """Make one graph of two, which may differ in what dropout is told about the mode.

    Raises:
        OptionError: they differ otherwise.
    """
    places: dict[fx.Node, int] = {}
    pairs = zip_longest(list(prune(evaluation).nodes), prune(training).nodes)
    for place, (node, other) in enumerate(pairs):
        if node is None or other is None or (node.op, node.target) != (other.op, other.target):
            _refuse(other if other is not None else node)
        places[node] = places[other] = place
        one, two = (
            fx.map_arg((each.args, each.kwargs), places.__getitem__) for each in (node, other)
        )
        if str(one) == str(two):
            continue
        if node.target not in DROPOUTS or node.kwargs["training"] or one[0] != two[0]:
            _refuse(other)
        name = f"{node.meta['path']}.functional_{node.name}".lstrip(".")
        parts.found[name] = DROPOUTS[node.target](other.kwargs["p"])
        with evaluation.inserting_after(node):
            layer = evaluation.call_module(name, (node.args[0],))
        node.replace_all_uses_with(layer)
        evaluation.erase_node(node)
        places[layer] = place
    return evaluation


def _refuse(node: fx.Node) -> NoReturn:
    raise OptionError(
        f"{node.meta['where']}: it is not the same in training as in evaluation; leave out what "
        "differs (an auxiliary head, stochastic depth), or put it into a module without weights "
        "that takes and returns one tensor"
    )


def module_of(graph: fx.Graph, parts: Mapping[str, Any], name: str) -> fx.GraphModule:
    """A module that runs a graph."""
    clean = fx.Graph()  # without the class of the tracer, which unpickling would run again
    clean.output(clean.graph_copy(graph, {}))
    return fx.GraphModule(dict(parts), clean, name)


def assemble(graph: fx.Graph, parts: Parts, source: nn.Module) -> nn.Module:
    """The module that runs a graph, with the names, their order and the sharing of the 2D one.

    Args:
        graph: the joined one.
        parts: what is not the 2D module's own.
        source: the 2D module, whose layers and tensors go into the 3D one.

    Raises:
        OptionError: a kernel that is also used as something else.
    """
    used = {}
    for node in graph.nodes:
        if node.op not in ("get_attr", "call_module"):
            continue
        if node.target in parts.inflated and not node.meta.get("kernel"):
            raise OptionError(
                f"{node.meta['where']}: it uses {node.target}, which is a kernel, too, and has "
                "another shape in 3D; give it a parameter of its own"
            )
        is_new = node.target in parts.found
        used[node.target] = parts.found[node.target] if is_new else _find(source, node.target)
    deep = module_of(graph, used, type(source).__name__)
    _share(deep, source)
    _order(deep, source)
    return deep


def _find(root: nn.Module, name: str) -> Any:
    found: Any = root
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _share(deep: fx.GraphModule, source: nn.Module) -> None:
    """Give layers that have several names in the 2D module the same names."""
    present = dict(deep.named_modules())
    first: dict[nn.Module, str] = {}
    for name, module in source.named_modules(remove_duplicate=False):
        original = first.setdefault(module, name)
        if original != name and original in present and any(True for _ in module.state_dict()):
            deep.add_submodule(name, present[original])


def _order(deep: nn.Module, source: nn.Module) -> None:
    """Bring modules, parameters and buffers into the 2D module's order."""
    tensors = source.state_dict()
    names = [name for name, _ in source.named_modules(remove_duplicate=False)]
    places = {name: place for place, name in enumerate([*names, *tensors])}
    for name, module in list(deep.named_modules()):
        dot = f"{name}." if name else ""
        for held in (module._modules, module._parameters, module._buffers):
            for key in sorted(held, key=lambda key: places.get(dot + key, len(places))):
                held[key] = held.pop(key)
        lasting = {key for key in module._buffers if dot + key in tensors}
        module._non_persistent_buffers_set |= set(module._buffers) - lasting
