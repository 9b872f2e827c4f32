"""How well readers agree: corners, slips, grades, and which vertebrae they see; by pair of readers and over all.

In a pair the first reader takes the place of the truth and the second that of the prediction, so that the numbers are
those of an evaluation; a bias is the second reader's slip minus the first's. Only corners, slips and grades that both
have are compared; what one of them lacks is counted in `n_absent` and listed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from spondylo_ml.clinical.measure import measure_film
from spondylo_ml.clinical.measurement import FilmMeasurement
from spondylo_ml.config import ClinicalConfig
from spondylo_ml.errors import DataError
from spondylo_ml.evaluation.agreement import LIMITS_SD, intraclass_correlation, quadratic_kappa
from spondylo_ml.evaluation.exact_limits import with_exact_limits
from spondylo_ml.evaluation.intervals import Estimates, PatientBootstrap
from spondylo_ml.evaluation.metrics import corner_estimates, score_estimates
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.evaluation.slips import slip_agreement
from spondylo_ml.landmarks import Facing, Film, FilmPrediction, FloatArray, SlotRange, level_name

CORNER_METRICS = (
    "mre_px512", "mre_px", "mre_mm", "median_px512", "p95_px512", "sdr_6px", "sdr_12px", "sdr_18px", "sdr_24px",
    "sdr_2mm", "sdr_2.5mm", "sdr_3mm", "sdr_4mm",
)  # fmt: skip
BODY_METRICS = ("instance_mre_px512", "presence_f1", "detection_f1")
SLIP_METRICS = (
    "slip_mae_percent", "slip_bias_percent", "slip_limit_low_percent", "slip_limit_high_percent", "slip_icc_2_1",
    "slip_mae_mm", "grade_accuracy", "grade_within_1", "grade_kappa",
)  # fmt: skip
REPRODUCIBILITY = "slip_reproducibility_percent"

LEVEL_COLUMNS = ("film_id", "level", "reader", "slip_percent", "slip_mm", "grade", "withheld")
DISAGREEMENT_COLUMNS = ("film_id", "first", "second", "kind", "first_level", "second_level")
OTHER_NAME, ONLY_FIRST, ONLY_SECOND = "named differently", "labelled by the first alone", "labelled by the second alone"
ALL = "all"


@dataclass(frozen=True)
class Agreement:
    """Agreement of readers.

    Attributes:
        numbers: estimates by pair of readers, such as `A-B`, and over `ALL` of them.
        levels: one row per level and reader, with `LEVEL_COLUMNS`; `withheld` says why there is no slip.
        disagreements: one row per body that two readers name differently, or one alone labelled.
        film_errors_px512: mean distance of the corners between two readers, by film and pair.
    """

    numbers: Mapping[str, Estimates]
    levels: pd.DataFrame
    disagreements: pd.DataFrame
    film_errors_px512: pd.DataFrame


def agreement_of(films: Mapping[str, Sequence[Film]], rules: ClinicalConfig, bootstrap: PatientBootstrap) -> Agreement:
    """Agreement of readers on the same films.

    Args:
        films: by reader, the same films in the same order.

    Raises:
        DataError: fewer than two readers, or their films differ.
    """
    if len(films) < 2:
        raise DataError(f"agreement needs two or more readers; given {len(films)}")
    pairs = {pair_name(a, b): as_pair(films[a], films[b]) for a, b in combinations(films, 2)}
    levels = pd.concat([level_table(reader, each, rules) for reader, each in films.items()], ignore_index=True)
    corners = {name: pair.corners[~pair.corners["missed"].to_numpy(dtype=bool)] for name, pair in pairs.items()}
    patient_of = next(iter(pairs.values())).patient_of
    numbers: dict[str, Estimates] = {}
    for (first, second), (name, pair) in zip(combinations(films, 2), pairs.items(), strict=True):
        numbers[name] = _corner_numbers(corners[name], patient_of, bootstrap, _n_of_one_alone(pair))
        scores = score_estimates(pair, bootstrap)
        numbers[name] |= {metric: scores[metric] for metric in BODY_METRICS}
        numbers[name] |= slip_numbers(levels, first, second, patient_of, bootstrap)
    together = pd.concat(list(corners.values()), ignore_index=True)
    n_alone = sum(_n_of_one_alone(pair) for pair in pairs.values())
    numbers[ALL] = _corner_numbers(together, patient_of, bootstrap, n_alone)
    numbers[ALL] |= _slips_of_all(levels, tuple(films), patient_of, bootstrap)
    errors = {name: table.groupby("film_id", sort=False)["error_px512"].mean() for name, table in corners.items()}
    by_film = pd.DataFrame(errors).rename_axis("film_id")
    listed = [
        row
        for (first, second), pair in zip(combinations(films, 2), pairs.values(), strict=True)
        for row in _disagreements(first, second, pair)
    ]
    numbers = {name: with_exact_limits(each) for name, each in numbers.items()}
    return Agreement(numbers, levels, pd.DataFrame(listed, columns=list(DISAGREEMENT_COLUMNS)), by_film)


def pair_name(first: str, second: str) -> str:
    """Name of a pair of readers in tables and metrics."""
    return f"{first}-{second}"


def as_pair(first: Sequence[Film], second: Sequence[Film]) -> PredictionSet:
    """The labels of the second reader as if they were predictions for the films of the first.

    Raises:
        DataError: the films are not the same, or one has no labels.
    """
    slots = [v.slot for film in (*first, *second) for v in film.vertebrae or ()]
    slot_range = SlotRange(0, max(slots, default=0) + 1)
    return PredictionSet(first, [as_prediction(film, slot_range) for film in second])


def as_prediction(film: Film, slots: SlotRange) -> FilmPrediction:
    """The labels of a film as a prediction that is sure of them; corners without a label are NaN.

    Raises:
        DataError: the film has no labels.
    """
    if film.vertebrae is None:
        raise DataError(f"film {film.film_id} has no labels")
    labelled = {v.slot for v in film.vertebrae}
    presence = [float(slot in labelled) for slot in range(slots.first, slots.first + slots.count)]
    return FilmPrediction(
        film.film_id, slots, slots.corners(film.vertebrae), np.ones((slots.count, 4)), np.array(presence)
    )


def level_table(reader: str, films: Sequence[Film], rules: ClinicalConfig) -> pd.DataFrame:
    """Slips and grades at the labels of one reader, one row per level, with `LEVEL_COLUMNS`; none on AP films."""
    lateral = [film for film in films if film.vertebrae and film.facing is not Facing.NONE]
    rows = [row for film in lateral for row in measured_rows(film.film_id, reader, measure_film(film, rules))]
    return pd.DataFrame(rows, columns=list(LEVEL_COLUMNS))


def measured_rows(film_id: str, reader: str, measurement: FilmMeasurement) -> list[tuple[object, ...]]:
    """The levels of one film, with `LEVEL_COLUMNS`."""
    return [
        (
            film_id,
            f"{level_name(level.upper_slot)}/{level_name(level.lower_slot)}",
            reader,
            level.slip.value,
            level.slip_mm.value,
            math.nan if level.grade is None else float(level.grade),
            level.slip.reason,
        )
        for level in measurement.levels
    ]


def slip_numbers(
    levels: pd.DataFrame, first: str, second: str, patient_of: Mapping[str, str], bootstrap: PatientBootstrap
) -> Estimates:
    """`slip_agreement` of two readers, without what holds only against a truth; `n_absent`: levels
    without a slip of both readers, and for the difference in mm those without a spacing, too.

    Empty if neither has a slip.
    """
    table = paired_slips(levels, first, second)
    if table.empty:
        return {}
    patients = [patient_of[film_id] for film_id in table["film_id"]]
    numbers = slip_agreement(table, patients, bootstrap)
    n_absent = int((table["true_slip_percent"].isna() | table["pred_slip_percent"].isna()).sum())
    absent = dict.fromkeys(SLIP_METRICS, n_absent) | {"slip_mae_mm": len(table) - numbers["slip_mae_mm"].n}
    return {name: numbers[name].model_copy(update={"n_absent": absent[name]}) for name in SLIP_METRICS}


def paired_slips(levels: pd.DataFrame, first: str, second: str) -> pd.DataFrame:
    """One row per level that one of the two readers has, with the columns of an evaluation; the first is `true`."""
    values = ["slip_percent", "slip_mm", "grade"]
    sides = [
        levels.loc[levels["reader"] == reader, ["film_id", "level", *values]].rename(
            columns={name: f"{side}_{name}" for name in values}
        )
        for side, reader in (("true", first), ("pred", second))
    ]
    return sides[0].merge(sides[1], on=["film_id", "level"], how="outer", sort=False)


def _corner_numbers(
    corners: pd.DataFrame, patient_of: Mapping[str, str], bootstrap: PatientBootstrap, n_alone: int
) -> Estimates:
    """Distances of the corners that both readers placed; `n_absent` also counts those that one alone placed."""
    numbers = corner_estimates(corners, [patient_of[film_id] for film_id in corners["film_id"]], bootstrap)
    return {
        name: numbers[name].model_copy(update={"n_absent": numbers[name].n_absent + n_alone}) for name in CORNER_METRICS
    }


def _n_of_one_alone(pair: PredictionSet) -> int:
    """Number of corners that one of the two readers placed and the other did not, by level name."""
    n_first, n_both = len(pair.corners), int((~pair.corners["missed"].to_numpy(dtype=bool)).sum())
    n_second = sum(int((~np.isnan(p.corners_xy[..., 0])).sum()) for p in pair.predictions)
    return n_first + n_second - 2 * n_both


def _slips_of_all(
    levels: pd.DataFrame, readers: Sequence[str], patient_of: Mapping[str, str], bootstrap: PatientBootstrap
) -> Estimates:
    """Agreement over all readers.

    Mean absolute difference and same grade over all pairs; the reproducibility coefficient, within which two readers
    differ in 95 % of cases (Bland and Altman, Measuring agreement in method comparison studies, 1999); over the levels
    that all readers measured, ICC(2,1) and the mean kappa of the pairs (Light, Psychological Bulletin 1971).
    """
    if levels.empty:
        return {}
    slip_table, grade_table = (
        levels.pivot(index=["film_id", "level"], columns="reader", values=name).reindex(columns=list(readers))
        for name in ("slip_percent", "grade")
    )
    slips, grades = (table.to_numpy(dtype=np.float64) for table in (slip_table, grade_table))
    patients = [patient_of[film_id] for film_id in slip_table.index.get_level_values("film_id")]
    pairs = list(combinations(range(len(readers)), 2))
    difference = np.concatenate([slips[:, b] - slips[:, a] for a, b in pairs])
    same_grade = np.concatenate([_equal_percent(grades[:, a], grades[:, b]) for a, b in pairs])
    every = patients * len(pairs)
    known = ~np.isnan(difference)
    squared, of_known = difference[known] ** 2, [patient for patient, k in zip(every, known, strict=True) if k]
    complete = ~np.isnan(slips).any(axis=1) & ~np.isnan(grades).any(axis=1)
    rated, graded = slips[complete], grades[complete]
    of_complete = [patient for patient, c in zip(patients, complete, strict=True) if c]
    n_absent = int((~complete).sum())
    return {
        "slip_mae_percent": bootstrap.mean(np.abs(difference), every),
        REPRODUCIBILITY: bootstrap.statistic(
            lambda w: LIMITS_SD * math.sqrt(float(w @ squared) / w.sum()) if w.sum() else math.nan,
            of_known,
            int((~known).sum()),
        ),
        "slip_icc_2_1": bootstrap.statistic(lambda w: intraclass_correlation(rated, w)[0], of_complete, n_absent),
        "grade_accuracy": bootstrap.mean(same_grade, every),
        "grade_kappa": bootstrap.statistic(lambda w: _mean_kappa(graded, pairs, w), of_complete, n_absent),
    }


def _equal_percent(first: FloatArray, second: FloatArray) -> FloatArray:
    return np.where(np.isnan(first) | np.isnan(second), np.nan, 100.0 * (first == second))


def _mean_kappa(grades: FloatArray, pairs: Sequence[tuple[int, int]], weights: FloatArray) -> float:
    """Mean over the pairs; NaN if one of them has none."""
    return float(np.mean([quadratic_kappa(grades[:, a], grades[:, b], weights) for a, b in pairs]))


def _disagreements(first: str, second: str, pair: PredictionSet) -> list[tuple[object, ...]]:
    """The bodies, matched by position, on which two readers disagree, with `DISAGREEMENT_COLUMNS`."""
    rows: list[tuple[object, ...]] = []
    for film, match in zip(pair.labelled_films, pair.matches, strict=True):
        named = [(v.level, level_name(slot)) for v, slot in match.pairs if v.slot != slot]
        rows += [(film.film_id, first, second, OTHER_NAME, *levels) for levels in named]
        rows += [(film.film_id, first, second, ONLY_FIRST, v.level, "") for v in match.missing]
        rows += [(film.film_id, first, second, ONLY_SECOND, "", level_name(slot)) for slot in match.false_slots]
    return rows


def disagreement_counts(disagreements: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Number of disagreements by pair of readers and kind."""
    counts: dict[str, dict[str, int]] = {}
    for (first, second, kind), rows in disagreements.groupby(["first", "second", "kind"], sort=False):
        counts.setdefault(pair_name(str(first), str(second)), {})[str(kind)] = len(rows)
    return counts
