"""Random lumbar and lower thoracic spines in mm, in lateral view and facing left.

Axes: x to the right on the image (posterior), y down, origin in the middle of S1's superior endplate. Rows of every
array are slots: 0 is S1, 1 is L5, and so on up to `DRAWN - 1`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from spondylo_ml.data.phantom.additions.first_sacral import FirstSacral
from spondylo_ml.data.phantom.styles import Anatomy
from spondylo_ml.landmarks import FloatArray

DRAWN = 15
"""Bodies per spine: more than any film labels, so that its upper edge can cut off the next one."""

_TILT_DEG = np.array([37, 19, 8, -1, -7, -11, -13, -14, -14, -12, -9, -5, -1, 3, 7], dtype=np.float64)
_DISC_GAP = np.array([0.27, 0.32, 0.31, 0.28, 0.25, 0.20, 0.17, 0.15, 0.14, 0.13, 0.12, 0.12, 0.12, 0.12])
_HEIGHT = np.array([0.76, 0.73, 0.72, 0.73, 0.73, 0.71, 0.71, 0.71, 0.72, 0.72, 0.73, 0.73, 0.73, 0.73, 0.73])
_DEPTH = np.array([0.98, 1.0, 1.02, 1.0, 0.98, 0.95, 0.93, 0.92, 0.90, 0.88, 0.86, 0.83, 0.80, 0.77, 0.74])
_FRONT_TO_BACK = np.array([1.0, 1.10, 1.03, 1.0, 0.98, 0.96, 0.95, 0.95, 0.96, 0.97, 0.97, 0.97, 0.97, 0.97, 0.97])

_NARROW_DISCS = {Anatomy.YOUNG: 0.04, Anatomy.ADULT: 0.12, Anatomy.AGED: 0.35, Anatomy.TRANSITIONAL: 0.12}
_FRACTURES = {Anatomy.YOUNG: 0.0, Anatomy.ADULT: 0.008, Anatomy.AGED: 0.07, Anatomy.TRANSITIONAL: 0.008}
_SLIP_PERCENT = ((8.0, 25.0), (25.0, 50.0), (50.0, 75.0), (75.0, 100.0), (100.0, 112.0))
"""Range of slips for each grade I to V; slips below 8 are within the range of the physiological steps."""

EVEN_LEVELS = 6
"""Number of levels, from L5/S1 up to T12/L1, at which even slips occur."""


class Slips(StrEnum):
    """Distribution of slips."""

    CLINIC = "clinic"  # forward in a third of the patients, backward in a fifth, high grades rare
    EVEN = "even"  # in every patient; all levels, directions and grades I to V equally often, for calibration


_SLIPPED_SHARE = 0.30
_GRADE_SHARES = (0.66, 0.18, 0.09, 0.05, 0.02)


@dataclass(frozen=True, eq=False)
class Spine:
    """The spine of one patient.

    Attributes:
        corners_mm: (V, 4, 2) in the order of `CORNERS`, facing left.
        depth_mm: antero-posterior depth of L3, the unit of length for everything around the spine.
        slip_percent: (V - 1,) true slip of slot i + 1 on slot i, positive forward.
        n_lumbar: number of lumbar vertebrae; slot `n_lumbar + 1` is the lowest with ribs.
        anatomy: style of the patient.
    """

    corners_mm: FloatArray
    depth_mm: float
    slip_percent: FloatArray
    n_lumbar: int
    anatomy: Anatomy


def random_spine(
    rng: np.random.Generator,
    anatomy: Anatomy = Anatomy.ADULT,
    slips: Slips = Slips.CLINIC,
    first_sacral: FirstSacral | None = None,
) -> Spine:
    """Draw a spine with tilts, sizes and discs around population medians, and occasional slips.

    Args:
        first_sacral: shape of S1; without one, S1 is drawn like a lumbar body that tapers.
    """
    depth = float(np.clip(rng.normal(36.0, 3.0), 28.0, 46.0))
    n_lumbar = 5
    if anatomy is Anatomy.TRANSITIONAL:
        n_lumbar = 4 if rng.random() < 0.45 else 6
    usual = _usual_slots(n_lumbar)
    tilt = _tilts(rng, usual)
    local = _bodies(rng, usual, anatomy) * depth
    if first_sacral is not None:
        local[0] = first_sacral.corners(float(np.linalg.norm(local[0, 1] - local[0, 0])))
        tilt[0] = first_sacral.slope_deg(tilt[0])
    corners = _rotated(local, -np.radians(tilt))
    slip = _slips(rng)
    if slips is Slips.EVEN:
        slip = _even_slips(rng.spawn(1)[0])  # a separate stream keeps all else the same as with Slips.CLINIC
    gaps = np.interp(usual[:-1], np.arange(DRAWN - 1), _DISC_GAP)
    gaps *= np.exp(rng.normal(0.0, 0.10, DRAWN - 1)) * np.exp(rng.normal(0.0, 0.12))
    narrow = rng.random(DRAWN - 1) < _NARROW_DISCS[anatomy]
    gaps = np.where(narrow, gaps * rng.uniform(0.3, 0.75, DRAWN - 1), gaps)
    if anatomy is Anatomy.TRANSITIONAL:
        gaps[0] *= rng.uniform(0.3, 1.0)  # the disc below a transitional vertebra is often a remnant
    corners += _stack(corners, gaps * depth, slip)[:, None, :]
    corners -= corners[0, :2].mean(axis=0)
    return Spine(corners, depth, slip, n_lumbar, anatomy)


def _usual_slots(n_lumbar: int) -> FloatArray:
    """(V,) equivalent slot of each body on a spine with five lumbar vertebrae, which determines its median shape."""
    thoracic = 6 + np.arange(DRAWN - 1 - n_lumbar, dtype=np.float64)
    return np.concatenate([[0.0], np.linspace(1.0, 5.0, n_lumbar), thoracic]).clip(max=DRAWN - 1)


def _tilts(rng: np.random.Generator, usual: FloatArray) -> FloatArray:
    """(V,) tilt of each body in degrees, positive down and forward."""
    lordosis = float(np.clip(rng.normal(1.1, 0.42), 0.05, 2.2))
    tilt = np.interp(usual, np.arange(DRAWN), _TILT_DEG) * lordosis + rng.normal(0.0, 5.0)
    tilt += rng.normal(0.0, 3.0) * np.sin(np.linspace(0.0, np.pi * rng.uniform(1.0, 3.0), DRAWN))
    tilt += rng.normal(0.0, 1.5, DRAWN)
    if rng.random() < 0.08:  # a patient lying or bent, or a tilted film
        tilt += rng.normal(0.0, 10.0)
    tilt[0] = max(tilt[1] + np.clip(rng.normal(17.0, 5.0), 4.0, 32.0), rng.uniform(4.0, 14.0))
    return tilt


def _bodies(rng: np.random.Generator, usual: FloatArray, anatomy: Anatomy) -> FloatArray:
    """(V, 4, 2) corners of each upright body around its centre, in units of L3's depth."""
    medians = (np.interp(usual, np.arange(DRAWN), table) for table in (_HEIGHT, _DEPTH, _FRONT_TO_BACK))
    share, depth, wedge = medians
    height = share * depth * np.exp(rng.normal(0.0, 0.06) + rng.normal(0.0, 0.035, DRAWN))
    ratio = wedge * np.exp(rng.normal(0.0, 0.04, DRAWN))
    front, back = height * np.sqrt(ratio), height / np.sqrt(ratio)
    for slot in np.flatnonzero(rng.random(DRAWN) < _FRACTURES[anatomy]):
        if 1 < slot < 10:
            front[slot] *= rng.uniform(0.5, 0.85)
            back[slot] *= rng.uniform(0.8, 1.0)
    upper = depth * np.exp(rng.normal(0.0, 0.025, DRAWN))
    lower = upper * np.exp(rng.normal(0.015, 0.025, DRAWN))
    shear = rng.normal(0.0, 0.02, DRAWN)
    # A transitional first sacral body tapers less than a usual one.
    lower[0] = upper[0] * (rng.uniform(0.75, 0.95) if anatomy is Anatomy.TRANSITIONAL else rng.uniform(0.58, 0.80))
    shear[0] = rng.normal(0.02, 0.05)
    x = np.stack([-upper / 2, upper / 2, shear - lower / 2, shear + lower / 2], axis=1)
    y = np.stack([-front / 2, -back / 2, front / 2, back / 2], axis=1)
    return np.stack([x, y], axis=-1)


