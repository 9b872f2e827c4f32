"""Geometry of a synthetic frontal film of the whole spine with exact ground truth; see `rendering` for its pixels."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from spondylo_ml.data.frontal.framing import FrontalFraming, random_framing
from spondylo_ml.data.frontal.spine import random_spine
from spondylo_ml.data.phantom.film import SMALLEST_PX
from spondylo_ml.data.phantom.styles import Anatomy, Device, Style, random_style
from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import SlotRange, Vertebra, vertebrae_from_sacrum
from spondylo_ml.spacing import Spacing

SLOTS = SlotRange(first=1, count=17)
"""L5 up to T1, as the reader of SpineWeb-16: the sacrum is not labelled."""

LATERAL_ONLY = (str(Anatomy.TRANSITIONAL), str(Device.EXPORT))
"""Styles that frontal films never have: all have 17 vertebrae and their true shape."""

_GEOMETRY, _STYLE = 10, 11
"""Third word of the seeds, so that no lateral film shares its random numbers with a frontal one."""


@dataclass(frozen=True, eq=False)
class FrontalFilm:
    """A synthetic frontal film before rendering.

    Attributes:
        size_hw: height and width in px.
        vertebrae: L5 up to T1, in px of this film.
        spacing: mm per px.
        style: patient, exposure and device.
        framing: all bodies to draw, labelled or not.
        seed: first half of the film's name.
        index: second half of the film's name.
    """

    size_hw: tuple[int, int]
    vertebrae: tuple[Vertebra, ...]
    spacing: Spacing
    style: Style
    framing: FrontalFraming
    seed: int
    index: int


def frontal_film(seed: int, index: int, long_side_px: int = 704, without: Collection[str] = ()) -> FrontalFilm:
    """The film named by (seed, index); deterministic.

    Args:
        long_side_px: height of the film.
        without: styles to exclude, out of `STYLE_NAMES`.

    Raises:
        DataError: a negative seed or index, a film too small to draw, an unknown style, or no style left.
    """
    if seed < 0 or index < 0:
        raise DataError(f"a synthetic film is named by a seed and an index of 0 or more; given {seed} and {index}")
    if long_side_px < SMALLEST_PX:
        raise DataError(f"the long side of a synthetic film is {SMALLEST_PX} px or more; given {long_side_px}")
    style = random_style(np.random.default_rng([seed, index, _STYLE]), (*without, *LATERAL_ONLY))
    rng = np.random.default_rng([seed, index, _GEOMETRY])
    framing = random_framing(rng, random_spine(rng), long_side_px, style)
    return FrontalFilm(
        size_hw=framing.size_hw,
        vertebrae=vertebrae_from_sacrum(framing.labelled_px, SLOTS.first),
        spacing=Spacing(1 / framing.px_per_mm, 1 / framing.px_per_mm, "synthetic"),
        style=style,
        framing=framing,
        seed=seed,
        index=index,
    )
