"""The distribution of a level's true slip: known errors are found again, and Bayes' rule calculated by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import check_grad

from spondylo_ml.clinical.meyerding import DEFAULT_RULES
from spondylo_ml.evaluation.slip_distribution import SLIP_GRID, SlipDistribution, _loss
from spondylo_ml.evaluation.slip_set import SIGNED_GRADES, grade_limits

LIMITS = grade_limits(DEFAULT_RULES, np.nan)


def levels(count: int, seed: int, freedom: float = 5.0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Difficulty, slot, predicted and true slips; the scale is 2 exp(0.5 difficulty), and half of that at slot 3."""
    rng = np.random.default_rng(seed)
    difficulty, slot = rng.normal(size=(count, 1)), rng.integers(1, 4, count)
    true = rng.normal(-1, 3, count)
    scale = 2 * np.exp(0.5 * difficulty[:, 0]) * np.where(slot == 3, 0.5, 1.0)
    return difficulty, slot, true + scale * rng.standard_t(freedom, count), true


def flat(log_scale: float = 0.0, **changes: object) -> SlipDistribution:
    """A distribution for which all true slips are equally frequent and all levels equally difficult."""
    values: dict[str, object] = {
        "centre": (0.0,), "deviation": (1.0,), "weights": (0.0,), "by_slot": {}, "log_scale": log_scale,
        "degrees_of_freedom": 50.0, "density": (1.0,) * len(SLIP_GRID),
    }  # fmt: skip
    return SlipDistribution.model_validate(values | changes)


def test_the_scale_of_known_errors_is_found_again() -> None:
    fitted = SlipDistribution.fit(*levels(6000, 0))
    scale = fitted.scale_percent(np.array([[0.0], [1.0], [0.0]]), np.array([1, 1, 3]))
    assert scale == pytest.approx([2, 2 * np.exp(0.5), 1], rel=0.08)
    assert 4 < fitted.degrees_of_freedom < 6.5


def test_the_gradient_of_the_likelihood_is_right() -> None:
    rng = np.random.default_rng(0)
    design, error = rng.normal(size=(40, 3)), 3 * rng.standard_t(3, 40)
    point = np.array([0.7, 0.2, -0.1, 0.4, 1.3])
    assert check_grad(lambda p: _loss(p, design, error)[0], lambda p: _loss(p, design, error)[1], point) < 1e-3


def test_an_unknown_slot_and_an_absent_difficulty_count_as_the_mean() -> None:
    model = flat(weights=(1.0,), by_slot={1: 0.5}, centre=(2.0,), deviation=(4.0,))
    difficulty = np.array([[2.0], [np.nan], [6.0], [1000.0]])
    expected = np.exp([0.5, 0.0, 1.0, 3.0])  # the last: at most 3 deviations
    assert model.scale_percent(difficulty, np.array([1, 9, 9, 9])) == pytest.approx(expected)


def test_the_probability_of_a_grade_is_its_share_of_the_error_distribution() -> None:
    model = flat()
    slips, scale = np.array([5.0, 5.0, 60.0, 200.0]), np.array([2.0, 0.1, 3.0, 1.0])
    probability = model.probabilities(slips, scale, np.tile(LIMITS, (4, 1)))
    assert probability.sum(axis=1) == pytest.approx(np.ones(4))
    by_grade = {int(g): probability[:, i] for i, g in enumerate(SIGNED_GRADES)}
    assert by_grade[0][0] == pytest.approx(0.5, abs=0.07), "half of a symmetric distribution on the limit"
    assert by_grade[0][0] + by_grade[1][0] == pytest.approx(1, abs=1e-3)
    assert by_grade[3][2] > 0.99
    assert by_grade[5][3] > 0.99, "far beyond all calibration films"


def test_where_most_levels_have_no_slip_a_doubtful_one_is_probably_none() -> None:
    """A slip of 7 % with a scale of 6 %: grade I if all slips are equally frequent, none if most are below 5 %."""
    rare = np.where(np.abs(SLIP_GRID) < 5, 1.0, 0.02)
    doubtful = (np.array([7.0]), np.array([6.0]), LIMITS[None])
    zero, forward = (int(np.flatnonzero(SIGNED_GRADES == g)[0]) for g in (0, 1))
    even, clinic = (flat(density=tuple(d)).probabilities(*doubtful)[0] for d in (np.ones_like(rare), rare))
    assert even[forward] > even[zero]
    assert clinic[zero] > 0.9


def test_the_density_of_true_slips_integrates_to_1_and_excludes_none() -> None:
    fitted = SlipDistribution.fit(*levels(200, 1))
    density = np.array(fitted.density)
    assert np.trapezoid(density, SLIP_GRID) == pytest.approx(1, abs=0.02)
    assert (density > 0).all()
    assert -3 < SLIP_GRID[density.argmax()] < 1


def test_levels_without_errors_have_the_least_scale_and_round_trip() -> None:
    difficulty, slot, _, true = levels(60, 2)
    fitted = SlipDistribution.fit(difficulty, slot, true, true)
    assert fitted.scale_percent(difficulty, slot) == pytest.approx(np.full(60, 0.1), rel=0.5)
    assert SlipDistribution.model_validate_json(fitted.model_dump_json()) == fitted
