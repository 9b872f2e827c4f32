"""The objective of a study: a training run, evaluated on the validation part."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch

from spondylo_ml.config import ClinicalConfig, Config
from spondylo_ml.data.prepare import PreparedFilm
from spondylo_ml.evaluation.headline import headline
from spondylo_ml.evaluation.mean_shape import MeanShape
from spondylo_ml.evaluation.out_of_fold import OutOfFold, pooled_headline
from spondylo_ml.evaluation.paired import paired_values
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.evaluation.seed_noise import VALUES_FILE, values_text
from spondylo_ml.landmarks import FilmPrediction
from spondylo_ml.models.base import LandmarkModel
from spondylo_ml.models.pretrained import load_pretrained
from spondylo_ml.models.zoo import build_model
from spondylo_ml.serving.bundle import Bundle
from spondylo_ml.serving.predictor import Predictor
from spondylo_ml.tracking.mlflow_log import MlflowRunLog
from spondylo_ml.tracking.run_metrics import BEST, METRICS_FILE, metrics_text
from spondylo_ml.training.cost import WARM_UP_CALLS, latency_ms
from spondylo_ml.training.device import choose_compute
from spondylo_ml.training.fit import FitResult, fit
from spondylo_ml.training.module import Score
from spondylo_ml.workflows.train.films import prepare_parts, resolve_from_films
from spondylo_ml.workflows.train.workflow import draw_panel, score_prepared
from tuning.attempt import Attempt, TrialResult
from tuning.films import DevelopmentFilms

LATENCY, SLIP = "latency_ms", "slip_error_percent"
WITHHELD_SLIP_ERROR_PERCENT = 100.0
"""Error counted for a level with a true slip and no predicted one: leaving out hard levels must not pay off."""

TIMED_PREDICTIONS = 15


class ReportingRunLog(MlflowRunLog):
    """Sends each epoch's metrics to MLflow, then to a listener, which may stop training by an exception."""

    def __init__(self, run_id: str, folder: Path, on_epoch: Callable[[Mapping[str, float], int], None]) -> None:
        super().__init__(run_id, folder)
        self._on_epoch = on_epoch

    def metrics(self, values: Mapping[str, float], epoch: int) -> None:
        """See `RunLog`; raises what the listener raises."""
        super().metrics(values, epoch)
        self._on_epoch(values, epoch)


