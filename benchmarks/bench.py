"""The short measurements, `make bench`: ratios within one run, written as a table into benchmarks/README.md.

Minutes on one core. Films are synthetic and weights random. The parts of a training are timed while it runs, so that
other programs on the machine slow all of them alike.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import cv2
import mlflow
import numpy as np
import torch
from dicoms import dataset, file_bytes
from stores import store_in

from benchmarks.page import machine, write_table
from benchmarks.stopwatch import Stopwatch
from spondylo_ml.config import Config, resolve_config
from spondylo_ml.data.batches import plain_loader
from spondylo_ml.data.films import FileImage
from spondylo_ml.data.prepare import PreparedFilm, prepare_films
from spondylo_ml.data.synthetic import SLOTS, phantom_films
from spondylo_ml.evaluation.mean_shape import MeanShape
from spondylo_ml.models.base import LandmarkModel
from spondylo_ml.models.zoo import build_model
from spondylo_ml.serving.bundle import Bundle
from spondylo_ml.serving.film_model import FilmModel
from spondylo_ml.serving.predictor import Predictor
from spondylo_ml.tracking.mlflow_log import MlflowRunLog
from spondylo_ml.training.cost import peak_memory_mb
from spondylo_ml.training.device import choose_compute
from spondylo_ml.training.fit import fit
from spondylo_ml.training.module import LandmarkTraining
from spondylo_ml.training.run_log import NoRunLog, RunLog
from spondylo_ml.workflows.train.workflow import draw_panel, score_prepared

BEGIN, END = "<!-- make bench: begin -->", "<!-- make bench: end -->"
TRAIN_FILMS, VAL_FILMS, EPOCHS = 24, 8, 2
UNET_WIDTH = 36
SIZE_HW = (128, 128)
DICOM_HW = (2400, 2000)
ROUNDS = 3
SYNTHETIC_FILMS, SYNTHETIC_PX = 20, 640

Row = tuple[str, str, str]
"""What was measured, its value, and the goal."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--note", default="", help="about the machine, such as: shared core")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        at = Path(folder)
        rows = [*training_rows(at), *prediction_rows(at), *memory_rows(), synthesis_row(at), *start_rows(at)]
    text = table(rows, machine(arguments.threads, arguments.note))
    sys.stdout.write(text)
    write_table(text, BEGIN, END)


def configuration(name: str, input_hw: tuple[int, int], **training: object) -> Config:
    """The quick recipe of a model in single precision, with the films loaded in the process itself.

    The U-Net has its full width in place of that of its quick recipe.
    """
    values = {"epochs": EPOCHS, "workers": 0, "precision": "fp32", "device": "cpu", **training}
    return resolve_config(
        {
            "model": {"name": name, "unet": {"width": UNET_WIDTH}}, "preset": "quick",
            "data": {"input_hw": list(input_hw)}, "training": values,
        }
    )  # fmt: skip


def prepared(count: int, input_hw: tuple[int, int], seed: int = 0) -> list[PreparedFilm]:
    films = phantom_films(count, seed, long_side_px=max(input_hw)).films
    return prepare_films(films, SLOTS, input_hw)


def train(
    model: LandmarkModel, config: Config, films: dict[str, list[PreparedFilm]], log: RunLog, folder: Path
) -> float:
    """Train; the seconds of all epochs, validation included."""
    result = fit(model, config, choose_compute(config.training), films, score_prepared, log, draw_panel, folder)
    return float(sum(row["time/epoch_s"] for row in result.history))


def training_rows(folder: Path) -> list[Row]:
    """Shares of the network in training and evaluation, and of MLflow."""
    config = configuration("unet", SIZE_HW)
    films = {"train": prepared(TRAIN_FILMS, SIZE_HW), "val": prepared(VAL_FILMS, SIZE_HW, seed=1)}
    model, watch = build_model(config, SLOTS), Stopwatch()
    mlflow.set_tracking_uri(store_in(folder))
    run_id = mlflow.MlflowClient().create_run("0").info.run_id
    with ExitStack() as stack:
        for owner, name, label in (
            (model, "forward", lambda: "forward" if model.training else "prediction"),
            (torch.Tensor, "backward", "backward"),
            (LandmarkTraining, "training_step", "forward and loss"),
            (LandmarkTraining, "optimizer_step", "step"),
        ):
            stack.enter_context(watch.watching(owner, name, label))
        stack.enter_context(watch.watching(MlflowRunLog, "_sent", "mlflow", time.thread_time))
        started_s, log = time.process_time(), MlflowRunLog(run_id, folder / "run", system_metrics=False)
        epochs_s = train(model, config, films, log, folder / "run")
        log.close()
        processor_s = time.process_time() - started_s
    seconds = watch.seconds
    bare_s = seconds["forward"] + seconds["backward"]
    optimiser_s = seconds["step"] - seconds["forward and loss"] - seconds["backward"]
    other = 1 - (bare_s + optimiser_s + seconds["prediction"]) / epochs_s
    return [
        ("training step over bare forward + backward, U-Net 128 px", f"{seconds['step'] / bare_s:.2f}", "1.10"),
        ("loading, augmentation, targets, metrics, tracking: share of the epochs", f"{100 * other:.1f} %", "10 %"),
        (
            "MLflow's share of the processor time of the training",
            f"{100 * seconds['mlflow'] / processor_s:.1f} %",
            "2 %",
        ),
        evaluation_row(model, config, films["val"]),
    ]


