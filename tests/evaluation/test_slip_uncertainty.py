"""Monte Carlo samples of slips: the spread matches a hand calculation and every call gives the same samples."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from builders import plain_film, prediction_of
from spines import rotated, stacked

from spondylo_ml.clinical.meyerding import DEFAULT_RULES
from spondylo_ml.clinical.stretch import film_stretch
from spondylo_ml.config import ClinicalConfig
from spondylo_ml.evaluation.calibration import PROBABILITIES, CornerCalibration
from spondylo_ml.evaluation.slip_uncertainty import SlipSamples, corner_samples, film_slips, seed_from
from spondylo_ml.landmarks import Facing, Film, FilmPrediction, SlotRange, Vertebra
from spondylo_ml.spacing import Spacing

SLOTS = SlotRange(0, 3)
ROUNDED = tuple(float(r) for r in np.sqrt(-2 * np.log1p(-np.minimum(PROBABILITIES, 0.9999))))
NORMAL = CornerCalibration(edges=(), radii=(ROUNDED,), n_corners=1)
"""The radial errors of a normal distribution (Rayleigh's)."""


def exact_with_spread(film: Film, sigma_px: float) -> FilmPrediction:
    """The true corners, each with the same spread in x and y."""
    exact = prediction_of(film, SLOTS)
    return replace(
        exact,
        covariance_px2=np.broadcast_to(sigma_px**2 * np.eye(2), (3, 4, 2, 2)),
        heat_share=np.ones((3, 4)),
    )


def film_of(*slips: float, **changes: object) -> Film:
    return replace(plain_film("made", stacked(*slips), size_hw=(400, 400)), **changes)


def test_samples_have_the_predicted_covariance() -> None:
    film = film_of(10, 20)
    covariance = np.array([[4.0, 1.5], [1.5, 1.0]])
    prediction = replace(exact_with_spread(film, 1.0), covariance_px2=np.broadcast_to(covariance, (3, 4, 2, 2)))
    samples = corner_samples(prediction, NORMAL, 20000)
    errors = samples[:, 1, 2] - prediction.corners_xy[1, 2]
    assert np.cov(errors.T) == pytest.approx(covariance, abs=0.1)
    assert errors.mean(axis=0) == pytest.approx([0, 0], abs=0.05)
    corner, other = errors[:, 0], samples[:, 1, 3, 0]
    assert abs(np.corrcoef(corner, other)[0, 1]) < 0.03


def test_the_spread_of_a_slip_follows_from_its_two_corners() -> None:
    # Slip in percent of an endplate of 100 px: the difference in x of two corners, each with a spread of 1 px. The size
    # of the slip adds little: 10 % of the error of the endplate's length.
    (lower, upper) = film_slips(film_of(10, 20), exact_with_spread(film_of(10, 20), 1.0), NORMAL, DEFAULT_RULES, 20000)
    assert lower.level.slip.value == pytest.approx(10)
    assert lower.spread_percent == pytest.approx(np.hypot(np.sqrt(1 + 0.9**2), 0.1), rel=0.03)
    assert upper.level.upper_slot == 2
    assert upper.level.slip.value == pytest.approx(20)


def test_without_spread_the_point_grade_has_probability_1() -> None:
    film = film_of(0, 60)
    (lower, upper) = film_slips(film, exact_with_spread(film, 1e-6), NORMAL, DEFAULT_RULES, 200)
    assert lower.spread_percent == pytest.approx(0, abs=1e-4)
    assert lower.grade_probabilities == {0: 1, 1: 0, 2: 0, 3: 0, 4: 0, 5: 0}
    assert upper.grade_probabilities[3] == 1


def test_a_slip_on_a_limit_is_half_either_grade() -> None:
    film = film_of(25, 0)
    lower = film_slips(film, exact_with_spread(film, 1.0), NORMAL, DEFAULT_RULES, 20000)[0]
    assert lower.grade_probabilities[1] == pytest.approx(0.5, abs=0.02)
    assert lower.grade_probabilities[2] == pytest.approx(0.5, abs=0.02)


def test_grades_use_mm_where_the_spacing_is_known() -> None:
    film = film_of(10, 0, spacing=Spacing(0.2, 0.2, "test"))  # 10 % of a plate of 20 mm are 2 mm
    lower = film_slips(film, exact_with_spread(film, 0.5), NORMAL, DEFAULT_RULES, 500)[0]
    assert lower.endplate_mm == pytest.approx(20)
    assert lower.grade_probabilities[0] > 0.99
    by_percent = film_slips(film, exact_with_spread(film, 0.5), NORMAL, ClinicalConfig(grade0_rule="percent"), 500)[0]
    assert by_percent.grade_probabilities[1] > 0.99
    assert np.isnan(film_slips(film_of(10, 0), exact_with_spread(film, 0.5), NORMAL, DEFAULT_RULES, 500)[0].endplate_mm)


def test_a_doubtful_stretch_is_part_of_the_spread() -> None:
    wide = [Vertebra(v.slot, rotated(v.corners_xy, -35) * [1.28, 1.0]) for v in stacked(10, 12)]
    film = plain_film("made", tuple(wide), size_hw=(400, 400))
    prediction = exact_with_spread(film, 1e-6)

    def lower(film: Film) -> SlipSamples:
        return film_slips(film, prediction, NORMAL, DEFAULT_RULES, 200)[0]

    factor = film_stretch(film.vertebrae or ()).factor
    as_it_is = lower(replace(film, aspect_given=True))
    undone = lower(replace(film, pixel_aspect=1 / factor, aspect_given=True))
    assert as_it_is.spread_percent == pytest.approx(0, abs=1e-3)
    difference = as_it_is.level.slip.value - undone.level.slip.value
    assert 3 < difference < 5
    doubtful = lower(film)
    assert doubtful.level.slip.value == as_it_is.level.slip.value
    assert doubtful.spread_percent == pytest.approx(difference / 2, rel=0.01)


def test_samples_depend_on_the_film_alone() -> None:
    prediction = exact_with_spread(film_of(10, 20), 1.0)
    first, second = (corner_samples(prediction, NORMAL, 5) for _ in range(2))
    other = corner_samples(replace(prediction, film_id="another"), NORMAL, 5)
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)
    assert seed_from("made") == 0xEA0890697A77AF0A, "the same on every machine"


