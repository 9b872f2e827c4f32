"""`phantom` and `export` as a user runs them."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from pathlib import Path

import mlflow
import pytest
from builders import mendeley_folder
from commands import client_of, run, start

from spondylo_ml.cli.summaries.folders import export_summary
from spondylo_ml.config import ExportConfig, PhantomConfig
from spondylo_ml.data.films import digest
from spondylo_ml.data.readers import read_folder
from spondylo_ml.data.split import split_by_patient
from spondylo_ml.errors import DataError
from spondylo_ml.workflows.export import export
from spondylo_ml.workflows.phantom import draw_phantoms

SMALL = ("--long_side_px", "64")


def test_phantoms_are_written_and_exported_to_another_layout(tmp_path: Path) -> None:
    output = run(tmp_path, "phantom", "--count", "8", *SMALL, "--to", "lateral", "--val_fraction", "0.25")
    assert f"8 film(s), 8 with labels, written as mendeley to {tmp_path}/lateral" in output
    assert "8 film(s) without a part: dealt to train and val by patient" in output
    assert "not stored by this layout: facing: 8 film(s)" in output
    films = read_folder(tmp_path / "lateral")
    assert Counter(f.split for f in films.films) == {"train": 6, "val": 2}
    output = run(tmp_path, "export", "--data", "lateral", "--format", "coco", "--to", "again")
    assert "not stored" not in output.replace("not stored by this layout: patient", "patient")
    again = read_folder(tmp_path / "again")
    assert f"digest {digest(again.films, again.slots)}" in output
    assert Counter(f.split for f in again.films) == {"train": 6, "val": 2}
    assert not (tmp_path / "mlflow.db").exists(), "no run was opened"


def test_the_same_seed_writes_the_same_films(tmp_path: Path) -> None:
    first, second, other = (
        draw_phantoms(PhantomConfig(count=3, seed=seed, long_side_px=64, format="yolo", to=tmp_path / str(i)))
        for i, seed in enumerate((4, 4, 5))
    )
    assert first.digest == second.digest != other.digest


def test_a_dataset_without_parts_is_split_by_patient_if_the_layout_needs_parts(tmp_path: Path) -> None:
    source = draw_phantoms(PhantomConfig(count=6, long_side_px=64, format="coco", to=tmp_path / "a"))
    films = source.written.films
    assert {f.split for f in films.films} == {None}
    export(ExportConfig.model_validate({"data": {"path": tmp_path / "a"}, "format": "mendeley", "to": tmp_path / "b"}))
    expected = {Path(str(f.path)).stem: f.split for f in split_by_patient(films.films, 0.15, 0.0, 0)}
    assert {f.film_id: f.split for f in read_folder(tmp_path / "b").films} == expected


def test_a_single_film_is_for_training(tmp_path: Path) -> None:
    draw_phantoms(PhantomConfig(count=1, long_side_px=64, to=tmp_path / "a"))
    assert [film.split for film in read_folder(tmp_path / "a").films] == ["train"]


def test_bad_films_stop_an_export_or_are_skipped(tmp_path: Path) -> None:
    root = mendeley_folder(tmp_path / "lateral")
    next((root / "Test").iterdir()).write_bytes(b"")
    options = {"data": {"path": root}, "format": "yolo", "to": tmp_path / "set"}
    with pytest.raises(DataError, match=r"1 bad file\(s\)"):
        export(ExportConfig.model_validate(options))
    skip_options = {**options, "data": {"path": root, "on_bad_file": "skip"}}
    assert export_summary(export(ExportConfig.model_validate(skip_options))).startswith(
        "5 film(s), 5 with labels, written as yolo"
    )


@pytest.mark.slow
def test_an_interrupted_export_leaves_no_partial_dataset(tmp_path: Path) -> None:
    process = start(tmp_path, "phantom", "--count", "5000", "--long_side_px", "256", "--to", "set", "--format", "yolo")
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob(".set.partial-*/images/*.png")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(timeout=120) == 130
    assert not (tmp_path / "set").exists()
    assert not list(tmp_path.glob(".set.partial-*"))


def test_under_mlflow_run_the_export_is_logged_to_that_run(tmp_path: Path) -> None:
    client = client_of(tmp_path)
    mlflow_run = client.create_run("0")
    run(tmp_path, "phantom", "--count", "3", *SMALL, "--to", "set", MLFLOW_RUN_ID=mlflow_run.info.run_id)
    logged_run = client.get_run(mlflow_run.info.run_id)
    assert logged_run.info.status == "FINISHED"
    assert logged_run.data.params["config.count"] == "3"
    films = read_folder(tmp_path / "set")
    assert logged_run.data.tags["data_digest.all"] == digest(films.films, films.slots)
    assert logged_run.data.tags["films"] == "3"
    text = mlflow.artifacts.load_text(f"{logged_run.info.artifact_uri}/export/not_carried.txt")
    assert "facing: 3 film(s)" in text
