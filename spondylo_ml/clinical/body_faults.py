"""Why a body, or one of its endplates, cannot be measured.

All functions are vectorised and take bodies in the patient's frame (`patient_frame`).
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spondylo_ml.clinical import shape
from spondylo_ml.clinical.patient_frame import (
    has_impossible_outline,
    inferior_endplate,
    longest_edge,
    superior_endplate,
)
from spondylo_ml.landmarks import FloatArray

Plate = Literal["superior", "inferior"]
PLATES: tuple[Plate, ...] = get_args(Plate)

PLATE_FAULTS = (
    "",
    "a corner of {name}'s {plate} endplate is absent",
    "{name}'s {plate} endplate is degenerate: its corners nearly coincide",
    "{name}'s outline crosses itself",
)
"""Why an endplate cannot be measured, indexed by `plate_fault`; empty for index 0."""

WHOLE_FAULTS = (
    "",
    "a corner of {name} is absent",
    "{name} has no height or no depth",
    "{name}'s outline crosses itself",
)
"""Why a body's heights and depth cannot be measured, indexed by `whole_fault`; empty for index 0."""

_NO_SIZE = 1e-9  # of the longest edge


def plate_fault(bodies: FloatArray, plate: Plate, degenerate_fraction: float) -> NDArray[np.int64]:
    """(...) index into `PLATE_FAULTS` for one endplate of (..., 4, 2) bodies.

    Args:
        degenerate_fraction: an endplate shorter than this share of the body's longest edge has no reliable direction.
    """
    ends = superior_endplate(bodies) if plate == "superior" else inferior_endplate(bodies)
    length: FloatArray = np.linalg.norm(ends, axis=-1)
    degenerate = (length == 0) | (length <= degenerate_fraction * longest_edge(bodies))
    return _first(np.isnan(length), degenerate, has_impossible_outline(bodies))


def whole_fault(bodies: FloatArray) -> NDArray[np.int64]:
    """(...) index into `WHOLE_FAULTS` for (..., 4, 2) bodies."""
    absent = np.isnan(bodies).any(axis=(-2, -1))
    walls = np.minimum(shape.anterior_height(bodies), shape.posterior_height(bodies))
    no_size = np.minimum(walls, shape.depth(bodies)) <= _NO_SIZE * longest_edge(bodies)
    return _first(absent, no_size, has_impossible_outline(bodies))


def _first(*faults: ArrayLike) -> NDArray[np.int64]:
    """(...) number of the first fault that is true, from 1; 0 without any."""
    return np.asarray(
        np.select([np.asarray(fault, dtype=bool) for fault in faults], range(1, len(faults) + 1), 0), dtype=np.int64
    )