@dataclass
class TrainingObjective:
    """Trains a model with a trial's configuration and evaluates it.

    Models are not kept: `train` trains the best configuration again.

    Attributes:
        films: without the test part.
        goals: names of the objectives.
        n_folds: number of folds; 1 for the training and validation parts as they are.
        keep_values: log each validation observation with its trial, for the noise floor.
    """

    films: DevelopmentFilms
    goals: Sequence[str]
    n_folds: int = 1
    fold_seed: int = 0
    keep_values: bool = False
    _prepared: dict[object, dict[str, list[PreparedFilm]]] = field(default_factory=dict)

    def __call__(self, attempt: Attempt) -> TrialResult:
        """See `Objective`."""
        if self.n_folds > 1:
            return self._over_folds(attempt)
        numbers, predictions = self._train(attempt.config, self.films, attempt.run_id, 0, attempt.report)
        files = {METRICS_FILE: metrics_text(numbers)}
        if predictions:
            files |= self._values(PredictionSet(self.films.val, predictions), attempt.config.clinical)
        return TrialResult([numbers[goal] for goal in self.goals], self._headline(numbers), files)

    def _over_folds(self, attempt: Attempt) -> TrialResult:
        """The mean over folds, reported after each; all films together are also evaluated out of fold."""
        metrics: list[Mapping[str, float]] = []
        pooled = OutOfFold(self.films.name, self.films.slots)
        for index, films in enumerate(self.films.folds(self.n_folds, self.fold_seed)):
            with attempt.fold(index) as run_id:
                numbers, predictions = self._train(attempt.config, films, run_id, index, _ignore_report)
            metrics.append(numbers)
            pooled.add(films.val, predictions)
            attempt.report(numbers[self.goals[0]], index)
        means = {name: float(np.mean([numbers[name] for numbers in metrics])) for name in metrics[0]}
        out_of_fold, files = pooled.evaluate(attempt.config.clinical)
        files[METRICS_FILE] = metrics_text(means)
        files |= self._values(pooled.prediction_set(), attempt.config.clinical)
        logged = self._headline(means) | pooled_headline(out_of_fold)
        return TrialResult([means[goal] for goal in self.goals], logged, files)

    def _headline(self, numbers: Mapping[str, float]) -> dict[str, float]:
        """The metrics of a trial's run, named as those of a training run."""
        return headline(numbers, BEST, (*self.goals, "best_epoch", "epochs"))

    def _values(self, predictions: PredictionSet, rules: ClinicalConfig) -> dict[str, str]:
        return {VALUES_FILE: values_text(paired_values(predictions, rules))} if self.keep_values else {}

    def _train(
        self,
        config: Config,
        films: DevelopmentFilms,
        run_id: str,
        fold: int,
        report: Callable[[float, int], None],
    ) -> tuple[dict[str, float], list[FilmPrediction]]:
        """Metrics of the epoch that `train` would keep, and, where needed, its predictions for `films.val`."""
        config = resolve_from_films(config, films.as_film_set())
        prepared = self._films_of(config, films, fold)
        goal = self.goals[0]

        def on_epoch(values: Mapping[str, float], epoch: int) -> None:
            if goal != LATENCY:
                report(values[f"val/{goal}"], epoch)

        with tempfile.TemporaryDirectory(prefix="spondylo-trial-") as folder:
            run_log = ReportingRunLog(run_id, Path(folder), on_epoch)
            try:
                model = build_model(config, films.slots)
                load_pretrained(model, config.model)
                result = self._fit(model, config, prepared, run_log, Path(folder))
            finally:
                run_log.close()
        numbers = {name.removeprefix("val/"): float(v) for name, v in result.best.items() if name.startswith("val/")}
        if LATENCY in self.goals:
            numbers[LATENCY] = _one_film_latency_ms(model, prepared["val"][0])
        numbers |= {"best_epoch": float(result.best_epoch), "epochs": float(len(result.history))}
        if self.n_folds == 1 and not self.keep_values:
            return numbers, []
        bundle = Bundle(model, config, MeanShape.fit(films.train, films.slots))
        return numbers, Predictor(bundle, choose_compute(config.training)).predict_prepared(prepared["val"])

    def _fit(
        self,
        model: LandmarkModel,
        config: Config,
        prepared: Mapping[str, Sequence[PreparedFilm]],
        run_log: ReportingRunLog,
        folder: Path,
    ) -> FitResult:
        quiet = config.model_copy(update={"tracking": config.tracking.model_copy(update={"panel_films": 0})})
        score = with_slip_error(config.clinical) if SLIP in self.goals else score_prepared
        return fit(model, quiet, choose_compute(config.training), prepared, score, run_log, draw_panel, folder)

    def _films_of(self, config: Config, films: DevelopmentFilms, fold: int) -> dict[str, list[PreparedFilm]]:
        """The films prepared at the configuration's input size, cached."""
        key = (config.data.input_hw, fold)
        if key not in self._prepared:
            # A study may search input sizes: films of all sizes do not fit into memory.
            if len(self._prepared) >= max(2, self.n_folds):
                self._prepared.pop(next(iter(self._prepared)))
            self._prepared[key] = prepare_parts(config, films.train, films.val, films.slots)
        return self._prepared[key]


def with_slip_error(rules: ClinicalConfig) -> Score:
    """The usual score with the mean absolute error of the slip, percent of the endplate.

    The mean is over levels with a true slip; where no slip is predicted, the error is `WITHHELD_SLIP_ERROR_PERCENT`.
    """

    def score(films: Sequence[PreparedFilm], predictions: Sequence[FilmPrediction]) -> dict[str, float]:
        table = PredictionSet([film.film for film in films], predictions).slips(rules)
        true = table[table["true_slip_percent"].notna()]
        error = (true["pred_slip_percent"] - true["true_slip_percent"]).abs().fillna(WITHHELD_SLIP_ERROR_PERCENT)
        value = float(error.mean()) if len(error) else float("nan")
        return {**score_prepared(films, predictions), SLIP: value}

    return score


def _one_film_latency_ms(model: LandmarkModel, film: PreparedFilm) -> float:
    """Median time of predicting one film, ms, on the device where the model is."""
    device = next(model.parameters()).device
    image = torch.from_numpy(np.ascontiguousarray(film.image))[None, None].to(device)
    model.eval()
    return latency_ms([partial(model.predict, image)] * (WARM_UP_CALLS + TIMED_PREDICTIONS))


def _ignore_report(value: float, epoch: int) -> None:
    """Epochs of a fold are not reported: folds are compared, not epochs."""
