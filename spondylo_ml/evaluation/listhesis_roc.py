"""ROC of listhesis: a model's slip against what readers call grade I or more, with each reader as a point.

The reference of the curve is the consensus of all readers. A reader is part of it, so that the reference of a reader's
point is the consensus of the others; the model's own point beside it has the same reference and the same levels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

from spondylo_ml.evaluation.agreement import area_under_curve
from spondylo_ml.evaluation.exact_limits import with_exact_limits
from spondylo_ml.evaluation.intervals import Estimate, PatientBootstrap
from spondylo_ml.landmarks import FloatArray

CURVE_COLUMNS = ("least_slip_percent", "sensitivity_percent", "specificity_percent")
"""A level counts as listhesis from this size of the slip on; the first row has an infinite one: no level does."""


@dataclass(frozen=True)
class Counts:
    """Levels of the consensus, by what they are and whether the model measured them.

    Attributes:
        n_with, n_without: levels of grade I or more, and of grade 0, whose slip the model measured.
        n_withheld_with, n_withheld_without: the same of those whose slip it withheld; they are in no curve.
        n_ungraded: levels at which the consensus has no grade.
    """

    n_with: int
    n_without: int
    n_withheld_with: int
    n_withheld_without: int
    n_ungraded: int

    @property
    def n_withheld(self) -> int:
        """Levels with a consensus grade and without a slip of the model."""
        return self.n_withheld_with + self.n_withheld_without


@dataclass(frozen=True)
class Point:
    """Sensitivity and specificity of grades, percent; `n_absent` counts levels that reader or model did not measure."""

    sensitivity: Estimate
    specificity: Estimate


@dataclass(frozen=True)
class ListhesisRoc:
    """A model's ROC among readers.

    Attributes:
        auc: area under the curve of the slip's size; NaN with `reason`.
        curve: with `CURVE_COLUMNS`; empty with `reason`.
        readers: each reader's point against the consensus of the others.
        model: the model's point at the limit of grade I, with the reference and levels of that reader's point.
        reason: why there is no curve; empty if there is one.
    """

    counts: Counts
    auc: Estimate
    curve: pd.DataFrame
    readers: Mapping[str, Point]
    model: Mapping[str, Point]
    reason: str


RATES = ("listhesis_sensitivity", "listhesis_specificity")
POINT_COLUMNS = ("instead_of_reader", "who", "measure", "percent", "low", "high", "n", "n_absent")


def listhesis_roc(
    levels: pd.DataFrame,
    patients: Sequence[str],
    of_others: Mapping[str, tuple[pd.DataFrame, pd.DataFrame, Sequence[str]]],
    bootstrap: PatientBootstrap,
) -> ListhesisRoc:
    """The ROC of a model among readers.

    Args:
        levels: the model against the consensus of all, with `slips.COLUMNS`.
        patients: of each row of `levels`.
        of_others: by reader, against the consensus of the others: the reader's levels, the model's levels, row by row
            the same, and the patient of each row.
    """
    grade, slip = (levels[name].to_numpy(dtype=np.float64) for name in ("true_grade", "pred_slip_percent"))
    graded, measured = ~np.isnan(grade), ~np.isnan(slip)
    used, withheld = graded & measured, graded & ~measured
    counts = Counts(
        int((used & (grade > 0)).sum()), int((used & (grade == 0)).sum()), int((withheld & (grade > 0)).sum()),
        int((withheld & (grade == 0)).sum()), int((~graded).sum()),
    )  # fmt: skip
    positive, size = (grade[used] > 0).astype(np.float64), np.abs(slip[used])
    of_used = [patient for patient, is_used in zip(patients, used, strict=True) if is_used]
    auc = bootstrap.statistic(lambda w: area_under_curve(positive, size, w), of_used, counts.n_withheld)
    if auc.low == auc.high:  # resampling a perfect order always gives a perfect one
        auc = auc.model_copy(update={"low": np.nan, "high": np.nan})
    reason = _why_no_curve(counts)
    readers, model = dict[str, Point](), dict[str, Point]()
    for reader, (of_reader, of_model, of_rows) in of_others.items():
        both = (of_reader["pred_grade"].notna() & of_model["pred_grade"].notna()).to_numpy()
        readers[reader] = _point(of_reader, both, of_rows, bootstrap)
        model[reader] = _point(of_model, both, of_rows, bootstrap)
    return ListhesisRoc(counts, auc, _curve(positive, size, bool(reason)), readers, model, reason)


def points_table(roc: ListhesisRoc) -> pd.DataFrame:
    """The points of all readers and of the model beside each, with `POINT_COLUMNS`."""
    rows = [
        (reader, who, measure, e.value, e.low, e.high, e.n, e.n_absent)
        for reader in roc.readers
        for who, point in (("reader", roc.readers[reader]), ("model", roc.model[reader]))
        for measure, e in (("sensitivity", point.sensitivity), ("specificity", point.specificity))
    ]
    return pd.DataFrame(rows, columns=list(POINT_COLUMNS))


def _why_no_curve(counts: Counts) -> str:
    kinds = (
        (counts.n_with, counts.n_withheld_with, "grade I or more"),
        (counts.n_without, counts.n_withheld_without, "grade 0"),
    )
    for n_measured, n_withheld, kind in kinds:
        if not n_measured and n_withheld:
            return f"the model withheld the slip of each of the {n_withheld} level(s) of {kind}"
        if not n_measured:
            return f"the consensus has no level of {kind}"
    return ""


def _curve(positive: FloatArray, size: FloatArray, without: bool) -> pd.DataFrame:
    if without:
        return pd.DataFrame(columns=list(CURVE_COLUMNS), dtype=np.float64)
    false_share, true_share, least = roc_curve(positive, size, drop_intermediate=False)
    return pd.DataFrame(dict(zip(CURVE_COLUMNS, (least, 100 * true_share, 100 * (1 - false_share)), strict=True)))


def _point(
    levels: pd.DataFrame, both: NDArray[np.bool_], patients: Sequence[str], bootstrap: PatientBootstrap
) -> Point:
    true, grade = (levels[name].to_numpy(dtype=np.float64) for name in ("true_grade", "pred_grade"))
    names = np.asarray(patients, dtype=object)
    estimates = []
    for kind, right in ((true > 0, grade > 0), (true == 0, grade == 0)):
        values = np.where(both[kind], 100.0 * right[kind], np.nan)
        estimates.append(bootstrap.mean(values, names[kind].tolist()))
    return Point(*with_exact_limits(dict(zip(RATES, estimates, strict=True))).values())
