"""Recipes: everything that decides a training run, as data (read without torch)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

from stallscan import augment
from stallscan.augment.evaluation import Preprocessing
from stallscan.errors import OptionError

# The classes of this file have a field `name` where a recipe chooses one of several: only the keys
# of the one that it chose can be given.


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """The network.

    Attributes:
        architecture: registry name, see `stallscan models`.
        pretrained: first weights: ``imagenet``, a file, or null for random ones.
        inflate: how 2D weights become 3D ones: average or center.
        options: further arguments of `create_model`; ``in_channels`` follows from the input.
    """

    architecture: str
    pretrained: str | None = None
    inflate: str = "average"
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        taken = sorted({"in_channels", "num_classes", "pretrained", "inflate"} & set(self.options))
        if taken:
            raise OptionError(
                f"options has {', '.join(taken)}, which follow from input.channels, the task and "
                "the keys beside options; leave them out"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """Volume → network input, see `stallscan.augment.Preprocessing`.

    Attributes:
        size: ``(z, y, x)``; null for z keeps every video's own depth.
        channels: what the network sees.
        view: box, the whole of the outline's; or vessel: along the middle of it, straight.
        spacing_px: pixels of the video for one of the input, at least, where the view is vessel.
    """

    size: tuple[int | None, int, int]
    channels: tuple[str, ...]
    view: Literal["box", "vessel"] = "box"
    spacing_px: float = 1.25

    def __post_init__(self) -> None:
        try:
            self.preprocessing()
        except ValueError as error:
            raise OptionError(str(error)) from None

    def preprocessing(self) -> Preprocessing:
        """The function of it."""
        return Preprocessing(
            size=self.size, channels=self.channels, view=self.view, spacing_px=self.spacing_px
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """How training samples are changed.

    Attributes:
        preset: of `stallscan.augment.PRESETS`.
        resize: resize to the input's size in its midst, as the paper does; else afterwards.
        legacy: the published code's statistics of noise and gamma.
        device: whether the training device carries it out, and workers only read and draw; auto:
            where that is a GPU.
    """

    preset: str
    resize: bool = True
    legacy: bool = False
    device: Literal[True, False, "auto"] = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class MixUp:
    """Samples of a batch are blended, see `stallscan.augment.MixUp`.

    Attributes:
        alpha: of the Beta distribution of the shares.
        p: probability of each sample to be mixed.
    """

    name: Literal["mixup"] = "mixup"
    alpha: float = 0.2
    p: float = 1.0

    def __post_init__(self) -> None:
        self.augmentation()

    def augmentation(self) -> augment.MixUp:
        """The function of it."""
        return augment.MixUp(self.alpha, self.p)


@dataclass(frozen=True, slots=True, kw_only=True)
class CutMix:
    """Samples of a batch take boxes of one another, see `stallscan.augment.CutMix`.

    Attributes:
        alpha: of the Beta distribution of the shares.
        p: probability of each sample to be mixed.
        axes: along which boxes are cut: 0 (z), 1 (y), 2 (x).
    """

    name: Literal["cutmix"] = "cutmix"
    alpha: float = 1.0
    p: float = 0.5
    axes: tuple[int, ...] = (0, 1, 2)

    def __post_init__(self) -> None:
        self.augmentation()

    def augmentation(self) -> augment.CutMix:
        """The function of it."""
        return augment.CutMix(self.alpha, self.p, axes=self.axes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """What is learnt from.

    Attributes:
        phantom: preset of the phantoms; several, joined by +, come as often as one another.
        scenes: of phantoms so many are rendered, once, and shown again and again; null: no sample
            is shown twice.
        region: outline, or full for whole frames.
        subset: of labelled videos: full, micro or nano.
        tier1: of these only what experts or a sure crowd labelled.
        max_flowing: of these at most so many flowing ones, drawn by the folds' seed.
        target: the label, or the crowd's score as a soft target where no expert looked.
        reliability: weigh each video by how often labels like its own were right.
    """

    phantom: str = "clogloss"
    scenes: int | None = None
    region: Literal["outline", "full"] = "outline"
    subset: Literal["full", "micro", "nano"] = "full"
    tier1: bool = False
    max_flowing: int | None = None
    target: Literal["label", "crowd"] = "label"
    reliability: bool = False

    def __post_init__(self) -> None:
        _at_least("max_flowing", self.max_flowing, 1)
        _at_least("scenes", self.scenes, 1)

    @property
    def phantoms(self) -> tuple[str, ...]:
        """The presets."""
        return tuple(self.phantom.split("+"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampler:
    """Batches, drawn anew in every epoch.

    Attributes:
        batch_size: samples that pass through the network at once.
        batches_per_epoch: an epoch is a number of batches.
        stalled_share: probability that a sample is stalled; null: as in the data.
        by_project: draw a project first, each with the same chance, then a video of it.
        twins: phantoms come in pairs that differ in their blood alone, one flowing, one stalled.
    """

    batch_size: int = 16
    batches_per_epoch: int = 40
    stalled_share: float | None = 0.5
    by_project: bool = False
    twins: bool = False

    def __post_init__(self) -> None:
        if self.twins and (self.batch_size % 2 or self.stalled_share != 0.5):
            raise OptionError(
                f"twins is true, batch_size {self.batch_size} and stalled_share "
                f"{self.stalled_share}; pairs need an even batch_size and a stalled_share of 0.5"
            )
        _at_least("batch_size", self.batch_size, 1)
        _at_least("batches_per_epoch", self.batches_per_epoch, 1)
        _between("stalled_share", self.stalled_share, 0, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """What an epoch is judged by.

    Attributes:
        flowing_per_stalled: 1, 4 or 10, say; null: natural prevalence (of labelled videos: all of
            the fold; of phantoms: the competition's 0.33 %).
        metric: auc, mcc (the best over thresholds) or loss.
        n: phantoms in all; of labelled videos a fold decides.
        phantom: preset of those.
    """

    flowing_per_stalled: float | None = 1.0
    metric: Literal["auc", "mcc", "loss"] = "auc"
    n: int = 400
    phantom: str = "clogloss"

    def __post_init__(self) -> None:
        _at_least("n", self.n, 2)
        if self.flowing_per_stalled is not None and not self.flowing_per_stalled > 0:
            raise OptionError(
                f"flowing_per_stalled is {self.flowing_per_stalled}, allowed are numbers above 0, "
                "and null for natural prevalence"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Folds:
    """How labelled videos are dealt out; the whole table is, before any subset is taken.

    Attributes:
        n: how many.
        by: stratified (by project and label), project (each whole in one fold), or plain.
        seed: of the shuffle.
    """

    n: int = 5
    by: Literal["stratified", "project", "plain"] = "stratified"
    seed: int = 42

    def __post_init__(self) -> None:
        _at_least("n", self.n, 2)
        _at_least("seed", self.seed, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class BinaryCrossEntropy:
    """The paper's loss.

    Attributes:
        label_smoothing: distance of the targets from 0 and 1.
    """

    name: Literal["bce"] = "bce"
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        _between("label_smoothing", self.label_smoothing, 0, 0.49)


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneralizedCrossEntropy:
    """``(1 - p^q) / q`` of the probability p given to the label (Zhang and Sabuncu, 2018).

    Between cross-entropy (q → 0) and the mean absolute error (q = 1), which label noise hardly
    moves: a sample that the network is sure is labelled wrongly pulls little.

    Attributes:
        q: 0 to 1, without 0.
    """

    name: Literal["gce"] = "gce"
    q: float = 0.7

    def __post_init__(self) -> None:
        if not 0 < self.q <= 1:
            raise OptionError(f"q is {self.q}, allowed are numbers above 0, up to 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Optimizer:
    """What all optimisers have.

    Attributes:
        lr: the largest learning rate.
        weight_decay: of weights; biases and norms do not decay.
        accumulate: batches whose gradients make one step, over all devices.
        clip: largest norm of the gradient; null: any.
    """

    lr: float
    weight_decay: float = 0.0
    accumulate: int = 1
    clip: float | None = None

    def __post_init__(self) -> None:
        if not self.lr > 0:
            raise OptionError(f"lr is {self.lr}, allowed are numbers above 0")
        _at_least("weight_decay", self.weight_decay, 0)
        _at_least("accumulate", self.accumulate, 1)
        if self.clip is not None and not self.clip > 0:
            raise OptionError(f"clip is {self.clip}, allowed are numbers above 0, and null")


@dataclass(frozen=True, slots=True, kw_only=True)
class Adam(_Optimizer):
    """Adam; weight decay is L2."""

    name: Literal["adam"] = "adam"


@dataclass(frozen=True, slots=True, kw_only=True)
class AdamW(_Optimizer):
    """Adam with decoupled weight decay."""

    name: Literal["adamw"] = "adamw"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sgd(_Optimizer):
    """Stochastic gradient descent.

    Attributes:
        momentum: Nesterov's.
    """

    name: Literal["sgd"] = "sgd"
    momentum: float = 0.9

    def __post_init__(self) -> None:
        super(Sgd, self).__post_init__()
        if not 0 <= self.momentum < 1:
            raise OptionError(f"momentum is {self.momentum}, allowed are 0 up to, not with, 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """The learning rate stays."""

    name: Literal["constant"] = "constant"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plateau:
    """The learning rate falls when validation does not get better (the winner's).

    Attributes:
        factor: by which it is multiplied.
        patience: after so many epochs without gain (as Keras counts them).
    """

    name: Literal["plateau"] = "plateau"
    factor: float
    patience: int

    def __post_init__(self) -> None:
        if not 0 < self.factor < 1:
            raise OptionError(f"factor is {self.factor}, allowed are numbers between 0 and 1")
        _at_least("patience", self.patience, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosine:
    """Linear warm-up, then a cosine to zero at the last epoch.

    Attributes:
        warmup_epochs: length of the warm-up.
    """

    name: Literal["cosine"] = "cosine"
    warmup_epochs: int = 1

    def __post_init__(self) -> None:
        _at_least("warmup_epochs", self.warmup_epochs, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cyclic:
    """Cosines from the full rate to zero, one after another; a snapshot at the end of each.

    The snapshots become an ensemble (the second place's; Huang et al., 2017).

    Attributes:
        cycles: how many, of equal length.
    """

    name: Literal["cyclic"] = "cyclic"
    cycles: int = 5

    def __post_init__(self) -> None:
        _at_least("cycles", self.cycles, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """When training ends.

    Attributes:
        max_epochs: at the latest.
        patience: epochs without a better validation; null: only then.
    """

    max_epochs: int = 50
    patience: int | None = 12

    def __post_init__(self) -> None:
        _at_least("max_epochs", self.max_epochs, 1)
        _at_least("patience", self.patience, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """How numbers are computed.

    Attributes:
        precision: float32, bf16, fp16, or auto: bf16 on a GPU that has it, else float32.
        channels_last: lay channels out last in memory, which convolutions are faster with.
        ema: decay of an exponential moving average of the weights, which is what is validated and
            kept; null: none.
    """

    precision: Literal["float32", "bf16", "fp16", "auto"] = "float32"
    channels_last: bool = True
    ema: float | None = None

    def __post_init__(self) -> None:
        if self.ema is not None and not 0 < self.ema < 1:
            raise OptionError(f"ema is {self.ema}, allowed are numbers between 0 and 1, and null")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A way to train one network; `stallscan.training.load_recipe` reads it from a file.

    Attributes:
        name: of the file.
        about: what it is, in a sentence.
        start: where the first weights come from: another recipe, whose run must be given; ``any``
            run; ``default`` or ``fast``, a model in the box; null: the model's own first weights.
        model: the network; null: the start's.
        input: what it sees; null: the start's.
        augmentation: null shows samples as they are.
        mix: whether and how samples of a batch are mixed with one another, and their labels.
        data: what is learnt from.
        sampler: batches.
        validation: what an epoch is judged by.
        folds: of labelled videos.
        loss: what is minimised.
        optimizer: by what.
        schedule: of the learning rate.
        stop: when it ends.
        engine: how it is computed.
    """

    name: str
    about: str
    start: str | None = None
    model: Model | None = None
    input: Input | None = None
    augmentation: Augmentation | None = None
    mix: MixUp | CutMix | None = None
    data: Data = field(default_factory=Data)
    sampler: Sampler = field(default_factory=Sampler)
    validation: Validation = field(default_factory=Validation)
    folds: Folds = field(default_factory=Folds)
    loss: BinaryCrossEntropy | GeneralizedCrossEntropy = field(default_factory=BinaryCrossEntropy)
    optimizer: AdamW | Adam | Sgd
    schedule: Cosine | Plateau | Cyclic | Constant = field(default_factory=Cosine)
    stop: Stop = field(default_factory=Stop)
    engine: Engine = field(default_factory=Engine)

    def __post_init__(self) -> None:
        if self.start is None and (self.model is None or self.input is None):
            raise OptionError("model and input are missing; add them, or start from a checkpoint")
        if isinstance(self.schedule, Cyclic):
            epochs, cycles = self.stop.max_epochs, self.schedule.cycles
            if epochs % cycles:
                raise OptionError(
                    f"stop.max_epochs is {epochs}, which {cycles} cycles do not divide; set a "
                    "multiple of schedule.cycles"
                )
            if self.stop.patience is not None:
                raise OptionError(
                    f"stop.patience is {self.stop.patience}, but every cycle has to end; set it "
                    "to null, or choose another schedule"
                )
            if self.engine.ema is not None:
                raise OptionError(
                    f"engine.ema is {self.engine.ema}, but snapshots are of the weights "
                    "themselves; set it to null, or choose another schedule"
                )
        if self.input is not None and self.input.view == "vessel" and self.data.region == "full":
            raise OptionError(
                "input.view is vessel, but whole frames (data.region full) have no outline to "
                "look along; set one of them to box or outline"
            )
        native = self.input is not None and self.input.size[0] is None
        if native and self.augmentation is not None and self.augmentation.resize:
            raise OptionError(
                "augmentation.resize is true, but videos keep their own depth; set it to false, "
                "and they are resized within the plane afterwards"
            )
        alike = 2 if self.sampler.twins else 1  # twins have one depth
        if native and self.sampler.batch_size > alike:
            raise OptionError(
                f"sampler.batch_size is {self.sampler.batch_size}, but videos of their own depth "
                f"make no batch; set it to {alike}, and optimizer.accumulate to what the batch was"
            )

    @property
    def network(self) -> dict[str, Any]:
        """Arguments of `create_model`, name and all."""
        model, channels = self.must_model, self.must_input.channels
        return {
            "name": model.architecture,
            "pretrained": model.pretrained,
            "inflate": model.inflate,
            "in_channels": len(channels),
            **model.options,
        }

    @property
    def must_model(self) -> Model:
        """The network, once a start has been asked for it."""
        assert self.model is not None
        return self.model

    @property
    def must_input(self) -> Input:
        """What the network sees, once a start has been asked for it."""
        assert self.input is not None
        return self.input

    def to_dict(self) -> dict[str, Any]:
        """As a file says it, with all defaults."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One network of an ensemble, trained once for each of its folds.

    Attributes:
        recipe: its name.
        name: of its folder; the recipe's by default.
        set: keys of the recipe that differ: ``{model.architecture: densenet169}``.
        folds: which of its folds are trained; null: all.
    """

    recipe: str
    name: str | None = None
    set: dict[str, Any] = field(default_factory=dict)
    folds: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EnsembleRecipe:
    """Several networks, averaged.

    Attributes:
        name: of the file.
        about: what it is, in a sentence.
        members: the networks.
        combine: mean of probabilities, or of logits.
    """

    name: str
    about: str
    members: tuple[Member, ...]
    combine: Literal["probability", "logit"] = "probability"

    def __post_init__(self) -> None:
        if not self.members:
            raise OptionError("members is empty; name at least one recipe")


def _at_least(name: str, value: float | None, least: float) -> None:
    if value is not None and value < least:
        raise OptionError(f"{name} is {value:g}, allowed are {least:g} and above")


def _between(name: str, value: float | None, low: float, high: float) -> None:
    if value is not None and not low <= value <= high:
        raise OptionError(f"{name} is {value:g}, allowed are {low:g} to {high:g}")
