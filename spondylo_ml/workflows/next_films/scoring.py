"""Read films with a model, and score them for `active_learning.ranking`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TypeVar

import numpy as np

from spondylo_ml.active_learning.film_scores import grade_doubt, mirror_shift
from spondylo_ml.active_learning.ranking import LabelledFilms, ScoredFilm, State
from spondylo_ml.active_learning.readings import Reading, TwoWayReader
from spondylo_ml.data.films import HeldImage
from spondylo_ml.data.prepare import prepare_films
from spondylo_ml.film_report.report import film_key
from spondylo_ml.landmarks import Film, FilmPrediction
from spondylo_ml.serving.bundle import Bundle
from spondylo_ml.serving.film_model import FilmModel, FilmSource
from spondylo_ml.serving.film_result import FilmResult
from spondylo_ml.training.device import choose_compute
from spondylo_ml.training.inference import FILMS_AT_ONCE

Item = TypeVar("Item")


@dataclass(frozen=True)
class FilmReading:
    """What the model says of one film; no pixels.

    Attributes:
        prediction: as `predict` gives it; None if the film cannot be read.
        error_detail: why it cannot be read, with the name of the file, for the terminal.
        warnings: as `predict` gives them.
    """

    score: ScoredFilm
    prediction: FilmPrediction | None
    error_detail: str
    warnings: tuple[str, ...]


class FilmScorer:
    """Scores films with one model."""

    def __init__(self, model: FilmModel) -> None:
        self._model, self._bundle = model, model.bundle
        self._reader = two_way_reader(model.bundle)

    @property
    def has_features(self) -> bool:
        """Whether distances between films can be measured."""
        return self._reader.has_features

    def score(self, sources: Iterable[FilmSource]) -> Iterator[FilmReading]:
        """One reading per film, in order; a few films are in memory at a time."""
        for results in _chunks(self._model.results(sources), FILMS_AT_ONCE):
            films = [result.film for result in results if result.film is not None]
            readings = iter(self._read(films))
            for result in results:
                yield _scored(result, next(readings)) if result.film is not None else _unreadable(result)

    def labelled(self, films: Sequence[Film], on_film: Callable[[], object] = lambda: None) -> LabelledFilms:
        """Features and pixel keys of labelled films.

        Raises:
            DataError: a film's pixels cannot be read.
        """
        features, names = [], dict[str, str]()
        for chunk in _chunks(films, FILMS_AT_ONCE):
            held = [replace(film, image=HeldImage(film.image.read())) for film in chunk]
            names |= {film_key(film.image.read()): film.film_id for film in held}
            features += [reading.features for reading in self._read(held)]
            for _ in held:
                on_film()
        return LabelledFilms(np.stack(features), names) if features else LabelledFilms()

    def _read(self, films: Sequence[Film]) -> list[Reading]:
        input_hw = self._bundle.config.data.network_input_hw
        return self._reader.read(prepare_films(films, self._bundle.slots, input_hw))


def two_way_reader(bundle: Bundle) -> TwoWayReader:
    """A reader of films and their mirror images with the bundle's network, on the best device."""
    training = bundle.config.training.model_copy(update={"device": "auto"})
    return TwoWayReader(bundle.model, choose_compute(training))


def _scored(result: FilmResult, reading: Reading) -> FilmReading:
    assert result.film is not None
    assert result.prediction is not None
    assert result.measurement is not None
    refusal = result.prediction.refusal
    score = ScoredFilm(
        film_id=result.film_id,
        film_key=result.film_key,
        doubt=grade_doubt(result.measurement.levels, result.uncertainty),
        shift=mirror_shift(reading.as_is, reading.mirrored, result.film.size_hw),
        features=reading.features,
        set_aside=State.REFUSED if refusal else None,
        reason=refusal,
    )
    return FilmReading(score, result.prediction, "", result.warnings)


def _unreadable(result: FilmResult) -> FilmReading:
    score = ScoredFilm(result.film_id, set_aside=State.UNREADABLE, reason=result.error)
    return FilmReading(score, None, result.error_detail, ())


def _chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    remaining = iter(items)
    while chunk := list(islice(remaining, size)):
        yield chunk
