"""Geometry of a synthetic lateral lumbar film with exact ground truth; see `rendering` for its pixels."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np

from spondylo_ml.data.phantom.additions import ADDITION_NAMES, Addition
from spondylo_ml.data.phantom.additions.first_sacral import random_first_sacral
from spondylo_ml.data.phantom.anatomy import Slips, random_spine
from spondylo_ml.data.phantom.framing import Framing, random_framing
from spondylo_ml.data.phantom.posture import Posture, in_posture
from spondylo_ml.data.phantom.styles import Device, Style, random_style
from spondylo_ml.errors import DataError, unknown_name
from spondylo_ml.landmarks import Facing, FloatArray, Vertebra, vertebrae_from_sacrum
from spondylo_ml.spacing import Spacing

MIRRORED_SHARE = 0.3
"""Share of the films that face right."""

_STYLE = 2
"""Third word of the seed of a film's style, so that excluding styles does not change any other draw."""

_FIRST_SACRAL = 3
"""Third word of the seed of S1's shape, so that a film with it is otherwise that of the first generator."""

SMALLEST_PX = 64
"""Smallest longer side of a film; below it a body has too few pixels for its outline."""


@dataclass(frozen=True, eq=False)
class PhantomFilm:
    """A synthetic film before rendering.

    Attributes:
        size_hw: height and width in px.
        vertebrae: labelled bodies from the sacrum up, in px of this film; slot 0 is S1.
        facing: image side of the patient's front.
        spacing: mm per px of this film; x and y differ if an export stretched it.
        slip_percent: (V - 1,) true slip of each labelled body on the one below, along the lower one's superior endplate
            and before any stretch; positive forward.
        n_lumbar: number of lumbar vertebrae of the patient.
        style: patient, exposure and device.
        framing: all bodies to draw, labelled or not, facing left and before any stretch.
        seed: first half of the film's name.
        index: second half of the film's name.
    """

    size_hw: tuple[int, int]
    vertebrae: tuple[Vertebra, ...]
    facing: Facing
    spacing: Spacing
    slip_percent: FloatArray
    n_lumbar: int
    style: Style
    framing: Framing
    seed: int
    index: int


def phantom_film(
    seed: int,
    index: int,
    long_side_px: int = 384,
    without: Collection[str] = (),
    slips: Slips = Slips.CLINIC,
    additions: Collection[str] = (),
    posture: Posture | None = None,
) -> PhantomFilm:
    """The film named by (seed, index); deterministic.

    Args:
        long_side_px: longer side of the film before any export.
        without: styles to exclude, out of `STYLE_NAMES`.
        slips: distribution of slips.
        additions: what to add to the first generator, out of `ADDITION_NAMES`. The patient, the film's size and its
            style stay the same.
        posture: the same patient bent, or years later.

    Raises:
        DataError: a negative seed or index, a film too small to draw, an unknown name, no style left, or a posture with
            a level that the spine does not have.
    """
    if seed < 0 or index < 0:
        raise DataError(f"a synthetic film is named by a seed and an index of 0 or more; given {seed} and {index}")
    if long_side_px < SMALLEST_PX:
        raise DataError(f"the long side of a synthetic film is {SMALLEST_PX} px or more; given {long_side_px}")
    style = random_style(np.random.default_rng([seed, index, _STYLE]), without)
    rng = np.random.default_rng([seed, index])
    mirrored = bool(rng.random() < MIRRORED_SHARE)
    added = _added(additions)
    first_sacral = None
    if Addition.SACRUM in added:
        first_sacral = random_first_sacral(np.random.default_rng([seed, index, _FIRST_SACRAL]), style.anatomy)
    spine = random_spine(rng, style.anatomy, slips, first_sacral)
    if posture is not None:
        spine = in_posture(spine, posture)
    framing = replace(random_framing(rng, spine, long_side_px, style), additions=added)
    height, width = framing.size_hw
    size_hw = (height, height) if style.device is Device.EXPORT else framing.size_hw
    stretch = size_hw[1] / width
    vertebrae = vertebrae_from_sacrum(stretched(framing.corners_px[: framing.labelled], stretch))
    if mirrored:
        vertebrae = tuple(v.mirrored(size_hw[1]) for v in vertebrae)
    return PhantomFilm(
        size_hw=size_hw,
        vertebrae=vertebrae,
        facing=Facing.RIGHT if mirrored else Facing.LEFT,
        spacing=Spacing(1 / framing.px_per_mm / stretch, 1 / framing.px_per_mm, "synthetic"),
        slip_percent=spine.slip_percent[: framing.labelled - 1],
        n_lumbar=spine.n_lumbar,
        style=style,
        framing=framing,
        seed=seed,
        index=index,
    )


def _added(names: Collection[str]) -> frozenset[Addition]:
    for name in names:
        if name not in ADDITION_NAMES:
            raise DataError(unknown_name("addition to synthetic films", name, ADDITION_NAMES))
    return frozenset(Addition(name) for name in names)


def stretched(points_xy: FloatArray, factor: float) -> FloatArray:
    """(..., 2) points in px after widening the film by `factor`; pixel centres have integer coordinates."""
    return np.stack([(points_xy[..., 0] + 0.5) * factor - 0.5, points_xy[..., 1]], axis=-1)
