"""`benchmark`: several entries, several seeds, under one budget of minutes on the same films, in one tree of runs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
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
from spondylo_ml.config.schema import EXPERIMENT
from spondylo_ml.disclaimer import DISCLAIMER
from spondylo_ml.errors import TrackingError
from spondylo_ml.evaluation import leaderboard
from spondylo_ml.evaluation.leaderboard import BenchmarkRun, Leaderboard, children_table, entries_table
from spondylo_ml.evaluation.paired import PairedValues
from spondylo_ml.evaluation.report import EvaluationReport
from spondylo_ml.evaluation.seed_noise import NOISE_FLOOR_OF, noise_floors
from spondylo_ml.pages.leaderboard_page import leaderboard_page
from spondylo_ml.tracking.mlflow_log import log_params
from spondylo_ml.tracking.provenance import log_environment
from spondylo_ml.tracking.reachable import require_store
from spondylo_ml.tracking.seed_values import read_values
from spondylo_ml.tracking.store import DESCRIPTION_TAG, FAILURE_TAG, RESUMED_AS, chosen_experiment, get_run, open_run
from spondylo_ml.workflows.benchmark.children import ChildRuns
from spondylo_ml.workflows.train.standing import MODEL_REPORT, read_standing

log = logging.getLogger(__name__)

PLAN_FILE = "benchmark.json"
TABLE_FILE, CHILDREN_FILE, PAGE_FILE = "leaderboard.csv", "children.csv", "leaderboard.html"


@dataclass(frozen=True)
class BenchmarkResult:
    """What `benchmark` leaves: its run, the leaderboard, and what failed, now or before, or was cut now.

    Attributes:
        floors: the noise floors that `promote` reads, of `noise_floors`; empty where none was measured.
    """

    run_id: str
    board: Leaderboard
    failed: tuple[BenchmarkRun, ...]
    floors: Mapping[str, float]


def benchmark(config: BenchmarkConfig, overrides: Mapping[str, Any]) -> BenchmarkResult:
    """Train whatever is not finished yet, one run after the other; the leaderboard is logged again after each.

    Args:
        overrides: values for all training runs, nested.

    Raises:
        SpondyloError: bad entries or values, a store that does not answer, or no such benchmark to go on with.
    """
    require_store()
    former = find_benchmark(config.resume) if config.resume else None
    plan = resumed_plan(_read_plan(former), config, overrides) if former else make_plan(config, overrides)
    wanted = chosen_entries(plan, config.only)
    planned = planned_runs(plan)
    first = planned[0].config
    title = f"benchmark: {plan.entries.title}"
    experiment = chosen_experiment(first.tracking.experiment, EXPERIMENT)
    with open_run(experiment, title, former.info.run_id if former else None) as run_id:
        children = ChildRuns(get_run(run_id))
        if former:
            children.adopt(former.info.run_id)
        _log_plan(plan)
        tried = _train_missing(
            children, [p for p in planned if p.entry in wanted], lambda: _log(plan, planned, children)
        )
        board = _log(plan, planned, children)
        floors = log_noise_floor(board)
    failed = tuple(
        c
        for c in board.children
        if c.state == leaderboard.FAILED or (c.state == leaderboard.CUT and (c.entry, c.seed) in tried)
    )
    if failed:
        client = MlflowClient()
        client.set_tag(run_id, FAILURE_TAG, f"{len(failed)} training(s) failed: {CHILDREN_FILE} lists them")
        client.set_terminated(run_id, "FAILED")
    elif former and FAILURE_TAG in get_run(run_id).data.tags:
        MlflowClient().delete_tag(run_id, FAILURE_TAG)
    return BenchmarkResult(run_id, board, failed, floors)


def find_benchmark(run_id: str) -> Run:
    """The run of a benchmark; where it went on in another run, that one.

    Raises:
        TrackingError: there is no such run, or it is no benchmark's.
    """
    run = get_run(run_id)
    while RESUMED_AS in run.data.tags:
        run = get_run(run.data.tags[RESUMED_AS])
    if "benchmark" not in run.data.tags:
        raise TrackingError(
            f"run {run_id} is no benchmark: copy the id of the parent run. One training goes on with train --resume"
        )
    return run


def _read_plan(run: Run) -> Plan:
    try:
        return validate(Plan, mlflow.artifacts.load_dict(f"runs:/{run.info.run_id}/{PLAN_FILE}"))
    except (MlflowException, OSError):
        raise TrackingError(f"run {run.info.run_id} has no {PLAN_FILE}: start a new benchmark") from None


def _log_plan(plan: Plan) -> None:
    mlflow.log_dict(plan.model_dump(mode="json"), PLAN_FILE)
    mlflow.set_tags({"benchmark": plan.entries.title, "seeds": ",".join(map(str, plan.seeds))})
    names = ", ".join(entry.name for entry in plan.entries.entries)
    log_params({"entries": names, **plan.entries.common, **plan.given})
    log_environment()


def _train_missing(
    children: ChildRuns, planned: list[PlannedRun], after_each: Callable[[], object]
) -> set[tuple[str, int]]:
    """Train what is not finished; the entries and seeds that were tried."""
    tried = set()
    for number, training in enumerate(planned, start=1):
        run = children.find().get((training.entry, training.seed))
        where = f"[{number}/{len(planned)}] {training.name}"
        if run is not None and run.info.status == "FINISHED":
            log.info("%s: finished already, kept (run %s)", where, run.info.run_id)
            continue
        start = children.prepare(training, run)
        log.info("%s: %s (run %s)", where, start.reason, start.run_id)
        children.train(training, start)
        tried.add((training.entry, training.seed))
        child = _child(training, children.find().get((training.entry, training.seed)))[0]
        log.info("%s: %s%s", where, child.state, f": {child.reason}" if child.reason else "")
        after_each()
    return tried


def _log(plan: Plan, planned: list[PlannedRun], children: ChildRuns) -> Leaderboard:
    """Read what the children left and log the leaderboard to the active run."""
    board = read_board(plan, planned, children)
    mlflow.log_text(entries_table(board).to_csv(index=False), TABLE_FILE)
    mlflow.log_text(children_table(board).to_csv(index=False), CHILDREN_FILE)
    mlflow.log_text(leaderboard_page(board), PAGE_FILE)
    finished = sum(child.state == leaderboard.FINISHED for child in board.children)
    mlflow.set_tag(
        DESCRIPTION_TAG,
        f"{finished} of {len(board.children)} trainings finished. The leaderboard is `{PAGE_FILE}` under Artifacts, "
        f"its numbers `{TABLE_FILE}` and `{CHILDREN_FILE}`.\n\n{DISCLAIMER}",
    )
    return board


def log_noise_floor(board: Leaderboard) -> dict[str, float]:
    """How far another seed alone moves each metric: pooled over the entries, and of each entry by itself.

    `promote` reads the pooled one. Nothing where no entry has two finished seeds that were evaluated on the same films.
    """
    groups: dict[str, list[Mapping[str, PairedValues]]] = {}
    finished = [child for child in board.children if child.state == leaderboard.FINISHED]
    for child in finished:
        values = read_values(child.run_id, MODEL_REPORT) if child.data_digest == finished[0].data_digest else None
        if values is None:
            log.warning("%s seed %d: other films, or no values; not in the noise floor", child.entry, child.seed)
        else:
            groups.setdefault(child.entry, []).append(values)
    several = {entry: group for entry, group in groups.items() if len(group) > 1}
    for entry, group in several.items():
        mlflow.log_metrics({f"{entry}/{name}": v for name, v in noise_floors([group]).items()})
    floors = noise_floors(list(several.values()))
    if floors:
        mlflow.log_metrics(floors)
        seeds = ", ".join(f"{entry} {len(group)} seeds" for entry, group in several.items())
        mlflow.set_tag(NOISE_FLOOR_OF, f"{seeds}; on {board.dataset}")
    return floors


def read_board(plan: Plan, planned: list[PlannedRun], children: ChildRuns) -> Leaderboard:
    """The leaderboard of what the child runs hold now."""
    runs = children.find()
    read = [_child(training, runs.get((training.entry, training.seed))) for training in planned]
    trivial = next((report for _, report in read if report), None)
    films = "not known before a training has finished"
    if trivial:
        films = f"{trivial.dataset}, {trivial.part} part: {trivial.n_labelled} films of {trivial.n_patients} patients"
    return Leaderboard(
        title=plan.entries.title,
        dataset=films,
        budget=f"{planned[0].config.training.minutes:g} minutes each, seeds {', '.join(map(str, plan.seeds))}",
        children=tuple(child for child, _ in read),
        mean_shape=trivial.numbers if trivial else {},
    )


def _child(training: PlannedRun, run: Run | None) -> tuple[BenchmarkRun, EvaluationReport | None]:
    """The child of the leaderboard, and the mean shape's report on its films."""
    child = BenchmarkRun(training.entry, training.config.model.name, training.seed)
    if run is None:
        return child, None
    child = replace(child, run_id=run.info.run_id, device=run.data.tags.get("compute", ""))
    failure = run.data.tags.get(FAILURE_TAG, "")
    if run.info.status != "FINISHED":
        state = leaderboard.FAILED if failure else leaderboard.CUT
        return replace(child, state=state, reason=failure or "cut off: --resume goes on with it"), None
    try:
        standing = read_standing(run)
    except TrackingError as error:
        return replace(child, state=leaderboard.FAILED, reason=str(error)), None
    report = standing.report
    finished = replace(
        child,
        state=leaderboard.FINISHED,
        numbers=report.numbers,
        costs=standing.costs,
        data_digest=report.data_digest,
    )
    return finished, standing.mean_shape
