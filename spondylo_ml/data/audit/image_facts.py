"""What an audit keeps of a film's pixels, so that each film is read once and none stays in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from spondylo_ml.data.exposure import Exposure, bone_contrast, exposure_of, small_film
from spondylo_ml.data.films import pixels_sha256
from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import Film, FloatArray, GreyImage

HASH_SIDE_PX, HASH_FREQUENCIES = 32, 12
THUMBNAIL_PX = 96
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
        exposure: what the grey levels say of the film.
        bone_contrast: how much brighter the bodies are than what lies beside them, as a share of the range.
    """

    pixels_sha256: str
    whole_dct: FloatArray
    spine_dct: FloatArray | None
    spine_box: FloatArray | None
    thumbnail: Thumbnail
    exposure: Exposure
    bone_contrast: float


def measure_image(film: Film) -> ImageFacts:
    """The facts of one film.

    Raises:
        DataError: its pixels cannot be read.
    """
    image = film.image.read()
    box = _spine_box(film)
    small = small_film(image)
    exposure = exposure_of(small)
    return ImageFacts(
        pixels_sha256=pixels_sha256(image),
        whole_dct=_lowest_frequencies(small),
        spine_dct=None if box is None else _lowest_frequencies(_within(image, box)),
        spine_box=box,
        thumbnail=_even(small),
        exposure=exposure,
        bone_contrast=bone_contrast(small, film.vertebrae or (), film.size_hw, exposure.range_grey),
    )


def measure_images(films: Sequence[Film], on_film: Callable[[], object] = lambda: None) -> list[ImageFacts | None]:
    """The facts of each film, in order and in parallel; None for one whose pixels cannot be read."""

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
