"""Check that training and validation films are prepared alike.

A fault of preparation (normalised in one part only, inverted, another bit depth) shifts all films of a part by much.
Other patients, devices or clinics shift single films, and by less; the limits allow for that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from spondylo_ml.data.prepare import PreparedFilm
from spondylo_ml.data.sampling import evenly_spaced
from spondylo_ml.diagnosis.results import CheckResult, check_result, not_applicable
from spondylo_ml.landmarks import FloatArray

NAME = "inputs"
FILMS = 16
SPREAD_RATIO = 4.0
"""Ratio between the medians of both parts; dividing by 255, or by a standard deviation, gives 50 or more."""
FEW_FILMS, SPREAD_RATIO_OF_FEW = 3, 16.0
"""One or two films may differ by SPREAD_RATIO on their own, but by this much only through their preparation."""
MEAN_APART = 64.0
"""Grey levels between the medians, a quarter of the range, if the parts do not overlap."""

ADVICE = (
    "Both parts must come through the same preparation (data/prepare.py), without a second normalisation. If the "
    "films themselves differ this much, choose another split (data.split_seed) or train without this check "
    "(training.preflight=false)."
)


class GreyLevels(NamedTuple):
    """(N,) mean and standard deviation of each film."""

    mean: FloatArray
    spread: FloatArray


def check_inputs(train: Sequence[PreparedFilm], val: Sequence[PreparedFilm]) -> CheckResult:
    """Compare size, type and grey levels of a few films of both parts, as the network gets them (not augmented)."""
    kinds = [sorted({f"{f.image.shape} {f.image.dtype}" for f in part}) for part in (train, val)]
    if kinds[0] != kinds[1] or len(kinds[0]) > 1:
        text = f"training films are {', '.join(kinds[0])}, validation films {', '.join(kinds[1])}"
        return check_result(NAME, False, text, float("nan"), SPREAD_RATIO, "times", ADVICE)
    ours, theirs = grey_levels(train), grey_levels(val)
    spreads = [float(np.median(part.spread)) for part in (ours, theirs)]
    means = [float(np.median(part.mean)) for part in (ours, theirs)]
    ratio, apart = max(spreads) / max(min(spreads), 1e-9), abs(means[0] - means[1])
    disjoint = bool(ours.mean.max() < theirs.mean.min() or theirs.mean.max() < ours.mean.min())
    text = (
        f"median grey level {means[0]:.0f} in train and {means[1]:.0f} in val, spread {spreads[0]:.0f} and "
        f"{spreads[1]:.0f}, on {len(ours.mean)} and {len(theirs.mean)} films"
    )
    sound = ratio <= SPREAD_RATIO and not (apart > MEAN_APART and disjoint)
    fewest = min(len(train), len(val))
    if not sound and fewest < FEW_FILMS and ratio <= SPREAD_RATIO_OF_FEW:
        return not_applicable(NAME, f"{fewest} film(s) in a part are too few to separate preparation from look: {text}")
    return check_result(NAME, sound, text, ratio, SPREAD_RATIO, "times", ADVICE)


def grey_levels(films: Sequence[PreparedFilm]) -> GreyLevels:
    """Grey levels of up to `FILMS` films, evenly spaced."""
    images = [film.image.astype(np.float64) for film in evenly_spaced(films, FILMS)]
    return GreyLevels(np.array([image.mean() for image in images]), np.array([image.std() for image in images]))
