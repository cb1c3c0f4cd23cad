"""A ROI → why it was called what it was called."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stallscan.augment.evaluation import Preprocessing, preprocess
from stallscan.errors import OptionError
from stallscan.explain.attention import attention
from stallscan.explain.back import to_roi
from stallscan.explain.grad_cam import grad_cam
from stallscan.explain.kymograph import Kymograph, kymograph
from stallscan.explain.localise import peak
from stallscan.explain.occlusion import BATCH, occlusion
from stallscan.explain.options import ExplainOptions
from stallscan.explain.physics import Physics, disagreement, physics_of
from stallscan.inference.member import LoadedMember
from stallscan.inference.predictor import Prediction, Predictor
from stallscan.models.footprint import require_memory_for
from stallscan.roi.volume import Volume
from stallscan.types import Box

Float32 = NDArray[np.float32]

_DEFAULTS = ExplainOptions()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Explanation:
    """Why.

    Attributes:
        volume: the ROI.
        prediction: the answer.
        threshold: from which a probability is called stalled.
        heat: ``(z, y, x)`` float32, 0 to 1, at the ROI's voxels: what speaks for the call, or
            where features are strong.
        colours: ``(z, y, x, 3)`` float32, 0 to 1: the paper's map; None for the maps of a class.
        speaks_for: "stalled" or "flowing", of the maps of a class.
        kymograph: the vessel over the slices.
        physics: what it says.
        doubt: how the network and physics disagree; empty where they do not.
    """

    volume: Volume
    prediction: Prediction
    threshold: float
    heat: Float32
    colours: Float32 | None
    speaks_for: str
    kymograph: Kymograph
    physics: Physics
    doubt: str

    @property
    def peak(self) -> tuple[int, int, int]:
        """``(z, y, x)`` in the video of the strongest voxel of the map."""
        z, y, x = peak(self.heat)
        box: Box = self.volume.box
        return z + box.z0, y + box.y0, x + box.x0


class Explainer:
    """Asks a model, and why it answers what it answers.

    Args:
        predictor: gives the probability and the call.
        options: which map.

    Raises:
        OptionError: a member that was exported and has no features to look at.
    """

    def __init__(self, predictor: Predictor, options: ExplainOptions = _DEFAULTS) -> None:
        self.predictor = predictor
        self.options = options
        for member in predictor.members:
            if member.graph is not None:
                raise OptionError(
                    f"{member.graph}: is an exported graph, which has no features to look at; give "
                    "the model that it was exported from"
                )

    def __call__(self, volume: Volume) -> Explanation:
        """Explain one ROI.

        Raises:
            OptionError: a ROI too thin for the network, an unknown layer, or a map that needs more
                memory than there is; the message names a size that fits.
        """
        prediction = self.predictor(volume)
        wanted = self.options.speaks_for
        stalled = bool(prediction.stalled) if wanted == "call" else wanted == "stalled"
        whole = sum(member.weight for member in self.predictor.members)
        maps = [
            member.weight / whole * self._map(member, volume, stalled)
            for member in self.predictor.members
        ]
        heat: Float32 = np.stack(maps).sum(axis=0, dtype=np.float32)
        course = kymograph(volume)
        physics = physics_of(course.persistence)
        return Explanation(
            volume=volume,
            prediction=prediction,
            threshold=self.predictor.threshold,
            heat=heat[..., 1] if heat.ndim == 4 else heat,
            colours=heat if heat.ndim == 4 else None,
            speaks_for="stalled" if stalled else "flowing",
            kymograph=course,
            physics=physics,
            doubt=disagreement(prediction.stalled, physics),
        )

    def _map(self, member: LoadedMember, volume: Volume, stalled: bool) -> Float32:
        seen = self._at_size(member.preprocessing)
        extents = seen.size[0] or volume.n_frames, *seen.size[1:]
        several = math.prod(member.model.feature_size(extents)) > 1
        by_gradient = self.options.map == "grad-cam"
        require_memory_for(
            member.model,
            extents,
            BATCH if self.options.map == "occlusion" else 1,
            training=by_gradient and several,  # one voxel has no variance, and takes little
        )
        inputs = preprocess(volume, seen)
        if self.options.map == "attention":
            heat = attention(member.model, inputs)
        elif by_gradient:
            heat = grad_cam(member.model, inputs, stalled=stalled, layer=self.options.layer)
        else:
            heat = occlusion(member.model, inputs, stalled=stalled)
        return to_roi(heat, volume, seen)

    def _at_size(self, preprocessing: Preprocessing) -> Preprocessing:
        """The member's own preprocessing, or the same picture at another size."""
        size = self.options.size
        if size is None:
            return preprocessing
        finer = preprocessing.size[1] / size[1]
        return dataclasses.replace(
            preprocessing, size=size, spacing_px=max(0.25, preprocessing.spacing_px * finer)
        )
