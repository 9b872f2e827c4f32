"""Find training runs to resume, by run id or checkpoint, with their configuration."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from spondylo_ml.config import Config, TrainOptions, flatten, resolve_config, validate
from spondylo_ml.config.paths import expanded
from spondylo_ml.config.resolve import merge
from spondylo_ml.config.schema import MOVABLE
from spondylo_ml.config.starting_model import ConfigOf
from spondylo_ml.errors import ConfigError, TrackingError
from spondylo_ml.tracking.checkpoints import checkpoint_folder, checkpoint_folders, checkpoint_root
from spondylo_ml.tracking.store import RESUMED_AS, get_run, is_run
from spondylo_ml.tracking.store_check import store_name
from spondylo_ml.training.checkpoint_files import LAST, previous_of, replace_file, whole_checkpoint

CONFIG_FILE, RUN_FILE = "config.json", "run_id.txt"
FOLDS_TAG, CROSS_VALIDATION_FILE = "folds", "cross_validation.json"
"""Tag and file of the parent run of a cross-validation: the number of folds, and the configuration."""


@dataclass(frozen=True)
class Resume:
    """A training run to resume: its last checkpoint, the id of the run, and its configuration."""

    checkpoint: Path
    run_id: str
    config: Config


@dataclass(frozen=True)
class RequestedTraining:
    """The training run or cross-validation that `train` is asked for.

    Attributes:
        config: of the training run; with `data.folds` alone, of a cross-validation.
        resume: the training run to resume.
        parent: the run of the cross-validation to resume.
    """

    config: Config
    resume: Resume | None = None
    parent: Run | None = None

    @property
    def is_cross_validation(self) -> bool:
        """Whether all folds are trained, each in a separate run."""
        data = self.config.data
        return self.parent is not None or (self.resume is None and data.folds is not None and data.fold is None)

    @property
    def run_id(self) -> str | None:
        """The run to resume; None for a new one."""
        return self.parent.info.run_id if self.parent else self.resume.run_id if self.resume else None


def requested_training(
    options: TrainOptions, overrides: Mapping[str, Any], config_of: ConfigOf | None = None
) -> RequestedTraining:
    """Resolve the configuration of a new run, or find the run to resume.

    Args:
        overrides: the values that the user has set, nested.
        config_of: see `resolve_config`.

    Raises:
        ConfigError: a bad value, or an override that would make a resumed run another experiment.
        TrackingError: the run cannot be resumed on this machine.
    """
    if options.resume is None:
        return RequestedTraining(resolve_config(overrides, options.recipe_path, config_of))
    cross_validation = find_cross_validation(options.resume)
    if cross_validation is not None:
        parent, config = cross_validation
        return RequestedTraining(resumed_config(config, overrides), parent=parent)
    resume = find_resume(options.resume)
    return RequestedTraining(resumed_config(resume.config, overrides), resume)


def find_resume(run_or_checkpoint: str) -> Resume:
    """Find the training run of a run id or of the path of a `last.ckpt`.

    Raises:
        TrackingError: no such checkpoint on this machine (the message lists the places), or it and the one before it
            are damaged.
        OSError: the checkpoint cannot be read.
    """
    path = expanded(Path(run_or_checkpoint))
    is_checkpoint = path.suffix == ".ckpt"
    folders = [path.parent] if is_checkpoint else checkpoint_folders(run_or_checkpoint)
    name = path.name if is_checkpoint else LAST
    folder = next((folder for folder in folders if _missing(folder, name) is None), None)
    if folder is None:
        raise TrackingError(_not_found(run_or_checkpoint, [str(_missing(folder, name)) for folder in folders]))
    if whole_checkpoint(folder / name) is None:
        raise TrackingError(
            f"cannot resume {run_or_checkpoint!r}: {folder / name} is damaged, and there is no whole checkpoint before "
            "it: start a new run"
        )
    try:
        config = validate(Config, json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8")))
    except (ConfigError, ValueError) as error:
        raise TrackingError(
            f"cannot resume {run_or_checkpoint!r}: {folder / CONFIG_FILE} is damaged, or of another version: {error}"
        ) from None
    return Resume(folder / name, (folder / RUN_FILE).read_text(encoding="utf-8").strip(), config)


def find_cross_validation(run_id: str) -> tuple[Run, Config] | None:
    """Find the run of a cross-validation, or the run in which it was resumed, and its configuration.

    None if the run is not one of a cross-validation.

    Raises:
        TrackingError: its configuration cannot be read.
    """
    try:
        run = get_run(run_id)
    except TrackingError:
        return None
    while RESUMED_AS in run.data.tags:
        run = get_run(run.data.tags[RESUMED_AS])
    if FOLDS_TAG not in run.data.tags:
        return None
    try:
        text = mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/{CROSS_VALIDATION_FILE}")
    except (MlflowException, OSError):
        raise TrackingError(
            f"run {run.info.run_id} has no {CROSS_VALIDATION_FILE}: start a new cross-validation"
        ) from None
    return run, validate(Config, json.loads(text))


def resumed_config(original: Config, overrides: Mapping[str, Any]) -> Config:
    """Lay the overrides over the configuration of a run to resume; only values about where it runs and logs may change.

    Raises:
        ConfigError: an override would make it another experiment.
    """
    before = original.model_dump(mode="json")
    changed = validate(Config, merge(before, overrides))
    before, after = flatten(before), flatten(changed.model_dump(mode="json"))
    different = [name for name in after if after[name] != before[name] and not name.startswith(MOVABLE)]
    if different:
        changes = ", ".join(f"{name} was {before[name]!r}, given {after[name]!r}" for name in different)
        raise ConfigError(f"a resumed run keeps its configuration; leave these out or start a new run: {changes}")
    return changed


def how_to_resume(run_id: str) -> str:
    """A sentence with the command that resumes a training run; empty while it has no checkpoint on this machine."""
    checkpoint = checkpoint_folder(run_id) / LAST
    return f"Resume it: python -m spondylo_ml train --resume {run_id}" if checkpoint.is_file() else ""


def how_to_resume_folds(run_id: str) -> str:
    """The same for a cross-validation, which resumes with the fold that is not finished."""
    return f"Resume it: python -m spondylo_ml train --resume {run_id}"


def write_run_folder(folder: Path, run_id: str, config: Config) -> None:
    """Write the run's id and its configuration beside the weights."""
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / CONFIG_FILE, config.model_dump_json(indent=1).encode())
    replace_file(folder / RUN_FILE, run_id.encode())


def _missing(folder: Path, name: str) -> Path | None:
    """Return the first file of a run folder that does not exist; for the checkpoint, the one before it will do."""
    checkpoint = folder / name
    if not checkpoint.is_file() and previous_of(checkpoint).is_file():
        checkpoint = previous_of(checkpoint)
    return next((path for path in (checkpoint, folder / CONFIG_FILE, folder / RUN_FILE) if not path.is_file()), None)


def _not_found(what: str, missing: list[str]) -> str:
    run_ids = sorted(path.parent.name for path in checkpoint_root().glob(f"*/{LAST}"))
    where, do = " and ".join(missing), "does" if len(missing) == 1 else "do"
    store = f"the store is {store_name()}" if is_run(what) else f"{store_name()} has no such run either"
    return (
        f"cannot resume {what!r}: {where} {do} not exist ({store}). "
        f"Runs with a checkpoint in {checkpoint_root()}: {', '.join(run_ids) or 'none'}"
    )
