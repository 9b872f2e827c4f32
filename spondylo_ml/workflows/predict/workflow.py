"""`predict`: corners, slips, grades, overlays and reports of custom films, written to a folder.

Under `mlflow run`, logs the model and the film counts to the run that MLflow opened, but neither names nor results.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import mlflow

from spondylo_ml.config import PredictConfig
from spondylo_ml.config.paths import expanded
from spondylo_ml.data.decode import FilmDetails, open_file
from spondylo_ml.data.dicomweb import DicomwebServer
from spondylo_ml.data.film_files import NAMES_FILE, CollectedFilms, FilmFile, collect_films, write_names
from spondylo_ml.data.follow_up import NotCompared, film_pairs
from spondylo_ml.data.pseudonyms import pseudonym
from spondylo_ml.dicom_results.installed import require_installed
from spondylo_ml.errors import DataError
from spondylo_ml.film_bar import with_film_bar
from spondylo_ml.film_report.report_texts import read_texts
from spondylo_ml.folders import require_result_folder
from spondylo_ml.landmarks import GreyImage
from spondylo_ml.pages.gallery_page import ComparedPair
from spondylo_ml.serving.backends import open_model
from spondylo_ml.serving.film_model import FilmModel, FilmSource
from spondylo_ml.serving.film_result import FilmResult
from spondylo_ml.spacing import Spacing
from spondylo_ml.tracking.provenance import log_environment
from spondylo_ml.tracking.store import open_run
from spondylo_ml.tracking.store_check import require_store
from spondylo_ml.version import __version__
from spondylo_ml.workflows.predict.changes import Changes
from spondylo_ml.workflows.predict.dicom_folder import DicomFolder
from spondylo_ml.workflows.predict.finished_films import FinishedFilms, Row
from spondylo_ml.workflows.predict.result_folder import ReportFiles, ResultFolder


@dataclass(frozen=True)
class Failure:
    """A film without a result, or without its DICOM objects, for the terminal."""

    path: Path
    film_id: str
    reason: str


@dataclass(frozen=True)
class PredictionResult:
    """The result of `predict`.

    Attributes:
        asked_for: the model as the command named it.
        films: all films.
        n_before: films whose results were there already, from a `predict` that was stopped.
        not_sent: films that a server did not send; they are not among `films`.
        unread: films that could not be read.
        skipped: files in the folders that are not films.
        notes: what else in the folders is not used.
        compared: pairs of films of one patient.
        not_compared: films that state a visit or a position and are in no pair.
        dicom_folder: folder of the DICOM objects; None if none were asked for.
        without_dicom: films for which no DICOM objects could be written.
        draft_format: labelling tool of the drafts; None if none were asked for.
    """

    folder: Path
    model: str
    asked_for: str
    films: tuple[FilmFile, ...]
    unread: tuple[Failure, ...]
    skipped: tuple[Path, ...]
    compared: tuple[ComparedPair, ...] = ()
    not_compared: tuple[NotCompared, ...] = ()
    dicom_folder: Path | None = None
    without_dicom: tuple[Failure, ...] = ()
    draft_format: str | None = None
    n_before: int = 0
    notes: tuple[str, ...] = ()
    not_sent: tuple[Failure, ...] = ()

    @property
    def failed(self) -> tuple[Failure, ...]:
        """Films without all that was asked for."""
        return (*self.not_sent, *self.unread, *self.without_dicom)


def predict(config: PredictConfig) -> PredictionResult:
    """Predict each film and write the results; a film that cannot be read is reported and skipped.

    With `resume`, films that a stopped `predict` wrote to the same folder are not read again.

    Raises:
        SpondyloError: no such model, no film, a target folder that is not empty, texts of a report that cannot be
            used, `dicom_to` without highdicom, or a server that has no such film.
    """
    require_result_folder(config.to.expanduser(), config.resume)
    if config.dicom_to is not None:
        require_installed()
    reports = None
    if config.reports:
        reports = ReportFiles(config.pdf, read_texts(expanded(config.report_texts) if config.report_texts else None))
    with tempfile.TemporaryDirectory(prefix="spondylo-") as retrieved:
        return _predict(config, reports, *_inputs(config, Path(retrieved)))


def _inputs(config: PredictConfig, folder: Path) -> tuple[CollectedFilms, tuple[Failure, ...]]:
    """The films, and those that a server did not send; what it sends is kept in `folder`."""
    if not config.study:
        return collect_films(config.films), ()
    retrieved = DicomwebServer(config.films[0]).retrieve(config.study, folder)
    failed = tuple(Failure(Path(uid), pseudonym(uid), reason) for uid, reason in retrieved.failed)
    if not retrieved.files:
        reasons = "; ".join(dict.fromkeys(failure.reason for failure in failed)) or "it has other objects alone"
        raise DataError(f"no film in the given studies: {reasons}")
    films = collect_films([str(path) for path in retrieved.files])
    return replace(films, skipped=(*films.skipped, *map(Path, retrieved.skipped))), failed


def _predict(
    config: PredictConfig, reports: ReportFiles | None, inputs: CollectedFilms, not_sent: tuple[Failure, ...]
) -> PredictionResult:
    model = open_model(config.model, config.backend, config.batch_size, config.digest)
    folder = ResultFolder(config.to.expanduser(), model, config.overlays, reports, config.format)
    pairs = film_pairs([film.of_patient for film in inputs.films])
    changes = Changes(folder.root, model, pairs, config.reports)
    server = None if config.dicom_store is None else DicomwebServer(config.dicom_store)
    dicom = None if config.dicom_to is None else DicomFolder(config.dicom_to.expanduser(), model, server)
    with FinishedFilms(folder.root, _command(config, model), config.resume) as finished:
        rows = _rows_before(inputs.films, finished, changes, config)
        unread, without_dicom = list[Failure](), list[Failure]()
        results = _with_progress(model, [film for film in inputs.films if film.film_id not in rows], config)
        try:
            for film in inputs.films:
                if film.film_id in rows:
                    folder.add_finished(rows[film.film_id])
                    continue
                film_result = next(results)
                row = folder.add(film_result)
                changes.add(film_result, partial(_pixels, film, config))
                if film_result.error:
                    unread.append(Failure(film.path, film.film_id, film_result.error_detail))
                    continue
                if dicom is not None and (reason := _add(dicom, film, film_result)):
                    without_dicom.append(Failure(film.path, film.film_id, reason))
                finished.add(film.film_id, film.path, _details(film.details, config), row)
        finally:  # keep the results up to an interruption
            folder.write_tables()
        compared = changes.write()
        if compared:
            folder.write_gallery(compared)
        if config.private_names:
            write_names(folder.root / NAMES_FILE, inputs.films)
    result = PredictionResult(
        folder=folder.root,
        model=model.name,
        asked_for=config.model,
        films=inputs.films,
        n_before=len(rows),
        not_sent=not_sent,
        unread=tuple(unread),
        skipped=inputs.skipped,
        notes=inputs.notes,
        dicom_folder=dicom.root if dicom else None,
        without_dicom=tuple(without_dicom),
        compared=compared,
        not_compared=pairs.not_compared,
        draft_format=config.format,
    )
    if "MLFLOW_RUN_ID" in os.environ:
        _log(result)
    return result


def _command(config: PredictConfig, model: FilmModel) -> dict[str, str]:
    """What must be the same for all results of a folder."""
    names = ("backend", "overlays", "reports", "pdf", "report_texts")
    values = {name: str(getattr(config, name)) for name in names}
    return {"spondylo_ml": __version__, "model": model.name, "digest": model.digest, **values}


def _rows_before(
    films: Sequence[FilmFile], finished: FinishedFilms, changes: Changes, config: PredictConfig
) -> dict[str, Row]:
    """Rows of films that are not read again, by film. Films that are compared with others are always read again."""
    finished.require_among([film.film_id for film in films])
    rows = {
        film.film_id: finished.row_of(film.film_id, film.path, _details(film.details, config))
        for film in films
        if film.film_id not in changes.wanted
    }
    return {film_id: row for film_id, row in rows.items() if row is not None}


def _pixels(film: FilmFile, config: PredictConfig) -> GreyImage:
    """The pixels of a film, read once more."""
    return open_file(film.path, film.film_id, _details(film.details, config)).image.read()


def _add(dicom: DicomFolder, film: FilmFile, result: FilmResult) -> str:
    """Write the DICOM objects of a film; returns why there are none, or nothing."""
    try:
        dicom.add(film.path, result)
    except DataError as error:
        return str(error)
    return ""


def _details(details: FilmDetails, config: PredictConfig) -> FilmDetails:
    """The details of a film from `films.csv`; where they are absent, those that the command sets for all films."""
    spacing, aspect = details.spacing, details.pixel_aspect
    if spacing is None and config.spacing_mm is not None:
        spacing = Spacing(config.spacing_mm, config.spacing_mm, "given with the command")
    return replace(details, spacing=spacing, pixel_aspect=config.pixel_aspect if aspect is None else aspect)


def _with_progress(model: FilmModel, films: Sequence[FilmFile], config: PredictConfig) -> Iterator[FilmResult]:
    sources = (
        FilmSource(film.film_id, partial(open_file, film.path, film.film_id, _details(film.details, config)))
        for film in films
    )
    yield from with_film_bar(model.results(sources), "predicting films", len(films))


def _log(result: PredictionResult) -> None:
    """Log to the run that `mlflow run` opened; MLflow itself has logged the parameters."""
    require_store()
    with open_run("", f"predict {len(result.films)} films", command="predict"):
        mlflow.set_tags(
            {"predicted_by": result.model, "films": str(len(result.films)), "failed": str(len(result.unread))}
        )
        log_environment()
