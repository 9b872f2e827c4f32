"""Films and film reports with known contents."""

from __future__ import annotations

import numpy as np
from builders import plain_film
from spines import stacked

from spondylo_ml.clinical.measure import measure_film
from spondylo_ml.clinical.measurement import LevelUncertainty
from spondylo_ml.film_report.report import FilmReport, film_report
from spondylo_ml.landmarks import Facing, Film, Vertebra

LEVEL_UNCERTAINTY = LevelUncertainty(
    1, ((4.0, 6.5), (8.0, 16.0)), 4.0, 16.0, 0.9, {0: 0.1, 1: 0.9}, (0, 1), True, "indeterminate between 0 and I, refer"
)


def film_with(*slips: float, facing: Facing = Facing.LEFT) -> Film:
    """A film of noise with stacked vertebrae of these slips in percent; the sacrum lacks its inferior corners."""
    sacrum, *others = stacked(*slips)
    endplate = sacrum.corners_xy.copy()
    endplate[2:] = np.nan
    vertebrae = tuple(Vertebra(v.slot, v.corners_xy + np.array([0.0, 300.0])) for v in (Vertebra(0, endplate), *others))
    pixels = np.random.default_rng(0).integers(0, 255, (640, 400), dtype=np.uint8)
    return plain_film("secret-4711-F-050Y1", vertebrae, pixels=pixels, size_hw=(640, 400), facing=facing)


def report_of(film: Film) -> FilmReport:
    return film_report(film, measure_film(film), uncertainty=[LEVEL_UNCERTAINTY])
