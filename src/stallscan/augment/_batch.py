"""What augmentations of batches are: samples mixed with one another, and their labels with them."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from stallscan.augment import _checks
from stallscan.augment._seeded import Rng, Seeded
from stallscan.errors import OptionError

Params = dict[str, Any]
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class BatchAugmentation(Seeded, ABC):
    """Each sample of a batch takes something of another one, and the labels say how much.

    ``mix(images=batch, labels=targets, rng=generator)`` → dict of the same keys: NumPy arrays or
    PyTorch tensors (on any device), new ones. Without ``rng`` the generator made from ``seed=``
    goes on, as a transform's does.

    Attributes:
        seed: of the generator for calls without ``rng``; None draws one.
    """

    seed: int | None = field(default=None, kw_only=True)

    alpha: float
    p: float

    def __new__(cls, *args: Any, **options: Any) -> BatchAugmentation:
        """Refuse unknown options by name, with the closest one that exists."""
        allowed = [f.name for f in dataclasses.fields(cls)]
        _checks.known_options(cls.__name__, options, allowed)
        return super().__new__(cls)

    def __post_init__(self) -> None:
        name = type(self).__name__
        _checks.number(f"{name}.p", self.p, 0, 1)
        if _checks.number(f"{name}.alpha", self.alpha, 0, 1000) == 0:
            raise OptionError(f"{name}.alpha is {self.alpha!r}, allowed is what lies above 0")
        object.__setattr__(self, "seed", _checks.seed_of(f"{name}.seed", self.seed))
        self.check()
        self._start()

    def check(self) -> None:
        """Refuse further options that are out of bounds."""

    @abstractmethod
    def sample(self, rng: np.random.Generator, n: int, extent: Shape) -> Params:
        """All the randomness of one batch of n samples of this ``(z, y, x)``; json can write it."""

    @abstractmethod
    def apply(self, images: Any, params: Params) -> Any:
        """The images, mixed."""

    @abstractmethod
    def shares(self, params: Params, extent: Shape) -> list[float]:
        """By sample, how much of it is its own."""

    def extent_of(self, images: Any) -> Shape:
        """``(z, y, x)`` of a batch ``(n, z, y, x)`` or ``(n, c, z, y, x)``."""
        depth, height, width = images.shape[-3:]
        return int(depth), int(height), int(width)

    def __call__(
        self, *, images: Any, rng: Rng = None, return_record: bool = False, **labels: Any
    ) -> dict[str, Any]:
        """Mix a batch.

        Args:
            images: ``(n, z, y, x)`` or ``(n, c, z, y, x)``: an array of uint8, uint16 or float32,
                or a floating tensor.
            rng: a generator, a seed, or None for the generator of its own.
            return_record: whether to add the key ``record``, which `replay` takes.
            labels: by any name ``(n, …)``: 0 and 1, classes one-hot, weights. They come back as
                floats, mixed in the same shares.

        Raises:
            OptionError: something that does not fit, named with its value.
        """
        _check(images, labels)
        extent = self.extent_of(images)
        params = self.sample(self._generator(rng), len(images), extent)
        found = self._mix(images, labels, params)
        if return_record:
            drawn_for = [len(images), *extent]
            found["record"] = {"name": type(self).__name__, "extent": drawn_for, **params}
        return found

    def replay(self, record: Params, *, images: Any, **labels: Any) -> dict[str, Any]:
        """Mix another batch of the same extent as a recorded one was.

        Raises:
            OptionError: the record is one of another number of samples.
        """
        _check(images, labels)
        drawn_for, extent = record.get("extent"), self.extent_of(images)
        if drawn_for != [len(images), *extent] or record.get("name") != type(self).__name__:
            raise OptionError(
                f"images has (n, z, y, x) = {(len(images), *extent)}, the record was drawn by "
                f"{record.get('name')} for {drawn_for}; replay takes what it was drawn for"
            )
        return self._mix(images, labels, record)

    def _mix(self, images: Any, labels: dict[str, Any], params: Params) -> dict[str, Any]:
        shares, partners = self.shares(params, self.extent_of(images)), params["partners"]
        mixed = {"images": self.apply(images, params)}
        for name, values in labels.items():
            own: Any = values.float() if _is_tensor(values) else np.asarray(values, np.float32)
            column = (len(own),) + (1,) * (own.ndim - 1)
            share = own.new_tensor(shares) if _is_tensor(own) else np.array(shares, np.float32)
            share = share.reshape(column)
            mixed[name] = own * share + own[partners] * (1 - share)
        return mixed

    def to_dict(self) -> dict[str, Any]:
        """Name and options, for JSON and YAML; ``batch_class(name)(**options)`` is an equal one."""
        return {"name": type(self).__name__, **dataclasses.asdict(self)}


def draw_shares(
    rng: np.random.Generator, n: int, alpha: float, p: float
) -> tuple[list[int], list[float]]:
    """Every sample's partner and the share that stays its own: Beta(α, α), or 1.

    Partners are the next ones in a round of all samples in random order: none is its own.
    """
    order = rng.permutation(n)
    partners = np.empty(n, int)
    partners[order] = np.roll(order, -1)
    shares = np.where(rng.random(n) < p, rng.beta(alpha, alpha, n), 1.0)
    return partners.tolist(), shares.tolist()


def _is_tensor(array: Any) -> bool:
    return hasattr(array, "new_tensor")


def _check(images: Any, labels: dict[str, Any]) -> None:
    """Refuse what is no batch, and labels of another number of samples."""
    shape = tuple(getattr(images, "shape", ()))
    if len(shape) not in (4, 5) or 0 in shape:
        raise OptionError(
            f"images has the shape {shape}, allowed are (n, z, y, x) and (n, c, z, y, x), not empty"
        )
    fits = images.is_floating_point() if _is_tensor(images) else images.dtype in _checks.DTYPES
    if not fits:
        raise OptionError(
            f"images is {images.dtype}, allowed are arrays of uint8, uint16 and float32, and "
            "floating tensors"
        )
    for name, values in labels.items():
        is_tensor = _is_tensor(values)
        array = values if is_tensor else np.asarray(values)
        if array.ndim == 0 or array.shape[0] != shape[0]:
            raise OptionError(
                f"{name} has the shape {tuple(array.shape)}, allowed is (n, …) with n {shape[0]}"
            )
        if not is_tensor and array.dtype.kind not in "biuf":
            raise OptionError(f"{name} is {array.dtype}, allowed are numbers")
