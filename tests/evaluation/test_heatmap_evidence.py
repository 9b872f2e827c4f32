"""Evidence is 1 on a typical validation film and 0 on a film far below."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from builders import plain_film, prediction_of, square

from spondylo_ml.clinical.measure import WEAK_EVIDENCE
from spondylo_ml.clinical.meyerding import DEFAULT_RULES
from spondylo_ml.data.synthetic import SLOTS, phantom_films
from spondylo_ml.evaluation.heatmap_evidence import FEWEST_FILMS, Evidence
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.evaluation.slip_uncertainty import film_slips
from spondylo_ml.evaluation.slips import measure_prediction
from spondylo_ml.landmarks import Facing, FilmPrediction

FILM = phantom_films(1, 8, 256).films[0]


def prediction_with(share: float | None, score: float = 0.5) -> FilmPrediction:
    """A prediction with the same share of heat, and the same peak, at each corner."""
    prediction = prediction_of(plain_film(vertebrae=(square(0, 10, 60), square(1, 10, 40))), SLOTS)
    shares = None if share is None else np.full((SLOTS.count, 4), share)
    return replace(prediction, heat_share=shares, corner_score=np.full((SLOTS.count, 4), score))


def typical_evidence() -> Evidence:
    evidence = Evidence.fit([prediction_with(s) for s in (0.5, 0.6, 0.6, 0.6, 0.7)])
    assert evidence is not None
    return evidence


def test_evidence_falls_with_the_heat_share_in_standard_deviations_below_the_median() -> None:
    assert typical_evidence().measure == "heat_share"
    assert typical_evidence().median_log == pytest.approx(np.log(0.6))
    assert typical_evidence().spread_log == 0.25  # the least allowed
    for deviations, evidence in ((0.0, 1.0), (-2.0, 1.0), (-2.5, 0.5), (-3.0, 0.0), (-9.0, 0.0)):
        assert typical_evidence().of(prediction_with(0.6 * np.exp(0.25 * deviations))) == pytest.approx(
            evidence, abs=1e-9
        )


def test_a_model_without_heat_is_measured_by_its_scores_and_a_missing_corner_scores_0() -> None:
    evidence = Evidence.fit([prediction_with(None, 0.8)] * 6)
    assert evidence is not None
    assert evidence.measure == "corner_score"
    assert evidence.of(prediction_with(None, 0.8)) == 1.0
    assert evidence.of(prediction_with(None, 0.1)) == 0.0
    assert evidence.of(replace(prediction_with(None), corner_score=np.full((SLOTS.count, 4), np.nan))) == 0.0


def test_too_few_films_give_no_measure_and_a_film_without_vertebrae_has_full_evidence() -> None:
    assert Evidence.fit([prediction_with(0.6)] * (FEWEST_FILMS - 1)) is None
    assert Evidence.fit([]) is None
    assert typical_evidence().of(replace(prediction_with(0.01), presence=np.zeros(SLOTS.count))) == 1.0


def test_predict_and_evaluate_measure_nothing_without_evidence() -> None:
    """Whether the facing is given or inferred."""
    sure = prediction_of(FILM, SLOTS)
    weak = replace(sure, evidence=0.3)
    for film in (FILM, replace(FILM, facing=Facing.UNKNOWN)):
        measurement = measure_prediction(film, weak, DEFAULT_RULES, levels_from="predicted by the model")
        assert measurement.warnings[0] == WEAK_EVIDENCE
        assert not measurement.levels_known
        assert measurement.facing_confidence <= (1.0 if film is FILM else 0.65)
        assert all(level.slip.reason == WEAK_EVIDENCE and level.grade is None for level in measurement.levels)
    assert set(PredictionSet([FILM], [weak]).slips(DEFAULT_RULES)["pred_withheld"]) == {WEAK_EVIDENCE}
    assert (PredictionSet([FILM], [sure]).slips(DEFAULT_RULES)["pred_withheld"] == "").any()


def test_confidences_fall_with_the_evidence_before_measurements_are_withheld() -> None:
    film = replace(FILM, facing=Facing.UNKNOWN)
    confidences = []
    for evidence in (1.0, 0.9, 0.7):
        measurement = measure_prediction(
            film, replace(prediction_of(FILM, SLOTS), evidence=evidence), DEFAULT_RULES, "test"
        )
        confidences.append((measurement.facing_confidence, measurement.levels_confidence))
    assert confidences[1][0] == pytest.approx(0.5 + 0.9 * (confidences[0][0] - 0.5))
    assert confidences[2][1] == pytest.approx(0.7 * confidences[0][1])
    assert "which side is anterior is uncertain" in measurement.levels[0].slip.reason


def test_a_lowest_vertebra_that_the_edge_cuts_off_is_not_recognised_as_s1() -> None:
    sure = prediction_of(FILM, SLOTS)
    assert measure_prediction(FILM, sure, DEFAULT_RULES, "test").levels_known
    corners = sure.corners_xy.copy()
    corners[0, 2:, 1] += FILM.size_hw[0]
    cut = measure_prediction(FILM, replace(sure, corners_xy=corners), DEFAULT_RULES, "test")
    assert not cut.levels_known
    assert cut.warnings[0] == "2 corner(s) beyond the edge of the film are not used"
    assert any("the lowest vertebra is S1 with a probability of 0.50" in text for text in cut.warnings)


@pytest.mark.parametrize(("turns", "level_confidence", "measured"), [(2, 0.99, True), (2, 0.5, False), (1, 0.5, True)])
def test_upside_down_and_without_level_names_nothing_is_measured(
    turns: int, level_confidence: float, measured: bool
) -> None:
    prediction = replace(prediction_of(FILM, SLOTS), quarter_turns=turns, level_confidence=level_confidence)
    result = measure_prediction(FILM, prediction, DEFAULT_RULES, "test")
    assert result.levels_known == (level_confidence > 0.95)
    assert [not level.slip.reason for level in result.levels] == [measured] * len(result.levels)
    assert any("may be upright" in text for text in result.warnings) == (not measured)


def test_corners_beyond_the_edge_of_the_film_are_not_measured() -> None:
    sure = prediction_of(FILM, SLOTS)
    whole = measure_prediction(FILM, sure, DEFAULT_RULES, "test")
    assert not any("beyond the edge" in text for text in whole.warnings)
    slot = FILM.vertebrae[2].slot  # type: ignore[index]
    corners = sure.corners_xy.copy()
    corners[slot - SLOTS.first, :, 0] += FILM.size_hw[1] + 1.01 * max(FILM.size_hw) / 512 - corners[slot, :, 0].min()
    cut = measure_prediction(FILM, replace(sure, corners_xy=corners), DEFAULT_RULES, "test")
    assert cut.warnings[0] == "4 corner(s) beyond the edge of the film are not used"
    of_slot = [level for level in cut.levels if slot in (level.upper_slot, level.lower_slot)]
    assert of_slot
    assert all(np.isnan(level.slip.value) for level in of_slot)
    others = [level.slip.value for level in cut.levels if level not in of_slot]
    assert others == [level.slip.value for level in whole.levels if slot not in (level.upper_slot, level.lower_slot)]


def test_a_film_without_evidence_has_no_intervals() -> None:
    weak = replace(prediction_of(FILM, SLOTS), evidence=0.0)
    assert film_slips(FILM, weak, None, DEFAULT_RULES, 10) == ()  # type: ignore[arg-type]
