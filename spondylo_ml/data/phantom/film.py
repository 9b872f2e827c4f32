"""A synthetic lateral lumbar film: geometry with exact truth, no pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spondylo_ml.data.phantom.anatomy import random_spine
from spondylo_ml.data.phantom.framing import Framing, random_framing
from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import Facing, Spacing, Vertebra, vertebrae_from_sacrum

MIRRORED_SHARE = 0.3
"""Share of the films that face right."""

SMALLEST_PX = 64
"""Least long side of a film; below it a body has fewer pixels than its outline has parts."""


@dataclass(frozen=True, eq=False)
class PhantomFilm:
    """What is known about one synthetic film before it is drawn.

    Attributes:
        size_hw: height and width in px.
        vertebrae: labelled bodies from the sacrum up, slot 0 is S1; px of this film.
        facing: side of the patient's front.
        spacing: mm per px of this film.
        framing: every body to draw, facing left, labelled or not.
        seed: first half of the film's name.
        index: second half of the film's name.
    """

    size_hw: tuple[int, int]
    vertebrae: tuple[Vertebra, ...]
    facing: Facing
    spacing: Spacing
    framing: Framing
    seed: int
    index: int


def phantom_film(seed: int, index: int, long_side_px: int = 384) -> PhantomFilm:
    """The film named by (seed, index), the same on every call.

    Raises:
        DataError: a negative seed or index, or a film too small to draw.
    """
    if seed < 0 or index < 0:
        raise DataError(f"a synthetic film is named by a seed and an index of 0 or more; given {seed} and {index}")
    if long_side_px < SMALLEST_PX:
        raise DataError(f"the long side of a synthetic film is {SMALLEST_PX} px or more; given {long_side_px}")
    rng = np.random.default_rng([seed, index])
    mirrored = bool(rng.random() < MIRRORED_SHARE)
    framing = random_framing(rng, random_spine(rng), long_side_px)
    vertebrae = vertebrae_from_sacrum(framing.corners_px[: framing.labelled])
    if mirrored:
        vertebrae = tuple(v.mirrored(framing.size_hw[1]) for v in vertebrae)
    return PhantomFilm(
        size_hw=framing.size_hw,
        vertebrae=vertebrae,
        facing=Facing.RIGHT if mirrored else Facing.LEFT,
        spacing=Spacing(1 / framing.px_per_mm, 1 / framing.px_per_mm, "synthetic"),
        framing=framing,
        seed=seed,
        index=index,
    )
