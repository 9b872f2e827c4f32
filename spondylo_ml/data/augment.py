"""Random augmentation of training films, seeded by film and epoch: it does not depend on workers or restarts."""

from __future__ import annotations

import os
import random
from typing import Any

import cv2
import numpy as np

from spondylo_ml.config.films import LARGEST_DOWNSCALE, SMALLEST_RECTANGLE, AugmentationConfig
from spondylo_ml.landmarks import MIRRORED_CORNERS, FloatArray, GreyImage

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # its import would check for a newer version online


def mirror(image: GreyImage, corners_xy: FloatArray) -> tuple[GreyImage, FloatArray]:
    """The image mirrored, and (V, 4, 2) corners mirrored with left and right exchanged."""
    mirrored = corners_xy[:, list(MIRRORED_CORNERS)].copy()
    mirrored[..., 0] = image.shape[1] - 1 - mirrored[..., 0]
    return np.ascontiguousarray(image[:, ::-1]), mirrored


def lose_detail(image: GreyImage, scale: float) -> GreyImage:
    """The (H, W) image shrunk by `scale` and enlarged to its size again; nothing moves.

    (`albumentations.Downscale` moves pixels by up to half a shrunk pixel, where the shrunk size is no whole number.)
    """
    height, width = image.shape
    shrunk_wh = max(1, round(width * scale)), max(1, round(height * scale))
    shrunk = cv2.resize(image, shrunk_wh, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


class Augmenter:
    """Augmentation by albumentations, except mirroring, which exchanges the names of corners, and loss of detail."""

    def __init__(self, config: AugmentationConfig) -> None:
        self._config = config
        self._transform = _compose(config)

    def __call__(self, image: GreyImage, corners_xy: FloatArray, seed: int) -> tuple[GreyImage, FloatArray]:
        """The (H, W) image and its (V, 4, 2) corners in px, NaN where absent, augmented with `seed`.

        Corners may leave the image; the caller decides what to do about that.
        """
        if not self._config.enabled:
            return image, corners_xy
        generator = np.random.default_rng(seed)
        if generator.random() < self._config.flip_probability:
            image, corners_xy = mirror(image, corners_xy)
        if generator.random() < self._config.downscale_probability:
            image = lose_detail(image, generator.uniform(self._config.downscale_smallest, LARGEST_DOWNSCALE))
        present = ~np.isnan(corners_xy[..., 0])
        # Not set_random_seed: in a worker of a loader it adds the worker's seed, which a restart changes.
        self._transform.set_random_state(np.random.default_rng(seed), random.Random(seed))
        result = self._transform(image=image, keypoints=corners_xy[present].astype(np.float32))
        moved = corners_xy.copy()
        moved[present] = np.asarray(result["keypoints"], dtype=np.float64).reshape(-1, 2)
        return np.asarray(result["image"], dtype=np.uint8), moved


def _compose(config: AugmentationConfig) -> Any:
    import albumentations as A  # slow to import, needed only in training

    steps = [
        *_used(A.InvertImg(p=config.inversion_probability)),
        *_geometry(config),
        *_contrast(config),
        *_blur_and_noise(config),
        *_hidden_rectangles(config),
    ]
    return A.Compose(steps, keypoint_params=A.KeypointParams(format="xy", remove_invisible=False))


def _used(step: Any) -> list[Any]:
    """The step, unless it is never applied: even then it would draw a random number, and change what follows it.

    For steps that no preset has: without them, a preset's films are augmented as before there were such steps.
    """
    return [step] if step.p > 0 else []


def _geometry(config: AugmentationConfig) -> list[Any]:
    import albumentations as A

    shift, scale, zoom = config.shift_fraction, config.scale_fraction, config.zoom_fraction
    turn, shear = config.rotation_deg, config.shear_deg
    affine = A.Affine(
        translate_percent=(-shift, shift),
        scale=(1 - scale, 1 + scale),
        rotate=(-turn, turn),
        shear=(-shear, shear),
        p=config.affine_probability,
    )
    # A step of its own: an `Affine` changes width and height either independently or alike.
    zoom_step = A.Affine(scale=(1 - zoom, 1 + zoom), keep_ratio=True, p=config.affine_probability if zoom else 0)
    return [affine, *_used(zoom_step)]


def _contrast(config: AugmentationConfig) -> list[Any]:
    import albumentations as A

    smallest, largest = config.gamma_range
    return [
        A.RandomBrightnessContrast(config.contrast_fraction, config.contrast_fraction, p=config.contrast_probability),
        A.RandomGamma(gamma_limit=(100 * smallest, 100 * largest), p=config.contrast_probability),
        *_used(A.RandomToneCurve(scale=config.tone_curve_spread, p=config.tone_curve_probability)),
        A.CLAHE(clip_limit=(1, 4), p=config.clahe_probability),
    ]


def _blur_and_noise(config: AugmentationConfig) -> list[Any]:
    import albumentations as A

    fraction = config.impulse_noise_fraction
    impulse_noise = A.SaltAndPepper(
        amount=(fraction / 10, fraction), salt_vs_pepper=(0.2, 0.8), p=config.impulse_noise_probability
    )
    return [
        A.GaussianBlur(blur_limit=(3, 5), p=config.blur_probability),
        A.GaussNoise(std_range=(0.01, 0.06), p=config.noise_probability),
        *_used(impulse_noise),
    ]


def _hidden_rectangles(config: AugmentationConfig) -> list[Any]:
    import albumentations as A

    def rectangles(largest: float, fill: float | str, probability: float) -> Any:
        sides = (SMALLEST_RECTANGLE, largest)
        return A.CoarseDropout((1, 4), hole_height_range=sides, hole_width_range=sides, fill=fill, p=probability)

    fill = 0 if config.dropout_fill == "black" else "random_uniform"
    return [
        rectangles(config.dropout_largest_fraction, fill, config.dropout_probability),
        *_used(rectangles(config.box_corruption_largest_fraction, "random", config.box_corruption_probability)),
    ]
