"""`benchmark`: train several entries with several seeds on the same films, each with the same time budget."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import mlflow
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from spondylo_ml.config import BenchmarkConfig, validate
from spondylo_ml.config.benchmark_plan import (
    Plan,
    PlannedRun,
    chosen_entries,
    make_plan,
    planned_runs,
    resumed_plan,
)
from spondylo_ml.config.experiments import EXPERIMENT
from spondylo_ml.config.promotion import FEWEST_SEEDS
from spondylo_ml.disclaimer import DISCLAIMER
from spondylo_ml.errors import TrackingError
from spondylo_ml.evaluation import leaderboard
from spondylo_ml.evaluation.leaderboard import BenchmarkRun, Leaderboard, children_table, entries_table
from spondylo_ml.evaluation.paired import PairedValues
from spondylo_ml.evaluation.report import EvaluationReport
from spondylo_ml.evaluation.seed_noise import NOISE_FLOOR_OF, noise_floors
from spondylo_ml.nan import drop_nan
from spondylo_ml.pages.leaderboard_page import leaderboard_page
from spondylo_ml.tracking.addresses import page_link
from spondylo_ml.tracking.checkpoints import checkpoint_folder
from spondylo_ml.tracking.claim import claim_run
from spondylo_ml.tracking.mlflow_log import log_params
from spondylo_ml.tracking.outcome import STOPPED_TAG, error_of, record_reason
from spondylo_ml.tracking.provenance import log_environment
from spondylo_ml.tracking.seed_values import read_values
from spondylo_ml.tracking.store import DESCRIPTION_TAG, RESUMED_AS, chosen_experiment, get_run, open_run
from spondylo_ml.tracking.store_check import require_store
from spondylo_ml.tracking.training_lock import training_lock
from spondylo_ml.workflows.benchmark.children import ChildRuns
from spondylo_ml.workflows.train.validation_report import MODEL_REPORT, read_validation_report

log = logging.getLogger(__name__)

PLAN_FILE = "benchmark.json"
TABLE_FILE, CHILDREN_FILE, PAGE_FILE = "leaderboard.csv", "children.csv", "index.html"


@dataclass(frozen=True)
class BenchmarkResult:
    """The result of `benchmark`.

    Attributes:
        failed: training runs that failed, now or before, or that were interrupted now.
        noise_floors: from `noise_floors`, read by `promote`; empty if none was measured.
    """

    run_id: str
    leaderboard: Leaderboard
    failed: tuple[BenchmarkRun, ...]
    noise_floors: Mapping[str, float]


def benchmark(config: BenchmarkConfig, overrides: Mapping[str, Any]) -> BenchmarkResult:
    """Train the runs that are not finished yet, one after the other; logs the leaderboard after each.

    Args:
        overrides: values for all training runs, nested.

    Raises:
        SpondyloError: bad entries or values, a store that does not answer, or no such benchmark to resume.
    """
    require_store()
    former = find_benchmark(config.resume) if config.resume else None
    plan = resumed_plan(_read_plan(former), config, overrides) if former else make_plan(config, overrides)
    selected = chosen_entries(plan, config.only)
    planned = planned_runs(plan)
    trained = [one.entry for one in planned if one.entry in selected]
    names = ", ".join(dict.fromkeys(trained))
    log.info("benchmark of %s: %d training run(s), %s", names, len(trained), _budget_text(plan, planned))
    first = planned[0].config
    title = f"benchmark: {plan.entries.title}"
    experiment = chosen_experiment(first.tracking.experiment, EXPERIMENT)
    former_id = former.info.run_id if former else None
    with (
        claim_run(former_id),
        open_run(experiment, title, former_id, command="benchmark", how_to_resume=_how_to_resume) as run_id,
        training_lock(checkpoint_folder(run_id)),
    ):
        children = ChildRuns(get_run(run_id))
        if former:
            children.adopt(former.info.run_id)
        _log_plan(plan)
        tried = _train_missing(
            children, [p for p in planned if p.entry in selected], lambda: _log(plan, planned, children)
        )
        board = _log(plan, planned, children)
        floors = log_noise_floor(board)
    failed = tuple(
        c
        for c in board.children
        if c.state == leaderboard.FAILED or (c.state == leaderboard.CUT and (c.entry, c.seed) in tried)
    )
    if failed:
        record_reason(run_id, f"{len(failed)} training run(s) failed: see {CHILDREN_FILE}")
        MlflowClient().set_terminated(run_id, "FAILED")
    return BenchmarkResult(run_id, board, failed, floors)


def find_benchmark(run_id: str) -> Run:
    """The run of a benchmark, or the run in which it was resumed.

    Raises:
        TrackingError: there is no such run, or it is not the run of a benchmark.
    """
    run = get_run(run_id)
    while RESUMED_AS in run.data.tags:
        run = get_run(run.data.tags[RESUMED_AS])
    if "benchmark" not in run.data.tags:
        raise TrackingError(
            f"run {run_id} is not a benchmark: copy the id of the parent run. To resume a training run: train --resume"
        )
    return run


def _how_to_resume(run_id: str) -> str:
    return f"Resume it: python -m spondylo_ml benchmark --resume {run_id}"


def _read_plan(run: Run) -> Plan:
    try:
        return validate(Plan, mlflow.artifacts.load_dict(f"runs:/{run.info.run_id}/{PLAN_FILE}"))
    except (MlflowException, OSError):
        raise TrackingError(f"run {run.info.run_id} has no {PLAN_FILE}: start a new benchmark") from None


def _budget_text(plan: Plan, planned: Sequence[PlannedRun]) -> str:
    return f"{planned[0].config.training.minutes:g} minutes each, seeds {', '.join(map(str, plan.seeds))}"


def _log_plan(plan: Plan) -> None:
    mlflow.log_dict(plan.model_dump(mode="json"), PLAN_FILE)
    mlflow.set_tags({"benchmark": plan.entries.title, "seeds": ",".join(map(str, plan.seeds))})
    names = ", ".join(entry.name for entry in plan.entries.entries)
    log_params({"entries": names, **plan.entries.common, **plan.given})
    log_environment()


def _train_missing(
    children: ChildRuns, planned: list[PlannedRun], after_each: Callable[[], object]
) -> set[tuple[str, int]]:
    """Train the runs that are not finished; returns entry and seed of those that were started."""
    tried = set()
    for number, planned_run in enumerate(planned, start=1):
        run = children.find().get((planned_run.entry, planned_run.seed))
        where = f"[{number}/{len(planned)}] {planned_run.name}"
        if run is not None and run.info.status == "FINISHED":
            log.info("%s: finished already, kept (run %s)", where, run.info.run_id)
            continue
        start = children.prepare(planned_run, run)
        log.info("%s: %s (run %s)", where, start.reason, start.run_id)
        children.train(planned_run, start)
        tried.add((planned_run.entry, planned_run.seed))
        child = _child(planned_run, children.find().get((planned_run.entry, planned_run.seed)))[0]
        log.info("%s: %s%s", where, child.state, f": {child.reason}" if child.reason else "")
        after_each()
    return tried


def _log(plan: Plan, planned: list[PlannedRun], children: ChildRuns) -> Leaderboard:
    """Read the child runs and log the leaderboard to the active run."""
    board = read_board(plan, planned, children)
    mlflow.log_text(entries_table(board).to_csv(index=False), TABLE_FILE)
    mlflow.log_text(children_table(board).to_csv(index=False), CHILDREN_FILE)
    mlflow.log_text(leaderboard_page(board), PAGE_FILE)
    counts = leaderboard.counts_by_state(board)
    mlflow.log_metrics({f"trainings/{state.replace(' ', '_')}": count for state, count in counts.items()})
    entry, means = leaderboard.best_entry(board)
    mlflow.log_metrics({f"val_best/{name}": value for name, value in drop_nan(means).items()})
    mlflow.set_tags({"best_entry": entry or "none", DESCRIPTION_TAG: _description(board, entry, means)})
    return board


def _description(board: Leaderboard, best: str, means: Mapping[str, float]) -> str:
    finished = leaderboard.counts_by_state(board)[leaderboard.FINISHED]
    mre = means.get(leaderboard.RANKED_BY, math.nan)
    first = f"Best: **{best}**, validation MRE {mre:.2f} px512. " if best else ""
    return (
        f"{first}{finished} of {len(board.children)} training runs finished.\n\n{page_link('Open the leaderboard')}\n\n"
        f"Its numbers are `{TABLE_FILE}` and `{CHILDREN_FILE}`, under Artifacts.\n\n{DISCLAIMER}"
    )


def log_noise_floor(board: Leaderboard) -> dict[str, float]:
    """Log how far another seed alone moves each metric: for each entry, and pooled over the entries.

    Returns the pooled noise floors, which `promote` reads; empty if no entry has two finished seeds on the same films.
    """
    groups: dict[str, list[Mapping[str, PairedValues]]] = {}
    finished = [child for child in board.children if child.state == leaderboard.FINISHED]
    for child in finished:
        values = read_values(child.run_id, MODEL_REPORT) if child.data_digest == finished[0].data_digest else None
        if values is None:
            log.warning("%s seed %d: other films, or no values; not in the noise floor", child.entry, child.seed)
        else:
            groups.setdefault(child.entry, []).append(values)
    repeated = {entry: group for entry, group in groups.items() if len(group) >= FEWEST_SEEDS}
    for entry, group in repeated.items():
        mlflow.log_metrics({f"{entry}/{name}": v for name, v in noise_floors([group]).items()})
    floors = noise_floors(list(repeated.values()))
    if floors:
        mlflow.log_metrics(floors)
        seeds = ", ".join(f"{entry} {len(group)} seeds" for entry, group in repeated.items())
        mlflow.set_tag(NOISE_FLOOR_OF, f"{seeds}; on {board.dataset}")
    return floors


def read_board(plan: Plan, planned: list[PlannedRun], children: ChildRuns) -> Leaderboard:
    """The leaderboard of the child runs as they are now."""
    runs = children.find()
    children_and_reports = [
        _child(planned_run, runs.get((planned_run.entry, planned_run.seed))) for planned_run in planned
    ]
    mean_shape = next((report for _, report in children_and_reports if report), None)
    films = "unknown until a training run has finished"
    if mean_shape:
        films = (
            f"{mean_shape.dataset}, {mean_shape.part} part: {mean_shape.n_labelled} films of "
            f"{mean_shape.n_patients} patients"
        )
    return Leaderboard(
        title=plan.entries.title,
        dataset=films,
        budget=_budget_text(plan, planned),
        children=tuple(child for child, _ in children_and_reports),
        mean_shape=mean_shape.numbers if mean_shape else {},
        synthetic=all(planned_run.config.data.path is None for planned_run in planned),
    )


def _child(planned_run: PlannedRun, run: Run | None) -> tuple[BenchmarkRun, EvaluationReport | None]:
    """One row of the leaderboard, and the report of the mean shape on the same films if the run is finished."""
    child = BenchmarkRun(planned_run.entry, planned_run.config.model.name, planned_run.seed)
    if run is None:
        return child, None
    child = replace(child, run_id=run.info.run_id, device=run.data.tags.get("compute", ""))
    if run.info.status != "FINISHED":
        failure = error_of(run)
        if failure and STOPPED_TAG not in run.data.tags:
            return replace(child, state=leaderboard.FAILED, reason=failure), None
        return replace(child, state=leaderboard.CUT, reason="interrupted: continue it with --resume"), None
    try:
        validation = read_validation_report(run)
    except TrackingError as error:
        return replace(child, state=leaderboard.FAILED, reason=str(error)), None
    report = validation.report
    finished = replace(
        child,
        state=leaderboard.FINISHED,
        numbers=report.numbers,
        costs=validation.costs,
        data_digest=report.data_digest,
    )
    return finished, validation.mean_shape
