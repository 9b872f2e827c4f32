"""A set of films with what one model predicted for them, and the tables that compare the two."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import pandas as pd

from spondylo_ml.clinical.rules import rules_digest
from spondylo_ml.config import ClinicalConfig
from spondylo_ml.errors import DataError
from spondylo_ml.evaluation import (
    calibration,
    cobb,
    corner_table,
    error_causes,
    matching,
    object_keypoints,
    presence,
    slips,
)
from spondylo_ml.evaluation.intervals import PatientBootstrap
from spondylo_ml.landmarks import Film, FilmPrediction

Pair = tuple[Film, FilmPrediction]


@dataclass(frozen=True, eq=False)
class PredictionSet:
    """Films and predictions, one for one. Each table is computed once, on first use.

    Raises:
        DataError: the predictions are not for the same films in the same order.
    """

    films: Sequence[Film]
    predictions: Sequence[FilmPrediction]
    _slips: dict[str, pd.DataFrame] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if [film.film_id for film in self.films] != [prediction.film_id for prediction in self.predictions]:
            raise DataError("predictions must be given for the same films in the same order")

    def select(self, rows: Iterable[int]) -> PredictionSet:
        """The films at these positions."""
        rows = list(rows)
        return PredictionSet([self.films[i] for i in rows], [self.predictions[i] for i in rows])

    @cached_property
    def pairs(self) -> tuple[Pair, ...]:
        """Every film with its prediction."""
        return tuple(zip(self.films, self.predictions, strict=True))

    @cached_property
    def labelled_pairs(self) -> tuple[Pair, ...]:
        """Every labelled film with its prediction."""
        return tuple(pair for pair in self.pairs if pair[0].labelled)

    @cached_property
    def labelled_films(self) -> tuple[Film, ...]:
        """The films with labels."""
        return tuple(film for film, _ in self.labelled_pairs)

    @cached_property
    def patient_of(self) -> dict[str, str]:
        """Patient by film id."""
        return {film.film_id: film.patient for film in self.films}

    def patients(self, film_ids: Iterable[str]) -> list[str]:
        """The patient of each film id, such as a table's column `film_id`."""
        return [self.patient_of[film_id] for film_id in film_ids]

    def bootstrap(self, resamples: int = 1000, seed: int = 0, confidence: float = 0.95) -> PatientBootstrap:
        """Resamples of the patients of the labelled films; without resamples it gives point estimates alone."""
        return PatientBootstrap([film.patient for film in self.labelled_films], resamples, seed, confidence)

    @cached_property
    def corners(self) -> pd.DataFrame:
        """One row per true corner, with `corner_table.COLUMNS`."""
        return self._table(corner_table.corner_rows, corner_table.COLUMNS)

    @cached_property
    def corners_with_causes(self) -> pd.DataFrame:
        """`corners` with `error_causes.COLUMNS`."""
        return pd.concat([self.corners, self._table(error_causes.cause_rows, error_causes.COLUMNS)], axis=1)

    @cached_property
    def matches(self) -> tuple[matching.FilmMatch, ...]:
        """The matched vertebrae of each labelled film."""
        return tuple(matching.match_film(film, prediction) for film, prediction in self.labelled_pairs)

    @cached_property
    def detections(self) -> pd.DataFrame:
        """One row per labelled film, with `matching.COUNT_COLUMNS`."""
        rows = [matching.count_row(film, match) for film, match in zip(self.labelled_films, self.matches, strict=True)]
        return pd.DataFrame(rows, columns=list(matching.COUNT_COLUMNS))

    @cached_property
    def matched_corners(self) -> pd.DataFrame:
        """One row per true corner, with `matching.CORNER_COLUMNS`."""
        rows = [
            row
            for (film, prediction), match in zip(self.labelled_pairs, self.matches, strict=True)
            for row in matching.matched_corner_rows(film, prediction, match)
        ]
        return pd.DataFrame(rows, columns=list(matching.CORNER_COLUMNS))

    @cached_property
    def presence(self) -> pd.DataFrame:
        """One row per labelled film, with `presence.COLUMNS`."""
        return self._table(presence.presence_rows, presence.COLUMNS)

    @cached_property
    def ranked_vertebrae(self) -> pd.DataFrame:
        """One row per slot of each labelled film, the highest presence first, with `object_keypoints.COLUMNS`."""
        table = self._table(object_keypoints.vertebra_rows, object_keypoints.COLUMNS)
        return table.sort_values("presence", ascending=False, kind="stable")

    @cached_property
    def facings(self) -> pd.DataFrame:
        """One row per labelled film of known facing, with `slips.FACING_COLUMNS`."""
        return self._table(slips.facing_rows, slips.FACING_COLUMNS)

    @cached_property
    def cobb_angles(self) -> pd.DataFrame:
        """One row per labelled AP film, with `cobb.COLUMNS`."""
        return self._table(cobb.angle_rows, cobb.COLUMNS)

    @cached_property
    def radial_errors(self) -> pd.DataFrame:
        """One row per true corner with a predicted covariance, with `calibration.COLUMNS`."""
        return self._table(calibration.radial_error_rows, calibration.COLUMNS)

    def slips(self, rules: ClinicalConfig) -> pd.DataFrame:
        """One row per level of the labelled lateral films, with `slips.COLUMNS`."""
        key = rules_digest(rules)
        if key not in self._slips:
            self._slips[key] = self._table(
                lambda film, prediction: slips.level_rows(film, prediction, rules), slips.COLUMNS
            )
        return self._slips[key]

    def _table(
        self, rows: Callable[[Film, FilmPrediction], Iterable[Sequence[object]]], columns: Sequence[str]
    ) -> pd.DataFrame:
        """The rows of all labelled films."""
        content = [row for film, prediction in self.labelled_pairs for row in rows(film, prediction)]
        return pd.DataFrame(content, columns=list(columns))
