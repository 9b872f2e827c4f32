"""The patient's frame: x points forward (anterior) and y up, whichever way the patient faces on the film.

A film and its mirror image have the same corners in this frame up to a shift, and therefore the same measures.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import MIRRORED_CORNERS, Facing, FloatArray

SUPERIOR_ANTERIOR, SUPERIOR_POSTERIOR, INFERIOR_ANTERIOR, INFERIOR_POSTERIOR = range(4)
"""Order of the four corners of a body in the patient's frame."""

_LOOP = (SUPERIOR_ANTERIOR, SUPERIOR_POSTERIOR, INFERIOR_POSTERIOR, INFERIOR_ANTERIOR)  # counter-clockwise, y up
_NEXT = [1, 2, 3, 0]  # of the loop; indexing is several times faster than np.roll


def patient_frame(
    corners_xy: FloatArray, facing: Facing, pixel_size_xy: tuple[float, float] = (1.0, 1.0)
) -> FloatArray:
    """Transform (..., 4, 2) corners on the film to (..., 4, 2) bodies in the patient's frame.

    Args:
        pixel_size_xy: width and height of a pixel: in mm, or (pixel aspect, 1), which undoes a stretch.

    Raises:
        DataError: the facing is neither left nor right.
    """
    if facing not in (Facing.LEFT, Facing.RIGHT):
        raise DataError(
            f"anterior and posterior need a film that faces left or right; given {facing.value!r}. "
            "Set the facing, or infer it"
        )
    corners = np.asarray(corners_xy, dtype=np.float64) * np.array([pixel_size_xy[0], -pixel_size_xy[1]])
    if facing is Facing.RIGHT:
        return np.asarray(corners[..., list(MIRRORED_CORNERS), :])
    return np.asarray(corners * np.array([-1.0, 1.0]))


def superior_endplate(bodies: FloatArray) -> FloatArray:
    """(..., 2) vector from the posterior to the anterior end of each superior endplate."""
    return np.asarray(bodies[..., SUPERIOR_ANTERIOR, :] - bodies[..., SUPERIOR_POSTERIOR, :])


def inferior_endplate(bodies: FloatArray) -> FloatArray:
    """(..., 2) vector from the posterior to the anterior end of each inferior endplate."""
    return np.asarray(bodies[..., INFERIOR_ANTERIOR, :] - bodies[..., INFERIOR_POSTERIOR, :])


def longest_edge(bodies: FloatArray) -> FloatArray:
    """(...) length of each body's longest edge with both corners; NaN where there is none."""
    loop = bodies[..., list(_LOOP), :]
    return np.asarray(np.fmax.reduce(np.linalg.norm(loop[..., _NEXT, :] - loop, axis=-1), axis=-1))


def has_impossible_outline(bodies: FloatArray) -> NDArray[np.bool_]:
    """(...) whether all corners are present and their outline crosses itself or is turned inside out."""
    loop = bodies[..., list(_LOOP), :]
    edges = loop[..., _NEXT, :] - loop
    next_edges = edges[..., _NEXT, :]
    turns = edges[..., 0] * next_edges[..., 1] - edges[..., 1] * next_edges[..., 0]
    return np.asarray(np.isfinite(turns).all(axis=-1) & ((turns > 0).sum(axis=-1) < 3))


def centre_within(inner: FloatArray, outer: FloatArray) -> NDArray[np.bool_]:
    """(...) whether the centre of `inner` lies inside the outline of `outer`; False where a corner is absent."""
    loop = outer[..., list(_LOOP), :]
    edges = loop[..., _NEXT, :] - loop
    to_centre = inner.mean(axis=-2)[..., None, :] - loop
    return np.asarray((edges[..., 0] * to_centre[..., 1] - edges[..., 1] * to_centre[..., 0] > 0).all(axis=-1))
