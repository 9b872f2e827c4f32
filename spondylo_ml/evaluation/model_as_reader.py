"""A model beside the readers: is it as close to the other readers as a reader is?

A reader is part of the consensus of all, which a model is not, so that the two cannot be compared against it. Here each
reader in turn is left out: the reader and the model are both measured against the consensus of the others, on the same
corners and levels, and their errors are compared pair by pair.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from spondylo_ml.config import ClinicalConfig
from spondylo_ml.evaluation.consensus import CONSENSUS, consensus_of
from spondylo_ml.evaluation.corner_table import SDR_THRESHOLDS_PX512
from spondylo_ml.evaluation.exact_limits import with_exact_limits
from spondylo_ml.evaluation.intervals import Estimates, PatientBootstrap
from spondylo_ml.evaluation.listhesis_roc import ListhesisRoc, listhesis_roc
from spondylo_ml.evaluation.matching import PRESENCE_THRESHOLD
from spondylo_ml.evaluation.metrics import corner_values, score_estimates
from spondylo_ml.evaluation.paired import PairedDifference, PairedValues, paired_differences
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.evaluation.reader_agreement import ALL, as_pair, pair_name
from spondylo_ml.evaluation.slips import slip_agreement
from spondylo_ml.landmarks import Film, FilmPrediction

MODEL = "model"
OTHERS = "others"
"""The consensus of the other readers."""

CORNERS_COMPARED = ("mre_px512", "mre_mm", *(f"sdr_{limit}px" for limit in SDR_THRESHOLDS_PX512))
BODIES_COMPARED = ("presence_precision", "presence_recall", "presence_f1", "detection_f1")
"""Of the model against the consensus of all: what it adds and leaves out, which the paired errors do not count."""

Values = dict[str, PairedValues]


@dataclass(frozen=True)
class ModelAsReader:
    """A model and the readers on the same films.

    Attributes:
        errors: estimates by who was measured against what: `model-A`, `model-consensus`, `A-others`, and `model-others
            of A` for the model on the same corners.
        differences: error of the model minus that of the reader, both against the consensus of the other readers, by
            reader and over `ALL` of them.
        roc: listhesis by the readers' consensus against the model's slip; None without a level on a lateral film.
    """

    errors: Mapping[str, Estimates]
    differences: Mapping[str, tuple[PairedDifference, ...]]
    roc: ListhesisRoc | None


def compare_with_readers(
    films: Mapping[str, Sequence[Film]],
    predictions: Sequence[FilmPrediction],
    rules: ClinicalConfig,
    bootstrap: PatientBootstrap,
) -> ModelAsReader:
    """Compare a model's predictions with the labels of two or more readers of the same films.

    Args:
        films: by reader, the same films in the same order.
    """
    readers = tuple(films)
    predictions = [_without_absent(prediction) for prediction in predictions]
    errors: dict[str, Estimates] = {}
    differences: dict[str, tuple[PairedDifference, ...]] = {}
    pooled: list[tuple[Values, Values]] = []
    of_others: dict[str, tuple[pd.DataFrame, pd.DataFrame, Sequence[str]]] = {}
    patient_of = {film.film_id: film.patient for film in films[readers[0]]}
    for reader in readers:
        errors[pair_name(MODEL, reader)] = _estimates(
            agreement_values(PredictionSet(films[reader], predictions), rules), patient_of, bootstrap
        )
        others = consensus_of(list(zip(*(films[other] for other in readers if other != reader), strict=True))).films
        model_set, reader_set = PredictionSet(others, predictions), as_pair(others, films[reader])
        levels = model_set.slips(rules)
        of_others[reader] = reader_set.slips(rules), levels, model_set.patients(levels["film_id"])
        of_model, of_reader = _where_both(agreement_values(model_set, rules), agreement_values(reader_set, rules))
        errors[pair_name(reader, OTHERS)] = _estimates(of_reader, patient_of, bootstrap)
        errors[pair_name(MODEL, f"{OTHERS} of {reader}")] = _estimates(of_model, patient_of, bootstrap)
        differences[reader] = paired_differences(of_model, of_reader, patient_of, bootstrap)
        pooled.append((of_model, of_reader))
    of_all = [_pooled([values[side] for values in pooled]) for side in (0, 1)]
    differences[ALL] = paired_differences(of_all[0], of_all[1], patient_of, bootstrap)
    consensus = consensus_of(list(zip(*films.values(), strict=True))).films
    against = PredictionSet(consensus, predictions)
    scores = score_estimates(against, bootstrap)
    errors[pair_name(MODEL, CONSENSUS)] = (
        _estimates(agreement_values(against, rules), patient_of, bootstrap)
        | {name: scores[name] for name in BODIES_COMPARED}
        | _slips_against(against, rules, bootstrap)
    )
    levels = against.slips(rules)
    roc = listhesis_roc(levels, against.patients(levels["film_id"]), of_others, bootstrap) if len(levels) else None
    return ModelAsReader({name: with_exact_limits(each) for name, each in errors.items()}, differences, roc)


def agreement_values(measured: PredictionSet, rules: ClinicalConfig) -> Values:
    """The values compared between model and reader, by metric; NaN where the measured one has no corner or slip.

    Model and reader are compared where both have a value: a reader who left out a body has no error there, and what a
    model lacks is not charged to it either. `n_absent` of the estimates counts it.
    """
    corners, matched = measured.corners, measured.matched_corners
    missed = corners["missed"].to_numpy(dtype=bool)
    film_ids = tuple(corners["film_id"])
    by_name = corner_values(corners)
    values = {name: PairedValues(np.where(missed, np.nan, by_name[name]), film_ids) for name in CORNERS_COMPARED}
    by_position = matched["error_px512"].to_numpy(dtype=np.float64)
    values["instance_mre_px512"] = PairedValues(by_position, film_ids)
    levels = measured.slips(rules)
    levels = levels[levels["true_slip_percent"].notna()]
    error = (levels["pred_slip_percent"] - levels["true_slip_percent"]).abs().to_numpy(dtype=np.float64)
    same = np.where(np.isnan(error), np.nan, 100.0 * (levels["pred_grade"] == levels["true_grade"]))
    of_levels = tuple(levels["film_id"])
    values["slip_error_percent"] = PairedValues(error, of_levels)
    values["grade_accuracy"] = PairedValues(np.asarray(same, dtype=np.float64), of_levels)
    return values


def _without_absent(prediction: FilmPrediction) -> FilmPrediction:
    """The prediction without corners of vertebrae that are predicted to be absent: most networks place all corners."""
    absent = prediction.presence < PRESENCE_THRESHOLD
    return replace(prediction, corners_xy=np.where(absent[:, None, None], np.nan, prediction.corners_xy))


def _where_both(first: Values, second: Values) -> tuple[Values, Values]:
    """The values of both where both have one, else NaN."""
    out: tuple[Values, Values] = ({}, {})
    for name, one in first.items():
        other = second[name]
        absent = np.isnan(one.values) | np.isnan(other.values)
        for side, values in zip(out, (one, other), strict=True):
            side[name] = PairedValues(np.where(absent, np.nan, values.values), values.film_ids)
    return out


def _pooled(every: Sequence[Values]) -> Values:
    return {
        name: PairedValues(
            np.concatenate([values[name].values for values in every]),
            tuple(film_id for values in every for film_id in values[name].film_ids),
        )
        for name in every[0]
    }


def _estimates(values: Values, patient_of: Mapping[str, str], bootstrap: PatientBootstrap) -> Estimates:
    return {
        name: bootstrap.mean(each.values, [patient_of[film_id] for film_id in each.film_ids])
        for name, each in values.items()
    }


def _slips_against(against: PredictionSet, rules: ClinicalConfig, bootstrap: PatientBootstrap) -> Estimates:
    """Agreement of the model's slips and grades with those of the labels, as an evaluation reports it."""
    table = against.slips(rules)
    return slip_agreement(table, against.patients(table["film_id"]), bootstrap) if len(table) else {}
