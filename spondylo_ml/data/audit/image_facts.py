"""Facts about a film's pixels for the audit, so that each film is read once and does not stay in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from spondylo_ml.data.exposure import Exposure, bone_contrast, exposure_of, small_film
from spondylo_ml.data.films import pixels_sha256
from spondylo_ml.data.large_array import empty_array
from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import Film, FloatArray, GreyImage

HASH_SIDE_PX, HASH_FREQUENCIES = 32, 12
THUMBNAIL_PX = 96
BLUR_PX = 6.0

Thumbnail = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ImageFacts:
    """Facts about one film's pixels.

    Attributes:
        pixels_sha256: digest of all grey levels.
        whole_dct: (12, 12) lowest cosine frequencies of the film, for its perceptual hash.
        spine_dct: the same for the labelled region, which does not change with crop or zoom; None without labels.
        spine_box: (4,) x and y of the upper left and the lower right corner of the labelled region, as fractions of
            the film; None without labels.
        thumbnail: (96, 96) film with local brightness and contrast normalised.
        exposure: summary of the grey levels.
        bone_contrast: brightness of the bodies relative to their surroundings, as a share of the grey range.
    """

    pixels_sha256: str
    whole_dct: FloatArray
    spine_dct: FloatArray | None
    spine_box: FloatArray | None
    thumbnail: Thumbnail
    exposure: Exposure
    bone_contrast: float


def measure_image(film: Film) -> ImageFacts:
    """Measure one film.

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
        thumbnail=_normalised(small),
        exposure=exposure,
        bone_contrast=bone_contrast(small, film.vertebrae or (), film.size_hw, exposure.range_grey),
    )


def measure_images(films: Sequence[Film], on_film: Callable[[], object] = lambda: None) -> list[ImageFacts | None]:
    """Measure all films in parallel, calling `on_film` after each; None for a film that cannot be read.

    Raises:
        DataError: there is no room for the thumbnails of all films.
    """
    thumbnails = empty_array((len(films), THUMBNAIL_PX, THUMBNAIL_PX), np.float32)

    def attempt(film: Film, thumbnail: Thumbnail) -> ImageFacts | None:
        try:
            facts = measure_image(film)
        except DataError:
            return None
        finally:
            on_film()
        thumbnail[:] = facts.thumbnail
        return replace(facts, thumbnail=thumbnail)

    with ThreadPoolExecutor() as pool:
        return list(pool.map(attempt, films, thumbnails))


def _lowest_frequencies(image: NDArray[np.float32]) -> FloatArray:
    small = cv2.resize(image, (HASH_SIDE_PX, HASH_SIDE_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.dct(small)[:HASH_FREQUENCIES, :HASH_FREQUENCIES], dtype=np.float64)


def _spine_box(film: Film) -> FloatArray | None:
    """(4,) bounding box of the labels in fractions of the film; None if there are no labels or the box is empty."""
    if not any(v.present.any() for v in film.vertebrae or ()):
        return None
    height, width = film.size_hw
    corners = np.concatenate([v.corners_xy for v in film.vertebrae or ()]) / np.array([width, height])
    low, high = (np.clip(reduce(corners, axis=0), 0, 1) for reduce in (np.nanmin, np.nanmax))
    large_enough = ((high - low) * np.array([width, height]) >= 2).all()
    return np.concatenate([low, high]) if large_enough else None


def _within(image: GreyImage, box: FloatArray) -> NDArray[np.float32]:
    """Crop a film to a box in fractions of its size."""
    height, width = image.shape
    x0, y0, x1, y1 = (box * np.array([width, height, width, height])).round().astype(int)
    return image[min(y0, height - 2) : max(y1, y0 + 2), min(x0, width - 2) : max(x1, x0 + 2)].astype(np.float32)


def _normalised(small: NDArray[np.float32]) -> Thumbnail:
    """Thumbnail with its local mean subtracted, divided by its local standard deviation."""
    image = cv2.resize(small, (THUMBNAIL_PX, THUMBNAIL_PX), interpolation=cv2.INTER_AREA)
    mean = cv2.GaussianBlur(image, (0, 0), BLUR_PX)
    variance = cv2.GaussianBlur((image - mean) ** 2, (0, 0), BLUR_PX)
    return np.asarray((image - mean) / np.sqrt(variance + 4), dtype=np.float32)
