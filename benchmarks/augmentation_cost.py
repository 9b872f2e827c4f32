"""Measures the time of augmentation per film: standard, strong, and each change of the strong one alone."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Mapping
from typing import Any

import cv2

from spondylo_ml.config.films import AugmentationConfig
from spondylo_ml.config.resolve import projects_dir, read_recipe
from spondylo_ml.data.augment import Augmenter
from spondylo_ml.data.prepare import PreparedFilm, prepare_films
from spondylo_ml.data.synthetic import phantom_films

SIZES_HW = ((256, 256), (512, 256), (512, 512), (704, 320))
FILMS, ROUNDS = 5, 40


def main() -> None:
    cv2.setNumThreads(1)
    dataset = phantom_films(FILMS, seed=0, long_side_px=704)
    films = [prepare_films(dataset.films, dataset.slots, size_hw) for size_hw in SIZES_HW]
    strong = read_recipe(projects_dir() / "augmentation" / "strong.yaml")["augmentation"]
    off = {name: 0.0 for name in AugmentationConfig.model_fields if name.endswith("_probability")}
    changes: dict[str, Mapping[str, Any]] = {
        "nothing": off,
        "standard": {},
        "strong": strong,
        **{f"{name.removesuffix('_probability')}, always": strong | off | {name: 1} for name in off},
    }
    sys.stdout.write(f"{'mean of µs per film':25}" + "".join(f"{f'{h} x {w}':>12}" for h, w in SIZES_HW) + "\n")
    for title, values in changes.items():
        augmenter = Augmenter(AugmentationConfig.model_validate(values))
        times = "".join(f"{_mean_us(augmenter, films_of_size):12.0f}" for films_of_size in films)
        sys.stdout.write(f"{title:25}{times}\n")


def _mean_us(augmenter: Augmenter, films: list[PreparedFilm]) -> float:
    """Mean processor time per film; other processes on the machine do not count."""
    times = []
    for seed in range(ROUNDS):
        for film in films:
            start = time.process_time()
            augmenter(film.image, film.corners_xy, seed)
            times.append(time.process_time() - start)
    return statistics.mean(times) * 1e6


if __name__ == "__main__":
    main()
