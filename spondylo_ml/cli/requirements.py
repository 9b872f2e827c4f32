"""Requirements of commands that need no slow imports; each function raises if its requirement is not met."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from spondylo_ml.config import CompareConfig, DataConfig, PromoteConfig
from spondylo_ml.config.paths import expanded
from spondylo_ml.config.references import references
from spondylo_ml.config.section import Section
from spondylo_ml.errors import TrackingError
from spondylo_ml.serving.local_model import local_model, only_model

if TYPE_CHECKING:
    from mlflow.entities import Run

Options = TypeVar("Options", bound=Section)


def require_run_ids(options: Options) -> Options:
    """Require that the runs which options name by name, beginning or `latest` exist; returns the options with ids.

    Without a store nothing is replaced, and the check of the command reports that there is none.

    Raises:
        SpondyloError: no such run, more than one, or the store does not answer.
    """
    if not references(options) or _missing_store_file() is not None:
        return options
    require_store()

    from spondylo_ml.tracking.run_names import with_run_ids

    return with_run_ids(options)


def require_films(data: DataConfig) -> None:
    """Require that the folder holds a dataset, if one is given; all kinds but synthetic films need one.

    Raises:
        SpondyloError: there is no such dataset, or path and kind contradict each other.
    """
    data.require_source()
    require_given_films(data)


def require_given_films(data: DataConfig) -> None:
    """As `require_films`, for values laid over those of a run: a kind without a path refers to the run's folder.

    Raises:
        SpondyloError: there is no such dataset, or path and kind contradict each other.
    """
    if data.path is None:
        return
    data.require_source()

    from spondylo_ml.data.readers import find_reader

    find_reader(expanded(data.path), data.kind)


def require_runs(run_ids: Sequence[str] = (), with_models: bool = False) -> list[Run]:
    """Require that the store exists, answers and has these runs; returns them.

    Args:
        with_models: require a logged model of each run too.

    Raises:
        TrackingError: no store, no such run, or no model.
    """
    _require_store_file()

    from spondylo_ml.tracking.selection import require_model
    from spondylo_ml.tracking.store import get_run

    require_store()
    runs = [get_run(run_id) for run_id in run_ids]
    for run in runs if with_models else ():
        require_model(run)
    return runs


def require_compared_runs(config: CompareConfig) -> Run:
    """Require the runs to compare, each with its model; returns the first one.

    Raises:
        TrackingError: no such run or model, or no run to choose from.
    """
    if config.run_ids:
        return require_runs(config.run_ids, with_models=True)[0]
    require_runs()

    from spondylo_ml.tracking.selection import top_runs

    return top_runs(1, config.metric, config.models, config.per_model, config.experiment)[0]


def require_candidates(config: PromoteConfig) -> Run:
    """Require the candidates, each with its model, and the run of the noise floor; returns the first candidate.

    Raises:
        TrackingError: no such run or model, or no run to choose from.
    """
    require_runs([config.noise_floor_from] if config.noise_floor_from else [])
    if config.run_ids:
        return require_runs(config.run_ids, with_models=True)[0]

    from spondylo_ml.tracking.selection import top_runs

    return top_runs(1, config.chosen_by, config.models, per_model=True, experiment=config.experiment)[0]


def require_model(which: str, digest: str | None = None) -> None:
    """Require a model: its folder, or its address and digest in the store.

    Raises:
        SpondyloError: there is no such model, or no digest of it.
    """
    local = local_model(which)
    if local is not None:
        only_model(local.folder)
        return
    _require_store_file("; --model starter needs no store")

    from spondylo_ml.serving.model_address import model_address

    require_store()
    address = model_address(which)
    if digest is None:
        address.digest()


def config_of_model(which: str) -> Mapping[str, Any]:
    """The configuration of a model, as `serving.model_source.config_of_model`, which is imported when it is called.

    Raises:
        SpondyloError: there is no such model.
    """
    require_model(which)

    from spondylo_ml.serving.model_source import config_of_model

    return config_of_model(which)


def require_target(requested: str | None, default: str, resumed_run_id: str | None = None) -> None:
    """Require that the store answers and that the run to write to can be opened.

    Args:
        requested: the experiment in the options.
        default: the experiment if `requested` is None.

    Raises:
        TrackingError: see `tracking.store.require_target`.
    """
    from spondylo_ml.tracking.store import chosen_experiment, require_target

    require_store()
    require_target(chosen_experiment(requested, default), resumed_run_id)


def experiment_name(run: Run) -> str:
    """Name of the experiment of a run."""
    from spondylo_ml.tracking.store import experiment_of

    return experiment_of(run)


def require_checkpoint_place() -> None:
    """Require that new checkpoints can be written.

    Raises:
        TrackingError: see `tracking.checkpoints`.
    """
    from spondylo_ml.tracking.checkpoints import require_checkpoint_place

    require_checkpoint_place()


def require_opened_run() -> None:
    """As `require_target`, for commands that write to a run only under `mlflow run`."""
    if "MLFLOW_RUN_ID" in os.environ:
        require_target("", "")


def require_store() -> None:
    """Require that the store answers; hides what MLflow logs while it creates its tables."""
    from spondylo_ml.tracking.store_check import require_store

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    require_store()


def _missing_store_file() -> Path | None:
    """The file of a local store that does not exist."""
    from spondylo_ml.tracking.store_uri import sqlite_file, usual_uri

    file = sqlite_file(usual_uri())
    return file if file is not None and not file.exists() else None


def _require_store_file(or_else: str = "") -> None:
    """Require that the file of a local store exists: MLflow would create an empty one."""
    if (file := _missing_store_file()) is not None:
        raise TrackingError(
            f"there is no MLflow store {file}: nothing was tracked here yet. Go to the folder of mlflow.db, or "
            f"set MLFLOW_TRACKING_URI{or_else}"
        )
