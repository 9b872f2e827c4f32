"""The list of films: one row each, chosen ones first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from spondylo_ml.active_learning.ranking import RankedFilm

COLUMNS = (
    "number", "film", "state", "reason", "mean_rank", "grade_doubt", "level", "n_levels", "n_refer", "mirror_px512",
    "n_one_sided", "nearest_labelled_sd", "nearest_chosen_sd", "warnings",
)  # fmt: skip
"""docs/next.md explains them. Absent values are empty cells."""


def film_table(ranked: Sequence[RankedFilm], warnings: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """The films in their order.

    Args:
        warnings: of each film, by its name.
    """
    rows = [
        (
            one.number, one.film.film_id, one.state.value, one.reason, one.mean_rank, one.film.doubt.probability,
            one.film.doubt.level, one.film.doubt.n_levels, one.film.doubt.n_refer, one.film.shift.px512,
            one.film.shift.n_one_sided, one.nearest_labelled_sd, one.nearest_chosen_sd,
            "; ".join(warnings.get(one.film.film_id, ())),
        )
        for one in ranked
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.astype({"number": "Int64"})
