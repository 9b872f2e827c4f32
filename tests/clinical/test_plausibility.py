"""Spines that cannot be: what is wrong is withheld with a warning, and the rest is measured as before."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from builders import plain_film
from spines import rotated, stacked

from spondylo_ml.clinical.measure import measure_film
from spondylo_ml.clinical.measurement import FilmMeasurement
from spondylo_ml.clinical.plausibility import find_implausible_parts, shared_of_smaller
from spondylo_ml.data.synthetic import phantom_films
from spondylo_ml.landmarks import Facing, FloatArray, Vertebra

SLIPS = (10.0, 0.0, 20.0, 0.0, 0.0, 0.0)  # S1 up to T12


def measured(vertebrae: Sequence[Vertebra]) -> FilmMeasurement:
    return measure_film(plain_film(vertebrae=tuple(vertebrae), size_hw=(1200, 640), facing=Facing.LEFT))


def with_corners(slot: int, corners_xy: FloatArray) -> list[Vertebra]:
    return [Vertebra(slot, corners_xy) if v.slot == slot else v for v in stacked(*SLIPS)]


def withheld(found: FilmMeasurement) -> list[str]:
    """Names of the levels without a slip."""
    return [level.name for level in found.levels if level.slip.reason]


def moved(slot: int, x: float = 0.0, y: float = 0.0, scale: float = 1.0) -> list[Vertebra]:
    own = stacked(*SLIPS)[slot].corners_xy
    centre = own.mean(axis=0)
    return with_corners(slot, (own - centre) * scale + centre + [x, y])


def test_a_sound_spine_has_no_doubt() -> None:
    assert withheld(measured(stacked(*SLIPS))) == []
    assert find_implausible_parts(stacked(*SLIPS), {}).warnings == ()


def test_levels_out_of_order_are_withheld_and_all_others_measured() -> None:
    """L1 and T12 in each other's place, as on the page of a real film."""
    bodies = {v.slot: v.corners_xy for v in stacked(*SLIPS)}
    found = measured([Vertebra(s, bodies[{5: 6, 6: 5}.get(s, s)]) for s in sorted(bodies)])
    assert withheld(found) == ["L1/L2", "T12/L1"]
    assert found.levels[-1].slip.reason == "T12 lies below L1, which is out of order"
    assert found.levels[-1].grade is None
    assert "T12 lies below L1, which is out of order: not measured there" in found.warnings
    assert [level.slip.value for level in found.levels[:4]] == pytest.approx(list(SLIPS[:4]))


def test_a_whole_list_in_reverse_measures_nothing() -> None:
    bodies = [v.corners_xy for v in stacked(*SLIPS)][::-1]
    assert len(withheld(measured([Vertebra(s, c) for s, c in enumerate(bodies)]))) == len(SLIPS)


@pytest.mark.parametrize("shift_px", [0.0, 15.0, 35.0])
def test_two_levels_on_one_body(shift_px: float) -> None:
    own = stacked(*SLIPS)[2].corners_xy
    found = measured(with_corners(3, own - [0.0, shift_px]))
    assert withheld(found)[:2] == ["L4/L5", "L3/L4"]
    assert any("L3 and L4 lie on one body: not measured there" in text for text in found.warnings)


def test_two_levels_on_one_body_that_are_no_neighbours() -> None:
    found = measured(with_corners(4, stacked(*SLIPS)[2].corners_xy))
    assert any("L2 and L4 lie on one body" in text for text in found.warnings)
    assert {"L4/L5", "L3/L4", "L2/L3", "L1/L2"} <= set(withheld(found))


@pytest.mark.parametrize(("scale", "said"), [(5.0, "5 times as wide"), (2.3, "2.3 times as wide"), (0.2, "0.2 times")])
def test_a_body_many_times_its_neighbours_size(scale: float, said: str) -> None:
    found = measured(moved(3, scale=scale))
    assert any(text.startswith("L3 would be ") and said in text for text in found.warnings)
    assert {"L3/L4", "L2/L3"} <= set(withheld(found))
    assert "L5/S1" not in withheld(found)


def test_a_crushed_body_is_no_impossible_one() -> None:
    own = stacked(*SLIPS)[3].corners_xy.copy()
    own[:2, 1] += 55  # 25 px high where others are 80
    assert "L2/L3" not in withheld(measured(with_corners(3, own)))


