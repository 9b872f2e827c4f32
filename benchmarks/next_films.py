"""Trains on films chosen by `next` and on films chosen at random, and writes the errors of both side by side.

For each seed a model is trained on the same films to start with. It chooses further films from the candidates; as many
others are drawn from them at random. A new model is trained on each choice together with the first films. All are
measured on the same test films, of other patients. With `--pretrained` each model goes on from a trained one. Finished
training runs and choices are kept in the folder: the same command resumes after an interruption.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import spondylo_ml
from benchmarks.photographed import photographed
from spondylo_ml.active_learning.ranking import State, rank_films
from spondylo_ml.config import DataConfig
from spondylo_ml.data.audit.duplicates import same_groups
from spondylo_ml.data.films import FilmSet, HeldImage
from spondylo_ml.data.loading import measure_pixels, read_films
from spondylo_ml.data.split import assign_parts
from spondylo_ml.data.synthetic import PHANTOM_KIND, phantom_films
from spondylo_ml.data.writers.dataset import write_dataset
from spondylo_ml.evaluation.metrics import score
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.landmarks import Film
from spondylo_ml.serving.film_model import FilmModel, FilmSource
from spondylo_ml.serving.predictor import Predictor
from spondylo_ml.workflows.next_films.scoring import FilmScorer

START, NEXT, RANDOM = "start", "next", "random"
RESULTS = "results.json"
LONG_SIDE_PX, SMOKE_LONG_SIDE_PX = 640, 96
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
    """Parts drawn once by a fixed seed, by patient and exposure; the same for all choices.

    Films without labels are left out; the dataset's own split is not used.
    """
    labelled = [replace(film, split=None) for film in films.films if film.labelled]
    same = [] if films.kind == PHANTOM_KIND else same_groups(measure_pixels(labelled).same, len(labelled))
    parts = assign_parts(labelled, n_val / len(labelled), n_test / len(labelled), 0, same)
    pool, val, test = ([film for film in parts if film.split == part] for part in ("train", "val", "test"))
    return Films(films, pool, val, test)


def first_and_candidates(pool: Sequence[Film], seed: int, n_start: int, of: int) -> tuple[list[Film], list[Film]]:
    """The films to start with, and those to choose from, in random order: a random choice takes the first ones.

    Raises:
        ValueError: the pool is too small.
    """
    if len(pool) < n_start + of:
        raise ValueError(f"{n_start} films to start with and {of} to choose from: there are {len(pool)} in all")
    order = [pool[i] for i in np.random.default_rng(seed).permutation(len(pool))]
    return order[:n_start], order[n_start : n_start + of]


def chosen_by_model(model: FilmModel, candidates: Sequence[Film], labelled: Sequence[Film], count: int) -> list[Film]:
    """The films that `next` chooses; their labels are not looked at.

    Raises:
        ValueError: it sets so many films aside that fewer than `count` are left.
    """
    scorer = FilmScorer(model)
    by_name = {film.film_id: film for film in candidates}
    sources = (FilmSource(name, partial(replace, film, vertebrae=None)) for name, film in by_name.items())
    ranked = rank_films([one.score for one in scorer.score(sources)], scorer.labelled(labelled), count)
    states = Counter(one.state for one in ranked)
    sys.stderr.write(f"next: {', '.join(f'{number} {state}' for state, number in states.items())}\n")
    if states[State.CHOSEN] < count:
        raise ValueError(f"{states[State.CHOSEN]} films chosen, {count} asked for: too few can be ranked")
    return [by_name[one.film.film_id] for one in ranked if one.state is State.CHOSEN]


def train_on(
    films: Films,
    train: Sequence[Film],
    folder: Path,
    seed: int,
    input_hw: list[int] | None,
    settings: Mapping[str, Any],
) -> str:
    """Id of a run that trained on the films."""
    pretrained = settings["model"].get("pretrained")
    if not folder.exists():
        parts = [replace(film, split="train") for film in train] + [replace(film, split="val") for film in films.val]
        write_dataset(replace(films.whole, films=tuple(parts)), "coco", folder)
    data: dict[str, Any] = {"path": str(folder), "kind": "coco", "on_audit_error": "set_aside"}
    if input_hw:
        data["input_hw"] = list(input_hw)
    if pretrained:  # the films of the choice may show other levels
        slots = spondylo_ml.load(pretrained).bundle.slots
        data |= {"first_slot": slots.first, "n_slots": slots.count}
    result = spondylo_ml.train(data=data, seed=seed, **settings)
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
            folder = options.to / key.replace(" ", "_")
            run_id = train_on(films, train, folder, seed, options.input_hw, settings)
            errors = measured(spondylo_ml.load(run_id), films.test)
            names = [film.film_id for film in train]
            results.add(key, {"run_id": run_id, "n_train": len(train), "films": names, **errors})
        return str(results.done[key]["run_id"])

    for seed in range(options.seeds):
        start, candidates = first_and_candidates(films.pool, seed, options.start, options.of)
        run_id = trained(seed, START, start)
        trained(seed, RANDOM, [*start, *candidates[: options.more]])
        if key_of(seed, NEXT) not in results.done:
            more = chosen_by_model(spondylo_ml.load(run_id), candidates, start, options.more)
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


def settings_of(options: argparse.Namespace) -> dict[str, Any]:
    """The configuration of all training runs."""
    if options.smoke:
        return {
            "model": {"name": "unet", "unet": {"width": 9}}, "preset": "smoke", "training": {"epochs": 1},
            "augmentation": {"enabled": False},
        }  # fmt: skip
    settings: dict[str, Any] = {"model": options.model, "preset": options.preset}
    if options.unet_width:
        settings["model"] = {"name": "unet", "unet": {"width": options.unet_width}}
    if options.pretrained:
        settings = {"model": {"pretrained": options.pretrained}, "preset": "finetune"}
    if options.film_passes:
        settings["training"] = {
            "film_passes": options.film_passes, "least_epoch_films": options.epoch_films, "minutes": None,
        }  # fmt: skip
    return settings


def synthetic_films(count: int, long_side_px: int, as_photographs: bool) -> FilmSet:
    """Films that no training of the project draws, as photographs if asked for."""
    films = phantom_films(count, FILM_SEED, long_side_px)
    if not as_photographs:
        return films
    photographs = photographed(films.films, FILM_SEED)
    return replace(films, films=tuple(replace(film, image=HeldImage(film.image.read())) for film in photographs))


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, required=True, help="folder of the results, in which a later call goes on")
    parser.add_argument("--data", type=Path, help="folder of labelled films; unset: synthetic films")
    parser.add_argument("--films", type=int, default=574, help="number of synthetic films")
    parser.add_argument("--val", type=int, default=50, help="validation films, about as many")
    parser.add_argument("--test", type=int, default=100, help="test films, about as many")
    parser.add_argument("--start", type=int, default=50, help="films to start with")
    parser.add_argument("--of", type=int, default=374, help="films to choose from")
    parser.add_argument("--more", type=int, default=50, help="films to choose")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--photographs", action="store_true", help="synthetic films as photographs of a screen")
    parser.add_argument("--long_side_px", type=int, default=LONG_SIDE_PX, help="of the synthetic films")
    parser.add_argument("--model", default="unet")
    parser.add_argument("--pretrained", help="run or registered model that each training goes on from")
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--film_passes", type=int, help="of each training; unset: as the preset")
    parser.add_argument("--epoch_films", type=int, default=200, help="film passes between validations, at least")
    parser.add_argument("--input_hw", type=int, nargs=2, help="size of the network's input; unset: as the preset")
    parser.add_argument("--unet_width", type=int, help="channels of the U-Net; unset: as the preset")
    parser.add_argument("--smoke", action="store_true", help="a few small films and one epoch: only shows that it runs")
    options = parser.parse_args(arguments)
    if options.pretrained and (options.unet_width or options.input_hw):
        parser.error("--unet_width and --input_hw are those of the pretrained model: leave them out")
    if options.unet_width and options.model != "unet":
        parser.error(f"--unet_width is of the model unet, not of {options.model}")
    if options.smoke:
        options.films, options.val, options.test, options.start, options.of, options.more, options.seeds = (
            22, 4, 4, 4, 10, 4, 1,
        )  # fmt: skip
        options.long_side_px = SMOKE_LONG_SIDE_PX
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Train what is missing, and print the table."""
    options = read_options(arguments)
    films = read_films(DataConfig(path=options.data)) if options.data else synthetic_films(
        options.films, options.long_side_px, options.photographs
    )  # fmt: skip
    results = simulate(split_films(films, options.val, options.test), options, settings_of(options))
    sys.stdout.write(table_of(results.done) + "\n")


if __name__ == "__main__":
    main()
