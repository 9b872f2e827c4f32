"""Size and aspect of a film's pixels."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real

import numpy as np

from spondylo_ml.errors import DataError
from spondylo_ml.nan import is_absent


@dataclass(frozen=True)
class Spacing:
    """Millimetres per pixel of the original film, and the source of these values."""

    x_mm: float
    y_mm: float
    provenance: str

    def __post_init__(self) -> None:
        if not all(isinstance(mm, Real) and 0 < mm < np.inf for mm in (self.x_mm, self.y_mm)):
            raise DataError(f"pixel spacing must be positive, in mm; given {self.x_mm!r} x {self.y_mm!r}")

    @property
    def pixel_aspect(self) -> float:
        """Width of a pixel over its height."""
        return self.x_mm / self.y_mm


UNKNOWN_ASPECT = "unknown"
"""Stands in tables and requests for the pixel aspect of a film that was stretched by an unknown amount."""

StatedAspect = float | str | None
"""A pixel aspect as stated by a user: a number, `UNKNOWN_ASPECT`, or None if nothing is stated."""


def parse_pixel_aspect(text: object) -> StatedAspect:
    """Parse a pixel aspect from a table cell, a command-line flag or a request.

    Raises:
        DataError: the text is not a number above 0, "unknown" or empty. The message does not quote the text.
    """
    if is_absent(text) or text == "":
        return None
    if isinstance(text, str) and text.strip().lower() == UNKNOWN_ASPECT:
        return UNKNOWN_ASPECT
    try:
        aspect = float("nan") if isinstance(text, bool) else float(str(text))
    except ValueError:
        aspect = float("nan")
    if not 0 < aspect < float("inf"):
        raise DataError("pixel_aspect must be a number above 0 (width of a pixel over its height), or unknown")
    return aspect


def resolve_pixel_aspect(
    stated: StatedAspect, spacing: Spacing | None, default: float = 1.0
) -> tuple[float | None, bool]:
    """`Film.pixel_aspect` and `Film.aspect_given` from the stated aspect, else from the spacing, else `default`."""
    if stated is None:
        return (spacing.pixel_aspect if spacing else default), False
    return (None, False) if isinstance(stated, str) else (stated, True)
