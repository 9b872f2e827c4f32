"""`corrections`: what people corrected in a model's drafts, by film and level, and over time."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import mlflow
import pandas as pd
from mlflow.entities import Run

from spondylo_ml.config import CorrectionsConfig, flatten
from spondylo_ml.config.experiments import TOOLS_EXPERIMENT
from spondylo_ml.data.corrected_drafts import PERSON, CorrectedDrafts, match_drafts
from spondylo_ml.data.draft_record import DraftSet, read_drafts
from spondylo_ml.data.films import FilmSet, digest, goes_by_pseudonym, terminal_name
from spondylo_ml.data.loading import read_films
from spondylo_ml.disclaimer import DISCLAIMER
from spondylo_ml.evaluation.correction_rates import REVIEWED, correction_rates, rates_by_level
from spondylo_ml.evaluation.corrections import Corrections, corrections_of
from spondylo_ml.evaluation.intervals import Estimates
from spondylo_ml.evaluation.report import to_csv
from spondylo_ml.landmarks import SlotRange
from spondylo_ml.nan import drop_nan
from spondylo_ml.pages.corrections_page import (
    CorrectionsPage,
    FormerCorrections,
    corrections_page,
    corrections_sentence,
)
from spondylo_ml.pages.figures.correction_picture import correction_caption, draw_correction, largest_corrections
from spondylo_ml.pages.figures.labels import Picture
from spondylo_ml.promotion.check_in_use import UseComparison, UseVerdict
from spondylo_ml.tracking.correction_history import (
    COMMAND,
    HISTORY,
    MODEL_DIGEST,
    MODEL_NAME,
    ModelInUse,
    compare_with_promotion,
    former_runs,
    log_history,
    model_in_use,
    tag_version,
)
from spondylo_ml.tracking.film_dataset import FilmDataset
from spondylo_ml.tracking.mlflow_log import log_params
from spondylo_ml.tracking.outcome import red_line
from spondylo_ml.tracking.provenance import log_environment
from spondylo_ml.tracking.registry import now
from spondylo_ml.tracking.store import DESCRIPTION_TAG, chosen_experiment, experiment_of, get_run, open_run
from spondylo_ml.tracking.store_check import require_store

log = logging.getLogger(__name__)

PAGE = "index.html"
PREFIX = "corrections/"


@dataclass(frozen=True)
class CorrectionsResult:
    """The result of `corrections`.

    Attributes:
        comparisons: by registered version of the model, whether it is worse than at its promotion.
        names: names of films for the terminal, by their names in runs.
        data: folders of the corrected labels.
        trained_by: the run that trained the model; empty if this store has none.
    """

    run_id: str
    drafts: DraftSet
    films: CorrectedDrafts
    corrections: Corrections
    numbers: Mapping[str, Estimates]
    levels: Mapping[str, Estimates]
    comparisons: Mapping[str, UseComparison]
    warnings: tuple[str, ...]
    names: Mapping[str, str]
    data: tuple[Path, ...]
    trained_by: str


def read_corrections(config: CorrectionsConfig) -> CorrectionsResult:
    """Compare drafts with the labels that people made of them, and log the results to a new run.

    The numbers are also logged to the run that trained the model, and its registered versions are tagged.

    Raises:
        SpondyloError: no record of the drafts, bad films, none of them reviewed, or a store that does not answer.
    """
    require_store()
    drafts = read_drafts(config.draft_folders)
    datasets = [read_films(data) for data in config.datasets]
    films = match_drafts(drafts, datasets)
    corrections = corrections_of(films.drafts, films.corrected, films.signatures, config.moved_px)
    numbers = correction_rates(corrections, films.drafts, films.corrected, config.resamples, config.seed)
    levels = rates_by_level(corrections, config.resamples, config.seed)
    experiment = chosen_experiment(config.experiment, TOOLS_EXPERIMENT)
    title = f"corrections of {len(films.corrected)} films"
    with open_run(experiment, title, command=COMMAND) as run_id:
        model = model_in_use(drafts.digest)
        metrics = _metrics(corrections, numbers[REVIEWED])
        _log_origin(config, drafts, films, corrections, model)
        mlflow.log_metrics(metrics)
        _log_tables(films, corrections, numbers, levels)
        comparisons = _compare_versions(model, numbers[REVIEWED])
        pictures = _log_pictures(films, corrections, config.pictures)
        warnings = tuple(_warnings(films, corrections, model))
        page = CorrectionsPage(
            title, _facts(drafts, films), warnings, _in_words(comparisons), corrections, numbers, levels, pictures,
            _history(run_id, metrics), films.not_back,
        )  # fmt: skip
        mlflow.log_text(corrections_page(page), PAGE)
        mlflow.set_tag(DESCRIPTION_TAG, _description(numbers[REVIEWED], comparisons, warnings))
        # Last of all: a run that fails leaves nothing in the history of its model.
        log_history(model, metrics)
        for version in model.versions:
            comparison = comparisons[f"{version.name} version {version.version}"]
            tag_version(version, comparison, corrections_sentence(numbers[REVIEWED]), now())
    names = {name: text for each in datasets for name, text in each.terminal_names().items()}
    return CorrectionsResult(
        run_id,
        drafts,
        films,
        corrections,
        numbers,
        levels,
        comparisons,
        warnings,
        names,
        data=tuple(map(Path, config.data)),
        trained_by=model.run.info.run_id if model.run else "",
    )


def _metrics(corrections: Corrections, numbers: Estimates) -> dict[str, float]:
    """The numbers of the reviewed films as metrics."""
    limits = {
        f"{PREFIX}{name}{end}": value
        for name, estimate in numbers.items()
        for end, value in (("", estimate.value), ("_low", estimate.low), ("_high", estimate.high))
    }
    return drop_nan({HISTORY: float(corrections.films["reviewed"].sum()), **limits})


def _log_origin(
    config: CorrectionsConfig, drafts: DraftSet, films: CorrectedDrafts, corrections: Corrections, model: ModelInUse
) -> None:
    log_params(flatten(config.model_dump(mode="json", exclude={"drafts", "data"})))
    untouched = ~corrections.films["corrected"].astype(bool)
    by_person = corrections.films["signature"] == PERSON
    tags = {
        MODEL_NAME: drafts.model,
        "draft_formats": ", ".join(drafts.tools),
        "films": str(len(films.corrected)),
        "films_corrected": str(int((~untouched).sum())),
        "films_untouched_reviewed": str(int((untouched & by_person).sum())),
        "films_untouched_not_reviewed": str(int((untouched & ~by_person).sum())),
        "films_not_back": str(len(films.not_back)),
    }
    if drafts.digest:
        tags[MODEL_DIGEST] = drafts.digest
    if model.run is not None:
        tags["training_run"] = model.run.info.run_id
    if model.versions:
        tags["versions"] = ", ".join(f"{version.name} version {version.version}" for version in model.versions)
    mlflow.set_tags(tags)
    log_environment()
    for name, each in (("drafts", films.drafts), ("corrected", films.corrected)):
        film_set = FilmSet(name, name, each, SlotRange(0, 1))
        of_films = digest(each, film_set.slots)
        mlflow.log_input(FilmDataset(film_set, "all", of_films), context=name)
        mlflow.set_tag(f"data_digest.{name}", of_films)


def _log_tables(
    films: CorrectedDrafts,
    corrections: Corrections,
    numbers: Mapping[str, Estimates],
    levels: Mapping[str, Estimates],
) -> None:
    tables = {
        "films.csv": corrections.films,
        "bodies.csv": corrections.bodies,
        "corners.csv": corrections.corners,
        "numbers.csv": to_csv(numbers).rename(columns={"group": "films"}),
        "levels.csv": to_csv(levels).rename(columns={"group": "level"}),
        "not_back.csv": pd.DataFrame(films.not_back, columns=["film_id", "reason"]),
    }
    for name, table in tables.items():
        mlflow.log_text(table.to_csv(index=False), name)


def _compare_versions(model: ModelInUse, numbers: Estimates) -> dict[str, UseComparison]:
    return {
        f"{version.name} version {version.version}": compare_with_promotion(version, numbers)
        for version in model.versions
    }


def _log_pictures(films: CorrectedDrafts, corrections: Corrections, count: int) -> list[tuple[str, Picture]]:
    place = {film.film_id: index for index, film in enumerate(films.corrected)}
    shown = []
    for rank, (_, row) in enumerate(largest_corrections(corrections.bodies, count).iterrows(), start=1):
        draft, corrected = (each[place[row["film_id"]]] for each in (films.drafts, films.corrected))
        picture = draw_correction(draft, corrected, row["draft_level"], row["level"])
        mlflow.log_image(picture, artifact_file=f"pictures/{rank:02d}-{row['film_id']}.png")
        shown.append((correction_caption(row), picture))
        if goes_by_pseudonym(corrected):  # only the terminal shows file names
            log.info("picture %d: %s", rank, terminal_name(corrected))
    return shown


def _warnings(films: CorrectedDrafts, corrections: Corrections, model: ModelInUse) -> list[str]:
    texts = list(films.remarks)
    counted = corrections.films
    if n := int((~counted["reviewed"].astype(bool)).sum()):
        texts.append(
            f"{n} untouched film(s) name no person as their reader: they are in no number, since nothing shows that "
            "somebody looked at them"
        )
    if n := int((counted["corrected"].astype(bool) & (counted["signature"] != PERSON)).sum()):
        texts.append(f"{n} corrected film(s) name no person as their reader: they count as reviewed")
    if films.not_back:
        every = len(films.not_back) + len(films.corrected)
        texts.append(f"{len(films.not_back)} of {every} drafted films have no label: they are in no number")
    if films.not_drafted:
        texts.append(f"{len(films.not_drafted)} film(s) with labels were not drafted: they are in no number")
    if model.run is None:
        texts.append("this store has no run that trained the model: its corrections are in their own runs alone")
    return texts


def _facts(drafts: DraftSet, films: CorrectedDrafts) -> list[tuple[str, str]]:
    patients = len({film.patient for film in films.drafts})
    return [
        ("model", drafts.model),
        ("digest", drafts.digest[:12] or "not stated"),
        ("drafts for", ", ".join(drafts.tools)),
        ("films with labels", f"{len(films.corrected)} of {patients} patients"),
        ("drafted films without", str(len(films.not_back))),
    ]


def _history(run_id: str, metrics: Mapping[str, float]) -> list[FormerCorrections]:
    """All runs of corrections in this run's experiment, and this run."""
    this = get_run(run_id)
    former = [run for run in former_runs(experiment_of(this)) if run.info.run_id != run_id]
    return [*(_row(run, run.data.metrics, False) for run in former), _row(this, metrics, True)]


