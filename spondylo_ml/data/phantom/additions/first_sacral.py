"""Shape of S1: a wedge whose front wall runs far back and whose back wall continues the sacral canal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spondylo_ml.data.phantom.styles import Anatomy
from spondylo_ml.landmarks import FloatArray

SHORTEST_LOWER_EDGE = 0.38
"""Length of S1's inferior edge, as a share of its superior endplate's."""

_LEAST_SLOPE_DEG = 2.0
_LARGEST_LEAN_DEG = 78.0
"""Range of the superior endplate's slope: S1's axis leans backward from the vertical, but never lies flat."""

_UNUSUAL_SHARE = 0.2
"""Share of the sacra drawn evenly from a range wider than that of real films."""


@dataclass(frozen=True)
class FirstSacral:
    """S1 seen from the side, in lengths of its superior endplate.

    Medians and spreads reproduce the lowest boxes of 698 real films; `projects/phantom` compares them.

    Attributes:
        front_shift: how far the anterior wall runs backward from its superior to its inferior end.
        back_shift: the same for the posterior wall.
        front_height: distance of the anterior inferior corner from the line of the superior endplate.
        back_height: the same for the posterior inferior corner.
        plate: superior endplate's length in units of the first generator's.
        steeper_deg: added to the slope of the superior endplate.
    """

    front_shift: float
    back_shift: float
    front_height: float
    back_height: float
    plate: float
    steeper_deg: float

    def corners(self, plate_length: float) -> FloatArray:
        """(4, 2) corners around their mean, in the order of `CORNERS`, with a horizontal superior endplate."""
        front = [self.front_shift - 0.5, self.front_height]
        back = [self.back_shift + 0.5, self.back_height]
        corners = np.array([[-0.5, 0.0], [0.5, 0.0], front, back]) * self.plate * plate_length
        return np.asarray(corners - corners.mean(axis=0))

    def slope_deg(self, usual_deg: float) -> float:
        """Slope of the superior endplate, given that of the first generator."""
        lean = np.degrees(np.arctan2(self.front_shift + self.back_shift, self.front_height + self.back_height))
        return float(np.clip(usual_deg + self.steeper_deg, _LEAST_SLOPE_DEG, _LARGEST_LEAN_DEG - lean))


def random_first_sacral(rng: np.random.Generator, anatomy: Anatomy) -> FirstSacral:
    """Draw the shape of S1; that of a transitional spine is nearly a lumbar one."""
    plate, steeper = float(np.exp(rng.normal(0.03, 0.07))), float(np.clip(rng.normal(0.0, 6.0), -15.0, 15.0))
    if anatomy is Anatomy.TRANSITIONAL:
        front, back = rng.uniform(0.0, 0.35), rng.uniform(-0.08, 0.15)
        height, ratio = rng.uniform(0.65, 1.0), rng.uniform(0.92, 1.25)
    elif rng.random() < _UNUSUAL_SHARE:
        front, back = rng.uniform(0.1, 0.8), rng.uniform(-0.15, 0.4)
        height, ratio = rng.uniform(0.55, 1.25), rng.uniform(0.95, 1.65)
    else:
        front, back = rng.normal(0.39, 0.11), rng.normal(0.11, 0.14)
        height, ratio = rng.normal(0.835, 0.11), rng.normal(1.15, 0.14)
    height, ratio = float(np.clip(height, 0.5, 1.3)), float(np.clip(ratio, 0.92, 1.7))
    back = float(np.clip(back, -0.2, 0.5))
    front = float(np.clip(front, -0.05, back + 1 - SHORTEST_LOWER_EDGE))
    return FirstSacral(front, back, height, height / ratio, plate, steeper)
