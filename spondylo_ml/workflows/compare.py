"""`compare`: the models of two or more runs, on the same films."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import mlflow
import pandas as pd
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from tqdm import tqdm

from spondylo_ml.config import CompareConfig, DataConfig, flatten
from spondylo_ml.data.films import FilmSet, digest, goes_by_pseudonym, terminal_name
from spondylo_ml.data.loading import load_films
from spondylo_ml.errors import DataError, TrackingError
from spondylo_ml.evaluation.intervals import PatientBootstrap
from spondylo_ml.evaluation.paired import Values, differences, film_means, paired_values
from spondylo_ml.evaluation.report import to_csv
from spondylo_ml.figures.comparison_page import Compared, comparison_page
from spondylo_ml.figures.overlay import draw_film, with_legend
from spondylo_ml.figures.run_charts import draw_learning_curves, side_by_side
from spondylo_ml.landmarks import Film, FilmPrediction
from spondylo_ml.nan import drop_nan
from spondylo_ml.serving.artefact import fetch_bundle
from spondylo_ml.serving.bundle import Bundle
from spondylo_ml.serving.predictor import Predictor
from spondylo_ml.tracking.mlflow_log import log_params
from spondylo_ml.tracking.provenance import log_dataset, log_environment
from spondylo_ml.tracking.reachable import preflight
from spondylo_ml.tracking.selection import metric_history, top_runs
from spondylo_ml.tracking.store import chosen_experiment, experiment_of, get_run, open_run
from spondylo_ml.workflows.evaluate import data_to_judge

log = logging.getLogger(__name__)

CURVE, CURVE_LABEL = "val/mre_px512", "validation MRE, px512"
OVERLAY_HEIGHT_PX = 640
RANKED_BY = "mre_px512"


@dataclass(frozen=True)
class Comparison:
    """What `compare` leaves: its own run, and what it found."""

    run_id: str
    compared: Compared


@dataclass(frozen=True)
class Contestant:
    """A run that is compared."""

    name: str
    run: Run
    bundle: Bundle


def compare(config: CompareConfig, given_data: Mapping[str, Any]) -> Comparison:
    """Compare runs in a run of its own.

    Args:
        given_data: the values of `config.data` that were given. Where there are none, the films are those of the runs.

    Raises:
        TrackingError: no such run or model, or fewer than two to choose from.
        DataError: the runs' films differ and none were given, or the part has no labelled film.
    """
    preflight()
    contestants = _contestants(config)
    films = common_films(contestants, config.split, given_data)
    chosen = [film for film in films.part(config.split) if film.labelled]
    if not chosen:
        raise DataError(f"{films.name} has no labelled film in its {config.split} part: choose another --split")
    experiment = chosen_experiment(config.experiment, experiment_of(contestants[0].run))
    title = f"compare {len(contestants)} runs on {films.name} {config.split}"
    with open_run(experiment, title) as run_id:
        _log_origin(config, contestants, films)
        predictions = {c.name: _predict(c, chosen) for c in contestants}
        compared = _compared(title, contestants, films, chosen, predictions, config)
        _log_result(compared)
        _log_overlays(compared, chosen, predictions, config.overlays)
    return Comparison(run_id, compared)


def common_films(contestants: Sequence[Contestant], split: str, given_data: Mapping[str, Any]) -> FilmSet:
    """The films that were given, or else those of all the runs.

    Raises:
        DataError: none were given, and the runs were not trained and validated on the same.
    """
    first = contestants[0]
    if given_data:
        return load_films(data_to_judge(first.bundle.config.data, given_data), for_training=False)
    logged = {c.name: c.run.data.tags.get(f"data_digest.{split}") for c in contestants}
    known = {name: value for name, value in logged.items() if value}
    if len(set(known.values())) > 1:
        raise _different(split, known)
    loaded: dict[str, FilmSet] = {}
    digests: dict[str, str] = {}
    for contestant in contestants:
        data = contestant.bundle.config.data
        key = _which_films(data)
        if key not in loaded:
            loaded[key] = load_films(data, for_training=False)
        digests[contestant.name] = digest(loaded[key].part(split), first.bundle.slots)
    if len(set(digests.values())) > 1:
        raise _different(split, digests)
    films = loaded[_which_films(first.bundle.config.data)]
    if known and digest(films.part(split), films.slots) not in known.values():
        log.warning("the %s films are not what they were when these runs were trained: pixels or labels differ", split)
    return films


def film_differences(compared: Compared, run: str) -> pd.Series:
    """Change of each film's mean error against the baseline in px512, the most improved first."""
    change = compared.films[run] - compared.films[compared.runs[0]]
    return change.dropna().sort_values(kind="stable")


