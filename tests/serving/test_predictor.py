"""One network, several threads: one batch at a time."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from small_models import KnownCorners, bundle_with_known_corners, unet_bundle
from torch import Tensor

from spondylo_ml.data.synthetic import phantom_films
from spondylo_ml.models.base import Landmarks
from spondylo_ml.serving.predictor import Predictor
from spondylo_ml.training.device import Compute

FILMS = phantom_films(5, 4, 96).films


class ConcurrencyCounter(KnownCorners):
    """Counts how many threads call it at the same time."""

    now = most = 0
    lock = threading.Lock()

    def predict(self, images: Tensor) -> Landmarks:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(0.05)  # long enough for other threads to enter if nothing stopped them
        with self.lock:
            self.now -= 1
        return super().predict(images)


def test_only_one_thread_uses_the_network_at_a_time() -> None:
    model = ConcurrencyCounter(FILMS)
    predictor = Predictor(replace(bundle_with_known_corners(FILMS), model=model))
    with ThreadPoolExecutor(len(FILMS)) as pool:
        predictions = list(pool.map(lambda film: predictor.predict([film]), FILMS))
    assert [one.film_id for (one,) in predictions] == [film.film_id for film in FILMS]
    assert model.most == 1


def test_a_model_trained_in_bf16_predicts_in_single_precision() -> None:
    bundle = unet_bundle()
    exact, mixed = (
        Predictor(bundle, Compute("cpu", precision, "a test")).predict(FILMS) for precision in ("fp32", "bf16")
    )
    for one, other in zip(exact, mixed, strict=True):
        np.testing.assert_array_equal(one.corners_xy, other.corners_xy)
