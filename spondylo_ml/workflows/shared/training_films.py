"""On which films a model was trained: by its own run, and before that by the models that the run goes on from."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import mlflow
import yaml
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from spondylo_ml.config import DataConfig
from spondylo_ml.config.network import IMAGENET
from spondylo_ml.config.references import is_whole_id
from spondylo_ml.data.loading import load_films
from spondylo_ml.data.pseudonyms import pseudonym
from spondylo_ml.errors import SpondyloError
from spondylo_ml.landmarks import Film
from spondylo_ml.serving.local_model import local_model
from spondylo_ml.serving.model_address import training_run_of_model
from spondylo_ml.serving.model_source import config_of_model
from spondylo_ml.tracking.provenance import PRETRAINED_RUN, SPLIT_FILE


@dataclass(frozen=True)
class TrainingFilms:
    """The films on which a model was trained.

    Attributes:
        names: ids of the films, and of their patients.
        complete: whether these are all of them; else some model of the line does not say what it was trained on.
    """

    names: frozenset[str]
    complete: bool = True

    def n_seen(self, films: Sequence[Film]) -> int | None:
        """Number of the films that are among them, by film or patient; None if none is, but they are not complete."""
        # A layout may name films and patients as its files do, or by pseudonyms, which stay what they are.
        known = {pseudonym(name) for name in self.names}
        count = sum(pseudonym(film.film_id) in known or pseudonym(film.patient) in known for film in films)
        return count if count or self.complete else None

    def __or__(self, other: TrainingFilms) -> TrainingFilms:
        return TrainingFilms(self.names | other.names, self.complete and other.complete)


UNKNOWN = TrainingFilms(frozenset(), complete=False)


def films_seen_in_training(run_id: str, films: Sequence[Film]) -> int | None:
    """Count the films of patients on whom a run's model was trained; None if that is not known of all its films."""
    return training_films_of_run(run_id).n_seen(films)


def seen_by_model(which: str, films: Sequence[Film]) -> int | None:
    """The same of a model that is named as in `predict --model`."""
    run_id = training_run_of_model(which)
    known = training_films_of_model(which) if run_id is None else training_films_of_run(run_id)
    return known.n_seen(films)


def training_films_of_run(run_id: str) -> TrainingFilms:
    """The training films of a run, with those of the models that it goes on from."""
    known, runs = TrainingFilms(frozenset()), [run_id]
    while True:
        known |= _split_of(runs[-1])
        which = _goes_on_from(runs[-1])
        if which is None or which in runs:
            return known
        if not is_whole_id(which):
            return known | training_films_of_model(which)
        runs.append(which)


@cache
def training_films_of_model(which: str) -> TrainingFilms:
    """The training films of the starter model or of a model in a folder, known if they are synthetic."""
    try:
        if local_model(which) is None:
            return UNKNOWN
        data = DataConfig.model_validate(config_of_model(which)["data"])
        if data.path is not None:
            return UNKNOWN
        return _named(load_films(data).part("train"))
    except (SpondyloError, ValueError):
        return UNKNOWN


def _named(films: Sequence[Film]) -> TrainingFilms:
    return TrainingFilms(frozenset(name for film in films for name in (film.film_id, film.patient)))


def _split_of(run_id: str) -> TrainingFilms:
    """The training films that a run has logged, without those of the model that it goes on from."""
    text = _artifact(run_id, SPLIT_FILE)
    if text is None:
        return UNKNOWN
    rows = list(csv.reader(io.StringIO(text)))[1:]  # without the header
    if any(len(row) != 3 for row in rows):
        return UNKNOWN
    return TrainingFilms(frozenset(name for *names, part in rows if part == "train" for name in names))


def _goes_on_from(run_id: str) -> str | None:
    """The model from which a run goes on, by its run if that is known; None for random or ImageNet weights."""
    if run_id_or_none := _tag(run_id, PRETRAINED_RUN):
        return run_id_or_none
    config = yaml.safe_load(_artifact(run_id, "config.yaml") or "{}")
    which = (config.get("model") or {}).get("pretrained") if isinstance(config, dict) else None
    return None if which is None or which in IMAGENET else str(which)


def _tag(run_id: str, name: str) -> str | None:
    try:
        return MlflowClient().get_run(run_id).data.tags.get(name)
    except MlflowException:
        return None


def _artifact(run_id: str, path: str) -> str | None:
    try:
        return str(mlflow.artifacts.load_text(f"runs:/{run_id}/{path}"))
    except (MlflowException, OSError):
        return None
