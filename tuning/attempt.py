"""One trial, as passed to the objective."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from optuna import Trial, TrialPruned

from spondylo_ml.config import Config
from tuning.failures import failure_reason
from tuning.runs import TRIAL_TAG, StudyRuns


@dataclass(frozen=True)
class Attempt:
    """A configuration to try, and where to report intermediate values.

    Attributes:
        run_id: the trial's MLflow run.
        prunes: whether reports may end the trial; False with two objectives.
    """

    trial: Trial
    config: Config
    run_id: str
    runs: StudyRuns
    prunes: bool = True

    def report(self, value: float, step: int) -> None:
        """Report the objective's value at a step.

        Raises:
            TrialPruned: the pruner ends the trial here.
        """
        if not self.prunes:
            return
        self.trial.report(value, step)
        if self.trial.should_prune():
            raise TrialPruned(f"after step {step}, at {value:g}")

    @contextmanager
    def fold(self, index: int) -> Iterator[str]:
        """Open a fold's run as a child of the trial's; it ends in the fold's state."""
        number = self.trial.number
        run_id = self.runs.start(
            f"trial {number:03d} fold {index + 1}", {TRIAL_TAG: str(number), "fold": str(index + 1)}, {}, self.run_id
        )
        try:
            yield run_id
        except TrialPruned as pruned:
            self.runs.finish(run_id, "PRUNED", str(pruned))
            raise
        except KeyboardInterrupt:
            self.runs.finish(run_id, "INTERRUPTED", "interrupted")
            raise
        except BaseException as error:
            self.runs.finish(run_id, "FAIL", failure_reason(error))
            raise
        self.runs.finish(run_id, "COMPLETE")


@dataclass(frozen=True)
class TrialResult:
    """The result of an objective.

    Attributes:
        values: one per objective of the study, in their order.
        metrics: other numbers for the trial's run.
        files: text artefacts for the trial's run, by path.
    """

    values: Sequence[float]
    metrics: Mapping[str, float]
    files: Mapping[str, str] = field(default_factory=dict)


Objective = Callable[[Attempt], TrialResult]
