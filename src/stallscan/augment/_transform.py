"""What every transform is: frozen options, `sample` with all the randomness, a pure `apply`."""

from __future__ import annotations

import dataclasses
import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from stallscan.augment import _checks
from stallscan.augment._maps import Map
from stallscan.augment._plan import resample
from stallscan.augment._scene import Scene
from stallscan.augment._seeded import Rng, Seeded
from stallscan.errors import OptionError

Params: TypeAlias = dict[str, Any]
"""What one application has drawn: numbers, words, lists of them; json can write it."""
Shape: TypeAlias = tuple[int, int, int]


class Gate(Enum):
    """What decides whether an augmentation acts."""

    P = "its p"
    OPEN = "nothing: it acts"
    ALWAYS = "always_apply alone"


class Augmentation(Seeded, ABC):
    """A transform or a composition of them: called with targets, it returns them augmented.

    ``aug(image=volume, mask=labels, points=places, boxes=boxes, rng=generator)`` → dict of the same
    keys. Without ``rng`` the generator made from ``seed=`` at construction goes on; a worker
    process, which has a copy of it, draws from one of its own.
    """

    always_apply: bool
    p: float

    @abstractmethod
    def draw(
        self, rng: np.random.Generator, scene: Scene, gate: Gate = Gate.P
    ) -> tuple[Any, Scene]:
        """Decide whether and how to act on a scene, and what it becomes.

        Args:
            rng: the randomness.
            scene: extent and targets.
            gate: what decides whether to act.

        Returns:
            The record, None where nothing is to be done, and the new scene.
        """

    @abstractmethod
    def steps(self, record: Any) -> list[tuple[Transform, Params]]:
        """The transforms that a record applies, in order, with what they have drawn."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Name and options, for JSON and YAML; `from_dict` makes an equal one."""

    def __call__(
        self, *, rng: Rng = None, return_record: bool = False, **targets: Any
    ) -> dict[str, Any]:
        """Augment the targets.

        Args:
            rng: the randomness: a generator, a seed, or None for the generator of its own.
            return_record: whether to add the key ``record``, which `replay` takes.
            targets: ``image`` ``(z, y, x)`` or ``(z, y, x, c)`` of uint8, uint16 or float32, or a
                `Volume`, of which only the array is taken: its mask is a target of its own;
                ``mask`` of the same extent, any integer or bool; ``points`` ``(n, 3+)``;
                ``boxes`` ``(n, 6+)`` as ``z0, y0, x0, z1, y1, x1``, half open.

        Returns:
            The same keys; new arrays of the same dtype (but for ToFloat, FromFloat and Normalize,
            which are there to change the image's), points and boxes float64.

        Raises:
            OptionError: a target that does not fit, named with its value.
        """
        from stallscan.augment._run import run, shape_of

        targets = self._arrays(targets)
        shape = shape_of(targets, self._targets)
        record, _ = self.draw(self._generator(rng), Scene(shape, targets, self._targets))
        result = run(self.steps(record), shape, targets, self._targets)
        if return_record:
            result["record"] = self._as_record(shape, record)
        return result

    def record(self, rng: Rng, shape: tuple[int, ...], **targets: Any) -> dict[str, Any]:
        """Draw without applying: a record for `replay`.

        Args:
            rng: as in a call.
            shape: ``(z, y, x, …)``.
            targets: of that extent, for transforms that look at them before they draw.

        Raises:
            OptionError: one of them has another extent, or a transform has nothing to look at.
        """
        from stallscan.augment._run import shape_of

        is_shape = isinstance(shape, (tuple, list, np.ndarray))
        extent = _checks.size_of("shape", tuple(shape)[:3] if is_shape else shape)
        targets = self._arrays(targets)
        if targets and (found := shape_of(targets, self._targets)) != extent:
            raise OptionError(f"the targets have the extent {found}, shape is {extent}")
        record, _ = self.draw(self._generator(rng), Scene(extent, targets, self._targets))
        return self._as_record(extent, record)

    def _as_record(self, shape: Shape, drawn: Any) -> dict[str, Any]:
        names = [type(transform).__name__ for transform, _ in self.steps(drawn)]
        return {"shape": list(shape), "applied": names, "drawn": drawn}

    def replay(self, record: dict[str, Any], **targets: Any) -> dict[str, Any]:
        """Apply what was recorded to other targets of the same extent.

        Raises:
            OptionError: the extent is another one.
        """
        from stallscan.augment._run import run, shape_of

        drawn, met, _ = self.recorded(record)
        targets = self._arrays(targets)
        shape = shape_of(targets, self._targets)
        if shape != met:
            raise OptionError(
                f"the targets have the extent {shape}, the record was drawn for {met}; replay "
                "takes the same extent"
            )
        try:
            return run(drawn, shape, targets, self._targets)
        except (KeyError, IndexError, TypeError) as error:
            raise OptionError(
                f"the record {str(record)[:80]!r} does not fit {type(self).__name__} as it is now "
                f"({type(error).__name__}: {error}); replay with the pipeline that drew it"
            ) from error

    def invert(self, record: dict[str, Any], **targets: Any) -> dict[str, Any]:
        """Undo what was recorded: flips, quarter turns, symmetries, transposition, time reversal.

        Raises:
            OptionError: one of the recorded transforms cannot be undone; the message names it.
        """
        from stallscan.augment._run import run, shape_of

        drawn, _, made = self.recorded(record)
        undone = [transform.inverse(params) for transform, params in reversed(drawn)]
        targets = self._arrays(targets)
        shape = shape_of(targets, self._targets)
        if shape != made:
            raise OptionError(
                f"the targets have the extent {shape}, the record made {made}; invert takes what "
                "was made"
            )
        return run(undone, shape, targets, self._targets)

    def _arrays(self, targets: dict[str, Any]) -> dict[str, Any]:
        """Targets with a `Volume` as its array."""
        images = self._targets[0]
        return {
            key: getattr(target, "array", target) if key in images else target
            for key, target in targets.items()
        }

    def recorded(self, record: Any) -> tuple[list[tuple[Transform, Params]], Shape, Shape]:
        """The steps of a record, the extent it was drawn for and the one it makes."""
        try:
            depth, height, width = record["shape"]
            drawn = self.steps(record["drawn"])
            names = [type(transform).__name__ for transform, _ in drawn]
            if names != record["applied"]:
                raise ValueError(f"it applied {record['applied']}, this one would {names}")
            made: Shape = (depth, height, width)
            for transform, params in drawn:
                made = transform.out_shape(params, made)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise OptionError(
                f"the record {str(record)[:80]!r} was not drawn by this pipeline "
                f"({type(error).__name__}: {error}); give what its call returned under 'record'"
            ) from None
        return drawn, (depth, height, width), made

    @property
    def _targets(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return ("image",), ("mask",)


@dataclass(frozen=True)
class Transform(Augmentation):
    """One transform: options as fields, in the order of volumentations-3D 1.0.4.

    Attributes:
        seed: of the generator for calls without ``rng``; None draws one.
    """

    seed: int | None = field(default=None, kw_only=True)

    def __new__(cls, *args: Any, **options: Any) -> Transform:
        """Refuse unknown options by name, with the closest one that exists."""
        allowed = [f.name for f in dataclasses.fields(cls)]
        _checks.known_options(cls.__name__, options, allowed)
        return super().__new__(cls)

    def __post_init__(self) -> None:
        name = type(self).__name__
        _checks.number(f"{name}.p", self.p, 0, 1)
        if not isinstance(self.always_apply, (bool, np.bool_)):
            raise OptionError(
                f"{name}.always_apply is {self.always_apply!r}, allowed are True and False; "
                "p is the option after it"
            )
        self._set(seed=_checks.seed_of(f"{name}.seed", self.seed))
        self.check()
        idle = "p is 0" if self.p == 0 and not self.always_apply else self.does_nothing()
        if idle:
            warnings.warn(f"{name} does nothing: {idle}", UserWarning, stacklevel=3)
        self._start()

    def check(self) -> None:
        """Refuse values out of bounds, and bring ranges into their one form."""

    def does_nothing(self) -> str | None:
        """Why these options can change nothing, or None."""
        return None

    def _set(self, **values: Any) -> None:
        """Bring a field into its one form; for `check` only."""
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @abstractmethod
    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """All the randomness of one application to a volume of this ``(z, y, x)``."""

    @abstractmethod
    def apply(self, volume: NDArray[Any], params: Params) -> NDArray[Any]:
        """The image with these parameters; pure: same input, same bytes, input untouched."""

    def apply_to_mask(self, mask: NDArray[Any], params: Params) -> NDArray[Any]:
        """A mask, ``(z, y, x)`` or ``(z, y, x, c)``; values it did not have never appear."""
        return mask.copy()

    def apply_to_points(
        self, points: NDArray[np.float64], params: Params, shape: Shape
    ) -> NDArray[np.float64]:
        """Points ``(n, 3)`` as ``z, y, x`` in voxels; whole numbers are voxel centres."""
        return points.copy()

    def out_shape(self, params: Params, shape: Shape) -> Shape:
        """The ``(z, y, x)`` that comes out."""
        return shape

    def inverse(self, params: Params) -> tuple[Transform, Params]:
        """The transform and parameters that undo it.

        Raises:
            OptionError: it loses voxels or values.
        """
        raise OptionError(
            f"{type(self).__name__} cannot be undone; allowed are Flip, RandomRotate90, Transpose, "
            "TimeReverse and CubicSymmetry"
        )

    def draw(
        self, rng: np.random.Generator, scene: Scene, gate: Gate = Gate.P
    ) -> tuple[Params | None, Scene]:
        """See `Augmentation.draw`; one number is drawn for p whatever decides."""
        chance = rng.random()
        acts = gate is Gate.OPEN or (gate is Gate.P and chance < self.p)
        if not (acts or self.always_apply):
            return None, scene
        params = self.look(rng, scene)
        return params, scene.after(self, params)

    def look(self, rng: np.random.Generator, scene: Scene) -> Params:
        """`sample`, for transforms whose draw depends on what the targets hold.

        They override it and keep in the parameters what they have found, so that a record says it
        all. Looking carries out on that target what was drawn before.
        """
        return self.sample(rng, scene.shape)

    def steps(self, record: Params | None) -> list[tuple[Transform, Params]]:
        """See `Augmentation.steps`."""
        return [] if record is None else [(self, record)]

    def to_dict(self) -> dict[str, Any]:
        """See `Augmentation.to_dict`."""
        options = {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}
        return {"name": type(self).__name__, **options}


class Spatial(Transform):
    """A transform that moves voxels: it says where from, and one engine does it for all targets."""

    keeps_shape: ClassVar[bool] = False
    """Whether the extent stays whatever is drawn."""

    @abstractmethod
    def map(self, params: Params, shape: Shape) -> list[Map]:
        """Where the voxels come from, as maps to be applied in order."""

    def apply(self, volume: NDArray[Any], params: Params) -> NDArray[Any]:
        """See `Transform.apply`."""
        return resample(volume, self.map(params, _extent(volume)))

    def apply_to_mask(self, mask: NDArray[Any], params: Params) -> NDArray[Any]:
        """See `Transform.apply_to_mask`."""
        return resample(mask, self.map(params, _extent(mask)), labels=True)

    def apply_to_points(
        self, points: NDArray[np.float64], params: Params, shape: Shape
    ) -> NDArray[np.float64]:
        """See `Transform.apply_to_points`."""
        for map_ in self.map(params, shape):
            points = map_.push(points)
        return points

    def out_shape(self, params: Params, shape: Shape) -> Shape:
        """See `Transform.out_shape`."""
        if self.keeps_shape:
            return shape
        for map_ in self.map(params, shape):
            shape = map_.out_shape(shape)
        return shape


class Pixel(Transform):
    """A transform of values, in place; masks, points and boxes stay as they are."""

    def table(self, params: Params, n_frames: int) -> NDArray[np.uint8] | None:
        """For uint8, what each value becomes: ``(256,)``, or ``(n_frames, 256)`` by frame.

        None where a value does not decide its result. Consecutive tables become one.
        """
        return None


class MaskOnly(Transform):
    """A transform of masks; images, points and boxes stay as they are."""

    def apply(self, volume: NDArray[Any], params: Params) -> NDArray[Any]:
        """See `Transform.apply`."""
        return volume.copy(order="C")


def _extent(array: NDArray[Any]) -> Shape:
    return array.shape[0], array.shape[1], array.shape[2]


def _plain(value: Any) -> Any:
    if isinstance(value, (tuple, list, np.ndarray)):
        return [_plain(entry) for entry in value]
    return value.item() if isinstance(value, np.generic) else value
