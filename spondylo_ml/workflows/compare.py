"""`compare`: compare the models of two or more runs on the same films."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import mlflow
import pandas as pd

from spondylo_ml.config import CompareConfig, flatten
from spondylo_ml.data.films import FilmSet, goes_by_pseudonym, terminal_name
from spondylo_ml.data.synthetic import PHANTOM_KIND
from spondylo_ml.errors import TrackingError
from spondylo_ml.evaluation.exact_limits import with_exact_limits
from spondylo_ml.evaluation.paired import difference_row, film_means, paired_differences, paired_values
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.evaluation.report import to_csv
from spondylo_ml.evaluation.run_verdict import METRICS as VERDICT_METRICS
from spondylo_ml.evaluation.run_verdict import RunVerdict
from spondylo_ml.film_bar import film_bar
from spondylo_ml.landmarks import Film
from spondylo_ml.nan import drop_nan
from spondylo_ml.pages.comparison_page import ComparisonData, comparison_page
from spondylo_ml.pages.figures.labels import Picture
from spondylo_ml.pages.figures.overlay import draw_film
from spondylo_ml.pages.figures.run_charts import draw_learning_curves, side_by_side
from spondylo_ml.pages.figures.sheet import with_legend
from spondylo_ml.serving.predictor import Predictor
from spondylo_ml.serving.trained_run import TrainedRun, fetch_trained_run
from spondylo_ml.tracking.addresses import page_link
from spondylo_ml.tracking.mlflow_log import log_params
from spondylo_ml.tracking.outcome import red_line
from spondylo_ml.tracking.provenance import log_dataset, log_environment
from spondylo_ml.tracking.selection import metric_history, top_runs
from spondylo_ml.tracking.store import DESCRIPTION_TAG, chosen_experiment, experiment_of, get_run, open_run
from spondylo_ml.tracking.store_check import require_store
from spondylo_ml.workflows.shared.common_films import common_films
from spondylo_ml.workflows.shared.seen_films import SEEN_TAG, SeenFilms

log = logging.getLogger(__name__)

CURVE, CURVE_LABEL = "val/mre_px512", "validation MRE, px512"
OVERLAY_HEIGHT_PX = 640
RANKED_BY = "mre_px512"
PAGE = "index.html"
FILMS_ON_PAGE = 2
"""Most improved, and most worsened, of each run."""


@dataclass(frozen=True)
class Comparison:
    """The result of `compare`."""

    run_id: str
    data: ComparisonData


def compare(config: CompareConfig) -> Comparison:
    """Compare the models of several runs on the same films and log the results to a new run.

    If no value of `config.data` is set, the films are those on which the runs were trained.

    Raises:
        TrackingError: no such run or model, or fewer than two runs to choose from.
        DataError: the runs' films differ and `config.data` sets none, or the part has no labelled film.
    """
    require_store()
    trained_runs = _trained_runs(config)
    films = common_films(trained_runs, config.split, config.data)
    labelled = films.required_part(config.split, labelled=True)
    experiment = chosen_experiment(config.experiment, experiment_of(trained_runs[0].run))
    title = f"compare {len(trained_runs)} runs on {films.name} {config.split}"
    with open_run(experiment, title, command="compare") as run_id:
        _log_origin(config, trained_runs, films)
        predictions = {c.name: _predict(c, labelled) for c in trained_runs}
        remarks = _log_seen_films([SeenFilms.of(c.name, c.run, labelled) for c in trained_runs])
        data = _comparison_data(title, trained_runs, films, predictions, config, remarks)
        pictures = _log_overlays(data, predictions, config.overlays)
        _log_result(data, pictures)
    return Comparison(run_id, data)


def film_differences(data: ComparisonData, run: str) -> pd.Series:
    """Change of each film's mean error from the baseline in px512, the most improved film first."""
    change = data.films[run] - data.films[data.runs[0]]
    return change.dropna().sort_values(kind="stable")


def _trained_runs(config: CompareConfig) -> list[TrainedRun]:
    if config.top is None:
        runs = [get_run(run_id) for run_id in config.run_ids]
    else:
        runs = top_runs(config.top, config.metric, config.models, config.per_model, config.experiment)
        if len(runs) < 2:
            raise TrackingError(
                f"only {len(runs)} run has {config.metric!r} and a model: train another, or give --run_ids"
            )
    return [fetch_trained_run(run) for run in runs]


def _predict(trained_run: TrainedRun, films: Sequence[Film]) -> PredictionSet:
    with film_bar(f"predicting films with {trained_run.name}", len(films)) as bar:
        return PredictionSet(films, Predictor(trained_run.bundle).predict(films, bar.update))


def _comparison_data(
    title: str,
    trained_runs: Sequence[TrainedRun],
    films: FilmSet,
    predictions: Mapping[str, PredictionSet],
    config: CompareConfig,
    remarks: tuple[str, ...],
) -> ComparisonData:
    rules = trained_runs[0].bundle.config.clinical
    first = next(iter(predictions.values()))
    bootstrap = first.bootstrap(config.resamples, config.seed)
    values = {name: paired_values(run_predictions, rules) for name, run_predictions in predictions.items()}
    baseline, *others = values
    n_patients = len(set(first.patient_of.values()))
    means = pd.DataFrame({name: film_means(run_values[RANKED_BY]) for name, run_values in values.items()})
    return ComparisonData(
        title=title,
        dataset=f"{films.name}, {config.split} part: {len(first.films)} films of {n_patients} patients",
        runs=tuple(values),
        numbers={
            name: with_exact_limits(
                {metric: bootstrap.mean(v.values, first.patients(v.film_ids)) for metric, v in run_values.items()}
            )
            for name, run_values in values.items()
        },
        differences={
            name: paired_differences(values[name], values[baseline], first.patient_of, bootstrap) for name in others
        },
        films=means,
        curves={c.name: metric_history(c.run.info.run_id, CURVE) for c in trained_runs},
        curve_label=CURVE_LABEL,
        remarks=remarks,
        settings=_settings(trained_runs),
        synthetic=films.kind == PHANTOM_KIND,
    )


