"""Result of a model on one film, and its conversion to a row of plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spondylo_ml.clinical.measurement import FilmMeasurement, LevelMeasurement, LevelUncertainty, plain
from spondylo_ml.landmarks import Film, FilmPrediction

COLUMNS = (
    "film_key", "size_hw_px", "levels", "presence", "corners_xy_px", "corner_score", "facing", "levels_known", "slips",
    "warnings", "model", "error",
)  # fmt: skip
"""Columns of a row, in order; they change only with the bundle format."""

SLIP_FIELDS = (
    "level", "upper_slot", "lower_slot", "slip_percent", "slip_mm", "grade", "grade_name", "reason", "low_percent",
    "high_percent", "coverage", "grade_probabilities", "grade_set", "refer", "verdict",
)  # fmt: skip
"""Fields of each entry of `slips`."""


@dataclass(frozen=True)
class FilmResult:
    """Result of a model on one film, or the reason why there is none.

    Attributes:
        film_id: the caller's name of the film.
        error: why there is no result; empty if there is one. Contains no file name.
        error_detail: the same with the name of the file, for the terminal.
        film_key: first digits of the SHA-256 of the film's pixels; empty if they could not be read.
        film: the film with its pixels in memory; None if it could not be read.
        prediction: corners in px of the original film, scores and presence of every slot.
        measurement: slips, grades and angles of the vertebrae whose presence is at least 0.5.
        uncertainty: the verdict on each measured level, with interval and grade probabilities if available.
        model: name of the model.
    """

    film_id: str
    error: str = ""
    error_detail: str = ""
    film_key: str = ""
    film: Film | None = None
    prediction: FilmPrediction | None = None
    measurement: FilmMeasurement | None = None
    uncertainty: tuple[LevelUncertainty, ...] = ()
    model: str = ""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know before trusting the values."""
        return self.measurement.warnings if self.measurement else ()

    def to_row(self) -> dict[str, Any]:
        """Plain values by `COLUMNS`; None if absent. With an error, only `model` and `error` are set."""
        row: dict[str, Any] = dict.fromkeys(COLUMNS)
        row |= {"model": self.model, "error": self.error or None}
        if self.film is None or self.prediction is None or self.measurement is None:
            return row
        by_slot = {u.upper_slot: u for u in self.uncertainty}
        return row | {
            "film_key": self.film_key,
            "size_hw_px": list(self.film.size_hw),
            "levels": list(self.prediction.slots.names),
            "presence": plain(self.prediction.presence.tolist()),
            "corners_xy_px": plain(self.prediction.corners_xy.tolist()),
            "corner_score": plain(self.prediction.corner_score.tolist()),
            "facing": str(self.measurement.certain_facing),
            "levels_known": self.measurement.levels_known,
            "slips": [_slip(level, by_slot) for level in self.measurement.levels],
            "warnings": list(self.warnings),
        }


def _slip(level: LevelMeasurement, by_slot: Mapping[int, LevelUncertainty]) -> dict[str, Any]:
    """The `SLIP_FIELDS` of one level."""
    uncertainty = by_slot[level.upper_slot]
    values = (
        level.name,
        level.upper_slot,
        level.lower_slot,
        plain(level.slip.value),
        plain(level.slip_mm.value),
        level.grade,
        level.grade_name,
        level.slip.reason or None,
        uncertainty.low_percent,
        uncertainty.high_percent,
        uncertainty.coverage,
        [uncertainty.grade_probabilities[grade] for grade in sorted(uncertainty.grade_probabilities)] or None,
        list(uncertainty.grade_set),
        uncertainty.refer,
        uncertainty.verdict,
    )
    return dict(zip(SLIP_FIELDS, values, strict=True))
