"""Implausible spines: the affected levels are withheld with a warning, and the rest is measured as before."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from builders import plain_film
from spines import rotated, stacked

from spondylo_ml.clinical.measure import measure_film, measure_vertebrae
from spondylo_ml.clinical.measurement import FilmMeasurement
from spondylo_ml.clinical.plausibility import find_implausible_parts, shared_of_smaller, shared_thickness
from spondylo_ml.data.phantom import phantom_film
from spondylo_ml.data.synthetic import phantom_films
from spondylo_ml.landmarks import Facing, FloatArray, Vertebra

SLIPS = (10.0, 0.0, 20.0, 0.0, 0.0, 0.0)  # S1 up to T12


def measured(vertebrae: Sequence[Vertebra]) -> FilmMeasurement:
    return measure_film(plain_film(vertebrae=tuple(vertebrae), size_hw=(1200, 640), facing=Facing.LEFT))


def with_corners(slot: int, corners_xy: FloatArray) -> list[Vertebra]:
    return [Vertebra(slot, corners_xy) if v.slot == slot else v for v in stacked(*SLIPS)]


def withheld(result: FilmMeasurement) -> list[str]:
    """Names of the levels without a slip."""
    return [level.name for level in result.levels if level.slip.reason]


def moved(slot: int, x: float = 0.0, y: float = 0.0, scale: float = 1.0) -> list[Vertebra]:
    body = stacked(*SLIPS)[slot].corners_xy
    centre = body.mean(axis=0)
    return with_corners(slot, (body - centre) * scale + centre + [x, y])


def test_a_plausible_spine_has_no_warnings() -> None:
    assert withheld(measured(stacked(*SLIPS))) == []
    assert find_implausible_parts(stacked(*SLIPS), {}).warnings == ()


def test_levels_out_of_order_are_withheld_and_all_others_measured() -> None:
    """L1 and T12 swapped, as once seen on a real film."""
    bodies = {v.slot: v.corners_xy for v in stacked(*SLIPS)}
    result = measured([Vertebra(s, bodies[{5: 6, 6: 5}.get(s, s)]) for s in sorted(bodies)])
    assert withheld(result) == ["L1/L2", "T12/L1"]
    assert result.levels[-1].slip.reason == "T12 lies below L1, which is out of order"
    assert result.levels[-1].grade is None
    assert "T12 lies below L1, which is out of order: not measured there" in result.warnings
    assert [level.slip.value for level in result.levels[:4]] == pytest.approx(list(SLIPS[:4]))


def test_a_whole_list_in_reverse_measures_nothing() -> None:
    bodies = [v.corners_xy for v in stacked(*SLIPS)][::-1]
    assert len(withheld(measured([Vertebra(s, c) for s, c in enumerate(bodies)]))) == len(SLIPS)


@pytest.mark.parametrize("shift_px", [0.0, 15.0, 35.0])
def test_two_levels_on_one_body(shift_px: float) -> None:
    body = stacked(*SLIPS)[2].corners_xy
    result = measured(with_corners(3, body - [0.0, shift_px]))
    assert withheld(result)[:2] == ["L4/L5", "L3/L4"]
    assert any("L3 and L4 lie on one body: not measured there" in text for text in result.warnings)


def test_two_endplates_that_cross_withhold_their_level_and_the_shape_of_both_bodies() -> None:
    """A corner of L4 lies 20 px above L3's inferior endplate, as once seen on a real film; bodies are 80 px high.

    They share a triangle that is 20 px high at that corner, and less across its slanted side.
    """
    corners = stacked(*SLIPS)[2].corners_xy.copy()
    corners[0, 1] = stacked(*SLIPS)[3].corners_xy[2:, 1].mean() - 20.0
    result = measured(with_corners(2, corners))
    assert withheld(result) == ["L3/L4"]
    by_name = {body.name: body for body in result.bodies}
    reason = by_name["L4"].wedge_ratio.reason
    assert reason == "L3 and L4 overlap by 23% of a body's height, where a disc should be"
    assert f"{reason}: their level is not measured" in result.warnings
    assert {name for name, body in by_name.items() if body.wedge_ratio.reason} == {"L3", "L4"}


def test_two_levels_on_one_body_that_are_not_adjacent() -> None:
    result = measured(with_corners(4, stacked(*SLIPS)[2].corners_xy))
    assert any("L2 and L4 lie on one body" in text for text in result.warnings)
    assert {"L4/L5", "L3/L4", "L2/L3", "L1/L2"} <= set(withheld(result))


@pytest.mark.parametrize(("scale", "size"), [(5.0, "5 times as wide"), (2.3, "2.3 times as wide"), (0.2, "0.2 times")])
def test_a_body_many_times_its_neighbours_size(scale: float, size: str) -> None:
    result = measured(moved(3, scale=scale))
    assert any(text.startswith("L3 would be ") and size in text for text in result.warnings)
    assert {"L3/L4", "L2/L3"} <= set(withheld(result))
    assert "L5/S1" not in withheld(result)


@pytest.mark.parametrize(("height_px", "plausible"), [(30, True), (26, False)])
def test_a_crushed_body_is_plausible_down_to_35_percent_of_the_others_height(height_px: int, plausible: bool) -> None:
    body = stacked(*SLIPS)[3].corners_xy.copy()
    body[:2, 1] += 80 - height_px  # others are 80 px high
    result = measured(with_corners(3, body))
    assert ("L2/L3" not in withheld(result)) == plausible
    assert any("L3 would be 0.33 times as high as" in text for text in result.warnings) == (not plausible)


def test_a_skipped_vertebra_puts_the_names_above_in_doubt() -> None:
    """L4 is on the film, but unnamed: what is called L4 lies two steps above L5."""
    bodies = [v.corners_xy for v in stacked(*SLIPS)]
    result = measured([Vertebra(s, c) for s, c in enumerate(bodies[:2] + bodies[3:])])
    assert withheld(result) == ["L4/L5", "L3/L4", "L2/L3", "L1/L2"]
    assert result.levels[1].slip.reason.startswith("between L4 and L5 a vertebra was skipped")
    assert result.names_doubted


@pytest.mark.parametrize(("others", "found"), [(3, True), (2, False)])
def test_two_bodies_read_as_one_put_the_names_from_there_up_in_doubt(others: int, found: bool) -> None:
    """L4 and L3 read as L4, which is 180 px high in place of 80, and all above named one too low."""
    bodies = [v.corners_xy for v in stacked(*SLIPS)]
    merged = np.concatenate([bodies[3][:2], bodies[2][2:]])
    spine = [*bodies[:2], merged, *bodies[4 : 3 + others]]
    result = measured([Vertebra(s, c) for s, c in enumerate(spine)])
    reason = "L4 is as high as two bodies, so that names from there up are in doubt"
    assert any(text.startswith(reason) for text in result.warnings) == found
    if found:
        assert withheld(result) == ["L4/L5", "L3/L4", "L2/L3"]
        assert result.names_doubted
        assert result.levels[0].slip.value == pytest.approx(10)


def test_synthetic_bodies_are_not_as_high_as_two_and_merged_ones_are() -> None:
    rng, found, n_films = np.random.default_rng(0), 0, 0
    for film in phantom_films(60, 9, 128).films:
        exact = {v.slot: v.corners_xy for v in film.vertebrae or ()}
        bodies = {slot: xy + rng.normal(0, 0.06, (4, 2)) * np.linalg.norm(xy[1] - xy[0]) for slot, xy in exact.items()}
        assert not _two_as_one(bodies, film.pixel_aspect)
        if len(bodies) > 6:
            merged = {slot - (slot > 2): corners for slot, corners in bodies.items() if slot != 3}
            merged[2] = np.concatenate([bodies[3][:2], bodies[2][2:]])
            n_films, found = n_films + 1, found + _two_as_one(merged, film.pixel_aspect)
    assert n_films > 30
    assert found >= n_films - 1


def _two_as_one(bodies: dict[int, FloatArray], pixel_aspect: float | None) -> bool:
    spine = [Vertebra(slot, bodies[slot]) for slot in sorted(bodies)]
    return any("as high as two" in text for text in find_implausible_parts(spine, {}, pixel_aspect).warnings)


def test_names_above_a_gap_are_not_said_with_the_confidence_of_those_below() -> None:
    film = phantom_film(77, 1)
    skipped = [Vertebra(v.slot - (v.slot > 3), v.corners_xy) for v in film.vertebrae if v.slot != 3]
    aspect = film.spacing.pixel_aspect
    unstretched = [Vertebra(v.slot, v.corners_xy * np.array([aspect, 1.0])) for v in skipped]
    result = measure_vertebrae(unstretched, film.facing, levels_from="said by the model")
    (names,) = (text for text in result.warnings if text.startswith("level names"))
    assert names.startswith("level names said by the model, up to L4; with a confidence")
    assert result.levels_known
    assert result.names_doubted


def test_a_skipped_name_between_adjacent_bodies_puts_the_names_above_in_doubt() -> None:
    bodies = [v.corners_xy for v in stacked(*SLIPS)]
    names = [0, 1, 2, 3, 5, 6, 7]  # no L2, and no room for it
    result = measured([Vertebra(s, c) for s, c in zip(names, bodies, strict=True)])
    assert [level.name for level in result.levels if not level.slip.reason] == ["L5/S1", "L4/L5", "L3/L4"]
    assert any(text.startswith("L1 lies next to L3, with no room for the level between") for text in result.warnings)


def test_a_level_that_was_not_found_is_reported_and_the_rest_measured() -> None:
    result = measured([v for v in stacked(*SLIPS) if v.slot != 4])
    assert "no vertebra was found between L1 and L3" in result.warnings
    assert withheld(result) == ["L2/L3", "L1/L2"]


def test_a_spondyloptosis_is_not_a_wrong_order() -> None:
    """L5 a whole depth in front of S1 and below its endplate: spondyloptosis."""
    low = stacked(0.0)[0].corners_xy
    above = [Vertebra(1 + n, low - np.array([115.0, 10.0 + 100.0 * n])) for n in range(4)]
    result = measured([Vertebra(0, low), *above])
    assert result.levels[0].grade == 5
    assert not any("order" in text for text in result.warnings)


def test_a_body_upside_down_between_others() -> None:
    body = stacked(*SLIPS)[2].corners_xy
    result = measured(with_corners(2, rotated(body, 180.0, body.mean(axis=0))))
    assert result.levels[1].slip.reason == "L4 is upside down"
    assert withheld(result) == ["L4/L5", "L3/L4"]


def test_a_crossed_outline_is_reported() -> None:
    result = measured(with_corners(2, stacked(*SLIPS)[2].corners_xy[[0, 1, 3, 2]]))
    assert "L4's outline crosses itself: not measured there" in result.warnings


def test_an_implausible_body_has_no_wedge_ratio_and_is_no_reference_for_compression() -> None:
    result = measured(moved(3, scale=5.0))
    by_name = {body.name: body for body in result.bodies}
    assert by_name["L3"].wedge_ratio.reason.startswith("L3 would be 5 times as wide")
    assert by_name["L5"].compression_ratio.value == pytest.approx(1.0)


@pytest.mark.parametrize("slips", ["clinic", "even"])
def test_synthetic_films_of_all_grades_are_plausible(slips: str) -> None:
    rng = np.random.default_rng(3)
    for film in phantom_films(300, 13, 256, slips=slips).films:  # type: ignore[arg-type]
        vertebrae = film.vertebrae or ()
        depth = np.median([np.linalg.norm(v.corners_xy[1] - v.corners_xy[0]) for v in vertebrae])
        noisy = [Vertebra(v.slot, v.corners_xy + 0.04 * depth * rng.normal(size=(4, 2))) for v in vertebrae]
        assert find_implausible_parts(noisy, {}, film.pixel_aspect).warnings == ()
        plate_alone = Vertebra(0, np.concatenate([vertebrae[0].corners_xy[:2], np.full((2, 2), np.nan)]))
        plates = [plate_alone, *vertebrae[1:]]
        assert find_implausible_parts(plates, {}, film.pixel_aspect).warnings == ()
        for pair in (vertebrae[:2], vertebrae[-2:]):
            assert find_implausible_parts(pair, {}, film.pixel_aspect).warnings == ()


def test_the_share_of_the_smaller_of_two_bodies() -> None:
    low = stacked(0.0)[0].corners_xy
    assert shared_of_smaller(low, low) == pytest.approx(1.0)
    assert shared_of_smaller(low, low - [0.0, 40.0]) == pytest.approx(0.5)
    assert shared_of_smaller(low, low - [0.0, 100.0]) == 0.0


def test_the_thickness_of_what_two_bodies_share() -> None:
    low = stacked(0.0)[0].corners_xy
    assert shared_thickness(low, low - [0.0, 70.0]) == pytest.approx(10.0)
    assert shared_thickness(low, low - [0.0, 80.0]) == 0.0


@pytest.mark.parametrize("scale", [1.0, 2.5, 0.37])
@pytest.mark.parametrize("mirror", [1.0, -1.0])
def test_the_thickness_of_a_shared_triangle_is_its_least_height(scale: float, mirror: float) -> None:
    """A triangle of sides 30, 40 and 50 has heights of 40, 30 and 24, whatever box around it has the least area."""
    square = np.array([[0.0, 0.0], [100.0, 0.0], [0.0, 100.0], [100.0, 100.0]])
    other = np.array([[30.0, 0.0], [-70.0, -90.0], [0.0, 40.0], [-100.0, -50.0]])
    shared = [scale * (corners * [mirror, 1.0]) for corners in (square, other)]
    assert shared_thickness(*shared) == pytest.approx(24.0 * scale, rel=1e-5)
