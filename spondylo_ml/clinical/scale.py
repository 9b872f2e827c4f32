"""What a pixel of a film is: which spacing and which shape are believed, decided here for all that measure.

An impossible spacing is set aside, and millimetres with it. The shape of a pixel that someone stated is believed;
one that was only assumed, or follows from a spacing, is believed unless the bodies say that the film was stretched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spondylo_ml.clinical.spacing import impossible_spacing
from spondylo_ml.clinical.stretch import probably_stretched
from spondylo_ml.landmarks import Facing, Spacing, Vertebra

ASPECT_TOLERANCE = 0.01
"""Spacing and pixel aspect may differ by so much of their ratio; a stretch that small moves a slip by under 0.5 %."""

STRETCHED = "the film was stretched by an unknown amount, which changes slips, angles and ratios"
NO_SPACING = "no pixel spacing is known"
STATE_ASPECT = "give the pixel aspect (width of a pixel over its height, 1 where the film is as it was taken)"


@dataclass(frozen=True)
class Scale:
    """What is believed of a film's pixels.

    Attributes:
        spacing: None where none is known, or it was set aside.
        pixel_aspect: width of a pixel over its height; None where it is unknown.
        aspect_from: "given", "spacing", "assumed" or "unknown".
        withheld: why lengths across and along the film cannot be compared; empty where they can.
        mm_withheld: why nothing can be given in mm; empty where it can.
        warnings: what a reader must know beside these two.
    """

    spacing: Spacing | None
    pixel_aspect: float | None
    aspect_from: str
    withheld: str
    mm_withheld: str
    warnings: tuple[str, ...] = ()

    @property
    def pixel_size_xy(self) -> tuple[float, float]:
        """Width and height of a pixel: in mm where the spacing is known, else its aspect and 1; NaN where neither."""
        return (self.spacing.x_mm, self.spacing.y_mm) if self.spacing else (self.pixel_aspect or np.nan, 1.0)


def film_scale(
    vertebrae: Sequence[Vertebra],
    facing: Facing,
    spacing: Spacing | None,
    pixel_aspect: float | None,
    aspect_given: bool,
    square: bool = False,
) -> Scale:
    """The scale of a film on which these vertebrae were seen, or labelled.

    Args:
        pixel_aspect: as the film has it; None where it was stretched by an unknown amount.
        aspect_given: whether someone stated it.
        square: whether the film has as many px across as along, as exports have that stretch what they hold.
    """
    impossible = impossible_spacing(vertebrae, spacing) if spacing else ""
    believed = None if impossible else spacing
    warnings = [f"{impossible}; it is set aside, and with it millimetres and limits in mm"] if impossible else []
    source = "given" if aspect_given else "spacing" if believed else "assumed"
    withheld = _disagreement(believed, pixel_aspect)
    if pixel_aspect is None:
        withheld, source = STRETCHED, "unknown"
    elif not withheld and (shape := probably_stretched(vertebrae, facing, pixel_aspect)):
        if aspect_given:
            warnings.append(f"{shape}, with the pixel aspect of {pixel_aspect:g} that was given: is that right?")
        else:
            withheld = f"the film was probably stretched: {shape}; {STATE_ASPECT}"
    if square and source == "assumed" and not withheld:
        warnings.append(f"the film is square, as stretched exports are, and is taken for unstretched: {STATE_ASPECT}")
    return Scale(believed, pixel_aspect, source, withheld, impossible or ("" if spacing else NO_SPACING), (*warnings,))


def _disagreement(spacing: Spacing | None, pixel_aspect: float | None) -> str:
    if pixel_aspect and spacing and abs(spacing.pixel_aspect / pixel_aspect - 1) > ASPECT_TOLERANCE:
        return (
            f"the spacing ({spacing.x_mm:g} x {spacing.y_mm:g} mm) and the pixel aspect ({pixel_aspect:g}) disagree "
            "on the shape of a pixel"
        )
    return ""
