"""Calibrations of version 0.1.0: their sets, calculated by hand, and that they are still read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from uncertain_films import films_with_noise

from spondylo_ml.clinical.meyerding import DEFAULT_RULES
from spondylo_ml.evaluation.level_difficulty import DIFFICULTY, SPREAD_FLOOR_PERCENT
from spondylo_ml.evaluation.separate_sets import GradeLimits, SeparateSets, SlipReach, slip_set
from spondylo_ml.evaluation.slip_set import LevelPrediction, grade_limits
from spondylo_ml.evaluation.uncertainty import UncertaintyModel

LIMITS = grade_limits(DEFAULT_RULES, np.nan)
REACH = SlipReach(
    coverage=0.9, by_level={1: 2.0}, other_levels=3.0, by_grade=(1.0, 2.0, 2.0, 2.0, 2.0, 2.0), n_levels=99
)
GRADES = GradeLimits(coverage=0.9, least_probability=(0.2, 0.1, 0.3, 0.3, 0.3, 0.3), n_levels=99)
SETS = SeparateSets(slips=REACH, grades=GRADES)


def as_written_by_0_1(**changes: object) -> dict[str, Any]:
    """What version 0.1.0 wrote into a bundle."""
    corners = {"edges": [], "radii": [[p / 25 for p in range(102)]], "n_corners": 400}
    slips, grades = REACH.model_dump(mode="json"), GRADES.model_dump(mode="json")
    return {"source": "heatmap", "samples": 100, "corners": corners, "slips": slips, "grades": grades, **changes}


def test_the_reach_is_a_factor_of_the_level_and_of_the_grade() -> None:
    assert REACH.reach_percent(1, 1.5).tolist() == [3.0, 6.0, 6.0, 6.0, 6.0, 6.0]
    assert REACH.reach_percent(7, 1.5)[0] == 4.5
    assert REACH.reach_percent(1, 0.0)[0] == 2 * SPREAD_FLOOR_PERCENT


def test_a_slip_is_in_the_set_if_within_the_reach_of_its_own_grade() -> None:
    slips = slip_set(0.0, np.array([1.0, 10.0, 10.0, 10.0, 10.0, 10.0]), LIMITS)
    assert slips.pieces_percent == ((-10.0, -5.0), (-1.0, 1.0), (5.0, 10.0))
    assert slip_set(15.0, np.full(6, 12.0), LIMITS).pieces_percent == ((3.0, 27.0),)
    assert slip_set(0.0, np.array([1.0, 4.9, 4.9, 4.9, 4.9, 4.9]), LIMITS).high_percent == 1.0
    assert slip_set(25.0, np.zeros(6), LIMITS).pieces_percent == ((25.0, 25.0),)


@given(st.floats(-150, 150), st.floats(0, 60), st.floats(0, 30))
def test_a_wider_reach_never_loses_a_slip(slip: float, reach: float, more: float) -> None:
    inner, outer = (slip_set(slip, np.full(6, r), LIMITS) for r in (reach, reach + more))
    assert outer.low_percent <= inner.low_percent <= slip <= inner.high_percent <= outer.high_percent
    assert inner.width_percent <= outer.width_percent <= outer.high_percent - outer.low_percent + 1e-9


def test_a_set_holds_the_grades_that_reach_their_limit_and_always_the_predicted_one() -> None:
    assert GRADES.grade_set(np.array([0.85, 0.15, 0, 0, 0, 0]), 0) == (0, 1)
    assert GRADES.grade_set(np.array([0.95, 0.05, 0, 0, 0, 0]), 0) == (0,)
    assert GRADES.grade_set(np.array([0.16, 0.09, 0.25, 0.25, 0.25, 0]), 4) == (4,)


def test_a_level_has_both_sets_and_its_monte_carlo_probabilities() -> None:
    sampled = {0: 0.02, 1: 0.88, 2: 0.1, 3: 0.0, 4: 0.0, 5: 0.0}
    level = LevelPrediction(1, 15.0, 1, LIMITS, (5.0, 5.0), 2.0, (np.nan,) * len(DIFFICULTY), sampled)
    found = SETS.level_set(level)
    assert found.slips.pieces_percent == ((7.0, 23.0),)
    assert found.grades == (1,)
    assert found.probabilities == sampled


def test_a_calibration_of_version_0_1_is_read_and_written_again() -> None:
    model = UncertaintyModel.model_validate(as_written_by_0_1())
    assert model.sets == SETS
    assert model.coverage == 0.9
    assert UncertaintyModel.model_validate_json(model.model_dump_json()) == model
    films, predictions = films_with_noise(1, 3)
    levels = model.levels(films[0], predictions[0], DEFAULT_RULES)
    assert len(levels) > 3
    assert all(sum(level.grade_probabilities.values()) == pytest.approx(1) for level in levels)


def test_a_calibration_without_one_of_its_sets_is_rejected() -> None:
    with pytest.raises(ValidationError, match=r"sets\.separate\.grades"):
        UncertaintyModel.model_validate(as_written_by_0_1(grades=None))
    with pytest.raises(ValidationError, match="'single', 'separate'"):
        UncertaintyModel.model_validate(
            {k: v for k, v in as_written_by_0_1().items() if k not in ("slips", "grades")} | {"sets": {"kind": "none"}}
        )
