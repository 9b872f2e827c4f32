"""`export`: films written to a folder in another layout."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, replace

from spondylo_ml.config import ExportConfig, PhantomConfig, flatten
from spondylo_ml.data.films import FilmSet, digest
from spondylo_ml.data.loading import read_films
from spondylo_ml.data.split import split_by_patient
from spondylo_ml.data.writers import WRITERS
from spondylo_ml.data.writers.dataset import WrittenDataset, write_dataset

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExportResult:
    """The result of an export.

    Attributes:
        digest: over the films as they are read back.
    """

    written: WrittenDataset
    digest: str


def export(config: ExportConfig) -> ExportResult:
    """Write the films of a folder in another layout.

    Raises:
        DataError: bad films, a target folder that is not empty, or nothing that the layout can hold.
    """
    films = read_films(config.data)
    films = with_parts(films, config.format, config.data.val_fraction, config.data.split_seed)
    return write_films(films, config)


def with_parts(films: FilmSet, kind: str, val_fraction: float, seed: int) -> FilmSet:
    """Deal labelled films without a part to train and val by patient, if the layout `kind` needs parts.

    The films of a single patient are all for training.
    """
    unassigned = [film for film in films.films if film.labelled and film.split is None]
    if not (WRITERS[kind].needs_parts and unassigned):
        return films
    labelled = [film for film in films.films if film.labelled]
    if len({film.patient for film in labelled}) > 1:
        dealt = split_by_patient(labelled, val_fraction, 0.0, seed)
        log.info("%d film(s) without a part: dealt to train and val by patient", len(unassigned))
    else:
        dealt = tuple(replace(film, split=film.split or "train") for film in labelled)
        log.info("%d film(s) of one patient without a part: all in train", len(unassigned))
    by_id = {film.film_id: film for film in dealt}
    return replace(films, films=tuple(by_id.get(film.film_id, film) for film in films.films))


def write_films(films: FilmSet, config: ExportConfig | PhantomConfig) -> ExportResult:
    """Write the films in the configured layout; under `mlflow run`, also log them to the run that MLflow opened.

    Raises:
        DataError: a target folder that is not empty, or nothing that the layout can hold.
    """
    if "MLFLOW_RUN_ID" not in os.environ:
        return _written(films, config)

    from spondylo_ml.tracking.store import open_run
    from spondylo_ml.tracking.store_check import require_store  # slow, and needed under `mlflow run` alone

    require_store()
    command = "phantom" if isinstance(config, PhantomConfig) else "export"
    with open_run("", f"{config.format} of {films.name}", command=command):
        exported = _written(films, config)
        _log(exported, config)
    return exported


def _written(films: FilmSet, config: ExportConfig | PhantomConfig) -> ExportResult:
    written = write_dataset(films, config.format, config.to.expanduser())
    return ExportResult(written, digest(written.films.films, written.films.slots))


def _log(exported: ExportResult, config: ExportConfig | PhantomConfig) -> None:
    import mlflow

    from spondylo_ml.tracking.mlflow_log import log_params
    from spondylo_ml.tracking.provenance import log_dataset, log_environment

    log_params(flatten(config.model_dump(mode="json")))
    log_environment()
    log_dataset(exported.written.films, ("all",))
    if lost := [str(loss) for loss in exported.written.losses]:
        mlflow.log_text("\n".join(lost) + "\n", "export/not_carried.txt")
    mlflow.set_tags({"dataset": exported.written.films.name, "films": str(len(exported.written.films.films))})
