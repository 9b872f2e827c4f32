"""All measures of one film, computed by hand, and the reason for each that is withheld."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
from builders import plain_film
from hypothesis import given, settings
from hypothesis import strategies as st
from spines import rotated, stacked, tilted_film

from spondylo_ml.clinical.measure import confidence_in_words, measure_film, measure_vertebrae
from spondylo_ml.clinical.measurement import FilmMeasurement, Measure
from spondylo_ml.clinical.scale import ASPECT_TOLERANCE, NO_SPACING, STRETCHED
from spondylo_ml.config import ClinicalConfig
from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import Facing, Film, FloatArray, Vertebra
from spondylo_ml.spacing import Spacing

NAMES = ["L5/S1", "L4/L5", "L3/L4", "L2/L3", "L1/L2"]
SLIPS = (30.0, 0.0, -10.0, 4.0, 25.0)


def film_of(vertebrae: Iterable[Vertebra], facing: Facing = Facing.LEFT) -> Film:
    return plain_film(vertebrae=tuple(vertebrae), size_hw=(640, 640), facing=facing)


def changed(film: Film, slot: int, corners_xy: FloatArray) -> Film:
    vertebrae = film.vertebrae or ()
    return replace(film, vertebrae=tuple(Vertebra(slot, corners_xy) if v.slot == slot else v for v in vertebrae))


def slips_of(measured: FilmMeasurement) -> list[float]:
    return [level.slip.value for level in measured.levels]


def test_a_stack_of_equal_bodies_by_hand() -> None:
    measured = measure_film(film_of(stacked(*SLIPS)))
    assert [level.name for level in measured.levels] == NAMES
    np.testing.assert_allclose(slips_of(measured), SLIPS)
    np.testing.assert_allclose([level.other_slip.value for level in measured.levels], SLIPS)
    assert [level.grade for level in measured.levels] == [2, 0, 1, 0, 1]
    assert [level.grade_name for level in measured.levels] == [
        "grade II anterolisthesis",
        "no listhesis (grade 0)",
        "grade I retrolisthesis",
        "no listhesis (grade 0)",
        "grade I anterolisthesis",
    ]
    for level in measured.levels:
        assert (level.slip_method, level.other_slip_method, level.grade0_limit) == ("endplate", "posterior_wall", "5 %")
        assert level.slip_mm.reason == NO_SPACING
        assert level.disc_height_index.value == pytest.approx(0.2)
        assert level.segmental_angle.value == pytest.approx(0)
        assert level.disc_angle.value == pytest.approx(0)
    assert [body.name for body in measured.bodies] == ["L5", "L4", "L3", "L2", "L1"]
    assert [(b.wedge_ratio.value, b.compression_ratio.value) for b in measured.bodies] == [(1.0, 1.0)] * 5
    assert (measured.lordosis.value, measured.sacral_slope.value) == (pytest.approx(0), pytest.approx(0))


@pytest.mark.parametrize(("slip", "warned"), [(4.9, False), (-5.1, True), (9.9, True), (-10.0, False)])
def test_small_slips_without_a_spacing_have_a_warning(slip: float, warned: bool) -> None:
    """3 mm, the limit with a spacing, are 10 % of 30 mm."""
    text = "slips of 5 to 10 % are less than 3 mm on a small endplate of 30 mm, "
    film = film_of(stacked(slip, 0.0))
    assert any(warning.startswith(text) for warning in measure_film(film).warnings) == warned
    with_spacing = replace(film, spacing=Spacing(0.35, 0.35, "films.csv"))
    by_percent = ClinicalConfig(grade0_rule="percent")
    for measured in (measure_film(with_spacing), measure_film(film, by_percent)):
        assert not any(warning.startswith(text) for warning in measured.warnings)


def test_lordosis_and_sacral_slope_by_hand() -> None:
    """S1 turned 40 degrees down in front about its middle, L1 turned 12 degrees up, L5 8 degrees down."""
    film = film_of(stacked(0, 0, 0, 0, 0))
    for slot, turn in ((0, -40.0), (1, -8.0), (5, 12.0)):
        corners = (film.vertebrae or ())[slot].corners_xy
        film = changed(film, slot, rotated(corners, turn, corners.mean(axis=0)))
    measured = measure_film(film)
    assert measured.sacral_slope.value == pytest.approx(40)
    assert (measured.lordosis_variant, measured.lordosis.value) == ("L1-S1", pytest.approx(52))
    other = measure_film(film, ClinicalConfig(lordosis="L1-L5"))
    assert (other.lordosis_variant, other.lordosis.value) == ("L1-L5", pytest.approx(20))


def test_mm_need_a_spacing_and_name_its_provenance() -> None:
    """25 px of a plate of 100 px at 0.35 mm are 8.75 mm; 5 px are 1.75 mm, below 3."""
    film = replace(film_of(stacked(25.0, 5.0)), spacing=Spacing(0.35, 0.35, "ImagerPixelSpacing"))
    measured = measure_film(film)
    assert [level.slip_mm.value for level in measured.levels] == [pytest.approx(8.75), pytest.approx(1.75)]
    assert [(level.grade, level.grade0_limit) for level in measured.levels] == [(1, "3 mm"), (0, "3 mm")]
    assert measured.spacing_provenance == "ImagerPixelSpacing"
    assert any("too large by the magnification" in text for text in measured.warnings)
    by_percent = measure_film(film, ClinicalConfig(grade0_rule="percent"))
    assert [(level.grade, level.grade0_limit) for level in by_percent.levels] == [(1, "5 %"), (1, "5 %")]


def test_the_slip_method_of_the_rules_is_graded() -> None:
    film = film_of(stacked(10.0))
    leaning = (film.vertebrae or ())[0].corners_xy + np.array([[0, 0], [0, 0], [60, 0], [60, 0]])
    (level,) = measure_film(changed(film, 0, leaning), ClinicalConfig(slip_method="posterior_wall")).levels
    assert (level.slip.value, level.slip_method) == (pytest.approx(-4.0), "posterior_wall")
    assert (level.other_slip.value, level.other_slip_method) == (pytest.approx(10.0), "endplate")
    assert level.grade == 0


def stretched(film: Film, factor: float) -> Film:
    wide = tuple(Vertebra(v.slot, v.corners_xy * np.array([factor, 1.0])) for v in film.vertebrae or ())
    return replace(film, vertebrae=wide)


def test_a_known_stretch_is_undone_and_an_unknown_one_withholds_all() -> None:
    upright = film_of(stacked(*SLIPS))
    tilted = film_of(Vertebra(v.slot, rotated(v.corners_xy, -35)) for v in upright.vertebrae or ())
    wide = stretched(tilted, 1.225)
    uncorrected = measure_film(replace(wide, aspect_given=True))
    assert max(abs(a - b) for a, b in zip(slips_of(uncorrected), SLIPS, strict=True)) > 3
    assert any("with the pixel aspect of 1 that was given: is that right?" in text for text in uncorrected.warnings)
    corrected = measure_film(replace(wide, pixel_aspect=1 / 1.225))
    np.testing.assert_allclose(slips_of(corrected), SLIPS, atol=1e-9)
    assert corrected.sacral_slope.value == pytest.approx(35)
    withheld = measure_film(replace(wide, pixel_aspect=None))
    assert [level.name for level in withheld.levels] == NAMES
    assert set(withheld.warnings) >= {STRETCHED}
    assert {m.reason for m in measures(withheld)} == {STRETCHED}


def measures(measured: FilmMeasurement) -> list[Measure]:
    """All measures of a film."""
    parts = [vars(measured), *map(vars, measured.levels), *map(vars, measured.bodies)]
    return [value for part in parts for value in part.values() if isinstance(value, Measure)]


def test_a_spacing_that_contradicts_the_pixel_s_shape_withholds_all() -> None:
    film = replace(film_of(stacked(10.0)), spacing=Spacing(0.2, 0.4, "header"))
    reason = "the spacing (0.2 x 0.4 mm) and the pixel aspect (1) disagree on the shape of a pixel"
    assert {m.reason for m in measures(measure_film(film))} >= {reason}
    wide = stretched(film, 2.0)
    consistent = measure_film(replace(wide, pixel_aspect=0.5 * (1 + ASPECT_TOLERANCE / 2)))
    assert consistent.levels[0].slip.value == pytest.approx(10.0)
    assert consistent.levels[0].slip_mm.value == pytest.approx(4.0)  # 20 px of 0.2 mm


@settings(max_examples=40)
@given(st.integers(0, 300), st.floats(-30, 30))
def test_mirror_and_rotation_give_the_same_measures(index: int, degrees: float) -> None:
    film = film_of(tilted_film(9, index).vertebrae, tilted_film(9, index).facing)
    original = measure_film(film)
    mirrored = measure_film(film.mirrored_labels())
    assert mirrored.facing != original.facing
    for a, b in zip(measures(original), measures(mirrored), strict=True):
        assert b.value == pytest.approx(a.value, abs=1e-7, nan_ok=True)
    turned = measure_film(
        film_of((Vertebra(v.slot, rotated(v.corners_xy, degrees)) for v in film.vertebrae or ()), film.facing)
    )
    np.testing.assert_allclose(slips_of(turned), slips_of(original), atol=1e-7)
    assert turned.lordosis.value == pytest.approx(original.lordosis.value, abs=1e-7, nan_ok=True)


def test_an_unknown_facing_is_inferred_and_can_be_overridden() -> None:
    phantom = tilted_film(9, 1)
    film = film_of(phantom.vertebrae, Facing.UNKNOWN)
    inferred = measure_film(film)
    assert (inferred.facing, inferred.facing_from) == (phantom.facing.value, "inferred")
    assert 0.9 < inferred.facing_confidence <= 1
    assert f"facing inferred: {phantom.facing.value}, with a confidence above 0.99" in inferred.warnings
    np.testing.assert_allclose(slips_of(inferred), phantom.slip_percent, atol=1e-6)
    given_facing = measure_film(film, facing=phantom.facing)
    assert (given_facing.facing_from, given_facing.facing_confidence) == ("given", 1.0)
    np.testing.assert_array_equal(slips_of(given_facing), slips_of(inferred))
    assert not any("the facing was given" in warning for warning in given_facing.warnings)


def test_a_given_facing_that_the_corners_contradict_is_doubted() -> None:
    phantom = tilted_film(9, 1)
    wrong = Facing.LEFT if phantom.facing is Facing.RIGHT else Facing.RIGHT
    film = film_of(phantom.vertebrae, Facing.UNKNOWN)
    doubt = (
        f"the facing was given as {wrong.value}, but the corners are those of a film that faces "
        f"{phantom.facing.value}: is that right? If not, all slips are wrong"
    )
    assert doubt in measure_film(film, facing=wrong).warnings
    weak = measure_film(film, facing=wrong, evidence=0.3)
    assert doubt not in weak.warnings, "indefinite corners contradict nothing"
    squares = film_of(stacked(0, 0))
    assert not any("was given" in text for text in measure_film(squares, facing=Facing.LEFT).warnings)


def test_without_a_known_anterior_side_nothing_is_measured() -> None:
    squares = film_of(stacked(0, 0))
    for facing, reason in (
        (Facing.NONE, "an AP film has no anterior side"),
        (Facing.UNKNOWN, "nothing on the film shows which side is anterior; give the facing"),
    ):
        measured = measure_film(replace(squares, facing=facing))
        assert {m.reason for m in measures(measured) if "lordosis" not in m.reason} >= {reason}
        assert all(np.isnan(m.value) for m in measures(measured))
        assert [level.grade for level in measured.levels] == [None, None]
    doubtful = measure_film(film_of(stacked(0, 20, 20, 0), Facing.UNKNOWN))
    assert 0.5 < doubtful.facing_confidence < 0.9
    assert "which side is anterior is uncertain" in doubtful.levels[0].slip.reason
    assert any("0.9 is needed); give the facing" in text for text in doubtful.warnings)


def test_without_an_identified_sacrum_slips_are_measured_and_level_names_withheld() -> None:
    film = replace(film_of(stacked(*SLIPS)), levels_from="assumed: the lowest labelled vertebra is S1")
    measured = measure_film(film)
    assert not measured.levels_known
    assert [level.name for level in measured.levels[:2]] == [
        "lowest visible + 1/lowest visible",
        "lowest visible + 2/lowest visible + 1",
    ]
    np.testing.assert_allclose(slips_of(measured), SLIPS)
    for measure in (measured.lordosis, measured.sacral_slope):
        assert measure.reason.startswith("the sacrum was not identified (assumed: the lowest labelled")
    assert measure_film(film, levels_from="label").levels_known


def test_a_partial_s1_is_used_for_measures_of_its_superior_endplate() -> None:
    film = film_of(stacked(10.0, 0, 0, 0, 0))
    plate = (film.vertebrae or ())[0].corners_xy.copy()
    plate[2:] = np.nan
    level = measure_film(changed(film, 0, plate)).levels[0]
    assert (level.slip.value, level.grade) == (pytest.approx(10.0), 1)
    assert level.other_slip.reason.startswith("the lower vertebra's inferior posterior corner is absent")
    assert level.disc_height_index.value == pytest.approx(0.2)
    assert measure_film(changed(film, 0, plate)).lordosis.value == pytest.approx(0)


def test_a_body_upside_down_over_another_has_no_disc_height() -> None:
    film = film_of(stacked(0.0, 0.0))
    upside_down = (film.vertebrae or ())[1].corners_xy[::-1].copy()
    below = measure_film(changed(film, 1, upside_down)).levels[0]
    assert np.isnan(below.disc_height_index.value)
    assert below.disc_height_index.reason == "L5 is upside down"
    assert "L5 is upside down: not measured there" in measure_film(changed(film, 1, upside_down)).warnings


def test_an_absent_corner_withholds_only_the_measures_that_need_it() -> None:
    film = film_of(stacked(10.0, 10.0, 10.0))
    corners = (film.vertebrae or ())[1].corners_xy.copy()
    corners[3] = np.nan  # inferior posterior, facing left
    below, above, _ = measure_film(changed(film, 1, corners)).levels
    assert below.slip.reason == "the upper vertebra's inferior posterior corner is absent"
    assert (below.grade, below.grade_name) == (None, "not measurable")
    assert below.slip_mm.reason == below.slip.reason
    assert below.disc_angle.reason == "a corner of L5's inferior endplate is absent"
    assert below.segmental_angle.value == pytest.approx(0)
    assert below.disc_height_index.reason == "a corner of L5 is absent"
    assert above.slip.value == pytest.approx(10.0)
    bodies = measure_film(changed(film, 1, corners)).bodies
    assert bodies[0].wedge_ratio.reason == "a corner of L5 is absent"
    assert bodies[1].compression_ratio.value == pytest.approx(1.0)  # L3 is whole


def test_a_degenerate_endplate_and_a_crossed_outline_are_not_measurable() -> None:
    film = film_of(stacked(10.0, 10.0))
    point = (film.vertebrae or ())[1].corners_xy.copy()
    point[0] = point[1]
    _, above = measure_film(changed(film, 1, point)).levels
    assert above.slip.reason == "the lower vertebra's superior endplate is degenerate: its corners nearly coincide"
    assert above.segmental_angle.reason == "L5's superior endplate is degenerate: its corners nearly coincide"
    assert above.grade is None
    crossed = (film.vertebrae or ())[1].corners_xy[[0, 1, 3, 2]]
    below, above = measure_film(changed(film, 1, crossed)).levels
    assert below.slip.reason == "the upper vertebra's outline crosses itself"
    assert above.slip.reason == "the lower vertebra's outline crosses itself"
    assert below.segmental_angle.reason == "L5's outline crosses itself"
    flat = (film.vertebrae or ())[1].corners_xy.copy()
    flat[2:] = flat[:2]
    assert measure_film(changed(film, 1, flat)).bodies[0].wedge_ratio.reason == "L5 has no height or no depth"


def test_levels_of_an_absent_vertebra_stay_in_the_list() -> None:
    film = film_of(v for v in stacked(0, 0, 0) if v.slot != 2)
    measured = measure_film(film)
    assert [level.name for level in measured.levels] == NAMES[:3]
    assert [level.slip.reason for level in measured.levels] == ["", "no corners of L4", "no corners of L4"]
    assert measured.lordosis.reason == "no corners of L1"
    assert measured.bodies[0].compression_ratio.reason == "no whole neighbour to compare with"
    empty = changed(film_of(stacked(0)), 1, np.full((4, 2), np.nan))
    assert measure_film(empty).levels[0].slip.reason == "no corners of L5"


def test_compression_is_relative_to_both_neighbours() -> None:
    film = film_of(stacked(0, 0, 0))
    low = (film.vertebrae or ())[2].corners_xy.copy()
    low[:2, 1] += 20  # 60 px high between neighbours of 80
    assert measure_film(changed(film, 2, low)).bodies[1].compression_ratio.value == pytest.approx(0.75)


def test_predicted_vertebrae_replace_the_labels() -> None:
    film = replace(film_of(()), vertebrae=None)
    with pytest.raises(DataError, match="film film has no corners to measure: give vertebrae"):
        measure_film(film)
    assert slips_of(measure_film(film, vertebrae=stacked(12.0))) == [pytest.approx(12.0)]
    assert measure_film(film, vertebrae=()).levels == ()
    with pytest.raises(DataError, match=r"level listed more than once; given slots \[0, 0\]"):
        measure_vertebrae([stacked()[0]] * 2, Facing.LEFT)


def test_json_has_null_for_withheld_values_and_no_nan() -> None:
    film = film_of(stacked(10.0))
    tree = json.loads(json.dumps(measure_film(film).to_json(), allow_nan=False))
    assert tree["levels"][0]["slip_mm"] == {"value": None, "unit": "mm", "reason": NO_SPACING}
    assert tree["levels"][0]["slip"]["value"] == pytest.approx(10.0)
    assert tree["rules"]["slip_method"] == "endplate"
    assert len(tree["rules_digest"]) == 64


@pytest.mark.parametrize(("value", "reason"), [(float("nan"), ""), (1.0, "why"), (float("inf"), "")])
def test_a_measure_has_a_value_or_a_reason(value: float, reason: str) -> None:
    with pytest.raises(DataError, match="a measure has a finite value or a reason; given"):
        Measure(value, "%", reason)


def test_a_confidence_is_rounded_to_its_precision() -> None:
    assert [confidence_in_words(c) for c in (1.0, 0.9998, 0.9876, 0.5)] == ["of 1", "above 0.99", "of 0.99", "of 0.50"]


def test_measures_as_text() -> None:
    texts = [str(m) for m in (Measure(12.345, "%"), Measure(0.987, "ratio"), Measure(float("nan"), "mm", "absent"))]
    assert texts == ["12.3 %", "0.99", "not measurable: absent"]


def test_without_names_the_lowest_body_may_be_the_sacrum_and_has_no_ratios() -> None:
    """Nor does it count as a neighbour: with and without names the other bodies have the same ratios."""
    film = film_of(stacked(0.0, 0.0, 0.0))
    named, unnamed = measure_film(film), measure_film(film, levels_from="said by the model", level_confidence=0.5)
    assert (named.levels_known, unnamed.levels_known) == (True, False)
    assert [body.slot for body in named.bodies] == [body.slot for body in unnamed.bodies] == [1, 2, 3]
    for one, other in zip(named.bodies, unnamed.bodies, strict=True):
        assert one.compression_ratio == other.compression_ratio
    assert [unnamed.name_of(slot) for slot in range(3)] == [
        "lowest visible",
        "lowest visible + 1",
        "lowest visible + 2",
    ]
    assert [named.name_of(slot) for slot in range(3)] == ["S1", "L5", "L4"]
