"""The best, the median and the worst validation film of a training run, in one picture."""

from __future__ import annotations

import mlflow
import numpy as np

from spondylo_ml.evaluation.film_ranking import best_median_worst
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.pages.figures.overlay import draw_film
from spondylo_ml.pages.figures.run_charts import side_by_side
from spondylo_ml.pages.figures.sheet import with_legend

FILE, KEY = "examples.png", "val/best_median_worst"
HEIGHT_PX = 460


def log_examples(predictions: PredictionSet, epoch: int) -> str:
    """Draw the films with truth and prediction and log them to the active run; Markdown that shows the picture.

    The picture is an artefact, which the description of the run shows, and one of the run's images at the kept epoch.

    Args:
        epoch: whose weights made the predictions.
    """
    errors = predictions.corners.groupby("film_id")["error_px512"].mean()
    by_film = np.array([errors.get(film.film_id, np.nan) for film in predictions.films], dtype=np.float64)
    pictures = {}
    for label, index in best_median_worst(by_film, 1):
        title = f"{label.partition('-')[0]}: {by_film[index]:.1f} px512"
        pictures[title] = draw_film(*predictions.pairs[index], HEIGHT_PX)
    picture = with_legend(side_by_side(pictures))
    mlflow.log_image(picture, artifact_file=FILE)
    mlflow.log_image(picture, key=KEY, step=epoch)
    return f"![best, median and worst validation film]({artefact_path(FILE)})"


def artefact_path(path: str) -> str:
    """Where the server that shows the active run's page serves an artefact."""
    run = mlflow.active_run()
    if run is None:
        raise ValueError("artefacts are shown on the page of a run; none is active")
    return f"get-artifact?path={path}&run_uuid={run.info.run_id}"