def _contestants(config: CompareConfig) -> list[Contestant]:
    if config.top is None:
        runs = [get_run(run_id) for run_id in config.run_ids]
    else:
        runs = top_runs(config.top, config.metric, config.models, config.per_model, config.experiment)
        if len(runs) < 2:
            raise TrackingError(
                f"only {len(runs)} run has {config.metric!r} and a model: train another, or give --run_ids"
            )
    return [
        Contestant(f"{run.info.run_name} {run.info.run_id[:8]}", run, fetch_bundle(run.info.run_id)) for run in runs
    ]


def _which_films(data: DataConfig) -> str:
    """The part of a configuration that decides which films there are; what the network sees of them may differ."""
    return data.model_dump_json(exclude={"input_side_px", "input_hw"})


def _different(split: str, digests: Mapping[str, str]) -> DataError:
    listed = "; ".join(f"{name}: {value[:12]}" for name, value in digests.items())
    return DataError(
        f"the runs have different {split} films, so that their numbers cannot be compared (digests {listed}). "
        "Name the films on which all are to be judged: --data <folder>, or --data.kind phantom"
    )


def _predict(contestant: Contestant, films: Sequence[Film]) -> list[FilmPrediction]:
    with tqdm(total=len(films), desc=contestant.name, unit="film", disable=None) as bar:
        return Predictor(contestant.bundle).predict(films, bar.update)


def _compared(
    title: str,
    contestants: Sequence[Contestant],
    films: FilmSet,
    chosen: Sequence[Film],
    predictions: Mapping[str, Sequence[FilmPrediction]],
    config: CompareConfig,
) -> Compared:
    rules = contestants[0].bundle.config.clinical
    patient_of = {film.film_id: film.patient for film in chosen}
    bootstrap = PatientBootstrap(list(patient_of.values()), config.resamples, config.seed)
    values = {name: paired_values(chosen, seen, rules) for name, seen in predictions.items()}
    baseline, *others = values
    means = pd.DataFrame({name: film_means(its[RANKED_BY]) for name, its in values.items()})
    return Compared(
        title=title,
        dataset=f"{films.name}, {config.split} part: {len(chosen)} films of {len(set(patient_of.values()))} patients",
        runs=tuple(values),
        numbers={
            name: {metric: bootstrap.mean(v.values, _patients(v, patient_of)) for metric, v in its.items()}
            for name, its in values.items()
        },
        differences={
            name: differences(values[name], values[baseline], patient_of, bootstrap) for name in others
        },
        films=means,
        curves={c.name: metric_history(c.run.info.run_id, CURVE) for c in contestants},
        curve_label=CURVE_LABEL,
        remarks=tuple(filter(None, (_seen_in_training(c, chosen) for c in contestants))),
    )  # fmt: skip


def _patients(values: Values, patient_of: Mapping[str, str]) -> list[str]:
    return [patient_of[film_id] for film_id in values.film_ids]


def _seen_in_training(contestant: Contestant, films: Sequence[Film]) -> str:
    """A remark where a run was trained on patients of the films that it is judged on; empty where it was not."""
    seen = films_seen_in_training(contestant.run.info.run_id, films)
    if seen is None:
        return f"{contestant.name}: which films it was trained on is not known"
    if not seen:
        return ""
    return f"{contestant.name} was trained on patients of {seen} of these {len(films)} films: its error is too low"


