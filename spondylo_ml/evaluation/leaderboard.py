"""Training runs of several entries side by side: means over seeds, their intervals, and the spread between seeds.

The value of an entry is the mean over its finished seeds. Its interval is the mean of the seeds' limits: all seeds are
evaluated on the same resamples of the same patients, so that this is close to the interval of the mean, or wider. The
standard deviation between seeds (n - 1) shows how much of a difference is training noise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from spondylo_ml.evaluation.intervals import Estimate

METRICS = (
    "mre_px512", "median_px512", "sdr_6px", "sdr_12px", "sdr_18px", "sdr_24px", "instance_sdr_5px640",
    "instance_sdr_10px640", "instance_sdr_15px640", "presence_f1", "grade_accuracy_all",
    "nmse", "or_20px704", "or_40px704", "cobb_smape_percent", "cobb_cmae_deg", "cobb_ed_deg", "cobb_md_deg",
)  # fmt: skip
COSTS = (
    "parameters", "best_epoch", "epochs", "training_s", "films_per_s", "latency_ms", "threads", "peak_memory_mb",
    "peak_gpu_memory_mb",
)  # fmt: skip
RANKED_BY = "mre_px512"
MEAN_SHAPE = "mean shape"

STATES = FINISHED, FAILED, CUT, NOT_RUN = "finished", "failed", "cut", "not run"


@dataclass(frozen=True)
class BenchmarkRun:
    """One training run of an entry.

    Attributes:
        state: finished, failed, cut (it can be resumed), or not run.
        reason: why it is not finished; names no film.
        numbers: estimates by metric; empty unless it is finished.
        costs: by the names in `COSTS`; NaN or missing if not measured.
        device: the device it ran on.
        data_digest: of the validation films on which it was evaluated.
    """

    entry: str
    model: str
    seed: int
    state: str = NOT_RUN
    run_id: str = ""
    reason: str = ""
    numbers: Mapping[str, Estimate] = field(default_factory=dict)
    costs: Mapping[str, float] = field(default_factory=dict)
    device: str = ""
    data_digest: str = ""


@dataclass(frozen=True)
class Leaderboard:
    """The results of a benchmark.

    Attributes:
        children: all planned training runs, in the order of the plan.
        mean_shape: estimates of the trivial predictor on the same films; empty if no run has finished.
        budget: the minutes of each training run, and other settings common to all, in words.
        synthetic: whether the films are.
    """

    title: str
    dataset: str
    budget: str
    children: tuple[BenchmarkRun, ...]
    mean_shape: Mapping[str, Estimate] = field(default_factory=dict)
    synthetic: bool = False

    @property
    def entries(self) -> list[str]:
        """Names, in the order of the plan."""
        return list(dict.fromkeys(child.entry for child in self.children))

    def of(self, entry: str, state: str | None = None) -> list[BenchmarkRun]:
        """The training runs of an entry, all or those in a state."""
        return [c for c in self.children if c.entry == entry and state in (None, c.state)]

    def remarks(self) -> list[str]:
        """Warnings to read before the numbers."""
        remarks = []
        if len({c.data_digest for c in self.children if c.data_digest}) > 1:
            remarks.append(
                "not all training runs were evaluated on the same validation films: their numbers cannot be compared"
            )
        if len(devices := {c.device for c in self.children if c.device}) > 1:
            remarks.append(
                f"the training runs used different devices ({'; '.join(sorted(devices))}): times do not compare"
            )
        if short := [e for e in self.entries if len(self.of(e, FINISHED)) < 2]:
            remarks.append(f"fewer than two finished seeds, so without a spread: {', '.join(short)}")
        return remarks


def estimate_over_seeds(estimates: Sequence[Estimate]) -> Estimate:
    """Means of the values and of the limits; the counts are those of one seed's films.

    NaN if no seed has a value, or if a seed with a value has no limits.
    """
    finite = [e for e in estimates if not math.isnan(e.value)]
    if not finite:
        n_absent = max((e.n_absent for e in estimates), default=0)
        return Estimate(value=math.nan, low=math.nan, high=math.nan, n=0, n_absent=n_absent)
    return Estimate(
        value=float(np.mean([e.value for e in finite])),
        low=float(np.mean([e.low for e in finite])),
        high=float(np.mean([e.high for e in finite])),
        n=min(e.n for e in finite),
        n_absent=max(e.n_absent for e in finite),
        n_patients=min(e.n_patients for e in finite),
    )


def spread_statistics(values: Sequence[float]) -> dict[str, float]:
    """`sd` (n - 1; NaN for fewer than two), `min`, `max` and `n_seeds` of the values that are not NaN."""
    finite = np.array([value for value in values if not math.isnan(value)])
    return {
        "sd": float(finite.std(ddof=1)) if len(finite) > 1 else math.nan,
        "min": float(finite.min()) if len(finite) else math.nan,
        "max": float(finite.max()) if len(finite) else math.nan,
        "n_seeds": float(len(finite)),
    }


def pooled_sd(board: Leaderboard, metric: str = RANKED_BY) -> tuple[float, int]:
    """Standard deviation between seeds, pooled over the entries, and its degrees of freedom; NaN and 0 without any."""
    squares, freedom = 0.0, 0
    for entry in board.entries:
        between_seeds = spread_statistics(
            [c.numbers[metric].value for c in board.of(entry, FINISHED) if metric in c.numbers]
        )
        if between_seeds["n_seeds"] > 1:
            squares += (between_seeds["n_seeds"] - 1) * between_seeds["sd"] ** 2
            freedom += int(between_seeds["n_seeds"]) - 1
    return (math.sqrt(squares / freedom), freedom) if freedom else (math.nan, 0)


def entries_table(board: Leaderboard) -> pd.DataFrame:
    """One row per entry, the best first, the mean shape among them.

    For each of `METRICS` its mean over seeds under its name, `_low`, `_high`, `_sd`, `_min`, `_max`, `_n_seeds`,
    `_n` (observations on one seed's films) and `_n_absent`; for each of `COSTS` its mean over seeds, `_sd`, `_min`,
    `_max`, `_n_seeds`; `n_planned`, `n_finished`, `n_failed`.
    """
    rows = [_entry_row(board, entry) for entry in board.entries]
    mean_shape_row: dict[str, object] = {
        "entry": MEAN_SHAPE,
        "model": "",
        "n_planned": 0,
        "n_finished": 0,
        "n_failed": 0,
    }
    mean_shape_row |= _metric_cells([board.mean_shape] if board.mean_shape else [], seeds=False)
    table = pd.DataFrame([*rows, mean_shape_row])
    return table.sort_values(RANKED_BY, kind="stable", na_position="last").reset_index(drop=True)


def best_entry(board: Leaderboard) -> tuple[str, dict[str, float]]:
    """The entry with the lowest error, and its means over the finished seeds by metric; "" and {} without a run."""
    means = {
        entry: {metric: float(row[metric]) for metric in METRICS}
        for entry, row in entries_table(board).set_index("entry").iterrows()
        if entry != MEAN_SHAPE and not math.isnan(row[RANKED_BY])
    }
    return next(((str(entry), numbers) for entry, numbers in means.items()), ("", {}))


def counts_by_state(board: Leaderboard) -> dict[str, int]:
    """Number of the planned training runs in each state, the states without any included."""
    return {state: sum(child.state == state for child in board.children) for state in STATES}


def children_table(board: Leaderboard) -> pd.DataFrame:
    """One row per training run: state and reason, every metric with its interval and counts, and the costs."""
    rows = []
    for child in board.children:
        row: dict[str, object] = {
            "entry": child.entry,
            "model": child.model,
            "seed": child.seed,
            "state": child.state,
            "run_id": child.run_id,
            "reason": child.reason,
            "device": child.device,
        }
        for metric in METRICS:
            row |= _cells(metric, child.numbers.get(metric) or estimate_over_seeds([]))
        rows.append(row | {name: child.costs.get(name, math.nan) for name in COSTS})
    return pd.DataFrame(rows)


def _entry_row(board: Leaderboard, entry: str) -> dict[str, object]:
    planned, finished = board.of(entry), board.of(entry, FINISHED)
    row: dict[str, object] = {
        "entry": entry,
        "model": planned[0].model,
        "n_planned": len(planned),
        "n_finished": len(finished),
        "n_failed": len(board.of(entry, FAILED)),
    }
    row |= _metric_cells([child.numbers for child in finished])
    for name in COSTS:
        values = [child.costs.get(name, math.nan) for child in finished]
        finite = [value for value in values if not math.isnan(value)]
        row[name] = float(np.mean(finite)) if finite else math.nan
        row |= {f"{name}_{part}": value for part, value in spread_statistics(values).items()}
    return row


def _metric_cells(numbers: Sequence[Mapping[str, Estimate]], seeds: bool = True) -> dict[str, object]:
    row: dict[str, object] = {}
    for metric in METRICS:
        estimates = [one[metric] for one in numbers if metric in one]
        row |= _cells(metric, estimate_over_seeds(estimates))
        row |= {f"{metric}_{k}": v for k, v in spread_statistics([e.value for e in estimates] if seeds else []).items()}
    return row


def _cells(metric: str, estimate: Estimate) -> dict[str, object]:
    return {
        metric: estimate.value,
        f"{metric}_low": estimate.low,
        f"{metric}_high": estimate.high,
        f"{metric}_n": estimate.n,
        f"{metric}_n_absent": estimate.n_absent,
    }
