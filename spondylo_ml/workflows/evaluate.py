"""`evaluate`: evaluate the model of a run on films of any supported layout."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import mlflow
import numpy as np
import pandas as pd
from mlflow.entities import Run

from spondylo_ml.config import ClinicalConfig, Config, EvaluateConfig, flatten
from spondylo_ml.data.films import FilmSet, digest, goes_by_pseudonym, terminal_name
from spondylo_ml.data.loading import first_of, impossible_labels, load_films, requested_data, require_usable_corner
from spondylo_ml.data.synthetic import PHANTOM_KIND
from spondylo_ml.disclaimer import DISCLAIMER
from spondylo_ml.evaluation.evaluate_predictions import ReportHeader, evaluate_predictions
from spondylo_ml.evaluation.film_ranking import best_median_worst
from spondylo_ml.evaluation.headline import headline
from spondylo_ml.evaluation.metrics import corner_metrics, score
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.evaluation.report import EvaluationReport
from spondylo_ml.evaluation.uncertainty import level_table
from spondylo_ml.film_bar import film_bar
from spondylo_ml.landmarks import CORNERS, Film, SlotRange, patient_corners
from spondylo_ml.pages.figures.anatomy_chart import draw_anatomy
from spondylo_ml.pages.figures.overlay import draw_film
from spondylo_ml.pages.figures.sheet import with_legend
from spondylo_ml.serving.artefact import fetch_bundle
from spondylo_ml.serving.bundle import Bundle
from spondylo_ml.serving.model_address import model_id_of_run
from spondylo_ml.serving.predictor import Predictor
from spondylo_ml.tracking.addresses import page_link
from spondylo_ml.tracking.dead_runs import name_dead_runs
from spondylo_ml.tracking.film_dataset import dataset_of_metrics
from spondylo_ml.tracking.mlflow_log import log_params
from spondylo_ml.tracking.outcome import red_line
from spondylo_ml.tracking.provenance import log_dataset, log_environment
from spondylo_ml.tracking.run_metrics import EVALUATION, METRICS_FILE, metrics_text
from spondylo_ml.tracking.store import DESCRIPTION_TAG, chosen_experiment, experiment_of, get_run, open_run
from spondylo_ml.tracking.store_check import require_store
from spondylo_ml.workflows.shared.run_page import RunFacts, log_run_page, results_in_markdown
from spondylo_ml.workflows.shared.seen_films import SEEN_TAG, SeenFilms
from spondylo_ml.workflows.shared.uncertainty import evaluate_uncertainty, log_curves, log_levels

log = logging.getLogger(__name__)

OVERLAY_HEIGHT_PX = 768
FILES = (
    ("report/numbers.csv", "all metrics with their intervals"),
    ("report/", "the same by level, source, sex, age, facing and cause"),
    ("films.csv", "errors of each film"),
    ("vertebrae.csv", "errors of each vertebra"),
    ("corners.csv", "each true corner, where it was predicted, and the cause of its error"),
    ("levels.csv", "true and predicted slip and grade of each level"),
    ("uncertainty/levels.csv", "interval, grade probabilities and verdict of each level, if the model gives them"),
    ("predictions.csv", "each predicted corner, on films without labels too"),
    ("overlays/", "the best, median and worst films in full size"),
)
"""Artefacts that the page names."""


@dataclass(frozen=True)
class EvaluationResult:
    """The result of `evaluate`.

    Attributes:
        metrics: all of `metrics.json`, of which the run logs a few under `eval/`; only counts if no film has labels.
        report: estimates with intervals, and tables; None if no film has labels.
        model: the training run, by name and id.
        films: the dataset and its part.
        warning: that the model was trained on some of the films; empty if it was not.
        chosen_on: that the films are those on which the model was chosen; empty if they are not.
    """

    run_id: str
    model: str
    films: str
    metrics: dict[str, float]
    n_films: int
    n_labelled: int
    report: EvaluationReport | None = None
    warning: str = ""
    chosen_on: str = ""


def evaluate(config: EvaluateConfig) -> EvaluationResult:
    """Evaluate a run's model and log the results to a new run.

    The films are those of the training run, with the values that are set in `config.data` laid over.

    Raises:
        SpondyloError: no such run or model, bad films, or no film in the requested part.
    """
    require_store()
    name_dead_runs()
    trained_run = get_run(config.run_id)
    bundle = fetch_bundle(config.run_id)
    films = load_films(requested_data(bundle.config.data, config.data), for_training=False)
    part = films.required_part(config.split)
    experiment = chosen_experiment(config.experiment, experiment_of(trained_run))
    name = f"evaluate {trained_run.info.run_name} on {films.name} {config.split}"
    with open_run(experiment, name, command="evaluate", about=config.run_id) as run_id:
        _log_origin(config, bundle.config, films)
        _log_unusable_labels(part, config.split, films.slots)
        warning = _log_seen_films(SeenFilms.of(str(trained_run.info.run_name), trained_run, part))
        chosen_on = _chosen_on(trained_run, films, config.split)
        with film_bar("predicting films", len(part)) as bar:
            predictions = PredictionSet(part, Predictor(bundle).predict(part, bar.update))
        header = ReportHeader(
            films.name, config.split, digest(part, films.slots), resamples=config.resamples, seed=config.seed
        )
        metrics, report = _log_results(predictions, bundle, config, header)
        if report is not None:
            title = f"Evaluation of {trained_run.info.run_name} on {films.name}, {config.split} part"
            about = _page_facts(title, trained_run, bundle, films, chosen_on)
            about = replace(about, warning=warning, mean_shape_mre_px512=metrics["mean_shape_mre_px512"])
            _log_page(about, predictions, report, bundle)
    return EvaluationResult(
        run_id,
        f"{trained_run.info.run_name} {trained_run.info.run_id}",
        f"{films.name}, {config.split} part",
        metrics,
        len(part),
        len(predictions.labelled_films),
        report,
        warning,
        chosen_on,
    )


def _chosen_on(trained_run: Run, films: FilmSet, split: str) -> str:
    """A remark if the films are those on which the run's epoch was chosen and its uncertainty calibrated."""
    if split == "test" or not films.part("val"):
        return ""
    if trained_run.data.tags.get("data_digest.val") != digest(films.part("val"), films.slots):
        return ""
    which = "these films" if split == "val" else "the validation films among these"
    return f"the epoch was chosen and the uncertainty calibrated on {which}: the results are too good; see --split test"


