"""What every reader does: recognise its layout, read the films, and collect what is wrong instead of stopping."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from spondylo_ml.data.films import FileImage, FilmSet, Finding
from spondylo_ml.data.quadrilateral import fault, toward_head
from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import FloatArray, Vertebra

Item = TypeVar("Item")
Result = TypeVar("Result")

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp")


class Reader(Protocol):
    """One dataset layout."""

    kind: str
    layout: str  # what the folder must hold, for error messages

    def recognises(self, root: Path) -> bool:
        """Whether `root` has this layout."""

    def read(self, root: Path) -> FilmSet:
        """All films below `root`, bad files listed."""


def read_each(items: Sequence[Item], read_one: Callable[[Item], Result]) -> tuple[list[Result], list[DataError]]:
    """`read_one` over all items, in parallel; what raised `DataError` is collected, never lost."""

    def attempt(item: Item) -> Result | DataError:
        try:
            return read_one(item)
        except DataError as error:
            return error

    # Decoding images releases the interpreter lock, so that threads are enough.
    with ThreadPoolExecutor() as pool:
        outcomes = list(pool.map(attempt, items))
    bad = [outcome for outcome in outcomes if isinstance(outcome, DataError)]
    return [outcome for outcome in outcomes if not isinstance(outcome, DataError)], bad


def as_finding(error: DataError) -> Finding:
    """A collected error `file: reason` as a finding."""
    file, _, reason = str(error).partition(": ")
    return Finding(file, reason)


def image_size_hw(path: Path) -> tuple[int, int]:
    """(H, W) of an image, from its decoded pixels, so that a truncated file is found here."""
    height, width = FileImage(path).read().shape
    return height, width


def images_in(folder: Path) -> list[Path]:
    """Image files directly in `folder`, sorted by name."""
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)


def finite_numbers(values: Iterable[object], file: str, what: str) -> list[float]:
    """The values as finite numbers; booleans and text are refused.

    Raises:
        DataError: a value is no finite number.
    """
    numbers = []
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
            raise DataError(f"{file}: {what} must be finite numbers, found {repr(value)[:20]}")
        numbers.append(float(value))
    return numbers


def parse_floats(fields: Sequence[str], file: str, what: str) -> list[float]:
    """Text fields as finite numbers.

    Raises:
        DataError: a field is no finite number.
    """
    values: list[object] = []
    for text in fields:
        try:
            values.append(float(text))
        except ValueError:
            raise DataError(f"{file}: {what} must be finite numbers, found {text!r}") from None
    return finite_numbers(values, file, what)


def read_csv_rows(path: Path) -> list[list[str]]:
    """Non-empty rows of a CSV without header; `DataError` where the file is missing or not text."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            return [row for row in csv.reader(stream) if any(cell.strip() for cell in row)]
    except FileNotFoundError:
        raise DataError(f"{path.name}: file is missing") from None
    except UnicodeDecodeError:
        raise DataError(f"{path.name}: not a text file") from None


def usable_vertebrae(
    corners_xy: FloatArray, visible: NDArray[np.bool_], first_slot: int
) -> tuple[tuple[Vertebra, ...], list[str]]:
    """Vertebrae from (V, 4, 2) corners ordered from the sacrum up, and what had to be set aside.

    A vertebra whose outline is impossible is known to be there, but its corners cannot be believed: it is kept with
    its corners absent, so that nothing is trained or judged on them.
    """
    centres = np.nanmean(corners_xy, axis=1)
    vertebrae, reasons = [], []
    for index, (quad, seen, up) in enumerate(zip(corners_xy, visible, toward_head(centres), strict=True)):
        reason = None if np.isnan(quad).any() else fault(quad, up)
        vertebra = Vertebra(first_slot + index, np.full((4, 2), np.nan) if reason else quad, seen)
        vertebrae.append(vertebra)
        if reason:
            reasons.append(f"{vertebra.level} set aside: {reason}")
    return tuple(vertebrae), reasons
