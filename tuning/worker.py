"""A worker: takes trials of a study until none is left. Any number of them may work on one study."""

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
from tuning.failures import OUT_OF_MEMORY, TrialFailedError, free_memory, reason
from tuning.runs import TRIAL_TAG, StudyRuns
from tuning.space import Point, Space
from tuning.storage import SILENT_BEATS, StudyLock

log = logging.getLogger(__name__)

HOPELESS_AFTER = 5
LOST = "its worker was lost (killed, or without a heartbeat)"


class HopelessStudyError(SpondyloError):
    """The first trials all failed for one reason."""


@dataclass
class Worker:
    """Takes trials of a study, one after the other.

    Attributes:
        on_end: called after each trial, outside the lock.
        child: what a trial's run is called, before its number.
        heartbeat_s: a trial whose worker has been silent for three of these is lost.
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
    _roll_call_due: float = field(default_factory=time.monotonic)
    _hopeful: bool = False

    def work(self) -> None:
        """Take trials until none waits and none runs, also none of another worker, whose cut trial would be ours.

        Raises:
            HopelessStudyError: nothing has succeeded, and five trials failed for the same reason.
            KeyboardInterrupt: after the trial was given back.
        """
        try:
            while self._take_one() or self._wait_for_others():
                pass
        except KeyboardInterrupt:
            with self.lock.held():
                tickets.replace_cut_trials(self.study, self._on_lost)
            raise

    def _take_one(self) -> bool:
        """Run one waiting trial; False where none waits.

        The lock is held from the look at the queue until the trial is ours, which is when its objective begins.
        """
        with self.lock.held() as release:
            if not self._one_waits():
                return False

            def objective(trial: Trial) -> tuple[float, ...]:
                release()
                return self._attempt(trial)

            try:
                self.study.optimize(objective, n_trials=1, catch=(Exception,))
            except ValueError as error:
                if "Cannot tell" not in str(error):
                    raise
                log.warning("a trial was given up as lost while it ran here: its result does not count")
        self.on_end()
        self._stop_if_hopeless()
        return True

    def _one_waits(self) -> bool:
        """Whether a trial waits. Cut trials are looked for once a heartbeat, and before there is said to be none."""
        now = time.monotonic()
        if now < self._roll_call_due and tickets.has(self.study, TrialState.WAITING):
            return True
        tickets.replace_cut_trials(self.study, self._on_lost)
        self._roll_call_due = now + self.heartbeat_s
        return tickets.has(self.study, TrialState.WAITING)

    def _wait_for_others(self) -> bool:
        """Wait a little while other workers have trials running; False where there are none."""
        if not tickets.has(self.study, TrialState.RUNNING) and not tickets.has(self.study, TrialState.WAITING):
            return False
        if not self._watched:
            log.info("no trial is left to take; waiting for those of other workers (Ctrl-C leaves them to it)")
        silent_s = SILENT_BEATS * self.heartbeat_s
        for trial in tickets.never_started(self.study):
            if time.monotonic() - self._watched.setdefault(trial.number, time.monotonic()) > silent_s:
                tickets.give_up(self.study, trial)
        self._watched.setdefault(-1, time.monotonic())
        time.sleep(min(5.0, self.heartbeat_s / 2))
        return True

    def _attempt(self, trial: Trial) -> tuple[float, ...]:
        """Run the trial; a failure leaves its reason with the study, an interruption says that it was one."""
        retry_of = trial.user_attrs.get(tickets.STARTED)  # a successor has the attributes of the trial that was cut
        trial.set_user_attr(tickets.STARTED, trial.number)
        try:
            return self._run(trial, retry_of)
        except TrialPruned:
            raise
        except KeyboardInterrupt:
            trial.set_user_attr(tickets.INTERRUPTED, trial.number)
            raise
        except Exception as error:
            why = reason(error)
            trial.set_user_attr(tickets.FAILURE, why)
            log.warning("trial %d failed: %s", trial.number, _with_error(why, error))
            if why == OUT_OF_MEMORY:
                free_memory()
            raise

    def _run(self, trial: Trial, retry_of: int | None) -> tuple[float, ...]:
        """Try the trial's configuration within an MLflow run that ends in the trial's state."""
        point = self.space.suggest(trial)
        run_id = self._start_run(trial, point, retry_of)
        log.info("trial %d: %s", trial.number, in_words(point))
        try:
            config = self.space.resolve(point)
            prunes = len(self.study.directions) == 1
            found = self.objective(Attempt(trial, config, run_id, self.runs, prunes))
            if not all(math.isfinite(value) for value in found.values):
                raise TrialFailedError(f"its value is not finite: {', '.join(map(str, found.values))}")
        except TrialPruned as pruned:
            self.runs.finish(run_id, "PRUNED", f"pruned {pruned}")
            log.info("trial %d: pruned %s", trial.number, pruned)
            raise
        except KeyboardInterrupt:
            self.runs.finish(run_id, "INTERRUPTED", "interrupted; it is tried again when the study goes on")
            raise
        except Exception as error:
            self.runs.finish(run_id, "FAIL", _with_error(reason(error), error))
            raise
        self.runs.keep(run_id, found.files)
        objectives = {f"objective/{i}": value for i, value in enumerate(found.values)}
        self.runs.finish(run_id, "COMPLETE", metrics={**found.metrics, **objectives})
        log.info("trial %d: %s", trial.number, ", ".join(f"{value:.4g}" for value in found.values))
        return tuple(found.values)

    def _start_run(self, trial: Trial, point: Point, retry_of: int | None) -> str:
        """The trial's run, with what distinguishes it: what all share is with the study's run."""
        spelt_out = self.space.settings(point)  # a variant sets values under other names
        model = spelt_out.get("model.name", self.space.base["model.name"])
        tags = {TRIAL_TAG: str(trial.number), "model": str(model)}
        if retry_of is not None:
            tags["retry_of"] = str(retry_of)
        params = {f"tuned.{name}": value for name, value in point.items()}
        params |= {f"config.{name}": value for name, value in spelt_out.items() if name not in point}
        run_id = self.runs.start(f"{self.child} {trial.number:03d}", tags, params)
        trial.set_user_attr(tickets.RUN_ID, run_id)
        return run_id

    def _on_lost(self, trial: FrozenTrial) -> None:
        """The MLflow run of a lost trial would be RUNNING for ever."""
        run_id = trial.user_attrs.get(tickets.RUN_ID)
        begun = trial.user_attrs.get(tickets.STARTED) == trial.number
        if trial.number not in self._reported_lost and begun and run_id:
            self.runs.finish(run_id, "FAIL", LOST)
            log.warning("trial %d failed: %s", trial.number, LOST)
        self._reported_lost.add(trial.number)

    def _stop_if_hopeless(self) -> None:
        if self._hopeful:
            return
        trials = self.study.get_trials(deepcopy=False)
        self._hopeful = any(t.state in (TrialState.COMPLETE, TrialState.PRUNED) for t in trials)
        if why := tickets.same_failure_throughout(trials, HOPELESS_AFTER):
            raise HopelessStudyError(
                f"the study stops: nothing has succeeded, and {HOPELESS_AFTER} trials failed for the same reason: "
                f"{why}. Fix that; the same command then goes on with the study"
            )


def in_words(point: Point) -> str:
    """A point on one line."""
    values = (f"{value:.4g}" if isinstance(value, float) else str(value) for value in point.values())
    return ", ".join(f"{name}={value}" for name, value in zip(point, values, strict=True))


def _with_error(why: str, error: Exception) -> str:
    """The reason, and what our own errors add to it."""
    detail = error.in_run() if isinstance(error, SpondyloError) else ""
    if detail.startswith(why):
        return detail
    return f"{why}: {detail}" if detail and detail not in why else why
