"""Metrics of uncertain levels: coverage, width, share referred, and accuracy against referral."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from spondylo_ml.clinical.meyerding import Grade
from spondylo_ml.evaluation.exact_limits import with_exact_limits
from spondylo_ml.evaluation.intervals import Estimate, Estimates, PatientBootstrap
from spondylo_ml.evaluation.uncertainty import PROBABILITIES
from spondylo_ml.landmarks import FloatArray, rank_of_level

KEPT_PERCENT = (10, 20, 30, 40, 50, 60, 70, 80, 90, 100)
"""Shares of the levels, the most certain ones, whose grade accuracy is reported."""

ALL = "all"


def uncertainty_estimates(levels: pd.DataFrame, bootstrap: PatientBootstrap) -> Estimates:
    """Estimates over the levels with a measurable true slip; `n_absent` counts those without an interval.

    The metrics are those of the section "Uncertainty" of the catalogue.

    Args:
        levels: `uncertainty.level_table`.
    """
    levels = levels[levels["true_slip_percent"].notna()]
    patients = levels["patient"].tolist()
    right = _right(levels)
    referred = levels["refer"].to_numpy(dtype=bool)
    rates = {
        "slip_set_coverage": 100 * levels["in_set"].to_numpy(dtype=np.float64),
        "slip_interval_coverage": 100 * levels["in_interval"].to_numpy(dtype=np.float64),
        "grade_set_coverage": 100 * levels["in_grade_set"].to_numpy(dtype=np.float64),
        "slip_not_known_percent": 100.0 * levels["low_percent"].isna().to_numpy(dtype=np.float64),
        "referred_percent": 100.0 * referred,
    }
    estimates = {name: bootstrap.mean(values, patients) for name, values in rates.items()}
    widths = {"interval": levels["high_percent"] - levels["low_percent"], "set": levels["set_width_percent"]}
    for name, width in widths.items():
        estimates[f"slip_{name}_width_percent"] = bootstrap.quantile(width.to_numpy(dtype=np.float64), 0.5, patients)
    for name, rows in (("not_referred", ~referred), ("referred", referred)):
        estimates[f"grade_accuracy_{name}"] = bootstrap.mean(100 * right[rows], levels.loc[rows, "patient"].tolist())
    return with_exact_limits(estimates)


def by_group(levels: pd.DataFrame, bootstrap: PatientBootstrap) -> dict[str, dict[str, Estimates]]:
    """The estimates of each level (from the sacrum up) and each true grade, and the referral curves of each.

    `referral` has for each group `accuracy_of_surest_<share>`: the grade accuracy of that share of its levels, those
    with the highest probability of the predicted grade.
    """
    measurable = levels[levels["true_slip_percent"].notna()]
    groups = {"level": _groups(measurable, "level"), "grade": _groups(measurable, "true_grade")}
    tables = {
        f"uncertainty_by_{kind}": {
            name: uncertainty_estimates(rows, bootstrap) for name, rows in groups_of_kind.items()
        }
        for kind, groups_of_kind in groups.items()
    }
    curves = {ALL: measurable, **groups["level"], **groups["grade"]}
    return tables | {"referral": {name: referral(rows, bootstrap) for name, rows in curves.items()}}


def referral(levels: pd.DataFrame, bootstrap: PatientBootstrap) -> Estimates:
    """Grade accuracy of the most certain levels, by the share of `KEPT_PERCENT` that is not referred."""
    graded = levels[levels["pred_grade"].notna() & levels["true_grade"].notna()]
    graded = graded.iloc[np.argsort(-certainty(graded), kind="stable")]
    right, patients = _right(graded), graded["patient"].tolist()
    counts = {share: int(np.ceil(len(graded) * share / 100)) for share in KEPT_PERCENT}
    return {
        f"accuracy_of_surest_{share}": bootstrap.mean(100 * right[:count], patients[:count])
        for share, count in counts.items()
    }


def certainty(levels: pd.DataFrame) -> FloatArray:
    """(N,) probability of the predicted grade; 0 without one."""
    probability = levels[list(PROBABILITIES)].to_numpy(dtype=np.float64)
    grade = levels["pred_grade"].fillna(0).to_numpy(dtype=np.int64)
    return np.asarray(np.nan_to_num(probability[np.arange(len(levels)), grade]))


def curve_points(numbers: Mapping[str, Estimate]) -> list[tuple[int, Estimate]]:
    """Share kept and accuracy, from the estimates of `referral`."""
    return [(share, numbers[f"accuracy_of_surest_{share}"]) for share in KEPT_PERCENT]


def _groups(levels: pd.DataFrame, column: str) -> dict[str, pd.DataFrame]:
    """Rows by group: levels from the sacrum up, or rising grades; also those of which none is predicted."""
    if column == "level":
        names = {key: str(key) for key in sorted(levels[column].unique(), key=rank_of_level)}
    else:
        names = {key: f"grade {Grade(int(key)).label}" for key in sorted(levels[column].dropna().unique())}
    return {name: levels[levels[column] == key] for key, name in names.items()}


def _right(levels: pd.DataFrame) -> FloatArray:
    """(N,) 1 if the predicted grade is right, 0 if it is wrong, NaN without one."""
    graded = levels["pred_grade"].notna() & levels["true_grade"].notna()
    right = (levels["pred_grade"] == levels["true_grade"]).astype(np.float64).where(graded)
    return np.asarray(right, dtype=np.float64)
