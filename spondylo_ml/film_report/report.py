"""The report of one film as plain values with a JSON schema.

The film is named by a digest of its pixels, not by its file name, which may hold a patient's number, sex or age.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spondylo_ml.clinical.measurement import FilmMeasurement, LevelUncertainty, plain
from spondylo_ml.data.films import pixels_sha256
from spondylo_ml.disclaimer import FILM_NOTICE
from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import Film, GreyImage, Vertebra
from spondylo_ml.version import __version__

FORMAT = "spondylo_ml film report 1"


@dataclass(frozen=True)
class ReportedBody:
    """Corners of one vertebra as they were measured.

    Attributes:
        corners_px: (x, y) of the four corners in the order of `CORNERS`, px of the film; None where absent.
    """

    name: str
    slot: int
    corners_px: tuple[tuple[float, float] | None, ...]


@dataclass(frozen=True)
class FilmReport:
    """The report of one film.

    Attributes:
        film_key: first digits of the SHA-256 of the film's pixels.
        size_hw_px: height and width of the film.
        corners_from: who set the corners: labels, or a model and its run.
        uncertainty: of some or all levels; empty where none was computed.
    """

    format: str
    software: str
    notice: str
    film_key: str
    size_hw_px: tuple[int, int]
    corners_from: str
    corners: tuple[ReportedBody, ...]
    measurement: FilmMeasurement
    uncertainty: tuple[LevelUncertainty, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values that conform to the schema; null if a measure has no value."""
        return {name: plain(value) for name, value in asdict(self).items()}


def film_report(
    film: Film,
    measurement: FilmMeasurement,
    *,
    vertebrae: Sequence[Vertebra] | None = None,
    corners_from: str = "labels",
    uncertainty: Sequence[LevelUncertainty] = (),
    key: str | None = None,
) -> FilmReport:
    """The report of a film that has been measured.

    Args:
        vertebrae: those that were measured, if they are not the film's own.
        key: the `film_key` of the film's pixels; computed if None.

    Raises:
        DataError: `uncertainty` has a level that was not measured.
    """
    measured_slots = {level.upper_slot for level in measurement.levels}
    if extra := sorted({u.upper_slot for u in uncertainty} - measured_slots):
        raise DataError(f"uncertainty is given for slots {extra}; measured are {sorted(measured_slots)}")
    reported = film.vertebrae or () if vertebrae is None else vertebrae
    return FilmReport(
        format=FORMAT,
        software=f"spondylo_ml {__version__}",
        notice=FILM_NOTICE,
        film_key=key or film_key(film.image.read()),
        size_hw_px=film.size_hw,
        corners_from=corners_from,
        corners=tuple(ReportedBody(measurement.name_of(v.slot), v.slot, _corners(v)) for v in reported),
        measurement=measurement,
        uncertainty=tuple(uncertainty),
    )


def film_key(pixels: GreyImage) -> str:
    """Name of a film that reveals nothing about the patient."""
    return pixels_sha256(pixels)[:12]


def write_json(report: FilmReport, path: Path) -> Path:
    """Write the report to a JSON file."""
    path.write_text(json.dumps(report.to_json(), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return path


def _corners(vertebra: Vertebra) -> tuple[tuple[float, float] | None, ...]:
    return tuple(None if math.isnan(x) else (float(x), float(y)) for x, y in vertebra.corners_xy)
