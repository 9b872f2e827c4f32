"""Films that are read again on windows: with a network that finds drawn rectangles, and with a real one.

The drawn spines are columns of bright rectangles, wider than high, of which S1 is the widest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from builders import plain_film, prediction_of
from hypothesis import given
from hypothesis import strategies as st
from small_models import small_bundle
from torch import Tensor

from spondylo_ml.clinical.meyerding import DEFAULT_RULES
from spondylo_ml.config import Config, ReadingConfig
from spondylo_ml.data.batches import FilmBatch
from spondylo_ml.data.letterbox import Letterbox
from spondylo_ml.data.prepare import PreparedFilm, prepare_film, prepare_films
from spondylo_ml.data.synthetic import phantom_films
from spondylo_ml.data.window import Window
from spondylo_ml.evaluation.definite_vertebrae import definite_vertebrae
from spondylo_ml.evaluation.mean_shape import MeanShape
from spondylo_ml.evaluation.refusal import NOT_LUMBAR, Refusal
from spondylo_ml.evaluation.slips import NOT_UPRIGHT, measure_prediction, predicted_vertebrae
from spondylo_ml.landmarks import Facing, Film, FilmPrediction, FloatArray, GreyImage, SlotRange, Vertebra
from spondylo_ml.models.base import LandmarkModel, Landmarks
from spondylo_ml.serving.bundle import Bundle
from spondylo_ml.serving.closer_reading import CloserReading, scan_windows, usual_size_px, window_around
from spondylo_ml.serving.film_model import FilmModel
from spondylo_ml.serving.predictor import Predictor
from spondylo_ml.workflows.train.validation_report import read_validation_films

SLOTS = SlotRange(0, 6)
INPUT_HW = (96, 96)
USUAL_WIDTH_PX, LEAST_WIDTH_PX = 15, 5


class RectangleFinder(LandmarkModel):
    """Finds bright rectangles that are wider than high and not too narrow, and counts them from the lowest up.

    The wider they are, the surer it is; where the lowest is not the widest it is unsure.
    """

    def __init__(self, surest_width_px: float = USUAL_WIDTH_PX) -> None:
        super().__init__(SLOTS)
        self.read, self._surest = 0, surest_width_px

    def losses(self, batch: FilmBatch) -> dict[str, Tensor]:
        raise NotImplementedError

    def predict(self, images: Tensor) -> Landmarks:
        self.read += len(images)
        found = [self._find(image[0].numpy()) for image in images]
        corners, share, presence = (torch.from_numpy(np.stack(part)) for part in zip(*found, strict=True))
        return Landmarks(corners, share, presence)

    def _find(self, image: GreyImage) -> tuple[FloatArray, FloatArray, FloatArray]:
        corners, share, presence = np.zeros((6, 4, 2)), np.zeros((6, 4)), np.zeros(6)
        _, _, boxes, _ = cv2.connectedComponentsWithStats((image > 127).astype(np.uint8))
        wide = [box[:4].tolist() for box in boxes[1:] if box[2] > box[3] and box[2] >= LEAST_WIDTH_PX]
        wide = sorted(wide, key=lambda box: -box[1])[:6]
        for slot, (left, top, width, height) in enumerate(wide):
            x, y = left + width - 1, top + height - 1
            corners[slot] = [[left, top], [x, top], [left, y], [x, y]]
            share[slot] = min(width / self._surest, self._surest / width)
            presence[slot] = 1.0
        return corners, share if wide and wide[0][2] == max(box[2] for box in wide) else share / 5, presence


def drawn(size_hw: tuple[int, int], lowest_xy: tuple[int, int], pitch: int, levels: int = 6) -> Film:
    """A column of bodies as wide as the pitch, S1 half as wide again; `lowest_xy` is S1's upper left corner."""
    pixels, vertebrae = np.zeros(size_hw, dtype=np.uint8), []
    for slot in range(levels):
        width = round(pitch * (1.5 if slot == 0 else 1.0))
        left, top = lowest_xy[0], lowest_xy[1] - slot * pitch
        right, bottom = left + width - 1, top + round(0.6 * pitch) - 1
        pixels[top : bottom + 1, left : right + 1] = 255
        vertebrae.append(Vertebra(slot, np.array([[left, top], [right, top], [left, bottom], [right, bottom]])))
    return plain_film(f"pitch-{pitch}", tuple(vertebrae), size_hw, pixels=pixels)


