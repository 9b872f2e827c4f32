"""A spacing that gives bodies an impossible size is ignored; nothing is then given or graded in mm."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from builders import plain_film
from spines import stacked

from spondylo_ml.clinical.measure import measure_film
from spondylo_ml.clinical.spacing_plausibility import body_width_mm, impossible_spacing
from spondylo_ml.landmarks import Facing, Vertebra
from spondylo_ml.spacing import Spacing


@pytest.mark.parametrize(
    ("mm", "possible"), [(0.019, False), (0.0201, True), (0.74, True), (0.76, False), (1.0, False)]
)
def test_bodies_of_20_to_75_mm_are_possible(mm: float, possible: bool) -> None:
    vertebrae = stacked(0, 0)  # 100 px deep
    spacing = Spacing(mm * (10 if mm < 0.1 else 1), mm * (10 if mm < 0.1 else 1), "test")
    assert (impossible_spacing(vertebrae, spacing) == "") == possible


def test_the_limit_in_mm_applies_only_with_a_plausible_spacing() -> None:
    """17 % of an endplate of 100 px: with 1 mm a px it would be 17 mm of 100; in cm, 0.2 mm of 1.2."""
    film = plain_film(vertebrae=stacked(17.0, 3.0), size_hw=(640, 480), facing=Facing.LEFT)
    for spacing in (Spacing(0.012, 0.012, "films.csv"), Spacing(1.0, 1.0, "DICOM PixelSpacing")):
        measured = measure_film(replace(film, spacing=spacing))
        assert [level.grade for level in measured.levels] == [1, 0]
        assert [level.slip.value for level in measured.levels] == [pytest.approx(17.0), pytest.approx(3.0)]
        assert [level.grade0_limit for level in measured.levels] == ["5 %", "5 %"]
        assert measured.spacing_provenance == ""
        (warning,) = [text for text in measured.warnings if "is ignored" in text]
        assert warning.startswith(
            f"the spacing of {spacing.x_mm:g} x {spacing.y_mm:g} mm is impossible: bodies would be "
        )
        assert warning.endswith("20 to 75 are possible; the spacing is ignored, so that nothing is given in mm")
        assert all(
            np.isnan(level.slip_mm.value) and "is impossible" in level.slip_mm.reason for level in measured.levels
        )
    plausible = measure_film(replace(film, spacing=Spacing(0.35, 0.35, "films.csv")))
    assert [level.slip_mm.value for level in plausible.levels] == [pytest.approx(5.95), pytest.approx(1.05)]
    assert [level.grade0_limit for level in plausible.levels] == ["3 mm", "3 mm"]


@pytest.mark.parametrize("x_mm", [2.7, 3.0])
def test_the_shape_of_a_pixel_is_not_taken_from_a_spacing_that_is_ignored(x_mm: float) -> None:
    film = plain_film(vertebrae=stacked(17.0, 3.0), size_hw=(640, 480), facing=Facing.LEFT)
    spacing = Spacing(x_mm, 3.0, "films.csv")
    measured = measure_film(replace(film, spacing=spacing, pixel_aspect=spacing.pixel_aspect))
    if x_mm == 3.0:
        assert measured.withheld == ""
        assert measured.levels[0].slip.value == pytest.approx(17.0)
        return
    assert measured.withheld.startswith("the shape of a pixel follows from the spacing that is ignored: give the pixel")
    assert all(np.isnan(level.slip.value) for level in measured.levels)
    assert (measured.pixel_aspect, measured.aspect_from) == (None, "unknown")
    stated = measure_film(replace(film, spacing=spacing, pixel_aspect=1.0, aspect_given=True))
    assert stated.levels[0].slip.value == pytest.approx(17.0)


def test_one_endplate_is_enough_and_without_one_the_spacing_is_accepted() -> None:
    plate = np.array([[0.0, 0.0], [100.0, 0.0], [np.nan, np.nan], [np.nan, np.nan]])
    assert body_width_mm((Vertebra(0, plate),), Spacing(0.3, 0.4, "")) == pytest.approx(30.0)
    assert impossible_spacing((Vertebra(0, plate),), Spacing(3.0, 3.0, "")) != ""
    assert impossible_spacing((), Spacing(3.0, 3.0, "")) == ""
