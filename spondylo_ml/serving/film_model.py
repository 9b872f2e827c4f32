"""A trained model for its users: films in; corners, slips and grades out. A bad film does not stop the others.

Threads open films and resize them to the network's input ahead of the network, a limited number at a time, so that a
folder of any size fits into memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from spondylo_ml.clinical.change import LevelErrors
from spondylo_ml.clinical.measurement import LevelUncertainty
from spondylo_ml.data.decode import NO_DETAILS, FilmDetails, open_array, open_bytes, open_file
from spondylo_ml.data.exposure import Exposure, bone_contrast, doubt_on_sign, exposure_of, small_film
from spondylo_ml.data.film_pixels import LIMITS, FilmLimits
from spondylo_ml.data.films import HeldImage
from spondylo_ml.data.names import stem_of
from spondylo_ml.data.prepare import PreparedFilm, prepare_film
from spondylo_ml.data.pseudonyms import pseudonym
from spondylo_ml.errors import DataError, FileError
from spondylo_ml.evaluation.level_errors import level_errors
from spondylo_ml.evaluation.slips import measure_prediction, measured_vertebrae, predicted_vertebrae
from spondylo_ml.evaluation.verdict import complete_verdicts
from spondylo_ml.film_report.report import FilmReport, film_key, film_report
from spondylo_ml.landmarks import Film, FilmPrediction, FloatArray
from spondylo_ml.serving.bundle import Bundle
from spondylo_ml.serving.film_result import FilmResult
from spondylo_ml.serving.predictor import Predictor
from spondylo_ml.training.device import Compute

BATCH_SIZE = 8
READER_THREADS = 2
NAMED_BY_MODEL = "said by the model"
"""`levels_from` of predicted vertebrae: levels get names only if the lowest body looks like a sacrum."""

FilmInput: TypeAlias = "Film | Path | str | bytes | NDArray[Any]"
Ready = TypeVar("Ready")


@dataclass(frozen=True)
class FilmSource:
    """A film that is not opened yet.

    Attributes:
        open: reads its pixels; called once, in another thread.
    """

    film_id: str
    open: Callable[[], Film]


@dataclass(frozen=True)
class _ReadyFilm:
    """A film ready for the network, with values computed from its pixels."""

    prepared: PreparedFilm
    film_key: str
    small: NDArray[np.float32]
    exposure: Exposure


class FilmModel:
    """A loaded model.

    Attributes:
        name: identifies the model in results and reports.
        bundle: the model with its configuration, rules and uncertainty.
        digest: SHA-256 of the model's manifest; empty if unknown.
    """

    def __init__(
        self,
        bundle: Bundle,
        name: str,
        compute: Compute | None = None,
        batch_size: int = BATCH_SIZE,
        limits: FilmLimits = LIMITS,
        digest: str = "",
    ) -> None:
        self.name, self.bundle, self.digest = name, bundle, digest
        self._predictor = Predictor(bundle, compute, batch_size)
        self._batch_size, self._limits = batch_size, limits

    def predict(
        self,
        films: FilmInput | list[FilmInput] | tuple[FilmInput, ...],
        details: FilmDetails | Sequence[FilmDetails] = NO_DETAILS,
    ) -> list[FilmResult]:
        """One result per film, in order; a film that cannot be read has an `error` and does not affect the others.

        Args:
            films: paths of image or DICOM files, the bytes of such files, (H, W) arrays of grey levels with bone
                bright, or `Film` objects; one or many.
            details: facing, spacing and pixel aspect of all films, or of each; not used for `Film` objects, which
                have these already.

        Raises:
            DataError: an input of another type, or a number of `details` that is not that of the films.
        """
        inputs = list(films) if isinstance(films, list | tuple) else [films]
        each = [details] * len(inputs) if isinstance(details, FilmDetails) else list(details)
        if len(each) != len(inputs):
            raise DataError(
                f"details are one for all films, or one for each; given {len(each)} for {len(inputs)} film(s)"
            )
        sources = (self._source(film, number, each[number]) for number, film in enumerate(inputs))
        return list(self.results(sources))

    def stream(self, films: Iterable[FilmInput], details: FilmDetails = NO_DETAILS) -> Iterator[FilmResult]:
        """Like `predict`, one film at a time: results hold pixels, which may not all fit into memory."""
        return self.results(self._source(film, number, details) for number, film in enumerate(films))

    def results(self, sources: Iterable[FilmSource]) -> Iterator[FilmResult]:
        """Like `stream`, for films that are opened only when needed."""
        batch: list[_ReadyFilm | FilmResult] = []
        for ready in read_ahead(sources, self._ready, 2 * self._batch_size):
            batch.append(ready)
            if sum(isinstance(one, _ReadyFilm) for one in batch) == self._batch_size:
                yield from self._predict_batch(batch)
                batch = []
        yield from self._predict_batch(batch)

    def report(self, result: FilmResult) -> FilmReport:
        """The one-film report of a result; of a film that the model refused it has no corners.

        Raises:
            DataError: the film could not be read.
        """
        if result.film is None or result.prediction is None or result.measurement is None:
            raise DataError(f"film {result.film_id} has no report: {result.error}")
        return film_report(
            result.film,
            result.measurement,
            vertebrae=() if result.prediction.refusal else measured_vertebrae(result.prediction, result.film.size_hw),
            corners_from=self.name,
            uncertainty=result.uncertainty,
            key=result.film_key,
        )

    def corner_regions_px2(self, result: FilmResult, probability: float) -> dict[int, FloatArray]:
        """Where each corner lies with this probability, see `UncertaintyModel.corner_regions_px2`; empty if unknown."""
        calibrated = self.bundle.uncertainty
        if calibrated is None or result.prediction is None:
            return {}
        return calibrated.corner_regions_px2(result.prediction, probability)

    def level_errors(self, result: FilmResult) -> tuple[LevelErrors, ...]:
        """How far the measures of each level may be wrong, see `evaluation.level_errors`; empty if unknown."""
        calibrated = self.bundle.uncertainty
        if calibrated is None or result.film is None or result.prediction is None or result.measurement is None:
            return ()
        return level_errors(
            result.film,
            result.prediction,
            calibrated,
            self.bundle.config.clinical,
            measurement=result.measurement,
            seed_name=result.film_key,
        )

    def _source(self, film: FilmInput, number: int, details: FilmDetails) -> FilmSource:
        limits = self._limits
        if isinstance(film, Film):
            return FilmSource(film.film_id, lambda: _with_pixels(film))
        if isinstance(film, str | Path):
            path = Path(film).expanduser()
            name = pseudonym(stem_of(path))
            return FilmSource(name, lambda: open_file(path, name, details, limits))
        name = f"film-{number}"
        if isinstance(film, bytes):
            return FilmSource(name, lambda: open_bytes(film, name, details, limits))
        if hasattr(film, "__array__"):
            return FilmSource(name, lambda: open_array(film, name, details, limits))
        raise DataError(
            f"film {number} is a {type(film).__name__}: give a path, the bytes of an image or DICOM file, "
            "a (height, width) array, or a Film"
        )

    def _ready(self, source: FilmSource) -> _ReadyFilm | FilmResult:
        """The film ready for the network, or a result with the reason why it cannot be read."""
        try:
            return self._prepare(source)
        except FileError as error:
            return self._failure(source.film_id, error.reason, str(error))
        except DataError as error:
            return self._failure(source.film_id, str(error), str(error))
        except Exception as error:
            # Decoders raise many types on a damaged film. Their message may contain a path: it is for the terminal.
            kind = type(error).__name__
            return self._failure(source.film_id, f"cannot be read ({kind})", f"cannot be read ({kind}: {error})")

    def _prepare(self, source: FilmSource) -> _ReadyFilm:
        input_hw = self.bundle.config.data.network_input_hw
        film = source.open()
        pixels = film.image.read()
        small = small_film(pixels)
        exposure = exposure_of(small)
        if exposure.blank:
            raise DataError(exposure.blank)
        return _ReadyFilm(prepare_film(film, self.bundle.slots, input_hw), film_key(pixels), small, exposure)

    def _predict_batch(self, batch: Sequence[_ReadyFilm | FilmResult]) -> Iterator[FilmResult]:
        prepared = [one.prepared for one in batch if isinstance(one, _ReadyFilm)]
        predictions = iter(self._predictor.predict_prepared(prepared)) if prepared else iter(())
        for one in batch:
            yield self._measure_or_fail(one, next(predictions)) if isinstance(one, _ReadyFilm) else one

    def _measure_or_fail(self, ready: _ReadyFilm, prediction: FilmPrediction) -> FilmResult:
        try:
            return self._measure(ready, prediction)
        except Exception as error:
            # Corners that break a measurement must not end the batch.
            kind = type(error).__name__
            return self._failure(
                prediction.film_id, f"cannot be measured ({kind})", f"cannot be measured ({kind}: {error})"
            )

    def _measure(self, ready: _ReadyFilm, prediction: FilmPrediction) -> FilmResult:
        film, calibrated, rules = ready.prepared.film, self.bundle.uncertainty, self.bundle.config.clinical
        measurement = measure_prediction(film, prediction, rules, levels_from=NAMED_BY_MODEL)
        intervals: tuple[LevelUncertainty, ...] = ()
        if calibrated:
            # Seeded by the pixels, so that results do not depend on the name of the film.
            intervals = calibrated.levels(film, prediction, rules, measurement=measurement, seed_name=ready.film_key)
        remarks = (*film.notes, *prediction.remarks)
        warnings = (*remarks, *_picture_warnings(ready, prediction), *measurement.warnings)
        return FilmResult(
            film_id=film.film_id,
            film_key=ready.film_key,
            film=film,
            prediction=prediction,
            measurement=replace(measurement, warnings=warnings),
            uncertainty=complete_verdicts(measurement.levels, intervals),
            model=self.name,
        )

    def _failure(self, film_id: str, reason: str, detail: str) -> FilmResult:
        return FilmResult(film_id, error=reason, error_detail=detail, model=self.name)


def _picture_warnings(ready: _ReadyFilm, prediction: FilmPrediction) -> tuple[str, ...]:
    """Warnings about the film's exposure, as in an audit."""
    size_hw, exposure = ready.prepared.film.size_hw, ready.exposure
    contrast = bone_contrast(ready.small, predicted_vertebrae(prediction), size_hw, exposure.range_grey)
    return tuple(text for text in (exposure.poor, doubt_on_sign(exposure, contrast)) if text)


def read_ahead(sources: Iterable[FilmSource], work: Callable[[FilmSource], Ready], ahead: int) -> Iterator[Ready]:
    """`work` on each source in threads, in order, at most `ahead` sources before they are needed."""
    waiting: deque[Future[Ready]] = deque()
    with ThreadPoolExecutor(READER_THREADS) as pool:
        try:
            for source in sources:
                waiting.append(pool.submit(work, source))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _with_pixels(film: Film) -> Film:
    """The film with its pixels in memory, so that they are read once."""
    return replace(film, image=HeldImage(film.image.read()))
