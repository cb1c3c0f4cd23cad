"""Pipelines: transforms in order, one of several, some of several, nested at will."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from stallscan.augment import _checks
from stallscan.augment._scene import Scene
from stallscan.augment._transform import Augmentation, Gate, Params, Transform
from stallscan.errors import OptionError

Records = list[Any]


class _Pipeline(Augmentation):
    """What all compositions share; the children are never changed."""

    def __new__(cls, *args: Any, **options: Any) -> Self:
        """Refuse unknown options by name, with the closest one that exists."""
        allowed = [name for name in inspect.signature(cls.__init__).parameters if name != "self"]
        _checks.known_options(cls.__name__, options, allowed)
        return super().__new__(cls)

    def __init__(self, transforms: Sequence[Augmentation], p: float, seed: int | None) -> None:
        name = type(self).__name__
        is_list = isinstance(transforms, (list, tuple))
        for child in transforms if is_list else [transforms]:
            if not is_list or not isinstance(child, Augmentation):
                raise OptionError(
                    f"{name}.transforms has {child!r}, allowed is a list of transforms and "
                    "compositions; was a class given in place of an instance?"
                )
        self.transforms = tuple(transforms)
        self.p = _checks.number(f"{name}.p", p, 0, 1)
        self.seed = _checks.seed_of(f"{name}.seed", seed)
        idle = p == 0 and not self._always()
        reason = "it is empty" if not self.transforms else "p is 0" if idle else None
        if reason:
            warnings.warn(f"{name} does nothing: {reason}", UserWarning, stacklevel=3)
        self._start()

    def __repr__(self) -> str:
        inner = ",\n".join(
            "    " + repr(child).replace("\n", "\n    ") for child in self.transforms
        )
        return f"{type(self).__name__}([\n{inner},\n], p={self.p:g})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Pipeline) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]

    def to_dict(self) -> dict[str, Any]:
        """See `Augmentation.to_dict`."""
        children = [child.to_dict() for child in self.transforms]
        return {"name": type(self).__name__, "transforms": children, "p": self.p, "seed": self.seed}

    def steps(self, record: Records | None) -> list[tuple[Transform, Params]]:
        """See `Augmentation.steps`."""
        return [
            step for number, drawn in record or [] for step in self.transforms[number].steps(drawn)
        ]

    def _acts(self, rng: np.random.Generator, gate: Gate) -> bool:
        chance = rng.random()
        return gate is Gate.OPEN or (gate is Gate.P and chance < self.p)

    def _always(self) -> bool:
        """Whether something in it acts whatever p is."""
        return isinstance(self, Compose) and any(
            child._always() if isinstance(child, Compose) else getattr(child, "always_apply", False)
            for child in self.transforms
        )

    def _draw_some(
        self, numbers: Sequence[int], rng: np.random.Generator, scene: Scene, gate: Gate
    ) -> tuple[Records, Scene]:
        """Children by number, in order: ``[number, record]`` of those that act."""
        records: Records = []
        for number in numbers:
            drawn, scene = self.transforms[number].draw(rng, scene, gate)
            if drawn is not None:
                records.append([number, drawn])
        return records, scene


class Compose(_Pipeline):
    """Transforms one after another.

    Args:
        transforms: in order; compositions may be among them.
        p: probability of the whole; what has ``always_apply`` acts all the same.
        targets: keys of images and of masks; ``points`` and ``boxes`` are always taken.
        seed: of the generator for calls without ``rng``.

    Example:
        >>> aug = Compose([Flip(2), Resize((96, 128, 128))], seed=7)
        >>> augmented = aug(image=volume, mask=labels)
    """

    def __init__(
        self,
        transforms: Sequence[Augmentation],
        p: float = 1.0,
        targets: Sequence[Sequence[str]] = (("image",), ("mask",)),
        *,
        seed: int | None = None,
    ) -> None:
        super().__init__(transforms, p, seed)
        valid = (
            isinstance(targets, (list, tuple))
            and len(targets) == 2
            and all(isinstance(keys, (list, tuple)) for keys in targets)
            and all(isinstance(key, str) for keys in targets for key in keys)
        )
        if not valid:
            raise OptionError(
                f"Compose.targets is {targets!r}, allowed are two lists of names: those of images "
                "and those of masks, [['image'], ['mask']]"
            )
        self.targets = (tuple(targets[0]), tuple(targets[1]))

    @property
    def _targets(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return self.targets

    def to_dict(self) -> dict[str, Any]:
        """See `Augmentation.to_dict`."""
        return {**super().to_dict(), "targets": [list(keys) for keys in self.targets]}

    def draw(
        self, rng: np.random.Generator, scene: Scene, gate: Gate = Gate.P
    ) -> tuple[Records | None, Scene]:
        """See `Augmentation.draw`."""
        children = Gate.P if self._acts(rng, gate) else Gate.ALWAYS
        return self._draw_some(range(len(self.transforms)), rng, scene, children)


class OneOf(_Pipeline):
    """One of several, drawn in proportion to their p, and then applied for certain.

    Args:
        transforms: to choose from.
        p: probability that any of them acts.
        seed: of the generator for calls without ``rng``.
    """

    def __init__(
        self, transforms: Sequence[Augmentation], p: float = 0.5, *, seed: int | None = None
    ) -> None:
        super().__init__(transforms, p, seed)
        self._weights = _weights(self)

    def draw(
        self, rng: np.random.Generator, scene: Scene, gate: Gate = Gate.P
    ) -> tuple[Records | None, Scene]:
        """See `Augmentation.draw`."""
        if not self._acts(rng, gate) or not self.transforms:
            return None, scene
        number = int(rng.choice(len(self.transforms), p=self._weights))
        return self._draw_some([number], rng, scene, Gate.OPEN)


class SomeOf(_Pipeline):
    """Several of many, drawn in proportion to their p, and then applied for certain.

    Args:
        transforms: to choose from.
        n: how many, a number or a range ``(low, high)``.
        replace: whether one may act more than once.
        p: probability that any of them acts.
        seed: of the generator for calls without ``rng``.
    """

    def __init__(
        self,
        transforms: Sequence[Augmentation],
        n: int | tuple[int, int],
        replace: bool = False,
        p: float = 1.0,
        *,
        seed: int | None = None,
    ) -> None:
        super().__init__(transforms, p, seed)
        highest = len(self.transforms) if not replace else 1000
        low, high = _checks.pair("SomeOf.n", n, 0, highest, number="exact")
        if low != int(low) or high != int(high):
            raise OptionError(f"SomeOf.n is {n!r}, allowed are whole numbers")
        self.n = (int(low), int(high))
        self.replace = bool(replace)
        self._weights = _weights(self)
        n_possible = sum(weight > 0 for weight in self._weights)
        if self.n[1] == 0:
            warnings.warn("SomeOf does nothing: n is 0", UserWarning, stacklevel=2)
        if not replace and self.n[1] > n_possible:
            raise OptionError(
                f"SomeOf.n is {n!r}, but only {n_possible} of {len(self.transforms)} transforms "
                "have p above 0"
            )

    def to_dict(self) -> dict[str, Any]:
        """See `Augmentation.to_dict`."""
        return {**super().to_dict(), "n": list(self.n), "replace": self.replace}

    def draw(
        self, rng: np.random.Generator, scene: Scene, gate: Gate = Gate.P
    ) -> tuple[Records | None, Scene]:
        """See `Augmentation.draw`; those drawn act in the order of the list."""
        if not self._acts(rng, gate) or not self.transforms:
            return None, scene
        count = int(rng.integers(self.n[0], self.n[1] + 1))
        chosen = rng.choice(len(self.transforms), count, self.replace, self._weights)
        numbers = sorted(int(number) for number in chosen)
        return self._draw_some(numbers, rng, scene, Gate.OPEN)


def _weights(pipeline: _Pipeline) -> list[float]:
    """Probability of each child to be the one."""
    chances = [
        1.0 if getattr(child, "always_apply", False) else child.p for child in pipeline.transforms
    ]
    total = sum(chances)
    if pipeline.transforms and total == 0:
        raise OptionError(f"{type(pipeline).__name__}.transforms all have p = 0; one must be above")
    return [chance / total for chance in chances]
