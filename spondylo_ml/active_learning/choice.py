"""Choose films one after the other: those that the model knows least, and none like another.

Before each choice, every film that is left is ranked by each of its doubts and by its distance from the nearest film
that is labelled or already chosen (k-centre greedy: Sener and Savarese, Active Learning for Convolutional Neural
Networks: A Core-Set Approach, ICLR 2018). The film with the highest mean of these ranks is chosen: ranks need no
weights between values of different units.

Shapes: N films, M labelled films, D doubts, C features.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.stats import rankdata

from spondylo_ml.landmarks import FloatArray

ALIKE_SD = 1e-3
"""Distance up to which two films count as the same; rounding alone gives about 1e-5."""


@dataclass(frozen=True)
class Choice:
    """A chosen film.

    Attributes:
        index: of the film.
        mean_rank: mean of its percentile ranks among the films that were left when it was chosen, 0 to 1.
        nearest_chosen_sd: distance from the nearest film chosen before; NaN for the first, or without features.
    """

    index: int
    mean_rank: float
    nearest_chosen_sd: float


def percentile_ranks(values: FloatArray) -> FloatArray:
    """(N,) share of the values that are lower, equal ones counted half: 0 to 1. NaN has no rank and stays NaN."""
    known = ~np.isnan(values)
    ranks = np.full(len(values), np.nan)
    ranks[known] = (rankdata(values[known]) - 0.5) / max(1, known.sum())
    return ranks


def mean_rank(ranks: Sequence[FloatArray]) -> FloatArray:
    """(N,) mean of the ranks that each film has; NaN for a film that has none."""
    table = np.stack(ranks)
    known = ~np.isnan(table)
    count = known.sum(axis=0)
    total = np.where(known, table, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def standardised(features: FloatArray, labelled: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(N, C) and (M, C) features in units such that the Euclidean distance is the root mean square over the features.

    The unit is the standard deviation of each feature over all N + M films; two films drawn at random are about 1.4
    apart. Features that are the same on all films are left out.
    """
    both = np.sort(np.concatenate([features, labelled]), axis=0)  # sums must not depend on the order of the films
    deviation = both.std(axis=0) if len(both) else np.zeros(features.shape[1])
    varied = deviation > 1e-6 * np.abs(both).max(axis=0, initial=0.0)
    scale = deviation[varied] * math.sqrt(max(1, varied.sum()))
    return features[:, varied] / scale, labelled[:, varied] / scale


def nearest(features: FloatArray, others: FloatArray) -> FloatArray:
    """(N,) distance of each film from the nearest of the others; NaN if there are no others, or no features."""
    distances = np.full(len(features), np.nan)
    if features.shape[1]:
        for other in others:
            distances = np.fmin(distances, cdist(features, other[None])[:, 0])
    return distances


def choose(
    names: Sequence[str], doubts: FloatArray, features: FloatArray, from_labelled: FloatArray, count: int
) -> Iterator[Choice]:
    """Choose up to `count` films, in order; what is chosen does not depend on the order in which films are given.

    A film like one that is labelled or chosen comes after all that are not. A film that has no rank is not chosen.

    Args:
        names: different ones; of films with equal ranks the first by name is chosen.
        doubts: (N, D) larger for films that the model knows less; NaN where unknown, which no rank is made of.
        features: (N, C) `standardised`; C may be 0.
        from_labelled: (N,) distance from the nearest labelled film; NaN if there is none.
    """
    left = sorted(range(len(names)), key=lambda index: names[index])
    from_chosen = np.full(len(names), np.nan)
    while left and count > 0:
        film, rank = _next_film(np.array(left), doubts, np.fmin(from_labelled, from_chosen))
        if math.isnan(rank):
            return
        yield Choice(film, rank, float(from_chosen[film]))
        left.remove(film)
        from_chosen = np.fmin(from_chosen, nearest(features, features[[film]]))
        count -= 1


def _next_film(left: NDArray[np.int64], doubts: FloatArray, distance_sd: FloatArray) -> tuple[int, float]:
    """The film of `left` to choose, the first of equals, and its mean rank; NaN if no film has a rank."""
    ranks = mean_rank([percentile_ranks(values[left]) for values in (*doubts.T, distance_sd)])
    ranked = ~np.isnan(ranks)
    new = ranked & ~(distance_sd[left] <= ALIKE_SD)
    candidates = new if new.any() else ranked
    best = int(np.argmax(np.where(candidates, ranks, -1.0)))
    return int(left[best]), float(ranks[best])
