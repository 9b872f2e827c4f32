"""A study from its first trial, or from where it stopped, to its best recipe."""

from __future__ import annotations

import hashlib
import json
import logging
import time
import warnings
from dataclasses import dataclass
from typing import Any

import optuna
import yaml
from mlflow.exceptions import MlflowException
from optuna import Study
from optuna.exceptions import ExperimentalWarning
from optuna.trial import TrialState

from spondylo_ml.config.differences import COMPARED
from spondylo_ml.errors import ConfigError
from spondylo_ml.termination import cause_of
from tuning import tickets
from tuning.attempt import Objective
from tuning.options import DEFAULT_TRIALS, STUDIES, StudyOptions
from tuning.pictures import study_page
from tuning.runs import StudyRuns
from tuning.samplers import build_pruner, build_sampler
from tuning.space import Space
from tuning.storage import StudyLock, StudyStorage, explained_if_lost, open_storage
from tuning.summary import BEST_RECIPE, STUDY_PAGE, StudySummary, summarise
from tuning.worker import RepeatedFailureError, Worker

log = logging.getLogger(__name__)

PARENT, DEFINITION, DEFINITION_DIGEST = "mlflow_parent", "definition", "definition_digest"
FILMS_DIGEST = "films_digest"
PAGE_DUE, PAGE_OF = "page_due", "page_of"
"""When the study's page is due again, in seconds since 1970, and the trial counts that the last page showed: one worker
draws the page for all."""

CONFIGURATION = "config.yaml"  # artefact: what all trials share
PAGE_EVERY_S = 15.0
PAGE_SHARE = 0.05
"""Share of one worker's time that drawing the study's page may take."""


@dataclass(frozen=True)
class OpenStudy:
    """A study that workers can join; `open_study` and `join_study` make one.

    Attributes:
        name: also the name of its row in the database.
        parent_id: MLflow run of the study that this one belongs to; empty for a study with a run of its own.
        child: what a trial's run is called, before its number.
    """

    name: str
    options: StudyOptions
    space: Space
    storage: StudyStorage
    experiment: str
    study: Study
    runs: StudyRuns
    lock: StudyLock
    parent_id: str
    child: str

    def run(self, objective: Objective) -> StudySummary:
        """Work on the study until it is done, and summarise it.

        Raises:
            RepeatedFailureError: the study stopped early.
            StudiesLostError: the database of studies, or its proxy, no longer answers.
            KeyboardInterrupt: after the results so far were written.
        """
        with explained_if_lost(self.options.storage):
            return self._run(objective)

    def _run(self, objective: Objective) -> StudySummary:
        worker = Worker(
            self.study, self.space, objective, self.runs, self.lock, self.options.heartbeat_s, self.refresh, self.child
        )
        try:
            worker.work()
        except KeyboardInterrupt as interrupt:
            self._finish("interrupted", f"stopped by {cause_of(interrupt)}. The same command resumes the study")
            raise
        except RepeatedFailureError as error:
            self._finish("stopped", error.in_run())
            raise
        return self._finish("finished")

    def refresh(self) -> None:
        """Update the parent run's page and description, unless a worker did so recently."""
        now = time.time()
        if self.parent_id or now < self.study.user_attrs.get(PAGE_DUE, 0.0):
            return
        # Postpone the next page before drawing this one: drawing takes seconds, and other workers may ask meanwhile.
        self.study.set_user_attr(PAGE_DUE, now + PAGE_EVERY_S)
        try:
            self._write(self.summary())
        except MlflowException as error:
            log.warning("the study's run could not be updated: %s", type(error).__name__)
        drawing_s = time.time() - now
        self.study.set_user_attr(PAGE_DUE, now + max(PAGE_EVERY_S, drawing_s / PAGE_SHARE))

    def summary(self) -> StudySummary:
        """The results of the study so far."""
        return summarise(self.study, self.space, self.options)

    def _write(self, summary: StudySummary) -> None:
        files = {"trials.csv": summary.table.to_csv(index=False), STUDY_PAGE: study_page(self.study, self.options)}
        if summary.best is not None:
            files[BEST_RECIPE] = summary.recipe
        self.runs.describe(summary.description(self.runs.parent_id), summary.metrics(), files)

    def _write_last_page(self, summary: StudySummary) -> None:
        """Write the final page, unless another worker that waited for the same last trial has written it."""
        if self.study.user_attrs.get(PAGE_OF) != summary.states:
            self._write(summary)
            self.study.set_user_attr(PAGE_OF, summary.states)

    def _finish(self, state: str, reason: str = "") -> StudySummary:
        """Write the results; end the study's run once no worker has a trial running."""
        summary = self.summary()
        if self.parent_id:
            return summary
        with self.lock.held():
            self._write_last_page(summary)
            if not tickets.has(self.study, TrialState.RUNNING):
                self.runs.end_parent(state, reason)
            if summary.best is not None:
                path = STUDIES / self.name / BEST_RECIPE
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(summary.recipe, encoding="utf-8")
        return summary


