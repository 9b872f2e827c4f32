"""The values of single observations that a run logged for the noise floor of its metrics."""

from __future__ import annotations

import mlflow
from mlflow.exceptions import MlflowException

from spondylo_ml.evaluation.paired import PairedValues
from spondylo_ml.evaluation.seed_noise import VALUES_FILE, values_from_text


def read_values(run_id: str, folder: str = "") -> dict[str, PairedValues] | None:
    """Read the values by metric; None if the run logged none, as older runs did not.

    Args:
        folder: folder of the file among the run's artefacts.
    """
    path = f"{folder}/{VALUES_FILE}" if folder else VALUES_FILE
    try:
        return values_from_text(mlflow.artifacts.load_text(f"runs:/{run_id}/{path}"))
    except (MlflowException, OSError):
        return None
