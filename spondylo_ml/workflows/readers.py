"""`readers`: agreement of several readers of the same films, their consensus, and a model beside them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import mlflow
import pandas as pd

from spondylo_ml.config import ClinicalConfig, ReadersConfig, flatten
from spondylo_ml.config.experiments import TOOLS_EXPERIMENT
from spondylo_ml.config.paths import expanded
from spondylo_ml.data.films import FilmSet, digest, goes_by_pseudonym, terminal_name
from spondylo_ml.data.loading import read_films
from spondylo_ml.data.reader_study import ReaderStudy, match_readers
from spondylo_ml.data.writers.dataset import WrittenDataset, write_dataset
from spondylo_ml.disclaimer import DISCLAIMER
from spondylo_ml.evaluation.consensus import CONSENSUS, Consensus, consensus_of
from spondylo_ml.evaluation.intervals import Estimates, PatientBootstrap
from spondylo_ml.evaluation.listhesis_roc import points_table
from spondylo_ml.evaluation.model_as_reader import ModelAsReader, compare_with_readers
from spondylo_ml.evaluation.paired import difference_row
from spondylo_ml.evaluation.reader_agreement import Agreement, agreement_of
from spondylo_ml.evaluation.report import to_csv
from spondylo_ml.film_bar import film_bar
from spondylo_ml.landmarks import CORNERS, Film, SlotRange
from spondylo_ml.nan import drop_nan
from spondylo_ml.pages.figures.labels import Picture
from spondylo_ml.pages.figures.readers_picture import draw_readers
from spondylo_ml.pages.readers_page import ReaderStudyPage, agreement_sentence, model_verdict, readers_page
from spondylo_ml.serving.model_source import LoadedModel, find_model
from spondylo_ml.serving.predictor import Predictor
from spondylo_ml.tracking.addresses import page_link
from spondylo_ml.tracking.film_dataset import FilmDataset
from spondylo_ml.tracking.mlflow_log import log_params
from spondylo_ml.tracking.outcome import red_line
from spondylo_ml.tracking.provenance import log_environment
from spondylo_ml.tracking.store import DESCRIPTION_TAG, chosen_experiment, open_run
from spondylo_ml.tracking.store_check import require_store
from spondylo_ml.workflows.export import with_parts
from spondylo_ml.workflows.shared.training_films import seen_by_model

log = logging.getLogger(__name__)

PAGE = "index.html"
PICTURE_HEIGHT_PX = 640
VAL_FRACTION, SPLIT_SEED = 0.15, 0
"""Of consensus labels in a layout that needs parts, if the readers' datasets have none; the defaults of `export`."""

LOGGED = (
    "mre_px512", "mre_mm", "sdr_6px", "sdr_24px", "instance_mre_px512", "slip_mae_percent", "slip_bias_percent",
    "slip_limit_low_percent", "slip_limit_high_percent", "slip_reproducibility_percent", "slip_icc_2_1",
    "slip_error_percent", "grade_accuracy", "grade_kappa", "listhesis_auc",
)  # fmt: skip
"""Metrics of the run; its tables have all."""


@dataclass(frozen=True)
class ReadersResult:
    """The result of `readers`.

    Attributes:
        folders: folder of each reader, as it was given, by the reader's name in the run.
        model: the model beside the readers; None if none was given.
        written: the dataset with the consensus labels; None if it was not asked for.
    """

    run_id: str
    folders: Mapping[str, str]
    study: ReaderStudy
    agreement: Agreement
    consensus: Consensus
    model: ModelAsReader | None
    written: WrittenDataset | None
    warnings: tuple[str, ...]


