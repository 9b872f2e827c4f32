"""The result of an evaluation: each value with its interval and the observations behind it; saved and loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError

from spondylo_ml.disclaimer import DISCLAIMER
from spondylo_ml.errors import DataError
from spondylo_ml.evaluation.intervals import Estimate

FORMAT = 1
REPORT_FILE, NUMBERS_FILE = "report.json", "numbers.csv"

Table = Mapping[str, Mapping[str, Estimate]]
"""Estimates by group and name."""


class EvaluationReport(BaseModel):
    """Estimates of one model on one part of a dataset.

    Attributes:
        dataset, part, data_digest: the films; the digest covers pixels and labels.
        n_films, n_labelled, n_patients: numbers of films, labelled films, and patients of the labelled films.
        confidence, resamples, seed: of the intervals over patients.
        rules_digest: of the clinical rules by which slips were graded.
        numbers: estimates by metric.
        tables: estimates by table, group and metric.
        counts: integers without an interval, by name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    dataset: str
    part: str
    data_digest: str
    n_films: int
    n_labelled: int
    n_patients: int
    confidence: float
    resamples: int
    seed: int
    rules_digest: str
    numbers: dict[str, Estimate]
    tables: dict[str, dict[str, dict[str, Estimate]]]
    counts: dict[str, int]
    note: str = DISCLAIMER

    def __eq__(self, other: object) -> bool:
        """Whether all values are equal, NaN and NaN included."""
        return isinstance(other, EvaluationReport) and self.model_dump_json() == other.model_dump_json()

    __hash__ = None  # type: ignore[assignment]

    def files(self) -> dict[str, str]:
        """Text by file name: everything as JSON, and each table as CSV with one estimate per row."""
        out = {REPORT_FILE: json.dumps(self.model_dump(mode="json"), indent=1, allow_nan=False)}
        out[NUMBERS_FILE] = to_csv({"": self.numbers}).to_csv(index=False)
        return out | {f"{name}.csv": to_csv(table).to_csv(index=False) for name, table in self.tables.items()}

    def save(self, folder: Path) -> None:
        """Write the `files` into a folder, which is created if it is missing."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in self.files().items():
            (folder / name).write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> EvaluationReport:
        """Load a report that was saved in a folder.

        Raises:
            DataError: there is no report, or it has another format version.
        """
        try:
            tree = json.loads((folder / REPORT_FILE).read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError) as error:
            raise DataError(f"{folder} holds no evaluation report ({type(error).__name__}: {error})") from None
        version = tree.get("format") if isinstance(tree, dict) else None
        if version != FORMAT:
            raise DataError(f"{folder / REPORT_FILE}: report format {version}, this version reads {FORMAT}")
        try:
            return cls.model_validate(tree)
        except ValidationError as error:
            raise DataError(f"{folder / REPORT_FILE} is damaged: {error.errors()[0]['msg']}") from None


def to_csv(table: Table) -> pd.DataFrame:
    """One row per estimate: `group`, `name`, and the fields of the estimate."""
    rows = [
        {"group": group, "name": name, **estimate.model_dump()}
        for group, estimates in table.items()
        for name, estimate in estimates.items()
    ]
    return pd.DataFrame(rows, columns=["group", "name", *Estimate.model_fields])
