"""The training runs of a benchmark: child runs, each in a separate process."""

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

import mlflow
import psutil
import yaml
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from spondylo_ml.config.benchmark_plan import PlannedRun
from spondylo_ml.errors import DataError, TrackingError
from spondylo_ml.termination import Terminated, raise_on_signals
from spondylo_ml.tracking.checkpoints import checkpoint_folder
from spondylo_ml.tracking.killed import set_killed
from spondylo_ml.tracking.outcome import OPEN, clear_outcome, error_of, record_reason
from spondylo_ml.tracking.run_process import is_abandoned, process_text, require_free
from spondylo_ml.tracking.store import PARENT_TAG
from spondylo_ml.workflows.train.resumable import find_resumable

log = logging.getLogger(__name__)

ENTRY_TAG, SEED_TAG, SUPERSEDED_TAG = "benchmark_entry", "benchmark_seed", "superseded_by"
RECIPE_FILE, PROCESS_FILE = "recipe.yaml", "process.json"


@dataclass(frozen=True)
class Start:
    """How a training run is started: in which run, whether from its last checkpoint, and why."""

    run_id: str
    resumed: bool
    reason: str


class ChildRuns:
    """The child runs of one benchmark."""

    def __init__(self, parent: Run) -> None:
        self._client = MlflowClient()
        self._parent_id, self._experiment_id = parent.info.run_id, parent.info.experiment_id

    def adopt(self, former_parent_id: str) -> None:
        """Move the children of the former parent to this run, if `mlflow run` opened a new parent."""
        if former_parent_id != self._parent_id:
            for run in self._search(former_parent_id):
                self._client.set_tag(run.info.run_id, PARENT_TAG, self._parent_id)

    def find(self) -> dict[tuple[str, int], Run]:
        """The run of each entry and seed, without runs that were replaced by a new one."""
        runs = [run for run in self._search(self._parent_id) if SUPERSEDED_TAG not in run.data.tags]
        return {(run.data.tags[ENTRY_TAG], int(run.data.tags[SEED_TAG])): run for run in reversed(runs)}

    def prepare(self, planned: PlannedRun, former: Run | None) -> Start:
        """Prepare the former run if it can be resumed on this machine, or else a new run.

        Raises:
            TrackingError: a process on this machine still trains it.
            OSError: its checkpoint cannot be read.
        """
        if former is None:
            return Start(self._create(planned), False, "started")
        run_id = former.info.run_id
        _require_ended(run_id, planned.name)
        require_free(former)
        try:
            _, point = find_resumable(run_id)
        except (TrackingError, DataError) as error:
            return self._replace(former, planned, f"started again: {error}")
        clear_outcome(run_id)
        return Start(run_id, True, f"resumed after epoch {point.epoch + 1}, from its last checkpoint")

    def train(self, planned: PlannedRun, start: Start) -> None:
        """Train in a separate process and wait for its end; the run's status and failure tag record the outcome."""
        folder = checkpoint_folder(start.run_id)
        folder.mkdir(parents=True, exist_ok=True)
        recipe = folder / RECIPE_FILE
        recipe.write_text(yaml.safe_dump(planned.config.model_dump(mode="json"), sort_keys=False), encoding="utf-8")
        resumed = ["--resume", start.run_id, *_machine_flags(planned)]
        arguments = resumed if start.resumed else ["--recipe", str(recipe)]
        environment = {
            "MLFLOW_RUN_ID": start.run_id,
            "MLFLOW_EXPERIMENT_ID": self._client.get_run(start.run_id).info.experiment_id,
            "MLFLOW_TRACKING_URI": mlflow.get_tracking_uri(),
        }
        code = _run_to_end([sys.executable, "-m", "spondylo_ml", "train", *arguments], environment, folder)
        self._record_end(start.run_id, code)

    def _replace(self, former: Run, planned: PlannedRun, reason: str) -> Start:
        """Start a new run instead of the former one, which is ended if its process is known to have ended."""
        new_id = self._create(planned)
        self._client.set_tag(former.info.run_id, SUPERSEDED_TAG, new_id)
        if is_abandoned(former):
            set_killed(former)
        elif former.info.status in OPEN:
            log.warning(
                "%s: run %s stays RUNNING, since whether %s has ended is not known here",
                planned.name, former.info.run_id, process_text(former),
            )  # fmt: skip
        return Start(new_id, False, reason)

    def _create(self, planned: PlannedRun) -> str:
        tags = {PARENT_TAG: self._parent_id, ENTRY_TAG: planned.entry, SEED_TAG: str(planned.seed)}
        run = self._client.create_run(self._experiment_id, tags=tags, run_name=planned.name)
        return str(run.info.run_id)

    def _search(self, parent_id: str) -> list[Run]:
        """The child runs, the newest first, of all experiments: a benchmark may be resumed in another one."""
        experiments = [experiment.experiment_id for experiment in self._client.search_experiments()]
        condition = f"tags.`{PARENT_TAG}` = '{parent_id}' and tags.{ENTRY_TAG} LIKE '%'"
        runs: list[Run] = []
        token: str | None = None
        while token is None or token:
            page = self._client.search_runs(
                experiments, condition, order_by=["attributes.start_time DESC"], page_token=token
            )
            runs, token = runs + list(page), page.token or ""
        return runs

    def _record_end(self, run_id: str, code: int) -> None:
        """Record what a process could not record itself: that it was killed, or ended before it opened its run."""
        run = self._client.get_run(run_id)
        if code == 0 or run.info.status == "KILLED":
            return
        if run.info.status in OPEN and not is_abandoned(run):
            log.warning("run %s is left as it is: %s works on it, or may do so", run_id, process_text(run))
            return
        if not error_of(run):
            record_reason(run_id, _reason(code))
        if run.info.status in OPEN:
            self._client.set_terminated(run_id, "KILLED" if code < 0 else "FAILED")


def _machine_flags(planned: PlannedRun) -> list[str]:
    """Flags of the values that may differ in a resumed run: the folder of the films and the hardware."""
    data, training = planned.config.data, planned.config.training
    path = ["--data.path", str(data.path)] if data.path else []
    return [*path, "--training.device", training.device, "--training.workers", str(training.workers)]


def _run_to_end(command: list[str], variables: Mapping[str, str], folder: Path) -> int:
    """Run a process in this terminal and return its exit code, negative for a signal; it ends with this process."""
    process = subprocess.Popen(command, env=os.environ | variables)
    started = psutil.Process(process.pid).create_time()
    (folder / PROCESS_FILE).write_text(json.dumps({"pid": process.pid, "born": started}), encoding="utf-8")
    try:
        with raise_on_signals():
            return process.wait()
    except KeyboardInterrupt as interrupt:
        if isinstance(interrupt, Terminated):  # Ctrl-C reaches both processes
            process.terminate()
        process.wait()
        raise


def _require_ended(run_id: str, name: str) -> None:
    """Require that no process still writes these checkpoints: a killed benchmark may have left one behind."""
    path = checkpoint_folder(run_id) / PROCESS_FILE
    if not path.is_file():
        return
    record = json.loads(path.read_text(encoding="utf-8"))
    try:
        alive = psutil.Process(record["pid"]).create_time() == record["born"]
    except psutil.NoSuchProcess:
        return
    if alive:
        raise TrackingError(
            f"{name} is still trained by process {record['pid']}: wait for it, or end it, then try again"
        )


def _reason(code: int) -> str:
    """How a process with this exit code ended, in words."""
    if code < 0:
        return f"ended by {signal.Signals(-code).name}: by hand, or because memory ran out"
    return f"ended with exit code {code} before it opened its run: see its message on the terminal"
