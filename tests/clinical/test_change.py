"""Change between two films: by hand, the same under a common similarity transform, reversed with the films."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spines import rotated, stacked

from spondylo_ml.clinical.alignment import similarity_between
from spondylo_ml.clinical.change import Change, FilmChange, LevelErrors, MeasuredFilm, film_change
from spondylo_ml.clinical.instability import Verdict, instability
from spondylo_ml.clinical.measure import measure_vertebrae
from spondylo_ml.clinical.measurement import Measure
from spondylo_ml.clinical.same_levels import better_shift
from spondylo_ml.clinical.scale import PixelGeometry
from spondylo_ml.config import ClinicalConfig
from spondylo_ml.data.phantom import PhantomFilm, Posture, phantom_film
from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import Facing, Vertebra
from spondylo_ml.spacing import Spacing

HALF_MM = Spacing(0.5, 0.5, "DICOM PixelSpacing")
RULES = ClinicalConfig()
EXTENSION = Posture({level: 4.0 for level in range(5)}, {1: -2.0})
FLEXION = Posture({level: -6.0 for level in range(5)}, {1: 6.0})


def film_of(
    vertebrae: Sequence[Vertebra],
    spacing: Spacing | None = HALF_MM,
    facing: Facing = Facing.LEFT,
    errors: Sequence[LevelErrors] = (),
    rules: ClinicalConfig = RULES,
    levels_from: str = "label",
) -> MeasuredFilm:
    aspect = spacing.pixel_aspect if spacing else 1.0
    pixels = PixelGeometry(spacing, aspect, aspect_given=True)
    measurement = measure_vertebrae(vertebrae, facing, rules, pixels=pixels, levels_from=levels_from)
    return MeasuredFilm(measurement, tuple(vertebrae), spacing, errors)


def phantom(posture: Posture, seed: int = 5, index: int = 0) -> PhantomFilm:
    return phantom_film(seed, index, posture=posture)


def measured_phantom(film: PhantomFilm) -> MeasuredFilm:
    return film_of(film.vertebrae, film.spacing, film.facing)


def values(change: FilmChange) -> list[tuple[float, float, float]]:
    return [(c.slip.value.value, c.slip_mm.value.value, c.segmental_angle.value.value) for c in change.levels]


def test_by_hand() -> None:
    """Bodies 100 px deep at 0.5 mm per px: a slip of 10 % is 5 mm. L4 turns by 5 degrees, and L5 does not."""
    sacrum, fifth, fourth = stacked(10.0, 0.0)
    corner = fourth.corners_xy[3]  # inferior posterior: a turn about it leaves the slip as it is
    before = film_of((sacrum, fifth, fourth))
    moved = Vertebra(1, fifth.corners_xy - [8.0, 0.0])
    turned = Vertebra(2, rotated(fourth.corners_xy, 5.0, corner) - [8.0, 0.0])
    change = film_change(before, film_of((sacrum, moved, turned)))
    assert change.withheld == ""
    assert [level.name for level in change.levels] == ["L5/S1", "L4/L5"]
    np.testing.assert_allclose(values(change), [(8.0, 4.0, 0.0), (0.0, 0.0, 5.0)], atol=1e-9)
    flexed = Vertebra(2, rotated(fourth.corners_xy, -5.0, corner))
    assert film_change(before, film_of((sacrum, fifth, flexed))).levels[1].segmental_angle.value.value < 0


def test_the_two_errors_add_in_quadrature_and_an_unknown_one_leaves_no_interval() -> None:
    spine = stacked(10.0, 0.0)
    before = film_of(spine, errors=[LevelErrors(1, 3.0, 1.5, 5.0), LevelErrors(2, 3.0, 1.5, 5.0)])
    after = film_of(spine, errors=[LevelErrors(1, 4.0, 2.0, 12.0)])
    first, second = film_change(before, after).levels
    assert (first.slip.half_width, first.slip_mm.half_width, first.segmental_angle.half_width) == (5.0, 2.5, 13.0)
    assert (first.slip.low, first.slip.high) == (-5.0, 5.0)
    assert math.isnan(second.slip.half_width)
    assert math.isnan(second.slip.low)


@pytest.mark.parametrize("index", range(8))
def test_a_synthetic_patient_bent_and_years_later(index: int) -> None:
    """The posture says what changes: 8 points at L4/L5, 10 degrees at each lumbar level."""
    before, after = phantom(EXTENSION, index=index), phantom(FLEXION, index=index)
    change = film_change(measured_phantom(before), measured_phantom(after))
    assert change.withheld == ""
    for level in change.levels:
        assert level.slip.value.value == pytest.approx(8.0 if level.lower_slot == 1 else 0.0, abs=1e-8)
        assert level.segmental_angle.value.value == pytest.approx(-10.0 if level.lower_slot < 5 else 0.0, abs=1e-8)
        length = float(np.linalg.norm(np.diff(before.framing.corners_px[level.lower_slot, :2], axis=0)))
        expected = level.slip.value.value / 100 * length / before.framing.px_per_mm
        assert level.slip_mm.value.value == pytest.approx(expected, abs=1e-8)


@settings(max_examples=30, deadline=None)
@given(
    index=st.integers(0, 30),
    degrees=st.floats(-40, 40),
    scale=st.floats(0.5, 2.0),
    shift=st.tuples(st.floats(-500, 500), st.floats(-500, 500)),
)
def test_a_common_similarity_transform_changes_nothing_and_the_reverse_has_the_other_sign(
    index: int, degrees: float, scale: float, shift: tuple[float, float]
) -> None:
    films = [_square(phantom(posture, index=index)) for posture in (EXTENSION, FLEXION)]
    moved = [
        film_of(
            [Vertebra(v.slot, scale * rotated(v.corners_xy, degrees) + shift) for v in film.vertebrae],
            Spacing(spacing.x_mm / scale, spacing.y_mm / scale, "test") if (spacing := film.spacing) else None,
            Facing(film.measurement.facing),
        )
        for film in films
    ]
    change = film_change(*films)
    np.testing.assert_allclose(values(film_change(*moved)), values(change), atol=1e-6)
    np.testing.assert_allclose(values(film_change(films[1], films[0])), -np.array(values(change)), atol=1e-9)


def _square(film: PhantomFilm) -> MeasuredFilm:
    """The film with square pixels, whose shape a rotation keeps."""
    y_mm = film.spacing.y_mm
    points = [v.corners_xy * [film.spacing.x_mm / y_mm, 1.0] for v in film.vertebrae]
    vertebrae = [Vertebra(v.slot, xy) for v, xy in zip(film.vertebrae, points, strict=True)]
    return film_of(vertebrae, Spacing(y_mm, y_mm, "test"), film.facing)


def test_a_mirrored_film_is_the_same_film() -> None:
    before, after = (phantom(posture, index=3) for posture in (EXTENSION, FLEXION))
    mirrored = film_of([v.mirrored(after.size_hw[1]) for v in after.vertebrae], after.spacing, after.facing.mirrored())
    expected = film_change(measured_phantom(before), measured_phantom(after))
    np.testing.assert_allclose(values(film_change(measured_phantom(before), mirrored)), values(expected), atol=1e-9)


def test_without_names_or_with_other_names_the_change_is_withheld() -> None:
    before, after = phantom(EXTENSION, index=1), phantom(FLEXION, index=1)
    named, other = measured_phantom(before), measured_phantom(after)
    unnamed = film_of(after.vertebrae[1:], after.spacing, after.facing, levels_from="assumed L5")
    assert film_change(named, unnamed).withheld.startswith("the levels of the second film have no names")
    both = film_change(unnamed, unnamed).withheld
    assert both.startswith("the levels of the first film and the second film have no names")
    raised = film_of([Vertebra(v.slot + 1, v.corners_xy) for v in after.vertebrae], after.spacing, after.facing)
    assert film_change(named, raised).withheld == (
        "the films disagree on the names of the levels: the shapes of the bodies fit better if those of the second "
        "film are named one level lower"
    )
    assert film_change(raised, named).withheld.endswith("one level higher")
    assert better_shift(named.bodies(), other.bodies()) == 0
    refused = measure_vertebrae(after.vertebrae, after.facing, refusal="no lumbar film")
    assert film_change(MeasuredFilm(refused, after.vertebrae), named).withheld == (
        "nothing is measured on the first film: no lumbar film"
    )


def test_each_missing_value_has_its_reason() -> None:
    sacrum, fifth, fourth = stacked(10.0, 0.0)
    change = film_change(film_of((sacrum, fifth, fourth), None), film_of((sacrum, fifth)))
    first, second = change.levels
    assert first.slip.value.value == pytest.approx(0.0)
    assert first.slip_mm.value.reason == "first film: no pixel spacing is known"
    assert second.slip.value.reason == "second film: L4/L5 is not on the film"
    assert second.after is None
    no_mm = film_change(film_of((sacrum, fifth), None), film_of((sacrum, fifth), None))
    assert no_mm.levels[0].slip_mm.value.reason == "both films: no pixel spacing is known"


def test_spacings_that_do_not_fit_each_other_give_no_mm() -> None:
    spine = stacked(10.0, 0.0)
    change = film_change(film_of(spine), film_of(spine, Spacing(0.6, 0.6, "DICOM PixelSpacing")))
    too_few = "too few bodies with all corners on both films to check that their levels are named alike"
    reason = "the bodies are 20 % larger in mm on the second film: the pixel spacings do not fit each other"
    assert change.warnings == (reason, too_few)
    assert {level.slip_mm.value.reason for level in change.levels} == {reason}
    assert change.levels[0].slip.value.value == pytest.approx(0.0)
    near = film_change(film_of(spine), film_of(spine, Spacing(0.53, 0.53, "a ruler")))
    assert near.levels[0].slip_mm.value.value == pytest.approx(0.3)
    assert near.warnings[1].startswith("the pixel spacings are from different sources (DICOM PixelSpacing; a ruler)")


def test_other_rules_are_refused() -> None:
    spine = stacked(10.0, 0.0)
    other = film_of(spine, rules=ClinicalConfig(instability_mm=4.0))
    with pytest.raises(DataError, match="both films must be measured by the same clinical rules"):
        film_change(film_of(spine), other)


@pytest.mark.parametrize(
    ("mm", "deg", "verdict"),
    [
        ((4.0, 0.9), (0.0, 1.0), Verdict.UNSTABLE),
        ((4.04, 1.02), (0.0, 1.0), Verdict.UNSTABLE),
        ((-4.0, 0.9), (0.0, 1.0), Verdict.UNSTABLE),
        ((4.0, 1.0), (0.0, 1.0), Verdict.INDETERMINATE),
        ((0.0, 1.0), (-15.0, 2.0), Verdict.UNSTABLE),
        ((0.0, 1.0), (11.0, 2.0), Verdict.INDETERMINATE),
        ((2.0, 1.0), (10.0, 2.0), Verdict.STABLE),
        ((2.0, math.nan), (0.0, 1.0), Verdict.NOT_KNOWN),
        (None, (0.0, 1.0), Verdict.NOT_KNOWN),
        (None, (-15.0, 2.0), Verdict.UNSTABLE),
        ((4.0, math.nan), (0.0, math.nan), Verdict.NOT_KNOWN),
    ],
)
def test_instability(mm: tuple[float, float] | None, deg: tuple[float, float], verdict: Verdict) -> None:
    """Limits 3 mm and 12 degrees, exclusive; what is not known is never within the limits."""
    spine = film_of(stacked(10.0))
    (level,) = film_change(spine, spine).levels
    absent = Change(Measure(math.nan, "mm", "no spacing"))
    slip_mm = absent if mm is None else Change(Measure(mm[0], "mm"), mm[1])
    bent = replace(level, slip_mm=slip_mm, segmental_angle=Change(Measure(deg[0], "deg"), deg[1]))
    result = instability(bent, RULES)
    assert result.verdict is verdict
    if mm is None:
        assert result.reasons[0] == "slip not evaluated: no spacing"
    if mm == (4.04, 1.02):  # as "+3.0" the lower end would not be beyond 3 mm
        assert result.reasons[0] == "slip changes by 4.0 mm (+3.02 to +5.1), more than 3 mm"
    if mm == (4.0, 0.9):
        assert result.reasons[0] == "slip changes by 4.0 mm (+3.1 to +4.9), more than 3 mm"
    loose = ClinicalConfig(instability_mm=20.0, instability_deg=60.0)
    assert instability(bent, loose).verdict in (Verdict.STABLE, Verdict.NOT_KNOWN)


def test_the_similarity_is_found_again_and_least_squares_otherwise() -> None:
    square = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0]])
    there = 3 * rotated(square, 30.0) + [5.0, -7.0]
    found = similarity_between(square, there)
    assert found.scale == pytest.approx(3.0)
    np.testing.assert_allclose(found(square), there, atol=1e-9)
    two = np.where([[True], [True], [False], [False]], there, np.nan)
    np.testing.assert_allclose(similarity_between(square, two)(square), there, atol=1e-9)
    wide = square * [2.0, 1.0]  # the best fit of a square to twice its width is 1.5 times as large
    assert similarity_between(square, wide).scale == pytest.approx(1.5)
    with pytest.raises(DataError, match="two common points are needed to align bodies; given 1"):
        similarity_between(square[:1], there[:1])
    with pytest.raises(DataError, match="all lie in one place"):
        similarity_between(np.zeros((4, 2)), square)
