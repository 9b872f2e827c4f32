"""What the tests of several readers need."""

from __future__ import annotations

import numpy as np

from spondylo_ml.landmarks import Film, FloatArray


def corners_of(film: Film) -> FloatArray:
    assert film.vertebrae is not None
    return np.stack([v.corners_xy for v in film.vertebrae])