USUAL = drawn((96, 96), (40, 85), 15)
HALF = drawn((1200, 800), (300, 900), 100)
FIFTH = drawn((1200, 800), (420, 1010), 40)


def bundle(network: LandmarkModel | None = None, **reading: object) -> Bundle:
    config = Config.model_validate(
        {"training": {"epochs": 1}, "data": {"input_hw": list(INPUT_HW)}, "reading": reading}
    )
    return Bundle(network or RectangleFinder(), config, MeanShape.fit([USUAL], SLOTS))


def predicted(film: Film, network: LandmarkModel | None = None, **reading: object) -> FilmPrediction:
    (prediction,) = Predictor(bundle(network, **reading)).predict([film])
    return prediction


def largest_error_px(film: Film, prediction: FilmPrediction) -> float:
    return float(np.abs(prediction.corners_xy - SLOTS.corners(film.vertebrae or ())).max())


def test_a_spine_of_a_fifth_of_the_film_is_found_on_a_crop_and_not_on_the_whole() -> None:
    assert predicted(FIFTH).presence.sum() == 1, "S1, the widest"
    prediction = predicted(FIFTH, crop=True)
    assert prediction.presence.sum() == 6
    assert largest_error_px(FIFTH, prediction) < 4, "of 1200 px; a px of the crop has 3.4"
    (remark,) = prediction.remarks
    assert remark.startswith("the film was read on a crop of ")
    assert remark.endswith("which shows the vertebrae better than all of its 800 x 1200 px")


def test_small_vertebrae_are_read_on_a_crop_with_a_higher_score() -> None:
    whole, cropped = predicted(HALF), predicted(HALF, crop=True)
    assert whole.presence.sum() == cropped.presence.sum() == 6
    assert largest_error_px(HALF, cropped) < 800 / 96, "a px of a crop of 800 px"
    assert definite_vertebrae(cropped) > definite_vertebrae(whole)
    assert len(cropped.remarks) == 1


def test_a_film_of_usual_size_is_read_once_as_before() -> None:
    network = RectangleFinder()
    prediction = predicted(USUAL, network, crop=True, turn=True)
    assert network.read == 1
    np.testing.assert_array_equal(prediction.corners_xy, predicted(USUAL).corners_xy)
    assert (prediction.remarks, prediction.quarter_turns, prediction.refusal) == ((), 0, "")


class MarkerReader(RectangleFinder):
    """Names all levels one higher where something bright is to be seen at the left edge."""

    def _find(self, image: GreyImage) -> tuple[FloatArray, FloatArray, FloatArray]:
        corners, share, presence = super()._find(image)
        if image[:, :4].max() <= 127:
            return corners, share, presence
        return np.roll(corners, 1, axis=0), np.roll(share, 1, axis=0), np.roll(presence, 1, axis=0)


def test_levels_that_change_on_a_part_of_the_film_are_uncertain() -> None:
    film = drawn((96, 96), (40, 85), 15, levels=5)
    pixels = film.image.read().copy()
    pixels[80:90, 0:3] = 255  # a marker, which the part without what lies beside the spine does not show
    film = replace(film, image=plain_film("marked", (), (96, 96), pixels=pixels).image)
    network = MarkerReader()
    prediction = predicted(film, network, check_levels=True)
    assert network.read == 4
    assert prediction.level_confidence == 0.75
    assert prediction.remarks == (
        "the levels are uncertain: on 1 of 3 parts of the film the network does not give the same vertebrae the same "
        "names",
    )
    assert predicted(film, MarkerReader()).level_confidence == 1.0, "without the check"


def test_levels_that_stay_the_same_keep_their_confidence() -> None:
    network = RectangleFinder()
    prediction = predicted(USUAL, network, check_levels=True)
    assert network.read == 4
    assert (prediction.level_confidence, prediction.remarks) == (1.0, ())


def test_without_the_switch_every_film_is_read_once() -> None:
    network = RectangleFinder()
    assert predicted(FIFTH, network).remarks == ()
    assert network.read == 1


def test_small_vertebrae_are_read_on_a_crop_that_shows_as_many_although_its_score_is_lower() -> None:
    """This network is surest of bodies 8 px wide, which those of the whole film are."""
    whole, cropped = (predicted(HALF, RectangleFinder(surest_width_px=8), crop=crop) for crop in (False, True))
    assert definite_vertebrae(cropped) < definite_vertebrae(whole)
    assert cropped.presence.sum() == whole.presence.sum() == 6
    assert cropped.remarks[0].startswith("the film was read on a crop of ")


