"""Training works without MLflow installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """
import importlib, pkgutil, sys
from pathlib import Path

class NoMlflow:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "mlflow":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NoMlflow())

packages = (
    "errors", "landmarks", "config", "clinical", "data", "models", "training", "evaluation",
    "pages", "film_report",
)
for package in packages:
    module = importlib.import_module(f"spondylo_ml.{package}")
    for info in pkgutil.walk_packages(getattr(module, "__path__", []), f"{module.__name__}."):
        importlib.import_module(info.name)

import numpy as np
from spondylo_ml.config import resolve_config
from spondylo_ml.data.prepare import prepare_films
from spondylo_ml.data.synthetic import phantom_films
from spondylo_ml.evaluation.metrics import score
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.models.zoo import build_model
from spondylo_ml.training.device import choose_compute
from spondylo_ml.training.fit import fit
from spondylo_ml.training.run_log import FolderRunLog

config = resolve_config({"preset": "smoke", "training": {"device": "cpu"}})
film_set = phantom_films(6, 0, 64)
films = prepare_films(film_set.films, film_set.slots, (64, 64))
folder = Path("run")
result = fit(
    build_model(config, film_set.slots), config, choose_compute(config.training),
    {"train": films[:4], "val": films[4:]},
    lambda films, predictions: score(PredictionSet([film.film for film in films], predictions)), FolderRunLog(folder),
    lambda *_: np.zeros((2, 2, 3), np.uint8), folder,
)
assert not [name for name in sys.modules if name.split(".")[0] == "mlflow"]
print(result.best_epoch, len(result.history))
"""


@pytest.mark.slow
def test_a_model_is_trained_and_logged_to_a_folder(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    best, epochs = (int(word) for word in result.stdout.split()[-2:])
    assert epochs == 2
    assert best in (1, 2)
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2]
    assert all(row["val/mre_px512"] > 0 for row in rows)
    assert {"best.ckpt", "last.ckpt", "images"} <= {path.name for path in (tmp_path / "run").iterdir()}
