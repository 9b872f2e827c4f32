"""Summary of a benchmark."""

from __future__ import annotations

from spondylo_ml.cli.summaries.table import aligned
from spondylo_ml.cli.summaries.where import where_to_see
from spondylo_ml.config import PromoteConfig
from spondylo_ml.evaluation.leaderboard import FINISHED, pooled_sd
from spondylo_ml.evaluation.seed_noise import NOISE_FLOOR
from spondylo_ml.pages.leaderboard_page import QUALITY_TABLES, cost_rows, how_to_read, quality_rows, quality_tables
from spondylo_ml.workflows.benchmark import BenchmarkResult

PROMOTED_BY = str(PromoteConfig.model_fields["metric"].default)


def benchmark_summary(result: BenchmarkResult) -> str:
    """Summary of a benchmark: quality and cost of each entry, the noise floor, and the runs that are not finished."""
    board = result.leaderboard
    sd, freedom = pooled_sd(board)
    lines = [f"{board.title}: {board.dataset}; {board.budget}"]
    for metrics in quality_tables(board):
        lines += [*aligned(quality_rows(board, metrics, with_spread=metrics is QUALITY_TABLES[0])), ""]
    lines += [*aligned(cost_rows(board)), ""]
    if freedom:
        lines.append(f"MRE between seeds: standard deviation {sd:.2f} px512, {freedom} degree(s) of freedom")
    if (floor := result.noise_floors.get(NOISE_FLOOR + PROMOTED_BY)) is not None:
        lines.append(f"noise floor of {PROMOTED_BY} {floor:.3g}; use it: promote --noise_floor_from {result.run_id}")
    lines += [
        f"{child.state}: {child.entry} seed {child.seed}{f': {child.reason}' if child.reason else ''}"
        for child in board.children
        if child.state != FINISHED
    ]
    lines += [*board.remarks(), how_to_read(board)]
    return "\n".join([*lines, f"run {result.run_id}", where_to_see(result.run_id)])