def _slips(rng: np.random.Generator) -> FloatArray:
    """(V - 1,) slip in percent: a small physiological step at each level, and occasionally a slip of any grade."""
    slip = _small_steps(rng)
    if rng.random() < _SLIPPED_SHARE:
        level = int(rng.choice(5, p=[0.37, 0.40, 0.13, 0.06, 0.04]))
        low, high = _SLIP_PERCENT[int(rng.choice(len(_SLIP_PERCENT), p=_GRADE_SHARES))]
        slip[level] = rng.uniform(low, high)
    if rng.random() < 0.20:
        low, high = (6.0, 25.0) if rng.random() < 0.85 else (25.0, 45.0)
        slip[int(rng.integers(0, 6))] = -rng.uniform(low, high)
    return slip


def _even_slips(rng: np.random.Generator) -> FloatArray:
    """(V - 1,) slip in percent: small steps, and one slip with uniformly drawn level, direction and grade."""
    slip = _small_steps(rng)
    level, backward = int(rng.integers(0, EVEN_LEVELS)), bool(rng.integers(0, 2))
    size = rng.uniform(*_SLIP_PERCENT[int(rng.integers(0, len(_SLIP_PERCENT)))])
    slip[level] = -size if backward else size
    return slip


def _small_steps(rng: np.random.Generator) -> FloatArray:
    return rng.normal(-2.0, 2.6, DRAWN - 1)


def _stack(corners: FloatArray, gaps: FloatArray, slip: FloatArray) -> FloatArray:
    """(V, 2) shifts that place each body above the one below with the given disc and slip.

    The slip is exact by its clinical definition: measured along the lower body's superior endplate, from its superior
    posterior corner to the upper body's inferior posterior corner.
    """
    below, above = corners[:-1], corners[1:]
    plate = below[:, 0] - below[:, 1]
    length = np.linalg.norm(plate, axis=1)
    forward = plate / length[:, None]
    up = np.stack([-forward[:, 1], forward[:, 0]], axis=1)
    floor = above[:, 2] - above[:, 3]
    sag = (floor * up).sum(axis=1) / 2  # height of the middle of the upper body's floor above its posterior end
    back_gap = np.maximum(gaps - sag, 0.09 * length)
    front_gap = back_gap + 2 * sag
    back_gap += np.maximum(0.09 * length - front_gap, 0.0)
    step = below[:, 1] + forward * (slip / 100 * length)[:, None] + up * back_gap[:, None] - above[:, 3]
    return np.concatenate([np.zeros((1, 2)), np.cumsum(step, axis=0)])


def _rotated(points: FloatArray, angle_rad: FloatArray) -> FloatArray:
    """(V, 4, 2) points rotated about the origin by one angle per body; positive is clockwise on the image."""
    cos, sin = np.cos(angle_rad)[:, None], np.sin(angle_rad)[:, None]
    x, y = points[..., 0], points[..., 1]
    return np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)
