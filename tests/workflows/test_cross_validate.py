"""`train --folds`: a child run a fold, all films evaluated out of fold, and going on after a cut."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import numpy as np
import pytest
from commands import TINY, artifacts_of, client_of, run, runs_of
from mlflow.entities import Run

from spondylo_ml.config import DataConfig
from spondylo_ml.data.loading import load_films
from spondylo_ml.errors import ConfigError
from spondylo_ml.landmarks import Film

GIVEN = (*TINY, "--training.epochs", "1", "--folds", "2")


def parent_and_folds(folder: Path) -> tuple[Run, dict[str, Run]]:
    runs = runs_of(folder)
    (parent,) = (found for found in runs if "folds" in found.data.tags)
    children = [r for r in runs if r.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    return parent, {child.data.params["config.data.fold"]: child for child in children}


def test_every_film_is_judged_by_the_fold_that_has_not_seen_it_and_a_cut_fold_goes_on(tmp_path: Path) -> None:
    output = run(tmp_path, "train", *GIVEN)
    parent, folds = parent_and_folds(tmp_path)
    assert (parent.info.status, sorted(folds)) == ("FINISHED", ["1", "2"])
    metrics = parent.data.metrics
    values = [folds[fold].data.metrics["val_best/mre_px512"] for fold in ("1", "2")]
    assert metrics["folds/mre_px512_mean"] == pytest.approx(np.mean(values))
    assert metrics["folds/mre_px512_sd"] == pytest.approx(np.std(values, ddof=1))
    assert metrics["folds/mre_px512_n"] == 2
    films = load_films(DataConfig(phantom_films=24, val_fraction=0.2, test_fraction=0.2))
    developed = [film for film in films.films if film.split != "test"]
    assert metrics["out_of_fold/mre_px512_n"] == sum(4 * len(film.vertebrae or ()) for film in developed)
    assert min(values) <= metrics["out_of_fold/mre_px512"] <= max(values)
    assert re.search(rf"  mre_px512 +{metrics['out_of_fold/mre_px512']:.2f} \[.*; folds: mean .*, n 2", output)
    path = client_of(tmp_path).download_artifacts(parent.info.run_id, "out_of_fold/folds.csv")
    rows = list(csv.DictReader(io.StringIO(Path(path).read_text(encoding="utf-8"))))
    assert sorted(row["film"] for row in rows) == sorted(film.film_id for film in developed)
    for fold, child in folds.items():
        assert child.data.tags["data_digest.val"] != folds["2" if fold == "1" else "1"].data.tags["data_digest.val"]
        assert artifacts_of(tmp_path, child.info.run_id, "data") == ["data/split.csv"]

    client = client_of(tmp_path)
    client.set_terminated(folds["2"].info.run_id, "KILLED")
    client.set_terminated(parent.info.run_id, "KILLED")
    again = run(tmp_path, "train", "--resume", parent.info.run_id, "--training.workers", "0")
    assert f"fold 1 of 2: finished already, kept (run {folds['1'].info.run_id})" in again
    assert f"fold 2 of 2: resumed from its last checkpoint (run {folds['2'].info.run_id})" in again
    after, same = parent_and_folds(tmp_path)
    assert after.info.status == same["2"].info.status == "FINISHED"
    assert {fold: child.info.run_id for fold, child in same.items()} == {
        fold: child.info.run_id for fold, child in folds.items()
    }
    assert after.data.metrics["out_of_fold/mre_px512"] == pytest.approx(metrics["out_of_fold/mre_px512"])


def test_one_fold_alone_is_a_part_of_the_data() -> None:
    made = [load_films(DataConfig(phantom_films=20, folds=3, fold=fold)) for fold in (1, 2, 3)]
    whole = load_films(DataConfig(phantom_films=20))
    names = [ids(films.part("val")) for films in made]
    assert sorted(name for fold in names for name in fold) == sorted(ids(whole.part("train")) + ids(whole.part("val")))
    assert all(ids(films.part("test")) == ids(whole.part("test")) for films in made)
    assert all(4 <= len(fold) <= 7 for fold in names), "15 films in three folds, alike in grade"


def test_folds_without_one_are_for_train_alone() -> None:
    with pytest.raises(ConfigError, match=r"data\.folds alone is for train, .* name one too: --data\.fold 1"):
        load_films(DataConfig(phantom_films=20, folds=3))


def ids(films: tuple[Film, ...]) -> list[str]:
    return [film.film_id for film in films]
