"""`train` and `evaluate` as a user runs them, and loading the model in another process."""

from __future__ import annotations

import base64
import json
import platform
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from builders import mendeley_folder
from commands import TINY, all_metrics_of, artifacts_of, client_of, environment, run, runs_of, start
from mlflow.entities import Run

from spondylo_ml.data.phantom import phantom_film, render
from spondylo_ml.evaluation.headline import EPOCH
from spondylo_ml.evaluation.report import EvaluationReport
from spondylo_ml.tracking.addresses import run_path
from spondylo_ml.tracking.views import EXAMPLES, PANEL

MOST_METRICS, MOST_PARAMETERS = 26, 14
MOST_LINES = 15
"""Of a training run's output, besides the lines that say how far it is."""


def test_a_run_logs_its_configuration_origin_and_metrics(tiny_run: tuple[Path, Run, str]) -> None:
    folder, tiny, _ = tiny_run
    assert tiny.info.status == "FINISHED"
    assert tiny.info.run_name == "tiny"
    assert tiny.data.params["config.training.epochs"] == "2"
    assert tiny.data.params["config.data.input_hw"].startswith("[")
    tags = tiny.data.tags
    assert tags["parameter_count"] == "542608"
    assert tags["dataset"] == "phantom-0-24x256px"
    assert tags["pretrained"] == "none"
    assert len(tags["data_digest.train"]) == 64
    assert tags["compute"] == "cpu fp32"
    assert not tags.keys() & {"bad_files", "reader_remarks", "audit_errors", "left_out_films", "unused_parameters"}
    assert {i.dataset.name for i in tiny.inputs.dataset_inputs} == {
        "phantom-0-24x256px-train",
        "phantom-0-24x256px-val",
    }
    assert {"config.yaml", "environment.txt", "data", "images"} <= set(artifacts_of(folder, tiny.info.run_id))
    pictures = artifacts_of(folder, tiny.info.run_id, "images")
    assert {PANEL, EXAMPLES} <= {name.removeprefix("images/").partition("+")[0].replace("~", "/") for name in pictures}
    environment = Path(client_of(folder).download_artifacts(tiny.info.run_id, "environment.txt")).read_text()
    assert environment.startswith(f"# Python {platform.python_version()}\n# {platform.platform()}\n")
    metrics, best = tiny.data.metrics, all_metrics_of(folder, tiny)
    assert {f"val/{name}" for name in EPOCH} <= metrics.keys()
    assert {"mre_px", "sdr_12px", "sdr_18px", "n_corners", "n_false_vertebrae", "slip_mae_percent"} <= best.keys()
    assert metrics["val_best/mre_px512"] == pytest.approx(best["mre_px512"], abs=0.005)
    assert metrics["val_best/grade_accuracy_all"] == pytest.approx(best["grade_accuracy_all"], abs=0.05)
    assert "mean shape (trivial predictor)" in tags["mlflow.note.content"]
    of_training = {"train/loss", "train/loss_heatmap", "train/loss_presence", "train/mre_px512"}
    assert {name for name in metrics if name.startswith("train/")} == of_training
    assert {"learning_rate", "time/epoch_s", "val/mean_shape_mre_px512"} <= metrics.keys()
    assert len(metrics) <= MOST_METRICS
    assert len(tiny.data.params) <= MOST_PARAMETERS
    epochs = pd.read_csv(client_of(folder).download_artifacts(tiny.info.run_id, "epochs.csv"))
    assert list(epochs["epoch"]) == [1, 2]
    assert {"train/sdr_24px", "val/mre_px", "time/films_per_s"} <= set(epochs.columns)


def test_a_run_has_the_settings_that_differ_from_its_recipe_and_those_that_everyone_compares(
    tiny_run: tuple[Path, Run, str],
) -> None:
    _, tiny, _ = tiny_run
    params = tiny.data.params
    assert (params["config.model.name"], params["films"]) == ("unet", "phantom-0-24x256px")
    assert (tiny.data.tags["preset"], "config.preset" in params) == ("smoke", False)
    assert {"config.training.learning_rate", "config.heatmap.sigma_cells", "config.seed"} <= params.keys()
    assert params["config.data.max_films"] == "24"
    assert "config.augmentation.flip_probability" not in params
    assert "val_fraction=0.2" in tiny.data.tags["settings"]


def test_the_first_learning_rate_is_not_zero_and_each_epoch_has_its_step(tiny_run: tuple[Path, Run, str]) -> None:
    folder, tiny, _ = tiny_run
    history = client_of(folder).get_metric_history(tiny.info.run_id, "learning_rate")
    assert [m.step for m in history] == [1, 2]
    assert history[0].value > 0


