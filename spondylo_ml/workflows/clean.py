"""`clean`: delete old runs, their files and checkpoints that no rule keeps. Imports no torch, so that it is quick."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from mlflow.entities import LifecycleStage, Run
from mlflow.tracking import MlflowClient

from spondylo_ml.config import CleanConfig
from spondylo_ml.errors import RunInUseError
from spondylo_ml.tracking.checkpoints import checkpoint_root, folders_of
from spondylo_ml.tracking.claim import existing_folders_locked
from spondylo_ml.tracking.dead_runs import dead_runs, end_dead_runs
from spondylo_ml.tracking.outcome import OPEN
from spondylo_ml.tracking.resume import RUN_FILE
from spondylo_ml.tracking.retention import RetentionLimits, RetentionPolicy, registered_runs
from spondylo_ml.tracking.run_files import REMOVED_TAG, delete_files, files_bytes, mark_removed
from spondylo_ml.tracking.run_kinds import OTHER, kind_of
from spondylo_ml.tracking.search import search_runs
from spondylo_ml.tracking.store import get_run
from spondylo_ml.tracking.store_check import require_store
from spondylo_ml.training.checkpoint_files import files_in


@dataclass(frozen=True)
class OldCheckpoints:
    """Checkpoints of a run that no rule keeps."""

    run: Run
    files: tuple[Path, ...]
    n_bytes: int


@dataclass(frozen=True)
class OldFiles:
    """Artefacts and models of a run that is deleted, now or by an earlier `clean`."""

    run: Run
    n_bytes: int


@dataclass(frozen=True)
class Cleaning:
    """What `clean` deletes, or would delete.

    Attributes:
        deleted: whether it was deleted; otherwise it is only listed.
        kept_runs, kept_checkpoints: number of runs by the reason for which they, or their checkpoints, are kept.
        unknown_folders: folders beside the checkpoints that belong to no run of this store; they are left alone.
        killed: runs of the experiments asked for whose state was set to KILLED, since their process was killed.
        refusals: why that was not possible for other runs, by run id.
        files: of `runs` and of those that an earlier `clean` deleted, but not of those that somebody else deleted.
        unreachable_files: why files could not be listed or deleted, by run id; the next `clean` tries again.
        ages_days, ranks: by run id; a run without a rank is no training run, or has no value of the metric.
    """

    deleted: bool
    checkpoints: tuple[OldCheckpoints, ...]
    runs: tuple[Run, ...]
    kept_checkpoints: Counter[str]
    kept_runs: Counter[str]
    unknown_folders: tuple[Path, ...]
    ages_days: dict[str, float]
    ranks: dict[str, int]
    killed: tuple[Run, ...] = ()
    refusals: Mapping[str, str] = field(default_factory=dict)
    files: tuple[OldFiles, ...] = ()
    unreachable_files: Mapping[str, str] = field(default_factory=dict)

    @property
    def n_bytes(self) -> int:
        """Size of the checkpoints, artefacts and models."""
        return sum(item.n_bytes for item in self.checkpoints) + sum(item.n_bytes for item in self.files)


def clean(config: CleanConfig) -> Cleaning:
    """List what no rule keeps and, if asked to, delete it. Runs that were killed get the state KILLED in any case.

    Both only in the experiment that is named, if one is.

    Raises:
        TrackingError: the store or the registry does not answer, or there is no such experiment.
    """
    require_store()
    killed, refusals = end_dead_runs(dead_runs(config.experiment))
    cleaning = replace(plan_cleaning(config, int(time.time() * 1000)), killed=tuple(killed), refusals=refusals)
    return _carried_out(cleaning) if config.delete else cleaning


def plan_cleaning(config: CleanConfig, now_ms: int) -> Cleaning:
    """What no rule keeps at a time, in ms since 1970; deletes nothing.

    Raises:
        TrackingError: see `clean`.
    """
    limits = RetentionLimits(config.older_than_days, config.keep_newest, config.keep_best, config.metric)
    policy = RetentionPolicy(search_runs(), registered_runs(), limits, now_ms)
    of_deleted = replace(policy, limits=replace(limits, keep_newest=0, keep_best=0))
    considered = search_runs(experiment=config.experiment)
    deleted_before = search_runs("", config.experiment, deleted=True)
    kept_checkpoints, kept_runs = Counter[str](), Counter[str]()
    checkpoints, runs = [], []
    if "checkpoints" in config.what:
        reasons = [(run, policy.reason_for_checkpoints(run)) for run in considered]
        reasons += [(run, of_deleted.reason(run)) for run in deleted_before]
        for run, reason in reasons:
            item = _checkpoints_of(run)
            if item is not None and reason:
                kept_checkpoints[reason] += 1
            elif item is not None:
                checkpoints.append(item)
    if "runs" in config.what:
        for run in considered:
            if reason := policy.reason_as_part(run):
                kept_runs[reason] += 1
            else:
                runs.append(run)
    files: list[OldFiles] = []
    unreachable: dict[str, str] = {}
    if "artefacts" in config.what:
        removed = [run for run in deleted_before if REMOVED_TAG in run.data.tags and not of_deleted.reason(run)]
        files, unreachable = _files_of([*runs, *removed])
    touched = [*runs, *(item.run for item in checkpoints), *(item.run for item in files)]
    return Cleaning(
        deleted=False,
        checkpoints=tuple(checkpoints),
        runs=tuple(runs),
        kept_checkpoints=kept_checkpoints,
        kept_runs=kept_runs,
        unknown_folders=tuple(_unknown_folders()),
        ages_days={run.info.run_id: policy.age_days(run) for run in touched},
        ranks={run.info.run_id: rank for run in touched if (rank := policy.ranks.get(run.info.run_id))},
        files=tuple(files),
        unreachable_files=unreachable,
    )


def _checkpoints_of(run: Run) -> OldCheckpoints | None:
    """The run's checkpoints on this machine; None if it has none, or if a folder does not say that it is the run's."""
    if kind_of(run) == OTHER:
        return None
    for folder in folders_of(run):
        if _run_id_in(folder) == run.info.run_id:
            files = tuple(files_in(folder))
            return OldCheckpoints(run, files, sum(path.stat().st_size for path in files)) if files else None
    return None


def _files_of(runs: list[Run]) -> tuple[list[OldFiles], dict[str, str]]:
    """What MLflow keeps of the runs, and by run id why it cannot be listed."""
    files: list[OldFiles] = []
    unreachable: dict[str, str] = {}
    for run in runs:
        try:
            n_bytes = files_bytes(run)
        except Exception as error:  # the clients of S3, Azure and others raise types of their own
            unreachable[run.info.run_id] = f"{type(error).__name__}: {error}"
        else:
            files += [OldFiles(run, n_bytes)] if n_bytes else []
    return files, unreachable


def _run_id_in(folder: Path) -> str:
    try:
        return (folder / RUN_FILE).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _unknown_folders() -> Iterator[Path]:
    """Folders with checkpoints beside the store that belong to no run of it."""
    known = {run.info.run_id for deleted in (False, True) for run in search_runs(deleted=deleted)}
    for folder in sorted(checkpoint_root().glob("*/")):
        if _run_id_in(folder) not in known and files_in(folder):
            yield folder


def _carried_out(cleaning: Cleaning) -> Cleaning:
    """Delete checkpoints, runs and files; a run that was resumed or restored meanwhile is left alone."""
    checkpoints = tuple(item for item in cleaning.checkpoints if _checkpoints_deleted(item))
    runs = tuple(run for run in cleaning.runs if _run_deleted(run))
    unreachable = dict(cleaning.unreachable_files)
    files = tuple(item for item in cleaning.files if _files_deleted(item, unreachable))
    return replace(
        cleaning, deleted=True, checkpoints=checkpoints, runs=runs, files=files, unreachable_files=unreachable
    )


def _files_deleted(item: OldFiles, unreachable: dict[str, str]) -> bool:
    run = get_run(item.run.info.run_id)
    if run.info.lifecycle_stage != LifecycleStage.DELETED:
        return False
    try:
        delete_files(run)
    except Exception as error:  # as in `_files_of`
        unreachable[run.info.run_id] = f"{type(error).__name__}: {error}"
        return False
    return True


def _checkpoints_deleted(item: OldCheckpoints) -> bool:
    with _unless_resumed(item.run) as ended:
        for file in item.files if ended else ():
            file.unlink(missing_ok=True)
    return ended


def _run_deleted(run: Run) -> bool:
    with _unless_resumed(run) as ended:
        if ended:
            mark_removed(run.info.run_id)
            MlflowClient().delete_run(run.info.run_id)
    return ended


@contextmanager
def _unless_resumed(run: Run) -> Iterator[bool]:
    """Whether the run has still ended; nobody can resume it on this machine until the block ends."""
    with ExitStack() as stack:
        try:
            stack.enter_context(existing_folders_locked(run, "deletes this run or its checkpoints"))
        except RunInUseError:
            yield False
        else:
            yield get_run(run.info.run_id).info.status not in OPEN
