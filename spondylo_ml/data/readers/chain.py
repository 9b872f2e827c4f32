"""The order of vertebrae whose labels name no levels: along the spine, from the sacrum up.

The order in which a file lists them is taken where it is possible as a chain of vertebrae, from either end; else the
shortest chain through their centres. Sorting by height alone is wrong: in a high-grade slip L5 lies beside or below S1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import minimum_spanning_tree

from spondylo_ml.data.readers.remarks import Remark
from spondylo_ml.landmarks import FloatArray

Places = NDArray[np.int64]

REVERSED = "vertebrae listed from the sacrum up: read from the other end"
SHORTEST = (
    "vertebrae not listed along the spine: taken in the order of the shortest chain through their centres, so that "
    "levels may be wrong"
)
BY_HEIGHT = (
    "vertebrae not listed along the spine, and no chain leads through their centres: taken by height on the film, so "
    "that levels may be wrong"
)
OTHER_CHAIN = (
    "vertebrae taken in the order in which they are listed, but another chain through their centres is shorter: a "
    "high-grade slip, or a wrong order"
)
EITHER_END = "vertebrae taken as listed head to tail; the film does not show which end is the head"

FALLEN = 0.25
"""Share of a body's height by which the centre of the upper vertebra may lie below that of the lower one, seen from the
lower one's own endplates."""

BESIDE = 0.75
"""Share of a body's width by which one that has fallen further must lie in front of, or behind, the lower one."""

ROUNDING, SAME_PLACE = 0.01, 0.3
"""Share of a chain's length that is no difference; share of the usual step below which two bodies are in one place."""

CLEAR_COS = 0.3
"""Mean cosine between bodies and chain from which the bodies' own superior edges show where the head is."""


def order_from_sacrum(corners_xy: FloatArray) -> tuple[Places, list[Remark]]:
    """(V,) places in the file, from the sacrum up, of (V, 4, 2) listed corners, and what had to be decided for it.

    Every vertebra has a corner.
    """
    listed = np.arange(len(corners_xy))
    if len(listed) < 2:
        return listed, []
    centres = np.nanmean(corners_xy, axis=1)
    tree = _shortest_tree(centres)
    as_listed = _length(centres) <= tree.sum() / 2 + _slack(centres)
    if as_listed or _possible(corners_xy[::-1]) or _possible(corners_xy):
        remarks = [] if as_listed else [Remark(OTHER_CHAIN, doubt=True)]
        rises = _rises(corners_xy[::-1])  # files usually list vertebrae head to tail
        if rises is None:
            return listed[::-1], [*remarks, Remark(EITHER_END, doubt=True)]
        return (listed[::-1], remarks) if rises else (listed, [*remarks, Remark(REVERSED)])
    path = _path(tree)
    if path is None:
        return np.argsort(-centres[:, 1], kind="stable"), [Remark(BY_HEIGHT, doubt=True)]
    rises = _rises(corners_xy[path])
    if rises is None:
        rises = bool(centres[path[-1], 1] < centres[path[0], 1])
    return path if rises else path[::-1], [Remark(SHORTEST, doubt=True)]


def _rises(corners_xy: FloatArray) -> bool | None:
    """Whether a chain of (V, 4, 2) corners leads toward the head; None where neither film nor bodies show it.

    The head is up on the film. Where the chain leads rather across it, as with two vertebrae in a high-grade slip, the
    bodies' superior edges decide.
    """
    centres = np.nanmean(corners_xy, axis=1)
    across, down = centres[-1] - centres[0]
    if abs(down) > abs(across):
        return bool(down < 0)
    own = _own_up(corners_xy)
    steps = np.diff(centres, axis=0)
    lengths = np.linalg.norm(steps, axis=1) * np.linalg.norm(own[:-1], axis=1)
    cosines = (steps * own[:-1]).sum(axis=1) / np.maximum(lengths, 1e-9)
    known = cosines[np.isfinite(cosines)]
    if not len(known) or abs(known.mean()) < CLEAR_COS:
        return None
    return bool(known.mean() > 0)


def _possible(corners_xy: FloatArray) -> bool:
    """Whether (V, 4, 2) corners from the sacrum up are a chain in which each vertebra stands on the one below.

    One that has slipped off altogether may have fallen beside it, but in line with it none lies below.
    """
    centres, own = np.nanmean(corners_xy, axis=1), _own_up(corners_xy)
    height = np.linalg.norm(own, axis=1)
    plate = corners_xy[:, 1] - corners_xy[:, 0]
    width = np.linalg.norm(plate, axis=1)
    known = (height > 0) & (width > 0)
    if not known[:-1].all():
        return False
    steps, up = np.diff(centres, axis=0), own[:-1] / height[:-1, None]
    risen = (steps * up).sum(axis=1) / height[:-1]
    aside = np.abs(steps[:, 0] * up[:, 1] - steps[:, 1] * up[:, 0]) / width[:-1]
    return bool(((risen > -FALLEN) | (aside > BESIDE)).all()) and bool(np.median(risen) > 0)


def _own_up(corners_xy: FloatArray) -> FloatArray:
    """(V, 2) from the middle of the inferior to that of the superior edge; NaN where one of them has no corner left."""
    return np.asarray(_middle(corners_xy[:, :2]) - _middle(corners_xy[:, 2:]))


def _middle(edges_xy: FloatArray) -> FloatArray:
    known = ~np.isnan(edges_xy[..., :1])
    count = known.sum(axis=1)
    return np.asarray(np.where(count > 0, np.nansum(edges_xy, axis=1) / np.maximum(count, 1), np.nan))


def _length(centres_xy: FloatArray) -> float:
    return float(np.linalg.norm(np.diff(centres_xy, axis=0), axis=1).sum())


def _slack(centres_xy: FloatArray) -> float:
    """By how much a list may be longer than the shortest chain: rounding, and either order of one body listed twice."""
    steps = np.linalg.norm(np.diff(centres_xy, axis=0), axis=1)
    return float(ROUNDING * steps.sum() + 2 * steps[steps < SAME_PLACE * np.median(steps)].sum())


def _shortest_tree(centres_xy: FloatArray) -> FloatArray:
    """(V, V) lengths of the shortest connections that join all centres, 0 where two are not connected."""
    apart = np.linalg.norm(centres_xy[:, None] - centres_xy[None], axis=-1)
    tree = minimum_spanning_tree(csr_array(apart + 1e-6)).toarray()  # a distance of 0 would be no connection
    return np.asarray(tree + tree.T)


def _path(tree: FloatArray) -> Places | None:
    """Places along a tree that does not branch, which is then the shortest path; None where it branches."""
    linked = tree > 0
    degree = linked.sum(axis=1)
    if degree.max() > 2:
        return None
    path = [int(np.flatnonzero(degree == 1)[0])]
    while len(path) < len(tree):
        path.append(next(int(i) for i in np.flatnonzero(linked[path[-1]]) if i not in path[-2:]))
    return np.array(path)
