"""`diagnose`: find what limits a finished run; log the findings to a new run."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import mlflow

from spondylo_ml.config import Config, DiagnoseConfig, flatten
from spondylo_ml.data.batches import plain_loader
from spondylo_ml.data.films import FilmSet
from spondylo_ml.data.loading import load_films, requested_data, require_usable_corner
from spondylo_ml.data.prepare import PreparedFilm, prepare_films
from spondylo_ml.data.sampling import evenly_spaced
from spondylo_ml.data.synthetic import PHANTOM_KIND
from spondylo_ml.diagnosis.dead_channels import LayerChannels, dead_channels
from spondylo_ml.diagnosis.findings import DiagnosisFinding, dead_in, findings
from spondylo_ml.diagnosis.inputs import FILMS as FILMS_COMPARED
from spondylo_ml.diagnosis.preflight import PreflightResult, run_checks
from spondylo_ml.diagnosis.results import failed
from spondylo_ml.evaluation.evaluate_predictions import ReportHeader, evaluate_predictions
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.evaluation.report import EvaluationReport
from spondylo_ml.film_bar import film_bar
from spondylo_ml.landmarks import Film
from spondylo_ml.nan import drop_nan, finite_or_none
from spondylo_ml.pages.diagnosis_page import Subject, diagnosis_page
from spondylo_ml.serving.artefact import fetch_bundle
from spondylo_ml.serving.bundle import Bundle
from spondylo_ml.serving.predictor import Predictor
from spondylo_ml.tracking.addresses import page_link
from spondylo_ml.tracking.mlflow_log import log_params
from spondylo_ml.tracking.provenance import log_dataset, log_environment
from spondylo_ml.tracking.store import DESCRIPTION_TAG, chosen_experiment, experiment_of, get_run, open_run
from spondylo_ml.tracking.store_check import require_store
from spondylo_ml.training.device import choose_compute
from spondylo_ml.training.inference import inference

log = logging.getLogger(__name__)

PAGE, FILE = "index.html", "diagnosis.json"
PARTS = ("train", "val")
OTHER_FILMS = DiagnosisFinding(
    "other films",
    "The films are not those of the run: their digest differs from the one that it logged.",
    "The findings below describe the model on these films, not its training run.",
    "Give the dataset of the run: --data <folder>.",
)


@dataclass(frozen=True)
class Diagnosis:
    """The result of `diagnose`.

    Attributes:
        preflight: the checks that `train` also runs.
        report: of the validation films.
        layers: dead channels of each layer.
    """

    run_id: str
    preflight: PreflightResult
    report: EvaluationReport
    layers: tuple[LayerChannels, ...]
    findings: tuple[DiagnosisFinding, ...]


def diagnose(config: DiagnoseConfig) -> Diagnosis:
    """Check a run's configuration, films and best model, and log the findings to a new run; no finding is an error.

    The films are those of the training run, with the values that are set in `config.data` laid over.

    Raises:
        SpondyloError: no such run or model, bad films, or no labelled film in train or val.
    """
    require_store()
    trained = get_run(config.run_id)
    bundle = fetch_bundle(config.run_id)
    films = load_films(requested_data(bundle.config.data, config.data))
    experiment = chosen_experiment(config.experiment, experiment_of(trained))
    name = str(trained.info.run_name)
    title = f"diagnose {name} on {films.name}"
    with open_run(experiment, title, command="diagnose", about=config.run_id) as run_id:
        digests = _log_origin(config, bundle.config, films)
        train, val = (_labelled(films, part) for part in PARTS)
        for part, part_films in zip(PARTS, (train, val), strict=True):
            require_usable_corner(part_films, part, films.slots)
        preflight, layers = _check_network(bundle, train, val, config.films)
        report = _evaluate(bundle, films.name, val, digests["val"], config)
        all_findings = _findings(preflight, layers, report)
        if trained.data.tags.get("data_digest.val") != digests["val"]:
            all_findings.insert(0, OTHER_FILMS)
        result = Diagnosis(run_id, preflight, report, layers, tuple(all_findings))
        subject = Subject(
            name,
            config.run_id,
            bundle.config.model.name,
            films.name,
            len(val),
            min(config.films, len(val)),
            report.numbers["mre_px512"].value,
            films.kind == PHANTOM_KIND,
        )
        _log_result(result, subject)
    return result


def _check_network(
    bundle: Bundle, train: Sequence[Film], val: Sequence[Film], n_films: int
) -> tuple[PreflightResult, tuple[LayerChannels, ...]]:
    """Run the checks of `train` and look for dead channels, on a few films of each part."""
    compute = choose_compute(bundle.config.training.model_copy(update={"device": "auto"}))
    some_train, some_val = (
        _prepare(evenly_spaced(part, max(FILMS_COMPARED, n_films)), bundle) for part in (train, val)
    )
    preflight = run_checks(bundle.model, bundle.config, compute, some_train, some_val, n_films=len(train))
    channel_films = evenly_spaced(some_val, n_films)
    images = [batch.images.to(compute.device) for batch in plain_loader(channel_films, 4)]
    with inference(compute):
        return preflight, dead_channels(bundle.model, images)


def _evaluate(
    bundle: Bundle, dataset: str, val: Sequence[Film], data_digest: str, config: DiagnoseConfig
) -> EvaluationReport:
    with film_bar("predicting films", len(val)) as bar:
        predictions = PredictionSet(val, Predictor(bundle).predict(val, bar.update))
    header = ReportHeader(dataset, "val", data_digest, resamples=config.resamples, seed=config.seed)
    return evaluate_predictions(predictions, bundle.config.clinical, header)


def _findings(
    preflight: PreflightResult, layers: Sequence[LayerChannels], report: EvaluationReport
) -> list[DiagnosisFinding]:
    anatomy = report.tables["anatomy"]
    return findings(
        preflight.results,
        preflight.census,
        layers,
        {kind: row["share_of_error_percent"].value for kind, row in anatomy.items()},
        {kind: row["mre_fixed_px512"].value for kind, row in anatomy.items()},
        report.numbers["mre_px512"].value,
    )


def _log_origin(config: DiagnoseConfig, trained: Config, films: FilmSet) -> dict[str, str]:
    log_params(flatten(config.model_dump(mode="json", exclude={"data"})))
    log_params({"model.name": trained.model.name, "preset": trained.preset})
    mlflow.set_tags(
        {"diagnosed_run": config.run_id, "model": trained.model.name, "dataset": films.name, "command": "diagnose"}
    )
    log_environment()
    return log_dataset(films, PARTS)


def _log_result(result: Diagnosis, subject: Subject) -> None:
    anatomy, preflight = result.report.tables["anatomy"], result.preflight
    dead, channels = dead_in(result.layers)
    numbers = {f"share_{kind}": row["share_of_error_percent"].value for kind, row in anatomy.items()}
    numbers |= {"checks_failed": float(len(failed(preflight.results))), "mre_px512": subject.mre_px512}
    numbers |= {"dead_channels_percent": 100 * dead / max(1, channels)}
    mlflow.log_metrics({f"diagnosis/{name}": value for name, value in drop_nan(numbers).items()})
    tables = {name: result.report.tables[name] for name in ("anatomy", "level_shifts")}
    tree = {
        "run_id": subject.run_id,
        "model": subject.model,
        "dataset": subject.dataset,
        "findings": [finding.to_json() for finding in result.findings],
        "checks": [check.to_json() for check in preflight.results],
        **{name: _values(table) for name, table in tables.items()},
        "dead_channels": {"dead": dead, "channels": channels, "layers": [x.to_json() for x in result.layers]},
        "parameters": None
        if preflight.census is None
        else {"without_path": list(preflight.census.unreached), "gradient_zero": list(preflight.census.silent)},
    }
    mlflow.log_text(json.dumps(tree, indent=1), FILE)
    page = diagnosis_page(
        subject,
        result.findings,
        preflight.results,
        tables["anatomy"],
        tables["level_shifts"],
        result.layers,
        preflight.census,
    )
    mlflow.log_text(page, PAGE)
    mlflow.set_tag(DESCRIPTION_TAG, page_link("Open the page of this diagnosis: what is wrong, and what to do"))


def _values(table: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float | None]]:
    """The values of the estimates; None for NaN."""
    return {group: {name: finite_or_none(e.value) for name, e in row.items()} for group, row in table.items()}


def _labelled(films: FilmSet, part: str) -> list[Film]:
    return [film for film in films.part(part) if film.labelled]


def _prepare(films: Sequence[Film], bundle: Bundle) -> list[PreparedFilm]:
    return prepare_films(films, bundle.slots, bundle.config.data.network_input_hw)