def test_train_prints_a_table_and_how_to_open_the_run(tiny_run: tuple[Path, Run, str]) -> None:
    folder, tiny, output = tiny_run
    assert f"run             {tiny.info.run_id}" in output
    assert "mean shape, the trivial predictor: " in output
    page = f"#/experiments/{tiny.info.experiment_id}/runs/{tiny.info.run_id}?workflowType=machine_learning"
    assert f"See it: http://127.0.0.1:5000/{page}\n" in output
    assert f"Server: spondylo-ml ui, or mlflow ui --backend-store-uri sqlite:///{folder}/mlflow.db" in output
    assert output.rstrip().endswith("Research software, not a medical device.")
    (plan,) = (line for line in output.splitlines() if line.startswith("training unet, preset smoke, "))
    assert plan.endswith(": input 64 x 64 px, 2 epochs, 4 films a batch")
    assert "weight_decay" not in output, "the configuration is printed only on request"
    lines = [line for line in output.splitlines() if not line.startswith("epoch ")]
    assert len(lines) <= MOST_LINES, output


def test_evaluate_gives_the_metrics_of_training(tiny_run: tuple[Path, Run, str]) -> None:
    folder, tiny, _ = tiny_run
    output = run(folder, "evaluate", "--run_id", tiny.info.run_id, "--split", "val", "--overlays", "1")
    evaluation_run = next(r for r in runs_of(folder) if r.data.tags.get("judged_run") == tiny.info.run_id)
    assert evaluation_run.info.run_id in output
    assert evaluation_run.data.tags["mlflow.parentRunId"] == tiny.info.run_id
    assert evaluation_run.data.tags["films_seen_in_training"] == "0 of 5"
    assert "warning" not in output
    assert f"{tiny.info.run_name} {tiny.info.run_id}" in output
    assert "the epoch was chosen and the uncertainty calibrated on these films" in " ".join(output.split())
    assert evaluation_run.data.params["config.resampling_seed"] == "0"
    assert "config.seed" not in evaluation_run.data.params
    evaluated, best = all_metrics_of(folder, evaluation_run), all_metrics_of(folder, tiny)
    for name in ("mre_px512", "sdr_24px", "n_corners", "presence_recall", "grade_accuracy_all", "mean_shape_mre_px512"):
        assert evaluated[name] == pytest.approx(best[name]), name
    logged = {n.removeprefix("eval/"): v for n, v in evaluation_run.data.metrics.items() if n.startswith("eval/")}
    assert len(logged) <= MOST_METRICS
    same = {n.removeprefix("val_best/"): v for n, v in tiny.data.metrics.items() if n.startswith("val_best/")}
    assert {name: logged.get(name) for name in same if name != "epoch"} == {
        n: v for n, v in same.items() if n != "epoch"
    }
    files = {"metrics.json", "films.csv", "vertebrae.csv", "corners.csv", "predictions.csv", "overlays", "report"}
    assert files <= set(artifacts_of(folder, evaluation_run.info.run_id))
    overlays = artifacts_of(folder, evaluation_run.info.run_id, "overlays")
    assert len(overlays) == 3
    assert {Path(path).name.split("-")[0] for path in overlays} == {"best", "median", "worst"}
    _assert_tables_agree(folder, evaluation_run)
    _assert_report_is_logged(folder, evaluation_run)
    _assert_pages(folder, tiny, evaluation_run)


def _assert_pages(folder: Path, training_run: Run, evaluation_run: Run) -> None:
    """Both runs have a page with the films and the same error; the evaluation's description has it too."""
    error = f"{training_run.data.metrics['val_best/mre_px512']:.2f}"
    pages = []
    for each in (training_run, evaluation_run):
        path = client_of(folder).download_artifacts(each.info.run_id, "index.html")
        pages.append(Path(path).read_text(encoding="utf-8"))
        address = run_path(each.info.experiment_id, each.info.run_id, "artifacts/index.html")
        assert f"]({address})" in each.data.tags["mlflow.note.content"]
    for page in pages:
        assert f"<td>MRE px512</td><td>{error}</td>" in page
        assert re.findall("<figcaption>(.*?)</figcaption>", page) == ["best", "median", "worst"]
        assert "<h2>By level</h2>" in page
        assert len(page) < 5_000_000
    assert "<h2>Learning curves</h2>" in pages[0]
    assert f"| MRE px512 | {error} |" in evaluation_run.data.tags["mlflow.note.content"]


