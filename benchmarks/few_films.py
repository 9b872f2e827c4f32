"""Errors after training on few labelled frontal films, from random weights, from ImageNet weights for the backbone, and
from a model trained on synthetic frontal films.

All models are measured on the same validation films, of other patients, on which their best epoch is chosen, too. Each
set of films contains the smaller ones. Finished training runs are kept in the folder: the same command resumes after an
interruption.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import spondylo_ml
from benchmarks.next_films import Films, Results, split_films, train_on
from spondylo_ml.config import DataConfig
from spondylo_ml.data.frontal import frontal_films
from spondylo_ml.data.loading import read_films
from spondylo_ml.evaluation.metrics import score
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.serving.predictor import Predictor

SCRATCH, IMAGENET, SYNTHETIC = "scratch", "imagenet", "synthetic"
STARTS: dict[str, dict[str, Any]] = {
    SCRATCH: {"model": {"pretrained": "none"}},
    IMAGENET: {"model": {"pretrained": "required"}, "training": {"backbone_rate_ratio": 0.3}},
    SYNTHETIC: {"training": {"learning_rate": 3.0e-4}},
}
"""What the training runs from each kind of weights set differently from the model's quick recipe."""

SYNTHETIC_RUN = "training on synthetic films"
ALL = 0  # as a number of films
N_VAL, N_TEST = 64, 43  # films of SpineWeb-16 that the default fractions leave out of training
LONG_SIDE_PX = 352  # of the synthetic films
METRICS = {"mre_px512": "MRE px512", "sdr_6px": "within 6 px512 %", "sdr_24px": "within 24 px512 %",
           "instance_mre_px512": "by position, px512"}  # fmt: skip


def settings_of(start: str, film_passes: int, options: argparse.Namespace) -> dict[str, Any]:
    """The configuration of a training run from one kind of weights."""
    if options.smoke:
        return {"preset": "smoke", "model": {"name": "unet", "unet": {"width": 9}}, "training": {"epochs": 1}}
    own = STARTS[start]
    length = {"film_passes": film_passes, "least_epoch_films": options.epoch_films, "workers": 0}
    return {
        "model": {"name": options.model, **own.get("model", {})},
        "preset": "quick",
        "training": {**length, **own.get("training", {})},
    }


def synthetic_run(options: argparse.Namespace, results: Results) -> str:
    """Id of the run that trained on synthetic frontal films."""
    if SYNTHETIC_RUN not in results.done:
        films = {
            "phantom_view": "frontal", "phantom_films": options.synthetic_films,
            "phantom_long_side_px": options.long_side_px, "input_hw": list(options.input_hw),
        }  # fmt: skip
        settings = settings_of(SCRATCH, options.synthetic_passes, options)
        results.add(SYNTHETIC_RUN, {"run_id": spondylo_ml.train(data=films, **settings).run_id})
    return str(results.done[SYNTHETIC_RUN]["run_id"])


def compare(films: Films, options: argparse.Namespace) -> Results:
    """Train and measure what is not in the results yet."""
    results = Results(options.to)
    order = [films.pool[i] for i in np.random.default_rng(0).permutation(len(films.pool))]
    sizes = sorted({min(size or len(order), len(order)) for size in options.sizes})
    for start in options.starts:
        for size in sizes:
            key = f"{start} {size}"
            if key in results.done:
                continue
            settings = settings_of(start, options.film_passes, options)
            if start == SYNTHETIC:
                settings["model"] = {"pretrained": synthetic_run(options, results)}
            folder = options.to / f"films-{start}-{size}"
            run_id = train_on(films, order[:size], folder, 0, options.input_hw, settings)
            numbers = score(PredictionSet(films.val, Predictor(spondylo_ml.load(run_id).bundle).predict(films.val)))
            errors = {name: numbers[name] for name in METRICS}
            results.add(key, {"start": start, "n_train": size, "run_id": run_id, **errors})
    return results


def table_of(done: Mapping[str, Mapping[str, Any]]) -> str:
    """Markdown: a row per model, in the order of films."""
    lines = [
        "| films | weights at the start | " + " | ".join(METRICS.values()) + " |",
        "| --- " * (2 + len(METRICS)) + "|",
    ]
    rows = [values for values in done.values() if "n_train" in values]
    for values in sorted(rows, key=lambda row: (row["n_train"], row["start"])):
        numbers = " | ".join(f"{values[name]:.2f}" for name in METRICS)
        lines.append(f"| {values['n_train']} | {values['start']} | {numbers} |")
    return "\n".join(lines)


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """The options of both scripts about few real and about synthetic frontal films."""
    parser.add_argument("--to", type=Path, required=True, help="folder of the results, in which a later call goes on")
    parser.add_argument(
        "--data", type=Path, help="folder of labelled frontal films; unset with --smoke: synthetic ones"
    )
    parser.add_argument("--model", default="maht_net")
    parser.add_argument("--input_hw", type=int, nargs=2, default=[256, 96], help="size of the network's input")
    parser.add_argument("--long_side_px", type=int, default=LONG_SIDE_PX, help="of the synthetic films")
    parser.add_argument("--smoke", action="store_true", help="a few small films and one epoch: only shows that it runs")


def films_of(options: argparse.Namespace) -> Films:
    """The films of the folder, or a few synthetic ones with `--smoke`, in parts."""
    if options.smoke:
        return split_films(frontal_films(14, 0, options.long_side_px), 4, 2)
    return split_films(read_films(DataConfig(path=options.data)), N_VAL, N_TEST)


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_common_options(parser)
    parser.add_argument("--sizes", type=int, nargs="+", default=[25, 50, 100, ALL], help="numbers of films; 0: all")
    parser.add_argument("--starts", nargs="+", choices=list(STARTS), default=list(STARTS), help="weights at the start")
    parser.add_argument("--film_passes", type=int, default=6000, help="of each training run on these films")
    parser.add_argument("--epoch_films", type=int, default=400, help="film passes between validations, at least")
    parser.add_argument("--synthetic_films", type=int, default=2000)
    parser.add_argument("--synthetic_passes", type=int, default=12000, help="of the training run on synthetic films")
    options = parser.parse_args(arguments)
    if options.smoke:
        options.sizes, options.synthetic_films, options.long_side_px, options.input_hw = [4, ALL], 8, 128, [64, 32]
    elif options.data is None:
        parser.error("--data: name the folder of labelled films")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Train what is missing, and print the table."""
    options = read_options(arguments)
    sys.stdout.write(table_of(compare(films_of(options), options).done) + "\n")


if __name__ == "__main__":
    main()
