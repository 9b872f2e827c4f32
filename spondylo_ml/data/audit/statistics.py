"""Tables of a dataset's contents: sizes, vertebrae, sex and age, spacing and slip of each film."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from spondylo_ml.clinical.measure import measure_film
from spondylo_ml.data.audit.bodies import Bodies
from spondylo_ml.data.audit.facing import known_facing
from spondylo_ml.data.audit.sizes import stretch_factors
from spondylo_ml.landmarks import Film, SlotRange, level_name

LUMBAR = SlotRange(0, 6)

FILM_COLUMNS = (
    "film_id", "part", "patient", "source", "width_px", "height_px", "labelled", "n_vertebrae", "lowest", "highest",
    "facing", "sex", "age_years", "spacing_x_mm", "spacing_y_mm", "stretch", "slip_withheld",
)  # fmt: skip


def audit_film_table(films: Sequence[Film]) -> pd.DataFrame:
    """One row per film with `FILM_COLUMNS`; NaN or empty if unknown."""
    bodies = Bodies.of(films)
    stretch = stretch_factors(bodies)
    rows = [_film_row(film, factor) for film, factor in zip(films, stretch, strict=True)]
    return pd.DataFrame(rows, columns=list(FILM_COLUMNS))


def audit_slip_table(films: Sequence[Film]) -> pd.DataFrame:
    """One row per measurable lumbar slip: `film_id`, `level`, `slip_percent`."""
    rows = [
        (film.film_id, f"{level_name(level.upper_slot)}/{level_name(level.lower_slot)}", level.slip.value)
        for film in films
        if film.vertebrae
        for level in measure_film(film).levels
        if level.upper_slot in LUMBAR and not level.slip.reason
    ]
    return pd.DataFrame(rows, columns=["film_id", "level", "slip_percent"])


def _film_row(film: Film, stretch: float) -> tuple[object, ...]:
    vertebrae = film.vertebrae or ()
    facing = known_facing(film)
    spacing = (film.spacing.x_mm, film.spacing.y_mm) if film.spacing else (np.nan, np.nan)
    return (
        film.film_id, film.split or "", film.patient, film.source, film.size_hw[1], film.size_hw[0], film.labelled,
        len(vertebrae) if film.labelled else np.nan,
        vertebrae[0].level if vertebrae else "", vertebrae[-1].level if vertebrae else "",
        facing.value, film.sex, np.nan if film.age_years is None else float(film.age_years),
        *spacing, stretch, _why_no_slip(film),
    )  # fmt: skip


def _why_no_slip(film: Film) -> str:
    """Why all slips of the film are withheld; empty if they are not."""
    if not film.vertebrae:
        return "no labels"
    return measure_film(film).withheld
