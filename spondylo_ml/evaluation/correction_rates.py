"""How often and how far a model's drafts are corrected, with intervals: over all reviewed films and by level.

Only reviewed films count (`corrections`). A person who sees a draft tends to leave it where it is, so that a draft is
nearer to its correction than a prediction to labels drawn without one: the distances are lower limits of the error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from spondylo_ml.errors import DataError
from spondylo_ml.evaluation.corrections import (
    ADDED,
    KEPT,
    MOVED,
    MOVED_AND_RENAMED,
    REMOVED,
    RENAMED,
    Corrections,
)
from spondylo_ml.evaluation.exact_limits import with_exact_limits
from spondylo_ml.evaluation.intervals import Estimates, PatientBootstrap
from spondylo_ml.evaluation.metrics import score_estimates
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.evaluation.reader_agreement import as_pair
from spondylo_ml.landmarks import LEVELS, Film, FloatArray

AS_EVALUATED = ("instance_mre_px512", "detection_f1", "presence_f1")
"""Metrics of an evaluation, with the corrected labels as truth; at promotion they were measured on the frozen films."""

REVIEWED, CORRECTED = "reviewed", "corrected"
"""Groups of films: all reviewed ones, and those of them with a correction."""


def correction_rates(
    corrections: Corrections,
    drafts: Sequence[Film],
    corrected: Sequence[Film],
    resamples: int,
    seed: int,
) -> Mapping[str, Estimates]:
    """Rates and distances of corrections over the reviewed films, and over those that were corrected.

    Raises:
        DataError: no film was reviewed.
    """
    films = corrections.films
    groups = {REVIEWED: films["reviewed"], CORRECTED: films["corrected"]}
    if not films["reviewed"].any():
        raise DataError(
            f"none of the {len(films)} films was reviewed: no label differs from its draft, and none names a person as "
            "its reader. If somebody has looked at them, replace the reader 'draft of ...' (docs/corrections.md)"
        )
    numbers: dict[str, Estimates] = {}
    for group, chosen in groups.items():
        rows = np.flatnonzero(chosen.to_numpy(dtype=bool)).tolist()
        if not rows:
            continue
        pair = as_pair([corrected[i] for i in rows], [drafts[i] for i in rows])
        bootstrap = pair.bootstrap(resamples, seed)
        part = of_films(corrections, chosen)
        changed = bootstrap.mean(100.0 * part.films["corrected"], part.films["patient"].tolist())
        rates = {"films_corrected_percent": changed} | _rates(part, bootstrap)
        numbers[group] = with_exact_limits(rates | _as_evaluated(pair, bootstrap))
    return numbers


def rates_by_level(corrections: Corrections, resamples: int, seed: int) -> Mapping[str, Estimates]:
    """The same by level, over the reviewed films: the drafted level, of an added vertebra its own."""
    reviewed = of_films(corrections, corrections.films["reviewed"])
    bootstrap = PatientBootstrap(reviewed.films["patient"].tolist(), resamples, seed)
    level_of_body = reviewed.bodies["draft_level"].where(reviewed.bodies["draft_level"] != "", reviewed.bodies["level"])
    found = set(level_of_body)
    return {
        level: with_exact_limits(
            _rates(
                Corrections(
                    reviewed.bodies[level_of_body == level],
                    reviewed.corners[reviewed.corners["draft_level"] == level],
                    reviewed.films,
                ),
                bootstrap,
            )
        )
        for level in [*LEVELS, *sorted(found - set(LEVELS))]
        if level in found
    }


def of_films(corrections: Corrections, chosen: pd.Series) -> Corrections:
    """The corrections of some films."""
    ids = set(corrections.films.loc[chosen, "film_id"])
    bodies, corners, films = (
        table[table["film_id"].isin(ids)] for table in (corrections.bodies, corrections.corners, corrections.films)
    )
    return Corrections(bodies, corners, films)


def _as_evaluated(pair: PredictionSet, bootstrap: PatientBootstrap) -> Estimates:
    scores = score_estimates(pair, bootstrap)
    return {name: scores[name] for name in AS_EVALUATED}


def _rates(corrections: Corrections, bootstrap: PatientBootstrap) -> Estimates:
    patient_of = dict(zip(corrections.films["film_id"], corrections.films["patient"], strict=True))
    corners, bodies = corrections.corners, corrections.bodies
    of_corners = corners["film_id"].map(patient_of).tolist()
    on_both = corners["change"].isin([KEPT, MOVED])
    moved = corners["change"] == MOVED
    of_moved = corners["film_id"][moved].map(patient_of).tolist()
    of_bodies = bodies["film_id"].map(patient_of).tolist()
    drafted, labelled = bodies["change"] != ADDED, bodies["change"] != REMOVED
    rates = {
        "moved_percent": bootstrap.mean(_percent(moved, on_both), of_corners),
        "move_px512": bootstrap.mean(corners["distance_px512"], of_corners),
        "move_px": bootstrap.mean(corners["distance_px"], of_corners),
        "move_mm": bootstrap.mean(corners["distance_mm"], of_corners),
        "moved_by_px512": bootstrap.mean(corners["distance_px512"][moved], of_moved),
        "moved_by_mm": bootstrap.mean(corners["distance_mm"][moved], of_moved),
    }
    renamed = bodies["change"].isin([RENAMED, MOVED_AND_RENAMED])
    for name, change, every in (
        ("renamed_percent", renamed, drafted & labelled),
        ("removed_percent", bodies["change"] == REMOVED, drafted),
        ("added_percent", bodies["change"] == ADDED, labelled),
    ):
        rates[name] = bootstrap.mean(_percent(change, every), of_bodies).model_copy(update={"n_absent": 0})
    return rates


def _percent(change: pd.Series, every: pd.Series) -> FloatArray:
    """100 where a row has the change, 0 where it might have had it, NaN elsewhere."""
    return np.where(every, 100.0 * change, np.nan).astype(np.float64)
