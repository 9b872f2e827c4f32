"""`train`: train a model on films and log it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mlflow
import yaml

from spondylo_ml.config import Config
from spondylo_ml.config.differences import recipe_differences, settings_text, short_run_name
from spondylo_ml.config.experiments import EXPERIMENT
from spondylo_ml.data.films import FilmSet
from spondylo_ml.data.prepare import PreparedFilm
from spondylo_ml.disclaimer import DISCLAIMER
from spondylo_ml.evaluation.heatmap_evidence import Evidence
from spondylo_ml.evaluation.level_confidence import LevelConfidence
from spondylo_ml.evaluation.mean_shape import MeanShape
from spondylo_ml.evaluation.metrics import score
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.evaluation.refusal import Refusal
from spondylo_ml.landmarks import FilmPrediction, FloatArray
from spondylo_ml.models.base import LandmarkModel
from spondylo_ml.models.zoo import build_model, parameter_count
from spondylo_ml.pages.figures.overlay import draw_film
from spondylo_ml.pages.figures.sheet import tile, with_legend
from spondylo_ml.serving.artefact import log_bundle
from spondylo_ml.serving.bundle import Bundle
from spondylo_ml.serving.model_address import training_run_of_model
from spondylo_ml.serving.predictor import Predictor
from spondylo_ml.tracking.addresses import page_link
from spondylo_ml.tracking.checkpoints import FOLDER_TAG, checkpoint_folder
from spondylo_ml.tracking.claim import claim_run
from spondylo_ml.tracking.dead_runs import name_dead_runs
from spondylo_ml.tracking.film_dataset import dataset_of_metrics
from spondylo_ml.tracking.logged_models import delete_unfinished_models
from spondylo_ml.tracking.mlflow_log import MlflowRunLog
from spondylo_ml.tracking.provenance import (
    PRETRAINED_RUN,
    log_dataset,
    log_environment,
    log_split,
    nonzero_tags,
    require_same_films,
)
from spondylo_ml.tracking.resume import Resume, how_to_resume, write_run_folder
from spondylo_ml.tracking.selection import numbered_name
from spondylo_ml.tracking.store import DESCRIPTION_TAG, chosen_experiment, open_run
from spondylo_ml.tracking.store_check import require_store
from spondylo_ml.tracking.training_lock import training_lock
from spondylo_ml.training.checkpoint_files import remove_previous
from spondylo_ml.training.device import Compute, choose_compute
from spondylo_ml.training.distributed import this_process
from spondylo_ml.training.fit import FitResult, fit
from spondylo_ml.training.run_log import ColourImage
from spondylo_ml.workflows.shared.audit_log import log_audit
from spondylo_ml.workflows.shared.uncertainty import fit_uncertainty
from spondylo_ml.workflows.train.best_epoch import MeasuredModel, log_best_epoch
from spondylo_ml.workflows.train.examples import log_examples
from spondylo_ml.workflows.train.films import load_training_films, prepare_parts, resolve_from_films
from spondylo_ml.workflows.train.preflight import check_before_training
from spondylo_ml.workflows.train.processes import announce
from spondylo_ml.workflows.train.run_page import log_training_page
from spondylo_ml.workflows.train.settings import log_settings
from spondylo_ml.workflows.train.starting_weights import (
    FEWEST_FILMS_FOR_SHAPES,
    load_starting_weights,
    warn_of_films_seen,
)
from spondylo_ml.workflows.train.validation_report import log_validation_report, read_validation_films

log = logging.getLogger(__name__)

PROCESSES_TAG = "processes"
PANEL_HEIGHT_PX, PANEL_COLUMNS = 420, 3


@dataclass(frozen=True)
class TrainResult:
    """The result of `train`.

    Attributes:
        folder: folder of the checkpoints.
        mean_shape_mre_px512: validation MRE of the mean shape, the trivial predictor.
        unsent: number of log calls that did not reach the store.
        n_test: number of labelled films in the test part.
    """

    run_id: str
    folder: Path
    config: Config
    fit: FitResult
    mean_shape_mre_px512: float
    unsent: int
    n_test: int

    @property
    def metrics(self) -> dict[str, float]:
        """Metrics of the best epoch on the validation films, such as `mre_px512`."""
        return {name.removeprefix("val/"): value for name, value in self.fit.best.items() if name.startswith("val/")}


def train(config: Config, resume: Resume | None = None) -> TrainResult:
    """Train as configured, or continue the run of `resume`; log everything to MLflow.

    Raises:
        SpondyloError: bad films, a store that does not answer, a run that another process trains, or a loss that is not
            finite.
    """
    require_store()
    resumed_id = resume.run_id if resume else None
    with claim_run(resumed_id, resume.checkpoint if resume else None):
        name_dead_runs(except_run=resumed_id)
        return _train(config, resume)


def _train(config: Config, resume: Resume | None) -> TrainResult:
    """The same; nobody else trains the run to resume."""
    announce(config, resume.checkpoint if resume else None)
    films, audit, left_out = load_training_films(config)
    differences = recipe_differences(config)
    if resume is not None:
        require_same_films(resume.run_id, films)
    config = resolve_from_films(config, films)
    log.info("%s", _plan_text(config, differences))
    compute = choose_compute(config.training)
    log.info("device %s, precision %s: %s", compute.device, compute.precision, compute.reason)
    tracking = config.tracking
    experiment = chosen_experiment(tracking.experiment, EXPERIMENT)
    name = tracking.run_name or numbered_name(experiment, short_run_name(config.model.name, differences))
    with _open_training_run(experiment, name, resume) as (run_id, folder):
        write_run_folder(folder, run_id, config)
        mlflow.set_tag(FOLDER_TAG, str(folder))
        log_settings(config, differences, films.name)
        digests = _log_origin(config, films, compute)
        log_audit(audit)
        mlflow.set_tags(nonzero_tags(left_out_vertebrae=left_out.vertebrae, left_out_films=left_out.whole_films))
        run_log = MlflowRunLog(run_id, folder, tracking.system_metrics)
        try:
            model = build_model(config, films.slots)
            mlflow.set_tag("parameter_count", str(parameter_count(model)))
            if resume is None:
                mlflow.set_tag("pretrained", load_starting_weights(model, config.model))
                _log_starting_run(config.model.starting_model)
                warn_of_films_seen(config.model.starting_model, films.part("val"))
            _log_unused(model)
            mean_shape = MeanShape.fit(films.part("train"), films.slots)
            trivial = _trivial_error(mean_shape, films)
            prepared = prepare_parts(config, films.part("train"), films.part("val"), films.slots)
            check_before_training(model, config, compute, prepared)
            result = fit(
                model, config, compute, prepared, score_prepared, run_log, draw_panel, folder,
                resume_from=resume.checkpoint if resume else None,
                learn_shapes=config.model.starting_model is None or len(prepared["train"]) >= FEWEST_FILMS_FOR_SHAPES,
            )  # fmt: skip
        finally:
            run_log.close()
        bundle, predictions = _add_uncertainty(Bundle(model, config, mean_shape), prepared["val"], compute)
        model_uri = log_bundle(bundle, result.best_epoch, name)
        remove_previous(folder)
        measured_on = dataset_of_metrics(films.name, "val", digests["val"])
        log_best_epoch(result, predictions, config.clinical, trivial, MeasuredModel(model_uri, measured_on))
        picture = log_examples(predictions, result.best_epoch) if tracking.panel_films else ""
        mlflow.set_tag(DESCRIPTION_TAG, _description(result, bundle, films.name, trivial, picture))
        log_training_page(result, bundle, predictions, trivial, films.name, differences)
        if tracking.standing:
            log_validation_report(bundle, result, compute, prepared["val"], films.name)
        unsent = run_log.close()  # again: if the store was away when the epochs ended, the rest has been sent since
    n_test = sum(film.labelled for film in films.part("test"))
    return TrainResult(run_id, folder, config, result, trivial, unsent, n_test)


@contextmanager
def _open_training_run(experiment: str, name: str, resume: Resume | None) -> Iterator[tuple[str, Path]]:
    """Open the run, see `open_run`; its id, and the folder of its checkpoints, in which nobody else trains."""
    resumed_id = resume.run_id if resume else None
    with open_run(experiment, name, resumed_id, command="train", how_to_resume=how_to_resume) as run_id:
        folder = checkpoint_folder(run_id)
        with training_lock(folder):
            if delete_unfinished_models(run_id):
                log.info("deleted a model that was not logged to the end, since the run was killed meanwhile")
            yield run_id, folder


def _plan_text(config: Config, differences: Mapping[str, Any]) -> str:
    """What will be trained, in a line: the model, how it differs from its recipe, the size and length."""
    settings = settings_text(differences) or "as its recipe"
    input_hw, training = config.data.input_hw or (0, 0), config.training
    length = f"{training.minutes:g} min" if training.minutes is not None else f"{training.epochs} epochs"
    return (
        f"training {config.model.name}, preset {config.preset}, {settings}: input {input_hw[0]} x {input_hw[1]} px, "
        f"{length}, {training.batch_size} films a batch"
    )


def _log_origin(config: Config, films: FilmSet, compute: Compute) -> dict[str, str]:
    """Log where the run comes from; returns the digest of each part of the films."""
    mlflow.log_text(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False), "config.yaml")
    log_environment()
    digests = log_dataset(films, ("train", "val"))
    mlflow.set_tags(
        {
            "model": config.model.name,
            "dataset": films.name,
            "preset": config.preset,
            "compute": f"{compute.device} {compute.precision}",
            **nonzero_tags(bad_files=len(films.bad_files), reader_remarks=len(films.notes)),
            **({PROCESSES_TAG: str(count)} if (count := this_process().count) > 1 else {}),
        }
    )
    remarks = [*films.bad_files, *films.notes, *films.overflow()]
    if remarks:
        mlflow.log_text("\n".join(remark.in_run() for remark in remarks) + "\n", "data/remarks.txt")
    log_split(films)
    return digests


def _log_starting_run(which: str | None) -> None:
    """Log the run of the model that training goes on from, if it has one."""
    run_id = training_run_of_model(which) if which else None
    if run_id is not None:
        mlflow.set_tag(PRETRAINED_RUN, run_id)


def _log_unused(model: LandmarkModel) -> None:
    """Log names and number of the parameters that get no gradient from the configured loss."""
    unused = sorted(model.unused_parameters())
    count = sum(p.numel() for name, p in model.named_parameters() if name in unused)
    if unused:
        mlflow.set_tag("unused_parameters", str(count))
        log.info("%d parameters get no gradient; they are listed in unused_parameters.txt", count)
        mlflow.log_text("\n".join(unused) + "\n", "unused_parameters.txt")


def _add_uncertainty(bundle: Bundle, val: Sequence[PreparedFilm], compute: Compute) -> tuple[Bundle, PredictionSet]:
    """The bundle with uncertainty, usual evidence, confidence in levels and refusal, fitted on the validation films.

    Also returns the predictions on these films.
    """
    of_films = read_validation_films(Predictor(bundle, compute), val)
    fitted = replace(
        bundle,
        uncertainty=fit_uncertainty(of_films, bundle.config),
        evidence=Evidence.fit(of_films.predictions),
        level_confidence=LevelConfidence.fit(of_films.pairs),
        refusal=Refusal.fit(of_films.pairs, bundle.config.reading.false_refusals),
    )
    return fitted, of_films


def _trivial_error(mean_shape: MeanShape, films: FilmSet) -> float:
    val = [film for film in films.part("val") if film.labelled]
    return score(mean_shape.predict_films(val))["mre_px512"]


def _description(result: FitResult, bundle: Bundle, films: str, mean_shape_mre_px512: float, picture: str) -> str:
    """Markdown for the page of the run: metrics of the best epoch, the mean shape's, and how to train it again."""
    best, config = result.best, bundle.config
    charts = (
        " Pictures of the same validation films from step 0 on are among the charts, under `val`." if picture else ""
    )
    return f"""**{config.model.name}**, preset {config.preset}, films: {films}; \
{"best" if result.lost_best is None else "kept"} epoch {result.epoch_text}. \
{page_link("Open the page of this run")}: results with films, curves and tables.

| validation | MRE px512 | median px512 | SDR@6 | SDR@24 |
| --- | --- | --- | --- | --- |
| this model | {best["val/mre_px512"]:.2f} | {best["val/median_px512"]:.2f} | {best["val/sdr_6px"]:.1f} % | \
{best["val/sdr_24px"]:.1f} % |
| mean shape (trivial predictor) | {mean_shape_mre_px512:.2f} | | | |

{picture}

Under Artifacts, `config.yaml` is the whole configuration, `metrics.json` and `epochs.csv` have all metrics.{charts}
Train it again: download `config.yaml`, then `python -m spondylo_ml train --recipe config.yaml`.

{DISCLAIMER}
"""


def score_prepared(films: Sequence[PreparedFilm], predictions: Sequence[FilmPrediction]) -> dict[str, float]:
    """As `score`, for prepared films."""
    return score(PredictionSet([film.film for film in films], predictions))


def draw_panel(
    films: Sequence[PreparedFilm],
    predictions: Sequence[FilmPrediction],
    maps: Sequence[FloatArray | None],
    map_name: str = "heatmaps",
) -> ColourImage:
    """One picture of the films with their predictions and, if there are any, with maps of this name."""
    pictures = [
        draw_film(film.film, prediction, PANEL_HEIGHT_PX, one, film.letterbox)
        for film, prediction, one in zip(films, predictions, maps, strict=True)
    ]
    return with_legend(tile(pictures, PANEL_COLUMNS), map_name if any(one is not None for one in maps) else "")
