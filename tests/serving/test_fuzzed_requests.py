"""Corrupted requests to a scoring server: each is answered with films' results or an error of the sender's."""

from __future__ import annotations

import base64
import json

import cv2
import numpy as np
import pandas as pd
from fuzzing import corrupted, seed_ranges

from spondylo_ml.errors import DataError
from spondylo_ml.serving.artefact import SIGNATURE
from spondylo_ml.serving.http_requests import answer
from spondylo_ml.serving.pyfunc import _require_films, _source

JSON = "application/json"


class Opening:
    """Opens the films of a table as a model does, and predicts nothing."""

    def predict(self, table: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"error": [self._error(n, record) for n, record in enumerate(table.to_dict("records"))]})

    def _error(self, number: int, record: dict[object, object]) -> str:
        try:
            _source(number, record, None).open()
        except DataError as error:
            return str(error)
        return ""


def request() -> bytes:
    _, png = cv2.imencode(".png", np.random.default_rng(0).integers(0, 255, (24, 20), dtype=np.uint8))
    film = {"image": base64.b64encode(png.tobytes()).decode(), "facing": "left", "spacing_x_mm": 0.1, "pixel_aspect": 1}
    levels = [[n, n + 1, n + 2] for n in range(3)]
    return json.dumps({"dataframe_records": [film | {"spacing_y_mm": 0.1}, {"image": levels}]}).encode()


@seed_ranges()
def test_a_corrupted_request_is_answered(seeds: range) -> None:
    statuses = set()
    for seed in seeds:
        body = corrupted(request(), f"request {seed}")
        response, status, _ = answer(body, JSON, Opening(), SIGNATURE.inputs, _require_films)
        assert status in (200, 400, 413), (seed, response)
        assert isinstance(json.loads(response), dict), seed
        statuses.add(status)
    assert statuses >= {200, 400}
