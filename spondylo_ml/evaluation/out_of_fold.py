"""All films of a cross-validation, each predicted by the fold that was not trained on it, evaluated together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from spondylo_ml.config import ClinicalConfig
from spondylo_ml.data.films import digest
from spondylo_ml.evaluation.evaluate_predictions import ReportHeader, evaluate_predictions
from spondylo_ml.evaluation.headline import headline
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.landmarks import Film, FilmPrediction, SlotRange

PART = "out of fold"
FOLDER = "out_of_fold"


def pooled_headline(pooled: Mapping[str, float]) -> dict[str, float]:
    """Of the values of `OutOfFold.evaluate`, those that a run logs as metrics."""
    return headline({name.removeprefix(f"{FOLDER}/"): value for name, value in pooled.items()}, f"{FOLDER}/")


@dataclass
class OutOfFold:
    """Collects the validation films of each fold with their predictions."""

    dataset: str
    slots: SlotRange
    films: list[Film] = field(default_factory=list)
    predictions: list[FilmPrediction] = field(default_factory=list)
    folds: list[int] = field(default_factory=list)

    def add(self, films: Sequence[Film], predictions: Sequence[FilmPrediction]) -> None:
        """Add the validation films of the next fold."""
        self.folds += [(self.folds[-1] + 1 if self.folds else 1)] * len(films)
        self.films += films
        self.predictions += predictions

    def prediction_set(self) -> PredictionSet:
        """The films of all folds so far."""
        return PredictionSet(tuple(self.films), tuple(self.predictions))

    def evaluate(self, rules: ClinicalConfig) -> tuple[dict[str, float], dict[str, str]]:
        """Evaluate all films together.

        Returns:
            Values with `_low`, `_high` and `_n` by metric, and tables as text by file name.
        """
        header = ReportHeader(self.dataset, PART, digest(self.films, self.slots))
        report = evaluate_predictions(self.prediction_set(), rules, header)
        metrics: dict[str, float] = {}
        for name, estimate in report.numbers.items():
            metrics |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
            metrics[f"{name}_n"] = float(estimate.n)
        rows = [f"{film.film_id},{film.patient},{fold}" for film, fold in zip(self.films, self.folds, strict=True)]
        files = {f"{FOLDER}/{name}": text for name, text in report.files().items()}
        files[f"{FOLDER}/folds.csv"] = "\n".join(["film,patient,fold", *rows]) + "\n"
        return {f"{FOLDER}/{name}": value for name, value in metrics.items()}, files
