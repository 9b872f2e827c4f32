"""Which runs of the store must be kept, and why: the rules of `clean`."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from spondylo_ml.errors import TrackingError
from spondylo_ml.evaluation.catalogue import lower_is_better
from spondylo_ml.tracking.outcome import OPEN
from spondylo_ml.tracking.provenance import PRETRAINED_RUN
from spondylo_ml.tracking.run_kinds import BENCHMARK, CROSS_VALIDATION, OTHER, STUDY, TRAINING, kind_of, parent_of
from spondylo_ml.tracking.run_metrics import BEST, metric_of

MS_A_DAY = 24 * 3600 * 1000
PROMOTION = "promote"
UNRECOGNISED = "not recognised: another program's, or failed before it started its work"
_RUN_ID, _MODEL_ID = re.compile(r"\b[0-9a-f]{32}\b"), re.compile(r"^models:/(m-[0-9a-f]+)$")


@dataclass(frozen=True)
class RetentionLimits:
    """Up to which age and rank runs are kept; see `CleanConfig`."""

    older_than_days: float
    keep_newest: int
    keep_best: int
    metric: str


@dataclass(frozen=True)
class RetentionPolicy:
    """The rules, applied to the runs of a store.

    Attributes:
        runs: all runs that are not deleted, newest first.
        registered: registered model and version by run id.
        now_ms: the time to which ages are counted.
    """

    runs: Sequence[Run]
    registered: Mapping[str, str]
    limits: RetentionLimits
    now_ms: int

    def reason(self, run: Run) -> str:
        """Why the run itself must be kept, with its checkpoints; empty if no rule keeps it."""
        run_id = run.info.run_id
        if kind_of(run) == OTHER:
            return UNRECOGNISED
        if run.info.status in OPEN:
            return "still running, as far as the store knows"
        if run_id in self.registered:
            return f"registered as {self.registered[run_id]}"
        if kind_of(run) == PROMOTION:
            return "the record of a promotion"
        if self.age_days(run) < self.limits.older_than_days:
            return f"younger than {self.limits.older_than_days:g} days"
        if run_id in self._newest:
            return f"among the {self.limits.keep_newest} newest of its command"
        if 0 < self.ranks.get(run_id, math.inf) <= self.limits.keep_best:
            return f"among the best {self.limits.keep_best} of its model and dataset"
        return ""

    @cached_property
    def _starts(self) -> Mapping[str, str]:
        """By run id, the kept run that went on from its model: without it nobody knows what that one was trained on."""
        starts: dict[str, str] = {}
        waiting = [run for run in self.runs if self._reason_in_tree(run)]
        while waiting:
            run = waiting.pop()
            start = self._by_id.get(run.data.tags.get(PRETRAINED_RUN, ""))
            if start is not None and start.info.run_id not in starts:
                starts[start.info.run_id] = run.info.run_id
                waiting.append(start)
        return starts

    def reason_as_part(self, run: Run) -> str:
        """Why the run must be kept: its own reason, that of a run in the same tree, or of one that goes on from it."""
        if reason := self._reason_in_tree(run):
            return reason
        later = self._starts.get(run.info.run_id)
        return f"run {later[:8]}, which is kept, goes on from its model" if later else ""

    def _reason_in_tree(self, run: Run) -> str:
        """The run's own reason, that of a run in the same tree, or the kind of tree.

        A parent is kept as long as one of its children is, and a child as long as its parent is.
        """
        if own := self.reason(run):
            return own
        root = self._root(run)
        if kind_of(root) in (STUDY, BENCHMARK, CROSS_VALIDATION):
            return "a study, benchmark or cross-validation, or part of one"
        of_tree = (self.reason(other) for other in self._trees[root.info.run_id])
        return "parent or child of a run that is kept" if any(of_tree) else ""

    def reason_for_checkpoints(self, run: Run) -> str:
        """Why the run's checkpoints must be kept; empty if no rule keeps them."""
        parent = self._by_id.get(parent_of(run) or "")
        if parent is not None and kind_of(parent) in (BENCHMARK, CROSS_VALIDATION) and parent.info.status != "FINISHED":
            return "part of a benchmark or cross-validation that is not finished"
        return self.reason(run)

    def age_days(self, run: Run) -> float:
        """Days since the run ended, or since it started if it has no end."""
        return float(self.now_ms - (run.info.end_time or run.info.start_time or self.now_ms)) / MS_A_DAY

    @cached_property
    def ranks(self) -> Mapping[str, int]:
        """Rank of each training run that has the metric, among those of its model and films; 1 is the best."""
        sign = 1 if lower_is_better(self.limits.metric) else -1
        groups: dict[tuple[str, ...], list[Run]] = defaultdict(list)
        for run in self.runs:
            if kind_of(run) == TRAINING and not math.isnan(self._value(run)):
                # The name of a dataset is that of its folder, which others may have too.
                groups[tuple(run.data.tags.get(tag, "") for tag in ("model", "dataset", "data_digest.val"))].append(run)
        ranked = (sorted(group, key=lambda run: sign * self._value(run)) for group in groups.values())
        return {run.info.run_id: rank for group in ranked for rank, run in enumerate(group, start=1)}

    def _value(self, run: Run) -> float:
        return self._values.get(run.info.run_id, math.nan)

    @cached_property
    def _values(self) -> Mapping[str, float]:
        """The metric of each training run that has it.

        Raises:
            TrackingError: runs are to be kept by the metric, and no finished training run has it.
        """
        trained = [run for run in self.runs if kind_of(run) == TRAINING and run.info.status == "FINISHED"]
        values = {run.info.run_id: metric_of(run, self.limits.metric) for run in self.runs if kind_of(run) == TRAINING}
        if self.limits.keep_best and trained and all(math.isnan(values[run.info.run_id]) for run in trained):
            names = ", ".join(sorted({name for run in trained for name in run.data.metrics if name.startswith(BEST)}))
            raise TrackingError(
                f"metric: no finished training run has {self.limits.metric}, by which the best are to be kept. They "
                f"have {names}"
            )
        return values

    @cached_property
    def _newest(self) -> frozenset[str]:
        groups: dict[str, list[str]] = defaultdict(list)
        for run in self.runs:
            groups[kind_of(run)].append(run.info.run_id)
        return frozenset(run_id for group in groups.values() for run_id in group[: self.limits.keep_newest])

    @cached_property
    def _by_id(self) -> Mapping[str, Run]:
        return {run.info.run_id: run for run in self.runs}

    @cached_property
    def _trees(self) -> Mapping[str, Sequence[Run]]:
        trees: dict[str, list[Run]] = defaultdict(list)
        for run in self.runs:
            trees[self._root(run).info.run_id].append(run)
        return trees

    def _root(self, run: Run) -> Run:
        seen = {run.info.run_id}
        while (parent := self._by_id.get(parent_of(run) or "")) is not None and parent.info.run_id not in seen:
            seen.add(parent.info.run_id)
            run = parent
        return run


def registered_runs() -> dict[str, str]:
    """Registered model and version of each run whose model is registered, whatever its alias."""
    client = MlflowClient()
    aliases = {
        (model.name, str(version)): alias
        for model in client.search_registered_models()
        for alias, version in model.aliases.items()
    }
    out: dict[str, str] = {}
    for version in client.search_model_versions():
        alias = aliases.get((version.name, str(version.version)))
        text = f"{version.name} version {version.version}{f' ({alias})' if alias else ''}"
        source = str(version.source or "")
        run_ids = {version.run_id, *_RUN_ID.findall(source), _run_of_model(client, source)} - {None, ""}
        out |= {str(run_id): text for run_id in run_ids}
    return out


def _run_of_model(client: MlflowClient, source: str) -> str | None:
    """Id of the run that logged the model of an address `models:/m-...`; None for other addresses."""
    model_id = _MODEL_ID.match(source)
    if model_id is None:
        return None
    try:
        return client.get_logged_model(model_id[1]).source_run_id
    except MlflowException:
        return None
