"""The content of one film file of any format."""

from __future__ import annotations

from dataclasses import dataclass

from spondylo_ml.landmarks import GreyImage
from spondylo_ml.spacing import Spacing


@dataclass(frozen=True)
class FilmContent:
    """Pixels, and what the file states about them.

    Attributes:
        pixels: (H, W) grey levels, 0 to 255, bone bright.
        spacing: as the file states it, or None.
        pixel_aspect: width of a pixel over its height; 1 if the file does not state it.
        notes: what a reader of the results must know.
        patient: the PatientID of a DICOM file, which may only be used through `pseudonym`; empty if there is none.
    """

    pixels: GreyImage
    spacing: Spacing | None = None
    pixel_aspect: float = 1.0
    notes: tuple[str, ...] = ()
    patient: str = ""

    @property
    def stated_aspect(self) -> float | None:
        """The pixel aspect by the file's spacing, or as the file states it; None if it says nothing of it."""
        if self.spacing is not None:
            return self.spacing.pixel_aspect
        return self.pixel_aspect if self.pixel_aspect != 1 else None
