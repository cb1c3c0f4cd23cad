"""Volumentations: 3D augmentation, and what happens to a volume before a network sees it.

Stands alone: `import stallscan.augment as volumentations` and the pipelines of volumentations-3D
run, repaired and faster.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "attenuation": ["Attenuation"],
        "bias_field": ["BiasField"],
        "clahe": ["CLAHE"],
        "coarse_dropout": ["CoarseDropout"],
        "compose": ["Compose", "OneOf", "SomeOf"],
        "cut_mix": ["CutMix"],
        "cubic_symmetry": ["CubicSymmetry"],
        "elastic_transform": ["ElasticTransform"],
        "elastic_transform_pseudo2d": ["ElasticTransformPseudo2D"],
        "evaluation": ["Preprocessing", "preprocess"],
        "flip": ["Flip"],
        "frame_jitter": ["FrameJitter"],
        "gaussian_noise": ["GaussianNoise"],
        "grid_distortion": ["GridDistortion"],
        "grid_dropout": ["GridDropout"],
        "histogram_matching": ["HistogramMatching"],
        "histogram_normalize": ["HistogramNormalize"],
        "mirror": ["FLIPS", "mirrored"],
        "mix_up": ["MixUp"],
        "normalize": ["Normalize"],
        "outline_jitter": ["OutlineJitter"],
        "poisson_gamma": ["PoissonGamma"],
        "posterize": ["Posterize"],
        "presets": ["PRESETS", "preset"],
        "random_brightness_contrast": ["RandomBrightnessContrast"],
        "random_affine": ["RandomAffine"],
        "random_crop_from_borders": ["RandomCropFromBorders"],
        "random_drop_plane": ["RandomDropPlane"],
        "random_frame_drop": ["RandomFrameDrop"],
        "random_gamma": ["RandomGamma"],
        "random_occlusion": ["RandomOcclusion"],
        "random_rotate90": ["RandomRotate90"],
        "random_shift": ["RandomShift"],
        "registry": ["batch_class", "from_dict", "from_yaml", "to_yaml", "transform_class"],
        "resize": ["Resize"],
        "rotate": ["Rotate"],
        "rotate_pseudo2d": ["RotatePseudo2D"],
        "row_noise": ["RowNoise"],
        "sampling": ["sample_rng"],
        "solarize": ["Solarize"],
        "time_reverse": ["TimeReverse"],
        "to_float": ["FromFloat", "ToFloat"],
        "transpose": ["Transpose"],
    },
)
