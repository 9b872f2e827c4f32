"""A worker takes trials of a study until none is left. Any number of workers may share one study."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from optuna import Study, Trial, TrialPruned
from optuna.trial import FrozenTrial, TrialState

from spondylo_ml.errors import SpondyloError
from tuning import tickets
from tuning.attempt import Attempt, Objective
from tuning.failures import TrialFailedError, failure_reason, free_memory
from tuning.runs import TRIAL_TAG, StudyRuns
from tuning.space import Point, Space, point_text
from tuning.storage import SILENT_BEATS, StudyLock

log = logging.getLogger(__name__)

HOPELESS_AFTER = 5
LOST = "its worker was lost (killed, or without a heartbeat)"


class RepeatedFailureError(SpondyloError):
    """The first trials all failed for the same reason."""


@dataclass
class Worker:
    """Takes the trials of a study, one after the other.

    Attributes:
        on_end: called after each trial, outside the lock.
        child: what a trial's run is called, before its number.
        heartbeat_s: a trial is lost when its worker has been silent for `SILENT_BEATS` of these.
    """

    study: Study
    space: Space
    objective: Objective
    runs: StudyRuns
    lock: StudyLock
    heartbeat_s: float
    on_end: Callable[[], None] = lambda: None
    child: str = "trial"
    _reported_lost: set[int] = field(default_factory=set)
    _watched: dict[int, float] = field(default_factory=dict)
    _check_due: float = field(default_factory=time.monotonic)
    _hopeful: bool = False

    def work(self) -> None:
        """Take trials until none is waiting or running, in other workers too: if one is cut off, this one retries it.

        Raises:
            RepeatedFailureError: nothing has succeeded, and five trials failed for the same reason.
            KeyboardInterrupt: after the current trial was enqueued again.
        """
        try:
            while self._take_one() or self._wait_for_others():
                pass
        except KeyboardInterrupt:
            with self.lock.held():
                tickets.replace_cut_trials(self.study, self._on_lost)
            raise

    def _take_one(self) -> bool:
        """Run one waiting trial; False where none is waiting.

        The lock is held from reading the queue until the trial is taken, which is when its objective starts.
        """
        started: list[int] = []
        with self.lock.held() as release:
            if not self._one_is_waiting():
                return False

            def objective(trial: Trial) -> tuple[float, ...]:
                started.append(trial.number)
                release()
                return self._attempt(trial)

            try:
                self.study.optimize(objective, n_trials=1, catch=(Exception,))
            except (ValueError, AssertionError):
                # Optuna raises either if another worker has meanwhile marked the trial as failed.
                if not any(tickets.has_ended(self.study, number) for number in started):
                    raise
                log.warning("a trial was marked as lost while it was running here: its result does not count")
        self.on_end()
        self._stop_if_hopeless()
        return True

    def _one_is_waiting(self) -> bool:
        """Whether a trial is waiting; replaces cut-off trials once per heartbeat, and before answering no."""
        now = time.monotonic()
        if now < self._check_due and tickets.has(self.study, TrialState.WAITING):
            return True
        tickets.replace_cut_trials(self.study, self._on_lost)
        self._check_due = now + self.heartbeat_s
        return tickets.has(self.study, TrialState.WAITING)

    def _wait_for_others(self) -> bool:
        """Wait a moment while other workers have trials running; False where none has."""
        if not tickets.has(self.study, TrialState.RUNNING) and not tickets.has(self.study, TrialState.WAITING):
            return False
        if not self._watched:
            log.info("no trial is left to take; waiting for other workers' trials (Ctrl-C stops waiting)")
        silent_s = SILENT_BEATS * self.heartbeat_s
        for trial in tickets.never_started(self.study):
            if time.monotonic() - self._watched.setdefault(trial.number, time.monotonic()) > silent_s:
                tickets.give_up(self.study, trial)
        self._watched.setdefault(-1, time.monotonic())
        time.sleep(min(5.0, self.heartbeat_s / 2))
        return True

    def _attempt(self, trial: Trial) -> tuple[float, ...]:
        """Run the trial; store the reason of a failure, or that it was interrupted, in the study."""
        retry_of = trial.user_attrs.get(tickets.STARTED)  # a retry has the attributes of the trial that was cut off
        trial.set_user_attr(tickets.STARTED, trial.number)
        try:
            return self._run(trial, retry_of)
        except TrialPruned:
            raise
        except KeyboardInterrupt:
            trial.set_user_attr(tickets.INTERRUPTED, trial.number)
            raise
        except Exception as error:
            reason = failure_reason(error)
            trial.set_user_attr(tickets.FAILURE, reason)
            log.warning("trial %d failed: %s", trial.number, _with_details(reason, error))
            free_memory()
            raise

    def _run(self, trial: Trial, retry_of: int | None) -> tuple[float, ...]:
        """Evaluate the trial's configuration within an MLflow run that ends in the trial's state."""
        point = self.space.suggest(trial)
        run_id = self._start_run(trial, point, retry_of)
        log.info("trial %d: %s", trial.number, point_text(point))
        try:
            config = self.space.resolve(point)
            prunes = len(self.study.directions) == 1
            result = self.objective(Attempt(trial, config, run_id, self.runs, prunes))
            if not all(math.isfinite(value) for value in result.values):
                raise TrialFailedError(f"its value is not finite: {', '.join(map(str, result.values))}")
        except TrialPruned as pruned:
            self.runs.finish(run_id, "PRUNED", f"pruned {pruned}")
            log.info("trial %d: pruned %s", trial.number, pruned)
            raise
        except KeyboardInterrupt:
            self.runs.finish(run_id, "INTERRUPTED", "interrupted; it will be retried when the study is resumed")
            raise
        except Exception as error:
            self.runs.finish(run_id, "FAIL", _with_details(failure_reason(error), error))
            raise
        self.runs.keep(run_id, result.files)
        objectives = {f"objective/{i}": value for i, value in enumerate(result.values)}
        self.runs.finish(run_id, "COMPLETE", metrics={**result.metrics, **objectives})
        log.info("trial %d: %s", trial.number, ", ".join(f"{value:.4g}" for value in result.values))
        return tuple(result.values)

    def _start_run(self, trial: Trial, point: Point, retry_of: int | None) -> str:
        """The trial's run, with the values that differ between trials; the study's run has those that all share."""
        settings = self.space.settings(point)  # a variant sets values under other names
        model = settings.get("model.name", self.space.base["model.name"])
        tags = {TRIAL_TAG: str(trial.number), "model": str(model)}
        if retry_of is not None:
            tags["retry_of"] = str(retry_of)
        # Named as in a training run, so that MLflow shows both in one column; a variant itself is no setting.
        params = {f"config.{name}": value for name, value in settings.items()}
        params |= {f"tuned.{name}": value for name, value in point.items() if name not in settings}
        run_id = self.runs.start(f"{self.child} {trial.number:03d}", tags, params)
        trial.set_user_attr(tickets.TRIAL_RUN_ID, run_id)
        return run_id

    def _on_lost(self, trial: FrozenTrial) -> None:
        """End the MLflow run of a lost trial, which would otherwise stay RUNNING."""
        run_id = trial.user_attrs.get(tickets.TRIAL_RUN_ID)
        started = trial.user_attrs.get(tickets.STARTED) == trial.number
        if trial.number not in self._reported_lost and started and run_id:
            self.runs.finish(run_id, "FAIL", LOST)
            log.warning("trial %d failed: %s", trial.number, LOST)
        self._reported_lost.add(trial.number)

    def _stop_if_hopeless(self) -> None:
        if self._hopeful:
            return
        trials = self.study.get_trials(deepcopy=False)
        self._hopeful = any(t.state in (TrialState.COMPLETE, TrialState.PRUNED) for t in trials)
        if reason := tickets.same_failure_throughout(trials, HOPELESS_AFTER):
            raise RepeatedFailureError(
                f"the study stops: nothing has succeeded, and {HOPELESS_AFTER} trials failed for the same reason: "
                f"{reason}. Fix that; the same command then resumes the study"
            )


def _with_details(reason: str, error: Exception) -> str:
    """The reason with the message of one of our own errors, which is safe to keep."""
    message = error.in_run() if isinstance(error, SpondyloError) else ""
    if message.startswith(reason):
        return message
    return f"{reason}: {message}" if message and message not in reason else reason
