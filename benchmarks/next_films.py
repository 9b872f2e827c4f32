"""Trains on films chosen by `next` and on films chosen at random, and writes the errors of both side by side.

For each seed a model is trained on the same films to start with. It chooses further films from the pool; as many others
are drawn at random. A new model is trained on each choice together with the first films. All are measured on the same
test films. Finished trainings and choices are kept in the folder: the same command goes on after an interruption.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import spondylo_ml
from spondylo_ml.active_learning.ranking import State, rank_films
from spondylo_ml.config import DataConfig
from spondylo_ml.data.films import FilmSet
from spondylo_ml.data.loading import read_films
from spondylo_ml.data.synthetic import phantom_films
from spondylo_ml.data.writers.dataset import write_dataset
from spondylo_ml.evaluation.metrics import score
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.landmarks import Film
from spondylo_ml.serving.film_model import FilmModel, FilmSource
from spondylo_ml.serving.predictor import Predictor
from spondylo_ml.workflows.next_films.scoring import FilmScorer

START, NEXT, RANDOM = "start", "next", "random"
RESULTS = "results.json"
LONG_SIDE_PX = 640
FILM_SEED = 41


@dataclass(frozen=True)
class Films:
    """The parts of the films; only those of `pool` are chosen from."""

    whole: FilmSet
    pool: Sequence[Film]
    val: Sequence[Film]
    test: Sequence[Film]


class Results:
    """What is finished, in a JSON file: names of the chosen films and errors, by seed and choice."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / RESULTS
        self.done: dict[str, dict[str, Any]] = json.loads(self._path.read_text()) if self._path.exists() else {}

    def add(self, key: str, values: Mapping[str, Any]) -> None:
        """Keep the values of one training; an interruption leaves the file as it was before or after."""
        self.done[key] = dict(values)
        partial = self._path.with_suffix(".partial")
        partial.write_text(json.dumps(self.done, indent=1))
        partial.replace(self._path)


def key_of(seed: int, choice: str) -> str:
    """Name of a training in the results."""
    return f"{choice} {seed}"


def split_films(films: FilmSet, n_val: int, n_test: int) -> Films:
    """Parts drawn once by a fixed seed; the same for all choices."""
    order = [films.films[i] for i in np.random.default_rng(0).permutation(len(films.films))]
    test, val, pool = order[:n_test], order[n_test : n_test + n_val], order[n_test + n_val :]
    return Films(films, pool, val, test)


def first_and_random(pool: Sequence[Film], seed: int, n_start: int, n_more: int) -> tuple[list[Film], list[Film]]:
    """The films to start with, and as many random ones of the others as `next` chooses."""
    order = [pool[i] for i in np.random.default_rng(seed).permutation(len(pool))]
    return order[:n_start], order[n_start : n_start + n_more]


def chosen_by_model(model: FilmModel, pool: Sequence[Film], labelled: Sequence[Film], count: int) -> list[Film]:
    """The films of the pool that `next` chooses; their labels are not looked at."""
    scorer = FilmScorer(model)
    known = {film.film_id for film in labelled}
    others = {film.film_id: replace(film, vertebrae=None) for film in pool if film.film_id not in known}
    sources = (FilmSource(name, partial(replace, film)) for name, film in others.items())
    ranked = rank_films([one.score for one in scorer.score(sources)], scorer.labelled(labelled), count)
    names = [one.film.film_id for one in ranked if one.state is State.CHOSEN]
    return [film for name in names for film in pool if film.film_id == name]


def train_on(films: Films, train: Sequence[Film], folder: Path, seed: int, settings: Mapping[str, Any]) -> str:
    """Id of a run that trained on the films."""
    if not folder.exists():
        parts = [replace(film, split="train") for film in train] + [replace(film, split="val") for film in films.val]
        write_dataset(replace(films.whole, films=tuple(parts)), "coco", folder)
    result = spondylo_ml.train(data={"path": str(folder), "kind": "coco"}, seed=seed, **settings)
    return result.run_id


