"""A study from its first trial, or where it stopped, to its best recipe."""

from __future__ import annotations

import hashlib
import json
import logging
import time
import warnings
from dataclasses import dataclass, field
from typing import Any

import optuna
from mlflow.exceptions import MlflowException
from optuna import Study
from optuna.exceptions import ExperimentalWarning
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from spondylo_ml.errors import ConfigError
from tuning import tickets
from tuning.attempt import Objective
from tuning.options import DEFAULT_TRIALS, STUDIES, StudyOptions
from tuning.pictures import study_page
from tuning.runs import StudyRuns
from tuning.samplers import build_pruner, build_sampler
from tuning.space import Space
from tuning.storage import StudyLock, open_storage
from tuning.summary import BEST_RECIPE, PAGE, StudySummary, summarise
from tuning.worker import HopelessStudyError, Worker

log = logging.getLogger(__name__)

PARENT, DEFINITION, DEFINITION_DIGEST = "mlflow_parent", "definition", "definition_digest"
PAGE_DUE, PAGE_OF = "page_due", "page_of"
"""When the study's page is drawn again, seconds since 1970, and the counts of trials that the last one showed: one
worker draws it for all."""

PAGE_EVERY_S = 15.0
PAGE_SHARE = 0.05
"""Share of one worker's time that the drawing of the study's page may take."""


@dataclass
class OpenStudy:
    """A study that workers may join.

    Attributes:
        name: also the name of its row in the database.
        parent_id: MLflow run of the study that this one belongs to; empty for a study with a run of its own.
        child: what a trial's run is called, before its number.
    """

    name: str
    options: StudyOptions
    space: Space
    storage: RDBStorage
    experiment: str
    parent_id: str = ""
    child: str = "trial"
    study: Study = field(init=False)
    runs: StudyRuns = field(init=False)
    lock: StudyLock = field(init=False)

    def __post_init__(self) -> None:
        self.lock, self.runs = StudyLock(self.storage, self.name), StudyRuns(self.name, self.experiment)
        with self.lock.held(), warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            self.study = optuna.create_study(
                storage=self.storage,
                study_name=self.name,
                sampler=build_sampler(self.options),
                pruner=build_pruner(self.options),
                directions=list(self.options.directions),
                load_if_exists=True,
            )
            self._require_same_definition()
            self._open_run()
            self._enqueue()

    def run(self, objective: Objective) -> StudySummary:
        """Work on the study until it is done; what it found.

        Raises:
            HopelessStudyError: it stops early.
            KeyboardInterrupt: what there is was written first.
        """
        worker = Worker(
            self.study, self.space, objective, self.runs, self.lock, self.options.heartbeat_s, self.refresh, self.child
        )
        try:
            worker.work()
        except KeyboardInterrupt:
            self._finish("interrupted")
            raise
        except HopelessStudyError:
            self._finish("stopped")
            raise
        return self._finish("finished")

    def refresh(self) -> None:
        """Bring the parent's pictures and description up to date, where no worker has done so lately."""
        now = time.time()
        if self.parent_id or now < self.study.user_attrs.get(PAGE_DUE, 0.0):
            return
        # Another worker that asks meanwhile finds it done: drawing takes seconds, longer the more trials there are.
        self.study.set_user_attr(PAGE_DUE, now + PAGE_EVERY_S)
        try:
            self._write(self.summary())
        except MlflowException as error:
            log.warning("the study's run could not be brought up to date: %s", type(error).__name__)
        took_s = time.time() - now
        self.study.set_user_attr(PAGE_DUE, now + max(PAGE_EVERY_S, took_s / PAGE_SHARE))

    def summary(self) -> StudySummary:
        """What the study has found so far."""
        return summarise(self.study, self.space, self.options)

    def _write(self, summary: StudySummary) -> None:
        files = {"trials.csv": summary.table.to_csv(index=False), PAGE: study_page(self.study, self.options)}
        if summary.best is not None:
            files[BEST_RECIPE] = summary.recipe
        self.runs.describe(summary.description(), summary.metrics(), files)

    def _write_last_page(self, summary: StudySummary) -> None:
        """Unless another worker, which waited for the same last trial, has done so."""
        if self.study.user_attrs.get(PAGE_OF) != summary.states:
            self._write(summary)
            self.study.set_user_attr(PAGE_OF, summary.states)

    def _finish(self, state: str) -> StudySummary:
        """Write what there is; the study's run ends once nobody works on it."""
        summary = self.summary()
        if self.parent_id:
            return summary
        with self.lock.held():
            self._write_last_page(summary)
            if not tickets.has(self.study, TrialState.RUNNING):
                self.runs.end_parent(state)
            if summary.best is not None:
                path = STUDIES / self.name / BEST_RECIPE
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(summary.recipe, encoding="utf-8")
        return summary

    def _require_same_definition(self) -> None:
        definition = self._definition()
        text = json.dumps(definition, sort_keys=True, default=str)
        digest = hashlib.sha256(text.encode()).hexdigest()
        known = self.study.user_attrs.get(DEFINITION_DIGEST)
        if known is None:
            self.study.set_user_attr(DEFINITION, json.loads(text))
            self.study.set_user_attr(DEFINITION_DIGEST, digest)
        elif known != digest:
            before = self.study.user_attrs[DEFINITION]
            after = json.loads(text)
            changed = [name for name in after if after[name] != before.get(name)]
            raise ConfigError(
                f"study {self.name!r} was begun with another {', '.join(changed)}: its trials could not be compared. "
                "Give the values it was begun with, or another study name"
            )

    def _definition(self) -> dict[str, Any]:
        """What all trials of a study must share."""
        movable = ("tracking.", "training.device", "training.workers", "data.path")
        return {
            "objectives": self.options.objectives,
            "folds": self.options.folds,
            "space": self.space.file.model_dump(mode="json"),
            "configuration": {name: value for name, value in self.space.base.items() if not name.startswith(movable)},
            "grid": self.options.sampler == "grid",
        }

    def _open_run(self) -> None:
        if self.parent_id:
            self.runs.parent_id = self.parent_id
            return
        known = self.study.user_attrs.get(PARENT)
        parent = self.runs.open_parent(known)
        if known is None:
            self.study.set_user_attr(PARENT, parent)
            self.study.set_user_attr(PAGE_DUE, time.time() + PAGE_EVERY_S)
            asked = self.options.model_dump(mode="json", exclude={"storage"})
            facts = {f"study.{name}": value for name, value in asked.items()}
            self.runs.parent_params(facts | {f"config.{name}": value for name, value in self.space.base.items()})

    def _enqueue(self) -> None:
        grid = None
        wanted = self.options.trials
        if self.options.sampler == "grid":
            grid = [self.space.enqueued(point) for point in self.space.grid()]
        elif wanted is None:
            wanted = DEFAULT_TRIALS
        there = len(tickets.counted(self.study.get_trials(deepcopy=False)))
        new = tickets.top_up(self.study, wanted, grid)
        if there:
            log.info("study %s goes on: it has %d trials, %d more are asked for", self.name, there, new)


def open_study(options: StudyOptions, space: Space, name: str, experiment: str) -> OpenStudy:
    """The study of this name, begun or gone on with; its missing trials are enqueued.

    Raises:
        ConfigError: no such database, or the study was begun with another definition.
        TrackingError: its MLflow run is not in this store.
    """
    return OpenStudy(name, options, space, open_storage(options.storage, options.heartbeat_s), experiment)
