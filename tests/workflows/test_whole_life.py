"""A model's whole life, typed as a user types it: trained, judged, promoted, replaced, loaded, and put back."""

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
from commands import LEARNS, aliases_of, client_of, environment, run, runs_of, tune
from mlflow.tracking import MlflowClient
from servers import mlflow_server, postgres

import spondylo_ml

JUDGED = (
    "--metric", "mre_px512", "--noise_floor", "0.1", "--resamples", "200", "--latency_films", "1", "--overlays", "1",
    "--margins.latency_percent", "1000", "--margins.detection_recall", "100", "--margins.listhesis_sensitivity", "100",
    "--margins.calibration", "100", "--margins.worst_source_px512", "1000",
)  # fmt: skip
"""For models of a few seconds: what is guarded is tested in tests/promotion."""


@pytest.fixture(params=["sqlite", "server"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where MLflow keeps all: a file, or a server on PostgreSQL that is reached over HTTP alone."""
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
        return run(tmp_path, *arguments, MLFLOW_TRACKING_URI=store)

    def trained(name: str, film_passes: str) -> str:
        spondylo("train", *LEARNS, "--tracking.run_name", name, "--training.film_passes", film_passes)
        (found,) = client.search_runs(
            [e.experiment_id for e in client.search_experiments()], f"attributes.run_name = '{name}'"
        )
        return str(found.info.run_id)

    first, better = trained("first", "2400"), trained("better", "6000")
    assert "mean shape" in spondylo("evaluate", "--run_id", first, "--split", "test")

    assert "champion, version 1 of" in spondylo("promote", "--run_ids", first, *JUDGED)
    equal = spondylo("promote", "--run_ids", first, *JUDGED)
    assert "refused\n  - it is the same model as the champion, version 1 (unet): the weights are equal" in equal
    assert "champion, version 2 of" in spondylo("promote", "--run_ids", better, *JUDGED)
    assert aliases_of(client) == {"champion": 2}

    pixels = synthetic_film(0).pixels
    by_version = {version: spondylo_ml.load(version).predict(pixels)[0] for version in ("1", "2", "champion")}
    corners = {version: result.prediction.corners_xy for version, result in by_version.items()}
    np.testing.assert_array_equal(corners["champion"], corners["2"])
    assert np.abs(corners["1"] - corners["2"]).max() > 1

    cv2.imwrite(str(tmp_path / "film.png"), pixels)
    spondylo("predict", "--films", "film.png", "--to", "read")
    told = json.loads((tmp_path / "read/predictions.json").read_text(encoding="utf-8"))
    (film,) = told["films"]
    np.testing.assert_allclose(
        np.array(film["corners_xy_px"], np.float64), np.asarray(corners["2"], np.float64), atol=1e-3
    )

    spondylo("promote", "--rollback", "true", "--reason", "misses L5")
    np.testing.assert_array_equal(spondylo_ml.load("champion").predict(pixels)[0].prediction.corners_xy, corners["1"])
    events = [line.split("  ")[1].split(":")[0] for line in spondylo("registry").splitlines() if line[:2] == "20"]
    assert events == ["promoted", "promoted", "rolled back"]


@pytest.mark.slow
def test_tune_retrain_train_and_promote_against_the_floor_so_measured(tmp_path: Path) -> None:
    given = (*LEARNS, "--model", "maht_net")
    run(tmp_path, "train", *given, "--tracking.run_name", "first", "--training.film_passes", "1200")
    output = tune(tmp_path, *given, "--training.film_passes", "3000", "--space", "recipe", "--sampler", "grid",
                  "--study", "s", "--retrain_seeds", "2")  # fmt: skip
    study = re.search(r"noise floor grade_accuracy_all .*promote --noise_floor_from (\w{32})", output)
    assert study is not None, output
    run(tmp_path, "train", "--recipe", "studies/s/best.yaml", "--tracking.run_name", "better")
    ids = {found.info.run_name: found.info.run_id for found in runs_of(tmp_path)}
    judged = list(JUDGED)
    del judged[2:4]  # the floor by hand
    assert "champion, version 1 of" in run(tmp_path, "promote", "--run_ids", ids["first"], *judged)
    without = run(tmp_path, "promote", "--run_ids", ids["better"], *judged)
    assert "challenger, version 2 of spondylo-landmarks\n  - how far another seed alone moves mre_px512 is" in without
    assert f"The store has: noise_floor_from={study[1]}" in without
    told = run(tmp_path, "promote", "--run_ids", ids["better"], "--noise_floor_from", study[1], *judged)
    assert "champion, version 2 of" in told, told
    floor = client_of(tmp_path).get_run(study[1]).data.metrics["noise_floor/mre_px512"]
    assert f"above {floor:.4g}, the noise floor between seeds (measured by study s {study[1][:8]}: maht_net 2" in told
    assert aliases_of(client_of(tmp_path)) == {"champion": 2}
