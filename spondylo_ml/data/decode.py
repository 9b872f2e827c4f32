"""Films in memory from bytes, arrays and files, within limits that are checked before anything is decoded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spondylo_ml.data.film_content import FilmContent
from spondylo_ml.data.film_pixels import LIMITS, FilmLimits, file_bytes, film_in, require_finite, require_size
from spondylo_ml.data.films import HeldImage
from spondylo_ml.data.grey_levels import as_8_bit_where_they_fit, spread_levels
from spondylo_ml.data.pseudonyms import pseudonym
from spondylo_ml.errors import FileError
from spondylo_ml.landmarks import Facing, Film
from spondylo_ml.spacing import Spacing, StatedAspect, resolve_pixel_aspect


@dataclass(frozen=True)
class FilmDetails:
    """What the user states about a film, which its pixels do not show.

    Attributes:
        spacing: overrides that of the file, but not the shape of a pixel that the file states: where the two disagree,
            measures are withheld until the pixel aspect is stated.
        pixel_aspect: width of a pixel over its height, "unknown" if the film was stretched by an unknown amount, None
            if nothing is stated; overrides that of the file.
        patient: pseudonym; empty if nothing is stated.
        sex: F or M; empty if nothing is stated.
    """

    facing: Facing = Facing.UNKNOWN
    spacing: Spacing | None = None
    pixel_aspect: StatedAspect = None
    patient: str = ""
    sex: str = ""
    age_years: int | None = None


NO_DETAILS = FilmDetails()


def open_file(path: Path, film_id: str, details: FilmDetails = NO_DETAILS, limits: FilmLimits = LIMITS) -> Film:
    """The film in an image or DICOM file; its patient, if nothing is stated, is the pseudonym of the file's PatientID.

    Raises:
        FileError: missing, larger than the limits, or not a film that can be read.
    """
    content = film_in(file_bytes(path, film_id, limits), path.name, film_id, limits)
    patient = details.patient or (pseudonym(content.patient) if content.patient else "")
    return _film(content, film_id, replace(details, patient=patient))


def open_bytes(
    data: bytes, film_id: str, details: FilmDetails = NO_DETAILS, limits: FilmLimits = LIMITS, file: str = "the film"
) -> Film:
    """The film in the bytes of an image (PNG, JPEG, TIFF, BMP) or DICOM file.

    Args:
        file: name of the file for error messages.

    Raises:
        FileError: larger than the limits, or not a film that can be read.
    """
    return _film(film_in(data, file, film_id, limits), film_id, details)


def open_array(
    pixels: NDArray[Any],
    film_id: str,
    details: FilmDetails = NO_DETAILS,
    limits: FilmLimits = LIMITS,
    file: str = "the film",
) -> Film:
    """The film in a (H, W) array of grey levels, bone bright.

    Integers from 0 to 255 of any type are used unchanged; other levels are spread (see `grey_levels`).

    Raises:
        FileError: not two axes, larger than the limits, or levels that are not finite numbers.
    """
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
    grey, notes = spread_levels(as_8_bit_where_they_fit(levels))
    return _film(FilmContent(grey, notes=notes), film_id, details)


def _film(content: FilmContent, film_id: str, details: FilmDetails) -> Film:
    height, width = content.pixels.shape
    spacing = details.spacing or content.spacing
    aspect, aspect_given = resolve_pixel_aspect(details.pixel_aspect, spacing, content.pixel_aspect)
    if details.spacing and details.pixel_aspect is None and content.stated_aspect is not None:
        aspect = content.stated_aspect  # measuring then says so where the two disagree
    return Film(
        film_id=film_id,
        image=HeldImage(content.pixels),
        size_hw=(height, width),
        vertebrae=None,
        facing=details.facing,
        patient=details.patient or film_id,
        source="own",
        spacing=spacing,
        pixel_aspect=aspect,
        aspect_given=aspect_given,
        sex=details.sex,
        age_years=details.age_years,
        notes=content.notes,
    )
