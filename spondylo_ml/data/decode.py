"""Bytes, arrays and files as films in memory, with limits that are checked before anything is decoded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spondylo_ml.data.film_pixels import LIMITS, Limits, file_bytes, film_in, require_finite, require_size
from spondylo_ml.data.films import HeldImage
from spondylo_ml.data.grey_levels import as_8_bit_where_they_fit, spread
from spondylo_ml.errors import FileError
from spondylo_ml.landmarks import Facing, Film, GreyImage, Spacing, StatedAspect, resolve_pixel_aspect


@dataclass(frozen=True)
class OpenedFilm:
    """A film whose pixels are in memory.

    Attributes:
        notes: what a reader of its results must know.
    """

    film: Film
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Known:
    """What is known of a film beside its pixels.

    Attributes:
        spacing: overrides the file's own.
        pixel_aspect: width of a pixel over its height, "unknown" where the film was stretched by an unknown amount, or
            None where nothing is said; goes before that of the file.
    """

    facing: Facing = Facing.UNKNOWN
    spacing: Spacing | None = None
    pixel_aspect: StatedAspect = None


def open_file(path: Path, film_id: str, known: Known | None = None, limits: Limits = LIMITS) -> OpenedFilm:
    """The film in an image or DICOM file.

    Raises:
        FileError: missing, larger than the limits, or no film that can be read.
    """
    return open_bytes(file_bytes(path, film_id, limits), film_id, known, limits, path.name)


def open_bytes(
    data: bytes, film_id: str, known: Known | None = None, limits: Limits = LIMITS, file: str = "the film"
) -> OpenedFilm:
    """The film in the bytes of an image (PNG, JPEG, TIFF, BMP) or DICOM file.

    Raises:
        FileError: larger than the limits, or no film that can be read.
    """
    known = known or Known()
    found = film_in(data, file, film_id, limits)
    film = _film(found.grey, film_id, known, known.spacing or found.spacing, found.pixel_aspect)
    return OpenedFilm(film, found.notes)


def open_array(
    pixels: NDArray[Any], film_id: str, known: Known | None = None, limits: Limits = LIMITS, file: str = "the film"
) -> OpenedFilm:
    """The film in a (H, W) array of grey levels, bone bright.

    Whole numbers from 0 to 255 are taken as they are, whatever their type; other levels are spread (see `grey_levels`).

    Raises:
        FileError: not two axes, larger than the limits, or levels that are no finite numbers.
    """
    known = known or Known()
    levels = np.asarray(pixels)
    if levels.ndim != 2 or levels.dtype.kind not in "uif":
        raise FileError(
            file,
            f"an array of {levels.ndim} axes and type {levels.dtype}: (height, width) grey levels are needed",
            alias=film_id,
        )
    height, width = levels.shape
    require_size((height, width), file, film_id, limits)
    require_finite(levels, file, film_id)
    grey, notes = spread(as_8_bit_where_they_fit(levels))
    return OpenedFilm(_film(grey, film_id, known, known.spacing), notes)


def _film(pixels: GreyImage, film_id: str, known: Known, spacing: Spacing | None, file_aspect: float = 1.0) -> Film:
    height, width = pixels.shape
    aspect, given = resolve_pixel_aspect(known.pixel_aspect, spacing, file_aspect)
    return Film(
        film_id=film_id,
        image=HeldImage(pixels),
        size_hw=(height, width),
        vertebrae=None,
        facing=known.facing,
        patient=film_id,
        source="own",
        spacing=spacing,
        pixel_aspect=aspect,
        aspect_given=given,
    )
