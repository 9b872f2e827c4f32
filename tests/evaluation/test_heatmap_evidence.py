"""Evidence: what is usual on the validation films is all of it, and a film far below has none."""

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


def seen(share: float | None, score: float = 0.5) -> FilmPrediction:
    """A prediction with the same share of heat, and the same peak, at each corner."""
    made = prediction_of(plain_film(vertebrae=(square(0, 10, 60), square(1, 10, 40))), SLOTS)
    shares = None if share is None else np.full((SLOTS.count, 4), share)
    return replace(made, heat_share=shares, corner_score=np.full((SLOTS.count, 4), score))


def usual() -> Evidence:
    made = Evidence.fit([seen(s) for s in (0.5, 0.6, 0.6, 0.6, 0.7)])
    assert made is not None
    return made


def test_the_measure_is_the_share_of_the_heat_against_the_usual_one_in_standard_deviations() -> None:
    assert usual().measure == "heat_share"
    assert usual().median_log == pytest.approx(np.log(0.6))
    assert usual().spread_log == 0.25  # at least
    for deviations, evidence in ((0.0, 1.0), (-2.0, 1.0), (-2.5, 0.5), (-3.0, 0.0), (-9.0, 0.0)):
        assert usual().of(seen(0.6 * np.exp(0.25 * deviations))) == pytest.approx(evidence, abs=1e-9)


def test_a_model_without_heat_is_known_by_its_scores_and_an_absent_corner_counts_as_none() -> None:
    made = Evidence.fit([seen(None, 0.8)] * 6)
    assert made is not None
    assert made.measure == "corner_score"
    assert made.of(seen(None, 0.8)) == 1.0
    assert made.of(seen(None, 0.1)) == 0.0
    assert made.of(replace(seen(None), corner_score=np.full((SLOTS.count, 4), np.nan))) == 0.0


def test_too_few_films_tell_nothing_and_a_film_without_vertebrae_has_nothing_to_doubt() -> None:
    assert Evidence.fit([seen(0.6)] * (FEWEST_FILMS - 1)) is None
    assert Evidence.fit([]) is None
    assert usual().of(replace(seen(0.01), presence=np.zeros(SLOTS.count))) == 1.0


def test_without_evidence_nothing_is_measured_whoever_asks() -> None:
    """By `predict` and by `evaluate`, with the facing given and with it inferred."""
    sure = prediction_of(FILM, SLOTS)
    weak = replace(sure, evidence=0.3)
    for film in (FILM, replace(FILM, facing=Facing.UNKNOWN)):
        found = measure_prediction(film, weak, DEFAULT_RULES, levels_from="said by the model")
        assert found.warnings[0] == WEAK_EVIDENCE
        assert not found.levels_known
        assert found.facing_confidence <= (1.0 if film is FILM else 0.65)
        assert all(level.slip.reason == WEAK_EVIDENCE and level.grade is None for level in found.levels)
    assert set(PredictionSet([FILM], [weak]).slips(DEFAULT_RULES)["pred_withheld"]) == {WEAK_EVIDENCE}
    assert (PredictionSet([FILM], [sure]).slips(DEFAULT_RULES)["pred_withheld"] == "").any()


def test_confidences_fall_with_the_evidence_before_all_is_withheld() -> None:
    film = replace(FILM, facing=Facing.UNKNOWN)
    confidences = []
    for evidence in (1.0, 0.9, 0.7):
        found = measure_prediction(film, replace(prediction_of(FILM, SLOTS), evidence=evidence), DEFAULT_RULES, "said")
        confidences.append((found.facing_confidence, found.levels_confidence))
    assert confidences[1][0] == pytest.approx(0.5 + 0.9 * (confidences[0][0] - 0.5))
    assert confidences[2][1] == pytest.approx(0.7 * confidences[0][1])
    assert "which side is anterior is uncertain" in found.levels[0].slip.reason


def test_no_interval_where_nothing_is_measured() -> None:
    weak = replace(prediction_of(FILM, SLOTS), evidence=0.0)
    assert film_slips(FILM, weak, None, DEFAULT_RULES, 10) == ()  # type: ignore[arg-type]
