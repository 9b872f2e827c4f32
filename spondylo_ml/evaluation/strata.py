"""What is known of a film, by which results are broken down."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd

from spondylo_ml.landmarks import Film

STRATA = ("source", "sex", "age_band", "facing")
UNKNOWN = "unknown"
AGE_BANDS = ((0, 39, "under 40"), (40, 49, "40-49"), (50, 59, "50-59"), (60, 69, "60-69"), (70, 150, "70 and over"))

_SEX_AND_AGE = re.compile(r"^[^-]+-([FM])-(\d{1,3})Y[01]?")
"""In the names of the films of BUU-LSPINE, also inside other collections: `<patient>-<sex>-<age>Y<view>`."""


def film_strata(films: Sequence[Film]) -> pd.DataFrame:
    """One row a film: `film_id`, `patient`, and the `STRATA`; "unknown" where the dataset does not say."""
    rows = [(f.film_id, f.patient, f.source, *sex_and_age_band(f.film_id), str(f.facing)) for f in films]
    return pd.DataFrame(rows, columns=["film_id", "patient", *STRATA])


def sex_and_age_band(film_id: str) -> tuple[str, str]:
    """Sex (F or M) and ten-year band of a film whose name tells them."""
    told = _SEX_AND_AGE.match(film_id)
    if told is None:
        return UNKNOWN, UNKNOWN
    age = int(told.group(2))
    band = next((name for low, high, name in AGE_BANDS if low <= age <= high), UNKNOWN)
    return told.group(1), band
