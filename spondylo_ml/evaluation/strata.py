"""The properties of films by which results are broken down."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from spondylo_ml.landmarks import Film

STRATA = ("source", "sex", "age_band", "facing")
UNKNOWN = "unknown"
AGE_BANDS = ((0, 39, "under 40"), (40, 49, "40-49"), (50, 59, "50-59"), (60, 69, "60-69"), (70, 150, "70 and over"))

AGE_ORDER = (*(name for _, _, name in AGE_BANDS), UNKNOWN)


def film_strata(films: Sequence[Film]) -> pd.DataFrame:
    """One row per film: `film_id`, `patient`, and the `STRATA`; "unknown" if the dataset does not tell."""
    rows = [(f.film_id, f.patient, f.source, f.sex or UNKNOWN, age_band(f.age_years), str(f.facing)) for f in films]
    return pd.DataFrame(rows, columns=["film_id", "patient", *STRATA])


def ordered_groups(stratum: str, groups: Iterable[str]) -> list[str]:
    """The groups of one of the `STRATA` in the order of a table: rising ages, others by name, unknown last."""
    if stratum == "age_band":
        return sorted(groups, key=AGE_ORDER.index)
    return sorted(groups, key=lambda name: (name == UNKNOWN, name))


def age_band(age_years: int | None) -> str:
    """Ten-year band of an age."""
    bands = (name for low, high, name in AGE_BANDS if age_years is not None and low <= age_years <= high)
    return next(bands, UNKNOWN)
