"""The trainings of a benchmark as child runs: found again, begun or gone on with, each in a process of its own."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import mlflow
import psutil
import torch
import yaml
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from spondylo_ml.config.benchmark_plan import Planned
from spondylo_ml.errors import TrackingError
from spondylo_ml.tracking.checkpoints import checkpoint_folder
from spondylo_ml.tracking.store import FAILURE_TAG, PARENT_TAG
from spondylo_ml.training.run_log import LAST

log = logging.getLogger(__name__)

ENTRY_TAG, SEED_TAG, SUPERSEDED_TAG = "benchmark_entry", "benchmark_seed", "superseded_by"
RECIPE_FILE, PROCESS_FILE = "recipe.yaml", "process.json"


@dataclass(frozen=True)
class Start:
    """How a training is started: in which run, from its last checkpoint or from the beginning, and why."""

    run_id: str
    resumed: bool
    how: str


class ChildRuns:
    """The child runs of one benchmark."""

    def __init__(self, parent: Run) -> None:
        self._client = MlflowClient()
        self._parent_id, self._experiment_id = parent.info.run_id, parent.info.experiment_id

    def adopt(self, former_parent_id: str) -> None:
        """Take over the children of the run in which the benchmark began, where `mlflow run` opened another."""
        if former_parent_id != self._parent_id:
            for run in self._search(former_parent_id):
                self._client.set_tag(run.info.run_id, PARENT_TAG, self._parent_id)

    def find(self) -> dict[tuple[str, int], Run]:
        """The run of each entry and seed for which there is one, without those begun again elsewhere."""
        runs = [run for run in self._search(self._parent_id) if SUPERSEDED_TAG not in run.data.tags]
        return {(run.data.tags[ENTRY_TAG], int(run.data.tags[SEED_TAG])): run for run in reversed(runs)}

    def prepare(self, planned: Planned, former: Run | None) -> Start:
        """The run to train in: the former one where its checkpoint is here, or else a new one.

        Raises:
            TrackingError: a process on this machine still trains it.
        """
        if former is None:
            return Start(self._create(planned), False, "begun")
        run_id = former.info.run_id
        _require_ended(run_id, planned.name)
        checkpoint = checkpoint_folder(run_id) / LAST
        if checkpoint.is_file():
            if FAILURE_TAG in former.data.tags:
                self._client.delete_tag(run_id, FAILURE_TAG)
            epoch = torch.load(checkpoint, map_location="cpu", weights_only=True)["epoch"] + 1
            return Start(run_id, True, f"resumed after epoch {epoch}, from its last checkpoint")
        new_id = self._create(planned)
        self._client.set_tag(run_id, SUPERSEDED_TAG, new_id)
        if former.info.status == "RUNNING":
            self._client.set_terminated(run_id, "KILLED")
        return Start(new_id, False, "begun again: there is no checkpoint of it here")

    def train(self, planned: Planned, start: Start) -> None:
        """Train to the end, in a process of its own; how it ended is the run's status and failure."""
        folder = checkpoint_folder(start.run_id)
        folder.mkdir(parents=True, exist_ok=True)
        recipe = folder / RECIPE_FILE
        recipe.write_text(yaml.safe_dump(planned.config.model_dump(mode="json"), sort_keys=False), encoding="utf-8")
        resumed = ["--resume", start.run_id, *_where(planned)]
        arguments = resumed if start.resumed else ["--recipe", str(recipe)]
        environment = {
            "MLFLOW_RUN_ID": start.run_id,
            "MLFLOW_EXPERIMENT_ID": self._client.get_run(start.run_id).info.experiment_id,
            "MLFLOW_TRACKING_URI": mlflow.get_tracking_uri(),
        }
        code = _run_to_end([sys.executable, "-m", "spondylo_ml", "train", *arguments], environment, folder)
        self._record_end(start.run_id, code)

    def _create(self, planned: Planned) -> str:
        tags = {PARENT_TAG: self._parent_id, ENTRY_TAG: planned.entry, SEED_TAG: str(planned.seed)}
        run = self._client.create_run(self._experiment_id, tags=tags, run_name=planned.name)
        return str(run.info.run_id)

    def _search(self, parent_id: str) -> list[Run]:
        """The newest first, of all experiments: `mlflow run` may go on in another one than the benchmark began in."""
        experiments = [experiment.experiment_id for experiment in self._client.search_experiments()]
        chosen = f"tags.`{PARENT_TAG}` = '{parent_id}' and tags.{ENTRY_TAG} LIKE '%'"
        runs: list[Run] = []
        token: str | None = None
        while token is None or token:
            page = self._client.search_runs(
                experiments, chosen, order_by=["attributes.start_time DESC"], page_token=token
            )
            runs, token = runs + list(page), page.token or ""
        return runs

    def _record_end(self, run_id: str, code: int) -> None:
        """What a process could not say itself: that it was killed, or ended before it had opened its run."""
        run = self._client.get_run(run_id)
        if code == 0 or run.info.status == "KILLED":
            return
        if FAILURE_TAG not in run.data.tags:
            self._client.set_tag(run_id, FAILURE_TAG, _reason(code))
        if run.info.status == "RUNNING":
            self._client.set_terminated(run_id, "KILLED" if code < 0 else "FAILED")


def _where(planned: Planned) -> list[str]:
    """Flags of what may be another when a training goes on: where the films lie, and where it computes."""
    data, training = planned.config.data, planned.config.training
    path = ["--data.path", str(data.path)] if data.path else []
    return [*path, "--training.device", training.device, "--training.workers", str(training.workers)]


def _run_to_end(command: list[str], extra: Mapping[str, str], folder: Path) -> int:
    """Exit code of a process that shares this terminal, negative for a signal; it is ended with this process."""
    process = subprocess.Popen(command, env=os.environ | extra)
    born = psutil.Process(process.pid).create_time()
    (folder / PROCESS_FILE).write_text(json.dumps({"pid": process.pid, "born": born}), encoding="utf-8")

    def end(number: int, frame: FrameType | None) -> None:
        process.send_signal(signal.SIGINT)
        raise KeyboardInterrupt

    # Ctrl-C reaches both by itself; a request to terminate reaches this process alone.
    before = signal.signal(signal.SIGTERM, end)
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.wait()
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


def _require_ended(run_id: str, name: str) -> None:
    """Two processes must not write the same checkpoints: a benchmark that was killed may have left one behind."""
    path = checkpoint_folder(run_id) / PROCESS_FILE
    if not path.is_file():
        return
    left = json.loads(path.read_text(encoding="utf-8"))
    try:
        alive = psutil.Process(left["pid"]).create_time() == left["born"]
    except psutil.NoSuchProcess:
        return
    if alive:
        raise TrackingError(f"{name} is still trained by process {left['pid']}: wait for it, or end it, then try again")


def _reason(code: int) -> str:
    if code < 0:
        return f"ended by {signal.Signals(-code).name}: by hand, or for want of memory"
    return f"ended with exit code {code} before its run was opened: the terminal said why"
