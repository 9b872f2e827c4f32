"""A training to go on with: its folder, its run, its configuration."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from spondylo_ml.config import Config, flatten, validate
from spondylo_ml.config.paths import expanded
from spondylo_ml.config.resolve import merge
from spondylo_ml.config.schema import MOVABLE
from spondylo_ml.errors import ConfigError, TrackingError
from spondylo_ml.tracking.checkpoints import checkpoint_folders, checkpoint_root
from spondylo_ml.tracking.reachable import store_name
from spondylo_ml.tracking.store import RESUMED_AS, get_run, is_run
from spondylo_ml.training.run_log import LAST

CONFIG_FILE, RUN_FILE = "config.json", "run_id.txt"
FOLDS_TAG, CROSS_VALIDATION_FILE = "folds", "cross_validation.json"
"""Of the parent run of a cross-validation: how many folds, and its configuration."""


@dataclass(frozen=True)
class Resume:
    """A training to go on with: where its checkpoint lies, and the run that it belongs to."""

    checkpoint: Path
    run_id: str
    config: Config


def find_resume(what: str) -> Resume:
    """The training that `what`, a run id or the path of a `last.ckpt`, names.

    Raises:
        TrackingError: no such checkpoint on this machine; says where it was looked for.
    """
    given = expanded(Path(what))
    folders = [given.parent] if given.suffix == ".ckpt" else checkpoint_folders(what)
    name = given.name if given.suffix == ".ckpt" else LAST
    folder = next((folder for folder in folders if _missing(folder, name) is None), None)
    if folder is None:
        raise TrackingError(_not_found(what, [str(_missing(folder, name)) for folder in folders]))
    try:
        config = validate(Config, json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8")))
    except (ConfigError, ValueError) as error:
        raise TrackingError(
            f"cannot resume {what!r}: {folder / CONFIG_FILE} is damaged, or of another version: {error}"
        ) from None
    return Resume(folder / name, (folder / RUN_FILE).read_text(encoding="utf-8").strip(), config)


def find_cross_validation(run_id: str) -> tuple[Run, Config] | None:
    """The run of a cross-validation, or where it went on in another run that one, and its configuration.

    None where the run is none.

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


def resumed_config(resume: Resume, overrides: Mapping[str, Any]) -> Config:
    """The configuration of the run that goes on; only its place and its reporting may be changed.

    Raises:
        ConfigError: an override would make it another experiment.
    """
    before = flatten(resume.config.model_dump(mode="json"))
    changed = validate(Config, merge(resume.config.model_dump(mode="json"), overrides))
    after = flatten(changed.model_dump(mode="json"))
    different = [name for name in after if after[name] != before[name] and not name.startswith(MOVABLE)]
    if different:
        listed = ", ".join(f"{name} was {before[name]!r}, given {after[name]!r}" for name in different)
        raise ConfigError(f"a resumed run keeps its configuration; leave these out or start a new run: {listed}")
    return changed


def write_run_folder(folder: Path, run_id: str, config: Config) -> None:
    """Beside the weights: which run they belong to, and its configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG_FILE).write_text(config.model_dump_json(indent=1), encoding="utf-8")
    (folder / RUN_FILE).write_text(run_id, encoding="utf-8")


def _missing(folder: Path, name: str) -> Path | None:
    """The first of a folder's files that is not there."""
    return next((path for path in (folder / name, folder / CONFIG_FILE, folder / RUN_FILE) if not path.is_file()), None)


def _not_found(what: str, missing: list[str]) -> str:
    known = sorted(path.parent.name for path in checkpoint_root().glob(f"*/{LAST}"))
    where, do = " and ".join(missing), "does" if len(missing) == 1 else "do"
    store = f"the store is {store_name()}" if is_run(what) else f"{store_name()} has no such run either"
    return (
        f"cannot resume {what!r}: {where} {do} not exist ({store}). "
        f"Runs with a checkpoint in {checkpoint_root()}: {', '.join(known) or 'none'}"
    )
