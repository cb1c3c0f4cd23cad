"""Augmentation of a batch on a device: the CPU path's result, and what it is made of."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from stallscan.augment import (
    PRESETS,
    BiasField,
    CoarseDropout,
    Compose,
    CubicSymmetry,
    ElasticTransform,
    ElasticTransformPseudo2D,
    Flip,
    FrameJitter,
    FromFloat,
    GaussianNoise,
    GridDistortion,
    GridDropout,
    Normalize,
    Pad,
    PadIfNeeded,
    PoissonGamma,
    Posterize,
    Preprocessing,
    RandomAffine,
    RandomBrightnessContrast,
    RandomCrop,
    RandomCropFromBorders,
    RandomDropPlane,
    RandomFrameDrop,
    RandomGamma,
    RandomOcclusion,
    RandomRotate90,
    RandomShift,
    Resize,
    Rotate,
    RotatePseudo2D,
    RowNoise,
    Solarize,
    TimeReverse,
    ToFloat,
    Transpose,
    preset,
)
from stallscan.augment._maps import Affine, Map, Sampling
from stallscan.augment._transform import Augmentation, Spatial, Transform
from stallscan.augment.evaluation import IMAGENET_MEAN, IMAGENET_STD, to_grey
from stallscan.augment.registry import MODULES, transform_class
from stallscan.errors import OptionError
from stallscan.training import device_augment
from stallscan.training.device_augment import RawBatch, RawSample, has_device_form, on_device

CPU = torch.device("cpu")
SIZE = (20, 36, 32)
RED_SPAN = 255 * IMAGENET_STD[0]  # grey levels in one unit of the channel red

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def scene(seed: int, shape: tuple[int, ...], channels: int = 1) -> tuple[Any, Any]:
    """Blobs as wide as a vessel's cells, grey levels 0 to 255, and an outline beside the centre."""
    rng = np.random.default_rng(seed)
    frames = rng.normal(0, 1, (shape[0], channels, *shape[1:]))
    for frame in frames.reshape(-1, *shape[1:]):
        cv2.GaussianBlur(frame, (0, 0), 1.5, dst=frame)
    image = np.clip(frames / frames.std() * 45 + 110, 0, 255).astype(np.uint8)
    mask = np.zeros(shape[1:], np.uint8)
    centre, axes = (shape[2] // 3, shape[1] // 2), (shape[2] // 4, shape[1] // 3)
    cv2.ellipse(mask, centre, axes, 30, 0, 360, 1, -1)
    return np.ascontiguousarray(image.transpose(0, 2, 3, 1)), mask


def sample_of(
    aug: Augmentation | None, seed: int, shape: tuple[int, ...] = (), channels: int = 1
) -> RawSample:
    """A scene, of an extent of its own unless one is given, and what `aug` draws for it."""
    shape = shape or tuple(int(n) for n in np.random.default_rng(seed).integers(17, 60, 3))
    image, mask = scene(seed, shape, channels)
    return RawSample(image, mask, None if aug is None else aug.record(seed, image.shape))


def cpu_path(
    sample: RawSample, aug: Augmentation | None, pre: Preprocessing
) -> NDArray[np.float32]:
    image = sample.image if pre.is_colour else to_grey(sample.image)
    if aug is None or sample.record is None:
        return pre(image=image, mask=sample.mask)["image"]
    mask = np.broadcast_to(sample.mask, image.shape[:3])
    return pre(**aug.replay(sample.record, image=image, mask=mask))["image"]


def voxels(sample: RawSample, aug: Augmentation) -> tuple[Any, Any]:
    """The augmented image and mask themselves: the preprocessing keeps their size, and is undone.

    Colours are on a fixed scale, so that grey levels come back exactly.
    """
    made = aug.replay(
        sample.record or {}, mask=np.broadcast_to(sample.mask, sample.image.shape[:3])
    )
    pre = Preprocessing(
        size=(None, *made["mask"].shape[1:]), channels=("red", "green", "blue", "mask")
    )
    found = on_device(RawBatch.pack([sample]), aug, pre, CPU)[0].numpy()
    levels = [
        (found[place] * std + mean) * 255
        for place, (mean, std) in enumerate(zip(IMAGENET_MEAN, IMAGENET_STD, strict=True))
    ]
    image = np.stack(levels[: sample.image.shape[3]], axis=-1)
    np.testing.assert_allclose(image, np.rint(image), atol=1e-3)  # whole grey levels
    return np.rint(image).astype(np.uint8), found[3].astype(np.uint8)


def cpu_voxels(sample: RawSample, aug: Augmentation) -> tuple[Any, Any]:
    mask = np.broadcast_to(sample.mask, sample.image.shape[:3])
    made = aug.replay(sample.record or {}, image=sample.image, mask=mask)
    return made["image"], made["mask"]


# --- The CPU path -----------------------------------------------------------------------------


def check_like_the_cpu(
    aug: Compose, pre: Preprocessing, channels: int, device: torch.device, seeds: range
) -> None:
    """Within rounding: a quarter of a grey level in the median, and few voxels far off.

    Both paths interpolate, this one with exact places, OpenCV with places in 1/32 voxel; and where
    the CPU rounds twice (frames, then between frames), this one rounds once.
    """
    for seed in seeds:
        sample = sample_of(aug, seed, channels=channels)
        expected = cpu_path(sample, aug, pre)
        found = on_device(RawBatch.pack([sample]), aug, pre, device)[0].cpu().numpy()
        assert found.shape == expected.shape and found.dtype == np.float32
        flat = Preprocessing(size=(None, *pre.size[1:]), channels=("red",))
        deviation = max(cpu_path(sample, aug, flat).std() * RED_SPAN, 1)  # one unit of grey, change
        for channel, one, other in zip(pre.channels, found, expected, strict=True):
            away = np.abs(one - other)
            if channel == "mask":
                assert (away > 1e-3).mean() <= 0.001, (seed, sample.record)
                continue
            levels = away * (RED_SPAN if channel == "red" else deviation)
            assert np.median(levels) <= 0.25, (seed, channel, sample.record)
            assert levels.mean() <= 0.5, (seed, channel, sample.record)
            assert (levels > 4).mean() <= 0.002, (seed, channel, sample.record)


@pytest.mark.parametrize("size", [SIZE, None], ids=["sized", "native"])
@pytest.mark.parametrize("name", list(PRESETS))
def test_grey_of_every_preset_is_the_cpus(name: str, size: Any) -> None:
    pre = Preprocessing(size=SIZE)
    check_like_the_cpu(preset(name, size), pre, 1, CPU, range(16))


@pytest.mark.parametrize("name", list(PRESETS))
def test_colours_of_every_preset_are_the_cpus(name: str) -> None:
    pre = Preprocessing(size=(None, *SIZE[1:]), channels=("red", "mask"))
    check_like_the_cpu(preset(name, SIZE), pre, 3, CPU, range(100, 108))


@needs_cuda
@pytest.mark.parametrize("name", list(PRESETS))
def test_every_preset_on_a_gpu_is_the_cpus(name: str) -> None:
    device = torch.device("cuda")
    check_like_the_cpu(preset(name, SIZE), Preprocessing(size=SIZE), 1, device, range(16))


CHAINS = {
    "elastic under reflection, a stage of its own": [
        Rotate((20, 20), 0, 0, p=1),
        ElasticTransform((0.1, 0.2), border_mode="reflect", p=1),
    ],
    "size first": [Resize((31, 40, 44)), Rotate((30, 30), 0, 0, p=1), ElasticTransform(0.2, p=1)],
    "tilt of a zoom": [Resize((31, 40, 44)), Rotate((10, 20), (10, 20), (10, 20), p=1)],
    "motion, then turned, then sized": [
        RandomShift((1, 2), border_mode="constant", value=90, p=1),
        Rotate((10, 20), 0, 0, p=1),
        RandomFrameDrop(0.2, p=1),
        Resize((31, 15, 44)),
    ],
    "motion along another axis": [RandomShift((1, 2), p=1), Transpose((1, 0, 2), p=1)],
    "nearest, tilted": [Rotate((20, 20), (10, 20), (10, 20), interpolation=0, p=1)],
    "nearest": [
        Rotate((20, 20), 0, 0, interpolation=0, p=1),
        Resize((12, 50, 20), interpolation=0),
    ],
    "values between places": [
        Rotate((20, 20), 0, 0, value=200, mask_value=1, p=1),
        GaussianNoise((20, 30), p=1),
        ElasticTransform(0.2, border_mode="nearest", p=1),
        GridDropout(0.4, fill_value=77, mask_fill_value=1, random_offset=True, p=1),
    ],
    "bent frames in motion, on another grid": [
        ElasticTransformPseudo2D(40, 5, border_mode="constant", p=1),
        RandomShift((1, 2), border_mode="constant", p=1),
        GridDistortion(axes=(0, 1, 2), p=1),
        Resize((31, 40, 44)),
    ],
    "bent frames, from the side": [
        RandomAffine(p=1),
        ElasticTransformPseudo2D(30, 5, border_mode="constant", p=1),
        CubicSymmetry(),
    ],
    "nothing is drawn": [Flip(0, p=1e-9)],
}


@pytest.mark.parametrize("steps", CHAINS.values(), ids=CHAINS.keys())
def test_stages_follow_one_another_as_on_the_cpu(steps: list[Augmentation]) -> None:
    check_like_the_cpu(Compose(steps), Preprocessing(size=SIZE), 1, CPU, range(6))


def test_without_augmentation_it_is_the_preprocessing() -> None:
    pre = Preprocessing(size=SIZE)
    samples = [sample_of(None, seed, channels=1 + 2 * (seed % 2)) for seed in range(4)]
    found = on_device(RawBatch.pack(samples), None, pre, CPU).numpy()
    assert found.shape == (4, 3, *SIZE)
    for one, sample in zip(found, samples, strict=True):
        np.testing.assert_allclose(one, cpu_path(sample, None, pre), atol=1e-4)
    aug = preset("winner_v13", SIZE)  # a record that is None says the same
    np.testing.assert_array_equal(found, on_device(RawBatch.pack(samples), aug, pre, CPU).numpy())


# --- Places -----------------------------------------------------------------------------------

WHOLE = {
    "flips": Compose([Flip(0), Flip(1), Flip(2)]),
    "quarter turns": RandomRotate90((1, 2), p=1),
    "time": TimeReverse(p=1),
    "transposition": Transpose((2, 0, 1), p=1),
    "crop": RandomCropFromBorders(0.3, p=1),
    "planes": RandomDropPlane(0.3, (0, 1, 2)),
    "frames": RandomFrameDrop(0.3, p=1),
    "pad": Pad(((1, 0), (2, 3), (0, 5)), value=40, mask_value=1),
    "pad, reflect": PadIfNeeded((70, None, 90), "reflect"),
    "pad, nearest": RandomCrop((70, 20, 90), pad_if_needed=True, border_mode="nearest"),
    "pad, crop, flip": Compose([
        Pad(9, value=40, mask_value=1),
        RandomCropFromBorders(0.2, p=1),
        Flip((0, 2), p=1),
        RandomFrameDrop(0.3, p=1),
    ]),
    "all": Compose([
        RandomCropFromBorders(0.2, p=1),
        RandomRotate90((0, 2), p=1),
        RandomDropPlane(0.3, (0, 1, 2)),
        Flip((0, 2), p=1),
        RandomFrameDrop(0.3, p=1),
        Transpose((1, 0, 2), p=1),
    ]),
}  # fmt: skip


@pytest.mark.parametrize("aug", WHOLE.values(), ids=WHOLE.keys())
@pytest.mark.parametrize("channels", [1, 3])
def test_whole_voxels_are_moved_exactly(aug: Augmentation, channels: int) -> None:
    for seed in range(6):
        sample = sample_of(aug, seed, channels=channels)
        for found, expected in zip(voxels(sample, aug), cpu_voxels(sample, aug), strict=True):
            np.testing.assert_array_equal(found, expected)


@dataclass(frozen=True)
class Slide(Spatial):
    """Frames come from further on, and run out."""

    keeps_shape: ClassVar[bool] = True
    further: float = 0.0
    always_apply: bool = False
    p: float = 1.0

    def sample(self, rng: np.random.Generator, shape: Any) -> dict[str, Any]:
        return {}

    def map(self, params: dict[str, Any], shape: Any) -> list[Map]:
        offset = np.array([self.further, 0.0, 0.0])
        return [Affine(np.eye(3), offset, sampling=Sampling(value=40, mask_value=1))]


@pytest.mark.parametrize("further", [-3, -2.75, 0.5, 2])
def test_frames_beyond_the_stack_are_the_constant(further: float) -> None:
    aug, shape = Slide(further), (17, 18, 19)
    sample = sample_of(aug, 0, shape)
    image, mask = voxels(sample, aug)
    place = np.arange(17) + further
    lower = np.clip(np.floor(place), 0, 16).astype(int)
    upper = np.clip(np.ceil(place), 0, 16).astype(int)
    share = (place - np.floor(place))[:, None, None]
    grey = sample.image[..., 0].astype(float)
    expected = grey[lower] * (1 - share) + grey[upper] * share
    beyond = (place < -0.5) | (place > 16.5)
    expected[beyond] = 40
    np.testing.assert_allclose(image[..., 0], expected, atol=0.501)  # rounded once
    assert (image[beyond] == 40).all()
    assert beyond.any() == (abs(further) > 0.5)
    outline = np.broadcast_to(sample.mask, shape).copy()
    outline[beyond] = 1
    np.testing.assert_array_equal(mask, outline)


BENT: dict[str, Spatial] = {
    "turn": Rotate((25, 25), 0, 0, value=40, mask_value=1, p=1),
    "turn, nearest": Rotate((25, 25), 0, 0, border_mode="nearest", p=1),
    "turn, reflect": Rotate((61, 61), 0, 0, border_mode="reflect", p=1),
    "tilt": Rotate((10, 10), (20, 20), (-15, -15), value=40, p=1),
    "tilt, reflect": Rotate((10, 10), (40, 40), (-15, -15), border_mode="reflect", p=1),
    "elastic": ElasticTransform((0.3, 0.3), value=40, mask_value=1, p=1),
    "elastic, every voxel a node": ElasticTransform((0.02, 0.02), p=1),
    "elastic, reflect": ElasticTransform((0.3, 0.3), border_mode="reflect", p=1),
    "motion": RandomShift((2, 2), p=1),
    "motion, constant": RandomShift((2, 2), border_mode="constant", value=40, p=1),
    "motion, reflect": RandomShift((9, 9), border_mode="reflect", p=1),
    "affine": RandomAffine(20, 0.1, (0.7, 1.4), 15, spacing=(2, 0.8, 0.8), value=40, p=1),
    "affine, frames": RandomAffine((20, 0, 0), 0.1, (0.7, 1.4), (0, 0, 15), value=40, p=1),
    "turn of time": RotatePseudo2D(border_mode="reflect", p=1),
    "bend of frames": ElasticTransformPseudo2D(60, 5, p=1),
    "bend of frames, constant": ElasticTransformPseudo2D(
        60, 5, border_mode="constant", value=40, mask_value=1, p=1
    ),
}


@pytest.mark.parametrize("aug", BENT.values(), ids=BENT.keys())
def test_values_between_voxels_are_scipys(aug: Spatial) -> None:
    """Every voxel, borders too, to the rounding: places from the map itself, in float64."""
    shape = (18, 23, 27)
    sample = sample_of(aug, 3, shape)
    assert sample.record is not None
    (map_,) = aug.map(sample.record["drawn"], shape)
    places = map_.pull(np.indices(shape, np.float64).reshape(3, -1)).reshape(3, *shape)  # type: ignore[attr-defined]
    border = aug.border_mode  # type: ignore[attr-defined]
    mode = {"constant": "nearest", "nearest": "nearest", "reflect": "reflect"}[border]
    last = np.reshape(shape, (3, 1, 1, 1)) - 1
    inside = ((places >= -0.5) & (places <= last + 0.5)).all(axis=0) | (border != "constant")
    at_edge = (np.minimum(abs(places + 0.5), abs(places - last - 0.5)) < 1e-4).any(axis=0)
    at_edge &= border == "constant"
    image, mask = voxels(sample, aug)

    grey = map_coordinates(sample.image[..., 0].astype(float), places, order=1, mode=mode)
    expected = np.where(inside, grey, aug.value)  # type: ignore[attr-defined]
    away = np.abs(image[..., 0] - expected)
    assert away[~at_edge].max() <= 0.51 and at_edge.mean() < 0.01

    outline = np.broadcast_to(sample.mask, shape).astype(float)
    chosen = map_coordinates(outline, places, order=0, mode=mode)
    wanted = np.where(inside, chosen, aug.mask_value)  # type: ignore[attr-defined]
    between = np.abs(places % 1 - 0.5)[1:].min(axis=0) < 1e-4  # as near to one voxel as to the next
    assert (mask == wanted)[~at_edge & ~between].all()
    assert between.mean() < 0.01


@pytest.fixture
def sampled_ranks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Ranks of what is interpolated: 4 within planes, 5 in three dimensions."""
    ranks: list[int] = []
    plain = torch.nn.functional.grid_sample

    def counted(source: torch.Tensor, *args: Any, **options: Any) -> torch.Tensor:
        ranks.append(source.ndim)
        return plain(source, *args, **options)

    monkeypatch.setattr(torch.nn.functional, "grid_sample", counted)
    return ranks


@pytest.mark.parametrize("name", ["winner_v20", "heavy"])
def test_three_dimensions_only_where_it_bends(name: str, sampled_ranks: list[int]) -> None:
    aug, pre = preset(name, SIZE), Preprocessing(size=SIZE)
    seen = set()
    for seed in range(40):
        sampled_ranks.clear()
        sample = sample_of(aug, seed, (17, 20, 22))
        assert sample.record is not None
        bends = "ElasticTransform" in sample.record["applied"]
        on_device(RawBatch.pack([sample]), aug, pre, CPU)
        assert (5 in sampled_ranks) == bends, sample.record
        if name == "winner_v20" and not bends:
            assert sampled_ranks == [4]  # all of it, the size too, at once
        seen.add(bends)
    assert seen == {True, False}


def test_a_bend_of_frames_is_taken_in_two(sampled_ranks: list[int]) -> None:
    aug = ElasticTransformPseudo2D(60, 5, p=1)
    on_device(RawBatch.pack([sample_of(aug, 0)]), aug, Preprocessing(size=SIZE), CPU)
    assert sampled_ranks and set(sampled_ranks) == {4}


def test_a_tilt_is_taken_in_three_dimensions(sampled_ranks: list[int]) -> None:
    aug = Rotate((10, 10), (5, 5), 0, p=1)
    on_device(RawBatch.pack([sample_of(aug, 0)]), aug, Preprocessing(size=SIZE), CPU)
    assert sampled_ranks == [5]


# --- Values -----------------------------------------------------------------------------------

VALUES = {
    "noise": GaussianNoise((30, 900), mean=-3, p=1),
    "rows": RowNoise((5, 9), p=1),
    "few photons": PoissonGamma((2, 5), p=1),
    "many photons": PoissonGamma((300, 400), p=1),
    "gains": FrameJitter(dim_prob=0.3, p=1),
    "gamma": RandomGamma((50, 150), p=1),
    "contrast": RandomBrightnessContrast(p=1),
    "inverted": Solarize((90, 160), p=1),
    "coarse": Posterize(p=1),
    "shaded": BiasField(p=1),
    "holes": GridDropout(0.4, random_offset=True, p=1),
    "holes of masks": GridDropout(0.3, fill_value=9, mask_fill_value=1, p=1),
    "boxes": CoarseDropout((5, 9), 0.5, fill_value=9, mask_fill_value=1, p=1),
    "polygons": RandomOcclusion(3, 0.4, all_frames_prob=1, mask_fill_value=0, p=1),
    "one after another": Compose(
        [FrameJitter(p=1), RandomGamma(p=1), PoissonGamma(p=1), RowNoise(p=1), RandomGamma(p=1)]
    ),
}


@pytest.mark.parametrize("aug", VALUES.values(), ids=VALUES.keys())
@pytest.mark.parametrize("channels", [1, 3])
def test_values_are_the_cpus_exactly(aug: Augmentation, channels: int) -> None:
    """The very same noise: extents that are no multiples of what is drawn at once."""
    for seed, shape in enumerate([(5, 17, 19), (20, 23, 21), (1, 18, 33)]):
        sample = sample_of(aug, seed, shape, channels)
        image, mask = voxels(sample, aug)
        expected, outline = cpu_voxels(sample, aug)
        np.testing.assert_array_equal(image, expected)
        np.testing.assert_array_equal(mask, outline)
        assert (image != sample.image).mean() > 0.02


def test_noise_of_every_seed() -> None:
    """Words whose highest bit is set, as half of them are."""
    aug = GaussianNoise((900, 900), p=1)
    sample = sample_of(aug, 0, (3, 17, 17))
    assert sample.record is not None
    for noise_seed in (0, 1, 2**31, 2**62 + 12345, 2**63 - 1):
        drawn = {**sample.record["drawn"], "noise_seed": noise_seed}
        again = sample._replace(record={**sample.record, "drawn": drawn})
        np.testing.assert_array_equal(voxels(again, aug)[0], cpu_voxels(again, aug)[0])


# --- Without a form on a device ---------------------------------------------------------------


def test_what_has_a_form_on_a_device() -> None:
    without = set()
    for name in MODULES:
        kind = transform_class(name)
        needed = [one for one in dataclasses.fields(kind) if one.default is dataclasses.MISSING]
        if not has_device_form(kind(*[SIZE for _ in needed])):
            without.add(name)
    assert without == {
        *("Normalize", "ToFloat", "FromFloat", "Attenuation"),
        *("HistogramNormalize", "HistogramMatching", "CLAHE", "OutlineJitter"),
        *("GaussianBlur", "UnsharpMask", "Blur", "MedianBlur", "MotionBlur", "GlassBlur"),
        *("Downscale", "ImageCompression", "RemoveBackground"),
    }
    lacking = [
        Rotate(interpolation=3),
        RandomGamma(stretch=True),
        RandomBrightnessContrast(brightness_by_max=False),
        GridDropout(fill_value=0.5),
        GridDropout(mask_fill_value=300),
        ElasticTransform(value=-1),
        RandomShift(mask_value=256),
        RandomOcclusion(fill_value=-1),
    ]
    assert not any(has_device_form(transform) for transform in lacking)


ON_CPU: dict[str, list[Transform]] = {
    "splines": [Rotate((20, 20), 0, 0, interpolation=3, p=1), GaussianNoise(p=1)],
    "stretched": [Flip(1, p=1), RandomGamma((60, 60), stretch=True, p=1)],
    "there and back": [ToFloat(), Flip(2, p=1), FromFloat("uint8")],
}


@pytest.mark.parametrize("steps", ON_CPU.values(), ids=ON_CPU.keys())
@pytest.mark.parametrize("channels", ["grey", "red"])
def test_what_has_none_is_done_on_the_cpu(steps: list[Augmentation], channels: str) -> None:
    aug = Compose(steps)
    pre = Preprocessing(size=SIZE, channels=(channels, "change", "mask"))
    sample = sample_of(aug, 5, channels=3)
    found = on_device(RawBatch.pack([sample]), aug, pre, CPU)[0].numpy()
    np.testing.assert_allclose(found, cpu_path(sample, aug, pre), atol=1e-4)
    unaugmented = on_device(RawBatch.pack([sample._replace(record=None)]), aug, pre, CPU)[0].numpy()
    assert np.abs(found - unaugmented).mean() > 0.1


def test_only_the_samples_that_drew_it_go_through_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    aug = Compose([Flip(0), RandomGamma((60, 60), stretch=True, p=0.5)])
    samples = [sample_of(aug, seed, (17, 18, 19)) for seed in range(12)]
    replayed: list[Any] = []
    plain = Compose.replay

    def counted(self: Compose, record: dict[str, Any], **targets: Any) -> dict[str, Any]:
        replayed.append(record)
        return plain(self, record, **targets)

    monkeypatch.setattr(Compose, "replay", counted)
    on_device(RawBatch.pack(samples), aug, Preprocessing(size=SIZE), CPU)
    records = [sample.record for sample in samples if sample.record is not None]
    assert replayed == [record for record in records if "RandomGamma" in record["applied"]]
    assert 0 < len(replayed) < 12


# --- The batch --------------------------------------------------------------------------------


def test_a_sample_is_the_same_in_any_batch_and_again() -> None:
    aug, pre = preset("heavy", SIZE), Preprocessing(size=SIZE)
    samples = [sample_of(aug, seed) for seed in range(8)]
    together = on_device(RawBatch.pack(samples), aug, pre, CPU)
    assert together.shape == (8, 3, *SIZE) and not together.requires_grad
    backwards = on_device(RawBatch.pack(samples[::-1]), aug, pre, CPU).flip(0)
    assert torch.equal(together, backwards)
    for number, sample in enumerate(samples):
        assert torch.equal(on_device(RawBatch.pack([sample]), aug, pre, CPU)[0], together[number])


def test_a_record_that_was_json_will_do() -> None:
    aug, pre = preset("heavy", SIZE), Preprocessing(size=SIZE)
    samples = [sample_of(aug, seed) for seed in range(12)]
    copies = [s._replace(record=json.loads(json.dumps(s.record))) for s in samples]
    assert torch.equal(
        on_device(RawBatch.pack(samples), aug, pre, CPU),
        on_device(RawBatch.pack(copies), aug, pre, CPU),
    )


def test_samples_are_not_changed_and_may_be_read_only() -> None:
    aug, pre = preset("paper", SIZE), Preprocessing(size=SIZE)
    image, mask, record = sample_of(aug, 1, channels=3)
    expected = on_device(RawBatch.pack([RawSample(image, mask, record)]), aug, pre, CPU)
    image.setflags(write=False)
    mask.setflags(write=False)
    kept = json.dumps(record)
    backwards = np.ascontiguousarray(image[:, ::-1])[:, ::-1]  # negative strides
    found = on_device(RawBatch.pack([RawSample(backwards, mask, record)]), aug, pre, CPU)
    assert torch.equal(found, expected) and json.dumps(record) == kept


def test_a_result_does_not_follow_the_precision_of_the_network() -> None:
    aug, pre = preset("heavy", SIZE), Preprocessing(size=SIZE)
    samples = [sample_of(aug, seed) for seed in range(6)]
    expected = on_device(RawBatch.pack(samples), aug, pre, CPU)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(on_device(RawBatch.pack(samples), aug, pre, CPU), expected)


def test_the_mask_is_left_alone_where_nobody_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    aug, pre = preset("heavy", SIZE), Preprocessing(size=SIZE, channels=("grey",))
    labels = []
    plain = device_augment.run_stage

    def counted(*args: Any, **options: Any) -> torch.Tensor:
        labels.append(options["labels"])
        return plain(*args, **options)

    monkeypatch.setattr(device_augment, "run_stage", counted)
    on_device(RawBatch.pack([sample_of(aug, 0)]), aug, pre, CPU)
    assert labels and not any(labels)


# --- Bad input --------------------------------------------------------------------------------


def test_messages() -> None:
    aug, pre = preset("mirror3"), Preprocessing(size=SIZE)
    good = sample_of(aug, 0, (17, 18, 19))
    wrong: list[tuple[list[RawSample], Augmentation | None, Preprocessing, list[str]]] = [
        ([], aug, pre, ["samples is empty", "one at least"]),
        (
            [good, good._replace(image=good.image.astype(np.float32))],
            aug,
            pre,
            ["samples[1].image", "float32", "(17, 18, 19, 1)", "uint8"],
        ),
        ([good._replace(image=good.image[..., 0])], aug, pre, ["(17, 18, 19)", "(z, y, x, 3)"]),
        ([good._replace(image=good.image[:0])], aug, pre, ["(0, 18, 19, 1)", "not empty"]),
        ([good._replace(mask=good.mask[1:])], aug, pre, ["mask", "(17, 19)", "(18, 19)"]),
        ([good._replace(mask=good.mask > 0)], aug, pre, ["mask is bool", "allowed is uint8"]),
        ([good], None, pre, ["samples[0] has a record", "give the augmentation"]),
        ([good], preset("winner_v13"), pre, ["not drawn by this pipeline"]),
        (
            [good._replace(image=good.image[1:])],
            aug,
            pre,
            ["(16, 18, 19)", "drawn for (17, 18, 19)", "augmentation.record"],
        ),
    ]
    for samples, augmentation, preprocessing, parts in wrong:
        with pytest.raises(OptionError) as error:
            on_device(RawBatch.pack(samples), augmentation, preprocessing, CPU)
        for part in parts:
            assert part in str(error.value)


def test_native_depths_of_a_batch_must_agree() -> None:
    pre = Preprocessing(size=(None, 16, 16))
    samples = [sample_of(None, 0, (n, 17, 18)) for n in (20, 17, 20)]
    assert on_device(RawBatch.pack(samples[::2]), None, pre, CPU).shape == (2, 3, 20, 16, 16)
    with pytest.raises(OptionError, match=r"17, 20 slices.*\(None, 16, 16\).*one depth"):
        on_device(RawBatch.pack(samples), None, pre, CPU)


def test_floats_are_refused_as_the_cpu_path_does() -> None:
    aug = Compose([Normalize()])
    sample = sample_of(aug, 0)
    with pytest.raises(OptionError, match=r"float32 once augmented.*leave Normalize and ToFloat"):
        on_device(RawBatch.pack([sample]), aug, Preprocessing(size=SIZE), CPU)


def test_values_that_bytes_do_not_have_are_refused_by_the_cpu_path() -> None:
    aug = Rotate((20, 20), 0, 0, value=300, p=1)
    with pytest.raises(OptionError, match=r"value is 300.*uint8"):
        on_device(RawBatch.pack([sample_of(aug, 0)]), aug, Preprocessing(size=SIZE), CPU)
