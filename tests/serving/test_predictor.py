"""One network, several threads: films go through it one batch at a time."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from small_models import KnownCorners, knowing_bundle
from torch import Tensor

from spondylo_ml.data.synthetic import phantom_films
from spondylo_ml.models.base import Landmarks
from spondylo_ml.serving.predictor import Predictor

FILMS = phantom_films(5, 4, 96).films


class Watched(KnownCorners):
    """Counts how many are in it at the same time."""

    now = most = 0
    lock = threading.Lock()

    def predict(self, images: Tensor) -> Landmarks:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(0.05)  # long enough for the others to come in, were they let
        with self.lock:
            self.now -= 1
        return super().predict(images)


def test_threads_take_turns_at_the_network() -> None:
    model = Watched(FILMS)
    predictor = Predictor(replace(knowing_bundle(FILMS), model=model))
    with ThreadPoolExecutor(len(FILMS)) as pool:
        found = list(pool.map(lambda film: predictor.predict([film]), FILMS))
    assert [one.film_id for (one,) in found] == [film.film_id for film in FILMS]
    assert model.most == 1
