"""The model as an MLflow pyfunc: encoded images in, corners out."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from mlflow.pyfunc.model import PythonModel

from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import Facing, Film, FilmPrediction, GreyImage
from spondylo_ml.serving.bundle import load_bundle
from spondylo_ml.serving.predictor import Predictor

IMAGE_COLUMN = "image"
BUNDLE = "bundle"


@dataclass(frozen=True)
class EncodedImage:
    """Pixels in the bytes of an image file."""

    data: bytes

    def read(self) -> GreyImage:
        """(H, W) grey levels, 0 to 255."""
        buffer = np.frombuffer(self.data, dtype=np.uint8)
        image = cv2.imdecode(buffer, cv2.IMREAD_GRAYSCALE) if len(buffer) else None
        if image is None:
            raise DataError("the bytes are no image that can be read")
        return np.asarray(image, dtype=np.uint8)

    def fingerprint(self) -> str:
        """SHA-256 of the bytes."""
        return hashlib.sha256(self.data).hexdigest()


class LandmarkPyfunc(PythonModel):
    """A data frame with base64 images in the column `image` to one row of corners a film.

    Output columns: `levels` (names of the slots), `corners_xy_px` (slot, corner, x and y in px of the film),
    `presence` (probability of each level).
    """

    def load_context(self, context: Any) -> None:
        """Load the bundle that was logged beside this code."""
        self._predictor = Predictor(load_bundle(Path(context.artifacts[BUNDLE])))

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """One row a film, in order.

        Raises:
            DataError: the column is missing, or its text is no base64 image.
        """
        if IMAGE_COLUMN not in model_input.columns:
            raise DataError(
                f"column {IMAGE_COLUMN!r} (base64 image bytes) is needed; given {list(model_input.columns)}"
            )
        films = [_film(i, text) for i, text in enumerate(model_input[IMAGE_COLUMN])]
        rows = [_row(prediction) for prediction in self._predictor.predict(films)]
        return pd.DataFrame(rows, columns=["levels", "corners_xy_px", "presence"])


def _film(index: int, text: object) -> Film:
    try:
        image = EncodedImage(base64.b64decode(str(text), validate=True))
        height, width = image.read().shape
    except (binascii.Error, DataError) as error:
        raise DataError(f"row {index}: {error}") from None
    return Film(f"film-{index}", image, (height, width), None, Facing.UNKNOWN, f"film-{index}", "request")


def _row(prediction: FilmPrediction) -> list[object]:
    return [list(prediction.slots.names), prediction.corners_xy.tolist(), prediction.presence.tolist()]
