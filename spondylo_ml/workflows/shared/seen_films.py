"""Whether a model is evaluated on films that it was trained on: one check for all commands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mlflow.entities import Run

from spondylo_ml.landmarks import Film
from spondylo_ml.workflows.shared.training_films import films_seen_in_training

SEEN_TAG = "films_seen_in_training"
"""Tag of a run that evaluates models: how many of its films each model was trained on."""


@dataclass(frozen=True)
class SeenFilms:
    """How many films of an evaluation belong to patients on whom the model was trained.

    Attributes:
        name: the model, as tables call it.
        seen: their number; None if not all films that the model was trained on are known.
        n_films: number of films of the evaluation.
    """

    name: str
    seen: int | None
    n_films: int

    @classmethod
    def of(cls, name: str, trained_run: Run, films: Sequence[Film]) -> SeenFilms:
        """Count them, from what the training run and the models that it goes on from have logged."""
        return cls(name, films_seen_in_training(trained_run.info.run_id, films), len(films))

    @property
    def counts(self) -> str:
        """The number, for `SEEN_TAG`."""
        return f"{'unknown' if self.seen is None else self.seen} of {self.n_films}"

    @property
    def warning(self) -> str:
        """What is wrong with the evaluation; empty if the model has seen none of the films."""
        if self.seen is None:
            return f"{self.name}: not all films that it was trained on are known"
        if not self.seen:
            return ""
        return f"{self.name} was trained on patients of {self.seen} of these {self.n_films} films: its error is too low"