class SmallBodyFinder(RectangleFinder):
    """Surest of bodies 8 px wide, and finds only three of those that are wider than 10 px."""

    def __init__(self) -> None:
        super().__init__(surest_width_px=8)

    def _find(self, image: GreyImage) -> tuple[FloatArray, FloatArray, FloatArray]:
        corners, share, presence = super()._find(image)
        if corners[1, 1, 0] - corners[1, 0, 0] > 10:
            presence[3:] = 0
        return corners, share, presence


def test_the_whole_film_is_kept_where_a_crop_shows_fewer_vertebrae_and_the_film_says_so() -> None:
    network = SmallBodyFinder()
    prediction = predicted(HALF, network, crop=True)
    assert network.read == 2
    np.testing.assert_array_equal(prediction.corners_xy, predicted(HALF).corners_xy)
    assert prediction.remarks == (
        "the vertebrae are small in the network's input (5 px), where corners are less exact, and no crop of the film "
        "shows them better",
    )


@pytest.mark.parametrize(("turns", "way"), [(1, "clockwise"), (3, "counterclockwise")])
def test_a_film_on_its_side_is_read_turned_and_its_corners_keep_their_names(turns: int, way: str) -> None:
    """The upright film is turned, and the network's turn undoes that. Its corners are those of the upright film."""
    undo = Window(0, 0, 1200, 800, turns)  # from the film on its side to the upright one
    pixels = np.ascontiguousarray(np.rot90(HALF.image.read(), turns))
    vertebrae = tuple(Vertebra(v.slot, undo.to_film(v.corners_xy)) for v in HALF.vertebrae or ())
    on_its_side = plain_film("side", vertebrae, (800, 1200), pixels=pixels)
    assert predicted(on_its_side, crop=True).presence.sum() == 0
    prediction = predicted(on_its_side, crop=True, turn=True)
    assert (prediction.presence.sum(), prediction.quarter_turns) == (6, turns)
    assert largest_error_px(on_its_side, prediction) < 800 / 96, "a px of a crop of 800 px"
    assert prediction.remarks[0] == (
        f"the film was read after a quarter turn {way}, since it seems to lie on its side; "
        "its facing is that after the turn"
    )


@pytest.mark.parametrize(
    ("upright", "turns"), [(0, 2), (3, 2), (4, 0)], ids=["nothing upright", "too few upright", "enough upright"]
)
def test_a_film_on_its_head_is_read_after_half_a_turn(upright: int, turns: int) -> None:
    """All bodies are found after half a turn, and as many as given on the film as it is or on its side."""

    def with_bodies(count: int) -> FilmPrediction:
        return replace(prediction_of(USUAL, SLOTS), presence=(np.arange(SLOTS.count) < count).astype(float))

    def read(films: Sequence[PreparedFilm]) -> list[FilmPrediction]:
        turned = [one.letterbox.window is not None and one.letterbox.window.quarter_turns == 2 for one in films]
        return [with_bodies(SLOTS.count if half else upright) for half in turned]

    reading = CloserReading(ReadingConfig(turn=True), 12.0, read, lambda prediction: False)
    best = reading.best(prepare_film(USUAL, SLOTS, INPUT_HW), with_bodies(upright))
    assert (best.quarter_turns, best.presence.sum()) == (turns, SLOTS.count if turns else upright)
    head = (
        "the film was read after half a turn, since it appears to be upside down; its facing is that after the turn",
    )
    assert best.remarks == (head if turns else ())


@pytest.mark.parametrize(
    ("upright", "turned", "turns"),
    [(0.4, 0.97, 2), (0.6, 0.97, 0), (0.4, 0.85, 0), (0.95, 0.97, 0)],
    ids=["much better", "better", "without names, too", "named as it is"],
)
def test_a_film_without_names_is_turned_only_if_it_then_has_names_and_twice_the_score(
    upright: float, turned: float, turns: int
) -> None:
    """The same bodies are found either way, so that the scores differ as the confidence in their levels."""
    asked: list[int] = []

    def read(films: Sequence[PreparedFilm]) -> list[FilmPrediction]:
        numbers = [one.letterbox.window.quarter_turns for one in films if one.letterbox.window]
        asked.extend(numbers)
        return [replace(prediction_of(USUAL, SLOTS), level_confidence=turned if n == 2 else upright) for n in numbers]

    reading = CloserReading(ReadingConfig(turn=True), 12.0, read, lambda prediction: False, 0.9)
    first = replace(prediction_of(USUAL, SLOTS), level_confidence=upright)
    best = reading.best(prepare_film(USUAL, SLOTS, INPUT_HW), first)
    assert (best.quarter_turns, best.level_confidence) == (turns, turned if turns else upright)
    assert asked == ([] if upright > 0.9 else [1, 2, 3])


