"""The MLflow runs of a study: a parent, a child per trial, a grandchild per fold.

Runs are addressed by id, never as "the active run", so that any number of workers can write at the same time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME, MLFLOW_RUN_NOTE

from spondylo_ml.errors import TrackingError
from spondylo_ml.nan import drop_nan
from spondylo_ml.tracking.outcome import ERROR_TAG, clear_outcome, record_reason, red_line
from spondylo_ml.tracking.provenance import git_commit
from spondylo_ml.tracking.run_process import process_tags
from spondylo_ml.tracking.store import COMMAND_TAG, experiment_id, require_not_deleted
from spondylo_ml.tracking.store_check import store_name

STATES = {"COMPLETE": "FINISHED", "PRUNED": "KILLED", "FAIL": "FAILED", "INTERRUPTED": "KILLED"}
"""MLflow's status for each state of a trial. It has none for PRUNED, which the tag `trial_state` records."""

STATE_TAG, STUDY_TAG, TRIAL_TAG = "trial_state", "study", "trial"
STUDY_STATE_TAG, WORKER_OF_TAG = "study_state", "worker_of"
STUDY_COMMAND, TRIAL_COMMAND = "tune", "trial"
LONGEST_TAG, LONGEST_PARAM = 500, 500
MOST_PARAMS = 100
"""Most parameters that MLflow accepts in one call."""


class StudyRuns:
    """Writes the runs of one study."""

    def __init__(self, study: str, experiment: str) -> None:
        self._study = study
        self._client = MlflowClient()
        self._experiment = experiment
        self._commit = git_commit()
        self.parent_id = ""

    def open_parent(self, stored_id: str | None) -> str:
        """Reopen the study's run, take the one that `mlflow run` opened, or create one.

        Args:
            stored_id: the run that the study has already; None for a new study.

        Raises:
            TrackingError: the store does not have the study's run.
        """
        project_run_id = os.environ.pop("MLFLOW_RUN_ID", None)  # it is this study's from now on
        if stored_id:
            self._require(stored_id)
            self._hold(stored_id)  # first: `clean` would take it for killed
            self._client.update_run(stored_id, status="RUNNING")
            clear_outcome(stored_id)
            if project_run_id and project_run_id != stored_id:
                self._client.set_tag(project_run_id, WORKER_OF_TAG, stored_id)
                self._client.set_tag(project_run_id, MLFLOW_RUN_NAME, f"worker of {self._study}")
        self.parent_id = stored_id or project_run_id or self._create(f"study {self._study}", {})
        if project_run_id:
            self._hold(project_run_id)
        self._client.set_tag(self.parent_id, STUDY_TAG, self._study)
        self._client.set_tag(self.parent_id, STUDY_STATE_TAG, "running")
        self._client.set_tag(self.parent_id, COMMAND_TAG, STUDY_COMMAND)
        if project_run_id == self.parent_id:
            self._client.set_tag(project_run_id, MLFLOW_RUN_NAME, f"study {self._study}")
        return self.parent_id

    def start(self, name: str, tags: Mapping[str, str], params: Mapping[str, Any], parent_id: str = "") -> str:
        """Start a child run of the study's run, or of `parent_id`."""
        self._hold(self.parent_id)  # the worker that held it may have ended
        run_id = self._create(
            name,
            {
                **tags,
                COMMAND_TAG: TRIAL_COMMAND,
                STUDY_TAG: self._study,
                MLFLOW_PARENT_RUN_ID: parent_id or self.parent_id,
            },
        )
        self._log_params(run_id, params)
        return run_id

    def finish(self, run_id: str, state: str, reason: str = "", metrics: Mapping[str, float] | None = None) -> None:
        """End a run in the state of its trial."""
        now = int(time.time() * 1000)
        tags = [RunTag(STATE_TAG, state)]
        if reason:
            tags.append(RunTag(ERROR_TAG if state == "FAIL" else "reason", reason[:LONGEST_TAG]))
        if reason and state == "FAIL":
            tags.append(RunTag(MLFLOW_RUN_NOTE, red_line(reason)))
        values = [Metric(name, value, now, 0) for name, value in drop_nan(metrics or {}).items()]
        self._client.log_batch(run_id, metrics=values, tags=tags)
        self._client.set_terminated(run_id, STATES[state])

    def tag(self, run_id: str, name: str, value: str) -> None:
        """Set a tag of a run."""
        self._client.set_tag(run_id, name, value)

    def metrics(self, run_id: str, values: Mapping[str, float], step: int) -> None:
        """Log the metrics of one step."""
        now = int(time.time() * 1000)
        self._client.log_batch(run_id, metrics=[Metric(k, v, now, step) for k, v in drop_nan(values).items()])

    def keep(self, run_id: str, files: Mapping[str, str]) -> None:
        """Log text artefacts, by path."""
        for path, content in files.items():
            self._client.log_text(run_id, content, path)

    def describe(self, text: str, values: Mapping[str, float], files: Mapping[str, str]) -> None:
        """Set the parent run's description, metrics and text artefacts."""
        self._client.set_tag(self.parent_id, MLFLOW_RUN_NOTE, text)
        self.metrics(self.parent_id, values, 0)
        self.keep(self.parent_id, files)

    def parent_params(self, params: Mapping[str, Any]) -> None:
        """Log parameters of the parent run; those that it already has stay unchanged."""
        logged = self._client.get_run(self.parent_id).data.params
        self._log_params(self.parent_id, {key: value for key, value in params.items() if key not in logged})

    def end_parent(self, state: str, reason: str = "") -> None:
        """End the study's run as `finished`, `stopped` or `interrupted`, the latter two with the reason."""
        if reason:
            record_reason(self.parent_id, reason)
        self._client.set_tag(self.parent_id, STUDY_STATE_TAG, state)
        status = {"finished": "FINISHED", "stopped": "FAILED", "interrupted": "KILLED"}[state]
        self._client.set_terminated(self.parent_id, status)

    def _log_params(self, run_id: str, params: Mapping[str, Any]) -> None:
        entries = [Param(key, str(value)[:LONGEST_PARAM]) for key, value in params.items()]
        for first in range(0, len(entries), MOST_PARAMS):
            self._client.log_batch(run_id, params=entries[first : first + MOST_PARAMS])

    def _hold(self, run_id: str) -> None:
        """Note that this process works on a run, so that `clean` can tell whether it was killed."""
        self._client.log_batch(run_id, tags=[RunTag(name, value) for name, value in process_tags().items()])

    def _create(self, name: str, tags: Mapping[str, str]) -> str:
        tags = {**tags, **process_tags(), "git_commit": self._commit}
        run = self._client.create_run(self._experiment_id, run_name=name, tags=tags)
        return str(run.info.run_id)

    @cached_property
    def _experiment_id(self) -> str:
        if self.parent_id:  # the whole tree is in one experiment
            return str(self._client.get_run(self.parent_id).info.experiment_id)
        return experiment_id(self._experiment)

    def _require(self, run_id: str) -> None:
        try:
            require_not_deleted(self._client.get_run(run_id))
        except MlflowException:
            raise TrackingError(
                f"study {self._study!r} logs to run {run_id}, which {store_name()} does not have: set "
                "MLFLOW_TRACKING_URI to the store that it was created in, or give the study another name"
            ) from None
