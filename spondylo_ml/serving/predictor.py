"""Predict films with the same preprocessing as in training; as configured, on windows of them too."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from threading import Lock

from spondylo_ml.data.batches import plain_loader
from spondylo_ml.data.prepare import PreparedFilm, prepare_films
from spondylo_ml.landmarks import Film, FilmPrediction
from spondylo_ml.models.monte_carlo import landmark_predictor
from spondylo_ml.serving.bundle import Bundle
from spondylo_ml.serving.closer_reading import CloserReading, usual_size_px
from spondylo_ml.training.device import Compute, choose_compute
from spondylo_ml.training.inference import FILMS_AT_ONCE, predict_batch, to_film_predictions


class Predictor:
    """A loaded model on a device, always in single precision. Safe to use from several threads."""

    def __init__(self, bundle: Bundle, compute: Compute | None = None, batch_size: int = FILMS_AT_ONCE) -> None:
        self._bundle, self._batch_size = bundle, batch_size
        compute = compute or choose_compute(bundle.config.training.model_copy(update={"device": "auto"}))
        self._compute = compute.exact()
        self._model = bundle.model.to(self._compute.device).eval()
        self._landmarks = landmark_predictor(self._model, bundle.config.uncertainty)
        # A server calls from several threads, but dropout is switched on and off in the shared network, and each batch
        # in it takes memory.
        self._lock = Lock()
        reading = bundle.config.reading
        self._closer = self._closer_reading() if reading.crop or reading.turn or reading.check_levels else None

    def predict(self, films: Sequence[Film], on_film: Callable[[], object] = lambda: None) -> list[FilmPrediction]:
        """One prediction per film, in px of the original film, in order.

        Raises:
            DataError: a film's pixels cannot be read.
        """
        predictions: list[FilmPrediction] = []
        for chunk in _chunks(films, 8 * self._batch_size):
            predictions += self.predict_prepared(prepare_films(chunk, self._bundle.slots, self._input_hw, on_film))
        return predictions

    def predict_prepared(
        self, prepared: Sequence[PreparedFilm], on_film: Callable[[], object] = lambda: None
    ) -> list[FilmPrediction]:
        """Like `predict`, for films that are already preprocessed for this model; calls `on_film` after each.

        Raises:
            DataError: a film must be read again on a window, and its pixels cannot be read.
        """
        predictions = []
        for film, prediction in zip(prepared, self._read(prepared), strict=True):
            best = self._closer.best(film, prediction) if self._closer else prediction
            predictions.append(replace(best, refusal=self._refusal(best)))
            on_film()
        return predictions

    @property
    def reads_again(self) -> bool:
        """Whether a film may be read more than once."""
        return self._closer is not None

    def _read(self, prepared: Sequence[PreparedFilm]) -> list[FilmPrediction]:
        """The predictions on films, or windows of them, as they are."""
        predictions: list[FilmPrediction] = []
        for batch in plain_loader(prepared, self._batch_size):
            with self._lock:
                landmarks = predict_batch(self._landmarks, batch.images.to(self._compute.device), self._compute)
            rows = [prepared[i] for i in batch.row.tolist()]
            predictions += map(self._with_confidence, to_film_predictions(rows, landmarks, self._model))
        return predictions

    @property
    def _input_hw(self) -> tuple[int, int]:
        return self._bundle.config.data.network_input_hw

    def _closer_reading(self) -> CloserReading:
        return CloserReading(
            config=self._bundle.config.reading,
            usual_px=usual_size_px(self._bundle.mean_shape, self._input_hw),
            read=self._read,
            refused=lambda prediction: bool(self._refusal(prediction)),
            least_confidence=self._bundle.config.clinical.least_sacrum_confidence,
        )

    def _refusal(self, prediction: FilmPrediction) -> str:
        return self._bundle.refusal.of(prediction) if self._bundle.refusal else ""

    def _with_confidence(self, prediction: FilmPrediction) -> FilmPrediction:
        usual, levels = self._bundle.evidence, self._bundle.level_confidence
        return replace(
            prediction,
            evidence=usual.of(prediction) if usual else 1.0,
            level_confidence=levels.of(prediction) if levels else 1.0,
        )


def _chunks(films: Sequence[Film], size: int) -> Iterator[Sequence[Film]]:
    for start in range(0, len(films), size):
        yield films[start : start + size]
