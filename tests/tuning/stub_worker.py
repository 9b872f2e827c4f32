"""A worker with an objective of known cost: `stub_worker.py <storage> <study> <trials> <seconds a trial>`.

Prints a line as each trial begins, and at the end what passed between one trial's objective and the next one's.
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
    storage, name, trials, seconds = sys.argv[1:5]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # as the command does
    ended: list[float] = []
    between: list[float] = []

    def objective(attempt: Attempt) -> TrialResult:
        if ended:
            between.append(time.monotonic() - ended[-1])
        say(f"begins {attempt.trial.number}")
        deadline = time.monotonic() + float(seconds)
        while time.monotonic() < deadline:
            time.sleep(0.02)
        found = bowl(attempt)
        ended.append(time.monotonic())
        return found

    study_in(Path.cwd(), name, storage=storage, trials=int(trials), heartbeat_s=BEAT_S).run(objective)
    if between:
        say(
            f"between trials: mean {statistics.mean(between):.3f} s, median {statistics.median(between):.3f} s, "
            f"most {max(between):.3f} s, n {len(between)}"
        )


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