def measured(model: FilmModel, test: Sequence[Film]) -> dict[str, float]:
    """Errors on the test films."""
    numbers = score(PredictionSet(list(test), Predictor(model.bundle).predict(test)))
    return {name: numbers[name] for name in ("mre_px512", "instance_mre_px512", "sdr_6px")}


def simulate(films: Films, options: argparse.Namespace, settings: Mapping[str, Any]) -> Results:
    """Train what is not in the results yet."""
    results = Results(options.to)

    def trained(seed: int, choice: str, train: Sequence[Film]) -> str:
        key = key_of(seed, choice)
        if key not in results.done:
            run_id = train_on(films, train, options.to / key.replace(" ", "_"), seed, settings)
            errors = measured(spondylo_ml.load(run_id), films.test)
            names = [film.film_id for film in train]
            results.add(key, {"run_id": run_id, "n_train": len(train), "films": names, **errors})
        return str(results.done[key]["run_id"])

    for seed in range(options.seeds):
        start, at_random = first_and_random(films.pool, seed, options.start, options.more)
        run_id = trained(seed, START, start)
        trained(seed, RANDOM, [*start, *at_random])
        if key_of(seed, NEXT) not in results.done:
            more = chosen_by_model(spondylo_ml.load(run_id), films.pool, start, options.more)
            trained(seed, NEXT, [*start, *more])
    return results


def table_of(done: Mapping[str, Mapping[str, Any]]) -> str:
    """Markdown: mean and spread over the seeds by choice, and in how many seeds `next` has the lower error."""
    rows = [{"choice": key.split()[0], "seed": int(key.split()[1]), **values} for key, values in done.items()]
    table = pd.DataFrame(rows).pivot_table(index="seed", columns="choice", values=["mre_px512", "n_train"])
    lines = ["| choice | training films | MRE, px512: mean (SD) | seeds |", "| --- " * 4 + "|"]
    for choice in (START, RANDOM, NEXT):
        errors = table["mre_px512"][choice].dropna() if choice in table["mre_px512"] else pd.Series(dtype=float)
        if len(errors):
            films = int(table["n_train"][choice].dropna().iloc[0])
            lines.append(f"| {choice} | {films} | {errors.mean():.2f} ({errors.std():.2f}) | {len(errors)} |")
    if {RANDOM, NEXT} <= set(table["mre_px512"]):
        difference = (table["mre_px512"][NEXT] - table["mre_px512"][RANDOM]).dropna()
        lines += ["", f"next minus random: {difference.mean():+.2f} px512; lower in {(difference < 0).sum()} of "
                  f"{len(difference)} seeds"]  # fmt: skip
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, required=True, help="folder of the results, in which a later call goes on")
    parser.add_argument("--data", type=Path, help="folder of labelled films; unset: synthetic films")
    parser.add_argument("--films", type=int, default=574, help="number of synthetic films")
    parser.add_argument("--val", type=int, default=50, help="validation films")
    parser.add_argument("--test", type=int, default=100, help="test films")
    parser.add_argument("--start", type=int, default=50, help="films to start with")
    parser.add_argument("--more", type=int, default=50, help="films to choose")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--model", default="unet")
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--smoke", action="store_true", help="a few small films and one epoch: only shows that it runs")
    options = parser.parse_args(arguments)
    settings: dict[str, Any] = {"model": options.model, "preset": options.preset}
    long_side_px = LONG_SIDE_PX
    if options.smoke:
        options.films, options.val, options.test, options.start, options.more, options.seeds = 22, 4, 4, 4, 4, 1
        settings = {
            "model": {"name": "unet", "unet": {"width": 9}}, "preset": "smoke", "training": {"epochs": 1},
            "augmentation": {"enabled": False},
        }  # fmt: skip
        long_side_px = 96
    films = read_films(DataConfig(path=options.data)) if options.data else phantom_films(
        options.films, FILM_SEED, long_side_px
    )  # fmt: skip
    results = simulate(split_films(films, options.val, options.test), options, settings)
    sys.stdout.write(table_of(results.done) + "\n")


if __name__ == "__main__":
    main()
