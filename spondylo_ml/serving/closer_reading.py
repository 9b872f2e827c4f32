"""Read a film again where the whole of it shows the network too little.

The whole film is read first. Windows of it are read too:

* if fewer than `reading.scan_below` vertebrae are found, or the film would be refused: overlapping windows of half the
  film's extent;
* with `reading.turn`, if the best still has too few, or its levels would have no names: the film turned by 90 degrees
  either way and by 180. Where enough are found upright, a turn must give names, and a score that is `MUCH_BETTER`;
* if the vertebrae are small in the input, or one of those readings is the best: a window around the spine in which they
  have their mean size on the training films, twice at most.

Of two readings, the one with the higher score is kept, which is `definite_vertebrae` times the confidence in their
levels; with equal scores the earlier one. But where the vertebrae are small, a window in which they have their usual
size is kept if it shows at least as many of them: two small neighbours may be taken for one body, and be very definite.

With `reading.check_levels`, levels that would be named are then checked on parts of what was read (`level_check`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import product

import numpy as np

from spondylo_ml.config import ReadingConfig
from spondylo_ml.data.letterbox import Letterbox
from spondylo_ml.data.prepare import PreparedFilm, prepare_window
from spondylo_ml.data.window import Window, whole_film
from spondylo_ml.evaluation.definite_vertebrae import definite_vertebrae
from spondylo_ml.evaluation.matching import PRESENCE_THRESHOLD
from spondylo_ml.evaluation.mean_shape import MeanShape
from spondylo_ml.evaluation.vertebra_size import scale_px
from spondylo_ml.landmarks import FilmPrediction, FloatArray
from spondylo_ml.serving.level_check import confidence_after, names_stay, parts_to_read

SCAN_ZOOM = 2.0
"""Two thirds of the usual size for a spine of a fifth of the film's height. Windows overlap by half, so that one of
them shows it whole."""

CLOSER_LOOKS = 2
"""Windows around the spine, one after the other: the first may rest on few of its vertebrae."""

MOST_FILLED = 0.8
"""Largest share of a window's side that the vertebrae found so far may fill, to show what lies around them."""

AFTER_THE_TURN = "its facing is that after the turn"

FEWEST_UPRIGHT = 4
"""A film on which so many vertebrae are found is not turned; turned, it must show as many."""

MUCH_BETTER = 2.0
"""A reading of the turned film replaces one with enough vertebrae if its score is at least this many times as high.
Some upright films have level names only if read upside down, and must not be turned."""


@dataclass(frozen=True)
class Reading:
    """A film, or a window of it, and what the network predicts on it."""

    prepared: PreparedFilm
    prediction: FilmPrediction

    @property
    def letterbox(self) -> Letterbox:
        """The map between film and input."""
        return self.prepared.letterbox

    @property
    def shown(self) -> Window:
        """The part of the film that was read."""
        return self.letterbox.window or whole_film(self.letterbox.film_hw)

    @property
    def found_xy(self) -> FloatArray:
        """(B, 4, 2) px of the film: the vertebrae predicted to be on it, cut off at its edge as the film cuts them."""
        corners = self.prediction.corners_xy[self.prediction.presence >= PRESENCE_THRESHOLD]
        complete = corners[~np.isnan(corners).any(axis=(1, 2))]
        return np.asarray(np.clip(complete, 0, self.letterbox.film_hw[::-1]))

    @property
    def score(self) -> float:
        """What readings of one film are compared by."""
        return definite_vertebrae(self.prediction) * self.prediction.level_confidence

    @property
    def size_px(self) -> float:
        """Median size of the vertebrae in input px; NaN if none is found."""
        return float(np.median(scale_px(self.letterbox.to_input(self.found_xy)))) if len(self.found_xy) else math.nan