def test_a_vertebra_passed_over_puts_the_names_above_in_doubt() -> None:
    """L4 is on the film, but unnamed: what is called L4 lies two steps above L5."""
    bodies = [v.corners_xy for v in stacked(*SLIPS)]
    found = measured([Vertebra(s, c) for s, c in enumerate(bodies[:2] + bodies[3:])])
    assert withheld(found) == ["L4/L5", "L3/L4", "L2/L3", "L1/L2"]
    assert found.levels[1].slip.reason.startswith("between L4 and L5 a vertebra was passed over")


def test_a_name_passed_over_between_neighbours_puts_the_names_above_in_doubt() -> None:
    bodies = [v.corners_xy for v in stacked(*SLIPS)]
    names = [0, 1, 2, 3, 5, 6, 7]  # no L2, and no room for it
    found = measured([Vertebra(s, c) for s, c in zip(names, bodies, strict=True)])
    assert [level.name for level in found.levels if not level.slip.reason] == ["L5/S1", "L4/L5", "L3/L4"]
    assert any(text.startswith("L1 lies next to L3, with no room for the level between") for text in found.warnings)


def test_a_level_that_was_not_found_is_reported_and_the_rest_measured() -> None:
    found = measured([v for v in stacked(*SLIPS) if v.slot != 4])
    assert "no vertebra was found between L1 and L3" in found.warnings
    assert withheld(found) == ["L2/L3", "L1/L2"]


def test_a_vertebra_that_slipped_off_lies_beside_and_is_no_wrong_order() -> None:
    """L5 a whole depth in front of S1 and below its endplate: spondyloptosis."""
    low = stacked(0.0)[0].corners_xy
    above = [Vertebra(1 + n, low - np.array([115.0, 10.0 + 100.0 * n])) for n in range(4)]
    found = measured([Vertebra(0, low), *above])
    assert found.levels[0].grade == 5
    assert not any("order" in text for text in found.warnings)


def test_a_body_upside_down_between_others() -> None:
    own = stacked(*SLIPS)[2].corners_xy
    found = measured(with_corners(2, rotated(own, 180.0, own.mean(axis=0))))
    assert found.levels[1].slip.reason == "L4 is upside down"
    assert withheld(found) == ["L4/L5", "L3/L4"]


def test_a_crossed_outline_is_reported() -> None:
    found = measured(with_corners(2, stacked(*SLIPS)[2].corners_xy[[0, 1, 3, 2]]))
    assert "L4's outline crosses itself: not measured there" in found.warnings


def test_an_impossible_body_is_no_neighbour_for_a_compression_and_has_no_wedge() -> None:
    found = measured(moved(3, scale=5.0))
    by_name = {body.name: body for body in found.bodies}
    assert by_name["L3"].wedge_ratio.reason.startswith("L3 would be 5 times as wide")
    assert by_name["L5"].compression_ratio.value == pytest.approx(1.0)


@pytest.mark.parametrize("slips", ["clinic", "even"])
def test_no_synthetic_film_of_any_grade_is_doubted(slips: str) -> None:
    rng = np.random.default_rng(3)
    for film in phantom_films(300, 13, 256, slips=slips).films:  # type: ignore[arg-type]
        own = film.vertebrae or ()
        depth = np.median([np.linalg.norm(v.corners_xy[1] - v.corners_xy[0]) for v in own])
        near = [Vertebra(v.slot, v.corners_xy + 0.04 * depth * rng.normal(size=(4, 2))) for v in own]
        assert find_implausible_parts(near, {}, film.pixel_aspect).warnings == ()
        plates = [Vertebra(0, np.concatenate([own[0].corners_xy[:2], np.full((2, 2), np.nan)])), *own[1:]]
        assert find_implausible_parts(plates, {}, film.pixel_aspect).warnings == ()
        for pair in (own[:2], own[-2:]):
            assert find_implausible_parts(pair, {}, film.pixel_aspect).warnings == ()


def test_the_share_of_the_smaller_of_two_bodies() -> None:
    low = stacked(0.0)[0].corners_xy
    assert shared_of_smaller(low, low) == pytest.approx(1.0)
    assert shared_of_smaller(low, low - [0.0, 40.0]) == pytest.approx(0.5)
    assert shared_of_smaller(low, low - [0.0, 100.0]) == 0.0