def _page_facts(title: str, trained_run: Run, bundle: Bundle, films: FilmSet, chosen_on: str) -> RunFacts:
    trained_in = f"{trained_run.info.run_name} {trained_run.info.run_id}"
    facts = [("model", bundle.config.model.name), ("trained in", trained_in), ("films", films.name)]
    facts += [("remark:", chosen_on)] if chosen_on else []
    return RunFacts(title, facts, synthetic=films.kind == PHANTOM_KIND, files=FILES)


def _log_page(about: RunFacts, predictions: PredictionSet, report: EvaluationReport, bundle: Bundle) -> None:
    """Log the page of the evaluation, and its headline as the run's description."""
    log_run_page(about, predictions, report, bundle.config.clinical)
    page = page_link("Open the page of this evaluation: films, charts and tables")
    first = f"{red_line(about.warning)}\n" if about.warning else ""
    mlflow.set_tag(DESCRIPTION_TAG, f"{first}{page}\n\n{results_in_markdown(report)}\n\n{DISCLAIMER}\n")


def film_errors(predictions: PredictionSet) -> pd.DataFrame:
    """One row per film with how it was read, whether it was refused, and its corner metrics, NaN without labels."""
    corners = predictions.corners
    by_film = dict(list(corners.groupby("film_id")))
    return pd.DataFrame(
        [
            {
                "film_id": film.film_id,
                "labelled": film.labelled,
                "remarks": "; ".join(prediction.remarks),
                "refusal": prediction.refusal,
                **corner_metrics(by_film.get(film.film_id, corners.iloc[:0])),
            }
            for film, prediction in predictions.pairs
        ]
    )


def vertebra_table(corners: pd.DataFrame) -> pd.DataFrame:
    """One row per true vertebra: mean and largest error of its corners."""
    groups = corners.groupby(["film_id", "slot", "level"], sort=False)
    return groups.agg(
        mre_px512=("error_px512", "mean"),
        max_error_px512=("error_px512", "max"),
        n_corners=("corner", "size"),
        presence=("presence", "first"),
    ).reset_index()


def prediction_table(predictions: PredictionSet) -> pd.DataFrame:
    """One row per slot and corner, whether or not the film has labels; in px of the original film."""
    rows = [
        (p.film_id, p.slots.first + v, level, CORNERS[c], patient_corners(film.facing)[c], *p.corners_xy[v, c],
         p.corner_score[v, c], p.presence[v])
        for film, p in predictions.pairs
        for v, level in enumerate(p.slots.names)
        for c in range(len(CORNERS))
    ]  # fmt: skip
    columns = ["film_id", "slot", "level", "corner", "patient_corner", "x_px", "y_px", "corner_score", "presence"]
    return pd.DataFrame(rows, columns=columns)


def _log_origin(config: EvaluateConfig, trained: Config, films: FilmSet) -> None:
    # The seed is that of the resampling: under its own name, it would stand in the column of the training runs' seeds.
    log_params(flatten(config.model_dump(mode="json", exclude={"data", "seed"})) | {"resampling_seed": config.seed})
    log_params({"model.name": trained.model.name, "preset": trained.preset})
    mlflow.set_tags({"judged_run": config.run_id, "model": trained.model.name, "dataset": films.name})
    log_environment()
    log_dataset(films, ("train", "val", "test") if config.split == "all" else (config.split,))