def films_seen_in_training(run_id: str, films: Sequence[Film]) -> int | None:
    """How many of the films are of patients that a run was trained on; None where that is not known."""
    try:
        text = mlflow.artifacts.load_text(f"runs:/{run_id}/data/split.csv")
    except (MlflowException, OSError):
        return None
    rows = [line.split(",") for line in text.splitlines()[1:]]
    patients = {row[1] for row in rows if len(row) == 3 and row[2] == "train"}
    known = {row[0] for row in rows if len(row) == 3 and row[2] == "train"}
    return sum(film.film_id in known or film.patient in patients for film in films)


def _log_origin(config: CompareConfig, contestants: Sequence[Contestant], films: FilmSet) -> None:
    log_params(flatten(config.model_dump(mode="json", exclude={"data"})))
    mlflow.set_tags({
        "compared_runs": ",".join(c.run.info.run_id for c in contestants),
        "models": ",".join(c.bundle.config.model.name for c in contestants),
        "dataset": films.name,
    })  # fmt: skip
    log_environment()
    log_dataset(films, ("train", "val", "test") if config.split == "all" else (config.split,))


def _log_result(compared: Compared) -> None:
    mlflow.log_text(to_csv(compared.numbers).rename(columns={"group": "run"}).to_csv(index=False), "runs.csv")
    mlflow.log_text(difference_table(compared).to_csv(index=False), "differences.csv")
    by_film = compared.films.copy()
    for run in compared.runs[1:]:
        by_film[f"change: {run}"] = by_film[run] - by_film[compared.runs[0]]
    mlflow.log_text(by_film.to_csv(), "films.csv")
    mlflow.log_image(draw_learning_curves(compared.curves, compared.curve_label), artifact_file="learning_curves.png")
    mlflow.log_text(comparison_page(compared), "comparison.html")
    for index, (run, found) in enumerate(compared.differences.items(), start=1):
        mlflow.set_tag(f"compared.{index}", run)
        for d in found:
            numbers = {"": d.difference.value, "_low": d.difference.low, "_high": d.difference.high}
            numbers |= {"_p": d.wilcoxon_p, "_effect": d.rank_biserial}
            named = {f"difference_{index}/{d.metric}{end}": value for end, value in numbers.items()}
            mlflow.log_metrics(drop_nan(named))
    if compared.remarks:
        mlflow.log_text("\n".join(compared.remarks) + "\n", "remarks.txt")
        log.warning("%s", "\n".join(compared.remarks))


def difference_table(compared: Compared) -> pd.DataFrame:
    """One row a run and metric: its difference from the baseline."""
    rows = [
        {
            "run": run, "baseline": compared.runs[0], "metric": d.metric, **d.difference.model_dump(),
            "wilcoxon_p": d.wilcoxon_p, "rank_biserial": d.rank_biserial, "n_better": d.n_better,
            "n_worse": d.n_worse, "n_same": d.n_same,
        }
        for run, found in compared.differences.items()
        for d in found
    ]  # fmt: skip
    return pd.DataFrame(rows)


def _log_overlays(
    compared: Compared, films: Sequence[Film], predictions: Mapping[str, Sequence[FilmPrediction]], count: int
) -> None:
    """The films that changed most, as every model sees them; none of no change."""
    place = {film.film_id: index for index, film in enumerate(films)}
    for index, run in enumerate(compared.runs[1:], start=1):
        change = film_differences(compared, run)
        better, worse = change[change < 0].head(count), change[change > 0][::-1].head(count)
        for label, ids in (("better", better.index), ("worse", worse.index)):
            for rank, film_id in enumerate(ids, start=1):
                i = place[film_id]
                pictures = {n: draw_film(films[i], predictions[n][i], OVERLAY_HEIGHT_PX) for n in compared.runs}
                name = f"overlays/run-{index}-{label}-{rank}-{film_id}.png"
                mlflow.log_image(with_legend(side_by_side(pictures)), artifact_file=name)
                if goes_by_pseudonym(films[i]):  # the terminal alone says which film that is
                    log.info("overlay of run %d, %s %d: %s", index, label, rank, terminal_name(films[i]))
