"""Slip of a vertebra on the one below it: positive forward (anterolisthesis), negative backward (retrolisthesis).

All functions are vectorised and take bodies in the patient's frame (`patient_frame`).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from spondylo_ml.clinical.patient_frame import (
    INFERIOR_POSTERIOR,
    SUPERIOR_POSTERIOR,
    centre_within,
    has_impossible_outline,
    longest_edge,
    superior_endplate,
)
from spondylo_ml.landmarks import FloatArray

SlipMethod = Literal["endplate", "posterior_wall"]

DEGENERATE_FRACTION = 0.2
"""An endplate shorter than this share of the longest edge of the two vertebrae has no reliable direction."""

SLIP_FAULTS = (
    "",
    "a corner of the lower vertebra's superior endplate is absent",
    "the upper vertebra's inferior posterior corner is absent",
    "the lower vertebra's inferior posterior corner is absent, so that its posterior wall is unknown",
    "the lower vertebra's superior endplate is degenerate: its corners nearly coincide",
    "the lower vertebra's posterior wall is degenerate: its corners nearly coincide",
    "the lower vertebra's outline crosses itself",
    "the upper vertebra's outline crosses itself",
    "the two lie on one body: the centre of one is inside the other's outline",
)
"""Why a slip is not measurable, indexed by `slip_fault`; empty for index 0."""


def slip_percent(
    upper: FloatArray,
    lower: FloatArray,
    method: SlipMethod = "endplate",
    degenerate_fraction: float = DEGENERATE_FRACTION,
) -> FloatArray:
    """(...) slip in percent of the length of the lower vertebra's superior endplate; NaN where it is not measurable.

    The slip is the position of the upper vertebra's inferior posterior corner relative to the posterior end of the
    lower vertebra's superior endplate: measured along that endplate (`endplate`), or perpendicular to the lower
    vertebra's posterior wall (`posterior_wall`).

    Args:
        upper: (..., 4, 2) bodies in the patient's frame.
        lower: (..., 4, 2) the bodies below them.
        degenerate_fraction: see `DEGENERATE_FRACTION`.
    """
    return measure_slip(upper, lower, method, degenerate_fraction)[0]


def measure_slip(
    upper: FloatArray,
    lower: FloatArray,
    method: SlipMethod = "endplate",
    degenerate_fraction: float = DEGENERATE_FRACTION,
) -> tuple[FloatArray, NDArray[np.int64]]:
    """`slip_percent` and `slip_fault` of the same bodies."""
    fault = slip_fault(upper, lower, method, degenerate_fraction)
    with np.errstate(divide="ignore", invalid="ignore"):
        plate = superior_endplate(lower)
        length = np.linalg.norm(plate, axis=-1)
        forward = plate / length[..., None] if method == "endplate" else _wall_normal(lower)
        step = upper[..., INFERIOR_POSTERIOR, :] - lower[..., SUPERIOR_POSTERIOR, :]
        percent = 100 * (step * forward).sum(axis=-1) / length
    return np.where(fault == 0, percent, np.nan), fault


def slip_fault(
    upper: FloatArray,
    lower: FloatArray,
    method: SlipMethod = "endplate",
    degenerate_fraction: float = DEGENERATE_FRACTION,
) -> NDArray[np.int64]:
    """(...) index into `SLIP_FAULTS` of the reason why the slip is not measurable; 0 where it is."""
    plate = np.linalg.norm(superior_endplate(lower), axis=-1)
    wall = np.linalg.norm(_wall(lower), axis=-1)
    least = degenerate_fraction * np.fmax(longest_edge(upper), longest_edge(lower))
    by_wall = method == "posterior_wall"
    faults = [
        np.isnan(plate),
        np.isnan(upper[..., INFERIOR_POSTERIOR, 0]) & np.ones_like(plate, dtype=bool),
        np.isnan(wall) & by_wall,
        (plate <= least) | (plate == 0),
        ((wall <= least) | (wall == 0)) & by_wall,
        has_impossible_outline(lower),
        has_impossible_outline(upper),
        centre_within(upper, lower) | centre_within(lower, upper),
    ]
    return np.asarray(np.select(np.broadcast_arrays(*faults), range(1, len(SLIP_FAULTS)), 0), dtype=np.int64)


def endplate_length(lower: FloatArray) -> FloatArray:
    """(...) length of each superior endplate, in the frame's unit."""
    return np.asarray(np.linalg.norm(superior_endplate(lower), axis=-1))


def _wall(lower: FloatArray) -> FloatArray:
    """(..., 2) vector down the posterior wall."""
    return np.asarray(lower[..., INFERIOR_POSTERIOR, :] - lower[..., SUPERIOR_POSTERIOR, :])


def _wall_normal(lower: FloatArray) -> FloatArray:
    """(..., 2) unit vectors that point forward, perpendicular to the posterior wall."""
    wall = _wall(lower)
    forward = np.stack([-wall[..., 1], wall[..., 0]], axis=-1)
    return np.asarray(forward / np.linalg.norm(wall, axis=-1, keepdims=True))
