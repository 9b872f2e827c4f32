"""`list`: runs, registered models or studies of the store as a table. Imports no torch, so that it is quick."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient

from spondylo_ml.config import ListConfig
from spondylo_ml.errors import TrackingError, unknown_name
from spondylo_ml.evaluation.catalogue import format_value, lower_is_better, metric_definition
from spondylo_ml.tracking.dead_runs import name_dead_runs
from spondylo_ml.tracking.registry import STATUS
from spondylo_ml.tracking.run_kinds import BENCHMARK, STUDY, kind_of, without_parts
from spondylo_ml.tracking.search import search_runs
from spondylo_ml.tracking.store_check import require_store, store_name

ID_LETTERS = 8
SHOWN = ("mre_px512", "sdr_24px")
PREFIXES = ("val_best/", "eval/", "out_of_fold/", "best/")
"""Prefixes of the metrics that stand for a whole run, the first that a run has is shown."""

BEST_OF_STUDY = ("val_best/", "best/")
"""Prefixes of the best value of a study; the latter is that of older studies."""


@dataclass(frozen=True)
class Listing:
    """A table; the first row is its head.

    Attributes:
        left_out: number of rows that the list was too short for.
        nothing: the text in place of an empty table.
    """

    rows: tuple[tuple[str, ...], ...]
    left_out: int
    nothing: str


def list_store(config: ListConfig) -> Listing:
    """List what is asked for, newest first or best first.

    Raises:
        TrackingError: the store does not answer; no such experiment; or no run has the metric.
        ConfigError: neither lower nor higher values of the metric are better.
    """
    require_store()
    name_dead_runs()
    list_one: dict[str, Callable[[ListConfig], Listing]] = {
        "runs": _list_runs,
        "models": _list_models,
        "studies": _list_studies,
    }
    return list_one[config.what](config)


def _list_runs(config: ListConfig) -> Listing:
    every = search_runs(experiment=config.experiment)
    runs = every if config.parts else without_parts(every)
    runs = [run for run in runs if not config.models or _model(run) in config.models]
    if config.command is not None:
        kinds = {kind_of(run) for run in runs} - {""}
        if runs and config.command not in kinds:
            raise TrackingError(f"{unknown_name('command', config.command, kinds)} (commands that have runs)")
        runs = [run for run in runs if kind_of(run) == config.command]
    runs = _best_first(runs, config.by) if config.by else runs
    metrics = [config.by] if config.by else []
    head = (
        "run",
        "name",
        "command",
        "state",
        *(metric_definition(name).heading for name in (*SHOWN, *metrics)),
        "started",
    )
    rows = [
        (
            run.info.run_id[:ID_LETTERS],
            run.info.run_name or "",
            kind_of(run) or "-",
            run.info.status.lower(),
            *(_value(_headline(run, name), name) for name in SHOWN),
            *(_value(run.data.metrics[name], name) for name in metrics),
            _when(run.info.start_time),
        )
        for run in runs[: config.count]
    ]
    return _listing(head, rows, len(runs), f"no such run in {store_name()}")


def _best_first(runs: Sequence[Run], metric: str) -> list[Run]:
    """The runs that have the metric, best first.

    Raises:
        TrackingError: none has.
    """
    sign = 1 if lower_is_better(metric) else -1
    having = [run for run in runs if metric in run.data.metrics]
    if not having:
        names = {name for run in runs for name in run.data.metrics}
        hint = f" {unknown_name('metric', metric, names)}" if names else ""
        raise TrackingError(f"no run in {store_name()} has {metric!r}.{hint}")
    return sorted(having, key=lambda run: sign * run.data.metrics[metric])


def _list_models(config: ListConfig) -> Listing:
    versions = sorted(MlflowClient().search_model_versions(), key=lambda version: -(version.creation_timestamp or 0))
    head = ("model", "version", "alias", "network", "status", "run", "registered")
    rows = [_version_row(version) for version in versions[: config.count]]
    nothing = f"no registered model in {store_name()}: promote a run (python -m spondylo_ml promote --run_ids latest)"
    return _listing(head, rows, len(versions), nothing)


def _version_row(version: ModelVersion) -> tuple[str, ...]:
    # A search returns versions without their aliases.
    whole = MlflowClient().get_model_version(version.name, version.version)
    return (
        str(whole.name),
        str(whole.version),
        ", ".join(whole.aliases),
        whole.tags.get("model", ""),
        whole.tags.get(STATUS, ""),
        (whole.run_id or "")[:ID_LETTERS],
        _when(whole.creation_timestamp),
    )


def _list_studies(config: ListConfig) -> Listing:
    runs = [run for run in search_runs(experiment=config.experiment) if kind_of(run) in (STUDY, BENCHMARK)]
    head = ("run", "name", "kind", "state", "trials", "best", "started")
    rows = [
        (
            run.info.run_id[:ID_LETTERS],
            run.info.run_name or "",
            "study" if kind_of(run) == STUDY else BENCHMARK,
            run.data.tags.get("study_state", run.info.status.lower()),
            _trials(run),
            ", ".join(_best(run)),
            _when(run.info.start_time),
        )
        for run in runs[: config.count]
    ]
    return _listing(head, rows, len(runs), f"no study and no benchmark in {store_name()}")


def _trials(run: Run) -> str:
    counts = {n.removeprefix("trials/"): int(v) for n, v in run.data.metrics.items() if n.startswith("trials/") and v}
    return ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))


def _best(run: Run) -> Iterable[str]:
    for name, value in sorted(run.data.metrics.items()):
        if name.startswith(BEST_OF_STUDY) and name != "best/trial":
            yield f"{metric_definition(name).heading} {_value(value, name)}"


def _listing(head: tuple[str, ...], rows: Sequence[tuple[str, ...]], total: int, nothing: str) -> Listing:
    return Listing((head, *rows), total - len(rows), nothing)


def _model(run: Run) -> str:
    return str(run.data.tags.get("model", ""))


def _headline(run: Run, metric: str) -> float:
    """The run's own value of a metric: that of its best epoch, of its evaluation or of its best trial; NaN without."""
    values = run.data.metrics
    return next((float(values[p + metric]) for p in PREFIXES if p + metric in values), math.nan)


def _value(value: float, metric: str) -> str:
    return "" if math.isnan(value) else format_value(metric, value)


def _when(milliseconds: int | None) -> str:
    if not milliseconds:
        return ""
    return datetime.fromtimestamp(milliseconds / 1000).astimezone().strftime("%Y-%m-%d %H:%M")
