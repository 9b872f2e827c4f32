"""Each example runs as a user runs it, on synthetic films, in an empty folder with an MLflow store of its own."""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from pathlib import Path

import cv2
import matplotlib
import mlflow
import nbformat
import pytest
from extensions import temporary_registrations
from mlflow.tracking import MlflowClient
from nbclient import NotebookClient
from small_models import unet_bundle
from stores import store_in

from spondylo_ml.serving.bundle import save_bundle

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty current folder; what an example registers, and the store it writes to, end with it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["example.py"])
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(store_in(tmp_path))
    with temporary_registrations():
        yield tmp_path
    mlflow.set_tracking_uri(before)


def run(name: str) -> None:
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")


def models_of_runs() -> list[str]:
    """The models that the runs of the store trained, in the order of their names."""
    return sorted(run.data.tags["model"] for run in MlflowClient().search_runs(["1"]))


def test_the_table_of_examples_lists_all_of_them() -> None:
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    files = [path.name for path in EXAMPLES.iterdir() if path.suffix in (".py", ".ipynb")]
    assert len(files) == 6
    assert [name for name in files if f"[{name}]({name})" not in text] == []


@pytest.mark.slow
def test_train_and_compare(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("train_and_compare.py")
    output = capsys.readouterr().out
    assert models_of_runs() == ["resnet50", "unet"]
    *_, command = output.splitlines()
    assert len(command.removeprefix("python -m spondylo_ml compare --run_ids ").split(",")) == 2


@pytest.mark.slow
def test_predict_and_plot(workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    matplotlib.use("agg")
    save_bundle(unet_bundle(), workplace / "model")
    monkeypatch.setattr("sys.argv", ["predict_and_plot.py", "model"])
    run("predict_and_plot.py")
    assert "3 film(s) drawn in predictions.png" in capsys.readouterr().out
    picture = cv2.imread(str(workplace / "predictions.png"))
    blue, green, red = (picture[..., channel].astype(int) for channel in range(3))
    assert ((red > 200) & (green - blue > 60)).sum() > 1000  # orange outlines


def test_custom_reader(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("custom_reader.py")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [f"phantom-5-{index:05d}" for index in range(4)]
    assert all("vertebrae" in line for line in lines)


@pytest.mark.slow
def test_custom_model(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("custom_model.py")
    assert models_of_runs() == ["small_net"]
    assert "small_net, run " in capsys.readouterr().out


@pytest.mark.slow
def test_custom_loss(workplace: Path) -> None:
    run("custom_loss.py")
    (trained,) = MlflowClient().search_runs(["1"])
    assert trained.data.params["config.loss.heatmap"] == "huber"
    assert 0 < trained.data.metrics["train/loss_heatmap"] < 1


@pytest.mark.slow
def test_walkthrough(workplace: Path) -> None:
    notebook = nbformat.read(EXAMPLES / "walkthrough.ipynb", as_version=4)
    assert [cell for cell in notebook.cells if cell.get("outputs")] == []  # outputs are for the reader to make
    NotebookClient(notebook, timeout=500, resources={"metadata": {"path": str(workplace)}}).execute()
    (trained,) = MlflowClient().search_runs(["1"], "attributes.run_name = 'walkthrough'")
    assert MlflowClient().get_model_version_by_alias("spondylo-landmarks", "champion").run_id == trained.info.run_id
    shown = [output for cell in notebook.cells for output in cell.get("outputs", ()) if "data" in output]
    assert any("image/png" in output["data"] for output in shown)
    assert "('phantom-8-00000'," in shown[-1]["data"]["text/plain"]
