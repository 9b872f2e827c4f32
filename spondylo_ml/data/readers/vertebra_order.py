"""Order vertebrae without level names along the spine, from the sacrum up.

The order of the file is used, from either end, if it is a plausible chain of vertebrae; else the shortest chain through
their centres. Sorting by height alone would be wrong: in a high-grade slip L5 lies beside or below S1.
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
    "vertebrae not listed along the spine, and their centres form no chain: taken by height on the film, so that "
    "levels may be wrong"
)
OTHER_CHAIN = (
    "vertebrae taken in the order in which they are listed, but another chain through their centres is shorter: a "
    "high-grade slip, or a wrong order"
)
EITHER_END = "vertebrae taken as listed head to tail; the film does not show which end is the head"

FALLEN = 0.25
"""Largest drop of the upper vertebra's centre below the lower one's, in heights of the lower body along its up vector,
unless it lies to the side."""

BESIDE = 0.75
"""Offset to the front or back, in widths of the lower body, at which a larger drop is plausible."""

ROUNDING, SAME_PLACE = 0.01, 0.3
"""Share of a chain's length that counts as rounding; share of the median step below which two bodies coincide."""

CLEAR_COS = 0.3
"""Smallest mean cosine between bodies and chain at which the superior edges show where the head is."""


def order_from_sacrum(corners_xy: FloatArray) -> tuple[Places, list[Remark]]:
    """Order (V, 4, 2) corners from the sacrum up; each vertebra must have at least one corner.

    Returns:
        (V,) indices into `corners_xy`, and remarks on the decisions made.
    """
    file_order = np.arange(len(corners_xy))
    if len(file_order) < 2:
        return file_order, []
    centres = np.nanmean(corners_xy, axis=1)
    tree = _shortest_tree(centres)
    file_is_shortest = _length(centres) <= tree.sum() / 2 + _slack(centres)
    if file_is_shortest or _plausible(corners_xy[::-1]) or _plausible(corners_xy):
        remarks = [] if file_is_shortest else [Remark(OTHER_CHAIN, doubt=True)]
        rises = _rises(corners_xy[::-1])  # files usually list vertebrae head to tail
        if rises is None:
            return file_order[::-1], [*remarks, Remark(EITHER_END, doubt=True)]
        return (file_order[::-1], remarks) if rises else (file_order, [*remarks, Remark(REVERSED)])
    path = _path(tree)
    if path is None:
        return np.argsort(-centres[:, 1], kind="stable"), [Remark(BY_HEIGHT, doubt=True)]
    rises = _rises(corners_xy[path])
    if rises is None:
        rises = bool(centres[path[-1], 1] < centres[path[0], 1])
    return path if rises else path[::-1], [Remark(SHORTEST, doubt=True)]


def _rises(corners_xy: FloatArray) -> bool | None:
    """Whether a chain of (V, 4, 2) corners runs toward the head; None if neither the film nor the bodies show it.

    The head is assumed to be up on the film. If the chain runs across the film, as two vertebrae in a high-grade slip
    may, the bodies' superior edges decide.
    """
    centres = np.nanmean(corners_xy, axis=1)
    across, down = centres[-1] - centres[0]
    if abs(down) > abs(across):
        return bool(down < 0)
    up = _up_vectors(corners_xy)
    steps = np.diff(centres, axis=0)
    lengths = np.linalg.norm(steps, axis=1) * np.linalg.norm(up[:-1], axis=1)
    cosines = (steps * up[:-1]).sum(axis=1) / np.maximum(lengths, 1e-9)
    finite = cosines[np.isfinite(cosines)]
    if not len(finite) or abs(finite.mean()) < CLEAR_COS:
        return None
    return bool(finite.mean() > 0)


def _plausible(corners_xy: FloatArray) -> bool:
    """Whether (V, 4, 2) corners from the sacrum up form a chain in which each vertebra lies above the one below.

    A vertebra that has slipped off completely may lie lower, but only to the side of the one below.
    """
    centres, up_vectors = np.nanmean(corners_xy, axis=1), _up_vectors(corners_xy)
    height = np.linalg.norm(up_vectors, axis=1)
    plate = corners_xy[:, 1] - corners_xy[:, 0]
    width = np.linalg.norm(plate, axis=1)
    measurable = (height > 0) & (width > 0)
    if not measurable[:-1].all():
        return False
    steps, up = np.diff(centres, axis=0), up_vectors[:-1] / height[:-1, None]
    rise = (steps * up).sum(axis=1) / height[:-1]
    offset = np.abs(steps[:, 0] * up[:, 1] - steps[:, 1] * up[:, 0]) / width[:-1]
    return bool(((rise > -FALLEN) | (offset > BESIDE)).all()) and bool(np.median(rise) > 0)


def _up_vectors(corners_xy: FloatArray) -> FloatArray:
    """(V, 2) vectors from the middle of the inferior to that of the superior edge; NaN if an edge has no corner."""
    return np.asarray(_middle(corners_xy[:, :2]) - _middle(corners_xy[:, 2:]))


def _middle(edges_xy: FloatArray) -> FloatArray:
    """(V, 2) mean of the present corners of (V, 2, 2) edges; NaN without any."""
    present = ~np.isnan(edges_xy[..., :1])
    count = present.sum(axis=1)
    return np.asarray(np.where(count > 0, np.nansum(edges_xy, axis=1) / np.maximum(count, 1), np.nan))


def _length(centres_xy: FloatArray) -> float:
    return float(np.linalg.norm(np.diff(centres_xy, axis=0), axis=1).sum())


def _slack(centres_xy: FloatArray) -> float:
    """How much longer the file's chain may be than the shortest: rounding, and any order of a body listed twice."""
    steps = np.linalg.norm(np.diff(centres_xy, axis=0), axis=1)
    return float(ROUNDING * steps.sum() + 2 * steps[steps < SAME_PLACE * np.median(steps)].sum())


def _shortest_tree(centres_xy: FloatArray) -> FloatArray:
    """(V, V) edge lengths of the minimum spanning tree of the centres; 0 where two are not connected."""
    distances = np.linalg.norm(centres_xy[:, None] - centres_xy[None], axis=-1)
    tree = minimum_spanning_tree(csr_array(distances + 1e-6)).toarray()  # a distance of 0 would mean no edge
    return np.asarray(tree + tree.T)


def _path(tree: FloatArray) -> Places | None:
    """Indices along a tree without branches, which is then the shortest path; None if the tree branches."""
    connected = tree > 0
    degree = connected.sum(axis=1)
    if degree.max() > 2:
        return None
    path = [int(np.flatnonzero(degree == 1)[0])]
    while len(path) < len(tree):
        path.append(next(int(i) for i in np.flatnonzero(connected[path[-1]]) if i not in path[-2:]))
    return np.array(path)
