"""`audit`: checks of a dataset, logged with a report to a new run."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import mlflow
import pandas as pd

from spondylo_ml.config import AuditConfig, flatten
from spondylo_ml.config.experiments import TOOLS_EXPERIMENT
from spondylo_ml.config.paths import expanded
from spondylo_ml.data.audit.findings import Audit
from spondylo_ml.data.audit.statistics import audit_film_table, audit_slip_table
from spondylo_ml.data.films import FilmSet
from spondylo_ml.data.loading import audit_of, load_films_to_audit
from spondylo_ml.data.readers.recognition import Recognition, recognition_of
from spondylo_ml.folders import require_new_file
from spondylo_ml.pages.audit_page import audit_page
from spondylo_ml.tracking.addresses import page_link
from spondylo_ml.tracking.mlflow_log import log_params
from spondylo_ml.tracking.provenance import log_dataset, log_environment
from spondylo_ml.tracking.store import DESCRIPTION_TAG, chosen_experiment, open_run
from spondylo_ml.tracking.store_check import require_store
from spondylo_ml.workflows.shared.audit_log import log_audit

log = logging.getLogger(__name__)

REPORT = "index.html"


@dataclass(frozen=True)
class AuditResult:
    """The result of `audit`.

    Attributes:
        recognition: what the folder was recognised as; None for synthetic films.
        mapping_file: the file with the proposed mapping; None if none was asked for, or nothing is to be mapped.
    """

    run_id: str
    audit: Audit
    n_films: int
    recognition: Recognition | None = None
    mapping_file: Path | None = None


def audit(config: AuditConfig) -> AuditResult:
    """Check the configured films, bad files included, and log a report; no finding stops it.

    Raises:
        SpondyloError: no such folder or layout, a store that does not answer, or a file for the mapping that exists.
    """
    require_store()
    if config.mapping_to is not None:
        require_new_file(expanded(config.mapping_to))
    films, pixels = load_films_to_audit(config.data)
    result = audit_of(films, pixels)
    experiment = chosen_experiment(config.experiment, TOOLS_EXPERIMENT)
    with open_run(experiment, f"audit {films.name}", command="audit") as run_id:
        log_params(flatten(config.model_dump(mode="json", exclude={"mapping_to"})))
        log_environment()
        parts = sorted({film.split or "" for film in films.films})
        log_dataset(films, [part for part in parts if part])
        log_audit(result)
        _log_report(films, result, config)
    path = config.data.path
    recognition = recognition_of(path.expanduser(), config.data.kind, films) if path is not None else None
    written = _write_mapping(recognition, config.mapping_to)
    return AuditResult(run_id, result, len(films.films), recognition, written)


def _write_mapping(recognition: Recognition | None, to: Path | None) -> Path | None:
    """Write the proposed mapping to a new file; None if there is nothing to write. It quotes labels: no run gets it."""
    if recognition is None or to is None or not recognition.proposal.text:
        return None
    file = expanded(to)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("x", encoding="utf-8") as opened:
        opened.write(recognition.proposal.text)
    return file


def _log_report(films: FilmSet, result: Audit, config: AuditConfig) -> None:
    table = audit_film_table(films.films)
    slips = audit_slip_table(films.films)
    mlflow.set_tag("dataset", films.name)
    mlflow.log_metrics({f"audit/{name}": float(count) for name, count in result.counts().items()})
    mlflow.log_metrics(_dataset_metrics(table, slips))
    mlflow.log_text(table.to_csv(index=False), "audit/films.csv")
    mlflow.log_text(slips.to_csv(index=False), "audit/slips.csv")
    html = audit_page(films, result, table, slips, config.pictures, config.sample_films)
    mlflow.log_text(html, REPORT)
    mlflow.set_tag(DESCRIPTION_TAG, page_link("Open the page of this audit: films, labels and what was found"))


def _dataset_metrics(table: pd.DataFrame, slips: pd.DataFrame) -> dict[str, float]:
    return {
        "films/count": float(len(table)),
        "films/labelled": float(table["labelled"].sum()),
        "films/patients": float(table["patient"].nunique()),
        "films/vertebrae": float(table["n_vertebrae"].fillna(0).sum()),
        "films/with_spacing": float(table["spacing_x_mm"].notna().sum()),
        "films/slip_withheld": float((table["slip_withheld"] != "").sum()),
        "films/slips": float(len(slips)),
    }
