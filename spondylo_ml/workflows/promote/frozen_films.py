"""The films on which all models of a promotion are evaluated, and the results of a model on them."""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import yaml

from spondylo_ml.config import ClinicalConfig, DataConfig, validate
from spondylo_ml.config.promotion import PromoteConfig
from spondylo_ml.data.films import FilmSet, digest
from spondylo_ml.data.loading import load_films, requested_data
from spondylo_ml.data.synthetic import PHANTOM_KIND
from spondylo_ml.evaluation.evaluate_predictions import ReportHeader, evaluate_predictions
from spondylo_ml.evaluation.intervals import Estimate
from spondylo_ml.evaluation.paired import PairedValues, paired_values
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.evaluation.report import EvaluationReport
from spondylo_ml.evaluation.uncertainty import level_table
from spondylo_ml.film_bar import film_bar
from spondylo_ml.landmarks import Film
from spondylo_ml.promotion.guards import guarded_values
from spondylo_ml.serving.bundle import Bundle
from spondylo_ml.serving.predictor import Predictor
from spondylo_ml.serving.trained_run import TrainedRun
from spondylo_ml.tracking.registry import FILMS, SPLIT
from spondylo_ml.training.cost import time_ms
from spondylo_ml.workflows.shared.common_films import common_films
from spondylo_ml.workflows.shared.uncertainty import evaluate_uncertainty

REPEATS = 3
"""Timings per film; the fastest is kept, since other load only adds time."""


@dataclass(frozen=True)
class FrozenFilms:
    """One part of a dataset, with the configuration that loads it again.

    Attributes:
        labelled: the labelled films of the part, which are evaluated.
        digest: of pixels, labels and split of the whole part.
    """

    films: FilmSet
    split: str
    data: DataConfig
    labelled: tuple[Film, ...]
    digest: str

    @property
    def name(self) -> str:
        """Dataset and part, in words."""
        return f"{self.films.name} {self.split}, {'synthetic ' if self.films.kind == PHANTOM_KIND else ''}films"

    @property
    def patient_of(self) -> dict[str, str]:
        """Patient of each labelled film."""
        return {film.film_id: film.patient for film in self.labelled}


@dataclass(frozen=True)
class EvaluatedModel:
    """The results of one model on the frozen films.

    Attributes:
        values: from `paired_values`.
        guarded: from `guarded_values`.
        mean_shape, mean_shape_values: the mean-shape baseline's estimates, and the per-observation values behind them.
    """

    trained_run: TrainedRun
    predictions: PredictionSet
    report: EvaluationReport
    values: Mapping[str, PairedValues]
    guarded: Mapping[str, float]
    mean_shape: Mapping[str, Estimate]
    mean_shape_values: Mapping[str, PairedValues]


def load_frozen_films(config: PromoteConfig, tags: Mapping[str, str], candidates: Sequence[TrainedRun]) -> FrozenFilms:
    """Load the films of `config.data` if any of its values is set, else the champion's, else the candidates' films.

    Args:
        tags: of the registered model; they hold the configuration of the champion's films.

    Raises:
        DataError: no labelled film in the part; or there is no champion, and the candidates' films differ.
    """
    split = config.split or tags.get(SPLIT, "test")
    champions_data = validate(DataConfig, yaml.safe_load(tags[FILMS])) if FILMS in tags else None
    data = champions_data or candidates[0].bundle.config.data
    requested = bool(config.data.model_fields_set)
    if requested:
        data = requested_data(data, config.data)
    if requested or champions_data:
        films = load_films(data, for_training=False)
    else:
        films = common_films(candidates, split, config.data)
    part, labelled = films.part(split), films.required_part(split, labelled=True)
    if data.path is not None:
        data = data.model_copy(update={"path": data.path.expanduser().resolve()})
    return FrozenFilms(films, split, data, labelled, digest(part, films.slots))


def evaluate_models(
    trained_runs: Sequence[TrainedRun], frozen: FrozenFilms, rules: ClinicalConfig, config: PromoteConfig
) -> dict[str, EvaluatedModel]:
    """Evaluate each model on the same films; returns the results by run id.

    Args:
        rules: clinical rules for all models.
    """
    predictors = {c.run.info.run_id: Predictor(c.bundle) for c in trained_runs}
    latencies = latencies_ms(list(predictors.values()), frozen.labelled[: config.latency_films])
    evaluated = {}
    for trained_run, latency_ms in zip(trained_runs, latencies, strict=True):
        run_id = trained_run.run.info.run_id
        with film_bar(f"predicting films with {trained_run.name}", len(frozen.labelled)) as bar:
            predictions = PredictionSet(frozen.labelled, predictors[run_id].predict(frozen.labelled, bar.update))
        evaluated[run_id] = _evaluate_model(trained_run, predictions, frozen, rules, config, latency_ms)
    return evaluated


def latencies_ms(predictors: Sequence[Predictor], films: Sequence[Film]) -> list[float]:
    """Median time of each predictor for a single film, including reading it; the predictors take turns."""
    for predictor in predictors:
        predictor.predict(films[:1])
    times: list[list[float]] = [[] for _ in predictors]
    for film in films:
        tries = [[time_ms(partial(predictor.predict, [film])) for predictor in predictors] for _ in range(REPEATS)]
        for film_times, repeats in zip(times, zip(*tries, strict=True), strict=True):
            film_times.append(min(repeats))
    return [statistics.median(film_times) for film_times in times]


def weights_digest(bundle: Bundle) -> str:
    """SHA-256 of names, types, shapes and values of all weights."""
    checksum = hashlib.sha256()
    for name, value in sorted(bundle.model.state_dict().items()):
        array = value.detach().cpu().contiguous()
        checksum.update(f"{name} {array.dtype} {tuple(array.shape)}\n".encode())
        checksum.update(array.numpy().tobytes())
    return checksum.hexdigest()


def _evaluate_model(
    trained_run: TrainedRun,
    predictions: PredictionSet,
    frozen: FrozenFilms,
    rules: ClinicalConfig,
    config: PromoteConfig,
    latency_ms: float,
) -> EvaluatedModel:
    header = ReportHeader(frozen.films.name, frozen.split, frozen.digest, resamples=config.resamples, seed=config.seed)
    report = evaluate_predictions(predictions, rules, header)
    bootstrap = predictions.bootstrap(config.resamples, config.seed)
    model = trained_run.bundle.uncertainty
    if model is not None:
        levels = level_table(predictions, model, rules)
        uncertainty = evaluate_uncertainty(levels, predictions, model, bootstrap)
        report = uncertainty.added_to(report) if uncertainty else report
    stated_coverage = model.coverage if model is not None else None
    mean_shape_values = paired_values(trained_run.bundle.mean_shape.predict_films(frozen.labelled), rules)
    mean_shape = {
        name: bootstrap.mean(values.values, predictions.patients(values.film_ids))
        for name, values in mean_shape_values.items()
    }
    if "slip_error_percent" in mean_shape:
        mean_shape["slip_mae_percent"] = mean_shape["slip_error_percent"]
    return EvaluatedModel(
        trained_run=trained_run,
        predictions=predictions,
        report=report,
        values=paired_values(predictions, rules),
        guarded=guarded_values(report, predictions.slips(rules), latency_ms, stated_coverage),
        mean_shape=mean_shape,
        mean_shape_values=mean_shape_values,
    )