def _log_seen_films(seen: SeenFilms) -> str:
    """Log on how many of the films the model was trained; returns the warning."""
    mlflow.set_tag(SEEN_TAG, seen.counts)
    if seen.warning:
        mlflow.set_tag(DESCRIPTION_TAG, red_line(seen.warning))
    return seen.warning


def _log_unusable_labels(films: Sequence[Film], part: str, slots: SlotRange) -> None:
    """Log the labels that cannot be right; they still count in the evaluation.

    Raises:
        NoUsableCornerError: the films have labels, but no corner can be right.
    """
    if any(film.vertebrae for film in films):
        require_usable_corner(films, part, slots)
    wrong = impossible_labels(films)
    mlflow.set_tag("impossible_labels", str(len(wrong)))
    if wrong:
        log.warning("%d label(s) that cannot be right, counted as they are: %s", len(wrong), first_of(wrong))
        mlflow.log_text("\n".join(finding.in_run() for finding in wrong) + "\n", "impossible_labels.txt")


def _log_results(
    predictions: PredictionSet, bundle: Bundle, config: EvaluateConfig, header: ReportHeader
) -> tuple[dict[str, float], EvaluationReport | None]:
    films, labelled = predictions.films, predictions.labelled_films
    mlflow.log_text(prediction_table(predictions).to_csv(index=False), "predictions.csv")
    metrics: dict[str, float] = {"n_films": float(len(films)), "n_labelled": float(len(labelled))}
    report, ranking = None, np.full(len(films), np.nan)
    levels = pd.DataFrame()
    if bundle.uncertainty is not None:
        levels = level_table(predictions, bundle.uncertainty, bundle.config.clinical)
        log_levels(levels)
    if labelled:
        report = evaluate_predictions(predictions, bundle.config.clinical, header)
        report, uncertainty_metrics = _with_uncertainty(report, levels, predictions, bundle)
        metrics["mean_shape_mre_px512"] = score(bundle.mean_shape.predict_films(labelled))["mre_px512"]
        metrics |= score(predictions) | report_metrics(report) | uncertainty_metrics
        by_film = film_errors(predictions)
        _log_tables(report, predictions, bundle.config.clinical, by_film)
        ranking = by_film["mre_px512"].to_numpy(dtype=float)
    else:
        mlflow.set_tag("unlabelled", "true")
    # Linked to the model and the films, so that the Models tab has them beside those of training.
    measured_on = dataset_of_metrics(header.dataset, header.part, header.data_digest)
    mlflow.log_metrics(headline(metrics, EVALUATION), model_id=model_id_of_run(config.run_id), dataset=measured_on)
    mlflow.log_text(metrics_text(metrics), METRICS_FILE)
    for label, index in best_median_worst(ranking, config.overlays):
        picture = with_legend(draw_film(films[index], predictions.predictions[index], OVERLAY_HEIGHT_PX))
        mlflow.log_image(picture, artifact_file=f"overlays/{label}-{films[index].film_id}.png")
        if goes_by_pseudonym(films[index]):  # only the terminal shows file names
            log.info("overlay %s: %s", label, terminal_name(films[index]))
    return metrics, report


def _with_uncertainty(
    report: EvaluationReport, levels: pd.DataFrame, predictions: PredictionSet, bundle: Bundle
) -> tuple[EvaluationReport, dict[str, float]]:
    """Add the model's uncertainty to the report; returns the report and the added metrics, if there are any."""
    model = bundle.uncertainty
    if model is None:
        return report, {}
    bootstrap = predictions.bootstrap(report.resamples, report.seed, report.confidence)
    uncertainty = evaluate_uncertainty(levels, predictions, model, bootstrap)
    if uncertainty is None:
        return report, {}
    log_curves(uncertainty, model.coverage)
    return uncertainty.added_to(report), uncertainty.metrics()


def report_metrics(report: EvaluationReport) -> dict[str, float]:
    """Estimates and causes of the error by name, with their intervals as `<name>_low` and `<name>_high`."""
    out: dict[str, float] = {}
    shares = {f"share_{kind}": numbers["share_of_error_percent"] for kind, numbers in report.tables["anatomy"].items()}
    for name, estimate in (report.numbers | shares).items():
        out |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    return out


def _log_tables(
    report: EvaluationReport, predictions: PredictionSet, rules: ClinicalConfig, by_film: pd.DataFrame
) -> None:
    for name, text in report.files().items():
        mlflow.log_text(text, f"report/{name}")
    mlflow.log_text(predictions.corners_with_causes.to_csv(index=False), "corners.csv")
    mlflow.log_text(vertebra_table(predictions.corners).to_csv(index=False), "vertebrae.csv")
    mlflow.log_text(by_film.to_csv(index=False), "films.csv")
    for name, table in (("levels.csv", predictions.slips(rules)), ("cobb_angles.csv", predictions.cobb_angles)):
        if len(table):
            mlflow.log_text(table.to_csv(index=False), name)
    mlflow.log_image(draw_anatomy(report.tables["anatomy"]), artifact_file="report/anatomy.png")
