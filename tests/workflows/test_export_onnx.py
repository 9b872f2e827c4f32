"""`export-onnx` as a user runs it: writes a model that predicts the same, or nothing."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from commands import artifacts_of, client_of, run, runs_of
from small_models import small_bundle

from spondylo_ml.config import ExportOnnxConfig
from spondylo_ml.data.synthetic import phantom_films
from spondylo_ml.errors import ConfigError, DataError, ParityError
from spondylo_ml.serving.bundle import save_bundle
from spondylo_ml.serving.onnx_network import onnx_network
from spondylo_ml.workflows import export_onnx as workflow

FEW = ("--films", "3", "--long_side_px", "192")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A U-Net trained just enough that a few levels can be graded."""
    folder = tmp_path_factory.mktemp("model") / "unet"
    save_bundle(small_bundle("unet", steps=40, unet_width=36), folder)
    return folder


def config(model: Path, to: Path, **changes: object) -> ExportOnnxConfig:
    options = {"model": str(model), "to": to, "films": 3, "long_side_px": 192} | changes
    return ExportOnnxConfig.model_validate(options)


@pytest.mark.slow
def test_the_exported_model_predicts_the_same_with_either_backend(model: Path, tmp_path: Path) -> None:
    output = run(tmp_path, "export-onnx", "--model", str(model), "--to", "with", *FEW)
    assert "unet, folder unet: written with network.onnx to with" in output
    assert "checked on 3 synthetic films, seed 730001" in output
    assert "120 corners, largest difference " in output
    assert "grades, 0 different, 0 different within 0.2 points of a limit" in output
    assert "batch of 8: torch_fp32 " in output
    report = json.loads((tmp_path / "with" / "onnx_parity.json").read_text())
    assert (report["passed"], report["problems"], report["films"]["count"]) == (True, [], 3)
    assert str(tmp_path) not in json.dumps(report)
    (tmp_path / "films").mkdir()
    rows = ["filename,facing,pixel_aspect"]
    for film in phantom_films(8, 3, 96).films[:4]:  # its training films: on others the network detects no level
        cv2.imwrite(str(tmp_path / "films" / f"{film.film_id}.png"), film.image.read())
        rows.append(f"{film.film_id},{film.facing},{film.pixel_aspect}")
    (tmp_path / "films" / "films.csv").write_text("\n".join(rows), encoding="utf-8")
    common = ("predict", "--films", "films", "--model", "with", "--overlays", "false", "--reports", "false")
    for backend in ("torch", "onnx"):
        output = run(tmp_path, *common, "--backend", backend, "--to", backend)
        assert ("unet, folder with, ONNX Runtime" in output) == (backend == "onnx")
    by_torch, by_onnx = (pd.read_csv(tmp_path / backend / "corners.csv") for backend in ("torch", "onnx"))
    assert len(by_torch) == 4 * 40
    np.testing.assert_allclose(by_onnx[["x_px", "y_px"]], by_torch[["x_px", "y_px"]], atol=0.05)
    by_torch, by_onnx = (pd.read_csv(tmp_path / backend / "levels.csv") for backend in ("torch", "onnx"))
    np.testing.assert_array_equal(by_onnx["grade"], by_torch["grade"])  # NaN where a level has none, in both
    assert by_torch["grade"].notna().any()


@pytest.mark.slow
def test_an_export_that_computes_something_else_fails_and_writes_nothing(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = small_bundle("unet")
    with torch.no_grad():
        for weights in other.model.parameters():
            weights.mul_(1.3)
    wrong_network = onnx_network(other)
    monkeypatch.setattr(workflow, "onnx_network", lambda _bundle: wrong_network)
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    message = (
        r"does not compute what unet, folder unet computes; nothing was written to .*\n  heatmaps differ by (.*\n)* "
    )
    with pytest.raises(ParityError, match=message + r" corners differ by up to [\d.]+ px \(limit 0\.05 px\)"):
        workflow.export_onnx(config(model, tmp_path / "with"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_training_films_and_a_folder_that_is_not_empty_are_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="seed 0 drew the films that this model was trained on: give another --seed"):
        workflow.export_onnx(config(model, tmp_path / "with", seed=0))
    with pytest.raises(DataError, match="is not empty: give a new or empty folder"):
        workflow.export_onnx(config(model, model))


@pytest.mark.slow
def test_keypoint_rcnn_is_refused_with_the_reason_and_nothing_is_written(tmp_path: Path) -> None:
    save_bundle(small_bundle("keypoint_rcnn", 128), tmp_path / "rcnn")
    with pytest.raises(ConfigError, match=r"KeypointRCNN has no ONNX export: what it finds first on a film decides"):
        workflow.export_onnx(config(tmp_path / "rcnn", tmp_path / "with"))
    assert not (tmp_path / "with").exists()


@pytest.mark.slow
def test_under_mlflow_run_the_parity_report_is_logged_to_that_run(model: Path, tmp_path: Path) -> None:
    client = client_of(tmp_path)
    mlflow_run = client.create_run(
        client.create_experiment("made", artifact_location=(tmp_path / "artifacts").as_uri())
    )
    run_id = mlflow_run.info.run_id
    run(tmp_path, "export-onnx", "--model", str(model), "--to", "with", *FEW, MLFLOW_RUN_ID=run_id)
    (logged_run,) = runs_of(tmp_path)
    assert logged_run.info.status == "FINISHED"
    assert (logged_run.data.tags["onnx_parity"], logged_run.data.tags["exported_model"]) == (
        "passed",
        "unet, folder unet",
    )
    assert "onnx_parity.json" in artifacts_of(tmp_path, run_id)
