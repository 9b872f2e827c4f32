"""One verdict per level from its set of slips, against hand calculations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from uncertain_films import films_with_noise

from spondylo_ml.clinical.measure import measure_film
from spondylo_ml.clinical.measurement import format_slip_intervals
from spondylo_ml.clinical.meyerding import DEFAULT_RULES, Grade, grade0_range_percent, grades
from spondylo_ml.config import ClinicalConfig
from spondylo_ml.evaluation.separate_sets import slip_set
from spondylo_ml.evaluation.slip_set import SlipSet, grade_limits
from spondylo_ml.evaluation.verdict import (
    ALL_GRADES,
    NOTHING_KNOWN,
    LevelVerdict,
    complete_verdicts,
    grades_touched,
    level_uncertainty,
    level_verdict,
)

LIMITS = grade_limits(DEFAULT_RULES, np.nan)


def verdict_on(*pieces: tuple[float, float], grade_set: tuple[int, ...], limits: np.ndarray = LIMITS) -> LevelVerdict:
    return level_verdict(SlipSet(pieces), grade_set, limits)


def test_one_grade_in_both_sets_is_not_referred() -> None:
    assert verdict_on((8.0, 21.0), grade_set=(1,)) == LevelVerdict(True, (1,), False, "grade I")
    assert verdict_on((-4.0, 4.9), grade_set=(0,)) == LevelVerdict(True, (0,), False, "grade 0")
    assert verdict_on((-72.0, -51.0), grade_set=(3,)) == LevelVerdict(True, (3,), False, "grade III")


def test_a_slip_set_that_crosses_a_limit_is_referred_despite_a_single_grade() -> None:
    crossing = verdict_on((-2.0, 31.0), grade_set=(1,))
    assert crossing == LevelVerdict(True, (0, 1, 2), True, "indeterminate between 0 and II, refer")
    assert verdict_on((3.0, 12.0), grade_set=(1,)).grades == (0, 1)
    assert verdict_on((-26.0, -20.0), grade_set=(1,)).grades == (1, 2)


def test_a_probable_grade_is_kept_though_the_slip_set_excludes_it() -> None:
    assert verdict_on((10.0, 20.0), grade_set=(1, 2)).words == "indeterminate between I and II, refer"
    assert verdict_on((10.0, 20.0), grade_set=(0, 1, 3)).words == "indeterminate between 0, I and III, refer"


def test_a_slip_set_that_ends_on_a_limit_stays_on_its_side() -> None:
    """Upper limits are inclusive: 25.0 is grade I, and a slip set that ends there holds no grade II."""
    assert verdict_on((5.0, 25.0), grade_set=(1,)) == LevelVerdict(True, (1,), False, "grade I")
    assert verdict_on((25.0, 25.0), grade_set=(1,)) == LevelVerdict(True, (1,), False, "grade I")
    assert verdict_on((25.0, 50.0), grade_set=(2,)) == LevelVerdict(True, (2,), False, "grade II")


def test_pieces_on_both_sides_leave_the_direction_undetermined() -> None:
    verdict = verdict_on((-24.0, -6.0), (6.0, 20.0), grade_set=(1,))
    assert verdict.refer
    assert verdict.words == "grade I, indeterminate between forward and backward, refer"
    assert not verdict_on((-4.0, 4.0), grade_set=(0,)).refer, "no listhesis has no direction"


def test_the_limit_of_grade_0_depends_on_the_endplate_in_mm() -> None:
    """3 mm are 10 % of an endplate of 30 mm: a set up to 8 % is no listhesis there, but grade 0 or I without mm."""
    assert not verdict_on((-1.0, 8.0), grade_set=(0,), limits=grade_limits(DEFAULT_RULES, 30.0)).refer
    assert verdict_on((-1.0, 8.0), grade_set=(0,)).grades == (0, 1)


@pytest.mark.parametrize(
    ("piece", "grades_left"),
    [
        ((5.5, 9.0), (0, 1)),
        ((-9.0, -5.5), (0, 1)),
        ((9.9, 20.0), (0, 1)),
        ((-30.0, -9.9), (0, 1, 2)),
        ((10.0, 20.0), (1,)),
        ((-20.0, -10.0), (1,)),
        ((-4.0, 4.9), (0,)),
        ((7.0, 7.0), (0, 1)),
    ],
)
def test_grade_0_is_not_excluded_by_slips_that_may_be_less_than_3_mm(
    piece: tuple[float, float], grades_left: tuple[int, ...]
) -> None:
    """Without a spacing: 3 mm are 10 % of a small endplate of 30 mm."""
    verdict = level_verdict(SlipSet((piece,)), grades_left[-1:], LIMITS, grade0_range_percent(DEFAULT_RULES, np.nan))
    assert verdict.grades == grades_left
    assert verdict.refer == (len(grades_left) > 1)


def test_grade_1_is_not_excluded_by_slips_that_may_be_more_than_the_limit_in_mm() -> None:
    """1 mm is 2.2 to 3.3 % of an endplate of 45 to 30 mm."""
    in_doubt = grade0_range_percent(ClinicalConfig(grade0_mm=1.0), np.nan)
    assert level_verdict(SlipSet(((3.2, 4.5),)), (0,), LIMITS, in_doubt).grades == (0, 1)
    assert level_verdict(SlipSet(((-2.0, 2.2),)), (0,), LIMITS, in_doubt).grades == (0,)


@pytest.mark.parametrize(
    "pieces",
    [
        ((-231.0, 282.0),),
        ((-10.0, 112.0),),
        ((-150.0, -101.0), (40.0, 60.0)),
        (),
        ((np.nan, np.nan),),
        ((-np.inf, np.inf),),
    ],
)
def test_an_uninformative_set_is_not_known(pieces: tuple[tuple[float, float], ...]) -> None:
    verdict = verdict_on(*pieces, grade_set=(2, 3))
    assert verdict == NOTHING_KNOWN == LevelVerdict(False, ALL_GRADES, True, "not known, refer")
    uncertainty = level_uncertainty(1, verdict, SlipSet(pieces), 0.9, {})
    assert (uncertainty.pieces_percent, uncertainty.low_percent, uncertainty.high_percent) == ((), None, None)
    assert format_slip_intervals(uncertainty.pieces_percent) == "not known"


@given(st.floats(-130, 130), st.lists(st.floats(0, 60), min_size=6, max_size=6), st.sets(st.integers(0, 5)))
def test_a_verdict_that_is_not_referred_agrees_with_both_sets(
    slip: float, reach: list[float], grade_set: set[int]
) -> None:
    predicted = int(grades(np.array(slip)))
    slips = slip_set(slip, np.array(reach), LIMITS)
    verdict = level_verdict(slips, grade_set | {predicted}, LIMITS)
    assert set(verdict.grades) >= grade_set | {predicted}
    assert set(verdict.grades) >= grades_touched(slips, LIMITS) | grades_touched(slips, LIMITS, backward=True)
    assert verdict.refer == (verdict.words.endswith("refer"))
    if not verdict.refer:
        samples = [x for low, high in slips.pieces_percent for x in np.linspace(low + 1e-6, high - 1e-6, 50)]
        inside = [x for x in samples if any(low < x < high for low, high in slips.pieces_percent)]
        assert set(grades(np.array(inside)).astype(int)) <= {predicted}
        assert predicted == 0 or len({np.sign(x) for x in inside}) <= 1


def test_every_measured_level_has_a_verdict() -> None:
    film = films_with_noise(1, 3)[0][0]
    levels = measure_film(film).levels
    known_level = level_uncertainty(2, verdict_on((8.0, 21.0), grade_set=(1,)), SlipSet(((8.0, 21.0),)), 0.9, {1: 1.0})
    completed = complete_verdicts(levels, [known_level])
    assert [uncertainty.upper_slot for uncertainty in completed] == [level.upper_slot for level in levels]
    assert completed[1] is known_level
    assert (completed[0].verdict, completed[0].refer, completed[0].grade_set) == ("not known, refer", True, ALL_GRADES)
    assert completed[0].coverage is None
    assert {Grade(g).label for g in ALL_GRADES} == {"0", "I", "II", "III", "IV", "V"}
