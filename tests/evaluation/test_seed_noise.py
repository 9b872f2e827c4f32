"""The noise floor between seeds, against hand calculations."""

from __future__ import annotations

import math

import numpy as np
import pytest

from spondylo_ml.errors import ConfigError, DataError
from spondylo_ml.evaluation.paired import PairedValues
from spondylo_ml.evaluation.seed_noise import checked_floor, noise_floors, values_from_text, values_text

FILMS = ("a", "a", "b", "c")


def values(
    *numbers: float, films: tuple[str, ...] = FILMS, metric: str = "grade_accuracy_all"
) -> dict[str, PairedValues]:
    return {metric: PairedValues(np.array(numbers, dtype=np.float64), films)}


def floor(*groups: list[dict[str, PairedValues]], metric: str = "grade_accuracy_all") -> float:
    return noise_floors(groups)[f"noise_floor/{metric}"]


def test_the_floor_of_two_seeds_that_differ_at_one_level_matches_a_hand_calculation() -> None:
    # 50 and 75 % of the levels: one pair, 25 points apart, hence a standard deviation of 25 / root 2.
    assert floor([values(100, 100, 0, 0), values(100, 100, 100, 0)]) == pytest.approx(1.96 * 25)


def test_the_floor_of_several_seeds_is_1_96_root_2_times_their_standard_deviation() -> None:
    means = (40.0, 55.0, 61.0, 46.0)
    expected = 1.96 * math.sqrt(2) * np.std(means, ddof=1)
    assert floor([values(*[mean] * 4) for mean in means]) == pytest.approx(expected)


def test_groups_are_pooled_by_their_degrees_of_freedom() -> None:
    two, three = (4.0, 8.0), (6.0, 7.0, 8.0)  # variances 8 (1 degree of freedom) and 1 (2 degrees)
    groups = [[values(*[mean] * 4) for mean in means] for means in (two, three)]
    assert floor(*groups) == pytest.approx(1.96 * math.sqrt(2 * (8 + 2 * 1) / 3))


def test_a_difference_uses_only_observations_that_both_seeds_have() -> None:
    # The means of all values would be 3 and 5; of the shared ones, 2 and 5.
    first, second = values(2, 2, 5, math.nan), values(5, 5, math.nan, math.nan)
    assert floor([first, second]) == pytest.approx(1.96 * 3)


def test_seeds_that_are_all_alike_give_no_floor_of_0() -> None:
    same, other = values(100, 0, 0, 0), values(1, 2, 3, 4, metric="mre_px512")
    assert noise_floors([[same | other, same | values(2, 3, 4, 5, metric="mre_px512")]]) == {
        "noise_floor/mre_px512": pytest.approx(1.96)
    }


def test_one_seed_or_no_shared_values_gives_no_floor() -> None:
    assert noise_floors([[values(1, 2, 3, 4)], []]) == {}
    assert noise_floors([[values(1, math.nan, 1, 1), values(*[math.nan] * 4)]]) == {}
    assert noise_floors([[values(1, *[math.nan] * 3), values(math.nan, 1, 1, 1)]]) == {}


def test_training_runs_evaluated_on_other_films_are_rejected() -> None:
    other = values(1, 2, 3, 4, films=("a", "a", "b", "d"))
    with pytest.raises(
        DataError, match="grade_accuracy_all: training runs of one group were not evaluated on the same"
    ):
        noise_floors([[values(1, 2, 3, 4), other]])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -0.1])
def test_an_invalid_floor_is_rejected(value: float) -> None:
    with pytest.raises(
        ConfigError, match=rf"noise_floor: {value:g} is not a noise floor; it must be a finite number of at least 0"
    ):
        checked_floor(value, "noise_floor")
    assert checked_floor(0.0, "noise_floor") == 0.0


def test_values_round_trip_through_text() -> None:
    original = values(1.5, math.nan, 0, 100) | values(1, 1.23e-7, films=("a", "b"), metric="nmse")
    loaded = values_from_text(values_text(original))
    assert list(loaded) == list(original)
    for name, paired in original.items():
        assert loaded[name].film_ids == paired.film_ids
        np.testing.assert_array_equal(loaded[name].values, paired.values)