def open_study(options: StudyOptions, space: Space, name: str, experiment: str, films_digest: str = "") -> OpenStudy:
    """Open the database and create or resume the study of this name; see `join_study`.

    Args:
        films_digest: of the films of all trials; not compared if empty.

    Raises:
        ConfigError: the database cannot be opened, or the study was created with another definition.
        TrackingError: the study's MLflow run is not in this store.
    """
    storage = open_storage(options.storage, options.heartbeat_s)
    return join_study(name, options, space, storage, experiment, films_digest=films_digest)


def join_study(
    name: str,
    options: StudyOptions,
    space: Space,
    storage: StudyStorage,
    experiment: str,
    parent_id: str = "",
    child: str = "trial",
    films_digest: str = "",
) -> OpenStudy:
    """Create or resume a study: under its lock, check its definition, open its MLflow run, enqueue missing trials.

    Args:
        parent_id, child: as in `OpenStudy`.

    Raises:
        ConfigError: the study was created with another definition.
        TrackingError: the study's MLflow run is not in this store.
    """
    lock, runs = StudyLock(storage, name), StudyRuns(name, experiment)
    with lock.held(), warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        study = optuna.create_study(
            storage=storage,
            study_name=name,
            sampler=build_sampler(options),
            pruner=build_pruner(options),
            directions=list(options.directions),
            load_if_exists=True,
        )
        _require_same_definition(study, options, space)
        _require_same_films(study, films_digest)
        if parent_id:
            runs.parent_id = parent_id
        else:
            _open_parent_run(study, runs, options, space)
        _enqueue_missing_trials(study, options, space)
    return OpenStudy(name, options, space, storage, experiment, study, runs, lock, parent_id, child)


def _require_same_definition(study: Study, options: StudyOptions, space: Space) -> None:
    text = json.dumps(_definition(options, space), sort_keys=True, default=str)
    digest = hashlib.sha256(text.encode()).hexdigest()
    stored_digest = study.user_attrs.get(DEFINITION_DIGEST)
    if stored_digest is None:
        study.set_user_attr(DEFINITION, json.loads(text))
        study.set_user_attr(DEFINITION_DIGEST, digest)
    elif stored_digest != digest:
        before, after = study.user_attrs[DEFINITION], json.loads(text)
        changed = [name for name in after if after[name] != before.get(name)]
        raise ConfigError(
            f"study {study.study_name!r} was created with different settings ({', '.join(changed)}): its trials could "
            "not be compared. Give the values it was created with, or another study name"
        )


def _require_same_films(study: Study, digest: str) -> None:
    """Compare the films with those of the former trials; a folder may have moved, its films must be the same."""
    before = str(study.user_attrs.get(FILMS_DIGEST, ""))
    if digest and not before:
        study.set_user_attr(FILMS_DIGEST, digest)
    elif digest and before != digest:
        raise ConfigError(
            f"study {study.study_name!r} was created with other films (digest {before[:12]}, now {digest[:12]}): its "
            "trials could not be compared. Give the films it was created with, or another study name"
        )


def _definition(options: StudyOptions, space: Space) -> dict[str, Any]:
    """What all trials of a study must share."""
    movable = ("tracking.", "training.device", "training.workers", "data.path")
    return {
        "objectives": options.objectives,
        "folds": options.folds,
        "space": space.file.model_dump(mode="json"),
        "configuration": {name: value for name, value in space.base.items() if not name.startswith(movable)},
        "grid": options.sampler == "grid",
    }


def _open_parent_run(study: Study, runs: StudyRuns, options: StudyOptions, space: Space) -> None:
    """Reopen the study's MLflow run, or create it and log the study's options and configuration."""
    stored_id = study.user_attrs.get(PARENT)
    parent_id = runs.open_parent(stored_id)
    if stored_id is None:
        study.set_user_attr(PARENT, parent_id)
        study.set_user_attr(PAGE_DUE, time.time() + PAGE_EVERY_S)
        given = options.model_dump(mode="json", exclude={"storage"}, exclude_defaults=True)
        shared = {f"config.{name}": space.base[name] for name in COMPARED if name in space.base}
        runs.parent_params({f"study.{name}": value for name, value in given.items()} | shared)
        runs.keep(parent_id, {CONFIGURATION: yaml.safe_dump(dict(space.base), sort_keys=False)})


def _enqueue_missing_trials(study: Study, options: StudyOptions, space: Space) -> None:
    grid, count = None, options.trials
    if options.sampler == "grid":
        grid = [space.enqueued(point) for point in space.grid()]
    elif count is None:
        count = DEFAULT_TRIALS
    n_before = len(tickets.counted(study.get_trials(deepcopy=False)))
    n_new = tickets.top_up(study, count, grid)
    if n_before:
        log.info("resuming study %s: %d trials exist, %d more are enqueued", study.study_name, n_before, n_new)
    else:
        log.info("%s", _plan_text(study.study_name, n_new, options, space))


def _plan_text(name: str, n_trials: int, options: StudyOptions, space: Space) -> str:
    """What a new study will do, in a line."""
    folds = f", each over {options.folds} folds" if options.folds > 1 else ""
    return (
        f"study {name}: {n_trials} trials{folds} of {', '.join(space.names)}; sampler {options.sampler}, "
        f"pruner {options.pruner}, objective {' and '.join(options.objectives)}"
    )