def evaluation_row(model: LandmarkModel, config: Config, films: list[PreparedFilm]) -> Row:
    predictor, watch = Predictor(bundle_of(model, config)), Stopwatch()
    with watch.watching(model, "forward", "network"):
        started = time.perf_counter()
        score_prepared(films, predictor.predict_prepared(films))
        whole_s = time.perf_counter() - started
    return (
        "evaluation: bare inference over all of it, U-Net 128 px",
        f"{watch.seconds['network'] / whole_s:.2f}",
        "0.90",
    )


def prediction_rows(folder: Path) -> list[Row]:
    """One DICOM film from the file to the JSON report, over its forward passes."""
    rows = []
    for name, input_hw in (("unet", (256, 256)), ("hrnet_w32", (512, 256))):
        config = configuration(name, input_hw)
        model = build_model(config, SLOTS)
        films = FilmModel(bundle_of(model, config), name)
        grey = np.random.default_rng(0).integers(0, 4095, DICOM_HW, dtype=np.uint16)
        path = folder / f"{name}.dcm"
        path.write_bytes(file_bytes(dataset(grey)))
        ratios = [_film_over_passes(films, model, path) for _ in range(ROUNDS)]
        what = f"DICOM of {DICOM_HW[0]} x {DICOM_HW[1]} px to JSON over its forward passes, {name} {max(input_hw)} px"
        rows.append((what, f"{min(ratios):.2f}", "1.3"))
    return rows


def _film_over_passes(films: FilmModel, model: LandmarkModel, path: Path) -> float:
    watch = Stopwatch()
    with watch.watching(model, "forward", "network"):
        started = time.perf_counter()
        (result,) = films.predict(path)
        json.dumps(films.report(result).to_json())
        whole_s = time.perf_counter() - started
    return whole_s / watch.seconds["network"]


def bundle_of(model: LandmarkModel, config: Config) -> Bundle:
    return Bundle(model, config, MeanShape.fit(phantom_films(4, 0, 128).films, SLOTS))


def memory_rows() -> list[Row]:
    """Peak memory of a process that makes one training step, over that of a bare one."""
    spawn = multiprocessing.get_context("spawn")
    with spawn.Pool(1, maxtasksperchild=1) as pool:
        bare_mb, whole_mb = (pool.apply(memory_of_step, (bare,)) for bare in (True, False))
    return [("peak memory of a step over a bare one, HRNet-W32 512 px, 2 films", f"{whole_mb / bare_mb:.2f}", "1.1")]


def memory_of_step(bare: bool) -> float:
    """Peak memory of this process, MB, after one step of two films: forward and backward alone if `bare`."""
    size_hw = (512, 512)
    config = configuration("hrnet_w32", size_hw, epochs=1, batch_size=2)
    model, films = build_model(config, SLOTS), prepared(2, size_hw)
    if bare:
        (batch,) = plain_loader(films, 2)
        heatmaps, presence, *_ = model.train()(batch.images)
        (heatmaps.mean() + presence.mean()).backward()
    else:
        with tempfile.TemporaryDirectory() as folder:
            train(model, config, {"train": films, "val": films[:1]}, NoRunLog(), Path(folder))
    return peak_memory_mb()


def synthesis_row(folder: Path) -> Row:
    """Drawing a synthetic film, over reading it from a file."""
    films = phantom_films(SYNTHETIC_FILMS, 0, SYNTHETIC_PX).films
    started = time.perf_counter()
    pictures = [film.image.read() for film in films]
    drawing_s = time.perf_counter() - started
    files = [folder / f"{film.film_id}.png" for film in films]
    for file, picture in zip(files, pictures, strict=True):
        cv2.imwrite(str(file), picture)
    started = time.perf_counter()
    for file in files:
        FileImage(file).read()
    reading_s = time.perf_counter() - started
    what = f"drawing a synthetic film of {SYNTHETIC_PX} px over reading it from PNG"
    return (what, f"{drawing_s / reading_s:.0f}", "")


def start_rows(folder: Path) -> list[Row]:
    """Start-up over the time that `import torch` takes."""
    run = [sys.executable, "-m", "spondylo_ml"]
    commands = {
        "`import spondylo_ml`": [sys.executable, "-c", "import spondylo_ml"],
        "`--help`": [*run, "--help"],
        "first line of `train`": [*run, "train", "--preset", "smoke"],
    }
    torch_s = _first_output_s([sys.executable, "-c", "import torch"], folder)
    return [
        (f"{what} over `import torch`", f"{_first_output_s(command, folder) / torch_s:.2f}", "")
        for what, command in commands.items()
    ]


def _first_output_s(command: list[str], folder: Path) -> float:
    """Least seconds until a program prints its first line or ends; it is then killed."""
    times, environment = [], os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    for _ in range(ROUNDS):
        started = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=folder, env=environment) as program:
            assert program.stdout is not None
            line = program.stdout.readline()
            times.append(time.perf_counter() - started)
            if not line and program.wait() != 0:
                raise RuntimeError(f"{command} failed")
            program.kill()
    return min(times)


def table(rows: list[Row], where: str) -> str:
    """The table in Markdown, under a line on the machine."""
    lines = [f"{where}.", "", "| measured | value | goal |", "| --- | --- | --- |"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"


if __name__ == "__main__":
    main()
