"""Random augmentation of training films, seeded by film and epoch: it does not depend on workers or restarts."""

from __future__ import annotations

import os
import random
from typing import Any

import numpy as np

from spondylo_ml.config.films import AugmentationConfig
from spondylo_ml.landmarks import MIRRORED_CORNERS, FloatArray, GreyImage

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # its import would check for a newer version online


def mirror(image: GreyImage, corners_xy: FloatArray) -> tuple[GreyImage, FloatArray]:
    """The image mirrored, and (V, 4, 2) corners mirrored with left and right exchanged."""
    mirrored = corners_xy[:, list(MIRRORED_CORNERS)].copy()
    mirrored[..., 0] = image.shape[1] - 1 - mirrored[..., 0]
    return np.ascontiguousarray(image[:, ::-1]), mirrored


class Augmenter:
    """Augmentation by albumentations, except mirroring, which exchanges the names of corners."""

    def __init__(self, config: AugmentationConfig) -> None:
        self._config = config
        self._transform = _compose(config)

    def __call__(self, image: GreyImage, corners_xy: FloatArray, seed: int) -> tuple[GreyImage, FloatArray]:
        """The (H, W) image and its (V, 4, 2) corners in px, NaN where absent, augmented with `seed`.

        Corners may leave the image; the caller decides what to do about that.
        """
        if not self._config.enabled:
            return image, corners_xy
        if np.random.default_rng(seed).random() < self._config.flip_probability:
            image, corners_xy = mirror(image, corners_xy)
        present = ~np.isnan(corners_xy[..., 0])
        # Not set_random_seed: in a worker of a loader it adds the worker's seed, which a restart changes.
        self._transform.set_random_state(np.random.default_rng(seed), random.Random(seed))
        result = self._transform(image=image, keypoints=corners_xy[present].astype(np.float32))
        moved = corners_xy.copy()
        moved[present] = np.asarray(result["keypoints"], dtype=np.float64).reshape(-1, 2)
        return np.asarray(result["image"], dtype=np.uint8), moved


def _compose(config: AugmentationConfig) -> Any:
    import albumentations as A  # slow to import, needed only in training

    shift, scale, turn = config.shift_fraction, config.scale_fraction, config.rotation_deg
    steps = [
        A.Affine(
            translate_percent=(-shift, shift),
            scale=(1 - scale, 1 + scale),
            rotate=(-turn, turn),
            p=config.affine_probability,
        ),
        A.RandomBrightnessContrast(config.contrast_fraction, config.contrast_fraction, p=config.contrast_probability),
        A.RandomGamma(gamma_limit=(60, 160), p=config.contrast_probability),
        A.CLAHE(clip_limit=(1, 4), p=config.clahe_probability),
        A.GaussianBlur(blur_limit=(3, 5), p=config.blur_probability),
        A.GaussNoise(std_range=(0.01, 0.06), p=config.noise_probability),
        A.CoarseDropout(
            num_holes_range=(1, 4),
            hole_height_range=(0.03, 0.12),
            hole_width_range=(0.03, 0.12),
            p=config.dropout_probability,
        ),
    ]
    return A.Compose(steps, keypoint_params=A.KeypointParams(format="xy", remove_invisible=False))
