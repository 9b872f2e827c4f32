"""All films, each predicted by the fold that was not trained on it, judged together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from spondylo_ml.config import ClinicalConfig
from spondylo_ml.data.films import digest
from spondylo_ml.evaluation.judge import Provenance, judge
from spondylo_ml.landmarks import Film, FilmPrediction, SlotRange

PART = "out of fold"
FOLDER = "out_of_fold"


@dataclass
class OutOfFold:
    """Collects the validation films of each fold with what was predicted for them."""

    dataset: str
    slots: SlotRange
    films: list[Film] = field(default_factory=list)
    predictions: list[FilmPrediction] = field(default_factory=list)
    folds: list[int] = field(default_factory=list)

    def add(self, films: Sequence[Film], predictions: Sequence[FilmPrediction]) -> None:
        """The validation films of the next fold."""
        self.folds += [(self.folds[-1] + 1 if self.folds else 1)] * len(films)
        self.films += films
        self.predictions += predictions

    def judged(self, rules: ClinicalConfig) -> tuple[dict[str, float], dict[str, str]]:
        """Numbers, with `_low`, `_high` (over patients) and `_n` of each, and the tables as text by file name."""
        report = judge(
            self.films, self.predictions, rules, Provenance(self.dataset, PART, digest(self.films, self.slots))
        ).report
        metrics: dict[str, float] = {}
        for name, estimate in report.numbers.items():
            metrics |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
            metrics[f"{name}_n"] = float(estimate.n)
        rows = [f"{film.film_id},{film.patient},{fold}" for film, fold in zip(self.films, self.folds, strict=True)]
        files = {f"{FOLDER}/{name}": text for name, text in report.files().items()}
        files[f"{FOLDER}/folds.csv"] = "\n".join(["film,patient,fold", *rows]) + "\n"
        return {f"{FOLDER}/{name}": value for name, value in metrics.items()}, files
