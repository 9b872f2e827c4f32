"""Find the run that a user names: by its id, a unique beginning of it, its name, or as the latest one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from mlflow.entities import Run

from spondylo_ml.config import validate
from spondylo_ml.config.references import (
    FEWEST_DIGITS,
    LATEST,
    Kind,
    RunReference,
    is_beginning_of_id,
    is_whole_id,
    references,
)
from spondylo_ml.config.section import Section
from spondylo_ml.errors import TrackingError, nearest_hint
from spondylo_ml.tracking.logged_models import has_model
from spondylo_ml.tracking.run_kinds import BENCHMARK, CROSS_VALIDATION, TRAINING, kind_of, without_parts
from spondylo_ml.tracking.search import equals, search_runs
from spondylo_ml.tracking.store import get_run, require_not_deleted
from spondylo_ml.tracking.store_check import store_name

Options = TypeVar("Options", bound=Section)
MOST_LISTED = 5
FORMS = f"a run id or its first digits (at least {FEWEST_DIGITS}), a run's name, or {LATEST}"

_IN_WORDS: dict[Kind, str] = {
    "trained": "run with a model",
    "resumable": "training run or cross-validation that is not finished",
    "benchmark": "benchmark",
    "noise floor": "run that measured a noise floor",
}


def find_run(text: str, kind: Kind = "trained") -> Run:
    """The run that the text names; among several of a name, the only one of the kind.

    Raises:
        TrackingError: no such run, a deleted one, or more than one.
    """
    if is_whole_id(text):
        return require_not_deleted(get_run(text))
    if text == LATEST:
        return _latest(kind)
    run = run_or_none(text, kind)
    if run is None:
        names = {run.info.run_name for run in search_runs() if run.info.run_name}
        raise TrackingError(
            f"no run {text!r} in {store_name()}: give {FORMS}; python -m spondylo_ml list shows them."
            f"{nearest_hint(text, names)}"
        )
    return run


def run_or_none(text: str, kind: Kind = "trained") -> Run | None:
    """The run of a name or of the beginning of an id; None if there is none.

    Raises:
        TrackingError: there is more than one.
    """
    condition = equals("attributes.run_name", text)
    found = search_runs(condition) if condition else []
    if not found and is_beginning_of_id(text):
        found = search_runs(f"attributes.run_id LIKE '{text}%'")
    of_kind = list(_of_kind(found, kind))
    candidates = of_kind or found
    if len(candidates) > 1:
        listed = ", ".join(f"{run.info.run_id[:12]} ({run.info.run_name})" for run in candidates[:MOST_LISTED])
        more = f" and {len(candidates) - MOST_LISTED} more" if len(candidates) > MOST_LISTED else ""
        raise TrackingError(f"{text!r} names {len(candidates)} runs in {store_name()}: {listed}{more}. Give an id")
    return candidates[0] if candidates else None


def with_run_ids(options: Options) -> Options:
    """The options with the ids of the runs that they name.

    Raises:
        TrackingError: as `find_run`.
        ConfigError: two names are those of the same run where two runs are needed.
    """
    ids = {name: _ids(getattr(options, name), reference) for name, reference in references(options).items()}
    return validate(type(options), options.model_dump(exclude_unset=True) | ids) if ids else options


def _ids(value: str | Sequence[str], reference: RunReference) -> Any:
    if not isinstance(value, str):
        return tuple(_ids(text, reference) for text in value)
    if reference.or_checkpoint and (value.endswith(".ckpt") or Path(value).exists()):
        return value
    if reference.or_checkpoint and value != LATEST:
        run = run_or_none(value, reference.kind)
        return value if run is None else run.info.run_id
    return find_run(value, reference.kind).info.run_id


def _latest(kind: Kind) -> Run:
    run = next(iter(_of_kind(without_parts(search_runs()), kind)), None)
    if run is None:
        raise TrackingError(f"{LATEST}: there is no {_IN_WORDS[kind]} in {store_name()}")
    return run


def _of_kind(runs: Iterable[Run], kind: Kind) -> Iterable[Run]:
    tests: dict[Kind, Callable[[Run], bool]] = {
        "trained": has_model,
        "resumable": lambda run: kind_of(run) in (TRAINING, CROSS_VALIDATION) and run.info.status != "FINISHED",
        "benchmark": lambda run: kind_of(run) == BENCHMARK,
        "noise floor": lambda run: any(name.startswith("noise_floor/") for name in run.data.metrics),
    }
    return filter(tests[kind], runs)
