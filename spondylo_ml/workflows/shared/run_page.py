"""The page of a run, `index.html`, with its films drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import mlflow
import numpy as np
from mlflow.exceptions import MlflowException

from spondylo_ml.config import ClinicalConfig
from spondylo_ml.evaluation.film_ranking import best_median_worst
from spondylo_ml.evaluation.paired import film_means, paired_values
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.evaluation.report import EvaluationReport
from spondylo_ml.pages.figures.labels import Picture
from spondylo_ml.pages.figures.overlay import draw_film
from spondylo_ml.pages.run_page import RunPageData, headline_rows, run_page
from spondylo_ml.workflows.shared.uncertainty import PICTURE

PAGE = "index.html"
FILM_HEIGHT_PX = 560


@dataclass(frozen=True)
class RunFacts:
    """What a page says of its run beside the results; see `RunPageData`."""

    title: str
    facts: Sequence[tuple[str, str]]
    synthetic: bool
    warning: str = ""
    mean_shape_mre_px512: float = float("nan")
    differences: Mapping[str, str] = field(default_factory=dict)
    curves: Mapping[str, Sequence[tuple[int, float]]] = field(default_factory=dict)
    files: Sequence[tuple[str, str]] = ()


def log_run_page(
    about: RunFacts, predictions: PredictionSet, report: EvaluationReport, rules: ClinicalConfig, films: int = 1
) -> None:
    """Log the page to the active run.

    Args:
        films: number of best, of median and of worst films to draw.
    """
    data = RunPageData(
        title=about.title,
        facts=about.facts,
        report=report,
        synthetic=about.synthetic,
        warning=about.warning,
        mean_shape_mre_px512=about.mean_shape_mre_px512,
        differences=about.differences,
        curves=about.curves,
        pictures=_pictures(predictions, rules, films),
        levels=predictions.slips(rules),
        calibration=_logged_picture(PICTURE),
        files=about.files,
    )
    mlflow.log_text(run_page(data), PAGE)


def results_in_markdown(report: EvaluationReport) -> str:
    """The headline of a report as a Markdown table."""
    rows = headline_rows(report, float("nan"))
    lines = [f"| {' | '.join(row[:4])} |" for row in rows]
    where = f"{report.dataset}, {report.part} part: {report.n_labelled} labelled films of {report.n_patients} patients."
    return "\n".join([lines[0], "| --- | --- | --- | --- |", *lines[1:], "", where])


def _pictures(predictions: PredictionSet, rules: ClinicalConfig, count: int) -> list[tuple[str, Picture]]:
    """The best, the median and the worst labelled films."""
    films = predictions.films
    errors = film_means(paired_values(predictions, rules)["mre_px512"]).reindex([film.film_id for film in films])
    chosen = best_median_worst(errors.to_numpy(dtype=np.float64), count)
    return [
        (label.removesuffix("-1") if count == 1 else label, draw_film(*predictions.pairs[index], FILM_HEIGHT_PX))
        for label, index in chosen
    ]


def _logged_picture(path: str) -> Picture | None:
    """A picture that the active run has logged; None if it has not."""
    run = mlflow.active_run()
    if run is None:
        raise ValueError("the page of a run is logged within the run; none is active")
    try:
        file = mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path=path)
    except (MlflowException, OSError):
        return None
    picture = cv2.imread(file)
    return None if picture is None else np.asarray(picture[..., ::-1], dtype=np.uint8)
