"""A model from training to rollback, with the commands that a user types."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import mlflow
import numpy as np
import pytest
from builders import synthetic_film
from commands import LEARNS, aliases_of, client_of, environment, run_python, runs_of, tune
from mlflow.tracking import MlflowClient
from servers import mlflow_server, postgres

import spondylo_ml

PROMOTE = (
    "--metric", "mre_px512", "--noise_floor", "0.1", "--resamples", "200", "--latency_films", "1", "--overlays", "1",
    "--margins.latency_percent", "1000", "--margins.detection_recall", "100", "--margins.listhesis_sensitivity", "100",
    "--margins.calibration", "100", "--margins.worst_source_px512", "1000",
)  # fmt: skip
"""Margins never bind, since these models train for seconds; tests/promotion tests them."""


@pytest.fixture(params=["sqlite", "server"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URI of the tracking store: an SQLite file, or an MLflow server on PostgreSQL."""
    before = mlflow.get_tracking_uri()
    if request.param == "sqlite":
        mlflow.set_tracking_uri(environment(tmp_path)["MLFLOW_TRACKING_URI"])
        yield mlflow.get_tracking_uri()
    else:
        with postgres() as database, mlflow_server(tmp_path, database) as address:
            mlflow.set_tracking_uri(address)
            yield address
    mlflow.set_tracking_uri(before)


@pytest.mark.slow
def test_train_evaluate_promote_refuse_replace_load_predict_and_roll_back(store: str, tmp_path: Path) -> None:
    client = MlflowClient()

    def spondylo(*arguments: str) -> str:
        return run_python(tmp_path, *arguments, MLFLOW_TRACKING_URI=store)

    def train(name: str, film_passes: str) -> str:
        spondylo("train", *LEARNS, "--tracking.run_name", name, "--training.film_passes", film_passes)
        (logged_run,) = client.search_runs(
            [e.experiment_id for e in client.search_experiments()], f"attributes.run_name = '{name}'"
        )
        return str(logged_run.info.run_id)

    first, better = train("first", "2400"), train("better", "6000")
    assert "mean shape" in spondylo("evaluate", "--run_id", first, "--split", "test")

    assert "champion, version 1 of" in spondylo("promote", "--run_ids", first, *PROMOTE)
    equal = spondylo("promote", "--run_ids", first, *PROMOTE)
    assert "refused\n  - it is the same model as the champion, version 1 (unet): the weights are equal" in equal
    assert "champion, version 2 of" in spondylo("promote", "--run_ids", better, *PROMOTE)
    assert aliases_of(client) == {"champion": 2}

    pixels = synthetic_film(0).pixels
    by_version = {version: spondylo_ml.load(version).predict(pixels)[0] for version in ("1", "2", "champion")}
    corners = {version: result.prediction.corners_xy for version, result in by_version.items()}
    np.testing.assert_array_equal(corners["champion"], corners["2"])
    assert np.abs(corners["1"] - corners["2"]).max() > 1

    cv2.imwrite(str(tmp_path / "film.png"), pixels)
    spondylo("predict", "--films", "film.png", "--to", "read")
    tree = json.loads((tmp_path / "read/predictions.json").read_text(encoding="utf-8"))
    (film,) = tree["films"]
    np.testing.assert_allclose(
        np.array(film["corners_xy_px"], np.float64), np.asarray(corners["2"], np.float64), atol=1e-3
    )

    spondylo("promote", "--rollback", "true", "--reason", "misses L5")
    np.testing.assert_array_equal(spondylo_ml.load("champion").predict(pixels)[0].prediction.corners_xy, corners["1"])
    events = [line.split("  ")[1].split(":")[0] for line in spondylo("registry").splitlines() if line[:2] == "20"]
    assert events == ["promoted", "promoted", "rolled back"]


@pytest.mark.slow
def test_tune_train_and_promote_against_the_noise_floor_of_the_study(tmp_path: Path) -> None:
    options = (*LEARNS, "--model", "maht_net")
    run_python(tmp_path, "train", *options, "--tracking.run_name", "first", "--training.film_passes", "1200")
    output = tune(tmp_path, *options, "--training.film_passes", "3000", "--space", "recipe", "--sampler", "grid",
                  "--study", "s", "--retrain_seeds", "2")  # fmt: skip
    study = re.search(r"noise floor grade_accuracy_all .*promote --noise_floor_from (\w{32})", output)
    assert study is not None, output
    run_python(tmp_path, "train", "--recipe", "studies/s/best.yaml", "--tracking.run_name", "better")
    ids = {item.info.run_name: item.info.run_id for item in runs_of(tmp_path)}
    promote_options = list(PROMOTE)
    del promote_options[2:4]  # without --noise_floor
    assert "champion, version 1 of" in run_python(tmp_path, "promote", "--run_ids", ids["first"], *promote_options)
    without_floor = run_python(tmp_path, "promote", "--run_ids", ids["better"], *promote_options)
    assert "challenger, version 2 of spondylo-landmarks\n  - how far another seed alone moves 'MRE' is" in without_floor
    assert f"The store has: noise_floor_from={study[1]}" in without_floor
    with_floor = run_python(
        tmp_path, "promote", "--run_ids", ids["better"], "--noise_floor_from", study[1], *promote_options
    )
    assert "champion, version 2 of" in with_floor, with_floor
    floor = client_of(tmp_path).get_run(study[1]).data.metrics["noise_floor/mre_px512"]
    assert (
        f"above {floor:.4g} px512, the noise floor between seeds (measured by study s {study[1][:8]}: maht_net 2"
        in with_floor
    )
    assert aliases_of(client_of(tmp_path)) == {"champion": 2}