def _row(run: Run, metrics: Mapping[str, float], this: bool) -> FormerCorrections:
    when = datetime.fromtimestamp(run.info.start_time / 1000, UTC).strftime("%Y-%m-%d %H:%M")
    tags = run.data.tags
    digest_start = f" ({tags[MODEL_DIGEST][:8]})" if MODEL_DIGEST in tags else ""
    plain = {name.removeprefix(PREFIX): value for name, value in metrics.items() if name.startswith(PREFIX)}
    return FormerCorrections(when, f"{tags.get(MODEL_NAME, 'unknown')}{digest_start}", plain, this)


def _in_words(comparisons: Mapping[str, UseComparison]) -> list[tuple[str, bool]]:
    """Each comparison in words, and whether the version is worse."""
    return [(f"{name}: {one}", one.verdict is UseVerdict.WORSE) for name, one in comparisons.items()]


def _description(numbers: Estimates, comparisons: Mapping[str, UseComparison], warnings: Sequence[str]) -> str:
    compared = _in_words(comparisons)
    lines = [
        *map(red_line, [*(text for text, worse in compared if worse), *warnings]),
        f"**On the reviewed films:** {corrections_sentence(numbers)}",
        "",
    ]
    lines += [f"* {text}" for text, worse in compared if not worse]
    return "\n".join([*lines, "", f"The page is `{PAGE}`, under Artifacts.", "", DISCLAIMER])
