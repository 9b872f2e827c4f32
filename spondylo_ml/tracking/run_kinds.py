"""What a run of the store is, by its tags: the command that opened it, or its part in a study or cross-validation."""

from __future__ import annotations

from collections.abc import Iterable

from mlflow.entities import Run

from spondylo_ml.tracking.checkpoints import FOLDER_TAG
from spondylo_ml.tracking.store import COMMAND_TAG, PARENT_TAG

TRAINING, STUDY, TRIAL, BENCHMARK, CROSS_VALIDATION = "train", "tune", "trial", "benchmark", "cross-validation"
GROUPS = (STUDY, TRIAL, BENCHMARK, CROSS_VALIDATION)
"""Kinds of runs whose children are parts of them."""

OTHER = ""
"""The kind of a run that this project did not open, or that ended before it said what it is."""

_KIND_BY_TAG = (
    ("trial", TRIAL), ("worker_of", STUDY), ("study_state", STUDY), ("folds", CROSS_VALIDATION),
    ("benchmark", BENCHMARK), ("judged_run", "evaluate"), ("diagnosed_run", "diagnose"), ("compared_runs", "compare"),
    ("candidates", "promote"), ("predicted_by", "predict"), ("exported_model", "export-onnx"), (FOLDER_TAG, TRAINING),
)  # fmt: skip
"""A tag that only runs of this kind have; the first one that a run has decides."""

_COMMIT_TAG = "git_commit"
"""A tag of every run of this project that has got as far as its work."""


def kind_of(run: Run) -> str:
    """The kind of a run: a command, `trial` or `cross-validation`; `OTHER` if its tags do not show one."""
    tags = run.data.tags
    if _COMMIT_TAG not in tags and FOLDER_TAG not in tags:
        return OTHER  # another program may use the same words for its tags
    return next((kind for tag, kind in _KIND_BY_TAG if tag in tags), str(tags.get(COMMAND_TAG, OTHER)))


def parent_of(run: Run) -> str | None:
    """Id of the parent run, if there is one."""
    parent = run.data.tags.get(PARENT_TAG)
    return None if parent is None else str(parent)


def without_parts(runs: Iterable[Run]) -> list[Run]:
    """The runs that are not trials, folds or entries of a study, cross-validation or benchmark among these runs."""
    by_id = {run.info.run_id: run for run in runs}
    groups = {run_id for run_id, run in by_id.items() if kind_of(run) in GROUPS}
    return [run for run in by_id.values() if parent_of(run) not in groups and kind_of(run) != TRIAL]