class CloserReading:
    """Reads windows of films with the network that has read the whole."""

    def __init__(
        self,
        config: ReadingConfig,
        usual_px: float,
        read: Callable[[Sequence[PreparedFilm]], list[FilmPrediction]],
        refused: Callable[[FilmPrediction], bool],
        least_confidence: float = 0.0,
    ) -> None:
        """Args:
        usual_px: mean size of the vertebrae on the training films, input px.
        least_confidence: with less confidence levels have no names, so that there is nothing to check.
        """
        self._config, self._usual_px, self._read, self._refused = config, usual_px, read, refused
        self._least_confidence = least_confidence

    def best(self, film: PreparedFilm, first: FilmPrediction) -> FilmPrediction:
        """The best reading of a film, with remarks on how it was read.

        Args:
            first: the prediction on the whole film.
        """
        best, read = Reading(film, first), self._reader_of(film)
        if self._config.crop and self._shows_too_little(best, self._config.scan_below):
            best = _highest(best, read(scan_windows(film.letterbox)))
        if self._config.turn:
            best = self._turned(best, read)
        if self._config.crop:
            best = self._closer(best, read)
        confidence, doubts = self._checked(best, read)
        return replace(
            best.prediction,
            level_confidence=confidence,
            quarter_turns=best.shown.quarter_turns,
            remarks=(*remarks_on(best, self._config.crop and self._is_small(best)), *doubts),
        )

    def _turned(self, best: Reading, read: Callable[[Sequence[Window]], list[Reading]]) -> Reading:
        """The best reading among the given one and those of the turned film."""
        too_little = self._shows_too_little(best, FEWEST_UPRIGHT)
        if self._named(best.prediction) and not too_little:
            return best
        readings = read([whole_film(best.letterbox.film_hw, turns) for turns in (1, 2, 3)])
        whole = [one for one in readings if len(one.found_xy) >= FEWEST_UPRIGHT]
        named = [one for one in whole if self._named(one.prediction) and one.score >= MUCH_BETTER * best.score]
        return _highest(best, whole if too_little else named)

    def _named(self, prediction: FilmPrediction) -> bool:
        return prediction.level_confidence >= self._least_confidence and not self._refused(prediction)

    def _checked(
        self, best: Reading, read: Callable[[Sequence[Window]], list[Reading]]
    ) -> tuple[float, tuple[str, ...]]:
        """The confidence in the levels after they were checked, and a remark if they do not stay the same."""
        first = best.prediction
        if not (self._config.check_levels and self._named(first) and len(best.found_xy)):
            return first.level_confidence, ()
        parts = parts_to_read(best.found_xy, best.shown)
        stay = [names_stay(first, again.prediction, part) for part, again in zip(parts, read(parts), strict=True)]
        if all(stay):
            return first.level_confidence, ()
        remark = (
            f"the levels are uncertain: on {len(stay) - sum(stay)} of {len(stay)} parts of the film the network does "
            "not give the same vertebrae the same names"
        )
        return confidence_after(first.level_confidence, stay), (remark,)

    def _closer(self, best: Reading, read: Callable[[Sequence[Window]], list[Reading]]) -> Reading:
        """The best reading among the given one and those of windows around its spine."""
        for _ in range(CLOSER_LOOKS):
            if not len(best.found_xy) or not (best.letterbox.window or self._is_small(best)):
                break
            window = window_around(best.found_xy, best.letterbox, self._usual_px)
            if window == best.letterbox.window:
                break
            (closer,) = read([window])
            enlarged = self._is_small(best) and len(closer.found_xy) >= len(best.found_xy)
            if closer.score <= best.score and not enlarged:
                break
            best = closer
        return best

    def _reader_of(self, film: PreparedFilm) -> Callable[[Sequence[Window]], list[Reading]]:
        """The function that reads windows of a film, whose pixels are read once, if they are needed at all."""
        pixels = cache(film.film.image.read)

        def read(windows: Sequence[Window]) -> list[Reading]:
            prepared = [prepare_window(film, window, pixels()) for window in windows]
            return [Reading(one, prediction) for one, prediction in zip(prepared, self._read(prepared), strict=True)]

        return read

    def _shows_too_little(self, reading: Reading, fewest: int) -> bool:
        return len(reading.found_xy) < fewest or self._refused(reading.prediction)

    def _is_small(self, reading: Reading) -> bool:
        return reading.size_px < self._config.small_below * self._usual_px  # never if nothing is found: NaN


