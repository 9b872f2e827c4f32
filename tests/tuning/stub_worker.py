"""A worker with an objective of known duration.

    stub_worker.py <storage> <study> <trials> <seconds per trial> [<seconds between heartbeats>]

Prints a line when a trial begins, and at the end the time between the objectives of consecutive trials.
"""

from __future__ import annotations

import signal
import statistics
import sys
import time
from pathlib import Path

import optuna
from studies import bowl, study_in

from tuning.attempt import Attempt, TrialResult

BEAT_S = 5
"""Long enough that a live worker on busy cores is not taken for a lost one."""


def main() -> None:
    storage, name, trials, seconds, *beat = sys.argv[1:]
    beat_s = int(beat[0]) if beat else BEAT_S
    signal.signal(signal.SIGINT, signal.default_int_handler)
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # as `python -m tuning` does
    end_times: list[float] = []
    gaps_s: list[float] = []

    def objective(attempt: Attempt) -> TrialResult:
        if end_times:
            gaps_s.append(time.monotonic() - end_times[-1])
        print_line(f"begins {attempt.trial.number}")
        deadline = time.monotonic() + float(seconds)
        while time.monotonic() < deadline:
            time.sleep(0.02)
        result = bowl(attempt)
        end_times.append(time.monotonic())
        return result

    study_in(Path.cwd(), name, storage=storage, trials=int(trials), heartbeat_s=beat_s).run(objective)
    if gaps_s:
        print_line(
            f"between trials: mean {statistics.mean(gaps_s):.3f} s, median {statistics.median(gaps_s):.3f} s, "
            f"most {max(gaps_s):.3f} s, n {len(gaps_s)}"
        )


def print_line(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