def _assert_tables_agree(folder: Path, evaluation_run: Run) -> None:
    root = Path(client_of(folder).download_artifacts(evaluation_run.info.run_id, ""))
    metrics = json.loads((root / "metrics.json").read_text(encoding="utf-8"))
    corners = pd.read_csv(root / "corners.csv")
    assert metrics["mre_px512"] == pytest.approx(corners["error_px512"].mean())
    assert metrics["sdr_24px"] == pytest.approx(100 * (corners["error_px512"] <= 24).mean())
    films = pd.read_csv(root / "films.csv")
    assert np.average(films["mre_px512"], weights=films["n_corners"]) == pytest.approx(metrics["mre_px512"])
    assert len(corners) == 4 * len(pd.read_csv(root / "vertebrae.csv"))


def _assert_report_is_logged(folder: Path, evaluation_run: Run) -> None:
    root = Path(client_of(folder).download_artifacts(evaluation_run.info.run_id, "report"))
    report = EvaluationReport.load(root)
    assert (root / "anatomy.png").read_bytes().startswith(b"\x89PNG")
    assert {"numbers.csv", "anatomy.csv", "by_level.csv", "slips_by_level.csv"} <= {p.name for p in root.iterdir()}
    assert report.data_digest == evaluation_run.data.tags["data_digest.val"]
    mre = report.numbers["mre_px512"]
    metrics = all_metrics_of(folder, evaluation_run)
    assert metrics["mre_px512"] == pytest.approx(mre.value)
    assert (metrics["mre_px512_low"], metrics["mre_px512_high"]) == pytest.approx((mre.low, mre.high))
    assert metrics["mre_px512_low"] < metrics["mre_px512"] < metrics["mre_px512_high"]
    kinds = ("localisation", "level_shift", "side_flip", "corner_swap", "missed", "false")
    assert sum(metrics[f"share_{kind}"] for kind in kinds) == pytest.approx(100)


def test_another_dataset_is_evaluated_and_an_unlabelled_part_only_predicted(
    tiny_run: tuple[Path, Run, str], tmp_path: Path
) -> None:
    folder, tiny, _ = tiny_run
    root = mendeley_folder(tmp_path / "lateral", train=4, val=2, test=0)
    (root / "Test").mkdir(exist_ok=True)
    for index in range(2):
        cv2.imwrite(str(root / "Test" / f"film{index}.png"), render(phantom_film(3, index, 96)))
    output = run(folder, "evaluate", "--run_id", tiny.info.run_id, "--data", str(root), "--split", "test")
    assert "2, 0 with labels" in output
    assert "predictions and overlays only" in output
    output = run(folder, "evaluate", "--run_id", tiny.info.run_id, "--data", str(root), "--split", "all")
    assert "8, 6 with labels" in output


@pytest.mark.slow
def test_the_model_loads_in_another_process_from_its_own_code_without_pickles(
    tiny_run: tuple[Path, Run, str], tmp_path: Path
) -> None:
    folder, _, _ = tiny_run
    model = next(path.parent for path in (folder / "mlruns").rglob("MLmodel"))
    assert not [p for p in model.rglob("*") if p.suffix in (".pkl", ".pt", ".ckpt", ".pth")]
    film = phantom_film(5, 0, 96)
    _, png = cv2.imencode(".png", render(film))
    code = f"""
import sys; sys.path = [p for p in sys.path if p]
import mlflow, pandas as pd, json
model = mlflow.pyfunc.load_model({str(model)!r})
out = model.predict(pd.DataFrame({{"image": [{base64.b64encode(png.tobytes()).decode()!r}]}}))
import spondylo_ml
print(json.dumps([spondylo_ml.__file__, out.iloc[0].to_dict()]))
"""
    process = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=environment(tmp_path) | {"PYTHONPATH": ""},
    )
    assert process.returncode == 0, process.stderr
    file, row = json.loads(process.stdout.splitlines()[-1])
    assert str(model) in file, "the logged code is used"
    assert row["levels"][:2] == ["S1", "L5"]
    assert np.array(row["corners_xy_px"]).shape == (10, 4, 2)
    assert np.isfinite(row["presence"]).all()


@pytest.mark.slow
def test_bad_films_stop_before_training_or_are_skipped_and_counted(tmp_path: Path) -> None:
    root = mendeley_folder(tmp_path / "lateral")
    images = sorted((root / "Train" / "Keypointrcnn_data" / "images" / "train").iterdir())
    images[0].write_bytes(b"not an image")
    process = start(tmp_path, "train", *TINY, "--data", str(root))
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 2
    assert f"{images[0].name}: not an image" in output
    assert not list(tmp_path.glob("checkpoints")), "nothing was trained"
    run(tmp_path, "train", *TINY, "--data", str(root), "--data.on_bad_file", "skip")
    assert runs_of(tmp_path)[0].data.tags["bad_files"] == "1"