def test_an_ap_film_a_stretched_film_and_a_film_without_vertebrae_have_no_slips() -> None:
    for changes in ({"facing": Facing.NONE}, {"pixel_aspect": None}):
        film = film_of(10, 20, **changes)
        assert film_slips(film, exact_with_spread(film, 1.0), NORMAL, DEFAULT_RULES, 50) == ()
    none_present = replace(exact_with_spread(film_of(10, 20), 1.0), presence=np.zeros(3))
    assert film_slips(film_of(10, 20), none_present, NORMAL, DEFAULT_RULES, 50) == ()


def test_without_covariances_there_is_no_spread_and_no_probability() -> None:
    film = film_of(10, 20)
    lower = film_slips(film, prediction_of(film, SLOTS), NORMAL, DEFAULT_RULES, 50)[0]
    assert np.isnan(lower.spread_percent)
    assert np.isnan(list(lower.grade_probabilities.values())).all()


def test_a_film_and_its_mirror_image_have_the_same_spread() -> None:
    film = film_of(12, 20)
    mirrored = replace(film.mirrored_labels(), film_id="made")
    spreads = [
        [s.spread_percent for s in film_slips(f, exact_with_spread(f, 2.0), NORMAL, DEFAULT_RULES, 20000)]
        for f in (film, mirrored)
    ]
    assert spreads[0] == pytest.approx(spreads[1], rel=0.05)
