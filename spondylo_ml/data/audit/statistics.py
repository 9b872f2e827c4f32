"""What a dataset holds, film by film: sizes, vertebrae, sex and age, spacing, slip."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from spondylo_ml.clinical.patient_frame import patient_frame
from spondylo_ml.clinical.slip import slip_percent
from spondylo_ml.data.audit.bodies import Bodies
from spondylo_ml.data.audit.facing import SIDES, known_facing
from spondylo_ml.data.audit.sizes import STRETCH_FACTOR, stretch_factors
from spondylo_ml.landmarks import Facing, Film, FloatArray, SlotRange, level_name

LUMBAR = SlotRange(0, 6)

FILM_COLUMNS = (
    "film_id", "part", "patient", "source", "width_px", "height_px", "labelled", "n_vertebrae", "lowest", "highest",
    "facing", "sex", "age_years", "spacing_x_mm", "spacing_y_mm", "stretch", "slip_withheld",
)  # fmt: skip


def film_table(films: Sequence[Film]) -> pd.DataFrame:
    """One row a film; NaN or empty where the dataset does not say."""
    bodies = Bodies.of(films)
    stretch = stretch_factors(bodies)
    rows = [_film_row(film, factor) for film, factor in zip(films, stretch, strict=True)]
    return pd.DataFrame(rows, columns=list(FILM_COLUMNS))


def slip_table(films: Sequence[Film], table: pd.DataFrame) -> pd.DataFrame:
    """One row a measurable slip of a film on which slip is not withheld: `film_id`, `level`, `slip_percent`."""
    rows = []
    for film, withheld in zip(films, table["slip_withheld"], strict=True):
        if not withheld:
            slips = lumbar_slips(film, known_facing(film))
            rows += [
                (film.film_id, f"{level_name(slot + 1)}/{level_name(slot)}", value)
                for slot, value in enumerate(slips)
                if not np.isnan(value)
            ]
    return pd.DataFrame(rows, columns=["film_id", "level", "slip_percent"])


def lumbar_slips(film: Film, facing: Facing) -> FloatArray:
    """(5,) slip of each lumbar vertebra on the one below it, from L5/S1 up, percent; NaN where not measurable."""
    pixel = (film.spacing.x_mm, film.spacing.y_mm) if film.spacing else (1.0, 1.0)
    bodies = patient_frame(LUMBAR.corners(film.vertebrae or ()), facing, pixel)
    return slip_percent(bodies[1:], bodies[:-1])


def _film_row(film: Film, stretch: float) -> tuple[object, ...]:
    vertebrae = film.vertebrae or ()
    facing = known_facing(film)
    spacing = (film.spacing.x_mm, film.spacing.y_mm) if film.spacing else (np.nan, np.nan)
    return (
        film.film_id, film.split or "", film.patient, film.source, film.size_hw[1], film.size_hw[0], film.labelled,
        len(vertebrae) if film.labelled else np.nan,
        vertebrae[0].level if vertebrae else "", vertebrae[-1].level if vertebrae else "",
        facing.value, film.sex, np.nan if film.age_years is None else float(film.age_years),
        *spacing, stretch, _why_no_slip(film, facing, stretch),
    )  # fmt: skip


def _why_no_slip(film: Film, facing: Facing, stretch: float) -> str:
    """Why the slip on a film is not reported, or nothing."""
    if not film.vertebrae:
        return "no labels"
    if film.facing is Facing.NONE:
        return "AP film"
    if facing not in SIDES:
        return "facing unknown"
    if film.spacing is None and film.size_hw[0] == film.size_hw[1]:
        return "stretch unknown: a square export without spacing"
    if abs(np.log(stretch)) > np.log(STRETCH_FACTOR):
        return "stretched"
    return ""
