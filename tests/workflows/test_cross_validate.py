"""`train --folds`: one child run per fold, all films evaluated out of fold, resuming after an interruption."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from commands import PLAIN, artifacts_of, client_of, run, runs_of
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from stores import add_run

from spondylo_ml.config import Config, DataConfig, resolve_config
from spondylo_ml.data.loading import load_films
from spondylo_ml.errors import ConfigError
from spondylo_ml.landmarks import Film
from spondylo_ml.tracking.checkpoints import checkpoint_folder
from spondylo_ml.tracking.resume import Resume, write_run_folder
from spondylo_ml.workflows.train import cross_validate

ARGUMENTS = (*PLAIN, "--training.epochs", "1", "--folds", "2")


def parent_and_folds(folder: Path) -> tuple[Run, dict[str, Run]]:
    runs = runs_of(folder)
    (parent,) = (item for item in runs if "folds" in item.data.tags)
    children = [r for r in runs if r.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    return parent, {child.data.params["config.data.fold"]: child for child in children}


@pytest.mark.slow
def test_each_film_is_evaluated_out_of_fold_and_an_interrupted_fold_resumes(tmp_path: Path) -> None:
    output = run(tmp_path, "train", *ARGUMENTS)
    parent, folds = parent_and_folds(tmp_path)
    assert (parent.info.status, sorted(folds)) == ("FINISHED", ["1", "2"])
    metrics = parent.data.metrics
    values = [folds[fold].data.metrics["val_best/mre_px512"] for fold in ("1", "2")]
    assert metrics["folds/mre_px512_mean"] == pytest.approx(np.mean(values), abs=0.01)
    assert metrics["folds/mre_px512_sd"] == pytest.approx(np.std(values, ddof=1), abs=0.015)
    films = load_films(DataConfig(phantom_films=24, val_fraction=0.2, test_fraction=0.2))
    development_films = [film for film in films.films if film.split != "test"]
    n_corners = sum(4 * len(film.vertebrae or ()) for film in development_films)
    assert min(values) <= metrics["out_of_fold/mre_px512"] <= max(values)
    assert re.search(
        rf"  mre_px512 +{metrics['out_of_fold/mre_px512']:.2f} \[.*, n {n_corners}; folds: mean .*, n 2", output
    )
    path = client_of(tmp_path).download_artifacts(parent.info.run_id, "out_of_fold/folds.csv")
    rows = list(csv.DictReader(io.StringIO(Path(path).read_text(encoding="utf-8"))))
    assert sorted(row["film"] for row in rows) == sorted(film.film_id for film in development_films)
    for fold, child in folds.items():
        assert child.data.tags["data_digest.val"] != folds["2" if fold == "1" else "1"].data.tags["data_digest.val"]
        assert artifacts_of(tmp_path, child.info.run_id, "data") == ["data/split.csv"]

    client = client_of(tmp_path)
    client.set_terminated(folds["2"].info.run_id, "KILLED")
    client.set_terminated(parent.info.run_id, "KILLED")
    resumed_output = run(tmp_path, "train", "--resume", parent.info.run_id, "--training.workers", "0")
    assert f"fold 1 of 2: finished already, kept (run {folds['1'].info.run_id})" in resumed_output
    assert f"fold 2 of 2: resumed after epoch 1 (run {folds['2'].info.run_id})" in resumed_output
    resumed, resumed_folds = parent_and_folds(tmp_path)
    assert resumed.info.status == resumed_folds["2"].info.status == "FINISHED"
    assert {fold: child.info.run_id for fold, child in resumed_folds.items()} == {
        fold: child.info.run_id for fold, child in folds.items()
    }
    assert resumed.data.metrics["out_of_fold/mre_px512"] == pytest.approx(metrics["out_of_fold/mre_px512"])


def test_a_fold_whose_checkpoints_are_damaged_is_trained_anew_and_that_is_said(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    config = resolve_config({"preset": "smoke", "data": {"folds": 2}})
    parent = add_run(client, tags={"folds": "2"}, status="RUNNING")
    former = add_run(client, parent=parent, status="KILLED")
    client.log_param(former, "config.data.fold", "2")
    folder = checkpoint_folder(former)
    write_run_folder(folder, former, config)
    torch.save({"epoch": 1}, folder / "last.ckpt")
    (folder / "best.ckpt").write_bytes(b"damaged")
    started: list[Resume | None] = []

    def train(config: Config, resume: Resume | None = None) -> SimpleNamespace:  # the real one takes half a minute
        started.append(resume)
        return SimpleNamespace(run_id="new")

    monkeypatch.setattr(cross_validate, "train", train)
    caplog.set_level("INFO", "spondylo_ml")
    assert cross_validate._fold_run(config, 2, parent, "unet") == "new"
    assert started == [None]
    first, second = (record.getMessage() for record in caplog.records if record.name.startswith("spondylo_ml"))
    assert first.startswith(
        f"unet: fold 2 of 2: run {former} cannot be resumed: {folder / 'best.ckpt'}, with the weights"
    )
    assert second == "unet: fold 2 of 2: started"


def test_the_folds_divide_the_films_outside_the_test_part() -> None:
    folds = [load_films(DataConfig(phantom_films=20, folds=3, fold=fold)) for fold in (1, 2, 3)]
    undivided = load_films(DataConfig(phantom_films=20))
    validation_ids = [film_ids(films.part("val")) for films in folds]
    assert sorted(name for fold in validation_ids for name in fold) == sorted(
        film_ids(undivided.part("train")) + film_ids(undivided.part("val"))
    )
    assert all(film_ids(films.part("test")) == film_ids(undivided.part("test")) for films in folds)
    assert all(4 <= len(fold) <= 7 for fold in validation_ids), "15 films in three folds, alike in grade"


def test_folds_without_a_fold_number_are_refused_outside_train() -> None:
    with pytest.raises(ConfigError, match=r"data\.folds alone is for train, .* name one too: --data\.fold 1"):
        load_films(DataConfig(phantom_films=20, folds=3))


def film_ids(films: tuple[Film, ...]) -> list[str]:
    return [film.film_id for film in films]
