"""What an audit keeps of a film's pixels, so that each film is read once and none stays in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import Film, FloatArray, GreyImage

HASH_SIDE_PX, HASH_FREQUENCIES = 32, 12
SMALL_SIDE_PX, THUMBNAIL_PX = 256, 96
DARK, BRIGHT = 8, 247
BLUR_PX = 6.0

Thumbnail = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ImageFacts:
    """What is kept of one film's pixels.

    Attributes:
        pixels_sha256: equal where all grey levels are.
        whole_dct: (12, 12) lowest cosine frequencies of the film, of which its perceptual hash is made.
        spine_dct: the same of the labelled part alone, which a crop or a zoom leaves as it is; None without labels.
        spine_box: x, y of the least and of the largest corner, as shares of the film; None without labels.
        thumbnail: (96, 96) film with its local brightness and contrast made even.
        range_grey: grey levels between the 1st and the 99th percentile.
        dark_share, bright_share: share of pixels that are all but black, or all but white.
        bone_contrast: how much brighter the bodies are than what lies beside them, as a share of the range.
    """

    pixels_sha256: str
    whole_dct: FloatArray
    spine_dct: FloatArray | None
    spine_box: FloatArray | None
    thumbnail: Thumbnail
    range_grey: float
    dark_share: float
    bright_share: float
    bone_contrast: float


def measure_image(film: Film) -> ImageFacts:
    """The facts of one film.

    Raises:
        DataError: its pixels cannot be read.
    """
    image = film.image.read()
    box = _spine_box(film)
    small = cv2.resize(image, (SMALL_SIDE_PX, SMALL_SIDE_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
    low, high = np.percentile(small, [1, 99])
    return ImageFacts(
        pixels_sha256=hashlib.sha256(np.ascontiguousarray(image).tobytes() + repr(image.shape).encode()).hexdigest(),
        whole_dct=_lowest_frequencies(small),
        spine_dct=None if box is None else _lowest_frequencies(_within(image, box)),
        spine_box=box,
        thumbnail=_even(small),
        range_grey=float(high - low),
        dark_share=float((small < DARK).mean()),
        bright_share=float((small > BRIGHT).mean()),
        bone_contrast=_bone_contrast(film, small) / max(1.0, float(high - low)),
    )


def measure_images(films: Sequence[Film], on_film: Callable[[], object] = lambda: None) -> list[ImageFacts | None]:
    """The facts of each film, in order and in parallel; None for one that cannot be read."""

    def one(film: Film) -> ImageFacts | None:
        try:
            return measure_image(film)
        except DataError:
            return None
        finally:
            on_film()

    with ThreadPoolExecutor() as pool:
        return list(pool.map(one, films))


def _lowest_frequencies(image: NDArray[np.float32]) -> FloatArray:
    small = cv2.resize(image, (HASH_SIDE_PX, HASH_SIDE_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.dct(small)[:HASH_FREQUENCIES, :HASH_FREQUENCIES], dtype=np.float64)


def _spine_box(film: Film) -> FloatArray | None:
    """(4,) what the labels span, within the film; None where that is nothing."""
    if not any(v.present.any() for v in film.vertebrae or ()):
        return None
    height, width = film.size_hw
    corners = np.concatenate([v.corners_xy for v in film.vertebrae or ()]) / np.array([width, height])
    low, high = (np.clip(f(corners, axis=0), 0, 1) for f in (np.nanmin, np.nanmax))
    wide_enough = ((high - low) * np.array([width, height]) >= 2).all()
    return np.concatenate([low, high]) if wide_enough else None


def _within(image: GreyImage, box: FloatArray) -> NDArray[np.float32]:
    """The part of the film in a box given in shares of it."""
    height, width = image.shape
    x0, y0, x1, y1 = (box * np.array([width, height, width, height])).round().astype(int)
    return image[min(y0, height - 2) : max(y1, y0 + 2), min(x0, width - 2) : max(x1, x0 + 2)].astype(np.float32)


def _even(small: NDArray[np.float32]) -> Thumbnail:
    """The picture as a thumbnail, less its local mean, over its local standard deviation."""
    image = cv2.resize(small, (THUMBNAIL_PX, THUMBNAIL_PX), interpolation=cv2.INTER_AREA)
    mean = cv2.GaussianBlur(image, (0, 0), BLUR_PX)
    variance = cv2.GaussianBlur((image - mean) ** 2, (0, 0), BLUR_PX)
    return np.asarray((image - mean) / np.sqrt(variance + 4), dtype=np.float32)


def _bone_contrast(film: Film, small: NDArray[np.float32]) -> float:
    """Mean grey at the bodies' centres less that one body's width beside them; NaN without labels."""
    bodies = [v.corners_xy for v in film.vertebrae or () if v.present.all()]
    if not bodies:
        return float("nan")
    corners = np.stack(bodies)
    centres = corners.mean(axis=1)
    across = (corners[:, 1] - corners[:, 0] + corners[:, 3] - corners[:, 2]) / 2
    scale = np.array([SMALL_SIDE_PX / film.size_hw[1], SMALL_SIDE_PX / film.size_hw[0]])
    inside, left, right = (_grey_at(small, (centres + shift * across) * scale) for shift in (0.0, -1.0, 1.0))
    return float(np.median(inside - (left + right) / 2))


def _grey_at(image: NDArray[np.float32], points_xy: FloatArray) -> FloatArray:
    xy = np.clip(points_xy.astype(int), 0, SMALL_SIDE_PX - 1)
    return np.asarray(cv2.blur(image, (5, 5))[xy[:, 1], xy[:, 0]], dtype=np.float64)
