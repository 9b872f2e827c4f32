"""Errors on real frontal films of models that were trained on synthetic ones alone, by how the training films were
augmented.

The variants are those of `tuning/spaces/augmentation.yaml`. All labelled films of the folder are measured but those
that the default fractions leave for tests: no model has seen any of them in training. Finished training runs are kept
in the folder of the results: the same command resumes after an interruption.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import spondylo_ml
from benchmarks.few_films import METRICS, add_common_options, films_of
from benchmarks.next_films import Results
from spondylo_ml.config.resolve import merge, nest
from spondylo_ml.evaluation.metrics import score
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.landmarks import Film
from spondylo_ml.serving.predictor import Predictor
from tuning.space import Space, find_space, load_space

SPACE, VARIANTS = "augmentation", "augmentation"


def read_space(model: str) -> Space:
    """The variants of augmentation."""
    return load_space(find_space(SPACE, model), {})


def names_of(space: Space) -> list[str]:
    """Names of the variants, in their order."""
    return list(dict.fromkeys(str(point[VARIANTS]) for point in space.grid()))


def measure(model: str, real: Sequence[Film]) -> dict[str, float]:
    """Errors of the model on the real films."""
    predictions = Predictor(spondylo_ml.load(model).bundle).predict(real)
    numbers = score(PredictionSet(real, predictions))
    return {name: numbers[name] for name in METRICS}


def settings_of(space: Space, variant: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """The configuration of one training run on synthetic films."""
    data = {
        "phantom_view": "frontal", "phantom_films": options.synthetic_films,
        "phantom_long_side_px": options.long_side_px, "input_hw": list(options.input_hw),
    }  # fmt: skip
    length: dict[str, Any] = {"film_passes": options.film_passes, "workers": 0}
    base = {"model": {"name": options.model}, "preset": "quick", "data": data, "training": length, "seed": seed}
    if options.smoke:
        base |= {"model": {"name": "unet", "unet": {"width": 9}}, "preset": "smoke", "training": {"epochs": 1}}
    return merge(base, nest(space.settings({VARIANTS: variant})))


def compare(real: Sequence[Film], options: argparse.Namespace) -> Results:
    """Train and measure what is not in the results yet, all variants of the first seed first."""
    results = Results(options.to)
    space = read_space(options.model)
    for seed in options.seeds:
        for variant in options.variants:
            key = f"{variant} {seed}"
            if key not in results.done:
                run_id = spondylo_ml.train(**settings_of(space, variant, seed, options)).run_id
                results.add(key, {"variant": variant, "seed": seed, "run_id": run_id, **measure(run_id, real)})
    return results


def table_of(done: Mapping[str, Mapping[str, Any]]) -> str:
    """Markdown: a row per variant, each value a mean over seeds with the lowest and the highest."""
    lines = ["| augmentation | seeds | " + " | ".join(METRICS.values()) + " |", "| --- " * (2 + len(METRICS)) + "|"]
    for variant in dict.fromkeys(row["variant"] for row in done.values()):
        rows = [row for row in done.values() if row["variant"] == variant]
        numbers = " | ".join(_mean_and_range([row[name] for row in rows]) for name in METRICS)
        lines.append(f"| {variant} | {len(rows)} | {numbers} |")
    return "\n".join(lines)


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_common_options(parser)
    parser.add_argument("--variants", nargs="+", help="of the space; unset: all")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--synthetic_films", type=int, default=1500)
    parser.add_argument("--film_passes", type=int, default=4000)
    options = parser.parse_args(arguments)
    known = names_of(read_space(options.model))
    options.variants = options.variants or known
    if unknown := sorted(set(options.variants) - set(known)):
        parser.error(f"--variants: there is no {', '.join(unknown)}; there are {', '.join(known)}")
    if options.smoke:
        options.synthetic_films, options.long_side_px, options.input_hw = 8, 128, [64, 32]
    elif options.data is None:
        parser.error("--data: name the folder of labelled films")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Train what is missing, and print the table."""
    options = read_options(arguments)
    films = films_of(options)
    sys.stdout.write(table_of(compare([*films.pool, *films.val], options).done) + "\n")


def _mean_and_range(values: Sequence[float]) -> str:
    mean = f"{np.mean(values):.2f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    main()
