"""Films and reports whose contents are known."""

from __future__ import annotations

import numpy as np
from builders import plain_film
from spines import stacked

from spondylo_ml.clinical.measure import measure_film
from spondylo_ml.clinical.measurement import LevelUncertainty
from spondylo_ml.film_report.report import FilmReport, film_report
from spondylo_ml.landmarks import Facing, Film, Vertebra

SURE = LevelUncertainty(
    1, ((4.0, 6.5), (8.0, 16.0)), 4.0, 16.0, 0.9, {0: 0.1, 1: 0.9}, (0, 1), True, "indeterminate between 0 and I, refer"
)


def film_with(*slips: float, facing: Facing = Facing.LEFT) -> Film:
    """A stack of bodies on a film of noise, the sacrum without its inferior corners."""
    sacrum, *others = stacked(*slips)
    plate = sacrum.corners_xy.copy()
    plate[2:] = np.nan
    vertebrae = tuple(Vertebra(v.slot, v.corners_xy + np.array([0.0, 300.0])) for v in (Vertebra(0, plate), *others))
    pixels = np.random.default_rng(0).integers(0, 255, (640, 400), dtype=np.uint8)
    return plain_film("secret-4711-F-050Y1", vertebrae, pixels=pixels, size_hw=(640, 400), facing=facing)


def report_of(film: Film) -> FilmReport:
    return film_report(film, measure_film(film), uncertainty=[SURE])
