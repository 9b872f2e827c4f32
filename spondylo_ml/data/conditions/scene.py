"""A synthetic film under a condition, before its pixels are drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from spondylo_ml.data.phantom import PhantomFilm, Slips, phantom_film, render
from spondylo_ml.data.phantom.posture import Posture
from spondylo_ml.landmarks import Facing, GreyImage, Vertebra
from spondylo_ml.spacing import Spacing

_CONDITION = 5
"""Third word of the seed of a condition's own draws; the film beneath is that of the generator."""


@dataclass(frozen=True)
class Request:
    """What determines a film apart from its condition: the values of `phantom_film`."""

    seed: int
    index: int
    long_side_px: int
    without: tuple[str, ...] = ()
    slips: Slips = Slips.CLINIC
    additions: tuple[str, ...] = ()

    @property
    def rng(self) -> np.random.Generator:
        """A fresh stream for the condition's own draws."""
        return np.random.default_rng([self.seed, self.index, _CONDITION])

    def film(self, posture: Posture | None = None) -> PhantomFilm:
        """The generator's film, of the patient in another posture if one is given."""
        return phantom_film(
            self.seed, self.index, self.long_side_px, self.without, self.slips, self.additions, posture
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Scene:
    """Truth of one film, and how to draw it.

    Attributes:
        size_hw: height and width in px.
        vertebrae: labelled bodies from the sacrum up; none if the film is no lateral lumbar film.
        facing: image side of the patient's front.
        spacing: mm per px; None where there is no patient.
        paint: draws the (H, W) grey levels, always the same ones.
    """

    size_hw: tuple[int, int]
    vertebrae: tuple[Vertebra, ...]
    facing: Facing
    spacing: Spacing | None
    paint: Callable[[], GreyImage]


def scene_of(film: PhantomFilm) -> Scene:
    """The generator's film as it is."""
    return Scene(film.size_hw, film.vertebrae, film.facing, film.spacing, lambda: render(film))


def changed(scene: Scene, change: Callable[[GreyImage], GreyImage]) -> Scene:
    """The scene with its pixels changed, and its truth not."""
    return replace(scene, paint=lambda: change(scene.paint()))
