"""Decide which files are films and read their pixels, for all readers and for prediction.

A film is recognised by content, not by suffix: PNG, JPEG, TIFF, BMP (see `image_file`) or DICOM (see `dicom`). Its size
is checked against the limits before anything is decoded. Every problem with a file is raised as a `FileError`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spondylo_ml.data.dicom import decode_dicom, dicom_size_hw, is_dicom, lacks_preamble
from spondylo_ml.data.dicom.header import PREFIX, PREFIX_AT
from spondylo_ml.data.dicom.stored import too_large
from spondylo_ml.data.film_content import FilmContent
from spondylo_ml.data.grey_levels import spread_levels
from spondylo_ml.data.image_file import IN_ALPHA, UNREADABLE, decoded, image_header, lies_in_alpha, unreadable
from spondylo_ml.data.names import FILM_SUFFIXES
from spondylo_ml.errors import FileError

NOT_FILMS = ("DICOMDIR",)
NO_PREAMBLE = "looks like a DICOM data set without its preamble (128 bytes and DICM): export it as a DICOM file"
NOT_FINITE = "holds grey levels that are no finite numbers"
LONGEST_OVER_SHORTEST = 10
SMALLEST_SIDE_PX = 16


@dataclass(frozen=True)
class FilmLimits:
    """Limits per film, so that one file cannot exhaust the memory of the machine.

    Attributes:
        max_bytes: of the file.
        max_pixels: largest number of pixels of a film.
    """

    max_bytes: int = 64 << 20
    max_pixels: int = 50_000_000


LIMITS = FilmLimits()


def looks_like_a_film(path: Path) -> bool:
    """Whether a file in a folder should be a film: by its suffix, or because it begins as DICOM does."""
    if path.name in NOT_FILMS:
        return False
    return path.suffix.lower() in FILM_SUFFIXES or is_dicom_file(path)


def is_dicom_file(path: Path) -> bool:
    """Whether the file begins as DICOM does."""
    try:
        with path.open("rb") as stream:
            return stream.read(PREFIX_AT + len(PREFIX))[PREFIX_AT:] == PREFIX
    except OSError:
        return False


def checked_size_hw(path: Path, alias: str = "a film", limits: FilmLimits = LIMITS) -> tuple[int, int]:
    """(H, W) of the film as it is shown, without decoding it.

    Raises:
        FileError: not a readable film, as far as its header shows; or larger than the limits.
    """
    data = file_bytes(path, alias, limits)
    try:
        return _size_hw(data, path.name, alias, limits)
    except FileError:
        raise
    except Exception as error:
        raise _failed(error, path.name, alias) from None


def read_film(path: Path, alias: str = "a film", limits: FilmLimits = LIMITS) -> FilmContent:
    """The content of a film file.

    Raises:
        FileError: missing, not a film that can be read, or larger than the limits.
    """
    return film_in(file_bytes(path, alias, limits), path.name, alias, limits)


def film_in(data: bytes, file: str, alias: str = "a film", limits: FilmLimits = LIMITS) -> FilmContent:
    """Like `read_film`, for the bytes of the file named `file`."""
    try:
        size_hw = _size_hw(data, file, alias, limits)
        if is_dicom(data):
            return decode_dicom(data, file, limits.max_pixels, alias)
        pixels, notes = spread_levels(_levels(data, file, alias, size_hw))
        return FilmContent(pixels, notes=notes)
    except FileError:
        raise
    except Exception as error:
        raise _failed(error, file, alias) from None


def file_bytes(path: Path, alias: str = "a film", limits: FilmLimits = LIMITS) -> bytes:
    """The bytes of a file.

    Raises:
        FileError: it cannot be opened, or is larger than the limits.
    """
    try:
        if (size := path.stat().st_size) <= limits.max_bytes:
            return path.read_bytes()
    except OSError as error:
        raise FileError(path.name, f"cannot be opened ({type(error).__name__})", alias=alias) from None
    raise FileError(path.name, too_heavy(size, limits), alias=alias)


def require_finite(levels: NDArray[Any], file: str, alias: str) -> None:
    """Raise `FileError` if a level is NaN or infinite."""
    if not np.isfinite(levels).all():
        raise FileError(file, NOT_FINITE, alias=alias)


def require_size(size_hw: tuple[int, int], file: str, alias: str, limits: FilmLimits) -> None:
    """Raise `FileError` for a film that is too large, too small or too elongated to be a radiograph."""
    if size_hw[0] * size_hw[1] > limits.max_pixels:
        raise FileError(file, too_large(size_hw, limits.max_pixels), alias=alias)
    short, long = min(size_hw), max(size_hw)
    if short < SMALLEST_SIDE_PX or long > LONGEST_OVER_SHORTEST * short:
        allowed = f"sides of at least {SMALLEST_SIDE_PX} px, the longer at most {LONGEST_OVER_SHORTEST} times the other"
        raise FileError(file, f"{size_hw[1]} x {size_hw[0]} px is not the shape of a film: {allowed}", alias=alias)


def too_heavy(size: int, limits: FilmLimits) -> str:
    """Message for a file with too many bytes."""
    return f"a file of {size / 2**20:.1f} MiB: more than the {limits.max_bytes / 2**20:g} MiB that are read"


def _size_hw(data: bytes, file: str, alias: str, limits: FilmLimits) -> tuple[int, int]:
    """(H, W) according to the header, checked against the limits."""
    if len(data) > limits.max_bytes:
        raise FileError(file, too_heavy(len(data), limits), alias=alias)
    if is_dicom(data):
        size_hw = dicom_size_hw(data, file, limits.max_pixels, alias)
        require_size(size_hw, file, alias, limits)
        return size_hw
    header = image_header(data)
    if header is None:
        raise FileError(file, NO_PREAMBLE if lacks_preamble(data) else unreadable(data), alias=alias)
    if reason := header.reason_against():
        raise FileError(file, reason, alias=alias)
    require_size(header.size_hw, file, alias, limits)
    if header.has_alpha:
        _levels(data, file, alias, header.size_hw)
    return header.size_hw


def _levels(data: bytes, file: str, alias: str, size_hw: tuple[int, int]) -> NDArray[Any]:
    pixels = decoded(data)
    if pixels is None or pixels.shape != size_hw:
        raise FileError(file, UNREADABLE, alias=alias)
    require_finite(pixels, file, alias)
    if lies_in_alpha(data, pixels):
        raise FileError(file, IN_ALPHA, alias=alias)
    return pixels


def _failed(error: Exception, file: str, alias: str) -> FileError:
    """The error for a damaged file on which a library failed. Its message is left out: it may quote the file."""
    return FileError(file, f"cannot be read ({type(error).__name__})", alias=alias)
