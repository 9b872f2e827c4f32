"""Errors of the starter model after it went on with 5 to 50 films of a style that it has never seen, against a model
trained on the same films from scratch.

The style is `photographed`: synthetic films as photographs of a screen. A fifth of the films validates, at least one.
All models are measured on the same test films of other patients. Finished training runs are kept in the folder: the
same command resumes after an interruption.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import spondylo_ml
from benchmarks.next_films import Results
from benchmarks.photographed import photographed
from spondylo_ml.data import phantom
from spondylo_ml.data.films import FilmSet, HeldImage
from spondylo_ml.data.synthetic import phantom_films
from spondylo_ml.data.writers.dataset import write_dataset
from spondylo_ml.evaluation.metrics import score
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.landmarks import Film
from spondylo_ml.serving.film_model import FilmModel
from spondylo_ml.serving.predictor import Predictor

UNCHANGED, FINETUNED, SCRATCH = "starter", "finetuned", "scratch"
SIZES = (5, 10, 25, 50)
FILM_SEED, LONG_SIDE_PX = 61, 768  # no training of the project draws films of this seed
EPOCHS, THAW_EPOCH = 8, 2  # of a training run with a given number of film passes; the preset thaws as early
METRICS = {"mre_px512": "MRE px512", "sdr_6px": "within 6 px512 %", "sdr_24px": "within 24 px512 %",
           "instance_mre_px512": "of bodies found, px512"}  # fmt: skip


def films_of_the_style(n_test: int, n_pool: int, long_side_px: int) -> tuple[FilmSet, Sequence[Film], Sequence[Film]]:
    """The plain films, and photographs of them: test films, and those to train on."""
    plain = phantom_films(n_test + n_pool, FILM_SEED, long_side_px, additions=phantom.ADDITION_NAMES)
    photographs = photographed(plain.films, FILM_SEED)
    return plain, photographs[:n_test], photographs[n_test:]


def train_on(whole: FilmSet, films: Sequence[Film], folder: Path, settings: Mapping[str, Any]) -> str:
    """Id of a run that trained on the films."""
    n_val = max(1, len(films) // 5)
    if not folder.exists():
        parts = [replace(film, split="val" if i < n_val else "train") for i, film in enumerate(films)]
        write_dataset(replace(whole, films=tuple(parts)), "coco", folder)
    return spondylo_ml.train(data={"path": str(folder), "kind": "coco"}, **settings).run_id


def measured(model: FilmModel, test: Sequence[Film]) -> dict[str, float]:
    """Errors on the test films."""
    numbers = score(PredictionSet(list(test), Predictor(model.bundle).predict(test)))
    return {name: numbers[name] for name in METRICS}


def settings_of(choice: str, options: argparse.Namespace) -> dict[str, Any]:
    """The configuration of a training run; that from scratch has the network of the starter model."""
    if options.smoke:
        return {"preset": "smoke", "training": {"epochs": 1}, "model": {"name": "cascade_net"}}
    training: dict[str, Any] = {"minutes": options.minutes} if options.minutes else {}
    if options.film_passes:
        epoch_films = options.film_passes // EPOCHS
        training = {"film_passes": options.film_passes, "least_epoch_films": epoch_films, "minutes": None}
    if choice == FINETUNED:
        if options.film_passes:
            training["thaw_epoch"] = THAW_EPOCH
        return {"model": {"pretrained": "starter"}, "training": training}
    return {"model": {"name": "cascade_net"}, "preset": "quick", "training": training}


def compare(options: argparse.Namespace) -> Results:
    """Train and measure what is not in the results yet."""
    results = Results(options.to)
    whole, photographs, pool = films_of_the_style(options.test, max(options.sizes), options.long_side_px)
    test = [replace(film, image=HeldImage(film.image.read())) for film in photographs]  # drawn once
    if UNCHANGED in options.choices and UNCHANGED not in results.done:
        results.add(UNCHANGED, {"n_train": 0, **measured(spondylo_ml.load("starter"), test)})
    for choice in (FINETUNED, SCRATCH):
        for size in options.sizes if choice in options.choices else ():
            if (key := f"{choice} {size}") not in results.done:
                settings = settings_of(choice, options)
                run_id = train_on(whole, pool[:size], options.to / f"films-{choice}-{size}", settings)
                results.add(key, {"n_train": size, "run_id": run_id, **measured(spondylo_ml.load(run_id), test)})
    return results


def table_of(done: Mapping[str, Mapping[str, Any]]) -> str:
    """Markdown: a row per model, in the order of films."""
    lines = ["| model | films | " + " | ".join(METRICS.values()) + " |", "| --- " * (2 + len(METRICS)) + "|"]
    for key, values in sorted(done.items(), key=lambda item: (item[1]["n_train"], item[0])):
        numbers = " | ".join(f"{values[name]:.1f}" for name in METRICS)
        lines.append(f"| {key.split()[0]} | {values['n_train']} | {numbers} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, required=True, help="folder of the results, in which a later call goes on")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="numbers of films")
    parser.add_argument("--test", type=int, default=60, help="test films")
    parser.add_argument("--minutes", type=float, help="of each training run; unset: as the preset says")
    parser.add_argument("--film_passes", type=int, help="of each training run, whatever time they take")
    parser.add_argument("--choices", nargs="+", default=[UNCHANGED, FINETUNED, SCRATCH], help="which models")
    parser.add_argument("--long_side_px", type=int, default=LONG_SIDE_PX, help="of the films")
    parser.add_argument("--smoke", action="store_true", help="one epoch from scratch: only shows that it runs")
    options = parser.parse_args(arguments)
    sys.stdout.write(table_of(compare(options).done) + "\n")


if __name__ == "__main__":
    main()
