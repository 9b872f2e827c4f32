"""Bytes, arrays and files as films in memory, with limits that are checked before anything is decoded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spondylo_ml.data.dicom import decode_dicom, is_dicom
from spondylo_ml.data.dicom.stored import too_large
from spondylo_ml.data.films import HeldImage
from spondylo_ml.data.grey_levels import to_8_bit
from spondylo_ml.data.image_file import LARGER_THAN_ANY_FILM, UNREADABLE, decode_grey, told_size_hw
from spondylo_ml.errors import FileError
from spondylo_ml.landmarks import Facing, Film, GreyImage, SaidAspect, Spacing, film_aspect

IMAGE_STARTS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"BM")
"""First bytes of PNG, JPEG, TIFF and BMP: no other format reaches a decoder from here."""

LONGEST_OVER_SHORTEST = 10
SMALLEST_SIDE_PX = 16


@dataclass(frozen=True)
class Limits:
    """What a film may cost, so that one file cannot take a machine's memory.

    Attributes:
        max_bytes: of the file.
        max_pixels: of the film, whatever its file says.
    """

    max_bytes: int = 64 << 20
    max_pixels: int = 50_000_000


LIMITS = Limits()


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
        spacing: goes before one that the file itself tells.
        pixel_aspect: width of a pixel over its height, "unknown" where the film was stretched by an unknown amount, or
            None where nothing is said; goes before that of the file.
    """

    facing: Facing = Facing.UNKNOWN
    spacing: Spacing | None = None
    pixel_aspect: SaidAspect = None


def open_file(path: Path, film_id: str, known: Known | None = None, limits: Limits = LIMITS) -> OpenedFilm:
    """The film in an image or DICOM file.

    Raises:
        FileError: missing, larger than the limits, or no film that can be read.
    """
    try:
        if (size := path.stat().st_size) > limits.max_bytes:
            raise FileError(path.name, _too_heavy(size, limits), alias=film_id)
        data = path.read_bytes()
    except OSError as error:
        raise FileError(path.name, f"cannot be opened ({type(error).__name__})", alias=film_id) from None
    return open_bytes(data, film_id, known, limits, path.name)


def open_bytes(
    data: bytes, film_id: str, known: Known | None = None, limits: Limits = LIMITS, file: str = "the film"
) -> OpenedFilm:
    """The film in the bytes of an image (PNG, JPEG, TIFF, BMP) or DICOM file.

    Raises:
        FileError: larger than the limits, or no film that can be read.
    """
    known = known or Known()
    if len(data) > limits.max_bytes:
        raise FileError(file, _too_heavy(len(data), limits), alias=film_id)
    if is_dicom(data):
        found = decode_dicom(data, file, limits.max_pixels, film_id)
        _require_shape(found.pixels.shape, file, film_id)
        film = _film(found.pixels, film_id, known, known.spacing or found.spacing, found.pixel_aspect)
        return OpenedFilm(film, found.notes)
    size_hw = told_size_hw(data) if data.startswith(IMAGE_STARTS) else None
    if size_hw is None:
        raise FileError(file, UNREADABLE, alias=film_id)
    if size_hw[0] * size_hw[1] > limits.max_pixels:
        told = None if size_hw == LARGER_THAN_ANY_FILM else size_hw
        raise FileError(file, too_large(told, limits.max_pixels), alias=film_id)
    _require_shape(size_hw, file, film_id)
    return open_array(decode_grey(data, file, film_id), film_id, known, limits, file)


def open_array(
    pixels: NDArray[Any], film_id: str, known: Known | None = None, limits: Limits = LIMITS, file: str = "the film"
) -> OpenedFilm:
    """The film in a (H, W) array of grey levels, bone bright: 8 bits as they are, others spread (see `to_8_bit`).

    Raises:
        FileError: not two axes, larger than the limits, or levels that are no finite numbers.
    """
    known = known or Known()
    levels = np.asarray(pixels)
    if levels.ndim != 2 or levels.dtype.kind not in "uif":
        raise FileError(
            file, f"an array of {levels.ndim} axes and type {levels.dtype}: (height, width) grey levels are needed"
        )
    height, width = levels.shape
    if height * width > limits.max_pixels:
        raise FileError(file, too_large((height, width), limits.max_pixels), alias=film_id)
    _require_shape((height, width), file, film_id)
    if not np.isfinite(levels).all():
        raise FileError(file, "holds grey levels that are no finite numbers", alias=film_id)
    return OpenedFilm(_film(to_8_bit(levels), film_id, known, known.spacing))


def _film(pixels: GreyImage, film_id: str, known: Known, spacing: Spacing | None, file_aspect: float = 1.0) -> Film:
    height, width = pixels.shape
    aspect, given = film_aspect(known.pixel_aspect, spacing, file_aspect)
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


def _too_heavy(size: int, limits: Limits) -> str:
    return f"a file of {size / 2**20:.1f} MiB: more than the {limits.max_bytes / 2**20:g} MiB that are read"


def _require_shape(size_hw: tuple[int, ...], file: str, film_id: str) -> None:
    """No radiograph is a line, and pictures of one would be as wide as it is thin."""
    short, long = min(size_hw), max(size_hw)
    if short < SMALLEST_SIDE_PX or long > LONGEST_OVER_SHORTEST * short:
        allowed = f"sides of at least {SMALLEST_SIDE_PX} px, the longer at most {LONGEST_OVER_SHORTEST} times the other"
        raise FileError(file, f"{size_hw[1]} x {size_hw[0]} px is no shape of a film: {allowed}", alias=film_id)
