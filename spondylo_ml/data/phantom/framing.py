"""Framing of a spine on a film: film size, number of complete bodies, scale and position."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from spondylo_ml.data.phantom.additions import Addition
from spondylo_ml.data.phantom.anatomy import Spine
from spondylo_ml.data.phantom.styles import Device, Style
from spondylo_ml.landmarks import FloatArray

COUNTS = {3: 21, 4: 35, 5: 72, 6: 197, 7: 204, 8: 115, 9: 37, 10: 13, 11: 4}
"""Number of films of a real dataset by their number of labelled vertebrae, including the sacrum."""

MARGIN_PX = 2.0
"""Smallest distance of a labelled corner from the film's edge."""

DEPTH_OF_HEIGHT = (0.065, 0.235)
"""Range of the antero-posterior depth of L3 as a share of the film's height."""

_NUMBERS = np.array(list(COUNTS), dtype=np.int64)
_CUMULATIVE = np.cumsum(list(COUNTS.values())) / sum(COUNTS.values())
_SACRUM_DOWN = {3: 0.76, 4: 0.74, 5: 0.68, 6: 0.665, 7: 0.665, 8: 0.685, 9: 0.73, 10: 0.74, 11: 0.75}
_TOP = {3: 0.11, 4: 0.10, 5: 0.10, 6: 0.10, 7: 0.06, 8: 0.035, 9: 0.025, 10: 0.02, 11: 0.02}


class Ending(StrEnum):
    """Why the next body above the topmost labelled one is not labelled."""

    EDGE = "edge"  # it is cut off by the film's upper edge
    SHUTTER = "shutter"  # it is behind the collimator
    LUNG = "lung"  # it is invisible in an overexposed lung


@dataclass(frozen=True, eq=False)
class Framing:
    """A spine in px of the film, facing left.

    Attributes:
        size_hw: height and width in px of the film before any export.
        corners_px: (V, 4, 2) corners of all drawn bodies, labelled or not.
        labelled: number of labelled bodies, from the sacrum up.
        px_per_mm: scale.
        depth_px: antero-posterior depth of L3.
        ending: why the labels end.
        ending_px: y of the edge of the shutter or of the overexposed lung; 0 for an edge.
        n_lumbar: number of lumbar vertebrae of the patient.
        style: patient, exposure and device.
        additions: what is drawn in a later way than that of the first generator.
    """

    size_hw: tuple[int, int]
    corners_px: FloatArray
    labelled: int
    px_per_mm: float
    depth_px: float
    ending: Ending
    ending_px: float
    n_lumbar: int
    style: Style
    additions: frozenset[Addition] = frozenset()

    @property
    def first_rib(self) -> int:
        """Slot of the lowest body that carries ribs (T12)."""
        return self.n_lumbar + 1


def random_framing(rng: np.random.Generator, spine: Spine, long_side_px: int, style: Style) -> Framing:
    """Draw film size, number of labelled bodies, scale and position."""
    size_hw = _size(rng, long_side_px, style.device)
    count = int(_NUMBERS[np.searchsorted(_CUMULATIVE, rng.random(), side="right")])
    scale, shift = _placement(rng, spine, count, size_hw)
    corners = spine.corners_mm * scale + shift
    ending, ending_px = _ending(rng, corners, count)
    on_film = int((corners[:, :, 1].max(axis=1) > -4).sum())
    return Framing(
        size_hw=size_hw,
        corners_px=corners[: max(count, on_film)],
        labelled=count,
        px_per_mm=scale,
        depth_px=spine.depth_mm * scale,
        ending=ending,
        ending_px=ending_px,
        n_lumbar=spine.n_lumbar,
        style=style,
    )


def _size(rng: np.random.Generator, long_side_px: int, device: Device) -> tuple[int, int]:
    """Height and width in px: mostly portrait films of varied aspect; exports may also be wider than high."""
    if device is Device.EXPORT:
        aspect = float(np.clip(rng.normal(0.82, 0.20), 0.42, 1.3))
    elif rng.random() < 0.15:
        aspect = 1.0
    else:
        aspect = float(np.clip(rng.normal(0.79, 0.14), 0.47, 1.0))
    return long_side_px, max(round(long_side_px * aspect), 8)


def _placement(
    rng: np.random.Generator, spine: Spine, count: int, size_hw: tuple[int, int]
) -> tuple[float, FloatArray]:
    """Scale in px per mm, and (2,) position in px of the middle of S1's superior endplate."""
    height, width = size_hw
    low = spine.corners_mm[:count].min(axis=(0, 1))
    high = spine.corners_mm[:count].max(axis=(0, 1))
    if rng.random() < 0.7:
        right, down = rng.normal(0.56, 0.10), rng.normal(_SACRUM_DOWN[count] - 0.03, 0.075)
    else:
        right, down = rng.uniform(0.22, 0.82), rng.uniform(0.5, 0.93)
    top = float(np.clip(_TOP[count] * np.exp(rng.normal(0.0, 0.8)), 0.01, 0.3)) * height
    scale = (float(np.clip(down, 0.48, 0.95)) * height - top) / -low[1]
    smallest, largest = (share * height / spine.depth_mm for share in DEPTH_OF_HEIGHT)
    scale = float(np.clip(scale, smallest, largest))
    room = np.array([width - 1, height - 1]) - 2 * MARGIN_PX - 1
    scale = float(min(scale, *(room / (high - low))))
    position = np.array([right * width, top - low[1] * scale])
    lowest, highest = MARGIN_PX - low * scale, np.array([width - 1, height - 1]) - MARGIN_PX - high * scale
    return scale, np.clip(position, lowest, np.maximum(lowest, highest))


def _ending(rng: np.random.Generator, corners: FloatArray, count: int) -> tuple[Ending, float]:
    """What hides the next body above the topmost labelled one, and at which y."""
    top = corners[count - 1, :, 1].min()
    next_body = corners[count, :, 1]
    if next_body.min() < 0.0:
        return Ending.EDGE, 0.0
    if rng.random() < 0.35:
        lowest = top - MARGIN_PX
        return Ending.SHUTTER, float(lowest - rng.uniform(0.0, 0.6) * max(lowest - next_body.min(), 0.0))
    return Ending.LUNG, float((top + next_body.max()) / 2)