def test_slips_of_a_film_on_its_side_are_those_of_the_upright_film() -> None:
    upright = phantom_films(1, 4, 256).films[0]
    height, width = upright.size_hw
    turn = Window(0, 0, width, height, 1)
    side = tuple(Vertebra(v.slot, turn.to_window(v.corners_xy)) for v in upright.vertebrae or ())
    assert upright.pixel_aspect not in (None, 1.0)
    aspect = 1 / (upright.pixel_aspect or 1.0)
    on_its_side = replace(upright, vertebrae=side, size_hw=(width, height), spacing=None, pixel_aspect=aspect)
    slots = SlotRange(0, 10)
    read = replace(prediction_of(on_its_side, slots), quarter_turns=3)
    measured = measure_prediction(on_its_side, read, DEFAULT_RULES)
    expected = measure_prediction(
        replace(upright, facing=Facing.UNKNOWN, spacing=None), prediction_of(upright, slots), DEFAULT_RULES
    )
    assert [level.slip.value for level in measured.levels] == pytest.approx(
        [level.slip.value for level in expected.levels], nan_ok=True
    )
    assert any(not level.slip.reason for level in measured.levels)
    assert (measured.facing, measured.facing_from) == (expected.facing, "inferred")
    assert measured.sacral_slope.reason == NOT_UPRIGHT
    assert not expected.sacral_slope.reason


def test_a_refused_film_has_its_reason_and_no_measure() -> None:
    """Two bodies of usual size are 2 definite vertebrae, of which 3 are needed."""
    two = drawn((96, 96), (40, 70), 15, levels=2)
    refusing = replace(bundle(), refusal=Refusal(least_vertebrae=3.0, n_films=100, n_refused=0))
    results = FilmModel(refusing, "m").predict([two, USUAL])
    assert results[0].prediction is not None
    assert results[0].prediction.refusal == NOT_LUMBAR
    assert results[0].measurement is not None
    assert results[0].measurement.withheld == NOT_LUMBAR
    assert NOT_LUMBAR in results[0].warnings
    assert not results[0].measurement.levels_known
    (level,) = results[0].to_row()["slips"]
    assert (level["grade"], level["reason"]) == (None, NOT_LUMBAR)
    assert results[1].prediction is not None
    assert results[1].prediction.refusal == ""
    assert NOT_LUMBAR not in results[1].warnings


def test_a_film_that_would_be_refused_is_searched_first() -> None:
    """Six bodies are found on the whole film, but too indefinite; on a crop they are definite enough."""
    refusing = replace(
        bundle(crop=True, small_below=0.01), refusal=Refusal(least_vertebrae=4.0, n_films=100, n_refused=0)
    )
    whole = Predictor(replace(refusing, config=bundle().config)).predict([HALF])[0]
    assert (whole.presence.sum(), whole.refusal) == (6, NOT_LUMBAR)
    closer = Predictor(refusing).predict([HALF])[0]
    assert (closer.presence.sum(), closer.refusal, len(closer.remarks)) == (6, "", 1)


def test_remarks_reach_the_warnings_of_the_film() -> None:
    (result,) = FilmModel(bundle(crop=True), "m").predict(HALF)
    assert result.prediction is not None
    assert result.prediction.remarks[0] in result.warnings


def test_the_usual_size_is_worked_out_by_hand() -> None:
    """The median body is 15 x 9 px of 96, less one px between pixel centres: 14 x 8. T12 is on one film of three."""
    films = [USUAL, USUAL, replace(USUAL, vertebrae=(USUAL.vertebrae or ())[:5])]
    assert usual_size_px(MeanShape.fit(films, SLOTS), (96, 64)) == pytest.approx(np.sqrt(14 * 8))
    assert usual_size_px(MeanShape.fit(films, SLOTS), (192, 192)) == pytest.approx(2 * np.sqrt(14 * 8))


sides = st.integers(40, 4000)
inputs = st.integers(1, 20).map(lambda n: 32 * n)