def compare_readers(config: ReadersConfig) -> ReadersResult:
    """Compare the labels of several readers and log the results to a new run.

    In the run, readers are called A, B, ... in the order of their folders, whose names may be those of persons.

    Raises:
        SpondyloError: bad films, films that are not the same, no such model, or a store that does not answer.
    """
    require_store()
    datasets = [read_films(data) for data in config.datasets]
    study = match_readers(datasets)
    model = find_model(config.model, config.digest) if config.model is not None else None
    experiment = chosen_experiment(config.experiment, TOOLS_EXPERIMENT)
    title = f"{len(study.readers)} readers of {len(study.films)} films"
    with open_run(experiment, title, command="readers") as run_id:
        _log_origin(config, study, datasets, model)
        films = {reader: study.of(reader) for reader in study.readers}
        rules = model.bundle.config.clinical if model else ClinicalConfig()
        bootstrap = PatientBootstrap([row[0].patient for row in study.films], config.resamples, config.seed)
        agreement = agreement_of(films, rules, bootstrap)
        consensus = consensus_of(study.films)
        beside = None
        if model is not None:
            with film_bar("predicting films", len(study.films)) as bar:
                predictions = Predictor(model.bundle).predict(films[study.readers[0]], bar.update)
            beside = compare_with_readers(films, predictions, rules, bootstrap)
        warnings = (*study.remarks, *_not_common(study), *_seen_films(config.model, study))
        _log_tables(study, agreement, consensus, beside)
        pictures = _log_pictures(study, agreement, config.pictures)
        page = ReaderStudyPage(
            title, study.readers, _facts(study, model), warnings, agreement, consensus.open_levels, consensus.spread,
            study.incomplete, study.facings, beside, pictures,
        )  # fmt: skip
        mlflow.log_text(readers_page(page), PAGE)
        mlflow.set_tag(DESCRIPTION_TAG, _description(agreement, beside, warnings))
        written = _write_consensus(config, consensus, datasets[0]) if config.to is not None else None
    folders = dict(zip(study.readers, config.data, strict=True))
    return ReadersResult(run_id, folders, study, agreement, consensus, beside, written, warnings)


def _log_origin(
    config: ReadersConfig, study: ReaderStudy, datasets: Sequence[FilmSet], model: LoadedModel | None
) -> None:
    log_params(flatten(config.model_dump(mode="json", exclude={"data", "to", "model"})))
    tags = {"readers": ", ".join(study.readers), "films": str(len(study.films))}
    if study.incomplete:
        tags["films_not_labelled_by_all"] = str(len(study.incomplete))
    if model is not None:
        tags |= {"model": model.bundle.config.model.name, "model_name": model.name, "model_digest": model.digest}
    mlflow.set_tags(tags)
    log_environment()
    for reader, films in zip(study.readers, datasets, strict=True):
        named = replace(films, name=f"reader {reader}")
        of_reader = digest(films.films, films.slots)
        mlflow.log_input(FilmDataset(named, "all", of_reader), context=f"reader {reader}")
        mlflow.set_tag(f"data_digest.reader_{reader}", of_reader)


def _facts(study: ReaderStudy, model: LoadedModel | None) -> list[tuple[str, str]]:
    patients = len({row[0].patient for row in study.films})
    facts = [
        ("readers", ", ".join(study.readers)),
        ("films that all labelled", f"{len(study.films)} of {patients} patients"),
    ]
    facts.append(("films that not all labelled", str(len(study.incomplete))))
    return [*facts, ("model", model.name)] if model else facts


def _not_common(study: ReaderStudy) -> list[str]:
    if not study.incomplete:
        return []
    every = len(study.incomplete) + len(study.films)
    return [f"{len(study.incomplete)} of {every} films were not labelled by all readers: they are in no number here"]


def _seen_films(model: str | None, study: ReaderStudy) -> list[str]:
    """The warning that the model was trained on some of the films, or that nobody knows."""
    if model is None:
        return []
    seen = seen_by_model(model, [row[0] for row in study.films])
    if seen is None:
        return ["whether the model was trained on some of these films is unknown: if it was, its error is too low"]
    return [f"the model was trained on patients of {seen} of these films: its error is too low"] if seen else []


def _log_tables(study: ReaderStudy, agreement: Agreement, consensus: Consensus, beside: ModelAsReader | None) -> None:
    tables = {
        "agreement.csv": to_csv(agreement.numbers).rename(columns={"group": "readers"}),
        "levels.csv": agreement.levels,
        "corners.csv": corner_table(study),
        "disagreements.csv": agreement.disagreements,
        "film_errors.csv": agreement.film_errors_px512.reset_index(),
        "consensus.csv": consensus.spread,
        "open_levels.csv": consensus.open_levels,
        "films.csv": _film_table(study),
    }
    _log_numbers(agreement.numbers)
    if beside is not None:
        tables["model.csv"] = to_csv(beside.errors).rename(columns={"group": "measured"})
        tables["model_differences.csv"] = pd.DataFrame(
            [
                {"reader": reader, **difference_row(d)}
                for reader, differences in beside.differences.items()
                for d in differences
            ]
        )
        _log_numbers(beside.errors)
        if beside.roc is not None:
            tables["roc.csv"], tables["listhesis_points.csv"] = beside.roc.curve, points_table(beside.roc)
    for name, table in tables.items():
        mlflow.log_text(table.to_csv(index=False), name)


