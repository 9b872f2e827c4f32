"""A run is gone on with by the films that it has logged, wherever they lie now, and by no others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import mlflow
import pytest
from mlflow.tracking import MlflowClient
from stores import store_in

from spondylo_ml.data.films import FilmSet, digest
from spondylo_ml.data.synthetic import phantom_films
from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import Vertebra
from spondylo_ml.tracking.provenance import require_same_films


def parts(films: FilmSet) -> FilmSet:
    """One film for training, one for validation."""
    return replace(films, films=tuple(replace(f, split=p) for f, p in zip(films, ("train", "val"), strict=True)))


def test_other_films_and_changed_labels_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store_in(tmp_path))
    client = MlflowClient(store_in(tmp_path))
    run_id = client.create_run(client.create_experiment("one")).info.run_id
    films, others = parts(phantom_films(2, 1, 64)), parts(phantom_films(2, 2, 64))
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(store_in(tmp_path))
    try:
        require_same_films(run_id, others)  # a run that has logged no digest
        for part in ("train", "val"):
            client.set_tag(run_id, f"data_digest.{part}", digest(films.part(part), films.slots))
        require_same_films(run_id, replace(films, name="moved"))
        with pytest.raises(DataError, match=f"the train films are not those of run {run_id[:8]} .*--model.pretrained"):
            require_same_films(run_id, others)
        first, *rest = films.films[1].vertebrae or ()
        moved = replace(films.films[1], vertebrae=(Vertebra(first.slot, first.corners_xy + 1), *rest))
        edited = replace(films, films=(films.films[0], moved))
        with pytest.raises(DataError, match="the val films are not those"):
            require_same_films(run_id, edited)
        require_same_films(run_id, edited, ["train"])
    finally:
        mlflow.set_tracking_uri(before)
