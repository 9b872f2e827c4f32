"""A store made by the commands themselves, as a user types them: two short training runs, then what follows them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from small_store import WalkedStore
from stores import store_in

ROOT = Path(__file__).resolve().parents[2]
FILMS = {"phantom_films": 24, "phantom_seed": 1, "val_fraction": 0.25, "test_fraction": 0.4}
TRAINING = {"film_passes": 16, "least_epoch_films": 8, "preflight": "false", "workers": 0, "ema_decay": 0}
RATES = ("1.0e-4", "3.0e-3")
"""Learning rates of the two training runs, which go on from the starter model, so that one beats the mean shape."""

ERROR = "val_best/mre_px512"
WHY = "it beats the mean shape: MRE better by"


def make_real_store(folder: Path) -> WalkedStore:
    """Train twice, evaluate, compare and promote in a folder; the store that this leaves there."""
    store_in(folder)
    settings = [f"--data.{name}={value}" for name, value in FILMS.items()]
    settings += [f"--training.{name}={value}" for name, value in TRAINING.items()]
    for rate in RATES:
        _spondylo(folder, "train", "--model.pretrained", "starter", *settings, "--lr", rate)
    client = MlflowClient()
    errors = {run.info.run_id: run.data.metrics[ERROR] for run in _runs(client)}
    best, other = sorted(errors, key=lambda run_id: errors[run_id])
    _spondylo(folder, "evaluate", "--run_id", best, "--split", "test")
    _spondylo(folder, "compare", "--run_ids", f"{other},{best}")
    _spondylo(folder, "promote", "--run_ids", best)
    return real_store(client)


def real_store(client: MlflowClient) -> WalkedStore:
    """What the walk must find in such a store."""
    runs = _runs(client)
    run_ids = {run.info.run_name: run.info.run_id for run in runs}
    errors = {run.info.run_name: run.data.metrics[ERROR] for run in runs if run.data.tags["command"] == "train"}
    champion = min(errors, key=lambda name: errors[name])
    pictures = [item.path for name in errors for item in client.list_artifacts(run_ids[name], "images")]
    steps = sorted({int(step) for path in pictures for step in re.findall(r"panel.step.(\d+)", path)})
    card = f"candidates/cascade_net-{run_ids[champion][:8]}/model_card.html"
    pages = {"evaluate": "index.html", "compare": "index.html", "promote": card}
    more = [(run.info.run_name, pages[run.data.tags["command"]]) for run in runs if run.info.run_name not in errors]
    return WalkedStore(run_ids, errors, champion, tuple(steps), WHY, tuple(more))


def _runs(client: MlflowClient) -> list[Run]:
    return list(client.search_runs([item.experiment_id for item in client.search_experiments()]))


def _spondylo(folder: Path, *arguments: str) -> None:
    """Run a command in a folder; fails with its output."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    paths = os.pathsep.join(filter(None, [str(ROOT), environment.get("PYTHONPATH", "")]))
    process = subprocess.run(
        [sys.executable, "-m", "spondylo_ml", *arguments], cwd=folder, env=environment | {"PYTHONPATH": paths},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900,
    )  # fmt: skip
    assert process.returncode == 0, process.stdout
