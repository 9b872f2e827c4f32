"""Measures one training step and one prediction of each model per input size, in ms per film.

Films are synthetic and lateral, the weights random, the recipe that of the quick preset, in single precision. Films are
too few for a mean: each number is the least of several rounds, which other programs disturb least.
"""

from __future__ import annotations

import argparse
import sys

import torch

from spondylo_ml.config import Config, resolve_config
from spondylo_ml.config.network import MODEL_NAMES
from spondylo_ml.data.augment import Augmenter
from spondylo_ml.data.batches import FilmBatch, plain_loader
from spondylo_ml.data.prepare import PreparedFilm, prepare_films
from spondylo_ml.data.synthetic import phantom_films
from spondylo_ml.models.base import LandmarkModel
from spondylo_ml.models.zoo import build_model
from spondylo_ml.training.cost import time_ms

FILMS, ROUNDS = 4, 3
PARTS = ("augment", "forward", "backward", "predict")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=list(MODEL_NAMES))
    parser.add_argument("--sizes", nargs="+", default=["128x128", "256x256", "384x192", "512x256", "704x320"])
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    sys.stdout.write(f"{'ms per film':16}{'H x W':>10}" + "".join(f"{part:>10}" for part in PARTS) + "\n")
    for name in arguments.models:
        for size in arguments.sizes:
            height, width = map(int, size.split("x"))
            costs = step_cost(name, (height, width))
            sys.stdout.write(f"{name:16}{size:>10}" + "".join(f"{costs[part]:10.0f}" for part in PARTS) + "\n")
            sys.stdout.flush()


def step_cost(name: str, size_hw: tuple[int, int]) -> dict[str, float]:
    """Least ms per film of each of `PARTS`; forward includes the losses, predict the decoding and the mirror image."""
    config = resolve_config({"model": {"name": name}, "data": {"input_hw": list(size_hw)}})
    dataset = phantom_films(FILMS, seed=0, long_side_px=max(size_hw))
    films = prepare_films(dataset.films, dataset.slots, size_hw)
    (batch,) = plain_loader(films, FILMS)
    model = build_model(config, dataset.slots)
    model.learn_shapes(batch.corners_xy)
    rounds = [_round(model, config, films, batch) for _ in range(ROUNDS)]
    return {part: min(one[part] for one in rounds) / FILMS for part in PARTS}


def _round(model: LandmarkModel, config: Config, films: list[PreparedFilm], batch: FilmBatch) -> dict[str, float]:
    augmenter = Augmenter(config.augmentation)
    augment = time_ms(lambda: [augmenter(film.image, film.corners_xy, 0) for film in films])
    model.train()
    totals: list[torch.Tensor] = []
    forward = time_ms(lambda: totals.append(torch.stack(list(model.losses(batch).values())).sum()))
    backward = time_ms(totals[0].backward)
    model.eval()
    with torch.inference_mode():
        predict = time_ms(lambda: model.predict(batch.images))
    return {"augment": augment, "forward": forward, "backward": backward, "predict": predict}


if __name__ == "__main__":
    main()