def _log_numbers(numbers: Mapping[str, Estimates]) -> None:
    for group, estimates in numbers.items():
        prefix = f"readers/{group}"
        metrics = {
            f"{prefix}/{name}{end}": value
            for name in LOGGED
            if (estimate := estimates.get(name)) is not None
            for end, value in (("", estimate.value), ("_low", estimate.low), ("_high", estimate.high))
        }
        mlflow.log_metrics(drop_nan(metrics))


def corner_table(study: ReaderStudy) -> pd.DataFrame:
    """One row per corner and reader, in px of the original film."""
    rows = [
        (film.film_id, reader, v.slot, v.level, CORNERS[corner], *v.corners_xy[corner], bool(v.visible[corner]))
        for reader in study.readers
        for film in study.of(reader)
        for v in film.vertebrae or ()
        for corner in range(len(CORNERS))
        if v.present[corner]
    ]
    return pd.DataFrame(rows, columns=["film_id", "reader", "slot", "level", "corner", "x_px", "y_px", "visible"])


def _film_table(study: ReaderStudy) -> pd.DataFrame:
    """One row per film: whether it is in the study, its patient, and what each reader has."""
    rows = [(row[0].film_id, True, row[0].patient, *["labelled"] * len(study.readers)) for row in study.films]
    rows += [(name, False, "", *states) for name, states in study.incomplete]
    return pd.DataFrame(rows, columns=["film_id", "compared", "patient", *(f"reader_{r}" for r in study.readers)])


def _log_pictures(study: ReaderStudy, agreement: Agreement, count: int) -> list[tuple[str, Picture]]:
    """Draw the films whose corners differ most between two readers."""
    errors = agreement.film_errors_px512
    worst = errors.mean(axis=1).sort_values(ascending=False, kind="stable").head(count)
    place = {row[0].film_id: index for index, row in enumerate(study.films)}
    shown = []
    for rank, film_id in enumerate(worst.index, start=1):
        row = study.films[place[film_id]]
        labels = {f"reader {reader}": film.vertebrae or () for reader, film in zip(study.readers, row, strict=True)}
        picture = draw_readers(row[0], labels, PICTURE_HEIGHT_PX)
        mlflow.log_image(picture, artifact_file=f"pictures/{rank:02d}-{film_id}.png")
        shown.append((f"{film_id}: {worst[film_id]:.1f} px512 between two readers", picture))
        if goes_by_pseudonym(row[0]):  # only the terminal shows file names
            log.info("picture %d: %s", rank, terminal_name(row[0]))
    return shown


def _description(agreement: Agreement, beside: ModelAsReader | None, warnings: Sequence[str]) -> str:
    lines = [*map(red_line, warnings), f"**Between two readers:** {agreement_sentence(agreement)}", ""]
    if beside is not None:
        verdict = model_verdict(beside)
        lines += [f"**{verdict.sentence}**", "", *(f"* {text}" for text in verdict.details), ""]
    return "\n".join([*lines, page_link("Open the page of this comparison: films, charts and tables"), "", DISCLAIMER])


def _write_consensus(config: ReadersConfig, consensus: Consensus, like: FilmSet) -> WrittenDataset:
    """Write the films with the consensus labels; log what the layout cannot carry."""
    assert config.to is not None
    films = FilmSet(like.kind, CONSENSUS, consensus.films, _slots(consensus.films))
    films = with_parts(films, config.layout, VAL_FRACTION, SPLIT_SEED)
    written = write_dataset(films, config.layout, expanded(config.to))
    if written.losses:
        mlflow.log_text("\n".join(map(str, written.losses)) + "\n", "consensus_not_carried.txt")
    return written


def _slots(films: Sequence[Film]) -> SlotRange:
    slots = [v.slot for film in films for v in film.vertebrae or ()]
    return SlotRange(min(slots, default=0), max(slots, default=0) - min(slots, default=0) + 1)
