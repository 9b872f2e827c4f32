"""Trains an Ultralytics pose model and models of this project on the same films, for the same minutes on the same
threads, and writes their errors on the same validation films side by side.

Ultralytics is no dependency: `--python` is the interpreter of an environment that has it. Both sides get the same
films. For Ultralytics all vertebrae are one class: with a class for each level its training is given too low a learning
rate for so little time. The bodies that it finds are named from the lowest one upwards.
Finished training runs are kept in the folder: the same command resumes after an interruption.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

import spondylo_ml
from benchmarks.next_films import Results
from spondylo_ml.config import ClinicalConfig, DataConfig
from spondylo_ml.data.audit.duplicates import same_groups
from spondylo_ml.data.films import FilmSet
from spondylo_ml.data.loading import measure_pixels, read_films
from spondylo_ml.data.split import assign_parts
from spondylo_ml.data.synthetic import PHANTOM_KIND, phantom_films
from spondylo_ml.data.writers.dataset import write_dataset
from spondylo_ml.evaluation.evaluate_predictions import ReportHeader, evaluate_predictions
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.landmarks import Film, FilmPrediction, SlotRange
from spondylo_ml.serving.predictor import Predictor

RUNNER = Path(__file__).with_name("ultralytics_runner.py")
ULTRALYTICS = "yolo11n-pose"
MODELS = ("unet", "maht_net")
CONFIDENCE = 0.25  # of a detection that counts, as by default in Ultralytics
FILM_SEED, N_FILMS, LONG_SIDE_PX = 71, 600, 512
VAL_FRACTION = 0.13
ENDLESS = 10_000  # epochs: the minutes end a training run
METRICS = {
    "mre_px512": "MRE, px512", "sdr_6px": "within 6 px512, %", "sdr_24px": "within 24 px512, %",
    "instance_sdr_5px640": "found: within 5 px640, %", "instance_sdr_10px640": "10, %",
    "instance_sdr_15px640": "15, %", "instance_mre_px512": "found: MRE, px512", "detection_f1": "bodies found, F1 %",
    "seconds": "s a film",
}  # fmt: skip


def films_of(data: Path | None, n_films: int, long_side_px: int) -> FilmSet:
    """Labelled films with their parts: training and validation, by patient and exposure."""
    films = read_films(DataConfig(path=data)) if data else phantom_films(n_films, FILM_SEED, long_side_px)
    labelled = [replace(film, split=None) for film in films.films if film.labelled]
    same = [] if films.kind == PHANTOM_KIND else same_groups(measure_pixels(labelled).same, len(labelled))
    return replace(films, films=tuple(assign_parts(labelled, VAL_FRACTION, 0, 0, same)))


def prediction_of(film_id: str, slots: SlotRange, detections: Sequence[Mapping[str, Any]]) -> FilmPrediction:
    """The confident detections as this project's prediction, named from the lowest one upwards.

    Args:
        detections: with `confidence` and `corners_xy_px` (4, 2), as the runner writes them.
    """
    confident = [one for one in detections if one["confidence"] >= CONFIDENCE]
    most_confident = sorted(confident, key=lambda one: -one["confidence"])[: slots.count]
    upwards = sorted(most_confident, key=lambda one: -np.mean(one["corners_xy_px"], axis=0)[1])
    corners_xy, presence = np.full((slots.count, 4, 2), np.nan), np.zeros(slots.count)
    for row, one in enumerate(upwards):
        corners_xy[row], presence[row] = one["corners_xy_px"], one["confidence"]
    found = presence > 0
    scores = np.where(found, presence, np.nan)[:, None].repeat(4, axis=1)
    return FilmPrediction(film_id, slots, corners_xy, scores, found.astype(float))


def one_class(source: Path, to: Path) -> None:
    """Copy a YOLO-pose dataset, its vertebrae of all levels as one class."""
    shutil.copytree(source, to)
    for file in (to / "labels").rglob("*.txt"):
        lines = (line.split(" ", 1) for line in file.read_text(encoding="utf-8").splitlines())
        file.write_text("".join(f"0 {rest}\n" for _, rest in lines), encoding="utf-8")
    data = yaml.safe_load((to / "data.yaml").read_text(encoding="utf-8"))
    data |= {"names": {0: "vertebra"}, "kpt_names": {0: data["kpt_names"][0]}}
    (to / "data.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")


def ultralytics_trained(options: argparse.Namespace, films: FilmSet, val: Sequence[Film]) -> dict[str, float]:
    """Errors and time of an Ultralytics model that is trained here, if it is not yet."""
    weights = options.to / "ultralytics" / "trained" / "weights" / "best.pt"
    if not weights.exists():
        folder, data = options.to / "ultralytics", options.to / "films_of_one_class"
        if not data.exists():
            one_class(options.to / "films", data)
        _run(options, "train", data / "data.yaml", folder, options.minutes, options.image_size,
             options.batch_size, 0)  # fmt: skip
    images, found = options.to / "images.txt", options.to / "detections.json"
    placed = {path.stem: path for path in (options.to / "films" / "images" / "val").iterdir()}
    images.write_text("\n".join(str(placed[film.film_id].resolve()) for film in val), encoding="utf-8")
    _run(options, "predict", weights, images, options.image_size, found)
    results = json.loads(found.read_text(encoding="utf-8"))
    pairs = zip(val, results, strict=True)
    predictions = [prediction_of(film.film_id, films.slots, one["detections"]) for film, one in pairs]
    return measured(val, predictions, [one["seconds"] for one in results])


def project_trained(name: str, options: argparse.Namespace, val: Sequence[Film]) -> dict[str, float]:
    """Errors and time of a model of this project that is trained here."""
    data: dict[str, Any] = {"path": str(options.to / "films"), "kind": "yolo", "on_audit_error": "set_aside"}
    if options.input_hw:
        data["input_hw"] = options.input_hw
    training = {"minutes": options.minutes, "epochs": ENDLESS, "workers": 0}
    result = spondylo_ml.train(data=data, model={"name": name}, preset="quick", training=training)
    predictor = Predictor(spondylo_ml.load(result.run_id).bundle)
    predictions, seconds = [], []
    for film in val:
        started = time.perf_counter()
        predictions += predictor.predict([film])
        seconds.append(time.perf_counter() - started)
    return measured(val, predictions, seconds)


def table_of(done: Mapping[str, Mapping[str, Any]]) -> str:
    """Markdown: a row per model, with 95 % intervals over patients; a dash where there is no value."""
    lines = ["| model | " + " | ".join(METRICS.values()) + " |", "| --- " * (1 + len(METRICS)) + "|"]
    for name, values in done.items():
        lines.append(f"| {name} | {' | '.join(_cell(values, key) for key in METRICS)} |")
    return "\n".join(lines)


def _cell(values: Mapping[str, float], key: str) -> str:
    value, low, high = (values.get(name, math.nan) for name in (key, f"{key} low", f"{key} high"))
    if math.isnan(value):
        return "-"
    return f"{value:.2f}" if math.isnan(low) else f"{value:.2f} [{low:.2f}, {high:.2f}]"


def measured(val: Sequence[Film], predictions: Sequence[FilmPrediction], seconds: Sequence[float]) -> dict[str, float]:
    """Errors on the films with their intervals, and the median of the seconds that a film took."""
    report = evaluate_predictions(PredictionSet(val, predictions), ClinicalConfig(), ReportHeader("films", "val", ""))
    estimates = {name: report.numbers[name] for name in METRICS if name in report.numbers}
    bounds = {f"{name} {end}": getattr(one, end) for name, one in estimates.items() for end in ("low", "high")}
    return {name: one.value for name, one in estimates.items()} | bounds | {"seconds": statistics.median(seconds)}


def _run(options: argparse.Namespace, *arguments: object) -> None:
    command = [options.python, str(RUNNER), *map(str, arguments)]
    offline = {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "YOLO_CONFIG_DIR": str(options.to)}
    without = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHONPATH", "MLFLOW_"))}
    subprocess.run(command, check=True, env=without | offline, cwd=options.to)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, required=True, help="folder of the results, in which a later call goes on")
    parser.add_argument("--python", help="interpreter of an environment with Ultralytics; unset: this project's models")
    parser.add_argument("--data", type=Path, help="folder of labelled films; unset: synthetic films")
    parser.add_argument("--films", type=int, default=N_FILMS, help="number of synthetic films")
    parser.add_argument("--long_side_px", type=int, default=LONG_SIDE_PX, help="of the synthetic films")
    parser.add_argument("--minutes", type=float, default=30, help="of each training run")
    parser.add_argument("--models", nargs="*", default=list(MODELS), help="models of this project")
    parser.add_argument("--input_hw", type=int, nargs=2, help="input of this project's models; unset: as the preset")
    parser.add_argument("--image_size", type=int, default=640, help="of Ultralytics")
    parser.add_argument("--batch_size", type=int, default=8, help="of Ultralytics")
    options = parser.parse_args(arguments)
    options.to = options.to.resolve()
    results = Results(options.to)
    films = films_of(options.data, options.films, options.long_side_px)
    if not (options.to / "films").exists():
        write_dataset(films, "yolo", options.to / "films")
    val = [film for film in films.films if film.split == "val"]
    if options.python and ULTRALYTICS not in results.done:
        results.add(ULTRALYTICS, ultralytics_trained(options, films, val))
    for name in options.models:
        if name not in results.done:
            results.add(name, project_trained(name, options, val))
    sys.stdout.write(table_of(results.done) + "\n")


if __name__ == "__main__":
    main()
