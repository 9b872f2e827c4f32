"""What can be known to be wrong before anything slow is imported: in about a second, or three where MLflow is asked."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spondylo_ml.config import CompareConfig, Config, DataConfig, PromoteConfig
from spondylo_ml.config.paths import expanded
from spondylo_ml.errors import TrackingError

if TYPE_CHECKING:
    from mlflow.entities import Run

    from spondylo_ml.tracking.resume import Resume


def require_films(data: DataConfig) -> None:
    """The folder is there and holds a dataset, where one is given; no other kind of films is asked for without one.

    Raises:
        SpondyloError: it is not so.
    """
    data.require_source()
    require_given_films(data)


def require_given_films(data: DataConfig) -> None:
    """As `require_films`, of values that are laid over those of a run: its folder may be meant by a kind alone.

    Raises:
        SpondyloError: it is not so.
    """
    if data.path is None:
        return
    data.require_source()

    from spondylo_ml.data.readers import find_reader

    find_reader(expanded(data.path), data.kind)


def require_runs(run_ids: Sequence[str] = (), with_models: bool = False) -> list[Run]:
    """The runs of the store, which is there, answers, and has all of them.

    Args:
        with_models: each has logged a model.

    Raises:
        TrackingError: it is not so.
    """
    _require_store_file()

    from spondylo_ml.tracking.selection import require_model
    from spondylo_ml.tracking.store import get_run

    _require_store()
    runs = [get_run(run_id) for run_id in run_ids]
    for run in runs if with_models else ():
        require_model(run)
    return runs


def require_compared(config: CompareConfig) -> Run:
    """The first of the runs to compare, each of which is there with its model.

    Raises:
        TrackingError: it is not so, or there are none to choose from.
    """
    if config.run_ids:
        return require_runs(config.run_ids, with_models=True)[0]
    require_runs()

    from spondylo_ml.tracking.selection import top_runs

    return top_runs(1, config.metric, config.models, config.per_model, config.experiment)[0]


def require_candidates(config: PromoteConfig) -> Run:
    """The first of the runs to promote; the run of the noise floor is there too.

    Raises:
        TrackingError: it is not so, or there are none to choose from.
    """
    require_runs([config.noise_floor_from] if config.noise_floor_from else [])
    if config.run_ids:
        return require_runs(config.run_ids, with_models=True)[0]

    from spondylo_ml.tracking.selection import top_runs

    return top_runs(1, config.chosen_by, config.models, per_model=True, experiment=config.experiment)[0]


def require_model(which: str, digest: str | None = None) -> None:
    """The model is there: its folder, or its address and digest in the store.

    Raises:
        SpondyloError: it is not so.
    """
    if not expanded(Path(which)).is_dir():
        _require_store_file()

    from spondylo_ml.serving.model_address import local_folder, model_address, only_model

    folder = local_folder(which)
    if folder is not None:
        only_model(folder)
        return
    _require_store()
    address = model_address(which)
    if digest is None:
        address.digest()


def require_target(asked: str | None, otherwise: str, resumed_run_id: str | None = None) -> None:
    """The store answers, and the run that will be written to can be opened; see `tracking.store.require_target`.

    Args:
        asked: the experiment that was given.
        otherwise: the command's own.

    Raises:
        TrackingError: it is not so.
    """
    from spondylo_ml.tracking.store import chosen_experiment, require_target

    _require_store()
    require_target(chosen_experiment(asked, otherwise), resumed_run_id)


def experiment_name(run: Run) -> str:
    """Of the run."""
    from spondylo_ml.tracking.store import experiment_of

    return experiment_of(run)


def require_checkpoint_place() -> None:
    """New checkpoints can be written; see `tracking.checkpoints`.

    Raises:
        TrackingError: they cannot.
    """
    from spondylo_ml.tracking.checkpoints import require_checkpoint_place

    require_checkpoint_place()


def require_cross_validation(what: str, overrides: Mapping[str, Any]) -> tuple[Run, Config] | None:
    """The cross-validation to go on with and its configuration, with what may be changed; None where it is none.

    Raises:
        SpondyloError: it cannot be read, or an override would make it another.
    """
    from spondylo_ml.tracking.resume import Resume, find_cross_validation, resumed_config

    _require_store()
    found = find_cross_validation(what)
    if found is None:
        return None
    run, config = found
    return run, resumed_config(Resume(Path(), run.info.run_id, config), overrides)


def require_resume(what: str) -> Resume:
    """The training to go on with; see `workflows.resume`.

    Raises:
        TrackingError: it is not on this machine.
    """
    from spondylo_ml.tracking.resume import find_resume

    _require_store()
    return find_resume(what)


def require_resumed_config(resume: Resume, overrides: Mapping[str, Any]) -> Config:
    """Its configuration, with what may be changed; see `workflows.resume`.

    Raises:
        ConfigError: an override would make it another experiment.
    """
    from spondylo_ml.tracking.resume import resumed_config

    return resumed_config(resume, overrides)


def require_opened_run() -> None:
    """As `require_target`, for commands that write to a run only where `mlflow run` has opened one for them."""
    if "MLFLOW_RUN_ID" in os.environ:
        require_target("", "")


def _require_store() -> None:
    """The store answers; MLflow's remarks on making its tables are not for the terminal."""
    from spondylo_ml.tracking.reachable import preflight

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    preflight()


def _require_store_file() -> None:
    """A command that reads runs needs a store that was written to: MLflow would make an empty one."""
    from spondylo_ml.tracking.store_uri import sqlite_file, usual_uri

    file = sqlite_file(usual_uri())
    if file is not None and not file.exists():
        raise TrackingError(
            f"there is no MLflow store {file}: nothing was tracked here yet. Go to the folder where mlflow.db lies, or "
            "set MLFLOW_TRACKING_URI"
        )
