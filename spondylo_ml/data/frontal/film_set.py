"""Datasets of synthetic frontal films, with the levels of SpineWeb-16."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from spondylo_ml.data import phantom
from spondylo_ml.data.films import FilmSet
from spondylo_ml.data.frontal.film import SLOTS, FrontalFilm, frontal_film
from spondylo_ml.data.frontal.rendering import render
from spondylo_ml.data.synthetic import PHANTOM_KIND, code_only, dataset_name, synthetic_film
from spondylo_ml.landmarks import Facing, Film, GreyImage


@dataclass(frozen=True)
class FrontalImage:
    """Pixels of a synthetic frontal film, drawn when they are read."""

    seed: int
    index: int
    long_side_px: int
    without: tuple[str, ...] = ()

    def read(self) -> GreyImage:
        """(H, W) grey levels, 0 to 255."""
        return render(self.description())

    def description(self) -> FrontalFilm:
        """The film before it is drawn: size, vertebrae, spacing."""
        return frontal_film(self.seed, self.index, self.long_side_px, self.without)

    def fingerprint(self) -> str:
        """Parameters of the film and digest of the code that draws it: changed code may draw other pixels."""
        held_out = ",".join(sorted(self.without))
        return f"frontal-{self.seed}-{self.index}-{self.long_side_px}-{held_out}-{_digest()}"


def frontal_films(count: int, seed: int, long_side_px: int, without: Sequence[str] = ()) -> FilmSet:
    """`count` synthetic frontal films, none in a style named in `without`; each is its own patient.

    Raises:
        DataError: an unknown style, or no style left.
    """
    plain = dataset_name(count, seed, long_side_px, without, phantom.Slips.CLINIC, ())
    images = [FrontalImage(seed, index, long_side_px, tuple(without)) for index in range(count)]
    return FilmSet(kind=PHANTOM_KIND, name=f"{plain}-frontal", films=tuple(map(_film, images)), slots=SLOTS)


def _film(image: FrontalImage) -> Film:
    drawn = image.description()
    name = f"phantom-{image.seed}-{image.index:05d}-frontal"
    return synthetic_film(name, image, drawn.size_hw, drawn.vertebrae, Facing.NONE, drawn.spacing)


@cache
def _digest() -> str:
    """Digest of this package and of the one whose painting, styles and processing it uses."""
    files = sorted(path for folder in (Path(__file__), Path(phantom.__file__)) for path in folder.parent.glob("*.py"))
    code = "".join(code_only(path.read_text(encoding="utf-8")) for path in files)
    return hashlib.sha256(code.encode()).hexdigest()[:16]