@given(sides, sides, inputs, inputs, st.floats(0, 1), st.floats(0, 1))
def test_half_a_window_anywhere_on_the_film_lies_in_a_window_of_the_scan(
    height: int, width: int, input_height: int, input_width: int, x: float, y: float
) -> None:
    windows = scan_windows(Letterbox((height, width), (input_height, input_width)))
    across, down = windows[0].width, windows[0].height
    assert all(w.left + w.width <= width and w.top + w.height <= height for w in windows)
    half = np.array([across // 2 - 1, down // 2 - 1])
    start = np.array([x, y]) * (np.array([width, height]) - half)
    assert any(
        w.left <= start[0]
        and w.top <= start[1]
        and start[0] + half[0] <= w.left + w.width
        and start[1] + half[1] <= w.top + w.height
        for w in windows
    )
    assert len(windows) <= 9


def test_the_windows_of_a_tall_film_are_worked_out_by_hand() -> None:
    """1200 x 800 px in a square input: windows of 600 px, three rows and two columns."""
    windows = scan_windows(Letterbox((1200, 800), (96, 96)))
    assert [(w.left, w.top, w.width, w.height) for w in windows] == [
        (left, top, 600, 600) for top in (0, 300, 600) for left in (0, 200)
    ]


def body_at(x: float, y: float) -> FloatArray:
    """A square of 20 px around (x, y)."""
    return np.array([[-10, -10], [10, -10], [-10, 10], [10, 10]]) + np.array([x, y])


def test_the_window_around_a_spine_is_worked_out_by_hand() -> None:
    """Bodies of 20 px at a usual 10 px need 2 film px per input px: 192 x 128 px around their middle, (200, 300)."""
    found = np.stack([body_at(200, 270), body_at(200, 330)])
    letterbox = Letterbox((1200, 800), (192 // 2, 128 // 2))
    assert window_around(found, letterbox, 10.0) == Window(200 - 64, 300 - 96, 128, 192)
    turned = replace(letterbox, window=Window(0, 0, 800, 1200, 1))
    assert window_around(found, turned, 10.0) == Window(200 - 96, 300 - 64, 192, 128, 1)
    at_the_edge = window_around(found - np.array([200, 270]), letterbox, 10.0)
    assert (at_the_edge.left, at_the_edge.top) == (0, 0)
    long = np.stack([body_at(200, 200), body_at(200, 1000)])  # 820 px, which fill 80 %: 1025 px
    assert window_around(long, letterbox, 10.0).height == 1025


@given(st.lists(st.tuples(st.integers(20, 700), st.integers(20, 1100)), min_size=1, max_size=6), st.floats(5, 60))
def test_the_window_around_a_spine_holds_all_that_was_found(centres: list[tuple[int, int]], usual_px: float) -> None:
    found = np.stack([body_at(*centre) for centre in centres])
    window = window_around(found, Letterbox((1200, 800), (96, 64)), usual_px)
    inside = window.to_window(found)
    assert inside.min() >= -1
    assert (inside.max(axis=(0, 1)) <= [window.width, window.height]).all()


def test_a_real_network_reads_crops() -> None:
    plain = small_bundle("cascade_net")
    film = phantom_films(1, 3, 96).films[0]
    config = plain.config.model_copy(update={"reading": bundle(crop=True, turn=True, scan_below=25).config.reading})
    whole, closer = (Predictor(one).predict([film])[0] for one in (plain, replace(plain, config=config)))
    assert min(definite_vertebrae(closer), definite_vertebrae(whole)) > 0
    first = prepare_film(film, plain.slots, (64, 64))
    assert Predictor(plain).predict_prepared([first])[0].remarks == ()
    assert len(predicted_vertebrae(closer)) == int((closer.presence >= 0.5).sum())


@pytest.mark.parametrize("reading", [{}, {"check_levels": True}])
def test_each_film_is_counted_when_it_is_read(reading: dict[str, bool], caplog: pytest.LogCaptureFixture) -> None:
    predictor, read = Predictor(bundle(**reading)), list[int]()
    films = prepare_films([USUAL, HALF, FIFTH], SLOTS, INPUT_HW)
    assert len(predictor.predict_prepared(films, lambda: read.append(1))) == len(read) == 3
    with caplog.at_level("INFO"):
        predictions = read_validation_films(predictor, films)
    assert [film.film_id for film in predictions.films] == [film.film.film_id for film in films]
    assert ("reading 3 validation films, each several times" in caplog.text) == bool(reading) == predictor.reads_again
