"""A trained model as its users meet it: films in, corners, slips and grades out, a bad film reported and passed over.

Films are opened and brought to the network's size by threads that run ahead of the network, a bounded number of films
at a time, so that a folder of any size fits into memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from numpy.typing import NDArray

from spondylo_ml.data.decode import Known, OpenedFilm, open_array, open_bytes, open_file
from spondylo_ml.data.exposure import Exposure, bone_contrast, doubt_on_sign, exposure_of, small_film
from spondylo_ml.data.film_pixels import LIMITS, Limits
from spondylo_ml.data.films import HeldImage
from spondylo_ml.data.names import stem_of
from spondylo_ml.data.prepare import PreparedFilm, prepare_film
from spondylo_ml.data.pseudonyms import pseudonym
from spondylo_ml.errors import DataError, FileError
from spondylo_ml.evaluation.slips import measure_prediction, said_vertebrae
from spondylo_ml.evaluation.verdict import of_every_level
from spondylo_ml.film_report.report import FilmReport, film_key, film_report
from spondylo_ml.landmarks import Film, FilmPrediction
from spondylo_ml.serving.bundle import Bundle
from spondylo_ml.serving.film_result import FilmResult
from spondylo_ml.serving.predictor import Predictor
from spondylo_ml.training.device import Compute

BATCH_SIZE = 8
READERS = 2
SAID_BY_MODEL = "said by the model"
"""`levels_from` of predicted vertebrae: level names are given only where the sacrum looks like one."""

FilmInput: TypeAlias = "Film | Path | str | bytes | NDArray[Any]"


@dataclass(frozen=True)
class FilmSource:
    """A film that is yet to be opened.

    Attributes:
        open: called once, in another thread.
    """

    film_id: str
    open: Callable[[], OpenedFilm]


@dataclass(frozen=True)
class _Ready:
    """A film that can go to the network, or the result that says why it cannot."""

    opened: OpenedFilm | None = None
    prepared: PreparedFilm | None = None
    key: str = ""
    exposure: Exposure | None = None
    failed: FilmResult | None = None


class FilmModel:
    """A loaded model.

    Attributes:
        name: which model it is, as results and reports say it.
        bundle: the model with its configuration, rules and uncertainty.
    """

    def __init__(
        self,
        bundle: Bundle,
        name: str,
        compute: Compute | None = None,
        batch_size: int = BATCH_SIZE,
        limits: Limits = LIMITS,
    ) -> None:
        self.name, self.bundle = name, bundle
        self._predictor = Predictor(bundle, compute, batch_size)
        self._batch_size, self._limits = batch_size, limits

    def predict(
        self,
        films: FilmInput | list[FilmInput] | tuple[FilmInput, ...],
        known: Known | Sequence[Known] | None = None,
    ) -> list[FilmResult]:
        """What the model finds, one result a film, in order; a bad film has its `error` and spoils no other.

        Args:
            films: paths of image or DICOM files, the bytes of such files, (H, W) arrays of grey levels with bone
                bright, or `Film` objects; one or many.
            known: facing, spacing and pixel aspect of all films, or of each; `Film` objects bear their own.

        Raises:
            DataError: something that is none of these, or another number of `known` than of films.
        """
        many = list(films) if isinstance(films, list | tuple) else [films]
        each = [known or Known()] * len(many) if known is None or isinstance(known, Known) else list(known)
        if len(each) != len(many):
            raise DataError(f"known is one for all films, or one a film; given {len(each)} for {len(many)} film(s)")
        sources = (self._source(film, number, said) for number, (film, said) in enumerate(zip(many, each, strict=True)))
        return list(self.results(sources))

    def stream(self, films: Iterable[FilmInput], known: Known | None = None) -> Iterator[FilmResult]:
        """As `predict`, film by film: results hold their films' pixels, which need not all fit into memory."""
        return self.results(self._source(film, number, known) for number, film in enumerate(films))

    def results(self, sources: Iterable[FilmSource]) -> Iterator[FilmResult]:
        """As `stream`, from films that are opened as they are needed."""
        batch: list[_Ready] = []
        for ready in read_ahead(sources, self._ready, 2 * self._batch_size):
            batch.append(ready)
            if sum(one.failed is None for one in batch) == self._batch_size:
                yield from self._of_batch(batch)
                batch = []
        yield from self._of_batch(batch)

    def report(self, result: FilmResult) -> FilmReport:
        """The one-film report of a result.

        Raises:
            DataError: the film could not be read.
        """
        if result.film is None or result.prediction is None or result.measurement is None:
            raise DataError(f"film {result.film_id} has no report: {result.error}")
        return film_report(
            result.film,
            result.measurement,
            vertebrae=said_vertebrae(result.prediction),
            corners_from=self.name,
            uncertainty=result.uncertainty,
        )

    def _source(self, film: FilmInput, number: int, known: Known | None) -> FilmSource:
        limits = self._limits
        if isinstance(film, Film):
            return FilmSource(film.film_id, lambda: _held(film))
        if isinstance(film, str | Path):
            path = Path(film).expanduser()
            name = pseudonym(stem_of(path))
            return FilmSource(name, lambda: open_file(path, name, known, limits))
        name = f"film-{number}"
        if isinstance(film, bytes):
            return FilmSource(name, lambda: open_bytes(film, name, known, limits))
        if hasattr(film, "__array__"):
            return FilmSource(name, lambda: open_array(film, name, known, limits))
        raise DataError(
            f"film {number} is a {type(film).__name__}: give a path, the bytes of an image or DICOM file, "
            "a (height, width) array, or a Film"
        )

    def _ready(self, source: FilmSource) -> _Ready:
        input_hw = self.bundle.config.data.input_hw
        if input_hw is None:
            raise ValueError("a bundle's configuration is resolved: data.input_hw is set")
        try:
            opened = source.open()
            pixels = opened.film.image.read()
            exposure = exposure_of(small_film(pixels))
            if exposure.blank:
                raise DataError(exposure.blank)
            prepared = prepare_film(opened.film, self.bundle.slots, input_hw)
            return _Ready(opened, prepared, film_key(pixels), exposure)
        except FileError as error:
            return _Ready(failed=self._failed(source.film_id, error.reason, str(error)))
        except DataError as error:
            return _Ready(failed=self._failed(source.film_id, str(error), str(error)))
        except Exception as error:
            # Whatever a decoder raises on a damaged film: the others go on. Its words may hold a path.
            kind = type(error).__name__
            return _Ready(
                failed=self._failed(source.film_id, f"cannot be read ({kind})", f"cannot be read ({kind}: {error})")
            )

    def _of_batch(self, batch: Sequence[_Ready]) -> Iterator[FilmResult]:
        good = [one.prepared for one in batch if one.prepared is not None]
        predictions = iter(self._predictor.predict_prepared(good)) if good else iter(())
        for one in batch:
            if one.failed is not None:
                yield one.failed
            elif one.opened is not None and one.exposure is not None:
                yield self._measured_or_failed(one.opened, one.exposure, one.key, next(predictions))

    def _measured_or_failed(
        self, opened: OpenedFilm, exposure: Exposure, key: str, prediction: FilmPrediction
    ) -> FilmResult:
        try:
            return self._measured(opened, exposure, key, prediction)
        except Exception as error:
            # Corners that no measure has met before: the other films of the batch go on.
            kind, film_id = type(error).__name__, opened.film.film_id
            return self._failed(film_id, f"cannot be measured ({kind})", f"cannot be measured ({kind}: {error})")

    def _measured(self, opened: OpenedFilm, exposure: Exposure, key: str, prediction: FilmPrediction) -> FilmResult:
        film, bundle = opened.film, self.bundle
        rules = bundle.config.clinical
        measured = measure_prediction(film, prediction, rules, levels_from=SAID_BY_MODEL)
        sure = bundle.uncertainty
        # Samples are drawn by the film's name: by its pixels' here, so that its numbers do not hang on what it is
        # called.
        levels = sure.levels(film, replace(prediction, film_id=key), rules) if sure else ()
        return FilmResult(
            film_id=film.film_id,
            film_key=key,
            film=film,
            prediction=prediction,
            measurement=replace(
                measured,
                warnings=(*opened.notes, *_looks(film, exposure, prediction), *measured.warnings),
            ),
            uncertainty=of_every_level(measured.levels, levels),
            model=self.name,
        )

    def _failed(self, film_id: str, reason: str, detail: str) -> FilmResult:
        return FilmResult(film_id, error=reason, error_detail=detail, model=self.name)


def _looks(film: Film, exposure: Exposure, prediction: FilmPrediction) -> tuple[str, ...]:
    """What is wrong with the film as a picture, as an audit would say."""
    small = small_film(film.image.read())
    contrast = bone_contrast(small, said_vertebrae(prediction), film.size_hw, exposure.range_grey)
    return tuple(text for text in (exposure.poor, doubt_on_sign(exposure, contrast)) if text)


def file_source(path: Path, film_id: str, known: Known | None = None, limits: Limits = LIMITS) -> FilmSource:
    """A film in a file, with what is known of it beside."""
    return FilmSource(film_id, lambda: open_file(path, film_id, known, limits))


def read_ahead(sources: Iterable[FilmSource], work: Callable[[FilmSource], _Ready], ahead: int) -> Iterator[_Ready]:
    """`work` on each source, in order, done in threads and at most `ahead` before it is asked for."""
    waiting: deque[Future[_Ready]] = deque()
    with ThreadPoolExecutor(READERS) as pool:
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


def _held(film: Film) -> OpenedFilm:
    """A film whose pixels are read now, once."""
    pixels = film.image.read()
    return OpenedFilm(replace(film, image=HeldImage(pixels)))
