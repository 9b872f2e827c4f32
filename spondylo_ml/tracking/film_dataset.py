"""A part of the films as MLflow's pages show it: what a film holds, and how many films, patients, levels and grades."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.dataset import Dataset
from mlflow.entities import Dataset as DatasetEntity
from mlflow.types import ColSpec, DataType, Schema

from spondylo_ml.clinical.measure import measure_film
from spondylo_ml.data.films import FilmSet
from spondylo_ml.data.sampling import evenly_spaced
from spondylo_ml.landmarks import Film

DIGEST_LENGTH = 36
"""Longest digest of a dataset that MLflow stores; the full one is a tag of the run."""

MOST_GRADED_FILMS = 100
"""Most films whose slips are measured: each takes milliseconds, and training must not wait for thousands."""

SCHEMA = Schema(
    [
        ColSpec(DataType.binary, "film"),
        ColSpec(DataType.string, "patient"),
        ColSpec(DataType.string, "level", required=False),
        ColSpec(DataType.string, "corner", required=False),
        ColSpec(DataType.double, "x_px", required=False),
        ColSpec(DataType.double, "y_px", required=False),
        ColSpec(DataType.double, "spacing_x_mm", required=False),
        ColSpec(DataType.double, "spacing_y_mm", required=False),
    ]
)
"""What is known of a corner on a film; coordinates in px of the original film."""


class FilmDataset(Dataset):
    """One part of a dataset. It describes the films, not their location: the same films elsewhere are the same."""

    def __init__(self, films: FilmSet, part: str, digest: str) -> None:
        self._films = films.part(part)
        source = CodeDatasetSource({"kind": films.kind, "dataset": films.name, "part": part, "films": len(self._films)})
        super().__init__(source, dataset_name(films.name, part), digest[:DIGEST_LENGTH])

    def _compute_digest(self) -> str:
        raise ValueError("films have a digest of their own")

    @property
    def schema(self) -> Schema:
        """See `SCHEMA`."""
        return SCHEMA

    @property
    def profile(self) -> dict[str, Any]:
        """See `profile_of`."""
        return profile_of(self._films)

    def to_dict(self) -> dict[str, str]:
        """What MLflow stores of the dataset."""
        schema = json.dumps({"mlflow_colspec": self.schema.to_dict()})
        return {**super().to_dict(), "schema": schema, "profile": json.dumps(self.profile)}


def dataset_name(films: str, part: str) -> str:
    """Name of a part of the films in MLflow."""
    return f"{films}-{part}"


def dataset_of_metrics(films: str, part: str, digest: str) -> DatasetEntity:
    """The part of the films on which metrics were measured, to be linked with them."""
    return DatasetEntity(dataset_name(films, part), digest[:DIGEST_LENGTH], source_type="code", source="{}")


def profile_of(films: Sequence[Film]) -> dict[str, Any]:
    """Counts of films, labelled films, patients, vertebrae by level, and measurable slips by Meyerding grade.

    Slips are counted on at most `MOST_GRADED_FILMS`, evenly spaced over the labelled ones.
    """
    labelled = [film for film in films if film.labelled]
    graded = evenly_spaced(labelled, MOST_GRADED_FILMS)
    levels = Counter(vertebra.level for film in labelled for vertebra in film.vertebrae or ())
    grades = Counter(
        level.grade
        for film in graded
        if film.vertebrae
        for level in measure_film(film).levels
        if level.grade is not None
    )
    return {
        "films": len(films),
        "labelled": len(labelled),
        "patients": len({film.patient for film in films}),
        "vertebrae": dict(levels.most_common()),
        "graded_films": len(graded),
        "grades": {str(grade): grades[grade] for grade in sorted(grades)},
    }