def _settings(trained_runs: Sequence[TrainedRun]) -> dict[str, dict[str, str]]:
    """The configuration of each run by setting, without where it was logged."""
    each = {c.name: flatten(c.bundle.config.model_dump(mode="json")) for c in trained_runs}
    names = [name for name in next(iter(each.values())) if not name.startswith("tracking.")]
    return {name: {run: str(values.get(name)) for run, values in each.items()} for name in names}


def _in_markdown(verdict: RunVerdict) -> str:
    return "\n".join([f"**{verdict.sentence}**", "", *(f"* {text}" for text in verdict.details)])


def _log_seen_films(seen: Sequence[SeenFilms]) -> tuple[str, ...]:
    """Log on how many of the films each model was trained; returns the warnings."""
    mlflow.set_tag(SEEN_TAG, ", ".join(one.counts for one in seen))
    warnings = tuple(one.warning for one in seen if one.warning)
    if warnings:
        mlflow.set_tag(DESCRIPTION_TAG, "\n".join(map(red_line, warnings)))
        mlflow.log_text("\n".join(warnings) + "\n", "remarks.txt")
    return warnings


def _log_origin(config: CompareConfig, trained_runs: Sequence[TrainedRun], films: FilmSet) -> None:
    # See evaluate: not the seed of a training run.
    log_params(flatten(config.model_dump(mode="json", exclude={"data", "seed"})) | {"resampling_seed": config.seed})
    mlflow.set_tags(
        {
            "compared_runs": ",".join(c.run.info.run_id for c in trained_runs),
            "models": ",".join(c.bundle.config.model.name for c in trained_runs),
            "dataset": films.name,
        }
    )
    log_environment()
    log_dataset(films, ("train", "val", "test") if config.split == "all" else (config.split,))


def _log_result(data: ComparisonData, pictures: Sequence[tuple[str, Picture]]) -> None:
    mlflow.log_text(to_csv(data.numbers).rename(columns={"group": "run"}).to_csv(index=False), "runs.csv")
    mlflow.log_text(difference_table(data).to_csv(index=False), "differences.csv")
    by_film = data.films.copy()
    for run in data.runs[1:]:
        by_film[f"change: {run}"] = by_film[run] - by_film[data.runs[0]]
    mlflow.log_text(by_film.to_csv(), "films.csv")
    mlflow.log_image(draw_learning_curves(data.curves, data.curve_label), artifact_file="learning_curves.png")
    mlflow.log_text(comparison_page(data, pictures), PAGE)
    page = page_link("Open the page of this comparison: films, charts and tables")
    text = [*map(red_line, data.remarks), page, *map(_in_markdown, data.verdicts())]
    mlflow.set_tag(DESCRIPTION_TAG, "\n\n".join(text))
    for index, (run, differences) in enumerate(data.differences.items(), start=1):
        mlflow.set_tag(f"compared.{index}", run)
        names = f"{_in_metric_name(run)} minus {_in_metric_name(data.runs[0])}"
        for d in differences:
            if d.metric in VERDICT_METRICS:  # differences.csv has all
                numbers = {"": d.difference.value, "_low": d.difference.low, "_high": d.difference.high}
                metrics = {f"{names}/{d.metric}{end}": value for end, value in numbers.items()}
                mlflow.log_metrics(drop_nan(metrics | {f"{names}/{d.metric}_p": d.wilcoxon_p}))


def _in_metric_name(run: str) -> str:
    """The name of a run without what MLflow refuses in the name of a metric."""
    return re.sub(r"[^\w .-]", "_", run)


def difference_table(data: ComparisonData) -> pd.DataFrame:
    """One row per run and metric: the difference from the baseline."""
    rows = [
        {"run": run, "baseline": data.runs[0], **difference_row(d)}
        for run, differences in data.differences.items()
        for d in differences
    ]
    return pd.DataFrame(rows)


def _log_overlays(
    data: ComparisonData, predictions: Mapping[str, PredictionSet], count: int
) -> list[tuple[str, Picture]]:
    """Draw the films whose error changed most, with the predictions of all models; returns those for the page."""
    shown = []
    films = predictions[data.runs[0]].films
    place = {film.film_id: index for index, film in enumerate(films)}
    for index, run in enumerate(data.runs[1:], start=1):
        change = film_differences(data, run)
        better, worse = change[change < 0].head(count), change[change > 0][::-1].head(count)
        for label, ids in (("better", better.index), ("worse", worse.index)):
            for rank, film_id in enumerate(ids, start=1):
                i = place[film_id]
                pictures = {n: draw_film(*predictions[n].pairs[i], OVERLAY_HEIGHT_PX) for n in data.runs}
                name = f"overlays/run-{index}-{label}-{rank}-{film_id}.png"
                sheet = with_legend(side_by_side(pictures))
                mlflow.log_image(sheet, artifact_file=name)
                if rank <= FILMS_ON_PAGE:
                    shown.append((f"{run}: {label} by {abs(change[film_id]):.1f} px512", sheet))
                if goes_by_pseudonym(films[i]):  # only the terminal shows file names
                    log.info("overlay of run %d, %s %d: %s", index, label, rank, terminal_name(films[i]))
    return shown
