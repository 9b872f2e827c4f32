"""How much a network sees on a film: the number of its vertebrae, each weighted by how definite it is.

The measure exists for every network, needs no labels and does not depend on the size of the film, so that it compares
two readings of one film, and separates films of the lumbar spine from others.
"""

from __future__ import annotations

import numpy as np

from spondylo_ml.evaluation.matching import PRESENCE_THRESHOLD
from spondylo_ml.landmarks import FilmPrediction


def definite_vertebrae(prediction: FilmPrediction) -> float:
    """Sum, over the vertebrae predicted to be on the film, of presence times the mean of their corners' heat shares.

    A network without heat shares has the scores of its corners in their place; a corner without a value counts as 0.
    """
    shares = prediction.corner_score if prediction.heat_share is None else prediction.heat_share
    weight = np.where(prediction.presence >= PRESENCE_THRESHOLD, prediction.presence, 0.0)
    return float(weight @ np.nan_to_num(shares).mean(axis=1))
