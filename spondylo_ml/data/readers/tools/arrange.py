"""Tell the corners of vertebrae apart by their position, where the annotations do not name them.

The corners of a body are sorted around its centre, which leaves four readings. Of the body that lies best along the
spine, the reading is taken whose superior edge is nearest the head; of each further body, the one that is turned least
against its neighbour, since neighbours are turned by less than 45 degrees even at a steep sacrum. Sorting by height
would fail there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spondylo_ml.clinical.outlines import spine_up, toward_head
from spondylo_ml.data.readers.vertebra_order import order_from_sacrum
from spondylo_ml.errors import FileError
from spondylo_ml.landmarks import FloatArray, level_name, vertebrae_from_sacrum

ARRANGED = "corners without names: told apart by their position"
LARGEST_TURN_DEG = 40.0
"""Above this angle to its neighbour (or to the spine, for the first body) a body could as well be read a quarter turn
further, which begins at 45 degrees."""

_UP = np.array([0.0, -1.0])


def arrange(corners_xy: FloatArray, named: Sequence[bool], slots: Sequence[int | None], file: str) -> FloatArray:
    """(V, 4, 2) px in the order of `CORNERS`; bodies whose corners are named stay as they are.

    Args:
        corners_xy: (V, 4, 2) px; of a body without names, its points in any order, NaN at the end for absent ones.
        named: whether the corners of each body are named.
        slots: named level of each body, or None.

    Raises:
        FileError: a body without names has three points or one; or its points fit two readings.
    """
    corners = corners_xy.copy()
    for index in [place for place, is_named in enumerate(named) if not is_named]:
        _require_enough(corners[index], slots[index], file)
        if not np.isnan(corners[index]).any():
            corners[index] = min(_readings(corners[index]), key=lambda quad: _turn_deg(_up(quad), _UP))
    if all(named):
        return corners
    order = _order(corners, slots)
    chain = _chain(corners[order], all(slot is not None for slot in slots))
    references = _fill(corners, named, order, chain, slots, file)
    for index, reference in references.items():
        if np.isnan(corners[index]).any():
            corners[index] = _endplate(corners[index], reference)
    return corners


def _fill(
    corners: FloatArray,
    named: Sequence[bool],
    order: Sequence[int],
    chain: FloatArray,
    slots: Sequence[int | None],
    file: str,
) -> dict[int, FloatArray]:
    """Set the reading of each body without names, from the surest outward, and return the direction used for each."""
    whole = [not np.isnan(corners[index]).any() for index in order]
    if not any(whole):
        return {index: chain[place] for place, index in enumerate(order) if not named[index]}
    best = [_best(corners[i], chain[p], named[i]) if whole[p] else None for p, i in enumerate(order)]
    turns = [np.inf if quad is None else _turn_deg(_up(quad), chain[place]) for place, quad in enumerate(best)]
    start = int(np.argmin(turns))
    references: dict[int, FloatArray] = {}
    for places in (range(start, len(order)), range(start - 1, -1, -1)):
        reference = chain[start] if places.step > 0 else _up(corners[order[start]])
        for place in places:
            index = order[place]
            if not named[index]:
                references[index] = reference
            if not whole[place]:
                continue
            quad = _best(corners[index], reference, named[index])
            if not named[index] and _turn_deg(_up(quad), reference) > LARGEST_TURN_DEG:
                raise FileError(
                    file,
                    f"{_level(slots[index])}: its corners have no names and fit two readings: name them, such as "
                    "superior_left",
                )
            corners[index] = quad
            reference = _up(quad)
    return references


def _best(quad: FloatArray, reference: FloatArray, named: bool) -> FloatArray:
    return quad if named else min(_readings(quad), key=lambda reading: _turn_deg(_up(reading), reference))


def _readings(quad: FloatArray) -> list[FloatArray]:
    """The four ways to name the corners of a (4, 2) body, each clockwise on the film from superior left."""
    offset = quad - quad.mean(axis=0)
    ring = quad[np.argsort(np.arctan2(offset[:, 1], offset[:, 0]), kind="stable")]
    return [np.roll(ring, -turn, axis=0)[[0, 1, 3, 2]] for turn in range(4)]


def _up(quad: FloatArray) -> FloatArray:
    return np.asarray(quad[:2].mean(axis=0) - quad[2:].mean(axis=0))


def _turn_deg(one: FloatArray, other: FloatArray) -> float:
    cosine = one @ other / max(1e-12, float(np.linalg.norm(one) * np.linalg.norm(other)))
    return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))


def _order(corners: FloatArray, slots: Sequence[int | None]) -> list[int]:
    """Indices of the bodies that have a corner, from the sacrum up."""
    present = [index for index in range(len(corners)) if not np.isnan(corners[index]).all()]
    levels = [slots[index] for index in present]
    known = [level for level in levels if level is not None]
    if len(known) == len(present):
        return [present[place] for place in np.argsort(known)]
    return [present[place] for place in order_from_sacrum(corners[present])[0]]


def _chain(corners: FloatArray, levels_are_named: bool) -> FloatArray:
    """(V, 2) directions toward the head, at (V, 4, 2) bodies from the sacrum up."""
    if levels_are_named:
        return toward_head(np.nanmean(corners, axis=1))
    return spine_up(vertebrae_from_sacrum(corners))


def _endplate(points: FloatArray, up: FloatArray) -> FloatArray:
    """(4, 2) corners of a sacrum of which only the superior endplate is drawn."""
    right = np.array([-up[1], up[0]])
    pair = points[:2]
    return np.vstack([pair[np.argsort(pair @ right)], points[2:]])


def _require_enough(points: FloatArray, slot: int | None, file: str) -> None:
    """Raise `FileError` unless a body has four points; none; or, if it is the sacrum, two."""
    count = int((~np.isnan(points[:, 0])).sum())
    if count in (0, 4) or (count == 2 and slot == 0):
        return
    raise FileError(
        file,
        f"{_level(slot)}: {count} point(s) without names, so that it cannot be told which corner is absent: name them",
    )


def _level(slot: int | None) -> str:
    return "a vertebra" if slot is None else level_name(slot)
