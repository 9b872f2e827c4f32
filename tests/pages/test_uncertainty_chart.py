"""The chart of coverage before and after calibration."""

from __future__ import annotations

import numpy as np
import pytest
from uncertain_films import films_with_noise

from spondylo_ml.clinical.meyerding import DEFAULT_RULES
from spondylo_ml.config import UncertaintyConfig
from spondylo_ml.evaluation.intervals import PatientBootstrap
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.evaluation.uncertainty import calibrate
from spondylo_ml.evaluation.uncertainty_numbers import by_group
from spondylo_ml.pages.figures.uncertainty_chart import draw_uncertainty


@pytest.mark.slow
@pytest.mark.filterwarnings("error")
def test_the_chart_is_drawn_and_depends_on_the_coverage() -> None:
    films, predictions = films_with_noise(30, 1)
    calibration = calibrate(PredictionSet(films, predictions), DEFAULT_RULES, UncertaintyConfig(samples=100))
    tables = by_group(calibration.levels, PatientBootstrap([f.patient for f in films], 100))
    picture = draw_uncertainty(calibration.coverage_before, calibration.coverage_after, tables, 0.9)
    assert picture.dtype == np.uint8
    assert picture.ndim == 3
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 20
    other = draw_uncertainty(calibration.coverage_after, calibration.coverage_after, tables, 0.9)
    assert (picture != other).any()
