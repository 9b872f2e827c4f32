"""Decide which pixel spacing and which pixel aspect of a film to use.

An implausible spacing is ignored, and nothing is measured in mm. A pixel aspect that someone stated is used. One that
is only assumed, or follows from the spacing, is used unless the shapes of the bodies show that the film was stretched.
Where they make that no more than likely, the film is measured both as it is and with the stretch undone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spondylo_ml.clinical.spacing_plausibility import impossible_spacing
from spondylo_ml.clinical.stretch import film_stretch
from spondylo_ml.landmarks import Facing, Film, Vertebra
from spondylo_ml.spacing import Spacing

ASPECT_TOLERANCE = 0.01
"""Tolerated relative difference of spacing and pixel aspect; a stretch this small changes a slip by less than 0.5 %."""

STRETCHED = "the shape of the film's pixels is unknown, on which slips, angles and ratios depend"
DOUBTFUL = "the film may be stretched"
NO_SPACING = "no pixel spacing is known"
ASPECT_FROM_IGNORED = "the shape of a pixel follows from the spacing that is ignored"
STATE_ASPECT = "give the pixel aspect (width of a pixel over its height, 1 where the film is as it was taken)"


@dataclass(frozen=True)
class PixelGeometry:
    """What a film's file and its user state about its pixels.

    Attributes:
        spacing: mm per px, or None.
        pixel_aspect: width of a pixel over its height; None if the film was stretched by an unknown amount.
        aspect_given: whether someone stated the pixel aspect.
        square_film: whether the film is as wide as it is high, which stretched exports often are.
    """

    spacing: Spacing | None = None
    pixel_aspect: float | None = 1.0
    aspect_given: bool = False
    square_film: bool = False

    @classmethod
    def of(cls, film: Film) -> PixelGeometry:
        """What is stated about a film."""
        height, width = film.size_hw
        return cls(film.spacing, film.pixel_aspect, film.aspect_given, height == width)


UNSTRETCHED = PixelGeometry()
"""No spacing, square pixels."""


@dataclass(frozen=True)
class Scale:
    """Pixel spacing and aspect used to measure a film.

    Attributes:
        spacing: None if unknown or ignored as implausible.
        pixel_aspect: width of a pixel over its height; None if unknown.
        aspect_from: "given", "spacing", "file", "assumed" or "unknown".
        withheld: why horizontal and vertical lengths cannot be compared, or empty.
        mm_withheld: why lengths cannot be given in mm, or empty.
        undo_x: factor on the width of a pixel that gives the bodies their usual shape, if it is doubtful whether the
            film was stretched; NaN if there is no such doubt.
        doubt: why it is doubtful, or empty.
        warnings: other warnings for the reader.
    """

    spacing: Spacing | None
    pixel_aspect: float | None
    aspect_from: str
    withheld: str
    mm_withheld: str
    undo_x: float = np.nan
    doubt: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def pixel_size_xy(self) -> tuple[float, float]:
        """Width and height of a pixel: in mm if the spacing is known, else (aspect, 1); NaN if unknown."""
        return (self.spacing.x_mm, self.spacing.y_mm) if self.spacing else (self.pixel_aspect or np.nan, 1.0)

    @property
    def undone_pixel_size_xy(self) -> tuple[float, float]:
        """`pixel_size_xy` with the doubtful stretch undone; NaN in x if there is no doubt."""
        x, y = self.pixel_size_xy
        return x * self.undo_x, y


def film_scale(vertebrae: Sequence[Vertebra], facing: Facing, pixels: PixelGeometry) -> Scale:
    """Decide the scale of a film from what is stated about its pixels and its (labelled or predicted) vertebrae."""
    spacing, pixel_aspect = pixels.spacing, pixels.pixel_aspect
    implausible = impossible_spacing(vertebrae, spacing) if spacing else ""
    used_spacing = None if implausible else spacing
    warnings = [f"{implausible}; the spacing is ignored, so that nothing is given in mm"] if implausible else []
    source = _source(pixel_aspect, pixels.aspect_given, used_spacing)
    withheld, undo_x, doubt = _disagreement(used_spacing, pixel_aspect), np.nan, ""
    if pixel_aspect is None:
        withheld, source = STRETCHED, "unknown"
    elif implausible and source == "file" and not _disagreement(spacing, pixel_aspect):
        pixel_aspect, withheld, source = None, f"{ASPECT_FROM_IGNORED}: {STATE_ASPECT}", "unknown"
    elif not withheld and facing is not Facing.NONE:
        stretch = film_stretch(vertebrae, pixel_aspect)
        if stretch.probable and pixels.aspect_given:
            warnings.append(f"{stretch}, with the pixel aspect of {pixel_aspect:g} that was given: is that right?")
        elif stretch.doubtful:
            undo_x, doubt = 1 / stretch.factor, f"{DOUBTFUL}: {stretch}; {STATE_ASPECT}"
            warnings.append(f"{doubt}; slips that hardly depend on it are given")
        elif stretch.probable:
            withheld = f"the film was probably stretched: {stretch}; {STATE_ASPECT}"
    if pixels.square_film and source == "assumed" and not (withheld or doubt):
        warnings.append(f"the film is square, as stretched exports are, and is taken for unstretched: {STATE_ASPECT}")
    mm_withheld = implausible or (doubt if spacing else NO_SPACING)
    return Scale(
        spacing=used_spacing,
        pixel_aspect=pixel_aspect,
        aspect_from=source,
        withheld=withheld,
        mm_withheld=mm_withheld,
        undo_x=undo_x,
        doubt=doubt,
        warnings=tuple(warnings),
    )


def _source(pixel_aspect: float | None, aspect_given: bool, spacing: Spacing | None) -> str:
    """Where the aspect is from; one that nobody stated and that is not 1 is from the file."""
    if aspect_given:
        return "given"
    if spacing:
        return "spacing"
    return "file" if pixel_aspect and abs(pixel_aspect - 1) > ASPECT_TOLERANCE else "assumed"


def _disagreement(spacing: Spacing | None, pixel_aspect: float | None) -> str:
    if pixel_aspect and spacing and abs(spacing.pixel_aspect / pixel_aspect - 1) > ASPECT_TOLERANCE:
        return (
            f"the spacing ({spacing.x_mm:g} x {spacing.y_mm:g} mm) and the pixel aspect ({pixel_aspect:g}) disagree "
            "on the shape of a pixel"
        )
    return ""
