"""Synthetic films as a dataset."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from spondylo_ml.config.films import PHANTOM_FILMS, PHANTOM_LONG_SIDE_PX
from spondylo_ml.data import phantom
from spondylo_ml.data.films import FilmSet
from spondylo_ml.landmarks import Film, GreyImage, SlotRange

PHANTOM_KIND = "phantom"
SLOTS = SlotRange(first=0, count=10)


@dataclass(frozen=True)
class PhantomImage:
    """Pixels that are drawn when they are read."""

    seed: int
    index: int
    long_side_px: int
    without: tuple[str, ...] = ()
    slips: phantom.Slips = phantom.Slips.CLINIC

    def read(self) -> GreyImage:
        """(H, W) grey levels, 0 to 255."""
        return phantom.render(self.made())

    def made(self) -> phantom.PhantomFilm:
        """What is known of the film before it is drawn."""
        return phantom.phantom_film(self.seed, self.index, self.long_side_px, self.without, self.slips)

    def fingerprint(self) -> str:
        """Name of the film and digest of the code that draws it: other code may draw other pixels."""
        held_out = ",".join(sorted(self.without))
        drawn = f"{self.seed}-{self.index}-{self.long_side_px}-{held_out}-{self.slips}"
        return f"phantom-{drawn}-{_generator_digest()}"


def phantom_films(
    count: int,
    seed: int,
    long_side_px: int,
    without: Sequence[str] = (),
    slips: str = phantom.Slips.CLINIC,
) -> FilmSet:
    """`count` synthetic films, none of a style named in `without`; each is its own patient.

    Raises:
        DataError: an unknown style, or none left.
    """
    drawn = phantom.Slips(slips)
    return FilmSet(
        kind=PHANTOM_KIND,
        name=_name(count, seed, long_side_px, without, drawn),
        films=tuple(_film(PhantomImage(seed, index, long_side_px, tuple(without), drawn)) for index in range(count)),
        slots=SLOTS,
    )


def _name(count: int, seed: int, long_side_px: int, without: Sequence[str], slips: phantom.Slips) -> str:
    """`phantom-<seed>` for the dataset that all presets share; others say how they differ from it."""
    own = []
    if (count, long_side_px) != (PHANTOM_FILMS, PHANTOM_LONG_SIDE_PX):
        own.append(f"{count}x{long_side_px}px")
    if without:
        own.append(f"without-{'+'.join(sorted(without))}")
    if slips is not phantom.Slips.CLINIC:
        own.append(str(slips))
    return "-".join([f"phantom-{seed}", *own])


def _film(image: PhantomImage) -> Film:
    made = image.made()
    name = f"phantom-{image.seed}-{image.index:05d}"
    return Film(
        film_id=name,
        image=image,
        size_hw=made.size_hw,
        vertebrae=made.vertebrae,
        facing=made.facing,
        patient=name,
        source="synthetic",
        levels_from="label",
        spacing=made.spacing,
        pixel_aspect=made.spacing.pixel_aspect,
        aspect_given=True,
    )


@cache
def _generator_digest() -> str:
    folder = Path(phantom.__file__).parent
    code = b"".join(path.read_bytes() for path in sorted(folder.glob("*.py")))
    return hashlib.sha256(code).hexdigest()[:16]
