"""A bundle as a logged MLflow model, and back."""

from __future__ import annotations

import base64
import os
import tempfile
from importlib.metadata import version
from pathlib import Path

import cv2
import mlflow
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types.schema import Array

from spondylo_ml.data.phantom import phantom_film, render
from spondylo_ml.errors import TrackingError
from spondylo_ml.serving.bundle import Bundle, load_bundle, save_bundle
from spondylo_ml.serving.pyfunc import BUNDLE, IMAGE_COLUMN

MODEL_NAME = "model"
REQUIRED = (
    "mlflow", "torch", "torchvision", "lightning", "numpy", "pandas", "opencv-python-headless", "pydantic", "PyYAML",
    "requests", "safetensors", "scikit-learn", "scipy", "timm",
)  # fmt: skip


SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec(DataType.string, IMAGE_COLUMN)]),
    outputs=Schema(
        [
            ColSpec(Array(DataType.string), "levels"),
            ColSpec(Array(Array(Array(DataType.double))), "corners_xy_px"),
            ColSpec(Array(DataType.double), "presence"),
        ]
    ),
)

# MLflow's bars for copying two files say nothing to anyone.
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")


def log_bundle(bundle: Bundle, step: int) -> str:
    """Log the model to the active run; its MLflow URI."""
    package = Path(__file__).resolve().parents[1]
    with tempfile.TemporaryDirectory() as folder:
        save_bundle(bundle, Path(folder))
        logged = mlflow.pyfunc.log_model(
            name=MODEL_NAME,
            python_model=str(package / "serving" / "pyfunc_entry.py"),
            artifacts={BUNDLE: folder},
            code_paths=[str(package)],
            pip_requirements=[f"{name}=={version(name)}" for name in REQUIRED],
            signature=SIGNATURE,
            input_example=_example(),
            step=step,
        )
    return str(logged.model_uri)


def fetch_bundle(run_id: str) -> Bundle:
    """The model that a run logged.

    Raises:
        TrackingError: the run has logged none.
    """
    try:
        folder = mlflow.artifacts.download_artifacts(f"runs:/{run_id}/{MODEL_NAME}")
    except (MlflowException, OSError):
        raise TrackingError(
            f"run {run_id} has logged no model: it failed or still runs. Go on with it: train --resume {run_id}"
        ) from None
    (bundle,) = (path.parent for path in Path(folder).rglob("bundle.json"))
    return load_bundle(bundle)


def _example() -> pd.DataFrame:
    """A request: one small synthetic film as a PNG."""
    _, png = cv2.imencode(".png", render(phantom_film(seed=0, index=0, long_side_px=128)))
    return pd.DataFrame({IMAGE_COLUMN: [base64.b64encode(png.tobytes()).decode()]})
