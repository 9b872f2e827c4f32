"""The noise floor: the difference in a metric that another seed alone makes, in its unit, on the same films.

Training runs that differ only in their seed are compared in pairs, as a promotion compares two models: by the mean
difference over the observations with both values. The floor is the repeatability coefficient of these differences
(Bland and Altman 1986, ISO 5725): 95 % of such pairs differ by less. Studies and benchmarks log it under the same name,
which `promote` reads.
"""

from __future__ import annotations

import itertools
import json
import math
import sys
from collections.abc import Mapping, Sequence

import numpy as np

from spondylo_ml.config.promotion import FEWEST_SEEDS
from spondylo_ml.errors import ConfigError, DataError
from spondylo_ml.evaluation.paired import PairedValues
from spondylo_ml.nan import finite_or_none

NOISE_FLOOR = "noise_floor/"
"""Prefix of a metric's noise floor, as a metric of the run that measured it."""

NOISE_FLOOR_OF = "noise_floor_of"
"""Tag of that run: the training runs and films behind the floors, in words."""

VALUES_FILE = "paired_values.json"
NORMAL_95 = 1.96


def noise_floors(groups: Sequence[Sequence[Mapping[str, PairedValues]]]) -> dict[str, float]:
    """The floor of each metric that two training runs have, under its name with the prefix `NOISE_FLOOR`.

    A metric that all seeds have alike has none: what another seed changes was not seen.

    Args:
        groups: training runs that differ only in their seed, by group; the variances of the groups are pooled.

    Raises:
        DataError: training runs of a group were not evaluated on the same films.
    """
    metrics = dict.fromkeys(name for group in groups for values in group for name in values)
    floors = {}
    for metric in metrics:
        squares, freedom = 0.0, 0
        for group in groups:
            of_group = [values[metric] for values in group if metric in values and _has_values(values[metric])]
            if len(of_group) >= FEWEST_SEEDS:
                pairs = itertools.combinations(of_group, 2)
                # The squared differences of all pairs sum to n times the squared deviations from the mean.
                squares += sum(_difference(metric, a, b) ** 2 for a, b in pairs) / len(of_group)
                freedom += len(of_group) - 1
        if freedom and math.isfinite(squares) and squares > 0:
            floors[NOISE_FLOOR + metric] = NORMAL_95 * math.sqrt(2 * squares / freedom)
    return floors


def checked_floor(value: float, where: str) -> float:
    """Return the floor.

    Raises:
        ConfigError: it is not a finite number of at least 0.
    """
    if not 0 <= value < sys.float_info.max:  # MLflow keeps infinity as the largest number
        raise ConfigError(
            f"{where}: {value:g} is not a noise floor; it must be a finite number of at least 0. Measure it over "
            f"{FEWEST_SEEDS} seeds or more: tune with retrain_seeds, or benchmark"
        )
    return value


def values_text(values: Mapping[str, PairedValues]) -> str:
    """PairedValues as JSON, for a run; NaN is null."""
    films: dict[tuple[str, ...], int] = {}
    metrics = {
        name: {
            "films": films.setdefault(its.film_ids, len(films)),
            "values": [finite_or_none(float(f"{value:.9g}")) for value in its.values],
        }
        for name, its in values.items()
    }
    return json.dumps({"films": list(films), "metrics": metrics})


def values_from_text(text: str) -> dict[str, PairedValues]:
    """The inverse of `values_text`."""
    tree = json.loads(text)
    return {
        name: PairedValues(np.array(its["values"], dtype=np.float64), tuple(tree["films"][its["films"]]))
        for name, its in tree["metrics"].items()
    }


def _has_values(values: PairedValues) -> bool:
    return bool(np.isfinite(values.values).any())


def _difference(metric: str, one: PairedValues, other: PairedValues) -> float:
    """Mean difference over the observations with both values; NaN if there is none."""
    if one.film_ids != other.film_ids:
        raise DataError(f"{metric}: training runs of one group were not evaluated on the same films")
    each = one.values - other.values
    finite_mask = ~np.isnan(each)
    return float(each[finite_mask].mean()) if finite_mask.any() else math.nan
