"""Log a bundle as an MLflow model, and fetch it back."""

from __future__ import annotations

import base64
import os
import re
import tempfile
from importlib.metadata import version
from pathlib import Path
from shutil import copytree

import cv2
import mlflow
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types.schema import AnyType, Array, Object, Property

from spondylo_ml.data.phantom import phantom_film, render
from spondylo_ml.serving.bundle import Bundle, bundle_digest, load_bundle, save_bundle
from spondylo_ml.serving.local_model import STARTER_FOLDER, only_model
from spondylo_ml.serving.model_address import MODEL_NAME, model_uri_of_run
from spondylo_ml.serving.pyfunc import BUNDLE, DIGEST, FILMS_BELOW, IMAGE_COLUMN, LOGGED_DIGEST
from spondylo_ml.tracking.digests import BUNDLE_DIGEST, digest_of_run
from spondylo_ml.tracking.logged_models import logged_model, no_model_error

REQUIRED = (
    "Jinja2", "PyYAML", "albumentations", "imagecodecs", "lightning", "mlflow", "numpy", "opencv-python-headless",
    "pandas", "pillow", "pydantic", "pydicom", "requests", "safetensors", "scikit-learn", "scipy", "timm", "torch",
    "torchvision", "tqdm",
)  # fmt: skip

_SLIP: dict[str, DataType | Array] = {
    "level": DataType.string, "upper_slot": DataType.long, "lower_slot": DataType.long,
    "slip_percent": DataType.double, "slip_mm": DataType.double, "grade": DataType.long,
    "grade_name": DataType.string, "reason": DataType.string, "low_percent": DataType.double,
    "high_percent": DataType.double, "coverage": DataType.double, "grade_probabilities": Array(DataType.double),
    "grade_set": Array(DataType.long), "refer": DataType.boolean, "verdict": DataType.string,
}  # fmt: skip
_SLOT_VALUES = Array(DataType.double)
_FORBIDDEN = re.compile(r"[^\w()+=,]+")

OUTPUT: dict[str, DataType | Array] = {
    "film_key": DataType.string,
    "size_hw_px": Array(DataType.long),
    "levels": Array(DataType.string),
    "presence": _SLOT_VALUES,
    "corners_xy_px": Array(Array(_SLOT_VALUES)),
    "corner_score": Array(_SLOT_VALUES),
    "facing": DataType.string,
    "levels_known": DataType.boolean,
    "slips": Array(Object([Property(name, kind, required=False) for name, kind in _SLIP.items()])),
    "warnings": Array(DataType.string),
    "model": DataType.string,
    "error": DataType.string,
}
"""Type of each column of a result. Slots count from the sacrum up, corners are in the order of `landmarks.CORNERS`,
(x, y) in px of the original film. Absent values are null."""

SIGNATURE = ModelSignature(
    inputs=Schema(
        [
            ColSpec(AnyType(), IMAGE_COLUMN),  # type: ignore[no-untyped-call]
            ColSpec(DataType.string, "facing", required=False),
            ColSpec(DataType.double, "spacing_x_mm", required=False),
            ColSpec(DataType.double, "spacing_y_mm", required=False),
            ColSpec(AnyType(), "pixel_aspect", required=False),  # type: ignore[no-untyped-call]
        ]
    ),
    outputs=Schema([ColSpec(kind, name, required=name == "model") for name, kind in OUTPUT.items()]),
)

# MLflow would show progress bars for copying two files.
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")


def log_bundle(bundle: Bundle, step: int, name: str = MODEL_NAME) -> str:
    """Log the model to the active run and its digest as a tag of the run; returns the model's MLflow URI.

    A run that was killed after it had logged its model, then resumed, keeps that one if the new one equals it.

    Args:
        name: of the model in MLflow, such as a run's name; characters that MLflow does not allow there are replaced.
    """
    package = Path(__file__).resolve().parents[1]
    temporary = tempfile.TemporaryDirectory
    with temporary() as folder, temporary() as code, temporary() as digests:
        save_bundle(bundle, Path(folder))
        digest = bundle_digest(Path(folder))
        already = _logged_before(digest)
        if already is not None:
            mlflow.set_tag(BUNDLE_DIGEST, digest)
            return already
        copytree(package, Path(code) / package.name, ignore=_not_code)
        logged_digest = Path(digests) / LOGGED_DIGEST
        logged_digest.write_text(digest, encoding="utf-8")
        logged = mlflow.pyfunc.log_model(
            name=_FORBIDDEN.sub("-", name).strip("-") or MODEL_NAME,
            python_model=str(package / "serving" / "pyfunc_entry.py"),
            artifacts={BUNDLE: folder, LOGGED_DIGEST: str(logged_digest)},
            # A loading program can only set keys that are named here. MLflow logs the values as parameters of the run.
            model_config={FILMS_BELOW: "", DIGEST: ""},
            code_paths=[str(Path(code) / package.name)],
            pip_requirements=[f"{name}=={version(name)}" for name in REQUIRED],
            signature=SIGNATURE,
            input_example=_example(),
            step=step,
            tags={BUNDLE_DIGEST: digest},
        )
    mlflow.set_tag(BUNDLE_DIGEST, digest)
    return str(logged.model_uri)


def _logged_before(digest: str) -> str | None:
    """URI of the model of the active run if it is the one with this digest."""
    active = mlflow.active_run()
    model = logged_model(mlflow.get_run(active.info.run_id)) if active else None
    return str(model.model_uri) if model is not None and model.tags.get(BUNDLE_DIGEST) == digest else None


def fetch_bundle(run_id: str) -> Bundle:
    """The model that a run logged, checked against the digest that the run logged.

    Raises:
        TrackingError: the run has logged no model, or no digest of it.
        DataError: the files are damaged or changed.
    """
    try:
        folder = mlflow.artifacts.download_artifacts(model_uri_of_run(run_id))
    except (MlflowException, OSError):
        raise no_model_error(run_id) from None
    return load_bundle(only_model(Path(folder)), digest_of_run(run_id))


def _not_code(folder: str, names: list[str]) -> list[str]:
    """Names of what a logged model does not need of the package: the starter model, of many MB, and compiled files."""
    is_package = Path(folder) == STARTER_FOLDER.parent
    return [name for name in names if name == "__pycache__" or (is_package and name == STARTER_FOLDER.name)]


def _example() -> pd.DataFrame:
    """An example request: one small synthetic film as PNG."""
    _, png = cv2.imencode(".png", render(phantom_film(seed=0, index=0, long_side_px=128)))
    return pd.DataFrame({IMAGE_COLUMN: [base64.b64encode(png.tobytes()).decode()]})