def usual_size_px(mean_shape: MeanShape, input_hw: tuple[int, int]) -> float:
    """Mean size of the vertebrae on the training films in input px, of the levels that most of them show."""
    common = mean_shape.frequency >= mean_shape.frequency.max() / 2
    return float(np.median(scale_px(mean_shape.corners[common]))) * max(input_hw)


def scan_windows(letterbox: Letterbox) -> list[Window]:
    """Windows of the whole film, each with half its extent in the input and half over its neighbours."""
    height, width = letterbox.film_hw
    extent_x, extent_y = np.array(letterbox.input_hw[::-1]) / letterbox.scale_xy / SCAN_ZOOM
    (lefts, across), (tops, down) = _overlapping(width, extent_x), _overlapping(height, extent_y)
    return [Window(left, top, across, down) for top, left in product(tops, lefts)]


def window_around(found_xy: FloatArray, letterbox: Letterbox, usual_px: float) -> Window:
    """A window of the input's shape around (B, 4, 2) vertebrae, in which they have about their usual size.

    It is larger if they would fill more than `MOST_FILLED` of it, and lies within the film.

    Args:
        letterbox: of the reading that found them, whose turn is kept.
        usual_px: size of a vertebra in the input.
    """
    turns = letterbox.window.quarter_turns if letterbox.window else 0
    input_xy = np.array(letterbox.input_hw if turns % 2 else letterbox.input_hw[::-1], dtype=np.float64)
    low, high = found_xy.min(axis=(0, 1)), found_xy.max(axis=(0, 1))
    film_px_per_input_px = float(np.median(scale_px(found_xy))) / usual_px
    film_px_per_input_px = max(film_px_per_input_px, float(((high - low) / input_xy).max()) / MOST_FILLED)
    film_xy = np.array(letterbox.film_hw[::-1])
    extent = np.clip(np.round(input_xy * film_px_per_input_px), 1, film_xy).astype(int)
    start = np.clip(np.round((low + high - extent) / 2), 0, film_xy - extent).astype(int)
    return Window(int(start[0]), int(start[1]), int(extent[0]), int(extent[1]), turns)


def remarks_on(reading: Reading, small: bool) -> tuple[str, ...]:
    """What a reader of the results must know about how the film was read."""
    (height, width), window = reading.letterbox.film_hw, reading.letterbox.window
    remarks = []
    if window and window.quarter_turns == 2:
        remarks.append(f"the film was read after half a turn, since it appears to be upside down; {AFTER_THE_TURN}")
    elif window and window.quarter_turns:
        way = "clockwise" if window.quarter_turns == 1 else "counterclockwise"
        remarks.append(
            f"the film was read after a quarter turn {way}, since it seems to lie on its side; {AFTER_THE_TURN}"
        )
    if window and (window.width, window.height) != (width, height):
        remarks.append(
            f"the film was read on a crop of {window.width} x {window.height} px at ({window.left}, {window.top}), "
            f"which shows the vertebrae better than all of its {width} x {height} px"
        )
    if small:
        remarks.append(
            f"the vertebrae are small in the network's input ({reading.size_px:.0f} px), where corners are less exact, "
            "and no crop of the film shows them better"
        )
    return tuple(remarks)


def _highest(first: Reading, others: Sequence[Reading]) -> Reading:
    return max((first, *others), key=lambda reading: reading.score)  # the first of equal ones


def _overlapping(length: int, extent: float) -> tuple[list[int], int]:
    """First px of intervals that cover a length, neighbours sharing at least half, and their common length, px."""
    whole = min(length, math.ceil(extent))
    count = math.ceil(2 * (length - whole) / whole) + 1
    return np.linspace(0, length - whole, count).round().astype(int).tolist(), whole
