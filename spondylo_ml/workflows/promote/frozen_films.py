"""The films on which champions are evaluated, and what a model reaches on them."""

from __future__ import annotations

import hashlib
import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from tqdm import tqdm

from spondylo_ml.config import ClinicalConfig, DataConfig, validate
from spondylo_ml.config.promotion import PromoteConfig
from spondylo_ml.data.films import FilmSet, digest
from spondylo_ml.data.loading import load_films, requested_data
from spondylo_ml.data.synthetic import PHANTOM_KIND
from spondylo_ml.errors import DataError
from spondylo_ml.evaluation.intervals import Estimate, PatientBootstrap
from spondylo_ml.evaluation.judge import Provenance, judge
from spondylo_ml.evaluation.paired import Values, paired_values
from spondylo_ml.evaluation.report import EvaluationReport
from spondylo_ml.evaluation.uncertainty import level_table
from spondylo_ml.landmarks import Film, FilmPrediction
from spondylo_ml.promotion.guards import guarded_values
from spondylo_ml.serving.bundle import Bundle
from spondylo_ml.serving.predictor import Predictor
from spondylo_ml.serving.trained_run import TrainedRun
from spondylo_ml.tracking.registry import FILMS, SPLIT
from spondylo_ml.training.cost import time_ms
from spondylo_ml.workflows.shared.common_films import common_films
from spondylo_ml.workflows.shared.uncertainty import judge_uncertainty

REPEATS = 3
"""A film is timed so often; the fastest counts, since a busy machine only ever slows."""


@dataclass(frozen=True)
class FrozenFilms:
    """A part of a dataset, and how it is found again.

    Attributes:
        labelled: those of the part that are evaluated.
        digest: over pixels, labels and split of the whole part.
    """

    films: FilmSet
    split: str
    data: DataConfig
    labelled: tuple[Film, ...]
    digest: str

    @property
    def name(self) -> str:
        """What they are, in words."""
        return f"{self.films.name} {self.split}, {'synthetic ' if self.films.kind == PHANTOM_KIND else ''}films"

    @property
    def patient_of(self) -> dict[str, str]:
        """Patient of each labelled film."""
        return {film.film_id: film.patient for film in self.labelled}


@dataclass(frozen=True)
class JudgedModel:
    """What one model reached on the frozen films.

    Attributes:
        values: of `paired_values`.
        guarded: of `guarded_values`.
        mean_shape: numbers of its own trivial predictor, and the values from which they are.
    """

    trained_run: TrainedRun
    predictions: Sequence[FilmPrediction]
    report: EvaluationReport
    values: Mapping[str, Values]
    guarded: Mapping[str, float]
    mean_shape: Mapping[str, Estimate]
    mean_shape_values: Mapping[str, Values]


def load_frozen_films(config: PromoteConfig, tags: Mapping[str, str], candidates: Sequence[TrainedRun]) -> FrozenFilms:
    """Load the films that are set in `config.data`, or else the champion's, or else those of all the candidates.

    Args:
        tags: of the registered model, which say how the champion's films are found.

    Raises:
        DataError: no labelled film in the part; or there is no champion, and the candidates' films differ.
    """
    split = config.split or tags.get(SPLIT, "test")
    kept = validate(DataConfig, json.loads(tags[FILMS])) if FILMS in tags else None
    data = kept or candidates[0].bundle.config.data
    requested = bool(config.data.model_fields_set)
    if requested:
        data = requested_data(data, config.data)
    if requested or kept:
        films = load_films(data, for_training=False)
    else:
        films = common_films(candidates, split, config.data)
    part = films.part(split)
    labelled = tuple(film for film in part if film.labelled)
    if not labelled:
        raise DataError(f"{films.name} has no labelled film in its {split} part: choose another --split")
    if data.path is not None:
        data = data.model_copy(update={"path": data.path.expanduser().resolve()})
    return FrozenFilms(films, split, data, labelled, digest(part, films.slots))


def judge_models(
    trained_runs: Sequence[TrainedRun], frozen: FrozenFilms, rules: ClinicalConfig, config: PromoteConfig
) -> dict[str, JudgedModel]:
    """Each model on the same films, by run id.

    Args:
        rules: clinical rules by which all are judged.
    """
    predictors = {c.run.info.run_id: Predictor(c.bundle) for c in trained_runs}
    timed = latencies_ms(list(predictors.values()), frozen.labelled[: config.latency_films])
    made = {}
    for trained_run, latency_ms in zip(trained_runs, timed, strict=True):
        run_id = trained_run.run.info.run_id
        with tqdm(total=len(frozen.labelled), desc=trained_run.name, unit="film", disable=None) as bar:
            predictions = predictors[run_id].predict(frozen.labelled, bar.update)
        made[run_id] = _judged(trained_run, predictions, frozen, rules, config, latency_ms)
    return made


def latencies_ms(predictors: Sequence[Predictor], films: Sequence[Film]) -> list[float]:
    """Median time of each predictor for one film by itself, reading included; in turn, film by film."""
    for predictor in predictors:
        predictor.predict(films[:1])
    times: list[list[float]] = [[] for _ in predictors]
    for film in films:
        tries = [[time_ms(partial(predictor.predict, [film])) for predictor in predictors] for _ in range(REPEATS)]
        for own, tried in zip(times, zip(*tries, strict=True), strict=True):
            own.append(min(tried))
    return [statistics.median(own) for own in times]


def weights_digest(bundle: Bundle) -> str:
    """SHA-256 over names, types, shapes and values of all weights."""
    found = hashlib.sha256()
    for name, value in sorted(bundle.model.state_dict().items()):
        array = value.detach().cpu().contiguous()
        found.update(f"{name} {array.dtype} {tuple(array.shape)}\n".encode())
        found.update(array.numpy().tobytes())
    return found.hexdigest()


def _judged(
    trained_run: TrainedRun,
    predictions: Sequence[FilmPrediction],
    frozen: FrozenFilms,
    rules: ClinicalConfig,
    config: PromoteConfig,
    latency_ms: float,
) -> JudgedModel:
    films, patient_of = frozen.labelled, frozen.patient_of
    origin = Provenance(frozen.films.name, frozen.split, frozen.digest, resamples=config.resamples, seed=config.seed)
    judged = judge(films, predictions, rules, origin)
    bootstrap = PatientBootstrap(list(patient_of.values()), config.resamples, config.seed)
    report, model = judged.report, trained_run.bundle.uncertainty
    if model is not None:
        levels = level_table(films, predictions, model, rules)
        found = judge_uncertainty(levels, films, predictions, model, bootstrap)
        if found is not None:
            update = {"numbers": report.numbers | found.numbers, "tables": report.tables | found.tables}
            report = report.model_copy(update=update)
    stated = model.slips.coverage if model is not None else None
    shapes = paired_values(films, [trained_run.bundle.mean_shape.predict(film) for film in films], rules)
    means = {name: bootstrap.mean(v.values, [patient_of[f] for f in v.film_ids]) for name, v in shapes.items()}
    if "slip_error_percent" in means:
        means["slip_mae_percent"] = means["slip_error_percent"]
    return JudgedModel(
        trained_run, predictions, report, paired_values(films, predictions, rules),
        guarded_values(report, judged.levels, latency_ms, stated), means, shapes,
    )  # fmt: skip
