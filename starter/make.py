"""Train the starter model, or resume its training run, and write it to the folder from which `load("starter")` reads.

The same code, recipe, packages and machine give the same digest, also if the training run was killed and resumed: the
length is counted in film passes, and the numbers of threads and workers are fixed. There are two training runs: one of
everything but the close-up, on films of moderate size, and one of the close-up alone, on larger films.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from io import TextIOBase
from pathlib import Path
from typing import TextIO

import mlflow
import torch
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from spondylo_ml.config import Config
from spondylo_ml.config.paths import expanded
from spondylo_ml.errors import ConfigError, DataError, TrackingError
from spondylo_ml.serving.artefact import fetch_bundle
from spondylo_ml.serving.bundle import MANIFEST, WEIGHTS, save_bundle
from spondylo_ml.serving.local_model import DESCRIPTION, ORIGIN
from spondylo_ml.tracking.provenance import git_commit
from spondylo_ml.tracking.resume import Resume
from spondylo_ml.workflows.train import train
from spondylo_ml.workflows.train.resumable import find_resumable
from starter.build import CARD, Origins, build_starter, evaluate_again
from starter.options import LARGEST_MB, THREADS, StarterOptions
from starter.recipe import close_up_config, starter_config

log = logging.getLogger(__name__)

FILES = frozenset({DESCRIPTION, WEIGHTS, MANIFEST, ORIGIN, CARD})
REQUEST, LOG, LOCK, BUILT = "request.json", "starter.log", "lock", "built"
CLOSE_UP, FIRST_MODEL = "close_up", "first_model"
"""Folders of the second training run, and of the model of the first one, on top of which it trains."""


@dataclass(frozen=True)
class Starter:
    """The starter model that was made.

    Attributes:
        digest: SHA-256 of its manifest.
        size_mb: of all its files.
    """

    folder: Path
    digest: str
    size_mb: float


def make_starter(options: StarterOptions) -> Starter:
    """Train, build and store the starter model.

    Raises:
        ConfigError: the recipe is not repeatable, or differs from that of the training run to resume.
        SpondyloError: changed code, another process in the same folder, or a model that is too large.
    """
    commit = required_commit(options.changed_code)
    work, to = (expanded(folder).absolute() for folder in (options.work, options.to))
    require_replaceable(to)
    work.mkdir(parents=True, exist_ok=True)
    with _only_process(work / LOCK), _copied_to(work / LOG):
        torch.set_num_threads(THREADS)
        if options.evaluate_again:
            digest = evaluate_again(to, work / BUILT, starter_config(options.smoke).reading, commit)
            return _stored(work / BUILT, to, digest)
        first = _training(work, starter_config(options.smoke), commit)
        first_model = work / FIRST_MODEL
        save_bundle(fetch_bundle(first.run_id), _emptied(first_model))
        config = close_up_config(options.smoke, first_model)
        second = _training(work / CLOSE_UP, config, commit)
        made_by = Origins(
            weights_from=first.weights_from, training=first.commit, close_up=second.commit, building=commit
        )
        digest = build_starter(second.run_id, made_by, work / BUILT, config.reading, uncalibrated=options.smoke)
        return _stored(work / BUILT, to, digest)


def _stored(built: Path, to: Path, digest: str) -> Starter:
    """The model that was built, after it has replaced the one in its folder."""
    size_mb = _require_small(built)
    replace_folder(to, built)
    log.info("starter model of digest %s: %.1f MB in %s", digest, size_mb, to)
    return Starter(to, digest, size_mb)


@dataclass(frozen=True)
class Training:
    """A finished training run, the commit whose code it was, and where its first weights were from."""

    run_id: str
    commit: str
    weights_from: str


def _training(folder: Path, config: Config, commit: str) -> Training:
    """The training run of a folder, finished now. The store of the folder becomes the current one.

    Raises:
        ConfigError: the run of this folder has another configuration, or another commit and is not finished.
    """
    folder.mkdir(exist_ok=True)
    runs = _runs_in(folder, config)
    finished = next((run.info.run_id for run in runs if run.info.status == "FINISHED"), None)
    if finished:
        log.info("the training run %s is finished", finished)
    training_commit = _commit_of_training(folder / REQUEST, config, commit, finished is not None)
    run_id = finished or _trained(config, runs)
    return Training(run_id, training_commit, mlflow.get_run(run_id).data.tags["pretrained"])


def _emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def summary_text(starter: Starter) -> str:
    """The last lines on the terminal."""
    return (
        f"starter model: {starter.folder}, {starter.size_mb:.1f} MB\ndigest {starter.digest}\n"
        f"its card: {starter.folder / CARD}"
    )


def required_commit(changed_code: bool) -> str:
    """The commit of the code, with `+changes` if these are allowed.

    Raises:
        DataError: the code differs from its commit.
    """
    commit = git_commit()
    if commit.endswith("+changes") and not changed_code:
        raise DataError(
            f"the code differs from its commit {commit.removesuffix('+changes')[:12]}: commit it first, or nobody can "
            "make the same weights again (--changed_code true to make them anyway)"
        )
    return commit


def require_replaceable(folder: Path) -> None:
    """Raise `DataError` if the folder has files that no starter model has: all that is in it will be removed."""
    others = [path.name for path in folder.iterdir() if path.name not in FILES] if folder.is_dir() else []
    if others or folder.is_file():
        raise DataError(
            f"{folder} is not the folder of a starter model{f' (it has {min(others)})' if others else ''}: give "
            "another one, since the starter model replaces the whole folder"
        )


def replace_folder(to: Path, by: Path) -> None:
    """Replace a folder by a copy of another, which is complete before the old one is removed."""
    new = to.with_name(f".{to.name}-new")
    shutil.rmtree(new, ignore_errors=True)
    shutil.copytree(by, new)
    shutil.rmtree(to, ignore_errors=True)
    new.rename(to)


def _runs_in(work: Path, config: Config) -> list[Run]:
    """The training runs of a folder, newest first; its store becomes the current one."""
    for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID"):
        os.environ.pop(name, None)
    mlflow.set_tracking_uri(f"sqlite:///{work}/mlflow.db")
    client, name = MlflowClient(), str(config.tracking.experiment)
    existing = client.get_experiment_by_name(name)
    experiment = existing.experiment_id if existing else client.create_experiment(name, (work / "artifacts").as_uri())
    return list(client.search_runs([experiment], order_by=["attributes.start_time DESC"]))


def _trained(config: Config, runs: Sequence[Run]) -> str:
    """Id of the training run, finished now: the newest that can be resumed, or a new one."""
    for run in runs:
        if resume := _resumable(run.info.run_id):
            log.info("the training run %s is resumed", run.info.run_id)
            return train(resume.config, resume).run_id
    return train(config).run_id


def _resumable(run_id: str) -> Resume | None:
    """The training run of this id, if it can be resumed to the same weights."""
    try:
        resume, point = find_resumable(run_id)
    except (TrackingError, DataError) as error:  # such as a run that was killed in its first epoch
        log.info("the training run %s cannot be resumed: %s", run_id, error)
        return None
    if point.lost_best:
        epoch = point.lost_best["epoch"]
        log.warning("the training run %s is not resumed: the weights of its best epoch, %s, are lost", run_id, epoch)
        return None
    return resume


def _commit_of_training(path: Path, config: Config, commit: str, finished: bool) -> str:
    """The commit whose code trains, or has trained. Writes the configuration and the commit of a new training run.

    Args:
        finished: the training run is: other code may calibrate and evaluate its weights.

    Raises:
        ConfigError: the configuration of the run in this folder is another, or its commit, and it is not finished.
    """
    if not path.exists():
        request = {"commit": commit, "config": config.model_dump(mode="json")}
        path.write_text(json.dumps(request, indent=1), encoding="utf-8")
        return commit
    former = json.loads(path.read_text(encoding="utf-8"))
    same = {"commit": former["commit"] == commit, "config": Config.model_validate(former["config"]) == config}
    different = [name for name in same if not same[name]]
    if finished and different == ["commit"]:
        log.info(
            "the training run is finished (commit %s); it is built by commit %s", former["commit"][:12], commit[:12]
        )
        different = []
    if different:
        raise ConfigError(
            f"{path.parent} has the training run of another {' and '.join(different)} (commit {former['commit'][:12]}, "
            f"now {commit[:12]}): go back to that commit to finish it, or give another folder with --work"
        )
    return str(former["commit"])


def _require_small(folder: Path) -> float:
    """The size of all files in MB, at most `LARGEST_MB`."""
    size_mb = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
    if size_mb > LARGEST_MB:
        raise DataError(
            f"the starter model has {size_mb:.1f} MB, at most {LARGEST_MB:g} are allowed: take a smaller one"
        )
    return size_mb


@contextmanager
def _only_process(path: Path) -> Iterator[None]:
    """Hold a lock that the operating system releases when the process ends, however it ends."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise DataError(f"another process makes a starter model in {path.parent}: wait for it") from None
        yield


class _Both(TextIOBase):
    """Writes to two streams."""

    def __init__(self, *streams: TextIO) -> None:
        self._streams = streams

    def write(self, text: str) -> int:
        for stream in self._streams:
            stream.write(text)
        return len(text)

    def flush(self) -> None:
        for stream in self._streams:
            stream.flush()


@contextmanager
def _copied_to(path: Path) -> Iterator[None]:
    """Append what goes to the terminal to a log file as well."""
    with path.open("a", encoding="utf-8", buffering=1) as file, redirect_stdout(_Both(sys.stdout, file)):
        handler = logging.StreamHandler(file)
        root = logging.getLogger()
        root.addHandler(handler)
        try:
            yield
        finally:
            root.removeHandler(handler)
