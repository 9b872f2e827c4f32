"""Whole films of a detector, on which the lumbar spine takes up only a given share of the height."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from spondylo_ml.data.conditions.scene import Request, Scene, scene_of
from spondylo_ml.data.phantom.additions import Addition
from spondylo_ml.data.phantom.additions.first_sacral import random_first_sacral
from spondylo_ml.data.phantom.anatomy import Spine, random_spine
from spondylo_ml.data.phantom.film import PhantomFilm
from spondylo_ml.data.phantom.framing import MARGIN_PX, Ending, Framing
from spondylo_ml.data.phantom.styles import Style, random_style
from spondylo_ml.landmarks import Facing, FloatArray, vertebrae_from_sacrum
from spondylo_ml.spacing import Spacing

SHARES = (100, 70, 50, 35, 20)
"""Height of the lumbar spine with S1, in percent of the film's height."""

MOST_LABELLED = 10
"""Labelled bodies at most: those that a model of lumbar films has slots for."""


def whole_film(request: Request, percent: int) -> Scene:
    """A film with S1 to L1 taking up `percent` of its height, at a random place."""
    rng = request.rng
    style = random_style(rng, {"export", *request.without})
    shape = random_first_sacral(rng, style.anatomy) if Addition.SACRUM in request.additions else None
    spine = random_spine(rng, style.anatomy, request.slips, shape)
    framing = _framing(rng, request, spine, style, percent)
    vertebrae = vertebrae_from_sacrum(framing.corners_px[: framing.labelled])
    facing = Facing.RIGHT if rng.random() < 0.3 else Facing.LEFT
    if facing is Facing.RIGHT:
        vertebrae = tuple(v.mirrored(framing.size_hw[1]) for v in vertebrae)
    film = PhantomFilm(
        size_hw=framing.size_hw,
        vertebrae=vertebrae,
        facing=facing,
        spacing=Spacing(1 / framing.px_per_mm, 1 / framing.px_per_mm, "synthetic"),
        slip_percent=spine.slip_percent[: framing.labelled - 1],
        n_lumbar=spine.n_lumbar,
        style=style,
        framing=framing,
        seed=request.seed,
        index=request.index,
    )
    return scene_of(film)


def _framing(rng: np.random.Generator, request: Request, spine: Spine, style: Style, percent: int) -> Framing:
    """Scale and place: S1 to L1 are complete on the film."""
    height = request.long_side_px
    lumbar = spine.corners_mm[: spine.n_lumbar + 1]
    low, high = lumbar.min(axis=(0, 1)), lumbar.max(axis=(0, 1))
    room = height - 1 - 2 * (MARGIN_PX + 1)
    scale = float(percent / 100 * room / (high[1] - low[1]))
    needed = (high[0] - low[0]) * scale + 2 * (MARGIN_PX + 1)
    width = int(max(round(height * rng.uniform(0.55, 1.0)), np.ceil(needed) + 1))
    spare = np.array([width - 1, height - 1]) - 2 * (MARGIN_PX + 1) - (high - low) * scale
    place = MARGIN_PX + 1 - low * scale + np.maximum(spare, 0.0) * rng.uniform([0.25, 0.3], [0.75, 0.75])
    corners = spine.corners_mm * scale + place
    return Framing(
        size_hw=(height, width),
        corners_px=corners,
        labelled=_complete(corners, (height, width)),
        px_per_mm=scale,
        depth_px=spine.depth_mm * scale,
        ending=Ending.EDGE,
        ending_px=0.0,
        n_lumbar=spine.n_lumbar,
        style=style,
        additions=frozenset(Addition(name) for name in request.additions),
    )


def _complete(corners: FloatArray, size_hw: tuple[int, int]) -> int:
    """Number of bodies from S1 up whose corners are all on the film."""
    far = np.array(size_hw[::-1]) - 1 - MARGIN_PX
    outside = ((corners < MARGIN_PX) | (corners > far)).any(axis=(1, 2))
    return min([*np.flatnonzero(outside).tolist(), MOST_LABELLED])


WHOLE_FILMS: dict[str, Callable[[Request], Scene]] = {
    f"whole-film-{percent}": partial(whole_film, percent=percent) for percent in SHARES
}
"""Conditions of a whole film, by name."""
